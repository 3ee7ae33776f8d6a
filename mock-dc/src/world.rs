//! What all controllers of the domain share.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use time::OffsetDateTime;

use crate::clock::{self, Clock, ClockError};
use crate::domain::controllers::DcId;
use crate::domain::filetime::FileTime;
use crate::domain::settings::DomainSettings;
use crate::domain::{Decision, Domain};
use crate::journal::{CAPACITY, Journal};
use crate::metrics::Metrics;
use crate::snapshot::{Checked, Snapshot};

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
    /// What it begins with, and goes back to.
    start: Start,
    /// Held while a bind is decided and recorded.
    turn: Mutex<()>,
    /// Shared by those who look around beside the binds, and held alone while a whole state is put in place.
    look: RwLock<()>,
}

/// How a domain begins.
#[derive(Debug, Clone, Default)]
pub struct Start {
    /// What its clock shows first.
    pub clock: clock::Start,
    /// The state that it begins in, rather than that of its configuration; its clock goes before.
    pub snapshot: Option<Arc<Checked>>,
}

impl World {
    /// A domain that begins now, by its own clock: passwords that no date is given for are set then.
    pub fn new(settings: &DomainSettings, start: Start, metrics: Metrics) -> Self {
        let clock = Clock::new(start.clock);
        let world = Self {
            domain: Domain::new(settings, FileTime::from(clock.now())),
            clock,
            journal: Arc::new(Journal::new(CAPACITY)),
            metrics,
            start,
            turn: Mutex::new(()),
            look: RwLock::new(()),
        };
        if let Some(snapshot) = &world.start.snapshot {
            world.load(snapshot);
        }
        world
    }

    /// Does `what` at the domain's present time while nothing else is decided or recorded: the record's times never
    /// run back against its order, and a reset comes before or after a bind, not in the middle of it. Microseconds.
    pub fn in_turn<R>(&self, what: impl FnOnce(OffsetDateTime) -> R) -> R {
        // It guards no data, so nothing can have been left half-written.
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        what(self.clock.now())
    }

    /// Does `what` at the domain's present time, beside binds and changes of single accounts, and before or after a whole
    /// state is put in place: that is done account by account, and what stands between two of them is nobody's truth.
    pub fn looking<R>(&self, what: impl FnOnce(FileTime) -> R) -> R {
        let _look = self.look.read().unwrap_or_else(PoisonError::into_inner);
        what(FileTime::from(self.clock.now()))
    }

    /// What a bind at a controller would come to now; see [`Domain::probe`].
    pub fn probe(&self, dc: DcId, user: &str, password: &str) -> Decision {
        self.in_turn(|now| self.domain.probe(dc, user, password, FileTime::from(now)))
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

    /// Clock and domain as they are between two binds.
    pub fn snapshot(&self) -> Snapshot {
        let (clock, copied) = self.in_turn(|_| (self.clock.read(), self.domain.copy()));
        Snapshot::new(&self.domain, clock, copied)
    }

    /// Goes on as a snapshot says, which was checked against this domain. The record of binds goes on.
    pub fn load(&self, snapshot: &Checked) {
        self.in_turn(|_| {
            let _alone = self.look.write().unwrap_or_else(PoisonError::into_inner);
            self.take(snapshot);
        });
    }

    fn take(&self, snapshot: &Checked) {
        self.clock.begin(&snapshot.clock);
        self.domain.load(&snapshot.domain, FileTime::from(self.clock.now()));
    }

    /// Puts accounts, clock and record back to how they began.
    pub fn reset(&self) {
        self.in_turn(|_| {
            let _alone = self.look.write().unwrap_or_else(PoisonError::into_inner);
            self.clock.reset();
            self.domain.reset();
            if let Some(snapshot) = &self.start.snapshot {
                self.take(snapshot);
            }
            self.journal.clear();
        });
    }
}
