//! A cluster on one machine: how big it is, which ports it has, the files its parts read, and how it is described to
//! people and to scripts. Nothing in here starts a process.

use std::net::{Ipv4Addr, SocketAddr};

pub mod dc_config;
pub mod description;
pub mod existing;
pub mod files;
pub mod folder;
pub mod ports;
pub mod users;

/// The one tenant.
pub const TENANT: &str = "acme";

/// Its name on the sign-in page, in front of the simulated directory.
pub const TENANT_NAME: &str = "Acme";

/// The simulated directory's one realm: its domain's DNS name.
pub const REALM: &str = "corp.example.com";

/// The simulated domain's NetBIOS name.
pub const NETBIOS: &str = "CORP";

/// What mail addresses end in, for organisations whose mail domain is not their directory's name. No UPN ends so: names
/// with it are looked up.
pub const MAIL_SUFFIX: &str = "mail.example.org";

/// The account that looks them up in the simulated directory.
pub const SERVICE_ACCOUNT: &str = "svc-postern";

/// A directory domain, as far as sign-ins are routed to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// Whose it is, on the sign-in page.
    pub display_name: String,
    /// The realm's name: the domain's DNS name.
    pub realm: String,
    /// The domain's NetBIOS name.
    pub netbios: String,
    /// Suffixes of names that the directory knows itself.
    pub upn_suffixes: Vec<String>,
    /// Suffixes of names that an agent looks up first.
    pub alternate_suffixes: Vec<String>,
}

impl Domain {
    /// The simulated directory's.
    pub fn simulated() -> Self {
        Self {
            display_name: TENANT_NAME.to_owned(),
            realm: REALM.to_owned(),
            netbios: NETBIOS.to_owned(),
            upn_suffixes: vec![REALM.to_owned()],
            alternate_suffixes: vec![MAIL_SUFFIX.to_owned()],
        }
    }
}

/// How many of each part there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Relays.
    pub relays: u16,
    /// Agents.
    pub agents: u16,
    /// Simulated domain controllers, all served by one process; none in front of an existing directory.
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
