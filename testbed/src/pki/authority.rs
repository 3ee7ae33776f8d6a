//! One CA: a self-signed certificate with its key in a folder, and what it signs.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, SanType,
};
use time::{Duration, OffsetDateTime};

use super::{Issued, files};

/// A year: a trial that goes on for longer has become something that deserves a real PKI.
const CA_VALIDITY: Duration = Duration::days(365);

/// As public CAs do: longer than a trial needs, short enough that nobody forgets how a certificate is renewed.
const LEAF_VALIDITY: Duration = Duration::days(90);

/// The other machine's clock may be behind.
const CLOCK_ALLOWANCE: Duration = Duration::hours(1);

/// Less of the CA's year than this left, and it signs no more: certificates that end in the middle of a trial look
/// like a fault of what uses them.
const CA_REMAINDER: Duration = Duration::days(1);

/// A CA that can sign.
#[derive(Debug)]
pub(super) struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    not_after: OffsetDateTime,
}

/// What a certificate shall say.
pub(super) struct Leaf {
    pub(super) common_name: String,
    pub(super) uri: Option<String>,
    pub(super) names: Vec<SanType>,
    pub(super) usage: ExtendedKeyUsagePurpose,
}

impl Authority {
    /// Makes a CA in `folder`, which holds none.
    pub(super) fn make(folder: &Path, common_name: &str) -> anyhow::Result<Self> {
        let key = KeyPair::generate().context("cannot make a key")?;
        let now = OffsetDateTime::now_utc();
        let mut params = CertificateParams::default();
        params.not_before = now - CLOCK_ALLOWANCE;
        params.not_after = now + CA_VALIDITY;
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).context("cannot make a CA's certificate")?;
        files::write_new(&key_in(folder), key.serialize_pem().as_bytes())?;
        files::write_new(&Self::certificate_in(folder), certificate.pem().as_bytes())?;
        Ok(Self {
            folder: folder.to_owned(),
            not_after: params.not_after,
            issuer: Issuer::new(params, key),
        })
    }

    /// Reads the CA in `folder`.
    pub(super) fn load(folder: &Path) -> anyhow::Result<Self> {
        let (certificate_path, key_path) = (Self::certificate_in(folder), key_in(folder));
        let certificates = postern_service::tls::load_certificates(&certificate_path)?;
        let text = std::fs::read_to_string(&key_path).with_context(|| format!("cannot read {}", key_path.display()))?;
        let key = KeyPair::from_pem(&text).with_context(|| format!("cannot use {}", key_path.display()))?;
        let unusable = || format!("{} is not a CA's certificate of this PKI", certificate_path.display());
        let der = certificates.first().with_context(unusable)?;
        let (_, certificate) = x509_parser::parse_x509_certificate(der).ok().with_context(unusable)?;
        if certificate.public_key().raw != key.subject_public_key_info() {
            bail!(
                "{} is not the key of {}",
                key_path.display(),
                certificate_path.display()
            );
        }
        let subject = certificate.subject();
        let common_name = subject.iter_common_name().next().and_then(|name| name.as_str().ok());
        // What a signature takes from its CA: the name, and the key, by which its identifier is made.
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, common_name.with_context(unusable)?);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Ok(Self {
            folder: folder.to_owned(),
            not_after: certificate.validity().not_after.to_datetime(),
            issuer: Issuer::new(params, key),
        })
    }

    /// A certificate for a key that is there.
    pub(super) fn certificate(&self, leaf: &Leaf, key: &KeyPair) -> anyhow::Result<Certificate> {
        let now = OffsetDateTime::now_utc();
        if self.not_after - now < CA_REMAINDER {
            bail!(
                "the CA {} ends on {} and signs no more; make a new PKI in another folder",
                self.certificate_path().display(),
                self.not_after.date()
            );
        }
        let mut params = CertificateParams::default();
        params.not_before = now - CLOCK_ALLOWANCE;
        params.not_after = (now + LEAF_VALIDITY).min(self.not_after);
        params
            .distinguished_name
            .push(DnType::CommonName, leaf.common_name.as_str());
        params.subject_alt_names.clone_from(&leaf.names);
        if let Some(uri) = &leaf.uri {
            params.subject_alt_names.push(SanType::URI(uri.as_str().try_into()?));
        }
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![leaf.usage.clone()];
        params.use_authority_key_identifier_extension = true;
        params.signed_by(key, &self.issuer).context("cannot sign a certificate")
    }

    /// Makes a key and a certificate for it: `NAME.pem` and `NAME.key` in `into`. Replaces earlier ones, so that
    /// doing it again renews.
    pub(super) fn sign(&self, leaf: &Leaf, into: &Path, name: &str) -> anyhow::Result<Issued> {
        let key = KeyPair::generate().context("cannot make a key")?;
        let signed = self.certificate(leaf, &key)?;
        files::make_folder(into)?;
        let certificate = into.join(format!("{name}.pem"));
        let key_path = into.join(format!("{name}.key"));
        let renewed = certificate.exists();
        files::replace(&key_path, key.serialize_pem().as_bytes())?;
        files::replace(&certificate, signed.pem().as_bytes())?;
        Ok(Issued {
            certificate,
            key: key_path,
            anchors: self.certificate_path(),
            uri: leaf.uri.clone(),
            renewed,
        })
    }

    /// The CA's certificate.
    pub(super) fn certificate_path(&self) -> PathBuf {
        Self::certificate_in(&self.folder)
    }

    /// Where the certificate of the CA in `folder` lies.
    pub(super) fn certificate_in(folder: &Path) -> PathBuf {
        folder.join("ca.pem")
    }
}

fn key_in(folder: &Path) -> PathBuf {
    folder.join("ca.key")
}
