//! What happens to a sign-in between its arrival and its outcome, decided without a socket, a clock or a task.
//!
//! Events go in (`handle_*`, each with the time), commands come out ([`Core::poll_command`]), and
//! [`Core::next_timeout`] says when [`Core::handle_timeout`] wants to be called. After every event all commands must
//! be taken. What must hold:
//!
//! - every sign-in is settled exactly once, by its deadline;
//! - nothing is sent to an agent beyond its slots, nor to one that is draining or whose directory is down;
//! - a second bind is possible only where the first agent was sent the request and gave no answer, only under the
//!   policy `retry-once`, and only once per user within the lockout window;
//! - where a bind may have been made that no answer speaks of, the outcome is a verdict or `indeterminate`: everything
//!   else says that the password was not tried;
//! - no failure becomes a verdict, and whose account it is comes with the verdict that settled and from nowhere else;
//! - what a caller can cause changes nothing in what is thought of an agent.
//!
//! It is composed of small machines, each in a file of its own: `queue`, `flight`, `agents`, `liveness`, `latency`,
//! `breaker`, `balance`, `budget` and `ambiguous`. `placing` and `answers` bring them together.

mod agents;
mod ambiguous;
mod answers;
mod balance;
mod breaker;
mod budget;
mod flight;
mod latency;
mod liveness;
mod placing;
mod queue;
mod roster;
#[cfg(test)]
mod tests;
mod vocabulary;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use postern_protocol::{Moment, Outcome, Subject, Unavailable};
use rand::SeedableRng;
use rand::rngs::SmallRng;

use agents::Agents;
pub use agents::{Agent, AgentSession, AgentState};
use ambiguous::AmbiguousPolicy;
use answers::Word;
use budget::Budget;
use flight::{Flight, Phase, Step};
use latency::Usual;
use queue::Queue;
pub use vocabulary::{
    Answer, AttemptNumber, Command, FlightId, Opinion, QueueRules, RealmIndex, RealmRules, SessionId, Shed, SignIn,
};

/// A sign-in is sent at most this often, all hand-offs included.
const MAX_ATTEMPTS: u8 = 3;

/// An agent that is there and has begun, or must have, owes its answer within its own bind time-out (1.5 s by default)
/// and the way back.
const PATIENCE: Duration = Duration::from_secs(2);

/// A timer that fires this late tells that the relay itself stood still.
const LATE: Duration = Duration::from_millis(100);

/// How long the usual verdict times of a realm are used before they are looked at again.
const USUAL_LIFE: Duration = Duration::from_millis(100);

struct Realm {
    rules: RealmRules,
    queue: Queue,
    policy: AmbiguousPolicy,
    budget: Budget,
    usual: (Usual, Moment),
    presence: Presence,
}

impl Realm {
    fn new(rules: RealmRules) -> Self {
        Self {
            queue: Queue::new(rules.queue),
            policy: AmbiguousPolicy::new(rules.ambiguous, rules.lockout_window),
            budget: Budget::default(),
            usual: Default::default(),
            presence: Presence::default(),
            rules,
        }
    }
}

/// Who is there for a realm, and since when nobody is.
#[derive(Debug, Default)]
struct Presence {
    /// A session that does not drain.
    agent: bool,
    /// One of those has a directory.
    directory: bool,
    agent_left: Option<Moment>,
    directory_left: Option<Moment>,
}

/// Whose time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Flight(FlightId),
    Session(SessionId),
    Realm(RealmIndex),
}

/// The machine. See the module's documentation.
pub struct Core {
    realms: Vec<Realm>,
    flights: BTreeMap<FlightId, Flight>,
    agents: Agents,
    timers: BTreeSet<(Moment, Timer)>,
    commands: VecDeque<Command>,
    random: SmallRng,
}

impl Core {
    /// A core for `realms`, whose choices among equals follow from `seed`.
    pub fn new(realms: impl IntoIterator<Item = RealmRules>, seed: u64) -> Self {
        Self {
            realms: realms.into_iter().map(Realm::new).collect(),
            flights: BTreeMap::new(),
            agents: Agents::default(),
            timers: BTreeSet::new(),
            commands: VecDeque::new(),
            random: SmallRng::seed_from_u64(seed),
        }
    }

    /// The next thing to do; to be called until it gives `None`.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// When [`Core::handle_timeout`] wants to be called next.
    pub fn next_timeout(&self) -> Option<Moment> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Sign-ins that are not settled.
    pub fn unsettled(&self) -> usize {
        self.flights.len()
    }

    /// Sign-ins of a realm that wait for an agent.
    pub fn queued(&self, realm: RealmIndex) -> usize {
        self.realms[realm.0].queue.len()
    }

    /// Bytes of the sign-ins of a realm that wait for an agent.
    pub fn queued_bytes(&self, realm: RealmIndex) -> usize {
        self.realms[realm.0].queue.bytes()
    }

    /// The sessions of a realm.
    pub fn sessions(&self, realm: RealmIndex) -> impl Iterator<Item = (SessionId, &Agent)> {
        self.agents.of(realm)
    }

    /// By what the cost of an agent is multiplied at `now` for its slowness and its failures; 1 is usual.
    pub fn handicap(&self, now: Moment, session: SessionId) -> Option<f64> {
        let agent = self.agents.get(session)?;
        Some(agent.handicap(now, &self.agents.usual(agent.session.realm, now)))
    }

    /// Whether nothing is kept of any sign-in: no flight, no place in a queue or in an agent's hand, no timer.
    pub fn is_quiet(&self) -> bool {
        let timer = |(_, timer): &(Moment, Timer)| matches!(timer, Timer::Flight(_));
        let in_hand = |realm: RealmIndex| self.agents.of(realm).any(|(_, agent)| agent.outstanding() > 0);
        let waits = |(index, realm): (usize, &Realm)| realm.queue.len() > 0 || in_hand(RealmIndex(index));
        self.flights.is_empty() && !self.timers.iter().any(timer) && !self.realms.iter().enumerate().any(waits)
    }

    /// The rules of all realms have changed, and realms may have been added at the end. None is taken away: one that is no
    /// longer served gets no sign-ins, and those that it has end as they would.
    pub fn handle_rules(&mut self, rules: impl IntoIterator<Item = RealmRules>) {
        for (index, rules) in rules.into_iter().enumerate() {
            match self.realms.get_mut(index) {
                Some(realm) => {
                    realm.queue.change(rules.queue);
                    realm.policy.change(rules.ambiguous, rules.lockout_window);
                    realm.rules = rules;
                }
                None => self.realms.push(Realm::new(rules)),
            }
        }
    }

    /// A sign-in has arrived. `id` is the driver's and must be new.
    pub fn handle_sign_in(&mut self, now: Moment, id: FlightId, sign_in: SignIn) {
        let realm = sign_in.realm;
        let slots = self.agents.slots(realm);
        self.realms[realm.0].budget.deposit(now, slots);
        self.flights.insert(id, Flight::new(sign_in));
        self.place(now, id);
    }

    /// The caller of a sign-in has gone away: whatever it is, nobody waits for it.
    pub fn handle_caller_gone(&mut self, id: FlightId) {
        if self.flights.contains_key(&id) {
            // Settled like any other, so that the driver forgets it in one place; nobody hears it.
            self.settle(id, Outcome::Unavailable(Unavailable::Timeout), None);
        }
    }

    /// An agent is in session.
    pub fn handle_session_up(&mut self, now: Moment, id: SessionId, session: AgentSession) {
        let realm = session.realm;
        if self.agents.insert(now, id, Agent::new(now, session)) {
            self.tell(id, Opinion::Ejected);
        }
        self.watch(now, id);
        self.note_presence(now, realm);
        self.dispatch(now, realm);
    }

    /// A session has ended. What it was sent and did not answer is unknown.
    pub fn handle_session_down(&mut self, now: Moment, id: SessionId) {
        let Some(agent) = self.agents.remove(now, id) else {
            return;
        };
        self.timers.remove(&(agent.timer, Timer::Session(id)));
        let realm = agent.session.realm;
        self.note_presence(now, realm);
        for (flight, _) in agent.in_hand.keys() {
            self.attempt_lost(now, *flight, id, Word::WillNot);
        }
        // Those that were passed over may be all that are left.
        self.look_through_queue(now, realm);
    }

    /// What an agent tells of itself has changed.
    pub fn handle_status(&mut self, now: Moment, id: SessionId, slots: u32, directory_ready: bool) {
        let Some(agent) = self.agents.get_mut(id) else { return };
        let session = &mut agent.session;
        let better = session.slots < slots || (!session.directory_ready && directory_ready);
        let worse = session.directory_ready && !directory_ready;
        (session.slots, session.directory_ready) = (slots, directory_ready);
        let realm = session.realm;
        // A suspect that is heard gets work, and by what it says now.
        self.hear(now, id);
        self.note_presence(now, realm);
        if worse {
            self.look_through_queue(now, realm);
        } else if better {
            self.dispatch(now, realm);
        }
    }

    /// An agent takes nothing new.
    pub fn handle_draining(&mut self, now: Moment, id: SessionId) {
        let Some(agent) = self.agents.get_mut(id) else { return };
        agent.draining = true;
        let realm = agent.session.realm;
        self.hear(now, id);
        self.note_presence(now, realm);
        self.look_through_queue(now, realm);
    }

    /// An agent has a new opening key. What is sealed to the old one still opens for a while.
    pub fn handle_key_change(&mut self, now: Moment, id: SessionId, kid: String) {
        let Some(agent) = self.agents.get_mut(id) else { return };
        agent.previous_kid = Some(std::mem::replace(&mut agent.session.kid, kid));
        let realm = agent.session.realm;
        self.hear(now, id);
        self.look_through_queue(now, realm);
    }

    /// An agent gave a sign of life that says nothing else; `rtt` is the link's round-trip time as it stands.
    pub fn handle_heard(&mut self, now: Moment, id: SessionId, rtt: Duration) {
        if let Some(agent) = self.agents.get_mut(id) {
            agent.set_rtt(rtt);
            self.hear(now, id);
        }
    }

    /// A newer session of the same agent exists: this one gets nothing until it gives a sign of life.
    pub fn handle_superseded(&mut self, now: Moment, id: SessionId) {
        let Some(agent) = self.agents.get_mut(id) else { return };
        let realm = agent.session.realm;
        if agent.liveness.doubt(now) {
            self.suspicion_began(now, id, realm);
        }
        self.commands.push_back(Command::Ping { session: id });
        self.watch(now, id);
    }

    /// Time has come for something; harmless when early.
    pub fn handle_timeout(&mut self, now: Moment) {
        let late = self.timers.first().is_some_and(|(at, _)| now.since(*at) > LATE);
        if late {
            // What agents sent meanwhile is still to be read.
            self.agents.forgive(now);
        }
        while let Some(&(at, timer)) = self.timers.first() {
            if at > now {
                break;
            }
            self.timers.pop_first();
            match timer {
                Timer::Flight(id) => {
                    if let Some(flight) = self.flights.get_mut(&id) {
                        flight.timer = None;
                        self.flight_timeout(now, id, late);
                    }
                }
                Timer::Session(id) => self.look_at(now, id),
                Timer::Realm(realm) => self.look_through_queue(now, realm),
            }
        }
    }

    fn flight_timeout(&mut self, now: Moment, id: FlightId, late: bool) {
        let Some(flight) = self.flights.get_mut(&id) else {
            return;
        };
        if now >= flight.sign_in.deadline {
            return self.run_out(now, id);
        }
        if flight.queued.is_some() && flight.pause.is_some_and(|until| now >= until) {
            flight.pause = None;
            let realm = flight.sign_in.realm;
            self.dispatch(now, realm);
        }
        let Some(flight) = self.flights.get_mut(&id) else {
            return;
        };
        let mut lost = Vec::new();
        for attempt in &mut flight.attempts {
            let Some(agent) = self.agents.get_mut(attempt.session) else {
                continue;
            };
            let step = attempt.step(now, agent, late);
            if matches!(step, Step::Ask | Step::CancelAndGiveUp) {
                self.commands.push_back(attempt.cancel(id));
            }
            if step == Step::Ask {
                // On the same stream behind the cancel: who answers this has seen that. (Another sign of life will do,
                // too: then the agent is there, and its word will come.)
                agent.liveness.note_ping(now);
                self.commands.push_back(Command::Ping {
                    session: attempt.session,
                });
            }
            if matches!(step, Step::GiveUp | Step::CancelAndGiveUp) {
                lost.push(attempt.session);
            }
        }
        for session in lost {
            self.attempt_lost(now, id, session, Word::MayCome);
        }
        self.set_timer(id);
    }

    /// Flights that a session was sent and has not answered.
    fn flights_at(&self, session: SessionId) -> Vec<FlightId> {
        let in_hand = self
            .agents
            .get(session)
            .into_iter()
            .flat_map(|agent| agent.in_hand.keys());
        in_hand.map(|(id, _)| *id).collect()
    }

    /// Looks at a realm's queue again at `at`. Rounded up, so that there are few such times however many ask for one.
    fn wake(&mut self, at: Moment, realm: RealmIndex) {
        let grain = 10_000;
        self.timers
            .insert((Moment(at.0.div_ceil(grain).saturating_mul(grain)), Timer::Realm(realm)));
    }

    /// Looks at a session's silence.
    fn look_at(&mut self, now: Moment, id: SessionId) {
        let Some(agent) = self.agents.get_mut(id) else { return };
        agent.timer = Moment(u64::MAX);
        let look = agent.liveness.look(now, agent.session.rtt);
        let realm = agent.session.realm;
        if look.ping {
            self.commands.push_back(Command::Ping { session: id });
        }
        if look.suspected {
            self.suspicion_began(now, id, realm);
            for flight in self.flights_at(id) {
                let state = self.flights.get_mut(&flight);
                let attempt = state.and_then(|state| state.attempt_on(id));
                let Some(attempt) = attempt.filter(|attempt| attempt.is_past_window(now)) else {
                    continue;
                };
                if attempt.phase == Phase::Sent {
                    // Its own timer is due as well, and comes too late to say so.
                    self.commands.push_back(attempt.cancel(flight));
                }
                self.attempt_lost(now, flight, id, Word::MayCome);
            }
            self.dispatch(now, realm);
        }
        self.watch(now, id);
    }

    /// Tells that what is thought of an agent has changed.
    fn tell(&mut self, session: SessionId, opinion: Opinion) {
        self.commands.push_back(Command::Opinion { session, opinion });
    }

    fn suspicion_began(&mut self, now: Moment, session: SessionId, realm: RealmIndex) {
        self.tell(session, Opinion::Suspect);
        self.wake(now + balance::SUSPECT_PATIENCE, realm);
    }

    /// A sign of life of a session.
    fn hear(&mut self, now: Moment, id: SessionId) {
        let Some(agent) = self.agents.get_mut(id) else { return };
        let realm = agent.session.realm;
        if agent.liveness.heard(now) {
            self.no_longer_suspect(now, id, realm);
            self.dispatch(now, realm);
        }
    }

    fn no_longer_suspect(&mut self, now: Moment, id: SessionId, realm: RealmIndex) {
        self.tell(id, Opinion::Heard);
        let at_work = |(_, agent): &(SessionId, &Agent)| agent.is_at_work();
        if self.agents.of(realm).filter(at_work).all(|(other, _)| other == id) {
            self.realms[realm.0].queue.begins_anew(now);
        }
        // Suspects are pinged less often; from now on its silence counts as anybody's.
        self.watch(now, id);
    }

    /// Sees to it that a session's silence is looked at in time. What is heard meanwhile is no reason to come later:
    /// the look finds nothing then, and sets the timer anew.
    fn watch(&mut self, now: Moment, id: SessionId) {
        let Some(agent) = self.agents.get_mut(id) else { return };
        let wanted = agent.liveness.next_look(agent.session.rtt).max(now);
        if wanted < agent.timer {
            self.timers.remove(&(agent.timer, Timer::Session(id)));
            agent.timer = wanted;
            self.timers.insert((wanted, Timer::Session(id)));
        }
    }

    fn settle(&mut self, id: FlightId, outcome: Outcome, by: Option<SessionId>) {
        self.settle_by(id, outcome, by, None);
    }

    fn settle_by(&mut self, id: FlightId, outcome: Outcome, by: Option<SessionId>, subject: Option<Box<Subject>>) {
        self.leave_queue(id);
        let Some(flight) = self.flights.remove(&id) else { return };
        let outcome = flight.as_far_as_known(outcome);
        if let Some(at) = flight.timer {
            self.timers.remove(&(at, Timer::Flight(id)));
        }
        for attempt in flight.attempts.iter().filter(|attempt| Some(attempt.session) != by) {
            if self.agents.get(attempt.session).is_some() && !matches!(attempt.phase, Phase::Cancelling { .. }) {
                self.commands.push_back(attempt.cancel(id));
            }
        }
        self.commands.push_back(Command::Settle {
            flight: id,
            outcome,
            by,
            subject,
        });
    }

    fn set_timer(&mut self, id: FlightId) {
        let Some(flight) = self.flights.get_mut(&id) else {
            return;
        };
        let wanted = flight.next_timeout();
        if flight.timer != Some(wanted) {
            if let Some(at) = flight.timer.replace(wanted) {
                self.timers.remove(&(at, Timer::Flight(id)));
            }
            self.timers.insert((wanted, Timer::Flight(id)));
        }
    }
}
