//! What a search comes to, by number and text.

use std::borrow::Cow;

use crate::domain::dialect::Refused;

/// Result codes that a search ends with (RFC 4511 4.1.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// Everything that was asked for was sent.
    Success = 0,
    /// The request does not fit the state of things, as AD uses it: not bound, or asked of the wrong scope.
    OperationsError = 1,
    /// A part of the request has no meaning.
    ProtocolError = 2,
    /// The client's time is over.
    TimeLimitExceeded = 3,
    /// There is more than the client or the server wants sent at once.
    SizeLimitExceeded = 4,
    /// The request asks for what no controller here knows.
    Referral = 10,
    /// The request takes more work than the server is willing to do.
    AdminLimitExceeded = 11,
    /// A control without which the client does not want the search.
    UnavailableCriticalExtension = 12,
    /// A matching rule that the attribute does not have.
    InappropriateMatching = 18,
    /// The base does not exist.
    NoSuchObject = 32,
    /// The base is no name.
    InvalidDnSyntax = 34,
    /// The server does not do this.
    UnwillingToPerform = 53,
}

/// How a search ends; mostly before it has looked at everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The result code.
    pub code: Code,
    /// The nearest entry that exists.
    pub matched_dn: String,
    /// The diagnostic text.
    pub text: Cow<'static, str>,
    /// Where else the client may ask, with result 10.
    pub referral: Option<String>,
}

impl From<Refused> for Refusal {
    /// Of what is refused to whoever has to sign in first.
    fn from(refused: Refused) -> Self {
        Self::new(Code::OperationsError, refused.text)
    }
}

impl Refusal {
    /// A refusal that names no entry.
    pub fn new(code: Code, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            matched_dn: String::new(),
            text: text.into(),
            referral: None,
        }
    }
}
