//! What one sign-in goes over: kept connections to a relay or to a directory.
//!
//! [`Reach`] says how; [`Reach::prepare`] tries it, and gives a [`Route`] or what to do about it. During the run nothing is
//! explained any more: a connection that cannot be made, or is lost, is [`Broken::Connection`].
//! A sign-in is sent once. What may have reached its target is never sent again.

mod authorities;
mod dial;
mod explain;
mod http;
mod http1;
mod http2;
mod ldap;
mod reach;
mod sealing;
mod target;

pub use authorities::Authorities;
pub use reach::{Protocol, Reach, Route, Token};
pub use sealing::Sealing;
pub use target::Target;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::JoinSet;

use crate::record::{Broken, Ended};
use dial::Place;
use http::Relay;
use ldap::Directory;

/// Opened at once before the run. More would be a burst that no run begins with.
const OPENED_AT_ONCE: usize = 32;

/// The kept connections to all targets. They belong to the runtime that they are made on.
#[derive(Debug)]
pub(crate) struct Client {
    peers: Vec<Arc<Peer>>,
    next: AtomicUsize,
    connections: usize,
}

/// A target.
#[derive(Debug)]
struct Peer {
    place: Place,
    connections: Connections,
}

#[derive(Debug)]
enum Connections {
    Relay(Box<Relay>),
    Directory(Directory),
}

impl Peer {
    fn new(place: &Place, route: &Route) -> anyhow::Result<Self> {
        let connections = if place.target.scheme.is_ldap() {
            Connections::Directory(Directory::new(place.clone()))
        } else {
            Connections::Relay(Box::new(Relay::new(place.clone(), route)?))
        };
        Ok(Self {
            place: place.clone(),
            connections,
        })
    }

    async fn check(&self) -> anyhow::Result<()> {
        match &self.connections {
            Connections::Relay(relay) => self.place.in_time(relay.check()).await,
            // What a directory is, its certificate says.
            Connections::Directory(_) => self.open().await,
        }
    }

    async fn open(&self) -> anyhow::Result<()> {
        match &self.connections {
            Connections::Relay(relay) => self.place.in_time(relay.open()).await,
            Connections::Directory(directory) => self.place.in_time(directory.open()).await,
        }
    }
}

impl Client {
    /// Connects to nothing yet.
    pub(crate) fn new(route: &Route) -> anyhow::Result<Self> {
        let peer = |place: &Place| Ok(Arc::new(Peer::new(place, route)?));
        Ok(Self {
            peers: route.places.iter().map(peer).collect::<anyhow::Result<_>>()?,
            next: AtomicUsize::new(0),
            connections: route.connections,
        })
    }

    /// Whether each target is what it should be.
    async fn check(&self) -> anyhow::Result<()> {
        for peer in &self.peers {
            peer.check().await?;
        }
        Ok(())
    }

    /// Opens the connections that are to be there when the run begins.
    pub(crate) async fn open(&self) -> anyhow::Result<()> {
        let mut opening = JoinSet::new();
        for peer in self.peers.iter().cycle().take(self.connections) {
            if opening.len() == OPENED_AT_ONCE
                && let Some(opened) = opening.join_next().await
            {
                opened??;
            }
            let peer = peer.clone();
            opening.spawn(async move { peer.open().await });
        }
        while let Some(opened) = opening.join_next().await {
            opened??;
        }
        Ok(())
    }

    /// Makes one sign-in at the target whose turn it is.
    pub(crate) async fn sign_in(&self, name: &str, password: &str) -> Ended {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.peers.len().max(1);
        match self.peers.get(turn) {
            Some(peer) => match &peer.connections {
                Connections::Relay(relay) => relay.sign_in(name, password).await,
                Connections::Directory(directory) => directory.sign_in(name, password).await,
            },
            None => Ended::Broken(Broken::Connection),
        }
    }
}

#[cfg(test)]
mod tests;
