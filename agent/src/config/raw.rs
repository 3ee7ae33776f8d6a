//! The file's content as serde reads it. What is missing and what cannot be is found by validation.

use std::path::{Path, PathBuf};

use postern_service::telemetry::LogConfig;
use serde::Deserialize;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Raw {
    pub(super) agent: Option<Agent>,
    pub(super) relays: Option<Relays>,
    pub(super) directory: Option<Directory>,
    pub(super) opening_key: Option<OpeningKey>,
    pub(super) admin: Option<Admin>,
    pub(super) log: Option<LogConfig>,
}

impl Raw {
    /// The files that are named, below `base`, and that a running agent reads again.
    pub(super) fn files(&self, base: &Path) -> Vec<PathBuf> {
        let agent = self.agent.as_ref();
        let relays = self.relays.as_ref();
        let named = [
            agent.and_then(|agent| agent.certificate.as_ref()),
            agent.and_then(|agent| agent.key.as_ref()),
            relays.and_then(|relays| relays.anchors.as_ref()),
            relays.and_then(|relays| relays.proxy_password_file.as_ref()),
        ];
        named.into_iter().flatten().map(|path| base.join(path)).collect()
    }
}

/// One section of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DirectoryAlone {
    pub(super) directory: Option<Directory>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Agent {
    pub(super) trust_domain: Option<String>,
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Relays {
    pub(super) addresses: Option<Vec<String>>,
    pub(super) server_name: Option<String>,
    pub(super) anchors: Option<PathBuf>,
    pub(super) proxy: Option<String>,
    pub(super) proxy_user: Option<String>,
    pub(super) proxy_password_file: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Directory {
    /// Every directory that is known here says what it is, so nobody has to.
    #[serde(default = "default_kind")]
    pub(super) kind: String,
    /// Without it the system's store: where an organisation's CA is installed on its machines, it is there.
    pub(super) anchors: Option<PathBuf>,
    /// 16: Samba serves some 300 binds a second and no more with more connections; a Windows domain controller and
    /// OpenLDAP serve thousands over as many.
    #[serde(default = "default_connections")]
    pub(super) connections: u32,
    /// 1,500 ms: a hundred times what a bind takes, and a sign-in of 4 s has time left for one more try elsewhere.
    #[serde(default = "default_bind_timeout_ms")]
    pub(super) bind_timeout_ms: u64,
    /// 600 s: two thirds of the 900 s that Active Directory and Samba leave an idle connection alone.
    #[serde(default = "default_idle_limit_s")]
    pub(super) idle_limit_s: u64,
    #[serde(default)]
    pub(super) servers: Vec<Server>,
    pub(super) discover: Option<super::discover::Raw>,
    pub(super) look_up: Option<super::look_up::RawLookUp>,
    pub(super) alternate_id: Option<super::look_up::RawAlternateId>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Server {
    pub(super) name: Option<String>,
    pub(super) url: Option<String>,
    /// False: a password does not go over a network in the clear unless somebody writes so.
    #[serde(default)]
    pub(super) insecure: bool,
    pub(super) server_name: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct OpeningKey {
    pub(super) renew_s: u64,
}

impl Default for OpeningKey {
    /// A day: whoever reads the process's memory learns the sealed passwords of one day at most, and callers that
    /// fetch the key set now and then are rarely refused for a stale key.
    fn default() -> Self {
        Self { renew_s: 86_400 }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Admin {
    pub(super) listen: String,
}

impl Default for Admin {
    /// Loopback: what is told there is for this machine's operators.
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:7121".to_owned(),
        }
    }
}

fn default_kind() -> String {
    "auto".to_owned()
}

fn default_connections() -> u32 {
    16
}

fn default_bind_timeout_ms() -> u64 {
    1_500
}

fn default_idle_limit_s() -> u64 {
    600
}
