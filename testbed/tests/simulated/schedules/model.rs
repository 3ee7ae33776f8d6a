//! What a relay may do, written down plainly from ARCHITECTURE.md, and nothing of how it does it.
//!
//! The model hears every event that the core hears, before the core does, and sees every command. It decides nothing:
//! where the design leaves a choice, every choice is right. What is wrong is a [`Broken`] rule.

mod ends;
mod opinions;
mod sends;
mod session;
mod settles;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use postern_protocol::{Moment, NotStarted, Outcome, Verdict};
use postern_relay::core::{AgentSession, Answer, AttemptNumber, FlightId, RealmRules, SessionId, Shed, SignIn};

pub(super) use ends::{Health, health};
use opinions::Bucket;
use session::{Grudge, LONGEST_REST, Session};

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
    pub(super) sent: Moment,
    pub(super) start_by: Moment,
    pub(super) started: bool,
    /// It was cancelled, and the agent has until then to say what it did.
    pub(super) cancelled: Option<Moment>,
    /// The relay gave it up, and could.
    pub(super) given_up: bool,
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
    /// When the relay decided that it may be bound a second time.
    pub(super) extra: Option<Moment>,
    pub(super) caller_gone: bool,
    pub(super) settled: Option<Outcome>,
}

/// Everything that the relay was told and said.
#[derive(Debug)]
pub(super) struct Model {
    realms: Vec<RealmRules>,
    pub(super) sign_ins: BTreeMap<FlightId, View>,
    unsettled: BTreeSet<FlightId>,
    pub(super) sessions: BTreeMap<SessionId, Session>,
    /// What was held against agents when their last session ended.
    left: BTreeMap<(usize, Arc<str>), Grudge>,
    /// When the extra attempts of each user of a realm were decided.
    extras: BTreeMap<(usize, u64), Vec<Moment>>,
    /// What each realm may hand on, at most and at least.
    hand_offs: Vec<(Bucket, Bucket)>,
    /// The longest that a verdict took, by realm.
    slowest: Vec<Duration>,
    /// Since when a realm has had sign-ins that are not settled, without a break and with somebody at work.
    busy_since: Vec<Option<Moment>>,
    /// When more waited than the relay looks at, by realm.
    crowded: Vec<Moment>,
    /// Why the relay just said that it refuses something.
    shed: Option<Shed>,
}

impl Model {
    pub(super) fn new(realms: Vec<RealmRules>) -> Self {
        Self {
            hand_offs: realms.iter().map(|_| (Bucket::new(), Bucket::new())).collect(),
            slowest: vec![Duration::ZERO; realms.len()],
            busy_since: vec![None; realms.len()],
            crowded: vec![Moment(0); realms.len()],
            shed: None,
            realms,
            sign_ins: BTreeMap::new(),
            unsettled: BTreeSet::new(),
            sessions: BTreeMap::new(),
            left: BTreeMap::new(),
            extras: BTreeMap::new(),
        }
    }

    pub(super) fn sign_in(&mut self, now: Moment, id: FlightId, facts: &SignIn) {
        self.unsettled.insert(id);
        let realm = facts.realm.0;
        let at_work = self.of_realm(realm).any(|session| session.serves() && !session.suspect);
        let busy_since = &mut self.busy_since[realm];
        *busy_since = busy_since.filter(|_| at_work).or(Some(now));
        self.deposit(now, realm);
        self.sign_ins.insert(
            id,
            View {
                facts: facts.clone(),
                arrived: now,
                attempts: Vec::new(),
                ambiguous: None,
                extra: None,
                caller_gone: false,
                settled: None,
            },
        );
    }

    /// The relay says that nobody knows whether `id` was bound.
    pub(super) fn ambiguous(&mut self, now: Moment, id: FlightId) -> Result<(), Broken> {
        let Some(view) = self.sign_ins.get_mut(&id) else {
            return Ok(());
        };
        view.ambiguous = Some(now);
        let (realm, user) = (view.facts.realm.0, view.facts.user);
        for attempt in &view.attempts {
            if let Some(session) = self.sessions.get_mut(&attempt.session) {
                session.failed.insert(user);
            }
        }
        self.spend(now, realm);
        self.give_up(now, id)
    }

    pub(super) fn caller_gone(&mut self, id: FlightId) {
        if let Some(view) = self.sign_ins.get_mut(&id) {
            view.caller_gone = true;
        }
    }

    pub(super) fn session_up(&mut self, now: Moment, id: SessionId, session: &AgentSession) {
        let mut grudge = self
            .left
            .remove(&(session.realm.0, session.name.clone()))
            .unwrap_or_default();
        for other in self.of_realm(session.realm.0) {
            if other.name == session.name {
                grudge.add(other);
            }
        }
        self.sessions.insert(id, Session::new(now, session, grudge));
    }

    pub(super) fn session_down(&mut self, id: SessionId) {
        let Some(mut session) = self.sessions.remove(&id) else {
            return;
        };
        let open = std::mem::take(&mut session.open);
        for (flight, _) in &open {
            session.failed.insert(self.sign_ins[flight].facts.user);
        }
        let grudge = self.left.entry((session.realm, session.name.clone())).or_default();
        grudge.add(&session);
        for (flight, number) in open {
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
            session.key_change(kid);
        }
    }

    /// A frame came on the session.
    pub(super) fn heard(&mut self, now: Moment, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.hear(now);
        }
    }

    pub(super) fn round_trip(&mut self, id: SessionId, rtt: Duration) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.set_rtt(rtt);
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
    pub(super) fn answer(
        &mut self,
        now: Moment,
        id: SessionId,
        flight: FlightId,
        number: AttemptNumber,
        answer: &Answer,
    ) {
        let end = match answer {
            Answer::Verdict(verdict, _) => End::Verdict(*verdict),
            Answer::NotStarted(reason) => End::NotStarted(*reason),
            Answer::NotChecked | Answer::AccountNotChecked => End::NotChecked,
            Answer::Lost => End::Unknown,
            Answer::Unsent => End::NotStarted(NotStarted::Draining),
        };
        let callers = self.is_callers_doing(flight, answer);
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        if !session.ends((flight, number)) {
            return;
        }
        if !matches!(answer, Answer::Lost | Answer::Unsent) {
            session.hear(now);
        }
        let unsettled = self.unsettled.contains(&flight);
        session.draining |= unsettled && end == End::NotStarted(NotStarted::Draining);
        let view = &self.sign_ins[&flight];
        match answer {
            // A late one of an attempt that was given up takes nothing back.
            Answer::Verdict(..) if view.ambiguous.is_none() && view.settled.is_none() => session.failed.clear(),
            Answer::Verdict(..) => {}
            // It leaves, which is no failure.
            Answer::Unsent => {}
            _ if callers => {}
            _ => drop(session.failed.insert(view.facts.user)),
        }
        if let Answer::NotStarted(NotStarted::Busy | NotStarted::NoKey) = answer {
            session.rests_until = now + LONGEST_REST;
        }
        if let Answer::Verdict(..) = answer {
            let sent = view.attempts.iter().find(|attempt| attempt.number == number);
            let took = sent.map_or(Duration::ZERO, |attempt| now.since(attempt.sent));
            let slowest = &mut self.slowest[view.facts.realm.0];
            *slowest = took.max(*slowest);
        }
        self.attempt(flight, id, number, |attempt| attempt.end = Some(end));
    }

    /// Whether the answer says nothing of the agent, whatever it is: the caller brought it about.
    pub(super) fn is_callers_doing(&self, flight: FlightId, answer: &Answer) -> bool {
        let sealed = |view: &View| view.facts.recipients.is_some();
        match answer {
            Answer::NotStarted(NotStarted::Refused | NotStarted::NoMatch) | Answer::AccountNotChecked => true,
            Answer::NotStarted(NotStarted::CannotOpen | NotStarted::Replayed) => {
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
