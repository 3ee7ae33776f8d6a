//! How many connections each host holds, so that one cannot take them all.
//!
//! A host is what [`host_of`] says. Loopback and the named addresses are not counted: there speak proxies, on behalf of
//! many.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::net::host_of;

/// The counts of one listener. Clones share them.
#[derive(Clone)]
pub(super) struct Neighbours {
    most: usize,
    exempt: Arc<[IpAddr]>,
    held: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// One connection's place; dropping it gives the place back.
pub(super) struct Place {
    held: Arc<Mutex<HashMap<IpAddr, usize>>>,
    host: Option<IpAddr>,
}

impl Neighbours {
    /// At most `most` connections of one host at once; of an `exempt` address any number.
    pub(super) fn new(most: usize, exempt: &[IpAddr]) -> Self {
        Self {
            most,
            exempt: exempt.iter().map(IpAddr::to_canonical).collect(),
            held: Arc::default(),
        }
    }

    /// A place for a connection from `address`, or `None` when its host holds as many as it may.
    pub(super) fn enter(&self, address: IpAddr) -> Option<Place> {
        let address = address.to_canonical();
        let host = (!address.is_loopback() && !self.exempt.contains(&address)).then(|| host_of(address));
        if let Some(host) = host {
            let mut held = lock(&self.held);
            let count = held.get(&host).copied().unwrap_or(0);
            if count >= self.most {
                return None;
            }
            held.insert(host, count + 1);
        }
        let held = self.held.clone();
        Some(Place { held, host })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(host) = self.host else { return };
        // A host without connections is forgotten: the map is never larger than the number of connections.
        if let Entry::Occupied(mut count) = lock(&self.held).entry(host) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

fn lock(held: &Mutex<HashMap<IpAddr, usize>>) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
    // Every statement leaves the counts whole.
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// How many of ten connections, one from each address in turn, find a place among `most`.
    fn admitted(most: usize, exempt: &[IpAddr], addresses: [&str; 2]) -> usize {
        let neighbours = Neighbours::new(most, exempt);
        let places = (0..10).map(|n| neighbours.enter(ip(addresses[n % 2])));
        places.collect::<Vec<_>>().iter().flatten().count()
    }

    #[test]
    fn an_address_has_its_most_and_another_address_its_own() {
        assert_eq!(admitted(3, &[], ["192.0.2.1", "192.0.2.1"]), 3);
        assert_eq!(admitted(3, &[], ["192.0.2.1", "192.0.2.2"]), 6);
    }

    #[test]
    fn an_ipv6_host_is_its_64_bit_network() {
        assert_eq!(admitted(3, &[], ["2001:db8::1", "2001:db8::ffff:0:0:2"]), 3);
        assert_eq!(admitted(3, &[], ["2001:db8::1", "2001:db8:0:1::1"]), 6);
    }

    #[test]
    fn an_ipv4_peer_of_an_ipv6_listener_is_its_ipv4_address() {
        assert_eq!(admitted(3, &[], ["::ffff:192.0.2.1", "::ffff:192.0.2.2"]), 6);
        assert_eq!(admitted(3, &[], ["::ffff:192.0.2.1", "192.0.2.1"]), 3);
    }

    #[test]
    fn loopback_and_exempt_addresses_are_not_counted() {
        assert_eq!(admitted(3, &[], ["127.0.0.1", "::1"]), 10);
        assert_eq!(admitted(3, &[ip("192.0.2.1")], ["192.0.2.1", "::ffff:192.0.2.1"]), 10);
    }

    #[test]
    fn a_connection_that_ends_gives_its_place_back_and_the_last_leaves_no_trace() {
        let neighbours = Neighbours::new(1, &[]);
        let first = neighbours.enter(ip("192.0.2.1"));
        assert!(first.is_some() && neighbours.enter(ip("192.0.2.1")).is_none());
        drop(first);
        let second = neighbours.enter(ip("192.0.2.1"));
        assert!(second.is_some());
        drop(second);
        assert!(lock(&neighbours.held).is_empty());
    }
}
