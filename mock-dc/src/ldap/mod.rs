//! The LDAP side of a domain controller: listeners, connections, messages.
//!
//! Nothing is decided here that concerns an account; that is [`crate::domain`]'s. What is owned here is the wire:
//! limits before allocation, answers in the order of the requests, TLS, and ends that a fault asks for.

mod connection;
mod conversation;
pub mod endpoint;
mod frame;
mod held;
mod message;
mod modify;
mod outbox;
pub mod rehearsal;
mod searching;
mod session;
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Semaphore;

use crate::domain::controllers::DcId;
use crate::faults::board::Exposure;
use crate::tls::Certificates;
use crate::world::World;
use frame::Memory;

/// Files that are kept for whatever is no connection: listeners, the control interface, which is to answer also while
/// connections are as many as they can be.
const OTHER_FILES: u64 = 128;

/// One simulated domain controller.
#[derive(Debug)]
pub struct Controller {
    /// Its place among the domain's controllers.
    pub id: DcId,
    /// Its name, `dc-1`.
    pub name: Arc<str>,
    /// What it shares with the domain's other controllers.
    pub world: Arc<World>,
    /// What it shows over TLS.
    pub certificates: Arc<Certificates>,
    /// The faults that concern it.
    pub exposure: Exposure,
    /// What all controllers of the process have together.
    pub shared: Arc<Shared>,
}

/// What the connections of all controllers have together.
#[derive(Debug)]
pub struct Shared {
    /// Numbers them.
    connections: AtomicU64,
    /// For long messages.
    memory: Memory,
    /// One for each connection that there may be at once.
    places: Arc<Semaphore>,
}

impl Shared {
    /// For so many connections at once.
    pub fn new(connections: usize) -> Self {
        Self {
            connections: AtomicU64::new(0),
            memory: Memory::default(),
            places: Arc::new(Semaphore::new(connections)),
        }
    }

    fn next_connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// How many connections a process may have at once that may have so many files open.
pub fn connections(open_files: Option<u64>) -> usize {
    let places = open_files.map_or(u64::MAX, |files| files.saturating_sub(OTHER_FILES).max(files / 2));
    usize::try_from(places)
        .unwrap_or(usize::MAX)
        .min(Semaphore::MAX_PERMITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_files_are_left_for_what_is_no_connection() {
        assert_eq!(connections(Some(20_000)), 19_872);
        assert_eq!(connections(Some(100)), 50);
        assert_eq!(connections(None), Semaphore::MAX_PERMITS);
    }
}
