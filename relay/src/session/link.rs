//! One session of an agent, from `Hello` to its end.
//!
//! The session's own task owns everything in it: the control stream's two halves, the streams of its sign-ins, its
//! place in the registry. When the task ends, all of that is gone, and the core has been told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use postern_protocol::close::CloseCode;
use postern_protocol::connection::{Connection, ReceiveStream, SendStream};
use postern_protocol::frame::{
    Cancel, Control, DirectoryHealth, GoAway, MAX_CONTROL_BYTES, MINOR_OF_ALTERNATE_ID, Ping, Pong, Request,
};
use postern_protocol::identity::{CertificateFacts, Identity};
use postern_protocol::seal::SealingKey;
use postern_protocol::wire::{WireError, read_frame};
use postern_protocol::{AgentIdentity, NotStarted, TrustDomain};
use postern_service::shutdown::Shutdown;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::entry::{Admitted, Entry, Refusal};
use super::greeting::{Greeted, check_slots, greet};
use super::registry::{Predecessor, Registry};
use super::sign_in::{StreamEnd, exchange};
use crate::clock::{Clock, unix_ms};
use crate::config::Rate;
use crate::core::{AgentSession, Answer, SessionId};
use crate::driver::{Event, SessionCommand};
use crate::limits::Bucket;
use crate::metrics::Metrics;

/// How long an older session of the same agent may take to show that it lives.
const PROBE_TIMEOUT: Duration = Duration::from_millis(500);

/// How often it is looked whether the agent's certificate has ended, at least, by the wall clock: one long sleep would
/// miss a clock that is set.
const CERTIFICATE_CHECK: Duration = Duration::from_secs(10);

/// Control frames that wait to be written. An agent that does not read them is closed, not waited for.
const CONTROL_QUEUE: usize = 256;

/// Control frames of a session: a few pings and a `Status` or two each second, and room for more.
const CONTROL_FRAMES: Rate = Rate {
    per_second: 100.0,
    burst: 400.0,
};

/// What all sessions share.
#[derive(Debug)]
pub struct LinkContext {
    /// The trust domain of certificates.
    pub trust_domain: TrustDomain,
    /// Relay time.
    pub clock: Clock,
    /// Random, new with every start of the process.
    pub instance: [u8; 16],
    /// The software's version.
    pub version: &'static str,
    /// Who is in session.
    pub registry: Registry,
    /// Who may be, as it stands.
    pub entry: watch::Receiver<Arc<Entry>>,
    /// The driver.
    pub events: mpsc::Sender<Event>,
    /// What is counted.
    pub metrics: Metrics,
    /// The process's end.
    pub shutdown: Shutdown,
    /// All sign-ins are settled: tell agents to go.
    pub goodbye: tokio_util::sync::CancellationToken,
}

/// Why a session ends, for the other side and for the log.
pub(super) struct End {
    code: CloseCode,
    reason: String,
}

impl End {
    pub(super) fn new(code: CloseCode, reason: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.into(),
        }
    }
}

impl From<Refusal> for End {
    fn from((code, reason): Refusal) -> Self {
        Self { code, reason }
    }
}

/// Serves one connection whose certificate has been verified, until it ends.
pub async fn serve(connection: Connection, facts: CertificateFacts, context: Arc<LinkContext>) {
    let Identity::Agent(agent) = facts.identity.clone() else {
        return;
    };
    let address = connection.remote_address();
    let end = match greet(&connection, &agent, &facts, &context).await {
        Ok(greeted) => {
            let links = context
                .metrics
                .links
                .with_label_values(&[connection.transport().as_str()]);
            links.inc();
            let id = greeted.admission.id;
            let end = Link::run(connection.clone(), agent.clone(), facts, greeted, context.clone()).await;
            // The driver outlives every session.
            let _ = context.events.send(Event::SessionDown(id)).await;
            context.registry.remove(&agent, id);
            links.dec();
            context
                .metrics
                .duplicate_agents
                .set(i64::try_from(context.registry.duplicates()).unwrap_or(i64::MAX));
            tracing::info!(%agent, %address, reason = end.reason, "session ended");
            end
        }
        Err(end) => {
            match end.code {
                CloseCode::Done => tracing::info!(%agent, %address, "looked at by the agent's check"),
                _ => tracing::info!(%agent, %address, reason = end.reason, "session refused"),
            }
            end
        }
    };
    connection.close(end.code, &end.reason);
    connection.gone().await;
}

/// A session in work.
struct Link {
    id: SessionId,
    agent: AgentIdentity,
    facts: CertificateFacts,
    connection: Connection,
    context: Arc<LinkContext>,
    control: mpsc::Sender<Control>,
    heard: Arc<AtomicBool>,
    keys: watch::Receiver<Keys>,
    /// Whether the agent knows what an alternate id is.
    looks_up: bool,
}

/// The agent's opening key, and the one before it.
#[derive(Debug, Clone)]
struct Keys {
    current: SealingKey,
    previous: Option<SealingKey>,
}

impl Link {
    async fn run(
        connection: Connection,
        agent: AgentIdentity,
        facts: CertificateFacts,
        greeted: Greeted,
        context: Arc<LinkContext>,
    ) -> End {
        let Greeted {
            hello,
            key,
            realm,
            mut admitted,
            admission,
            send,
            receive,
        } = greeted;
        let address = connection.remote_address();
        tracing::info!(
            %agent, %address, transport = %connection.transport(), version = hello.software, slots = hello.slots, session = admission.id.0, "agent in session"
        );
        let (control, control_queue) = mpsc::channel(CONTROL_QUEUE);
        let (commands, mut command_queue) = mpsc::unbounded_channel();
        let (key_sender, keys) = watch::channel(Keys {
            current: key.clone(),
            previous: None,
        });
        let heard = Arc::new(AtomicBool::new(false));
        let link = Self {
            id: admission.id,
            agent,
            facts,
            connection,
            context,
            control,
            heard,
            keys,
            looks_up: hello.minor >= MINOR_OF_ALTERNATE_ID,
        };

        let session = AgentSession {
            realm,
            name: link.agent.name.as_str().into(),
            slots: hello.slots,
            directory_ready: hello.directory == DirectoryHealth::Ready,
            kid: key.kid().to_owned(),
            rtt: link.connection.rtt(),
        };
        let up = Event::SessionUp {
            id: link.id,
            agent: link.agent.clone(),
            session,
            key,
            commands,
        };
        if link.context.events.send(up).await.is_err() {
            return End::new(CloseCode::Stopping, "the relay is stopping");
        }
        link.announce_to(admission.predecessors, address).await;
        if let Some(older) = admission.takes_over {
            // Not before the new one can have what the old one does not get any more.
            let _ = link.context.events.send(Event::Draining(older)).await;
        }

        // Each of these runs for as long as the session; the first to end ends it.
        let mut streams = JoinSet::new();
        let end = tokio::select! {
            biased;
            end = link.outside_events(&admission.probe, &mut admitted) => end,
            end = link.read(receive, key_sender) => end,
            end = write(send, control_queue) => end,
            end = link.carry_out(&mut command_queue, &mut streams) => end,
        };
        // Nothing can be put in any more, or it would be neither sent nor given back.
        command_queue.close();
        link.give_back(&mut command_queue).await;
        if link.connection.close_reason().is_some() {
            // Verdicts that came before the close are still verdicts. Nothing waits for the network any more.
            while streams.join_next().await.is_some() {}
        }
        end
    }

    /// Tells sessions of the same agent that were there before to show that they live.
    async fn announce_to(&self, predecessors: Vec<Predecessor>, address: SocketAddr) {
        for predecessor in predecessors {
            tracing::info!(
                agent = %self.agent, %address, before = %predecessor.address, "the agent has an older session; probing it"
            );
            let _ = self.context.events.send(Event::Superseded(predecessor.id)).await;
            predecessor.probe.notify_one();
        }
    }

    /// What ends a session from outside: its certificate's end, a changed configuration, a successor, the process's end.
    async fn outside_events(&self, probe: &tokio::sync::Notify, admitted: &mut Admitted) -> End {
        // Of a receiver that has seen nothing yet: a change between the greeting and here counts.
        let mut entry = self.context.entry.clone();
        let mut certificate = std::pin::pin!(sleep(Duration::ZERO));
        let mut probed: Option<Instant> = None;
        loop {
            tokio::select! {
                biased;
                () = self.context.shutdown.stop.cancelled() => return End::new(CloseCode::Stopping, "the relay is stopping"),
                error = self.connection.closed() => return End::new(CloseCode::Done, error.to_string()),
                () = self.context.goodbye.cancelled() => {
                    let reason = "the relay is draining".to_owned();
                    let _ = self.control.try_send(Control::GoAway(GoAway { reason }));
                    // The frame needs a moment on the wire before the close overtakes it.
                    sleep(Duration::from_millis(50)).await;
                    return End::new(CloseCode::Done, "the relay has drained");
                }
                changed = entry.changed() => {
                    if changed.is_err() {
                        return End::new(CloseCode::Stopping, "the relay is stopping");
                    }
                    let entry = entry.borrow_and_update().clone();
                    if let Err(refusal) = entry.readmit(&self.agent, &self.facts, admitted) {
                        return refusal.into();
                    }
                }
                () = certificate.as_mut() => {
                    let now = i64::try_from(unix_ms() / 1000).unwrap_or(i64::MAX);
                    let left = self.facts.not_after.saturating_sub(now);
                    let Ok(left) = u64::try_from(left) else {
                        let reason = "the agent's certificate has expired; renew it";
                        return End::new(CloseCode::CertificateExpired, reason);
                    };
                    let again = Duration::from_secs(left.saturating_add(1)).min(CERTIFICATE_CHECK);
                    certificate.as_mut().reset(Instant::now() + again);
                }
                () = sleep_until(probed.unwrap_or_else(Instant::now)), if probed.is_some() => {
                    probed = None;
                    if let Some(end) = self.judge_probe() {
                        return end;
                    }
                }
                () = probe.notified(), if probed.is_none() => {
                    self.heard.store(false, Ordering::Relaxed);
                    let _ = self.control.try_send(Control::Ping(Ping { number: u64::MAX }));
                    probed = Some(Instant::now() + PROBE_TIMEOUT);
                }
            }
        }
    }

    /// Another session of the same agent was tried. Either this one is dead, or two machines share a certificate.
    fn judge_probe(&self) -> Option<End> {
        if !self.heard.load(Ordering::Relaxed) {
            let reason = "a newer session of this agent has replaced this one";
            return Some(End::new(CloseCode::Superseded, reason));
        }
        let duplicates = self.context.registry.duplicates();
        self.context
            .metrics
            .duplicate_agents
            .set(i64::try_from(duplicates).unwrap_or(i64::MAX));
        if duplicates > 0 {
            tracing::warn!(
                agent = %self.agent, address = %self.connection.remote_address(),
                "two processes are in session with the certificate of one agent, this one and a newer one; \
                 give each agent a certificate of its own"
            );
        }
        None
    }

    /// Reads control frames. One task drives all tenants' sign-ins, so an agent that floods it loses its session.
    async fn read(&self, mut receive: ReceiveStream, keys: watch::Sender<Keys>) -> End {
        let mut allowance = Bucket::full(CONTROL_FRAMES, self.context.clock.now());
        loop {
            let frame = match read_frame(&mut receive, MAX_CONTROL_BYTES, Control::decode).await {
                Ok(frame) => frame,
                Err(error) if error.is_violation() => return End::new(CloseCode::Protocol, error.to_string()),
                // It has nothing more to say, and may still have sign-ins to answer.
                Err(WireError::End) => {
                    let _ = self.context.events.send(Event::Draining(self.id)).await;
                    return std::future::pending().await;
                }
                // Its connection is lost; `outside_events` knows why.
                Err(_) => return std::future::pending().await,
            };
            if allowance.take(self.context.clock.now(), CONTROL_FRAMES).is_err() {
                return End::new(CloseCode::Protocol, "too many control frames");
            }
            let event = match frame {
                Control::Ping(Ping { number }) => {
                    let pong = Control::Pong(Pong {
                        number,
                        time: self.context.clock.now(),
                    });
                    if self.control.send(pong).await.is_err() {
                        return End::new(CloseCode::Stopping, "the control stream's writer has ended");
                    }
                    Event::Heard(self.id, self.connection.rtt())
                }
                Control::Pong(_) => {
                    self.heard.store(true, Ordering::Relaxed);
                    Event::Heard(self.id, self.connection.rtt())
                }
                Control::Status(status) => {
                    if let Err(end) = check_slots(status.slots) {
                        return end;
                    }
                    Event::Status {
                        id: self.id,
                        slots: status.slots,
                        directory: status.directory,
                    }
                }
                Control::Draining(_) => {
                    tracing::info!(agent = %self.agent, "agent is draining");
                    Event::Draining(self.id)
                }
                Control::KeyChange(change) => match SealingKey::from_der(&change.opening_key) {
                    Ok(key) => {
                        keys.send_modify(|keys| {
                            keys.previous = Some(std::mem::replace(&mut keys.current, key.clone()));
                        });
                        Event::KeyChange(self.id, key)
                    }
                    Err(error) => return End::new(CloseCode::Protocol, format!("KeyChange: {error}")),
                },
                Control::Unknown(_) => Event::Heard(self.id, self.connection.rtt()),
                Control::Hello(_)
                | Control::Welcome(_)
                | Control::Cancel(_)
                | Control::GoAway(_)
                | Control::Probe(_)
                | Control::Probed(_) => {
                    return End::new(CloseCode::Protocol, "a control frame that an agent does not send here");
                }
            };
            if self.context.events.send(event).await.is_err() {
                return End::new(CloseCode::Stopping, "the relay is stopping");
            }
        }
    }

    /// The request, if the agent will not take an alternate id for a name to be bound.
    fn understood(&self, request: Request) -> Result<Request, NotStarted> {
        if !request.alternate_id || self.looks_up {
            return Ok(request);
        }
        tracing::warn!(
            request_id = %request.request_id, agent = %self.agent,
            "the agent is too old to look alternate ids up; update it",
        );
        Err(NotStarted::NoLookUp)
    }

    /// What was never written made no bind: another agent may have it at once. Of a closed queue, which ends when the last
    /// that was let in has been taken out.
    async fn give_back(&self, commands: &mut mpsc::UnboundedReceiver<SessionCommand>) {
        while let Some(command) = commands.recv().await {
            if let SessionCommand::Send { flight, attempt, .. } = command {
                let _ = self
                    .context
                    .events
                    .send(Event::Answered(self.id, flight, attempt, Answer::Unsent))
                    .await;
            }
        }
    }

    async fn carry_out(
        &self,
        commands: &mut mpsc::UnboundedReceiver<SessionCommand>,
        streams: &mut JoinSet<Option<WireError>>,
    ) -> End {
        let mut close_when_idle = false;
        let mut pings = 0;
        loop {
            if close_when_idle && streams.is_empty() {
                return End::new(CloseCode::Done, "the agent has drained");
            }
            tokio::select! {
                biased;
                Some(ended) = streams.join_next(), if !streams.is_empty() => {
                    if let Ok(Some(violation)) = ended {
                        return End::new(CloseCode::Protocol, violation.to_string());
                    }
                }
                command = commands.recv() => match command {
                    Some(SessionCommand::Send { flight, attempt, envelope, start_by, deadline, avoid_dc }) => {
                        let keys = self.keys.borrow().clone();
                        let request = envelope
                            .request_for(&keys.current, keys.previous.as_ref(), start_by)
                            .map(|request| Request { avoid_dc, ..request })
                            .map_err(|_| NotStarted::NoKey)
                            .and_then(|request| self.understood(request));
                        let (connection, events, id) = (self.connection.clone(), self.context.events.clone(), self.id);
                        let deadline = self.context.clock.instant(deadline);
                        streams.spawn(async move {
                            let started = async || {
                                let _ = events.send(Event::Started(id, flight, attempt)).await;
                            };
                            let end = match request {
                                Ok(request) => exchange(&connection, &request, deadline, started).await,
                                Err(reason) => StreamEnd::Answer(Answer::NotStarted(reason)),
                            };
                            match end {
                                StreamEnd::Answer(answer) => {
                                    let _ = events.send(Event::Answered(id, flight, attempt, answer)).await;
                                    None
                                }
                                StreamEnd::LostAt(dc) => {
                                    let _ = events.send(Event::LostAt(flight, dc)).await;
                                    let _ = events.send(Event::Answered(id, flight, attempt, Answer::Lost)).await;
                                    None
                                }
                                // The session ends, and with it everything that was sent to it becomes unknown.
                                StreamEnd::Violation(error) => Some(error),
                            }
                        });
                    }
                    Some(SessionCommand::Cancel { request_id, start_by }) => {
                        let cancel = Control::Cancel(Cancel {
                            request_id,
                            start_by: Some(start_by),
                        });
                        if self.control.try_send(cancel).is_err() {
                            return End::new(CloseCode::Silent, "the agent does not read its control stream");
                        }
                    }
                    Some(SessionCommand::Ping) => {
                        let number = pings;
                        pings += 1;
                        // A full queue means that the agent reads nothing; its silence is looked at anyway.
                        let _ = self.control.try_send(Control::Ping(Ping { number }));
                    }
                    Some(SessionCommand::CloseWhenIdle) => close_when_idle = true,
                    None => return End::new(CloseCode::Stopping, "the relay is stopping"),
                },
            }
        }
    }
}

async fn write(mut send: SendStream, mut queue: mpsc::Receiver<Control>) -> End {
    let mut bytes = Vec::new();
    while let Some(frame) = queue.recv().await {
        bytes.clear();
        postern_protocol::wire::push_frame(&mut bytes, &frame.encode());
        // What else waits goes out in the same packet.
        while let Ok(frame) = queue.try_recv() {
            postern_protocol::wire::push_frame(&mut bytes, &frame.encode());
        }
        if send.write_all(&bytes).await.is_err() {
            // Its connection is lost, or the agent stopped reading; the connection's end tells why.
            return std::future::pending().await;
        }
    }
    End::new(CloseCode::Stopping, "the relay is stopping")
}
