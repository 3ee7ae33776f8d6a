//! An agent's clock, as far from the relay's as clocks are.

use postern_protocol::Moment;
use rand::Rng;
use rand::rngs::SmallRng;

/// A monotonic clock that goes on while its process is frozen (CLOCK_BOOTTIME).
#[derive(Debug, Clone, Copy)]
pub(super) struct LocalClock {
    /// The world's time at which it shows `origin`.
    start: Moment,
    origin: u64,
    /// How much faster it goes than the relay's, in millionths.
    ppm: i64,
}

/// What both clocks together may err by.
const DRIFT_PPM: i64 = 200;

impl LocalClock {
    pub(super) fn draw(random: &mut SmallRng, start: Moment) -> Self {
        // Mostly seconds apart, as machines that were started together; origins mean nothing.
        let origin = if random.random_bool(0.5) {
            start.0 + 5_000_000 - random.random_range(0..=10_000_000.min(start.0))
        } else {
            random.random_range(0..1_000_000_000_000)
        };
        Self {
            start,
            origin,
            ppm: random.random_range(-DRIFT_PPM..=DRIFT_PPM),
        }
    }

    /// What it shows when the relay's shows `now`.
    pub(super) fn at(self, now: Moment) -> Moment {
        let passed = i128::from(now.0) - i128::from(self.start.0);
        let shown = i128::from(self.origin) + passed + passed * i128::from(self.ppm) / 1_000_000;
        Moment(u64::try_from(shown.max(0)).unwrap())
    }
}
