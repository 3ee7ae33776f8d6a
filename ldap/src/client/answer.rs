//! Bytes to answers, strictly.
//!
//! [`length`] says where a message ends, before it is whole; [`decode`] reads one that is. Whether it answers what was
//! asked is for who asked to judge, by its message id and its kind.

use super::NOTICE_OF_DISCONNECTION;
use super::password_policy::{self, PasswordPolicy};
use crate::ber::{self, ENUMERATED, INTEGER, Malformed, OCTET_STRING, Reader, SEQUENCE, SET};

/// The longest message that is read. A RootDSE has some kilobytes, a user's few attributes less.
pub const MAX_MESSAGE: usize = 256 * 1024;

/// Read of a diagnostic text, which goes into log lines and the readiness page. Active Directory's have some hundred.
const MAX_TEXT: usize = 1_000;

mod tag {
    pub(super) const CONTROLS: u8 = 0xa0;
    pub(super) const BIND: u8 = 0x61;
    pub(super) const ENTRY: u8 = 0x64;
    pub(super) const DONE: u8 = 0x65;
    pub(super) const REFERENCE: u8 = 0x73;
    pub(super) const EXTENDED: u8 = 0x78;
    pub(super) const EXTENDED_NAME: u8 = 0x8a;
}

/// What came is no answer to what was asked. The connection is of no further use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Bytes that are not a message of LDAP.
    #[error("it sent what is not LDAP")]
    NotLdap,
    /// A message beyond [`MAX_MESSAGE`].
    #[error("it announced a message of {0} bytes; {MAX_MESSAGE} are read")]
    TooLong(usize),
    /// A message that only a client sends, or one that nobody knows.
    #[error("it sent a message of a kind that is no answer (tag {0:#04x})")]
    NoAnswer(u8),
    /// Nothing with this message id is waited for.
    #[error("it answered message {0}, which is not waited for")]
    OtherId(i32),
    /// The message id is right and the kind is not.
    #[error("its answer is of another kind than the request")]
    OtherKind,
    /// It ended the conversation by its own word (RFC 4511, section 4.4.1).
    #[error("it ended the connection by a notice of disconnection: result {}, {:?}", .0.code, .0.text)]
    Notice(LdapResult),
}

impl From<Malformed> for Violation {
    fn from(_: Malformed) -> Self {
        Self::NotLdap
    }
}

/// How an operation ended (RFC 4511, section 4.1.9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LdapResult {
    /// Result code.
    pub code: u32,
    /// Diagnostic text.
    pub text: String,
}

/// An entry that a search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its DN.
    pub dn: String,
    attributes: Vec<(String, Vec<Vec<u8>>)>,
}

impl Entry {
    /// One with these attributes and their values, for the tests of whoever reads it.
    pub fn new(dn: String, attributes: Vec<(String, Vec<Vec<u8>>)>) -> Self {
        Self { dn, attributes }
    }

    /// The values of an attribute, whatever the case of its name; none if it is not there.
    pub fn values(&self, attribute: &str) -> &[Vec<u8>] {
        self.attributes
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(attribute))
            .map_or(&[], |(_, values)| values)
    }

    /// Those values of an attribute that are text.
    pub fn texts(&self, attribute: &str) -> impl Iterator<Item = &str> {
        self.values(attribute)
            .iter()
            .filter_map(|value| std::str::from_utf8(value).ok())
    }
}

/// A message from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The request's message id.
    pub id: i32,
    /// What it says.
    pub answer: Answer,
}

/// The kinds of answer to what is asked here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Of a bind, with what the password policy says where it says something.
    Bind(LdapResult, Option<PasswordPolicy>),
    /// One entry of a search.
    Entry(Entry),
    /// Another server might know more. Not followed.
    Reference,
    /// The end of a search.
    Done(LdapResult),
    /// Of an extended request.
    Extended {
        /// The result.
        result: LdapResult,
        /// The OID, where it is given.
        name: Option<String>,
    },
}

/// How long the message at the beginning of `bytes` is, or `None` while that cannot be told.
///
/// # Errors
/// [`Violation`] as soon as it can no longer become a message that is read.
pub fn length(bytes: &[u8]) -> Result<Option<usize>, Violation> {
    // Told from its first byte: what begins otherwise will never become a message.
    if bytes.first().is_some_and(|first| *first != SEQUENCE) {
        return Err(Violation::NotLdap);
    }
    let Some(header) = ber::header(bytes)? else {
        return Ok(None);
    };
    let length = header.size.saturating_add(header.content);
    if length > MAX_MESSAGE {
        return Err(Violation::TooLong(length));
    }
    Ok(Some(length))
}

/// Reads one whole message.
///
/// # Errors
/// [`Violation`] when it is not exactly the form of an answer, or ends the conversation.
pub fn decode(bytes: &[u8]) -> Result<Message, Violation> {
    let mut outer = Reader::new(bytes);
    let mut message = Reader::new(outer.expect(SEQUENCE)?);
    if !outer.is_empty() {
        return Err(Violation::NotLdap);
    }
    let id = ber::number(message.expect(INTEGER)?)?;
    let (tag, content) = message.any()?;
    let controls = message.optional(tag::CONTROLS)?;
    message.skip()?;
    let mut content = Reader::new(content);
    let answer = match tag {
        tag::BIND => {
            let result = result(&mut content)?;
            content.skip()?;
            Answer::Bind(result, password_policy_of(controls)?)
        }
        tag::ENTRY => Answer::Entry(entry(content)?),
        tag::REFERENCE => {
            content.skip()?;
            Answer::Reference
        }
        tag::DONE => {
            let result = result(&mut content)?;
            content.skip()?;
            Answer::Done(result)
        }
        tag::EXTENDED => extended(content)?,
        other => return Err(Violation::NoAnswer(other)),
    };
    match answer {
        Answer::Extended { result, name } if id == 0 && name.as_deref() == Some(NOTICE_OF_DISCONNECTION) => {
            Err(Violation::Notice(result))
        }
        answer => Ok(Message { id, answer }),
    }
}

fn result(content: &mut Reader<'_>) -> Result<LdapResult, Malformed> {
    let code = ber::number(content.expect(ENUMERATED)?)?.unsigned_abs();
    let _matched_dn = content.expect(OCTET_STRING)?;
    let said = content.expect(OCTET_STRING)?;
    let text = text(&said[..said.len().min(MAX_TEXT)]);
    Ok(LdapResult { code, text })
}

fn extended(mut content: Reader<'_>) -> Result<Answer, Malformed> {
    let result = result(&mut content)?;
    let mut name = None;
    while !content.is_empty() {
        let (tag, value) = content.any()?;
        if tag == tag::EXTENDED_NAME {
            name = Some(text(value));
        }
    }
    Ok(Answer::Extended { result, name })
}

fn entry(mut content: Reader<'_>) -> Result<Entry, Malformed> {
    // A password may be sent with it: one that had to be mended could be another's.
    let dn = std::str::from_utf8(content.expect(OCTET_STRING)?).map_err(|_| Malformed)?;
    let mut list = Reader::new(content.expect(SEQUENCE)?);
    content.skip()?;
    let mut attributes = Vec::new();
    while !list.is_empty() {
        let mut attribute = Reader::new(list.expect(SEQUENCE)?);
        let name = text(attribute.expect(OCTET_STRING)?);
        let mut set = Reader::new(attribute.expect(SET)?);
        attribute.skip()?;
        let mut values = Vec::new();
        while !set.is_empty() {
            values.push(set.expect(OCTET_STRING)?.to_vec());
        }
        attributes.push((name, values));
    }
    Ok(Entry {
        dn: dn.to_owned(),
        attributes,
    })
}

/// The password policy's word among an answer's controls. Two of them could contradict each other, so there is one.
fn password_policy_of(controls: Option<&[u8]>) -> Result<Option<PasswordPolicy>, Malformed> {
    let mut controls = Reader::new(controls.unwrap_or_default());
    let mut found = None;
    while !controls.is_empty() {
        let mut control = Reader::new(controls.expect(SEQUENCE)?);
        let name = control.expect(OCTET_STRING)?;
        let _critical = control.optional(ber::BOOLEAN)?;
        let value = control.optional(OCTET_STRING)?;
        control.skip()?;
        if name == password_policy::OID.as_bytes() {
            let policy = PasswordPolicy::read(value.unwrap_or_default())?;
            if found.replace(policy).is_some() {
                return Err(Malformed);
            }
        }
    }
    Ok(found)
}

/// Windows ends some texts with a NUL, and nothing of ours depends on a text being exact.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests;
