//! One LDAPS connection to one domain controller: opening it, binding on it, noticing its end.
//!
//! The connection is driven by a task of its own, which notices when the domain controller closes it. A connection
//! whose bind was not answered is never used again: its answer could be taken for another's.

use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, LdapError, Scope, StdStream};
use postern_protocol::{Password, UserName};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Server;

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

/// Why a domain controller could not be connected to. No bind was sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// The name does not resolve.
    #[error("{host} does not resolve: {message}; check directory.servers.url and this machine's DNS")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver said.
        message: String,
    },
    /// TCP did not connect to any of the addresses.
    #[error("{address}: {message}; is the domain controller up, and does the firewall let LDAPS pass?")]
    Tcp {
        /// Host and port.
        address: String,
        /// What the operating system said.
        message: String,
    },
    /// The TLS handshake failed.
    #[error("TLS with {address}: {message}")]
    Tls {
        /// Host and port.
        address: String,
        /// What is wrong and what to do.
        message: String,
    },
    /// It took too long.
    #[error("{0} did not answer within {CONNECT_TIMEOUT:?}")]
    Timeout(String),
}

/// What became of a bind.
#[derive(Debug)]
pub(super) enum Sent {
    /// The domain controller answered.
    Answered {
        /// LDAP result code.
        result: u32,
        /// Diagnostic text.
        text: String,
    },
    /// The connection was gone before; not a byte of the bind was sent.
    Never,
    /// Sent, or perhaps sent, and no answer: the password may have been checked.
    Unknown(&'static str),
}

/// An open connection.
#[derive(Debug)]
pub(super) struct Connection {
    ldap: Ldap,
    /// This end's address, as the domain controller logs it.
    pub(super) local: SocketAddr,
    closed: CancellationToken,
}

impl Connection {
    /// Connects. What `opened` gives is dropped when the connection has ended, from whichever side; cancelling
    /// `stop` ends it too.
    pub(super) async fn open<G: Send + 'static>(
        server: &Server,
        tls: &Arc<rustls::ClientConfig>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
        opened: impl FnOnce() -> G,
    ) -> Result<Self, ConnectError> {
        let (driver, ldap, local) = timeout(CONNECT_TIMEOUT, connect(server, tls))
            .await
            .map_err(|_| ConnectError::Timeout(server.address()))??;
        let closed = stop.child_token();
        let ended = closed.clone();
        let guard = opened();
        tasks.spawn(async move {
            // Both are dropped also when ldap3 panics over an answer that it cannot read; the last one first.
            let _guard = guard;
            let _closed = ended.clone().drop_guard();
            tokio::select! {
                biased;
                () = ended.cancelled() => {}
                result = driver.drive() => if let Err(error) = result {
                    tracing::debug!(%local, %error, "directory connection lost");
                },
            }
        });
        Ok(Self { ldap, local, closed })
    }

    /// Whether the connection has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.is_cancelled()
    }

    /// Waits for the end of the connection.
    pub(super) async fn closed(&self) {
        self.closed.cancelled().await;
    }

    /// Binds as `user`. ldap3 matches an answer by its message id and does not look at its kind; nothing but this bind
    /// is outstanding on the connection, and the domain controller is authenticated. Gives what became of it and the LDAP message id. Not to be used again unless it was answered.
    pub(super) async fn bind(&mut self, user: &UserName, password: &Password, patience: Duration) -> (Sent, i32) {
        let bind = self.ldap.simple_bind(user.as_str(), password.expose());
        // ldap3 panics over an answer that is no LDAP result; that is an unknown outcome like any other.
        let sent = match timeout(patience, AssertUnwindSafe(bind).catch_unwind()).await {
            Ok(Ok(Ok(answer))) => Sent::Answered {
                result: answer.rc,
                text: answer.text,
            },
            Ok(Ok(Err(LdapError::OpSend { .. }))) => Sent::Never,
            Ok(Ok(Err(_))) => Sent::Unknown("the connection ended before the answer came"),
            Ok(Err(_)) => Sent::Unknown("the answer is not an LDAP bind result"),
            Err(_) => Sent::Unknown("no answer within directory.bind_timeout_ms"),
        };
        (sent, self.ldap.last_id())
    }

    /// Reads one attribute of the RootDSE (RFC 4512, section 5.1), which needs no bind.
    pub(super) async fn read_root_dse(&mut self, patience: Duration) -> Result<(), String> {
        let search = self
            .ldap
            .search("", Scope::Base, "(objectClass=*)", ["supportedLDAPVersion"]);
        match timeout(patience, AssertUnwindSafe(search).catch_unwind()).await {
            Ok(Ok(Ok(found))) => match found.success() {
                Ok(_) => Ok(()),
                Err(error) => Err(format!("reading the RootDSE was refused: {error}")),
            },
            Ok(Ok(Err(_))) => Err("the connection ended while the RootDSE was read".to_owned()),
            Ok(Err(_)) => Err("the answer to reading the RootDSE is not LDAP".to_owned()),
            Err(_) => Err(format!("no answer to reading the RootDSE within {patience:?}")),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.closed.cancel();
    }
}

async fn connect(
    server: &Server,
    tls: &Arc<rustls::ClientConfig>,
) -> Result<(LdapConnAsync, Ldap, SocketAddr), ConnectError> {
    let stream = connect_tcp(server).await?;
    let tcp_error = |error: std::io::Error| ConnectError::Tcp {
        address: server.address(),
        message: error.to_string(),
    };
    // Requests are one small write each, and somebody waits for every one of them.
    stream.set_nodelay(true).map_err(tcp_error)?;
    SockRef::from(&stream)
        .set_tcp_keepalive(&KEEPALIVE)
        .map_err(tcp_error)?;
    let local = stream.local_addr().map_err(tcp_error)?;
    let settings = LdapConnSettings::new()
        .set_config(tls.clone())
        .set_std_stream(StdStream::Tcp(stream.into_std().map_err(tcp_error)?));
    // The stream is connected already: of the URL, ldap3 uses the scheme and the name to check the certificate for.
    let url = format!("ldaps://{}:{}", server.tls_name, server.port);
    let (driver, ldap) = LdapConnAsync::with_settings(settings, &url)
        .await
        .map_err(|error| ConnectError::Tls {
            address: server.address(),
            message: explain_tls(&error, server),
        })?;
    Ok((driver, ldap, local))
}

async fn connect_tcp(server: &Server) -> Result<TcpStream, ConnectError> {
    let addresses: Vec<SocketAddr> = match server.host.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, server.port)],
        Err(_) => tokio::net::lookup_host((server.host.as_str(), server.port))
            .await
            .map_err(|error| ConnectError::Resolve {
                host: server.host.clone(),
                message: error.to_string(),
            })?
            .collect(),
    };
    connect_any(&addresses).await.map_err(|message| ConnectError::Tcp {
        address: server.address(),
        message,
    })
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

/// What is wrong with the domain controller's certificate, and what to do about it.
fn explain_tls(error: &LdapError, server: &Server) -> String {
    use rustls::CertificateError as Certificate;
    let rustls_error = match error {
        LdapError::Io { source } => source.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()),
        LdapError::Rustls { source } => Some(source),
        _ => None,
    };
    let Some(rustls::Error::InvalidCertificate(problem)) = rustls_error else {
        return format!("{error}; is this the LDAPS port (636, or 3269 of a global catalogue)?");
    };
    match problem {
        // A bad signature is an authority made anew under its old name.
        Certificate::UnknownIssuer | Certificate::BadSignature => {
            "its certificate is not issued by an authority in directory.anchors; add the issuing CA's certificate there"
                .to_owned()
        }
        Certificate::Expired | Certificate::ExpiredContext { .. } => {
            "its certificate has expired, or this machine's clock is wrong".to_owned()
        }
        Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => {
            "its certificate is not valid yet, or this machine's clock is wrong".to_owned()
        }
        Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => format!(
            "its certificate is not for {}; use a name that it has in directory.servers.url, or set server_name",
            server.tls_name
        ),
        other => format!("its certificate is refused: {other}"),
    }
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
