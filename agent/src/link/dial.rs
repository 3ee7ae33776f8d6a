//! Dialling a relay, over QUIC or over TCP: TLS with both ends' certificates, and the check that the other end is a relay.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use postern_protocol::TrustDomain;
use postern_protocol::close::CloseCode;
use postern_protocol::connection::{Connection, Ended};
use postern_protocol::identity::{Identity, read_certificate};
use postern_protocol::transport::{ALPN, crypto_provider, stream_limit};
use quinn::Endpoint;
use quinn::crypto::rustls::QuicClientConfig;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, VerifierBuilderError, WebPkiServerVerifier};
use rustls_pki_types::{ServerName, UnixTime};
use tokio::sync::{OnceCell, watch};
use tokio_util::task::TaskTracker;

use super::explain::{Trouble, TroubleKind, explain};
use crate::config::{Config, Proxy, RelayAddress};
use crate::network::Network;

mod proxy;
mod tcp;

/// How long the last packets may take to leave when the process ends.
const GOODBYE: Duration = Duration::from_secs(1);

/// Why nothing can be dialled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialerError {
    /// The certificate, its key or the TLS settings are not accepted by rustls.
    #[error("cannot set up TLS for the links to relays: {0}")]
    Tls(#[from] rustls::Error),
    /// The anchors cannot verify anybody.
    #[error("cannot set up TLS for the links to relays: {0}")]
    Anchors(#[from] VerifierBuilderError),
    /// The TLS settings cannot serve QUIC.
    #[error("cannot set up QUIC for the links to relays: {0}")]
    Quic(#[from] quinn::crypto::rustls::NoInitialCipherSuite),
}

/// What relays are dialled with.
#[derive(Debug)]
pub(crate) struct Dialer {
    network: Arc<dyn Network>,
    /// As they stand.
    credentials: watch::Sender<Arc<Credentials>>,
    /// Streams that a relay may have open.
    streams: u32,
    trust_domain: TrustDomain,
    /// QUIC endpoints, one for each address family that is used.
    v4: OnceCell<Endpoint>,
    v6: OnceCell<Endpoint>,
    /// What drives the connections over TCP.
    drivers: TaskTracker,
}

/// What an agent shows of itself, and what it believes of others.
#[derive(Debug)]
pub(crate) struct Credentials {
    quic: quinn::ClientConfig,
    tls: Arc<rustls::ClientConfig>,
    /// Decides as the handshakes do.
    verifier: Arc<WebPkiServerVerifier>,
    /// The end of this agent's own certificate, for explanations.
    not_after: i64,
    /// Through whom TCP goes.
    proxy: Option<Proxy>,
}

impl Credentials {
    fn new(config: &Config, network: &dyn Network, streams: u32) -> Result<Self, DialerError> {
        let anchors = &config.relays.anchors;
        let mut tls = rustls::ClientConfig::builder_with_provider(crypto_provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(anchors.clone())
            .with_client_auth_cert(config.certificate.chain.clone(), config.certificate.key.clone_key())?;
        tls.alpn_protocols = vec![ALPN.to_vec()];
        // A resumed session would not check the relay's certificate again.
        tls.resumption = Resumption::disabled();
        let tls = Arc::new(tls);
        let mut quic = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls.clone())?));
        quic.transport_config(Arc::new(network.transport(streams)));
        Ok(Self {
            quic,
            tls,
            verifier: WebPkiServerVerifier::builder_with_provider(anchors.clone(), crypto_provider()).build()?,
            not_after: config.not_after,
            proxy: config.relays.proxy.clone(),
        })
    }

    /// Whether the other end of a connection would be believed if it were dialled now.
    pub(crate) fn believe(&self, connection: &Connection, name: &ServerName<'_>) -> Result<(), rustls::Error> {
        let chain = connection.peer_chain();
        let (leaf, intermediates) = chain.split_first().ok_or(rustls::Error::NoCertificatesPresented)?;
        self.verifier
            .verify_server_cert(leaf, intermediates, name, &[], UnixTime::now())
            .map(|_| ())
    }
}

/// Where a relay is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Spot {
    /// At an address.
    Address(SocketAddr),
    /// At a name that this machine cannot resolve: the proxy may.
    Named(RelayAddress),
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Named(name) => name.fmt(f),
        }
    }
}

/// A relay, reached and recognised.
#[derive(Debug)]
pub(crate) struct Dialled {
    pub(crate) connection: Connection,
    /// What it was dialled with.
    pub(crate) credentials: Arc<Credentials>,
    /// The relay's name in its certificate.
    pub(crate) relay: String,
    /// The end of its certificate's validity, in seconds since 1970.
    pub(crate) not_after: i64,
}

impl Dialer {
    /// Prepares everything that does not need the network.
    pub(crate) fn new(network: Arc<dyn Network>, config: &Config) -> Result<Self, DialerError> {
        let streams = stream_limit(config.directory.connections);
        let credentials = Credentials::new(config, network.as_ref(), streams)?;
        Ok(Self {
            network,
            credentials: watch::channel(Arc::new(credentials)).0,
            streams,
            trust_domain: config.trust_domain.clone(),
            v4: OnceCell::new(),
            v6: OnceCell::new(),
            drivers: TaskTracker::new(),
        })
    }

    /// Dials with the certificate and the anchors of `config` from now on. Whoever subscribed to
    /// [`Dialer::credentials`] hears of it.
    pub(crate) fn change(&self, config: &Config) -> Result<(), DialerError> {
        let credentials = Credentials::new(config, self.network.as_ref(), self.streams)?;
        self.credentials.send_replace(Arc::new(credentials));
        Ok(())
    }

    /// What is dialled with, as it changes.
    pub(crate) fn credentials(&self) -> watch::Receiver<Arc<Credentials>> {
        self.credentials.subscribe()
    }

    /// Through whom TCP goes, for people.
    pub(crate) fn proxy(&self) -> Option<String> {
        let credentials = self.credentials.borrow();
        credentials.proxy.as_ref().map(|proxy| proxy.address.to_string())
    }

    /// Connects to `address` over QUIC; its certificate must be for `name` and name a relay of our trust domain.
    pub(crate) async fn quic(&self, address: SocketAddr, name: &ServerName<'static>) -> Result<Dialled, Trouble> {
        let endpoint = self.endpoint(address.ip()).await?;
        let credentials = self.credentials.borrow().clone();
        let connection = endpoint
            .connect_with(credentials.quic.clone(), address, &name.to_str())
            .map_err(|error| Trouble::new(TroubleKind::Local, error.to_string()))?
            .await
            .map_err(|error| self.explain(&error.into()))?;
        self.recognise(connection.into(), credentials)
    }

    /// Whether the other end is a relay of ours.
    fn recognise(&self, connection: Connection, credentials: Arc<Credentials>) -> Result<Dialled, Trouble> {
        let facts = connection
            .peer_chain()
            .first()
            .ok_or_else(|| "it showed no certificate".to_owned())
            .and_then(|leaf| read_certificate(leaf, &self.trust_domain).map_err(|error| error.to_string()));
        match facts {
            Ok(facts) => match facts.identity {
                Identity::Relay(relay) => Ok(Dialled {
                    connection,
                    credentials,
                    relay: relay.to_string(),
                    not_after: facts.not_after,
                }),
                Identity::Agent(agent) => Err(refuse(&connection, &format!("it is the agent {agent}"))),
            },
            Err(problem) => Err(refuse(&connection, &problem)),
        }
    }

    /// What the end of a connection means.
    pub(crate) fn explain(&self, ended: &Ended) -> Trouble {
        explain(ended, self.credentials.borrow().not_after)
    }

    /// Lets the last packets leave.
    pub(crate) async fn close(&self) {
        self.drivers.close();
        // Each ends by itself a second after its connection.
        let _ = tokio::time::timeout(GOODBYE, self.drivers.wait()).await;
        for endpoint in [&self.v4, &self.v6].into_iter().filter_map(OnceCell::get) {
            endpoint.close(CloseCode::Stopping.to_varint(), b"the agent ends");
            let _ = tokio::time::timeout(GOODBYE, endpoint.wait_idle()).await;
        }
    }

    async fn endpoint(&self, peer: IpAddr) -> Result<&Endpoint, Trouble> {
        let cell = match peer {
            IpAddr::V4(_) => &self.v4,
            IpAddr::V6(_) => &self.v6,
        };
        cell.get_or_try_init(async || self.network.endpoint(peer))
            .await
            .map_err(|error| Trouble::new(TroubleKind::Local, error))
    }
}

fn refuse(connection: &Connection, problem: &str) -> Trouble {
    connection.close(CloseCode::Identity, problem);
    Trouble::new(
        TroubleKind::RelayIdentity,
        format!(
            "what answers there is not a relay of ours: {problem}; \
             its certificate needs the URI spiffe://<trust domain>/relay/<name>"
        ),
    )
}
