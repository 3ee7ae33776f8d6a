//! Sign-ins over kept connections of HTTP/1.1: as many as there are sign-ins at once, and none is made while one is idle.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::record::{Broken, Ended, read_answer};

/// Where sign-ins are posted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target(SocketAddr);

impl Target {
    /// A relay's API by its URL, `http://ADDRESS:PORT`.
    ///
    /// # Errors
    /// When it is not such a URL.
    pub fn parse(api: &str) -> anyhow::Result<Self> {
        let uri: Uri = api.parse().with_context(|| format!("{api:?} is no URL"))?;
        if uri.scheme_str() != Some("http") || !matches!(uri.path(), "" | "/") {
            bail!("{api:?} is not http://ADDRESS:PORT");
        }
        let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
        let address = authority
            .parse()
            .with_context(|| format!("{api:?} has no ADDRESS:PORT"))?;
        Ok(Self(address))
    }
}

impl std::str::FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|error| format!("{error:#}"))
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "http://{}", self.0)
    }
}

type Sender = SendRequest<Full<Bytes>>;

/// The kept connections to one target.
#[derive(Debug)]
pub(crate) struct Client {
    target: Target,
    host: String,
    /// The one used last is used next, so that those above what is needed grow old.
    idle: Mutex<Vec<Sender>>,
    /// What drives each connection; ends with it.
    connections: Mutex<JoinSet<()>>,
}

impl Client {
    pub(crate) fn new(target: Target) -> Self {
        Self {
            target,
            host: target.0.to_string(),
            idle: Mutex::default(),
            connections: Mutex::default(),
        }
    }

    /// Posts one sign-in. It is sent once: what may have reached the relay is not sent again.
    pub(crate) async fn sign_in(&self, name: &str, password: &str) -> Ended {
        let body = serde_json::json!({ "username": name, "password": password }).to_string();
        match self.post(Bytes::from(body)).await {
            Ok(ended) => ended,
            Err(broken) => Ended::Broken(broken),
        }
    }

    async fn post(&self, body: Bytes) -> Result<Ended, Broken> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri("/v1/sign-in")
            .header(HOST, &self.host)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|_| Broken::Connection)?;
        // A kept connection may have been closed by the relay meanwhile. Each that was is gone from the idle ones, so
        // this ends.
        let (sender, response) = loop {
            let idle = lock(&self.idle).pop();
            let is_new = idle.is_none();
            let mut sender = match idle {
                Some(sender) => sender,
                None => self.connect().await?,
            };
            match sender.try_send_request(request).await {
                Ok(response) => break (sender, response),
                Err(mut error) => match error.take_message() {
                    Some(unsent) if !is_new => request = unsent,
                    _ => return Err(Broken::Connection),
                },
            }
        };
        let ended = read(response).await?;
        if !sender.is_closed() {
            lock(&self.idle).push(sender);
        }
        Ok(ended)
    }

    async fn connect(&self) -> Result<Sender, Broken> {
        let connect = async {
            let stream = TcpStream::connect(self.target.0).await?;
            stream.set_nodelay(true)?;
            Ok::<_, std::io::Error>(stream)
        };
        let stream = connect.await.map_err(|_| Broken::Connection)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|_| Broken::Connection)?;
        let mut connections = lock(&self.connections);
        while connections.try_join_next().is_some() {}
        connections.spawn(async move {
            // Whoever waits for an answer on it learns of its end.
            let _ = connection.await;
        });
        Ok(sender)
    }
}

async fn read(response: Response<Incoming>) -> Result<Ended, Broken> {
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.map_err(|_| Broken::Connection)?;
    Ok(read_answer(status, &body.to_bytes()))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whole after every statement.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_plain_url_of_an_address() {
        assert!(Target::parse("http://127.0.0.1:7010").is_ok());
        for wrong in [
            "https://127.0.0.1:7010",
            "127.0.0.1:7010",
            "http://127.0.0.1",
            "http://127.0.0.1:1/v1",
        ] {
            assert!(Target::parse(wrong).is_err(), "{wrong}");
        }
    }
}
