//! Everything about a connection but its stream: bytes in, bytes out. No socket and no clock of its own in here.
//!
//! Requests are begun in the order in which they came. Searches go on beside later requests where the dialect has it so;
//! everything else is answered before the next request is looked at. Nothing is begun while too much waits to be sent.

use super::Controller;
use super::frame::{FrameError, Inbox};
use super::held::{Due, Held, Late};
use super::message::{self, Operation, Request};
use super::outbox::Outbox;
use super::searching::Searching;
use super::session::{Session, Then};

use crate::domain::dialect::Dialect;
use crate::faults::board::Over;
use crate::faults::engine::{self, Fate, OnBind};
use crate::faults::gate::Pass;

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

/// How it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// When bytes have come or gone.
    Wait,
    /// At once: there is more to do. Others should have their turn before.
    Again,
    /// With TLS, when everything was sent.
    StartTls,
    /// Not at all: the client said goodbye.
    Close,
    /// Not at all: what came cannot be read.
    Broken(FrameError),
    /// Not at all, without a goodbye: a fault has it so.
    Cut(Cut),
}

/// How a fault ends a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// FIN.
    Closed,
    /// RST.
    Reset,
}

#[derive(Debug)]
pub(crate) struct Conversation {
    controller: Arc<Controller>,
    session: Session,
    inbox: Inbox,
    outbox: Outbox,
    searches: Searching,
    /// What a fault holds back.
    held: Option<Held>,
    /// Whether a request has come.
    has_begun: bool,
}

impl Conversation {
    pub(crate) fn new(controller: Arc<Controller>, peer: SocketAddr, encrypted: bool) -> Self {
        Self {
            session: Session::new(controller.clone(), peer, encrypted),
            inbox: Inbox::new(controller.shared.memory.clone()),
            outbox: Outbox::default(),
            searches: Searching::default(),
            held: None,
            has_begun: false,
            controller,
        }
    }

    /// Takes requests and goes on with searches.
    pub(crate) fn turn(&mut self) -> Turn {
        loop {
            match self.requests() {
                Ok(Then::Continue) => {}
                Ok(Then::Close) => return self.end(Turn::Close),
                Ok(Then::StartTls) => return Turn::StartTls,
                Ok(Then::Cut(cut)) => return self.end(Turn::Cut(cut)),
                Err(error) => {
                    let dialect = self.session.dialect();
                    if let Some(notice) = dialect.disconnection() {
                        self.outbox.answers().disconnection(&notice.into());
                    }
                    return self.end(Turn::Broken(error));
                }
            }
            if self.searches.is_empty() || !self.outbox.has_room() {
                return Turn::Wait;
            }
            // The end of one may let the next request begin.
            if !self.searches.step(&self.controller, &mut self.outbox) {
                return Turn::Again;
            }
        }
    }

    fn requests(&mut self) -> Result<Then, FrameError> {
        while let Some(due) = Held::take_due(&mut self.held) {
            let then = match due {
                Due::Request(message, since, pass) => {
                    let controller = self.controller.clone();
                    let carried_out = controller
                        .exposure
                        .unless_discarded(since, || self.held_request(&message, pass));
                    // There will be no answer: whoever waits for it learns that by the reset.
                    carried_out.unwrap_or(Ok(Then::Cut(Cut::Reset)))?
                }
                Due::Answer(late, over) => {
                    self.outbox.append(late.answer);
                    // Requests behind it were held back with it.
                    if over == Over::Discarded && self.inbox.has_unread() {
                        Then::Cut(Cut::Reset)
                    } else {
                        late.then
                    }
                }
            };
            if then != Then::Continue {
                return Ok(then);
            }
        }
        while self.takes_requests() {
            let Some(frame) = self.inbox.take(self.session.limit())? else {
                break;
            };
            let then = match read(frame, self.session.dialect()) {
                Ok(request) => {
                    self.has_begun = true;
                    let exposure = &self.controller.exposure;
                    if !exposure.is_quiet() {
                        self.held = Held::request(exposure, &request, frame);
                    }
                    if self.held.is_some() {
                        Ok(Then::Continue)
                    } else {
                        Ok(self.session.handle(request, &mut self.searches, &mut self.outbox))
                    }
                }
                Err(error) => Err(error),
            };
            self.inbox.wipe();
            if then != Ok(Then::Continue) {
                return then;
            }
        }
        Ok(Then::Continue)
    }

    /// Carries out a request that was held back.
    fn held_request(&mut self, message: &[u8], pass: Option<Pass>) -> Result<Then, FrameError> {
        let request = read(message, self.session.dialect())?;
        match request.operation {
            Operation::Bind(_) => Ok(self.bind_under_faults(request, pass)),
            _ => Ok(self.session.handle(request, &mut self.searches, &mut self.outbox)),
        }
    }

    /// Carries out a bind as faults have it: what becomes of its answer is settled as soon as it is decided.
    fn bind_under_faults(&mut self, request: Request<'_>, pass: Option<Pass>) -> Then {
        let exposure = &self.controller.exposure;
        let user = exposure.asks_whose().then(|| self.session.whose(&request)).flatten();
        let user = user.as_deref();
        let mut answer = Outbox::default();
        let mut then = Then::Continue;
        match exposure.bind_received(user) {
            Some(OnBind::Close) => return Then::Cut(Cut::Closed),
            Some(OnBind::Reset) => return Then::Cut(Cut::Reset),
            Some(OnBind::Result(code)) => self.session.refuse(&request, code, &mut answer),
            None => {
                then = self.session.handle(request, &mut self.searches, &mut answer);
                let cut = match exposure.bind_decided(user) {
                    Fate::Answer => None,
                    Fate::Silence => Some(Then::Continue),
                    Fate::Close => Some(Then::Cut(Cut::Closed)),
                    Fate::Reset => Some(Then::Cut(Cut::Reset)),
                };
                if let Some(cut) = cut {
                    // Whoever reads the journal waits no longer for an answer that will not come.
                    answer = Outbox::default();
                    then = cut;
                }
            }
        }
        let delay = exposure.delay(engine::Operation::Bind, user);
        self.held = Some(Held::answer(exposure, Late { answer, then, pass }, delay));
        Then::Continue
    }

    /// Ready when what a fault held back is due.
    pub(crate) fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Held::poll(&mut self.held, cx)
    }

    fn takes_requests(&self) -> bool {
        let room = self.outbox.has_room() && self.searches.len() < self.session.dialect().operations_at_once();
        room && self.held.is_none()
    }

    fn end(&mut self, turn: Turn) -> Turn {
        self.searches.abandon_all();
        turn
    }

    /// Whether a request may be looked at: else its bytes are better left with the network. While a fault holds something
    /// back a few are taken, because nothing else tells that the client has gone.
    pub(crate) fn wants_bytes(&self) -> bool {
        self.takes_requests() || self.is_held() && self.inbox.has_free_room()
    }

    /// Whether a fault holds something back.
    pub(crate) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Whether there is nothing to do until a fault lets go what it holds back: there is no place for more requests,
    /// either.
    pub(crate) fn waits_for_held_alone(&self) -> bool {
        self.is_held() && !self.inbox.has_free_room() && self.searches.is_empty() && self.outbox.is_empty()
    }

    /// Whether the client waits for nothing.
    pub(crate) fn is_idle(&self) -> bool {
        self.searches.is_empty() && self.outbox.is_empty() && self.held.is_none()
    }

    /// Whether a request has ever come.
    pub(crate) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Where received bytes go.
    pub(crate) fn inbox(&mut self) -> &mut Inbox {
        &mut self.inbox
    }

    /// Where bytes to send come from.
    pub(crate) fn outbox(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    /// From now on the stream is TLS.
    pub(crate) fn is_now_encrypted(&mut self) {
        self.session.is_now_encrypted();
    }
}

/// Reads a message. Samba has never heard of Sicily, and closes on whatever choice of credentials it does not know
/// (measured of another).
fn read(frame: &[u8], dialect: Dialect) -> Result<Request<'_>, FrameError> {
    let request = message::decode(frame).ok();
    let request = request.filter(|request| !request.is_sicily() || dialect.reads_sicily());
    request.ok_or(FrameError::Malformed(frame.len()))
}

#[cfg(test)]
mod tests;
