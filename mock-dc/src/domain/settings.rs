//! A domain as its configuration describes it, already checked.

use std::time::Duration;

use super::account::{AccountState, UAC_DISABLED, UAC_NORMAL, UAC_PASSWORD_NEVER_EXPIRES, UAC_SMARTCARD_REQUIRED};
use super::attributes::Attribute;
use super::builtin::GroupScope;
use super::controllers::DcId;
use super::dialect::Dialect;
use super::filetime::FileTime;
use super::nt_hash::NtHash;
use super::passwords::Passwords;
use super::policy::Policy;
use super::sid::Sid;

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
    /// Whether a simple bind with a name is refused unless it comes over TLS.
    pub strong_auth: bool,
    /// Its identifier; follows from the DNS name where it is not given.
    pub sid: Option<Sid>,
    /// The names of its controllers, first to last; at least one.
    pub dcs: Vec<String>,
    /// Which of them is the PDC emulator.
    pub pdc: DcId,
    /// How long a new password takes from one controller to another.
    pub replication_delay: Duration,
    /// The password of `Administrator`; nobody knows it where it is not given.
    pub administrator_password: Option<NtHash>,
    /// How long the password before the present one still signs in.
    pub old_password_allowed: Duration,
    /// Whether nobody has ever signed in: lastLogonTimestamp comes with the first success then. Otherwise everybody has,
    /// and signing in again changes nothing.
    pub new_accounts: bool,
    /// The domain policy.
    pub policy: Policy,
    /// Organizational units, parents before their children.
    pub units: Vec<UnitSettings>,
    /// Its groups; no name twice.
    pub groups: Vec<GroupSettings>,
    /// Its fine-grained policies; no name twice.
    pub password_settings: Vec<PasswordSettingsSettings>,
    /// Its named accounts; no name twice.
    pub users: Vec<UserSettings>,
    /// Its numbered accounts.
    pub generated: GeneratedSettings,
}

/// An organizational unit before the domain begins.
#[derive(Debug, Clone)]
pub struct UnitSettings {
    /// ou.
    pub name: String,
    /// Where it stands below the root, `OU=Offices`; `None`: right below it.
    pub path: Option<String>,
}

/// A group before the domain begins.
#[derive(Debug, Clone)]
pub struct GroupSettings {
    /// sAMAccountName and cn.
    pub name: String,
    /// Where it stands below the root; `None`: `CN=Users`.
    pub path: Option<String>,
    /// Where it may be used.
    pub scope: GroupScope,
    /// sAMAccountNames of users and groups.
    pub members: Vec<String>,
    /// Its relative identifier; the next free one where it is not given.
    pub rid: Option<u32>,
}

/// A fine-grained policy before the domain begins.
#[derive(Debug, Clone)]
pub struct PasswordSettingsSettings {
    /// cn.
    pub name: String,
    /// The lowest wins.
    pub precedence: u32,
    /// What it states.
    pub policy: Policy,
    /// sAMAccountNames of users and groups.
    pub applies_to: Vec<String>,
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
    /// Where it stands below the root, `OU=Test`; `None`: `CN=Users`.
    pub path: Option<String>,
    /// userPrincipalName.
    pub upn: Option<String>,
    /// Other attributes: mail, displayName and so on.
    pub attributes: Vec<Attribute>,
    /// objectGUID; follows from the name where it is not given.
    pub guid: Option<[u8; 16]>,
    /// Its relative identifier; the next free one where it is not given.
    pub rid: Option<u32>,
    /// The password's hash.
    pub nt_hash: NtHash,
    /// Whether the account is disabled.
    pub disabled: bool,
    /// Whether only a smart card signs in, which makes the directory forget the password.
    pub smartcard_required: bool,
    /// Further bits of userAccountControl.
    pub control_bits: u32,
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
/// policy it gets a fine-grained policy that says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// Not locked; the policy holds.
    Open,
    /// Locked when the domain begins; ends after the policy's duration.
    Locked,
    /// Locked when the domain begins, and every lock of it lasts until an administrator ends it (duration 0).
    UntilUnlocked,
    /// Wrong passwords are not counted (threshold 0).
    Exempt,
}

impl UserSettings {
    /// The state that the account begins with at `now`, under this policy.
    pub fn state(&self, policy: &Policy, now: FileTime) -> AccountState {
        let set = match self.password_set {
            PasswordSet::Now => now,
            PasswordSet::At(moment) => moment,
            PasswordSet::TooLongAgo => now
                .before(policy.max_password_age.unwrap_or_default())
                .before(Duration::from_secs(86_400)),
            PasswordSet::MustChange => FileTime::ZERO,
        };
        let passwords = if self.smartcard_required {
            Passwords::unknown()
        } else {
            Passwords::new(self.nt_hash)
        };
        let mut state = AccountState::new(passwords, now);
        state.credentials.pwd_last_set = set;
        state.shared.account_expires = self.account_expires;
        state.shared.logon_hours = self.logon_hours.map(Box::new);
        state.shared.user_workstations = self.workstations.as_deref().map(Box::from);
        let bit = |set: bool, bit: u32| if set { bit } else { 0 };
        state.shared.user_account_control = UAC_NORMAL
            | self.control_bits
            | bit(self.disabled, UAC_DISABLED)
            | bit(self.password_never_expires, UAC_PASSWORD_NEVER_EXPIRES)
            | bit(self.smartcard_required, UAC_SMARTCARD_REQUIRED);
        if matches!(self.lock, Lock::Locked | Lock::UntilUnlocked) {
            state.shared.lockout_time = Some(now);
            state.counters.bad_pwd_count = policy.lockout.threshold;
            state.counters.bad_password_time = now;
        }
        state
    }
}
