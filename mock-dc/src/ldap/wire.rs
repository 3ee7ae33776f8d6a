//! A conversation over one stream: reading, writing, and the times that neither may exceed.
//!
//! Reading and writing wait for each other only as the conversation wants it, and never for another connection.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

use super::conversation::{Conversation, Cut, Turn};
use super::frame::FrameError;
use crate::faults::drip::{Leaves, Stalls};

/// InitRecvTimeout of AD's default query policy: how long the first request may be in coming, whole.
const FIRST_REQUEST: Duration = Duration::from_secs(120);

/// MaxConnIdleTime of AD's default query policy: how long every later one may be in coming.
const IDLE_LIMIT: Duration = Duration::from_secs(900);

/// How long a client may leave answers unread without taking a single byte. Ours to choose: a bind whose answer cannot be
/// sent is settled after this, and readers of the journal wait no longer.
const WRITE_LIMIT: Duration = Duration::from_secs(10);

/// How long, and for how many bytes, a client is let finish talking after it was told that nobody listens: closing at
/// once would reset the connection, and the client could lose what it was told.
pub(super) const GOODBYE: Duration = Duration::from_secs(1);
pub(super) const GOODBYE_BYTES: usize = 1024 * 1024;

/// Why a connection ended otherwise than by its client's wish.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    /// The client sent what cannot be read.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// No request came for [`FIRST_REQUEST`] or [`IDLE_LIMIT`].
    #[error("no request for {} s", .0.as_secs())]
    Idle(Duration),
    /// The client did not read for [`WRITE_LIMIT`].
    #[error("the client reads no answers")]
    Stalled,
    /// The process drains, and what was still to be sent was not for [`WRITE_LIMIT`].
    #[error("the process ends before everything was sent")]
    Unsent,
    /// A fault held a TLS handshake back for as long as it holds anything.
    #[error("a fault kept the client waiting for TLS; nothing is held longer")]
    Held,
    /// A fault held a TLS handshake back, or what followed it, until a reset.
    #[error("a reset discarded what a fault held back")]
    Discarded,
    /// The TLS handshake failed, or the client left in the middle of it.
    #[error(
        "the TLS handshake failed: {0}; does the client trust the CA, and call the server by a name of its certificate?"
    )]
    Tls(io::Error),
    /// The TLS handshake was not finished in time.
    #[error("the TLS handshake took too long")]
    Handshake,
    /// The client closed while a fault held its TLS handshake back.
    #[error("the client closed without waiting any longer for TLS")]
    Gone,
}

/// How a conversation over a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// For good.
    Closed,
    /// It goes on over TLS.
    StartTls,
    /// For good and without a goodbye, as a fault has it.
    Cut(Cut),
}

/// What happened on the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    /// Bytes came or went, or nothing did and the conversation did not want to wait.
    Moved,
    /// The client sends nothing more.
    Finished,
    /// The same, while a fault holds its answer back: it has given up waiting.
    Gone,
    /// The process drains.
    Drain,
}

struct Wire<'a, 'b, S> {
    stream: S,
    conversation: &'a mut Conversation,
    drained: Pin<&'a mut WaitForCancellationFuture<'b>>,
    timer: Pin<&'a mut Sleep>,
    /// When the client last waited for something.
    busy_at: Instant,
    /// Whether the client sends nothing more.
    finished: bool,
    /// Whether bytes were handed to the stream that it may still keep to itself.
    to_flush: bool,
}

/// Converses until one side ends it or asks for TLS.
pub(super) async fn converse<S>(
    stream: S,
    conversation: &mut Conversation,
    drain: &CancellationToken,
) -> Result<End, WireError>
where
    S: AsyncRead + AsyncWrite + Stalls + Leaves + Unpin,
{
    let now = Instant::now();
    let mut wire = Wire {
        stream,
        conversation,
        drained: pin!(drain.cancelled()),
        timer: pin!(sleep_until(now + FIRST_REQUEST)),
        busy_at: now,
        finished: false,
        to_flush: false,
    };
    loop {
        let turn = wire.conversation.turn();
        match turn {
            Turn::Wait | Turn::Again => {}
            Turn::StartTls => {
                wire.flush().await?;
                // What came in the clear behind the request must not be taken for what came over TLS.
                if !wire.conversation.inbox().has_unread() {
                    return Ok(End::StartTls);
                }
                wire.close().await;
                return Ok(End::Closed);
            }
            Turn::Close => {
                wire.flush().await?;
                wire.close().await;
                return Ok(End::Closed);
            }
            Turn::Cut(cut) => {
                wire.flush().await?;
                return Ok(End::Cut(cut));
            }
            Turn::Broken(error) => {
                if !wire.conversation.outbox().is_empty() {
                    wire.flush().await?;
                    wire.close().await;
                    wire.let_finish().await;
                }
                return Err(error.into());
            }
        }
        if wire.finished && wire.conversation.is_idle() {
            wire.close().await;
            let cut = wire.conversation.inbox().has_unread();
            return if cut {
                Err(FrameError::Cut.into())
            } else {
                Ok(End::Closed)
            };
        }
        let wait = turn == Turn::Wait;
        let event = if wait && wire.waits_for_held_alone() {
            wire.until_let_go().await
        } else {
            poll_fn(|cx| wire.poll(cx, wait)).await?
        };
        match event {
            Event::Moved => {}
            Event::Finished => wire.finished = true,
            Event::Gone => {
                wire.close().await;
                return Ok(End::Closed);
            }
            Event::Drain => {
                wire.flush().await?;
                wire.close().await;
                return Ok(End::Closed);
            }
        }
        if !wait {
            // A look at a million accounts must not keep the other connections of this thread waiting.
            tokio::task::yield_now().await;
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Stalls + Leaves + Unpin> Wire<'_, '_, S> {
    fn poll(&mut self, cx: &mut Context<'_>, wait: bool) -> Poll<Result<Event, WireError>> {
        if self.drained.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(Event::Drain));
        }
        // Before what is held is let go: a reset that does so discards what came behind it.
        if self.conversation.is_held()
            && let Poll::Ready(event) = self.poll_receive(cx)
        {
            return Poll::Ready(event);
        }
        if self.conversation.poll_held(cx).is_ready() {
            return Poll::Ready(Ok(Event::Moved));
        }
        if self.finished && self.conversation.is_held() {
            return Poll::Ready(Ok(Event::Gone));
        }
        let had_room = self.conversation.outbox().has_room();
        let was_idle = self.conversation.is_idle();
        if let Poll::Ready(Err(error)) = self.poll_send(cx) {
            return Poll::Ready(Err(error.into()));
        }
        if !was_idle {
            self.busy_at = Instant::now();
        }
        if !had_room && self.conversation.outbox().has_room() {
            return Poll::Ready(Ok(Event::Moved));
        }
        if let Poll::Ready(event) = self.poll_receive(cx) {
            return Poll::Ready(event);
        }
        if !wait || self.waits_for_held_alone() || self.finished && self.conversation.is_idle() {
            return Poll::Ready(Ok(Event::Moved));
        }
        self.poll_time(cx)
    }

    /// Receives what the conversation wants.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, WireError>> {
        if self.finished || !self.conversation.wants_bytes() {
            return Poll::Pending;
        }
        let buffer = self.conversation.inbox().room()?;
        let read = ready!(pin!(self.stream.read_buf(buffer)).poll(cx))?;
        Poll::Ready(Ok(if read == 0 { Event::Finished } else { Event::Moved }))
    }

    /// Whether only a fault's end can let anything go on, and no more is received that could end with the client's end.
    fn waits_for_held_alone(&self) -> bool {
        self.conversation.waits_for_held_alone() && !self.to_flush && !self.finished
    }

    /// Waits for that, or for the client to leave.
    async fn until_let_go(&mut self) -> Event {
        let Self {
            stream,
            conversation,
            drained,
            ..
        } = self;
        let mut gone = pin!(stream.gone());
        poll_fn(|cx| {
            if drained.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Event::Drain);
            }
            if conversation.poll_held(cx).is_ready() {
                return Poll::Ready(Event::Moved);
            }
            gone.as_mut().poll(cx).map(|()| Event::Gone)
        })
        .await
    }

    /// Sends as much as goes. Ready when everything has left.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outbox = self.conversation.outbox();
        let sent = loop {
            if outbox.unsent().is_empty() {
                break Poll::Ready(Ok(()));
            }
            match pin!(self.stream.write(outbox.unsent())).poll(cx) {
                Poll::Ready(Ok(0)) => break Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(sent)) => {
                    outbox.sent(sent);
                    self.to_flush = true;
                }
                Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
                Poll::Pending => break Poll::Pending,
            }
        };
        let sent = match sent {
            Poll::Ready(Ok(())) if self.to_flush => pin!(self.stream.flush()).poll(cx),
            sent => sent,
        };
        // What was handed over and could not be flushed may never have left.
        if matches!(sent, Poll::Ready(Ok(()))) {
            self.to_flush = false;
            outbox.flushed();
        }
        sent
    }

    /// Pending until the client has taken too long.
    fn poll_time(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, WireError>> {
        let limit = if self.conversation.has_begun() {
            IDLE_LIMIT
        } else {
            FIRST_REQUEST
        };
        let idle = (self.busy_at + limit, WireError::Idle(limit));
        let (due, error) = self.stalled().unwrap_or(idle);
        self.poll_until(cx, due).map(|()| Err(error))
    }

    /// When a client that takes nothing of what waits for it will have taken too long.
    fn stalled(&self) -> Option<(Instant, WireError)> {
        let since = self.stream.stalled_since()?;
        Some((since + WRITE_LIMIT, WireError::Stalled))
    }

    /// Ready when it is due. The timer is left alone while what it waits for moves away from it.
    fn poll_until(&mut self, cx: &mut Context<'_>, due: Instant) -> Poll<()> {
        while Instant::now() < due {
            if due < self.timer.deadline() || self.timer.is_elapsed() {
                self.timer.as_mut().reset(due);
            }
            ready!(self.timer.as_mut().poll(cx));
        }
        Poll::Ready(())
    }

    /// Sends to the end, however long that takes a client that takes something now and then.
    async fn send(
        &mut self,
        mut send: impl FnMut(&mut Self, &mut Context<'_>) -> Poll<io::Result<()>>,
    ) -> Result<(), WireError> {
        let mut drained_at = None;
        poll_fn(|cx| {
            if let Poll::Ready(sent) = send(self, cx) {
                return Poll::Ready(sent.map_err(WireError::from));
            }
            // What a fault holds back may take hours; a process that ends has none.
            if self.drained.as_mut().poll(cx).is_ready() {
                drained_at.get_or_insert_with(Instant::now);
            }
            let unsent = drained_at.map(|at| (at + WRITE_LIMIT, WireError::Unsent));
            match self.stalled().into_iter().chain(unsent).min_by_key(|(due, _)| *due) {
                Some((due, error)) => self.poll_until(cx, due).map(|()| Err(error)),
                None => Poll::Pending,
            }
        })
        .await
    }

    /// Sends everything that waits.
    async fn flush(&mut self) -> Result<(), WireError> {
        self.send(Self::poll_send).await
    }

    /// Says goodbye to the client, where the stream has a way to.
    async fn close(&mut self) {
        // The client may be gone already; there is nobody to tell.
        let _ = self.send(|wire, cx| Pin::new(&mut wire.stream).poll_shutdown(cx)).await;
    }

    /// Reads on for a while, for nothing.
    async fn let_finish(&mut self) {
        let inbox = self.conversation.inbox();
        let finish = async {
            let mut left = GOODBYE_BYTES;
            loop {
                inbox.discard();
                match self.stream.read_buf(inbox.room()?).await {
                    Ok(read @ 1..) if read < left => left -= read,
                    _ => return Ok::<_, WireError>(()),
                }
            }
        };
        // It makes no difference why it ended.
        let _ = timeout(GOODBYE, finish).await;
    }
}

#[cfg(test)]
mod tests;
