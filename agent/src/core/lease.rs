//! How long a connection to a domain controller is kept.
//!
//! Servers close connections that are idle: Active Directory and Samba after 900 s (MaxConnIdleTime), and after 120 s
//! one on which nothing was ever asked (InitRecvTimeout). A bind that is on its way at that moment is lost, and nobody
//! knows whether it was made. So a connection is replaced before. It is also replaced when it is old, whatever its use:
//! thus a domain controller's new certificate is checked and a changed address is noticed within the hour.

use std::time::Duration;

use postern_protocol::Moment;

/// Below InitRecvTimeout, 120 s.
const UNUSED: Duration = Duration::from_secs(90);

/// An hour: handshakes are rare, and what has changed in the directory's network shows on the same day.
const AGE: Duration = Duration::from_secs(3_600);

/// Limits are shortened by up to this part, so that connections opened together do not end together.
const JITTER: f64 = 0.25;

/// The time of one connection.
#[derive(Debug, Clone)]
pub(crate) struct Lease {
    opened: Moment,
    used: Option<Moment>,
    unused_limit: Duration,
    idle_limit: Duration,
    age_limit: Duration,
}

impl Lease {
    /// A connection opened `now`, for a server that leaves idle ones alone for at least `idle_limit`. `random` is evenly
    /// distributed in [0, 1).
    pub(crate) fn new(now: Moment, idle_limit: Duration, random: f64) -> Self {
        let part = 1.0 - JITTER * random.clamp(0.0, 1.0);
        Self {
            opened: now,
            used: None,
            unused_limit: UNUSED.min(idle_limit).mul_f64(part),
            idle_limit: idle_limit.mul_f64(part),
            age_limit: AGE.mul_f64(part),
        }
    }

    /// Whether the connection is of the time before.
    pub(crate) fn opened_before(&self, moment: Moment) -> bool {
        self.opened < moment
    }

    /// A bind was answered on it.
    pub(crate) fn used(&mut self, now: Moment) {
        self.used = Some(now);
    }

    /// Whether it is to be replaced.
    pub(crate) fn is_over(&self, now: Moment) -> bool {
        let idle = match self.used {
            Some(used) => now.since(used) >= self.idle_limit,
            None => now.since(self.opened) >= self.unused_limit,
        };
        idle || now.since(self.opened) >= self.age_limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(600);

    const fn at(seconds: u64) -> Moment {
        Moment(seconds * 1_000_000)
    }

    #[test]
    fn idle_connections_end_before_the_server_ends_them_and_unused_ones_sooner() {
        let mut lease = Lease::new(at(0), IDLE, 0.0);
        assert!(!lease.is_over(at(89)) && lease.is_over(at(90)));
        lease.used(at(80));
        assert!(!lease.is_over(at(679)) && lease.is_over(at(680)));
        lease.used(at(600));
        assert!(!lease.is_over(at(1_199)));
    }

    #[test]
    fn one_that_is_always_in_use_ends_within_the_hour() {
        let mut lease = Lease::new(at(0), IDLE, 0.0);
        for second in 0..3_600 {
            lease.used(at(second));
            assert!(!lease.is_over(at(second)));
        }
        lease.used(at(3_600));
        assert!(lease.is_over(at(3_600)));
    }

    #[test]
    fn limits_are_only_ever_shortened_and_by_a_quarter_at_most() {
        let mut lease = Lease::new(at(0), IDLE, 1.0);
        assert!(!lease.is_over(at(67)) && lease.is_over(at(68)));
        lease.used(at(0));
        assert!(!lease.is_over(at(449)) && lease.is_over(at(450)));
    }

    #[test]
    fn a_server_with_a_short_limit_has_unused_connections_no_longer_than_that() {
        let lease = Lease::new(at(0), Duration::from_secs(5), 0.0);
        assert!(lease.is_over(at(5)));
    }
}
