//! Whom the agent believes to be a domain controller: the authorities of a file or of the system, kept up to date.
//!
//! What cannot be read changes nothing: the authorities before stay in force, it is reported once, and tried again.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use postern_service::tls::{self, PemError};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;

use crate::workshop::Workshop;

/// How often the file is looked at. Whoever exchanges it wants to see what comes of it.
const FILE_INTERVAL: Duration = Duration::from_secs(2);

/// How often the system's store is looked at. It has some hundred certificates, and changes with an update.
const SYSTEM_INTERVAL: Duration = Duration::from_secs(60);

/// Where the authorities are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Anchors {
    /// A PEM file.
    File(PathBuf),
    /// The system's store.
    System,
}

/// Why there are no authorities.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TrustError {
    /// The file cannot be used.
    #[error("{0}")]
    File(String),
    /// The system has none.
    #[error(
        "the system's store has no authorities ({0}); install ca-certificates, or name a file in directory.anchors"
    )]
    System(String),
    /// An error of this program.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

impl From<PemError> for TrustError {
    fn from(error: PemError) -> Self {
        Self::File(error.to_string())
    }
}

/// The authorities as they were read.
#[derive(Debug, Clone)]
pub(crate) struct Trust {
    anchors: Anchors,
    certificates: Vec<CertificateDer<'static>>,
    /// For connections to domain controllers.
    pub(crate) tls: Arc<ClientConfig>,
}

impl Trust {
    /// Reads the authorities.
    pub(crate) fn load(anchors: Anchors) -> Result<Self, TrustError> {
        let certificates = anchors.read()?;
        Self::of(anchors, certificates)
    }

    fn of(anchors: Anchors, certificates: Vec<CertificateDer<'static>>) -> Result<Self, TrustError> {
        let store = match &anchors {
            Anchors::File(path) => tls::anchors(path, certificates.clone())?,
            Anchors::System => {
                let mut store = RootCertStore::empty();
                // Some systems have some that cannot be anchors; nobody here put them there.
                store.add_parsable_certificates(certificates.clone());
                store
            }
        };
        let config = ClientConfig::builder_with_provider(tls::provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| TrustError::Tls(error.to_string()))?
            .with_root_certificates(store)
            .with_no_client_auth();
        Ok(Self {
            anchors,
            certificates,
            tls: Arc::new(config),
        })
    }

    /// Looks again and again, and tells of other authorities. Never returns.
    pub(super) async fn watch(mut self, workshop: Workshop, mut changed: impl FnMut(Arc<ClientConfig>)) {
        let interval = match self.anchors {
            Anchors::File(_) => FILE_INTERVAL,
            Anchors::System => SYSTEM_INTERVAL,
        };
        let mut reported = None;
        loop {
            tokio::time::sleep(interval).await;
            match self.look(workshop).await {
                Ok(None) => reported = None,
                Ok(Some(now)) => {
                    reported = None;
                    self = now;
                    tracing::info!(
                        authorities = self.certificates.len(),
                        "other authorities for domain controllers; connections are renewed one after another",
                    );
                    changed(self.tls.clone());
                }
                Err(error) if reported.as_ref() != Some(&error) => {
                    tracing::error!(
                        %error,
                        "the authorities for domain controllers cannot be read again; those before stay in force",
                    );
                    reported = Some(error);
                }
                Err(_) => {}
            }
        }
    }

    /// Other authorities than these, if there are.
    async fn look(&self, workshop: Workshop) -> Result<Option<Self>, TrustError> {
        let anchors = self.anchors.clone();
        let read = workshop.run(move || anchors.read()).await;
        let certificates = read.ok_or_else(|| TrustError::File("it was not read to its end".to_owned()))??;
        if certificates == self.certificates {
            return Ok(None);
        }
        Self::of(self.anchors.clone(), certificates).map(Some)
    }
}

impl Anchors {
    fn read(&self) -> Result<Vec<CertificateDer<'static>>, TrustError> {
        match self {
            Self::File(path) => Ok(tls::load_certificates(path)?),
            Self::System => {
                let read = rustls_native_certs::load_native_certs();
                if read.certs.is_empty() {
                    let why = read
                        .errors
                        .first()
                        .map_or("nothing was found".to_owned(), ToString::to_string);
                    return Err(TrustError::System(why));
                }
                Ok(read.certs)
            }
        }
    }
}
