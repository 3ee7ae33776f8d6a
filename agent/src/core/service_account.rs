//! May the service account be bound now? A wrong password that is tried again and again locks the account.
//!
//! Directories count wrong passwords (Active Directory: within 30 minutes by default, three to ten of them lock) and do
//! not count binds that they refuse for another reason once the password is right, nor any while the account is
//! locked. So a password that was refused as such is not tried again for an hour, or until it changes; what an
//! administrator mends without touching the password is tried again every minute.

use std::time::Duration;

use postern_protocol::{Moment, Verdict};

/// Twice the window in which wrong passwords are counted: those of one agent never add up to a lock.
const AFTER_WRONG_PASSWORD: Duration = Duration::from_secs(3_600);

/// Nothing is counted, and who has just unlocked the account does not wait for long.
const AFTER_REFUSAL: Duration = Duration::from_secs(60);

/// A bind without an answer may have been counted.
const AFTER_SILENCE: Duration = Duration::from_secs(10);

/// Binds in a row without an answer that are forgiven to a password that was right once: a connection may be lost, and
/// look-ups should not stop for it. One more may be a password that was changed, refused by answers that get lost.
const FORGIVEN: u32 = 2;

/// What is known of the service account's password.
#[derive(Debug, Clone, Default)]
pub(crate) struct ServiceAccount {
    /// The password that this is about, by its number.
    version: u64,
    until: Option<Moment>,
    /// Binds in a row that were sent and not answered.
    silences: u32,
    /// It was right once.
    proven: bool,
}

impl ServiceAccount {
    /// Whether a bind with the password of this number may be made. A higher number is a new password, a lower one a
    /// password that has been replaced.
    pub(crate) fn may_bind(&mut self, now: Moment, version: u64) -> bool {
        if version < self.version {
            return false;
        }
        if self.version != version {
            *self = Self {
                version,
                ..Self::default()
            };
        }
        self.until.is_none_or(|until| now >= until)
    }

    /// A bind was answered so.
    pub(crate) fn answered(&mut self, now: Moment, verdict: Verdict) {
        self.silences = 0;
        self.proven = verdict == Verdict::Success;
        self.until = match verdict {
            Verdict::Success => None,
            Verdict::InvalidCredentials | Verdict::Rejected => Some(now + AFTER_WRONG_PASSWORD),
            _ => Some(now + AFTER_REFUSAL),
        };
    }

    /// A bind is about to be sent. Until it is answered it counts as one that is not, so that one that is given up
    /// halfway does, too.
    pub(crate) fn sending(&mut self, now: Moment) {
        self.silences = self.silences.saturating_add(1);
        let forgiven = if self.proven { FORGIVEN } else { 0 };
        let held_against = self.silences.saturating_sub(forgiven);
        if held_against > 0 {
            let pause = AFTER_SILENCE.saturating_mul(1 << held_against.min(16));
            self.until = Some(now + pause.min(AFTER_WRONG_PASSWORD));
        }
    }

    /// The answer was that the password was not checked.
    pub(crate) fn unchecked(&mut self) {
        self.silences = 0;
        self.until = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Moment = Moment(1);

    /// How long no bind may be made after this answer.
    fn pause_after(verdict: Verdict) -> Duration {
        let mut account = ServiceAccount::default();
        assert!(account.may_bind(START, 1));
        account.answered(START, verdict);
        let second = Duration::from_secs(1);
        let allowed = (0..10_000).find(|&n| account.may_bind(START + second * n, 1));
        second * allowed.unwrap()
    }

    #[test]
    fn a_wrong_password_is_tried_once_an_hour_and_what_is_not_counted_once_a_minute() {
        assert_eq!(pause_after(Verdict::Success), Duration::ZERO);
        for verdict in Verdict::ALL.into_iter().filter(|verdict| *verdict != Verdict::Success) {
            let counted = matches!(verdict, Verdict::InvalidCredentials | Verdict::Rejected);
            let expected = if counted { AFTER_WRONG_PASSWORD } else { AFTER_REFUSAL };
            assert_eq!(pause_after(verdict), expected, "{verdict:?}");
        }
    }

    #[test]
    fn a_new_password_is_tried_at_once_and_knows_nothing_of_the_old_one() {
        let mut account = ServiceAccount::default();
        assert!(account.may_bind(START, 1));
        account.answered(START, Verdict::InvalidCredentials);
        assert!(!account.may_bind(START, 1));
        assert!(account.may_bind(START, 2));
        account.answered(START, Verdict::Success);
        assert!(account.may_bind(START, 2));
    }

    #[test]
    fn silence_is_taken_for_a_wrong_password_ever_more_and_two_are_forgiven_to_one_that_was_right() {
        for (proven, most) in [(false, 8), (true, 10)] {
            let mut account = ServiceAccount::default();
            assert!(account.may_bind(START, 1));
            if proven {
                account.answered(START, Verdict::Success);
            }
            let mut now = START;
            let mut binds = 0;
            while now < START + Duration::from_secs(1_800) {
                if account.may_bind(now, 1) {
                    account.sending(now);
                    binds += 1;
                }
                now = now + Duration::from_secs(1);
            }
            assert!(binds <= most, "{binds} binds within half an hour");
        }
    }

    #[test]
    fn a_silence_or_two_are_forgotten_with_the_next_answer() {
        let mut account = ServiceAccount::default();
        for _ in 0..10 {
            assert!(account.may_bind(START, 1));
            account.answered(START, Verdict::Success);
            for _ in 0..FORGIVEN {
                account.sending(START);
                assert!(account.may_bind(START, 1));
            }
            account.sending(START);
            assert!(!account.may_bind(START, 1));
            account.unchecked();
        }
    }

    #[test]
    fn an_older_password_is_not_tried_and_makes_a_refused_one_no_newer() {
        let mut account = ServiceAccount::default();
        assert!(account.may_bind(START, 2));
        account.answered(START, Verdict::InvalidCredentials);
        assert!(!account.may_bind(START, 1));
        assert!(!account.may_bind(START, 2));
        assert!(account.may_bind(START, 3));
    }
}
