//! Opening a connection to a domain controller: a stream, and TLS or StartTLS on it. Nothing secret passes before its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use postern_service::tls::not_after;
use rustls::client::verify_server_name;
use rustls::server::ParsedCertificate;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::incoming::{Incoming, Unanswered};
use crate::config::{Server, Transport};
use crate::network::{Connected, Network, NoStream, Place, Stream};
use postern_ldap::client::{Answer, LdapResult, START_TLS, Violation, request};

mod explain;

/// Resolving, connecting and the TLS handshake together. A domain controller in the next room takes milliseconds, one
/// across an ocean well under a second; three seconds also outlast one lost SYN and its repetition.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

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
pub(super) async fn dial(
    network: &dyn Network,
    server: &Server,
    tls: &Arc<rustls::ClientConfig>,
) -> Result<Dialled, ConnectError> {
    let connected = timeout(CONNECT_TIMEOUT, connect(network, server))
        .await
        .unwrap_or_else(|_| {
            let message = format!("no connection within {CONNECT_TIMEOUT:?}, the name's look-up included");
            Err(tcp_error(server, message))
        })?;
    let (awaited, advice) = explain::silence(server.transport);
    // Time of its own: what a name's look-up or a dead address took is not held against TLS.
    timeout(CONNECT_TIMEOUT, secure(server, tls, connected))
        .await
        .map_err(|_| ConnectError::Silent {
            address: server.address(),
            awaited,
            advice,
        })?
}

async fn connect(network: &dyn Network, server: &Server) -> Result<Connected, ConnectError> {
    let place = Place {
        host: &server.host,
        port: server.port,
        nameservers: &server.nameservers,
    };
    network.connect(place).await.map_err(|error| match error {
        NoStream::Resolve(message) => ConnectError::Resolve {
            host: server.host.clone(),
            message,
        },
        NoStream::Connect(message) => tcp_error(server, message),
    })
}

/// Makes of a stream what `server` says that it should be.
async fn secure(
    server: &Server,
    tls: &Arc<rustls::ClientConfig>,
    connected: Connected,
) -> Result<Dialled, ConnectError> {
    let Connected { mut stream, local } = connected;
    match server.transport {
        Transport::Plain => {
            return Ok(Dialled {
                stream,
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
async fn start_tls(server: &Server, stream: &mut Stream) -> Result<(), ConnectError> {
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
