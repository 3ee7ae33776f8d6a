//! Whose words the simulated controllers speak: a Windows Server's or Samba's.
//!
//! Clients read AD's diagnostic texts, so these are part of the behaviour. Whether one of them does something is asked
//! here, by name. Where the whole of a thing differs and not one point of it (how names are read, the words of refused
//! changes and searches), the module that has it has both. `protocol` has what concerns LDAP more than any account.

mod protocol;

use std::borrow::Cow;

pub use protocol::Refused;

use super::account::UAC_COMPUTED_PASSWORD_EXPIRED;
use super::attributes::Attribute;
use super::builtin::GroupScope;
use super::cleartext::OtherLetters;
use super::dn::Escape;
use super::object::Principal;
use super::outcome::SubCode;

/// DSID and suffix of a simple bind's failure on Windows Server 2022 (build 20348 = 0x4f7c). One version had to be
/// chosen, since both change with every build: 2022 is the newest whose texts are widely seen in public logs, and
/// 0C090434 the most common of its DSIDs. Only the first eight characters are contractual (MS-ADTS 3.1.1.3.1.9).
const WINDOWS_BIND: &str = "DSID-0C090434";
const WINDOWS_BUILD: &str = "v4f7c";

/// Whose words and choices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// A Windows Server 2022 domain controller.
    #[default]
    Windows,
    /// A Samba 4.17 domain controller.
    Samba,
}

impl Dialect {
    /// The diagnostic text of result 49. Windows ends it with a NUL byte.
    pub fn rejection(self, sub_code: SubCode) -> String {
        let data = sub_code.text();
        match self {
            Self::Windows => format!(
                "80090308: LdapErr: {WINDOWS_BIND}, comment: AcceptSecurityContext error, data {data}, {WINDOWS_BUILD}\0"
            ),
            Self::Samba => {
                format!("80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data {data}, v1db1")
            }
        }
    }

    /// Whether a bind with a name and an empty password is RFC 4513's unauthenticated bind, which succeeds and counts
    /// nothing. Samba takes it for a wrong password.
    pub fn empty_password_is_anonymous(self) -> bool {
        self == Self::Windows
    }

    /// Whether `sAMAccountName@suffix` names an account for the extra UPN suffixes of the forest too
    /// (MS-ADTS 5.1.1.1.1); Samba knows the domain's own names only.
    pub fn upn_suffixes_imply_names(self) -> bool {
        self == Self::Windows
    }

    /// Functional level of domain, forest and controllers (MS-ADTS 6.1.4): Windows Server 2016 and later ones, and 2008
    /// R2.
    pub fn functional_level(self) -> u32 {
        match self {
            Self::Windows => 7,
            Self::Samba => 4,
        }
    }

    /// How names are written.
    pub fn name_style(self) -> Escape {
        match self {
            Self::Windows => Escape::Windows,
            Self::Samba => Escape::Samba,
        }
    }

    /// What of a password counts: Samba's is a C string, which ends at the first NUL (measured).
    pub fn password(self, password: &[u8]) -> &[u8] {
        match self {
            Self::Windows => password,
            Self::Samba => password.split(|byte| *byte == 0).next().unwrap_or_default(),
        }
    }

    /// What counts as a letter without case in a complex password.
    pub fn letters_without_case(self) -> OtherLetters {
        match self {
            Self::Windows => OtherLetters::Alphabetic,
            Self::Samba => OtherLetters::BeyondAscii,
        }
    }

    /// Whether a complex password must not have its owner's name in it. Samba hands the names to a script of the
    /// administrator's and does not look at them itself (measured).
    pub fn keeps_names_out_of_passwords(self) -> bool {
        self == Self::Windows
    }

    /// Whether there is a longest password (MS-SAMR 3.1.1.7.2); Samba took one of 302 letters.
    pub fn limits_password_length(self) -> bool {
        self == Self::Windows
    }

    /// Whether ADS_UF_PASSWD_NOTREQD lifts the rules for new passwords (MS-SAMR 3.1.1.7); not so in Samba (measured).
    pub fn exempts_from_password_rules(self) -> bool {
        self == Self::Windows
    }

    /// Whether passwords are written over encrypted connections only (MS-ADTS 3.1.1.3.1.5.1). Samba takes them wherever it
    /// takes binds (measured).
    pub fn encrypts_passwords(self) -> bool {
        self == Self::Windows
    }

    /// Whether nobody may write the counts and times of signing in, which belong to the directory (MS-SAMR 3.1.1.8);
    /// Samba lets administrators (measured).
    pub fn keeps_counters(self) -> bool {
        self == Self::Windows
    }

    /// Whether lockoutTime can be written to end a lock only, and not to begin one; not so in Samba (measured).
    pub fn locks_by_itself_alone(self) -> bool {
        self == Self::Windows
    }

    /// Whether Account Operators have no rights over administrators and each other (AdminSDHolder); not so in Samba
    /// (measured).
    pub fn protects_administrators(self) -> bool {
        self == Self::Windows
    }

    /// Whether a fine-grained policy reaches users by way of groups of this scope: in Windows by way of global ones alone
    /// (MS-ADTS 3.1.1.4.5.36), in Samba by way of all but those of the built-in domain (measured).
    pub fn applies_policies_by(self, scope: GroupScope) -> bool {
        match self {
            Self::Windows => scope == GroupScope::Global,
            Self::Samba => scope != GroupScope::Builtin,
        }
    }

    /// Whether a permissive modification that adds the value that a single-valued attribute has is refused: Samba counts
    /// before it compares (measured).
    pub fn adds_no_single_value_again(self) -> bool {
        self == Self::Samba
    }

    /// Values that an object may have of all its attributes that have several and are no links. In Windows they have to
    /// fit into a record of its database: about 1,300 since the forest functional level of Windows Server 2003. Samba took
    /// thousands; this many is a limit of ours, so that nobody fills our memory by writing to their own account.
    pub fn most_values(self) -> usize {
        match self {
            Self::Windows => 1300,
            Self::Samba => 10_000,
        }
    }

    /// Of an object that is no account: what Samba takes its missing pwdLastSet for (measured).
    pub fn account_attributes_of_others(self) -> Vec<Attribute> {
        let computed = [
            Attribute::integer("msDS-User-Account-Control-Computed", UAC_COMPUTED_PASSWORD_EXPIRED),
            Attribute::integer("msDS-UserPasswordExpiryTimeComputed", 0),
        ];
        match self {
            Self::Windows => Vec::new(),
            Self::Samba => computed.map(Attribute::on_request).into(),
        }
    }

    /// The text of a change that succeeded (measured).
    pub fn changed(self) -> &'static str {
        match self {
            Self::Windows => "",
            Self::Samba => "00000000: Success",
        }
    }

    /// How a name is refused that more than one object answers to.
    pub fn ambiguous_name(self) -> SubCode {
        match self {
            // MS-ADTS 5.1.1.1.1.
            Self::Windows => SubCode::InvalidParameter,
            Self::Samba => SubCode::GenFailure,
        }
    }

    /// How a bind is refused whose name is an object that does not sign in.
    pub fn no_account(self, object: Principal) -> SubCode {
        match (self, object) {
            (Self::Windows, _) => SubCode::InvalidParameter,
            // What has no name of the form DOMAIN\name cannot be mapped to one; the built-in domain has no controller
            // to ask (measured).
            (Self::Samba, Principal::None) => SubCode::GenFailure,
            (Self::Samba, Principal::Builtin) => SubCode::NoLogonServers,
            (Self::Samba, Principal::OfDomain | Principal::Account) => SubCode::LogonFailure,
        }
    }

    /// Whether a maximum age of passwords is one, and does not mean "any age": Samba takes a day for none (measured).
    pub fn counts_as_age(self, age: std::time::Duration) -> bool {
        match self {
            Self::Windows => !age.is_zero(),
            Self::Samba => age > std::time::Duration::from_secs(86_400),
        }
    }

    /// Result 32 for a base that does not exist; `best` is the nearest entry above it that does.
    pub fn no_such_object(self, best: &str) -> Cow<'static, str> {
        match self {
            Self::Windows => format!(
                "0000208D: NameErr: DSID-0310028B, problem 2001 (NO_OBJECT), data 0, best match of:\n\t'{best}'\n\0"
            )
            .into(),
            Self::Samba => "acl_read: Error retrieving instanceType for base. at \
                            ../../source4/dsdb/samdb/ldb_modules/acl_read.c:967"
                .into(),
        }
    }

    /// Whether result 32 tells the nearest entry that exists.
    pub fn tells_best_match(self) -> bool {
        self == Self::Windows
    }

    /// Result 34 for a base that is no distinguished name.
    pub fn bad_name(self) -> Cow<'static, str> {
        match self {
            Self::Windows => {
                "0000208F: NameErr: DSID-03100233, problem 2006 (BAD_NAME), data 8349, best match of:\n\t''\n\0".into()
            }
            Self::Samba => "00002032: ldb_search: invalid basedn '(null)'".into(),
        }
    }
}

/// Only the error number is contractual. The DSIDs given here stand for a source line of Windows and have no meaning.
fn windows(error: &str, dsid: &str, comment: &str) -> Cow<'static, str> {
    format!("{error}: LdapErr: {dsid}, comment: {comment}, data 0, {WINDOWS_BUILD}\0").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_of_result_49_are_exact() {
        assert_eq!(
            Dialect::Windows.rejection(SubCode::LogonFailure),
            "80090308: LdapErr: DSID-0C090434, comment: AcceptSecurityContext error, data 52e, v4f7c\0"
        );
        assert_eq!(
            Dialect::Samba.rejection(SubCode::LockedOut),
            "80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data 775, v1db1"
        );
    }

    #[test]
    fn every_sub_code_has_a_text_of_its_own() {
        let texts: std::collections::BTreeSet<_> = SubCode::ALL
            .iter()
            .map(|sub_code| Dialect::Windows.rejection(*sub_code))
            .collect();
        assert_eq!(texts.len(), SubCode::ALL.len());
    }
}
