//! One connection's requests and their answers: who is signed in, and what each operation comes to. No socket in here.

mod bind;
mod extended;

use std::net::SocketAddr;
use std::sync::Arc;

use super::Controller;
use super::conversation::Cut;
use super::frame::Limit;
use super::message::{Compare, Operation, Outcome, Request, Response};
use super::modify;
use super::outbox::Outbox;
use super::searching::Searching;
use crate::domain::dialect::{Dialect, Refused};
use crate::domain::object::ObjectId;
use crate::journal::Source;
use crate::search::controls;

/// What follows a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// The next request.
    Continue,
    /// The end: the client said so.
    Close,
    /// TLS, from the next byte on.
    StartTls,
    /// The end, as a fault has it.
    Cut(Cut),
}

#[derive(Debug)]
pub(crate) struct Session {
    controller: Arc<Controller>,
    source: Arc<Source>,
    encrypted: bool,
    /// Whether TLS was there from the first byte.
    ldaps: bool,
    identity: Option<ObjectId>,
    /// Whether binds only say whether they are right (MS-ADTS 5.1.1.3). Nobody is signed in then.
    fast_bind: bool,
}

impl Session {
    pub(crate) fn new(controller: Arc<Controller>, peer: SocketAddr, encrypted: bool) -> Self {
        let source = Source {
            dc: controller.name.clone(),
            conn: controller.shared.next_connection(),
            peer,
        };
        Self {
            controller,
            source: Arc::new(source),
            encrypted,
            ldaps: encrypted,
            identity: None,
            fast_bind: false,
        }
    }

    /// From now on the stream is TLS. Whoever is signed in stays so, as measured.
    pub(crate) fn is_now_encrypted(&mut self) {
        self.encrypted = true;
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.controller.world.domain.dialect()
    }

    /// How long a message may be now.
    pub(crate) fn limit(&self) -> Limit {
        let dialect = self.dialect();
        Limit {
            bytes: dialect.longest_request(self.identity.is_some()),
            waits: dialect.waits_for_long_requests(),
        }
    }

    /// Carries out one request. A search only begins here; it goes on among `searches`.
    pub(crate) fn handle(&mut self, request: Request<'_>, searches: &mut Searching, outbox: &mut Outbox) -> Then {
        let Request {
            id,
            operation,
            controls,
        } = request;
        let dialect = self.dialect();
        let options = controls::read(controls.iter().map(controls::Control::from), dialect);
        let unknown = options.is_err();
        if unknown && dialect.refuses_controls_as_extended() {
            let refusal = Outcome::from(dialect.no_such_control());
            let Operation::Bind(bind) = operation else {
                outbox.answers().extended(id, &refusal, None, None);
                return Then::Continue;
            };
            let pending = self.refused(id, bind.name, refusal.code, None);
            outbox.answers().extended(id, &refusal, None, None);
            outbox.answers_bind(pending);
            return Then::Continue;
        }
        let refusal = unknown.then(|| Outcome::from(dialect.no_such_control()));
        let mut answer = |response, outcome: &Outcome| outbox.answers().result(id, response, outcome);
        match operation {
            Operation::Bind(bind) => {
                if dialect.bind_abandons() && !self.fast_bind {
                    searches.abandon_all();
                }
                let (outcome, pending) = match refusal {
                    None => self.bind(id, &bind),
                    Some(refusal) => {
                        let pending = self.refused(id, bind.name, refusal.code, None);
                        (refusal, pending)
                    }
                };
                outbox.answers().result(id, Response::Bind, &outcome);
                outbox.answers_bind(pending);
            }
            Operation::Unbind => return Then::Close,
            Operation::Abandon(which) => {
                if dialect.abandons() {
                    searches.abandon(which);
                }
            }
            Operation::Search(search) => match refusal {
                Some(refusal) => answer(Response::Search, &refusal),
                None => {
                    let asked = (search, options.unwrap_or_default());
                    searches.begin(id, asked, &self.controller, (self.identity, self.ldaps), outbox);
                }
            },
            Operation::SearchWithin => {
                answer(
                    Response::Search,
                    &refusal.unwrap_or_else(|| dialect.no_such_scope().into()),
                );
            }
            Operation::Extended(extended) => match refusal {
                Some(refusal) => outbox.answers().extended(id, &refusal, None, None),
                None => return self.extended(id, &extended, searches, outbox),
            },
            Operation::Compare(compare) => {
                let outcome = refusal.unwrap_or_else(|| self.compare(&compare));
                answer(Response::Compare, &outcome);
            }
            Operation::Modify(request) => {
                let how = modify::How {
                    encrypted: self.encrypted,
                    permissive: options.is_ok_and(|options| options.permissive_modify),
                };
                let outcome = self.of_somebody(refusal, |by| modify::carry_out(&self.controller, by, how, &request));
                answer(Response::Modify, &outcome);
            }
            Operation::Add => answer(Response::Add, &self.refuse_change(refusal)),
            Operation::Delete => answer(Response::Delete, &self.refuse_change(refusal)),
            Operation::ModifyDn => answer(Response::ModifyDn, &self.refuse_change(refusal)),
            Operation::TooComplex(response) => answer(response, &dialect.too_complex().into()),
            // As measured: a response that is sent as a request.
            Operation::NoRequest => outbox.answers().extended(id, &dialect.no_request().into(), None, None),
        }
        Then::Continue
    }

    /// Whether an entry has a value: a search of it alone, as Samba carries it out (measured).
    fn compare(&self, compare: &Compare<'_>) -> Outcome {
        match Searching::finds_value(compare, &self.controller, self.identity) {
            Ok(true) => Outcome::new(6, ""),
            Ok(false) => Outcome::new(5, ""),
            Err(refusal) => refusal,
        }
    }

    /// What an operation comes to that somebody has to sign in for.
    fn of_somebody(&self, refusal: Option<Outcome>, carry_out: impl FnOnce(ObjectId) -> Outcome) -> Outcome {
        match (refusal, self.identity) {
            (Some(refusal), _) => refusal,
            (None, None) => self.dialect().bind_first().into(),
            (None, Some(who)) => carry_out(who),
        }
    }

    /// Answers a change that is not offered.
    fn refuse_change(&self, refusal: Option<Outcome>) -> Outcome {
        self.of_somebody(refusal, |by| modify::refuse(&self.controller, by))
    }
}

impl From<Refused> for Outcome {
    fn from(refused: Refused) -> Self {
        Self::new(refused.code, refused.text)
    }
}
