//! One sign-in, from its stream's first byte to the answer: at most one bind that may have been checked.
//!
//! The order is what counts: open, look the name up where it is not bound as it is, take a connection, and with it in
//! hand ask the fence, then bind.
//! Whatever goes wrong before is `NotStarted`, and the relay may ask another agent; after it there is a verdict, a
//! refusal by the directory to check, or the honest word that nobody knows.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use postern_protocol::connection::{ReceiveStream, SendStream};
use postern_protocol::frame::{Answer, FailedFrame, MAX_REQUEST_BYTES, NotStartedFrame, Request, VerdictFrame};
use postern_protocol::wire::{WireError, read_frame, write_frame, write_last_frame};
use postern_protocol::{AgentIdentity, Moment, NotStarted, RequestId, Subject, Verdict};
use tokio::time::timeout;

use crate::clock::Clock;
use crate::core::fence::{Attempt, Permit, Replays};
use crate::core::names::{Names, NoWay, Way};
use crate::directory::{
    self, Account, Bind, BindResult, DcId, Directory, LookedUp, NoConnection, Reading, Ready, Wish,
};
use crate::link::session::Session;
use crate::machine::Machine;
use crate::metrics::Metrics;
use crate::opener::{Opened, Opener, Refusal};
use crate::opening_keys::OpeningKeys;
use crate::unwrapping::Workers;

/// A request is one packet that the relay has at hand; a stream without one is a relay in trouble.
const READ_TIMEOUT: Duration = Duration::from_secs(2);

/// `Started` only lengthens a patience of 250 ms and more. Of most binds the verdict is there before it would be of use,
/// and a packet of its own for it, and another to acknowledge both, cost more than half as much as the sign-in itself.
const HINT_AFTER: Duration = Duration::from_millis(20);

/// Ids remembered at once, some 100 bytes each. At a thousand sign-ins a second there are 35,000.
const REPLAY_CAPACITY: usize = 1 << 20;

/// Between two log lines that relay and agent do not agree on what a name is.
const DISAGREEMENT_INTERVAL: Duration = Duration::from_secs(10);

/// The longest text of a directory that goes into a log line.
const LOGGED_TEXT: usize = 200;

/// What all sign-ins share.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) clock: Clock,
    pub(crate) identity: AgentIdentity,
    pub(crate) keys: OpeningKeys,
    pub(crate) workers: Workers,
    pub(crate) directory: Arc<Directory>,
    pub(crate) metrics: Arc<Metrics>,
    names: Names,
    marks: Mutex<Replays>,
    told_disagreement: Mutex<Option<Moment>>,
}

/// Whom a password is checked for.
#[derive(Debug)]
struct Target {
    /// What the directory is to bind: the name as typed, or a DN. Never empty.
    name: String,
    /// Whose account it is, where it was looked up.
    subject: Option<Subject>,
    /// Where it was found. A DN is one domain controller's word: another may not know the account yet, or know another
    /// account by it. So it is bound nowhere else.
    dc: Option<DcId>,
}

impl From<Account> for Target {
    fn from(account: Account) -> Self {
        Self {
            name: account.dn,
            subject: account.subject,
            dc: Some(account.dc),
        }
    }
}

impl Agent {
    /// An agent that has bound nothing yet.
    pub(crate) fn new(
        machine: &Machine,
        identity: AgentIdentity,
        names: Names,
        keys: OpeningKeys,
        directory: Arc<Directory>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            clock: machine.clock.clone(),
            identity,
            keys,
            workers: Workers::new(machine.workshop),
            directory,
            metrics,
            names,
            told_disagreement: Mutex::default(),
            marks: Mutex::new(Replays::new(REPLAY_CAPACITY)),
        }
    }

    /// Serves one stream of `session`, accepted at `received`; `draining` if that was after the drain began.
    pub(crate) async fn serve(
        &self,
        session: &Session,
        streams: (SendStream, ReceiveStream),
        received: Moment,
        draining: bool,
    ) {
        let (mut send, mut recv) = streams;
        let request = match read_request(&mut recv).await {
            Ok(request) => request,
            Err(error) if error.is_violation() => return session.violated("a sign-in's stream", &error),
            Err(error) => return tracing::debug!(relay = %session.relay, %error, "a stream without a request"),
        };
        let answer = if draining {
            not_started(NotStarted::Draining)
        } else {
            self.attempt(session, &request, received, &mut send).await
        };
        log_answer(&request, &answer);
        if let Err(error) = write_last_frame(&mut send, &answer.encode()).await {
            tracing::debug!(request_id = %request.request_id, %error, "the answer cannot be sent");
        }
    }

    async fn attempt(&self, session: &Session, request: &Request, received: Moment, send: &mut SendStream) -> Answer {
        let attempt = Attempt {
            id: request.request_id,
            received,
            start_by: request.start_by,
        };
        let opened = match self.open(session, request).await {
            Ok(opened) => opened,
            Err(reason) => return not_started(reason),
        };
        let target = match self.target(session, request, &attempt, &opened, &[]).await {
            Ok(target) => target,
            Err(reason) => return not_started(reason),
        };
        let ready = match self.directory.ready(wish(request, &target, &[])).await {
            Ok(ready) => ready,
            Err(error) => return not_started(no_connection(error)),
        };
        let permit = match self.start(session, &attempt, opened.keep) {
            Ok(permit) => permit,
            Err(reason) => {
                self.directory.give_back(ready);
                return not_started(reason);
            }
        };
        // The bind is handed over first; `Started` is a hint and may wait for room on the wire.
        let mut bind = pin!(self.bind(session, request, &attempt, &opened, target, (ready, permit)));
        match timeout(HINT_AFTER, bind.as_mut()).await {
            Ok(answer) => answer,
            Err(_) => tokio::join!(biased; bind, hint(request.request_id, send)).0,
        }
    }

    async fn open(&self, session: &Session, request: &Request) -> Result<Opened, NotStarted> {
        let opener = Opener {
            identity: &self.identity,
            keys: &self.keys,
            workers: &self.workers,
            memory: &session.memory,
        };
        let opened = opener.open(request, self.clock.now(), self.clock.unix_ms()).await;
        let result = opened
            .as_ref()
            .map_or_else(|refusal| refusal.reason().as_str(), |_| "opened");
        self.metrics.opens.with_label_values(&[result]).inc();
        opened.map_err(|refusal| {
            log_refusal(session, request, refusal);
            refusal.reason()
        })
    }

    /// What is bound: the name as it is, or the DN of the one account that has it, at a domain controller not in `avoid`.
    async fn target(
        &self,
        session: &Session,
        request: &Request,
        attempt: &Attempt,
        opened: &Opened,
        avoid: &[DcId],
    ) -> Result<Target, NotStarted> {
        let id = request.request_id;
        let way = self
            .names
            .way(&opened.user, request.alternate_id, self.directory.binds_names());
        let (attribute, value) = match way {
            Ok(Way::AsTyped) => {
                return Ok(Target {
                    name: opened.user.as_str().to_owned(),
                    subject: None,
                    dc: None,
                });
            }
            Ok(Way::LookUp { attribute, value }) => (attribute, value),
            Err(error) => {
                self.tell_disagreement(session, request, opened, error);
                return Err(NotStarted::NoLookUp);
            }
        };
        // Whoever has waited too long already is told so, and the directory is not asked.
        let patience = {
            let (mut fence, now) = (session.fence(), self.clock.now());
            fence
                .may_start(now, attempt)
                .inspect_err(|reason| self.count(*reason))?;
            fence.time_left(now, request.start_by)
        };
        let wish = Wish {
            only: None,
            avoid,
            rather_not: request.avoid_dc.as_deref(),
        };
        match self.directory.look_up(attribute, value, wish, patience).await {
            Ok(LookedUp::One(account)) => {
                tracing::debug!(request_id = %id, user = opened.user.as_str(), dn = account.dn, "found");
                Ok(account.into())
            }
            Ok(LookedUp::None) => Err(NotStarted::NoMatch),
            Ok(LookedUp::Several) => {
                tracing::warn!(
                    request_id = %id, attribute,
                    "more than one account has the name that was typed, so nobody can sign in with it",
                );
                Err(NotStarted::NoMatch)
            }
            Err(error) => {
                tracing::warn!(request_id = %id, %error, "the name could not be looked up");
                Err(NotStarted::NoLookUp)
            }
        }
    }

    /// A fault of two configurations: loud, but not once for each sign-in.
    fn tell_disagreement(&self, session: &Session, request: &Request, opened: &Opened, error: NoWay) {
        let now = self.clock.now();
        let due = {
            let mut told = self.told_disagreement.lock().unwrap_or_else(PoisonError::into_inner);
            let due = told.is_none_or(|told| now.since(told) >= DISAGREEMENT_INTERVAL);
            if due {
                *told = Some(now);
            }
            due
        };
        if due {
            tracing::error!(
                request_id = %request.request_id, relay = %session.relay, route = ?opened.user.route(), %error,
                "names like this one are not signed in: make the two configurations say the same",
            );
        }
    }

    /// The last checks and the mark, with a connection in hand.
    fn start(&self, session: &Session, attempt: &Attempt, keep: Duration) -> Result<Permit, NotStarted> {
        let (mut fence, mut marks) = (session.fence(), self.marks());
        // Asked for after the locks, which may have to be waited for.
        fence
            .start(self.clock.now(), attempt, keep, &mut marks)
            .inspect_err(|reason| self.count(*reason))
    }

    fn start_again(&self, session: &Session, attempt: &Attempt) -> Result<Permit, NotStarted> {
        let (mut fence, marks) = (session.fence(), self.marks());
        fence
            .start_again(self.clock.now(), attempt, &marks)
            .inspect_err(|reason| self.count(*reason))
    }

    fn count(&self, refused: NotStarted) {
        match refused {
            NotStarted::Replayed => self.metrics.replays_refused.inc(),
            NotStarted::WindowPassed => self.metrics.window_refusals.inc(),
            _ => {}
        }
    }

    /// Binds, at another domain controller as well if the first says that it cannot check now.
    async fn bind(
        &self,
        session: &Session,
        request: &Request,
        attempt: &Attempt,
        opened: &Opened,
        mut target: Target,
        first: (Ready, Permit),
    ) -> Answer {
        let (mut ready, mut permit) = first;
        let mut avoid = Vec::new();
        loop {
            let bind = self.directory.bind(ready, &target.name, &opened.password, permit).await;
            self.log_bind(request, opened, &bind);
            match bind.result {
                BindResult::Answered {
                    reading: Reading::Verdict { verdict, sub_code },
                    ..
                } => {
                    return Answer::Verdict(VerdictFrame {
                        verdict: verdict.code(),
                        sub_code,
                        dc: bind.dc.name().to_owned(),
                        bind_us: u32::try_from(bind.took.as_micros()).unwrap_or(u32::MAX),
                        // With a success only: otherwise it would tell who has the name.
                        subject: target.subject.filter(|_| verdict == Verdict::Success),
                    });
                }
                BindResult::Unknown(_)
                | BindResult::Answered {
                    reading: Reading::Fault | Reading::AccountFault,
                    ..
                } => return failed(&bind),
                BindResult::Answered {
                    reading: Reading::Elsewhere,
                    ..
                } => avoid.push(bind.dc.id),
                BindResult::NeverSent => {}
            }
            // Nothing was checked, so another try is safe while the relay still waits for this agent.
            let again = self.ready_again(session, request, attempt, opened, &mut target, &avoid);
            (ready, permit) = match again.await {
                Ok(next) => next,
                Err(reason) if avoid.is_empty() => {
                    self.marks().never_started(request.request_id);
                    return not_started(reason);
                }
                Err(_) => return failed(&bind),
            };
        }
    }

    /// A connection for another try. As with the first, the last checks are made with it in hand: waiting for it takes
    /// time, in which the relay may give the sign-in to another agent.
    async fn ready_again(
        &self,
        session: &Session,
        request: &Request,
        attempt: &Attempt,
        opened: &Opened,
        target: &mut Target,
        avoid: &[DcId],
    ) -> Result<(Ready, Permit), NotStarted> {
        if target.dc.is_some_and(|dc| avoid.contains(&dc)) {
            *target = self.target(session, request, attempt, opened, avoid).await?;
        }
        let wish = wish(request, target, avoid);
        let ready = self.directory.ready(wish).await.map_err(no_connection)?;
        match self.start_again(session, attempt) {
            Ok(permit) => Ok((ready, permit)),
            Err(reason) => {
                self.directory.give_back(ready);
                Err(reason)
            }
        }
    }

    fn log_bind(&self, request: &Request, opened: &Opened, bind: &Bind) {
        let (id, dc) = (request.request_id, bind.dc.name());
        let (local, message_id) = (bind.local, bind.message_id);
        match &bind.result {
            BindResult::Answered {
                reading: Reading::Verdict { verdict, .. },
                ..
            } => {
                // Enough to find the bind in the directory's own records; who it was for is nobody's business by default.
                tracing::info!(
                    request_id = %id, %dc, %local, message_id, verdict = verdict.as_str(), micros = bind.took.as_micros(),
                    "bind",
                );
                tracing::debug!(request_id = %id, user = opened.user.as_str(), "the user of the bind");
            }
            BindResult::Answered { result, text, .. } => {
                let text: String = text.chars().take(LOGGED_TEXT).collect();
                tracing::warn!(
                    request_id = %id, %dc, %local, message_id, result, ?text, advice = directory::advice(*result),
                    "the domain controller did not check the password",
                );
            }
            BindResult::Unknown(why) => {
                tracing::warn!(request_id = %id, %dc, %local, message_id, %why, "the outcome of a bind is unknown");
            }
            BindResult::NeverSent => {
                tracing::debug!(request_id = %id, %dc, %local, "the connection was gone before the bind was sent");
            }
        }
    }

    /// Taken inside a session's fence, never the other way round.
    fn marks(&self) -> MutexGuard<'_, Replays> {
        // The set is whole after every call, so a panic elsewhere cannot have left it half-written.
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells the relay that a bind is under way.
async fn hint(request: RequestId, send: &mut SendStream) {
    if let Err(error) = write_frame(send, &Answer::Started.encode()).await {
        tracing::debug!(request_id = %request, %error, "the relay was not told of the start");
    }
}

/// Where the bind may go.
fn wish<'a>(request: &'a Request, target: &Target, avoid: &'a [DcId]) -> Wish<'a> {
    Wish {
        only: target.dc,
        avoid,
        rather_not: request.avoid_dc.as_deref(),
    }
}

async fn read_request(recv: &mut ReceiveStream) -> Result<Request, WireError> {
    let frame = read_frame(recv, MAX_REQUEST_BYTES, Request::decode);
    let request = timeout(READ_TIMEOUT, frame)
        .await
        .unwrap_or_else(|_| Err(WireError::Lost("no request came within two seconds".to_owned())))?;
    recv.take_end();
    Ok(request)
}

/// What is told of a bind without a verdict.
fn failed(bind: &Bind) -> Answer {
    let account_only = matches!(
        bind.result,
        BindResult::Answered {
            reading: Reading::AccountFault,
            ..
        }
    );
    Answer::Failed(FailedFrame {
        indeterminate: matches!(bind.result, BindResult::Unknown(_)),
        dc: bind.dc.name().to_owned(),
        account_only: account_only.then_some(true),
    })
}

fn not_started(reason: NotStarted) -> Answer {
    Answer::NotStarted(NotStartedFrame { reason: reason.code() })
}

fn no_connection(error: NoConnection) -> NotStarted {
    match error {
        NoConnection::Busy => NotStarted::Busy,
        // Where the name was found, and nowhere else: other names go on.
        NoConnection::Unusable => NotStarted::NoLookUp,
        NoConnection::NoDirectory => NotStarted::NoDirectory,
    }
}

/// What a caller can cause is told at debug level; what only a relay or a wrong clock can cause is a warning.
fn log_refusal(session: &Session, request: &Request, refusal: Refusal) {
    let (id, relay) = (request.request_id, &session.relay);
    match refusal {
        Refusal::Elsewhere => tracing::warn!(
            request_id = %id, relay, tenant = ?request.tenant, realm = ?request.realm,
            "the relay sent a sign-in of another tenant or realm than this agent's",
        ),
        Refusal::Expired | Refusal::NoClock => tracing::warn!(
            request_id = %id, relay, expires_unix_ms = request.expires_unix_ms,
            "the relay took an envelope whose expiry cannot be right by this machine's clock: one of the two clocks is \
             wrong; set them by NTP",
        ),
        _ => tracing::debug!(request_id = %id, relay, ?refusal, "not opened"),
    }
}

fn log_answer(request: &Request, answer: &Answer) {
    if let Answer::NotStarted(frame) = answer {
        let reason = NotStarted::from_code(frame.reason).as_str();
        tracing::debug!(request_id = %request.request_id, reason, "not started");
    }
}
