//! The network, as an agent uses it: UDP for its links to relays, streams to domain controllers.
//!
//! Everything that leaves the process goes through here, but for DNS and the admin listener. What is said on it, and
//! what protects it, is the links' and the directory's own business.

use std::fmt::Debug;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use postern_protocol::transport::{UDP_BUFFER, transport_config};
use postern_service::net::bind_udp;
use quinn::{Endpoint, EndpointConfig, TokioRuntime, TransportConfig};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::directory::tcp;

/// Both directions of a stream to a domain controller, whatever carries and protects it.
pub trait Bytes: AsyncRead + AsyncWrite + Debug + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Debug + Send + Unpin> Bytes for S {}

/// A stream to a domain controller.
pub type Stream = Box<dyn Bytes>;

/// Where a domain controller is.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// A DNS name or an address.
    pub host: &'a str,
    /// The port.
    pub port: u16,
    /// Who is asked for the host's addresses; nobody means the system's resolver.
    pub nameservers: &'a [SocketAddr],
}

/// An open stream, nothing said on it yet.
#[derive(Debug)]
pub struct Connected {
    /// It.
    pub stream: Stream,
    /// This end's address, as the other end sees it.
    pub local: SocketAddr,
}

/// Why there is no stream; the texts are for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoStream {
    /// The host's name does not resolve.
    #[error("{0}")]
    Resolve(String),
    /// None of its addresses takes the connection.
    #[error("{0}")]
    Connect(String),
}

/// A network.
pub trait Network: Debug + Send + Sync {
    /// An endpoint of our own from which `peer` can be dialled.
    ///
    /// # Errors
    /// Why there is none, for people.
    fn endpoint(&self, peer: IpAddr) -> Result<Endpoint, String>;

    /// How QUIC behaves on it; `streams` is how many streams a relay may have open.
    fn transport(&self, streams: u32) -> TransportConfig {
        transport_config(streams)
    }

    /// Connects to a domain controller.
    fn connect<'a>(&'a self, place: Place<'a>) -> BoxFuture<'a, Result<Connected, NoStream>>;
}

/// The operating system's sockets.
#[derive(Debug)]
pub(crate) struct Sockets;

impl Network for Sockets {
    fn endpoint(&self, peer: IpAddr) -> Result<Endpoint, String> {
        let any = match peer {
            IpAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
        };
        let udp = bind_udp(SocketAddr::new(any, 0), UDP_BUFFER).map_err(|error| error.to_string())?;
        Endpoint::new(EndpointConfig::default(), None, udp.socket, Arc::new(TokioRuntime))
            .map_err(|error| error.to_string())
    }

    fn connect<'a>(&'a self, place: Place<'a>) -> BoxFuture<'a, Result<Connected, NoStream>> {
        Box::pin(tcp::connect(place))
    }
}
