//! The relay's clocks: monotonic for everything that is decided, wall time only for what callers and certificates say.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use postern_protocol::Moment;
use tokio::time::Instant;

/// Relay time: microseconds since the process began. Agents learn it from pongs. Cheap to copy.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock that begins now.
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// Relay time now.
    pub fn now(&self) -> Moment {
        Moment(u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// The instant at which relay time is `moment`.
    pub fn instant(&self, moment: Moment) -> Instant {
        self.origin + Duration::from_micros(moment.0)
    }
}

/// Milliseconds since 1970 by the machine's clock.
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
