//! Which attributes of an account can be written, and what their values have to be.

use std::collections::HashSet;

use super::refusal::{Place, Refusal};
use super::values::Values;
use super::{Asked, Kind, Known};
use crate::domain::Domain;
use crate::domain::account::{
    AccountState, UAC_COMPUTED_LOCKED, UAC_COMPUTED_PASSWORD_EXPIRED, UAC_NORMAL, UAC_SERVER_TRUST,
    UAC_SMARTCARD_REQUIRED,
};
use crate::domain::attributes::Attribute;
use crate::domain::edit::{EditError, Edits as Others};
use crate::domain::filetime::FileTime;
use crate::domain::object::ObjectId;
use crate::domain::passwords::Passwords;
use crate::domain::schema::{self, Syntax};

/// The bits of userAccountControl that say what kind of account it is: ADS_UF_TEMP_DUPLICATE_ACCOUNT,
/// ADS_UF_NORMAL_ACCOUNT and those of trusts, machines and controllers.
const KINDS_OF_ACCOUNT: u32 = 0x100 | UAC_NORMAL | 0x800 | 0x1000 | UAC_SERVER_TRUST;

/// Bits that mean nothing in userAccountControl, or are computed: they are dropped without a word (measured).
const DROPPED: u32 =
    0x1 | UAC_COMPUTED_LOCKED | 0x40 | 0x400 | 0x4000 | 0x8000 | UAC_COMPUTED_PASSWORD_EXPIRED | 0xf000_0000;

/// ADS_UF_PARTIAL_SECRETS_ACCOUNT: a read-only controller's.
const READ_ONLY_CONTROLLER: u32 = 0x400_0000;

/// How an attribute can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Another one value of a signing-in attribute.
    Own(Own),
    /// The counts and times of signing in: Windows keeps them to itself.
    Counter(Counter),
    /// By renaming only.
    Naming,
    /// Computed when asked for.
    Constructed,
    /// By the directory only.
    System,
    /// The other end of a link.
    Linked,
    /// Of the account's identity.
    Identity,
    /// Not an attribute of accounts.
    Foreign,
    /// The configuration says it.
    Configured,
    /// Anything else: one that no bind looks at, except to find the account.
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Own {
    UserAccountControl,
    PwdLastSet,
    AccountExpires,
    LockoutTime,
    LogonHours,
    UserWorkstations,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counter {
    BadPwdCount,
    BadPasswordTime,
    LastLogon,
    LastLogonTimestamp,
}

fn rule(name: &str) -> Rule {
    match name {
        "userAccountControl" => Rule::Own(Own::UserAccountControl),
        "pwdLastSet" => Rule::Own(Own::PwdLastSet),
        "accountExpires" => Rule::Own(Own::AccountExpires),
        "lockoutTime" => Rule::Own(Own::LockoutTime),
        "logonHours" => Rule::Own(Own::LogonHours),
        "userWorkstations" => Rule::Own(Own::UserWorkstations),
        "badPwdCount" => Rule::Counter(Counter::BadPwdCount),
        "badPasswordTime" => Rule::Counter(Counter::BadPasswordTime),
        "lastLogon" => Rule::Counter(Counter::LastLogon),
        "lastLogonTimestamp" => Rule::Counter(Counter::LastLogonTimestamp),
        "cn" | "name" => Rule::Naming,
        // Also some that are computed: those that the schema has as the system's own (systemOnly, measured).
        "objectGUID"
        | "whenCreated"
        | "whenChanged"
        | "uSNCreated"
        | "uSNChanged"
        | "canonicalName"
        | "createTimeStamp"
        | "modifyTimeStamp"
        | "subSchemaSubEntry"
        | "primaryGroupToken"
        | "msDS-KeyVersionNumber"
        | "isDeleted"
        | "instanceType"
        | "distinguishedName" => Rule::System,
        name if schema::find(name).is_some_and(|known| known.constructed) => Rule::Constructed,
        "memberOf" | "directReports" | "msDS-PSOApplied" => Rule::Linked,
        "objectSid" | "sAMAccountType" => Rule::Identity,
        "member"
        | "dc"
        | "groupType"
        | "nCName"
        | "dnsRoot"
        | "nETBIOSName"
        | "uPNSuffixes"
        | "lockoutDuration"
        | "lockOutObservationWindow"
        | "lockoutThreshold"
        | "maxPwdAge"
        | "minPwdAge"
        | "minPwdLength"
        | "pwdProperties"
        | "pwdHistoryLength"
        | "msDS-PSOAppliesTo" => Rule::Foreign,
        name if name.starts_with("msDS-") => Rule::Foreign,
        "objectClass" | "objectCategory" | "ou" | "primaryGroupID" | "systemFlags" => Rule::Configured,
        _ => Rule::Other,
    }
}

/// What a request comes to, value by value.
#[derive(Debug, Default)]
pub(super) struct Edits {
    own: Vec<Edit>,
    /// Those that no bind looks at. Their names are free.
    pub(super) others: Others,
}

#[derive(Debug)]
enum Edit {
    UserAccountControl(u32),
    /// Zero: the password must be changed; else it counts as set now.
    MustChange(bool),
    AccountExpires(FileTime),
    Unlock,
    LockoutTime(FileTime),
    LogonHours(Option<[u8; 21]>),
    UserWorkstations(Option<String>),
    Counter(Counter, i64),
}

impl Edits {
    /// Makes the changes. Who ends a lock clears the count, also one that the same request writes, before or after
    /// (measured).
    pub(super) fn apply(&self, state: &mut AccountState, now: FileTime) {
        let (last, first): (Vec<_>, Vec<_>) = self.own.iter().partition(|edit| matches!(edit, Edit::Unlock));
        for edit in first.into_iter().chain(last) {
            edit.apply(state, now);
        }
    }
}

impl Edit {
    fn apply(&self, state: &mut AccountState, now: FileTime) {
        match self {
            Self::UserAccountControl(bits) => {
                let set = bits & !state.shared.user_account_control;
                if set & UAC_SMARTCARD_REQUIRED != 0 {
                    // The directory makes up a password, and knows no earlier one either (measured).
                    state.credentials.passwords = Passwords::unknown();
                }
                state.shared.user_account_control = *bits;
            }
            Self::MustChange(true) => state.credentials.pwd_last_set = FileTime::ZERO,
            // One that need not be changed stays as old as it is (measured).
            Self::MustChange(false) if state.credentials.pwd_last_set == FileTime::ZERO => {
                state.credentials.pwd_last_set = now;
            }
            Self::MustChange(false) => {}
            Self::AccountExpires(at) => state.shared.account_expires = *at,
            Self::Unlock => state.unlock(),
            Self::LockoutTime(at) => state.shared.lockout_time = Some(*at),
            Self::LogonHours(hours) => state.shared.logon_hours = hours.map(Box::new),
            Self::UserWorkstations(names) => state.shared.user_workstations = names.as_deref().map(Box::from),
            Self::Counter(Counter::BadPwdCount, number) => state.counters.bad_pwd_count = *number as u32,
            Self::Counter(Counter::BadPasswordTime, at) => state.counters.bad_password_time = FileTime(*at),
            Self::Counter(Counter::LastLogon, at) => state.counters.last_logon = FileTime(*at),
            Self::Counter(Counter::LastLogonTimestamp, at) => {
                state.shared.last_logon_timestamp = Some(FileTime(*at));
            }
        }
    }
}

/// Reads the changes of all attributes but the password.
///
/// # Errors
/// The first [`Refusal`]: what cannot be written goes before what does not fit, and that before what is not there.
pub(super) fn edits(domain: &Domain, asked: Asked, target: ObjectId, changes: &[&Known<'_>]) -> Result<Edits, Refusal> {
    let place = |change: &Known<'_>| Place::new(change.written, domain.dn_text(target));
    let windows_keeps = domain.dialect().keeps_counters();
    for change in changes {
        match rule(change.name) {
            Rule::Naming => return Err(Refusal::Naming(place(change))),
            Rule::Constructed => return Err(Refusal::Constructed(place(change))),
            Rule::System => return Err(Refusal::System(place(change))),
            Rule::Linked => return Err(Refusal::Linked(place(change))),
            Rule::Foreign => return Err(Refusal::NotOfClass(place(change))),
            Rule::Identity => return Err(Refusal::Identity(place(change))),
            Rule::Counter(_) if windows_keeps => return Err(Refusal::Identity(place(change))),
            Rule::Configured => return Err(Refusal::Configured),
            Rule::Own(_) | Rule::Counter(_) | Rule::Other => {}
        }
        if change.values.iter().any(|value| !fits(change.name, value)) {
            return Err(Refusal::InvalidValue(place(change)));
        }
    }
    // Before it is looked at whether there is anything to delete (measured).
    let kept: HashSet<_> = changes
        .iter()
        .filter(|change| change.kind != Kind::Delete)
        .map(|change| change.name)
        .collect();
    if let Some(change) = changes
        .iter()
        .find(|own| is_undeletable(own.name) && !kept.contains(own.name))
    {
        return Err(Refusal::Undeletable(place(change)));
    }
    let present = domain.attributes(asked.dc, target, asked.now);
    let mut written: Vec<(&Known<'_>, Values)> = Vec::new();
    for change in changes {
        let at = written.iter().position(|(own, _)| own.name == change.name);
        let at = at.unwrap_or_else(|| {
            written.push((change, values_of(&present, change.name)));
            written.len() - 1
        });
        let values = &mut written[at].1;
        let has_one = schema::find(change.name).is_some_and(|known| known.single) && values.count() > 0;
        if asked.permissive && change.kind == Kind::Add && has_one && domain.dialect().adds_no_single_value_again() {
            return Err(Refusal::SingleValued(place(change)));
        }
        values.apply(change, asked.permissive, || place(change))?;
    }
    if let Some(change) = first_too_many(domain, &present, &written) {
        return Err(Refusal::TooManyValues(place(change)));
    }
    let kind = domain.state(asked.dc, target, asked.now).shared.user_account_control & KINDS_OF_ACCOUNT;
    let mut edits = Edits::default();
    for (change, values) in &written {
        let place = || place(change);
        let values = values.list();
        if rule(change.name) == Rule::Other {
            other(domain, change, values, &mut edits.others, place)?;
        } else {
            edits.own.push(edit(domain, change, &values, kind, place)?);
        }
    }
    domain.check_edits(target, &edits.others).map_err(taken)?;
    Ok(edits)
}

/// The first attribute that gets more values, where the object then has more than one may have: those of all its
/// attributes that have several and are no links count together. Taking some away is always possible.
fn first_too_many<'a>(
    domain: &Domain,
    present: &[Attribute],
    written: &[(&'a Known<'a>, Values)],
) -> Option<&'a Known<'a>> {
    let counts = |name: &str| schema::find(name).is_some_and(|known| !known.single && known.syntax != Syntax::Dn);
    let before = |name: &str| {
        let own = present.iter().find(|own| own.name == name);
        own.map_or(0, |own| own.values.len())
    };
    let is_written = |name: &str| written.iter().any(|(change, _)| change.name == name);
    let kept = present
        .iter()
        .filter(|own| rule(own.name) == Rule::Other && counts(own.name) && !is_written(own.name));
    let written = written.iter().filter(|(change, _)| counts(change.name));
    let all =
        kept.map(|own| own.values.len()).sum::<usize>() + written.clone().map(|(_, own)| own.count()).sum::<usize>();
    written
        .filter(|_| all > domain.dialect().most_values())
        .find(|(change, values)| values.count() > before(change.name))
        .map(|(change, _)| *change)
}

/// Reads the values of an attribute that no bind looks at.
fn other(
    domain: &Domain,
    change: &Known<'_>,
    values: Vec<Vec<u8>>,
    edits: &mut Others,
    place: impl Fn() -> Place,
) -> Result<(), Refusal> {
    // The schema allows several, and accounts have one (measured).
    if change.name == "description" && values.len() > 1 {
        return Err(Refusal::SingleValued(place()));
    }
    let is_name = schema::known(change.name).is_some_and(|(_, syntax)| syntax == Syntax::Dn);
    let names_nothing = |value: &Vec<u8>| {
        let name = std::str::from_utf8(value).ok();
        name.is_some_and(|name| domain.find_name(name) == Ok(None))
    };
    if is_name && values.iter().any(names_nothing) {
        return Err(Refusal::NoSuchReference(place()));
    }
    edits.attribute(change.name, values).map_err(|error| match error {
        EditError::Syntax(_) | EditError::Length(_) => Refusal::InvalidValue(place()),
        EditError::SingleValued => Refusal::SingleValued(place()),
        EditError::Twice => Refusal::GivenTwice(place()),
        EditError::Required => Refusal::Required(place()),
        EditError::Unknown | EditError::Fixed(_) | EditError::Taken { .. } => Refusal::Configured,
    })
}

/// A name that somebody else has.
pub(super) fn taken((attribute, error): (&'static str, EditError)) -> Refusal {
    match error {
        EditError::Taken { name, .. } if attribute == "userPrincipalName" => Refusal::PrincipalNameTaken { name },
        EditError::Taken { name, .. } => Refusal::AccountNameTaken { name },
        _ => Refusal::Configured,
    }
}

fn values_of(present: &[Attribute], name: &str) -> Values {
    let present = present.iter().filter(|attribute| attribute.name == name);
    let syntax = schema::known(name).map_or(Syntax::Text, |(_, syntax)| syntax);
    Values::new(present.flat_map(|attribute| &attribute.values), syntax)
}

/// Whether an account always has it; it is set to zero instead.
fn is_undeletable(name: &str) -> bool {
    matches!(
        rule(name),
        Rule::Own(Own::UserAccountControl | Own::PwdLastSet | Own::LockoutTime)
    )
}

/// Whether a value has its attribute's syntax.
fn fits(name: &str, value: &[u8]) -> bool {
    match rule(name) {
        Rule::Own(Own::LogonHours) => value.len() == 21,
        // In letters, rangeUpper (MS-ADA3, and measured).
        Rule::Own(Own::UserWorkstations) => {
            std::str::from_utf8(value).is_ok_and(|text| text.encode_utf16().count() <= 1024)
        }
        Rule::Other => true,
        _ => number(value).is_some(),
    }
}

/// A decimal number, blanks before it and zeros in front allowed (measured).
fn number(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok()?.trim_start().parse().ok()
}

fn edit(
    domain: &Domain,
    change: &Known<'_>,
    values: &[Vec<u8>],
    kind: u32,
    place: impl Fn() -> Place,
) -> Result<Edit, Refusal> {
    let dialect = domain.dialect();
    let rule = rule(change.name);
    let value = match values {
        [] => None,
        [only] => Some(only),
        _ => return Err(Refusal::SingleValued(place())),
    };
    let numeric = || match value {
        Some(value) => number(value).ok_or_else(|| Refusal::InvalidValue(place())),
        None if is_undeletable(change.name) => Err(Refusal::Undeletable(place())),
        None => Err(Refusal::Required(place())),
    };
    Ok(match rule {
        Rule::Own(Own::UserAccountControl) => Edit::UserAccountControl(control(numeric()?, kind)?),
        Rule::Own(Own::PwdLastSet) => match numeric()? {
            0 => Edit::MustChange(true),
            -1 => Edit::MustChange(false),
            _ => return Err(Refusal::PwdLastSet),
        },
        Rule::Own(Own::AccountExpires) => Edit::AccountExpires(FileTime(numeric()?)),
        Rule::Own(Own::LockoutTime) => match numeric()? {
            0 => Edit::Unlock,
            _ if dialect.locks_by_itself_alone() => return Err(Refusal::LockoutTime),
            at => Edit::LockoutTime(FileTime(at)),
        },
        Rule::Own(Own::LogonHours) => Edit::LogonHours(match value {
            Some(value) => Some(
                value
                    .as_slice()
                    .try_into()
                    .map_err(|_| Refusal::InvalidValue(place()))?,
            ),
            None => None,
        }),
        Rule::Own(Own::UserWorkstations) => {
            Edit::UserWorkstations(value.map(|value| String::from_utf8_lossy(value).into_owned()))
        }
        Rule::Counter(counter) => Edit::Counter(counter, numeric()?),
        _ => return Err(Refusal::Configured),
    })
}

/// What is kept of a userAccountControl that is written to an account of this kind.
fn control(written: i64, kind: u32) -> Result<u32, Refusal> {
    // What goes beyond 32 bits is cut off (measured).
    let bits = written as u32 & !DROPPED;
    match bits & KINDS_OF_ACCOUNT {
        _ if bits & READ_ONLY_CONTROLLER != 0 => Err(Refusal::Configured),
        0 => Ok(bits | kind),
        written if written == kind => Ok(bits),
        _ => Err(Refusal::Configured),
    }
}
