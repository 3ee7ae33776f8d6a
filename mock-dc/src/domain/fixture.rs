//! A small domain for tests.

use std::time::Duration;

use super::Domain;
use super::account::Rules;
use super::attributes::Attribute;
use super::controllers::{DcId, REPLICATION_DELAY};
use super::dialect::Dialect;
use super::filetime::FileTime;
use super::nt_hash::NtHash;
use super::policy::{LockoutDuration, LockoutPolicy, Policy};
use super::settings::{DomainSettings, GeneratedSettings, Lock, PasswordSet, UserSettings};

/// A Sunday, 12:00 UTC.
pub(crate) const NOON: FileTime = FileTime(134_398_224_000_000_000);

/// Of everybody.
pub(crate) const PASSWORD: &str = "Str0ng-Passw0rd!";

/// Three wrong passwords lock for half an hour; a password lives 42 days.
pub(crate) const POLICY: Policy = Policy {
    lockout: LockoutPolicy {
        threshold: 3,
        duration: LockoutDuration::For(Duration::from_secs(1800)),
        window: Duration::from_secs(1800),
    },
    max_password_age: Some(Duration::from_secs(42 * 86_400)),
    min_password_age: Duration::ZERO,
    min_password_length: 4,
    complexity: false,
    history: 24,
};

/// [`POLICY`], and the previous password signs in for an hour.
pub(crate) const RULES: Rules = Rules {
    policy: POLICY,
    old_password_allowed: Duration::from_secs(3600),
};

/// A user with whom nothing is the matter.
pub(crate) fn user(sam: &str) -> UserSettings {
    UserSettings {
        sam: sam.to_owned(),
        cn: sam.to_owned(),
        path: None,
        upn: Some(format!("{sam}@corp.example.com")),
        attributes: Vec::new(),
        guid: None,
        rid: None,
        nt_hash: NtHash::of(PASSWORD),
        disabled: false,
        smartcard_required: false,
        control_bits: 0,
        account_expires: FileTime::NEVER,
        password_set: PasswordSet::Now,
        password_never_expires: false,
        logon_hours: None,
        workstations: None,
        lock: Lock::Open,
    }
}

/// A user with this text.
pub(crate) fn user_with(sam: &str, attribute: &'static str, value: &str) -> UserSettings {
    UserSettings {
        attributes: vec![Attribute::text(attribute, [value])],
        ..user(sam)
    }
}

/// `corp.example.com` with these users.
pub(crate) fn settings(dialect: Dialect, users: Vec<UserSettings>, generated: u32) -> DomainSettings {
    DomainSettings {
        dns_name: "corp.example.com".to_owned(),
        netbios: "CORP".to_owned(),
        upn_suffixes: vec!["mail.example.org".to_owned()],
        dialect,
        strong_auth: false,
        sid: None,
        dcs: vec!["dc-1".to_owned()],
        pdc: DcId::FIRST,
        replication_delay: REPLICATION_DELAY,
        administrator_password: Some(NtHash::of("Adm1n-Passw0rd!")),
        old_password_allowed: RULES.old_password_allowed,
        new_accounts: false,
        policy: POLICY,
        units: Vec::new(),
        groups: Vec::new(),
        password_settings: Vec::new(),
        users,
        generated: GeneratedSettings {
            count: generated,
            password: "Postern-{n}".to_owned(),
            mail_suffix: Some("People.example.net".to_owned()),
        },
    }
}

/// [`settings`], begun at [`NOON`].
pub(crate) fn domain(dialect: Dialect, users: Vec<UserSettings>, generated: u32) -> Domain {
    Domain::new(&settings(dialect, users, generated), NOON)
}
