//! What a bind comes to, told to the journal, the metrics and the log.

use super::Session;
use crate::domain::Decision;
use crate::domain::dialect::Refused;
use crate::domain::filetime::FileTime;
use crate::domain::outcome::{BindResult, SubCode};
use crate::faults::rule::ResultCode;
use crate::journal::{self, Pending};
use crate::ldap::message::{Bind, Credentials, Operation, Outcome, Request, Response};
use crate::ldap::outbox::Outbox;
use crate::metrics::BindLabel;

impl Session {
    pub(super) fn bind(&mut self, id: i32, bind: &Bind<'_>) -> (Outcome, Pending) {
        match self.refusal(bind) {
            Some(Refused { code, text, sub_code }) => {
                let pending = self.refused(id, bind.name, code, sub_code);
                (Outcome::new(code, text), pending)
            }
            None => self.check(id, bind),
        }
    }

    /// Why no account is looked at.
    fn refusal(&self, bind: &Bind<'_>) -> Option<Refused> {
        let dialect = self.dialect();
        if !dialect.accepts_version(bind.version) {
            return Some(dialect.no_such_version());
        }
        match bind.credentials {
            Credentials::Sasl(_) | Credentials::Sicily if self.fast_bind => Some(dialect.not_in_fast_bind()),
            Credentials::Sicily => Some(dialect.no_such_method(b"")),
            Credentials::Sasl(mechanism) => Some(dialect.no_such_method(mechanism)),
            Credentials::Simple(_) => {
                let strong = self.controller.world.domain.wants_strong_auth();
                (strong && !self.encrypted && !bind.name.is_empty()).then(|| dialect.strong_auth())
            }
        }
    }

    fn check(&mut self, id: i32, bind: &Bind<'_>) -> (Outcome, Pending) {
        let Credentials::Simple(password) = bind.credentials else {
            // Every other one was refused.
            let refused = self.dialect().no_such_method(b"");
            return (Outcome::from(refused), self.refused(id, bind.name, 7, None));
        };
        let world = &self.controller.world;
        let attempt = world.domain.attempt(bind.name, password);
        let name = journal::written(bind.name);
        let (decision, pending) = world.in_turn(|now| {
            let (dc, now_there) = (self.controller.id, FileTime::from(now));
            world.domain.decide(&attempt, dc, now_there, |decision| {
                let sub_code = decision.result.sub_code();
                let record = journal::Bind {
                    time: now,
                    source: self.source.clone(),
                    msgid: id,
                    name,
                    account: decision.account,
                    result: decision.result.code(),
                    sub_code,
                };
                world.journal.record(record)
            })
        });
        self.told(
            id,
            bind.name,
            decision.result.code(),
            decision.result.sub_code(),
            BindLabel::from(decision.result),
        );
        (self.settle(&decision), pending)
    }

    /// sAMAccountName of the account that a bind is about.
    pub(crate) fn whose(&self, request: &Request<'_>) -> Option<String> {
        let Operation::Bind(Bind {
            name,
            credentials: Credentials::Simple(password),
            ..
        }) = request.operation
        else {
            return None;
        };
        let domain = &self.controller.world.domain;
        let id = domain.account_of_bind(name, password)?;
        Some(domain.sam(id).into_owned())
    }

    /// Answers a bind with a result by which a server says that the trouble is its own. No account is looked at.
    pub(crate) fn refuse(&self, request: &Request<'_>, code: ResultCode, outbox: &mut Outbox) {
        let Operation::Bind(bind) = &request.operation else {
            return;
        };
        let text = match code {
            ResultCode::Busy => "busy, as a fault has it",
            ResultCode::Unavailable => "unavailable, as a fault has it",
            ResultCode::Other => "other trouble, as a fault has it",
        };
        let pending = self.refused(request.id, bind.name, code.code(), None);
        let outcome = Outcome::new(code.code(), text);
        outbox.answers().result(request.id, Response::Bind, &outcome);
        outbox.answers_bind(pending);
    }

    /// Takes over the new identity. A failed bind leaves the one before, as measured.
    fn settle(&mut self, decision: &Decision) -> Outcome {
        match decision.result {
            BindResult::Rejected(sub_code) => {
                return Outcome::new(49, self.dialect().rejection(sub_code));
            }
            BindResult::Success | BindResult::Anonymous if self.fast_bind => {}
            BindResult::Success => self.identity = decision.account,
            BindResult::Anonymous => self.identity = None,
        }
        Outcome::SUCCESS
    }

    /// Notes a bind for which no account is looked at.
    pub(super) fn refused(&self, id: i32, name: &[u8], code: u32, sub_code: Option<SubCode>) -> Pending {
        self.told(id, name, code, sub_code, BindLabel::Refused);
        let world = &self.controller.world;
        let name = journal::written(name);
        world.in_turn(|time| {
            world.journal.record(journal::Bind {
                time,
                source: self.source.clone(),
                msgid: id,
                name,
                account: None,
                result: code,
                sub_code,
            })
        })
    }

    fn told(&self, msgid: i32, name: &[u8], code: u32, sub_code: Option<SubCode>, label: BindLabel) {
        let dc = &*self.controller.name;
        self.controller.world.metrics.bind(dc, label);
        let sub_code = sub_code.map_or("", SubCode::text);
        if tracing::enabled!(tracing::Level::DEBUG) {
            let name = journal::written(name);
            tracing::debug!(dc, peer = %self.source.peer, msgid, result = code, sub_code, name, "bind");
        } else {
            tracing::info!(dc, peer = %self.source.peer, msgid, result = code, sub_code, "bind");
        }
    }
}
