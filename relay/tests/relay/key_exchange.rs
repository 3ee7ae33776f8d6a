//! Sees which key exchange a real handshake ends with: a provider like the agents', whose hybrid group notes its use.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use postern_protocol::transport;
use rustls::crypto::aws_lc_rs::kx_group::X25519MLKEM768;
use rustls::crypto::{ActiveKeyExchange, CryptoProvider, SharedSecret, SupportedKxGroup};
use rustls::{Error, NamedGroup};

static COMPLETED: AtomicBool = AtomicBool::new(false);

/// Whether a handshake with [`watched_provider`] ended with X25519MLKEM768.
pub(crate) fn hybrid_was_negotiated() -> bool {
    COMPLETED.load(Ordering::SeqCst)
}

/// The agents' provider, watched.
pub(crate) fn watched_provider() -> Arc<CryptoProvider> {
    let mut provider = CryptoProvider::clone(&transport::crypto_provider());
    for group in &mut provider.kx_groups {
        if group.name() == NamedGroup::X25519MLKEM768 {
            *group = &Watched;
        }
    }
    Arc::new(provider)
}

#[derive(Debug)]
struct Watched;

impl SupportedKxGroup for Watched {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        Ok(Box::new(WatchedExchange(X25519MLKEM768.start()?)))
    }

    fn name(&self) -> NamedGroup {
        X25519MLKEM768.name()
    }
}

struct WatchedExchange(Box<dyn ActiveKeyExchange>);

impl ActiveKeyExchange for WatchedExchange {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        let secret = self.0.complete(peer)?;
        COMPLETED.store(true, Ordering::SeqCst);
        Ok(secret)
    }

    fn pub_key(&self) -> &[u8] {
        self.0.pub_key()
    }

    fn group(&self) -> NamedGroup {
        self.0.group()
    }
}
