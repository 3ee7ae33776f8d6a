//! Who may be in session, as the configuration stands: asked when an agent comes, and again for everybody who is in
//! session when the configuration has changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use postern_protocol::close::CloseCode;
use postern_protocol::identity::CertificateFacts;
use postern_protocol::transport::crypto_provider;
use postern_protocol::{AgentIdentity, RealmKey};
use rustls::server::VerifierBuilderError;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::{CertificateDer, UnixTime};

use super::verifier::TenantVerifier;
use crate::config::Config;
use crate::core::RealmIndex;
use crate::deny::DenyList;

/// What decides who may be in session.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Who may not.
    pub deny: DenyList,
    /// The realms that are served, with their indices in the core.
    pub realms: Arc<BTreeMap<RealmKey, RealmIndex>>,
    /// Addresses of all replicas, told to newcomers.
    pub replicas: Vec<String>,
    verifier: Arc<TenantVerifier>,
}

/// An agent that may be in session, by the rules that stood when it was looked at.
#[derive(Debug)]
pub struct Admitted {
    chain: Vec<CertificateDer<'static>>,
    /// By whom the chain was last verified.
    verifier: Arc<TenantVerifier>,
}

/// Why an agent may not be in session, for it and for the log.
pub type Refusal = (CloseCode, String);

impl Entry {
    /// The rules of a configuration, whose realms have these indices.
    ///
    /// # Errors
    /// When a tenant has no anchors.
    pub fn new(config: &Config, realms: Arc<BTreeMap<RealmKey, RealmIndex>>) -> Result<Self, VerifierBuilderError> {
        let verifier = TenantVerifier::new(config.trust_domain.clone(), &config.tenants, crypto_provider())?;
        Ok(Self {
            deny: config.deny.clone(),
            realms,
            replicas: config.replicas.clone(),
            verifier: Arc::new(verifier),
        })
    }

    /// These rules with the verifier of those before, if that decides alike: nobody needs to be verified again.
    pub fn keeping_verifier_of(self, before: &Self) -> Self {
        let verifier = if self.verifier.decides_like(&before.verifier) {
            before.verifier.clone()
        } else {
            self.verifier
        };
        Self { verifier, ..self }
    }

    /// Takes in an agent that showed `chain` in its handshake, under these rules or under those before.
    ///
    /// # Errors
    /// Why it may not be in session.
    pub fn admit(
        &self,
        agent: &AgentIdentity,
        facts: &CertificateFacts,
        chain: Vec<CertificateDer<'static>>,
    ) -> Result<Admitted, Refusal> {
        self.check(agent, facts)?;
        self.verify(&chain)?;
        Ok(Admitted {
            chain,
            verifier: self.verifier.clone(),
        })
    }

    /// Whether an agent that was taken in under other rules may stay under these.
    ///
    /// # Errors
    /// Why not.
    pub fn readmit(
        &self,
        agent: &AgentIdentity,
        facts: &CertificateFacts,
        admitted: &mut Admitted,
    ) -> Result<(), Refusal> {
        self.check(agent, facts)?;
        if !Arc::ptr_eq(&admitted.verifier, &self.verifier) {
            self.verify(&admitted.chain)?;
            admitted.verifier = self.verifier.clone();
        }
        Ok(())
    }

    fn check(&self, agent: &AgentIdentity, facts: &CertificateFacts) -> Result<(), Refusal> {
        if !self.realms.contains_key(&agent.realm) {
            let reason = format!("the realm {} is not served by this relay", agent.realm);
            return Err((CloseCode::Identity, reason));
        }
        match self.deny.reason(agent, facts) {
            Some(reason) => Err((CloseCode::Denied, reason)),
            None => Ok(()),
        }
    }

    fn verify(&self, chain: &[CertificateDer<'_>]) -> Result<(), Refusal> {
        let refused = |reason: &dyn std::fmt::Display| {
            let reason = format!("the agent's certificate is no longer accepted: {reason}");
            (CloseCode::Identity, reason)
        };
        let (leaf, intermediates) = chain.split_first().ok_or_else(|| refused(&"none was shown"))?;
        self.verifier
            .verify_client_cert(leaf, intermediates, UnixTime::now())
            .map(|_| ())
            .map_err(|error| refused(&error))
    }
}
