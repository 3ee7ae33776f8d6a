//! Opening a connection to a target: TCP, and TLS where its URL says so. Nothing secret passes before its end.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::explain;
use super::ldap::start_tls;
use super::target::{Scheme, Target};

/// For the connection that is tried before the run. A target across an ocean takes well under a second.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes both ways, whatever protects them.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection on which something secret may be said.
pub(super) type Stream = Box<dyn Duplex>;

/// TLS as a target is spoken to with.
#[derive(Clone)]
pub(super) struct Tls {
    pub(super) config: Arc<ClientConfig>,
    /// Where the authorities are from.
    pub(super) authorities: String,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tls(by {})", self.authorities)
    }
}

/// A target whose name is resolved.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) target: Target,
    addresses: Vec<SocketAddr>,
    /// `None`: in the clear.
    tls: Option<(Tls, ServerName<'static>)>,
}

impl Place {
    /// Resolves the target's name, once for all connections.
    pub(super) async fn resolve(target: Target, tls: Option<Tls>) -> anyhow::Result<Self> {
        let addresses: Vec<SocketAddr> = lookup_host((target.host.as_str(), target.port))
            .await
            .with_context(|| {
                format!(
                    "{target}: {} does not resolve; check the name and this machine's DNS",
                    target.host
                )
            })?
            .collect();
        if addresses.is_empty() {
            bail!("{target}: {} has no address; check the name", target.host);
        }
        let name = ServerName::try_from(target.host.clone())?;
        Ok(Self {
            target,
            addresses,
            tls: tls.map(|tls| (tls, name)),
        })
    }

    /// Connects, for a sign-in: whose patience bounds it.
    pub(super) async fn dial(&self) -> anyhow::Result<Stream> {
        let target = &self.target;
        let connect = async {
            let stream = TcpStream::connect(&self.addresses[..]).await?;
            // Requests are one small write each, and somebody waits for every one of them.
            stream.set_nodelay(true)?;
            Ok(stream)
        };
        let mut stream = connect
            .await
            .map_err(|error| anyhow!("{target}: {}", explain::tcp(&error, target)))?;
        let Some((tls, name)) = &self.tls else {
            return Ok(Box::new(stream));
        };
        if target.scheme == Scheme::Ldap {
            start_tls(&mut stream).await.with_context(|| target.to_string())?;
        }
        let secured = TlsConnector::from(tls.config.clone()).connect(name.clone(), stream);
        let secured = secured
            .await
            .map_err(|error| anyhow!("{target}: {}", explain::tls(&error, target, &tls.authorities)))?;
        Ok(Box::new(secured))
    }

    /// Does what is tried before the run, in its time.
    pub(super) async fn in_time<T>(&self, trial: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        timeout(PATIENCE, trial).await.unwrap_or_else(|_| {
            let target = &self.target;
            bail!(
                "{target}: no answer within {PATIENCE:?}; is this the right address, and does a firewall hold it back?"
            )
        })
    }
}
