//! The times of a run, all from its beginning.

use std::time::Duration;

use postern_loadtest::Record;

use super::WARM_UP;

/// Before a fault's order is sent, sign-ins may be under way that it will strike.
const JUST_BEFORE: Duration = Duration::from_millis(100);

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

    /// From the end of the warm-up to just before what is ordered at `fault`, so that it strikes nothing in here.
    pub fn before(fault: Duration) -> Self {
        Self::between(WARM_UP, Self::from_just_before(fault).from)
    }

    /// From just before what is ordered at `fault` on, with all that it may strike.
    pub fn from_just_before(fault: Duration) -> Self {
        Self::since(fault.saturating_sub(JUST_BEFORE))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_fault_may_strike_is_not_before_it() {
        let fault = Duration::from_secs(12);
        let before = Window::before(fault);
        assert_eq!(before, Window::between(WARM_UP, Duration::from_millis(11_900)));
        assert_eq!(Window::from_just_before(fault), Window::since(before.until));
        assert_eq!(Window::from_just_before(Duration::ZERO), Window::WHOLE);
    }
}
