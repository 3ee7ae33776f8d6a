//! One account's state and what one password does to it.
//!
//! The order in which states are told, and which attributes a wrong or right password touches, follow MS-SAMR 3.1.5.14
//! and what Samba AD was measured to do. Pure: the moment is an argument, and the caller makes each attempt atomic.

use std::time::Duration;

use super::filetime::FileTime;
use super::nt_hash::NtHash;
use super::outcome::SubCode;
use super::passwords::{Match, Passwords, still_allowed};
use super::policy::Policy;

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

/// The attributes of an account that signing in reads or writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountState {
    /// What a password is compared with.
    pub passwords: Passwords,
    /// userAccountControl.
    pub user_account_control: u32,
    /// pwdLastSet; zero: the password must be changed.
    pub pwd_last_set: FileTime,
    /// accountExpires; zero and the largest value: never.
    pub account_expires: FileTime,
    /// badPwdCount, as it is stored: it is not decayed when the observation window passes.
    pub bad_pwd_count: u32,
    /// badPasswordTime; zero: no wrong password yet.
    pub bad_password_time: FileTime,
    /// lockoutTime; zero: not locked. Stays after the lock has ended by itself; `None` until it is first written.
    pub lockout_time: Option<FileTime>,
    /// lastLogon.
    pub last_logon: FileTime,
    /// lastLogonTimestamp; `None` until the first success.
    pub last_logon_timestamp: Option<FileTime>,
    /// logonHours: a bit for each hour of the week in UTC, from Sunday 00:00, lowest bit first; `None`: any hour.
    pub logon_hours: Option<[u8; 21]>,
    /// userWorkstations; `None`: any.
    pub user_workstations: Option<String>,
    /// whenChanged.
    pub when_changed: FileTime,
    /// uSNChanged.
    pub usn_changed: u64,
}

impl AccountState {
    /// An enabled account whose password was set at `since`, and which does not expire.
    pub fn new(passwords: Passwords, since: FileTime) -> Self {
        Self {
            passwords,
            user_account_control: UAC_NORMAL,
            pwd_last_set: since,
            account_expires: FileTime::NEVER,
            bad_pwd_count: 0,
            bad_password_time: FileTime::ZERO,
            lockout_time: None,
            last_logon: FileTime::ZERO,
            last_logon_timestamp: None,
            logon_hours: None,
            user_workstations: None,
            when_changed: since,
            usn_changed: 0,
        }
    }

    /// Signs in with a password. Changes the counters as AD does and tells the first reason against. `usn` gives the
    /// next update sequence number; it is asked where something changes that domain controllers tell each other.
    ///
    /// # Errors
    /// The sub-code of result 49. A locked account is told whatever the password; every other state only with the
    /// right one.
    pub fn sign_in(
        &mut self,
        password: &NtHash,
        rules: &Rules,
        now: FileTime,
        usn: impl FnOnce() -> u64,
    ) -> Result<(), SubCode> {
        // Nothing is counted while locked, so that trying does not prolong the lock.
        if !self.is_trust_account() && rules.policy.lockout.is_locked(self.lockout_time, now) {
            return Err(SubCode::LockedOut);
        }
        let written = match self.passwords.find(password, rules.policy.history as usize) {
            Match::Current => self.succeed(rules, now)?,
            Match::Previous if still_allowed(self.pwd_last_set, rules.old_password_allowed, now) => {
                self.succeed(rules, now)?
            }
            // A device that has not heard of the new password must not lock its owner out.
            Match::Previous | Match::Older => return Err(SubCode::LogonFailure),
            Match::None => {
                if self.count_wrong_password(rules, now) == Written::Replicated {
                    self.was_changed(now, usn());
                }
                return Err(SubCode::LogonFailure);
            }
        };
        if written == Written::Replicated {
            self.was_changed(now, usn());
        }
        Ok(())
    }

    /// Notes a change of an attribute that domain controllers tell each other.
    pub fn was_changed(&mut self, now: FileTime, usn: u64) {
        self.when_changed = now;
        self.usn_changed = usn;
    }

    fn succeed(&mut self, rules: &Rules, now: FileTime) -> Result<Written, SubCode> {
        self.restriction(rules.policy.max_password_age, now)?;
        let unlocked = self.clear_counters(now);
        let seen = self.note_logon(now);
        Ok(unlocked.max(seen))
    }

    /// Ends a lock as an administrator does by writing `lockoutTime` 0.
    pub fn unlock(&mut self) {
        self.lockout_time = Some(FileTime::ZERO);
        self.bad_pwd_count = 0;
    }

    /// userAccountControl holds ADS_UF_ACCOUNTDISABLE.
    pub fn is_disabled(&self) -> bool {
        self.user_account_control & UAC_DISABLED != 0
    }

    /// A domain controller's own account, which no lock holds up.
    pub fn is_trust_account(&self) -> bool {
        self.user_account_control & UAC_SERVER_TRUST != 0
    }

    /// When the password expires: zero when it must be changed, [`FileTime::NEVER`] when it does not expire
    /// (`msDS-UserPasswordExpiryTimeComputed`).
    pub fn password_expiry(&self, max_age: Option<Duration>) -> FileTime {
        if self.user_account_control & (UAC_PASSWORD_NEVER_EXPIRES | UAC_SMARTCARD_REQUIRED | UAC_SERVER_TRUST) != 0 {
            return FileTime::NEVER;
        }
        match max_age {
            _ if self.pwd_last_set == FileTime::ZERO => FileTime::ZERO,
            Some(age) => self.pwd_last_set.after(age),
            None => FileTime::NEVER,
        }
    }

    /// What stands against signing in with the right password, in AD's order.
    fn restriction(&self, max_age: Option<Duration>, now: FileTime) -> Result<(), SubCode> {
        if self.is_disabled() {
            return Err(SubCode::AccountDisabled);
        }
        if self.account_expires != FileTime::ZERO && self.account_expires <= now {
            return Err(SubCode::AccountExpired);
        }
        match self.password_expiry(max_age) {
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
            .is_some_and(|hours| hours[hour / 8] >> (hour % 8) & 1 == 0)
        {
            return Err(SubCode::LogonHours);
        }
        Ok(())
    }

    /// MS-SAMR 3.1.5.14.6. The password that locks is itself still answered 52e.
    fn count_wrong_password(&mut self, rules: &Rules, now: FileTime) -> Written {
        let lockout = &rules.policy.lockout;
        if lockout.threshold == 0 {
            return Written::Nothing;
        }
        let within_window =
            self.bad_password_time != FileTime::ZERO && now < self.bad_password_time.after(lockout.window);
        self.bad_pwd_count = if within_window {
            self.bad_pwd_count.saturating_add(1)
        } else {
            1
        };
        self.bad_password_time = now;
        if self.bad_pwd_count < lockout.threshold {
            return Written::Here;
        }
        self.lockout_time = Some(now);
        Written::Replicated
    }

    /// lastLogon moves only when the success clears a count that had not led to a lock (measured).
    fn clear_counters(&mut self, now: FileTime) -> Written {
        if self.lockout_time.is_some_and(|since| since != FileTime::ZERO) {
            self.unlock();
            Written::Replicated
        } else if self.bad_pwd_count != 0 {
            self.bad_pwd_count = 0;
            self.last_logon = now;
            Written::Here
        } else {
            Written::Nothing
        }
    }

    fn note_logon(&mut self, now: FileTime) -> Written {
        let is_fresh = |since: FileTime| now < since.after(LOGON_TIME_SYNC);
        if self.last_logon_timestamp.is_some_and(is_fresh) {
            return Written::Nothing;
        }
        self.last_logon_timestamp = Some(now);
        Written::Replicated
    }
}

/// What a sign-in wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Written {
    Nothing,
    /// Attributes that every domain controller keeps for itself: badPwdCount, badPasswordTime, lastLogon.
    Here,
    /// Attributes that domain controllers tell each other.
    Replicated,
}

#[cfg(test)]
#[path = "account_tests.rs"]
mod tests;
