//! Where a served domain listens, for programs that have to find it.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// Where everything listens, with the ports that the system chose where 0 was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// The control interface.
    pub control: SocketAddr,
    /// Metrics and health.
    pub admin: SocketAddr,
    /// The certificate of the CA that was made for this run, as an absolute path; `None` where `[tls]` is configured.
    pub ca: Option<PathBuf>,
    /// The controllers, as configured.
    pub dcs: Vec<DcAddresses>,
}

/// Where one controller listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DcAddresses {
    /// Its name.
    pub name: String,
    /// LDAP and StartTLS.
    pub ldap: Option<SocketAddr>,
    /// LDAPS.
    pub ldaps: Option<SocketAddr>,
}

impl DcAddresses {
    /// `ldap://ADDRESS:PORT`.
    pub fn ldap_url(&self) -> Option<String> {
        self.ldap.map(|address| format!("ldap://{address}"))
    }

    /// `ldaps://ADDRESS:PORT`.
    pub fn ldaps_url(&self) -> Option<String> {
        self.ldaps.map(|address| format!("ldaps://{address}"))
    }
}

/// [`Addresses`] as the line that the binary prints; its members are named as those of `postern up --json`.
#[derive(Serialize)]
struct Line<'a> {
    pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca: Option<Cow<'a, str>>,
    control: String,
    admin: String,
    dcs: Vec<DcLine<'a>>,
}

#[derive(Serialize)]
struct DcLine<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ldap: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ldaps: Option<String>,
}

impl Addresses {
    /// One line of JSON, with URLs that have no final slash.
    pub fn to_json(&self) -> String {
        let dcs = self.dcs.iter().map(|dc| DcLine {
            name: &dc.name,
            ldap: dc.ldap_url(),
            ldaps: dc.ldaps_url(),
        });
        let line = Line {
            pid: std::process::id(),
            ca: self.ca.as_deref().map(Path::to_string_lossy),
            control: format!("http://{}", self.control),
            admin: format!("http://{}", self.admin),
            dcs: dcs.collect(),
        };
        // Nothing in it can fail to become JSON.
        serde_json::to_string(&line).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_has_urls_and_leaves_out_what_is_not_there() {
        let addresses = Addresses {
            control: "127.0.0.1:80".parse().unwrap(),
            admin: "[::1]:81".parse().unwrap(),
            ca: None,
            dcs: vec![DcAddresses {
                name: "dc-1".to_owned(),
                ldap: Some("127.0.0.1:389".parse().unwrap()),
                ldaps: None,
            }],
        };
        let expected = format!(
            r#"{{"pid":{},"control":"http://127.0.0.1:80","admin":"http://[::1]:81","dcs":[{{"name":"dc-1","ldap":"ldap://127.0.0.1:389"}}]}}"#,
            std::process::id()
        );
        assert_eq!(addresses.to_json(), expected);
    }
}
