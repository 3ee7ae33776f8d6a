//! The attributes that objects here may have: how the schema writes their names, and their syntaxes (MS-ADA).

use std::collections::HashMap;
use std::sync::LazyLock;

/// How values of an attribute are compared and shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// Unicode text, compared without case.
    Text,
    /// A decimal integer of up to 64 bits.
    Integer,
    /// A distinguished name.
    Dn,
    /// 16 bytes.
    Guid,
    /// A binary security identifier.
    Sid,
    /// Other bytes.
    Octets,
}

/// The syntax of an attribute that an object may have, and how the schema writes its name; `None`: no object here has
/// such an attribute, and a filter on it is undefined.
pub fn known(name: &str) -> Option<(&'static str, Syntax)> {
    // A search that no index helps asks for every object.
    static BY_NAME: LazyLock<HashMap<String, (&'static str, Syntax)>> = LazyLock::new(|| {
        let all = [
            (TEXTS, Syntax::Text),
            (INTEGERS, Syntax::Integer),
            (NAMES, Syntax::Dn),
            (GUIDS, Syntax::Guid),
            (SIDS, Syntax::Sid),
            (OTHERS, Syntax::Octets),
        ];
        let each = |(names, syntax): (&'static [&'static str], Syntax)| {
            names
                .iter()
                .map(move |name| (name.to_ascii_lowercase(), (*name, syntax)))
        };
        all.into_iter().flat_map(each).collect()
    });
    BY_NAME.get(&name.to_ascii_lowercase()).copied()
}

const TEXTS: &[&str] = &[
    "objectClass",
    "cn",
    "ou",
    "dc",
    "name",
    "sn",
    "givenName",
    "initials",
    "displayName",
    "description",
    "mail",
    "proxyAddresses",
    "employeeID",
    "employeeNumber",
    "employeeType",
    "department",
    "company",
    "title",
    "telephoneNumber",
    "mobile",
    "physicalDeliveryOfficeName",
    "streetAddress",
    "l",
    "st",
    "postalCode",
    "c",
    "co",
    "info",
    "url",
    "wWWHomePage",
    "homeDirectory",
    "homeDrive",
    "profilePath",
    "scriptPath",
    "uid",
    "extensionAttribute1",
    "extensionAttribute2",
    "extensionAttribute3",
    "extensionAttribute4",
    "extensionAttribute5",
    "whenCreated",
    "whenChanged",
    "userWorkstations",
    "sAMAccountName",
    "userPrincipalName",
    "servicePrincipalName",
    "dNSHostName",
    "operatingSystem",
    "canonicalName",
    "dnsRoot",
    "nETBIOSName",
    "uPNSuffixes",
    "msDS-PasswordComplexityEnabled",
    "msDS-PasswordReversibleEncryptionEnabled",
];

const INTEGERS: &[&str] = &[
    "instanceType",
    "uSNCreated",
    "uSNChanged",
    "userAccountControl",
    "badPwdCount",
    "badPasswordTime",
    "codePage",
    "countryCode",
    "lastLogoff",
    "lastLogon",
    "lastLogonTimestamp",
    "pwdLastSet",
    "primaryGroupID",
    "accountExpires",
    "logonCount",
    "lockoutTime",
    "sAMAccountType",
    "groupType",
    "systemFlags",
    "adminCount",
    "lockoutDuration",
    "lockOutObservationWindow",
    "lockoutThreshold",
    "maxPwdAge",
    "minPwdAge",
    "minPwdLength",
    "pwdProperties",
    "pwdHistoryLength",
    "msDS-User-Account-Control-Computed",
    "msDS-UserPasswordExpiryTimeComputed",
    "msDS-PasswordSettingsPrecedence",
    "msDS-MaximumPasswordAge",
    "msDS-MinimumPasswordAge",
    "msDS-MinimumPasswordLength",
    "msDS-PasswordHistoryLength",
    "msDS-LockoutThreshold",
    "msDS-LockoutObservationWindow",
    "msDS-LockoutDuration",
];

const NAMES: &[&str] = &[
    "distinguishedName",
    "objectCategory",
    "fSMORoleOwner",
    "member",
    "memberOf",
    "manager",
    "directReports",
    "nCName",
    "msDS-ResultantPSO",
    "msDS-PSOAppliesTo",
    "msDS-PSOApplied",
];

const GUIDS: &[&str] = &["objectGUID"];

const SIDS: &[&str] = &["objectSid", "tokenGroups"];

const OTHERS: &[&str] = &["logonHours", "thumbnailPhoto"];
