//! What is to be simulated, and the configuration that relay and agents get for it.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use postern_protocol::transport::transport_config;
use quinn::TransportConfig;
use quinn::congestion::CubicConfig;

use super::pki;
use super::udp::Link;

/// From a sign-in to its outcome, as the relay is configured.
pub(super) const DEADLINE: Duration = Duration::from_secs(4);

/// Directory connections of an agent, and so sign-ins that may be on their way to it at once: enough for 167 a second of
/// which each takes 0.3 s.
const CONNECTIONS: u32 = 64;

pub(super) const RELAY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

/// Where agent number `agent` is, counted from 0.
pub(super) fn agent(agent: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 1, u8::try_from(agent + 1).unwrap()))
}

/// A simulation before it begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) seed: u64,
    /// The realm's ambiguous policy, as in the configuration.
    pub(super) policy: &'static str,
    /// Every link in both directions.
    pub(super) link: Link,
    pub(super) control: Control,
}

/// The congestion control of both ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum Control {
    /// Ours.
    Floored,
    /// quinn's, to be compared with.
    Cubic,
}

impl Control {
    pub(super) fn transport(self, streams: u32) -> TransportConfig {
        let mut config = transport_config(streams);
        if let Self::Cubic = self {
            config.congestion_controller_factory(Arc::new(CubicConfig::default()));
        }
        config
    }
}

pub(super) fn relay_config(folder: &Path, policy: &str) -> postern_relay::config::Config {
    let text = format!(
        r#"
        [relay]
        name = "relay-1"
        trust_domain = "postern.test"
        [api]
        listen = "127.0.0.1:0"
        [quic]
        listen = "127.0.0.1:0"
        certificate = "relay.pem"
        key = "relay.key"
        [admin]
        listen = "127.0.0.1:0"
        [[tenants]]
        name = "acme"
        anchors = "ca.pem"
        [[realms]]
        tenant = "acme"
        name = "corp"
        upn_suffixes = ["corp.example.com"]
        ambiguous = "{policy}"
        [sign_in]
        deadline_ms = {}
        "#,
        DEADLINE.as_millis()
    );
    let config = postern_service::config::parse::<postern_relay::config::raw::Raw>(&text, folder, folder, []);
    config.unwrap_or_else(|error| panic!("{error}"))
}

pub(super) fn agent_config(folder: &Path, agent: usize) -> postern_agent::config::Config {
    let number = agent + 1;
    let text = format!(
        r#"
        [agent]
        trust_domain = "postern.test"
        certificate = "agent-{number}.pem"
        key = "agent-{number}.key"
        [relays]
        addresses = ["{RELAY}:7011"]
        server_name = "{}"
        anchors = "ca.pem"
        [directory]
        anchors = "ca.pem"
        connections = {CONNECTIONS}
        [[directory.servers]]
        name = "dc-1"
        url = "ldap://dc-1.corp.example.com"
        insecure = true
        [admin]
        listen = "127.0.0.1:0"
        "#,
        pki::RELAY_NAME
    );
    let config = postern_service::config::parse::<postern_agent::config::Raw>(&text, folder, folder, []);
    config.unwrap_or_else(|error| panic!("{error}"))
}

/// A folder with the certificates, removed at the end.
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    pub(super) fn make() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "postern-simulated-{}-{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        pki::write(&path);
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
