//! What is wrong with the TLS of a domain controller, and what to do about it, in words for whoever runs one.

use std::io::ErrorKind;

use postern_service::certificate_words::{names, outside_validity};
use rustls::{AlertDescription as Alert, CertificateError as Certificate, Error};

use crate::config::{Server, Transport};

/// What a domain controller that says nothing was asked for, and what to look at.
pub(super) fn silence(transport: Transport) -> (&'static str, &'static str) {
    match transport {
        Transport::Ldaps => (
            "the TLS handshake",
            "is this the LDAPS port (636, or 3269 of a global catalogue), does it answer others there, and does a \
             firewall on the way hold TLS back?",
        ),
        Transport::StartTls | Transport::Plain => (
            "StartTLS",
            "is this the LDAP port (389, or 3268 of a global catalogue), does it answer others there, and does a \
             firewall on the way hold TLS back?",
        ),
    }
}

/// Why the handshake failed.
pub(super) fn tls(error: &std::io::Error, server: &Server) -> String {
    let port = match server.transport {
        Transport::Ldaps => "is this the LDAPS port (636, or 3269 of a global catalogue)?",
        _ => "it agreed to StartTLS before; its log says more",
    };
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(problem)) => certificate(problem, server),
        Some(Error::InvalidMessage(_)) => format!("what answers is not TLS; {port}"),
        Some(
            Error::PeerIncompatible(_)
            | Error::AlertReceived(Alert::ProtocolVersion | Alert::HandshakeFailure | Alert::InsufficientSecurity),
        ) => format!("{error}; enable TLS 1.2 or newer with ECDHE cipher suites on the domain controller"),
        // Active Directory does so as long as there is no certificate that LDAPS can use.
        None if is_end(error.kind()) => {
            format!(
                "it ends the connection in the middle of the handshake; {port} Has it a certificate for LDAP over TLS?"
            )
        }
        _ => format!("{error}; {port}"),
    }
}

fn is_end(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe
    )
}

fn certificate(problem: &Certificate, server: &Server) -> String {
    match problem {
        // A bad signature is an authority made anew under its old name.
        Certificate::UnknownIssuer | Certificate::BadSignature => {
            "its certificate is not issued by an authority in directory.anchors (if that is not set: by one that this \
             system trusts); put the issuing CA's certificate into directory.anchors"
                .to_owned()
        }
        Certificate::NotValidForName => other_name(&[], server),
        Certificate::NotValidForNameContext { presented, .. } => other_name(presented, server),
        other => outside_validity(other).map_or_else(|| format!("its certificate is refused: {other}"), str::to_owned),
    }
}

/// The certificate is for these names, and not for the one that was asked for.
fn other_name(presented: &[String], server: &Server) -> String {
    let has = match names(presented).as_slice() {
        [] => "it has no subject alternative name that could be compared".to_owned(),
        names => format!("it is for {}", names.join(", ")),
    };
    let name = server.tls_name.to_str();
    match server.tls_domain {
        Some(_) => format!("its certificate is not for {name}, the name that DNS gives it ({has})"),
        None => format!(
            "its certificate is not for {name} ({has}); use a name that it has in directory.servers.url, or set server_name"
        ),
    }
}
