//! A cluster on one machine: how big it is, which ports it has, the files its parts read, and how it is described to
//! people and to scripts. Nothing in here starts a process.

use std::net::{Ipv4Addr, SocketAddr};

pub mod dc_config;
pub mod description;
pub mod files;
pub mod folder;
pub mod ports;
pub mod users;

/// The one tenant.
pub const TENANT: &str = "acme";

/// Its name on the sign-in page.
pub const TENANT_NAME: &str = "Acme";

/// The one realm: the directory domain's DNS name.
pub const REALM: &str = "corp.example.com";

/// The domain's NetBIOS name.
pub const NETBIOS: &str = "CORP";

/// A second UPN suffix, as organisations have whose mail domain is not their directory's name.
pub const SECOND_SUFFIX: &str = "mail.example.org";

/// How many of each part there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Relays.
    pub relays: u16,
    /// Agents.
    pub agents: u16,
    /// Domain controllers, all served by one process.
    pub dcs: u16,
    /// Generated users.
    pub users: u32,
}

/// `relay-1`, `agent-3`, `dc-2`: the name of the part with this index, counted from 0.
pub fn numbered(kind: &str, index: usize) -> String {
    format!("{kind}-{}", index + 1)
}

/// Every part listens on loopback and nowhere else.
pub fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}
