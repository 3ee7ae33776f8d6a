//! Agents that come over TCP, since their network lets no UDP through.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use postern_protocol::connection::Connection;
use postern_protocol::connection::tcp::{self, Facts, Limits, Side};
use postern_protocol::transport::ALPN;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::handshakes::{Gate, Pending};
use super::{HANDSHAKE_TIMEOUT, Ways, facts};
use crate::session::greeting::MOST_SLOTS;
use crate::session::link;

/// How long to rest when the process is out of descriptors: accepting at once would spin.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// How long a client has to take in why it was refused.
const LAST_WORD: Duration = Duration::from_secs(1);

/// An agent opens one stream, for control; the relay opens one for each sign-in, and some are not quite over yet when the
/// next begins.
const LIMITS: Limits = Limits {
    open: 2 * MOST_SLOTS as usize,
    accepted_in_all: Some(1),
};

/// The listener and its TLS.
#[derive(Debug)]
pub(super) struct TcpDoor {
    listener: TcpListener,
    /// As it stands.
    tls: watch::Receiver<Arc<rustls::ServerConfig>>,
}

impl TcpDoor {
    pub(super) fn new(listener: TcpListener, tls: watch::Receiver<Arc<rustls::ServerConfig>>) -> Self {
        Self { listener, tls }
    }
}

/// Without end, and does nothing where there is no door.
pub(super) async fn accept(door: Option<&TcpDoor>, ways: &Ways) {
    let Some(door) = door else {
        return std::future::pending().await;
    };
    loop {
        let (stream, address) = match door.listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept an agent's TCP connection");
                tokio::time::sleep(ACCEPT_REST).await;
                continue;
            }
        };
        // TCP's own handshake shows that the address is the client's.
        let Gate::Open(pending) = ways.handshakes.gate(address.ip(), true) else {
            continue;
        };
        // Out of this runtime's hands, for that of its thread.
        let Ok(stream) = stream.into_std() else { continue };
        let tls = TlsAcceptor::from(door.tls.borrow().clone());
        let (context, tasks) = (ways.context.clone(), ways.tasks.clone());
        let serving = async move {
            let Ok(stream) = TcpStream::from_std(stream) else {
                return;
            };
            let Some((connection, driver)) = handshake(stream, address, &tls, pending).await else {
                return;
            };
            tasks.spawn(driver);
            if let Some(facts) = facts(&connection.peer_chain(), &context) {
                link::serve(connection, facts, context).await;
            }
        };
        ways.tasks.spawn_on(serving, ways.threads.next());
    }
}

/// TLS has said why it refuses. A socket that is closed with bytes unread is reset, and the reset can overtake that.
async fn let_it_arrive(mut stream: TcpStream) {
    let _ = stream.shutdown().await;
    while stream.read(&mut [0; 1_024]).await.is_ok_and(|read| read > 0) {}
}

async fn handshake(
    stream: TcpStream,
    address: SocketAddr,
    tls: &TlsAcceptor,
    pending: Pending,
) -> Option<(Connection, impl Future<Output = ()> + Send + use<>)> {
    // Whole frames are written at once; to wait for more would only delay them.
    let _ = stream.set_nodelay(true);
    let local = stream.local_addr().ok().map(|local| local.ip());
    let stream = match timeout(HANDSHAKE_TIMEOUT, tls.accept(stream).into_fallible()).await {
        Ok(Ok(stream)) => stream,
        Ok(Err((error, stream))) => {
            tracing::debug!(%address, %error, "handshake over TCP failed");
            let _ = timeout(LAST_WORD, let_it_arrive(stream)).await;
            return None;
        }
        Err(_) => {
            tracing::debug!(%address, "handshake over TCP took too long");
            return None;
        }
    };
    drop(pending);
    let session = stream.get_ref().1;
    // A client that names no protocol is let through by TLS, and is none of ours.
    if session.alpn_protocol() != Some(ALPN) {
        tracing::debug!(%address, "a client over TCP does not speak postern/1");
        return None;
    }
    let chain = session.peer_certificates().unwrap_or_default();
    let facts = Facts {
        local,
        remote: address,
        chain: chain
            .iter()
            .map(|certificate| certificate.clone().into_owned())
            .collect(),
    };
    let (connection, driver) = tcp::connection(stream, Side::Accepted, facts, LIMITS);
    Some((Connection::Tcp(connection), driver))
}
