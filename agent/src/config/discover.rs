//! `[directory.discover]`: domain controllers from DNS SRV records instead of, or beside, a list.
//!
//! DNS is not protected, so what it says cannot be what a certificate is checked against (RFC 6125, section 6.2.1): with
//! the certificate of any machine, whoever forges an answer would be a domain controller. What is checked is the domain
//! of the configuration, for which domain controllers alone have certificates.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use postern_service::config::Problems;
use rustls_pki_types::ServerName;
use serde::Deserialize;

use super::url::LDAPS_PORT;
use super::{Server, Transport};
use crate::core::locator::{Record, host_name};

/// As serde reads it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    domain: Option<String>,
    site: Option<String>,
    /// LDAPS: nothing is said before the certificate was checked.
    #[serde(default)]
    transport: RawTransport,
    /// The domain: DNS can be forged, and every machine of a domain may have a certificate for its own name.
    #[serde(default)]
    verify: RawVerify,
    port: Option<u16>,
    #[serde(default)]
    nameservers: Vec<String>,
    /// 300 s: domain controllers are installed and retired by hand; Active Directory's own locator asks every few hours.
    #[serde(default = "default_refresh_s")]
    refresh_s: u64,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawTransport {
    #[default]
    Ldaps,
    StartTls,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawVerify {
    #[default]
    Domain,
    Host,
}

fn default_refresh_s() -> u64 {
    300
}

/// Where and how to look for domain controllers.
#[derive(Debug, Clone)]
pub(crate) struct Discover {
    /// A DNS name in lower case, without a final dot.
    pub(crate) domain: String,
    /// The name that each domain controller's certificate must have besides its own; nothing where the configuration
    /// believes DNS.
    tls_domain: Option<ServerName<'static>>,
    /// The site whose domain controllers are preferred.
    pub(crate) site: Option<String>,
    /// What protects the connections; never nothing, for what DNS says is not trusted.
    transport: Transport,
    /// At all of them; otherwise the SRV record's.
    port: Option<u16>,
    /// Who is asked; nobody means the system's resolver.
    pub(crate) nameservers: Arc<[SocketAddr]>,
    /// Between two look-ups.
    pub(crate) refresh: Duration,
}

impl Raw {
    pub(super) fn validate(self, problems: &mut Problems) -> Option<Discover> {
        let domain = problems
            .require("directory.discover.domain", self.domain)
            .and_then(|text| {
                let domain = host_name(&text);
                if domain.is_none() {
                    problems.add(
                        "directory.discover.domain",
                        format!("{text:?} is no DNS name (such as \"corp.example.com\")"),
                    );
                }
                domain
            });
        let site_is_one = |site: &String| host_name(site).is_some() && !site.contains('.');
        if let Some(site) = self.site.as_ref().filter(|site| !site_is_one(site)) {
            problems.add(
                "directory.discover.site",
                format!("{site:?} is no site's name: letters, digits and hyphens, as in \"Berlin\""),
            );
        }
        if self.port == Some(0) {
            problems.add("directory.discover.port", "must be 1 to 65535");
        }
        let nameservers: Vec<SocketAddr> = self
            .nameservers
            .iter()
            .enumerate()
            .filter_map(|(index, text)| {
                let key = format!("directory.discover.nameservers[{index}]");
                problems.parse::<SocketAddr>(&key, text)
            })
            .collect();
        if !(1..=86_400).contains(&self.refresh_s) {
            problems.add(
                "directory.discover.refresh_s",
                format!("must be 1 to 86400 (seconds; a day), not {}", self.refresh_s),
            );
        }
        let (transport, port) = match self.transport {
            // An SRV record tells the port of plain LDAP, and nobody registers that of LDAPS.
            RawTransport::Ldaps => (Transport::Ldaps, Some(self.port.unwrap_or(LDAPS_PORT))),
            RawTransport::StartTls => (Transport::StartTls, self.port),
        };
        let domain = domain?;
        let tls_domain = match self.verify {
            RawVerify::Domain => Some(ServerName::try_from(domain.clone()).ok()?),
            RawVerify::Host => None,
        };
        Some(Discover {
            domain,
            tls_domain,
            site: self.site,
            transport,
            port,
            nameservers: nameservers.into(),
            refresh: Duration::from_secs(self.refresh_s),
        })
    }
}

impl Discover {
    /// Whether DNS is believed when it says which machines are domain controllers.
    pub(crate) fn believes_dns(&self) -> bool {
        self.tls_domain.is_none()
    }

    /// The domain controller that a record names. Its certificate must have that name, and the domain's.
    pub(crate) fn server(&self, record: &Record) -> Option<Server> {
        Some(Server {
            name: record.host.clone(),
            host: record.host.clone(),
            port: self.port.unwrap_or(record.port),
            transport: self.transport,
            tls_name: ServerName::try_from(record.host.clone()).ok()?,
            tls_domain: self.tls_domain.clone(),
            nameservers: self.nameservers.clone(),
        })
    }
}
