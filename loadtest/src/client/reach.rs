//! How sign-ins get to where they go: what is asked for, and what is known of it before the run.

use std::sync::Arc;

use anyhow::{Context, bail};
use hyper::header::HeaderValue;
use postern_service::tls::provider;
use rustls::ClientConfig;

use super::Client;
use super::authorities::Authorities;
use super::dial::{Place, Tls};
use super::sealing::Sealing;
use super::target::{Scheme, Target};

/// The version of HTTP. With TLS it is what ALPN offers; in the clear HTTP/2 is spoken without asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// A connection for each sign-in under way.
    #[default]
    Http1,
    /// A few connections, shared.
    Http2,
}

/// What a caller shows a relay of itself (`[[callers]]` in the relay's configuration). Not shown in logs.
#[derive(Debug, Clone)]
pub struct Token(pub(super) HeaderValue);

impl Token {
    /// A bearer token.
    ///
    /// # Errors
    /// When it has characters that no header may have.
    pub fn new(token: &str) -> anyhow::Result<Self> {
        let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
            .ok()
            .filter(|_| !token.is_empty())
            .context(
                "the token is empty or has characters that cannot be sent; give it as the caller got it, in one line",
            )?;
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

/// How to get to where sign-ins go.
#[derive(Debug, Clone)]
pub struct Reach {
    /// Where to, all of one kind; in turn.
    pub targets: Vec<Target>,
    /// Whose certificates are believed; `None` for those that the system believes.
    pub authorities: Option<Authorities>,
    /// With relays.
    pub protocol: Protocol,
    /// What relays are shown.
    pub token: Option<Token>,
    /// Passwords are sealed before relays have them.
    pub sealing: Option<Sealing>,
    /// To be open before the run begins, over all targets. More are opened as they are needed.
    pub connections: usize,
}

/// A way that was gone once: names are resolved, and each target has answered.
#[derive(Debug, Clone)]
pub struct Route {
    pub(super) places: Vec<Place>,
    pub(super) protocol: Protocol,
    pub(super) token: Option<Token>,
    pub(super) sealing: Option<Sealing>,
    pub(super) connections: usize,
}

impl Reach {
    /// In the clear or with the system's authorities, over HTTP/1.1, as nobody in particular.
    pub fn new(targets: Vec<Target>) -> Self {
        Self {
            targets,
            authorities: None,
            protocol: Protocol::default(),
            token: None,
            sealing: None,
            connections: 0,
        }
    }

    /// Resolves the targets' names and connects once to each.
    ///
    /// # Errors
    /// When one cannot be reached, is not what it should be, or cannot be spoken to as asked for. Says what to do.
    pub async fn prepare(self) -> anyhow::Result<Route> {
        self.check()?;
        let with_tls = self.targets.iter().any(|target| target.scheme != Scheme::Http);
        let tls = with_tls.then(|| self.tls()).transpose()?;
        let mut places = Vec::new();
        for target in self.targets {
            let tls = tls.clone().filter(|_| target.scheme != Scheme::Http);
            places.push(Place::resolve(target, tls).await?);
        }
        let route = Route {
            places,
            protocol: self.protocol,
            token: self.token,
            sealing: self.sealing,
            connections: self.connections,
        };
        Client::new(&route)?.check().await?;
        Ok(route)
    }

    /// Whether it fits together.
    fn check(&self) -> anyhow::Result<()> {
        let Some(first) = self.targets.first() else {
            bail!("there is no target; give at least one URL");
        };
        let of_another_kind = |target: &&Target| target.scheme.is_ldap() != first.scheme.is_ldap();
        if let Some(other) = self.targets.iter().find(of_another_kind) {
            bail!("{first} and {other} are of different kinds; give relays only, or directories only");
        }
        if first.scheme.is_ldap() && self.token.is_some() {
            bail!("{first} is a directory, to which no token can be shown; leave it out");
        }
        if first.scheme.is_ldap() && self.sealing.is_some() {
            bail!("{first} is a directory, which takes no sealed passwords; leave that out");
        }
        if first.scheme.is_ldap() && self.protocol == Protocol::Http2 {
            bail!("{first} is a directory, which does not speak HTTP/2; leave it out");
        }
        Ok(())
    }

    fn tls(&self) -> anyhow::Result<Tls> {
        let authorities = match &self.authorities {
            Some(authorities) => authorities.clone(),
            None => Authorities::of_system()?,
        };
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(authorities.roots)
            .with_no_client_auth();
        let is_ldap = self.targets.iter().any(|target| target.scheme.is_ldap());
        config.alpn_protocols = match self.protocol {
            _ if is_ldap => Vec::new(),
            Protocol::Http1 => vec![b"http/1.1".to_vec()],
            Protocol::Http2 => vec![b"h2".to_vec()],
        };
        Ok(Tls {
            config: Arc::new(config),
            authorities: authorities.source,
        })
    }
}
