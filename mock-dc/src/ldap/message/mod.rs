//! LDAP messages as a server sees them (RFC 4511): requests off the wire, answers onto it.
//!
//! Names, passwords and values are the bytes that came, wherever LDAP says text: what is no UTF-8 is an answerable
//! request here. What may be a secret is borrowed from the received message and copied nowhere.

mod answer;
mod decode;
mod filter;

pub(crate) use answer::{Answers, Outcome, Response};
pub(crate) use decode::decode;

use postern_ldap::ber::{self, Malformed, Reader};

use crate::search::controls;
use crate::search::request::SearchRequest;

/// One request.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    /// Message id. Any number is answered with the same one.
    pub(crate) id: i32,
    /// What is asked.
    pub(crate) operation: Operation<'a>,
    /// What was added to it.
    pub(crate) controls: Controls<'a>,
}

impl Request<'_> {
    /// Whether it is a bind by [`Credentials::Sicily`].
    pub(crate) fn is_sicily(&self) -> bool {
        matches!(
            self.operation,
            Operation::Bind(Bind {
                credentials: Credentials::Sicily,
                ..
            })
        )
    }
}

/// What a request asks for.
#[derive(Debug)]
pub(crate) enum Operation<'a> {
    /// To be somebody.
    Bind(Bind<'a>),
    /// To end the connection.
    Unbind,
    /// To find entries.
    Search(SearchRequest),
    /// To find entries within a scope that LDAP does not have.
    SearchWithin,
    /// To change an entry.
    Modify(Modify<'a>),
    /// To make an entry.
    Add,
    /// To delete an entry.
    Delete,
    /// To rename an entry.
    ModifyDn,
    /// Whether an entry has a value.
    Compare(Compare<'a>),
    /// To end the operation with this message id.
    Abandon(i32),
    /// Something that RFC 4511 does not define.
    Extended(Extended<'a>),
    /// Nothing: it is what a server answers.
    NoRequest,
    /// More parts than are taken apart for one request, with the tag of the answer.
    TooComplex(Response),
}

/// A bind request.
#[derive(Debug)]
pub(crate) struct Bind<'a> {
    /// The version of LDAP that is asked for.
    pub(crate) version: i32,
    /// Who is meant; may be any bytes.
    pub(crate) name: &'a [u8],
    /// What proves it.
    pub(crate) credentials: Credentials<'a>,
}

/// What proves who somebody is.
pub(crate) enum Credentials<'a> {
    /// A password; may be any bytes.
    Simple(&'a [u8]),
    /// A mechanism of SASL by its name. What it would be given is not kept: none is offered.
    Sasl(&'a [u8]),
    /// NTLM as Windows clients had it before SASL (MS-ADTS 5.1.1.1.3). What came is not kept: it is not offered.
    Sicily,
}

impl std::fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Simple(_) => "Simple(***)",
            Self::Sicily => "Sicily",
            Self::Sasl(_) => "Sasl",
        })
    }
}

/// A modify request. Its `Debug` form shows no value: it may be a password.
#[derive(Debug)]
pub(crate) struct Modify<'a> {
    /// The name of the entry.
    pub(crate) name: &'a [u8],
    /// What is to be changed, in this order.
    pub(crate) changes: Vec<Change<'a>>,
}

/// One change of a modify request.
pub(crate) struct Change<'a> {
    /// 0 add, 1 delete, 2 replace, 3 increment (RFC 4525); any other means nothing.
    pub(crate) kind: i32,
    /// The attribute's description.
    pub(crate) attribute: &'a [u8],
    /// Its values.
    pub(crate) values: Vec<&'a [u8]>,
}

impl std::fmt::Debug for Change<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            kind,
            attribute,
            values,
        } = self;
        let attribute = String::from_utf8_lossy(attribute);
        write!(f, "Change({kind}, {attribute}, {} values)", values.len())
    }
}

/// A compare request.
#[derive(Debug)]
pub(crate) struct Compare<'a> {
    /// The name of the entry.
    pub(crate) name: &'a [u8],
    /// The attribute's description.
    pub(crate) attribute: &'a [u8],
    /// The value that it may have.
    pub(crate) value: &'a [u8],
}

/// An extended request.
#[derive(Debug)]
pub(crate) struct Extended<'a> {
    /// Which one, as an object identifier.
    pub(crate) oid: &'a [u8],
}

/// A control of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Control<'a> {
    /// Which one, as an object identifier.
    pub(crate) oid: &'a [u8],
    /// Whether the request means nothing without it.
    pub(crate) critical: bool,
    /// What it says.
    pub(crate) value: Option<&'a [u8]>,
}

/// The controls of a request, already known to be well-formed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Controls<'a> {
    content: &'a [u8],
}

impl<'a> Controls<'a> {
    fn decode(content: &'a [u8]) -> Result<Self, Malformed> {
        let controls = Self { content };
        let mut reader = Reader::new(content);
        while !reader.is_empty() {
            Control::decode(&mut reader)?;
        }
        Ok(controls)
    }

    /// One after another.
    pub(crate) fn iter(self) -> impl Iterator<Item = Control<'a>> {
        let mut reader = Reader::new(self.content);
        std::iter::from_fn(move || Control::decode(&mut reader).ok())
    }
}

impl From<Control<'_>> for controls::Control {
    fn from(control: Control<'_>) -> Self {
        Self {
            oid: String::from_utf8_lossy(control.oid).into_owned(),
            critical: control.critical,
            value: control.value.map(<[u8]>::to_vec),
        }
    }
}

impl<'a> Control<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut inside = Reader::new(reader.expect(ber::SEQUENCE)?);
        let oid = inside.expect(ber::OCTET_STRING)?;
        let critical = match inside.optional(ber::BOOLEAN)? {
            None => false,
            Some(content) => decode::boolean(content)?,
        };
        let value = inside.optional(ber::OCTET_STRING)?;
        decode::end(inside)?;
        Ok(Self { oid, critical, value })
    }
}
