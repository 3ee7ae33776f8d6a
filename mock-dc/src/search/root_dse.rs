//! The RootDSE: what a controller says of itself to anybody (MS-ADTS 3.1.1.3.2).

use time::OffsetDateTime;

use super::controls;
use super::entry::Entry;
use super::filter::{Context, evaluate};
use super::request::Filter;
use crate::domain::Domain;
use crate::domain::attributes::Attribute;
use crate::domain::dialect::Dialect;
use crate::domain::filetime::FileTime;
use crate::domain::fold::fold;

/// StartTLS (RFC 4511 4.14.1).
pub const STARTTLS: &str = "1.3.6.1.4.1.1466.20037";
/// Who am I? (RFC 4532).
pub const WHO_AM_I: &str = "1.3.6.1.4.1.4203.1.11.3";
/// Fast Bind (MS-ADTS 5.1.1.3).
pub const FAST_BIND: &str = "1.2.840.113556.1.4.1781";

/// LDAP_CAP_ACTIVE_DIRECTORY_OID and those that every AD since 2008 R2 has (MS-ADTS 3.1.1.3.4.3).
const CAPABILITIES: [&str; 5] = [
    "1.2.840.113556.1.4.800",
    "1.2.840.113556.1.4.1670",
    "1.2.840.113556.1.4.1791",
    "1.2.840.113556.1.4.1935",
    "1.2.840.113556.1.4.2080",
];

/// LDAP_CAP_ACTIVE_DIRECTORY_W8_OID, since Windows Server 2012.
const CAPABILITY_2012: &str = "1.2.840.113556.1.4.2237";

/// What a Windows controller and a Samba one say of themselves in other words.
struct Words {
    versions: [&'static str; 2],
    mechanisms: &'static [&'static str],
    extensions: &'static [&'static str],
    controls: &'static [&'static str],
    policies: &'static [&'static str],
    vendor: Option<&'static str>,
}

const WINDOWS: Words = Words {
    versions: ["3", "2"],
    mechanisms: &["GSSAPI", "GSS-SPNEGO", "EXTERNAL", "DIGEST-MD5"],
    extensions: &[STARTTLS, FAST_BIND, WHO_AM_I],
    controls: &[
        controls::PAGED_RESULTS,
        controls::SD_FLAGS,
        controls::SORT,
        controls::SHOW_DELETED,
        controls::LAZY_COMMIT,
        controls::EXTENDED_DN,
        controls::TREE_DELETE,
        controls::DOMAIN_SCOPE,
        controls::SEARCH_OPTIONS,
        controls::PERMISSIVE_MODIFY,
        controls::SHOW_RECYCLED,
        controls::SHOW_DEACTIVATED_LINK,
    ],
    policies: &[
        "MaxPoolThreads",
        "MaxPercentDirSyncRequests",
        "MaxDatagramRecv",
        "MaxReceiveBuffer",
        "InitRecvTimeout",
        "MaxConnections",
        "MaxConnIdleTime",
        "MaxPageSize",
        "MaxBatchReturnMessages",
        "MaxQueryDuration",
        "MaxDirSyncDuration",
        "MaxTempTableSize",
        "MaxResultSetSize",
        "MinResultSets",
        "MaxResultSetsPerConn",
        "MaxNotificationPerConn",
        "MaxValRange",
        "MaxValRangeTransitive",
        "ThreadMemoryLimit",
        "SystemMemoryLimitPercent",
    ],
    vendor: None,
};

/// As measured, with what stands there several times.
const SAMBA: Words = Words {
    versions: ["2", "3"],
    mechanisms: &["GSS-SPNEGO", "GSSAPI", "NTLM"],
    extensions: &[],
    controls: &[
        controls::PERMISSIVE_MODIFY,
        controls::PERMISSIVE_MODIFY,
        controls::PERMISSIVE_MODIFY,
        "1.2.840.113556.1.4.528",
        "1.2.840.113556.1.4.841",
        controls::PAGED_RESULTS,
        "2.16.840.1.113730.3.4.9",
        controls::SORT,
        "1.2.840.113556.1.4.1504",
        controls::SD_FLAGS,
        controls::SD_FLAGS,
        controls::SD_FLAGS,
        controls::TREE_DELETE,
        "1.2.840.113556.1.4.1338",
        controls::EXTENDED_DN,
        controls::SHOW_DELETED,
        controls::SHOW_RECYCLED,
        controls::DOMAIN_SCOPE,
        controls::SEARCH_OPTIONS,
        controls::PERMISSIVE_MODIFY,
        "1.2.840.113556.1.4.1341",
    ],
    policies: &[],
    vendor: Some("Samba Team (https://www.samba.org)"),
};

/// The RootDSE of the controller `dc`.
///
/// It says what AD says, since clients choose by it: SASL mechanisms are listed although such binds are refused, and
/// Samba's list of controls although not all of them are known here. On Windows, whose list cannot be measured, only
/// controls are listed that are.
pub fn root_dse(domain: &Domain, dc: &str, now: OffsetDateTime) -> Entry {
    let windows = domain.dialect() == Dialect::Windows;
    let words = if windows { WINDOWS } else { SAMBA };
    let level = domain.dialect().functional_level();
    let base = domain.base_text();
    let configuration = format!("CN=Configuration,{base}");
    let schema = domain.schema_base();
    let host = dc.to_uppercase();
    let dns = domain.dns_name();
    let server = format!("CN={host},CN=Servers,CN=Default-First-Site-Name,CN=Sites,{configuration}");
    let capabilities = CAPABILITIES.into_iter().chain(windows.then_some(CAPABILITY_2012));
    let service = format!("{dns}:{}$@{}", fold(dc), dns.to_uppercase());
    let mut attributes = vec![
        Attribute::dn("configurationNamingContext", &configuration),
        Attribute::dn("defaultNamingContext", base),
        Attribute::dn("rootDomainNamingContext", base),
        Attribute::dn("schemaNamingContext", &schema),
        Attribute::dn("subschemaSubentry", format!("CN=Aggregate,{schema}")),
        Attribute::text("supportedCapabilities", capabilities),
        Attribute::text("supportedLDAPVersion", words.versions),
        Attribute::text("vendorName", words.vendor),
        Attribute::text("isSynchronized", ["TRUE"]),
        Attribute::dn("dsServiceName", format!("CN=NTDS Settings,{server}")),
        Attribute::dn("serverName", server),
        Attribute::text("dnsHostName", [format!("{host}.{dns}")]),
        Attribute::text("ldapServiceName", [service]),
        Attribute::text("currentTime", [FileTime::from(now).generalized()]),
        Attribute::text("supportedControl", words.controls.iter().copied()),
        Attribute::text("supportedExtension", words.extensions.iter().copied()),
        Attribute::text("supportedLDAPPolicies", words.policies.iter().copied()),
        Attribute::text("namingContexts", [base, &configuration, &schema]),
        Attribute::text("supportedSASLMechanisms", words.mechanisms.iter().copied()),
        Attribute::integer("highestCommittedUSN", domain.highest_usn()),
        Attribute::integer("domainFunctionality", level),
        Attribute::integer("forestFunctionality", level),
        Attribute::integer("domainControllerFunctionality", level),
        Attribute::text("isGlobalCatalogReady", ["TRUE"]),
    ];
    attributes.retain(|attribute| !attribute.values.is_empty());
    Entry {
        dn: String::new(),
        attributes,
    }
}

/// Whether the RootDSE answers this filter. It has no objectClass, yet answers `(objectClass=*)`, with which everybody
/// asks for it.
pub fn answers(entry: &Entry, filter: &Filter, domain: &Domain) -> bool {
    if !domain.dialect().filters_root_dse() {
        return true;
    }
    let mut asked = entry.clone();
    asked.attributes.push(Attribute::text("objectClass", ["top"]));
    let context = Context {
        domain,
        attributes_of: &|_| Vec::new(),
    };
    evaluate(filter, &asked, &context) == Ok(Some(true))
}
