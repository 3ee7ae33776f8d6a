//! The agent's configuration: `[agent]`, `[relays]`, `[directory]`, `[opening_key]`, `[admin]`, `[log]`.
//!
//! Who the agent is (tenant, realm, name) is not in the file: it is read from its certificate, so that the two cannot
//! differ. Certificates and keys are read during validation; `--check-config` finds what is wrong with them too.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use postern_protocol::identity::{Identity, read_certificate};
use postern_protocol::{AgentIdentity, TrustDomain};
use postern_service::config::{Problems, RawConfig};
use postern_service::telemetry::LogConfig;
use postern_service::tls;
use rustls::RootCertStore;
use rustls_pki_types::ServerName;

use crate::core::kind::Kind;
use crate::directory::trust::{Anchors, Trust};

pub(crate) use discover::Discover;
pub(crate) use look_up::{AccountConfig, LookUpConfig, PasswordFileError, could_be_dn};
pub(crate) use proxy::Proxy;
pub(crate) use raw::DirectoryAlone as RawDirectoryAlone;
pub use raw::Raw;

mod discover;
mod look_up;
mod proxy;
mod raw;
mod url;

/// What the agent works with.
#[derive(Debug, Clone)]
pub struct Config {
    pub(crate) identity: AgentIdentity,
    pub(crate) trust_domain: TrustDomain,
    pub(crate) certificate: tls::Identity,
    /// The end of the certificate's validity, in seconds since 1970.
    pub(crate) not_after: i64,
    pub(crate) relays: RelaysConfig,
    /// The files that these name, and that they change with.
    pub(crate) files: Vec<PathBuf>,
    pub(crate) directory: DirectoryConfig,
    /// Time between two opening keys.
    pub(crate) renew_opening_key: Duration,
    pub(crate) admin: SocketAddr,
    pub(crate) log: LogConfig,
}

/// Where the relays are and how they are recognised.
#[derive(Debug, Clone)]
pub(crate) struct RelaysConfig {
    pub(crate) addresses: Vec<RelayAddress>,
    /// The name that every relay's certificate must have; otherwise the host of each address.
    pub(crate) server_name: Option<ServerName<'static>>,
    pub(crate) anchors: Arc<RootCertStore>,
    /// Through whom TCP goes.
    pub(crate) proxy: Option<Proxy>,
}

/// The directory.
#[derive(Debug, Clone)]
pub(crate) struct DirectoryConfig {
    /// Who may have issued the domain controllers' certificates.
    pub(crate) trust: Trust,
    /// What the domain controllers are. Without it, what they say they are.
    pub(crate) kind: Option<Kind>,
    /// Connections to all domain controllers together.
    pub(crate) connections: u32,
    pub(crate) bind_timeout: Duration,
    /// How long servers leave an idle connection alone, at least.
    pub(crate) idle_limit: Duration,
    /// Names differ. There is at least one, or `discover`.
    pub(crate) servers: Vec<Server>,
    pub(crate) discover: Option<Discover>,
    pub(crate) look_up: LookUpConfig,
}

/// One domain controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) transport: Transport,
    /// The name that its certificate must have.
    pub(crate) tls_name: ServerName<'static>,
    /// Another name that it must have besides, where the first one is DNS's word.
    pub(crate) tls_domain: Option<ServerName<'static>>,
    /// Who is asked for the host's addresses; nobody means the system's resolver.
    pub(crate) nameservers: Arc<[SocketAddr]>,
}

/// What protects a connection to a domain controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// TLS from the first byte.
    Ldaps,
    /// TLS before anything else is said (RFC 4511, section 4.14).
    StartTls,
    /// Nothing.
    Plain,
}

impl Server {
    /// `host:port`, for people.
    pub(crate) fn address(&self) -> String {
        RelayAddress {
            host: self.host.clone(),
            port: self.port,
        }
        .to_string()
    }
}

/// `HOST:PORT` of a relay; the host is a DNS name or an address (IPv6 in brackets).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RelayAddress {
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// The text is no `HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not HOST:PORT (such as \"relay.example.com:7011\", \"192.0.2.7:7011\" or \"[2001:db8::7]:7011\")")]
pub(crate) struct RelayAddressError;

impl FromStr for RelayAddress {
    type Err = RelayAddressError;

    fn from_str(text: &str) -> Result<Self, RelayAddressError> {
        let (host, port) = text.rsplit_once(':').ok_or(RelayAddressError)?;
        let port = port.parse().ok().filter(|&port| port != 0).ok_or(RelayAddressError)?;
        let host = match host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
            Some(inner) if inner.parse::<std::net::Ipv6Addr>().is_ok() => inner,
            None if ServerName::try_from(host).is_ok() && !host.contains(':') => host,
            _ => return Err(RelayAddressError),
        };
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for RelayAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// What the `[agent]` section comes to.
struct Who {
    identity: AgentIdentity,
    trust_domain: TrustDomain,
    certificate: tls::Identity,
    not_after: i64,
}

impl RawConfig for Raw {
    type Config = Config;

    fn validate(self, base: &Path, problems: &mut Problems) -> Option<Config> {
        let files = self.files(base);
        // Every section is looked at before any of them is missed: all problems at once.
        let who = problems
            .require("agent", self.agent)
            .and_then(|section| section.validate(base, problems));
        let relays = problems
            .require("relays", self.relays)
            .and_then(|section| section.validate(base, problems));
        let directory = problems
            .require("directory", self.directory)
            .and_then(|section| section.validate(base, problems));
        let renew_opening_key = self.opening_key.unwrap_or_default().validate(problems);
        let admin = self.admin.unwrap_or_default().validate(problems);
        let log = self.log.unwrap_or_default();
        log.validate(problems);
        let who = who?;
        Some(Config {
            identity: who.identity,
            trust_domain: who.trust_domain,
            certificate: who.certificate,
            not_after: who.not_after,
            relays: relays?,
            files,
            directory: directory?,
            renew_opening_key: renew_opening_key?,
            admin: admin?,
            log,
        })
    }

    fn log(config: &Config) -> &LogConfig {
        &config.log
    }
}

/// A `[directory]` section by itself, for a look at the directory.
#[derive(Debug)]
pub(crate) struct DirectoryAlone {
    pub(crate) directory: DirectoryConfig,
    log: LogConfig,
}

impl RawConfig for raw::DirectoryAlone {
    type Config = DirectoryAlone;

    fn validate(self, base: &Path, problems: &mut Problems) -> Option<DirectoryAlone> {
        let directory = problems.require("directory", self.directory)?;
        Some(DirectoryAlone {
            directory: directory.validate(base, problems)?,
            log: LogConfig::default(),
        })
    }

    fn log(config: &DirectoryAlone) -> &LogConfig {
        &config.log
    }
}

impl raw::Agent {
    fn validate(self, base: &Path, problems: &mut Problems) -> Option<Who> {
        let trust_domain = problems
            .require("agent.trust_domain", self.trust_domain)
            .and_then(|text| problems.parse::<TrustDomain>("agent.trust_domain", &text));
        let certificate = problems.require("agent.certificate", self.certificate);
        let key = problems.require("agent.key", self.key);
        let (trust_domain, certificate, key) = (trust_domain?, base.join(certificate?), base.join(key?));
        let identity = tls::load_certificates(&certificate)
            .map_err(|error| problems.add("agent.certificate", error))
            .and_then(|_| tls::load_identity(&certificate, &key).map_err(|error| problems.add("agent.key", error)))
            .ok()?;
        let leaf = identity.chain.first()?;
        let facts = read_certificate(leaf, &trust_domain)
            .map_err(|error| problems.add("agent.certificate", error))
            .ok()?;
        match facts.identity {
            Identity::Agent(agent) => Some(Who {
                identity: agent,
                trust_domain,
                certificate: identity,
                not_after: facts.not_after,
            }),
            Identity::Relay(relay) => {
                problems.add(
                    "agent.certificate",
                    format!(
                        "is the certificate of the relay {relay}; an agent's is needed (/tenant/T/realm/R/agent/A)"
                    ),
                );
                None
            }
        }
    }
}

impl raw::Relays {
    fn validate(self, base: &Path, problems: &mut Problems) -> Option<RelaysConfig> {
        let texts = problems.require("relays.addresses", self.addresses).unwrap_or_default();
        let addresses: Vec<RelayAddress> = texts
            .iter()
            .enumerate()
            .filter_map(|(index, text)| problems.parse(&format!("relays.addresses[{index}]"), text))
            .collect();
        if texts.is_empty() {
            problems.add("relays.addresses", "needs at least one HOST:PORT");
        }
        let proxy = proxy::validate(self.proxy, self.proxy_user, self.proxy_password_file, base, problems);
        let server_name = self.server_name.map(|text| {
            ServerName::try_from(text.clone()).map_err(|_| {
                problems.add(
                    "relays.server_name",
                    format!("{text:?} is neither a DNS name nor an IP address"),
                );
            })
        });
        let anchors = problems
            .require("relays.anchors", self.anchors)
            .and_then(|path| load_anchors(base, "relays.anchors", &path, problems));
        Some(RelaysConfig {
            addresses,
            server_name: server_name.transpose().ok()?,
            anchors: Arc::new(anchors?),
            proxy,
        })
    }
}

impl raw::Directory {
    fn validate(self, base: &Path, problems: &mut Problems) -> Option<DirectoryConfig> {
        let anchors = self
            .anchors
            .map_or(Anchors::System, |path| Anchors::File(base.join(path)));
        let trust = Trust::load(anchors)
            .map_err(|error| problems.add("directory.anchors", error))
            .ok();
        let kind = kind(&self.kind)
            .map_err(|message| problems.add("directory.kind", message))
            .ok();
        if !(1..=1_000).contains(&self.connections) {
            problems.add(
                "directory.connections",
                format!("must be 1 to 1000, not {}", self.connections),
            );
        }
        if !(50..=30_000).contains(&self.bind_timeout_ms) {
            problems.add(
                "directory.bind_timeout_ms",
                format!("must be 50 to 30000 (milliseconds), not {}", self.bind_timeout_ms),
            );
        }
        if !(1..=86_400).contains(&self.idle_limit_s) {
            problems.add(
                "directory.idle_limit_s",
                format!("must be 1 to 86400 (seconds; a day), not {}", self.idle_limit_s),
            );
        }
        if self.servers.is_empty() && self.discover.is_none() {
            problems.add(
                "directory.servers",
                "needs at least one [[directory.servers]], or [directory.discover] to find them in DNS",
            );
        }
        let discovers = self.discover.is_some();
        let discover = self.discover.and_then(|section| section.validate(problems));
        let mut servers: Vec<Server> = Vec::new();
        for (index, server) in self.servers.into_iter().enumerate() {
            let key = format!("directory.servers[{index}]");
            if let Some(server) = server.validate(&key, problems) {
                if servers.iter().any(|other| other.name == server.name) {
                    problems.add(format!("{key}.name"), format!("{:?} is used twice", server.name));
                }
                servers.push(server);
            }
        }
        let look_up = look_up::validate(self.look_up, self.alternate_id, kind.flatten(), base, problems);
        Some(DirectoryConfig {
            trust: trust?,
            kind: kind?,
            connections: self.connections,
            bind_timeout: Duration::from_millis(self.bind_timeout_ms),
            idle_limit: Duration::from_secs(self.idle_limit_s),
            servers,
            discover: if discovers { Some(discover?) } else { None },
            look_up: look_up?,
        })
    }
}

/// `auto`, or a kind.
fn kind(text: &str) -> Result<Option<Kind>, String> {
    if text == "auto" {
        return Ok(None);
    }
    let known = Kind::ALL.into_iter().find(|kind| kind.as_str() == text);
    known.map(Some).ok_or_else(|| {
        let names: Vec<_> = Kind::ALL.iter().map(|kind| format!("{:?}", kind.as_str())).collect();
        format!("must be \"auto\" or one of {}, not {text:?}", names.join(", "))
    })
}

impl raw::Server {
    fn validate(self, key: &str, problems: &mut Problems) -> Option<Server> {
        let url = problems.require(&format!("{key}.url"), self.url)?;
        let (transport, host, port) = self::url::parse(&url)
            .map_err(|message| problems.add(format!("{key}.url"), message))
            .ok()?;
        let transport = match (transport, self.insecure) {
            (Transport::StartTls, true) => Transport::Plain,
            (Transport::Ldaps, true) => {
                problems.add(
                    format!("{key}.insecure"),
                    "contradicts ldaps://; leave it out, or write ldap:// for a connection that nothing protects",
                );
                return None;
            }
            (transport, _) => transport,
        };
        let (name_key, tls_name) = match self.server_name {
            Some(name) => ("server_name", name),
            None => ("url", host.clone()),
        };
        let tls_name = ServerName::try_from(tls_name.clone())
            .map_err(|_| {
                problems.add(
                    format!("{key}.{name_key}"),
                    format!("{tls_name:?} is no DNS name or address"),
                )
            })
            .ok()?;
        let name = self.name.unwrap_or_else(|| host.clone());
        if name.is_empty() || name.len() > 255 || name.contains(char::is_control) {
            problems.add(
                format!("{key}.name"),
                "must have 1 to 255 characters and none of control",
            );
        }
        Some(Server {
            name,
            host,
            port,
            transport,
            tls_name,
            tls_domain: None,
            nameservers: Arc::default(),
        })
    }
}

impl raw::OpeningKey {
    fn validate(self, problems: &mut Problems) -> Option<Duration> {
        // Below a minute there would be many old keys that live requests may still need.
        if !(60..=2_592_000).contains(&self.renew_s) {
            problems.add(
                "opening_key.renew_s",
                format!("must be 60 to 2592000 (seconds; 30 days), not {}", self.renew_s),
            );
            return None;
        }
        Some(Duration::from_secs(self.renew_s))
    }
}

impl raw::Admin {
    fn validate(self, problems: &mut Problems) -> Option<SocketAddr> {
        problems.parse("admin.listen", &self.listen)
    }
}

fn load_anchors(base: &Path, key: &str, path: &PathBuf, problems: &mut Problems) -> Option<RootCertStore> {
    tls::load_anchors(&base.join(path))
        .map_err(|error| problems.add(key, error))
        .ok()
}

/// The address itself, where the host is one.
pub(crate) fn literal(address: &RelayAddress) -> Option<SocketAddr> {
    let ip: IpAddr = address.host.parse().ok()?;
    Some(SocketAddr::new(ip, address.port))
}

#[cfg(test)]
mod tests;
