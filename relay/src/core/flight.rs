//! One sign-in on its way, and its attempts.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use postern_protocol::{Moment, NotStarted, Outcome, Unavailable};

use super::agents::Agent;
use super::queue::{Line, Place};
use super::{AttemptNumber, Command, FlightId, SessionId, SignIn};

/// From a cancel until the agent that it went to is judged, on a link without length.
const CANCEL_PATIENCE: Duration = Duration::from_millis(100);

/// How long an agent that could not begin is left alone the first time; four times as long the second.
const PAUSE: Duration = Duration::from_millis(50);

/// One time that the sign-in was sent to an agent that has not answered.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) session: SessionId,
    pub(super) agent: Arc<str>,
    pub(super) number: AttemptNumber,
    pub(super) start_by: Moment,
    /// An agent that is there has answered by then, or is given up.
    pub(super) due_by: Moment,
    pub(super) phase: Phase,
}

impl Attempt {
    /// What tells its agent that it is no longer waited for.
    pub(super) fn cancel(&self, flight: FlightId) -> Command {
        Command::Cancel {
            flight,
            session: self.session,
            start_by: self.start_by,
        }
    }

    /// Goes on to the next phase if it is time, and tells what is to be done. `late`: the relay was late itself, and
    /// answers may be there unread.
    pub(super) fn step(&mut self, now: Moment, agent: &Agent, late: bool) -> Step {
        let silent = agent.liveness.is_suspect();
        match self.phase {
            Phase::Sent if now >= self.start_by && silent => Step::CancelAndGiveUp,
            Phase::Sent if now >= self.start_by => {
                self.phase = Phase::Cancelling {
                    since: now,
                    until: now + CANCEL_PATIENCE + agent.session.rtt * 2,
                };
                Step::Ask
            }
            // It is there, so its word is on its way: that it began, or that it will not.
            Phase::Cancelling { since, until } if now >= until && !silent && agent.liveness.last_heard() > since => {
                self.phase = Phase::Due {
                    until: self.due_by,
                    started: false,
                };
                Step::Wait
            }
            Phase::Due { until, started } if now >= until && late => {
                let until = now + CANCEL_PATIENCE;
                self.phase = Phase::Due { until, started };
                Step::Wait
            }
            Phase::Cancelling { until, .. } | Phase::Due { until, .. } if now >= until => Step::GiveUp,
            Phase::Sent | Phase::Cancelling { .. } | Phase::Due { .. } | Phase::Unknown => Step::Wait,
        }
    }

    /// Whether it was not given up, and the agent has had the time to begin.
    pub(super) fn is_past_window(&self, now: Moment) -> bool {
        self.phase != Phase::Unknown && now >= self.start_by
    }
}

/// What is known of an attempt.
///
/// | phase | what happens | next |
/// |---|---|---|
/// | `Sent`, `Cancelling` | the agent says that it begins | `Due` |
/// | `Sent` | the start window is past | `Cancelling`; a suspect's attempt is `Unknown` at once |
/// | `Cancelling` | its time is over, and the agent was heard since the cancel | `Due` |
/// | `Cancelling` | its time is over, and it was not | `Unknown` |
/// | `Due` | its time is over | `Unknown` |
/// | any | an answer comes | none: the flight is settled, or handed on |
/// | any | the stream or the session ends without one | none: the flight is `lost` |
///
/// Whoever becomes unknown or lost, the policy decides what becomes of the flight, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Sent, nothing heard. The start window is open.
    Sent,
    /// The start window is past and a cancel was sent; an agent that is there shows itself by then.
    Cancelling {
        /// When the cancel was sent.
        since: Moment,
        /// When it is judged.
        until: Moment,
    },
    /// The agent said that it begins, or is there after the cancel: its answer is on its way, and due by then.
    Due {
        /// When it is given up.
        until: Moment,
        /// Whether it said so.
        started: bool,
    },
    /// Given up: a bind may have been made. A verdict that still comes counts.
    Unknown,
}

/// What an attempt asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing yet.
    Wait,
    /// The agent may have the request and no time left to begin: it is cancelled, and asked for a sign of life, before
    /// another gets it.
    Ask,
    /// The same of one that is silent already, of which nothing is expected.
    CancelAndGiveUp,
    /// It is unknown whether a bind was made.
    GiveUp,
}

/// A sign-in that is not settled.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) sign_in: SignIn,
    pub(super) attempts: Vec<Attempt>,
    /// How often it was sent.
    pub(super) sends: AttemptNumber,
    /// Agents that may have bound it, or that cannot use it. By name: a new session may be the same process.
    pub(super) avoid: BTreeSet<Arc<str>>,
    /// Where it waits in its realm's queue.
    pub(super) queued: Option<Place>,
    /// Of some attempt nobody can say any more whether a bind was made.
    pub(super) lost: bool,
    /// The one retry after that was used.
    pub(super) retried: bool,
    /// The last agent that said it made no bind, and why.
    pub(super) refusal: Option<(Arc<str>, NotStarted)>,
    /// That agent is not asked again before this.
    pub(super) pause: Option<Moment>,
    /// When its timer is set to.
    pub(super) timer: Option<Moment>,
}

impl Flight {
    pub(super) fn new(sign_in: SignIn) -> Self {
        Self {
            sign_in,
            attempts: Vec::new(),
            sends: 0,
            avoid: BTreeSet::new(),
            queued: None,
            lost: false,
            retried: false,
            refusal: None,
            pause: None,
            timer: None,
        }
    }

    /// Whether nobody had it yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.sends == 0
    }

    /// The line in which it waits.
    pub(super) fn line(&self) -> Line {
        match self.sign_in.recipients {
            None => Line::Open,
            Some(_) => Line::Sealed,
        }
    }

    pub(super) fn has_attempt(&self, session: SessionId, number: AttemptNumber) -> bool {
        self.attempts
            .iter()
            .any(|attempt| attempt.session == session && attempt.number == number)
    }

    pub(super) fn attempt_mut(&mut self, session: SessionId, number: AttemptNumber) -> Option<&mut Attempt> {
        self.attempts
            .iter_mut()
            .find(|attempt| attempt.session == session && attempt.number == number)
    }

    /// The attempt that `session` has.
    pub(super) fn attempt_on(&mut self, session: SessionId) -> Option<&mut Attempt> {
        self.attempts.iter_mut().find(|attempt| attempt.session == session)
    }

    pub(super) fn is_at(&self, session: SessionId) -> bool {
        self.attempts.iter().any(|attempt| attempt.session == session)
    }

    /// Nothing more can come of the attempt on `session`.
    pub(super) fn forget_attempt(&mut self, session: SessionId) {
        self.attempts.retain(|attempt| attempt.session != session);
    }

    /// Whether the agent can open it: it holds a key that the sign-in is, or can be, sealed to.
    pub(super) fn is_sealed_to(&self, agent: &Agent) -> bool {
        self.sign_in.recipients.as_ref().is_none_or(|kids| agent.opens(kids))
    }

    /// What its caller is told of an outcome. Where a bind may have been made that no answer speaks of, only a verdict
    /// says something of the password: everything else would say that it was not tried.
    pub(super) fn as_far_as_known(&self, outcome: Outcome) -> Outcome {
        let may_have_been_bound = self.lost || !self.attempts.is_empty();
        match outcome {
            Outcome::Verdict(_) => outcome,
            _ if may_have_been_bound => Outcome::Unavailable(Unavailable::Indeterminate),
            _ => outcome,
        }
    }

    /// Whether it is unknown of some attempt whether a bind was made. An agent that later says that it made none
    /// settles the question.
    pub(super) fn is_ambiguous(&self) -> bool {
        self.lost || self.attempts.iter().any(|attempt| attempt.phase == Phase::Unknown)
    }

    /// Whether an agent is at it of which an answer is still expected. Nobody else gets it then: binds are not hedged.
    pub(super) fn is_under_way(&self) -> bool {
        self.attempts.iter().any(|attempt| attempt.phase != Phase::Unknown)
    }

    /// Whether `agent` may be asked at `now`, slots aside.
    pub(super) fn may_ask(&self, session: SessionId, agent: &Agent, now: Moment) -> bool {
        let paused = self.pause.is_some_and(|until| now < until) && self.was_refused_by(agent);
        !paused && !self.is_at(session) && agent.could_take(self)
    }

    /// Whether `agent` is the last that said it made no bind.
    pub(super) fn was_refused_by(&self, agent: &Agent) -> bool {
        self.refusal.as_ref().is_some_and(|(name, _)| name == agent.name())
    }

    /// Notes a refusal that may soon be none: the agent is asked again after a pause that grows.
    pub(super) fn pause_after(&mut self, now: Moment) {
        self.pause = Some(now + PAUSE * u32::from(self.sends) * u32::from(self.sends));
    }

    /// Why there is no verdict, when nobody is left to ask.
    pub(super) fn failure(&self) -> Unavailable {
        match self.refusal.as_ref().map(|(_, reason)| *reason) {
            Some(NotStarted::CannotOpen | NotStarted::NoKey) => Unavailable::CannotOpen,
            Some(NotStarted::Busy) => Unavailable::Overloaded,
            Some(NotStarted::Draining) => Unavailable::NoAgent,
            None | Some(NotStarted::NoDirectory | NotStarted::NoLookUp) => Unavailable::DirectoryDown,
            Some(_) => Unavailable::Timeout,
        }
    }

    /// The earliest time at which something about it changes by itself.
    pub(super) fn next_timeout(&self) -> Moment {
        let of_attempt = |attempt: &Attempt| match attempt.phase {
            Phase::Sent => Some(attempt.start_by),
            Phase::Due { until, .. } | Phase::Cancelling { until, .. } => Some(until),
            Phase::Unknown => None,
        };
        let paused = self.pause.filter(|_| self.queued.is_some());
        self.attempts
            .iter()
            .filter_map(of_attempt)
            .chain(paused)
            .fold(self.sign_in.deadline, Moment::min)
    }
}
