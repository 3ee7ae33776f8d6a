//! The cluster as scripts are told of it: the line of `postern up --json`. Other people's scripts rely on every
//! member; see the contract in the README.

use serde::Serialize;

use super::existing::{Existing, Scheme};
use super::files::{Directory, Parts, Site};
use super::ports::Ports;
use super::users::{SampleUser, samples};
use super::{TENANT, loopback};
use crate::supervisor::{Part, Supervisor};

/// `http://127.0.0.1:7000`, without a final slash.
pub fn url(scheme: &str, port: u16) -> String {
    format!("{scheme}://{}", loopback(port))
}

/// The whole line.
#[derive(Debug, Serialize)]
pub struct Description {
    /// The organisation.
    pub tenant: &'static str,
    /// Its directory domain.
    pub realm: String,
    /// Anchors for the relays' API and the simulated domain controllers (PEM).
    pub ca: String,
    /// The cluster's folder.
    pub dir: String,
    /// The cluster's control.
    pub control: String,
    /// Relays.
    pub relays: Vec<RelayDescription>,
    /// Agents.
    pub agents: Vec<AgentDescription>,
    /// Domain controllers.
    pub dcs: Vec<DcDescription>,
    /// Sample users; none are known of an existing directory.
    pub users: Vec<SampleUser>,
}

/// One relay.
#[derive(Debug, Serialize)]
pub struct RelayDescription {
    /// Name.
    pub name: String,
    /// Process.
    pub pid: u32,
    /// Sign-in API.
    pub api: String,
    /// `HOST:PORT` of QUIC.
    pub quic: String,
    /// Admin listener.
    pub admin: String,
    /// The command that runs it; typed by hand it runs it without `postern up`.
    pub argv: Vec<String>,
    /// Its output.
    pub log: String,
}

/// One agent.
#[derive(Debug, Serialize)]
pub struct AgentDescription {
    /// Name.
    pub name: String,
    /// Process.
    pub pid: u32,
    /// Admin listener.
    pub admin: String,
    /// As for a relay.
    pub argv: Vec<String>,
    /// Its output.
    pub log: String,
}

/// One domain controller.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum DcDescription {
    /// A simulated one.
    Simulated(SimulatedDc),
    /// One of an existing directory.
    Existing(ExistingDc),
}

/// One simulated domain controller; all share a process.
#[derive(Debug, Serialize)]
pub struct SimulatedDc {
    /// Name.
    pub name: String,
    /// Process.
    pub pid: u32,
    /// LDAP and StartTLS.
    pub ldap: String,
    /// LDAPS.
    pub ldaps: String,
    /// mock-dc's control.
    pub control: String,
    /// As for a relay.
    pub argv: Vec<String>,
    /// Its output.
    pub log: String,
}

/// One domain controller of an existing directory: its URL has the name that its scheme gives it.
#[derive(Debug, Serialize)]
pub struct ExistingDc {
    /// Name in the agents' logs and metrics.
    pub name: String,
    /// LDAP with StartTLS, when that is how it is reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ldap: Option<String>,
    /// LDAPS, when that is how it is reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ldaps: Option<String>,
}

impl Description {
    /// Describes the cluster as it runs now.
    pub fn new(site: &Site<'_>, parts: &Parts, running: &Supervisor) -> Self {
        let ports = site.ports;
        let pid = |part: &Part| running.pid(&part.name).unwrap_or_default();
        let log = |part: &Part| part.log.display().to_string();
        let scheme = if site.tls_api { "https" } else { "http" };
        let relays = parts
            .relays
            .iter()
            .zip(&ports.relays)
            .map(|(part, ports)| RelayDescription {
                name: part.name.clone(),
                pid: pid(part),
                api: url(scheme, ports.api),
                quic: loopback(ports.quic).to_string(),
                admin: part.admin.clone(),
                argv: part.argv.clone(),
                log: log(part),
            });
        let agents = parts.agents.iter().map(|part| AgentDescription {
            name: part.name.clone(),
            pid: pid(part),
            admin: part.admin.clone(),
            argv: part.argv.clone(),
            log: log(part),
        });
        let dcs = match (site.directory, &parts.dcs) {
            (Directory::Existing(existing), _) => existing_dcs(existing),
            (Directory::Simulated { .. }, None) => Vec::new(),
            (Directory::Simulated { .. }, Some(part)) => simulated_dcs(part, ports, pid(part)),
        };
        let samples = match site.directory {
            Directory::Existing(_) => Vec::new(),
            Directory::Simulated { .. } => samples(),
        };
        Self {
            tenant: TENANT,
            realm: site.domain.realm.clone(),
            ca: site.pki.ca().display().to_string(),
            dir: site.folder.path().display().to_string(),
            control: url("http", ports.control),
            relays: relays.collect(),
            agents: agents.collect(),
            dcs,
            users: samples,
        }
    }
}

fn simulated_dcs(part: &Part, ports: &Ports, pid: u32) -> Vec<DcDescription> {
    let control = ports.mock_dc.map_or_else(String::new, |own| url("http", own.control));
    let described = part.aliases.iter().zip(&ports.dcs).map(|(name, own)| SimulatedDc {
        name: name.clone(),
        pid,
        ldap: url("ldap", own.ldap),
        ldaps: url("ldaps", own.ldaps),
        control: control.clone(),
        argv: part.argv.clone(),
        log: part.log.display().to_string(),
    });
    described.map(DcDescription::Simulated).collect()
}

fn existing_dcs(existing: &Existing) -> Vec<DcDescription> {
    let described = existing.servers.iter().map(|server| {
        let url = |scheme| (server.url.scheme == scheme).then(|| server.url.to_string());
        ExistingDc {
            name: server.name.clone(),
            ldap: url(Scheme::StartTls),
            ldaps: url(Scheme::Ldaps),
        }
    });
    described.map(DcDescription::Existing).collect()
}
