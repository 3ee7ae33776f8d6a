//! What a listener serves, and over which TLS. Both may be exchanged while it serves.

use std::sync::Arc;

use axum::Router;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::{CertificateDer, UnixTime};
use tokio::sync::watch;

/// An application, and the TLS that it is served over.
#[derive(Debug, Clone)]
pub struct Site {
    /// What answers.
    pub app: Router,
    /// `None` serves in the clear.
    pub tls: Option<SiteTls>,
}

/// What clients are shown and asked for.
#[derive(Debug, Clone)]
pub struct SiteTls {
    /// The handshake.
    pub config: Arc<rustls::ServerConfig>,
    /// Verifies clients' certificates, as `config` does, where they are asked for: those of kept connections are looked at
    /// again when the site has changed.
    pub clients: Option<Arc<dyn ClientCertVerifier>>,
}

impl Site {
    /// A site that never changes.
    pub fn fixed(self) -> watch::Receiver<Self> {
        watch::channel(self).1
    }
}

impl From<Router> for Site {
    /// In the clear.
    fn from(app: Router) -> Self {
        Self { app, tls: None }
    }
}

/// What a connection's handshake was done with and what came of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Handshaken {
    pub(super) tls: Option<Arc<rustls::ServerConfig>>,
    /// The certificates that the client showed, its own first.
    pub(super) chain: Arc<[CertificateDer<'static>]>,
}

impl Handshaken {
    /// Whether a client that connects now would be shown and asked for the same.
    pub(super) fn is_as_now(&self, site: &Site) -> bool {
        match (&self.tls, &site.tls) {
            (None, None) => true,
            (Some(then), Some(now)) => Arc::ptr_eq(then, &now.config),
            _ => false,
        }
    }

    /// The client's certificate, if it counts as the site stands.
    pub(super) fn certificate(&self, site: &Site) -> Option<CertificateDer<'static>> {
        let (leaf, intermediates) = self.chain.split_first()?;
        if !self.is_as_now(site) {
            let clients = site.tls.as_ref()?.clients.as_ref()?;
            let verified = clients.verify_client_cert(leaf, intermediates, UnixTime::now());
            verified
                .inspect_err(|error| tracing::info!(%error, "a caller's certificate does not count any more"))
                .ok()?;
        }
        Some(leaf.clone())
    }

    /// Until a client that connects would be shown or asked for something else.
    pub(super) async fn is_outdated(&self, site: &mut watch::Receiver<Site>) {
        if site.wait_for(|site| !self.is_as_now(site)).await.is_err() {
            // Nothing changes any more.
            std::future::pending().await
        }
    }
}
