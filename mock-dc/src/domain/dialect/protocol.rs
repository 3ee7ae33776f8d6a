//! What differs on the wire: limits, the order of operations, and the words of refusals.

use std::borrow::Cow;

use super::{Dialect, windows};
use crate::domain::outcome::SubCode;

/// Bytes of a request before and after signing in: Samba's defaults of "ldap max anonymous request size" and "ldap max
/// authenticated request size".
const SAMBA_ANONYMOUS: usize = 256_000;
const SAMBA_SIGNED_IN: usize = 16 * 1024 * 1024;

/// MaxReceiveBuffer of AD's default query policy (MS-ADTS 3.1.1.3.4.6).
const WINDOWS_LONGEST: usize = 10_485_760;

/// Operations of one connection at a time on Windows. Ours to choose: no client of AD needs more, and each holds memory.
const WINDOWS_AT_ONCE: usize = 32;

/// A request that is refused whatever it asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// LDAP result code.
    pub code: u32,
    /// Diagnostic text.
    pub text: Cow<'static, str>,
    /// The sub-code that the text tells, of result 49.
    pub sub_code: Option<SubCode>,
}

impl Refused {
    fn new(code: u32, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            text: text.into(),
            sub_code: None,
        }
    }
}

impl Dialect {
    /// Bytes that a request may have.
    pub fn longest_request(self, signed_in: bool) -> usize {
        match (self, signed_in) {
            (Self::Windows, _) => WINDOWS_LONGEST,
            (Self::Samba, false) => SAMBA_ANONYMOUS,
            (Self::Samba, true) => SAMBA_SIGNED_IN,
        }
    }

    /// Whether a longer request is waited for until it is whole, and only then ends the connection (measured).
    pub fn waits_for_long_requests(self) -> bool {
        self == Self::Samba
    }

    /// What is said before a connection is closed on which something came that cannot be read (RFC 4511 4.4.1). Samba says
    /// nothing (measured).
    pub fn disconnection(self) -> Option<Refused> {
        match self {
            Self::Windows => Some(Refused::new(
                2,
                windows("00000057", "DSID-0C0C0099", "Error decoding ldap message"),
            )),
            Self::Samba => None,
        }
    }

    /// Operations of one connection that are under way at once. Samba takes one after another (measured).
    pub fn operations_at_once(self) -> usize {
        match self {
            Self::Windows => WINDOWS_AT_ONCE,
            Self::Samba => 1,
        }
    }

    /// Whether a bind ends the operations before it (MS-ADTS 5.1.1.3).
    pub fn bind_abandons(self) -> bool {
        self == Self::Windows
    }

    /// Whether an operation can be abandoned. Samba answers it all the same (measured).
    pub fn abandons(self) -> bool {
        self == Self::Windows
    }

    /// Whether a bind may ask for this LDAP version. Samba does not look at it.
    pub fn accepts_version(self, version: i32) -> bool {
        match self {
            Self::Windows => matches!(version, 2 | 3),
            Self::Samba => true,
        }
    }

    /// Result 2 for a version that is not accepted.
    pub fn no_such_version(self) -> Refused {
        let text = windows("00002030", "DSID-0C0903AD", "LDAP version is not supported");
        Refused::new(2, text)
    }

    /// Result 1 for whoever has to bind first.
    pub fn bind_first(self) -> Refused {
        let text = match self {
            Self::Windows => windows(
                "000004DC",
                "DSID-0C090A5A",
                "In order to perform this operation a successful bind must be completed on the connection.",
            ),
            Self::Samba => "00002020: Operation unavailable without authentication".into(),
        };
        Refused::new(1, text)
    }

    /// Whether NTLM in binds of its own, Sicily, is something to refuse rather than something that cannot be read.
    pub fn reads_sicily(self) -> bool {
        self == Self::Windows
    }

    /// A mechanism of SASL. None is offered; Samba has some and says of them that what they were given is no good
    /// (measured).
    pub fn no_such_method(self, mechanism: &[u8]) -> Refused {
        match (self, mechanism) {
            (Self::Windows, _) => {
                let text = windows("00002027", "DSID-0C0905E2", "Invalid Authentication method");
                Refused::new(7, text)
            }
            (Self::Samba, b"GSS-SPNEGO" | b"GSSAPI" | b"NTLM") => Refused {
                sub_code: Some(SubCode::InvalidParameter),
                ..Refused::new(
                    49,
                    "8009030C: LdapErr: DSID-0C0904DC, comment: AcceptSecurityContext error, data 57, v1db1",
                )
            },
            (Self::Samba, _) => {
                let text = "SASL: Failed to start authentication system: NT_STATUS_INVALID_PARAMETER";
                Refused::new(1, text)
            }
        }
    }

    /// Result 8 for a simple bind in the clear where passwords have to be encrypted.
    pub fn strong_auth(self) -> Refused {
        let text = match self {
            Self::Windows => windows(
                "00002028",
                "DSID-0C090259",
                "The server requires binds to turn on integrity checking if SSL\\TLS are not already active on the \
                 connection",
            ),
            Self::Samba => "BindSimple: Transport encryption required.".into(),
        };
        Refused::new(8, text)
    }

    /// Result 2 for an extended operation that is not offered.
    pub fn no_such_extended_operation(self, oid: &str) -> Refused {
        let text = match self {
            Self::Windows => windows("0000203D", "DSID-0C090DA8", "Unknown extended request OID"),
            Self::Samba => format!("Extended Operation({oid}) not supported").into(),
        };
        Refused::new(2, text)
    }

    /// Whether the refusal of an extended operation names it (measured).
    pub fn names_refused_operation(self) -> bool {
        self == Self::Samba
    }

    /// Whether "Who am I?" (RFC 4532) is offered.
    pub fn answers_who_am_i(self) -> bool {
        self == Self::Windows
    }

    /// Whether Fast Bind (MS-ADTS 5.1.1.3) is offered.
    pub fn offers_fast_bind(self) -> bool {
        self == Self::Windows
    }

    /// Result 53, ERROR_DS_INAPPROPRIATE_AUTH: Fast Bind after a bind, or anything but a simple bind in Fast Bind
    /// (MS-ADTS 5.1.1.3).
    pub fn not_in_fast_bind(self) -> Refused {
        let text = windows(
            "00002027",
            "DSID-0C0905D1",
            "Inappropriate authentication for fast bind",
        );
        Refused::new(53, text)
    }

    /// Result 1 for StartTLS over TLS; Samba's words (measured), since those of Windows are not known.
    pub fn tls_twice(self) -> Refused {
        Refused::new(1, "START-TLS: TLS is already enabled on this LDAP session")
    }

    /// Result 1 for StartTLS while operations are under way (RFC 4511 4.14.1). Samba ends them first.
    pub fn tls_amid_operations(self) -> Refused {
        let text = windows("00000057", "DSID-0C090E67", "Error initializing SSL/TLS");
        Refused::new(1, text)
    }

    /// Result 12 for a critical control that is not offered.
    pub fn no_such_control(self) -> Refused {
        let text = match self {
            Self::Windows => windows("00002040", "DSID-0C0908C5", "Unknown critical control"),
            Self::Samba => "".into(),
        };
        Refused::new(12, text)
    }

    /// Whether a critical control that is not offered is answered as if an extended operation had been asked for
    /// (measured; whatever the operation is).
    pub fn refuses_controls_as_extended(self) -> bool {
        self == Self::Samba
    }

    /// Result 2 for a search within a scope that LDAP does not have.
    pub fn no_such_scope(self) -> Refused {
        let text = match self {
            Self::Windows => windows("00002021", "DSID-0C0905F3", "Invalid scope"),
            // Measured.
            Self::Samba => "00002021: Protocol error. Invalid scope".into(),
        };
        Refused::new(2, text)
    }

    /// Result 2 for what only a server says. Samba leaves it at that (measured).
    pub fn no_request(self) -> Refused {
        Refused::new(2, "")
    }

    /// Result 11 for a request of more parts than are taken apart.
    pub fn too_complex(self) -> Refused {
        Refused::new(11, "the request has more parts than this server takes apart")
    }
}
