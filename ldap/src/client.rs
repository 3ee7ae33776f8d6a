//! LDAP (RFC 4511) as far as our clients speak it: requests to bytes, bytes to answers. No socket, no clock.
//!
//! Written here and not taken from a library because a sign-in rests on it. What is not exactly the form of an answer
//! is a [`Violation`] and ends the connection: no bytes but a whole `BindResponse` can read as a directory's yes. A
//! request may hold a password, so its bytes are wiped when it is dropped, and nothing in here logs.

pub use answer::{Answer, Entry, LdapResult, Message, Violation};
pub use password_policy::PasswordPolicy;
pub use request::{Encoded, Filter, Scope, Search};
pub use sub_code::sub_code;

pub mod answer;
pub mod password_policy;
pub mod request;
mod sub_code;

/// StartTLS (RFC 4511, section 4.14).
pub const START_TLS: &str = "1.3.6.1.4.1.1466.20037";

/// The notice of disconnection (RFC 4511, section 4.4.1).
const NOTICE_OF_DISCONNECTION: &str = "1.3.6.1.4.1.1466.20036";
