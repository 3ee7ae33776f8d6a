//! What the core is told and what it says: plain values.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use postern_protocol::{Moment, NotStarted, Outcome, Subject, Verdict};

pub use super::queue::QueueRules;
use crate::config::Ambiguous;

/// A sign-in, as the core knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlightId(pub u64);

/// A session of an agent. Never used twice, so that a late event of an old session cannot touch a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// A realm, by its place in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RealmIndex(pub usize);

/// One attempt of a sign-in: the how-manieth time that it was sent, from 1.
pub type AttemptNumber = u8;

/// How the sign-ins of one realm are treated.
#[derive(Debug, Clone)]
pub struct RealmRules {
    /// What to do when it is unknown whether a bind was made.
    pub ambiguous: Ambiguous,
    /// One extra attempt per user within this.
    pub lockout_window: Duration,
    /// What may wait.
    pub queue: QueueRules,
    /// How long sign-ins wait for an agent after the last one left: an agent that restarts loses none.
    pub agent_return: Duration,
}

/// A sign-in to be brought to its outcome.
#[derive(Debug, Clone)]
pub struct SignIn {
    /// Where it belongs.
    pub realm: RealmIndex,
    /// A keyed hash of the user name, to count extra attempts.
    pub user: u64,
    /// It must be settled by then.
    pub deadline: Moment,
    /// What it takes of the queue's memory.
    pub bytes: usize,
    /// Thumbprints of the keys that it is sealed to, where the caller sealed it; `None` can go to any agent.
    pub recipients: Option<Arc<BTreeSet<String>>>,
}

/// The last word of an agent on one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The directory's, and whose account it is where the agent looked that up.
    Verdict(Verdict, Option<Box<Subject>>),
    /// No bind was made.
    NotStarted(NotStarted),
    /// The directory answered that it did not check the password.
    NotChecked,
    /// The same, because of the account and not of anything else: whoever types its name causes it.
    AccountNotChecked,
    /// A bind was sent, or may have been, and its answer never came.
    Lost,
    /// The request was never sent: its session was ending. Said by the relay's own side and not by the agent.
    Unsent,
}

/// What the driver is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Send the sign-in to the agent.
    Send {
        /// Which.
        flight: FlightId,
        /// To whom.
        session: SessionId,
        /// The how-manieth time.
        attempt: AttemptNumber,
        /// The bind must have begun by then.
        start_by: Moment,
    },
    /// Tell the agent that an attempt is no longer waited for.
    Cancel {
        /// Of which sign-in.
        flight: FlightId,
        /// Whom to tell.
        session: SessionId,
        /// When it must have begun: a later one of the same sign-in is not meant.
        start_by: Moment,
    },
    /// Ask the agent for a sign of life.
    Ping {
        /// Whom.
        session: SessionId,
    },
    /// Answer the caller, and forget the sign-in.
    Settle {
        /// Which.
        flight: FlightId,
        /// With what.
        outcome: Outcome,
        /// Who gave the verdict.
        by: Option<SessionId>,
        /// Whose account it is: of that verdict and no other.
        subject: Option<Box<Subject>>,
    },
    /// For metrics: a sign-in goes to another agent, for this reason.
    HandedOff {
        /// The realm.
        realm: RealmIndex,
        /// Why the first did not do it.
        reason: NotStarted,
    },
    /// For metrics: a sign-in is refused, or not handed on, since there is too much to do.
    Shed(Shed),
    /// For the log: what is thought of an agent has changed.
    Opinion {
        /// Of whom.
        session: SessionId,
        /// To what.
        opinion: Opinion,
    },
    /// For metrics: it is unknown whether an agent made a bind.
    BecameAmbiguous {
        /// Which.
        flight: FlightId,
        /// The realm.
        realm: RealmIndex,
        /// Whether the agent had said that it would begin.
        started: bool,
    },
}

/// Why a sign-in is refused that could have been served with less to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shed {
    /// As many wait as may.
    QueueLength,
    /// As many bytes wait as may.
    QueueBytes,
    /// It would have waited for too long.
    QueueWait,
    /// Too many sign-ins go from one agent to another.
    HandOffs,
}

impl Shed {
    /// The name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::QueueLength => "queue_length",
            Self::QueueBytes => "queue_bytes",
            Self::QueueWait => "queue_wait",
            Self::HandOffs => "hand_offs",
        }
    }
}

/// A change of what is thought of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opinion {
    /// It is silent: it gets nothing until it is heard.
    Suspect,
    /// It is heard again.
    Heard,
    /// It failed three users in a row: it gets nothing for a while.
    Ejected,
    /// It gave a verdict again.
    Back,
}
