//! Messages over one stream: reading with an idle limit, writing in bundles, and telling the journal whose answer went.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use ldap3_proto::LdapCodec;
use ldap3_proto::proto::{LdapMsg, LdapOp};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_util::codec::Encoder;
use tokio_util::sync::CancellationToken;

use super::frame::{self, FrameError};
use crate::journal::Pending;

/// MaxConnIdleTime of AD's default query policy.
const IDLE_LIMIT: Duration = Duration::from_secs(900);

/// How long a client may leave an answer unread. Ours to choose: a bind whose answer cannot be sent is settled after
/// this, and readers of the journal wait no longer.
const WRITE_LIMIT: Duration = Duration::from_secs(10);

/// Answers are written when this much has gathered, or when there is nothing more to read.
const BUNDLE: usize = 64 * 1024;

/// Why a connection ended otherwise than by its client's wish.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    /// The client sent what cannot be read.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Nothing came for [`IDLE_LIMIT`].
    #[error("idle for {} s", IDLE_LIMIT.as_secs())]
    Idle,
    /// The client did not read for [`WRITE_LIMIT`].
    #[error("the client reads no answers")]
    Stalled,
    /// The TLS handshake was not finished in time.
    #[error("the TLS handshake took too long")]
    Handshake,
}

pub(super) struct Wire<S> {
    stream: S,
    codec: LdapCodec,
    received: BytesMut,
    to_send: BytesMut,
    unanswered: Vec<Pending>,
    drain: CancellationToken,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(super) fn new(stream: S, drain: CancellationToken) -> Self {
        Self {
            stream,
            codec: frame::codec(),
            received: BytesMut::new(),
            to_send: BytesMut::new(),
            unanswered: Vec::new(),
            drain,
        }
    }

    /// The next request; `None` when the client has closed or the process drains.
    pub(super) async fn receive(&mut self) -> Result<Option<LdapMsg>, WireError> {
        loop {
            if let Some(message) = frame::decode(&mut self.codec, &mut self.received)? {
                return Ok(Some(message));
            }
            self.flush().await?;
            let read = tokio::select! {
                biased;
                () = self.drain.cancelled() => return Ok(None),
                read = timeout(IDLE_LIMIT, self.stream.read_buf(&mut self.received)) => read,
            };
            match read {
                Err(_) => return Err(WireError::Idle),
                Ok(Ok(0)) if self.has_unread() => return Err(FrameError::Cut.into()),
                Ok(Ok(0)) => return Ok(None),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(error.into()),
            }
        }
    }

    /// Puts an answer behind those that wait to be sent.
    pub(super) async fn send(&mut self, msgid: i32, op: LdapOp) -> Result<(), WireError> {
        self.codec.encode(LdapMsg::new(msgid, op), &mut self.to_send)?;
        if self.to_send.len() >= BUNDLE {
            self.flush().await
        } else {
            Ok(())
        }
    }

    /// As [`Wire::send`], for the answer to a bind, which is answered when it has been written.
    pub(super) async fn send_bind(&mut self, msgid: i32, op: LdapOp, pending: Pending) -> Result<(), WireError> {
        self.unanswered.push(pending);
        self.send(msgid, op).await
    }

    /// Writes what waits to be sent.
    pub(super) async fn flush(&mut self) -> Result<(), WireError> {
        if self.to_send.is_empty() {
            return Ok(());
        }
        let write = async {
            self.stream.write_all(&self.to_send).await?;
            self.stream.flush().await
        };
        match timeout(WRITE_LIMIT, write).await {
            Err(_) => return Err(WireError::Stalled),
            Ok(written) => written?,
        }
        self.to_send.clear();
        self.unanswered.drain(..).for_each(Pending::answered);
        Ok(())
    }

    /// Whether bytes have arrived that no request has taken yet.
    pub(super) fn has_unread(&self) -> bool {
        !self.received.is_empty()
    }

    /// Says goodbye to the client, where the stream has a way to.
    pub(super) async fn close(mut self) {
        // The client may be gone already; there is nobody to tell.
        let _ = timeout(WRITE_LIMIT, self.stream.shutdown()).await;
    }
}
