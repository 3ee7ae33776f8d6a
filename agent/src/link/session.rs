//! One session with one relay: greeting, control stream, sign-ins, end.
//!
//! The session owns its sign-ins' tasks. Its own parts (reading and writing the control stream, keeping time, telling
//! what changes, accepting sign-ins, draining) run side by side in one task; the first that ends, ends the session.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use postern_protocol::close::CloseCode;
use postern_protocol::connection::{Connection, Ended, ReceiveStream, SendStream};
use postern_protocol::frame::{
    Control, DirectoryHealth, Draining, Hello, KeyChange, MAJOR, MAX_CONTROL_BYTES, MINOR, Status, Welcome,
};
use postern_protocol::seal::OpeningKey;
use postern_protocol::wire::{WireError, read_frame, write_frame};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Context;
use super::board::Joined;
use super::dial::{Credentials, Dialer, Dialled, Spot};
use super::explain::{Trouble, TroubleKind};
use super::reach::Present;
use crate::clock::Clock;
use crate::core::fence::Fence;
use crate::core::slots::slots;
use crate::directory::Capacity;
use crate::unwrapping::KeyMemory;

mod pings;

use pings::Pings;

/// From the handshake's end to `Welcome`. A relay has it at hand; five seconds are a relay that hangs.
pub(super) const WELCOME_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a drained session waits for the relay to close it. The relay does so when its own part is done; it knows
/// best what it still expects.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// At most one `Status` in this time: connections open one after another, and the relay need not see each.
const STATUS_REST: Duration = Duration::from_millis(50);

/// Control frames that may wait to be written. More means that the relay does not read.
const OUTGOING: usize = 256;

/// Other replicas that a relay may tell of. Far above any cell; a bound on what a relay can make an agent dial.
const MOST_REPLICAS: usize = 64;

/// What sign-ins need to know of their session.
#[derive(Debug)]
pub(crate) struct Session {
    /// The relay's address, for logs.
    pub(crate) relay: String,
    pub(crate) memory: KeyMemory,
    clock: Clock,
    connection: Connection,
    fence: Mutex<Fence>,
}

impl Session {
    /// The gate before this session's binds. It knows whether the connection is lost.
    pub(crate) fn fence(&self) -> MutexGuard<'_, Fence> {
        // Whole after every call, so a panic elsewhere cannot have left it half-written.
        let mut fence = self.fence.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_over() {
            fence.end();
        }
        fence
    }

    /// Whether the connection has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.connection.close_reason().is_some()
    }

    /// The relay broke the protocol in `place`: the session ends.
    pub(crate) fn violated(&self, place: &str, error: &WireError) {
        let text = format!("{place}: {error}");
        if !self.is_over() {
            tracing::warn!(relay = %self.relay, problem = %text, "the relay broke the protocol; closing the session");
        }
        self.connection.close(CloseCode::Protocol, &text);
    }
}

/// Whose place a session takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nobody's.
    New,
    /// That of a session of ours with the same relay, over another carrier or with another certificate.
    OfOurOwn,
}

/// A session whose greeting is done.
pub(crate) struct Established {
    context: Arc<Context>,
    session: Arc<Session>,
    credentials: Arc<Credentials>,
    welcome: Welcome,
    relay_not_after: i64,
    control: (SendStream, ReceiveStream),
    keys: watch::Receiver<OpeningKey>,
    capacity: watch::Receiver<Capacity>,
    told: Status,
    joined: Joined,
    go_away: CancellationToken,
    draining: AtomicBool,
    sign_ins: TaskTracker,
}

impl Established {
    /// Opens the control stream and exchanges `Hello` and `Welcome`.
    pub(super) async fn greet(
        context: Arc<Context>,
        spot: &Spot,
        dialled: Dialled,
        place: Place,
    ) -> Result<Self, Trouble> {
        let connection = dialled.connection;
        let relay = spot.to_string();
        // Subscribed before they are told, so that no change falls between.
        let mut keys = context.agent.keys.current();
        let mut capacity = context.agent.directory.capacity();
        let now_sessions = context.board.sessions().borrow().len();
        let told = status(*capacity.borrow_and_update(), (0, small(now_sessions) + 1));
        let hello = Hello {
            major: MAJOR,
            minor: MINOR,
            software: env!("CARGO_PKG_VERSION").to_owned(),
            instance: context.instance,
            opening_key: keys.borrow_and_update().public_der().to_vec(),
            slots: told.slots,
            directory: told.directory,
            takes_over: place == Place::OfOurOwn,
        };
        let greeting = timeout(WELCOME_TIMEOUT, exchange(&connection, hello)).await;
        let (control, welcome) = match greeting {
            Ok(Ok(greeted)) => greeted,
            Ok(Err(GreetError::Wire(error))) => return Err(greeting_failed(&context.dialer, &connection, &error).await),
            Ok(Err(GreetError::Other(trouble, code))) => {
                connection.close(code, &trouble.text);
                return Err(trouble);
            }
            Err(_) => {
                let text = "the relay did not answer Hello within five seconds";
                connection.close(CloseCode::Silent, text);
                return Err(Trouble::new(TroubleKind::Silent, text.to_owned()));
            }
        };
        let replicas = welcome
            .replicas
            .iter()
            .take(MOST_REPLICAS)
            .filter_map(|text| text.parse().ok())
            .collect();
        let transport = connection.transport();
        let Some(joined) = context.board.join(spot, welcome.instance, replicas, (transport, place)) else {
            let text = "there is a session with this relay process already, under another address";
            connection.close(CloseCode::Superseded, text);
            return Err(Trouble::new(TroubleKind::Duplicate, text.to_owned()));
        };
        tracing::info!(
            relay, name = %dialled.relay, %transport, software = %welcome.software, local = connection.local_ip().map(tracing::field::display),
            "session with a relay",
        );
        let clock = context.agent.clock.clone();
        let session = Arc::new(Session {
            relay,
            memory: KeyMemory::default(),
            connection,
            fence: Mutex::new(Fence::new(clock.now())),
            clock,
        });
        Ok(Self {
            context,
            session,
            credentials: dialled.credentials,
            welcome,
            relay_not_after: dialled.not_after,
            control,
            keys,
            capacity,
            told,
            joined,
            go_away: CancellationToken::new(),
            draining: AtomicBool::new(false),
            sign_ins: TaskTracker::new(),
        })
    }

    /// What is to be known of it while it runs.
    pub(super) fn present(&self) -> Present {
        Present {
            connection: self.session.connection.clone(),
            credentials: self.credentials.clone(),
            over: self.go_away.clone(),
        }
    }

    /// Serves until the session ends and the board knows why; then waits for what was bound.
    pub(super) async fn run(self) {
        let Self {
            context,
            session,
            credentials: _,
            welcome,
            relay_not_after,
            control: (send, recv),
            keys,
            capacity,
            told,
            joined,
            go_away,
            draining,
            sign_ins,
        } = self;
        let (outgoing, to_write) = mpsc::channel(OUTGOING);
        let pings = Pings::new(&welcome, session.clone(), outgoing.clone(), relay_not_after);
        let parts = Parts {
            context: &context,
            session: &session,
            joined: &joined,
            go_away: &go_away,
            draining: &draining,
            sign_ins: &sign_ins,
            outgoing: &outgoing,
            pings: &pings,
        };
        tokio::select! {
            biased;
            () = context.shutdown.stop.cancelled() => {
                session.connection.close(CloseCode::Stopping, "the agent stops");
            }
            // Boxed: the futures of quinn's streams are big, and this is one of a session's few allocations.
            () = Box::pin(parts.read_control(recv)) => {}
            () = Box::pin(write_control(send, to_write)) => {}
            () = parts.pings.keep() => {}
            () = parts.tell_changes(keys, capacity, told) => {}
            () = parts.accept_sign_ins() => {}
            () = parts.drain() => {}
        }
        // Whichever part ended, the connection tells why, or is closed here.
        session.connection.close(CloseCode::Done, "");
        let trouble = match session.connection.close_reason() {
            Some(Ended::TimedOut) => Trouble::new(
                TroubleKind::Silent,
                "nothing came from the relay for three seconds; it, its machine or the network is gone".to_owned(),
            ),
            Some(error) => context.dialer.explain(&error),
            None => Trouble::new(TroubleKind::Ended, "closed by this agent".to_owned()),
        };
        session.connection.gone().await;
        drop(joined);
        context.board.ended(&session.relay, &trouble);
        go_away.cancel();
        // Binds take up to their timeout, and the relay is dialled again meanwhile. They are waited for, since each
        // answered one leaves its connection to the directory of use.
        sign_ins.close();
        sign_ins.wait().await;
    }
}

/// Why greeting failed.
enum GreetError {
    Wire(WireError),
    Other(Trouble, CloseCode),
}

impl From<WireError> for GreetError {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

async fn exchange(connection: &Connection, hello: Hello) -> Result<((SendStream, ReceiveStream), Welcome), GreetError> {
    let (mut send, mut recv) = connection
        .open_bi()
        .await
        .map_err(|error| WireError::Lost(error.to_string()))?;
    write_frame(&mut send, &Control::Hello(hello).encode()).await?;
    let welcome = match read_frame(&mut recv, MAX_CONTROL_BYTES, Control::decode).await? {
        Control::Welcome(welcome) => welcome,
        _ => {
            let text = "the relay's first frame is not Welcome".to_owned();
            return Err(GreetError::Other(
                Trouble::new(TroubleKind::Protocol, text),
                CloseCode::Protocol,
            ));
        }
    };
    if welcome.major != MAJOR {
        let text = format!(
            "the agent speaks version {MAJOR}.{MINOR}, the relay {}.{}; update the older of the two",
            welcome.major, welcome.minor
        );
        return Err(GreetError::Other(
            Trouble::new(TroubleKind::Version, text),
            CloseCode::Version,
        ));
    }
    Ok(((send, recv), welcome))
}

/// The stream broke during the greeting: the connection's end, which may follow it, says why.
pub(super) async fn greeting_failed(dialer: &Dialer, connection: &Connection, error: &WireError) -> Trouble {
    if error.is_violation() {
        connection.close(CloseCode::Protocol, &error.to_string());
        return Trouble::new(TroubleKind::Protocol, format!("the relay's greeting: {error}"));
    }
    match timeout(Duration::from_secs(1), connection.closed()).await {
        Ok(end) => dialer.explain(&end),
        Err(_) => {
            connection.close(CloseCode::Protocol, "no greeting");
            Trouble::new(TroubleKind::Protocol, format!("the relay's greeting: {error}"))
        }
    }
}

/// What the parts of a running session share.
struct Parts<'a> {
    context: &'a Arc<Context>,
    session: &'a Arc<Session>,
    joined: &'a Joined,
    go_away: &'a CancellationToken,
    draining: &'a AtomicBool,
    sign_ins: &'a TaskTracker,
    outgoing: &'a mpsc::Sender<Outgoing>,
    pings: &'a Pings,
}

/// Something for the control stream's writer.
pub(super) enum Outgoing {
    Frame(Control),
    /// Nothing more comes.
    Finish,
}

impl Parts<'_> {
    /// Ends with the stream, or with a relay that breaks the protocol.
    async fn read_control(&self, mut recv: ReceiveStream) {
        loop {
            let frame = match read_frame(&mut recv, MAX_CONTROL_BYTES, Control::decode).await {
                Ok(frame) => frame,
                Err(error) if error.is_violation() => return self.session.violated("the control stream", &error),
                Err(_) => {
                    // The relay has finished its side, or the connection is lost: its end is near.
                    let _ = timeout(CLOSE_TIMEOUT, self.session.connection.closed()).await;
                    return;
                }
            };
            match frame {
                Control::Ping(ping) => {
                    if !self.pings.answer(ping) {
                        return;
                    }
                }
                Control::Pong(pong) => self.pings.answered(pong),
                Control::Cancel(cancel) => {
                    self.session.fence().cancel(cancel.request_id, cancel.start_by);
                }
                Control::GoAway(go_away) => {
                    tracing::info!(
                        relay = %self.session.relay, reason = ?go_away.reason,
                        "the relay asks to connect elsewhere; this session goes on serving",
                    );
                    self.go_away.cancel();
                }
                Control::Unknown(kind) => {
                    tracing::debug!(relay = %self.session.relay, kind, "a control frame of a later version");
                }
                Control::Hello(_)
                | Control::Welcome(_)
                | Control::Status(_)
                | Control::Draining(_)
                | Control::KeyChange(_)
                | Control::Probe(_)
                | Control::Probed(_) => {
                    let error = WireError::Frame(postern_protocol::frame::FrameError::Malformed(
                        "a frame that a relay does not send here".to_owned(),
                    ));
                    return self.session.violated("the control stream", &error);
                }
            }
        }
    }

    /// Tells the relay of new opening keys, and of slots and directory as they change.
    async fn tell_changes(
        &self,
        mut keys: watch::Receiver<OpeningKey>,
        mut capacity: watch::Receiver<Capacity>,
        mut told: Status,
    ) {
        let mut sessions = self.context.board.sessions();
        loop {
            let place = self.joined.place(&sessions.borrow_and_update());
            let now = status(*capacity.borrow_and_update(), place);
            if now != told {
                if !self.send(Control::Status(now)) {
                    return;
                }
                told = now;
                tokio::time::sleep(STATUS_REST).await;
            }
            tokio::select! {
                biased;
                Ok(()) = keys.changed() => {
                    let opening_key = keys.borrow_and_update().public_der().to_vec();
                    if !self.send(Control::KeyChange(KeyChange { opening_key })) {
                        return;
                    }
                }
                Ok(()) = capacity.changed() => {}
                Ok(()) = sessions.changed() => {}
                else => return,
            }
        }
    }

    /// Ends when the connection is lost.
    async fn accept_sign_ins(&self) {
        while let Ok(streams) = self.session.connection.accept_bi().await {
            let received = self.session.clock.now();
            let draining = self.draining.load(Ordering::Relaxed);
            let (agent, session) = (self.context.agent.clone(), self.session.clone());
            self.sign_ins.spawn(async move {
                Box::pin(agent.serve(&session, streams, received, draining)).await;
            });
        }
    }

    /// Waits for the drain; then tells the relay, lets the sign-ins end, and waits for the relay to close.
    async fn drain(&self) {
        self.context.shutdown.drain.cancelled().await;
        self.draining.store(true, Ordering::Relaxed);
        self.send(Control::Draining(Draining {}));
        // A closed tracker still takes the late streams, each of which is answered with `NotStarted(draining)`.
        self.sign_ins.close();
        self.sign_ins.wait().await;
        let _ = self.outgoing.try_send(Outgoing::Finish);
        let _ = timeout(CLOSE_TIMEOUT, self.session.connection.closed()).await;
        self.sign_ins.wait().await;
    }

    /// False when the relay does not read: the session is then over.
    fn send(&self, frame: Control) -> bool {
        self.outgoing.try_send(Outgoing::Frame(frame)).is_ok()
    }
}

async fn write_control(mut send: SendStream, mut frames: mpsc::Receiver<Outgoing>) {
    while let Some(Outgoing::Frame(frame)) = frames.recv().await {
        if write_frame(&mut send, &frame.encode()).await.is_err() {
            return;
        }
    }
    send.finish().await;
    // Finished is not over: what else is said (a pong, a status) has nobody left to hear it.
    while frames.recv().await.is_some() {}
}

fn status(capacity: Capacity, (index, sessions): (u32, u32)) -> Status {
    Status {
        slots: slots(capacity.connections, sessions, index),
        directory: if capacity.ready {
            DirectoryHealth::Ready
        } else {
            DirectoryHealth::Down
        },
    }
}

fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
