//! The rules of what the relay thinks of agents, and of how often it hands on.

use std::collections::BTreeSet;

use postern_protocol::{Moment, NotStarted};
use postern_relay::core::{FlightId, Opinion, SessionId, Shed};

use super::session::{PING_AFTER, Session};
use super::{Broken, Model, View};

/// Failures of so many users eject an agent.
const FAILURES: usize = 3;

/// A token bucket as the design has it: 0.2 for each new sign-in, ten a second, room for a hundred or all slots.
#[derive(Debug)]
pub(super) struct Bucket {
    tokens: f64,
    filled: Option<Moment>,
}

impl Bucket {
    pub(super) fn new() -> Self {
        Self {
            tokens: 100.0,
            filled: None,
        }
    }

    pub(super) fn add(&mut self, now: Moment, slots: u32, tokens: f64) {
        let since = now.since(self.filled.unwrap_or(now)).as_secs_f64();
        let room = f64::from(slots.max(100));
        if self.filled.replace(now).is_none() {
            self.tokens = room;
        }
        // What is there stays when there are fewer slots.
        let most = room.max(self.tokens);
        self.tokens = (self.tokens + tokens + since * 10.0).min(most);
    }

    fn take(&mut self) -> bool {
        self.tokens -= 1.0;
        self.tokens > -0.01
    }
}

impl Model {
    /// The relay says what it thinks of a session.
    pub(in super::super) fn opinion(&mut self, now: Moment, id: SessionId, opinion: Opinion) -> Result<(), Broken> {
        let broken = |rule, what: String| Err(Broken::of_all(rule, now, what));
        let Some(session) = self.sessions.get_mut(&id) else {
            return Ok(());
        };
        match opinion {
            Opinion::Suspect => {
                session.suspect = true;
                if !session.may_be_suspected(now) {
                    let text = format!("{id:?} at {now:?}: {session:?}");
                    return broken("no-suspicion-without-silence", text);
                }
            }
            Opinion::Heard => {}
            Opinion::Ejected => {
                let probe_failed = session.ejected.is_some();
                let before = std::mem::take(&mut session.ejected_before);
                if session.failed.len() < FAILURES && !probe_failed {
                    return broken("three-users-eject", format!("{id:?} failed users {:?}", session.failed));
                }
                if before {
                    // When that was nobody said.
                    session.ejected.get_or_insert(Moment(0));
                } else {
                    session.eject(now);
                }
            }
            Opinion::Back => session.come_back(now),
        }
        Ok(())
    }

    pub(in super::super) fn pinged(&mut self, now: Moment, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.ping(now);
        }
    }

    /// The relay was not there for a while; what came meanwhile is still to be read.
    pub(in super::super) fn stood_still(&mut self, now: Moment) {
        self.sessions.values_mut().for_each(|session| session.excused = now);
    }

    /// `flight`, which `to` is sent, might have gone to somebody else: whether it had to. True if it can only be a probe of
    /// one that is ejected.
    pub(super) fn rightly_chosen(
        &self,
        now: Moment,
        flight: FlightId,
        view: &View,
        to: SessionId,
    ) -> Result<bool, Broken> {
        let broken = |rule, what: String| Err(Broken::new(rule, now, flight, what));
        let chosen = &self.sessions[&to];
        let asked = |session: &Session| view.attempts.iter().any(|attempt| attempt.agent == session.name);
        let could = |session: &&Session| session.serves() && session.can_open(&view.facts);
        let others = || {
            let of_realm = self.of_realm(view.facts.realm.0).filter(could);
            of_realm.filter(|session| session.is_well() && !asked(session))
        };
        if chosen.suspect
            && let Some(other) = others().find(|session| session.has_room())
        {
            let text = format!("{to:?} is a suspect, and {} is not", other.name);
            return broken("suspects-get-nothing", text);
        }
        let Some(since) = chosen.ejected else {
            return Ok(false);
        };
        // While more than half are ejected nobody is. An agent is when all its sessions are.
        let there = self
            .of_realm(view.facts.realm.0)
            .filter(could)
            .filter(|session| !session.suspect);
        let (ejected, others_of_it): (Vec<_>, Vec<_>) = there.partition(|session| session.ejected.is_some());
        let names = |sessions: Vec<&Session>| {
            sessions
                .iter()
                .map(|session| session.name.clone())
                .collect::<BTreeSet<_>>()
        };
        let ejected = &names(ejected) - &names(others_of_it);
        let others = names(others().collect());
        if others.len() >= ejected.len().max(1) {
            // After its time it gets one sign-in, and another when that one has ended.
            if now.since(since) >= chosen.ejection() && chosen.probes.is_empty() {
                return Ok(true);
            }
            let text = format!(
                "{to:?} was ejected {:?} before, one of {}, and has as probes {:?}",
                now.since(since),
                ejected.len(),
                chosen.probes
            );
            return broken("the-ejected-get-nothing", text);
        }
        Ok(false)
    }

    /// Whoever owes something and is silent is pinged, and then suspected; an idle one later. To be asked when all timers
    /// have run.
    pub(super) fn silence_is_noticed(&self, now: Moment) -> Result<(), Broken> {
        for (id, session) in self.sessions.iter().filter(|(_, session)| !session.suspect) {
            let idle = now.since(session.heard.max(session.excused));
            if idle >= session.idle_patience() {
                let text = format!("{id:?} is silent for {idle:?}, whether it owes something or not");
                return Err(Broken::of_all("idle-silence-makes-suspects", now, text));
            }
            let Some(since) = session.silent_since() else { continue };
            let silent = now.since(since);
            if silent >= session.patience() {
                let text = format!("{id:?} owes something and is silent for {silent:?}");
                return Err(Broken::of_all("silence-makes-suspects", now, text));
            }
            if silent >= PING_AFTER && !session.was_pinged_since(since) {
                let text = format!("{id:?} owes something, is silent for {silent:?}, and was not pinged");
                return Err(Broken::of_all("the-silent-are-pinged", now, text));
            }
        }
        Ok(())
    }

    /// A new sign-in lets more be handed on.
    pub(super) fn deposit(&mut self, now: Moment, realm: usize) {
        let slots = self.of_realm(realm).map(|session| session.slots).sum();
        let (most, least) = &mut self.hand_offs[realm];
        most.add(now, slots, 0.2);
        least.add(now, 0, 0.2);
    }

    /// The relay hands a sign-in on.
    pub(in super::super) fn handed_off(&mut self, now: Moment, realm: usize, reason: NotStarted) -> Result<(), Broken> {
        if reason == NotStarted::Draining {
            return Ok(());
        }
        self.spend(now, realm);
        let slots = self.of_realm(realm).map(|session| session.slots).sum();
        let (most, _) = &mut self.hand_offs[realm];
        most.add(now, slots, 0.0);
        if most.take() {
            Ok(())
        } else {
            let text = format!("realm {realm} has {:.2} tokens", most.tokens);
            Err(Broken::of_all("hand-offs-within-budget", now, text))
        }
    }

    /// Something was taken from the budget, or may have been.
    pub(super) fn spend(&mut self, now: Moment, realm: usize) {
        let (_, least) = &mut self.hand_offs[realm];
        least.add(now, 0, 0.0);
        least.take();
    }

    /// Whether the budget may be used up.
    pub(super) fn budget_may_be_spent(&self, realm: usize) -> bool {
        let (_, least) = &self.hand_offs[realm];
        least.tokens < 1.0
    }

    /// The relay refuses something, for this reason.
    pub(in super::super) fn shed(&mut self, shed: Shed) {
        self.shed = Some(shed);
    }
}
