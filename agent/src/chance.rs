//! Chance, as a value: delays are spread with it, and a process's instance id drawn.
//!
//! No secret comes from here; keys are made by the cryptographic library with its own source. From a seed it says the
//! same again, for a simulation.

use std::sync::{Arc, Mutex, PoisonError};

use rand::distr::{Distribution, StandardUniform};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// A source of random values. Cheap to clone; clones draw from the same source.
#[derive(Debug, Clone)]
pub struct Chance(Arc<Mutex<StdRng>>);

impl Chance {
    /// Seeded by the operating system.
    pub fn of_this_machine() -> Self {
        Self::new(StdRng::from_os_rng())
    }

    /// The same values again for the same seed.
    pub fn seeded(seed: u64) -> Self {
        Self::new(StdRng::seed_from_u64(seed))
    }

    fn new(source: StdRng) -> Self {
        Self(Arc::new(Mutex::new(source)))
    }

    /// A random value; a number with a fraction is evenly distributed in [0, 1).
    pub(crate) fn draw<T>(&self) -> T
    where
        StandardUniform: Distribution<T>,
    {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).random()
    }
}
