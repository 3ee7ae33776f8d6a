//! A server that answers as a relay does, and remembers who asked.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Extension, Router};
use postern_service::http::{Options, Peer, Phases, Site, SiteTls, serve_site};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::sync::lock;

pub(super) const RIGHT: (StatusCode, &str) = (StatusCode::OK, r#"{"outcome":"success"}"#);
const WRONG: (StatusCode, &str) = (StatusCode::UNAUTHORIZED, r#"{"outcome":"invalid_credentials"}"#);

/// What a relay was asked.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// From where: a connection each.
    pub(super) connections: BTreeSet<SocketAddr>,
    /// By whom.
    pub(super) names: Vec<String>,
    /// With which `authorization`.
    pub(super) tokens: BTreeSet<String>,
}

pub(super) struct Relay {
    pub(super) address: SocketAddr,
    pub(super) asked: Arc<Mutex<Asked>>,
    task: JoinSet<()>,
}

impl Relay {
    /// Everybody's password is `right`.
    pub(super) async fn start(tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        Self::start_slow(tls, 1).await
    }

    /// Ends it with all its connections, and starts another one in its place.
    pub(super) async fn replace(mut self) -> Self {
        self.task.shutdown().await;
        Self::serve(TcpListener::bind(self.address).await.unwrap(), None, 1)
    }

    /// Answers when so many ask at once.
    pub(super) async fn start_slow(tls: Option<Arc<rustls::ServerConfig>>, at_once: usize) -> Self {
        Self::serve(TcpListener::bind("127.0.0.1:0").await.unwrap(), tls, at_once)
    }

    fn serve(listener: TcpListener, tls: Option<Arc<rustls::ServerConfig>>, at_once: usize) -> Self {
        let asked = Arc::new(Mutex::new(Asked::default()));
        let barrier = Arc::new(Barrier::new(at_once));
        let own = asked.clone();
        let answer = move |Extension(peer): Extension<Peer>, headers: HeaderMap, body: String| {
            let (own, barrier) = (own.clone(), barrier.clone());
            async move {
                let body: Value = serde_json::from_str(&body).unwrap();
                {
                    let mut asked = lock(&own);
                    asked.connections.insert(peer.address);
                    asked.names.push(body["username"].as_str().unwrap().to_owned());
                    let token = headers.get("authorization").map(|token| token.to_str().unwrap());
                    asked.tokens.extend(token.map(str::to_owned));
                }
                barrier.wait().await;
                if body["password"] == "right" { RIGHT } else { WRONG }
            }
        };
        let app = Router::new().route("/v1/sign-in", post(answer));
        let address = listener.local_addr().unwrap();
        let site = Site {
            app,
            tls: tls.map(|config| SiteTls { config, clients: None }),
        };
        let mut task = JoinSet::new();
        task.spawn(serve_site(
            listener,
            site.fixed(),
            Options::default(),
            Phases::default(),
        ));
        Self { address, asked, task }
    }

    pub(super) fn connections(&self) -> usize {
        lock(&self.asked).connections.len()
    }

    pub(super) fn requests(&self) -> usize {
        lock(&self.asked).names.len()
    }
}
