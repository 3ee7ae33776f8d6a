//! The RootDSE (RFC 4512, section 5.1): what a server says of itself.

use crate::core::kind::Kind;
use postern_ldap::client::{Entry, Filter, LdapResult, Scope, Search};

/// What of it is asked for. Most are operational, and some servers give those by name only.
const ATTRIBUTES: [&str; 6] = [
    "objectClass",
    "defaultNamingContext",
    "namingContexts",
    "supportedControl",
    "supportedCapabilities",
    "vendorName",
];

/// What is kept of an attribute: this many values of so many bytes. Active Directory lists some forty controls. Whoever
/// answers may not be a directory at all, and what it says goes into memory, log lines and searches.
const MAX_VALUES: usize = 256;
const MAX_VALUE: usize = 1_024;

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
    /// Its words, if it refuses to show its RootDSE. That is an answer: it is up.
    pub(crate) refusal: Option<LdapResult>,
}

/// The server does not say what it is, and nobody else does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "it refuses to say what it is (its RootDSE: result {}, {:?}); set directory.kind to what it is, and \
     directory.look_up.base to the DN below which accounts are, if names are looked up", .0.code, .0.text
)]
pub(crate) struct KindUnknown(LdapResult);

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

    /// The DN below which its entries are, as far as there is only one.
    pub(crate) fn base(&self) -> Option<&str> {
        match (&self.default_naming_context, self.naming_contexts.as_slice()) {
            (Some(default), _) => Some(default),
            (None, [only]) => Some(only),
            (None, _) => None,
        }
    }

    /// Whether the server lists a control.
    pub(crate) fn has_control(&self, oid: &str) -> bool {
        self.supported_controls.iter().any(|control| control == oid)
    }

    /// What the server is by the configuration, or else by its own word.
    pub(crate) fn kind_unless(&self, configured: Option<Kind>) -> Result<Kind, KindUnknown> {
        match (configured, &self.refusal) {
            (Some(configured), _) => Ok(configured),
            (None, Some(refusal)) => Err(KindUnknown(refusal.clone())),
            (None, None) => Ok(self.kind()),
        }
    }

    /// Of a server that refuses to show it; or its words again, where they do not say that it would if asked otherwise.
    /// One that is busy or broken would take its share of the binds, and answer none.
    pub(super) fn refused(refusal: LdapResult) -> Result<Self, LdapResult> {
        /// RFC 4511, section 4.1.9.
        mod code {
            pub(super) const STRONGER_AUTH_REQUIRED: u32 = 8;
            pub(super) const CONFIDENTIALITY_REQUIRED: u32 = 13;
            pub(super) const NO_SUCH_OBJECT: u32 = 32;
            pub(super) const INAPPROPRIATE_AUTHENTICATION: u32 = 48;
            pub(super) const INSUFFICIENT_ACCESS_RIGHTS: u32 = 50;
            pub(super) const UNWILLING_TO_PERFORM: u32 = 53;
        }
        match refusal.code {
            code::STRONGER_AUTH_REQUIRED
            | code::CONFIDENTIALITY_REQUIRED
            | code::NO_SUCH_OBJECT
            | code::INAPPROPRIATE_AUTHENTICATION
            | code::INSUFFICIENT_ACCESS_RIGHTS
            | code::UNWILLING_TO_PERFORM => Ok(Self {
                refusal: Some(refusal),
                ..Self::default()
            }),
            _ => Err(refusal),
        }
    }

    /// What the server is, by what each kind alone says of itself.
    pub(crate) fn kind(&self) -> Kind {
        /// MS-ADTS, section 3.1.1.3.4.3.1: LDAP_CAP_ACTIVE_DIRECTORY_OID. Samba says it, too.
        const ACTIVE_DIRECTORY: &str = "1.2.840.113556.1.4.800";
        let is_class = |name: &str| self.object_classes.iter().any(|class| class.eq_ignore_ascii_case(name));
        if self.supported_capabilities.iter().any(|oid| oid == ACTIVE_DIRECTORY) {
            Kind::ActiveDirectory
        } else if is_class("OpenLDAProotDSE") {
            Kind::OpenLdap
        } else if self.vendor_name.as_deref() == Some("389 Project") {
            Kind::Ds389
        } else {
            Kind::Other
        }
    }

    pub(super) fn read(entry: &Entry) -> Self {
        // Beyond the bounds it counts as not there: half of a DN or of a list would say something else.
        let all = |attribute: &str| {
            let values = entry.values(attribute);
            let bounded = values.len() <= MAX_VALUES && values.iter().all(|value| value.len() <= MAX_VALUE);
            let texts = entry.texts(attribute).filter(|_| bounded);
            texts.map(str::to_owned).collect::<Vec<_>>()
        };
        let one = |attribute: &str| all(attribute).into_iter().next();
        Self {
            default_naming_context: one("defaultNamingContext"),
            naming_contexts: all("namingContexts"),
            supported_controls: all("supportedControl"),
            supported_capabilities: all("supportedCapabilities"),
            vendor_name: one("vendorName"),
            object_classes: all("objectClass"),
            refusal: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_known_by_what_it_alone_says() {
        let own = str::to_owned;
        let samba = RootDse {
            supported_capabilities: vec![own("1.2.840.113556.1.4.800"), own("1.2.840.113556.1.4.1670")],
            vendor_name: Some(own("Samba Team (https://www.samba.org)")),
            ..RootDse::default()
        };
        let openldap = RootDse {
            object_classes: vec![own("top"), own("OpenLDAProotDSE")],
            ..RootDse::default()
        };
        let ds389 = RootDse {
            vendor_name: Some(own("389 Project")),
            ..RootDse::default()
        };
        assert_eq!(samba.kind(), Kind::ActiveDirectory);
        assert_eq!(openldap.kind(), Kind::OpenLdap);
        assert_eq!(ds389.kind(), Kind::Ds389);
        assert_eq!(RootDse::default().kind(), Kind::Other);
    }

    #[test]
    fn what_is_out_of_all_proportion_counts_as_not_there() {
        let read = |values: Vec<Vec<u8>>| {
            let attributes = [
                "defaultNamingContext",
                "namingContexts",
                "supportedControl",
                "vendorName",
            ];
            let attributes = attributes.map(|name| (name.to_owned(), values.clone()));
            RootDse::read(&Entry::new(String::new(), attributes.to_vec()))
        };
        let whole = read(vec![vec![b'a'; MAX_VALUE]; MAX_VALUES]);
        assert_eq!(whole.supported_controls.len(), MAX_VALUES);
        assert_eq!(whole.base().map(str::len), Some(MAX_VALUE));
        for beyond in [
            vec![b"dc=corp".to_vec(), vec![b'a'; MAX_VALUE + 1]],
            vec![b"dc=corp".to_vec(); MAX_VALUES + 1],
        ] {
            assert_eq!(read(beyond), RootDse::default());
        }
    }

    #[test]
    fn one_that_refuses_is_what_the_configuration_says_and_nothing_without_it() {
        let refused = |code| {
            let text = "no".to_owned();
            RootDse::refused(LdapResult { code, text })
        };
        for code in [8, 13, 32, 48, 50, 53] {
            let root = refused(code).unwrap();
            assert_eq!(root.kind_unless(Some(Kind::OpenLdap)), Ok(Kind::OpenLdap));
            let unknown = root.kind_unless(None).unwrap_err().to_string();
            assert!(unknown.contains(&format!("result {code}")) && unknown.contains("set directory.kind"));
        }
        for code in [1, 2, 51, 52, 80] {
            assert_eq!(refused(code).unwrap_err().code, code);
        }
    }
}
