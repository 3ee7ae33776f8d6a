//! Handshakes that are not finished: what strangers can make a relay keep, in all and for each address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use postern_service::net::host_of;

/// With more unfinished handshakes than this a client of QUIC must show that its address is its own (`Retry`).
const RETRY_ABOVE: usize = 256;

/// With more than this, newcomers are refused: even validated addresses may be hostile.
const REFUSE_ABOVE: usize = 2_048;

/// Of these one address may have this many: a thousand agents behind one address come back within seconds, and no
/// single host takes everybody's room.
const MOST_PER_ADDRESS: usize = 512;

/// What is done with a newcomer.
#[derive(Debug)]
pub(super) enum Gate {
    /// It may begin.
    Open(Pending),
    /// It may if its address is its own.
    Prove,
    /// It may not.
    Shut,
}

/// Unfinished handshakes, in all and by address.
#[derive(Debug, Default)]
pub(super) struct Handshakes {
    by_address: Mutex<HashMap<IpAddr, usize>>,
    total: AtomicUsize,
}

impl Handshakes {
    /// Counts a newcomer from `address` in, if there is room; `proven` says that the address is known to be its own.
    pub(super) fn gate(self: &Arc<Self>, address: IpAddr, proven: bool) -> Gate {
        let of_address = self.lock().get(&host_of(address)).copied().unwrap_or(0);
        let unfinished = self.total.load(Ordering::Relaxed);
        if unfinished >= REFUSE_ABOVE || of_address >= MOST_PER_ADDRESS {
            Gate::Shut
        } else if unfinished >= RETRY_ABOVE && !proven {
            Gate::Prove
        } else {
            Gate::Open(self.begin(address))
        }
    }

    fn begin(self: &Arc<Self>, address: IpAddr) -> Pending {
        let address = host_of(address);
        *self.lock().entry(address).or_default() += 1;
        self.total.fetch_add(1, Ordering::Relaxed);
        Pending {
            handshakes: self.clone(),
            address,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        // Whole after every statement.
        self.by_address.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts an unfinished handshake for as long as it lives.
#[derive(Debug)]
pub(super) struct Pending {
    handshakes: Arc<Handshakes>,
    address: IpAddr,
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.handshakes.total.fetch_sub(1, Ordering::Relaxed);
        let mut by_address = self.handshakes.lock();
        if let Some(count) = by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn one_address_does_not_take_everybodys_room() {
        let handshakes = Arc::new(Handshakes::default());
        let mut held = Vec::new();
        while let Gate::Open(pending) = handshakes.gate(address(1), true) {
            held.push(pending);
        }
        assert_eq!(held.len(), MOST_PER_ADDRESS);
        assert!(matches!(handshakes.gate(address(2), true), Gate::Open(_)));
        held.pop();
        assert!(matches!(handshakes.gate(address(1), true), Gate::Open(_)));
    }

    #[test]
    fn a_network_counts_as_one_address() {
        let handshakes = Arc::new(Handshakes::default());
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let held: Vec<_> = ["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"]
            .map(|text| handshakes.gate(address(text), true))
            .into();
        let counts: Vec<_> = handshakes.lock().values().copied().collect();
        assert_eq!(counts.iter().sum::<usize>(), 3);
        assert_eq!(counts.iter().max(), Some(&2));
        drop(held);
        assert!(handshakes.lock().is_empty());
    }

    #[test]
    fn addresses_are_to_be_proven_under_load_and_all_are_refused_under_more() {
        let handshakes = Arc::new(Handshakes::default());
        let mut held = Vec::new();
        let mut last = 0;
        for number in 0..REFUSE_ABOVE {
            last = u8::try_from(number / 400).unwrap();
            match handshakes.gate(address(last), false) {
                Gate::Open(pending) => held.push(pending),
                Gate::Prove => {
                    assert!(number >= RETRY_ABOVE, "asked after {number}");
                    match handshakes.gate(address(last), true) {
                        Gate::Open(pending) => held.push(pending),
                        gate => panic!("{gate:?}"),
                    }
                }
                Gate::Shut => panic!("shut after {number}"),
            }
        }
        assert!(matches!(handshakes.gate(address(last + 1), true), Gate::Shut));
        drop(held);
        assert!(matches!(handshakes.gate(address(last + 1), false), Gate::Open(_)));
        assert!(handshakes.lock().is_empty());
    }
}
