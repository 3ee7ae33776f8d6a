//! One connection between a relay and an agent, whatever carries it: QUIC, or TLS over TCP where UDP does not pass.
//!
//! Both ends do the same on either: streams that each side opens, frames on them, a close with a code and a text. What
//! differs is in here and in `tcp`.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rustls_pki_types::CertificateDer;

use crate::close::CloseCode;

mod ended;
pub mod tcp;

pub use ended::Ended;
use tcp::{Tcp, TcpReceive, TcpSend};

/// What carries a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// QUIC over UDP.
    Quic,
    /// TLS over TCP, with streams by yamux.
    Tcp,
}

impl Transport {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Quic, Self::Tcp];

    /// The name in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Quic => "quic",
            Self::Tcp => "tcp",
        }
    }
}

impl std::fmt::Display for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A connection whose handshake is done. Cheap to clone; it ends when the last clone is gone.
#[derive(Debug, Clone)]
pub enum Connection {
    /// Over QUIC.
    Quic(quinn::Connection),
    /// Over TCP.
    Tcp(Tcp),
}

impl From<quinn::Connection> for Connection {
    fn from(connection: quinn::Connection) -> Self {
        Self::Quic(connection)
    }
}

impl Connection {
    /// What carries it.
    pub fn transport(&self) -> Transport {
        match self {
            Self::Quic(_) => Transport::Quic,
            Self::Tcp(_) => Transport::Tcp,
        }
    }

    /// Opens a stream.
    ///
    /// # Errors
    /// How the connection ended.
    pub async fn open_bi(&self) -> Result<(SendStream, ReceiveStream), Ended> {
        match self {
            Self::Quic(connection) => {
                let (send, receive) = connection.open_bi().await?;
                Ok((SendStream::Quic(send), ReceiveStream::Quic(receive)))
            }
            Self::Tcp(connection) => {
                let (send, receive) = connection.open_bi().await?;
                Ok((SendStream::Tcp(send), ReceiveStream::Tcp(receive)))
            }
        }
    }

    /// The next stream that the other side opens. Safe to cancel.
    ///
    /// # Errors
    /// How the connection ended.
    pub async fn accept_bi(&self) -> Result<(SendStream, ReceiveStream), Ended> {
        match self {
            Self::Quic(connection) => {
                let (send, receive) = connection.accept_bi().await?;
                Ok((SendStream::Quic(send), ReceiveStream::Quic(receive)))
            }
            Self::Tcp(connection) => {
                let (send, receive) = connection.accept_bi().await?;
                Ok((SendStream::Tcp(send), ReceiveStream::Tcp(receive)))
            }
        }
    }

    /// Ends it at once for this side; the other is told the code and the text, if it can be reached.
    pub fn close(&self, code: CloseCode, reason: &str) {
        match self {
            Self::Quic(connection) => connection.close(code.to_varint(), reason.as_bytes()),
            Self::Tcp(connection) => connection.close(code, reason),
        }
    }

    /// How it ended, if it has.
    pub fn close_reason(&self) -> Option<Ended> {
        match self {
            Self::Quic(connection) => connection.close_reason().map(Ended::from),
            Self::Tcp(connection) => connection.close_reason(),
        }
    }

    /// Waits for its end.
    pub async fn closed(&self) -> Ended {
        match self {
            Self::Quic(connection) => connection.closed().await.into(),
            Self::Tcp(connection) => connection.closed().await,
        }
    }

    /// Waits until the other side has been told of a close, for a second at the most. What QUIC still has to send is
    /// the endpoint's to wait for, and not waited for here.
    pub async fn gone(&self) {
        match self {
            Self::Quic(_) => {}
            Self::Tcp(connection) => connection.gone().await,
        }
    }

    /// The estimated round trip.
    pub fn rtt(&self) -> Duration {
        match self {
            Self::Quic(connection) => connection.rtt(),
            Self::Tcp(connection) => connection.rtt(),
        }
    }

    /// The other end, as it is seen from here: of QUIC it may change.
    pub fn remote_address(&self) -> SocketAddr {
        match self {
            Self::Quic(connection) => connection.remote_address(),
            Self::Tcp(connection) => connection.remote_address(),
        }
    }

    /// This end, where it is known.
    pub fn local_ip(&self) -> Option<IpAddr> {
        match self {
            Self::Quic(connection) => connection.local_ip(),
            Self::Tcp(connection) => connection.local_ip(),
        }
    }

    /// The certificates that the other end showed, its own first, as they were verified in the handshake. Empty when it
    /// showed none.
    pub fn peer_chain(&self) -> Vec<CertificateDer<'static>> {
        match self {
            Self::Quic(connection) => {
                let chain = connection.peer_identity();
                let chain = chain.and_then(|chain| chain.downcast::<Vec<CertificateDer<'static>>>().ok());
                chain.map(|chain| *chain).unwrap_or_default()
            }
            Self::Tcp(connection) => connection.peer_chain().to_vec(),
        }
    }
}

/// The half of a stream that is written. Dropped without [`SendStream::finish`], the stream ends as well.
#[derive(Debug)]
pub enum SendStream {
    /// Over QUIC.
    Quic(quinn::SendStream),
    /// Over TCP.
    Tcp(TcpSend),
}

impl SendStream {
    /// Writes everything, when the other side has room for it.
    ///
    /// # Errors
    /// Why nothing can be written any more.
    pub async fn write_all(&mut self, bytes: &[u8]) -> Result<(), String> {
        match self {
            Self::Quic(stream) => stream.write_all(bytes).await.map_err(|error| error.to_string()),
            Self::Tcp(stream) => stream.write_all(bytes).await.map_err(|error| error.to_string()),
        }
    }

    /// Nothing more comes. Over QUIC this goes out with what was just written.
    pub async fn finish(&mut self) {
        // In both an error means that there is nobody left to tell.
        match self {
            Self::Quic(stream) => drop(stream.finish()),
            Self::Tcp(stream) => drop(stream.finish().await),
        }
    }
}

/// Why bytes that were expected did not come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadError {
    /// The other side finished the stream after this many of them.
    Finished(usize),
    /// The stream was given up, or its connection has ended.
    Lost(String),
}

/// The half of a stream that is read.
#[derive(Debug)]
pub enum ReceiveStream {
    /// Over QUIC.
    Quic(quinn::RecvStream),
    /// Over TCP.
    Tcp(TcpReceive),
}

impl ReceiveStream {
    /// Fills `bytes`. Not safe to cancel: what was read is lost.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn read_exact(&mut self, bytes: &mut [u8]) -> Result<(), ReadError> {
        use quinn::ReadExactError;
        match self {
            Self::Quic(stream) => stream.read_exact(bytes).await.map_err(|error| match error {
                ReadExactError::FinishedEarly(read) => ReadError::Finished(read),
                ReadExactError::ReadError(error) => ReadError::Lost(error.to_string()),
            }),
            Self::Tcp(stream) => stream.read_exact(bytes).await,
        }
    }

    /// Takes the end of a stream whose last frame was read, if it has come, and does not wait for it. Over QUIC a stream
    /// that is dropped without its end costs a `STOP_SENDING`, mostly in a packet of its own.
    pub fn take_end(&mut self) {
        use std::task::{Context, Waker};
        if let Self::Quic(stream) = self {
            let mut context = Context::from_waker(Waker::noop());
            let _ = std::pin::pin!(stream.read(&mut [0])).poll(&mut context);
        }
    }
}
