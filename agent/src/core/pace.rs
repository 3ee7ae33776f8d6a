//! Is a domain controller much slower than its peers?
//!
//! The connection that was idle longest is used next, so a slow domain controller gets fewer binds by itself, but only
//! while all connections are busy; an agent with little to do would send it its full part. So the typical time of the
//! last binds is compared with that of the others. One that is much slower is passed over while a faster one has a
//! connection free, but for one bind a second, which shows when it is well again.
//!
//! The median and not the mean: one lost packet or one garbage collection among a dozen binds says nothing.

use std::collections::VecDeque;
use std::time::Duration;

use postern_protocol::Moment;

/// The binds that count, the latest.
const WINDOW: usize = 15;

/// Fewer binds than these say nothing.
const ENOUGH: usize = 5;

/// As many times the time of its peers is much slower. Accounts differ (an unknown name is refused sooner than a
/// password is checked), but over a few binds all domain controllers see the same mixture.
const MUCH: u32 = 3;

/// As many times is not much any more. Below [`MUCH`], so that one at the border does not go to and fro.
const NOT_MUCH: u32 = 2;

/// A difference that no person notices is none.
const NOTICEABLE: Duration = Duration::from_millis(20);

/// Between two binds that go to a slow one although there are others.
const TURN: Duration = Duration::from_secs(1);

/// The times of one domain controller's binds.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    last: VecDeque<Duration>,
    slow: bool,
    next_turn: Moment,
}

impl Pace {
    /// A bind took so long, whether it was answered or given up.
    pub(crate) fn took(&mut self, time: Duration) {
        if self.last.len() == WINDOW {
            self.last.pop_front();
        }
        self.last.push_back(time);
    }

    /// What a bind typically takes, if that is known.
    pub(crate) fn typical(&self) -> Option<Duration> {
        let enough = self.last.len() >= ENOUGH;
        enough.then(|| median(self.last.iter().copied())).flatten()
    }

    /// Compares with what is typical of the `peers`. True when it has become slow, or is so no longer.
    pub(crate) fn compare(&mut self, peers: impl Iterator<Item = Duration>) -> bool {
        let slow = match (self.typical(), median(peers)) {
            (Some(own), Some(peers)) => {
                let limit = peers.saturating_mul(if self.slow { NOT_MUCH } else { MUCH });
                own > limit && own.saturating_sub(peers) > NOTICEABLE
            }
            _ => false,
        };
        std::mem::replace(&mut self.slow, slow) != slow
    }

    /// Whether its binds take much longer than its peers'.
    pub(crate) fn is_slow(&self) -> bool {
        self.slow
    }

    /// Whether a bind may go there although a faster one is free.
    pub(crate) fn allows(&self, now: Moment) -> bool {
        !self.slow || now >= self.next_turn
    }

    /// A bind goes there.
    pub(crate) fn chosen(&mut self, now: Moment) {
        self.next_turn = now + TURN;
    }
}

/// The middle one, the lesser of two.
fn median(times: impl Iterator<Item = Duration>) -> Option<Duration> {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    let middle = times.len().checked_sub(1)? / 2;
    times.get(middle).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn pace(times: &[u64]) -> Pace {
        let mut pace = Pace::default();
        times.iter().for_each(|&time| pace.took(ms(time)));
        pace
    }

    #[test]
    fn three_times_its_peers_and_noticeably_is_slow() {
        for (own, peers, slow) in [
            (100, &[5, 6][..], true),
            (100, &[30, 33], true),
            (100, &[34, 40], false),
            (24, &[5, 6], false),
            (26, &[5, 6], true),
            // Two slow ones of three do not hide each other.
            (100, &[5, 100], true),
            (100, &[], false),
        ] {
            let mut pace = pace(&[own; 9]);
            assert_eq!(
                pace.compare(peers.iter().map(|&time| ms(time))),
                slow,
                "{own} {peers:?}"
            );
            assert_eq!(pace.is_slow(), slow);
        }
    }

    #[test]
    fn single_binds_that_hang_and_few_binds_say_nothing() {
        let mut few = pace(&[1_500; ENOUGH - 1]);
        assert!(few.typical().is_none() && !few.compare([ms(5)].into_iter()));
        let mut mostly_quick = pace(&[5, 5, 1_500, 5, 1_500, 5, 1_500]);
        assert!(!mostly_quick.compare([ms(5)].into_iter()));
    }

    #[test]
    fn a_slow_one_gets_one_bind_a_second_and_is_taken_back_when_half_of_the_last_were_quick() {
        let mut pace = pace(&[200; WINDOW]);
        assert!(pace.compare([ms(5)].into_iter()));
        let mut now = Moment(7);
        let mut binds = 0;
        while pace.is_slow() {
            assert!(pace.allows(now));
            pace.chosen(now);
            assert!(!pace.allows(now + ms(999)));
            now = now + ms(1_000);
            pace.took(ms(6));
            pace.compare([ms(5)].into_iter());
            binds += 1;
        }
        assert_eq!(binds, 8);
        assert!(pace.allows(now) && pace.allows(now));
    }

    #[test]
    fn one_at_the_border_stays_what_it_is() {
        let mut pace = pace(&[100; WINDOW]);
        assert!(!pace.compare([ms(40)].into_iter()));
        assert!(pace.compare([ms(30)].into_iter()));
        assert!(!pace.compare([ms(40)].into_iter()) && pace.is_slow());
        assert!(pace.compare([ms(60)].into_iter()) && !pace.is_slow());
    }
}
