//! A connection over TCP, for networks that let no UDP through: TLS 1.3 as over QUIC, streams by yamux.
//!
//! One task, its owner's, drives the TLS stream. The first stream belongs to it: there both sides ask for echoes each second, so that
//! round trips are known and silence is noticed, and there a close says its code and its text, for which yamux has no
//! place. All others are the users'.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::io::{AsyncRead as _, AsyncWrite as _};
use rustls_pki_types::CertificateDer;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::{Ended, ReadError};
use crate::close::CloseCode;
use crate::transport::INITIAL_RTT;

mod driver;
mod socket;

pub use driver::connection;

/// Which end this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The one that dialled.
    Dialled,
    /// The one that was dialled.
    Accepted,
}

/// What is known of a TLS stream whose handshake is done.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The address that this end has.
    pub local: Option<IpAddr>,
    /// The address of the other.
    pub remote: SocketAddr,
    /// The certificates that it showed, its own first.
    pub chain: Vec<CertificateDer<'static>>,
}

/// How many streams there may be, besides the driver's own.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Open at once, by both sides.
    pub open: usize,
    /// Opened by the other side from the beginning to the end; `None` leaves it to the first limit.
    pub accepted_in_all: Option<usize>,
}

/// A connection over TCP. [`connection`] makes one.
#[derive(Clone)]
pub struct Tcp {
    facts: Arc<Facts>,
    state: Arc<State>,
    /// Held by the connection's clones alone: the driver ends with the last of them.
    requests: mpsc::UnboundedSender<oneshot::Sender<yamux::Stream>>,
    incoming: Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<yamux::Stream>>>,
}

impl fmt::Debug for Tcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tcp").field("remote", &self.facts.remote).finish()
    }
}

/// What driver, connection and streams share.
#[derive(Debug)]
struct State {
    ended: watch::Sender<Option<Ended>>,
    /// What the other side is to be told.
    goodbye: Mutex<Option<(CloseCode, String)>>,
    closing: CancellationToken,
    /// There is an end. yamux does not wake the streams of a connection that it closes in order.
    over: CancellationToken,
    /// The driver is done, and the socket closed.
    gone: CancellationToken,
    rtt_us: AtomicU64,
    /// Whether that is more than a guess.
    measured: AtomicBool,
}

impl State {
    fn new() -> Self {
        Self {
            ended: watch::channel(None).0,
            goodbye: Mutex::default(),
            closing: CancellationToken::new(),
            over: CancellationToken::new(),
            gone: CancellationToken::new(),
            rtt_us: AtomicU64::new(u64::try_from(INITIAL_RTT.as_micros()).unwrap_or(u64::MAX)),
            measured: AtomicBool::new(false),
        }
    }

    /// The first end counts.
    fn end(&self, how: Ended) -> bool {
        let first = self.ended.send_if_modified(|ended| {
            let first = ended.is_none();
            if first {
                *ended = Some(how);
            }
            first
        });
        self.over.cancel();
        first
    }

    fn lost(&self) -> String {
        self.ended().unwrap_or(Ended::Here).to_string()
    }

    fn ended(&self) -> Option<Ended> {
        self.ended.borrow().clone()
    }

    fn close(&self, code: CloseCode, reason: &str) {
        if self.end(Ended::Here) {
            *self.goodbye.lock().unwrap_or_else(PoisonError::into_inner) = Some((code, reason.to_owned()));
            self.closing.cancel();
        }
    }
}

impl Tcp {
    pub(super) async fn open_bi(&self) -> Result<(TcpSend, TcpReceive), Ended> {
        if let Some(ended) = self.state.ended() {
            return Err(ended);
        }
        let (answer, stream) = oneshot::channel();
        let _ = self.requests.send(answer);
        match stream.await {
            Ok(stream) => Ok(halves(stream, &self.state)),
            Err(_) => Err(self.closed().await),
        }
    }

    pub(super) async fn accept_bi(&self) -> Result<(TcpSend, TcpReceive), Ended> {
        let next = async { self.incoming.lock().await.recv().await };
        tokio::select! {
            biased;
            ended = self.closed() => Err(ended),
            stream = next => match stream {
                Some(stream) => Ok(halves(stream, &self.state)),
                None => Err(self.closed().await),
            },
        }
    }

    pub(super) fn close(&self, code: CloseCode, reason: &str) {
        self.state.close(code, reason);
    }

    pub(super) fn close_reason(&self) -> Option<Ended> {
        self.state.ended()
    }

    pub(super) async fn closed(&self) -> Ended {
        let mut ended = self.state.ended.subscribe();
        let ended = ended.wait_for(Option::is_some).await;
        // The sender is in our own state.
        ended.ok().and_then(|ended| ended.clone()).unwrap_or(Ended::Here)
    }

    pub(super) async fn gone(&self) {
        self.state.gone.cancelled().await;
    }

    pub(super) fn rtt(&self) -> Duration {
        Duration::from_micros(self.state.rtt_us.load(Ordering::Relaxed))
    }

    pub(super) fn remote_address(&self) -> SocketAddr {
        self.facts.remote
    }

    pub(super) fn local_ip(&self) -> Option<IpAddr> {
        self.facts.local
    }

    pub(super) fn peer_chain(&self) -> &[CertificateDer<'static>] {
        &self.facts.chain
    }
}

/// A stream's own state, which both halves use in turn and never across an await.
type SharedStream = Arc<Mutex<yamux::Stream>>;

fn halves(stream: yamux::Stream, state: &Arc<State>) -> (TcpSend, TcpReceive) {
    let stream = Arc::new(Mutex::new(stream));
    let send = TcpSend {
        stream: stream.clone(),
        state: state.clone(),
        finished: false,
    };
    let receive = TcpReceive {
        stream,
        state: state.clone(),
    };
    (send, receive)
}

fn lock(stream: &SharedStream) -> MutexGuard<'_, yamux::Stream> {
    // What yamux does in it, it does whole.
    stream.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The half of a stream over TCP that is written.
#[derive(Debug)]
pub struct TcpSend {
    stream: SharedStream,
    state: Arc<State>,
    finished: bool,
}

impl TcpSend {
    pub(super) async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = tokio::select! {
                biased;
                written = poll_fn(|context| Pin::new(&mut *lock(&self.stream)).poll_write(context, bytes)) => written?,
                () = self.state.over.cancelled() => return Err(io::Error::other(self.state.lost())),
            };
            bytes = bytes.get(written..).unwrap_or_default();
        }
        Ok(())
    }

    pub(super) async fn finish(&mut self) -> io::Result<()> {
        self.finished = true;
        tokio::select! {
            biased;
            finished = poll_fn(|context| Pin::new(&mut *lock(&self.stream)).poll_close(context)) => finished,
            () = self.state.over.cancelled() => Err(io::Error::other(self.state.lost())),
        }
    }
}

impl Drop for TcpSend {
    fn drop(&mut self) {
        if !self.finished {
            // As over QUIC. Where the queue of the stream is full this does nothing, and the other half's drop resets it.
            let mut context = Context::from_waker(std::task::Waker::noop());
            let _ = Pin::new(&mut *lock(&self.stream)).poll_close(&mut context);
        }
    }
}

/// The half of a stream over TCP that is read.
#[derive(Debug)]
pub struct TcpReceive {
    stream: SharedStream,
    state: Arc<State>,
}

impl TcpReceive {
    pub(super) async fn read_exact(&mut self, bytes: &mut [u8]) -> Result<(), ReadError> {
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let read = tokio::select! {
                biased;
                read = poll_fn(|context| self.poll_read(context, rest)) => read?,
                () = self.state.over.cancelled() => return Err(ReadError::Lost(self.state.lost())),
            };
            match read {
                0 => return Err(ReadError::Finished(filled)),
                read => filled += read,
            }
        }
        Ok(())
    }

    fn poll_read(&self, context: &mut Context<'_>, bytes: &mut [u8]) -> Poll<Result<usize, ReadError>> {
        let mut stream = lock(&self.stream);
        let read = Pin::new(&mut *stream).poll_read(context, bytes);
        match read {
            // yamux tells the end of the connection and a reset stream like the stream's own end.
            Poll::Ready(Ok(0)) => match self.state.ended() {
                Some(ended) => Poll::Ready(Err(ReadError::Lost(ended.to_string()))),
                None => Poll::Ready(Ok(0)),
            },
            Poll::Ready(Ok(read)) => Poll::Ready(Ok(read)),
            Poll::Ready(Err(error)) => Poll::Ready(Err(ReadError::Lost(error.to_string()))),
            Poll::Pending => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests;
