//! The classes of the objects here, by the names and identifiers that clients may use (MS-ADSC).

mod members;

use super::entry::Entry;

/// A class as the schema knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClassType {
    /// Its name, lDAPDisplayName.
    pub(super) name: &'static str,
    /// Its identifier, governsID.
    pub(super) oid: &'static str,
    /// The class that it refines; `top` refines itself.
    pub(super) above: &'static str,
    /// Whether it has objects of its own.
    pub(super) structural: bool,
}

const fn class(name: &'static str, oid: &'static str, above: &'static str, structural: bool) -> ClassType {
    ClassType {
        name,
        oid,
        above,
        structural,
    }
}

/// Every class that an object here is of.
pub(super) const ALL: &[ClassType] = &[
    class("top", "2.5.6.0", "top", false),
    class("person", "2.5.6.6", "top", true),
    class("organizationalPerson", "2.5.6.7", "person", true),
    class("user", "1.2.840.113556.1.5.9", "organizationalPerson", true),
    class("computer", "1.2.840.113556.1.3.30", "user", true),
    class("group", "1.2.840.113556.1.5.8", "top", true),
    class("container", "1.2.840.113556.1.3.23", "top", true),
    class("organizationalUnit", "2.5.6.5", "top", true),
    class("domain", "1.2.840.113556.1.5.66", "top", false),
    class("domainDNS", "1.2.840.113556.1.5.67", "domain", true),
    class("builtinDomain", "1.2.840.113556.1.5.4", "top", true),
    class("foreignSecurityPrincipal", "1.2.840.113556.1.5.76", "top", true),
    class("msDS-PasswordSettingsContainer", "1.2.840.113556.1.5.256", "top", true),
    class("msDS-PasswordSettings", "1.2.840.113556.1.5.255", "top", true),
    class("configuration", "1.2.840.113556.1.5.12", "top", true),
    class("dMD", "1.2.840.113556.1.3.9", "top", true),
    class("crossRefContainer", "1.2.840.113556.1.5.7000.53", "top", true),
    class("crossRef", "1.2.840.113556.1.3.11", "top", true),
    class("sitesContainer", "1.2.840.113556.1.5.107", "top", true),
    class("site", "1.2.840.113556.1.5.31", "top", true),
    class("serversContainer", "1.2.840.113556.1.5.7000.48", "top", true),
    class("server", "1.2.840.113556.1.5.17", "top", true),
    class("applicationSettings", "1.2.840.113556.1.5.7000.49", "top", false),
    class("nTDSDSA", "1.2.840.113556.1.5.7000.47", "applicationSettings", true),
    class("subSchema", "2.5.20.1", "top", true),
];

impl ClassType {
    /// As a subschema describes it (RFC 4512 4.1.1).
    pub(super) fn described(&self) -> String {
        let above = match self.above == self.name {
            true => String::new(),
            false => format!("SUP {} ", self.above),
        };
        let kind = if self.structural { "STRUCTURAL" } else { "ABSTRACT" };
        let [must, may] = members::of(self.name);
        let listed = |word: &str, names: Vec<&str>| match names.is_empty() {
            true => String::new(),
            false => format!("{word} ({} ) ", names.join(" $ ")),
        };
        let members = [listed("MUST", must), listed("MAY", may)].concat();
        format!("( {} NAME '{}' {above}{kind} {members})", self.oid, self.name)
    }
}

/// Whether an entry is of the class that a filter names; undefined where there is no such class.
pub(super) fn is_of(asked: &[u8], entry: &Entry) -> Option<bool> {
    let asked = std::str::from_utf8(asked).ok()?.trim();
    let class = ALL
        .iter()
        .find(|class| class.name.eq_ignore_ascii_case(asked) || class.oid == asked)?;
    let own = entry.get("objectClass").map(|attribute| attribute.values.as_slice());
    Some(own.unwrap_or_default().iter().any(|own| own == class.name.as_bytes()))
}
