//! The user name as typed: which realm it asks for, and whether it may reach a directory at all.
//!
//! Active Directory resolves many name forms (MS-ADTS section 5.1.1.1.1): distinguished names, GUIDs, SIDs, canonical
//! and display names among them. Only `x@suffix` and `NETBIOS\x` pass here, so that what was routed by its suffix is
//! also what the directory looks up. Relay and agent both check.

mod folding;

use std::fmt;

/// The longest user name that is taken, in bytes of UTF-8.
pub const MAX_USER_NAME_BYTES: usize = 1024;

/// Characters of the other name forms, of LDAP filters and of distinguished names.
const REFUSED: &str = "\"/[]:;|=,+*?<>{}";

/// A user name that names its realm: `x@suffix` or `NETBIOS\x`, surrounding white space removed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct UserName {
    text: String,
    form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Form {
    /// Byte position of the `@`.
    Suffix(usize),
    /// Byte position of the `\`.
    NetBios(usize),
}

/// What a user name is routed by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Route {
    /// The part after `@`, in lower case.
    Suffix(String),
    /// The part before `\`, in lower case.
    NetBios(String),
}

/// Why a text cannot be a user name. Does not quote it: what people type there is sometimes their password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UserNameError {
    /// Nothing but white space.
    #[error("the user name is empty")]
    Empty,
    /// More than [`MAX_USER_NAME_BYTES`].
    #[error("the user name is longer than {MAX_USER_NAME_BYTES} bytes")]
    TooLong,
    /// Neither `@` nor `\`, or an empty part beside it.
    #[error("the user name does not name its realm; write name@domain or DOMAIN\\name")]
    NoRealm,
    /// A control character, a character of other name forms, or a second `@` or `\`.
    #[error("the user name contains a character that is not allowed")]
    Character,
}

impl UserName {
    /// Reads a name as typed.
    ///
    /// # Errors
    /// [`UserNameError`].
    pub fn parse(typed: &str) -> Result<Self, UserNameError> {
        if typed.len() > MAX_USER_NAME_BYTES {
            return Err(UserNameError::TooLong);
        }
        let text = typed.trim();
        if text.is_empty() {
            return Err(UserNameError::Empty);
        }
        let refused = |c: char| c.is_control() || REFUSED.contains(c);
        if text.contains(refused) {
            return Err(UserNameError::Character);
        }
        let separators = || text.char_indices().filter(|(_, c)| matches!(c, '@' | '\\'));
        let (at, separator) = separators().next().ok_or(UserNameError::NoRealm)?;
        if separators().count() > 1 {
            return Err(UserNameError::Character);
        }
        // A blank beside the separator would make two names of one.
        let (before, after) = (&text[..at], &text[at + 1..]);
        if before.trim() != before || after.trim() != after {
            return Err(UserNameError::Character);
        }
        if before.is_empty() || after.is_empty() {
            return Err(UserNameError::NoRealm);
        }
        let form = if separator == '@' {
            Form::Suffix(at)
        } else {
            Form::NetBios(at)
        };
        Ok(Self {
            text: text.to_owned(),
            form,
        })
    }

    /// The name as it goes to the directory.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The part that names the user within the realm: before `@`, or after `\\`.
    pub fn name(&self) -> &str {
        match self.form {
            Form::Suffix(at) => &self.text[..at],
            Form::NetBios(at) => &self.text[at + 1..],
        }
    }

    /// A key for what is counted by user, such as rate limits: however one account's name is spelled, its key is the
    /// same. Letter case, accents, width, kana and what cannot be seen make no difference, nor do several blanks for one.
    ///
    /// For keys only. This is not a directory's exact rule and errs on the side of merging: two people may share a key,
    /// and a name of which nothing is left has the empty one.
    pub fn folded(&self) -> String {
        folding::fold(self.name())
    }

    /// What it is routed by.
    pub fn route(&self) -> Route {
        match self.form {
            Form::Suffix(at) => Route::Suffix(self.text[at + 1..].to_lowercase()),
            Form::NetBios(at) => Route::NetBios(self.text[..at].to_lowercase()),
        }
    }
}

impl fmt::Debug for UserName {
    /// Shows the route only: user names are for debug-level logs, which ask for [`UserName::as_str`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserName(…, {:?})", self.route())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_forms_are_routed_by_their_realm_part_without_regard_to_case() {
        let upn = UserName::parse("  Zoë@Corp.Example.COM ").unwrap();
        assert_eq!(upn.as_str(), "Zoë@Corp.Example.COM");
        assert_eq!(upn.route(), Route::Suffix("corp.example.com".to_owned()));
        assert_eq!(upn.name(), "Zoë");
        let nt4 = UserName::parse("CORP\\o'brien").unwrap();
        assert_eq!(nt4.route(), Route::NetBios("corp".to_owned()));
        assert_eq!(nt4.name(), "o'brien");
    }

    #[test]
    fn a_name_without_a_realm_is_told_so() {
        for name in [
            "user",
            "@corp.example.com",
            "user@",
            "CORP\\",
            "\\user",
            "S-1-5-21-1-2-3-1104",
        ] {
            assert_eq!(UserName::parse(name), Err(UserNameError::NoRealm), "{name}");
        }
        assert_eq!(UserName::parse(" \t "), Err(UserNameError::Empty));
    }

    #[test]
    fn other_name_forms_of_the_directory_never_pass() {
        for name in [
            "CN=Good User,OU=Test,DC=corp,DC=example,DC=com",
            "{ce3ced4e-1032-4a81-8e6e-2f4216f12e2c}@corp.example.com",
            "<SID=S-1-5-21-1>@corp.example.com",
            "corp.example.com/Test/Good User@corp.example.com",
            "HTTP/good.corp.example.com@CORP",
            "*)(objectClass=*@corp.example.com",
            "a\nb@corp.example.com",
            "a\0@corp.example.com",
            "a@b@corp.example.com",
            "CORP\\a@corp.example.com",
            "CORP\\a\\b",
            "a @corp.example.com",
            "a@ corp.example.com",
        ] {
            assert_eq!(UserName::parse(name), Err(UserNameError::Character), "{name}");
        }
    }

    #[test]
    fn all_forms_of_one_name_have_one_key() {
        for one in [
            "good user@a",
            "GOOD  User@b",
            " Good \u{a0} user@a",
            "CORP\\good   user",
        ] {
            assert_eq!(UserName::parse(one).unwrap().folded(), "good user", "{one}");
        }
    }

    #[test]
    fn length_is_checked_before_trimming() {
        let padded = format!("{}a@b", " ".repeat(1022));
        assert_eq!(UserName::parse(&padded), Err(UserNameError::TooLong));
        assert!(UserName::parse(&format!("{}@b", "a".repeat(1022))).is_ok());
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_passes_is_stable(text in "\\PC{0,60}") {
            if let Ok(name) = UserName::parse(&text) {
                prop_assert_eq!(UserName::parse(name.as_str()), Ok(name.clone()));
                prop_assert!(!name.as_str().contains(|c: char| REFUSED.contains(c)));
            }
        }
    }
}
