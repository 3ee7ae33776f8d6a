//! Reading a directory's answer to a bind: result code and diagnostic text to a verdict, or to no verdict.
//!
//! A success is result code 0, and no error of the password policy with it; such an error is a rejection with the results that
//! servers give it with, and says nothing with others. Result 49 is read by its sub-code alone (`data 52e` in Active
//! Directory's text; MS-ADTS section 3.1.1.3.1.9 promises less, and says nothing else of the text). Every other
//! result means that the password was not checked: never a rejection. Some of those are about the one account, as 389 DS
//! tells of locked ones where the policy is not asked for, and OpenLDAP of those without a password.

use postern_protocol::Verdict;

use crate::core::kind::Kind;
use postern_ldap::client::{PasswordPolicy, sub_code};

/// LDAP result codes (RFC 4511, section 4.1.9) that are told apart here.
mod code {
    pub(super) const SUCCESS: u32 = 0;
    pub(super) const STRONGER_AUTH_REQUIRED: u32 = 8;
    pub(super) const CONFIDENTIALITY_REQUIRED: u32 = 13;
    pub(super) const CONSTRAINT_VIOLATION: u32 = 19;
    pub(super) const INAPPROPRIATE_AUTHENTICATION: u32 = 48;
    pub(super) const INVALID_CREDENTIALS: u32 = 49;
    pub(super) const BUSY: u32 = 51;
    pub(super) const UNAVAILABLE: u32 = 52;
    pub(super) const UNWILLING_TO_PERFORM: u32 = 53;
}

/// Errors of the password policy that concern a bind.
mod policy {
    pub(super) const PASSWORD_EXPIRED: i32 = 0;
    pub(super) const ACCOUNT_LOCKED: i32 = 1;
    pub(super) const CHANGE_AFTER_RESET: i32 = 2;
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
    /// The directory refuses binds of this account: it has no password, or may not sign in so. Nothing was checked, and
    /// nothing is said of other accounts.
    AccountFault,
}

/// As [`read`], of a directory whose kind may be known. OpenLDAP says 53 of no account, but of every simple bind where
/// those are switched off (`disallow bind_simple`).
pub(crate) fn read_of(kind: Option<Kind>, result: u32, text: &str, policy: Option<PasswordPolicy>) -> Reading {
    match (read(result, text, policy), kind) {
        (Reading::AccountFault, Some(Kind::OpenLdap)) if result == code::UNWILLING_TO_PERFORM => Reading::Fault,
        (reading, _) => reading,
    }
}

/// Reads result code, diagnostic text and what the password policy says.
pub(crate) fn read(result: u32, text: &str, policy: Option<PasswordPolicy>) -> Reading {
    let verdict = |verdict| Reading::Verdict {
        verdict,
        sub_code: None,
    };
    match (result, policy.and_then(|policy| policy.error)) {
        (code::BUSY | code::UNAVAILABLE, _) => Reading::Elsewhere,
        (
            code::SUCCESS | code::CONSTRAINT_VIOLATION | code::INVALID_CREDENTIALS | code::UNWILLING_TO_PERFORM,
            Some(error),
        ) => verdict(refused_by_policy(error)),
        (code::SUCCESS, None) => verdict(Verdict::Success),
        (code::INVALID_CREDENTIALS, None) => {
            let sub_code = sub_code(text);
            Reading::Verdict {
                // No sub-code: not Active Directory, and RFC 4511 says what 49 means.
                verdict: sub_code.map_or(Verdict::InvalidCredentials, Verdict::from_sub_code),
                sub_code,
            }
        }
        (code::CONSTRAINT_VIOLATION | code::INAPPROPRIATE_AUTHENTICATION | code::UNWILLING_TO_PERFORM, _) => {
            Reading::AccountFault
        }
        _ => Reading::Fault,
    }
}

/// What an error of the password policy means (draft-behera-ldap-password-policy-10, sections 6.2 and 9.1).
///
/// It is a rejection with result 0 as well: after a reset the bind succeeds only so that the password can be changed,
/// and a success that comes with an error of any other kind is none that somebody may be let in on.
///
/// OpenLDAP 2.5 tells all of them with 49, but a change after a reset with 0. 389 DS 2.3 tells expired with 49, a change
/// after a reset with 0, locked with 19, and locked with 53 where an administrator did it (`nsAccountLock`), before it
/// looks at the password. So that is locked here too: a disabled account is told to public callers, which is right only
/// of what the directory tells with the right password alone.
fn refused_by_policy(error: i32) -> Verdict {
    match error {
        policy::PASSWORD_EXPIRED => Verdict::PasswordExpired,
        policy::ACCOUNT_LOCKED => Verdict::AccountLocked,
        policy::CHANGE_AFTER_RESET => Verdict::PasswordMustChange,
        _ => Verdict::Rejected,
    }
}

/// What to do about a result that says nothing of the password; empty where nobody knows.
pub(crate) fn advice(result: u32) -> &'static str {
    match result {
        code::STRONGER_AUTH_REQUIRED | code::CONFIDENTIALITY_REQUIRED => {
            "it takes passwords over TLS alone: use ldaps://, or leave insecure out for StartTLS"
        }
        _ => "",
    }
}

/// Whether a connection that gave this answer is of no further use.
pub(crate) fn ends_connection(result: u32) -> bool {
    result == code::UNAVAILABLE
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn windows(data: &str) -> String {
        format!("80090308: LdapErr: DSID-0C090549, comment: AcceptSecurityContext error, data {data}, v65f4\0")
    }

    fn verdict(text: &str) -> (Verdict, Option<u32>) {
        match read(49, text, None) {
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
        assert_eq!(read(51, &windows("775"), None), Reading::Elsewhere);
        assert_eq!(read(52, "", None), Reading::Elsewhere);
        for result in [1, 2, 8, 10, 14, 32, 50, 80, 4096] {
            assert_eq!(read(result, &windows("52e"), None), Reading::Fault, "{result}");
        }
        for result in [19, 48, 53] {
            assert_eq!(read(result, &windows("52e"), None), Reading::AccountFault, "{result}");
            for kind in Kind::ALL {
                let about_all = kind == Kind::OpenLdap && result == 53;
                let expected = if about_all {
                    Reading::Fault
                } else {
                    Reading::AccountFault
                };
                assert_eq!(read_of(Some(kind), result, "", None), expected, "{kind} {result}");
            }
        }
    }

    #[test]
    fn an_error_of_the_password_policy_is_its_own_verdict_with_the_results_it_comes_with() {
        let says = |result, error| read(result, "", Some(PasswordPolicy { error: Some(error) }));
        let verdict = |verdict| Reading::Verdict {
            verdict,
            sub_code: None,
        };
        for result in [0, 19, 49, 53] {
            assert_eq!(says(result, 0), verdict(Verdict::PasswordExpired));
            assert_eq!(says(result, 1), verdict(Verdict::AccountLocked));
            assert_eq!(says(result, 2), verdict(Verdict::PasswordMustChange));
            for other in [3, 8, 9, 4096] {
                assert_eq!(says(result, other), verdict(Verdict::Rejected), "{result} {other}");
            }
        }
        // It did not look.
        assert_eq!(says(51, 1), Reading::Elsewhere);
        for result in [1, 2, 8, 10, 32, 50, 80, 4096] {
            assert_eq!(says(result, 1), Reading::Fault, "{result}");
        }
        assert_eq!(says(48, 1), Reading::AccountFault);
    }

    #[test]
    fn a_policy_without_an_error_leaves_the_result_as_it_is() {
        for (result, verdict) in [(0, Verdict::Success), (49, Verdict::InvalidCredentials)] {
            let sub_code = None;
            let silent = PasswordPolicy { error: None };
            assert_eq!(read(result, "", Some(silent)), Reading::Verdict { verdict, sub_code });
        }
        assert_eq!(
            read(53, "", Some(PasswordPolicy { error: None })),
            Reading::AccountFault
        );
    }

    proptest! {
        #[test]
        fn only_result_zero_without_an_error_of_the_policy_is_a_success_whatever_the_text(result in 0u32..200, text in "\\PC{0,40}(data [0-9a-f]{0,9})?\\PC{0,10}", error: Option<Option<i32>>) {
            let success = matches!(read(result, &text, error.map(|error| PasswordPolicy { error })), Reading::Verdict { verdict: Verdict::Success, .. });
            prop_assert_eq!(success, result == 0 && error.flatten().is_none());
        }
    }
}
