//! The TLS stream below yamux: notes when something came, and closes so that what was said last arrives.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// When something came last.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    since: Instant,
    last_us: Arc<AtomicU64>,
}

impl Heard {
    pub(super) fn now() -> Self {
        Self {
            since: Instant::now(),
            last_us: Arc::default(),
        }
    }

    fn note(&self) {
        let elapsed = u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.last_us.store(elapsed, Ordering::Relaxed);
    }

    /// Waits until nothing has come for `limit`.
    pub(super) async fn silent_for(&self, limit: Duration) {
        loop {
            let due = self.since + Duration::from_micros(self.last_us.load(Ordering::Relaxed)) + limit;
            if due <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(due).await;
        }
    }
}

/// The stream.
#[derive(Debug)]
pub(super) struct Socket<S> {
    inner: S,
    heard: Heard,
    shut: bool,
}

impl<S> Socket<S> {
    pub(super) fn new(inner: S, heard: Heard) -> Self {
        Self {
            inner,
            heard,
            shut: false,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Socket<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.inner).poll_read(context, buffer);
        if buffer.filled().len() > before {
            this.heard.note();
        }
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(context)
    }

    /// Reads to the end what the other side still sends: a socket that is closed with bytes unread is reset, and the
    /// reset can overtake what was said last (RFC 2525, section 2.17).
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.shut {
            ready!(Pin::new(&mut this.inner).poll_shutdown(context))?;
            this.shut = true;
        }
        let mut scratch = [0; 1_024];
        loop {
            let mut buffer = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut this.inner).poll_read(context, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                // Its end, or an error: in both nothing more comes.
                _ => return Poll::Ready(Ok(())),
            }
        }
    }
}
