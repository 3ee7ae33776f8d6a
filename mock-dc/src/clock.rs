//! The simulated domain's time: real time, shifted, and made to run faster, slower or not at all.
//!
//! Lockouts end, passwords expire and logon hours pass by this clock and no other. How it runs is a plain value; only
//! [`Clock`] reads the machine's time.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use time::OffsetDateTime;

/// The calendar that the clock may show: what FILETIME, AD and RFC 3339 all can express.
const EARLIEST: i128 = 0;
const LATEST: i128 = 253_402_300_799 * 1_000_000_000;

/// How simulated time follows real time from one moment on.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Course {
    /// Simulated time at the beginning of this course, in ns since 1970.
    from: i128,
    /// Simulated seconds in a real one.
    rate: f64,
}

impl Course {
    /// Simulated ns since 1970 after `elapsed` of real time.
    fn at(&self, elapsed: Duration) -> i128 {
        // At the usual rate no precision may be lost to floating point.
        let moved = if self.rate == 1.0 {
            i128::try_from(elapsed.as_nanos()).unwrap_or(LATEST)
        } else {
            (elapsed.as_secs_f64() * self.rate * 1e9) as i128
        };
        (self.from + moved).clamp(EARLIEST, LATEST)
    }
}

/// A request that the clock cannot follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClockError {
    /// The moment is before 1970 or after 9999.
    #[error("the clock shows moments from 1970 to 9999 only")]
    OutOfRange,
    /// The rate is negative, infinite or no number.
    #[error("rate must be a number from 0 (stands still) to 1000000")]
    Rate,
}

/// How a clock begins, and begins again when it is reset.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Start {
    shows: Shows,
    rate: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Shows {
    /// Real time, shifted by so many ns.
    Shifted(i128),
    /// A moment, in ns since 1970.
    Moment(i128),
}

impl Default for Start {
    /// Real time.
    fn default() -> Self {
        Self {
            shows: Shows::Shifted(0),
            rate: 1.0,
        }
    }
}

impl Start {
    /// At a moment, whatever the machine's time.
    ///
    /// # Errors
    /// [`ClockError::OutOfRange`].
    pub fn at(self, moment: OffsetDateTime) -> Result<Self, ClockError> {
        let from = in_range(moment.unix_timestamp_nanos())?;
        Ok(Self {
            shows: Shows::Moment(from),
            ..self
        })
    }

    /// Ahead of real time by `seconds`, behind it when negative.
    ///
    /// # Errors
    /// [`ClockError::OutOfRange`].
    pub fn shifted(self, seconds: f64) -> Result<Self, ClockError> {
        let shift = nanos(seconds)?;
        in_range(real() + shift)?;
        Ok(Self {
            shows: Shows::Shifted(shift),
            ..self
        })
    }

    /// At `rate` simulated seconds in a real one.
    ///
    /// # Errors
    /// [`ClockError::Rate`].
    pub fn running_at(self, rate: f64) -> Result<Self, ClockError> {
        check_rate(rate)?;
        Ok(Self { rate, ..self })
    }

    fn course(&self) -> Course {
        let from = match self.shows {
            Shows::Shifted(shift) => real() + shift,
            Shows::Moment(from) => from,
        };
        Course { from, rate: self.rate }
    }
}

/// What [`Clock::read`] shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// The simulated moment.
    pub now: OffsetDateTime,
    /// Simulated less real time, in seconds.
    pub offset_s: f64,
    /// Simulated seconds in a real one.
    pub rate: f64,
}

/// The simulated clock.
#[derive(Debug)]
pub struct Clock {
    start: Start,
    course: Mutex<(Instant, Course)>,
}

impl Default for Clock {
    fn default() -> Self {
        Self::new(Start::default())
    }
}

impl Clock {
    /// A clock that begins now.
    pub fn new(start: Start) -> Self {
        Self {
            start,
            course: Mutex::new((Instant::now(), start.course())),
        }
    }

    /// The simulated moment.
    pub fn now(&self) -> OffsetDateTime {
        let (since, course) = *self.lock();
        moment(course.at(since.elapsed()))
    }

    /// The simulated moment and how it runs.
    pub fn read(&self) -> Reading {
        let (since, course) = *self.lock();
        let now = course.at(since.elapsed());
        // The two clocks are read one after the other: what is below a millisecond tells of that and nothing else.
        let offset_s = ((now - real()) / 1_000_000) as f64 / 1e3;
        Reading {
            now: moment(now),
            offset_s,
            rate: course.rate,
        }
    }

    /// Jumps by `seconds`, back when negative.
    ///
    /// # Errors
    /// [`ClockError::OutOfRange`]; the clock then runs on unchanged.
    pub fn advance(&self, seconds: f64) -> Result<(), ClockError> {
        let length = nanos(seconds)?;
        self.alter(|now, course| Course {
            from: now + length,
            ..course
        })
    }

    /// Jumps to a moment.
    ///
    /// # Errors
    /// [`ClockError::OutOfRange`]; the clock then runs on unchanged.
    pub fn set(&self, to: OffsetDateTime) -> Result<(), ClockError> {
        self.alter(|_, course| Course {
            from: to.unix_timestamp_nanos(),
            ..course
        })
    }

    /// Runs at `rate` simulated seconds in a real one from now on; 0 stands still.
    ///
    /// # Errors
    /// [`ClockError::Rate`].
    pub fn set_rate(&self, rate: f64) -> Result<(), ClockError> {
        check_rate(rate)?;
        self.alter(|now, _| Course { from: now, rate })
    }

    /// Back to how it began.
    pub fn reset(&self) {
        self.begin(&self.start);
    }

    /// Begins as this says.
    pub fn begin(&self, start: &Start) {
        *self.lock() = (Instant::now(), start.course());
    }

    fn alter(&self, change: impl FnOnce(i128, Course) -> Course) -> Result<(), ClockError> {
        let mut course = self.lock();
        let instant = Instant::now();
        let changed = change(course.1.at(instant - course.0), course.1);
        in_range(changed.from)?;
        *course = (instant, changed);
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (Instant, Course)> {
        // The pair is replaced in one assignment, so a panic elsewhere cannot have left it half-written.
        self.course.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn in_range(nanos: i128) -> Result<i128, ClockError> {
    let fits = (EARLIEST..=LATEST).contains(&nanos);
    fits.then_some(nanos).ok_or(ClockError::OutOfRange)
}

fn nanos(seconds: f64) -> Result<i128, ClockError> {
    let fits = seconds.is_finite() && seconds.abs() <= 1e12;
    fits.then_some((seconds * 1e9) as i128).ok_or(ClockError::OutOfRange)
}

fn check_rate(rate: f64) -> Result<(), ClockError> {
    let fits = (0.0..=1e6).contains(&rate);
    fits.then_some(()).ok_or(ClockError::Rate)
}

fn real() -> i128 {
    OffsetDateTime::now_utc().unix_timestamp_nanos()
}

fn moment(nanos: i128) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_course_multiplies_what_elapses() {
        let second = Duration::from_secs(1);
        assert_eq!(Course { from: 5, rate: 1.0 }.at(second), 1_000_000_005);
        assert_eq!(Course { from: 5, rate: 0.0 }.at(second), 5);
        assert_eq!(
            Course {
                from: 5,
                rate: 86_400.0
            }
            .at(second),
            86_400_000_000_005
        );
    }

    #[test]
    fn a_still_clock_moves_only_when_told() {
        let clock = Clock::default();
        clock.set_rate(0.0).unwrap();
        clock.set(datetime!(2030-01-01 00:00 UTC)).unwrap();
        clock.advance(1.5).unwrap();
        assert_eq!(clock.now(), datetime!(2030-01-01 00:00:01.5 UTC));
        clock.advance(-1.5).unwrap();
        assert_eq!(clock.read().now, datetime!(2030-01-01 00:00 UTC));
        assert_eq!(clock.read().rate, 0.0);
    }

    #[test]
    fn a_clock_begins_and_is_reset_to_its_start() {
        let start = Start::default().running_at(0.0).unwrap();
        let moment = datetime!(2030-01-31 18:00 UTC);
        let clock = Clock::new(start.at(moment).unwrap());
        clock.advance(60.0).unwrap();
        clock.set_rate(2.0).unwrap();
        clock.reset();
        assert_eq!((clock.now(), clock.read().rate), (moment, 0.0));

        let clock = Clock::new(Start::default().shifted(-86_400.0).unwrap());
        clock.advance(1e6).unwrap();
        clock.reset();
        assert_eq!(clock.read().offset_s.round(), -86_400.0);
        for refused in [
            start.at(datetime!(1969-12-31 23:59 UTC)),
            start.shifted(-1e11),
            start.shifted(f64::NAN),
        ] {
            assert_eq!(refused, Err(ClockError::OutOfRange));
        }
        assert_eq!(start.running_at(-1.0), Err(ClockError::Rate));
    }

    #[test]
    fn what_the_clock_cannot_show_is_refused_and_changes_nothing() {
        let clock = Clock::default();
        clock.set_rate(0.0).unwrap();
        let before = clock.now();
        for seconds in [f64::NAN, f64::INFINITY, 1e18, -1e11] {
            assert_eq!(clock.advance(seconds), Err(ClockError::OutOfRange), "{seconds}");
        }
        for rate in [-1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(clock.set_rate(rate), Err(ClockError::Rate), "{rate}");
        }
        assert_eq!(clock.set(datetime!(1969-12-31 23:59 UTC)), Err(ClockError::OutOfRange));
        assert_eq!(clock.now(), before);
    }
}
