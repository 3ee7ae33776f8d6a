//! Cutting a stream of bytes into messages.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};

use postern_ldap::client::{Message, Violation, answer};

/// Why there is no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Unanswered {
    /// Patience is over.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The connection ended, by whichever side.
    #[error("the connection ended before the answer came")]
    Ended,
    /// The connection ended in the middle of a message.
    #[error("the connection ended in the middle of a message")]
    Cut,
    /// What came is no answer to what was asked.
    #[error("the domain controller broke the protocol: {0}")]
    Violation(#[from] Violation),
}

/// What has come and is not a whole message yet.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    bytes: Vec<u8>,
}

impl Incoming {
    /// The next message. Cancelled, it has lost nothing.
    pub(super) async fn next(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> Result<Message, Unanswered> {
        loop {
            if let Some(length) = answer::length(&self.bytes)?
                && let Some(message) = self.bytes.get(..length)
            {
                let message = answer::decode(message)?;
                self.bytes.drain(..length);
                return Ok(message);
            }
            match stream.read_buf(&mut self.bytes).await {
                Ok(0) | Err(_) if self.bytes.is_empty() => return Err(Unanswered::Ended),
                Ok(0) | Err(_) => return Err(Unanswered::Cut),
                Ok(_) => {}
            }
        }
    }

    /// Whether everything that has come was taken.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}
