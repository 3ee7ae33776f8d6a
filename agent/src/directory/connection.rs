//! One connection to one domain controller: binding and reading on it, noticing its end.
//!
//! At most one request is outstanding. A task of the connection's own reads, also while nothing is asked, so that an
//! end is noticed by it and not by the next bind. It takes for the answer only what has the request's message id and
//! kind; anything else ends the connection. After a request without an answer the connection is never used again:
//! what comes later could be taken for another's.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use postern_protocol::Password;
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::dial::{self, ConnectError, Dialled};
use super::incoming::{Incoming, Unanswered};
use super::root_dse::RootDse;
use crate::config::Server;
use crate::network::{Network, Stream};
use postern_ldap::client::{Answer, Encoded, Entry, LdapResult, Message, PasswordPolicy, Search, Violation, request};

/// For the unbind and TLS's own farewell, to whoever still listens.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);

/// The message id of the unbind. No request gets that far.
const FAREWELL_ID: i32 = i32::MAX;

/// What became of a bind.
#[derive(Debug)]
pub(super) enum Sent {
    /// The domain controller answered.
    Answered {
        /// Its result.
        result: LdapResult,
        /// What its password policy says, where that was asked for.
        password_policy: Option<PasswordPolicy>,
    },
    /// The connection was gone before; not a byte of the bind was sent.
    Never,
    /// Sent, or perhaps sent, and no answer: the password may have been checked.
    Unknown(Unanswered),
}

/// Why something could not be read from the directory.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// No answer, or none that counts.
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
    /// The domain controller says no.
    #[error("it refuses the search: result {}, {:?}", .0.code, .0.text)]
    Refused(LdapResult),
}

/// What a search came to.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// At most as many as were asked for.
    pub(crate) entries: Vec<Entry>,
    /// Whether there were more.
    pub(crate) more: bool,
}

/// An open connection.
#[derive(Debug)]
pub(super) struct Connection {
    /// This end's address, as the domain controller logs it.
    pub(super) local: SocketAddr,
    /// The end of the domain controller's certificate, in seconds since 1970; `None` where nothing protects this.
    pub(super) not_after: Option<i64>,
    shared: Arc<Shared>,
    last_id: i32,
    asks_password_policy: bool,
}

/// What the connection and its task have in common.
#[derive(Debug)]
struct Shared {
    slot: Mutex<Slot>,
    writer: tokio::sync::Mutex<WriteHalf<Stream>>,
    closed: CancellationToken,
    /// Whether a bind was sent. Set with the slot, so that whoever is told of the end finds it as it will stay.
    bound: Arc<AtomicBool>,
}

/// The request that is outstanding.
#[derive(Debug)]
enum Slot {
    Idle,
    Awaiting(i32, Awaited),
    Ended,
}

/// The answer that a request waits for.
#[derive(Debug)]
enum Awaited {
    Bind(Reply<(LdapResult, Option<PasswordPolicy>)>),
    Search {
        found: Found,
        size_limit: usize,
        reply: Reply<(LdapResult, Found)>,
    },
}

type Reply<T> = oneshot::Sender<Result<T, Unanswered>>;

/// Why a request was not answered.
enum Failure {
    /// Not a byte of it was sent.
    NeverSent,
    Unanswered(Unanswered),
}

impl Connection {
    /// Connects. What `opened` gives is dropped when the connection has ended, from whichever side; what it is given says
    /// whether a bind was sent on it. Cancelling `stop` ends it too.
    pub(super) async fn open<G: Send + 'static>(
        network: &dyn Network,
        server: &Server,
        tls: &Arc<rustls::ClientConfig>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
        opened: impl FnOnce(Arc<AtomicBool>) -> G,
    ) -> Result<Self, ConnectError> {
        let Dialled {
            stream,
            local,
            not_after,
        } = dial::dial(network, server, tls).await?;
        let (reader, writer) = tokio::io::split(stream);
        let shared = Arc::new(Shared {
            slot: Mutex::new(Slot::Idle),
            writer: tokio::sync::Mutex::new(writer),
            closed: stop.child_token(),
            bound: Arc::default(),
        });
        let task = Task {
            shared: shared.clone(),
            dc: server.name.clone(),
            local,
            _guard: opened(shared.bound.clone()),
        };
        tasks.spawn(task.run(reader));
        Ok(Self {
            local,
            not_after,
            shared,
            last_id: 0,
            asks_password_policy: false,
        })
    }

    /// Whether the connection has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.shared.closed.is_cancelled()
    }

    /// Waits for the end of the connection.
    pub(super) async fn closed(&self) {
        self.shared.closed.cancelled().await;
    }

    /// From now on binds ask what the server's password policy says.
    pub(super) fn ask_password_policy(&mut self) {
        self.asks_password_policy = true;
    }

    /// Binds as `name`. Gives what became of it and the LDAP message id. Of no further use unless it was answered.
    pub(super) async fn bind(&mut self, name: &str, password: &Password, patience: Duration) -> (Sent, i32) {
        let id = self.next_id();
        let request = request::bind(id, name, password.expose(), self.asks_password_policy);
        let (reply, answer) = oneshot::channel();
        let sent = match self.ask(id, request, Awaited::Bind(reply), answer, patience).await {
            Ok((result, password_policy)) => Sent::Answered {
                result,
                password_policy,
            },
            Err(Failure::NeverSent) => Sent::Never,
            Err(Failure::Unanswered(why)) => Sent::Unknown(why),
        };
        (sent, id)
    }

    /// Searches. What refers to other servers is ignored. Reaching `search.size_limit` is not an error.
    pub(super) async fn search(&mut self, search: &Search, patience: Duration) -> Result<Found, ReadError> {
        /// RFC 4511, section 4.1.9.
        const SIZE_LIMIT_EXCEEDED: u32 = 4;
        let id = self.next_id();
        let request = request::search(id, search, patience);
        let (reply, answer) = oneshot::channel();
        let awaited = Awaited::Search {
            found: Found::default(),
            size_limit: search.size_limit,
            reply,
        };
        match self.ask(id, request, awaited, answer, patience).await {
            Ok((result, found)) if result.code == 0 => Ok(found),
            Ok((result, found)) if result.code == SIZE_LIMIT_EXCEEDED => Ok(Found { more: true, ..found }),
            Ok((result, _)) => Err(ReadError::Refused(result)),
            Err(Failure::NeverSent) => Err(Unanswered::Ended.into()),
            Err(Failure::Unanswered(why)) => Err(why.into()),
        }
    }

    /// Reads the RootDSE (RFC 4512, section 5.1), which needs no bind.
    pub(super) async fn root_dse(&mut self, patience: Duration) -> Result<RootDse, ReadError> {
        let found = match self.search(&RootDse::search(), patience).await {
            Err(ReadError::Refused(refusal)) => return RootDse::refused(refusal).map_err(ReadError::Refused),
            found => found?,
        };
        // Some servers show it to nobody who has not bound. They answer, and say nothing of themselves.
        Ok(found.entries.first().map(RootDse::read).unwrap_or_default())
    }

    fn next_id(&mut self) -> i32 {
        // RFC 4511, section 4.1.1.1: not zero. There is never a second request outstanding that could have the same.
        self.last_id = self.last_id.checked_add(1).filter(|id| *id < FAREWELL_ID).unwrap_or(1);
        self.last_id
    }

    async fn ask<T>(
        &self,
        id: i32,
        request: Encoded,
        awaited: Awaited,
        answer: oneshot::Receiver<Result<T, Unanswered>>,
        patience: Duration,
    ) -> Result<T, Failure> {
        let asked = timeout(patience, async {
            self.shared.send(id, &request, awaited).await?;
            drop(request);
            match answer.await {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(why)) => Err(Failure::Unanswered(why)),
                Err(_) => Err(Failure::Unanswered(Unanswered::Ended)),
            }
        });
        let outcome = asked
            .await
            .unwrap_or(Err(Failure::Unanswered(Unanswered::Timeout(patience))));
        if outcome.is_err() {
            self.shared.closed.cancel();
        }
        outcome
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.closed.cancel();
    }
}

impl Shared {
    /// Sends a request. It is never sent only if the end was known before TLS got its first byte; TLS and the system
    /// may pass on what they hold also when they report an error.
    async fn send(&self, id: i32, request: &Encoded, awaited: Awaited) -> Result<(), Failure> {
        let mut writer = self.writer.lock().await;
        {
            let mut slot = self.slot();
            if !matches!(*slot, Slot::Idle) || self.closed.is_cancelled() {
                return Err(Failure::NeverSent);
            }
            if matches!(awaited, Awaited::Bind(_)) {
                self.bound.store(true, Ordering::Relaxed);
            }
            *slot = Slot::Awaiting(id, awaited);
        }
        let written = async {
            writer.write_all(request).await?;
            writer.flush().await
        };
        written.await.map_err(|_| Failure::Unanswered(Unanswered::Ended))
    }

    /// Reads until the end.
    async fn read(&self, reader: &mut ReadHalf<Stream>) -> Unanswered {
        let mut incoming = Incoming::default();
        loop {
            let taken = match incoming.next(reader).await {
                Ok(message) => self.take(message),
                Err(why) => return why,
            };
            if let Err(violation) = taken {
                return violation.into();
            }
        }
    }

    /// A message has come.
    fn take(&self, message: Message) -> Result<(), Violation> {
        let mut slot = self.slot();
        match std::mem::replace(&mut *slot, Slot::Idle) {
            Slot::Awaiting(id, awaited) if id == message.id => {
                let (awaited, taken) = awaited.take(message.answer);
                *slot = awaited.map_or(Slot::Idle, |awaited| Slot::Awaiting(id, awaited));
                taken
            }
            other => {
                *slot = other;
                Err(Violation::OtherId(message.id))
            }
        }
    }

    /// No more is read. Gives what was outstanding.
    fn end(&self) -> Slot {
        let was = std::mem::replace(&mut *self.slot(), Slot::Ended);
        self.closed.cancel();
        was
    }

    /// Tells the server, if no request is half-written.
    async fn farewell(&self) {
        let Ok(mut writer) = self.writer.try_lock() else {
            return;
        };
        let unbind = request::unbind(FAREWELL_ID);
        let told = async {
            writer.write_all(&unbind).await?;
            writer.shutdown().await
        };
        // Nobody is left who would mind.
        let _ = timeout(FAREWELL_TIMEOUT, told).await;
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        // The slot is whole after every statement, so a panic elsewhere cannot have left it half-written.
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Awaited {
    /// What is still waited for; nothing when that was all.
    fn take(self, answer: Answer) -> (Option<Self>, Result<(), Violation>) {
        // Who asked may have gone away; then nobody minds that the answer goes nowhere.
        match (self, answer) {
            (Self::Bind(reply), Answer::Bind(result, password_policy)) => {
                let _ = reply.send(Ok((result, password_policy)));
                (None, Ok(()))
            }
            (Self::Search { found, reply, .. }, Answer::Done(result)) => {
                let _ = reply.send(Ok((result, found)));
                (None, Ok(()))
            }
            (
                Self::Search {
                    mut found,
                    size_limit,
                    reply,
                },
                Answer::Entry(entry),
            ) => {
                if found.entries.len() < size_limit {
                    found.entries.push(entry);
                } else {
                    found.more = true;
                }
                let search = Self::Search {
                    found,
                    size_limit,
                    reply,
                };
                (Some(search), Ok(()))
            }
            (search @ Self::Search { .. }, Answer::Reference) => (Some(search), Ok(())),
            (awaited, _) => (Some(awaited), Err(Violation::OtherKind)),
        }
    }

    fn fail(self, why: Unanswered) {
        match self {
            Self::Bind(reply) => drop(reply.send(Err(why))),
            Self::Search { reply, .. } => drop(reply.send(Err(why))),
        }
    }
}

/// The task of a connection. However it ends, the connection is closed first and the guard dropped then.
struct Task<G> {
    shared: Arc<Shared>,
    dc: String,
    local: SocketAddr,
    _guard: G,
}

impl<G> Drop for Task<G> {
    fn drop(&mut self) {
        self.shared.end();
    }
}

impl<G> Task<G> {
    async fn run(self, mut reader: ReadHalf<Stream>) {
        let shared = self.shared.clone();
        let lost = tokio::select! {
            biased;
            () = shared.closed.cancelled() => None,
            why = shared.read(&mut reader) => Some(why),
        };
        let outstanding = shared.end();
        match (lost, outstanding) {
            // Whoever waits tells it, with what it means.
            (Some(why), Slot::Awaiting(_, awaited)) => awaited.fail(why),
            (Some(Unanswered::Violation(violation)), _) => {
                let (dc, local) = (&self.dc, self.local);
                tracing::warn!(dc, %local, %violation, "a connection is closed for what the domain controller sent");
            }
            (Some(why), _) => tracing::debug!(dc = self.dc, local = %self.local, %why, "directory connection lost"),
            (None, Slot::Idle) => {
                drop(self);
                shared.farewell().await;
            }
            (None, _) => {}
        }
    }
}

#[cfg(test)]
mod tests;
