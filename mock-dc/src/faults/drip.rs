//! A stream whose bytes a fault lets go little by little: below TLS, so that handshakes and records come in pieces too.
//! Here is also seen whether the client takes what is sent, and whether it has left: TLS above takes bytes long before
//! the network does, and sees no end behind bytes that it has not read.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::server::TlsStream;

use super::board::{Exposure, Struck};

/// A stream and what it is exposed to.
pub struct Dripping<S> {
    stream: S,
    exposure: Exposure,
    pace: Pace,
    stalled_since: Option<Instant>,
}

/// A stream that knows whether its other end takes what is sent.
pub trait Stalls {
    /// Since when the other end has taken no byte of what waits for it. What a fault holds back does not wait for it.
    fn stalled_since(&self) -> Option<Instant>;
}

impl<S> Stalls for Dripping<S> {
    fn stalled_since(&self) -> Option<Instant> {
        self.stalled_since
    }
}

impl<S: Stalls> Stalls for TlsStream<S> {
    fn stalled_since(&self) -> Option<Instant> {
        self.get_ref().0.stalled_since()
    }
}

impl<S: Stalls> Stalls for &mut S {
    fn stalled_since(&self) -> Option<Instant> {
        (**self).stalled_since()
    }
}

/// A stream that tells when its other end has left.
pub trait Leaves {
    /// Waits until the other end has closed the connection, or its half of it, whatever it said before that nobody has
    /// read.
    fn gone(&self) -> impl Future<Output = ()> + Send;
}

impl Leaves for TcpStream {
    async fn gone(&self) {
        // Ready for urgent data, of which no word comes, or at the end; what can be read does not count.
        let ready = self.ready(Interest::PRIORITY).await;
        if ready.is_ok_and(|ready| !ready.is_read_closed()) {
            std::future::pending().await
        }
    }
}

impl<S: Leaves> Leaves for Dripping<S> {
    fn gone(&self) -> impl Future<Output = ()> + Send {
        self.stream.gone()
    }
}

impl<S: Leaves> Leaves for TlsStream<S> {
    fn gone(&self) -> impl Future<Output = ()> + Send {
        self.get_ref().0.gone()
    }
}

impl<S: Leaves> Leaves for &mut S {
    fn gone(&self) -> impl Future<Output = ()> + Send {
        (**self).gone()
    }
}

enum Pace {
    /// The next bytes may be struck.
    Free,
    /// The bytes that wait were spared.
    Spared,
    /// A bundle of bytes goes little by little.
    Slow {
        by: Struck,
        little: usize,
        every: Duration,
        /// How much of the bundle is still to come.
        left: usize,
        rest: Option<Pause>,
    },
}

type Pause = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Waits for as long, or until the fault is over: what it holds is let go then.
fn pause(mut by: Struck, every: Duration) -> Pause {
    Box::pin(async move {
        let _ = timeout(every, by.over()).await;
    })
}

impl Exposure {
    /// How a bundle of bytes goes.
    fn pace(&self, bytes: usize) -> Pace {
        if self.is_quiet() {
            return Pace::Spared;
        }
        match self.drip() {
            None => Pace::Spared,
            Some((by, little, every)) => Pace::Slow {
                by,
                little,
                every,
                left: bytes,
                rest: None,
            },
        }
    }
}

impl<S> Dripping<S> {
    /// `stream`, exposed to faults.
    pub fn new(stream: S, exposure: Exposure) -> Self {
        Self {
            stream,
            exposure,
            pace: Pace::Free,
            stalled_since: None,
        }
    }

    /// The stream itself.
    pub fn inner(&self) -> &S {
        &self.stream
    }

    /// Notes whether the other end took something of what it was offered.
    fn offered<T>(&mut self, taken: Poll<T>) -> Poll<T> {
        if taken.is_ready() {
            self.stalled_since = None;
        } else {
            self.stalled_since.get_or_insert_with(Instant::now);
        }
        taken
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Dripping<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if matches!(this.pace, Pace::Free) && !bytes.is_empty() {
            this.pace = this.exposure.pace(bytes.len());
        }
        let mut most = bytes.len();
        if let Pace::Slow { by, little, rest, .. } = &mut this.pace {
            if let Some(pause) = rest {
                ready!(pause.as_mut().poll(cx));
                *rest = None;
            }
            if by.is_over().is_none() {
                most = most.min(*little);
            } else {
                this.pace = Pace::Spared;
            }
        }
        let sent = Pin::new(&mut this.stream).poll_write(cx, &bytes[..most]);
        let sent = ready!(this.offered(sent))?;
        match &mut this.pace {
            Pace::Slow {
                by, every, left, rest, ..
            } if *left > sent => {
                *left -= sent;
                *rest = Some(pause(by.clone(), *every));
            }
            _ => this.pace = Pace::Free,
        }
        Poll::Ready(Ok(sent))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if matches!(self.pace, Pace::Free) && self.exposure.is_quiet() {
            let sent = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
            return self.offered(sent);
        }
        let first = parts.iter().find(|part| !part.is_empty());
        self.poll_write(cx, first.map_or(&[], |part| part))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Dripping<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}
