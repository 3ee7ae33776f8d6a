//! Where sign-ins go, by URL.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, bail};
use hyper::Uri;
use rustls_pki_types::ServerName;

/// What an URL has to be.
const FORM: &str = "give http://HOST[:PORT] or https://HOST[:PORT] of a relay's API, or ldaps://HOST[:PORT] or \
                    ldap://HOST[:PORT] (StartTLS) of a directory";

/// How a target is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
    /// With StartTLS: no password goes to a directory in the clear.
    Ldap,
    Ldaps,
}

impl Scheme {
    const ALL: [Self; 4] = [Self::Http, Self::Https, Self::Ldap, Self::Ldaps];

    fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Ldap => "ldap",
            Self::Ldaps => "ldaps",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
            Self::Ldap => 389,
            Self::Ldaps => 636,
        }
    }

    /// Whether it is a directory that is spoken to, and not a relay.
    pub(crate) fn is_ldap(self) -> bool {
        matches!(self, Self::Ldap | Self::Ldaps)
    }
}

/// A relay's API, or a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// As it was given, without a final slash.
    url: String,
    pub(crate) scheme: Scheme,
    /// A name or an address, which has no brackets here.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Host and port as the URL has them.
    pub(crate) authority: String,
}

impl Target {
    /// A relay's API by its URL, `http://HOST[:PORT]` or `https://HOST[:PORT]`, or a directory by its own,
    /// `ldaps://HOST[:PORT]` or `ldap://HOST[:PORT]`, which means StartTLS.
    ///
    /// # Errors
    /// When it is not such a URL.
    pub fn parse(url: &str) -> anyhow::Result<Self> {
        if url.contains('@') {
            bail!("a target's URL has no user and no password in it (this one is not repeated here); {FORM}");
        }
        let uri: Uri = url.parse().with_context(|| format!("{url:?} is no URL; {FORM}"))?;
        let scheme = Scheme::ALL
            .into_iter()
            .find(|scheme| uri.scheme_str() == Some(scheme.as_str()));
        let (Some(scheme), Some(authority), "" | "/", None) = (scheme, uri.authority(), uri.path(), uri.query()) else {
            bail!("{url:?} is no target; {FORM}");
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let port = authority.port_u16();
        // What is not taken for host and port is a user, or a port that is none.
        let rest = authority.as_str().strip_prefix(authority.host());
        let is_whole = rest == Some(&port.map_or(String::new(), |port| format!(":{port}")));
        if !is_whole || ServerName::try_from(host).is_err() {
            bail!("{url:?} has no HOST[:PORT] that could be connected to; {FORM}");
        }
        Ok(Self {
            url: url.trim_end_matches('/').to_owned(),
            scheme,
            host: host.to_owned(),
            port: port.unwrap_or(scheme.default_port()),
            authority: authority.to_string(),
        })
    }
}

impl Target {
    /// Whether it is a directory, and not a relay.
    pub fn is_directory(&self) -> bool {
        self.scheme.is_ldap()
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|error| format!("{error:#}"))
    }
}

/// Gives the URL back.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_the_plain_url_of_a_relay_or_a_directory_and_gives_it_back() {
        for (url, scheme, host, port) in [
            ("http://127.0.0.1:7010", Scheme::Http, "127.0.0.1", 7010),
            ("http://relay.example.com", Scheme::Http, "relay.example.com", 80),
            ("https://relay.example.com/", Scheme::Https, "relay.example.com", 443),
            ("https://[::1]:8443", Scheme::Https, "::1", 8443),
            (
                "ldap://dc-1.corp.example.com",
                Scheme::Ldap,
                "dc-1.corp.example.com",
                389,
            ),
            ("ldaps://[2001:db8::1]", Scheme::Ldaps, "2001:db8::1", 636),
        ] {
            let target = Target::parse(url).unwrap();
            assert_eq!((target.scheme, target.host.as_str(), target.port), (scheme, host, port));
            assert_eq!(target.to_string(), url.trim_end_matches('/'));
        }
    }

    #[test]
    fn what_is_none_is_refused_with_its_text_and_what_to_give() {
        for wrong in [
            "",
            "127.0.0.1:7010",
            "ftp://127.0.0.1:7010",
            "http://127.0.0.1:1/v1",
            "http://127.0.0.1:1?x",
            "http://127.0.0.1:99999",
            "https://under score",
            "ldap://",
        ] {
            let error = format!("{:#}", Target::parse(wrong).unwrap_err());
            assert!(error.contains(&format!("{wrong:?}")) && error.contains(FORM), "{error}");
        }
    }
}
