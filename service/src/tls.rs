//! Certificates and keys from PEM files, and the process's one crypto provider.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::harden::is_readable_by_all;

/// A PEM file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PemError {
    /// The file cannot be read or is not PEM.
    #[error("{}: {message}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The file is PEM and holds no certificate.
    #[error("{}: holds no certificate (BEGIN CERTIFICATE)", .0.display())]
    NoCertificate(PathBuf),
    /// The file holds a certificate that cannot be a trust anchor.
    #[error("{}: certificate {index} cannot be a trust anchor: {message}", path.display())]
    NoAnchor {
        /// The file.
        path: PathBuf,
        /// Position in the file, from 1.
        index: usize,
        /// Why not.
        message: String,
    },
    /// Certificate and key do not belong together, or the key is of a kind that TLS cannot use.
    #[error("{}: {message}", path.display())]
    Mismatch {
        /// The key's file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
}

/// The crypto provider of every TLS and QUIC endpoint: aws-lc-rs, X25519MLKEM768 preferred.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Makes [`provider`] the process's default, for libraries that ask for one. Harmless when repeated.
pub fn install_provider() {
    // An error means that one is installed already, which is what was wanted.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// The certificates of a PEM file in order, leaf first where it is a chain.
///
/// # Errors
/// [`PemError`] when the file cannot be read or holds none.
pub fn load_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let unreadable = |error: rustls_pki_types::pem::Error| PemError::Unreadable {
        path: path.to_path_buf(),
        message: describe(error),
    };
    let certificates = CertificateDer::pem_file_iter(path)
        .map_err(unreadable)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(unreadable)?;
    if certificates.is_empty() {
        return Err(PemError::NoCertificate(path.to_path_buf()));
    }
    Ok(certificates)
}

/// The private key of a PEM file (PKCS #8, PKCS #1 or SEC 1).
///
/// # Errors
/// [`PemError::Unreadable`].
pub fn load_key(path: &Path) -> Result<PrivateKeyDer<'static>, PemError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| PemError::Unreadable {
        path: path.to_path_buf(),
        message: describe(error),
    })
}

/// A certificate chain with its key, checked against each other.
///
/// # Errors
/// [`PemError`]; a key of another certificate is [`PemError::Mismatch`].
pub fn load_identity(certificate: &Path, key: &Path) -> Result<Identity, PemError> {
    let chain = load_certificates(certificate)?;
    let private = load_key(key)?;
    rustls::sign::CertifiedKey::from_der(chain.clone(), private.clone_key(), &provider()).map_err(|error| {
        PemError::Mismatch {
            path: key.to_path_buf(),
            message: format!("does not fit the certificate {}: {error}", certificate.display()),
        }
    })?;
    Ok(Identity {
        chain,
        key: private,
        key_is_readable_by_all: is_readable_by_all(key),
    })
}

/// What an endpoint shows of itself: its certificate chain and the key of the leaf.
#[derive(Debug)]
pub struct Identity {
    /// Leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's private key. Its `Debug` form does not show it.
    pub key: PrivateKeyDer<'static>,
    /// Whether users other than the key file's owner and its group could read it.
    pub key_is_readable_by_all: bool,
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self {
            chain: self.chain.clone(),
            key: self.key.clone_key(),
            key_is_readable_by_all: self.key_is_readable_by_all,
        }
    }
}

/// The trust anchors of a PEM file.
///
/// # Errors
/// [`PemError`] when the file cannot be read, holds none, or holds one that is not a certificate.
pub fn load_anchors(path: &Path) -> Result<RootCertStore, PemError> {
    anchors(path, load_certificates(path)?)
}

/// The trust anchors that were read from a PEM file.
///
/// # Errors
/// [`PemError::NoAnchor`].
pub fn anchors(path: &Path, certificates: Vec<CertificateDer<'static>>) -> Result<RootCertStore, PemError> {
    let mut store = RootCertStore::empty();
    for (index, certificate) in certificates.into_iter().enumerate() {
        store.add(certificate).map_err(|error| PemError::NoAnchor {
            path: path.to_path_buf(),
            index: index + 1,
            message: error.to_string(),
        })?;
    }
    Ok(store)
}

/// The beginning and the end of a certificate's validity in seconds since 1970, or `None` when it is no X.509 certificate.
pub fn validity(certificate: &CertificateDer<'_>) -> Option<(i64, i64)> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let validity = parsed.validity();
    Some((validity.not_before.timestamp(), validity.not_after.timestamp()))
}

/// The end of a certificate's validity in seconds since 1970, or `None` when it is no X.509 certificate.
pub fn not_after(certificate: &CertificateDer<'_>) -> Option<i64> {
    validity(certificate).map(|(_, not_after)| not_after)
}

fn describe(error: rustls_pki_types::pem::Error) -> String {
    use rustls_pki_types::pem::Error;
    match error {
        Error::Io(error) => error.to_string(),
        Error::NoItemsFound => "holds no PEM block of the kind that is needed".to_owned(),
        other => format!("is not valid PEM: {other}"),
    }
}
