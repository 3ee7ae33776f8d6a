//! The times of a run, all from its beginning.

use std::time::Duration;

use postern_loadtest::Record;

/// A stretch of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// From here on.
    pub from: Duration,
    /// Up to here.
    pub until: Duration,
}

/// When something was done to the cluster. It happened somewhere between the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// When the order was sent.
    pub ordered: Duration,
    /// When it was carried out.
    pub done: Duration,
}

impl Window {
    /// All of a run.
    pub const WHOLE: Self = Self::since(Duration::ZERO);

    /// From here to here.
    pub const fn between(from: Duration, until: Duration) -> Self {
        Self { from, until }
    }

    /// From here to the end.
    pub const fn since(from: Duration) -> Self {
        Self::between(from, Duration::MAX)
    }

    /// From here for so long.
    pub fn starting(from: Duration, lasts: Duration) -> Self {
        Self {
            from,
            until: from + lasts,
        }
    }

    /// Whether it has this moment.
    pub fn contains(&self, at: Duration) -> bool {
        (self.from..self.until).contains(&at)
    }

    /// The sign-ins that were planned in it.
    pub fn of<'a>(&self, records: &'a [Record]) -> impl Iterator<Item = &'a Record> + use<'a> {
        let window = *self;
        records.iter().filter(move |record| window.contains(record.attempt.at))
    }

    /// How long it is.
    pub fn length(&self) -> Duration {
        self.until.saturating_sub(self.from)
    }
}
