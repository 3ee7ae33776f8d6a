//! A sealed sign-in as the relay holds it until it is settled: never a password in the clear.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use postern_protocol::frame::{ClientSealed, Request};
use postern_protocol::seal::{Jwe, Parts, Sealed, SealingKey};
use postern_protocol::{Moment, RealmKey, RequestId};

use crate::sealer::Epoch;

/// A sign-in that can be sent to an agent.
#[derive(Debug)]
pub struct Envelope {
    /// The sign-in's id.
    pub request_id: RequestId,
    /// Where it belongs.
    pub realm: RealmKey,
    user: String,
    alternate_id: bool,
    expires_unix_ms: u64,
    sealed: Sealed,
    key: Key,
}

#[derive(Debug)]
enum Key {
    /// Sealed here: can be wrapped for any agent.
    Epoch(Arc<Epoch>),
    /// Sealed by the caller, to these keys.
    Recipients {
        wrapped: BTreeMap<String, Vec<u8>>,
        as_sent: ClientSealed,
    },
}

/// The envelope cannot be sent to this agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sign-in is not sealed to the agent's key and cannot be")]
pub struct NotSealedTo;

impl Envelope {
    /// A sign-in that the relay sealed. `user` is what the authenticated data names.
    pub fn sealed_here(
        request_id: RequestId,
        realm: RealmKey,
        user: String,
        expires_unix_ms: u64,
        epoch: Arc<Epoch>,
        sealed: Sealed,
    ) -> Self {
        Self {
            request_id,
            realm,
            user,
            alternate_id: false,
            expires_unix_ms,
            sealed,
            key: Key::Epoch(epoch),
        }
    }

    /// The same, of a user name that is an alternate id: to be looked up, and never to be bound as it is.
    pub fn of_alternate_id(mut self, alternate_id: bool) -> Self {
        self.alternate_id = alternate_id;
        self
    }

    /// A sign-in that the caller sealed, after its parts were checked.
    pub fn sealed_by_caller(realm: RealmKey, jwe: Jwe, parts: Parts) -> Self {
        Self {
            request_id: parts.authenticated.request_id,
            realm,
            user: parts.authenticated.user,
            alternate_id: false,
            expires_unix_ms: parts.authenticated.expires_unix_ms,
            sealed: parts.sealed,
            key: Key::Recipients {
                wrapped: parts.recipients.into_iter().collect(),
                as_sent: ClientSealed {
                    protected: jwe.protected,
                    aad: jwe.aad,
                },
            },
        }
    }

    /// The thumbprints that a caller sealed it to; `None` if it can be wrapped for anybody.
    pub fn recipients(&self) -> Option<Arc<BTreeSet<String>>> {
        match &self.key {
            Key::Epoch(_) => None,
            Key::Recipients { wrapped, .. } => Some(Arc::new(wrapped.keys().cloned().collect())),
        }
    }

    /// Bytes that it holds while it waits, roughly.
    pub fn bytes(&self) -> usize {
        let recipients = match &self.key {
            Key::Epoch(_) => 0,
            Key::Recipients { wrapped, as_sent } => wrapped.len() * 400 + as_sent.protected.len() + as_sent.aad.len(),
        };
        512 + self.user.len() + self.sealed.ciphertext.len() + recipients
    }

    /// The frame for an agent with this key (or the one before it).
    ///
    /// # Errors
    /// [`NotSealedTo`].
    pub fn request_for(
        &self,
        key: &SealingKey,
        previous: Option<&SealingKey>,
        start_by: Moment,
    ) -> Result<Request, NotSealedTo> {
        let (kid, encrypted_key, client_sealed) = match &self.key {
            Key::Epoch(epoch) => {
                let wrapped = epoch.wrapped_for(key).map_err(|_| NotSealedTo)?;
                (key.kid().to_owned(), wrapped.to_vec(), None)
            }
            Key::Recipients { wrapped, as_sent } => {
                let candidates = [Some(key), previous].into_iter().flatten();
                let (kid, encrypted_key) = candidates
                    .filter_map(|key| wrapped.get_key_value(key.kid()))
                    .next()
                    .ok_or(NotSealedTo)?;
                (kid.clone(), encrypted_key.clone(), Some(as_sent.clone()))
            }
        };
        Ok(Request {
            request_id: self.request_id,
            tenant: self.realm.tenant.to_string(),
            realm: self.realm.realm.to_string(),
            user: self.user.clone(),
            expires_unix_ms: self.expires_unix_ms,
            start_by,
            kid,
            encrypted_key,
            iv: self.sealed.iv,
            ciphertext: self.sealed.ciphertext.clone(),
            tag: self.sealed.tag,
            client_sealed,
            alternate_id: self.alternate_id,
            avoid_dc: None,
        })
    }
}
