//! The one task that owns the [`Core`]: brings it events, carries out its commands.
//!
//! It also keeps what the core does not need to know: the sealed sign-ins, who waits for them, and the way to each
//! session. Nothing else touches the core.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use postern_protocol::frame::{DirectoryHealth, MAX_DC_NAME_BYTES};
use postern_protocol::seal::SealingKey;
use postern_protocol::{AgentIdentity, Moment, Outcome, RealmKey, RequestId, Subject, Unavailable};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::Ambiguous;
use crate::core::{
    AgentSession, AgentState, Answer, AttemptNumber, Command, Core, FlightId, Opinion, RealmIndex, RealmRules,
    SessionId, SignIn,
};
use crate::envelope::Envelope;
use crate::keys::KeyDirectory;
use crate::metrics::Metrics;
use crate::sealer::Sealer;

/// Events that wait for the driver. Senders wait when it is full, so a burst slows its sources and costs no memory.
const EVENTS: usize = 4_096;

/// Events taken at a time.
const BATCH: usize = 256;

/// How often gauges are brought up to date and old content keys dropped.
const TICK: Duration = Duration::from_millis(250);

/// Between two lines of the log that tell of refused sign-ins.
const BETWEEN_REFUSALS: Duration = Duration::from_secs(1);

/// Something that has happened, on its way to the core.
#[derive(Debug)]
pub enum Event {
    /// A sign-in has arrived.
    SignIn {
        /// Made by [`SignIns::submit`].
        id: FlightId,
        /// For the core.
        sign_in: SignIn,
        /// For an agent.
        envelope: Arc<Envelope>,
        /// For the caller.
        reply: oneshot::Sender<Settled>,
    },
    /// Its caller has gone.
    CallerGone(FlightId),
    /// The rules of all realms as they are from now on, by index, and who waits until they are in force.
    Rules(Vec<(RealmKey, RealmRules)>, oneshot::Sender<()>),
    /// An agent is in session.
    SessionUp {
        /// Its session.
        id: SessionId,
        /// Who it is.
        agent: AgentIdentity,
        /// For the core.
        session: AgentSession,
        /// Its opening key.
        key: SealingKey,
        /// The way to it. Unbounded, and bounded all the same: the core sends no more than the session's slots, a cancel
        /// for each of these, and a few pings a second.
        commands: mpsc::UnboundedSender<SessionCommand>,
    },
    /// A session has ended.
    SessionDown(SessionId),
    /// Slots or directory of an agent have changed.
    Status {
        /// Whose.
        id: SessionId,
        /// Sign-ins at once.
        slots: u32,
        /// Its directory.
        directory: DirectoryHealth,
    },
    /// An agent takes nothing new.
    Draining(SessionId),
    /// An agent has a new key.
    KeyChange(SessionId, SealingKey),
    /// A sign of life, with the link's round-trip time.
    Heard(SessionId, Duration),
    /// A newer session of the same agent exists.
    Superseded(SessionId),
    /// An agent begins a bind.
    Started(SessionId, FlightId, AttemptNumber),
    /// The answer to a sign-in's bind was lost, at the domain controller of this name.
    LostAt(FlightId, String),
    /// An agent's last word on an attempt.
    Answered(SessionId, FlightId, AttemptNumber, Answer),
}

/// What a session is to do.
#[derive(Debug)]
pub enum SessionCommand {
    /// Send a sign-in.
    Send {
        /// Which.
        flight: FlightId,
        /// The how-manieth time.
        attempt: AttemptNumber,
        /// It.
        envelope: Arc<Envelope>,
        /// The bind must have begun by then.
        start_by: Moment,
        /// Nobody waits for an answer after this.
        deadline: Moment,
        /// The domain controller at which the answer to its bind was lost before.
        avoid_dc: Option<String>,
    },
    /// Tell the agent that an attempt is no longer waited for.
    Cancel {
        /// Of which sign-in.
        request_id: RequestId,
        /// The attempt's own moment by which it must have begun.
        start_by: Moment,
    },
    /// Ask the agent for a sign of life.
    Ping,
    /// Nothing more will be sent: end the session when the last sign-in on it is answered.
    CloseWhenIdle,
}

/// How a sign-in ended.
#[derive(Debug)]
pub struct Settled {
    /// What its caller gets.
    pub outcome: Outcome,
    /// Whose account it is, where an agent looked it up.
    pub subject: Option<Box<Subject>>,
}

/// The way in for sign-ins. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SignIns {
    events: mpsc::Sender<Event>,
    next: Arc<AtomicU64>,
}

/// Tells the driver when the caller goes away before the answer.
struct CallerGuard {
    events: mpsc::Sender<Event>,
    id: Option<FlightId>,
}

impl Drop for CallerGuard {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            // When the driver is that busy the sign-in just runs to its end unheard.
            let _ = self.events.try_send(Event::CallerGone(id));
        }
    }
}

impl SignIns {
    /// Brings a sign-in to its outcome. Dropping the future cancels the sign-in.
    pub async fn submit(&self, sign_in: SignIn, envelope: Envelope) -> Settled {
        let id = FlightId(self.next.fetch_add(1, Ordering::Relaxed));
        let (reply, answer) = oneshot::channel();
        let failed = |reason| Settled {
            outcome: Outcome::Unavailable(reason),
            subject: None,
        };
        let event = Event::SignIn {
            id,
            sign_in,
            envelope: Arc::new(envelope),
            reply,
        };
        if self.events.send(event).await.is_err() {
            return failed(Unavailable::Draining);
        }
        let mut guard = CallerGuard {
            events: self.events.clone(),
            id: Some(id),
        };
        let settled = answer.await;
        guard.id = None;
        // The driver was ended with it in hand: an agent may have had it.
        settled.unwrap_or_else(|_| failed(Unavailable::Indeterminate))
    }
}

/// A sign-in's belongings.
struct Belongings {
    envelope: Arc<Envelope>,
    reply: oneshot::Sender<Settled>,
    realm: RealmIndex,
    deadline: Moment,
    arrived: Moment,
    attempts: u8,
    /// At which domain controller the answer to its bind was lost.
    lost_at: Option<String>,
}

struct SessionEntry {
    agent: AgentIdentity,
    key: SealingKey,
    commands: mpsc::UnboundedSender<SessionCommand>,
}

/// What the driver works with beside the core.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// Relay time.
    pub clock: Clock,
    /// Whose epochs end with sessions and keys.
    pub sealer: Arc<Sealer>,
    /// What callers seal to.
    pub keys: Arc<KeyDirectory>,
    /// What is counted.
    pub metrics: Metrics,
    /// Names of the realms by index, with their policy for the metrics.
    pub realms: Arc<[(RealmKey, Ambiguous)]>,
}

/// The task's state. [`Driver::run`] is the task.
pub struct Driver {
    core: Core,
    events: mpsc::Receiver<Event>,
    around: Surroundings,
    flights: HashMap<FlightId, Belongings>,
    sessions: BTreeMap<SessionId, SessionEntry>,
    /// Sign-ins refused since the log told of some, and when it did.
    refused: u64,
    told: Moment,
}

impl Driver {
    /// A driver and the two ways to it: for sign-ins, and for sessions.
    pub fn new(core: Core, around: Surroundings) -> (Self, SignIns, mpsc::Sender<Event>) {
        let (sender, events) = mpsc::channel(EVENTS);
        let sign_ins = SignIns {
            events: sender.clone(),
            next: Arc::new(AtomicU64::new(0)),
        };
        let driver = Self {
            core,
            events,
            around,
            flights: HashMap::new(),
            sessions: BTreeMap::new(),
            refused: 0,
            told: Moment::default(),
        };
        (driver, sign_ins, sender)
    }

    /// Runs until `stop`, or until nobody is left who could send an event.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut tick_at = tokio::time::Instant::now();
        loop {
            // Not left to the choice below: where events never end, it would never come to it.
            if tokio::time::Instant::now() >= tick_at {
                self.tick();
                tick_at = tokio::time::Instant::now() + TICK;
            }
            let timeout = self.core.next_timeout().map(|at| self.around.clock.instant(at));
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = sleep_until(timeout) => {
                    // What has come already is looked at first: an agent is not silent whose word waits here.
                    for _ in 0..EVENTS {
                        let Ok(event) = self.events.try_recv() else { break };
                        let now = self.around.clock.now();
                        self.handle(now, event);
                        self.carry_out(now);
                    }
                    self.core.handle_timeout(self.around.clock.now());
                }
                taken = self.events.recv_many(&mut batch, BATCH) => {
                    if taken == 0 {
                        break;
                    }
                    let now = self.around.clock.now();
                    for event in batch.drain(..) {
                        self.handle(now, event);
                        self.carry_out(now);
                    }
                }
                () = tokio::time::sleep_until(tick_at) => {}
            }
            self.carry_out(self.around.clock.now());
        }
    }

    fn handle(&mut self, now: Moment, event: Event) {
        match event {
            Event::SignIn {
                id,
                sign_in,
                envelope,
                reply,
            } => {
                let (realm, deadline) = (sign_in.realm, sign_in.deadline);
                let belongings = Belongings {
                    envelope,
                    reply,
                    realm,
                    deadline,
                    arrived: now,
                    attempts: 0,
                    lost_at: None,
                };
                self.flights.insert(id, belongings);
                self.core.handle_sign_in(now, id, sign_in);
            }
            Event::CallerGone(id) => self.core.handle_caller_gone(id),
            Event::Rules(realms, in_force) => {
                self.around.realms = realms
                    .iter()
                    .map(|(key, rules)| (key.clone(), rules.ambiguous))
                    .collect();
                self.core.handle_rules(realms.into_iter().map(|(_, rules)| rules));
                let _ = in_force.send(());
            }
            Event::SessionUp {
                id,
                agent,
                session,
                key,
                commands,
            } => {
                self.around.keys.set(&agent.realm, id, key.clone());
                self.sessions.insert(id, SessionEntry { agent, key, commands });
                self.core.handle_session_up(now, id, session);
            }
            Event::SessionDown(id) => {
                if let Some(entry) = self.sessions.remove(&id) {
                    self.around.keys.remove(&entry.agent.realm, id);
                    self.around.sealer.end_epoch(&entry.agent.realm);
                    self.around.metrics.forget_agent(&entry.agent);
                }
                self.core.handle_session_down(now, id);
            }
            Event::Status { id, slots, directory } => {
                self.core
                    .handle_status(now, id, slots, directory == DirectoryHealth::Ready);
            }
            Event::Draining(id) => {
                self.core.handle_draining(now, id);
                // After everything that was sent to it, and nothing follows.
                self.tell(id, SessionCommand::CloseWhenIdle);
            }
            Event::KeyChange(id, key) => {
                let kid = key.kid().to_owned();
                if let Some(entry) = self.sessions.get_mut(&id) {
                    entry.key = key;
                    self.around.keys.set(&entry.agent.realm, id, entry.key.clone());
                    self.around.sealer.end_epoch(&entry.agent.realm);
                }
                self.core.handle_key_change(now, id, kid);
            }
            Event::Heard(id, rtt) => self.core.handle_heard(now, id, rtt),
            Event::Superseded(id) => self.core.handle_superseded(now, id),
            Event::Started(id, flight, attempt) => self.core.handle_started(now, id, flight, attempt),
            Event::LostAt(flight, dc) => {
                if let Some(belongings) = self.flights.get_mut(&flight)
                    && dc.len() <= MAX_DC_NAME_BYTES
                {
                    belongings.lost_at = Some(dc);
                }
            }
            Event::Answered(id, flight, attempt, answer) => self.core.handle_answer(now, id, flight, attempt, answer),
        }
    }

    fn carry_out(&mut self, now: Moment) {
        while let Some(command) = self.core.poll_command() {
            match command {
                Command::Send {
                    flight,
                    session,
                    attempt,
                    start_by,
                } => {
                    let Some(belongings) = self.flights.get_mut(&flight) else {
                        continue;
                    };
                    if belongings.attempts == 0 {
                        self.around
                            .metrics
                            .queue_wait
                            .observe(now.since(belongings.arrived).as_secs_f64());
                    }
                    belongings.attempts = attempt;
                    let (envelope, deadline) = (belongings.envelope.clone(), belongings.deadline);
                    let send = SessionCommand::Send {
                        flight,
                        attempt,
                        envelope,
                        start_by,
                        deadline,
                        avoid_dc: belongings.lost_at.clone(),
                    };
                    if !self.tell(session, send) {
                        // Never sent, so never bound: another agent may have it.
                        self.core.handle_answer(now, session, flight, attempt, Answer::Unsent);
                    }
                }
                Command::Cancel {
                    flight,
                    session,
                    start_by,
                } => {
                    if let Some(belongings) = self.flights.get(&flight) {
                        let request_id = belongings.envelope.request_id;
                        self.tell(session, SessionCommand::Cancel { request_id, start_by });
                    }
                }
                Command::Ping { session } => {
                    self.tell(session, SessionCommand::Ping);
                }
                Command::Opinion { session, opinion } => self.note_opinion(session, opinion),
                Command::Shed(shed) => self.around.metrics.shed.with_label_values(&[shed.as_str()]).inc(),
                Command::Settle {
                    flight,
                    outcome,
                    by,
                    subject,
                } => self.settle(now, flight, by, Settled { outcome, subject }),
                Command::HandedOff { realm, reason } => {
                    let (key, _) = &self.around.realms[realm.0];
                    let labels = [key.tenant.as_str(), key.realm.as_str(), reason.as_str()];
                    self.around.metrics.handoffs.with_label_values(&labels).inc();
                }
                Command::BecameAmbiguous { realm, started, .. } => {
                    let (key, policy) = &self.around.realms[realm.0];
                    let phase = if started { "started" } else { "sent" };
                    let labels = [key.tenant.as_str(), key.realm.as_str(), policy.as_str(), phase];
                    self.around.metrics.ambiguous.with_label_values(&labels).inc();
                }
            }
        }
    }

    fn settle(&mut self, now: Moment, flight: FlightId, by: Option<SessionId>, settled: Settled) {
        let Some(belongings) = self.flights.remove(&flight) else {
            return;
        };
        let agent = by
            .and_then(|id| self.sessions.get(&id))
            .map(|entry| entry.agent.clone());
        let (realm, _) = &self.around.realms[belongings.realm.0];
        // The line that an operator looks for with a request id in hand. Never the user name.
        let (request_id, outcome) = (belongings.envelope.request_id, settled.outcome);
        let (attempts, ms) = (belongings.attempts, now.since(belongings.arrived).as_millis());
        let agent = agent.as_ref().map(|agent| agent.name.as_str());
        if outcome == Outcome::Unavailable(Unavailable::Overloaded) && attempts == 0 {
            // Thousands a second where there is too much to do, which a line for each would not make less.
            self.refused += 1;
            tracing::debug!(%request_id, %realm, %outcome, ms, "refused");
        } else if let Outcome::Unavailable(_) = outcome {
            tracing::warn!(%request_id, %realm, %outcome, agent, attempts, ms, "no verdict");
        } else {
            tracing::info!(%request_id, %realm, %outcome, agent, attempts, ms, "settled");
        }
        // The caller may have gone.
        let _ = belongings.reply.send(settled);
    }

    /// A few lines for an agent in trouble, not one for each sign-in.
    fn note_opinion(&self, session: SessionId, opinion: Opinion) {
        let Some(SessionEntry { agent, .. }) = self.sessions.get(&session) else {
            return;
        };
        match opinion {
            Opinion::Suspect => tracing::warn!(%agent, "the agent is silent; it gets nothing until it is heard"),
            Opinion::Heard => tracing::info!(%agent, "the agent is heard again"),
            Opinion::Ejected => tracing::warn!(
                %agent, "the agent failed the sign-ins of three users in a row, or a probe; it gets nothing for a while"
            ),
            Opinion::Back => tracing::info!(%agent, "the agent gave a verdict again and gets sign-ins as before"),
        }
    }

    /// Hands a command to a session. `false` if it takes none any more: it is just ending, and reports its end by itself.
    fn tell(&self, session: SessionId, command: SessionCommand) -> bool {
        let entry = self.sessions.get(&session);
        entry.is_some_and(|entry| entry.commands.send(command).is_ok())
    }

    fn tick(&mut self) {
        let now = self.around.clock.now();
        if self.refused > 0 && now.since(self.told) >= BETWEEN_REFUSALS {
            tracing::warn!(
                count = self.refused,
                "sign-ins were refused: more than the agents can serve in time"
            );
            (self.refused, self.told) = (0, now);
        }
        self.around.sealer.sweep(now);
        let metrics = &self.around.metrics;
        for (index, (key, _)) in self.around.realms.iter().enumerate() {
            let realm = RealmIndex(index);
            let labels = [key.tenant.as_str(), key.realm.as_str()];
            let queued = i64::try_from(self.core.queued(realm)).unwrap_or(i64::MAX);
            metrics.queue_depth.with_label_values(&labels).set(queued);
            let mut states = BTreeMap::from(AgentState::ALL.map(|state| (state, 0)));
            let mut inflight = BTreeMap::<&str, i64>::new();
            for (id, agent) in self.core.sessions(realm) {
                *states.entry(agent.state()).or_default() += 1;
                if let Some(entry) = self.sessions.get(&id) {
                    *inflight.entry(entry.agent.name.as_str()).or_default() += i64::from(agent.outstanding());
                }
            }
            for (state, count) in states {
                metrics
                    .agents
                    .with_label_values(&[labels[0], labels[1], state.as_str()])
                    .set(count);
            }
            for (agent, count) in inflight {
                metrics
                    .agent_inflight
                    .with_label_values(&[labels[0], labels[1], agent])
                    .set(count);
            }
        }
    }
}

async fn sleep_until(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
