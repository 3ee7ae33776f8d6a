//! Dialling over TCP.

use std::net::SocketAddr;
use std::time::Duration;

use postern_protocol::connection::tcp::{self, Facts, Limits, Side};
use postern_protocol::connection::{Connection, Ended};
use postern_protocol::transport::ALPN;
use rustls_pki_types::ServerName;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{Credentials, Dialer, Dialled};
use crate::link::explain::{Trouble, TroubleKind};
use crate::network::Place;

/// For TCP's handshake and that of TLS.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

impl Dialer {
    /// As [`Dialer::quic`], over TCP.
    pub(crate) async fn tcp(&self, address: SocketAddr, name: &ServerName<'static>) -> Result<Dialled, Trouble> {
        let no_tcp = |why: &str| {
            let text =
                format!("no answer over TCP ({why}); is the relay up, and does the firewall let TCP to it pass?");
            Trouble::new(TroubleKind::NoTcp, text)
        };
        let credentials = self.credentials.borrow().clone();
        let connecting = self.connect(address, name, &credentials, &no_tcp);
        match timeout(HANDSHAKE_TIMEOUT, connecting).await {
            Ok(connection) => self.recognise(Connection::Tcp(connection?), credentials),
            Err(_) => Err(no_tcp(&format!("within {} seconds", HANDSHAKE_TIMEOUT.as_secs()))),
        }
    }

    async fn connect(
        &self,
        address: SocketAddr,
        name: &ServerName<'static>,
        credentials: &Credentials,
        no_tcp: &impl Fn(&str) -> Trouble,
    ) -> Result<tcp::Tcp, Trouble> {
        let place = Place {
            host: &address.ip().to_string(),
            port: address.port(),
            nameservers: &[],
        };
        let connected = self.network.connect(place).await;
        let connected = connected.map_err(|error| no_tcp(&error.to_string()))?;
        let tls = TlsConnector::from(credentials.tls.clone());
        let stream = tls.connect(name.clone(), connected.stream).await;
        let stream = stream.map_err(|error| self.explain(&Ended::of_tls_stream(&error)))?;
        let session = stream.get_ref().1;
        if session.alpn_protocol() != Some(ALPN) {
            let text = "what answers there over TCP does not speak postern/1; is the address that of a relay?";
            return Err(Trouble::new(TroubleKind::Version, text.to_owned()));
        }
        let chain = session.peer_certificates().unwrap_or_default();
        let facts = Facts {
            local: Some(connected.local.ip()),
            remote: address,
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
