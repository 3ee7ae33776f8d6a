//! A domain as its configuration describes it, already checked.

use super::account::{AccountState, UAC_DISABLED, UAC_PASSWORD_NEVER_EXPIRES};
use super::dialect::Dialect;
use super::filetime::FileTime;
use super::nt_hash::NtHash;
use super::policy::{LockoutDuration, LockoutPolicy, Policy};

/// A domain before it begins.
#[derive(Debug, Clone)]
pub struct DomainSettings {
    /// DNS name, `corp.example.com`.
    pub dns_name: String,
    /// NetBIOS name, `CORP`.
    pub netbios: String,
    /// UPN suffixes of the forest beside the domain's own name.
    pub upn_suffixes: Vec<String>,
    /// Whose words its controllers speak.
    pub dialect: Dialect,
    /// The domain policy.
    pub policy: Policy,
    /// Its named accounts; no name twice.
    pub users: Vec<UserSettings>,
    /// Its numbered accounts.
    pub generated: GeneratedSettings,
}

/// Accounts that differ in their number only.
#[derive(Debug, Clone)]
pub struct GeneratedSettings {
    /// How many.
    pub count: u32,
    /// Their passwords; `{n}` stands for the number, six digits at least.
    pub password: String,
    /// What their mail addresses end in; without it they have none.
    pub mail_suffix: Option<String>,
}

/// A named account before it begins.
#[derive(Debug, Clone)]
pub struct UserSettings {
    /// sAMAccountName.
    pub sam: String,
    /// cn.
    pub cn: String,
    /// userPrincipalName.
    pub upn: Option<String>,
    /// mail.
    pub mail: Option<String>,
    /// displayName.
    pub display_name: Option<String>,
    /// The password's hash.
    pub nt_hash: NtHash,
    /// Whether the account is disabled.
    pub disabled: bool,
    /// accountExpires.
    pub account_expires: FileTime,
    /// When the password was set.
    pub password_set: PasswordSet,
    /// Whether neither age nor must-change counts.
    pub password_never_expires: bool,
    /// logonHours.
    pub logon_hours: Option<[u8; 21]>,
    /// userWorkstations.
    pub workstations: Option<String>,
    /// Whether it is locked, and whether it can be.
    pub lock: Lock,
}

/// When a password was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordSet {
    /// When the domain began.
    Now,
    /// At this moment.
    At(FileTime),
    /// A day longer ago than the policy allows.
    TooLongAgo,
    /// It must be changed (`pwdLastSet` 0).
    MustChange,
}

/// What holds for an account's lockout, beside or instead of the domain policy. Where an account differs from the
/// policy it is what a fine-grained policy of its own would make of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// Not locked; the domain policy holds.
    Open,
    /// Locked when the domain begins; ends after the policy's duration.
    Locked,
    /// Locked when the domain begins, and every lock of it lasts until an administrator ends it (duration 0).
    UntilUnlocked,
    /// Wrong passwords are not counted (threshold 0).
    Exempt,
}

impl UserSettings {
    /// The lockout policy that holds for the account.
    pub fn lockout(&self, domain: &Policy) -> LockoutPolicy {
        match self.lock {
            Lock::Open | Lock::Locked => domain.lockout,
            Lock::UntilUnlocked => LockoutPolicy {
                duration: LockoutDuration::UntilUnlocked,
                ..domain.lockout
            },
            Lock::Exempt => LockoutPolicy {
                threshold: 0,
                ..domain.lockout
            },
        }
    }

    /// The state that the account begins with at `now`.
    pub fn state(&self, domain: &Policy, now: FileTime) -> AccountState {
        let set = match self.password_set {
            PasswordSet::Now => now,
            PasswordSet::At(moment) => moment,
            PasswordSet::TooLongAgo => now
                .before(domain.max_password_age.unwrap_or_default())
                .before(std::time::Duration::from_secs(86_400)),
            PasswordSet::MustChange => FileTime::ZERO,
        };
        let mut state = AccountState::new(self.nt_hash, set);
        state.account_expires = self.account_expires;
        state.logon_hours = self.logon_hours;
        state.user_workstations.clone_from(&self.workstations);
        if self.disabled {
            state.user_account_control |= UAC_DISABLED;
        }
        if self.password_never_expires {
            state.user_account_control |= UAC_PASSWORD_NEVER_EXPIRES;
        }
        if matches!(self.lock, Lock::Locked | Lock::UntilUnlocked) {
            state.lockout_time = Some(now);
            state.bad_pwd_count = domain.lockout.threshold;
            state.bad_password_time = now;
        }
        state
    }
}
