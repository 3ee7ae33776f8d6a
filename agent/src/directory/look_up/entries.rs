//! The searches for accounts, and what their answers mean. No socket and no clock in here.
//!
//! What is found is a DN that a user's password is sent with, so an entry whose DN would make that bind an anonymous
//! one, or another name's, is refused.

use postern_protocol::Subject;

use crate::config::could_be_dn;
use crate::directory::connection::{Found, ReadError};
use postern_ldap::client::{Entry, Filter, Scope, Search};

/// One match is what is needed, and two show that there is not exactly one.
const SIZE_LIMIT: usize = 2;

/// The subject: Active Directory's, then what others have in its place; and by what an account is known to be the one
/// that asks.
const ATTRIBUTES: [&str; 4] = ["objectGUID", "entryUUID", "userPrincipalName", "sAMAccountName"];

/// Why nobody can be looked up where nothing says among whom.
pub(in crate::directory) const NO_BASE: &str =
    "its RootDSE does not say below which DN accounts are; set directory.look_up.base";

/// What to do where nobody is seen.
pub(crate) const SIGHT_ADVICE: &str = "give the service account the right to read accounts and that attribute (an anonymous look-up: configure \
     directory.look_up.account); is directory.look_up.base above them, and do they have the attribute that \
     directory.alternate_id.attribute or directory.look_up.attribute names?";

/// Nobody is seen, whoever is asked for.
pub(crate) fn sees_nobody(attribute: &str) -> String {
    format!("nobody is shown who has the attribute {attribute}")
}

/// The search for the account below `base` whose `attribute` has `value`.
pub(in crate::directory) fn search(base: &str, active_directory: bool, attribute: &str, value: &str) -> Search {
    let value = Filter::Equality(attribute.to_owned(), value.to_owned());
    among_accounts(base, active_directory, value)
}

/// A search for somebody below `base` who has `attribute`, in all else like [`search`].
pub(in crate::directory) fn anybody(base: &str, active_directory: bool, attribute: &str) -> Search {
    // The account that asks may be one of the two.
    among_accounts(base, active_directory, Filter::Present(attribute.to_owned()))
}

/// Whether the account `dn` still shows that it has `attribute`: [`anybody`] where somebody was seen before, so that
/// no directory is large for it.
pub(in crate::directory) fn witness(dn: &str, active_directory: bool, attribute: &str) -> Search {
    Search {
        scope: Scope::Base,
        ..anybody(dn, active_directory, attribute)
    }
}

fn among_accounts(base: &str, active_directory: bool, which: Filter) -> Search {
    let equal = |attribute: &str, value: &str| Filter::Equality(attribute.to_owned(), value.to_owned());
    let filter = if active_directory {
        // Computers are users, too, and contacts are persons.
        let person = equal("objectCategory", "person");
        Filter::And(vec![person, equal("objectClass", "user"), which])
    } else {
        which
    };
    Search {
        base: base.to_owned(),
        scope: Scope::Subtree,
        filter,
        attributes: ATTRIBUTES.map(str::to_owned).to_vec(),
        size_limit: SIZE_LIMIT,
    }
}

/// What the entries found mean.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Match {
    One { dn: String, subject: Option<Subject> },
    None,
    Several,
    Unusable,
}

pub(in crate::directory) fn judge(found: Found) -> Match {
    let mut entries = found.entries.into_iter();
    match (entries.next(), entries.next(), found.more) {
        (None, None, false) => Match::None,
        // An anonymous bind, or a bind by another kind of name, would follow.
        (Some(entry), None, false) if !could_be_dn(&entry.dn) => Match::Unusable,
        (Some(entry), None, false) => Match::One {
            subject: subject(&entry),
            dn: entry.dn,
        },
        _ => Match::Several,
    }
}

fn subject(entry: &Entry) -> Option<Subject> {
    let object_guid = match entry.values("objectGUID") {
        [only] => <[u8; 16]>::try_from(only.as_slice()).ok(),
        _ => None,
    };
    let text = |attribute: &str| {
        let mut values = entry.texts(attribute);
        let first = values.next().map(str::to_owned);
        first.filter(|_| values.next().is_none())
    };
    let subject = Subject {
        entry_uuid: text("entryUUID").filter(|_| object_guid.is_none()),
        object_guid,
        upn: text("userPrincipalName"),
    };
    subject.checked().ok()
}

/// Somebody other than `account` itself: most directories show everybody their own entry, whatever else they hide.
pub(in crate::directory) fn somebody_else(found: &Found, account: Option<&str>) -> Option<String> {
    let is_itself = |entry: &Entry| account.is_some_and(|account| is(entry, account));
    let mut others = found.entries.iter().filter(|entry| !is_itself(entry));
    others
        .find(|entry| could_be_dn(&entry.dn))
        .map(|entry| entry.dn.clone())
}

/// Whether `entry` is the account that binds as `name`: a DN, a UPN or `DOMAIN\name`.
fn is(entry: &Entry, name: &str) -> bool {
    let short = name.split_once('\\').map(|(_, name)| name);
    let short = short.or(name.split_once('@').map(|(name, _)| name));
    let has = |attribute, name: &str| {
        let mut texts = entry.texts(attribute);
        texts.any(|text| text.to_lowercase() == name.to_lowercase())
    };
    plain(&entry.dn) == plain(name)
        || has("userPrincipalName", name)
        || short.is_some_and(|short| has("sAMAccountName", short))
}

/// A DN as it can be compared: case, blanks around separators and what is escaped, and how, are written as one likes
/// (RFC 4514, section 2.4). Too much may be equal, which costs a witness; never too little.
fn plain(dn: &str) -> Vec<Vec<u8>> {
    let lower = dn.to_lowercase();
    let mut parts = vec![Vec::new()];
    let mut rest = lower.as_bytes();
    while let [first, after @ ..] = rest {
        let (byte, after) = match (first, after) {
            (b',' | b'=', after) => {
                parts.push(Vec::new());
                rest = after;
                continue;
            }
            (b'\\', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16).unwrap_or_default() as u8;
                ((digit(high) << 4 | digit(low)).to_ascii_lowercase(), after)
            }
            (b'\\', [next, after @ ..]) => (*next, after),
            (byte, after) => (*byte, after),
        };
        if let Some(part) = parts.last_mut() {
            part.push(byte);
        }
        rest = after;
    }
    parts.iter().map(|part| part.trim_ascii().to_vec()).collect()
}

/// Whether a refusal says that the search would have taken too long, and nothing of the rights to it: time limit,
/// administrative limit, unwilling to search without an index.
pub(super) fn is_of_limits(error: &ReadError) -> bool {
    matches!(error, ReadError::Refused(result) if matches!(result.code, 3 | 11 | 53))
}

/// What a refusal means and what to do.
pub(in crate::directory) fn explain(error: &ReadError) -> String {
    /// RFC 4511, section 4.1.9.
    mod code {
        pub(super) const OPERATIONS_ERROR: u32 = 1;
        pub(super) const REFERRAL: u32 = 10;
        pub(super) const NO_SUCH_OBJECT: u32 = 32;
        pub(super) const INVALID_DN: u32 = 34;
        pub(super) const NO_ACCESS: u32 = 50;
    }
    let advice = match error {
        ReadError::Refused(result) => match result.code {
            code::OPERATIONS_ERROR => {
                "; Active Directory answers so to who has not bound: set directory.look_up.account"
            }
            code::REFERRAL | code::NO_SUCH_OBJECT | code::INVALID_DN => {
                "; it does not hold the base: set directory.look_up.base to a DN that it has"
            }
            code::NO_ACCESS => "; give the service account the right to read accounts",
            _ => "",
        },
        ReadError::Unanswered(_) => "",
    };
    format!("{error}{advice}")
}

#[cfg(test)]
mod tests;
