//! Sign-ins as a relay's callers make them.

use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use postern_protocol::Outcome;
use postern_protocol::seal::Jwe;
use serde::Serialize;

use super::dial::Place;
use super::reach::{Protocol, Route, Token};
use super::sealing::Sealer;
use super::target::{Scheme, Target};
use super::{http1, http2};
use crate::record::{Broken, Ended, read_answer};

/// Where sign-ins are posted to.
const SIGN_IN: &str = "/v1/sign-in";

/// A relay's answers have some hundred bytes.
pub(super) const LONGEST_ANSWER: usize = 64 * 1024;

/// Status and body.
pub(super) type Answer = (StatusCode, Bytes);

/// A relay, over connections of either kind.
#[derive(Debug)]
pub(super) struct Relay {
    target: Target,
    connections: Connections,
    sign_in: Uri,
    headers: HeaderMap,
    /// With where the keys are.
    sealer: Option<(Sealer, Uri)>,
}

#[derive(Debug)]
enum Connections {
    Http1(http1::Connections),
    Http2(http2::Connections),
}

#[derive(Serialize)]
struct SignIn<'a> {
    username: &'a str,
    #[serde(flatten)]
    secret: Secret<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Secret<'a> {
    Password(&'a str),
    Jwe(&'a Jwe),
}

impl Relay {
    pub(super) fn new(place: Place, route: &Route) -> anyhow::Result<Self> {
        let protocol = route.protocol;
        let target = place.target.clone();
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(Token(token)) = &route.token {
            headers.insert(AUTHORIZATION, token.clone());
        }
        if protocol == Protocol::Http1 {
            headers.insert(HOST, HeaderValue::from_str(&target.authority)?);
        }
        let sealer = route.sealing.clone().map(|whom| {
            let keys = uri(&target, protocol, &format!("/v1/realms/{}/keys", whom.realm))?;
            anyhow::Ok((Sealer::new(whom), keys))
        });
        Ok(Self {
            sealer: sealer.transpose()?,
            sign_in: uri(&target, protocol, SIGN_IN)?,
            headers,
            target,
            connections: match protocol {
                Protocol::Http1 => Connections::Http1(http1::Connections::new(place)),
                Protocol::Http2 => Connections::Http2(http2::Connections::new(place)),
            },
        })
    }

    pub(super) async fn open(&self) -> anyhow::Result<()> {
        match &self.connections {
            Connections::Http1(connections) => connections.open().await,
            Connections::Http2(connections) => connections.open().await,
        }
    }

    /// Whether it is a relay that answers there: sign-ins are posted, and asking for them is refused as nothing else is.
    pub(super) async fn check(&self) -> anyhow::Result<()> {
        let target = &self.target;
        self.open().await?;
        let Ok((status, _)) = self.send(Method::GET, &self.sign_in, Bytes::new()).await else {
            bail!("{target}: the connection ended without an answer of HTTP; is this the port of a relay's API?");
        };
        if status != StatusCode::METHOD_NOT_ALLOWED {
            bail!(
                "{target}: answers GET {SIGN_IN} with {status}, which a relay does not; is this the port of a relay's API?"
            );
        }
        let Some((sealer, uri)) = &self.sealer else {
            return Ok(());
        };
        let keys = match sealer.keys(self.send(Method::GET, uri, Bytes::new())).await {
            Ok(keys) => keys,
            Err(ended) => bail!("{target}: no keys to seal to at {uri} ({ended}); is that the realm's name?"),
        };
        if keys.is_empty() {
            bail!("{target}: there is no key to seal to at {uri}; is an agent of the realm connected?");
        }
        Ok(())
    }

    /// Posts one sign-in. It is sent once: what may have reached the relay is not sent again.
    pub(super) async fn sign_in(&self, name: &str, password: &str) -> Ended {
        let Some((sealer, uri)) = &self.sealer else {
            return self.post(name, Secret::Password(password)).await;
        };
        let keys = match sealer.keys(self.send(Method::GET, uri, Bytes::new())).await {
            Ok(keys) => keys,
            Err(ended) => return ended,
        };
        if keys.is_empty() {
            return Ended::Broken(Broken::NoKey);
        }
        let Some(jwe) = sealer.seal(name, password, &keys) else {
            // What cannot be a password cannot be sealed, and goes to nobody. A relay says the same of none at all.
            return self.post(name, Secret::Password("")).await;
        };
        let ended = self.post(name, Secret::Jwe(&jwe)).await;
        if ended == Ended::Outcome(Outcome::StaleKey) {
            sealer.renew(&keys);
        }
        ended
    }

    async fn post(&self, name: &str, secret: Secret<'_>) -> Ended {
        let body = SignIn { username: name, secret };
        let Ok(body) = serde_json::to_vec(&body) else {
            return Ended::Broken(Broken::Unreadable);
        };
        match self.send(Method::POST, &self.sign_in, body.into()).await {
            Ok((status, body)) => read_answer(status.as_u16(), &body),
            Err(broken) => Ended::Broken(broken),
        }
    }

    async fn send(&self, method: Method, uri: &Uri, body: Bytes) -> Result<Answer, Broken> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = self.headers.clone();
        match &self.connections {
            Connections::Http1(connections) => connections.send(request).await,
            Connections::Http2(connections) => connections.send(request).await,
        }
    }
}

/// As a request names it: HTTP/2 has scheme and authority in it, HTTP/1.1 the authority in a header.
fn uri(target: &Target, protocol: Protocol, path: &str) -> anyhow::Result<Uri> {
    let scheme = match target.scheme {
        Scheme::Https => "https",
        _ => "http",
    };
    let text = match protocol {
        Protocol::Http1 => path.to_owned(),
        Protocol::Http2 => format!("{scheme}://{}{path}", target.authority),
    };
    text.parse().with_context(|| format!("{text:?} is no URL"))
}
