//! Why there is no session with a relay, in words that say what to do.

use std::fmt;

use postern_protocol::close::CloseCode;
use postern_protocol::connection::Ended;

/// What is wrong, as a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum TroubleKind {
    /// The relay's name does not resolve.
    Resolve,
    /// No UDP packet came back.
    NoUdp,
    /// No connection over TCP either.
    NoTcp,
    /// The session was there, and then nothing came any more.
    Silent,
    /// The relay's certificate is not from an authority that we trust.
    RelayCa,
    /// The relay's certificate is not valid at this time, by this machine's clock.
    RelayCertificateTime,
    /// The relay's certificate is for another name.
    RelayName,
    /// What answers is not a relay of our trust domain.
    RelayIdentity,
    /// The relay does not trust this agent's certificate's authority.
    AgentCa,
    /// This agent's certificate is not valid at this time.
    AgentCertificateTime,
    /// The relay knows no such tenant or realm, or the certificate has not the form that it wants.
    AgentIdentity,
    /// The relay's deny list has this agent.
    Denied,
    /// Relay and agent speak different versions.
    Version,
    /// One of the two broke the protocol.
    Protocol,
    /// There is a session with that relay already.
    Duplicate,
    /// It ended in order: drained or restarted.
    Ended,
    /// Trouble on this machine.
    Local,
    /// Anything else.
    Other,
}

impl TroubleKind {
    /// The name in logs.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::NoUdp => "no_udp",
            Self::NoTcp => "no_tcp",
            Self::Silent => "silent",
            Self::RelayCa => "relay_ca",
            Self::RelayCertificateTime => "relay_certificate_time",
            Self::RelayName => "relay_name",
            Self::RelayIdentity => "relay_identity",
            Self::AgentCa => "agent_ca",
            Self::AgentCertificateTime => "agent_certificate_time",
            Self::AgentIdentity => "agent_identity",
            Self::Denied => "denied",
            Self::Version => "version",
            Self::Protocol => "protocol",
            Self::Duplicate => "duplicate",
            Self::Ended => "ended",
            Self::Local => "local",
            Self::Other => "other",
        }
    }
}

/// Why there is no session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) kind: TroubleKind,
    /// What is wrong and what to do.
    pub(crate) text: String,
}

impl Trouble {
    /// A trouble with its text.
    pub(crate) fn new(kind: TroubleKind, text: String) -> Self {
        Self { kind, text }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// TLS alerts (RFC 8446, section 6) that say what is wrong with a certificate.
mod alert {
    pub(super) const BAD_CERTIFICATE: u8 = 42;
    pub(super) const CERTIFICATE_EXPIRED: u8 = 45;
    pub(super) const CERTIFICATE_UNKNOWN: u8 = 46;
    pub(super) const UNKNOWN_CA: u8 = 48;
    pub(super) const ACCESS_DENIED: u8 = 49;
    /// Also: a certificate whose signature is not its issuer's, as after an authority was made anew under its name.
    pub(super) const DECRYPT_ERROR: u8 = 51;
    pub(super) const PROTOCOL_VERSION: u8 = 70;
    pub(super) const CERTIFICATE_REQUIRED: u8 = 116;
    pub(super) const NO_APPLICATION_PROTOCOL: u8 = 120;
}

/// What silence means, before there was a session.
pub(crate) const NO_UDP: &str =
    "no answer over UDP; is the relay up, is the address right, and does the firewall let UDP to it pass?";

/// What the end of a connection means. `not_after` is the end of this agent's own certificate.
pub(crate) fn explain(ended: &Ended, not_after: i64) -> Trouble {
    match ended {
        Ended::TimedOut => Trouble::new(TroubleKind::NoUdp, NO_UDP.to_owned()),
        Ended::Distrusted { alert, reason } => explain_relays_certificate(*alert, reason),
        Ended::Refused { alert, reason } => explain_our_certificate(*alert, reason, not_after),
        Ended::Closed { code, reason } => explain_close(*code, &readable(reason), not_after),
        Ended::Forgotten => Trouble::new(
            TroubleKind::Ended,
            "the relay has forgotten the session: it was restarted".to_owned(),
        ),
        Ended::NoVersion => Trouble::new(
            TroubleKind::Version,
            "what answers there speaks no QUIC version 1; is the address that of a relay?".to_owned(),
        ),
        Ended::Here => Trouble::new(TroubleKind::Ended, "closed by this agent".to_owned()),
        Ended::Violation(what) => Trouble::new(TroubleKind::Protocol, readable(what)),
        Ended::Lost(what) => Trouble::new(TroubleKind::Other, readable(what)),
    }
}

/// The handshake failed here: something is wrong with what the relay showed.
fn explain_relays_certificate(alert: u8, reason: &str) -> Trouble {
    let (kind, text) = match alert {
        alert::UNKNOWN_CA | alert::DECRYPT_ERROR => (
            TroubleKind::RelayCa,
            "the relay's certificate is not from an authority in relays.anchors; add the CA that issued it".to_owned(),
        ),
        alert::CERTIFICATE_EXPIRED if reason.contains("not valid yet") => (
            TroubleKind::RelayCertificateTime,
            "the relay's certificate is not valid yet by this machine's clock; set the clock".to_owned(),
        ),
        alert::CERTIFICATE_EXPIRED => (
            TroubleKind::RelayCertificateTime,
            "the relay's certificate has expired by this machine's clock; renew it, or set the clock".to_owned(),
        ),
        alert::BAD_CERTIFICATE | alert::CERTIFICATE_UNKNOWN if reason.contains("not valid for") => {
            // "…not valid for name …; certificate is only valid for …": the configuration says what was asked for.
            let has = reason.split_once("; certificate ").map_or(reason, |(_, has)| has);
            (
                TroubleKind::RelayName,
                format!(
                    "the relay's certificate is for another name ({}); set relays.server_name to one that it has",
                    readable(has)
                ),
            )
        }
        alert::NO_APPLICATION_PROTOCOL => (
            TroubleKind::Version,
            "what answers there does not speak postern/1; is the address that of a relay?".to_owned(),
        ),
        _ => (TroubleKind::Protocol, format!("TLS with the relay failed: {reason}")),
    };
    Trouble::new(kind, text)
}

/// The relay refused the handshake: something is wrong with what this agent showed.
fn explain_our_certificate(alert: u8, reason: &str, not_after: i64) -> Trouble {
    let (kind, text) = match alert {
        alert::UNKNOWN_CA | alert::DECRYPT_ERROR => (
            TroubleKind::AgentCa,
            "the relay does not trust the authority of this agent's certificate; \
             it must be among the anchors of the agent's tenant in the relay's configuration"
                .to_owned(),
        ),
        alert::CERTIFICATE_EXPIRED => (
            TroubleKind::AgentCertificateTime,
            format!(
                "by the relay's clock this agent's certificate is not valid now (it ends at {not_after} seconds since \
                 1970); renew agent.certificate, or set the clocks"
            ),
        ),
        alert::BAD_CERTIFICATE | alert::CERTIFICATE_UNKNOWN | alert::ACCESS_DENIED => (
            TroubleKind::AgentIdentity,
            format!(
                "the relay refuses this agent's certificate; it must name a tenant and a realm that the relay knows, be \
                 issued by that tenant's authority, and not be denied ({})",
                readable(reason)
            ),
        ),
        alert::CERTIFICATE_REQUIRED => (
            TroubleKind::AgentIdentity,
            "the relay asked for a certificate and got none".to_owned(),
        ),
        alert::PROTOCOL_VERSION | alert::NO_APPLICATION_PROTOCOL => (
            TroubleKind::Version,
            "the relay does not speak postern/1; update the older of the two".to_owned(),
        ),
        _ => (
            TroubleKind::Protocol,
            format!(
                "the relay ended the TLS handshake (alert {alert}): {}",
                readable(reason)
            ),
        ),
    };
    Trouble::new(kind, text)
}

/// The relay closed the session with a code of ours.
fn explain_close(code: Option<CloseCode>, reason: &str, not_after: i64) -> Trouble {
    let (kind, text) = match code {
        Some(CloseCode::Done) => (TroubleKind::Ended, format!("the relay ended the session: {reason}")),
        Some(CloseCode::Stopping) => (TroubleKind::Ended, format!("the relay is stopping: {reason}")),
        Some(CloseCode::Version) => (
            TroubleKind::Version,
            format!("the versions do not fit: {reason}; update the older of the two"),
        ),
        Some(CloseCode::Identity) => (
            TroubleKind::AgentIdentity,
            format!("the relay does not take this agent's certificate: {reason}"),
        ),
        Some(CloseCode::Denied) => (
            TroubleKind::Denied,
            format!("the relay's deny list has this agent or its certificate: {reason}"),
        ),
        Some(CloseCode::CertificateExpired) => (
            TroubleKind::AgentCertificateTime,
            format!("this agent's certificate has ended (at {not_after} seconds since 1970): {reason}; renew it"),
        ),
        Some(CloseCode::Protocol) => (
            TroubleKind::Protocol,
            format!("the relay saw the protocol broken: {reason}"),
        ),
        Some(CloseCode::Superseded) => (
            TroubleKind::Duplicate,
            format!("the relay has another session of this agent: {reason}"),
        ),
        Some(CloseCode::Silent) => (TroubleKind::Silent, format!("the relay heard nothing: {reason}")),
        None => (TroubleKind::Other, format!("the relay closed the session: {reason}")),
    };
    Trouble::new(kind, text)
}

/// A text of the other side, fit for one line of a log.
fn readable(text: &str) -> String {
    let line: String = text.chars().filter(|c| !c.is_control()).take(300).collect();
    if line.is_empty() {
        "no reason given".to_owned()
    } else {
        line
    }
}

#[cfg(test)]
mod tests;
