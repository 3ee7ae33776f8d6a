//! Changing an object over LDAP: what a modify request means, whether somebody may ask for it, and that either all of it
//! happens or nothing. No socket and no clock in here.
//!
//! Accounts can be changed, their passwords above all. Which objects there are, and who is in which group, is the
//! configuration's.

mod attributes;
mod password;
pub mod refusal;
pub(crate) mod rights;
mod values;

use crate::domain::Domain;
use crate::domain::controllers::DcId;
use crate::domain::filetime::FileTime;
use crate::domain::object::ObjectId;
use crate::domain::schema;
use refusal::Refusal;

/// One change of a request.
#[derive(Clone, Copy)]
pub struct Change<'a> {
    /// 0 add, 1 delete, 2 replace; LDAP has no other that AD knows (RFC 4511 4.6).
    pub kind: i32,
    /// The attribute, as it was written.
    pub attribute: &'a str,
    /// Its values, which may be a password.
    pub values: &'a [&'a [u8]],
}

/// Who asks, and of whom.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// Who is signed in.
    pub by: ObjectId,
    /// The controller.
    pub dc: DcId,
    /// Whether the connection is encrypted.
    pub encrypted: bool,
    /// Whether to add what is there, and to delete what is not, is no error (MS-ADTS 3.1.1.3.4.1.8,
    /// LDAP_SERVER_PERMISSIVE_MODIFY_OID).
    pub permissive: bool,
    /// When.
    pub now: FileTime,
}

/// What a change does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Add,
    Delete,
    Replace,
}

/// A change whose attribute is known.
#[derive(Clone, Copy)]
struct Known<'a> {
    kind: Kind,
    /// As the schema writes it.
    name: &'static str,
    /// As the request wrote it.
    written: &'a str,
    values: &'a [&'a [u8]],
}

/// Carries out a request: all of it, or none. The caller lets no other change of names happen meanwhile.
///
/// # Errors
/// The first [`Refusal`], in the order in which Samba was measured to look: the request's form, rights, values, and the
/// password last. What may have changed then is the count of wrong passwords alone.
pub fn carry_out(domain: &Domain, asked: Asked, name: &[u8], changes: &[Change<'_>]) -> Result<(), Refusal> {
    let dialect = domain.dialect();
    let kinds: Option<Vec<_>> = changes.iter().map(|change| kind(change.kind)).collect();
    let kinds = kinds.ok_or(Refusal::NoSuchKind)?;
    let name = std::str::from_utf8(name).map_err(|_| Refusal::BadName)?;
    if name.is_empty() {
        return Err(Refusal::RootDse);
    }
    let target = domain.find_name(name).map_err(|_| Refusal::BadName)?;
    if changes.is_empty() {
        return Err(Refusal::NothingToChange);
    }
    let target = target.ok_or_else(|| Refusal::NoSuchObject {
        name: name.to_owned(),
        best_match: domain.best_match(name).map(|id| domain.dn_text(id)).unwrap_or_default(),
    })?;
    let at = |change: &Change<'_>| refusal::Place::new(change.attribute, domain.dn_text(target));
    if let Some(empty) = changes
        .iter()
        .find(|change| change.values.iter().any(|value| value.is_empty()))
    {
        return Err(Refusal::EmptyValue(at(empty)));
    }
    let mut known = Vec::with_capacity(changes.len());
    for (change, kind) in changes.iter().zip(kinds) {
        let name = match schema::known(change.attribute) {
            Some((name, _)) => name,
            // It is never shown, and no filter finds it.
            None if change.attribute.eq_ignore_ascii_case(password::ATTRIBUTE) => password::ATTRIBUTE,
            None => return Err(Refusal::UnknownAttribute(at(change))),
        };
        known.push(Known {
            kind,
            name,
            written: change.attribute,
            values: change.values,
        });
    }
    let (passwords, others): (Vec<_>, Vec<_>) = known.iter().partition(|change| change.name == password::ATTRIBUTE);
    if !passwords.is_empty() && !asked.encrypted && dialect.encrypts_passwords() {
        return Err(Refusal::NotEncrypted);
    }
    rights::check(domain, asked.by, target, &known)?;
    if !domain.is_account(target) {
        return Err(Refusal::Configured);
    }
    let password = password::read(&passwords)?;
    let edits = attributes::edits(domain, asked, target, &others)?;
    let write = |state: &mut _| edits.apply(state, asked.now);
    match &password {
        None => {
            domain.change(asked.dc, target, asked.now, |state| {
                let before = state.clone();
                write(state);
                // What is written as it was is no change to tell the others (measured).
                if !state.is_as(&before) {
                    state.shared.was_changed(asked.now, domain.next_usn());
                }
            });
        }
        Some(password) => domain
            .set_password((asked.dc, target), password, asked.now, write)
            .map_err(|refused| Refusal::Password {
                refused,
                is_change: password.is_change(),
            })?,
    }
    if edits.others.is_empty() {
        return Ok(());
    }
    let made = domain.edit(asked.dc, target, edits.others.clone(), asked.now);
    made.map_err(attributes::taken)
}

/// Why an object is not added, deleted or renamed.
pub fn refuse_objects(domain: &Domain, by: ObjectId) -> Refusal {
    if rights::is_administrator(domain, by) {
        Refusal::Configured
    } else {
        Refusal::NoRightToObjects
    }
}

fn kind(number: i32) -> Option<Kind> {
    match number {
        0 => Some(Kind::Add),
        1 => Some(Kind::Delete),
        2 => Some(Kind::Replace),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
