//! The development PKI: what `postern up` runs on, and what `postern pki` makes for two machines.
//!
//! One CA for servers (relays, domain controllers) and one for each tenant's agents, since trust anchors belong to a
//! tenant. A folder is a PKI when it holds `pki.toml`. Keys are files of mode 0600 in folders of mode 0700. It is for
//! trying and testing: the CA's keys lie beside what they sign.
//!
//! ```text
//! pki.toml                        the trust domain
//! ca.pem, ca.key                  CA of relays and domain controllers
//! relays/NAME.pem, .key           a relay, for QUIC and for its API
//! dcs/mock-dc.pem, .key           the simulated domain controllers (`postern up`)
//! tenants/TENANT/ca.pem, ca.key   CA of a tenant's agents
//! tenants/TENANT/REALM/NAME.pem   an agent, with its .key
//! ```

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use postern_protocol::identity::{AgentIdentity, Segment, TrustDomain, relay_uri};
use rcgen::{ExtendedKeyUsagePurpose, KeyPair, SanType};
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};

use authority::{Authority, Leaf};

mod authority;
pub mod command;
mod files;

/// The name that agents expect of every relay of the development PKI, whatever its address.
pub const RELAY_SERVER_NAME: &str = "relay.postern.test";

/// The trust domain when none is named. `.test` is nobody's (RFC 6761).
pub const DEFAULT_TRUST_DOMAIN: &str = "postern.test";

/// For `--help`: what is where.
pub const LAYOUT_HELP: &str = "\
Files in DIR (folders of mode 0700, keys of mode 0600):
  ca.pem, ca.key                    CA of relays; valid for a year
  relays/NAME.pem, .key             a relay, for QUIC and its API; 90 days
  tenants/TENANT/ca.pem, ca.key     CA of a tenant's agents; a year
  tenants/TENANT/REALM/NAME.pem, .key  an agent; 90 days
  pki.toml                          the trust domain

It is for development: the CAs' keys lie beside what they sign. Run a command again to renew a certificate.";

const MARKER: &str = "pki.toml";

/// A PKI in a folder.
#[derive(Debug)]
pub struct Pki {
    folder: PathBuf,
    trust_domain: TrustDomain,
    servers: Authority,
}

/// A certificate that was made, and where it lies.
#[derive(Debug)]
pub struct Issued {
    /// The certificate (PEM).
    pub certificate: PathBuf,
    /// Its private key (PEM, PKCS #8).
    pub key: PathBuf,
    /// The certificate of the CA that signed it (PEM).
    pub anchors: PathBuf,
    /// Whom it names.
    pub uri: Option<String>,
    /// Whether it took the place of an earlier one.
    pub renewed: bool,
}

/// Signs certificates for agents whose keys are somebody else's, and writes no file.
#[derive(Debug)]
pub struct AgentIssuer {
    authority: Authority,
    trust_domain: TrustDomain,
}

/// The content of `pki.toml`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Marker {
    trust_domain: String,
}

impl Pki {
    /// Whether `folder` holds a PKI.
    pub fn exists(folder: &Path) -> bool {
        folder.join(MARKER).exists()
    }

    /// Makes a PKI in `folder`, which is made too where it is missing.
    ///
    /// # Errors
    /// When there is one already, or a file cannot be written.
    pub fn init(folder: &Path, trust_domain: TrustDomain) -> anyhow::Result<Self> {
        if Self::exists(folder) {
            bail!(
                "{} holds a PKI already, and what it signed would no longer be trusted if it were replaced. Add \
                 certificates to it with `postern pki relay` and `postern pki agent`, or name another folder",
                folder.display()
            );
        }
        files::make_folder(folder)?;
        let servers = Authority::make(folder, &format!("Postern development CA, servers of {trust_domain}"))?;
        let marker = Marker {
            trust_domain: trust_domain.to_string(),
        };
        // Last, so that a folder with the marker is whole.
        files::write_new(&folder.join(MARKER), toml::to_string(&marker)?.as_bytes())?;
        Ok(Self {
            folder: folder.to_owned(),
            trust_domain,
            servers,
        })
    }

    /// Opens the PKI in `folder`.
    ///
    /// # Errors
    /// When there is none, or a file of it cannot be used.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(MARKER);
        if !path.exists() {
            bail!(
                "{0} holds no PKI (no {MARKER}); make one with `postern pki init {0}`",
                folder.display()
            );
        }
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let marker: Marker = toml::from_str(&text).with_context(|| format!("cannot use {}", path.display()))?;
        Ok(Self {
            folder: folder.to_owned(),
            trust_domain: marker
                .trust_domain
                .parse()
                .with_context(|| format!("cannot use {}", path.display()))?,
            servers: Authority::load(folder)?,
        })
    }

    /// The trust domain of every URI in it.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// Anchors for relays and domain controllers.
    pub fn ca(&self) -> PathBuf {
        self.servers.certificate_path()
    }

    /// Anchors for the agents of `tenant`.
    pub fn tenant_ca(&self, tenant: &Segment) -> PathBuf {
        Authority::certificate_in(&self.tenant_folder(tenant))
    }

    /// A certificate for a relay, good for QUIC and for its API: valid for [`RELAY_SERVER_NAME`], `localhost`, the
    /// loopback addresses, and `names` (DNS names or addresses).
    ///
    /// # Errors
    /// When a name is neither, or a file cannot be written.
    pub fn relay(&self, name: &Segment, names: &[String]) -> anyhow::Result<Issued> {
        let uri = relay_uri(&self.trust_domain, name);
        let leaf = Leaf {
            common_name: name.to_string(),
            uri: Some(uri),
            names: server_names(names.iter().map(String::as_str).chain([RELAY_SERVER_NAME]))?,
            usage: ExtendedKeyUsagePurpose::ServerAuth,
        };
        self.servers.sign(&leaf, &self.folder.join("relays"), name.as_str())
    }

    /// One certificate for all simulated domain controllers: valid for `names`, `localhost` and the loopback
    /// addresses.
    ///
    /// # Errors
    /// As [`Pki::relay`].
    pub fn domain_controllers(&self, names: &[String]) -> anyhow::Result<Issued> {
        let leaf = Leaf {
            common_name: "mock-dc".to_owned(),
            uri: None,
            names: server_names(names.iter().map(String::as_str))?,
            usage: ExtendedKeyUsagePurpose::ServerAuth,
        };
        self.servers.sign(&leaf, &self.folder.join("dcs"), "mock-dc")
    }

    /// A certificate for an agent, from its tenant's CA, which is made with the first of them.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn agent(&self, agent: &AgentIdentity) -> anyhow::Result<Issued> {
        let tenant = &agent.realm.tenant;
        let folder = self.tenant_folder(tenant);
        let leaf = agent_leaf(agent, &self.trust_domain);
        let authority = self.tenant_authority(tenant)?;
        authority.sign(&leaf, &folder.join(agent.realm.realm.as_str()), agent.name.as_str())
    }

    /// Makes the CA of a tenant's agents where there is none yet: relays want it before there is an agent.
    ///
    /// # Errors
    /// As [`Pki::agent`].
    pub fn tenant(&self, tenant: &Segment) -> anyhow::Result<()> {
        self.tenant_authority(tenant).map(drop)
    }

    /// Signs for many agents of a tenant, whose CA has to be there: relays know no other.
    ///
    /// # Errors
    /// When the CA cannot be read.
    pub fn agent_issuer(&self, tenant: &Segment) -> anyhow::Result<AgentIssuer> {
        Ok(AgentIssuer {
            authority: Authority::load(&self.tenant_folder(tenant))?,
            trust_domain: self.trust_domain.clone(),
        })
    }

    fn tenant_authority(&self, tenant: &Segment) -> anyhow::Result<Authority> {
        let folder = self.tenant_folder(tenant);
        if Authority::certificate_in(&folder).exists() {
            return Authority::load(&folder);
        }
        files::make_folder(&folder)?;
        let name = format!("Postern development CA, agents of {tenant} in {}", self.trust_domain);
        Authority::make(&folder, &name)
    }

    fn tenant_folder(&self, tenant: &Segment) -> PathBuf {
        self.folder.join("tenants").join(tenant.as_str())
    }
}

impl AgentIssuer {
    /// A certificate for an agent of the tenant. Several may have the same key.
    ///
    /// # Errors
    /// When the CA is about to end.
    pub fn certificate(&self, agent: &AgentIdentity, key: &KeyPair) -> anyhow::Result<CertificateDer<'static>> {
        let leaf = agent_leaf(agent, &self.trust_domain);
        Ok(self.authority.certificate(&leaf, key)?.into())
    }
}

/// What an agent's certificate says.
fn agent_leaf(agent: &AgentIdentity, trust_domain: &TrustDomain) -> Leaf {
    Leaf {
        common_name: agent.name.to_string(),
        uri: Some(agent.uri(trust_domain)),
        names: Vec::new(),
        usage: ExtendedKeyUsagePurpose::ClientAuth,
    }
}

/// What a server's certificate is valid for: `names` and this machine.
fn server_names<'a>(names: impl IntoIterator<Item = &'a str>) -> anyhow::Result<Vec<SanType>> {
    names
        .into_iter()
        .chain(["localhost", "127.0.0.1", "::1"])
        .map(|name| match name.parse::<IpAddr>() {
            Ok(address) => Ok(SanType::IpAddress(address)),
            Err(_) => dns_name(name),
        })
        .collect()
}

fn dns_name(name: &str) -> anyhow::Result<SanType> {
    let valid = rustls_pki_types::DnsName::try_from(name.strip_prefix("*.").unwrap_or(name)).is_ok();
    if !valid {
        bail!("{name:?} is neither a DNS name nor an address");
    }
    Ok(SanType::DnsName(name.try_into()?))
}

#[cfg(test)]
mod tests;
