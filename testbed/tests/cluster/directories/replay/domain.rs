//! The domain of `mock-dc/examples/ground-truth.toml`, once served by Samba and once by mock-dc.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use postern_mock_dc::{RawFile, Server};
use postern_service::shutdown::Shutdown;
use postern_service::tls::{install_provider, load_anchors, provider};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use toml::Table;

use super::client::{Address, Client, Told, Transport};
use crate::directories::samba::Samba;
use crate::harness::Scratch;

pub(super) const BASE: &str = "DC=corp,DC=example,DC=com";
const ADMINISTRATOR: &[u8] = b"Administrator@corp.example.com";
const ADMINISTRATOR_PASSWORD: &[u8] = b"Adm1n-Passw0rd!";

const CONFIG: &str = include_str!("../../../../../mock-dc/examples/ground-truth.toml");

/// Fills a Samba domain with what the file says.
const SCRIPT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/cluster/directories/replay/samba_domain.py"
);

/// What an administrator does in a story.
#[derive(Debug, Clone, Copy)]
pub(super) enum Act {
    Unlock,
    Disable,
    Enable,
    MustChange,
    Password(&'static str),
}

/// A user as the file names it.
#[derive(Debug, Clone)]
pub(super) struct User {
    pub(super) sam: String,
    pub(super) cn: String,
    pub(super) upn: Option<String>,
    pub(super) password: String,
}

/// The file, and what the stories of changes and the searches add to it.
fn whole() -> String {
    format!("{CONFIG}{}{}", super::changes::CONFIG, super::searches::CONFIG)
}

/// Everybody in the file.
pub(super) fn users() -> Vec<User> {
    let file: Table = toml::from_str(CONFIG).unwrap();
    let text = |user: &toml::Value, key: &str| user.get(key).map(|value| value.as_str().unwrap().to_owned());
    let user = |user: &toml::Value| {
        let sam = text(user, "sam").unwrap();
        let upn = text(user, "upn").unwrap_or_else(|| format!("{sam}@corp.example.com"));
        User {
            cn: text(user, "cn").unwrap_or_else(|| sam.clone()),
            upn: Some(upn).filter(|upn| !upn.is_empty()),
            password: text(user, "password").unwrap(),
            sam,
        }
    };
    file["users"].as_array().unwrap().iter().map(user).collect()
}

/// Those whom asking does not change: a policy says that nothing is counted.
pub(super) fn uncounted() -> Vec<User> {
    let file: Table = toml::from_str(CONFIG).unwrap();
    let names: Vec<&str> = file["password_settings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|settings| settings["lockout_threshold"].as_integer() == Some(0))
        .flat_map(|settings| settings["applies_to"].as_array().unwrap())
        .map(|name| name.as_str().unwrap())
        .collect();
    users()
        .into_iter()
        .filter(|user| names.contains(&user.sam.as_str()))
        .collect()
}

/// One of the two.
pub(super) struct Directory {
    pub(super) address: Address,
    control: Option<SocketAddr>,
    administrator: Client,
    http: reqwest::Client,
    _served: Option<JoinSet<()>>,
    _folder: Option<Scratch>,
}

/// The names that a directory itself gives somebody.
pub(super) struct Identity {
    pub(super) dn: String,
    pub(super) guid: String,
    pub(super) sid: String,
    pub(super) canonical: String,
}

impl Directory {
    /// A Samba domain, made anew.
    pub(super) async fn samba(samba: &mut Samba) -> Self {
        let mut input = serde_json::to_value(toml::from_str::<Table>(&whole()).unwrap()).unwrap();
        input["config"] = json!(samba.config());
        samba.fill(SCRIPT, &input);
        samba.permit_plain_binds();
        samba.start().await;
        let address = |port| SocketAddr::from((samba.address(), port));
        let (ldap, ldaps) = (address(389), address(636));
        Self::of(ldap, ldaps, Path::new(&samba.ca()), samba.address().to_string(), None).await
    }

    /// mock-dc, in this process.
    pub(super) async fn mock_dc() -> Self {
        let folder = Scratch::new();
        let free = ["10380", "10389", "10636"].iter().fold(whole(), |text, port| {
            text.replace(&format!("127.0.0.1:{port}"), "127.0.0.1:0")
        });
        let config = postern_service::config::parse::<RawFile>(
            &free,
            &folder.path().join("ground-truth.toml"),
            folder.path(),
            [],
        );
        let server = Server::open(config.unwrap()).unwrap();
        let addresses = server.addresses().clone();
        let mut served = JoinSet::new();
        served.spawn(server.serve(Shutdown::new()));
        let (ldap, ldaps) = (addresses.dcs[0].ldap.unwrap(), addresses.dcs[0].ldaps.unwrap());
        let ca = folder.path().join("corp.example.com-ca.pem");
        let mut directory = Self::of(ldap, ldaps, &ca, "127.0.0.1".to_owned(), Some(addresses.control)).await;
        directory._served = Some(served);
        directory._folder = Some(folder);
        directory
    }

    async fn of(ldap: SocketAddr, ldaps: SocketAddr, ca: &Path, name: String, control: Option<SocketAddr>) -> Self {
        install_provider();
        let tls = rustls::ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(load_anchors(ca).unwrap())
            .with_no_client_auth();
        let address = Address {
            ldap,
            ldaps,
            tls: Arc::new(tls),
            name: name.try_into().unwrap(),
        };
        let mut administrator = Client::connect(&address, Transport::Ldaps).await;
        let told = administrator.bind(ADMINISTRATOR, ADMINISTRATOR_PASSWORD).await.unwrap();
        assert_eq!(told.code, 0, "the administrator: {}", told.text);
        Self {
            address,
            control,
            administrator,
            http: reqwest::Client::new(),
            _served: None,
            _folder: None,
        }
    }

    /// How it names somebody.
    pub(super) async fn identity(&mut self, sam: &str) -> Identity {
        let wanted = ["distinguishedName", "objectGUID", "objectSid", "canonicalName"];
        let found = self
            .administrator
            .find(&format!("OU=Test,{BASE}"), "sAMAccountName", sam, &wanted)
            .await;
        let [entry] = found.as_slice() else {
            panic!("{} have the name {sam}", found.len())
        };
        let bytes = |name: &str| entry[name][0].clone();
        let text = |name: &str| String::from_utf8(bytes(name)).unwrap();
        let guid = uuid::Uuid::from_bytes_le(bytes("objectGUID").try_into().unwrap());
        let sid = bytes("objectSid");
        let parts = sid[8..]
            .chunks_exact(4)
            .map(|part| u32::from_le_bytes(part.try_into().unwrap()).to_string());
        Identity {
            dn: text("distinguishedName"),
            guid: guid.to_string(),
            sid: format!("S-1-5-{}", parts.collect::<Vec<_>>().join("-")),
            canonical: text("canonicalName"),
        }
    }

    /// The values of somebody's attributes, as the administrator sees them.
    pub(super) async fn attributes(&mut self, sam: &str, names: &[&str]) -> super::client::Entry {
        let base = format!("OU=Test,{BASE}");
        let mut found = self.administrator.find(&base, "sAMAccountName", sam, names).await;
        assert_eq!(found.len(), 1, "{sam}");
        found.remove(0)
    }

    /// Does what an administrator does.
    pub(super) async fn act(&mut self, sam: &str, act: Act) {
        match self.control {
            Some(control) => {
                let change: Value = match act {
                    Act::Unlock => json!({"lockoutTime": "0"}),
                    Act::Disable => json!({"userAccountControl": "514"}),
                    Act::Enable => json!({"userAccountControl": "512"}),
                    Act::MustChange => json!({"pwdLastSet": "0"}),
                    Act::Password(password) => json!({"password": password}),
                };
                let url = format!("http://{control}/users/{sam}");
                let answer = self.http.patch(url).body(change.to_string()).send().await.unwrap();
                assert!(answer.status().is_success(), "{sam} {act:?}: {}", answer.status());
            }
            None => {
                let dn = self.identity(sam).await.dn;
                let (attribute, value) = match act {
                    Act::Unlock => ("lockoutTime", b"0".to_vec()),
                    Act::Disable => ("userAccountControl", b"514".to_vec()),
                    Act::Enable => ("userAccountControl", b"512".to_vec()),
                    Act::MustChange => ("pwdLastSet", b"0".to_vec()),
                    Act::Password(password) => {
                        let quoted = format!("\"{password}\"");
                        ("unicodePwd", quoted.encode_utf16().flat_map(u16::to_le_bytes).collect())
                    }
                };
                let Told { code, text } = self.administrator.replace(&dn, attribute, &value).await;
                assert_eq!(code, 0, "{sam} {act:?}: {text}");
            }
        }
    }
}
