//! The agents in session: what they say of themselves, what they have in hand, and what is thought of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use postern_protocol::Moment;
use rand::Rng;

use super::breaker::Breaker;
use super::flight::Flight;
use super::latency::{Latency, Usual};
use super::liveness::Liveness;
use super::roster::Roster;
use super::{AttemptNumber, FlightId, RealmIndex, SessionId};

/// What a link may claim as its round-trip time, at most: an agent that acknowledges late must not buy patience with it.
/// A geostationary satellite takes 600 ms, and every wait is for two round trips at least.
const LONGEST_RTT: Duration = Duration::from_millis(300);

/// How long it is remembered what is thought of an agent that has no session any more.
const MEMORY: Duration = Duration::from_secs(60);

/// What a session says of its agent at its beginning.
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
    /// The link's round-trip time.
    pub rtt: Duration,
}

/// What an agent is to the core, for metrics: the first of these that is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AgentState {
    /// It takes nothing new.
    Draining,
    /// No domain controller answers it.
    DirectoryDown,
    /// It is silent.
    Suspect,
    /// It failed too often.
    Ejected,
    /// It gets sign-ins.
    Ready,
}

impl AgentState {
    /// Every state.
    pub const ALL: [Self; 5] = [
        Self::Draining,
        Self::DirectoryDown,
        Self::Suspect,
        Self::Ejected,
        Self::Ready,
    ];

    /// The name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draining => "draining",
            Self::DirectoryDown => "directory_down",
            Self::Suspect => "suspect",
            Self::Ejected => "ejected",
            Self::Ready => "ready",
        }
    }
}

/// A sign-in that was sent and whose stream has not ended: it takes a slot.
#[derive(Debug, Clone, Copy)]
pub(super) struct InHand {
    pub(super) sent: Moment,
    pub(super) user: u64,
    /// It is to show whether an ejected agent is well again.
    pub(super) probe: bool,
    /// It was counted as a failure already, when it was given up.
    pub(super) counted: bool,
}

/// One session of an agent, as the core knows it.
#[derive(Debug, Clone)]
pub struct Agent {
    pub(super) session: AgentSession,
    /// The key before the current one, which it still opens for a while.
    pub(super) previous_kid: Option<String>,
    pub(super) draining: bool,
    pub(super) in_hand: BTreeMap<(FlightId, AttemptNumber), InHand>,
    pub(super) liveness: Liveness,
    pub(super) breaker: Breaker,
    pub(super) latency: Latency,
    /// When its timer is set to.
    pub(super) timer: Moment,
    /// How it was counted last.
    counted: Counted,
}

impl Agent {
    pub(super) fn new(now: Moment, mut session: AgentSession) -> Self {
        session.rtt = session.rtt.min(LONGEST_RTT);
        Self {
            session,
            previous_kid: None,
            draining: false,
            in_hand: BTreeMap::new(),
            liveness: Liveness::new(now),
            breaker: Breaker::new(now),
            latency: Latency::default(),
            timer: Moment(u64::MAX),
            counted: Counted::default(),
        }
    }

    fn count(&self) -> Counted {
        let (serves, ready) = (self.serves(), self.state() == AgentState::Ready);
        let slots_if = |counts: bool| if counts { u64::from(self.session.slots) } else { 0 };
        Counted {
            slots: Slots {
                serving: slots_if(serves),
                ready: slots_if(ready),
            },
            is_free: serves && self.has_free_slot(),
            is_ejected: self.breaker.is_ejected(),
        }
    }

    /// The link's round-trip time has changed.
    pub(super) fn set_rtt(&mut self, rtt: Duration) {
        self.session.rtt = rtt.min(LONGEST_RTT);
    }

    /// The agent's name within its realm.
    pub fn name(&self) -> &Arc<str> {
        &self.session.name
    }

    /// What it is to the core.
    pub fn state(&self) -> AgentState {
        match self {
            _ if self.draining => AgentState::Draining,
            _ if !self.session.directory_ready => AgentState::DirectoryDown,
            _ if self.liveness.is_suspect() => AgentState::Suspect,
            _ if self.breaker.is_ejected() => AgentState::Ejected,
            _ => AgentState::Ready,
        }
    }

    /// Sign-ins that it takes at once.
    pub fn slots(&self) -> u32 {
        self.session.slots
    }

    /// Sign-ins that it has in hand.
    pub fn outstanding(&self) -> u32 {
        // No more are sent than there are slots.
        u32::try_from(self.in_hand.len()).unwrap_or(u32::MAX)
    }

    /// By what its cost is multiplied at `now` for its slowness and its failures; 1 is usual.
    pub(super) fn handicap(&self, now: Moment, usual: &Usual) -> f64 {
        let penalty = usual.factor_of(self.breaker.penalty(now));
        self.latency.factor(now, usual) + penalty
    }

    /// Whether it answers so fast that this must attract nothing.
    pub(super) fn is_suspiciously_fast(&self, now: Moment, usual: &Usual) -> bool {
        self.latency.is_suspiciously_fast(now, usual)
    }

    pub(super) fn has_free_slot(&self) -> bool {
        self.outstanding() < self.session.slots
    }

    /// Whether it takes work, be it later.
    pub(super) fn serves(&self) -> bool {
        !self.draining && self.session.directory_ready
    }

    /// Whether it takes work and gives signs of life.
    pub(super) fn is_at_work(&self) -> bool {
        self.serves() && !self.liveness.is_suspect()
    }

    /// Whether it could do something for this flight, be it later.
    pub(super) fn could_take(&self, flight: &Flight) -> bool {
        self.serves() && flight.is_sealed_to(self) && !flight.avoid.contains(&self.session.name)
    }

    /// Whether sign-ins sealed to one of `kids` open there.
    pub(super) fn opens(&self, kids: &std::collections::BTreeSet<String>) -> bool {
        kids.contains(&self.session.kid) || self.previous_kid.as_ref().is_some_and(|kid| kids.contains(kid))
    }
}

/// What is asked of all sessions of a realm with every sign-in, of one: kept, since looking at a thousand of them for each
/// would cost more than the sign-in.
#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    slots: Slots,
    /// It serves and has a slot free.
    is_free: bool,
    is_ejected: bool,
}

/// Slots, of one session or of several together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Slots {
    /// Of those that serve.
    serving: u64,
    /// Of those that are ready.
    ready: u64,
}

impl Slots {
    fn exchange(&mut self, old: Self, new: Self) {
        self.serving = self.serving - old.serving + new.serving;
        self.ready = self.ready - old.ready + new.ready;
    }
}

/// The sessions of one realm.
#[derive(Debug, Default)]
struct OfRealm {
    roster: Roster,
    slots: Slots,
}

impl OfRealm {
    /// Counts a session as it is now.
    fn count(&mut self, id: SessionId, name: &Arc<str>, old: Counted, new: Counted) {
        self.slots.exchange(old.slots, new.slots);
        if old.is_free != new.is_free {
            self.roster.set_free(name, new.is_free);
        }
        if old.is_ejected != new.is_ejected {
            self.roster.set_ejected(id, new.is_ejected);
        }
    }
}

/// All sessions, by id and by realm.
#[derive(Debug, Default)]
pub(super) struct Agents {
    sessions: BTreeMap<(RealmIndex, SessionId), Agent>,
    realm_of: BTreeMap<SessionId, RealmIndex>,
    realms: BTreeMap<RealmIndex, OfRealm>,
    /// A session that was handed out to be changed and is not counted anew yet.
    changed: Option<SessionId>,
    /// What is thought of agents whose session ended, and when it did.
    left: BTreeMap<(RealmIndex, Arc<str>), (Breaker, Moment)>,
}

impl Agents {
    /// Takes a session in. It begins with what is thought of its agent, from a session that has ended or one that has
    /// not; the worse of both, or dialling again would be a way out. True if that is that it is ejected.
    pub(super) fn insert(&mut self, now: Moment, id: SessionId, mut agent: Agent) -> bool {
        let realm = agent.session.realm;
        self.left.retain(|_, (_, left)| now.since(*left) < MEMORY);
        let ended = self.left.remove(&(realm, agent.name().clone()));
        let others = self.sessions_of(realm, agent.name());
        let others = others.iter().filter_map(|other| self.of_realm(realm, *other));
        let known = ended.map(|(breaker, _)| breaker);
        let known = known.into_iter().chain(others.map(|other| other.breaker.clone()));
        if let Some(breaker) = known.max_by_key(Breaker::ejected_until) {
            agent.breaker = breaker;
            agent.breaker.resume(now);
        }
        let ejected = agent.breaker.is_ejected();
        self.realms.entry(realm).or_default().roster.join(agent.name(), id);
        self.realm_of.insert(id, realm);
        self.sessions.insert((realm, id), agent);
        self.count(id);
        ejected
    }

    /// Takes a session out. What it had in hand and was not counted yet is a failure of its agent. The worst that is
    /// thought of the agent's sessions is kept: one that ends well takes nothing back of another.
    pub(super) fn remove(&mut self, now: Moment, id: SessionId) -> Option<Agent> {
        self.count_changed();
        let realm = self.realm_of.remove(&id)?;
        let mut agent = self.sessions.remove(&(realm, id))?;
        self.leave_realm(realm, id, &agent);
        for in_hand in agent.in_hand.values().filter(|in_hand| !in_hand.counted) {
            agent.breaker.failed(now, in_hand.user, in_hand.probe);
        }
        let key = (realm, agent.name().clone());
        let worst = match self.left.remove(&key) {
            Some((known, left))
                if now.since(left) < MEMORY && known.ejected_until() > agent.breaker.ejected_until() =>
            {
                (known, left)
            }
            _ => (agent.breaker.clone(), now),
        };
        self.left.insert(key, worst);
        Some(agent)
    }

    pub(super) fn get(&self, id: SessionId) -> Option<&Agent> {
        self.sessions.get(&(*self.realm_of.get(&id)?, id))
    }

    /// A session, to be changed.
    pub(super) fn get_mut(&mut self, id: SessionId) -> Option<&mut Agent> {
        self.count_changed();
        self.changed = Some(id);
        self.sessions.get_mut(&(*self.realm_of.get(&id)?, id))
    }

    /// The relay stood still until `now`: nobody could have been heard.
    pub(super) fn forgive(&mut self, now: Moment) {
        // Suspects stay what they are, so nothing is counted anew.
        self.sessions.values_mut().for_each(|agent| agent.liveness.forgive(now));
    }

    pub(super) fn of(&self, realm: RealmIndex) -> impl Iterator<Item = (SessionId, &Agent)> + Clone {
        let all = (realm, SessionId(0))..=(realm, SessionId(u64::MAX));
        self.sessions.range(all).map(|((_, id), agent)| (*id, agent))
    }

    /// The usual verdict times of a realm.
    pub(super) fn usual(&self, realm: RealmIndex, now: Moment) -> Usual {
        let voices = self.of(realm).map(|(_, agent)| (&**agent.name(), &agent.latency));
        Usual::of(voices, now)
    }

    /// Slots of all that serve.
    pub(super) fn slots(&mut self, realm: RealmIndex) -> u32 {
        u32::try_from(self.slots_of(realm).serving).unwrap_or(u32::MAX)
    }

    /// Slots of those that are at work now: of all that serve, where none is well.
    pub(super) fn slots_at_work(&mut self, realm: RealmIndex) -> u32 {
        match self.slots_of(realm).ready {
            0 => self.slots(realm),
            slots => u32::try_from(slots).unwrap_or(u32::MAX),
        }
    }

    /// Whether any that serves has a slot free.
    pub(super) fn any_free(&mut self, realm: RealmIndex) -> bool {
        self.count_changed();
        let of_realm = self.realms.get(&realm);
        of_realm.is_some_and(|of_realm| of_realm.roster.has_free())
    }

    /// Sessions that are ejected, the oldest first. As counted last: [`Self::any_free`] counts.
    pub(super) fn ejected(&self, realm: RealmIndex) -> impl Iterator<Item = (SessionId, &Agent)> {
        let of_realm = self.realms.get(&realm);
        let ejected = of_realm.into_iter().flat_map(|of_realm| of_realm.roster.ejected());
        ejected.filter_map(move |id| Some((id, self.of_realm(realm, id)?)))
    }

    /// The sessions of any agent of which one serves and has a slot free, each agent as likely. As counted last:
    /// [`Self::any_free`] counts.
    pub(super) fn draw(&self, realm: RealmIndex, random: &mut impl Rng) -> Option<&[SessionId]> {
        self.realms.get(&realm)?.roster.draw(random)
    }

    /// A session of this realm.
    pub(super) fn of_realm(&self, realm: RealmIndex, id: SessionId) -> Option<&Agent> {
        self.sessions.get(&(realm, id))
    }

    fn sessions_of(&self, realm: RealmIndex, name: &str) -> &[SessionId] {
        let of_realm = self.realms.get(&realm);
        of_realm.map_or(&[], |of_realm| of_realm.roster.sessions_of(name))
    }

    fn slots_of(&mut self, realm: RealmIndex) -> Slots {
        self.count_changed();
        self.realms
            .get(&realm)
            .map_or_else(Slots::default, |of_realm| of_realm.slots)
    }

    fn count_changed(&mut self) {
        if let Some(id) = self.changed.take() {
            self.count(id);
        }
    }

    /// Counts a session as it is now.
    fn count(&mut self, id: SessionId) {
        let Some(realm) = self.realm_of.get(&id) else { return };
        let agent = self.sessions.get_mut(&(*realm, id));
        if let (Some(agent), Some(of_realm)) = (agent, self.realms.get_mut(realm)) {
            let new = agent.count();
            of_realm.count(id, &agent.session.name, agent.counted, new);
            agent.counted = new;
        }
    }

    /// Takes a session that is gone out of its realm's lists.
    fn leave_realm(&mut self, realm: RealmIndex, id: SessionId, agent: &Agent) {
        let Some(of_realm) = self.realms.get_mut(&realm) else {
            return;
        };
        of_realm.count(id, agent.name(), agent.counted, Counted::default());
        of_realm.roster.leave(agent.name(), id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Agents {
        /// What is kept is what looking at all of them gives.
        pub(in crate::core) fn assert_counted(&mut self) {
            self.count_changed();
            for (realm, of_realm) in &self.realms {
                let (mut slots, mut agents) = (Slots::default(), BTreeMap::<_, Vec<_>>::new());
                for (id, agent) in self.of(*realm) {
                    let of_agent = agent.count();
                    slots.exchange(Slots::default(), of_agent.slots);
                    let session = (id, of_agent.is_free, of_agent.is_ejected);
                    agents.entry(agent.name().clone()).or_default().push(session);
                }
                assert_eq!(of_realm.slots, slots);
                of_realm.roster.assert_is(&agents);
            }
        }
    }
}
