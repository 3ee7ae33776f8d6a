//! The process's clocks, as a value: who needs the time is given one.
//!
//! [`Clock::of_this_machine`] is the one place that asks the machine. A simulation gives each of its agents another.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use postern_protocol::Moment;
use rustix::time::{ClockId, clock_gettime};

/// What a clock shows.
pub trait Time: Debug + Send + Sync {
    /// The local monotonic time. It goes on while the machine is suspended, so that a sign-in received before is not
    /// taken for fresh afterwards.
    fn now(&self) -> Moment;

    /// The wall clock, in milliseconds since 1970. Only what others state in wall-clock time is compared with it: the
    /// expiry of a caller's envelope, and the validity of certificates.
    fn unix_ms(&self) -> u64;
}

/// A clock. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Clock(Arc<dyn Time>);

impl Clock {
    /// A clock that shows what `time` says.
    pub fn new(time: impl Time + 'static) -> Self {
        Self(Arc::new(time))
    }

    /// CLOCK_BOOTTIME and the system's time. A paused virtual machine is seen by no local clock.
    pub fn of_this_machine() -> Self {
        Self::new(ThisMachine)
    }

    /// The local monotonic time; see [`Time::now`].
    pub(crate) fn now(&self) -> Moment {
        self.0.now()
    }

    /// The wall clock, in milliseconds since 1970; see [`Time::unix_ms`].
    pub(crate) fn unix_ms(&self) -> u64 {
        self.0.unix_ms()
    }
}

#[derive(Debug)]
struct ThisMachine;

impl Time for ThisMachine {
    fn now(&self) -> Moment {
        let time = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let micros = u64::try_from(time.tv_nsec / 1_000).unwrap_or(0);
        Moment(seconds.saturating_mul(1_000_000).saturating_add(micros))
    }

    fn unix_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}
