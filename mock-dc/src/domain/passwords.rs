//! What a directory keeps of an account's passwords: the present one and those before it.

use std::time::Duration;

use super::filetime::FileTime;
use super::nt_hash::NtHash;

/// Entries of the history that a wrong password is compared with, the present password included: those two that a
/// client with an old password most probably still sends (MS-SAMR 3.1.5.14.6, and measured).
const FORGIVEN: usize = 3;

/// The hashes of an account's passwords.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Passwords {
    /// `None`: no password is right, as for `krbtgt`, whose password nobody knows.
    current: Option<NtHash>,
    /// Newest first.
    previous: Box<[NtHash]>,
}

/// How old a password is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match {
    /// The present one.
    Current,
    /// The one before it.
    Previous,
    /// The one before that: still known, never right, never counted.
    Older,
    /// None of them.
    None,
}

/// Which of the passwords that are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// The present one.
    Present,
    /// One before it.
    Earlier,
}

impl Passwords {
    /// A first password.
    pub fn new(current: NtHash) -> Self {
        Self {
            current: Some(current),
            previous: Box::default(),
        }
    }

    /// Of an account whose password nobody knows.
    pub fn unknown() -> Self {
        Self::default()
    }

    /// The present one, and those before it, newest first.
    pub(super) fn all(&self) -> (Option<NtHash>, &[NtHash]) {
        (self.current, &self.previous)
    }

    /// What [`Passwords::all`] told.
    pub(super) fn of(current: Option<NtHash>, previous: Vec<NtHash>) -> Self {
        Self {
            current,
            previous: previous.into(),
        }
    }

    /// The present password becomes the previous one. At most `history` are kept, the present one included.
    pub fn set(&mut self, new: NtHash, history: usize) {
        let before = self.current.replace(new).into_iter();
        let all = before.chain(self.previous.iter().copied());
        self.previous = all.take(history.saturating_sub(1)).collect();
    }

    /// Which of them `password` is, as far as a bind looks back: not beyond the `history` that the policy keeps.
    pub fn find(&self, password: &NtHash, history: usize) -> Match {
        if self.is_present(password) {
            return Match::Current;
        }
        let remembered = history.min(FORGIVEN).saturating_sub(1);
        let age = self
            .previous
            .iter()
            .take(remembered)
            .position(|previous| previous.matches(password));
        match age {
            Some(0) => Match::Previous,
            Some(_) => Match::Older,
            None => Match::None,
        }
    }

    /// Whether `password` is the present one.
    pub fn is_present(&self, password: &NtHash) -> bool {
        self.current.is_some_and(|current| current.matches(password))
    }

    /// Where `password` is among the newest `history`, the present one included: a change back to it is refused.
    pub fn age(&self, password: &NtHash, history: usize) -> Option<Age> {
        let present = self.current.iter().map(|known| (Age::Present, known));
        let earlier = self.previous.iter().map(|known| (Age::Earlier, known));
        present
            .chain(earlier)
            .take(history)
            .find(|(_, known)| known.matches(password))
            .map(|(age, _)| age)
    }
}

/// Whether a password that was replaced at `set` still signs in at `now`. Where none may, none does, also before `set`:
/// pwdLastSet can be written, and the clock set back.
pub fn still_allowed(set: FileTime, allowed: Duration, now: FileTime) -> bool {
    !allowed.is_zero() && now < set.after(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes<const N: usize>() -> [NtHash; N] {
        std::array::from_fn(|number| NtHash::of(&format!("password {number}")))
    }

    #[test]
    fn the_two_passwords_before_the_present_one_are_told_from_wrong_ones() {
        let [oldest, old, previous, current] = hashes();
        let mut passwords = Passwords::new(oldest);
        for next in [old, previous, current] {
            passwords.set(next, 24);
        }
        let found = [current, previous, old, oldest].map(|password| passwords.find(&password, 24));
        assert_eq!(found, [Match::Current, Match::Previous, Match::Older, Match::None]);
        assert_eq!(passwords.age(&current, 4), Some(Age::Present));
        assert_eq!(passwords.age(&oldest, 4), Some(Age::Earlier));
        assert_eq!(passwords.age(&oldest, 3), None);
    }

    #[test]
    fn nothing_is_remembered_beyond_the_history_that_the_policy_keeps() {
        let [old, previous, current] = hashes();
        let mut passwords = Passwords::new(old);
        passwords.set(previous, 2);
        passwords.set(current, 2);
        assert_eq!(passwords.find(&previous, 2), Match::Previous);
        assert_eq!(passwords.find(&old, 24), Match::None, "it was dropped");
        for history in [0, 1] {
            assert_eq!(passwords.find(&previous, history), Match::None);
        }
    }

    #[test]
    fn an_old_password_signs_in_for_its_period_and_for_none_never() {
        let (set, hour) = (FileTime(1_000_000_000_000), Duration::from_secs(3600));
        assert!(still_allowed(set, hour, set) && !still_allowed(set, hour, set.after(hour)));
        for now in [set.before(hour), set, set.after(hour)] {
            assert!(!still_allowed(set, Duration::ZERO, now), "{now:?}");
        }
    }

    #[test]
    fn an_unknown_password_is_never_right() {
        assert_eq!(Passwords::unknown().find(&NtHash::of(""), 24), Match::None);
    }
}
