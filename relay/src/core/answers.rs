//! What an agent says of a sign-in, or leaves unsaid: what follows for the sign-in, and what for the agent.

use std::time::Duration;

use postern_protocol::{Moment, NotStarted, Outcome, Unavailable, Verdict};

use super::agents::InHand;
use super::flight::{Flight, Phase};
use super::{Answer, AttemptNumber, Command, Core, FlightId, MAX_ATTEMPTS, Opinion, SessionId, Shed};

/// With less time left than this a second bind would hardly be answered, and counts a wrong password all the same.
const LEAST_FOR_RETRY: Duration = Duration::from_millis(300);

/// Whether an agent could still say what became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// It is silent, or late.
    MayCome,
    /// Its stream has ended, or its session.
    WillNot,
}

/// What an answer says of the agent that gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Credit {
    /// It works.
    Good,
    /// It does not do what it is there for.
    Bad,
    /// It could not begin, and may soon.
    Declined,
    /// Nothing: the caller's doing.
    None,
}

impl Core {
    /// An agent is at a bind that takes its time. A hint that it is alive; safety does not rest on it.
    pub fn handle_started(&mut self, now: Moment, id: SessionId, flight: FlightId, attempt: AttemptNumber) {
        self.hear(now, id);
        let Some(state) = self.flights.get_mut(&flight) else {
            return;
        };
        if let Some(known) = state.attempt_mut(id, attempt) {
            if matches!(known.phase, Phase::Sent | Phase::Cancelling { .. }) {
                known.phase = Phase::Due {
                    until: known.due_by,
                    started: true,
                };
            }
            self.set_timer(flight);
        }
    }

    /// An agent's last word on an attempt, or what there is without one ([`Answer::Lost`], [`Answer::Unsent`]). Frees the
    /// slot.
    pub fn handle_answer(
        &mut self,
        now: Moment,
        id: SessionId,
        flight: FlightId,
        attempt: AttemptNumber,
        answer: Answer,
    ) {
        let Some(agent) = self.agents.get_mut(id) else { return };
        // What it does not have in hand it has nothing to say of.
        let Some(in_hand) = agent.in_hand.remove(&(flight, attempt)) else {
            return;
        };
        if agent.in_hand.is_empty() {
            agent.liveness.owes_nothing();
        }
        let realm = agent.session.realm;
        // Known before anybody is chosen for what follows; what waits it gets behind that, and not if it has just said that
        // it drains.
        let by_agent = !matches!(answer, Answer::Lost | Answer::Unsent);
        let was_suspect = by_agent && agent.liveness.heard(now);
        let state = self.flights.get(&flight).filter(|state| state.has_attempt(id, attempt));
        let known = state.map(|state| state.sign_in.recipients.is_some());
        self.credit(now, id, in_hand, &answer, known);
        if known.is_some() {
            match answer {
                Answer::Verdict(verdict, subject) => {
                    self.settle_by(flight, Outcome::Verdict(verdict), Some(id), subject);
                }
                Answer::NotChecked | Answer::AccountNotChecked => self.not_checked(flight, id),
                Answer::NotStarted(reason) => self.not_started(now, flight, id, reason),
                Answer::Unsent => self.not_started(now, flight, id, NotStarted::Draining),
                Answer::Lost => self.attempt_lost(now, flight, id, Word::WillNot),
            }
        }
        if was_suspect {
            self.no_longer_suspect(now, id, realm);
        }
        self.dispatch(now, realm);
    }

    /// What an answer says of its agent. `known` is of a sign-in that is not settled: whether its caller sealed it.
    fn credit(&mut self, now: Moment, id: SessionId, in_hand: InHand, answer: &Answer, known: Option<bool>) {
        if let Answer::Verdict(verdict, _) = answer
            && let Some(agent) = self.agents.get_mut(id)
        {
            let took = now.since(in_hand.sent);
            agent.latency.observe(now, *verdict == Verdict::Success, took);
            if known.is_some() && !in_hand.counted {
                let realm = agent.session.realm;
                self.realms[realm.0].queue.served(now, took);
            }
        }
        let credit = match answer {
            Answer::Verdict(..) => Credit::Good,
            Answer::Lost | Answer::NotChecked => Credit::Bad,
            Answer::AccountNotChecked | Answer::Unsent => Credit::None,
            Answer::NotStarted(reason) => credit_of(*reason, known),
        };
        let Some(agent) = self.agents.get_mut(id) else { return };
        let realm = agent.session.realm;
        match credit {
            // Late, of one that counts as a failure already: says nothing of how it is now.
            _ if in_hand.counted => {}
            Credit::Good => {
                if agent.breaker.succeeded(now, in_hand.probe) {
                    self.tell(id, Opinion::Back);
                }
            }
            Credit::Bad => self.count_failure(now, id, in_hand),
            Credit::Declined => {
                let until = agent.breaker.declined(now);
                self.wake(until, realm);
            }
            Credit::None => {}
        }
        // A probe that was given up has been judged: what comes later must not bring the next one nearer.
        if in_hand.probe
            && !in_hand.counted
            && matches!(credit, Credit::None | Credit::Declined)
            && let Some(agent) = self.agents.get_mut(id)
        {
            let until = agent.breaker.probe_said_nothing(now);
            self.wake(until, realm);
        }
    }

    fn count_failure(&mut self, now: Moment, id: SessionId, in_hand: InHand) {
        let Some(agent) = self.agents.get_mut(id) else { return };
        if let Some(until) = agent.breaker.failed(now, in_hand.user, in_hand.probe) {
            let realm = agent.session.realm;
            self.tell(id, Opinion::Ejected);
            self.wake(until, realm);
        }
    }

    /// The deadline is there. An agent that has had its time for the flight and gave no answer failed it.
    pub(super) fn run_out(&mut self, now: Moment, id: FlightId) {
        let attempts = self.flights.get(&id).into_iter().flat_map(|flight| &flight.attempts);
        let past: Vec<_> = attempts
            .filter(|attempt| attempt.is_past_window(now))
            .map(|attempt| (attempt.session, attempt.number))
            .collect();
        self.settle(id, Outcome::Unavailable(Unavailable::Timeout), None);
        for (session, number) in past {
            self.count_given_up(now, id, session, number);
        }
    }

    /// Counts a sign-in that `session` still has in hand as its failure, once.
    fn count_given_up(&mut self, now: Moment, id: FlightId, session: SessionId, number: AttemptNumber) {
        let agent = self.agents.get_mut(session);
        if let Some(in_hand) = agent.and_then(|agent| agent.in_hand.get_mut(&(id, number)))
            && !in_hand.counted
        {
            let before = *in_hand;
            in_hand.counted = true;
            self.count_failure(now, session, before);
        }
    }

    /// It is unknown whether `session` made a bind for the flight.
    pub(super) fn attempt_lost(&mut self, now: Moment, id: FlightId, session: SessionId, its_word: Word) {
        let Some(flight) = self.flights.get_mut(&id) else {
            return;
        };
        let Some(attempt) = flight.attempt_on(session) else {
            return;
        };
        let phase = std::mem::replace(&mut attempt.phase, Phase::Unknown);
        let (name, number) = (attempt.agent.clone(), attempt.number);
        if its_word == Word::WillNot {
            flight.forget_attempt(session);
            flight.lost = true;
        }
        if phase == Phase::Unknown {
            return;
        }
        flight.avoid.insert(name);
        let realm = flight.sign_in.realm;
        let in_time = flight.sign_in.deadline.since(now) >= LEAST_FOR_RETRY;
        let may_retry = !flight.retried && flight.sends < MAX_ATTEMPTS && in_time;
        self.commands.push_back(Command::BecameAmbiguous {
            flight: id,
            realm,
            started: matches!(phase, Phase::Due { started: true, .. }),
        });
        self.count_given_up(now, id, session, number);
        if may_retry && self.has_another(id) && self.may_try_again(now, id) {
            if let Some(flight) = self.flights.get_mut(&id) {
                flight.retried = true;
            }
            self.place(now, id);
        } else {
            self.settle(id, Outcome::Unavailable(Unavailable::Indeterminate), None);
        }
    }

    /// Whether another agent could be asked, be it later.
    fn has_another(&self, id: FlightId) -> bool {
        self.flights.get(&id).is_some_and(|flight| {
            let mut agents = self.agents.of(flight.sign_in.realm);
            agents.any(|(_, agent)| agent.could_take(flight))
        })
    }

    /// Takes what a second bind costs: a hand-off, and the user's one extra attempt.
    fn may_try_again(&mut self, now: Moment, id: FlightId) -> bool {
        let Some(flight) = self.flights.get(&id) else {
            return false;
        };
        let (realm, user) = (flight.sign_in.realm, flight.sign_in.user);
        // Asked first: whoever has had the extra attempt must not use up what others need.
        self.realms[realm.0].policy.allows(now, user)
            && self.take_hand_off(now, id)
            && self.realms[realm.0].policy.take(now, user)
    }

    /// Takes what a hand-off costs.
    fn take_hand_off(&mut self, now: Moment, id: FlightId) -> bool {
        let Some(flight) = self.flights.get(&id) else {
            return false;
        };
        let realm = flight.sign_in.realm;
        let slots = self.agents.slots(realm);
        let enough = self.realms[realm.0].budget.take(now, slots);
        if !enough {
            self.commands.push_back(Command::Shed(Shed::HandOffs));
        }
        enough
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
        match meaning_of(reason, client_sealed) {
            // Words of the directory count whoever else has it.
            Meaning::Settles(outcome @ Outcome::Verdict(_)) => return self.settle(id, outcome, Some(session)),
            Meaning::Settles(outcome) if last => return self.settle(id, outcome, None),
            Meaning::Settles(_) | Meaning::NotThisAgent => {
                flight.avoid.insert(agent.name().clone());
            }
            Meaning::NotNow => flight.pause_after(now),
            Meaning::Leaves => agent.draining = true,
        }
        // So a bind was made once, and whoever has the sign-in now will not speak of it.
        flight.lost |= reason == NotStarted::Replayed;
        flight.refusal = Some((agent.name().clone(), reason));
        let may_send = flight.sends < MAX_ATTEMPTS;
        self.note_presence(now, realm);
        if !last || self.flights.get(&id).is_some_and(|flight| flight.queued.is_some()) {
            // Binds are not hedged; and what waits for another agent already goes on waiting.
            self.set_timer(id);
        } else if may_send && (reason == NotStarted::Draining || self.take_hand_off(now, id)) {
            self.commands.push_back(Command::HandedOff { realm, reason });
            self.place(now, id);
        } else {
            let outcome = self.flights.get(&id).map_or(Unavailable::Timeout, Flight::failure);
            self.settle(id, Outcome::Unavailable(outcome), None);
        }
    }
}

/// What an agent's word that it began nothing means for the sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// No other agent could do better.
    Settles(Outcome),
    /// Another may, and this one would say so again. (That its directory is down for all, its status says.)
    NotThisAgent,
    /// It came late, or the link was slow: once more in time it may do.
    NotNow,
    /// The agent takes nothing any more.
    Leaves,
}

fn meaning_of(reason: NotStarted, client_sealed: bool) -> Meaning {
    match reason {
        // The directory's own word that there is no such user, found by a search and not by a bind.
        NotStarted::NoMatch => Meaning::Settles(Outcome::Verdict(Verdict::InvalidCredentials)),
        // The caller's doing.
        NotStarted::Refused => Meaning::Settles(Outcome::BadRequest),
        NotStarted::CannotOpen | NotStarted::Replayed if client_sealed => Meaning::Settles(Outcome::BadRequest),
        // Somebody made a bind for this id before; only the caller's own copies can be harmless.
        NotStarted::Replayed => Meaning::Settles(Outcome::Unavailable(Unavailable::Indeterminate)),
        // The relay has seen by its own clock that the envelope has not expired: the agent's wall clock is wrong, and
        // others' may be right.
        NotStarted::Expired if client_sealed => Meaning::NotThisAgent,
        NotStarted::CannotOpen | NotStarted::NoKey | NotStarted::NoDirectory | NotStarted::NoLookUp => {
            Meaning::NotThisAgent
        }
        NotStarted::Busy
        | NotStarted::Cancelled
        | NotStarted::Expired
        | NotStarted::NoClock
        | NotStarted::WindowPassed
        | NotStarted::Other => Meaning::NotNow,
        NotStarted::Draining => Meaning::Leaves,
    }
}

/// What it says of an agent that it began nothing. `known` is of a sign-in that is not settled: whether its caller
/// sealed it.
fn credit_of(reason: NotStarted, known: Option<bool>) -> Credit {
    match reason {
        // What a caller sealed, and how, is the caller's doing.
        NotStarted::CannotOpen | NotStarted::Busy if known != Some(false) => Credit::None,
        NotStarted::Expired | NotStarted::NoClock if known.is_none() => Credit::None,
        // It was asked to leave it, since it was late; unless nobody waits for it any more.
        NotStarted::Cancelled if known.is_none() => Credit::None,
        NotStarted::CannotOpen
        | NotStarted::Expired
        | NotStarted::Cancelled
        | NotStarted::NoDirectory
        | NotStarted::NoClock
        | NotStarted::WindowPassed
        | NotStarted::Other => Credit::Bad,
        // Names are what callers type, and ids what they choose.
        NotStarted::Refused
        | NotStarted::NoMatch
        | NotStarted::NoLookUp
        | NotStarted::Replayed
        | NotStarted::Draining => Credit::None,
        NotStarted::Busy | NotStarted::NoKey => Credit::Declined,
    }
}
