//! What an agent takes from the machine that it runs on: time, chance, the network, a place for heavy work, keys.
//!
//! Handed to the agent as one value, so that a simulation runs the very same agent on a machine that does not exist.

use std::fmt::Debug;
use std::sync::Arc;

use postern_protocol::seal::{CryptoFailure, OpeningKey};

use crate::chance::Chance;
use crate::clock::Clock;
use crate::network::{Network, Sockets};
use crate::workshop::Workshop;

/// A machine. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Its time.
    pub clock: Clock,
    /// For jitter, and for the process's instance id.
    pub chance: Chance,
    /// Its network.
    pub network: Arc<dyn Network>,
    /// Where work runs that would keep others waiting.
    pub workshop: Workshop,
    /// Who makes its opening keys.
    pub key_maker: Arc<dyn KeyMaker>,
}

/// Makes opening keys.
pub trait KeyMaker: Debug + Send + Sync {
    /// A key that nobody else has.
    ///
    /// # Errors
    /// When the cryptographic library fails.
    fn make(&self) -> Result<OpeningKey, CryptoFailure>;
}

/// Each is new, and known to this process alone.
#[derive(Debug)]
struct Fresh;

impl KeyMaker for Fresh {
    fn make(&self) -> Result<OpeningKey, CryptoFailure> {
        OpeningKey::generate()
    }
}

impl Machine {
    /// The one that this process runs on.
    pub fn this() -> Self {
        Self {
            clock: Clock::of_this_machine(),
            chance: Chance::of_this_machine(),
            network: Arc::new(Sockets),
            workshop: Workshop::of_this_machine(),
            key_maker: Arc::new(Fresh),
        }
    }
}
