//! How long to wait before the next attempt to connect: full jitter under a doubling ceiling.
//!
//! Full jitter (a delay anywhere between nothing and the ceiling) spreads a fleet of agents evenly after a relay's
//! restart; adding a little noise to a fixed delay leaves them in step.

use std::time::Duration;

/// The first ceiling: a relay that restarts is back within a few of these.
const FIRST: Duration = Duration::from_millis(100);

/// The last ceiling: what a sign-in page can bear before it calls the agent gone.
const LAST: Duration = Duration::from_secs(5);

/// A connection that lived this long was a good one; the next attempt starts from the first ceiling again.
const HEALTHY: Duration = Duration::from_secs(30);

/// The attempts at one peer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The delay before the next attempt. `random` is evenly distributed in [0, 1).
    pub(crate) fn next_delay(&mut self, random: f64) -> Duration {
        let ceiling = FIRST.saturating_mul(1 << self.failures.min(16)).min(LAST);
        self.failures = self.failures.saturating_add(1);
        ceiling.mul_f64(random.clamp(0.0, 1.0))
    }

    /// A connection ended after `lived`.
    pub(crate) fn ended_after(&mut self, lived: Duration) {
        if lived >= HEALTHY {
            self.failures = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_doubles_from_100_ms_to_5_s() {
        let mut backoff = Backoff::default();
        let ceilings: Vec<_> = (0..8).map(|_| backoff.next_delay(1.0).as_millis()).collect();
        assert_eq!(ceilings, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(backoff.next_delay(0.5).as_millis(), 2500);
        assert_eq!(backoff.next_delay(0.0), Duration::ZERO);
    }

    #[test]
    fn only_thirty_seconds_of_health_start_it_over() {
        let mut backoff = Backoff::default();
        for _ in 0..10 {
            backoff.next_delay(1.0);
        }
        backoff.ended_after(Duration::from_millis(29_999));
        assert_eq!(backoff.next_delay(1.0), LAST);
        backoff.ended_after(HEALTHY);
        assert_eq!(backoff.next_delay(1.0), FIRST);
    }

    #[test]
    fn any_number_of_failures_is_fine() {
        let mut backoff = Backoff { failures: u32::MAX };
        assert_eq!(backoff.next_delay(1.0), LAST);
    }
}
