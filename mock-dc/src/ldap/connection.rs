//! One TCP connection: in the clear, over TLS from the first byte, or over TLS from StartTLS on.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::Controller;
use super::conversation::{Conversation, Cut};
use super::frame::FrameError;
use super::wire::{End, GOODBYE, GOODBYE_BYTES, WireError, converse};
use crate::faults::board::{Connection, Discarded, Over, Struck};
use crate::faults::drip::{Dripping, Leaves};
use crate::faults::engine::OnConnection;
use crate::faults::rule::Stage;

/// A TLS handshake that takes longer is one that does not come.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// The same where a fault may send it little by little. Nowhere else: each takes the place of a connection as long.
const SLOW_HANDSHAKE_LIMIT: Duration = Duration::from_secs(900);

/// How long a fault may hold a connection of which the server neither reads nor notices that the client has closed it:
/// MaxConnIdleTime, as for all that say nothing.
const HOLD_LIMIT: Duration = Duration::from_secs(900);

/// What became of a connection.
enum Ended {
    /// It came to its end.
    Itself(Result<End, WireError>),
    /// It is to be reset.
    Reset,
    /// It is to be closed without a goodbye.
    Closed,
    /// The server forgot it.
    Forgotten(Struck),
}

/// Serves a connection to its end. When `reset` is cancelled the client sees it reset, in whatever state it is.
pub(super) async fn serve(
    stream: std::net::TcpStream,
    peer: SocketAddr,
    controller: Arc<Controller>,
    tls: bool,
    reset: CancellationToken,
    drain: CancellationToken,
) {
    let Ok(mut stream) = TcpStream::from_std(stream) else {
        return;
    };
    // Answers are small and somebody waits for each.
    let _ = stream.set_nodelay(true);
    // Dropped last: whoever replaced the faults waits until what struck has been done.
    let mut exposed = controller.exposure.connection();
    let ended = {
        let mut talk = pin!(talk(&mut stream, peer, controller.clone(), tls, drain.clone()));
        loop {
            let (strike, mut struck) = tokio::select! {
                biased;
                () = reset.cancelled() => break Ended::Reset,
                strike = exposed.strike() => strike,
                ended = &mut talk => break Ended::Itself(ended),
            };
            match strike {
                OnConnection::Close => break Ended::Closed,
                OnConnection::Reset => break Ended::Reset,
                OnConnection::HalfOpen => break Ended::Forgotten(struck),
                OnConnection::Hang => {
                    exposed.settled();
                    tokio::select! {
                        biased;
                        () = reset.cancelled() => break Ended::Reset,
                        () = drain.cancelled() => {}
                        held = timeout(HOLD_LIMIT, struck.over()) => match held {
                            Ok(Over::Ended | Over::Replaced) => {}
                            // Requests may have come that nobody has read.
                            Ok(Over::Discarded) | Err(_) => break Ended::Reset,
                        },
                    }
                }
            }
        }
    };
    let dialect = controller.world.domain.dialect();
    let resets = match &ended {
        Ended::Reset | Ended::Itself(Ok(End::Cut(Cut::Reset))) => true,
        // As measured.
        Ended::Itself(Err(WireError::Frame(FrameError::NotLdap))) => dialect.disconnection().is_none(),
        Ended::Itself(Err(WireError::Discarded)) | Ended::Forgotten(_) => true,
        Ended::Itself(_) | Ended::Closed => false,
    };
    let dc = &*controller.name;
    match &ended {
        // The client shows its user little more than that it cannot connect.
        Ended::Itself(Err(error @ (WireError::Tls(_) | WireError::Frame(FrameError::NotLdap)))) => {
            tracing::info!(dc, %peer, %error, "connection ended");
        }
        Ended::Itself(Err(error)) => tracing::debug!(dc, %peer, %error, "connection ended"),
        _ => {}
    }
    let closes = matches!(ended, Ended::Closed | Ended::Itself(Ok(End::Cut(Cut::Closed))));
    if let Ended::Forgotten(struck) = ended {
        tokio::select! {
            biased;
            () = reset.cancelled() => {}
            () = drain.cancelled() => {}
            () = hold(&mut exposed, struck) => {}
        }
    }
    if closes {
        tokio::select! {
            biased;
            () = reset.cancelled() => {}
            () = drain.cancelled() => {}
            () = close(&mut stream, exposed) => {}
        }
    }
    if resets {
        // Closing with nothing left to linger for sends RST instead of FIN. The client may be gone already.
        let _ = stream.set_zero_linger();
    }
    drop(stream);
}

/// Ends a connection so that the client sees an end: with bytes left that nobody has read it would see a reset.
async fn close(stream: &mut TcpStream, exposed: Connection) {
    // The client may be gone already.
    let _ = stream.shutdown().await;
    // It has its end: nobody has to wait for the rest.
    drop(exposed);
    let read = async {
        let mut left = GOODBYE_BYTES;
        let mut buffer = vec![0; 4096];
        while let Ok(read @ 1..) = stream.read(&mut buffer).await
            && read < left
        {
            left -= read;
        }
    };
    // It makes no difference why it ended.
    let _ = timeout(GOODBYE, read).await;
}

/// Waits while a connection is forgotten. Back again, the server knows nothing of it and resets it.
async fn hold(exposed: &mut Connection, mut struck: Struck) {
    loop {
        exposed.settled();
        let Ok(Over::Replaced | Over::Discarded) = timeout(HOLD_LIMIT, struck.over()).await else {
            return;
        };
        // Those in its place may say the same.
        match exposed.strike().now_or_never() {
            Some((OnConnection::HalfOpen, again)) => struck = again,
            _ => return,
        }
    }
}

async fn talk(
    stream: &mut TcpStream,
    peer: SocketAddr,
    controller: Arc<Controller>,
    tls: bool,
    drain: CancellationToken,
) -> Result<End, WireError> {
    // One of its own: looking at it takes a lock, which all connections would share.
    let drain = drain.child_token();
    let mut stream = Dripping::new(stream, controller.exposure.clone());
    let mut conversation = Conversation::new(controller.clone(), peer, tls);
    if !tls {
        match converse(&mut stream, &mut conversation, &drain).await? {
            End::StartTls => conversation.is_now_encrypted(),
            end => return Ok(end),
        }
    }
    let encrypted = tokio::select! {
        biased;
        () = drain.cancelled() => return Ok(End::Closed),
        encrypted = encrypt(stream, &controller) => encrypted?,
    };
    converse(encrypted, &mut conversation, &drain).await
}

type Encrypted<'a> = TlsStream<Dripping<&'a mut TcpStream>>;

/// The handshake, with the silence that faults may put before and after it.
async fn encrypt<'a>(stream: Dripping<&'a mut TcpStream>, controller: &Controller) -> Result<Encrypted<'a>, WireError> {
    let exposure = &controller.exposure;
    let hang = async |stream: &TcpStream, stage| {
        tokio::select! {
            biased;
            held = timeout(HOLD_LIMIT, exposure.hang(stage)) => match held {
                Ok(let_go) => let_go.map_err(|Discarded| WireError::Discarded),
                Err(_) => Err(WireError::Held),
            },
            () = stream.gone() => Err(WireError::Gone),
        }
    };
    hang(stream.inner(), Stage::BeforeTls).await?;
    let limit = if exposure.may_drip(HANDSHAKE_LIMIT) {
        SLOW_HANDSHAKE_LIMIT
    } else {
        HANDSHAKE_LIMIT
    };
    let encrypted = timeout(limit, handshake(stream, controller)).await;
    let encrypted = encrypted.map_err(|_| WireError::Handshake)??;
    hang(encrypted.get_ref().0.inner(), Stage::AfterTls).await?;
    Ok(encrypted)
}

async fn handshake<'a>(
    stream: Dripping<&'a mut TcpStream>,
    controller: &Controller,
) -> Result<Encrypted<'a>, WireError> {
    // Whoever says nothing takes no memory, and has not failed at anything.
    if stream.inner().peek(&mut [0]).await? == 0 {
        return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
    }
    let certificate = controller.certificates.shown(controller.exposure.certificate());
    let accepted = TlsAcceptor::from(certificate.clone()).accept(stream).await;
    accepted.map_err(WireError::Tls)
}
