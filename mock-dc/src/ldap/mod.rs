//! The LDAP side of a domain controller: listeners, connections, messages.
//!
//! Nothing is decided here that concerns an account; that is [`crate::domain`]'s. What is owned here is the wire:
//! limits before allocation, answers in the order of the requests, TLS, and ends that a fault asks for.

mod connection;
pub mod endpoint;
mod frame;
mod session;
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::domain::controllers::DcId;
use crate::world::World;

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
    pub tls: Arc<rustls::ServerConfig>,
    /// Numbers the connections of all controllers.
    pub connections: Arc<AtomicU64>,
}

impl Controller {
    fn next_connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed) + 1
    }
}
