//! Who has had an extra attempt of late. A retry of an ambiguous bind may count one wrong password twice, so each user
//! gets at most one within the realm's lockout window: two wrong guesses never become four.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use postern_protocol::Moment;

/// Users remembered at once. Retries come from dying agents, some tens at a time; when this many are remembered,
/// something is very wrong, and no further retry is made.
const CAPACITY: usize = 65_536;

/// The users, by keyed hash, who had their extra attempt.
#[derive(Debug, Default)]
pub(super) struct ExtraAttempts {
    last: BTreeMap<u64, Moment>,
    by_time: VecDeque<(Moment, u64)>,
}

impl ExtraAttempts {
    /// Takes the user's extra attempt; `false` if it was taken within `window`, or nothing more can be remembered.
    pub(super) fn take(&mut self, now: Moment, user: u64, window: Duration) -> bool {
        while let Some(&(at, old)) = self.by_time.front() {
            if now.since(at) < window {
                break;
            }
            self.by_time.pop_front();
            self.last.remove(&old);
        }
        if self.last.len() >= CAPACITY || self.last.contains_key(&user) {
            return false;
        }
        self.last.insert(user, now);
        self.by_time.push_back((now, user));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(60);

    #[test]
    fn a_user_has_one_extra_attempt_within_the_window() {
        let mut extra = ExtraAttempts::default();
        assert!(extra.take(Moment(0), 1, WINDOW));
        assert!(extra.take(Moment(1), 2, WINDOW));
        assert!(!extra.take(Moment(59_999_999), 1, WINDOW));
        assert!(extra.take(Moment(60_000_000), 1, WINDOW));
        assert!(!extra.take(Moment(60_000_000), 2, WINDOW));
    }

    #[test]
    fn when_nothing_more_can_be_remembered_nobody_gets_one() {
        let mut extra = ExtraAttempts::default();
        for user in 0..CAPACITY as u64 {
            assert!(extra.take(Moment(0), user, WINDOW));
        }
        assert!(!extra.take(Moment(0), u64::MAX, WINDOW));
        assert!(extra.take(Moment(0) + WINDOW, u64::MAX, WINDOW));
    }
}
