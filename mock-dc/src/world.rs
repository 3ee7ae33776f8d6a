//! What all controllers of the domain share.

use std::sync::Arc;

use crate::clock::Clock;
use crate::domain::Domain;
use crate::domain::filetime::FileTime;
use crate::domain::settings::DomainSettings;
use crate::journal::{CAPACITY, Journal};
use crate::metrics::Metrics;

/// The domain, its time, and the record of what was asked of it.
#[derive(Debug)]
pub struct World {
    /// Accounts and policies.
    pub domain: Domain,
    /// The domain's time.
    pub clock: Clock,
    /// Every bind.
    pub journal: Arc<Journal>,
    /// Counters.
    pub metrics: Metrics,
}

impl World {
    /// A domain that begins now.
    pub fn new(settings: &DomainSettings, metrics: Metrics) -> Self {
        let clock = Clock::default();
        let domain = Domain::new(settings, FileTime::from(clock.now()));
        Self {
            domain,
            clock,
            journal: Arc::new(Journal::new(CAPACITY)),
            metrics,
        }
    }

    /// Puts accounts, clock and record back to how they began.
    pub fn reset(&self) {
        self.clock.reset();
        self.domain.reset();
        self.journal.clear();
    }
}
