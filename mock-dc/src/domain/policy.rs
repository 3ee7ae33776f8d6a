//! Lockout and password-age rules, as a domain policy or a fine-grained policy states them.

use std::time::Duration;

use super::filetime::FileTime;

/// What holds for accounts that no other policy names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// When wrong passwords lock an account.
    pub lockout: LockoutPolicy,
    /// How old a password may get (`maxPwdAge`); `None`: any age.
    pub max_password_age: Option<Duration>,
}

/// When wrong passwords lock an account, and for how long (MS-SAMR 3.1.5.14.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockoutPolicy {
    /// Wrong passwords that lock (`lockoutThreshold`). 0: nothing locks and nothing is counted at all.
    pub threshold: u32,
    /// When a lock ends by itself (`lockoutDuration`).
    pub duration: LockoutDuration,
    /// A wrong password that comes this long after the one before begins a new count (`lockOutObservationWindow`).
    pub window: Duration,
}

/// When a lock ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockoutDuration {
    /// After this time.
    For(Duration),
    /// When an administrator ends it (`lockoutDuration` 0).
    UntilUnlocked,
}

impl LockoutPolicy {
    /// Whether an account whose `lockoutTime` is `since` is locked at `now`.
    pub fn is_locked(&self, since: Option<FileTime>, now: FileTime) -> bool {
        match (since, self.duration) {
            (None | Some(FileTime::ZERO), _) => false,
            (Some(since), LockoutDuration::For(length)) => now < since.after(length),
            (Some(_), LockoutDuration::UntilUnlocked) => true,
        }
    }
}
