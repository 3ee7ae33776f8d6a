//! What the tests stand on: certificates, a relay, and agents played frame by frame.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use postern_protocol::close::CloseCode;
use postern_protocol::connection::tcp::{self, Facts, Limits, Side};
use postern_protocol::connection::{Connection, Ended, ReceiveStream, SendStream};
use postern_protocol::frame::{
    Answer, Control, DirectoryHealth, Hello, MAX_CONTROL_BYTES, MAX_REQUEST_BYTES, MINOR, Pong, Request, Welcome,
};
use postern_protocol::seal::{AuthenticatedData, OpeningKey, PROTECTED_HEADER_BASE64, Sealed};
use postern_protocol::wire::{read_frame, write_frame};
use postern_protocol::{Moment, Password, RequestId, transport};
use postern_relay::Relay;
use postern_relay::config::raw::Raw;
use postern_service::shutdown::Shutdown;
use quinn::crypto::rustls::QuicClientConfig;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_util::task::TaskTracker;

pub(crate) const AGENT: &str = "spiffe://postern.test/tenant/acme/realm/corp/agent/agent-1";

pub(crate) type Ca = CertifiedIssuer<'static, KeyPair>;

pub(crate) fn ca() -> Ca {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// What an agent shows of itself.
pub(crate) struct Shown {
    pub(crate) chain: Vec<rustls_pki_types::CertificateDer<'static>>,
    pub(crate) key: KeyPair,
}

pub(crate) fn leaf(ca: &Ca, uris: &[&str], dns: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Shown {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.subject_alt_names = uris
        .iter()
        .map(|uri| SanType::URI((*uri).try_into().unwrap()))
        .chain(dns.iter().map(|name| SanType::DnsName((*name).try_into().unwrap())))
        .collect();
    change(&mut params);
    let certificate = params.signed_by(&key, ca).unwrap();
    Shown {
        chain: vec![certificate.der().clone()],
        key,
    }
}

/// A relay with two tenants, `acme` (realm `corp`) and `globex` (realm `plant`).
pub(crate) struct Rig {
    pub(crate) folder: PathBuf,
    pub(crate) servers: Ca,
    pub(crate) acme: Ca,
    pub(crate) globex: Ca,
    pub(crate) api: SocketAddr,
    pub(crate) quic: SocketAddr,
    pub(crate) shutdown: Shutdown,
    pub(crate) relay: JoinSet<anyhow::Result<()>>,
    pub(crate) http: reqwest::Client,
    /// Whether the connections of agents that are dialled from now on last though the agents say nothing.
    pub(crate) keeps_alive: bool,
    /// Of connections over TCP.
    drivers: TaskTracker,
}

impl Rig {
    pub(crate) fn start() -> Self {
        Self::start_with("")
    }

    /// A relay with `extra` at the end of its configuration.
    pub(crate) fn start_with(extra: &str) -> Self {
        Self::start_changed(|config| format!("{config}{extra}"))
    }

    /// A relay with a changed configuration.
    pub(crate) fn start_changed(change: impl FnOnce(&str) -> String) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        postern_service::tls::install_provider();
        let name = format!(
            "postern-relay-{}-{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let (servers, acme, globex) = (ca(), ca(), ca());
        let relay = leaf(
            &servers,
            &["spiffe://postern.test/relay/relay-1"],
            &["relay.test"],
            |_| {},
        );
        write_identity(&folder, &relay);
        std::fs::write(folder.join("acme.pem"), acme.pem()).unwrap();
        std::fs::write(folder.join("globex.pem"), globex.pem()).unwrap();
        let path = folder.join("relay.toml");
        std::fs::write(&path, change(CONFIG)).unwrap();
        let config = postern_service::config::load::<Raw>(&path, []).unwrap();
        let opened = Relay::open(config).unwrap();
        let (api, quic) = (opened.api_address().unwrap(), opened.quic_address().unwrap());
        let shutdown = Shutdown::new();
        let mut relay = JoinSet::new();
        relay.spawn(opened.serve(Some(path), shutdown.clone()));
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self {
            folder,
            servers,
            acme,
            globex,
            api,
            quic,
            shutdown,
            relay,
            http,
            keeps_alive: false,
            drivers: TaskTracker::new(),
        }
    }

    /// Exchanges the configuration while the relay serves; it is looked at every second.
    pub(crate) fn rewrite(&self, change: impl FnOnce(&str) -> String) {
        let path = self.folder.join("relay.toml");
        let unfinished = self.folder.join("relay.toml.new");
        std::fs::write(&unfinished, change(&std::fs::read_to_string(&path).unwrap())).unwrap();
        std::fs::rename(unfinished, path).unwrap();
    }

    /// Dials the relay showing `shown`, as far as the TLS handshake.
    pub(crate) async fn dial(&self, shown: Shown) -> Result<Connection, Ended> {
        self.dial_with(shown, transport::crypto_provider()).await
    }

    /// As [`Rig::dial`], a relay elsewhere.
    pub(crate) async fn dial_at(&self, relay: SocketAddr, shown: Shown) -> Result<Connection, Ended> {
        self.connect(relay, shown, transport::crypto_provider()).await
    }

    /// As [`Rig::dial`], with the client's own choice of algorithms.
    pub(crate) async fn dial_with(&self, shown: Shown, provider: Arc<CryptoProvider>) -> Result<Connection, Ended> {
        self.connect(self.quic, shown, provider).await
    }

    async fn connect(
        &self,
        relay: SocketAddr,
        shown: Shown,
        provider: Arc<CryptoProvider>,
    ) -> Result<Connection, Ended> {
        let tls = self.client(shown, provider);
        let mut client = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
        let mut transport = transport::transport_config(transport::stream_limit(16));
        if self.keeps_alive {
            transport.keep_alive_interval(Some(transport::PING_INTERVAL));
        }
        client.transport_config(Arc::new(transport));
        let endpoint = quinn::Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let dialled = endpoint.connect_with(client, relay, "relay.test").unwrap();
        Ok(dialled.await?.into())
    }

    /// As [`Rig::dial`], over TCP.
    pub(crate) async fn dial_tcp(&self, shown: Shown) -> Result<Connection, Ended> {
        let tls = TlsConnector::from(Arc::new(self.client(shown, transport::crypto_provider())));
        let stream = TcpStream::connect(self.quic).await.unwrap();
        let stream = tls.connect("relay.test".try_into().unwrap(), stream).await;
        let stream = stream.map_err(|error| Ended::of_tls_stream(&error))?;
        let facts = Facts {
            local: None,
            remote: self.quic,
            chain: Vec::new(),
        };
        let limits = Limits {
            open: 64,
            accepted_in_all: None,
        };
        let (connection, driver) = tcp::connection(stream, Side::Dialled, facts, limits);
        self.drivers.spawn(driver);
        Ok(Connection::Tcp(connection))
    }

    fn client(&self, shown: Shown, provider: Arc<CryptoProvider>) -> rustls::ClientConfig {
        let mut anchors = RootCertStore::empty();
        anchors.add(self.servers.der().clone()).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(shown.key.serialize_der()));
        let mut tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(anchors)
            .with_client_auth_cert(shown.chain, key)
            .unwrap();
        tls.alpn_protocols = vec![transport::ALPN.to_vec()];
        tls
    }

    /// A certificate of the agent `name` of `acme`.
    pub(crate) fn certificate(&self, name: &str) -> Shown {
        leaf(&self.acme, &[&AGENT.replace("agent-1", name)], &[], |_| {})
    }

    /// An agent in session.
    pub(crate) async fn agent(&self, name: &str) -> Agent {
        let connection = self.dial(self.certificate(name)).await.unwrap();
        Agent::greet(connection, |_| {}).await
    }

    pub(crate) async fn sign_in(&self, username: &str, password: &str) -> (u16, serde_json::Value) {
        self.post(&serde_json::json!({ "username": username, "password": password }))
            .await
    }

    pub(crate) async fn post(&self, body: &serde_json::Value) -> (u16, serde_json::Value) {
        let url = format!("http://{}/v1/sign-in", self.api);
        let response = self.http.post(url).json(body).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }
}

/// The relay's certificate and key, one after the other.
pub(crate) fn write_identity(folder: &Path, relay: &Shown) {
    let pem = format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        base64(&relay.chain[0])
    );
    std::fs::write(folder.join("relay.pem"), pem).unwrap();
    std::fs::write(folder.join("relay-key.pem"), relay.key.serialize_pem()).unwrap();
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.shutdown.stop_now();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

const CONFIG: &str = r#"
[relay]
name = "relay-1"
trust_domain = "postern.test"
[api]
listen = "127.0.0.1:0"
disclose = "full"
[quic]
listen = "127.0.0.1:0"
certificate = "relay.pem"
key = "relay-key.pem"
[admin]
listen = "127.0.0.1:0"
[[tenants]]
name = "acme"
anchors = "acme.pem"
[[tenants]]
name = "globex"
anchors = "globex.pem"
[[realms]]
tenant = "acme"
name = "corp"
upn_suffixes = ["corp.example.com"]
alternate_id = ["mail.example.org"]
netbios = ["CORP"]
[[realms]]
tenant = "globex"
name = "plant"
upn_suffixes = ["plant.example.com"]
[limits]
per_caller = { per_second = 1000, burst = 1000 }
per_user = { per_second = 1000, burst = 1000 }
per_address = { per_second = 1000, burst = 1000 }
"#;

/// An agent whose every frame the test decides.
pub(crate) struct Agent {
    pub(crate) connection: Connection,
    pub(crate) send: SendStream,
    pub(crate) receive: ReceiveStream,
    pub(crate) key: OpeningKey,
    pub(crate) welcome: Option<Welcome>,
}

impl Agent {
    /// Says hello, changed by `change`; `welcome` is `None` if none came.
    pub(crate) async fn greet(connection: Connection, change: impl FnOnce(&mut Hello)) -> Self {
        let key = OpeningKey::generate().unwrap();
        let mut hello = Hello {
            major: 1,
            minor: MINOR,
            software: "test".to_owned(),
            instance: rand::random(),
            opening_key: key.public_der().to_vec(),
            slots: 4,
            directory: DirectoryHealth::Ready,
            takes_over: false,
        };
        change(&mut hello);
        let (mut send, mut receive) = connection.open_bi().await.unwrap();
        write_frame(&mut send, &Control::Hello(hello).encode()).await.unwrap();
        let welcome = match read_frame(&mut receive, MAX_CONTROL_BYTES, Control::decode).await {
            Ok(Control::Welcome(welcome)) => Some(welcome),
            _ => None,
        };
        Self {
            connection,
            send,
            receive,
            key,
            welcome,
        }
    }

    /// The next sign-in.
    pub(crate) async fn request(&self) -> Task {
        let (send, mut receive) = self.connection.accept_bi().await.unwrap();
        let request = read_frame(&mut receive, MAX_REQUEST_BYTES, Request::decode)
            .await
            .unwrap();
        Task { request, send, receive }
    }

    /// The next control frame that is not a ping. Pings are answered.
    pub(crate) async fn control(&mut self) -> Control {
        loop {
            match read_frame(&mut self.receive, MAX_CONTROL_BYTES, Control::decode)
                .await
                .unwrap()
            {
                Control::Ping(ping) => {
                    let pong = Control::Pong(Pong {
                        number: ping.number,
                        time: Moment(1),
                    });
                    write_frame(&mut self.send, &pong.encode()).await.unwrap();
                }
                other => return other,
            }
        }
    }

    pub(crate) async fn say(&mut self, frame: Control) {
        write_frame(&mut self.send, &frame.encode()).await.unwrap();
    }

    /// Opens a sealed password as an agent does.
    pub(crate) fn open(&self, request: &Request) -> Password {
        let key = self.key.unwrap_key(&request.encrypted_key).unwrap();
        let authenticated = AuthenticatedData {
            expires_unix_ms: request.expires_unix_ms,
            realm: request.realm.clone(),
            request_id: request.request_id,
            tenant: request.tenant.clone(),
            user: request.user.clone(),
        };
        let sealed = Sealed {
            iv: request.iv,
            ciphertext: request.ciphertext.clone(),
            tag: request.tag,
        };
        let (protected, aad) = match &request.client_sealed {
            Some(client) => (client.protected.clone(), client.aad.clone()),
            None => (PROTECTED_HEADER_BASE64.to_owned(), authenticated.to_base64()),
        };
        key.open(&sealed, &protected, &aad).unwrap()
    }

    /// Why the relay closed the session.
    pub(crate) async fn closed(&self) -> (Option<CloseCode>, String) {
        closed(&self.connection).await
    }
}

/// Why the relay closed a connection.
pub(crate) async fn closed(connection: &Connection) -> (Option<CloseCode>, String) {
    match connection.closed().await {
        Ended::Closed { code, reason } => (code, reason),
        other => (None, other.to_string()),
    }
}

/// A sign-in at an agent.
pub(crate) struct Task {
    pub(crate) request: Request,
    send: SendStream,
    /// Held, so that the relay does not see the stream as given up.
    #[expect(dead_code, reason = "its end is its drop")]
    receive: ReceiveStream,
}

impl Task {
    pub(crate) async fn answer(&mut self, answer: Answer) {
        write_frame(&mut self.send, &answer.encode()).await.unwrap();
    }
}

pub(crate) fn new_id() -> RequestId {
    RequestId(rand::random())
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::prelude::BASE64_STANDARD.encode(bytes)
}
