//! One TCP connection: in the clear, over TLS from the first byte, or over TLS from StartTLS on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::Controller;
use super::conversation::Conversation;
use super::frame::FrameError;
use super::wire::{End, WireError, converse};

/// A TLS handshake that takes longer is one that does not come.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// Serves a connection to its end. When `reset` is cancelled the client sees it reset, in whatever state it is.
pub(super) async fn serve(
    mut stream: TcpStream,
    peer: SocketAddr,
    controller: Arc<Controller>,
    tls: bool,
    reset: CancellationToken,
    drain: CancellationToken,
) {
    // Answers are small and somebody waits for each.
    let _ = stream.set_nodelay(true);
    let ended = tokio::select! {
        biased;
        () = reset.cancelled() => None,
        ended = talk(&mut stream, peer, controller.clone(), tls, drain) => Some(ended),
    };
    let silent = controller.world.domain.dialect().disconnection().is_none();
    match &ended {
        // Closing with nothing left to linger for sends RST instead of FIN. The client may be gone already.
        None => {
            let _ = stream.set_zero_linger();
        }
        // As measured.
        Some(Err(WireError::Frame(FrameError::NotLdap))) if silent => {
            let _ = stream.set_zero_linger();
        }
        Some(_) => {}
    }
    if let Some(Err(error)) = ended {
        tracing::debug!(dc = &*controller.name, %peer, %error, "connection ended");
    }
}

async fn talk(
    stream: &mut TcpStream,
    peer: SocketAddr,
    controller: Arc<Controller>,
    tls: bool,
    drain: CancellationToken,
) -> Result<(), WireError> {
    // One of its own: looking at it takes a lock, which all connections would share.
    let drain = drain.child_token();
    let mut conversation = Conversation::new(controller.clone(), peer, tls);
    if !tls {
        match converse(&mut *stream, &mut conversation, &drain).await? {
            End::StartTls => conversation.is_now_encrypted(),
            End::Closed => return Ok(()),
        }
    }
    let encrypted = tokio::select! {
        biased;
        () = drain.cancelled() => return Ok(()),
        encrypted = timeout(HANDSHAKE_LIMIT, handshake(stream, &controller)) => encrypted.map_err(|_| WireError::Handshake)??,
    };
    converse(encrypted, &mut conversation, &drain).await.map(|_| ())
}

async fn handshake<'a>(
    stream: &'a mut TcpStream,
    controller: &Controller,
) -> std::io::Result<TlsStream<&'a mut TcpStream>> {
    // Whoever says nothing takes nobody's turn and no memory.
    stream.readable().await?;
    // It is never closed.
    let _turn = controller.shared.handshakes.acquire().await;
    TlsAcceptor::from(controller.tls.clone()).accept(stream).await
}
