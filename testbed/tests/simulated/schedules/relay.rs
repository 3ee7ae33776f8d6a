//! The relay: its real core, and beside it what its driver and its sessions' tasks do (relay/src/driver.rs,
//! relay/src/session/link.rs).
//!
//! As there, the driver takes events from one queue, each with the time at which it takes it and not at which it
//! happened; a timer that is due may come before them or up to a millisecond after. An answer is for the stream that
//! it came on. A session's end is the last that is heard of it.

mod links;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use postern_protocol::{Moment, Outcome, RequestId};
use postern_relay::core::{
    AgentSession, AgentState, Answer, Command, Core, FlightId, Opinion, RealmRules, SessionId, SignIn,
};
use rand::Rng;

use super::chance::up_to;
use super::ledger::ProcessId;
use super::model::{Broken, Health, health};
use super::wire::Stream;
use super::world::{Happening, World};
pub(super) use links::IDLE;

/// Events that the driver takes at a time.
const BATCH: usize = 256;

/// What the driver is told.
#[derive(Debug)]
pub(super) enum Event {
    SignIn(FlightId, SignIn),
    CallerGone(FlightId),
    Up(SessionId, AgentSession),
    Down(SessionId),
    Status {
        session: SessionId,
        slots: u32,
        ready: bool,
    },
    Draining(SessionId),
    KeyChange(SessionId, String),
    Heard(SessionId, Duration),
    Superseded(SessionId),
    Started(SessionId, Stream),
    Answered(SessionId, Stream, Answer),
}

/// One session, as its task has it.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) process: ProcessId,
    pub(super) realm: usize,
    pub(super) name: Arc<str>,
    /// What the driver gave it, and it has not taken yet.
    pub(super) queue: VecDeque<Order>,
    /// Streams that have not ended, and whether `Started` came.
    pub(super) streams: BTreeMap<Stream, bool>,
    pub(super) kid: String,
    pub(super) previous_kid: Option<String>,
    pub(super) rtt: Duration,
    pub(super) last_heard: Moment,
    /// Pings under way.
    pub(super) pings: BTreeMap<u64, Moment>,
    pub(super) next_ping: u64,
    /// Something was heard since the probe; `None` while there is none.
    pub(super) probe: Option<bool>,
    pub(super) close_when_idle: bool,
}

/// What the driver carries out, and what the core heard meanwhile: the commands before it were decided without it.
enum Step {
    CarryOut(Command),
    Unsent(SessionId, Stream),
}

/// What a session is to do for a sign-in.
#[derive(Debug)]
pub(super) enum Order {
    /// With the sign-in's deadline.
    Send {
        stream: Stream,
        start_by: Moment,
        deadline: Moment,
    },
    Cancel(RequestId, Moment),
    CloseWhenIdle,
}

pub(super) struct Relay {
    pub(super) core: Core,
    queue: VecDeque<Event>,
    /// Sign-ins that the driver has, with their deadlines.
    pub(super) belongings: BTreeMap<FlightId, Moment>,
    /// Sessions that the driver knows.
    known: BTreeSet<SessionId>,
    pub(super) links: BTreeMap<SessionId, Link>,
    /// The driver stands still until then.
    pub(super) asleep_until: Moment,
    /// Everything of the relay stands still until then.
    pub(super) frozen_until: Moment,
    wakes_at: Option<Moment>,
    pub(super) last_session: u64,
    realms: usize,
}

impl Relay {
    pub(super) fn new(rules: Vec<RealmRules>, seed: u64) -> Self {
        Self {
            realms: rules.len(),
            core: Core::new(rules, seed),
            queue: VecDeque::new(),
            belongings: BTreeMap::new(),
            known: BTreeSet::new(),
            links: BTreeMap::new(),
            asleep_until: Moment(0),
            frozen_until: Moment(0),
            wakes_at: None,
            last_session: 0,
        }
    }
}

impl World {
    /// Something is to be told to the driver.
    pub(super) fn post(&mut self, event: Event) {
        self.relay.queue.push_back(event);
        let soon = self.now + up_to(&mut self.random, Duration::from_micros(200));
        self.wake_driver(soon);
    }

    fn wake_driver(&mut self, at: Moment) {
        let at = at.max(self.relay.asleep_until);
        if self.relay.wakes_at.is_none_or(|wakes_at| at < wakes_at) {
            self.relay.wakes_at = Some(at);
            self.at(at, Happening::DriverWakes);
        }
    }

    pub(super) fn driver_wakes(&mut self) -> Result<(), Broken> {
        if self.relay.wakes_at != Some(self.now) {
            return Ok(());
        }
        self.relay.wakes_at = None;
        if self.now < self.relay.asleep_until {
            self.wake_driver(self.relay.asleep_until);
            return Ok(());
        }
        self.turn()
    }

    /// One turn of the driver: everything that is there at this moment.
    pub(super) fn turn(&mut self) -> Result<(), Broken> {
        let now = self.now;
        let due = |relay: &Relay| relay.core.next_timeout().is_some_and(|at| at <= now);
        if due(&self.relay) && self.random.random_bool(0.2) {
            self.log.count("event before a timer that is due");
            self.take_events()?;
        }
        loop {
            if due(&self.relay) {
                if self.relay.core.next_timeout().is_some_and(|at| now.since(at) > LATE) {
                    self.log.count("driver late");
                    self.model.stood_still(now);
                }
                self.relay.core.handle_timeout(now);
                self.carry_out()?;
                self.model.nothing_overdue(now)?;
            } else if self.relay.queue.is_empty() {
                break;
            } else {
                self.take_events()?;
            }
        }
        self.model.between_events(now, &self.relay.core)?;
        if let Some(at) = self.relay.core.next_timeout() {
            let late = up_to(&mut self.random, Duration::from_millis(1));
            self.wake_driver(at + late);
        }
        Ok(())
    }

    fn take_events(&mut self) -> Result<(), Broken> {
        for _ in 0..BATCH {
            let Some(event) = self.relay.queue.pop_front() else {
                break;
            };
            self.take(event)?;
            self.carry_out()?;
            self.model.after_event(self.now, &self.relay.core);
        }
        Ok(())
    }

    fn take(&mut self, event: Event) -> Result<(), Broken> {
        let now = self.now;
        let (core, model) = (&mut self.relay.core, &mut self.model);
        match event {
            Event::SignIn(id, sign_in) => {
                self.relay.belongings.insert(id, sign_in.deadline);
                model.sign_in(now, id, &sign_in);
                core.handle_sign_in(now, id, sign_in);
            }
            Event::CallerGone(id) => {
                let before = health(core, now, self.relay.realms);
                model.caller_gone(id);
                core.handle_caller_gone(id);
                let after = health(core, now, self.relay.realms);
                if is_worse(&before, &after) {
                    let text = format!("its caller went, and that changed {before:?} to {after:?}");
                    return Err(Broken::new("callers-harm-no-agent", now, id, text));
                }
            }
            Event::Up(id, session) => {
                self.relay.known.insert(id);
                model.session_up(now, id, &session);
                core.handle_session_up(now, id, session);
            }
            Event::Down(id) => {
                self.relay.known.remove(&id);
                model.session_down(id);
                core.handle_session_down(now, id);
            }
            Event::Status { session, slots, ready } => {
                model.heard(now, session);
                model.status(session, slots, ready);
                core.handle_status(now, session, slots, ready);
            }
            Event::Draining(id) => {
                model.heard(now, id);
                model.draining(id);
                core.handle_draining(now, id);
                self.tell(id, Order::CloseWhenIdle);
            }
            Event::KeyChange(id, kid) => {
                model.heard(now, id);
                model.key_change(id, &kid);
                core.handle_key_change(now, id, kid);
            }
            Event::Heard(id, rtt) => {
                model.heard(now, id);
                model.round_trip(id, rtt);
                core.handle_heard(now, id, rtt);
            }
            Event::Superseded(id) => {
                model.superseded(id);
                core.handle_superseded(now, id);
            }
            Event::Started(id, (flight, attempt)) => {
                model.heard(now, id);
                model.started(id, flight, attempt);
                core.handle_started(now, id, flight, attempt);
            }
            Event::Answered(id, stream, answer) => return self.take_answer(id, stream, answer),
        }
        Ok(())
    }

    fn take_answer(&mut self, id: SessionId, (flight, attempt): Stream, answer: Answer) -> Result<(), Broken> {
        let callers = self.model.is_callers_doing(flight, &answer);
        let before = callers.then(|| health(&self.relay.core, self.now, self.relay.realms));
        self.model.answer(self.now, id, flight, attempt, &answer);
        self.log.count_of(
            "answer",
            match &answer {
                Answer::Verdict(..) => "verdict",
                Answer::NotStarted(reason) => reason.as_str(),
                Answer::NotChecked => "not checked",
                Answer::AccountNotChecked => "account not checked",
                Answer::Lost => "lost",
                Answer::Unsent => "unsent",
            },
        );
        let what = format!("{answer:?}");
        self.relay.core.handle_answer(self.now, id, flight, attempt, answer);
        if let Some(before) = before {
            self.log.count("answer that the caller caused");
            let after = health(&self.relay.core, self.now, self.relay.realms);
            if is_worse(&before, &after) {
                let text = format!("{what} of {id:?} changed {before:?} to {after:?}");
                return Err(Broken::new("callers-harm-no-agent", self.now, flight, text));
            }
        }
        Ok(())
    }

    fn carry_out(&mut self) -> Result<(), Broken> {
        let mut steps = VecDeque::new();
        self.poll_commands(&mut steps);
        while let Some(step) = steps.pop_front() {
            let command = match step {
                Step::CarryOut(command) => command,
                Step::Unsent(session, (flight, attempt)) => {
                    self.log.count_of("answer", "unsent");
                    self.model.answer(self.now, session, flight, attempt, &Answer::Unsent);
                    continue;
                }
            };
            match command {
                Command::Send {
                    flight,
                    session,
                    attempt,
                    start_by,
                } => {
                    let window = start_by.since(self.now);
                    self.note(|| {
                        format!(
                            "relay: {} to {session:?}, attempt {attempt}, window {window:?}",
                            flight.0
                        )
                    });
                    self.model.sent(self.now, flight, session, attempt, start_by)?;
                    self.log.count(if attempt == 1 { "sent" } else { "sent again" });
                    if let Some(&deadline) = self.relay.belongings.get(&flight) {
                        let stream = (flight, attempt);
                        let order = Order::Send {
                            stream,
                            start_by,
                            deadline,
                        };
                        // A session that has ended takes nothing more; that it has, the driver is about to hear.
                        if !self.tell(session, order) {
                            self.log.count("sent to a session that has ended");
                            steps.push_back(Step::Unsent(session, stream));
                            self.relay
                                .core
                                .handle_answer(self.now, session, flight, attempt, Answer::Unsent);
                            self.poll_commands(&mut steps);
                        }
                    }
                }
                Command::Cancel {
                    flight,
                    session,
                    start_by,
                } => {
                    self.note(|| format!("relay: cancels {} at {session:?}", flight.0));
                    self.model.cancelled(self.now, flight, session)?;
                    self.log.count("cancelled by the relay");
                    // What is not there any more has no request id.
                    if self.relay.belongings.contains_key(&flight) && self.relay.known.contains(&session) {
                        let id = self.details[&flight].id;
                        self.tell(session, Order::Cancel(id, start_by));
                    }
                }
                Command::Settle {
                    flight, outcome, by, ..
                } => self.settle(flight, outcome, by)?,
                Command::Ping { session } => {
                    self.model.pinged(self.now, session);
                    self.ping(session);
                }
                Command::Opinion { session, opinion } => {
                    self.note(|| format!("relay: {session:?} is {opinion:?}"));
                    let name = match opinion {
                        Opinion::Suspect => "suspect",
                        Opinion::Heard => "heard",
                        Opinion::Ejected => "ejected",
                        Opinion::Back => "back",
                    };
                    self.log.count_of("opinion", name);
                    self.model.opinion(self.now, session, opinion)?;
                }
                Command::Shed(shed) => {
                    self.log.count_of("shed", shed.as_str());
                    self.model.shed(shed);
                }
                Command::HandedOff { realm, reason } => {
                    self.log.count("handed off");
                    self.model.handed_off(self.now, realm.0, reason)?;
                }
                Command::BecameAmbiguous { flight, .. } => {
                    self.note(|| format!("relay: nobody knows whether {} was bound", flight.0));
                    self.model.ambiguous(self.now, flight)?;
                    self.log.count("ambiguous");
                }
            }
        }
        Ok(())
    }

    fn poll_commands(&mut self, steps: &mut VecDeque<Step>) {
        let commands = std::iter::from_fn(|| self.relay.core.poll_command());
        steps.extend(commands.map(Step::CarryOut));
    }

    fn settle(&mut self, flight: FlightId, outcome: Outcome, by: Option<SessionId>) -> Result<(), Broken> {
        self.note(|| format!("relay: {} is settled: {outcome} by {by:?}", flight.0));
        self.model.settled(self.now, flight, outcome, by)?;
        let name = match outcome {
            Outcome::Unavailable(reason) => reason.as_str(),
            other => other.as_str(),
        };
        self.log.count_of("outcome", name);
        self.relay.belongings.remove(&flight);
        if let (Outcome::Verdict(verdict), Some(by)) = (outcome, by) {
            let process = self.process_of[&by];
            // It can answer what it likes; nothing helps but to deny it.
            if self.lies(process) {
                self.log.count("believed a liar");
            } else {
                self.ledger.answered(self.now, flight, verdict, by, process)?;
            }
        }
        Ok(())
    }
}

/// Whether the relay thinks worse of somebody.
fn is_worse(before: &Health, after: &Health) -> bool {
    after.iter().any(|(id, (state, handicap))| {
        let (state_before, handicap_before) = before[id];
        let turned = state_before == AgentState::Ready && *state != AgentState::Ready;
        turned || *handicap > handicap_before * 1.001
    })
}

/// A relay that looks at its timers so late has not been there.
const LATE: Duration = Duration::from_millis(100);
