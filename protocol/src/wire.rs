//! Frames on a stream: a length of four bytes, big-endian, then the frame.
//!
//! Streams are read in order only. The length is checked against the frame's limit before anything is allocated.

use crate::connection::{ReadError, ReceiveStream, SendStream};
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
    stream.write_all(&bytes).await.map_err(WireError::Lost)
}

/// Writes a stream's last frame, and its end with it.
///
/// # Errors
/// [`WireError::Lost`].
pub async fn write_last_frame(stream: &mut SendStream, frame: &[u8]) -> Result<(), WireError> {
    write_frame(stream, frame).await?;
    // Over QUIC before anybody else has a turn, so both are in one packet.
    stream.finish().await;
    Ok(())
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
    stream: &mut ReceiveStream,
    limit: usize,
    decode: impl FnOnce(&[u8]) -> Result<T, FrameError>,
) -> Result<T, WireError> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).await.map_err(|error| match error {
        ReadError::Finished(0) => WireError::End,
        error => unfinished(error),
    })?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > limit {
        return Err(WireError::TooLong { length, limit });
    }
    let mut frame = vec![0; length];
    stream.read_exact(&mut frame).await.map_err(unfinished)?;
    Ok(decode(&frame)?)
}

fn unfinished(error: ReadError) -> WireError {
    match error {
        ReadError::Finished(_) => WireError::Truncated,
        ReadError::Lost(why) => WireError::Lost(why),
    }
}
