//! What is served, and over which TLS, changes while clients are connected.

use std::sync::Arc;

use axum::extract::Extension;
use axum::routing::get;
use axum::{Router, body};
use postern_service::http::{Options, Peer, Phases, Site, SiteTls, serve_site};
use postern_service::net::bind_tcp;
use postern_service::tls::provider;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::parts::GET;

type Ca = CertifiedIssuer<'static, KeyPair>;

fn ca() -> Ca {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a CA")
}

fn anchors(cas: &[&Ca]) -> RootCertStore {
    let mut store = RootCertStore::empty();
    for ca in cas {
        store.add(ca.der().clone()).expect("an anchor");
    }
    store
}

fn leaf(ca: &Ca) -> (Vec<rustls_pki_types::CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["test".to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, ca).expect("a certificate");
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    (vec![certificate.der().clone()], key.into())
}

/// Says `word`, and whether the client's certificate counts.
fn app(word: &'static str) -> Router {
    let answer = move |Extension(peer): Extension<Peer>| async move {
        let counts = if peer.certificate.is_some() { "known" } else { "unknown" };
        body::Body::from(format!("{word} {counts}"))
    };
    Router::new().route("/", get(answer))
}

fn site_tls(own: &Ca, clients: &[&Ca]) -> SiteTls {
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(anchors(clients)), provider())
        .allow_unauthenticated()
        .build()
        .expect("a verifier");
    let (chain, key) = leaf(own);
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(verifier.clone())
        .with_single_cert(chain, key)
        .expect("a certificate");
    SiteTls {
        config: Arc::new(config),
        clients: Some(verifier),
    }
}

struct Setting {
    own: Ca,
    callers: Ca,
    site: watch::Sender<Site>,
    address: std::net::SocketAddr,
    _running: JoinSet<()>,
}

impl Setting {
    fn start() -> Self {
        let (own, callers) = (ca(), ca());
        let (site, receiver) = watch::channel(Site {
            app: app("first"),
            tls: Some(site_tls(&own, &[&callers])),
        });
        let listener = bind_tcp(([127, 0, 0, 1], 0).into()).expect("a listener");
        let address = listener.local_addr().expect("its address");
        let mut running = JoinSet::new();
        running.spawn(serve_site(listener, receiver, Options::default(), Phases::default()));
        Self {
            own,
            callers,
            site,
            address,
            _running: running,
        }
    }

    /// A connection that shows a certificate of the callers' CA.
    async fn connect(&self) -> TlsStream<TcpStream> {
        let (chain, key) = leaf(&self.callers);
        let tls = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(anchors(&[&self.own]))
            .with_client_auth_cert(chain, key)
            .expect("a certificate");
        let stream = TcpStream::connect(self.address).await.expect("a connection");
        let name = ServerName::try_from("test").expect("a name");
        TlsConnector::from(Arc::new(tls))
            .connect(name, stream)
            .await
            .expect("a handshake")
    }
}

/// One answer: its text, and whether it says that the connection closes.
async fn ask(stream: &mut TlsStream<TcpStream>) -> Option<(String, bool)> {
    stream.write_all(GET.as_bytes()).await.ok()?;
    let mut answer = String::new();
    while !answer.contains("known") {
        let mut part = [0; 1_024];
        let read = stream.read(&mut part).await.ok().filter(|&read| read > 0)?;
        answer.push_str(&String::from_utf8_lossy(&part[..read]));
    }
    let text = answer.split("\r\n\r\n").nth(1)?.to_owned();
    Some((text, answer.contains("connection: close")))
}

#[tokio::test]
async fn another_application_answers_on_kept_connections_which_stay() {
    let setting = Setting::start();
    let mut kept = setting.connect().await;
    assert_eq!(ask(&mut kept).await, Some(("first known".to_owned(), false)));
    setting.site.send_modify(|site| site.app = app("second"));
    assert_eq!(ask(&mut kept).await, Some(("second known".to_owned(), false)));
}

#[tokio::test]
async fn a_connection_of_another_tls_is_told_to_close_and_its_certificate_is_judged_anew() {
    let setting = Setting::start();
    let (mut first, mut second) = (setting.connect().await, setting.connect().await);
    for kept in [&mut first, &mut second] {
        assert_eq!(ask(kept).await, Some(("first known".to_owned(), false)));
    }
    let successor = ca();
    let both = site_tls(&setting.own, &[&setting.callers, &successor]);
    setting.site.send_modify(|site| site.tls = Some(both));
    assert_eq!(ask(&mut first).await, Some(("first known".to_owned(), true)));
    assert_eq!(ask(&mut first).await, None, "it is not closed");
    let mut newcomer = setting.connect().await;
    assert_eq!(ask(&mut newcomer).await, Some(("first known".to_owned(), false)));
    let only = site_tls(&setting.own, &[&successor]);
    setting.site.send_modify(|site| site.tls = Some(only));
    assert_eq!(ask(&mut second).await, Some(("first unknown".to_owned(), true)));
    assert_eq!(
        ask(&mut setting.connect().await).await,
        None,
        "its certificate is accepted"
    );
}
