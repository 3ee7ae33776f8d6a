//! The relay's configuration: what the file says ([`raw`]) and what the program works with.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use postern_protocol::user_name::Route;
use postern_protocol::{RealmKey, Segment, TrustDomain};
use postern_service::telemetry::LogConfig;
use postern_service::tls::Identity;
use rustls::RootCertStore;

use crate::core::QueueRules;
use crate::deny::DenyList;
use logo::Logo;

pub mod logo;
pub mod raw;
mod validate;

/// Everything that a relay needs to know. Checked: nothing in here is invalid by itself.
#[derive(Debug, Clone)]
pub struct Config {
    /// This relay's own name.
    pub name: Segment,
    /// The trust domain of every certificate.
    pub trust_domain: TrustDomain,
    /// The sign-in API.
    pub api: Api,
    /// The sign-in page, where it is wanted.
    pub page: Option<Page>,
    /// Where agents connect.
    pub quic: Quic,
    /// `/metrics`, `/livez`, `/readyz`.
    pub admin_listen: SocketAddr,
    /// Tenants by name.
    pub tenants: BTreeMap<Segment, Tenant>,
    /// Realms by key.
    pub realms: BTreeMap<RealmKey, RealmConfig>,
    /// Who may call. Empty: loopback addresses only.
    pub callers: Vec<Caller>,
    /// Token buckets.
    pub limits: Limits,
    /// How sign-ins are handled.
    pub sign_in: SignInConfig,
    /// Agents and certificates that may not connect; closed at once when they come to be here.
    pub deny: DenyList,
    /// Addresses of all replicas, told to agents.
    pub replicas: Vec<String>,
    /// Where the relay keeps what outlives it.
    pub state: Option<PathBuf>,
    /// Files that the configuration names, and that it changes with.
    pub files: Vec<PathBuf>,
    /// Time to go on serving after SIGTERM, until load balancers have noticed.
    pub drain_wait: Duration,
    /// Threads that serve.
    pub threads: NonZeroUsize,
    /// Logging.
    pub log: LogConfig,
}

/// The sign-in API's listener.
#[derive(Debug, Clone)]
pub struct Api {
    /// Address.
    pub listen: SocketAddr,
    /// Certificate; `None` serves in the clear.
    pub tls: Option<Identity>,
    /// Anchors for callers' certificates; `None` asks for none.
    pub client_anchors: Option<Arc<RootCertStore>>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// What unnamed callers on loopback are told.
    pub disclose: Disclose,
    /// Connections at once.
    pub max_connections: usize,
}

/// The sign-in page, on the API's listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// What it tells.
    pub disclose: Disclose,
}

/// An organisation.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// Trust anchors of its agents.
    pub anchors: Arc<RootCertStore>,
    /// Its name, for people.
    pub display_name: Option<String>,
    /// Its logo, for the sign-in page.
    pub logo: Option<Logo>,
}

/// The agents' listener.
#[derive(Debug, Clone)]
pub struct Quic {
    /// UDP address, and that of TCP.
    pub listen: SocketAddr,
    /// Whether agents that UDP does not reach may come over TCP.
    pub tcp: bool,
    /// The relay's certificate.
    pub identity: Identity,
}

/// How sign-ins of one realm are routed and treated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RealmConfig {
    /// What in a user name leads here, with a name that the directory itself knows.
    pub routes: Vec<Route>,
    /// What leads here with a name that the agents look up. None of these is among the other routes of any realm.
    pub alternate_id: Vec<Route>,
    /// What to do when it is unknown whether a bind was made.
    pub ambiguous: Ambiguous,
    /// The realm's lockout window: one extra attempt per user within it.
    pub lockout_window: Duration,
}

/// What to do when it is unknown whether a bind was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ambiguous {
    /// One more try on another agent: no sign-in is lost, at most one bad-password count too many.
    RetryOnce,
    /// Answer `unavailable/indeterminate`: never a second bind.
    Fail,
}

impl Ambiguous {
    /// The name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RetryOnce => "retry-once",
            Self::Fail => "fail",
        }
    }
}

/// How much a caller is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disclose {
    /// The directory's verdict as it is.
    Full,
    /// What may be shown to whoever types: a locked account reads as wrong credentials.
    Public,
}

/// Somebody who may post sign-ins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// For logs and limits.
    pub name: String,
    /// How it shows who it is.
    pub credential: Credential,
    /// What it is told.
    pub disclose: Disclose,
}

/// How a caller shows who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A bearer token, known by its SHA-256.
    TokenSha256([u8; 32]),
    /// A client certificate with this DNS name or URI among its subject alternative names.
    CertificateName(String),
}

/// Token buckets before anything is sealed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Per named caller.
    pub per_caller: Rate,
    /// Per client address.
    pub per_address: Rate,
    /// Per user name.
    pub per_user: Rate,
}

/// A token bucket's size and speed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Tokens that come back each second.
    pub per_second: f64,
    /// Tokens at most.
    pub burst: f64,
}

/// Times and bounds of a sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignInConfig {
    /// From arrival to an answer.
    pub deadline: Duration,
    /// Rejections are answered on a grid of this from arrival; zero answers at once.
    pub reject_grid: Duration,
    /// Life of a content key; zero makes one for each sign-in.
    pub epoch: Duration,
    /// What may wait for an agent, per realm.
    pub queue: QueueRules,
}
