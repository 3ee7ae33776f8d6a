//! The process's clocks: the one place that asks for the time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use postern_protocol::Moment;
use rustix::time::{ClockId, clock_gettime};

/// The local monotonic time. CLOCK_BOOTTIME goes on while the machine is suspended, so that a sign-in received
/// before is not taken for fresh afterwards. A paused virtual machine is seen by no local clock.
pub(crate) fn now() -> Moment {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let micros = u64::try_from(time.tv_nsec / 1_000).unwrap_or(0);
    Moment(seconds.saturating_mul(1_000_000).saturating_add(micros))
}

/// The wall clock, in milliseconds since 1970. Only what others state in wall-clock time is compared with it: the
/// expiry of a caller's envelope, and the validity of certificates.
pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
