//! Frames on a QUIC stream: a length of four bytes, big-endian, then the frame.
//!
//! Streams are read in order only. The length is checked against the frame's limit before anything is allocated.

use std::pin::pin;
use std::task::{Context, Waker};

use quinn::{RecvStream, SendStream};

use crate::frame::FrameError;

/// Why no frame could be read or written.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The other side finished the stream where a frame could have begun.
    #[error("the stream has ended")]
    End,
    /// A length above the limit of what this stream carries.
    #[error("a frame of {length} bytes where {limit} are allowed")]
    TooLong {
        /// The length announced.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// The stream ended inside a frame.
    #[error("the stream ended in the middle of a frame")]
    Truncated,
    /// The bytes are no frame of this stream.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The stream was reset, or its connection is lost.
    #[error("{0}")]
    Lost(String),
}

impl WireError {
    /// Whether the other side broke the protocol, as against having ended or been lost.
    pub fn is_violation(&self) -> bool {
        matches!(self, Self::TooLong { .. } | Self::Frame(_) | Self::Truncated)
    }
}

/// Writes one frame.
///
/// # Errors
/// [`WireError::Lost`].
pub async fn write_frame(stream: &mut SendStream, frame: &[u8]) -> Result<(), WireError> {
    let mut bytes = Vec::with_capacity(4 + frame.len());
    push_frame(&mut bytes, frame);
    stream
        .write_all(&bytes)
        .await
        .map_err(|error| WireError::Lost(error.to_string()))
}

/// Writes a stream's last frame, and its end with it.
///
/// # Errors
/// [`WireError::Lost`].
pub async fn write_last_frame(stream: &mut SendStream, frame: &[u8]) -> Result<(), WireError> {
    write_frame(stream, frame).await?;
    // Before anybody else has a turn, so both are in one packet.
    // It was written; whoever had no use for the end of it is no reason to take it for lost.
    let _ = stream.finish();
    Ok(())
}

/// Takes the end of a stream whose last frame was read, if it has come, and does not wait for it. A stream that is dropped
/// without its end costs a `STOP_SENDING`, mostly in a packet of its own.
pub fn take_end(stream: &mut RecvStream) {
    let mut context = Context::from_waker(Waker::noop());
    let _ = pin!(stream.read(&mut [0])).poll(&mut context);
}

/// Appends a frame with its length to `bytes`.
pub fn push_frame(bytes: &mut Vec<u8>, frame: &[u8]) {
    // Every frame that this crate encodes is far below 4 GiB.
    let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(frame);
}

/// Reads one frame of at most `limit` bytes and decodes it. Not safe to cancel: what was read of a frame is lost.
///
/// # Errors
/// [`WireError`]; [`WireError::End`] only between frames.
pub async fn read_frame<T>(
    stream: &mut RecvStream,
    limit: usize,
    decode: impl FnOnce(&[u8]) -> Result<T, FrameError>,
) -> Result<T, WireError> {
    use quinn::ReadExactError;
    let mut length = [0; 4];
    stream.read_exact(&mut length).await.map_err(|error| match error {
        ReadExactError::FinishedEarly(0) => WireError::End,
        ReadExactError::FinishedEarly(_) => WireError::Truncated,
        ReadExactError::ReadError(error) => WireError::Lost(error.to_string()),
    })?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > limit {
        return Err(WireError::TooLong { length, limit });
    }
    let mut frame = vec![0; length];
    stream.read_exact(&mut frame).await.map_err(|error| match error {
        ReadExactError::FinishedEarly(_) => WireError::Truncated,
        ReadExactError::ReadError(error) => WireError::Lost(error.to_string()),
    })?;
    Ok(decode(&frame)?)
}
