//! The agents in session, as far as choosing among them goes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::flight::Flight;
use super::{RealmIndex, SessionId};

/// One session of an agent.
#[derive(Debug, Clone)]
pub struct AgentSession {
    /// The realm that it serves.
    pub realm: RealmIndex,
    /// The agent's name within the realm; its sessions share it.
    pub name: Arc<str>,
    /// Sign-ins that it takes at once.
    pub slots: u32,
    /// Whether a domain controller answers it.
    pub directory_ready: bool,
    /// Thumbprint of its opening key.
    pub kid: String,
    /// The key before that one, which it still opens for a while.
    pub previous_kid: Option<String>,
    /// The link's round-trip time.
    pub rtt: Duration,
    /// It takes nothing new.
    pub draining: bool,
    /// A newer session of the same agent exists, and this one has not been heard since.
    pub in_doubt: bool,
    /// Sign-ins sent whose stream has not ended.
    pub outstanding: u32,
}

impl AgentSession {
    /// Whether another sign-in may be sent now.
    pub fn has_free_slot(&self) -> bool {
        self.outstanding < self.slots
    }

    /// Whether it could do anything for this flight, slots aside.
    pub(super) fn may_take(&self, flight: &Flight) -> bool {
        self.takes_work() && flight.is_sealed_to(self)
    }

    fn takes_work(&self) -> bool {
        !self.draining && self.directory_ready && !self.in_doubt
    }
}

/// All sessions, by id and by realm.
#[derive(Debug, Default)]
pub(super) struct Agents {
    sessions: BTreeMap<(RealmIndex, SessionId), AgentSession>,
    realm_of: BTreeMap<SessionId, RealmIndex>,
}

impl Agents {
    pub(super) fn insert(&mut self, id: SessionId, session: AgentSession) {
        self.realm_of.insert(id, session.realm);
        self.sessions.insert((session.realm, id), session);
    }

    pub(super) fn remove(&mut self, id: SessionId) -> Option<AgentSession> {
        let realm = self.realm_of.remove(&id)?;
        self.sessions.remove(&(realm, id))
    }

    pub(super) fn get(&self, id: SessionId) -> Option<&AgentSession> {
        self.sessions.get(&(*self.realm_of.get(&id)?, id))
    }

    pub(super) fn get_mut(&mut self, id: SessionId) -> Option<&mut AgentSession> {
        self.sessions.get_mut(&(*self.realm_of.get(&id)?, id))
    }

    pub(super) fn of(&self, realm: RealmIndex) -> impl Iterator<Item = (SessionId, &AgentSession)> {
        let all = (realm, SessionId(0))..=(realm, SessionId(u64::MAX));
        self.sessions.range(all).map(|((_, id), session)| (*id, session))
    }

    pub(super) fn any_free(&self, realm: RealmIndex) -> bool {
        self.of(realm)
            .any(|(_, session)| session.takes_work() && session.has_free_slot())
    }
}
