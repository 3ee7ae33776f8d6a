//! The RootDSE (RFC 4512, section 5.1): what a server says of itself.

use crate::ldap::{Entry, Filter, Scope, Search};

/// What of it is asked for. Most are operational, and some servers give those by name only.
const ATTRIBUTES: [&str; 6] = [
    "objectClass",
    "defaultNamingContext",
    "namingContexts",
    "supportedControl",
    "supportedCapabilities",
    "vendorName",
];

/// What a server says of itself. Nothing, if it shows its RootDSE to nobody.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct RootDse {
    /// The DN below which Active Directory's domain is.
    pub(crate) default_naming_context: Option<String>,
    /// The DNs below which there are entries.
    pub(crate) naming_contexts: Vec<String>,
    /// OIDs.
    pub(crate) supported_controls: Vec<String>,
    /// OIDs; Active Directory's own attribute (MS-ADTS, section 3.1.1.3.2.9).
    pub(crate) supported_capabilities: Vec<String>,
    /// Who made it.
    pub(crate) vendor_name: Option<String>,
    /// Its object classes.
    pub(crate) object_classes: Vec<String>,
}

impl RootDse {
    /// The search that reads it.
    pub(super) fn search() -> Search {
        Search {
            base: String::new(),
            scope: Scope::Base,
            filter: Filter::Present("objectClass".to_owned()),
            attributes: ATTRIBUTES.map(str::to_owned).to_vec(),
            size_limit: 1,
        }
    }

    /// Whether it is Active Directory, or calls itself so (MS-ADTS, section 3.1.1.3.4.3.1).
    pub(crate) fn is_active_directory(&self) -> bool {
        const LDAP_CAP_ACTIVE_DIRECTORY_OID: &str = "1.2.840.113556.1.4.800";
        self.supported_capabilities
            .iter()
            .any(|oid| oid == LDAP_CAP_ACTIVE_DIRECTORY_OID)
    }

    pub(super) fn read(entry: &Entry) -> Self {
        let all = |attribute| entry.texts(attribute).map(str::to_owned).collect();
        let one = |attribute| entry.texts(attribute).next().map(str::to_owned);
        Self {
            default_naming_context: one("defaultNamingContext"),
            naming_contexts: all("namingContexts"),
            supported_controls: all("supportedControl"),
            supported_capabilities: all("supportedCapabilities"),
            vendor_name: one("vendorName"),
            object_classes: all("objectClass"),
        }
    }
}
