//! What the controllers show over TLS: a configured certificate, or one from a CA made for this run.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use postern_service::tls::{Identity, provider};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// Where the certificate comes from.
#[derive(Debug)]
pub enum Source {
    /// From files, read and checked.
    Configured(Identity),
    /// Made at the start; the CA's certificate is written to this file for clients to trust. Its key is kept nowhere.
    Made {
        /// The file.
        ca_file: PathBuf,
    },
}

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// rcgen could not make it.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// rustls does not accept it.
    #[error("cannot use the certificate: {0}")]
    Use(#[from] rustls::Error),
    /// The CA cannot be written down.
    #[error("cannot write the CA's certificate to {}: {source}; make the folder writable or configure [tls]", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

/// The TLS configuration of every controller. `names` are the DNS names and `addresses` the addresses that a
/// certificate made here is for.
///
/// # Errors
/// [`TlsError`].
pub fn server_config(
    source: Source,
    names: Vec<String>,
    addresses: &[IpAddr],
) -> Result<(Arc<rustls::ServerConfig>, Option<MadeCa>), TlsError> {
    let (identity, made) = match source {
        Source::Configured(identity) => (identity, None),
        Source::Made { ca_file } => {
            let (pem, identity) = make(names, addresses)?;
            (identity, Some(MadeCa { file: ca_file, pem }))
        }
    };
    let config = rustls::ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(identity.chain, identity.key)?;
    Ok((Arc::new(config), made))
}

/// A CA that was made for this run and that nobody has seen yet.
#[derive(Debug)]
pub struct MadeCa {
    file: PathBuf,
    pem: String,
}

impl MadeCa {
    /// Writes it for clients. To be done when the listeners are open: a second process that finds the ports taken must
    /// not replace the file of the first.
    ///
    /// # Errors
    /// [`TlsError::Write`].
    pub fn publish(self) -> Result<(), TlsError> {
        let Self { file, pem } = self;
        std::fs::write(&file, pem).map_err(|source| TlsError::Write {
            path: file.clone(),
            source,
        })?;
        let shown = std::path::absolute(&file).unwrap_or(file);
        tracing::info!(ca = %shown.display(), "made a certificate; clients trust it by this CA");
        Ok(())
    }
}

/// A CA as PEM, and a certificate of it.
fn make(names: Vec<String>, addresses: &[IpAddr]) -> Result<(String, Identity), rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "mock-dc CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;

    let mut params = CertificateParams::new(names)?;
    params
        .subject_alt_names
        .extend(addresses.iter().map(|address| rcgen::SanType::IpAddress(*address)));
    params.distinguished_name.push(DnType::CommonName, "mock-dc");
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &ca)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    Ok((
        ca.pem(),
        Identity {
            chain: vec![certificate.der().clone()],
            key,
        },
    ))
}
