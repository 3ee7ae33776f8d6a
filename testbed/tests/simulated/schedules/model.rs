//! What a relay may do, written down plainly from DESIGN 5 and 6, and nothing of how it does it.
//!
//! The model hears every event that the core hears, before the core does, and sees every command. It decides nothing:
//! where the design leaves a choice, every choice is right. What is wrong is a [`Broken`] rule.

mod ends;
mod sends;
mod settles;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use postern_protocol::{Moment, NotStarted, Outcome, Verdict};
use postern_relay::core::{AgentSession, Answer, AttemptNumber, FlightId, RealmRules, SessionId, SignIn};

pub(super) use ends::health;

/// A rule that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) rule: &'static str,
    pub(super) at: Moment,
    pub(super) sign_in: Option<FlightId>,
    pub(super) what: String,
}

impl Broken {
    pub(super) fn new(rule: &'static str, at: Moment, sign_in: FlightId, what: impl Into<String>) -> Self {
        Self {
            rule,
            at,
            sign_in: Some(sign_in),
            what: what.into(),
        }
    }

    pub(super) fn of_all(rule: &'static str, at: Moment, what: impl Into<String>) -> Self {
        Self {
            rule,
            at,
            sign_in: None,
            what: what.into(),
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] ", self.rule)?;
        if let Some(sign_in) = self.sign_in {
            write!(f, "sign-in {} ", sign_in.0)?;
        }
        write!(f, "at {} µs of the relay's clock: {}", self.at.0, self.what)
    }
}

/// How an attempt ended, as the relay heard it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Verdict(Verdict),
    NotStarted(NotStarted),
    NotChecked,
    /// Its stream or its session ended without a word, or with the word that nobody knows.
    Unknown,
}

#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) session: SessionId,
    pub(super) agent: Arc<str>,
    pub(super) number: AttemptNumber,
    pub(super) start_by: Moment,
    pub(super) started: bool,
    /// It was cancelled, and the agent has until then to say what it did.
    pub(super) cancelled: Option<Moment>,
    pub(super) end: Option<End>,
}

impl Attempt {
    /// A bind may have been made, or may still be, of which no answer speaks.
    fn may_have_bound(&self) -> bool {
        matches!(
            self.end,
            None | Some(End::Unknown | End::NotStarted(NotStarted::Replayed))
        )
    }
}

#[derive(Debug)]
pub(super) struct View {
    pub(super) facts: SignIn,
    pub(super) arrived: Moment,
    pub(super) attempts: Vec<Attempt>,
    /// When the relay last said that nobody knows whether it was bound.
    ambiguous: Option<Moment>,
    pub(super) caller_gone: bool,
    pub(super) settled: Option<Outcome>,
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) realm: usize,
    pub(super) name: Arc<str>,
    slots: u32,
    ready: bool,
    draining: bool,
    in_doubt: bool,
    kids: Vec<String>,
    rtt: Duration,
    /// What was sent and has not ended.
    open: BTreeSet<(FlightId, AttemptNumber)>,
    /// It has answered for what it was not sent. What it does to its own slots is its own loss.
    pub(super) forges: bool,
}

impl Session {
    fn takes_work(&self) -> bool {
        self.ready && !self.draining && !self.in_doubt
    }

    fn can_open(&self, facts: &SignIn) -> bool {
        facts
            .recipients
            .as_ref()
            .is_none_or(|recipients| self.kids.iter().any(|kid| recipients.contains(kid)))
    }

    fn has_room(&self) -> bool {
        self.open.len() < self.slots as usize
    }
}

/// Everything that the relay was told and said.
#[derive(Debug)]
pub(super) struct Model {
    realms: Vec<RealmRules>,
    pub(super) sign_ins: BTreeMap<FlightId, View>,
    unsettled: BTreeSet<FlightId>,
    pub(super) sessions: BTreeMap<SessionId, Session>,
    /// The last extra attempt of each user of a realm.
    extras: BTreeMap<(usize, u64), Moment>,
}

impl Model {
    pub(super) fn new(realms: Vec<RealmRules>) -> Self {
        Self {
            realms,
            sign_ins: BTreeMap::new(),
            unsettled: BTreeSet::new(),
            sessions: BTreeMap::new(),
            extras: BTreeMap::new(),
        }
    }

    pub(super) fn sign_in(&mut self, now: Moment, id: FlightId, facts: &SignIn) {
        self.unsettled.insert(id);
        self.sign_ins.insert(
            id,
            View {
                facts: facts.clone(),
                arrived: now,
                attempts: Vec::new(),
                ambiguous: None,
                caller_gone: false,
                settled: None,
            },
        );
    }

    pub(super) fn ambiguous(&mut self, now: Moment, id: FlightId) {
        if let Some(view) = self.sign_ins.get_mut(&id) {
            view.ambiguous = Some(now);
        }
    }

    pub(super) fn caller_gone(&mut self, id: FlightId) {
        if let Some(view) = self.sign_ins.get_mut(&id) {
            view.caller_gone = true;
        }
    }

    pub(super) fn session_up(&mut self, id: SessionId, session: &AgentSession) {
        self.sessions.insert(
            id,
            Session {
                realm: session.realm.0,
                name: session.name.clone(),
                slots: session.slots,
                ready: session.directory_ready,
                draining: false,
                in_doubt: false,
                kids: vec![session.kid.clone()],
                rtt: session.rtt,
                open: BTreeSet::new(),
                forges: false,
            },
        );
    }

    pub(super) fn session_down(&mut self, id: SessionId) {
        let Some(session) = self.sessions.remove(&id) else {
            return;
        };
        for (flight, number) in session.open {
            self.attempt(flight, id, number, |attempt| attempt.end = Some(End::Unknown));
        }
    }

    pub(super) fn status(&mut self, id: SessionId, slots: u32, ready: bool) {
        if let Some(session) = self.sessions.get_mut(&id) {
            (session.slots, session.ready) = (slots, ready);
        }
    }

    pub(super) fn draining(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.draining = true;
        }
    }

    pub(super) fn key_change(&mut self, id: SessionId, kid: &str) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.kids.insert(0, kid.to_owned());
            session.kids.truncate(2);
        }
    }

    pub(super) fn heard(&mut self, id: SessionId, rtt: Duration) {
        if let Some(session) = self.sessions.get_mut(&id) {
            (session.rtt, session.in_doubt) = (rtt, false);
        }
    }

    pub(super) fn superseded(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.in_doubt = true;
        }
    }

    pub(super) fn started(&mut self, id: SessionId, flight: FlightId, number: AttemptNumber) {
        self.attempt(flight, id, number, |attempt| attempt.started = true);
    }

    /// An answer on a stream of `id`, or one that the agent made up.
    pub(super) fn answer(&mut self, id: SessionId, flight: FlightId, number: AttemptNumber, answer: &Answer) {
        let end = match answer {
            Answer::Verdict(verdict, _) => End::Verdict(*verdict),
            Answer::NotStarted(reason) => End::NotStarted(*reason),
            Answer::NotChecked => End::NotChecked,
            Answer::Lost => End::Unknown,
        };
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        if !session.open.remove(&(flight, number)) {
            session.forges = true;
            return;
        }
        let unsettled = self.unsettled.contains(&flight);
        session.draining |= unsettled && end == End::NotStarted(NotStarted::Draining);
        self.attempt(flight, id, number, |attempt| attempt.end = Some(end));
    }

    /// Whether the answer says nothing of the agent, whatever it is: the caller brought it about (DESIGN 5).
    pub(super) fn is_callers_doing(&self, flight: FlightId, answer: &Answer) -> bool {
        let sealed = |view: &View| view.facts.recipients.is_some();
        match answer {
            Answer::NotStarted(NotStarted::Refused | NotStarted::NoMatch) => true,
            Answer::NotStarted(NotStarted::CannotOpen | NotStarted::Expired | NotStarted::Replayed) => {
                self.sign_ins.get(&flight).is_some_and(sealed)
            }
            _ => false,
        }
    }

    fn attempt(
        &mut self,
        flight: FlightId,
        session: SessionId,
        number: AttemptNumber,
        change: impl FnOnce(&mut Attempt),
    ) {
        let view = self.sign_ins.get_mut(&flight);
        let of_it = |attempt: &&mut Attempt| attempt.session == session && attempt.number == number;
        if let Some(attempt) = view.and_then(|view| view.attempts.iter_mut().find(of_it)) {
            change(attempt);
        }
    }

    fn of_realm(&self, realm: usize) -> impl Iterator<Item = &Session> {
        self.sessions.values().filter(move |session| session.realm == realm)
    }
}
