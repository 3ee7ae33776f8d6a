//! The RootDSE: what a controller says of itself to anybody (MS-ADTS 3.1.1.3.2).

use time::OffsetDateTime;

use super::entry::Entry;
use super::filter::evaluate;
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

/// Functional level of Windows Server 2016 and all later ones up to 2022.
const FUNCTIONALITY: u32 = 7;

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

/// The RootDSE of the controller `dc`.
///
/// It lists what works: no SASL mechanism and no control is offered yet, so those attributes are absent.
pub fn root_dse(domain: &Domain, dc: &str, now: OffsetDateTime) -> Entry {
    let base = domain.base_text();
    let configuration = format!("CN=Configuration,{base}");
    let host = dc.to_uppercase();
    let server = format!("CN={host},CN=Servers,CN=Default-First-Site-Name,CN=Sites,{configuration}");
    let dns_host = format!("{}.{}", fold(dc), domain.dns_name());
    let windows = domain.dialect() == Dialect::Windows;
    let capabilities = CAPABILITIES.into_iter().chain(windows.then_some(CAPABILITY_2012));
    let mut attributes = vec![
        Attribute::text("currentTime", [FileTime::from(now).generalized()]),
        Attribute::dn("dsServiceName", format!("CN=NTDS Settings,{server}")),
        Attribute::text("namingContexts", [base, &configuration, &domain.schema_base()]),
        Attribute::dn("defaultNamingContext", base),
        Attribute::dn("schemaNamingContext", domain.schema_base()),
        Attribute::dn("configurationNamingContext", &configuration),
        Attribute::dn("rootDomainNamingContext", base),
        Attribute::dn("subschemaSubentry", format!("CN=Aggregate,{}", domain.schema_base())),
        Attribute::text("supportedLDAPVersion", ["3", "2"]),
        Attribute::text("supportedCapabilities", capabilities),
        Attribute::text("dnsHostName", [&dns_host]),
        Attribute::text(
            "ldapServiceName",
            [format!(
                "{}:{}$@{}",
                domain.dns_name(),
                fold(dc),
                domain.dns_name().to_uppercase()
            )],
        ),
        Attribute::dn("serverName", server),
        Attribute::text("isSynchronized", ["TRUE"]),
        Attribute::text("isGlobalCatalogReady", ["FALSE"]),
        Attribute::integer("domainFunctionality", FUNCTIONALITY),
        Attribute::integer("forestFunctionality", FUNCTIONALITY),
        Attribute::integer("domainControllerFunctionality", FUNCTIONALITY),
    ];
    // Samba tells neither; it names its maker instead.
    if windows {
        attributes.push(Attribute::text("supportedExtension", [STARTTLS, FAST_BIND, WHO_AM_I]));
    } else {
        attributes.push(Attribute::text("vendorName", ["Samba Team (https://www.samba.org)"]));
    }
    Entry {
        dn: String::new(),
        attributes,
    }
}

/// Whether the RootDSE answers this filter. It has no objectClass, yet answers `(objectClass=*)`, with which everybody
/// asks for it.
pub fn answers(entry: &Entry, filter: &Filter, domain: &Domain) -> bool {
    let mut asked = entry.clone();
    asked.attributes.push(Attribute::text("objectClass", ["top"]));
    evaluate(filter, &asked, domain) == Some(true)
}
