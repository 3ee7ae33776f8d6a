//! The shape of each part's configuration, as far as a cluster sets it; what is left out has its default.
//!
//! Written apart from the structures that the parts read, so that a change of theirs which breaks existing files
//! breaks here too: each part checks what is written for it in a test.

use serde::Serialize;
use toml::Value;

use crate::cluster::loopback;

#[derive(Serialize)]
pub(super) struct Certificate {
    pub(super) certificate: String,
    pub(super) key: String,
}

#[derive(Serialize)]
pub(super) struct Listen {
    pub(super) listen: String,
}

impl Listen {
    pub(super) fn on(port: u16) -> Self {
        Self {
            listen: loopback(port).to_string(),
        }
    }
}

#[derive(Serialize)]
pub(super) struct MockDc {
    pub(super) domain: DirectoryDomain,
    pub(super) policy: Policy,
    pub(super) generated: Generated,
    pub(super) tls: Certificate,
    pub(super) control: Listen,
    pub(super) admin: Listen,
    pub(super) dcs: Vec<Dc>,
    pub(super) users: Vec<Value>,
}

#[derive(Serialize)]
pub(super) struct DirectoryDomain {
    pub(super) name: &'static str,
    pub(super) netbios: &'static str,
}

#[derive(Serialize)]
pub(super) struct Policy {
    pub(super) lockout_threshold: u32,
    pub(super) lockout_duration_s: u32,
    pub(super) lockout_window_s: u32,
}

#[derive(Serialize)]
pub(super) struct Generated {
    pub(super) count: u32,
    pub(super) mail_suffix: &'static str,
}

#[derive(Serialize)]
pub(super) struct Dc {
    pub(super) name: String,
    pub(super) ldap: String,
    pub(super) ldaps: String,
}

#[derive(Serialize)]
pub(super) struct Relay {
    pub(super) relay: RelayIdentity,
    pub(super) api: Api,
    pub(super) page: Page,
    pub(super) quic: Quic,
    pub(super) admin: Listen,
    pub(super) limits: Limits,
    pub(super) tenants: [Tenant; 1],
    pub(super) realms: [Realm; 1],
}

#[derive(Serialize)]
pub(super) struct RelayIdentity {
    pub(super) name: String,
    pub(super) trust_domain: String,
    pub(super) state: String,
}

#[derive(Serialize)]
pub(super) struct Page {
    pub(super) disclose: &'static str,
}

#[derive(Serialize)]
pub(super) struct Api {
    pub(super) listen: String,
    pub(super) disclose: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tls: Option<Certificate>,
}

#[derive(Serialize)]
pub(super) struct Quic {
    pub(super) listen: String,
    #[serde(flatten)]
    pub(super) certificate: Certificate,
}

#[derive(Serialize)]
pub(super) struct Limits {
    pub(super) per_caller: Bucket,
    pub(super) per_address: Bucket,
    pub(super) per_user: Bucket,
}

#[derive(Clone, Copy, Serialize)]
pub(super) struct Bucket {
    pub(super) per_second: u32,
    pub(super) burst: u32,
}

#[derive(Serialize)]
pub(super) struct Tenant {
    pub(super) name: &'static str,
    pub(super) display_name: String,
    pub(super) anchors: String,
}

#[derive(Serialize)]
pub(super) struct Realm {
    pub(super) tenant: &'static str,
    pub(super) name: String,
    pub(super) upn_suffixes: Vec<String>,
    pub(super) netbios: [String; 1],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) alternate_id: Vec<String>,
}

#[derive(Serialize)]
pub(super) struct Agent {
    pub(super) agent: AgentSection,
    pub(super) relays: Relays,
    pub(super) directory: Directory,
    pub(super) admin: Listen,
}

#[derive(Serialize)]
pub(super) struct AgentSection {
    pub(super) trust_domain: String,
    #[serde(flatten)]
    pub(super) certificate: Certificate,
}

#[derive(Serialize)]
pub(super) struct Relays {
    pub(super) addresses: Vec<String>,
    pub(super) server_name: &'static str,
    pub(super) anchors: String,
}

#[derive(Serialize)]
pub(super) struct Directory {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) anchors: Option<String>,
    pub(super) servers: Vec<Server>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) look_up: Option<LookUp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) alternate_id: Option<AlternateId>,
}

#[derive(Serialize)]
pub(super) struct Server {
    pub(super) name: String,
    pub(super) url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) server_name: Option<String>,
}

#[derive(Serialize)]
pub(super) struct LookUp {
    #[serde(flatten)]
    pub(super) account: Option<Account>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) attribute: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Account {
    pub(super) account: String,
    pub(super) password_file: String,
}

#[derive(Serialize)]
pub(super) struct AlternateId {
    pub(super) attribute: String,
    pub(super) suffixes: Vec<String>,
    pub(super) value: &'static str,
}
