//! Opening a connection to a domain controller: resolving, TCP, TLS or StartTLS. Nothing secret passes before its end.

use std::fmt::Debug;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use postern_service::tls::not_after;
use rustls::client::verify_server_name;
use rustls::server::ParsedCertificate;
use rustls_pki_types::{CertificateDer, ServerName};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::dns;
use super::incoming::{Incoming, Unanswered};
use crate::config::{Server, Transport};
use crate::ldap::{Answer, LdapResult, START_TLS, Violation, request};

mod explain;

/// Resolving, connecting and the TLS handshake together. A domain controller in the next room takes milliseconds, one
/// across an ocean well under a second; three seconds also outlast one lost SYN and its repetition.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The least time for one of several addresses of a name; otherwise they share the time evenly, so that a dead one
/// does not use up that of the others.
const ADDRESS_TIMEOUT_FLOOR: Duration = Duration::from_millis(500);

/// An idle connection is probed after this long, so that one that a firewall forgot is noticed by its reader and not
/// by a bind that is never answered.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(30))
    .with_interval(Duration::from_secs(5))
    .with_retries(3);

/// A stream to a domain controller, whatever protects it.
pub(super) type Stream = Box<dyn Bytes>;

/// Both directions of a stream.
pub(super) trait Bytes: AsyncRead + AsyncWrite + Debug + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Debug + Send + Unpin> Bytes for S {}

/// Why a domain controller could not be connected to. No bind was sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// The name does not resolve.
    #[error("{host} does not resolve: {message}; check the domain controller's name and this machine's DNS")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver said.
        message: String,
    },
    /// TCP did not connect to any of the addresses.
    #[error("{address}: {message}; is the domain controller up, and does the firewall let TCP port {port} pass?")]
    Tcp {
        /// Host and port.
        address: String,
        /// What the operating system said.
        message: String,
        /// The port alone.
        port: u16,
    },
    /// The domain controller does not do StartTLS.
    #[error(
        "{address} refuses StartTLS (result {}, {:?}); give it a certificate, or use a ldaps:// URL", .result.code, .result.text
    )]
    StartTlsRefused {
        /// Host and port.
        address: String,
        /// Its answer.
        result: LdapResult,
    },
    /// No answer to the request for StartTLS, or one that does not count.
    #[error("{address}: StartTLS: {why}; is this the LDAP port (389, or 3268 of a global catalogue)?")]
    StartTlsUnanswered {
        /// Host and port.
        address: String,
        /// Why not.
        why: Unanswered,
    },
    /// The domain controller sent something between the answer to StartTLS and the handshake, where anybody on the
    /// way could have put it.
    #[error("{address}: StartTLS: unprotected bytes follow the answer; somebody on the way may have put them there")]
    StartTlsInjected {
        /// Host and port.
        address: String,
    },
    /// The TLS handshake failed.
    #[error("TLS with {address}: {message}")]
    Tls {
        /// Host and port.
        address: String,
        /// What is wrong and what to do.
        message: String,
    },
    /// TCP connected, and TLS did not come to its end in time.
    #[error("{address} takes the connection, and then {awaited} has no answer within {CONNECT_TIMEOUT:?}; {advice}")]
    Silent {
        /// Host and port.
        address: String,
        /// What was said to it.
        awaited: &'static str,
        /// What to do.
        advice: &'static str,
    },
}

/// A domain controller, reached and recognised.
#[derive(Debug)]
pub(super) struct Dialled {
    pub(super) stream: Stream,
    /// This end's address.
    pub(super) local: SocketAddr,
    /// The end of its certificate's validity, in seconds since 1970; `None` where nothing protects the connection.
    pub(super) not_after: Option<i64>,
}

/// Connects as `server` says.
pub(super) async fn dial(server: &Server, tls: &Arc<rustls::ClientConfig>) -> Result<Dialled, ConnectError> {
    let stream = timeout(CONNECT_TIMEOUT, connect_tcp(server))
        .await
        .unwrap_or_else(|_| {
            let message = format!("no connection within {CONNECT_TIMEOUT:?}, the name's look-up included");
            Err(tcp_error(server, message))
        })?;
    let (awaited, advice) = explain::silence(server.transport);
    // Time of its own: what a name's look-up or a dead address took is not held against TLS.
    timeout(CONNECT_TIMEOUT, secure(server, tls, stream))
        .await
        .map_err(|_| ConnectError::Silent {
            address: server.address(),
            awaited,
            advice,
        })?
}

/// Makes of a TCP connection what `server` says that it should be.
async fn secure(
    server: &Server,
    tls: &Arc<rustls::ClientConfig>,
    mut stream: TcpStream,
) -> Result<Dialled, ConnectError> {
    let tcp_error = |error: std::io::Error| tcp_error(server, error.to_string());
    // Requests are one small write each, and somebody waits for every one of them.
    stream.set_nodelay(true).map_err(tcp_error)?;
    SockRef::from(&stream)
        .set_tcp_keepalive(&KEEPALIVE)
        .map_err(tcp_error)?;
    let local = stream.local_addr().map_err(tcp_error)?;
    match server.transport {
        Transport::Plain => {
            return Ok(Dialled {
                stream: Box::new(stream),
                local,
                not_after: None,
            });
        }
        Transport::StartTls => start_tls(server, &mut stream).await?,
        Transport::Ldaps => {}
    }
    let secured = TlsConnector::from(tls.clone())
        .connect(server.tls_name.clone(), stream)
        .await;
    let tls_error = |message| ConnectError::Tls {
        address: server.address(),
        message,
    };
    let stream = secured.map_err(|error| tls_error(explain::tls(&error, server)))?;
    let chain = stream.get_ref().1.peer_certificates();
    if let Some(domain) = &server.tls_domain {
        verify_domain(chain, domain).map_err(tls_error)?;
    }
    Ok(Dialled {
        not_after: chain.and_then(<[_]>::first).and_then(not_after),
        stream: Box::new(stream),
        local,
    })
}

/// Whether the certificate of a handshake that was good so far is valid for the domain as well. Nothing was said on the
/// connection yet.
fn verify_domain(chain: Option<&[CertificateDer<'_>]>, domain: &ServerName<'_>) -> Result<(), String> {
    let leaf = chain.and_then(<[_]>::first).ok_or("it showed no certificate")?;
    ParsedCertificate::try_from(leaf)
        .and_then(|leaf| verify_server_name(&leaf, domain))
        .map_err(|_| {
            format!(
                "its certificate is not for the domain {domain}, so that DNS alone says that it is a domain controller; \
                 give it one with the domain's name as well (AD CS: the template Kerberos Authentication; Samba: an own \
                 one), or list it in directory.servers, or believe DNS with directory.discover.verify = \"host\"",
                domain = domain.to_str(),
            )
        })
}

/// Asks for TLS on a plain connection (RFC 4511, section 4.14). Nothing that is read before the handshake is trusted
/// for more than the decision to begin it.
async fn start_tls(server: &Server, stream: &mut TcpStream) -> Result<(), ConnectError> {
    const ID: i32 = 1;
    let address = server.address();
    let unanswered = |why| ConnectError::StartTlsUnanswered {
        address: server.address(),
        why,
    };
    let request = request::start_tls(ID);
    stream
        .write_all(&request)
        .await
        .map_err(|_| unanswered(Unanswered::Ended))?;
    let mut incoming = Incoming::default();
    let message = incoming.next(stream).await.map_err(unanswered)?;
    let violation = match message.answer {
        _ if message.id != ID => Violation::OtherId(message.id),
        Answer::Extended { result, name } if name.as_deref().is_none_or(|name| name == START_TLS) => {
            if result.code != 0 {
                return Err(ConnectError::StartTlsRefused { address, result });
            }
            if !incoming.is_empty() {
                return Err(ConnectError::StartTlsInjected { address });
            }
            return Ok(());
        }
        _ => Violation::OtherKind,
    };
    Err(unanswered(violation.into()))
}

fn tcp_error(server: &Server, message: String) -> ConnectError {
    ConnectError::Tcp {
        address: server.address(),
        message,
        port: server.port,
    }
}

async fn connect_tcp(server: &Server) -> Result<TcpStream, ConnectError> {
    let addresses = dns::addresses(&server.nameservers, &server.host, server.port)
        .await
        .map_err(|error| ConnectError::Resolve {
            host: server.host.clone(),
            message: error.to_string(),
        })?;
    connect_any(&addresses)
        .await
        .map_err(|message| tcp_error(server, message))
}

/// The first of `addresses` that connects, tried one after another.
async fn connect_any(addresses: &[SocketAddr]) -> Result<TcpStream, String> {
    let count = u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let patience = (CONNECT_TIMEOUT / count).max(ADDRESS_TIMEOUT_FLOOR);
    let mut last = "no address".to_owned();
    for address in addresses {
        match timeout(patience, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error.to_string(),
            Err(_) => last = format!("no answer within {patience:?}"),
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::{Domain, Socket, Type};

    /// An address that does not answer: its listener's queue is full.
    async fn dead() -> (Socket, Vec<TcpStream>, SocketAddr) {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let mut queued = Vec::new();
        while let Ok(stream) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
            queued.push(stream.unwrap());
        }
        (listener, queued, address)
    }

    #[tokio::test]
    async fn a_dead_address_of_a_name_leaves_time_for_the_others() {
        let (_listener, _queued, dead) = dead().await;
        let live = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses = [dead, live.local_addr().unwrap()];
        let stream = timeout(CONNECT_TIMEOUT, connect_any(&addresses))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addresses[1]);
    }
}
