//! A domain on loopback ports of the system's choosing, and clients for it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use ldap3::{Ldap, LdapConnAsync, LdapConnSettings};
use postern_mock_dc::{Addresses, MockDc, RawFile, Server};
use postern_service::shutdown::Shutdown;
use postern_service::tls::{install_provider, load_anchors, provider};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use uuid::Uuid;

pub(crate) const PASSWORD: &str = "Postern-Sample-1";
pub(crate) const BASE: &str = "DC=corp,DC=example,DC=com";

const CONFIG: &str = r#"
[domain]
name = "corp.example.com"
netbios = "CORP"
[policy]
lockout_threshold = 3
lockout_duration_s = 1800
lockout_window_s = 1800
[generated]
count = 1000
[control]
listen = "127.0.0.1:0"
[[dcs]]
name = "dc-1"
ldap = "127.0.0.1:0"
ldaps = "127.0.0.1:0"
[[dcs]]
name = "dc-2"
ldap = "127.0.0.1:0"
ldaps = "127.0.0.1:0"
[[users]]
sam = "good"
mail = "good.mail@mail.example.org"
password = "Postern-Sample-1"
[[users]]
sam = "expired"
password = "Postern-Sample-1"
password_expired = true
[[users]]
sam = "mustchange"
password = "Postern-Sample-1"
must_change = true
[[users]]
sam = "disabled"
password = "Postern-Sample-1"
disabled = true
[[users]]
sam = "accountexpired"
password = "Postern-Sample-1"
account_expires = "2020-01-01T00:00:00Z"
[[users]]
sam = "locked"
password = "Postern-Sample-1"
locked = "until_unlocked"
[[users]]
sam = "hours"
password = "Postern-Sample-1"
logon_hours = "none"
[[users]]
sam = "workstation"
password = "Postern-Sample-1"
workstations = ["WKS1"]
"#;

/// A served domain that ends with the test.
pub(crate) struct Domain {
    pub(crate) addresses: Addresses,
    pub(crate) http: reqwest::Client,
    drivers: Mutex<JoinSet<()>>,
    anchors: Arc<rustls::ClientConfig>,
    served: Served,
}

enum Served {
    /// By a thread of its own.
    Apart(MockDc),
    /// By the threads of the test.
    Here {
        shutdown: Shutdown,
        serving: JoinSet<()>,
        folder: PathBuf,
    },
}

impl Domain {
    pub(crate) fn serve() -> Self {
        Self::serve_with("")
    }

    /// With more in its configuration.
    pub(crate) fn serve_with(more: &str) -> Self {
        install_provider();
        let served = MockDc::start(&format!("{CONFIG}{more}")).expect("a valid configuration and free ports");
        let addresses = served.addresses().clone();
        Self::served(addresses, Served::Apart(served))
    }

    /// Served by all the threads of the test's runtime, as the program does it: by several at once.
    pub(crate) fn serve_in_parallel() -> Self {
        install_provider();
        let folder = std::env::temp_dir().join(format!("postern-mock-dc-{}", Uuid::new_v4()));
        std::fs::create_dir(&folder).expect("a folder");
        let config = postern_service::config::parse::<RawFile>(CONFIG, Path::new("(text)"), &folder, []);
        let server = Server::open(config.expect("a valid configuration")).expect("free ports");
        let (addresses, shutdown, mut serving) = (server.addresses().clone(), Shutdown::new(), JoinSet::new());
        serving.spawn(server.serve(shutdown.clone()));
        let served = Served::Here {
            shutdown,
            serving,
            folder,
        };
        Self::served(addresses, served)
    }

    fn served(addresses: Addresses, served: Served) -> Self {
        let ca = addresses.ca.as_deref().expect("a CA, since none is configured");
        let anchors = load_anchors(ca).expect("the CA that was made");
        let anchors = rustls::ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("TLS versions")
            .with_root_certificates(anchors)
            .with_no_client_auth();
        Self {
            addresses,
            anchors: Arc::new(anchors),
            http: reqwest::Client::new(),
            drivers: Mutex::default(),
            served,
        }
    }

    /// Ends it, and waits until everything in it has ended.
    pub(crate) async fn end(self) {
        match self.served {
            Served::Apart(served) => drop(served),
            Served::Here {
                shutdown,
                serving,
                folder,
            } => {
                shutdown.stop_now();
                serving.join_all().await;
                std::fs::remove_dir_all(folder).expect("a folder to remove");
            }
        }
    }

    /// A TLS handshake of a client that trusts the domain.
    pub(crate) async fn handshake(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let name = stream.peer_addr()?.ip().into();
        TlsConnector::from(self.anchors.clone()).connect(name, stream).await
    }

    pub(crate) fn ldap(&self, dc: usize) -> String {
        format!("ldap://{}", self.addresses.dcs[dc].ldap.expect("an LDAP listener"))
    }

    pub(crate) fn ldaps(&self, dc: usize) -> String {
        format!("ldaps://{}", self.addresses.dcs[dc].ldaps.expect("an LDAPS listener"))
    }

    /// What a client of its own trusts.
    pub(crate) fn settings(&self, starttls: bool) -> LdapConnSettings {
        LdapConnSettings::new()
            .set_config(self.anchors.clone())
            .set_starttls(starttls)
    }

    pub(crate) async fn connect(&self, url: &str, starttls: bool) -> ldap3::result::Result<Ldap> {
        let (connection, ldap) = LdapConnAsync::with_settings(self.settings(starttls), url).await?;
        let drive = async move {
            // A connection that a fault resets ends with an error: the test reads it off its own operations.
            let _ = connection.drive().await;
        };
        self.drivers
            .lock()
            .expect("no test panics while holding it")
            .spawn(drive);
        Ok(ldap)
    }

    /// A connection of each transport to the first controller.
    pub(crate) async fn transports(&self) -> [Ldap; 3] {
        [
            self.connect(&self.ldap(0), false).await.expect("LDAP"),
            self.connect(&self.ldap(0), true).await.expect("StartTLS"),
            self.connect(&self.ldaps(0), false).await.expect("LDAPS"),
        ]
    }

    pub(crate) async fn ask(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> (u16, String) {
        let url = format!("http://{}{path}", self.addresses.control);
        let mut request = self.http.request(method, url);
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let again = request.try_clone().expect("a body in memory");
        let response = match request.send().await {
            // A body that is refused before it is whole: the close can overtake the answer (RFC 9112, section 9.6).
            Err(error) if format!("{error:?}").contains("BodyWrite") => again.send().await,
            response => response,
        };
        let response = response.expect("an answer");
        (response.status().as_u16(), response.text().await.expect("a text"))
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, text) = self.ask(reqwest::Method::GET, path, None).await;
        assert_eq!(status, 200, "{path}: {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    pub(crate) async fn send(&self, method: reqwest::Method, path: &str, body: Value) -> Value {
        let (status, text) = self.ask(method, path, Some(body)).await;
        assert!((200..300).contains(&status), "{path}: {status} {text}");
        if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).expect("JSON")
        }
    }

    pub(crate) async fn binds(&self, query: &str) -> Vec<Value> {
        let (status, text) = self.ask(reqwest::Method::GET, &format!("/binds{query}"), None).await;
        assert_eq!(status, 200, "{text}");
        text.lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect()
    }
}

/// Result code and text of a bind.
pub(crate) async fn bind(ldap: &mut Ldap, name: &str, password: &str) -> (u32, String) {
    let result = ldap.simple_bind(name, password).await.expect("an answer");
    (result.rc, result.text)
}

pub(crate) fn windows(sub_code: &str) -> (u32, String) {
    let text = "80090308: LdapErr: DSID-0C090434, comment: AcceptSecurityContext error, data";
    (49, format!("{text} {sub_code}, v4f7c\0"))
}
