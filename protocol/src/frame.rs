//! The frames between relay and agent: CBOR (RFC 8949) with integer keys.
//!
//! A frame is an array of its kind and a map. Keys that are not known are skipped, and so are control frames of a
//! kind that is not known, so that a minor version can add both. Golden files in `tests/golden` pin the bytes: a
//! change there is a change of the protocol. How frames are cut out of a stream is [`crate::wire`]'s.

use minicbor::{Decode, Encode, Encoder};

use crate::{Moment, RequestId, Subject};

mod tcp;

pub use tcp::{TcpClose, TcpFrame};

/// The major version spoken here. Another one is refused with [`crate::close::CloseCode::Version`].
pub const MAJOR: u16 = 1;
/// The minor version: rises when frames or keys are added. 1 brought [`Request::alternate_id`], subjects and [`Probe`]; 2
/// [`Cancel::start_by`] and [`FailedFrame::account_only`], without which the other end does as it did before.
/// 3 brought [`Hello::takes_over`], which comes from agents over TCP only, and so to relays that know it.
pub const MINOR: u16 = 3;
/// The first minor version whose agents know [`Request::alternate_id`]. An older one would skip the key and bind the
/// name as it is: it must not be sent such a request.
pub const MINOR_OF_ALTERNATE_ID: u16 = 1;

/// The longest control frame in bytes. The largest is a `Hello` with its key, below 1 KiB; a `Welcome` lists replicas.
pub const MAX_CONTROL_BYTES: usize = 16 * 1024;
/// The longest request in bytes: names and password of 1,024 each, and a client's own authenticated data and header.
pub const MAX_REQUEST_BYTES: usize = 16 * 1024;
/// The longest name of a domain controller that is told to another agent, in bytes: that of a host in DNS.
pub const MAX_DC_NAME_BYTES: usize = 253;
/// The longest answer in bytes.
pub const MAX_ANSWER_BYTES: usize = 4 * 1024;

/// Bytes that are no frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Not CBOR, not the expected shape, or bytes after the end.
    #[error("malformed frame: {0}")]
    Malformed(String),
    /// A kind that this stream cannot carry.
    #[error("a frame of the unknown kind {0}")]
    UnknownKind(u32),
}

impl From<minicbor::decode::Error> for FrameError {
    fn from(error: minicbor::decode::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// How well an agent's directory can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum DirectoryHealth {
    /// At least one domain controller answers.
    #[n(0)]
    Ready,
    /// None does.
    #[n(1)]
    Down,
}

/// The first frame of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Hello {
    /// Major version that the agent speaks.
    #[n(0)]
    pub major: u16,
    /// Minor version that the agent speaks.
    #[n(1)]
    pub minor: u16,
    /// The agent's software version, for people.
    #[n(2)]
    pub software: String,
    /// Random, new with every start of the process.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub instance: [u8; 16],
    /// The opening key: an RSA SubjectPublicKeyInfo (RFC 8017, RFC 5280), DER.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub opening_key: Vec<u8>,
    /// Sign-ins that this session takes at once.
    #[n(5)]
    pub slots: u32,
    /// The directory as the agent sees it.
    #[n(6)]
    pub directory: DirectoryHealth,
    /// The same process has a session here already, and this one is to take its place: the older gets nothing new, and is
    /// closed when it has answered what it has. Absent where it is false.
    #[cbor(n(7), default, skip_if = "std::ops::Not::not")]
    pub takes_over: bool,
}

/// The relay's answer to [`Hello`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Welcome {
    /// Major version that the relay speaks.
    #[n(0)]
    pub major: u16,
    /// Minor version that the relay speaks.
    #[n(1)]
    pub minor: u16,
    /// The relay's software version, for people.
    #[n(2)]
    pub software: String,
    /// Random, new with every start of the process.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub instance: [u8; 16],
    /// Addresses (`HOST:PORT`) of the replicas that the relay knows, itself included if it was told.
    #[n(4)]
    pub replicas: Vec<String>,
    /// Time between pings, in milliseconds.
    #[n(5)]
    pub ping_interval_ms: u32,
}

/// Asks a relay to show itself, instead of [`Hello`] and before any session: for `postern-agent check`. The relay says
/// [`Probed`], or closes with the reason that an agent with this certificate would get. There is no session then, so
/// that whoever asks disturbs none of the agent whose certificate it has.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Probe {
    /// Major version that the asking agent speaks.
    #[n(0)]
    pub major: u16,
    /// Minor version that the asking agent speaks.
    #[n(1)]
    pub minor: u16,
}

/// The relay's answer to [`Probe`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Probed {
    /// Major version that the relay speaks.
    #[n(0)]
    pub major: u16,
    /// Minor version that the relay speaks.
    #[n(1)]
    pub minor: u16,
    /// The relay's software version, for people.
    #[n(2)]
    pub software: String,
    /// The relay's wall clock when it answered, in milliseconds since 1970.
    #[n(3)]
    pub unix_ms: u64,
}

/// What has changed at an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Status {
    /// Sign-ins that this session takes at once.
    #[n(0)]
    pub slots: u32,
    /// The directory as the agent sees it.
    #[n(1)]
    pub directory: DirectoryHealth,
}

/// Asks for a [`Pong`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Ping {
    /// Comes back in the pong.
    #[n(0)]
    pub number: u64,
}

/// The answer to a [`Ping`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Pong {
    /// The ping's.
    #[n(0)]
    pub number: u64,
    /// The answering side's monotonic time when it answered, in microseconds. From a relay this is relay time.
    #[n(1)]
    pub time: Moment,
}

/// The relay no longer waits for an attempt of a sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Cancel {
    /// Which sign-in. May come before its request.
    #[n(0)]
    pub request_id: RequestId,
    /// The request's own `start_by`: one with a later one is another attempt, and not meant. All of them, where it is
    /// missing.
    #[n(1)]
    pub start_by: Option<Moment>,
}

/// The relay is ending or has no further use for this session: serve on, and connect elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct GoAway {
    /// Why, for people.
    #[n(0)]
    pub reason: String,
}

/// The agent has a new opening key; it can still open with the old one for a while.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct KeyChange {
    /// As in [`Hello::opening_key`].
    #[cbor(n(0), with = "minicbor::bytes")]
    pub opening_key: Vec<u8>,
}

/// The agent takes nothing new: what is on its way is served, what comes later is answered `NotStarted(draining)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Draining {}

/// A sign-in on its way to an agent: the one frame that the relay writes on the sign-in's stream.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Request {
    /// The sign-in's id.
    #[n(0)]
    pub request_id: RequestId,
    /// Tenant, to be compared with the agent's own certificate.
    #[n(1)]
    pub tenant: String,
    /// Realm, to be compared with the agent's own certificate.
    #[n(2)]
    pub realm: String,
    /// The user name, exactly as it stands in the authenticated data.
    #[n(3)]
    pub user: String,
    /// When the sealed password may no longer be used, in milliseconds since 1970.
    #[n(4)]
    pub expires_unix_ms: u64,
    /// The bind must be started before this, in relay time.
    #[n(5)]
    pub start_by: Moment,
    /// Thumbprint (RFC 7638) of the opening key that `encrypted_key` is for.
    #[n(6)]
    pub kid: String,
    /// The content key, RSA-OAEP-256 (RFC 7518, section 4.3).
    #[cbor(n(7), with = "minicbor::bytes")]
    pub encrypted_key: Vec<u8>,
    /// A256GCM (RFC 7518, section 5.3): 96 bits.
    #[cbor(n(8), with = "minicbor::bytes")]
    pub iv: [u8; 12],
    /// The sealed password.
    #[cbor(n(9), with = "minicbor::bytes")]
    pub ciphertext: Vec<u8>,
    /// A256GCM: 128 bits.
    #[cbor(n(10), with = "minicbor::bytes")]
    pub tag: [u8; 16],
    /// Present where the caller sealed for itself.
    #[n(11)]
    pub client_sealed: Option<ClientSealed>,
    /// The relay takes the user name for an alternate id: one that is looked up and never bound as it is. The agent
    /// makes no bind unless its own configuration says the same of this name. Absent where it is false.
    #[cbor(n(12), default, skip_if = "std::ops::Not::not")]
    pub alternate_id: bool,
    /// The domain controller, by its configured name, at which the answer to this sign-in's first bind was lost: where the
    /// agent has another it binds there. At most [`MAX_DC_NAME_BYTES`]; absent where nobody said.
    #[n(13)]
    pub avoid_dc: Option<String>,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("request_id", &self.request_id)
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

/// The parts of a caller's envelope that the relay would otherwise write in one way only.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ClientSealed {
    /// The protected header as it stands in the JWE (base64url).
    #[n(0)]
    pub protected: String,
    /// The authenticated data as it stands in the JWE (base64url).
    #[n(1)]
    pub aad: String,
}

/// What an agent says to a request, on the request's stream. `Started` may come before one of the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The bind is about to be sent. A hint.
    Started,
    /// The directory answered.
    Verdict(VerdictFrame),
    /// No bind was made, and none will be.
    NotStarted(NotStartedFrame),
    /// A bind was sent, and no verdict came of it.
    Failed(FailedFrame),
}

/// The directory's verdict.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct VerdictFrame {
    /// [`crate::Verdict::code`].
    #[n(0)]
    pub verdict: u8,
    /// The directory's sub-code, where it gave one.
    #[n(1)]
    pub sub_code: Option<u32>,
    /// The domain controller that was asked, by its configured name.
    #[n(2)]
    pub dc: String,
    /// From sending the bind to its answer, in microseconds.
    #[n(3)]
    pub bind_us: u32,
    /// Whose account it is, with a success after a look-up.
    #[n(4)]
    pub subject: Option<Subject>,
}

/// Why no bind was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct NotStartedFrame {
    /// [`crate::NotStarted::code`].
    #[n(0)]
    pub reason: u8,
}

/// What became of a bind without a verdict.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct FailedFrame {
    /// Whether the directory may have checked the password all the same: the bind was sent and its answer never
    /// came. Otherwise the directory answered that it did not check.
    #[n(0)]
    pub indeterminate: bool,
    /// The domain controller that was asked, by its configured name.
    #[n(1)]
    pub dc: String,
    /// `true` where the directory would not check this account's password, and says nothing of others: then it is not
    /// the agent that failed.
    #[n(2)]
    pub account_only: Option<bool>,
}

/// A frame of the control stream, either way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// Agent to relay, first.
    Hello(Hello),
    /// Relay to agent, first.
    Welcome(Welcome),
    /// Agent to relay.
    Status(Status),
    /// Both ways.
    Ping(Ping),
    /// Both ways.
    Pong(Pong),
    /// Relay to agent.
    Cancel(Cancel),
    /// Agent to relay.
    Draining(Draining),
    /// Relay to agent.
    GoAway(GoAway),
    /// Agent to relay.
    KeyChange(KeyChange),
    /// Agent to relay, instead of all others.
    Probe(Probe),
    /// Relay to agent, the answer to that.
    Probed(Probed),
    /// A kind of a later version; to be ignored.
    Unknown(u32),
}

impl Control {
    /// The frame's bytes, without the length before it.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Hello(body) => encode(0, body),
            Self::Welcome(body) => encode(1, body),
            Self::Status(body) => encode(2, body),
            Self::Ping(body) => encode(3, body),
            Self::Pong(body) => encode(4, body),
            Self::Cancel(body) => encode(5, body),
            Self::Draining(body) => encode(6, body),
            Self::GoAway(body) => encode(7, body),
            Self::KeyChange(body) => encode(8, body),
            Self::Probe(body) => encode(9, body),
            Self::Probed(body) => encode(10, body),
            Self::Unknown(kind) => encode(*kind, Draining {}),
        }
    }

    /// Reads one frame.
    ///
    /// # Errors
    /// [`FrameError::Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        let (kind, mut body) = open(bytes)?;
        let frame = match kind {
            0 => Self::Hello(body.decode()?),
            1 => Self::Welcome(body.decode()?),
            2 => Self::Status(body.decode()?),
            3 => Self::Ping(body.decode()?),
            4 => Self::Pong(body.decode()?),
            5 => Self::Cancel(body.decode()?),
            6 => Self::Draining(body.decode()?),
            7 => Self::GoAway(body.decode()?),
            8 => Self::KeyChange(body.decode()?),
            9 => Self::Probe(body.decode()?),
            10 => Self::Probed(body.decode()?),
            unknown => {
                body.skip()?;
                Self::Unknown(unknown)
            }
        };
        at_end(&body)?;
        Ok(frame)
    }
}

impl Request {
    const KIND: u32 = 16;

    /// The frame's bytes, without the length before it.
    pub fn encode(&self) -> Vec<u8> {
        encode(Self::KIND, self)
    }

    /// Reads one frame.
    ///
    /// # Errors
    /// [`FrameError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        let (kind, mut body) = open(bytes)?;
        if kind != Self::KIND {
            return Err(FrameError::UnknownKind(kind));
        }
        let request = body.decode()?;
        at_end(&body)?;
        Ok(request)
    }
}

impl Answer {
    /// The frame's bytes, without the length before it.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Started => encode(17, Draining {}),
            Self::Verdict(body) => encode(18, body),
            Self::NotStarted(body) => encode(19, body),
            Self::Failed(body) => encode(20, body),
        }
    }

    /// Reads one frame.
    ///
    /// # Errors
    /// [`FrameError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        let (kind, mut body) = open(bytes)?;
        let answer = match kind {
            17 => {
                body.skip()?;
                Self::Started
            }
            18 => Self::Verdict(body.decode()?),
            19 => Self::NotStarted(body.decode()?),
            20 => Self::Failed(body.decode()?),
            unknown => return Err(FrameError::UnknownKind(unknown)),
        };
        at_end(&body)?;
        Ok(answer)
    }
}

fn encode(kind: u32, body: impl Encode<()>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128);
    let mut encoder = Encoder::new(&mut bytes);
    // Writing to a Vec cannot fail.
    let written = encoder
        .array(2)
        .and_then(|e| e.u32(kind))
        .and_then(|e| e.encode(body))
        .map(|_| ());
    debug_assert!(written.is_ok());
    bytes
}

fn open(bytes: &[u8]) -> Result<(u32, minicbor::Decoder<'_>), FrameError> {
    let mut decoder = minicbor::Decoder::new(bytes);
    if decoder.array()? != Some(2) {
        return Err(FrameError::Malformed("not an array of kind and body".to_owned()));
    }
    let kind = decoder.u32()?;
    Ok((kind, decoder))
}

fn at_end(decoder: &minicbor::Decoder<'_>) -> Result<(), FrameError> {
    match decoder.input().len() - decoder.position() {
        0 => Ok(()),
        more => Err(FrameError::Malformed(format!("{more} bytes after the end"))),
    }
}

#[cfg(test)]
mod tests;
