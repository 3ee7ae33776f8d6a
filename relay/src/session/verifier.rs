//! Whose certificate counts: trust anchors belong to a tenant.
//!
//! The certificate's URI says which tenant it claims to be of; then the chain must verify against that tenant's
//! anchors. One tenant's CA cannot name another tenant's agent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use postern_protocol::identity::{Identity, read_certificate};
use postern_protocol::{AgentIdentity, Segment, TrustDomain};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::config::Tenant;

/// Verifies agents' certificates, each against its own tenant's anchors.
#[derive(Debug)]
pub struct TenantVerifier {
    trust_domain: TrustDomain,
    anchors: BTreeMap<Segment, Arc<RootCertStore>>,
    tenants: BTreeMap<Segment, Arc<dyn ClientCertVerifier>>,
    provider: Arc<CryptoProvider>,
    last_told: AtomicU64,
}

impl TenantVerifier {
    /// A verifier for these tenants.
    ///
    /// # Errors
    /// When a tenant has no anchors.
    pub fn new(
        trust_domain: TrustDomain,
        tenants: &BTreeMap<Segment, Tenant>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, rustls::server::VerifierBuilderError> {
        let verifier = |(name, tenant): (&Segment, &Tenant)| {
            let anchors = tenant.anchors.clone();
            let built = WebPkiClientVerifier::builder_with_provider(anchors, provider.clone()).build()?;
            Ok::<_, rustls::server::VerifierBuilderError>((name.clone(), built as Arc<dyn ClientCertVerifier>))
        };
        let anchors = |(name, tenant): (&Segment, &Tenant)| (name.clone(), tenant.anchors.clone());
        Ok(Self {
            trust_domain,
            anchors: tenants.iter().map(anchors).collect(),
            tenants: tenants.iter().map(verifier).collect::<Result<_, _>>()?,
            provider,
            last_told: AtomicU64::new(0),
        })
    }

    /// Whether whoever one of the two lets in is let in by the other.
    pub fn decides_like(&self, other: &Self) -> bool {
        let roots = |(name, store): (&Segment, &Arc<RootCertStore>)| (name.clone(), store.roots.clone());
        self.trust_domain == other.trust_domain && self.anchors.iter().map(roots).eq(other.anchors.iter().map(roots))
    }

    /// Logs why a certificate was refused, once a second at most: strangers can make this happen at will.
    fn tell(&self, reason: &dyn std::fmt::Display, agent: Option<&AgentIdentity>, now: UnixTime) {
        if self.last_told.swap(now.as_secs(), Ordering::Relaxed) == now.as_secs() {
            return;
        }
        tracing::info!(agent = agent.map(tracing::field::display), %reason, "refused a certificate");
    }
}

impl ClientCertVerifier for TenantVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // No hints: they would tell everybody who the tenants are.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let refused = |reason: &dyn std::fmt::Display| {
            self.tell(reason, None, now);
            Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)
        };
        let facts = read_certificate(end_entity, &self.trust_domain).map_err(|error| refused(&error))?;
        let Identity::Agent(agent) = facts.identity else {
            return Err(refused(&"it names a relay, and agents connect here"));
        };
        let Some(tenant) = self.tenants.get(&agent.realm.tenant) else {
            return Err(refused(&format_args!("there is no tenant {}", agent.realm.tenant)));
        };
        tenant
            .verify_client_cert(end_entity, intermediates, now)
            .inspect_err(|error| {
                self.tell(error, Some(&agent), now);
            })
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("QUIC is TLS 1.3 only".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
