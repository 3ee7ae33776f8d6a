//! Where agents come in: QUIC, and TCP beside it on the same port number for those whom UDP does not reach. Accepts them,
//! limits what half-open handshakes can cost, and hands each connection on.

use std::sync::Arc;
use std::time::Duration;

use postern_protocol::identity::{CertificateFacts, Identity, read_certificate};
use postern_protocol::transport;
use postern_service::net::{BindError, Udp, bind_tcp, bind_udp};
use postern_service::threads::Threads;
use quinn::crypto::rustls::QuicServerConfig;
use rustls_pki_types::CertificateDer;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use self::handshakes::Handshakes;
use self::tcp::TcpDoor;
use super::link::LinkContext;
use super::verifier::TenantVerifier;
use crate::config::{Config, Quic};
use crate::state::{self, StateError};

mod handshakes;
mod quic;
mod tcp;

/// A handshake takes two round trips; an agent that needs longer tries again.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a port is looked for that is free for both, where any will do.
const TRIES: u32 = 16;

/// Why the endpoint could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The UDP port, or the TCP port of the same number.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Certificate, key or anchors do not fit what TLS needs.
    #[error("TLS for agents: {0}")]
    Tls(String),
    /// What outlives the relay.
    #[error(transparent)]
    State(#[from] StateError),
    /// The operating system refused the socket.
    #[error("QUIC endpoint: {0}")]
    Endpoint(#[from] std::io::Error),
}

/// Where agents come in.
#[derive(Debug)]
pub struct Listener {
    /// Over QUIC.
    pub endpoint: quinn::Endpoint,
    tcp: Option<TcpDoor>,
    /// How QUIC receives agents, where that can change, and what it shows as that stands.
    server: Option<quinn::ServerConfig>,
    tls: Option<watch::Receiver<Arc<rustls::ServerConfig>>>,
}

impl From<quinn::Endpoint> for Listener {
    /// Over QUIC alone.
    fn from(endpoint: quinn::Endpoint) -> Self {
        Self {
            endpoint,
            tcp: None,
            server: None,
            tls: None,
        }
    }
}

/// What agents are shown and asked for by a listener, to be exchanged while it listens.
#[derive(Debug)]
pub struct ShownToAgents(watch::Sender<Arc<rustls::ServerConfig>>);

impl ShownToAgents {
    /// This configuration's certificate, and asking for one of its tenants'. For [`ShownToAgents::show`].
    ///
    /// # Errors
    /// [`ListenError::Tls`].
    pub fn prepare(&self, config: &Config) -> Result<Arc<rustls::ServerConfig>, ListenError> {
        tls_config(config)
    }

    /// To newcomers from now on.
    pub fn show(&self, tls: Arc<rustls::ServerConfig>) {
        self.0.send_replace(tls);
    }
}

/// Opens what agents dial.
///
/// # Errors
/// [`ListenError`].
pub fn open(config: &Config) -> Result<(Listener, ShownToAgents), ListenError> {
    let tls = tls_config(config)?;
    let server = quic_config(&tls)?;
    let (shown, tls) = watch::channel(tls);
    let (udp, tcp) = ports(&config.quic)?;
    let runtime = Arc::new(quinn::TokioRuntime);
    let secret = config.state.as_deref().map(state::reset_secret).transpose()?;
    let endpoint = quinn::Endpoint::new(
        secret.as_ref().map(transport::endpoint_config).unwrap_or_default(),
        Some(server.clone()),
        udp.socket,
        runtime,
    )?;
    let listener = Listener {
        endpoint,
        tcp: tcp.map(|listener| TcpDoor::new(listener, tls.clone())),
        server: Some(server),
        tls: Some(tls),
    };
    Ok((listener, ShownToAgents(shown)))
}

/// The two sockets, with one number.
fn ports(quic: &Quic) -> Result<(Udp, Option<tokio::net::TcpListener>), ListenError> {
    let mut tries = 0;
    loop {
        let udp = bind_udp(quic.listen, transport::UDP_BUFFER)?;
        if !quic.tcp {
            return Ok((udp, None));
        }
        match bind_tcp(udp.socket.local_addr()?) {
            Ok(tcp) => return Ok((udp, Some(tcp))),
            // Whatever UDP was given may be taken for TCP.
            Err(_) if quic.listen.port() == 0 && tries < TRIES => tries += 1,
            Err(error) => return Err(error.into()),
        }
    }
}

/// How QUIC receives agents, on whatever socket.
///
/// # Errors
/// [`ListenError::Tls`].
pub fn server_config(config: &Config) -> Result<quinn::ServerConfig, ListenError> {
    quic_config(&tls_config(config)?)
}

fn quic_config(tls: &Arc<rustls::ServerConfig>) -> Result<quinn::ServerConfig, ListenError> {
    let mut server = quinn::ServerConfig::with_crypto(crypto(tls)?);
    // An agent opens one stream, for control.
    server.transport_config(Arc::new(transport::transport_config(1)));
    Ok(server)
}

fn crypto(tls: &Arc<rustls::ServerConfig>) -> Result<Arc<QuicServerConfig>, ListenError> {
    QuicServerConfig::try_from(tls.clone())
        .map(Arc::new)
        .map_err(|error| ListenError::Tls(error.to_string()))
}

/// What is shown to agents and asked of them, over QUIC and over TCP alike.
fn tls_config(config: &Config) -> Result<Arc<rustls::ServerConfig>, ListenError> {
    let tls_error = |error: &dyn std::fmt::Display| ListenError::Tls(error.to_string());
    let provider = transport::crypto_provider();
    let verifier = TenantVerifier::new(config.trust_domain.clone(), &config.tenants, provider.clone())
        .map_err(|error| tls_error(&error))?;
    let identity = config.quic.identity.clone();
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| tls_error(&error))?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_single_cert(identity.chain, identity.key)
        .map_err(|error| tls_error(&error))?;
    tls.alpn_protocols = vec![transport::ALPN.to_vec()];
    // No resumption: every session shows its certificate, so that a changed anchor counts at once.
    tls.send_tls13_tickets = 0;
    tls.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    Ok(Arc::new(tls))
}

/// Accepts agents until it is time to say goodbye or to stop; returns when every session has ended.
pub async fn accept(listener: &Listener, context: Arc<LinkContext>, threads: &Threads) {
    let ways = Ways {
        tasks: TaskTracker::new(),
        handshakes: Arc::default(),
        context: context.clone(),
        threads: threads.clone(),
    };
    tokio::select! {
        biased;
        () = context.shutdown.stop.cancelled() => {}
        () = context.goodbye.cancelled() => {}
        () = quic::keep_up(listener) => {}
        () = quic::accept(&listener.endpoint, &ways) => {}
        () = tcp::accept(listener.tcp.as_ref(), &ways) => {}
    }
    ways.tasks.close();
    ways.tasks.wait().await;
}

/// What both carriers put connections into.
struct Ways {
    tasks: TaskTracker,
    handshakes: Arc<Handshakes>,
    context: Arc<LinkContext>,
    threads: Threads,
}

/// What is known of who is at the other end. The verifier has read it before; this reads what it let through.
fn facts(chain: &[CertificateDer<'_>], context: &LinkContext) -> Option<CertificateFacts> {
    chain
        .first()
        .and_then(|leaf| read_certificate(leaf, &context.trust_domain).ok())
        .filter(|facts| matches!(facts.identity, Identity::Agent(_)))
}
