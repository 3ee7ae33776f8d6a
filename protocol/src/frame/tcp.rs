//! What TCP needs said that QUIC says itself: that both ends live, how long a round trip takes, and why one of them closes.

use minicbor::{Decode, Encode};

use super::{FrameError, Ping, at_end, encode, open};

/// The longest of these frames in bytes: the close's text is for people.
const MAX_REASON_BYTES: usize = 1_024;

/// The end of a connection, as QUIC's `CONNECTION_CLOSE` has it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct TcpClose {
    /// A [`crate::close::CloseCode`].
    #[n(0)]
    pub code: u32,
    /// Why, for people.
    #[n(1)]
    pub reason: String,
}

/// A frame on the first stream of a connection over TCP, either way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TcpFrame {
    /// Asks for [`TcpFrame::Echoed`] with the same number.
    Echo(Ping),
    /// The answer.
    Echoed(Ping),
    /// Nothing comes after this.
    Close(TcpClose),
    /// A kind of a later version; to be ignored.
    Unknown(u32),
}

impl TcpFrame {
    /// The longest in bytes.
    pub const MAX_BYTES: usize = 2 * MAX_REASON_BYTES;

    /// A close with this text, cut to what a frame holds.
    pub fn close(code: u32, reason: &str) -> Self {
        let mut end = reason.len().min(MAX_REASON_BYTES);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        Self::Close(TcpClose {
            code,
            reason: reason[..end].to_owned(),
        })
    }

    /// The frame's bytes, without the length before it.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Echo(body) => encode(32, body),
            Self::Echoed(body) => encode(33, body),
            Self::Close(body) => encode(34, body),
            Self::Unknown(kind) => encode(*kind, super::Draining {}),
        }
    }

    /// Reads one frame.
    ///
    /// # Errors
    /// [`FrameError::Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        let (kind, mut body) = open(bytes)?;
        let frame = match kind {
            32 => Self::Echo(body.decode()?),
            33 => Self::Echoed(body.decode()?),
            34 => Self::Close(body.decode()?),
            unknown => {
                body.skip()?;
                Self::Unknown(unknown)
            }
        };
        at_end(&body)?;
        Ok(frame)
    }
}
