//! What all controllers of the domain share.

use std::sync::{Arc, Mutex, PoisonError};

use time::OffsetDateTime;

use crate::clock::{Clock, ClockError};
use crate::domain::Domain;
use crate::domain::controllers::DcId;
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
    /// Held while a bind is decided and recorded.
    turn: Mutex<()>,
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
            turn: Mutex::new(()),
        }
    }

    /// Does `what` at the domain's present time while nothing else is decided or recorded: the record's times never
    /// run back against its order, and a reset comes before or after a bind, not in the middle of it. Microseconds.
    pub fn in_turn<R>(&self, what: impl FnOnce(OffsetDateTime) -> R) -> R {
        // It guards no data, so nothing can have been left half-written.
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        what(self.clock.now())
    }

    /// Cuts a controller off from the others, or ends that, between two binds.
    pub fn set_away(&self, dc: DcId, away: bool) {
        self.in_turn(|now| self.domain.set_away(dc, away, FileTime::from(now)));
    }

    /// Changes how the clock runs, between two binds.
    ///
    /// # Errors
    /// [`ClockError`]; nothing has changed then.
    pub fn set_clock(&self, change: impl FnOnce(&Clock) -> Result<(), ClockError>) -> Result<(), ClockError> {
        self.in_turn(|before| {
            change(&self.clock)?;
            let now = FileTime::from(self.clock.now());
            self.domain.clock_was_set(FileTime::from(before), now);
            Ok(())
        })
    }

    /// Puts accounts, clock and record back to how they began.
    pub fn reset(&self) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.clock.reset();
        self.domain.reset();
        self.journal.clear();
    }
}
