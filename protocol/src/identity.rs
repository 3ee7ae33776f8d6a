//! Who a certificate is for. The names come from its one URI SAN (SPIFFE ID, RFC 5280 section 4.2.1.6) and from
//! nowhere else; what is not exactly in the expected form is nobody.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// One name of a path: `[A-Za-z0-9._-]{1,64}`, neither `.` nor `..`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Segment(Arc<str>);

/// The text cannot be a name in an identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a name: 1 to 64 of A-Z a-z 0-9 . _ - and neither \".\" nor \"..\"")]
pub struct SegmentError(String);

impl Segment {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Segment {
    type Err = SegmentError;

    fn from_str(text: &str) -> Result<Self, SegmentError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let fits = (1..=64).contains(&text.len()) && text.bytes().all(allowed) && text != "." && text != "..";
        if fits {
            Ok(Self(text.into()))
        } else {
            Err(SegmentError(text.chars().take(80).collect()))
        }
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The SPIFFE trust domain of an installation: lower-case letters, digits, `.`, `-` and `_`, at most 255.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustDomain(Arc<str>);

/// The text cannot be a trust domain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a trust domain: 1 to 255 of a-z 0-9 . _ - (such as \"postern.example.com\")")]
pub struct TrustDomainError(String);

impl FromStr for TrustDomain {
    type Err = TrustDomainError;

    fn from_str(text: &str) -> Result<Self, TrustDomainError> {
        let allowed =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-');
        let fits = (1..=255).contains(&text.len()) && text.bytes().all(allowed);
        if fits {
            Ok(Self(text.into()))
        } else {
            Err(TrustDomainError(text.chars().take(300).collect()))
        }
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A tenant's realm: what a sign-in is routed to and what an agent serves.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RealmKey {
    /// The organisation.
    pub tenant: Segment,
    /// One directory domain of it.
    pub realm: Segment,
}

impl fmt::Display for RealmKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant, self.realm)
    }
}

impl fmt::Debug for RealmKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An agent: the realm that it serves and its name within it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AgentIdentity {
    /// Tenant and realm.
    pub realm: RealmKey,
    /// The agent's own name.
    pub name: Segment,
}

impl AgentIdentity {
    /// `spiffe://<trust-domain>/tenant/<tenant>/realm/<realm>/agent/<name>`
    pub fn uri(&self, domain: &TrustDomain) -> String {
        format!(
            "spiffe://{domain}/tenant/{}/realm/{}/agent/{}",
            self.realm.tenant, self.realm.realm, self.name
        )
    }
}

impl fmt::Display for AgentIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.realm, self.name)
    }
}

/// `spiffe://<trust-domain>/relay/<name>`
pub fn relay_uri(domain: &TrustDomain, name: &Segment) -> String {
    format!("spiffe://{domain}/relay/{name}")
}

/// Whom a certificate names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// An agent of a realm.
    Agent(AgentIdentity),
    /// A relay, by name.
    Relay(Segment),
}

/// What a certificate says that matters here. Says nothing about whether the certificate is to be trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Whom it names.
    pub identity: Identity,
    /// Its serial number in lower-case hexadecimal, without leading zeros or separators.
    pub serial: String,
    /// The end of its validity, in seconds since 1970.
    pub not_after: i64,
}

/// Why a certificate names nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The bytes are no X.509 certificate, or its extensions cannot be read.
    #[error("the certificate cannot be read")]
    Unreadable,
    /// No URI among the subject alternative names.
    #[error("the certificate has no URI subject alternative name; one of the form spiffe://… is needed")]
    NoUri,
    /// More than one URI: which of them counts would be a guess.
    #[error("the certificate has {0} URI subject alternative names; exactly one is allowed")]
    SeveralUris(usize),
    /// A trust domain that is not ours.
    #[error("the certificate's URI {uri} is not of the trust domain {expected}")]
    TrustDomain {
        /// The URI, shortened.
        uri: String,
        /// The configured trust domain.
        expected: TrustDomain,
    },
    /// A path that is neither an agent's nor a relay's.
    #[error("the certificate's URI {0} names neither an agent (/tenant/T/realm/R/agent/A) nor a relay (/relay/R)")]
    Path(String),
}

/// Reads identity, serial number and end of validity of a DER certificate.
///
/// # Errors
/// [`IdentityError`] for everything that is not exactly one URI of the expected form.
pub fn read_certificate(der: &[u8], domain: &TrustDomain) -> Result<CertificateFacts, IdentityError> {
    let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| IdentityError::Unreadable)?;
    if !rest.is_empty() {
        return Err(IdentityError::Unreadable);
    }
    let names = certificate
        .subject_alternative_name()
        .map_err(|_| IdentityError::Unreadable)?;
    let uris: Vec<&str> = names
        .iter()
        .flat_map(|extension| &extension.value.general_names)
        .filter_map(|name| {
            if let GeneralName::URI(uri) = name {
                Some(*uri)
            } else {
                None
            }
        })
        .collect();
    let identity = match uris.as_slice() {
        [] => return Err(IdentityError::NoUri),
        [uri] => parse_uri(uri, domain)?,
        several => return Err(IdentityError::SeveralUris(several.len())),
    };
    let serial = certificate.tbs_certificate.serial.to_str_radix(16);
    Ok(CertificateFacts {
        identity,
        serial,
        not_after: certificate.validity().not_after.timestamp(),
    })
}

/// Reads a SPIFFE ID of `domain`: exact segments, no percent-encoding, no query, no empty segment.
///
/// # Errors
/// [`IdentityError::TrustDomain`] or [`IdentityError::Path`].
pub fn parse_uri(uri: &str, domain: &TrustDomain) -> Result<Identity, IdentityError> {
    let shortened = || uri.chars().filter(|c| !c.is_control()).take(300).collect::<String>();
    let path = uri
        .strip_prefix("spiffe://")
        .and_then(|rest| rest.strip_prefix(&*domain.0))
        .and_then(|rest| rest.strip_prefix('/'))
        .ok_or_else(|| IdentityError::TrustDomain {
            uri: shortened(),
            expected: domain.clone(),
        })?;
    let segment = |text: &str| text.parse::<Segment>().map_err(|_| IdentityError::Path(shortened()));
    match path.split('/').collect::<Vec<_>>().as_slice() {
        ["tenant", tenant, "realm", realm, "agent", name] => Ok(Identity::Agent(AgentIdentity {
            realm: RealmKey {
                tenant: segment(tenant)?,
                realm: segment(realm)?,
            },
            name: segment(name)?,
        })),
        ["relay", name] => Ok(Identity::Relay(segment(name)?)),
        _ => Err(IdentityError::Path(shortened())),
    }
}

#[cfg(test)]
mod tests;
