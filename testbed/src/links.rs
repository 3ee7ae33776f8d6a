//! `--net-faults`: a UDP proxy between each agent and each relay, which can lose, delay and reorder what passes.
//!
//! A machine without root, or without netem, can be given bad networks this way. What happens to a datagram is decided
//! in `line`, without a socket; `proxy` carries it out. Without settings a proxy passes everything on at once.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use serde::Serialize;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::cluster::{loopback, numbered};
pub use settings::Settings;

mod line;
mod proxy;
mod settings;

/// The links of a cluster. Cheap to clone; clones change the same ones.
#[derive(Debug, Clone)]
pub struct Links {
    links: Arc<BTreeMap<(String, String), Link>>,
}

#[derive(Debug)]
struct Link {
    /// Where the agent finds the relay.
    address: SocketAddr,
    settings: watch::Sender<Settings>,
}

/// A link as scripts are told of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LinkDescription {
    /// The agent's name.
    pub agent: String,
    /// The relay's name.
    pub relay: String,
    /// What happens on it.
    #[serde(flatten)]
    pub settings: Settings,
}

impl Links {
    /// Opens a proxy for each of `agents` agents and each relay, on whatever ports are free. Their tasks run in `tasks`.
    ///
    /// # Errors
    /// When a socket cannot be opened.
    pub fn open(agents: u16, relays: &[SocketAddr], tasks: &mut JoinSet<()>) -> anyhow::Result<Self> {
        let mut links = BTreeMap::new();
        for agent in 0..usize::from(agents) {
            for (relay, &address) in relays.iter().enumerate() {
                let names = (numbered("agent", agent), numbered("relay", relay));
                let (settings, changes) = watch::channel(Settings::default());
                let proxy = proxy::Proxy::open(loopback(0), address, changes)
                    .with_context(|| format!("cannot open the link from {} to {}", names.0, names.1))?;
                let address = proxy.address();
                tasks.spawn(proxy.run());
                links.insert(names, Link { address, settings });
            }
        }
        Ok(Self { links: Arc::new(links) })
    }

    /// Where this agent finds this relay.
    pub fn address(&self, agent: &str, relay: &str) -> Option<SocketAddr> {
        Some(self.link(agent, relay)?.address)
    }

    /// One link, if there is such a one.
    pub fn describe(&self, agent: &str, relay: &str) -> Option<LinkDescription> {
        let link = self.link(agent, relay)?;
        Some(description((agent, relay), link))
    }

    /// Every link.
    pub fn all(&self) -> Vec<LinkDescription> {
        let links = self.links.iter();
        links
            .map(|((agent, relay), link)| description((agent, relay), link))
            .collect()
    }

    /// Changes what happens on a link, from the next datagram on. `None`: there is no such link.
    pub fn set(&self, agent: &str, relay: &str, settings: Settings) -> Option<LinkDescription> {
        self.link(agent, relay)?.settings.send_replace(settings);
        self.describe(agent, relay)
    }

    fn link(&self, agent: &str, relay: &str) -> Option<&Link> {
        self.links.get(&(agent.to_owned(), relay.to_owned()))
    }
}

fn description((agent, relay): (&str, &str), link: &Link) -> LinkDescription {
    LinkDescription {
        agent: agent.to_owned(),
        relay: relay.to_owned(),
        settings: *link.settings.borrow(),
    }
}
