//! Reading a directory's answer to a bind: result code and diagnostic text to a verdict, or to no verdict.
//!
//! A success is result code 0 and nothing else. Result 49 is read by its sub-code alone (`data 52e` in Active
//! Directory's text; MS-ADTS section 3.1.1.3.1.9 promises less, and says nothing else of the text). Every other
//! result means that the password was not checked: never a rejection.

use postern_protocol::Verdict;

/// LDAP result codes (RFC 4511, section 4.1.9) that are told apart here.
mod code {
    pub(super) const SUCCESS: u32 = 0;
    pub(super) const INVALID_CREDENTIALS: u32 = 49;
    pub(super) const BUSY: u32 = 51;
    pub(super) const UNAVAILABLE: u32 = 52;
}

/// What an answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// The directory checked the password.
    Verdict {
        /// Its answer.
        verdict: Verdict,
        /// Its own code for it, where it gave one.
        sub_code: Option<u32>,
    },
    /// This domain controller cannot answer now (busy, unavailable); another one may. Nothing was checked.
    Elsewhere,
    /// The directory refuses binds like this one (strong authentication required, an internal error, …). Nothing was
    /// checked, and another domain controller of the same directory will say the same.
    Fault,
}

/// Reads result code and diagnostic text.
pub(crate) fn read(result: u32, text: &str) -> Reading {
    match result {
        code::SUCCESS => Reading::Verdict {
            verdict: Verdict::Success,
            sub_code: None,
        },
        code::INVALID_CREDENTIALS => {
            let sub_code = sub_code(text);
            Reading::Verdict {
                // No sub-code: not Active Directory, and RFC 4511 says what 49 means.
                verdict: sub_code.map_or(Verdict::InvalidCredentials, Verdict::from_sub_code),
                sub_code,
            }
        }
        code::BUSY | code::UNAVAILABLE => Reading::Elsewhere,
        _ => Reading::Fault,
    }
}

/// Whether a connection that gave this answer is of no further use.
pub(crate) fn ends_connection(result: u32) -> bool {
    result == code::UNAVAILABLE
}

/// The hexadecimal number after the word `data`. Windows ends the text with a NUL, other builds write other texts
/// around it; only the number counts.
fn sub_code(text: &str) -> Option<u32> {
    text.match_indices("data ").find_map(|(at, word)| {
        let a_word_of_its_own = !text[..at].ends_with(|c: char| c.is_alphanumeric());
        let rest = &text[at + word.len()..];
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_hexdigit()).len();
        let ends = !rest[digits..].starts_with(|c: char| c.is_alphanumeric());
        (a_word_of_its_own && ends)
            .then(|| u32::from_str_radix(&rest[..digits], 16).ok())
            .flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn windows(data: &str) -> String {
        format!("80090308: LdapErr: DSID-0C090549, comment: AcceptSecurityContext error, data {data}, v65f4\0")
    }

    fn verdict(text: &str) -> (Verdict, Option<u32>) {
        match read(49, text) {
            Reading::Verdict { verdict, sub_code } => (verdict, sub_code),
            other => panic!("{text:?} reads as {other:?}"),
        }
    }

    #[test]
    fn every_sub_code_of_active_directory_is_its_own_verdict() {
        for (data, expected) in [
            ("52e", Verdict::InvalidCredentials),
            ("525", Verdict::InvalidCredentials),
            ("530", Verdict::LogonHours),
            ("531", Verdict::LogonWorkstation),
            ("532", Verdict::PasswordExpired),
            ("533", Verdict::AccountDisabled),
            ("701", Verdict::AccountExpired),
            ("773", Verdict::PasswordMustChange),
            ("775", Verdict::AccountLocked),
        ] {
            let code = u32::from_str_radix(data, 16).ok();
            assert_eq!(verdict(&windows(data)), (expected, code));
            let samba = windows(data).trim_end_matches('\0').replace("v65f4", "v1db1");
            assert_eq!(verdict(&samba), (expected, code));
            assert_eq!(verdict(&format!("data {data}")), (expected, code));
        }
    }

    #[test]
    fn an_unknown_sub_code_is_a_rejection_and_none_at_all_is_invalid_credentials() {
        assert_eq!(verdict(&windows("57")), (Verdict::Rejected, Some(0x57)));
        assert_eq!(verdict(&windows("0")), (Verdict::Rejected, Some(0)));
        for text in [
            "",
            "invalid credentials",
            "metadata 775",
            "data 775x",
            "data ",
            "data",
            "data 123456789",
        ] {
            assert_eq!(verdict(text), (Verdict::InvalidCredentials, None), "{text:?}");
        }
    }

    #[test]
    fn the_sub_code_counts_with_result_49_only() {
        assert_eq!(read(51, &windows("775")), Reading::Elsewhere);
        assert_eq!(read(52, ""), Reading::Elsewhere);
        for result in [1, 2, 8, 10, 14, 32, 48, 50, 53, 80, 4096] {
            assert_eq!(read(result, &windows("52e")), Reading::Fault, "{result}");
        }
    }

    proptest! {
        #[test]
        fn only_result_zero_is_a_success_whatever_the_text(result in 0u32..200, text in "\\PC{0,40}(data [0-9a-f]{0,9})?\\PC{0,10}") {
            let success = matches!(read(result, &text), Reading::Verdict { verdict: Verdict::Success, .. });
            prop_assert_eq!(success, result == 0);
        }
    }
}
