//! One connection's requests and their answers: who is signed in, and what each operation comes to.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use ldap3_proto::control::LdapControl;
use ldap3_proto::proto::{
    LdapBindCred, LdapBindRequest, LdapBindResponse, LdapExtendedRequest, LdapExtendedResponse, LdapFilter, LdapMsg,
    LdapOp, LdapPartialAttribute, LdapResult, LdapResultCode, LdapSearchRequest, LdapSearchResultEntry,
    LdapSearchScope,
};
use tokio::io::{AsyncRead, AsyncWrite};
use zeroize::Zeroizing;

use super::Controller;
use super::wire::{Wire, WireError};
use crate::domain::Decision;
use crate::domain::filetime::FileTime;
use crate::domain::object::ObjectId;
use crate::domain::outcome::{BindResult, SubCode};
use crate::journal::{Bind, Pending};
use crate::metrics::BindLabel;
use crate::search::code::Code;
use crate::search::entry::{Entry, Selection};
use crate::search::request::{Assertion, Filter, Scope, SearchRequest, Substring};
use crate::search::root_dse::{STARTTLS, WHO_AM_I, answers, root_dse};
use crate::search::{Search, Step};

/// Responses by whoever is no server, and other things that no client sends.
const NO_REQUEST: &str = "not a request";

/// What follows an answered request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// The next request.
    Continue,
    /// The end: the client said so.
    Close,
    /// TLS, from the next byte on.
    StartTls,
}

pub(super) struct Session {
    controller: Arc<Controller>,
    conn: u64,
    peer: SocketAddr,
    encrypted: bool,
    identity: Option<ObjectId>,
}

impl Session {
    pub(super) fn new(controller: Arc<Controller>, peer: SocketAddr, encrypted: bool) -> Self {
        let conn = controller.next_connection();
        Self {
            controller,
            conn,
            peer,
            encrypted,
            identity: None,
        }
    }

    /// From now on the stream is TLS. Whoever is signed in stays so, as measured.
    pub(super) fn is_now_encrypted(&mut self) {
        self.encrypted = true;
    }

    /// Answers one request.
    pub(super) async fn handle<S>(&mut self, request: LdapMsg, wire: &mut Wire<S>) -> Result<Then, WireError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let LdapMsg { msgid, op, ctrl } = request;
        let dialect = self.controller.world.domain.dialect();
        let refusal = ctrl
            .iter()
            .any(is_critical)
            .then(|| result(LdapResultCode::UnavailableCriticalExtension, dialect.no_such_control()));
        match op {
            LdapOp::BindRequest(bind) => {
                let (answer, pending) = match refusal {
                    Some(refusal) => self.refuse_bind(msgid, bind.dn, refusal, BindLabel::Refused),
                    None => self.bind(msgid, bind),
                };
                wire.send_bind(
                    msgid,
                    LdapOp::BindResponse(LdapBindResponse {
                        res: answer,
                        saslcreds: None,
                    }),
                    pending,
                )
                .await?;
            }
            LdapOp::UnbindRequest => return Ok(Then::Close),
            // Every request has been answered before the next is read: there is nothing left to abandon.
            LdapOp::AbandonRequest(_) => {}
            LdapOp::SearchRequest(search) => match refusal {
                Some(refusal) => wire.send(msgid, LdapOp::SearchResultDone(refusal)).await?,
                None => self.search(msgid, search, wire).await?,
            },
            LdapOp::ExtendedRequest(extended) => {
                let (response, then) = match refusal {
                    Some(refusal) => (
                        LdapExtendedResponse {
                            res: refusal,
                            name: None,
                            value: None,
                        },
                        Then::Continue,
                    ),
                    None => self.extended(&extended),
                };
                wire.send(msgid, LdapOp::ExtendedResponse(response)).await?;
                return Ok(then);
            }
            other => wire.send(msgid, self.refuse_other(&other, refusal)).await?,
        }
        Ok(Then::Continue)
    }

    fn bind(&mut self, msgid: i32, request: LdapBindRequest) -> (LdapResult, Pending) {
        let world = self.controller.world.clone();
        let dialect = world.domain.dialect();
        let LdapBindRequest {
            version,
            dn: name,
            cred,
        } = request;
        if !dialect.accepts_version(version) {
            let refusal = result(
                LdapResultCode::ProtocolError,
                format!("LDAP version {version} is not offered"),
            );
            return self.refuse_bind(msgid, name, refusal, BindLabel::Refused);
        }
        let LdapBindCred::Simple(password) = cred else {
            let refusal = result(LdapResultCode::AuthMethodNotSupported, dialect.no_such_method());
            return self.refuse_bind(msgid, name, refusal, BindLabel::Refused);
        };
        let password = Zeroizing::new(password);
        let (domain, dc) = (&world.domain, self.controller.id);
        let attempt = domain.attempt(&name, &password);
        let (decision, pending) = world.in_turn(|now| {
            domain.decide(&attempt, dc, FileTime::from(now), |decision| {
                world.journal.record(Bind {
                    time: now,
                    dc: self.controller.name.clone(),
                    conn: self.conn,
                    peer: self.peer,
                    msgid,
                    name: name.clone(),
                    account: decision.account,
                    result: decision.result.code(),
                    sub_code: decision.result.sub_code().map(SubCode::text),
                })
            })
        });
        self.told(
            msgid,
            &name,
            decision.result.code(),
            decision.result.sub_code(),
            BindLabel::from(decision.result),
        );
        (self.settle(&decision), pending)
    }

    /// Takes over the new identity. A failed bind leaves the one before, as measured.
    fn settle(&mut self, decision: &Decision) -> LdapResult {
        match decision.result {
            BindResult::Success => self.identity = decision.account,
            BindResult::Anonymous => self.identity = None,
            BindResult::Rejected(sub_code) => {
                let text = self.controller.world.domain.dialect().rejection(sub_code);
                return result(LdapResultCode::InvalidCredentials, text);
            }
        }
        result(LdapResultCode::Success, "")
    }

    /// Answers a bind for which no account is looked at.
    fn refuse_bind(&self, msgid: i32, name: String, refusal: LdapResult, label: BindLabel) -> (LdapResult, Pending) {
        let code = refusal.code.clone() as u32;
        self.told(msgid, &name, code, None, label);
        let world = &self.controller.world;
        let pending = world.in_turn(|time| {
            world.journal.record(Bind {
                time,
                dc: self.controller.name.clone(),
                conn: self.conn,
                peer: self.peer,
                msgid,
                name,
                account: None,
                result: code,
                sub_code: None,
            })
        });
        (refusal, pending)
    }

    fn told(&self, msgid: i32, name: &str, code: u32, sub_code: Option<SubCode>, label: BindLabel) {
        let dc = &*self.controller.name;
        self.controller.world.metrics.bind(dc, label);
        let sub_code = sub_code.map_or("", SubCode::text);
        if tracing::enabled!(tracing::Level::DEBUG) {
            tracing::debug!(dc, peer = %self.peer, msgid, result = code, sub_code, name, "bind");
        } else {
            tracing::info!(dc, peer = %self.peer, msgid, result = code, sub_code, "bind");
        }
    }

    async fn search<S>(&self, msgid: i32, request: LdapSearchRequest, wire: &mut Wire<S>) -> Result<(), WireError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let world = &self.controller.world;
        let dialect = world.domain.dialect();
        let request = search_request(request);
        if request.base.is_empty() && request.scope == Scope::Base {
            let entry = root_dse(&world.domain, &self.controller.name, world.clock.now());
            if answers(&entry, &request.filter, &world.domain) {
                let shown = Selection::of(&request.attributes).apply(entry, request.types_only);
                wire.send(msgid, LdapOp::SearchResultEntry(result_entry(shown))).await?;
            }
            return wire
                .send(msgid, LdapOp::SearchResultDone(result(LdapResultCode::Success, "")))
                .await;
        }
        if self.identity.is_none() {
            let refusal = result(LdapResultCode::OperationsError, dialect.bind_first());
            return wire.send(msgid, LdapOp::SearchResultDone(refusal)).await;
        }
        let mut search = match Search::begin(&world.domain, request) {
            Ok(search) => search,
            Err(refusal) => {
                let refused = LdapResult {
                    matcheddn: refusal.matched_dn,
                    ..result(result_code(refusal.code), refusal.text)
                };
                return wire.send(msgid, LdapOp::SearchResultDone(refused)).await;
            }
        };
        loop {
            let (entries, end) = match search.step(&world.domain, self.controller.id, FileTime::from(world.clock.now()))
            {
                Step::Entries(entries) => (entries, None),
                Step::Last(entries, code) => (entries, Some(code)),
            };
            for entry in entries {
                wire.send(msgid, LdapOp::SearchResultEntry(result_entry(entry))).await?;
            }
            match end {
                Some(code) => {
                    return wire
                        .send(msgid, LdapOp::SearchResultDone(result(result_code(code), "")))
                        .await;
                }
                // A look at a million accounts must not keep the other connections of this thread waiting.
                None => tokio::task::yield_now().await,
            }
        }
    }

    fn extended(&self, request: &LdapExtendedRequest) -> (LdapExtendedResponse, Then) {
        let domain = &self.controller.world.domain;
        let answer = |res, name: Option<&str>, value| LdapExtendedResponse {
            res,
            name: name.map(str::to_owned),
            value,
        };
        match request.name.as_str() {
            STARTTLS if self.encrypted => {
                let text = "START-TLS: TLS is already enabled on this LDAP session";
                (
                    answer(result(LdapResultCode::OperationsError, text), Some(STARTTLS), None),
                    Then::Continue,
                )
            }
            STARTTLS => (
                answer(result(LdapResultCode::Success, ""), Some(STARTTLS), None),
                Then::StartTls,
            ),
            WHO_AM_I if domain.dialect().answers_who_am_i() => {
                let who = self
                    .identity
                    .map(|id| format!("u:{}\\{}", domain.netbios(), domain.sam(id)))
                    .unwrap_or_default();
                (
                    answer(result(LdapResultCode::Success, ""), None, Some(who.into_bytes())),
                    Then::Continue,
                )
            }
            oid => {
                let text = domain.dialect().no_such_extended_operation(oid);
                (
                    answer(result(LdapResultCode::ProtocolError, text), None, None),
                    Then::Continue,
                )
            }
        }
    }

    /// Answers what this server does not do, in the operation's own response.
    fn refuse_other(&self, op: &LdapOp, refusal: Option<LdapResult>) -> LdapOp {
        let dialect = self.controller.world.domain.dialect();
        let refused = refusal.unwrap_or_else(|| match self.identity {
            None => result(LdapResultCode::OperationsError, dialect.bind_first()),
            Some(_) => result(
                LdapResultCode::UnwillingToPerform,
                "this simulated directory is changed over its control interface",
            ),
        });
        match op {
            LdapOp::ModifyRequest(_) => LdapOp::ModifyResponse(refused),
            LdapOp::AddRequest(_) => LdapOp::AddResponse(refused),
            LdapOp::DelRequest(_) => LdapOp::DelResponse(refused),
            LdapOp::ModifyDNRequest(_) => LdapOp::ModifyDNResponse(refused),
            LdapOp::CompareRequest(_) => LdapOp::CompareResult(refused),
            // As measured: a response that is sent as a request.
            _ => LdapOp::ExtendedResponse(LdapExtendedResponse {
                res: result(LdapResultCode::ProtocolError, NO_REQUEST),
                name: None,
                value: None,
            }),
        }
    }
}

fn result(code: LdapResultCode, text: impl Into<Cow<'static, str>>) -> LdapResult {
    LdapResult {
        code,
        matcheddn: String::new(),
        message: text.into().into_owned(),
        referral: Vec::new(),
    }
}

/// Whether the request must not be carried out without the control. None is offered yet; those whose criticality the
/// codec does not keep are taken for not critical.
fn is_critical(control: &LdapControl) -> bool {
    match control {
        LdapControl::SyncRequest { criticality, .. }
        | LdapControl::ManageDsaIT { criticality }
        | LdapControl::PasswordPolicyRequest { criticality }
        | LdapControl::SearchOptions { criticality, .. }
        | LdapControl::ShowDeleted { criticality }
        | LdapControl::SdFlags { criticality, .. }
        | LdapControl::ExtendedDn { criticality, .. }
        | LdapControl::Unknown { criticality, .. } => *criticality,
        LdapControl::SyncState { .. }
        | LdapControl::SyncDone { .. }
        | LdapControl::AdDirsync { .. }
        | LdapControl::SimplePagedResults { .. }
        | LdapControl::ServerSort { .. }
        | LdapControl::ServerSortResult { .. } => false,
    }
}

fn result_code(code: Code) -> LdapResultCode {
    match code {
        Code::Success => LdapResultCode::Success,
        Code::OperationsError => LdapResultCode::OperationsError,
        Code::ProtocolError => LdapResultCode::ProtocolError,
        Code::TimeLimitExceeded => LdapResultCode::TimeLimitExceeded,
        Code::SizeLimitExceeded => LdapResultCode::SizeLimitExceeded,
        Code::Referral => LdapResultCode::Referral,
        Code::UnavailableCriticalExtension => LdapResultCode::UnavailableCriticalExtension,
        Code::InappropriateMatching => LdapResultCode::InappropriateMatching,
        Code::NoSuchObject => LdapResultCode::NoSuchObject,
        Code::InvalidDnSyntax => LdapResultCode::InvalidDNSyntax,
        Code::UnwillingToPerform => LdapResultCode::UnwillingToPerform,
    }
}

fn result_entry(entry: Entry) -> LdapSearchResultEntry {
    let attributes = entry.attributes.into_iter();
    let attributes = attributes.map(|attribute| LdapPartialAttribute {
        atype: attribute.name.to_owned(),
        vals: attribute.values,
    });
    LdapSearchResultEntry {
        dn: entry.dn,
        attributes: attributes.collect(),
    }
}

fn search_request(request: LdapSearchRequest) -> SearchRequest {
    let limit = |limit: i32| u32::try_from(limit).unwrap_or(0);
    SearchRequest {
        base: request.base.into_bytes(),
        scope: match request.scope {
            LdapSearchScope::Base => Scope::Base,
            LdapSearchScope::OneLevel => Scope::OneLevel,
            LdapSearchScope::Subtree | LdapSearchScope::Children => Scope::Subtree,
        },
        size_limit: limit(request.sizelimit),
        time_limit: limit(request.timelimit),
        types_only: request.typesonly,
        filter: filter(request.filter),
        attributes: request.attrs,
    }
}

fn filter(read: LdapFilter) -> Filter {
    let all = |parts: Vec<LdapFilter>| parts.into_iter().map(filter).collect();
    match read {
        LdapFilter::And(parts) => Filter::And(all(parts)),
        LdapFilter::Or(parts) => Filter::Or(all(parts)),
        LdapFilter::Not(part) => Filter::Not(Box::new(filter(*part))),
        LdapFilter::Equality(name, value) => Filter::Equality(name, value.into_bytes()),
        LdapFilter::Substring(name, pattern) => Filter::Substring(
            name,
            Substring {
                initial: pattern.initial.map(String::into_bytes),
                any: pattern.any.into_iter().map(String::into_bytes).collect(),
                last: pattern.final_.map(String::into_bytes),
            },
        ),
        LdapFilter::GreaterOrEqual(name, value) => Filter::GreaterOrEqual(name, value.into_bytes()),
        LdapFilter::LessOrEqual(name, value) => Filter::LessOrEqual(name, value.into_bytes()),
        LdapFilter::Present(name) => Filter::Present(name),
        LdapFilter::Approx(name, value) => Filter::Approx(name, value.into_bytes()),
        LdapFilter::Extensible(rule) => Filter::Extensible(Assertion {
            rule: rule.matching_rule,
            attribute: rule.type_,
            value: rule.match_value.into_bytes(),
            names_too: rule.dn_attributes,
        }),
    }
}
