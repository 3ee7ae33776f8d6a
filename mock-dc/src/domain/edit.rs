//! Changes of an account's attributes: read and checked as a whole, then made as a whole.
//!
//! A change names an attribute and gives its new values as LDAP would carry them; no values take it away. What may be
//! changed at all, and by whom, differs between the control interface and LDAP; that is theirs to ask.

mod constraints;

use super::Domain;
use super::account::{AccountState, UAC_COMPUTED_LOCKED, UAC_COMPUTED_PASSWORD_EXPIRED, UAC_SMARTCARD_REQUIRED};
use super::attributes::Attribute;
use super::controllers::DcId;
use super::filetime::FileTime;
use super::fold::fold;
use super::nt_hash::NtHash;
use super::object::ObjectId;
use super::overlay::Overlay;
use super::passwords::Passwords;
use super::policy::Policy;
use super::schema::{self, Syntax};
use super::tree::Key;
use constraints::Fixed;

/// Why an attribute was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The schema has no such attribute.
    #[error("is not an attribute that this directory knows")]
    Unknown,
    /// The directory keeps it, or computes it.
    #[error("cannot be changed: {0}")]
    Fixed(&'static str),
    /// A value is not of the attribute's syntax.
    #[error("must be {0}")]
    Syntax(&'static str),
    /// A text is longer than the schema allows, in letters.
    #[error("must have 1 to {0} letters")]
    Length(usize),
    /// More than one value was given for an attribute that has one.
    #[error("has one value")]
    SingleValued,
    /// One value was given twice.
    #[error("has a value twice")]
    Twice,
    /// An account cannot be without it.
    #[error("cannot be taken away")]
    Required,
    /// Another object has the name.
    #[error("{name:?} is taken by {by}")]
    Taken {
        /// The name.
        name: String,
        /// Distinguished name of the one that has it.
        by: String,
    },
}

/// One change, read.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Edit {
    Password(NtHash),
    Locked(bool),
    UserAccountControl(u32),
    PwdLastSet(FileTime),
    PwdLastSetNow,
    AccountExpires(FileTime),
    BadPwdCount(u32),
    BadPasswordTime(FileTime),
    LockoutTime(FileTime),
    LastLogon(FileTime),
    LastLogonTimestamp(Option<FileTime>),
    LogonHours(Option<Box<[u8; 21]>>),
    UserWorkstations(Option<Box<str>>),
    /// One that no bind looks at, except to find the account.
    Other(Attribute),
}

/// Changes of one account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edits(Vec<Edit>);

impl Edits {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A reset of the password.
    pub fn password(&mut self, hash: NtHash) {
        self.0.push(Edit::Password(hash));
    }

    /// A lock from now on, or the end of one with all that was counted.
    pub fn locked(&mut self, locked: bool) {
        self.0.push(Edit::Locked(locked));
    }

    /// The one attribute that was given, where no bind reads it except to find the account.
    pub(super) fn into_other(mut self) -> Option<Attribute> {
        match (self.0.pop(), self.0.is_empty()) {
            (Some(Edit::Other(attribute)), true) => Some(attribute),
            _ => None,
        }
    }

    /// New values of an attribute; none take it away.
    ///
    /// # Errors
    /// [`EditError`]; nothing is added then.
    pub fn attribute(&mut self, name: &str, values: Vec<Vec<u8>>) -> Result<(), EditError> {
        let (name, syntax) = schema::known(name).ok_or(EditError::Unknown)?;
        if let Some(Fixed(reason)) = constraints::fixed(name) {
            return Err(EditError::Fixed(reason));
        }
        if values.len() > 1 && !schema::is_multi_valued(name) {
            return Err(EditError::SingleValued);
        }
        let mut seen: Vec<_> = values
            .iter()
            .map(|value| fold(&String::from_utf8_lossy(value)))
            .collect();
        seen.sort_unstable();
        if seen.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(EditError::Twice);
        }
        for value in &values {
            constraints::check(name, syntax, value)?;
        }
        self.0.push(read(name, syntax, values)?);
        Ok(())
    }
}

fn read(name: &'static str, syntax: Syntax, values: Vec<Vec<u8>>) -> Result<Edit, EditError> {
    let first = values.first();
    let text = || first.map(|value| String::from_utf8_lossy(value).into_owned());
    let number = || text().and_then(|text| text.parse::<i64>().ok());
    let required = || number().ok_or(EditError::Required);
    let time = |number: i64| match number {
        0.. => Ok(FileTime(number)),
        _ => Err(EditError::Syntax("a moment in FILETIME's ticks, not negative")),
    };
    let small = |number: i64| u32::try_from(number).map_err(|_| EditError::Syntax("from 0 to 4294967295"));
    Ok(match name {
        "userAccountControl" => Edit::UserAccountControl(constraints::account_control(required()?)?),
        // As over LDAP, -1 means now.
        "pwdLastSet" if number() == Some(-1) => Edit::PwdLastSetNow,
        "pwdLastSet" => Edit::PwdLastSet(time(required()?)?),
        "accountExpires" => Edit::AccountExpires(time(number().unwrap_or(FileTime::NEVER.0))?),
        "badPwdCount" => Edit::BadPwdCount(small(number().unwrap_or(0))?),
        "badPasswordTime" => Edit::BadPasswordTime(time(number().unwrap_or(0))?),
        "lockoutTime" => Edit::LockoutTime(time(number().unwrap_or(0))?),
        "lastLogon" => Edit::LastLogon(time(number().unwrap_or(0))?),
        "lastLogonTimestamp" => Edit::LastLogonTimestamp(number().map(time).transpose()?),
        "logonHours" => {
            let hours = first.map(|value| <[u8; 21]>::try_from(value.as_slice()));
            let hours = hours.transpose().map_err(|_| EditError::Syntax("21 bytes"))?;
            Edit::LogonHours(hours.map(Box::new))
        }
        "userWorkstations" => Edit::UserWorkstations(text().map(String::into_boxed_str)),
        "sAMAccountName" if first.is_none() => return Err(EditError::Required),
        name => Edit::Other(Attribute {
            range: None,
            name,
            syntax,
            values,
            on_request: false,
        }),
    })
}

impl Edit {
    fn apply(self, state: &mut AccountState, policy: &Policy, now: FileTime) {
        match self {
            Self::Password(hash) => {
                state.credentials.passwords.set(hash, policy.history as usize);
                state.credentials.pwd_last_set = now;
            }
            Self::Locked(true) => {
                state.shared.lockout_time = Some(now);
                state.counters.bad_pwd_count = state.counters.bad_pwd_count.max(policy.lockout.threshold);
                state.counters.bad_password_time = now;
            }
            // Writing lockoutTime 0 is how an administrator unlocks; it clears the count too.
            Self::Locked(false) | Self::LockoutTime(FileTime::ZERO) => state.unlock(),
            Self::LockoutTime(time) => state.shared.lockout_time = Some(time),
            Self::UserAccountControl(bits) => {
                let before = std::mem::replace(&mut state.shared.user_account_control, bits);
                if bits & !before & UAC_SMARTCARD_REQUIRED != 0 {
                    state.credentials.passwords = Passwords::unknown();
                }
            }
            Self::PwdLastSet(time) => state.credentials.pwd_last_set = time,
            Self::PwdLastSetNow => state.credentials.pwd_last_set = now,
            Self::AccountExpires(time) => state.shared.account_expires = time,
            Self::BadPwdCount(count) => state.counters.bad_pwd_count = count,
            Self::BadPasswordTime(time) => state.counters.bad_password_time = time,
            Self::LastLogon(time) => state.counters.last_logon = time,
            Self::LastLogonTimestamp(time) => state.shared.last_logon_timestamp = time,
            Self::LogonHours(hours) => state.shared.logon_hours = hours,
            Self::UserWorkstations(names) => state.shared.user_workstations = names,
            Self::Other(_) => {}
        }
    }
}

impl Domain {
    /// Whether names in the changes are free. All else was looked at when they were read, so that [`Domain::edit`] makes
    /// them after this.
    ///
    /// # Errors
    /// [`EditError`] with the attribute that it is about.
    pub fn check_edits(&self, id: ObjectId, edits: &Edits) -> Result<(), (&'static str, EditError)> {
        let others = edits.0.iter().filter_map(|edit| match edit {
            Edit::Other(attribute) => Some(attribute.clone()),
            _ => None,
        });
        self.check_names(&self.overlay, id, &others.collect::<Vec<_>>())
    }

    /// Makes all changes at a controller, or none. A new password is set now and a lock is written or ended first, so
    /// that attributes named beside them have the last word.
    ///
    /// The caller lets no other change of names happen meanwhile.
    ///
    /// # Errors
    /// [`EditError`] with the attribute that it is about.
    pub fn edit(&self, dc: DcId, id: ObjectId, edits: Edits, now: FileTime) -> Result<(), (&'static str, EditError)> {
        let (others, of_state): (Vec<_>, Vec<_>) = edits.0.into_iter().partition(|edit| matches!(edit, Edit::Other(_)));
        let others = others.into_iter().filter_map(|edit| match edit {
            Edit::Other(attribute) => Some(attribute),
            _ => None,
        });
        let mut others: Vec<_> = others.collect();
        if others.iter().any(|attribute| attribute.values.is_empty()) {
            // To take away what is not there changes nothing (measured).
            let present = self.attributes(dc, id, now);
            let is_there = |name| present.iter().any(|attribute| attribute.name == name);
            others.retain(|attribute| !attribute.values.is_empty() || is_there(attribute.name));
        }
        if others.is_empty() && of_state.is_empty() {
            return Ok(());
        }
        self.check_names(&self.overlay, id, &others)?;
        let policy = *self.policy_of(id);
        if !others.is_empty() {
            self.overlay.write(id, others);
            self.renamed();
        }
        self.change(dc, id, now, |state| {
            let (first, then): (Vec<_>, Vec<_>) = of_state.into_iter().partition(|edit| {
                matches!(
                    edit,
                    Edit::Password(_) | Edit::Locked(_) | Edit::LockoutTime(FileTime::ZERO)
                )
            });
            for edit in first.into_iter().chain(then) {
                edit.apply(state, &policy, now);
            }
            state.shared.was_changed(now, self.next_usn());
        });
        Ok(())
    }

    /// No two objects have one sAMAccountName, or one principal name, be it written or implied by a sAMAccountName
    /// (MS-ADTS 3.1.1.5.2.2; Samba was measured to refuse implied ones, too).
    pub(super) fn check_names(
        &self,
        overlay: &Overlay,
        id: ObjectId,
        edits: &[Attribute],
    ) -> Result<(), (&'static str, EditError)> {
        let find = |key, value: &str| overlay.find(key, value, self.structure.tree.find(key, value));
        let given = |name: &str| {
            let edit = edits.iter().find(|edit| edit.name == name)?;
            edit.shown().next().map(|value| (edit.name, value))
        };
        let taken = |attribute, name: &str, by: Option<ObjectId>| match by {
            None => Ok(()),
            Some(by) => Err((
                attribute,
                EditError::Taken {
                    name: name.to_owned(),
                    by: self.dn_text(by),
                },
            )),
        };
        let other = |found: Vec<ObjectId>| found.into_iter().find(|found| *found != id);
        if let Some((attribute, sam)) = given("sAMAccountName") {
            taken(attribute, &sam, other(find(Key::Sam, &sam)))?;
            let implied = format!("{sam}@{}", self.dns_name());
            taken(attribute, &implied, other(find(Key::Upn, &implied)))?;
        }
        if let Some((attribute, upn)) = given("userPrincipalName") {
            taken(attribute, &upn, other(find(Key::Upn, &upn)))?;
            let implied = upn
                .rsplit_once('@')
                .filter(|(_, suffix)| fold(suffix) == fold(self.dns_name()));
            if let Some((sam, _)) = implied {
                taken(attribute, &upn, other(find(Key::Sam, sam)))?;
            }
        }
        Ok(())
    }
}

/// What of userAccountControl is computed and stands in another attribute: written, it is ignored (MS-SAMR 3.1.1.8.10).
const NOT_STORED: u32 = UAC_COMPUTED_LOCKED | UAC_COMPUTED_PASSWORD_EXPIRED;

#[cfg(test)]
mod tests;
