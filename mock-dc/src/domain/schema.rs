//! The attributes that objects here may have: how the schema writes their names, their identifiers and their syntaxes
//! (MS-ADA, MS-ADTS 3.1.1.2.2.2).

use std::collections::HashMap;
use std::sync::LazyLock;

/// How values of an attribute are compared and shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// Unicode text, compared without case.
    Text,
    /// The name of a class.
    Class,
    /// `TRUE` or `FALSE`.
    Boolean,
    /// A decimal integer of 32 bits.
    Integer,
    /// A decimal integer of 64 bits.
    LargeInteger,
    /// A moment, as in `20261122120000.0Z`.
    Time,
    /// A distinguished name.
    Dn,
    /// 16 bytes.
    Guid,
    /// A binary security identifier.
    Sid,
    /// Other bytes.
    Octets,
}

impl Syntax {
    /// Its identifier as a subschema names it (RFC 4517 3.3, MS-ADTS 3.1.1.3.1.1.1).
    pub fn oid(self) -> &'static str {
        match self {
            Self::Text => "1.3.6.1.4.1.1466.115.121.1.15",
            Self::Class => "1.3.6.1.4.1.1466.115.121.1.38",
            Self::Boolean => "1.3.6.1.4.1.1466.115.121.1.7",
            Self::Integer => "1.3.6.1.4.1.1466.115.121.1.27",
            Self::LargeInteger => "1.2.840.113556.1.4.906",
            Self::Time => "1.3.6.1.4.1.1466.115.121.1.24",
            Self::Dn => "1.3.6.1.4.1.1466.115.121.1.12",
            Self::Guid | Self::Sid | Self::Octets => "1.3.6.1.4.1.1466.115.121.1.40",
        }
    }
}

/// An attribute as the schema knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttributeType {
    /// Its name, lDAPDisplayName.
    pub name: &'static str,
    /// Its identifier, attributeID.
    pub oid: &'static str,
    /// How its values are compared and shown.
    pub syntax: Syntax,
    /// Whether an object has one value of it at most.
    pub single: bool,
    /// Whether it is constructed when it is asked for (MS-ADTS 3.1.1.4.5), so that no filter can use it.
    pub constructed: bool,
}

/// The attribute of this name or identifier; `None`: no object here has such an attribute, and a filter on it is
/// undefined.
pub fn find(name: &str) -> Option<&'static AttributeType> {
    // A search that no index helps asks for every object.
    static BY_NAME: LazyLock<HashMap<String, &'static AttributeType>> = LazyLock::new(|| {
        let names = |known: &'static AttributeType| [known.name.to_ascii_lowercase(), known.oid.to_owned()];
        ALL.iter()
            .flat_map(|known| names(known).map(|name| (name, known)))
            .collect()
    });
    BY_NAME.get(&name.to_ascii_lowercase()).copied()
}

/// How the schema writes the name of an attribute that an object may have, and its syntax.
pub fn known(name: &str) -> Option<(&'static str, Syntax)> {
    find(name)
        .filter(|known| known.name.eq_ignore_ascii_case(name))
        .map(|known| (known.name, known.syntax))
}

/// Whether an attribute may have several values (isSingleValued FALSE).
pub fn is_multi_valued(name: &str) -> bool {
    find(name).is_some_and(|known| !known.single)
}

const fn one(name: &'static str, oid: &'static str, syntax: Syntax) -> AttributeType {
    AttributeType {
        name,
        oid,
        syntax,
        single: true,
        constructed: false,
    }
}

const fn many(name: &'static str, oid: &'static str, syntax: Syntax) -> AttributeType {
    AttributeType {
        single: false,
        ..one(name, oid, syntax)
    }
}

const fn one_computed(name: &'static str, oid: &'static str, syntax: Syntax) -> AttributeType {
    AttributeType {
        constructed: true,
        ..one(name, oid, syntax)
    }
}

const fn many_computed(name: &'static str, oid: &'static str, syntax: Syntax) -> AttributeType {
    AttributeType {
        single: false,
        ..one_computed(name, oid, syntax)
    }
}

/// Every attribute that an object here may have.
pub const ALL: &[AttributeType] = &[
    many("objectClass", "2.5.4.0", Syntax::Class),
    one("cn", "2.5.4.3", Syntax::Text),
    many("ou", "2.5.4.11", Syntax::Text),
    one("dc", "0.9.2342.19200300.100.1.25", Syntax::Text),
    one("name", "1.2.840.113556.1.4.1", Syntax::Text),
    one("sn", "2.5.4.4", Syntax::Text),
    one("givenName", "2.5.4.42", Syntax::Text),
    one("initials", "2.5.4.43", Syntax::Text),
    one("displayName", "1.2.840.113556.1.2.13", Syntax::Text),
    many("description", "2.5.4.13", Syntax::Text),
    one("mail", "0.9.2342.19200300.100.1.3", Syntax::Text),
    many("proxyAddresses", "1.2.840.113556.1.2.210", Syntax::Text),
    one("employeeID", "1.2.840.113556.1.4.35", Syntax::Text),
    one("employeeNumber", "1.2.840.113556.1.2.610", Syntax::Text),
    one("employeeType", "1.2.840.113556.1.2.613", Syntax::Text),
    one("department", "1.2.840.113556.1.2.141", Syntax::Text),
    one("company", "1.2.840.113556.1.2.146", Syntax::Text),
    one("title", "2.5.4.12", Syntax::Text),
    one("telephoneNumber", "2.5.4.20", Syntax::Text),
    one("mobile", "0.9.2342.19200300.100.1.41", Syntax::Text),
    one("physicalDeliveryOfficeName", "2.5.4.19", Syntax::Text),
    one("assistant", "1.2.840.113556.1.4.652", Syntax::Dn),
    one("facsimileTelephoneNumber", "2.5.4.23", Syntax::Text),
    one("homePhone", "0.9.2342.19200300.100.1.20", Syntax::Text),
    one("homePostalAddress", "1.2.840.113556.1.2.617", Syntax::Text),
    one("ipPhone", "1.2.840.113556.1.4.721", Syntax::Text),
    many("otherFacsimileTelephoneNumber", "1.2.840.113556.1.4.646", Syntax::Text),
    many("otherHomePhone", "1.2.840.113556.1.2.277", Syntax::Text),
    many("otherIpPhone", "1.2.840.113556.1.4.722", Syntax::Text),
    many("otherMobile", "1.2.840.113556.1.4.647", Syntax::Text),
    many("otherPager", "1.2.840.113556.1.2.118", Syntax::Text),
    many("otherTelephone", "1.2.840.113556.1.2.18", Syntax::Text),
    one("pager", "0.9.2342.19200300.100.1.42", Syntax::Text),
    one("personalTitle", "1.2.840.113556.1.2.615", Syntax::Text),
    many("postalAddress", "2.5.4.16", Syntax::Text),
    many("postOfficeBox", "2.5.4.18", Syntax::Text),
    one("street", "2.5.4.9", Syntax::Text),
    one("division", "1.2.840.113556.1.4.261", Syntax::Text),
    one("comment", "1.2.840.113556.1.4.156", Syntax::Text),
    one("middleName", "2.16.840.1.113730.3.1.34", Syntax::Text),
    one("generationQualifier", "2.5.4.44", Syntax::Text),
    many("carLicense", "2.16.840.1.113730.3.1.1", Syntax::Text),
    many("roomNumber", "0.9.2342.19200300.100.1.6", Syntax::Text),
    many("departmentNumber", "2.16.840.1.113730.3.1.2", Syntax::Text),
    one("preferredLanguage", "2.16.840.1.113730.3.1.39", Syntax::Text),
    many("houseIdentifier", "2.5.4.51", Syntax::Text),
    many("altSecurityIdentities", "1.2.840.113556.1.4.867", Syntax::Text),
    many("jpegPhoto", "0.9.2342.19200300.100.1.60", Syntax::Octets),
    many("userCertificate", "2.5.4.36", Syntax::Octets),
    one("uidNumber", "1.3.6.1.1.1.1.0", Syntax::Integer),
    one("gidNumber", "1.3.6.1.1.1.1.1", Syntax::Integer),
    one("unixHomeDirectory", "1.3.6.1.1.1.1.3", Syntax::Text),
    one("loginShell", "1.3.6.1.1.1.1.4", Syntax::Text),
    one("gecos", "1.3.6.1.1.1.1.2", Syntax::Text),
    one("streetAddress", "1.2.840.113556.1.2.256", Syntax::Text),
    one("l", "2.5.4.7", Syntax::Text),
    one("st", "2.5.4.8", Syntax::Text),
    one("postalCode", "2.5.4.17", Syntax::Text),
    one("c", "2.5.4.6", Syntax::Text),
    one("co", "1.2.840.113556.1.2.131", Syntax::Text),
    one("info", "1.2.840.113556.1.2.81", Syntax::Text),
    many("url", "1.2.840.113556.1.4.749", Syntax::Text),
    one("wWWHomePage", "1.2.840.113556.1.2.464", Syntax::Text),
    one("homeDirectory", "1.2.840.113556.1.4.44", Syntax::Text),
    one("homeDrive", "1.2.840.113556.1.4.45", Syntax::Text),
    one("profilePath", "1.2.840.113556.1.4.139", Syntax::Text),
    one("scriptPath", "1.2.840.113556.1.4.62", Syntax::Text),
    many("uid", "0.9.2342.19200300.100.1.1", Syntax::Text),
    one("extensionAttribute1", "1.2.840.113556.1.2.423", Syntax::Text),
    one("extensionAttribute2", "1.2.840.113556.1.2.424", Syntax::Text),
    one("extensionAttribute3", "1.2.840.113556.1.2.425", Syntax::Text),
    one("extensionAttribute4", "1.2.840.113556.1.2.426", Syntax::Text),
    one("extensionAttribute5", "1.2.840.113556.1.2.427", Syntax::Text),
    one("whenCreated", "1.2.840.113556.1.2.2", Syntax::Time),
    one("whenChanged", "1.2.840.113556.1.2.3", Syntax::Time),
    one("userWorkstations", "1.2.840.113556.1.4.86", Syntax::Text),
    one("sAMAccountName", "1.2.840.113556.1.4.221", Syntax::Text),
    one("userPrincipalName", "1.2.840.113556.1.4.656", Syntax::Text),
    many("servicePrincipalName", "1.2.840.113556.1.4.771", Syntax::Text),
    one("dNSHostName", "1.2.840.113556.1.4.619", Syntax::Text),
    one("operatingSystem", "1.2.840.113556.1.4.363", Syntax::Text),
    many_computed("canonicalName", "1.2.840.113556.1.4.916", Syntax::Text),
    many("dnsRoot", "1.2.840.113556.1.4.28", Syntax::Text),
    one("nETBIOSName", "1.2.840.113556.1.4.87", Syntax::Text),
    many("uPNSuffixes", "1.2.840.113556.1.4.890", Syntax::Text),
    one(
        "msDS-PasswordComplexityEnabled",
        "1.2.840.113556.1.4.2015",
        Syntax::Boolean,
    ),
    one(
        "msDS-PasswordReversibleEncryptionEnabled",
        "1.2.840.113556.1.4.2016",
        Syntax::Boolean,
    ),
    one("instanceType", "1.2.840.113556.1.2.1", Syntax::Integer),
    one("uSNCreated", "1.2.840.113556.1.2.19", Syntax::LargeInteger),
    one("uSNChanged", "1.2.840.113556.1.2.120", Syntax::LargeInteger),
    one("userAccountControl", "1.2.840.113556.1.4.8", Syntax::Integer),
    one("badPwdCount", "1.2.840.113556.1.4.12", Syntax::Integer),
    one("badPasswordTime", "1.2.840.113556.1.4.49", Syntax::LargeInteger),
    one("codePage", "1.2.840.113556.1.4.16", Syntax::Integer),
    one("countryCode", "1.2.840.113556.1.4.25", Syntax::Integer),
    one("lastLogoff", "1.2.840.113556.1.4.51", Syntax::LargeInteger),
    one("lastLogon", "1.2.840.113556.1.4.52", Syntax::LargeInteger),
    one("lastLogonTimestamp", "1.2.840.113556.1.4.1696", Syntax::LargeInteger),
    one("pwdLastSet", "1.2.840.113556.1.4.96", Syntax::LargeInteger),
    one("primaryGroupID", "1.2.840.113556.1.4.98", Syntax::Integer),
    one("accountExpires", "1.2.840.113556.1.4.159", Syntax::LargeInteger),
    one("logonCount", "1.2.840.113556.1.4.169", Syntax::Integer),
    one("lockoutTime", "1.2.840.113556.1.4.662", Syntax::LargeInteger),
    one("sAMAccountType", "1.2.840.113556.1.4.302", Syntax::Integer),
    one("groupType", "1.2.840.113556.1.4.750", Syntax::Integer),
    one("systemFlags", "1.2.840.113556.1.4.375", Syntax::Integer),
    one("nTMixedDomain", "1.2.840.113556.1.4.357", Syntax::Integer),
    one("ms-DS-MachineAccountQuota", "1.2.840.113556.1.4.1411", Syntax::Integer),
    one("msDS-Behavior-Version", "1.2.840.113556.1.4.1459", Syntax::Integer),
    one("adminCount", "1.2.840.113556.1.4.150", Syntax::Integer),
    one("lockoutDuration", "1.2.840.113556.1.4.60", Syntax::LargeInteger),
    one(
        "lockOutObservationWindow",
        "1.2.840.113556.1.4.61",
        Syntax::LargeInteger,
    ),
    one("lockoutThreshold", "1.2.840.113556.1.4.73", Syntax::Integer),
    one("maxPwdAge", "1.2.840.113556.1.4.74", Syntax::LargeInteger),
    one("minPwdAge", "1.2.840.113556.1.4.78", Syntax::LargeInteger),
    one("minPwdLength", "1.2.840.113556.1.4.79", Syntax::Integer),
    one("pwdProperties", "1.2.840.113556.1.4.93", Syntax::Integer),
    one("pwdHistoryLength", "1.2.840.113556.1.4.95", Syntax::Integer),
    one_computed(
        "msDS-User-Account-Control-Computed",
        "1.2.840.113556.1.4.1460",
        Syntax::Integer,
    ),
    one_computed(
        "msDS-UserPasswordExpiryTimeComputed",
        "1.2.840.113556.1.4.1996",
        Syntax::LargeInteger,
    ),
    one(
        "msDS-PasswordSettingsPrecedence",
        "1.2.840.113556.1.4.2023",
        Syntax::Integer,
    ),
    one(
        "msDS-MaximumPasswordAge",
        "1.2.840.113556.1.4.2011",
        Syntax::LargeInteger,
    ),
    one(
        "msDS-MinimumPasswordAge",
        "1.2.840.113556.1.4.2012",
        Syntax::LargeInteger,
    ),
    one("msDS-MinimumPasswordLength", "1.2.840.113556.1.4.2013", Syntax::Integer),
    one("msDS-PasswordHistoryLength", "1.2.840.113556.1.4.2014", Syntax::Integer),
    one("msDS-LockoutThreshold", "1.2.840.113556.1.4.2019", Syntax::Integer),
    one(
        "msDS-LockoutObservationWindow",
        "1.2.840.113556.1.4.2017",
        Syntax::LargeInteger,
    ),
    one("msDS-LockoutDuration", "1.2.840.113556.1.4.2018", Syntax::LargeInteger),
    one("distinguishedName", "2.5.4.49", Syntax::Dn),
    one("objectCategory", "1.2.840.113556.1.4.782", Syntax::Dn),
    one("fSMORoleOwner", "1.2.840.113556.1.4.369", Syntax::Dn),
    many("member", "2.5.4.31", Syntax::Dn),
    many("memberOf", "1.2.840.113556.1.2.102", Syntax::Dn),
    one("manager", "0.9.2342.19200300.100.1.10", Syntax::Dn),
    many("directReports", "1.2.840.113556.1.2.436", Syntax::Dn),
    one("nCName", "1.2.840.113556.1.2.16", Syntax::Dn),
    one_computed("msDS-ResultantPSO", "1.2.840.113556.1.4.2022", Syntax::Dn),
    many("msDS-PSOAppliesTo", "1.2.840.113556.1.4.2020", Syntax::Dn),
    many("msDS-PSOApplied", "1.2.840.113556.1.4.2021", Syntax::Dn),
    one("objectGUID", "1.2.840.113556.1.4.2", Syntax::Guid),
    one("objectSid", "1.2.840.113556.1.4.146", Syntax::Sid),
    many_computed("tokenGroups", "1.2.840.113556.1.4.1301", Syntax::Sid),
    one("logonHours", "1.2.840.113556.1.4.64", Syntax::Octets),
    one("thumbnailPhoto", "2.16.840.1.113730.3.1.35", Syntax::Octets),
    one("isCriticalSystemObject", "1.2.840.113556.1.4.868", Syntax::Boolean),
    one("showInAdvancedViewOnly", "1.2.840.113556.1.2.169", Syntax::Boolean),
    one("isDeleted", "1.2.840.113556.1.2.48", Syntax::Boolean),
    one_computed("parentGUID", "1.2.840.113556.1.4.1224", Syntax::Guid),
    many_computed("tokenGroupsGlobalAndUniversal", "1.2.840.113556.1.4.1418", Syntax::Sid),
    many_computed("tokenGroupsNoGCAcceptable", "1.2.840.113556.1.4.1303", Syntax::Sid),
    one_computed("primaryGroupToken", "1.2.840.113556.1.4.1412", Syntax::Integer),
    one_computed("msDS-KeyVersionNumber", "1.2.840.113556.1.4.1782", Syntax::Integer),
    one_computed("createTimeStamp", "2.5.18.1", Syntax::Time),
    one_computed("modifyTimeStamp", "2.5.18.2", Syntax::Time),
    many_computed("subSchemaSubEntry", "2.5.18.10", Syntax::Dn),
    many_computed("structuralObjectClass", "2.5.21.9", Syntax::Class),
    one("legacyExchangeDN", "1.2.840.113556.1.4.655", Syntax::Text),
    many("msDS-AdditionalSamAccountName", "1.2.840.113556.1.4.1718", Syntax::Text),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attribute_is_found_by_its_name_and_its_identifier() {
        for known in ALL {
            assert_eq!(find(&known.name.to_uppercase()), Some(known));
            assert_eq!(find(known.oid), Some(known), "{} has its own identifier", known.name);
        }
        assert_eq!(find("noSuchAttribute"), None);
    }
}
