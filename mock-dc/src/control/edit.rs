//! What a `PATCH` of an account asks for: read as a whole before anything is changed.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::domain::attributes::logon_hours;
use crate::domain::edit::{EditError, Edits};
use crate::domain::hex;
use crate::domain::nt_hash::NtHash;
use crate::domain::schema::{self, Syntax};

/// Reads every member: LDAP attributes, `locked`, `password`.
///
/// # Errors
/// Names the member that is unknown, that nobody changes, or whose value does not fit.
pub(super) fn read(members: Map<String, Value>) -> Result<Edits, String> {
    let mut edits = Edits::default();
    let mut named = BTreeSet::new();
    for (name, value) in members {
        // Which of two would hold is nobody's to guess; JSON's own doubles never come this far.
        if let Some((known, _)) = schema::known(&name).filter(|(known, _)| !named.insert(*known)) {
            return Err(format!("`{known}` is there twice, written in two ways"));
        }
        match (name.as_str(), value) {
            ("password", Value::String(text)) if !text.is_empty() => {
                edits.password(NtHash::of(&Zeroizing::new(text)));
            }
            ("password", _) => return Err("password: must be a text that is not empty".to_owned()),
            ("locked", Value::Bool(locked)) => edits.locked(locked),
            ("locked", _) => return Err("locked: must be true or false".to_owned()),
            (name, _) if schema::known(name).is_none() => {
                let hint = hint(name).map_or(String::new(), |hint| format!("; {hint}"));
                return Err(format!("`{name}` {}{hint}", EditError::Unknown));
            }
            (name, value) => {
                let values = values(name, value).map_err(|problem| format!("{name}: {problem}"))?;
                edits
                    .attribute(name, values)
                    .map_err(|problem| format!("`{name}` {problem}"))?;
            }
        }
    }
    Ok(edits)
}

/// What somebody has in mind who writes a member of the configuration, or the like.
fn hint(name: &str) -> Option<&'static str> {
    match name {
        "disabled" | "enabled" => Some("userAccountControl 514 disables an account and 512 enables it"),
        "lock" | "unlock" | "unlocked" => Some("locked, true or false, locks and unlocks"),
        "must_change" => Some("pwdLastSet 0 asks for a new password"),
        "password_expired" | "expired" => Some("pwdLastSet, or the clock, lets a password expire"),
        "account_expires" => Some("it is written accountExpires"),
        _ => None,
    }
}

/// A text, a number, or an array of them; `null` and an empty array take the attribute away.
fn values(name: &str, value: Value) -> Result<Vec<Vec<u8>>, &'static str> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(values) => values.into_iter().map(|value| one(name, value)).collect(),
        // As an account without any is shown to have none.
        Value::String(text) if text.is_empty() => Ok(Vec::new()),
        value => Ok(vec![one(name, value)?]),
    }
}

fn one(name: &str, value: Value) -> Result<Vec<u8>, &'static str> {
    let is_bytes = matches!(schema::known(name), Some((_, Syntax::Octets)));
    match value {
        Value::String(text) if name.eq_ignore_ascii_case("logonHours") => logon_hours(&text)
            .map(|hours| hours.to_vec())
            .ok_or("must be 42 hexadecimal digits, or null"),
        Value::String(text) if is_bytes => hex::decode(&text).ok_or("must be bytes as hexadecimal digits, or null"),
        Value::String(text) => Ok(text.into_bytes()),
        Value::Number(number) if number.is_i64() && !is_bytes => Ok(number.to_string().into_bytes()),
        _ => Err("must be a text, an integer, an array of them, or null"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn edits(value: Value) -> Result<Edits, String> {
        read(value.as_object().expect("an object").clone())
    }

    #[test]
    fn numbers_and_decimal_texts_mean_the_same() {
        assert_eq!(
            edits(json!({"badPwdCount": 2, "accountExpires": 5})).unwrap(),
            edits(json!({"badPwdCount": "2", "accountExpires": "5"})).unwrap()
        );
        assert_eq!(edits(json!({"description": "a"})), edits(json!({"DESCRIPTION": ["a"]})));
        assert_eq!(edits(json!({"description": null})), edits(json!({"description": []})));
    }

    #[test]
    fn a_member_that_does_not_fit_is_named() {
        for (value, told) in [
            (json!({"objectSid": "x"}), "`objectSid` cannot be changed: it follows"),
            (
                json!({"memberOf": "x"}),
                "`memberOf` cannot be changed: it is the other side of the groups' `member`",
            ),
            (json!({"favouriteColour": 1}), "`favouriteColour` is not an attribute"),
            (
                json!({"favouriteColour": true}),
                "`favouriteColour` is not an attribute",
            ),
            (
                json!({"disabled": true}),
                "`disabled` is not an attribute that this directory knows; userAccountControl 514",
            ),
            (json!({"badPwdCount": -1}), "`badPwdCount` must be"),
            (json!({"lockoutTime": "soon"}), "`lockoutTime` must be an integer"),
            (json!({"pwdLastSet": -2}), "`pwdLastSet` must be"),
            (json!({"pwdLastSet": 1.5}), "pwdLastSet: must be"),
            (json!({"password": ""}), "password: "),
            (json!({"locked": "yes"}), "locked: "),
            (json!({"logonHours": "ff"}), "logonHours: must be 42"),
            (json!({"thumbnailPhoto": "f"}), "thumbnailPhoto: must be bytes"),
            (json!({"sAMAccountName": null}), "`sAMAccountName` cannot be taken away"),
            (
                json!({"sAMAccountName": "a@b"}),
                "`sAMAccountName` must be a name without",
            ),
            (json!({"givenName": ["a", "b"]}), "`givenName` has one value"),
            (json!({"description": ["a", "A"]}), "`description` has a value twice"),
            (json!({"initials": "seven77"}), "`initials` must have 1 to 6 letters"),
            (
                json!({"userAccountControl": 0x1200}),
                "`userAccountControl` must be of one kind",
            ),
            (json!({"mail": "a@b", "MAIL": "c@d"}), "`mail` is there twice"),
        ] {
            let error = edits(value).unwrap_err();
            assert!(error.starts_with(told), "{error}");
        }
    }
}
