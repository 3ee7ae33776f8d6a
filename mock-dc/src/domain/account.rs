//! One account's state and what one password does to it.
//!
//! The order in which states are told, and which attributes a wrong or right password touches, follow MS-SAMR 3.1.5.14
//! and what Samba AD was measured to do. Pure: the moment is an argument, and the caller makes each attempt atomic.

use std::time::Duration;

use super::filetime::FileTime;
use super::nt_hash::NtHash;
use super::outcome::SubCode;
use super::policy::LockoutPolicy;

/// userAccountControl: ADS_UF_ACCOUNTDISABLE.
pub const UAC_DISABLED: u32 = 0x2;
/// userAccountControl: ADS_UF_NORMAL_ACCOUNT.
pub const UAC_NORMAL: u32 = 0x200;
/// userAccountControl: ADS_UF_DONT_EXPIRE_PASSWD.
pub const UAC_PASSWORD_NEVER_EXPIRES: u32 = 0x1_0000;
/// msDS-User-Account-Control-Computed: ADS_UF_LOCKOUT.
pub const UAC_COMPUTED_LOCKED: u32 = 0x10;
/// msDS-User-Account-Control-Computed: ADS_UF_PASSWORD_EXPIRED.
pub const UAC_COMPUTED_PASSWORD_EXPIRED: u32 = 0x80_0000;

/// The attributes of an account that signing in reads or writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountState {
    /// What the password is compared with.
    pub nt_hash: NtHash,
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
    /// logonHours: a bit for each hour of the week in UTC, from Sunday 00:00, lowest bit first; `None`: any hour.
    pub logon_hours: Option<[u8; 21]>,
    /// userWorkstations; `None`: any.
    pub user_workstations: Option<String>,
}

impl AccountState {
    /// An enabled account whose password was set at `since` and never expires the account.
    pub fn new(nt_hash: NtHash, since: FileTime) -> Self {
        Self {
            nt_hash,
            user_account_control: UAC_NORMAL,
            pwd_last_set: since,
            account_expires: FileTime::NEVER,
            bad_pwd_count: 0,
            bad_password_time: FileTime::ZERO,
            lockout_time: None,
            last_logon: FileTime::ZERO,
            logon_hours: None,
            user_workstations: None,
        }
    }

    /// Signs in with a password. Changes the counters as AD does and tells the first reason against.
    ///
    /// # Errors
    /// The sub-code of result 49. A locked account is told whatever the password; every other state only with the
    /// right one.
    pub fn sign_in(
        &mut self,
        password: &NtHash,
        lockout: &LockoutPolicy,
        max_age: Option<Duration>,
        now: FileTime,
    ) -> Result<(), SubCode> {
        // Nothing is counted while locked, so that trying does not prolong the lock.
        if lockout.is_locked(self.lockout_time, now) {
            return Err(SubCode::LockedOut);
        }
        if !self.nt_hash.matches(password) {
            self.count_wrong_password(lockout, now);
            return Err(SubCode::LogonFailure);
        }
        self.restriction(max_age, now)?;
        self.clear_counters(now);
        Ok(())
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

    /// When the password expires: zero when it must be changed, [`FileTime::NEVER`] when it does not expire
    /// (`msDS-UserPasswordExpiryTimeComputed`).
    pub fn password_expiry(&self, max_age: Option<Duration>) -> FileTime {
        if self.user_account_control & UAC_PASSWORD_NEVER_EXPIRES != 0 {
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
    fn count_wrong_password(&mut self, lockout: &LockoutPolicy, now: FileTime) {
        if lockout.threshold == 0 {
            return;
        }
        let within_window =
            self.bad_password_time != FileTime::ZERO && now < self.bad_password_time.after(lockout.window);
        self.bad_pwd_count = if within_window {
            self.bad_pwd_count.saturating_add(1)
        } else {
            1
        };
        self.bad_password_time = now;
        if self.bad_pwd_count >= lockout.threshold {
            self.lockout_time = Some(now);
        }
    }

    /// lastLogon moves only when the success clears a count that had not led to a lock (measured): a plain success
    /// writes nothing at all.
    fn clear_counters(&mut self, now: FileTime) {
        if self.lockout_time.is_some_and(|since| since != FileTime::ZERO) {
            self.unlock();
        } else if self.bad_pwd_count != 0 {
            self.bad_pwd_count = 0;
            self.last_logon = now;
        }
    }
}

#[cfg(test)]
#[path = "account_tests.rs"]
mod tests;
