//! Dialling over TCP.

use std::net::SocketAddr;
use std::time::Duration;

use postern_protocol::connection::tcp::{self, Facts, Limits, Side};
use postern_protocol::connection::{Connection, Ended};
use postern_protocol::transport::ALPN;
use rustls_pki_types::ServerName;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{Credentials, Dialer, Dialled, Spot, proxy};
use crate::link::explain::{Trouble, TroubleKind};
use crate::network::Place;

/// For TCP's handshake and that of TLS.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

impl Dialer {
    /// As [`Dialer::quic`], over TCP, and through the proxy where there is one.
    pub(crate) async fn tcp(&self, spot: &Spot, name: &ServerName<'static>) -> Result<Dialled, Trouble> {
        let credentials = self.credentials.borrow().clone();
        let no_tcp = |why: &str| {
            let text = match &credentials.proxy {
                Some(_) => {
                    format!("no answer over TCP ({why}); is the relay up, and does the proxy let through to it?")
                }
                None => {
                    format!("no answer over TCP ({why}); is the relay up, and does the firewall let TCP to it pass?")
                }
            };
            Trouble::new(TroubleKind::NoTcp, text)
        };
        let connecting = self.connect(spot, name, &credentials, &no_tcp);
        match timeout(HANDSHAKE_TIMEOUT, connecting).await {
            Ok(connection) => self.recognise(Connection::Tcp(connection?), credentials),
            Err(_) => Err(no_tcp(&format!("within {} seconds", HANDSHAKE_TIMEOUT.as_secs()))),
        }
    }

    async fn connect(
        &self,
        spot: &Spot,
        name: &ServerName<'static>,
        credentials: &Credentials,
        no_tcp: &impl Fn(&str) -> Trouble,
    ) -> Result<tcp::Tcp, Trouble> {
        let (host, port) = match (&credentials.proxy, spot) {
            (Some(proxy), _) => (proxy.address.host.clone(), proxy.address.port),
            (None, Spot::Address(address)) => (address.ip().to_string(), address.port()),
            (None, Spot::Named(name)) => (name.host.clone(), name.port),
        };
        let place = Place {
            host: &host,
            port,
            nameservers: &[],
        };
        let connected = self.network.connect(place).await;
        let connected = connected.map_err(|error| match &credentials.proxy {
            Some(proxy) => no_tcp(&format!("the proxy {}: {error}", proxy.address)),
            None => no_tcp(&error.to_string()),
        })?;
        let stream = match &credentials.proxy {
            Some(proxy) => {
                let through = proxy::through(connected.stream, proxy, &spot.to_string()).await;
                through.map_err(|why| no_tcp(&why))?
            }
            None => connected.stream,
        };
        let tls = TlsConnector::from(credentials.tls.clone());
        let stream = tls.connect(name.clone(), stream).await;
        let stream = stream.map_err(|error| self.explain(&Ended::of_tls_stream(&error)))?;
        let session = stream.get_ref().1;
        if session.alpn_protocol() != Some(ALPN) {
            let text = "what answers there over TCP does not speak postern/1; is the address that of a relay?";
            return Err(Trouble::new(TroubleKind::Version, text.to_owned()));
        }
        let chain = session.peer_certificates().unwrap_or_default();
        let facts = Facts {
            local: Some(connected.local.ip()),
            remote: match spot {
                Spot::Address(address) => *address,
                // Whatever the proxy makes of it.
                Spot::Named(name) => SocketAddr::from(([0, 0, 0, 0], name.port)),
            },
            chain: chain
                .iter()
                .map(|certificate| certificate.clone().into_owned())
                .collect(),
        };
        // Its control stream, and what the relay opens.
        let limits = Limits {
            open: usize::try_from(self.streams).unwrap_or(usize::MAX).saturating_add(1),
            accepted_in_all: None,
        };
        let (connection, driver) = tcp::connection(stream, Side::Dialled, facts, limits);
        self.drivers.spawn(driver);
        Ok(connection)
    }
}
