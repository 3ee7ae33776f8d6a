//! Who asks: a bearer token, a client certificate, or, where no callers are configured, somebody on this machine.

use std::net::IpAddr;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest;
use axum::extract::Request;
use axum::http::header;
use postern_service::http::Peer;
use rustls_pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::config::{self, Config, Credential, Disclose};

/// The configured callers.
#[derive(Debug)]
pub struct Callers {
    callers: Vec<config::Caller>,
    trusted_proxies: Vec<IpAddr>,
    loopback: Disclose,
}

/// A caller that showed who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller<'a> {
    /// Who it is.
    pub who: Who<'a>,
    /// What it is told.
    pub disclose: Disclose,
}

/// Who asks, as far as that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Who<'a> {
    /// A configured caller, by its name.
    Named(&'a str),
    /// Somebody at the sign-in page. All of them are one caller, so that they cannot crowd out the others however many
    /// addresses they have.
    Visitor,
    /// Somebody on this machine, where no callers are configured.
    ThisMachine,
}

/// Why a caller is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotKnown {
    /// No caller is configured, and the request is not from this machine.
    #[error("no callers are configured, so only loopback addresses may ask; configure [[callers]]")]
    NotLoopback,
    /// Neither token nor certificate.
    #[error("send a bearer token, or connect with a client certificate")]
    Nothing,
    /// A token or certificate that is nobody's.
    #[error("the token or certificate is not that of a configured caller")]
    Unknown,
}

impl Callers {
    /// The callers of a configuration.
    pub fn new(config: &Config) -> Self {
        Self {
            callers: config.callers.clone(),
            trusted_proxies: config.api.trusted_proxies.iter().map(IpAddr::to_canonical).collect(),
            loopback: config.api.disclose,
        }
    }

    /// Who sent `request`.
    ///
    /// # Errors
    /// [`NotKnown`].
    pub fn identify(&self, request: &Request) -> Result<Caller<'_>, NotKnown> {
        if self.callers.is_empty() {
            return if self.is_from_here(request) {
                Ok(Caller {
                    who: Who::ThisMachine,
                    disclose: self.loopback,
                })
            } else {
                Err(NotKnown::NotLoopback)
            };
        }
        let token = request.headers().get(header::AUTHORIZATION);
        let certificate = peer(request).and_then(|peer| peer.certificate.as_ref());
        if let Some(value) = token {
            return bearer(value.as_bytes())
                .and_then(|token| self.by_token(token))
                .ok_or(NotKnown::Unknown);
        }
        let certificate = certificate.ok_or(NotKnown::Nothing)?;
        self.by_certificate(certificate).ok_or(NotKnown::Unknown)
    }

    /// Somebody at the sign-in page, who has nothing to show. Where no callers are configured the page, like the API,
    /// is for this machine only.
    ///
    /// # Errors
    /// [`NotKnown::NotLoopback`].
    pub fn visitor(&self, request: &Request, disclose: Disclose) -> Result<Caller<'static>, NotKnown> {
        if self.callers.is_empty() && !self.is_from_here(request) {
            return Err(NotKnown::NotLoopback);
        }
        Ok(Caller {
            who: Who::Visitor,
            disclose,
        })
    }

    /// Where `request` comes from: the TCP peer, or what a trusted proxy says, read from its end.
    pub fn client_address(&self, request: &Request) -> Option<IpAddr> {
        let peer = peer_address(request)?;
        Some(self.forwarded_for(request).unwrap_or(peer))
    }

    /// Whether a request is from this machine itself. A proxy on it speaks for others, also when it does not say for
    /// whom.
    fn is_from_here(&self, request: &Request) -> bool {
        if self.is_trusted_proxy(request) {
            return self.forwarded_for(request).is_some_and(|address| address.is_loopback());
        }
        let forwarded = ["x-forwarded-for", "forwarded"]
            .iter()
            .any(|name| request.headers().contains_key(*name));
        !forwarded && peer_address(request).is_some_and(|address| address.is_loopback())
    }

    /// The last hop before our own proxies, where a trusted proxy names one.
    fn forwarded_for(&self, request: &Request) -> Option<IpAddr> {
        if !self.is_trusted_proxy(request) {
            return None;
        }
        let forwarded = request
            .headers()
            .get_all("x-forwarded-for")
            .iter()
            .filter_map(|value| value.to_str().ok());
        let hops: Vec<&str> = forwarded.flat_map(|value| value.split(',')).map(str::trim).collect();
        // The last hop that is not a proxy of ours. One that is no address ends the search: it proves nothing.
        for hop in hops.iter().rev() {
            match hop.parse::<IpAddr>() {
                Ok(address) if self.trusted_proxies.contains(&address.to_canonical()) => {}
                Ok(address) => return Some(address.to_canonical()),
                Err(_) => break,
            }
        }
        None
    }

    /// Whether `request` came through one of our own proxies.
    pub fn is_trusted_proxy(&self, request: &Request) -> bool {
        peer_address(request).is_some_and(|address| self.trusted_proxies.contains(&address))
    }

    fn by_token(&self, token: &[u8]) -> Option<Caller<'_>> {
        let hash = digest::digest(&digest::SHA256, token);
        // All of them, each in constant time: how long it takes says nothing of which matched.
        self.callers
            .iter()
            .fold(None, |found, caller| match &caller.credential {
                Credential::TokenSha256(expected) if verify_slices_are_equal(hash.as_ref(), expected).is_ok() => {
                    Some(named(caller))
                }
                _ => found,
            })
    }

    fn by_certificate(&self, certificate: &CertificateDer<'_>) -> Option<Caller<'_>> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        // It was valid in the handshake, and connections are kept for longer than that.
        if !parsed.validity().is_valid() {
            return None;
        }
        let names = parsed.subject_alternative_name().ok()??;
        let has = |wanted: &str| {
            names.value.general_names.iter().any(|name| match name {
                GeneralName::URI(uri) => *uri == wanted,
                GeneralName::DNSName(dns) => dns.eq_ignore_ascii_case(wanted),
                _ => false,
            })
        };
        let matching =
            |caller: &&config::Caller| matches!(&caller.credential, Credential::CertificateName(name) if has(name));
        self.callers.iter().find(matching).map(named)
    }
}

fn named(caller: &config::Caller) -> Caller<'_> {
    Caller {
        who: Who::Named(&caller.name),
        disclose: caller.disclose,
    }
}

fn peer(request: &Request) -> Option<&Peer> {
    request.extensions().get::<Peer>()
}

/// An IPv4 address as such, also on a listener for both kinds.
fn peer_address(request: &Request) -> Option<IpAddr> {
    peer(request).map(|peer| peer.address.ip().to_canonical())
}

/// RFC 6750, section 2.1; the scheme's name without regard to case (RFC 9110, section 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use std::net::SocketAddr;

    fn callers(tokens: &[(&str, &str)], proxies: &[&str]) -> Callers {
        let hash = |token: &str| {
            let mut bytes = [0; 32];
            bytes.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
            bytes
        };
        let caller = |(name, token): &(&str, &str)| config::Caller {
            name: (*name).to_owned(),
            credential: Credential::TokenSha256(hash(token)),
            disclose: Disclose::Public,
        };
        Callers {
            callers: tokens.iter().map(caller).collect(),
            trusted_proxies: proxies.iter().map(|proxy| proxy.parse().unwrap()).collect(),
            loopback: Disclose::Full,
        }
    }

    fn request(from: &str, headers: &[(&str, &str)]) -> Request {
        let mut builder = axum::http::Request::builder();
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        let mut request = builder.body(Body::empty()).unwrap();
        let address = SocketAddr::new(from.parse().unwrap(), 1);
        request.extensions_mut().insert(Peer {
            address,
            certificate: None,
        });
        request
    }

    #[test]
    fn without_configured_callers_only_this_machine_may_ask_and_no_proxy_of_it() {
        let nobody = callers(&[], &[]);
        assert!(nobody.identify(&request("127.0.0.1", &[])).is_ok());
        assert!(nobody.identify(&request("::1", &[])).is_ok());
        assert!(nobody.identify(&request("::ffff:127.0.0.1", &[])).is_ok());
        assert_eq!(nobody.identify(&request("192.0.2.1", &[])), Err(NotKnown::NotLoopback));
        let proxied = request("127.0.0.1", &[("x-forwarded-for", "127.0.0.1")]);
        assert_eq!(nobody.identify(&proxied), Err(NotKnown::NotLoopback));
        let behind = callers(&[], &["127.0.0.1"]);
        for headers in [
            &[][..],
            &[("forwarded", "for=192.0.2.1")],
            &[("x-forwarded-for", "192.0.2.1")],
        ] {
            assert_eq!(
                behind.identify(&request("127.0.0.1", headers)),
                Err(NotKnown::NotLoopback),
                "{headers:?}"
            );
        }
    }

    #[test]
    fn with_configured_callers_nobody_is_taken_without_a_token_not_even_this_machine() {
        let some = callers(&[("front", "t0ken"), ("back", "other")], &[]);
        assert_eq!(some.identify(&request("127.0.0.1", &[])), Err(NotKnown::Nothing));
        for wrong in [
            "Bearer wrong",
            "Bearer ",
            "Bearer",
            "Basic t0ken",
            "t0ken",
            "Bearer t0ken x",
        ] {
            let refused = some.identify(&request("127.0.0.1", &[("authorization", wrong)]));
            assert_eq!(refused, Err(NotKnown::Unknown), "{wrong}");
        }
        let right = request("192.0.2.1", &[("authorization", "bearer t0ken")]);
        assert_eq!(some.identify(&right).unwrap().who, Who::Named("front"));
    }

    #[test]
    fn a_forwarded_address_counts_only_from_a_trusted_proxy_and_from_its_end() {
        let some = callers(&[], &["192.0.2.1", "192.0.2.2"]);
        let address = |from, forwarded| {
            some.client_address(&request(from, &[("x-forwarded-for", forwarded)]))
                .unwrap()
                .to_string()
        };
        assert_eq!(address("192.0.2.9", "198.51.100.7"), "192.0.2.9");
        assert_eq!(
            address("192.0.2.1", "203.0.113.1, 198.51.100.7, 192.0.2.2"),
            "198.51.100.7"
        );
        assert_eq!(address("192.0.2.1", "198.51.100.7, nonsense"), "192.0.2.1");
        assert_eq!(address("::ffff:192.0.2.1", "198.51.100.7"), "198.51.100.7");
    }
}
