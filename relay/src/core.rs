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
//! - no failure becomes a verdict, and whose account it is comes with the verdict that settled and from nowhere else.

mod agents;
mod extra;
mod flight;
mod placing;
#[cfg(test)]
mod tests;
mod vocabulary;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use postern_protocol::{Moment, NotStarted, Outcome, Subject, Unavailable, Verdict};
use rand::SeedableRng;
use rand::rngs::SmallRng;

use crate::config::Ambiguous;
pub use agents::AgentSession;
use agents::Agents;
use extra::ExtraAttempts;
use flight::{Flight, Phase};
pub use vocabulary::{Answer, AttemptNumber, Command, FlightId, RealmIndex, RealmRules, SessionId, SignIn};

/// A sign-in is sent at most this often, all hand-offs included.
const MAX_ATTEMPTS: u8 = 3;

/// After `Started` an agent owes its answer within its own bind time-out (1.5 s by default) and the way back.
const STARTED_PATIENCE: Duration = Duration::from_secs(2);

struct Realm {
    rules: RealmRules,
    queue: VecDeque<FlightId>,
    queued_bytes: usize,
    queued: usize,
    extra: ExtraAttempts,
    /// When the last session that could take work ended or began to drain.
    agent_left: Option<Moment>,
}

/// The machine. See the module's documentation.
pub struct Core {
    realms: Vec<Realm>,
    flights: BTreeMap<FlightId, Flight>,
    agents: Agents,
    timers: BTreeSet<(Moment, FlightId)>,
    commands: VecDeque<Command>,
    random: SmallRng,
}

impl Core {
    /// A core for `realms`, whose choices among equals follow from `seed`.
    pub fn new(realms: impl IntoIterator<Item = RealmRules>, seed: u64) -> Self {
        let realm = |rules| Realm {
            rules,
            queue: VecDeque::new(),
            queued_bytes: 0,
            queued: 0,
            extra: ExtraAttempts::default(),
            agent_left: None,
        };
        Self {
            realms: realms.into_iter().map(realm).collect(),
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
        self.realms[realm.0].queued
    }

    /// The sessions of a realm.
    pub fn sessions(&self, realm: RealmIndex) -> impl Iterator<Item = (SessionId, &AgentSession)> {
        self.agents.of(realm)
    }

    /// A sign-in has arrived. `id` is the driver's and must be new.
    pub fn handle_sign_in(&mut self, now: Moment, id: FlightId, sign_in: SignIn) {
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
        self.agents.insert(id, session);
        self.dispatch(now, realm);
    }

    /// A session has ended. What it was sent and did not answer is unknown.
    pub fn handle_session_down(&mut self, now: Moment, id: SessionId) {
        let Some(session) = self.agents.remove(id) else { return };
        self.agent_may_have_left(now, session.realm);
        let orphans: Vec<FlightId> = self
            .flights
            .iter()
            .filter(|(_, flight)| flight.attempt_on(id).is_some())
            .map(|(id, _)| *id)
            .collect();
        for flight in orphans {
            self.attempt_lost(now, flight, id, false);
        }
        self.settle_hopeless(now, session.realm);
    }

    /// What an agent tells of itself has changed.
    pub fn handle_status(&mut self, now: Moment, id: SessionId, slots: u32, directory_ready: bool) {
        let Some(session) = self.agents.get_mut(id) else { return };
        if (session.slots, session.directory_ready) == (slots, directory_ready) {
            return;
        }
        (session.slots, session.directory_ready) = (slots, directory_ready);
        let realm = session.realm;
        self.dispatch(now, realm);
        self.settle_hopeless(now, realm);
    }

    /// An agent takes nothing new.
    pub fn handle_draining(&mut self, now: Moment, id: SessionId) {
        let Some(session) = self.agents.get_mut(id) else { return };
        session.draining = true;
        let realm = session.realm;
        self.agent_may_have_left(now, realm);
    }

    /// An agent has a new opening key. What is sealed to the old one still opens for a while.
    pub fn handle_key_change(&mut self, now: Moment, id: SessionId, kid: String) {
        let Some(session) = self.agents.get_mut(id) else { return };
        session.previous_kid = Some(std::mem::replace(&mut session.kid, kid));
        let realm = session.realm;
        self.dispatch(now, realm);
    }

    /// An agent gave a sign of life; `rtt` is the link's round-trip time as it stands.
    pub fn handle_alive(&mut self, now: Moment, id: SessionId, rtt: Duration) {
        let Some(session) = self.agents.get_mut(id) else { return };
        session.rtt = rtt;
        if std::mem::take(&mut session.in_doubt) {
            let realm = session.realm;
            self.dispatch(now, realm);
        }
    }

    /// A newer session of the same agent exists: this one gets nothing until it gives a sign of life.
    pub fn handle_superseded(&mut self, id: SessionId) {
        if let Some(session) = self.agents.get_mut(id) {
            session.in_doubt = true;
        }
    }

    /// An agent is about to send the bind. A hint that it is alive; safety does not rest on it.
    pub fn handle_started(&mut self, now: Moment, id: SessionId, flight: FlightId, attempt: AttemptNumber) {
        let Some(flight_state) = self.flights.get_mut(&flight) else {
            return;
        };
        if let Some(known) = flight_state.attempt_mut(id, attempt) {
            if matches!(known.phase, Phase::Sent | Phase::Cancelling { .. }) {
                known.phase = Phase::Started {
                    until: now + STARTED_PATIENCE,
                };
            }
            self.set_timer(flight);
        }
    }

    /// An agent's last word on an attempt, or the end of its stream without one ([`Answer::Lost`]). Frees the slot.
    pub fn handle_answer(
        &mut self,
        now: Moment,
        id: SessionId,
        flight: FlightId,
        attempt: AttemptNumber,
        answer: Answer,
    ) {
        let Some(session) = self.agents.get_mut(id) else { return };
        session.outstanding = session.outstanding.saturating_sub(1);
        let realm = session.realm;
        let known = self
            .flights
            .get(&flight)
            .is_some_and(|state| state.has_attempt(id, attempt));
        if known {
            match answer {
                Answer::Verdict(verdict, subject) => {
                    self.settle_by(flight, Outcome::Verdict(verdict), Some(id), subject);
                }
                Answer::NotChecked => self.not_checked(flight, id),
                Answer::NotStarted(reason) => self.not_started(now, flight, id, reason),
                Answer::Lost => self.attempt_lost(now, flight, id, false),
            }
        }
        self.dispatch(now, realm);
    }

    /// Time has come for something; harmless when early.
    pub fn handle_timeout(&mut self, now: Moment) {
        while let Some(&(at, id)) = self.timers.first() {
            if at > now {
                break;
            }
            self.timers.pop_first();
            if let Some(flight) = self.flights.get_mut(&id) {
                flight.timer = None;
                self.flight_timeout(now, id);
            }
        }
    }

    fn flight_timeout(&mut self, now: Moment, id: FlightId) {
        let Some(flight) = self.flights.get_mut(&id) else {
            return;
        };
        if now >= flight.sign_in.deadline {
            return self.settle(id, Outcome::Unavailable(Unavailable::Timeout), None);
        }
        if flight.queued && flight.pause.is_some_and(|until| now >= until) {
            flight.pause = None;
            let realm = flight.sign_in.realm;
            self.dispatch(now, realm);
        }
        let Some(flight) = self.flights.get_mut(&id) else {
            return;
        };
        let mut lost = Vec::new();
        for attempt in &mut flight.attempts {
            match attempt.phase {
                Phase::Sent if now >= attempt.start_by => {
                    // The agent may have the request and no time left to begin: ask before giving it to another.
                    let rtt = self
                        .agents
                        .get(attempt.session)
                        .map_or(Duration::ZERO, |session| session.rtt);
                    attempt.phase = Phase::Cancelling {
                        until: now + Duration::from_millis(100) + rtt * 2,
                    };
                    self.commands.push_back(Command::Cancel {
                        flight: id,
                        session: attempt.session,
                    });
                }
                Phase::Cancelling { until } | Phase::Started { until } if now >= until => lost.push(attempt.session),
                _ => {}
            }
        }
        for session in lost {
            self.attempt_lost(now, id, session, true);
        }
        self.set_timer(id);
    }

    /// It is unknown whether `session` made a bind for the flight; `may_answer` if it could still say so itself.
    fn attempt_lost(&mut self, now: Moment, id: FlightId, session: SessionId, may_answer: bool) {
        let Some(flight) = self.flights.get_mut(&id) else {
            return;
        };
        let Some(attempt) = flight.attempts.iter_mut().find(|attempt| attempt.session == session) else {
            return;
        };
        let phase = std::mem::replace(&mut attempt.phase, Phase::Unknown);
        let agent = attempt.agent.clone();
        if !may_answer {
            flight.forget_attempt(session);
        }
        if phase == Phase::Unknown {
            flight.lost |= !may_answer;
            return;
        }
        let started = matches!(phase, Phase::Started { .. });
        flight.lost |= !may_answer;
        flight.avoid.insert(agent);
        let (realm, user) = (flight.sign_in.realm, flight.sign_in.user);
        let may_retry = !flight.retried && flight.sends < MAX_ATTEMPTS;
        self.commands.push_back(Command::BecameAmbiguous {
            flight: id,
            realm,
            started,
        });
        let rules = &self.realms[realm.0].rules;
        let (policy, window) = (rules.ambiguous, rules.lockout_window);
        let retry = may_retry
            && policy == Ambiguous::RetryOnce
            && self.agents.of(realm).any(|(_, session)| flight.could_ask(session))
            && self.realms[realm.0].extra.take(now, user, window);
        if retry {
            flight.retried = true;
            self.place(now, id);
        } else {
            self.settle(id, Outcome::Unavailable(Unavailable::Indeterminate), None);
        }
    }

    /// The directory answered `session`, and did not check the password. Another would, so nobody else is asked.
    fn not_checked(&mut self, id: FlightId, session: SessionId) {
        let Some(flight) = self.flights.get_mut(&id) else {
            return;
        };
        flight.forget_attempt(session);
        if flight.is_under_way() {
            // A late word of an attempt that was given up; the other may still have a verdict.
            self.set_timer(id);
        } else {
            self.settle(id, Outcome::Unavailable(Unavailable::DirectoryDown), Some(session));
        }
    }

    fn not_started(&mut self, now: Moment, id: FlightId, session: SessionId, reason: NotStarted) {
        let Some(agent) = self.agents.get_mut(session) else {
            return;
        };
        let Some(flight) = self.flights.get_mut(&id) else {
            return;
        };
        flight.forget_attempt(session);
        let client_sealed = flight.sign_in.recipients.is_some();
        let realm = flight.sign_in.realm;
        flight.pause = None;
        // Else this is a late word of an attempt that was given up: another agent has it, and has the last word.
        let last = !flight.is_under_way();
        match reason {
            // The caller's doing, and no other agent could do better.
            NotStarted::Refused if last => return self.settle(id, Outcome::BadRequest, None),
            // The directory's own word that there is no such user, found by a search and not by a bind.
            NotStarted::NoMatch => {
                return self.settle(id, Outcome::Verdict(Verdict::InvalidCredentials), Some(session));
            }
            NotStarted::CannotOpen | NotStarted::Replayed | NotStarted::Expired if last && client_sealed => {
                return self.settle(id, Outcome::BadRequest, None);
            }
            // Somebody made a bind for this id before; only the caller's own copies can be harmless.
            NotStarted::Replayed if last => {
                return self.settle(id, Outcome::Unavailable(Unavailable::Indeterminate), None);
            }
            NotStarted::Draining => agent.draining = true,
            // It would say so again. (That its directory is down for all, its status says.)
            NotStarted::Refused
            | NotStarted::Replayed
            | NotStarted::CannotOpen
            | NotStarted::NoKey
            | NotStarted::Cancelled
            | NotStarted::NoDirectory
            | NotStarted::NoLookUp => {
                flight.avoid.insert(agent.name.clone());
            }
            NotStarted::Busy
            | NotStarted::Expired
            | NotStarted::NoClock
            | NotStarted::WindowPassed
            | NotStarted::Other => flight.pause_after(now),
        }
        // So a bind was made once, and whoever has the sign-in now will not speak of it.
        flight.lost |= reason == NotStarted::Replayed;
        flight.refusal = Some((agent.name.clone(), reason));
        let may_send = flight.sends < MAX_ATTEMPTS;
        self.agent_may_have_left(now, realm);
        if !last {
            // Binds are not hedged.
            self.set_timer(id);
        } else if may_send {
            self.commands.push_back(Command::HandedOff { realm, reason });
            self.place(now, id);
        } else {
            let outcome = self.flights.get(&id).map_or(Unavailable::Timeout, Flight::failure);
            self.settle(id, Outcome::Unavailable(outcome), None);
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
            self.timers.remove(&(at, id));
        }
        for attempt in flight.attempts.iter().filter(|attempt| Some(attempt.session) != by) {
            if self.agents.get(attempt.session).is_some() && !matches!(attempt.phase, Phase::Cancelling { .. }) {
                self.commands.push_back(Command::Cancel {
                    flight: id,
                    session: attempt.session,
                });
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
                self.timers.remove(&(at, id));
            }
            self.timers.insert((wanted, id));
        }
    }

    fn agent_may_have_left(&mut self, now: Moment, realm: RealmIndex) {
        if !self.agents.of(realm).any(|(_, agent)| !agent.draining) {
            self.realms[realm.0].agent_left = Some(now);
        }
    }
}
