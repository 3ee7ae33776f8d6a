//! The configuration file, member by member. Everything is optional here, so that all that is missing is named at
//! once; `validate` decides what may be.

use std::path::{Path, PathBuf};

use postern_service::telemetry::LogConfig;
use serde::Deserialize;

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Raw {
    pub(super) relay: Option<RawRelay>,
    pub(super) api: Option<RawApi>,
    pub(super) page: Option<RawPage>,
    pub(super) quic: Option<RawQuic>,
    pub(super) admin: Option<RawAdmin>,
    #[serde(default)]
    pub(super) tenants: Vec<RawTenant>,
    #[serde(default)]
    pub(super) realms: Vec<RawRealm>,
    #[serde(default)]
    pub(super) callers: Vec<RawCaller>,
    #[serde(default)]
    pub(super) limits: RawLimits,
    #[serde(default)]
    pub(super) sign_in: RawSignIn,
    #[serde(default)]
    pub(super) deny: RawDeny,
    #[serde(default)]
    pub(super) log: LogConfig,
}

impl Raw {
    /// The files that are named, below `base`.
    pub(super) fn files(&self, base: &Path) -> Vec<PathBuf> {
        let api = self.api.as_ref();
        let tls = api.and_then(|api| api.tls.as_ref());
        let quic = self.quic.as_ref();
        let own = [
            quic.and_then(|quic| quic.certificate.as_ref()),
            quic.and_then(|quic| quic.key.as_ref()),
            tls.and_then(|tls| tls.certificate.as_ref()),
            tls.and_then(|tls| tls.key.as_ref()),
            api.and_then(|api| api.client_anchors.as_ref()),
        ];
        let tenants = self.tenants.iter();
        let of_tenants = tenants.flat_map(|tenant| [tenant.anchors.as_ref(), tenant.logo.as_ref()]);
        let named = own.into_iter().chain(of_tenants).flatten();
        named.map(|path| base.join(path)).collect()
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRelay {
    pub(super) name: Option<String>,
    pub(super) trust_domain: Option<String>,
    #[serde(default)]
    pub(super) replicas: Vec<String>,
    pub(super) state: Option<String>,
    pub(super) drain_wait_ms: Option<u64>,
    pub(super) threads: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawApi {
    pub(super) listen: Option<String>,
    pub(super) tls: Option<RawTls>,
    pub(super) client_anchors: Option<String>,
    #[serde(default)]
    pub(super) trusted_proxies: Vec<String>,
    #[serde(default)]
    pub(super) insecure_http: bool,
    pub(super) disclose: Option<String>,
    pub(super) max_connections: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPage {
    pub(super) disclose: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTls {
    pub(super) certificate: Option<String>,
    pub(super) key: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawQuic {
    pub(super) listen: Option<String>,
    pub(super) tcp: Option<bool>,
    pub(super) certificate: Option<String>,
    pub(super) key: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAdmin {
    pub(super) listen: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTenant {
    pub(super) name: Option<String>,
    pub(super) anchors: Option<String>,
    pub(super) display_name: Option<String>,
    pub(super) logo: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRealm {
    pub(super) tenant: Option<String>,
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) upn_suffixes: Vec<String>,
    #[serde(default)]
    pub(super) netbios: Vec<String>,
    #[serde(default)]
    pub(super) alternate_id: Vec<String>,
    pub(super) ambiguous: Option<String>,
    pub(super) lockout_window_s: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCaller {
    pub(super) name: Option<String>,
    pub(super) token_sha256: Option<String>,
    pub(super) certificate_name: Option<String>,
    pub(super) disclose: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLimits {
    pub(super) per_caller: Option<RawRate>,
    pub(super) per_address: Option<RawRate>,
    pub(super) per_user: Option<RawRate>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRate {
    pub(super) per_second: Option<f64>,
    pub(super) burst: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSignIn {
    pub(super) deadline_ms: Option<u64>,
    pub(super) reject_grid_ms: Option<u64>,
    pub(super) epoch_ms: Option<u64>,
    pub(super) queue_length: Option<usize>,
    pub(super) queue_bytes: Option<usize>,
    pub(super) queue_wait_ms: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawDeny {
    #[serde(default)]
    pub(crate) agents: Vec<String>,
    #[serde(default)]
    pub(crate) serials: Vec<String>,
}
