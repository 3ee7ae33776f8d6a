//! What the controllers show over TLS: a configured certificate, or one from a CA made for this run; and what they show
//! instead when a fault has it so.

use std::fs::{File, TryLockError};
use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use postern_service::tls::{Identity, provider};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use time::{Duration, OffsetDateTime};

use crate::faults::rule::Certificate;

/// The only name in a certificate for another host; nobody can have it (RFC 6761).
const WRONG_NAME: &str = "another-host.invalid";

/// How long a certificate is good that was made here, by real time: longer than any process runs.
const VALIDITY: Duration = Duration::days(800);

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

/// What every controller shows: the right certificate, and those that faults show instead.
#[derive(Debug)]
pub struct Certificates {
    right: Arc<rustls::ServerConfig>,
    unknown_ca: Arc<rustls::ServerConfig>,
    /// Expired, and for another host; only where the trusted CA was made here.
    issued: Option<[Arc<rustls::ServerConfig>; 2]>,
}

impl Certificates {
    /// The same whatever a fault asks for.
    pub(crate) fn all_alike(config: Arc<rustls::ServerConfig>) -> Self {
        Self {
            right: config.clone(),
            unknown_ca: config,
            issued: None,
        }
    }

    /// With the right certificate, or with one that has this fault.
    pub fn shown(&self, fault: Option<Certificate>) -> &Arc<rustls::ServerConfig> {
        match (fault, &self.issued) {
            (Some(Certificate::UnknownCa), _) => &self.unknown_ca,
            (Some(Certificate::Expired), Some([expired, _])) => expired,
            (Some(Certificate::WrongName), Some([_, wrong_name])) => wrong_name,
            // Faults that cannot be shown were refused.
            _ => &self.right,
        }
    }
}

/// The certificates of all controllers. `names` are the DNS names and `addresses` the addresses that those made here are
/// for.
///
/// # Errors
/// [`TlsError`].
pub fn certificates(
    source: Source,
    names: Vec<String>,
    addresses: &[IpAddr],
) -> Result<(Certificates, Option<MadeCa>), TlsError> {
    let stranger = authority("a CA that nobody knows")?;
    let unknown_ca = server_config(issue(&stranger, &server(names.clone(), addresses)?)?)?;
    let (right, issued, made) = match source {
        Source::Configured(identity) => (server_config(identity)?, None, None),
        Source::Made { ca_file } => {
            let ca = authority("mock-dc CA")?;
            let right = server(names, addresses)?;
            let mut expired = right.clone();
            // Real time, as clients go by it, whatever the domain's clock shows.
            let yesterday = OffsetDateTime::now_utc() - Duration::DAY;
            (expired.not_before, expired.not_after) = (yesterday - Duration::WEEK, yesterday);
            let wrong_name = server(vec![WRONG_NAME.to_owned()], &[])?;
            let issued = [
                server_config(issue(&ca, &expired)?)?,
                server_config(issue(&ca, &wrong_name)?)?,
            ];
            let made = MadeCa {
                file: ca_file,
                pem: ca.pem(),
            };
            (server_config(issue(&ca, &right)?)?, Some(issued), Some(made))
        }
    };
    let certificates = Certificates {
        right,
        unknown_ca,
        issued,
    };
    Ok((certificates, made))
}

fn server_config(identity: Identity) -> Result<Arc<rustls::ServerConfig>, rustls::Error> {
    let mut config = rustls::ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(identity.chain, identity.key)?;
    // Samba's tools (measured: 4.17) read no answer behind session tickets of TLS 1.3 and give up after a minute. Clients
    // keep their connections, so nobody misses them.
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// A CA that was made for this run and that nobody has seen yet.
#[derive(Debug)]
pub struct MadeCa {
    file: PathBuf,
    pem: String,
}

impl MadeCa {
    /// Writes it for clients, and tells where. To be done when the listeners are open: a second process that finds the
    /// ports taken must not replace the file of the first. One that runs beside the first in the same folder takes a
    /// name of its own.
    ///
    /// # Errors
    /// [`TlsError::Write`].
    pub fn publish(self) -> Result<PublishedCa, TlsError> {
        let Self { file, pem } = self;
        let (file, taken, is_extra) = match take(&file) {
            Err(TryLockError::WouldBlock) => {
                let stem = file.file_stem().unwrap_or_default().to_string_lossy();
                let own = file.with_file_name(format!("{stem}-{}.pem", std::process::id()));
                let taken = take(&own);
                (own, taken, true)
            }
            taken => (file, taken, false),
        };
        let write = |mut taken: File| {
            taken.set_len(0)?;
            taken.write_all(pem.as_bytes())?;
            Ok(taken)
        };
        let written = taken.map_err(std::io::Error::from).and_then(write);
        let lock = written.map_err(|source| TlsError::Write {
            path: file.clone(),
            source,
        })?;
        let published = PublishedCa {
            path: std::path::absolute(&file).unwrap_or(file),
            is_extra,
            _lock: lock,
        };
        tracing::info!(ca = %published.path.display(), "made a certificate; clients trust it by this CA");
        Ok(published)
    }
}

/// Opens a file that nobody else has.
fn take(path: &Path) -> Result<File, TryLockError> {
    let file = File::options().write(true).create(true).truncate(false).open(path);
    let file = file.map_err(TryLockError::Error)?;
    file.try_lock()?;
    Ok(file)
}

/// The file that clients trust, kept while this lives.
#[derive(Debug)]
pub struct PublishedCa {
    path: PathBuf,
    /// Whether it stands beside the one that is named after the domain, and goes with this process.
    is_extra: bool,
    _lock: File,
}

impl PublishedCa {
    /// Where it is: an absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for PublishedCa {
    fn drop(&mut self) {
        if self.is_extra {
            // Somebody else may have removed it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// A CA, whose key lives no longer than this value.
fn authority(name: &str) -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

/// What a server's certificate says.
fn server(names: Vec<String>, addresses: &[IpAddr]) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params
        .subject_alt_names
        .extend(addresses.iter().map(|address| rcgen::SanType::IpAddress(*address)));
    params.distinguished_name.push(DnType::CommonName, "mock-dc");
    params.use_authority_key_identifier_extension = true;
    // Some clients want to read that it is a server's, and take none that is good for more than 825 days.
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let now = OffsetDateTime::now_utc();
    (params.not_before, params.not_after) = (now - Duration::DAY, now + VALIDITY);
    Ok(params)
}

fn issue(ca: &CertifiedIssuer<'_, KeyPair>, params: &CertificateParams) -> Result<Identity, rcgen::Error> {
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, ca)?;
    Ok(Identity {
        key_is_readable_by_all: false,
        chain: vec![certificate.der().clone()],
        key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
    })
}
