//! One account's state as a controller knows it, and what it finds of a password.
//!
//! The order in which states are told, and which attributes a wrong or right password touches, follow MS-SAMR 3.1.5.14
//! and what Samba AD was measured to do. Pure: the moment is an argument. What a bind changes, on which controllers, is
//! `replica`'s.

use std::time::Duration;

use super::filetime::FileTime;
use super::nt_hash::NtHash;
use super::outcome::SubCode;
use super::passwords::{Match, Passwords, still_allowed};
use super::policy::{LockoutPolicy, Policy};
pub use super::versions::Credentials;

/// userAccountControl: ADS_UF_ACCOUNTDISABLE.
pub const UAC_DISABLED: u32 = 0x2;
/// userAccountControl: ADS_UF_PASSWD_NOTREQD.
pub const UAC_PASSWORD_NOT_REQUIRED: u32 = 0x20;
/// userAccountControl: ADS_UF_NORMAL_ACCOUNT.
pub const UAC_NORMAL: u32 = 0x200;
/// userAccountControl: ADS_UF_SERVER_TRUST_ACCOUNT, a domain controller's own account.
pub const UAC_SERVER_TRUST: u32 = 0x2000;
/// userAccountControl: ADS_UF_DONT_EXPIRE_PASSWD.
pub const UAC_PASSWORD_NEVER_EXPIRES: u32 = 0x1_0000;
/// userAccountControl: ADS_UF_SMARTCARD_REQUIRED. Who sets it makes the directory forget the password.
pub const UAC_SMARTCARD_REQUIRED: u32 = 0x4_0000;
/// userAccountControl: ADS_UF_TRUSTED_FOR_DELEGATION, which domain controllers have.
pub const UAC_TRUSTED_FOR_DELEGATION: u32 = 0x8_0000;
/// msDS-User-Account-Control-Computed: ADS_UF_LOCKOUT.
pub const UAC_COMPUTED_LOCKED: u32 = 0x10;
/// msDS-User-Account-Control-Computed: ADS_UF_PASSWORD_EXPIRED.
pub const UAC_COMPUTED_PASSWORD_EXPIRED: u32 = 0x80_0000;

/// How long a lastLogonTimestamp stands before a success moves it: msDS-LogonTimeSyncInterval's 14 days
/// (MS-ADA2 2.351). AD takes up to five days of chance off, so that not all accounts are written at once; without them
/// a test knows what it will see.
const LOGON_TIME_SYNC: Duration = Duration::from_secs(14 * 86_400);

/// What holds for an account at the moment: its policy, and what the domain decides for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Of the domain, or the fine-grained one that applies.
    pub policy: Policy,
    /// How long the password before the present one still signs in (OldPasswordAllowedPeriod); zero: not at all.
    pub old_password_allowed: Duration,
}

/// What one controller knows of an account, as far as signing in reads or writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountState {
    /// What all controllers share.
    pub shared: Shared,
    /// The password, which takes time from one controller to another.
    pub credentials: Credentials,
    /// What each controller keeps for itself.
    pub counters: Counters,
    /// An administrator ended a lock or what might become one: the counts of all controllers end with it.
    pub(super) unlocked: bool,
}

/// What all controllers know at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// userAccountControl.
    pub user_account_control: u32,
    /// accountExpires; zero and the largest value: never.
    pub account_expires: FileTime,
    /// lockoutTime; zero: not locked. Stays after the lock has ended by itself; `None` until it is first written.
    pub lockout_time: Option<FileTime>,
    /// lastLogonTimestamp; `None` until the first success.
    pub last_logon_timestamp: Option<FileTime>,
    /// logonHours: a bit for each hour of the week in UTC, from Sunday 00:00, lowest bit first; `None`: any hour.
    pub logon_hours: Option<Box<[u8; 21]>>,
    /// userWorkstations; `None`: any.
    pub user_workstations: Option<Box<str>>,
    /// whenChanged.
    pub when_changed: FileTime,
    /// uSNChanged.
    pub usn_changed: u64,
}

/// What no controller tells another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    /// badPwdCount, as it is stored: it is not decayed when the observation window passes.
    pub bad_pwd_count: u32,
    /// badPasswordTime; zero: no wrong password yet.
    pub bad_password_time: FileTime,
    /// lastLogon.
    pub last_logon: FileTime,
}

/// What a controller finds of a password before anything is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judgement {
    /// The account is locked: nothing else is looked at.
    Locked,
    /// It signs in.
    Right,
    /// It is right, and something else stands against signing in.
    Refused(SubCode),
    /// One of the two before: wrong, and not counted. A device that has not heard of the new password must not lock its
    /// owner out.
    Forgiven,
    /// Wrong.
    Wrong,
}

impl Judgement {
    /// Whether a newer password than is known here might change it.
    pub(super) fn is_about_the_password(self) -> bool {
        matches!(
            self,
            Self::Forgiven | Self::Wrong | Self::Refused(SubCode::PasswordExpired | SubCode::MustChange)
        )
    }
}

impl AccountState {
    /// An enabled account whose password was set at `since`, and which does not expire.
    pub fn new(passwords: Passwords, since: FileTime) -> Self {
        Self {
            shared: Shared {
                user_account_control: UAC_NORMAL,
                account_expires: FileTime::NEVER,
                lockout_time: None,
                last_logon_timestamp: None,
                logon_hours: None,
                user_workstations: None,
                when_changed: since,
                usn_changed: 0,
            },
            credentials: Credentials {
                passwords,
                pwd_last_set: since,
            },
            counters: Counters::NONE,
            unlocked: false,
        }
    }

    /// As if it had begun `ticks` later: all that it began with moves along, but for what has a date of its own.
    pub(super) fn moved(mut self, ticks: i64, is_dated: bool) -> Self {
        let moved = |time: &mut FileTime| {
            if *time != FileTime::ZERO {
                time.0 = time.0.saturating_add(ticks);
            }
        };
        let Shared {
            lockout_time,
            last_logon_timestamp,
            when_changed,
            ..
        } = &mut self.shared;
        [lockout_time, last_logon_timestamp]
            .into_iter()
            .flatten()
            .for_each(moved);
        moved(when_changed);
        moved(&mut self.counters.bad_password_time);
        if !is_dated {
            moved(&mut self.credentials.pwd_last_set);
        }
        self
    }

    /// Whether a controller knows the same by both, whatever was done to get there.
    pub fn is_as(&self, other: &Self) -> bool {
        (&self.shared, &self.credentials, self.counters) == (&other.shared, &other.credentials, other.counters)
    }

    /// Ends a lock as an administrator does by writing `lockoutTime` 0.
    pub fn unlock(&mut self) {
        self.shared.lockout_time = Some(FileTime::ZERO);
        self.counters.bad_pwd_count = 0;
        self.unlocked = true;
    }

    /// When the password expires; see [`Shared::password_expiry`].
    pub fn password_expiry(&self, max_age: Option<Duration>) -> FileTime {
        self.shared.password_expiry(self.credentials.pwd_last_set, max_age)
    }
}

impl Shared {
    /// Notes a change of an attribute that domain controllers tell each other.
    pub fn was_changed(&mut self, now: FileTime, usn: u64) {
        self.when_changed = now;
        self.usn_changed = usn;
    }

    /// userAccountControl holds ADS_UF_ACCOUNTDISABLE.
    pub fn is_disabled(&self) -> bool {
        self.user_account_control & UAC_DISABLED != 0
    }

    /// A domain controller's own account, which no lock holds up.
    pub fn is_trust_account(&self) -> bool {
        self.user_account_control & UAC_SERVER_TRUST != 0
    }

    /// Whether nothing but the end of a lock lets anybody sign in.
    pub(super) fn is_locked(&self, rules: &Rules, now: FileTime) -> bool {
        !self.is_trust_account() && rules.policy.lockout.is_locked(self.lockout_time, now)
    }

    /// Whether a lock is noted, be it over or not.
    pub(super) fn was_locked(&self) -> bool {
        self.lockout_time.is_some_and(|since| since != FileTime::ZERO)
    }

    /// When a password that was set at `set` expires: zero when it must be changed, [`FileTime::NEVER`] when it does not
    /// expire (`msDS-UserPasswordExpiryTimeComputed`).
    pub fn password_expiry(&self, set: FileTime, max_age: Option<Duration>) -> FileTime {
        if self.user_account_control & (UAC_PASSWORD_NEVER_EXPIRES | UAC_SMARTCARD_REQUIRED | UAC_SERVER_TRUST) != 0 {
            return FileTime::NEVER;
        }
        match max_age {
            _ if set == FileTime::ZERO => FileTime::ZERO,
            Some(age) => set.after(age),
            None => FileTime::NEVER,
        }
    }

    /// What a controller that goes by these credentials says to a password. A locked account is told whatever the
    /// password, so that trying does not prolong the lock; every other state only with the right one.
    pub(super) fn judge(&self, known: &Credentials, password: &NtHash, rules: &Rules, now: FileTime) -> Judgement {
        if self.is_locked(rules, now) {
            return Judgement::Locked;
        }
        match known.passwords.find(password, rules.policy.history as usize) {
            Match::Current => {}
            Match::Previous if still_allowed(known.pwd_last_set, rules.old_password_allowed, now) => {}
            Match::Previous | Match::Older => return Judgement::Forgiven,
            Match::None => return Judgement::Wrong,
        }
        match self.restriction(known.pwd_last_set, rules.policy.max_password_age, now) {
            Ok(()) => Judgement::Right,
            Err(reason) => Judgement::Refused(reason),
        }
    }

    /// What stands against signing in with the right password, in AD's order.
    fn restriction(&self, set: FileTime, max_age: Option<Duration>, now: FileTime) -> Result<(), SubCode> {
        if self.is_disabled() {
            return Err(SubCode::AccountDisabled);
        }
        if self.account_expires != FileTime::ZERO && self.account_expires <= now {
            return Err(SubCode::AccountExpired);
        }
        match self.password_expiry(set, max_age) {
            FileTime::ZERO => return Err(SubCode::MustChange),
            expiry if expiry <= now => return Err(SubCode::PasswordExpired),
            _ => {}
        }
        // A bind carries no workstation name; what the controller takes for one never is in the list.
        if self.user_workstations.as_deref().is_some_and(|list| !list.is_empty()) {
            return Err(SubCode::Workstation);
        }
        let hour = now.hour_of_week();
        if self
            .logon_hours
            .as_ref()
            .is_some_and(|hours| hours[hour / 8] >> (hour % 8) & 1 == 0)
        {
            return Err(SubCode::LogonHours);
        }
        Ok(())
    }

    /// Notes a success in lastLogonTimestamp unless that is fresh, and tells whether it did.
    pub(super) fn note_logon(&mut self, now: FileTime) -> bool {
        let is_fresh = |since: FileTime| now < since.after(LOGON_TIME_SYNC);
        if self.last_logon_timestamp.is_some_and(is_fresh) {
            return false;
        }
        self.last_logon_timestamp = Some(now);
        true
    }
}

impl Counters {
    /// Of somebody who has never signed in.
    pub const NONE: Self = Self {
        bad_pwd_count: 0,
        bad_password_time: FileTime::ZERO,
        last_logon: FileTime::ZERO,
    };

    /// Counts a wrong password and tells whether it locks (MS-SAMR 3.1.5.14.6). It is itself still answered 52e.
    pub(super) fn count_wrong_password(&mut self, lockout: &LockoutPolicy, now: FileTime) -> bool {
        let within_window =
            self.bad_password_time != FileTime::ZERO && now < self.bad_password_time.after(lockout.window);
        self.bad_pwd_count = if within_window {
            self.bad_pwd_count.saturating_add(1)
        } else {
            1
        };
        self.bad_password_time = now;
        self.bad_pwd_count >= lockout.threshold
    }
}

#[cfg(test)]
#[path = "account_tests.rs"]
mod tests;
