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

/// TLS handshakes under way at once, of all controllers: those that stop halfway hold memory. More wait for their turn,
/// unencrypted connections for nobody.
const HANDSHAKES: usize = 1024;

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
    /// One for each TLS handshake under way.
    handshakes: Semaphore,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            connections: AtomicU64::new(0),
            memory: Memory::default(),
            handshakes: Semaphore::new(HANDSHAKES),
        }
    }
}

impl Shared {
    fn next_connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed) + 1
    }
}
