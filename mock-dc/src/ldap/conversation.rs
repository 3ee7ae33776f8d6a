//! Everything about a connection but its stream: bytes in, bytes out. No socket and no clock of its own in here.
//!
//! Requests are begun in the order in which they came. Searches go on beside later requests where the dialect has it so;
//! everything else is answered before the next request is looked at. Nothing is begun while too much waits to be sent.

use super::Controller;
use super::frame::{FrameError, Inbox};
use super::message;
use super::outbox::Outbox;
use super::searching::Searching;
use super::session::{Session, Then};

use std::net::SocketAddr;
use std::sync::Arc;

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
}

#[derive(Debug)]
pub(crate) struct Conversation {
    controller: Arc<Controller>,
    session: Session,
    inbox: Inbox,
    outbox: Outbox,
    searches: Searching,
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
        while self.outbox.has_room() && self.searches.len() < self.session.dialect().operations_at_once() {
            let Some(frame) = self.inbox.take(self.session.limit())? else {
                break;
            };
            let length = frame.len();
            let then = match message::decode(frame) {
                Ok(request) => {
                    self.has_begun = true;
                    Ok(self.session.handle(request, &mut self.searches, &mut self.outbox))
                }
                Err(_) => Err(FrameError::Malformed(length)),
            };
            self.inbox.wipe();
            if then != Ok(Then::Continue) {
                return then;
            }
        }
        Ok(Then::Continue)
    }

    fn end(&mut self, turn: Turn) -> Turn {
        self.searches.abandon_all();
        turn
    }

    /// Whether a request may be looked at: else its bytes are better left with the network.
    pub(crate) fn wants_bytes(&self) -> bool {
        self.outbox.has_room() && self.searches.len() < self.session.dialect().operations_at_once()
    }

    /// Whether the client waits for nothing.
    pub(crate) fn is_idle(&self) -> bool {
        self.searches.is_empty() && self.outbox.is_empty()
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
