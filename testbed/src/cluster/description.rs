//! The cluster as scripts are told of it: the line of `postern up --json`. Other people's scripts rely on every
//! member; see the contract in the README.

use serde::Serialize;

use super::files::Parts;
use super::folder::Folder;
use super::ports::Ports;
use super::users::{SampleUser, samples};
use super::{REALM, TENANT, loopback};
use crate::pki::Pki;
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
    pub realm: &'static str,
    /// Anchors for the relays' API and the domain controllers (PEM).
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
    /// Sample users.
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

/// One domain controller; all share a process.
#[derive(Debug, Serialize)]
pub struct DcDescription {
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

impl Description {
    /// Describes the cluster as it runs now.
    pub fn new(folder: &Folder, pki: &Pki, ports: &Ports, parts: &Parts, tls_api: bool, running: &Supervisor) -> Self {
        let pid = |part: &Part| running.pid(&part.name).unwrap_or_default();
        let log = |part: &Part| part.log.display().to_string();
        let scheme = if tls_api { "https" } else { "http" };
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
        let dcs = parts
            .dcs
            .aliases
            .iter()
            .zip(&ports.dcs)
            .map(|(name, own)| DcDescription {
                name: name.clone(),
                pid: pid(&parts.dcs),
                ldap: url("ldap", own.ldap),
                ldaps: url("ldaps", own.ldaps),
                control: url("http", ports.dc_control),
                argv: parts.dcs.argv.clone(),
                log: log(&parts.dcs),
            });
        Self {
            tenant: TENANT,
            realm: REALM,
            ca: pki.ca().display().to_string(),
            dir: folder.path().display().to_string(),
            control: url("http", ports.control),
            relays: relays.collect(),
            agents: agents.collect(),
            dcs: dcs.collect(),
            users: samples(),
        }
    }
}
