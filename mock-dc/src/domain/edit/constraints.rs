//! What the schema and the directory demand of attributes: which nobody writes and why, which have several values, and
//! how long texts may be (rangeUpper of MS-ADA).

use super::super::account::{UAC_NORMAL, UAC_SERVER_TRUST};
use super::super::dn::Dn;
use super::super::names::NOT_IN_SAM;
use super::super::schema::{self, Syntax};
use super::{EditError, NOT_STORED};

/// Why nobody writes an attribute.
pub(super) struct Fixed(pub(super) &'static str);

const IDENTITY: &str = "it follows from what the object is and where it stands";
const KEPT: &str = "the directory keeps it";
const COMPUTED: &str = "it is computed when it is read";
const CONFIGURED: &str = "it is the configuration's";

/// Whether an account's attribute is one that nobody writes.
pub(super) fn fixed(name: &str) -> Option<Fixed> {
    let reason = match name {
        "objectClass" | "cn" | "ou" | "dc" | "name" | "distinguishedName" | "objectCategory" | "objectGUID"
        | "objectSid" | "instanceType" | "sAMAccountType" | "groupType" | "systemFlags" => IDENTITY,
        "whenCreated" | "whenChanged" | "uSNCreated" | "uSNChanged" | "isDeleted" => KEPT,
        name if schema::find(name).is_some_and(|known| known.constructed) => COMPUTED,
        "memberOf" => "it is the other side of the groups' `member`",
        "directReports" => "it is the other side of other accounts' `manager`",
        "msDS-PSOApplied" => "it is the other side of a policy's `msDS-PSOAppliesTo`",
        "primaryGroupID" | "member" | "fSMORoleOwner" | "nCName" | "dnsRoot" | "nETBIOSName" | "uPNSuffixes" => {
            CONFIGURED
        }
        name if OF_POLICIES.contains(&name) || name.starts_with("msDS-") => CONFIGURED,
        _ => return None,
    };
    Some(Fixed(reason))
}

const OF_POLICIES: &[&str] = &[
    "lockoutDuration",
    "lockOutObservationWindow",
    "lockoutThreshold",
    "maxPwdAge",
    "minPwdAge",
    "minPwdLength",
    "pwdProperties",
    "pwdHistoryLength",
];

/// Letters that a text has at most.
fn longest(name: &str) -> usize {
    match name {
        "initials" => 6,
        "c" => 3,
        "employeeID" => 16,
        "homeDrive" => 3,
        "postalCode" => 40,
        "sn" | "givenName" | "telephoneNumber" | "mobile" | "department" | "company" => 64,
        "title" | "l" | "st" | "co" | "physicalDeliveryOfficeName" => 128,
        "sAMAccountName" | "displayName" | "mail" | "employeeType" => 256,
        "employeeNumber" => 512,
        "wWWHomePage" => 2048,
        _ => 1024,
    }
}

/// Bytes that thumbnailPhoto has at most, the one attribute of bytes that can be longer than a few.
const LONGEST_PHOTO: usize = 102_400;

/// Checks one value.
pub(super) fn check(name: &str, syntax: Syntax, value: &[u8]) -> Result<(), EditError> {
    let text = || std::str::from_utf8(value).map_err(|_| EditError::Syntax("a text in UTF-8"));
    match syntax {
        Syntax::Text => {
            let text = text()?;
            let longest = longest(name);
            if text.is_empty() || text.encode_utf16().count() > longest {
                return Err(EditError::Length(longest));
            }
            match name {
                "sAMAccountName" if !is_account_name(text) => Err(EditError::Syntax(
                    "a name without any of \" / \\ [ ] : ; | = , + * ? < > @",
                )),
                "userPrincipalName" if !is_principal_name(text) => Err(EditError::Syntax("name@suffix")),
                _ => Ok(()),
            }
        }
        Syntax::Integer | Syntax::LargeInteger => {
            // Those that are kept in 32 bits.
            let small = matches!(name, "codePage" | "countryCode" | "logonCount" | "adminCount");
            let number = text()?.parse::<i64>();
            match number {
                Ok(number) if !small || i32::try_from(number).is_ok() => Ok(()),
                Ok(_) => Err(EditError::Syntax("from -2147483648 to 2147483647")),
                Err(_) => Err(EditError::Syntax("an integer")),
            }
        }
        Syntax::Dn => match Dn::parse(text()?) {
            Some(_) => Ok(()),
            None => Err(EditError::Syntax("a distinguished name")),
        },
        Syntax::Boolean => match value {
            b"TRUE" | b"FALSE" => Ok(()),
            _ => Err(EditError::Syntax("TRUE or FALSE")),
        },
        Syntax::Class | Syntax::Time => text().map(|_| ()),
        Syntax::Octets if value.len() > LONGEST_PHOTO => Err(EditError::Syntax("at most 102,400 bytes long")),
        Syntax::Guid | Syntax::Sid | Syntax::Octets => Ok(()),
    }
}

fn is_account_name(text: &str) -> bool {
    !text.trim().is_empty() && !text.contains(NOT_IN_SAM) && !text.contains(char::is_control)
}

fn is_principal_name(text: &str) -> bool {
    text.rsplit_once('@')
        .is_some_and(|(name, suffix)| !name.is_empty() && !suffix.is_empty())
}

/// What is stored of a userAccountControl that somebody writes: bits that are computed are ignored, and an account of
/// no kind becomes a user's (MS-SAMR 3.1.1.8.10).
pub(super) fn account_control(given: i64) -> Result<u32, EditError> {
    // UF_TEMP_DUPLICATE_ACCOUNT, UF_NORMAL_ACCOUNT, UF_INTERDOMAIN_TRUST_ACCOUNT, UF_WORKSTATION_TRUST_ACCOUNT,
    // UF_SERVER_TRUST_ACCOUNT.
    const KINDS: u32 = 0x100 | UAC_NORMAL | 0x800 | 0x1000 | UAC_SERVER_TRUST;
    // It is a signed integer of 32 bits to LDAP.
    let signed = i32::try_from(given).map(i32::cast_unsigned);
    let bits = signed.or_else(|_| u32::try_from(given));
    let bits = bits.map_err(|_| EditError::Syntax("an integer of 32 bits"))? & !NOT_STORED;
    match (bits & KINDS).count_ones() {
        0 => Ok(bits | UAC_NORMAL),
        1 => Ok(bits),
        _ => Err(EditError::Syntax("of one kind of account (0x200 for users)")),
    }
}
