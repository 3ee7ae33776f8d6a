//! What follows when it is unknown whether a bind was made.
//!
//! Under `fail` nothing: never two binds, in any schedule. Under `retry-once` one more try on another agent. That may
//! count one wrong password twice, so each user gets at most one within the realm's lockout window: two wrong guesses
//! never become four.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use postern_protocol::Moment;

use crate::config::Ambiguous;

/// Users remembered at once. Retries come from dying agents, some tens at a time; when this many are remembered,
/// something is very wrong, and no further retry is made.
const CAPACITY: usize = 65_536;

/// The policy of one realm, and the users, by keyed hash, who had their extra attempt.
#[derive(Debug)]
pub(super) struct AmbiguousPolicy {
    policy: Ambiguous,
    /// The realm's lockout window.
    window: Duration,
    last: BTreeMap<u64, Moment>,
    by_time: VecDeque<(Moment, u64)>,
}

impl AmbiguousPolicy {
    /// Nobody had an extra attempt yet.
    pub(super) fn new(policy: Ambiguous, window: Duration) -> Self {
        Self {
            policy,
            window,
            last: BTreeMap::new(),
            by_time: VecDeque::new(),
        }
    }

    /// Goes on by other rules. Who had an extra attempt is remembered.
    pub(super) fn change(&mut self, policy: Ambiguous, window: Duration) {
        (self.policy, self.window) = (policy, window);
    }

    /// Whether there are second attempts at all.
    fn retries(&self) -> bool {
        self.policy == Ambiguous::RetryOnce
    }

    /// Whether the user has an extra attempt: not if there is none, it was taken within the window, or nothing more can
    /// be remembered.
    pub(super) fn allows(&mut self, now: Moment, user: u64) -> bool {
        while let Some(&(at, old)) = self.by_time.front() {
            if now.since(at) < self.window {
                break;
            }
            self.by_time.pop_front();
            self.last.remove(&old);
        }
        self.retries() && self.last.len() < CAPACITY && !self.last.contains_key(&user)
    }

    /// Takes the user's extra attempt, if it has one.
    pub(super) fn take(&mut self, now: Moment, user: u64) -> bool {
        let allowed = self.allows(now, user);
        if allowed {
            self.last.insert(user, now);
            self.by_time.push_back((now, user));
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(60);

    fn retry_once() -> AmbiguousPolicy {
        AmbiguousPolicy::new(Ambiguous::RetryOnce, WINDOW)
    }

    #[test]
    fn under_fail_nobody_has_one() {
        assert!(!AmbiguousPolicy::new(Ambiguous::Fail, WINDOW).take(Moment(0), 1));
    }

    #[test]
    fn a_user_has_one_extra_attempt_within_the_window() {
        let mut policy = retry_once();
        assert!(policy.take(Moment(0), 1));
        assert!(policy.take(Moment(1), 2));
        assert!(!policy.take(Moment(59_999_999), 1));
        assert!(policy.take(Moment(60_000_000), 1));
        assert!(!policy.take(Moment(60_000_000), 2));
    }

    #[test]
    fn when_nothing_more_can_be_remembered_nobody_gets_one() {
        let mut policy = retry_once();
        for user in 0..CAPACITY as u64 {
            assert!(policy.take(Moment(0), user));
        }
        assert!(!policy.take(Moment(0), u64::MAX));
        assert!(policy.take(Moment(0) + WINDOW, u64::MAX));
    }
}
