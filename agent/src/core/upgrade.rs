//! When QUIC is tried again while a session is over TCP.

use std::time::Duration;

/// The first try: whoever opens a firewall looks whether it helped.
const FIRST: Duration = Duration::from_secs(60);

/// And no less often than this: a network that has no UDP mostly never has.
const LAST: Duration = Duration::from_secs(300);

/// The tries of one session.
#[derive(Debug)]
pub(crate) struct Upgrade {
    next: Duration,
}

impl Default for Upgrade {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Upgrade {
    /// The delay before the next try. `random` is evenly distributed in [0, 1): agents that a firewall cut off together
    /// are not to come together.
    pub(crate) fn next_delay(&mut self, random: f64) -> Duration {
        let delay = self.next;
        self.next = (delay * 2).min(LAST);
        delay.mul_f64(1.0 - random.clamp(0.0, 1.0) / 10.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delays_double_from_a_minute_to_five() {
        let mut upgrade = Upgrade::default();
        let delays: Vec<_> = (0..5).map(|_| upgrade.next_delay(0.0).as_secs()).collect();
        assert_eq!(delays, [60, 120, 240, 300, 300]);
        assert_eq!(upgrade.next_delay(1.0).as_secs(), 270);
    }
}
