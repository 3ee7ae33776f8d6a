//! Who the links are: certificates, opening keys and TLS settings, for agents of the cluster's tenant and realm.
//!
//! A key takes long to make, and a certificate over a key that is there does not. So there are a few keys for all, and a
//! certificate is made with each dial and kept nowhere.

use std::sync::Arc;

use anyhow::Context;
use postern_loadtest::cluster::About;
use postern_protocol::frame::{DirectoryHealth, Hello, MAJOR, MINOR};
use postern_protocol::identity::{AgentIdentity, RealmKey};
use postern_protocol::seal::OpeningKey;
use postern_protocol::transport::{ALPN, crypto_provider, stream_limit, transport_config};
use postern_service::tls;
use quinn::crypto::rustls::QuicClientConfig;
use rand::RngCore;
use rcgen::KeyPair;
use rustls::client::{ClientConfig, Resumption, WantsClientCert};
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};
use rustls::{ConfigBuilder, RootCertStore};
use rustls_pki_types::PrivatePkcs8KeyDer;

use super::arguments::name;
use crate::pki::{AgentIssuer, Pki};

/// Of each kind. An opening key takes 80 ms to make; and with one alone, a relay would do a work once that it has to do for
/// each agent.
const KEYS: usize = 8;

/// Makes every link's identity.
pub(super) struct Identities {
    issuer: AgentIssuer,
    realm: RealmKey,
    prefix: String,
    slots: u32,
    keys: Vec<TlsKey>,
    /// Public halves; nothing is ever opened.
    opening_keys: Vec<Vec<u8>>,
    tls: ConfigBuilder<ClientConfig, WantsClientCert>,
    transport: Arc<quinn::TransportConfig>,
}

struct TlsKey {
    /// For certificates over it.
    pair: KeyPair,
    /// For handshakes.
    signing: Arc<dyn SigningKey>,
}

impl TlsKey {
    fn generate() -> anyhow::Result<Self> {
        let pair = KeyPair::generate().context("cannot make a key")?;
        let der = PrivatePkcs8KeyDer::from(pair.serialize_der());
        let signing = crypto_provider().key_provider.load_private_key(der.into())?;
        Ok(Self { pair, signing })
    }
}

impl Identities {
    /// Makes the keys, and opens the cluster's PKI.
    ///
    /// # Errors
    /// When the cluster's folder cannot be used.
    pub(super) fn new(cluster: &About, prefix: &str, slots: u32) -> anyhow::Result<Self> {
        let realm = RealmKey {
            tenant: cluster.tenant.parse().context("the cluster's tenant")?,
            realm: cluster.realm.parse().context("the cluster's realm")?,
        };
        let folder = || {
            format!(
                "certificates for links are made in the cluster's folder {}, by who may read it",
                cluster.dir.display()
            )
        };
        let pki = Pki::open(&cluster.dir).with_context(folder)?;
        let issuer = pki.agent_issuer(&realm.tenant).with_context(folder)?;
        let anchors: Arc<RootCertStore> = tls::load_anchors(&pki.ca()).with_context(folder)?.into();
        let tls = ClientConfig::builder_with_provider(crypto_provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(anchors);
        let opening_key = |_| Ok(OpeningKey::generate()?.public_der().to_vec());
        Ok(Self {
            issuer,
            realm,
            prefix: prefix.to_owned(),
            slots,
            keys: (0..KEYS).map(|_| TlsKey::generate()).collect::<anyhow::Result<_>>()?,
            opening_keys: (0..KEYS).map(opening_key).collect::<anyhow::Result<_>>()?,
            tls,
            transport: Arc::new(transport_config(stream_limit(slots))),
        })
    }

    /// What a link dials with.
    ///
    /// # Errors
    /// When its certificate cannot be made.
    pub(super) fn client(&self, number: u32) -> anyhow::Result<quinn::ClientConfig> {
        let agent = AgentIdentity {
            realm: self.realm.clone(),
            name: name(&self.prefix, number).parse()?,
        };
        let key = of_pool(&self.keys, number).context("no key")?;
        let chain = vec![self.issuer.certificate(&agent, &key.pair)?];
        let own = SingleCertAndKey::from(CertifiedKey::new(chain, key.signing.clone()));
        let mut tls = self.tls.clone().with_client_cert_resolver(Arc::new(own));
        tls.alpn_protocols = vec![ALPN.to_vec()];
        // As an agent's.
        tls.resumption = Resumption::disabled();
        let mut client = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
        client.transport_config(self.transport.clone());
        Ok(client)
    }

    /// What a link says first: that it is a process of its own, and its directory ready.
    pub(super) fn hello(&self, number: u32) -> Hello {
        let mut instance = [0; 16];
        rand::rng().fill_bytes(&mut instance);
        Hello {
            major: MAJOR,
            minor: MINOR,
            software: env!("CARGO_PKG_VERSION").to_owned(),
            instance,
            opening_key: of_pool(&self.opening_keys, number).cloned().unwrap_or_default(),
            slots: self.slots,
            directory: DirectoryHealth::Ready,
            takes_over: false,
        }
    }
}

fn of_pool<T>(pool: &[T], number: u32) -> Option<&T> {
    let index = usize::try_from(number).ok()?.checked_rem(pool.len())?;
    pool.get(index)
}
