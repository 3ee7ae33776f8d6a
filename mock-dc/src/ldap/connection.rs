//! One TCP connection: in the clear, over TLS from the first byte, or over TLS from StartTLS on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::Controller;
use super::session::{Session, Then};
use super::wire::{Wire, WireError};

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
    let dc = controller.name.clone();
    let ended = tokio::select! {
        biased;
        () = reset.cancelled() => None,
        ended = talk(&mut stream, peer, controller, tls, drain) => Some(ended),
    };
    match ended {
        None => {
            // Closing with nothing left to linger for sends RST instead of FIN. The client may be gone already.
            let _ = stream.set_zero_linger();
        }
        Some(Ok(())) => {}
        Some(Err(error)) => tracing::debug!(dc = &*dc, %peer, %error, "connection ended"),
    }
}

async fn talk(
    stream: &mut TcpStream,
    peer: SocketAddr,
    controller: Arc<Controller>,
    tls: bool,
    drain: CancellationToken,
) -> Result<(), WireError> {
    let acceptor = TlsAcceptor::from(controller.tls.clone());
    let mut session = Session::new(controller, peer, tls);
    if !tls {
        let wire = Wire::new(&mut *stream, drain.clone());
        match requests(wire, &mut session).await? {
            Then::StartTls => session.is_now_encrypted(),
            Then::Continue | Then::Close => return Ok(()),
        }
    }
    let handshake = timeout(HANDSHAKE_LIMIT, acceptor.accept(stream));
    let encrypted = tokio::select! {
        biased;
        () = drain.cancelled() => return Ok(()),
        encrypted = handshake => encrypted.map_err(|_| WireError::Handshake)??,
    };
    requests(Wire::new(encrypted, drain), &mut session).await.map(|_| ())
}

/// Answers requests until the client closes or asks for TLS.
async fn requests<S>(mut wire: Wire<S>, session: &mut Session) -> Result<Then, WireError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(request) = wire.receive().await? {
        match session.handle(request, &mut wire).await? {
            Then::Continue => {}
            Then::Close => break,
            Then::StartTls => {
                wire.flush().await?;
                // What came in the clear behind the request must not be taken for what came over TLS.
                return if wire.has_unread() {
                    Ok(Then::Close)
                } else {
                    Ok(Then::StartTls)
                };
            }
        }
    }
    wire.flush().await?;
    wire.close().await;
    Ok(Then::Close)
}
