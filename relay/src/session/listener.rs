//! The QUIC endpoint: accepts agents, limits what half-open handshakes can cost, and hands each connection on.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use postern_protocol::connection::Connection;
use postern_protocol::identity::{CertificateFacts, Identity, read_certificate};
use postern_protocol::transport;
use postern_service::net::host_of;
use postern_service::threads::Threads;
use quinn::crypto::rustls::QuicServerConfig;
use tokio_util::task::TaskTracker;

use super::link::{self, LinkContext};
use super::verifier::TenantVerifier;
use crate::config::Config;

/// With more unfinished handshakes than this a client must show that its address is its own (QUIC `Retry`).
const RETRY_ABOVE: usize = 256;

/// With more than this, newcomers are refused: even validated addresses may be hostile.
const REFUSE_ABOVE: usize = 2_048;

/// Of these one address may have this many: a thousand agents behind one address come back within seconds, and no
/// single host takes everybody's room.
const MOST_PER_ADDRESS: usize = 512;

/// A handshake takes two round trips; an agent that needs longer tries again.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the endpoint could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The UDP port.
    #[error(transparent)]
    Bind(#[from] postern_service::net::BindError),
    /// Certificate, key or anchors do not fit what TLS needs.
    #[error("TLS for agents: {0}")]
    Tls(String),
    /// The operating system refused the socket.
    #[error("QUIC endpoint: {0}")]
    Endpoint(#[from] std::io::Error),
}

/// Opens the endpoint that agents dial.
///
/// # Errors
/// [`ListenError`].
pub fn open(config: &Config) -> Result<quinn::Endpoint, ListenError> {
    let server = server_config(config)?;
    let udp = postern_service::net::bind_udp(config.quic.listen, transport::UDP_BUFFER)?;
    let runtime = Arc::new(quinn::TokioRuntime);
    Ok(quinn::Endpoint::new(
        quinn::EndpointConfig::default(),
        Some(server),
        udp.socket,
        runtime,
    )?)
}

/// How that endpoint receives agents, on whatever socket.
///
/// # Errors
/// [`ListenError::Tls`].
pub fn server_config(config: &Config) -> Result<quinn::ServerConfig, ListenError> {
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
    let crypto = QuicServerConfig::try_from(tls).map_err(|error| tls_error(&error))?;
    let mut server = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    // An agent opens one stream, for control.
    server.transport_config(Arc::new(transport::transport_config(quinn::VarInt::from_u32(1))));
    Ok(server)
}

/// Accepts agents until it is time to say goodbye or to stop; returns when every session has ended.
pub async fn accept(endpoint: quinn::Endpoint, context: Arc<LinkContext>, threads: &Threads) {
    let tasks = TaskTracker::new();
    let handshakes = Arc::new(Handshakes::default());
    loop {
        let incoming = tokio::select! {
            biased;
            () = context.shutdown.stop.cancelled() => break,
            () = context.goodbye.cancelled() => break,
            incoming = endpoint.accept() => incoming,
        };
        let Some(incoming) = incoming else { break };
        let (unfinished, of_address) = handshakes.count(incoming.remote_address().ip());
        if unfinished >= REFUSE_ABOVE || of_address >= MOST_PER_ADDRESS {
            incoming.refuse();
        } else if unfinished >= RETRY_ABOVE && !incoming.remote_address_validated() {
            // It can only fail for a validated address, which this is not.
            let _ = incoming.retry();
        } else {
            let pending = handshakes.begin(incoming.remote_address().ip());
            let context = context.clone();
            // quinn's own tasks of the connection are spawned where it is taken up.
            let serving = async move {
                if let Some((connection, facts)) = handshake(incoming, pending, &context).await {
                    link::serve(connection, facts, context).await;
                }
            };
            tasks.spawn_on(serving, threads.next());
        }
    }
    tasks.close();
    tasks.wait().await;
}

/// Unfinished handshakes, in all and by address.
#[derive(Debug, Default)]
struct Handshakes {
    by_address: Mutex<HashMap<IpAddr, usize>>,
    total: AtomicUsize,
}

impl Handshakes {
    fn count(&self, address: IpAddr) -> (usize, usize) {
        let of_address = self.lock().get(&host_of(address)).copied().unwrap_or(0);
        (self.total.load(Ordering::Relaxed), of_address)
    }

    fn begin(self: &Arc<Self>, address: IpAddr) -> Pending {
        let address = host_of(address);
        *self.lock().entry(address).or_default() += 1;
        self.total.fetch_add(1, Ordering::Relaxed);
        Pending {
            handshakes: self.clone(),
            address,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        // Whole after every statement.
        self.by_address.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts an unfinished handshake for as long as it lives.
struct Pending {
    handshakes: Arc<Handshakes>,
    address: IpAddr,
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.handshakes.total.fetch_sub(1, Ordering::Relaxed);
        let mut by_address = self.handshakes.lock();
        if let Some(count) = by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

async fn handshake(
    incoming: quinn::Incoming,
    pending: Pending,
    context: &LinkContext,
) -> Option<(Connection, CertificateFacts)> {
    let address = incoming.remote_address();
    let connecting = incoming
        .accept()
        .inspect_err(|error| tracing::debug!(%address, %error, "no handshake"))
        .ok()?;
    let connection = match tokio::time::timeout(HANDSHAKE_TIMEOUT, connecting).await {
        Ok(Ok(connection)) => Connection::from(connection),
        Ok(Err(error)) => {
            tracing::debug!(%address, %error, "handshake failed");
            return None;
        }
        Err(_) => {
            tracing::debug!(%address, "handshake took too long");
            return None;
        }
    };
    drop(pending);
    // The verifier has read it before; this reads what it let through.
    let facts = connection
        .peer_certificate()
        .and_then(|leaf| read_certificate(&leaf, &context.trust_domain).ok())
        .filter(|facts| matches!(facts.identity, Identity::Agent(_)))?;
    Some((connection, facts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfinished_handshakes_are_counted_in_all_and_by_network_and_forgotten_when_they_end() {
        let handshakes = Arc::new(Handshakes::default());
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let first = handshakes.begin(address("2001:db8::1"));
        let second = handshakes.begin(address("192.0.2.1"));
        assert_eq!(handshakes.count(address("2001:db8::2")), (2, 1));
        drop((first, second));
        assert_eq!(handshakes.count(address("2001:db8::2")), (0, 0));
        assert!(handshakes.lock().is_empty());
    }
}
