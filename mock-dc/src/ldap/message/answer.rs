//! Answers onto the wire.

use std::borrow::Cow;

use postern_ldap::ber::{Appender, ENUMERATED, INTEGER, OCTET_STRING, SEQUENCE, SET};

use crate::search::controls::Control;
use crate::search::entry::Entry;

/// An answer that carries a result, by its operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Response {
    Bind = 0x61,
    Search = 0x65,
    Modify = 0x67,
    Add = 0x69,
    Delete = 0x6b,
    ModifyDn = 0x6d,
    Compare = 0x6f,
    Extended = 0x78,
}

const ENTRY: u8 = 0x64;
const REFERENCE: u8 = 0x73;
const REFERRAL: u8 = 0xa3;
const CONTROLS: u8 = 0xa0;
const EXTENDED_NAME: u8 = 0x8a;
const EXTENDED_VALUE: u8 = 0x8b;

/// Notice of Disconnection (RFC 4511 4.4.1).
const DISCONNECTION: &[u8] = b"1.3.6.1.4.1.1466.20036";

/// What an operation came to (RFC 4511 4.1.9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The result code.
    pub(crate) code: u32,
    /// The nearest entry that exists, where one was looked for in vain.
    pub(crate) matched_dn: String,
    /// The diagnostic text.
    pub(crate) text: Cow<'static, str>,
    /// Where else to ask, with result 10.
    pub(crate) referral: Option<String>,
}

impl Outcome {
    /// Success.
    pub(crate) const SUCCESS: Self = Self {
        code: 0,
        matched_dn: String::new(),
        text: Cow::Borrowed(""),
        referral: None,
    };

    /// A result with its text.
    pub(crate) fn new(code: u32, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            matched_dn: String::new(),
            text: text.into(),
            referral: None,
        }
    }
}

/// Writes answers behind those that wait to be sent.
#[derive(Debug)]
pub(crate) struct Answers<'a> {
    to_send: &'a mut Vec<u8>,
}

impl<'a> Answers<'a> {
    /// Writes behind `to_send`.
    pub(crate) fn new(to_send: &'a mut Vec<u8>) -> Self {
        Self { to_send }
    }

    /// The answer that an operation ends with.
    pub(crate) fn result(&mut self, id: i32, response: Response, outcome: &Outcome) {
        self.message(id, response as u8, |inside| result(inside, outcome));
    }

    /// The answer that a search ends with, and its controls.
    pub(crate) fn search_done(&mut self, id: i32, outcome: &Outcome, controls: &[Control]) {
        Appender::new(self.to_send).nest(SEQUENCE, |message| {
            message.number(INTEGER, id);
            message.nest(Response::Search as u8, |inside| result(inside, outcome));
            if controls.is_empty() {
                return;
            }
            message.nest(CONTROLS, |list| {
                for control in controls {
                    list.nest(SEQUENCE, |one| {
                        one.element(OCTET_STRING, control.oid.as_bytes());
                        if let Some(value) = &control.value {
                            one.element(OCTET_STRING, value);
                        }
                    });
                }
            });
        });
    }

    /// Where a search may go on.
    pub(crate) fn reference(&mut self, id: i32, uri: &str) {
        self.message(id, REFERENCE, |inside| inside.element(OCTET_STRING, uri.as_bytes()));
    }

    /// The answer to an extended request.
    pub(crate) fn extended(&mut self, id: i32, outcome: &Outcome, name: Option<&[u8]>, value: Option<&[u8]>) {
        self.message(id, Response::Extended as u8, |inside| {
            result(inside, outcome);
            if let Some(name) = name {
                inside.element(EXTENDED_NAME, name);
            }
            if let Some(value) = value {
                inside.element(EXTENDED_VALUE, value);
            }
        });
    }

    /// That the connection is about to be closed, and why.
    pub(crate) fn disconnection(&mut self, outcome: &Outcome) {
        self.extended(0, outcome, Some(DISCONNECTION), None);
    }

    /// One entry that a search found.
    pub(crate) fn entry(&mut self, id: i32, entry: &Entry) {
        self.message(id, ENTRY, |inside| {
            inside.element(OCTET_STRING, entry.dn.as_bytes());
            inside.nest(SEQUENCE, |attributes| {
                for attribute in &entry.attributes {
                    attributes.nest(SEQUENCE, |one| {
                        match &attribute.range {
                            None => one.element(OCTET_STRING, attribute.name.as_bytes()),
                            Some(range) => one.element(OCTET_STRING, format!("{}{range}", attribute.name).as_bytes()),
                        }
                        one.nest(SET, |values| {
                            for value in &attribute.values {
                                values.element(OCTET_STRING, value.as_ref());
                            }
                        });
                    });
                }
            });
        });
    }

    fn message(&mut self, id: i32, tag: u8, content: impl FnOnce(&mut Appender<'_>)) {
        Appender::new(self.to_send).nest(SEQUENCE, |message| {
            message.number(INTEGER, id);
            message.nest(tag, content);
        });
    }
}

fn result(inside: &mut Appender<'_>, outcome: &Outcome) {
    // Result codes are small numbers.
    inside.number(ENUMERATED, i32::try_from(outcome.code).unwrap_or(i32::MAX));
    inside.element(OCTET_STRING, outcome.matched_dn.as_bytes());
    inside.element(OCTET_STRING, outcome.text.as_bytes());
    if let Some(uri) = &outcome.referral {
        inside.nest(REFERRAL, |uris| uris.element(OCTET_STRING, uri.as_bytes()));
    }
}
