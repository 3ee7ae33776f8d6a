//! Whose account it is: what stays the same when a user is renamed, for those who sign in by a name that is looked up.
//!
//! It comes from an agent, and before that from a directory: [`Subject::checked`] is the way of it into anything that
//! callers see.

use minicbor::{Decode, Encode};

use crate::user_name::MAX_USER_NAME_BYTES;

/// The longest `entryUUID` that is taken; RFC 4530 writes 36 characters, and 389 DS's `nsUniqueId` has 35.
const MAX_ENTRY_UUID_BYTES: usize = 64;

/// An account of a directory, as its entry names it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Subject {
    /// Active Directory's objectGUID, the bytes as the directory gives them.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub object_guid: Option<[u8; 16]>,
    /// What other directories have in its place: entryUUID (RFC 4530).
    #[n(1)]
    pub entry_uuid: Option<String>,
    /// Its userPrincipalName, where it has one.
    #[n(2)]
    pub upn: Option<String>,
}

/// Why a subject is not passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// It has neither objectGUID nor entryUUID, or both.
    #[error("it has not exactly one of objectGUID and entryUUID")]
    Id,
    /// The entryUUID is empty, too long, or has other characters than letters, digits and hyphens.
    #[error("its entryUUID is no such thing")]
    EntryUuid,
    /// The user principal name is empty, too long, or has control characters.
    #[error("its userPrincipalName is empty, too long or has control characters")]
    Upn,
}

impl Subject {
    /// The subject, if all of it is of a form and length that can be shown to callers and written to logs.
    ///
    /// # Errors
    /// [`SubjectError`].
    pub fn checked(self) -> Result<Self, SubjectError> {
        if self.object_guid.is_some() == self.entry_uuid.is_some() {
            return Err(SubjectError::Id);
        }
        let uuid = |text: &str| {
            (1..=MAX_ENTRY_UUID_BYTES).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        if !self.entry_uuid.as_deref().is_none_or(uuid) {
            return Err(SubjectError::EntryUuid);
        }
        let name =
            |text: &str| (1..=MAX_USER_NAME_BYTES).contains(&text.len()) && !text.contains(|c: char| c.is_control());
        if !self.upn.as_deref().is_none_or(name) {
            return Err(SubjectError::Upn);
        }
        Ok(self)
    }

    /// The objectGUID as Active Directory's own tools write it: the first three groups are little-endian numbers
    /// (MS-DTYP, sections 2.3.4.2 and 2.3.4.3).
    pub fn object_guid_text(&self) -> Option<String> {
        let [a, b, c, d, e, f, g, h, rest @ ..] = self.object_guid?;
        let numbers = [d, c, b, a, f, e, h, g];
        let mut text = String::with_capacity(36);
        for (index, byte) in numbers.into_iter().chain(rest).enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            text.extend([byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16).unwrap_or('0')));
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_ad(upn: Option<&str>) -> Subject {
        Subject {
            object_guid: Some([
                0x4e, 0x3d, 0xce, 0xce, 0x32, 0x10, 0x81, 0x4a, 0x8e, 0x6e, 0x2f, 0x42, 0x16, 0xf1, 0x2e, 0x2c,
            ]),
            entry_uuid: None,
            upn: upn.map(str::to_owned),
        }
    }

    fn other(uuid: &str) -> Subject {
        Subject {
            object_guid: None,
            entry_uuid: Some(uuid.to_owned()),
            upn: None,
        }
    }

    #[test]
    fn an_object_guid_is_written_as_the_directorys_tools_write_it() {
        let text = of_ad(None).object_guid_text();
        assert_eq!(text.as_deref(), Some("cece3d4e-1032-4a81-8e6e-2f4216f12e2c"));
    }

    #[test]
    fn what_could_not_be_an_account_s_own_does_not_pass() {
        assert_eq!(
            of_ad(Some("zoë@corp.example.com")).checked().as_ref(),
            Ok(&of_ad(Some("zoë@corp.example.com")))
        );
        assert!(other("597ae2f6-16a6-1027-98f4-d28b5365dc14").checked().is_ok());
        for upn in ["", "a\nb@c", "a\0@c", "\u{85}@c", &"x".repeat(1025)] {
            assert_eq!(of_ad(Some(upn)).checked(), Err(SubjectError::Upn), "{upn:?}");
        }
        for uuid in ["", "\"},{", "é", &"a".repeat(65)] {
            assert_eq!(other(uuid).checked(), Err(SubjectError::EntryUuid), "{uuid:?}");
        }
        let both = Subject {
            object_guid: Some([0; 16]),
            ..other("a")
        };
        let none = Subject {
            object_guid: None,
            ..of_ad(None)
        };
        assert_eq!(both.checked(), Err(SubjectError::Id));
        assert_eq!(none.checked(), Err(SubjectError::Id));
    }
}
