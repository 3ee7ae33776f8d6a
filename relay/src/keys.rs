//! The opening keys of the agents in session, by realm: what callers seal to.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use postern_protocol::RealmKey;
use postern_protocol::seal::{Jwk, SealingKey};

use crate::core::SessionId;

/// Written by the driver as sessions come and go, read by the API.
#[derive(Debug, Default)]
pub struct KeyDirectory {
    keys: RwLock<BTreeMap<RealmKey, BTreeMap<SessionId, SealingKey>>>,
}

impl KeyDirectory {
    /// The session's key is now `key`.
    pub fn set(&self, realm: &RealmKey, session: SessionId, key: SealingKey) {
        self.write().entry(realm.clone()).or_default().insert(session, key);
    }

    /// The session has ended.
    pub fn remove(&self, realm: &RealmKey, session: SessionId) {
        if let Some(sessions) = self.write().get_mut(realm) {
            sessions.remove(&session);
        }
    }

    /// The realm's keys, each once.
    pub fn of(&self, realm: &RealmKey) -> Vec<Jwk> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let mut jwks: Vec<Jwk> = keys
            .get(realm)
            .into_iter()
            .flat_map(BTreeMap::values)
            .map(|key| key.jwk().clone())
            .collect();
        jwks.sort_by(|a, b| a.kid.cmp(&b.kid));
        jwks.dedup();
        jwks
    }

    /// Whether any agent of the realm is in session, and whether one of `kids` is its current key.
    pub fn knows<'a>(&self, realm: &RealmKey, mut kids: impl Iterator<Item = &'a str>) -> Known {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        match keys.get(realm).filter(|sessions| !sessions.is_empty()) {
            None => Known::NoAgent,
            Some(sessions) if kids.any(|kid| sessions.values().any(|key| key.kid() == kid)) => Known::Current,
            Some(_) => Known::Stale,
        }
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, BTreeMap<RealmKey, BTreeMap<SessionId, SealingKey>>> {
        // The map is whole after every statement.
        self.keys.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What [`KeyDirectory::knows`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// No agent of the realm is in session.
    NoAgent,
    /// One of the keys is an agent's current one.
    Current,
    /// None of them is.
    Stale,
}
