//! Whose certificates are believed.

use std::path::Path;

use anyhow::bail;
use postern_service::tls;
use rustls::RootCertStore;

/// The authorities that a target's certificate may be issued by, and where they are from.
#[derive(Debug, Clone)]
pub struct Authorities {
    pub(crate) roots: RootCertStore,
    /// As it is told: `an authority of …`.
    pub(crate) source: String,
}

impl Authorities {
    /// Those of a PEM file, and no others.
    ///
    /// # Errors
    /// When the file cannot be read, or holds none.
    pub fn from_file(path: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            roots: tls::load_anchors(path)?,
            source: path.display().to_string(),
        })
    }

    /// Those that this system trusts.
    ///
    /// # Errors
    /// When it has none.
    pub fn of_system() -> anyhow::Result<Self> {
        let read = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        // Some systems have some that cannot be anchors; nobody here put them there.
        roots.add_parsable_certificates(read.certs);
        if roots.is_empty() {
            let why = read
                .errors
                .first()
                .map_or("nothing was found".to_owned(), ToString::to_string);
            bail!("the system's store has no authorities ({why}); install ca-certificates, or give a PEM file");
        }
        Ok(Self {
            roots,
            source: "the system's store".to_owned(),
        })
    }
}
