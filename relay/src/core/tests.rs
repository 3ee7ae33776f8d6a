//! Stories of single sign-ins, each a rule, by what they are about; random schedules are in [`schedules`].

mod choosing;
mod hand_off;
mod many;
mod placing;
mod purity;
mod schedules;
mod settling;
mod silence;
mod unknown;

use std::collections::BTreeMap;
use std::sync::Arc;

use postern_protocol::{NotStarted, Verdict};

use super::*;
use crate::config::Ambiguous;

const REALM: RealmIndex = RealmIndex(0);
const DEADLINE: Duration = Duration::from_secs(4);
const RTT: Duration = Duration::from_millis(10);

fn rules(ambiguous: Ambiguous) -> RealmRules {
    RealmRules {
        ambiguous,
        lockout_window: Duration::from_secs(1800),
        queue: QueueRules {
            length: 4,
            bytes: 4_000,
            wait: Duration::from_millis(500),
        },
        agent_return: DEADLINE,
    }
}

fn agent(slots: u32) -> AgentSession {
    AgentSession {
        realm: REALM,
        name: "".into(),
        slots,
        directory_ready: true,
        kid: "kid".to_owned(),
        rtt: RTT,
    }
}

/// A core and its time, with the commands it gave.
struct Rig {
    core: Core,
    now: Moment,
    next: u64,
    /// Commands of times that have passed.
    given: Vec<Command>,
    /// Sessions that do not answer pings; all others do, at once.
    silent: BTreeSet<SessionId>,
}

impl Rig {
    /// A session of the agent of the same number.
    fn up(&mut self, id: u64) {
        self.up_as(id, &format!("agent-{id}"));
    }

    fn up_as(&mut self, id: u64, name: &str) {
        let session = AgentSession {
            name: name.into(),
            ..agent(2)
        };
        self.core.handle_session_up(self.now, SessionId(id), session);
    }

    fn new(ambiguous: Ambiguous, agents: u64) -> Self {
        let mut rig = Self {
            core: Core::new([rules(ambiguous)], 7),
            now: Moment(1_000_000),
            next: 0,
            given: Vec::new(),
            silent: BTreeSet::new(),
        };
        for id in 1..=agents {
            rig.up(id);
        }
        rig
    }

    fn sign_in(&mut self) -> FlightId {
        self.sign_in_of(self.next, None)
    }

    fn sign_in_of(&mut self, user: u64, recipients: Option<&[&str]>) -> FlightId {
        let id = FlightId(self.next);
        self.next += 1;
        let recipients = recipients.map(|kids| Arc::new(kids.iter().map(|kid| (*kid).to_owned()).collect()));
        let sign_in = SignIn {
            realm: REALM,
            user,
            deadline: self.now + DEADLINE,
            bytes: 100,
            recipients,
        };
        self.core.handle_sign_in(self.now, id, sign_in);
        id
    }

    /// What was given since this was asked last, without what is between the core and the agents alone.
    fn commands(&mut self) -> Vec<Command> {
        self.listen();
        let quiet = |command: &Command| !matches!(command, Command::Ping { .. } | Command::Opinion { .. });
        std::mem::take(&mut self.given).into_iter().filter(quiet).collect()
    }

    /// Takes commands; agents that are not silent answer pings.
    fn listen(&mut self) {
        while let Some(command) = self.core.poll_command() {
            if let Command::Ping { session } = command
                && !self.silent.contains(&session)
            {
                self.core.handle_heard(self.now, session, RTT);
            }
            self.given.push(command);
        }
    }

    fn state(&self, id: u64) -> AgentState {
        self.core.agents.get(SessionId(id)).unwrap().state()
    }

    /// The one attempt that was sent just now.
    fn sent(&mut self) -> (FlightId, SessionId, AttemptNumber) {
        let sent: Vec<_> = self.sends();
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent[0]
    }

    fn sends(&mut self) -> Vec<(FlightId, SessionId, AttemptNumber)> {
        let send = |command| match command {
            Command::Send {
                flight,
                session,
                attempt,
                ..
            } => Some((flight, session, attempt)),
            _ => None,
        };
        self.commands().into_iter().filter_map(send).collect()
    }

    fn settled(&mut self) -> Vec<(FlightId, Outcome)> {
        let settle = |command| match command {
            Command::Settle { flight, outcome, .. } => Some((flight, outcome)),
            _ => None,
        };
        self.commands().into_iter().filter_map(settle).collect()
    }

    fn answer(&mut self, (flight, session, attempt): (FlightId, SessionId, AttemptNumber), answer: Answer) {
        self.core.handle_answer(self.now, session, flight, attempt, answer);
    }

    /// Lets time pass, with every timer at its time.
    fn pass(&mut self, duration: Duration) {
        let until = self.now + duration;
        while let Some(at) = self.core.next_timeout().filter(|&at| at <= until) {
            self.now = at.max(self.now);
            self.core.handle_timeout(self.now);
            self.listen();
        }
        self.now = until;
    }
}

const RIGHT: Answer = Answer::Verdict(Verdict::Success, None);

/// Whether the agent is told that what it was `sent` is not waited for any more.
fn is_cancel(command: &Command, sent: (FlightId, SessionId, AttemptNumber)) -> bool {
    matches!(command, Command::Cancel { flight, session, .. } if (*flight, *session) == (sent.0, sent.1))
}

fn unavailable(reason: Unavailable) -> Outcome {
    Outcome::Unavailable(reason)
}
