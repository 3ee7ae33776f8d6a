//! What is wrong with a connection to a target, and what to do about it, in words for whoever starts a run.

use std::io;

use postern_service::certificate_words::{names, outside_validity};
use rustls::{CertificateError as Certificate, Error};

use super::target::{Scheme, Target};

/// Why TCP did not connect.
pub(super) fn tcp(error: &io::Error, target: &Target) -> String {
    let what = if target.scheme.is_ldap() {
        "the directory"
    } else {
        "the relay"
    };
    match error.kind() {
        io::ErrorKind::ConnectionRefused => format!("connection refused; is {what} running there?"),
        _ => format!(
            "{error}; is {what} running there, and does a firewall let TCP port {} pass?",
            target.port
        ),
    }
}

/// Why the TLS handshake failed. `authorities` is where those are from that are believed.
pub(super) fn tls(error: &io::Error, target: &Target, authorities: &str) -> String {
    let problem = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match problem {
        Some(Error::InvalidCertificate(problem)) => certificate(problem, target, authorities),
        Some(Error::InvalidMessage(_)) => {
            format!("what answers is not TLS; is this the right port{}?", or_plain(target))
        }
        Some(Error::AlertReceived(rustls::AlertDescription::NoApplicationProtocol)) => {
            "it speaks another version of HTTP; ask for the other one".to_owned()
        }
        _ => format!("TLS: {error}; is this the right port{}?", or_plain(target)),
    }
}

/// A relay without TLS is the usual reason why an `https` URL meets something else.
fn or_plain(target: &Target) -> &'static str {
    match target.scheme {
        Scheme::Https => ", and not one of http://",
        _ => "",
    }
}

fn certificate(problem: &Certificate, target: &Target, authorities: &str) -> String {
    match problem {
        // A bad signature is an authority made anew under its old name.
        Certificate::UnknownIssuer | Certificate::BadSignature => format!(
            "its certificate is not issued by an authority of {authorities}; give the issuing CA's certificate as a PEM file"
        ),
        Certificate::NotValidForName => other_name(&[], target),
        Certificate::NotValidForNameContext { presented, .. } => other_name(presented, target),
        other => outside_validity(other).map_or_else(|| format!("its certificate is refused: {other}"), str::to_owned),
    }
}

/// The certificate is for these names, and not for the one that was asked for.
fn other_name(presented: &[String], target: &Target) -> String {
    let has = match names(presented).as_slice() {
        [] => "it has no name that could be compared".to_owned(),
        names => format!("it is for {}", names.join(", ")),
    };
    format!(
        "its certificate is not for {} ({has}); use a name that it has in the URL",
        target.host
    )
}
