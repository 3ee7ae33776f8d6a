//! What is measured: who it is, how it is started, whom it knows.

pub(crate) mod bare;
pub(crate) mod mock_dc;
mod openldap;
mod samba;

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use postern_service::tls::{load_anchors, provider};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose, SanType};

use crate::client::{Bind, Target};
use crate::process::{Folder, Process};

/// Accounts that sign in, where a server can be given so many at once.
const ACCOUNTS: usize = 1000;

/// The servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    MockDc,
    Bare,
    Slapd,
    Samba,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::MockDc, Self::Bare, Self::Slapd, Self::Samba];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::MockDc => "mock-dc",
            Self::Bare => "bare",
            Self::Slapd => "slapd",
            Self::Samba => "samba",
        }
    }

    pub(crate) fn parse(name: &str) -> Result<Self, String> {
        let all = Self::ALL.map(Self::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| format!("there are {all}"))
    }

    /// Starts it and waits until it listens; `None` when it is not installed.
    pub(crate) fn start(self, folder: &Folder, pki: &Pki) -> anyhow::Result<Option<Server>> {
        match self {
            Self::MockDc => mock_dc::start(folder, pki).map(Some),
            Self::Bare => bare::start(folder, pki).map(Some),
            Self::Slapd => openldap::start(folder, pki),
            Self::Samba => samba::start(folder, pki),
        }
    }
}

/// A server that listens.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) ldap: SocketAddr,
    pub(crate) ldaps: SocketAddr,
    /// Of its accounts, one each, with the right password.
    pub(crate) binds: Arc<[Bind]>,
}

/// How a client reaches a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Ldaps,
    Plain,
}

impl Transport {
    pub(crate) const ALL: [Self; 2] = [Self::Ldaps, Self::Plain];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ldaps => "LDAPS",
            Self::Plain => "plain",
        }
    }
}

impl Server {
    pub(crate) fn target(&self, transport: Transport, pki: &Pki) -> Target {
        match transport {
            Transport::Plain => Target {
                address: self.ldap,
                tls: None,
            },
            Transport::Ldaps => Target {
                address: self.ldaps,
                tls: Some(pki.trust.clone()),
            },
        }
    }
}

/// One certificate for all servers, so that none has a cheaper one.
#[derive(Debug)]
pub(crate) struct Pki {
    ca: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
    trust: Arc<rustls::ClientConfig>,
}

impl Pki {
    /// For every address that a server has here.
    pub(crate) fn new(folder: &Folder) -> anyhow::Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "benchmark CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let mut params = CertificateParams::new(vec!["localhost".to_owned()])?;
        let addresses = [SocketAddr::from(([127, 0, 0, 1], 0)).ip(), samba::ADDRESS.into()];
        params.subject_alt_names.extend(addresses.map(SanType::IpAddress));
        params.distinguished_name.push(DnType::CommonName, "benchmark");
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &authority)?;

        let ca = folder.join("ca.pem");
        fs::write(&ca, authority.pem())?;
        let trust = rustls::ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(load_anchors(&ca)?)
            .with_no_client_auth();
        let pki = Self {
            ca,
            certificate: folder.join("certificate.pem"),
            key: folder.join("key.pem"),
            trust: Arc::new(trust),
        };
        fs::write(&pki.certificate, certificate.pem())?;
        // Samba takes no key that others may read.
        let mut private = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&pki.key)?;
        private.write_all(key.serialize_pem().as_bytes())?;
        Ok(pki)
    }
}

/// Name and password of a generated account.
pub(crate) fn generated(number: usize) -> (String, String) {
    (
        format!("user{number:06}@corp.example.com"),
        format!("Postern-{number:06}"),
    )
}

/// Binds of `count` accounts; `account` gives the name and the password of each.
fn binds(count: usize, account: impl Fn(usize) -> (String, String)) -> Arc<[Bind]> {
    let bind = |(id, number)| {
        let (name, password) = account(number);
        Bind::new(id, &name, &password)
    };
    (1..).zip(1..=count).map(bind).collect()
}
