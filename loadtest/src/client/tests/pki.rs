//! Certificates for tests.

use std::sync::Arc;

use postern_service::tls::provider;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::PrivateKeyDer;

use crate::client::Authorities;

/// The name of its file, as far as anybody is told.
pub(super) const CA_FILE: &str = "test-ca.pem";

pub(super) struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(super) fn authorities(&self) -> Authorities {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        Authorities {
            roots,
            source: CA_FILE.to_owned(),
        }
    }

    /// TLS of a server with this name, which speaks these protocols.
    pub(super) fn server(&self, name: &str, alpn: &[&str]) -> Arc<ServerConfig> {
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}
