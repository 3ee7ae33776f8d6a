//! Who is in session. An agent may have several sessions for a while: an old one whose end has not been noticed beside
//! the new one of its restarted process, or, by mistake, two machines with one certificate. Also, how many connections of
//! an agent are not in session yet.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use postern_protocol::AgentIdentity;
use tokio::sync::Notify;

use crate::core::SessionId;

/// All sessions, by agent. Keyed by (agent, session number), so that a late close cannot remove a successor.
#[derive(Debug, Default)]
pub struct Registry {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last: u64,
    sessions: BTreeMap<(AgentIdentity, SessionId), Entry>,
    /// Agents of which more than one process is in session.
    duplicates: usize,
    /// Connections without a session. None is 0.
    greeting: BTreeMap<AgentIdentity, usize>,
}

#[derive(Debug, Clone)]
struct Entry {
    instance: [u8; 16],
    address: SocketAddr,
    /// Asks the session to show that it lives.
    probe: Arc<Notify>,
}

/// A session of the same agent that was there before.
#[derive(Debug)]
pub struct Predecessor {
    /// Its number.
    pub id: SessionId,
    /// Where it comes from.
    pub address: SocketAddr,
    /// Asks it to show that it lives, or to close.
    pub probe: Arc<Notify>,
}

/// A place in the registry.
#[derive(Debug)]
pub struct Admission {
    /// The new session's number.
    pub id: SessionId,
    /// Told to the session when a newer one of the same agent comes.
    pub probe: Arc<Notify>,
    /// The sessions that other processes with the agent's certificate had before.
    pub predecessors: Vec<Predecessor>,
    /// The session of the same process whose place this one takes.
    pub takes_over: Option<SessionId>,
}

/// Sessions of one agent at once: a dying one beside its successor, twice over. Two machines with one certificate
/// have room, a certificate in a hostile loop has not.
const MOST_PER_AGENT: usize = 4;

/// Connections of one agent that are not in session yet, or only look. A process dials a relay once at a time, so there is
/// room for as many sessions as an agent may have, and for their dials of before of which the end has not been noticed.
/// Per agent: those of a thousand others who come back at the same time take nobody's room.
const MOST_GREETING: usize = 8;

/// A connection that is not in session yet; counted for as long as this lives.
#[derive(Debug)]
pub struct Greeting<'a> {
    registry: &'a Registry,
    agent: &'a AgentIdentity,
}

impl Drop for Greeting<'_> {
    fn drop(&mut self) {
        let mut state = self.registry.lock();
        if let Some(count) = state.greeting.get_mut(self.agent) {
            *count -= 1;
            if *count == 0 {
                state.greeting.remove(self.agent);
            }
        }
    }
}

/// Why a session is not taken in.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The same process is in session already; the older session stays.
    #[error("this process has a session here already, from {}", .0.address)]
    SameInstance(Predecessor),
    /// The agent has as many sessions as one may have.
    #[error("this agent has {MOST_PER_AGENT} sessions here already; give each machine a certificate of its own")]
    TooMany,
    /// The agent has as many connections without a session as one may have.
    #[error(
        "this agent has {MOST_GREETING} connections here already that are not in session; give each machine a certificate of its own"
    )]
    TooManyGreeting,
}

impl Registry {
    /// Counts a connection of `agent` until it is in session or gone.
    ///
    /// # Errors
    /// [`Refusal::TooManyGreeting`].
    pub fn begin<'a>(&'a self, agent: &'a AgentIdentity) -> Result<Greeting<'a>, Refusal> {
        let mut state = self.lock();
        if state.greeting.get(agent).is_some_and(|&count| count >= MOST_GREETING) {
            return Err(Refusal::TooManyGreeting);
        }
        *state.greeting.entry(agent.clone()).or_default() += 1;
        Ok(Greeting { registry: self, agent })
    }

    /// Takes in a session of `agent`.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn admit(
        &self,
        agent: &AgentIdentity,
        instance: [u8; 16],
        address: SocketAddr,
        takes_over: bool,
    ) -> Result<Admission, Refusal> {
        let mut state = self.lock();
        let mut predecessors = Vec::new();
        let mut own = None;
        for ((_, id), entry) in state.of(agent) {
            let older = Predecessor {
                id: *id,
                address: entry.address,
                probe: entry.probe.clone(),
            };
            if entry.instance != instance {
                predecessors.push(older);
            } else if takes_over && own.is_none() {
                own = Some(older.id);
            } else {
                return Err(Refusal::SameInstance(older));
            }
        }
        if predecessors.len() + usize::from(own.is_some()) >= MOST_PER_AGENT {
            return Err(Refusal::TooMany);
        }
        let before = state.is_duplicate(agent);
        state.last += 1;
        let id = SessionId(state.last);
        let probe = Arc::new(Notify::new());
        state.sessions.insert(
            (agent.clone(), id),
            Entry {
                instance,
                address,
                probe: probe.clone(),
            },
        );
        state.note_duplicate(agent, before);
        Ok(Admission {
            id,
            probe,
            predecessors,
            takes_over: own,
        })
    }

    /// The session has ended.
    pub fn remove(&self, agent: &AgentIdentity, id: SessionId) {
        let mut state = self.lock();
        let before = state.is_duplicate(agent);
        if state.sessions.remove(&(agent.clone(), id)).is_some() {
            state.note_duplicate(agent, before);
        }
    }

    /// Sessions in all.
    pub fn len(&self) -> usize {
        self.lock().sessions.len()
    }

    /// Whether nobody is in session.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Agents of which more than one process is in session.
    pub fn duplicates(&self) -> usize {
        self.lock().duplicates
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whole after every statement.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn of(&self, agent: &AgentIdentity) -> impl Iterator<Item = (&(AgentIdentity, SessionId), &Entry)> {
        self.sessions
            .range((agent.clone(), SessionId(0))..=(agent.clone(), SessionId(u64::MAX)))
    }

    /// Whether more than one process of `agent` is in session.
    fn is_duplicate(&self, agent: &AgentIdentity) -> bool {
        let mut instances = self.of(agent).map(|(_, entry)| entry.instance);
        let first = instances.next();
        instances.any(|instance| Some(instance) != first)
    }

    /// After a session of `agent` has come or gone.
    fn note_duplicate(&mut self, agent: &AgentIdentity, before: bool) {
        let now = self.is_duplicate(agent);
        self.duplicates = self.duplicates + usize::from(now) - usize::from(before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postern_protocol::{RealmKey, Segment};

    fn agent() -> AgentIdentity {
        let segment = |text: &str| text.parse::<Segment>().unwrap();
        AgentIdentity {
            realm: RealmKey {
                tenant: segment("acme"),
                realm: segment("corp"),
            },
            name: segment("a"),
        }
    }

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn the_same_process_twice_keeps_the_older_session() {
        let registry = Registry::default();
        registry.admit(&agent(), [1; 16], address(1), false).unwrap();
        let refused = registry.admit(&agent(), [1; 16], address(2), false).unwrap_err();
        assert!(matches!(refused, Refusal::SameInstance(older) if older.address == address(1)));
        assert_eq!(registry.len(), 1);
    }

    #[test]
    fn a_new_process_is_admitted_beside_the_old_one_and_told_of_it() {
        let registry = Registry::default();
        let old = registry.admit(&agent(), [1; 16], address(1), false).unwrap();
        let new = registry.admit(&agent(), [2; 16], address(2), false).unwrap();
        assert_eq!(new.predecessors.iter().map(|p| p.id).collect::<Vec<_>>(), [old.id]);
        assert_eq!(registry.duplicates(), 1);
        registry.remove(&agent(), old.id);
        assert_eq!((registry.len(), registry.duplicates()), (1, 0));
        // A third and a fourth make no more of it, and one who is gone already no less.
        let third = registry.admit(&agent(), [3; 16], address(3), false).unwrap();
        registry.admit(&agent(), [4; 16], address(4), false).unwrap();
        assert_eq!(registry.duplicates(), 1);
        for (id, duplicates) in [(third.id, 1), (third.id, 1), (new.id, 0), (new.id, 0)] {
            registry.remove(&agent(), id);
            assert_eq!(registry.duplicates(), duplicates);
        }
    }

    #[test]
    fn a_late_close_does_not_remove_a_successor() {
        let registry = Registry::default();
        let old = registry.admit(&agent(), [1; 16], address(1), false).unwrap();
        registry.remove(&agent(), old.id);
        registry.admit(&agent(), [2; 16], address(1), false).unwrap();
        registry.remove(&agent(), old.id);
        assert_eq!(registry.len(), 1);
    }

    #[test]
    fn connections_that_are_not_in_session_are_counted_for_each_agent_and_forgotten_when_they_end() {
        let registry = Registry::default();
        let (agent, mut other) = (agent(), agent());
        other.name = "b".parse().unwrap();
        let mut greeting: Vec<_> = (0..8).map(|_| registry.begin(&agent).unwrap()).collect();
        assert!(matches!(registry.begin(&agent), Err(Refusal::TooManyGreeting)));
        assert!(registry.begin(&other).is_ok());
        greeting.pop();
        greeting.push(registry.begin(&agent).unwrap());
        drop(greeting);
        assert!(registry.lock().greeting.is_empty());
    }

    #[test]
    fn one_certificate_has_room_for_few_sessions() {
        let registry = Registry::default();
        for instance in 0..4 {
            registry.admit(&agent(), [instance; 16], address(1), false).unwrap();
        }
        assert!(matches!(
            registry.admit(&agent(), [4; 16], address(1), false),
            Err(Refusal::TooMany)
        ));
    }

    #[test]
    fn a_process_may_replace_its_own_session_and_is_no_duplicate() {
        let registry = Registry::default();
        let old = registry.admit(&agent(), [1; 16], address(1), false).unwrap();
        let new = registry.admit(&agent(), [1; 16], address(2), true).unwrap();
        assert_eq!(new.takes_over, Some(old.id));
        assert!(new.predecessors.is_empty());
        assert_eq!(registry.duplicates(), 0);
        // Once at a time: the one that is replaced is on its way out, and the new one is no older one.
        let third = registry.admit(&agent(), [1; 16], address(3), true);
        assert!(matches!(third, Err(Refusal::SameInstance(_))), "{third:?}");
        registry.remove(&agent(), old.id);
        assert!(registry.admit(&agent(), [1; 16], address(3), true).is_ok());
        // Beside another process it is one all the same.
        let other = registry.admit(&agent(), [2; 16], address(4), false).unwrap();
        assert_eq!((other.predecessors.len(), registry.duplicates()), (2, 1));
        registry.remove(&agent(), other.id);
        assert_eq!(registry.duplicates(), 0);
    }
}
