//! What is wrong with a connection to a target, and what to do about it, in words for whoever starts a run.

use std::io;

use rustls::{CertificateError as Certificate, Error};

use super::target::{Scheme, Target};

/// More of a certificate's names are not told.
const MAX_NAMES: usize = 8;

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
        Certificate::Expired | Certificate::ExpiredContext { .. } => {
            "its certificate has expired by this machine's clock; renew it, or set the clock".to_owned()
        }
        Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => {
            "its certificate is not valid yet by this machine's clock; set the clock".to_owned()
        }
        Certificate::NotValidForName => other_name(&[], target),
        Certificate::NotValidForNameContext { presented, .. } => other_name(presented, target),
        other => format!("its certificate is refused: {other}"),
    }
}

/// The certificate is for these names, and not for the one that was asked for.
fn other_name(presented: &[String], target: &Target) -> String {
    let names: Vec<String> = presented
        .iter()
        .take(MAX_NAMES)
        .filter_map(|name| plain(name))
        .collect();
    let has = match names.as_slice() {
        [] => "it has no name that could be compared".to_owned(),
        names => format!("it is for {}", names.join(", ")),
    };
    format!(
        "its certificate is not for {} ({has}); use a name that it has in the URL",
        target.host
    )
}

/// The name in what rustls tells: `DnsName("dc-1.example.com")`, `IpAddress(192.0.2.1)`.
fn plain(told: &str) -> Option<String> {
    let rest = told
        .strip_prefix("DnsName(")
        .or_else(|| told.strip_prefix("IpAddress("))?;
    let name = rest.trim_end_matches(')').trim_matches('"');
    Some(name.chars().filter(|c| !c.is_control()).collect())
}
