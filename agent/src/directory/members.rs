//! The domain controllers that there are at present: a task for each, started when it appears and ended when it goes.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::dc::{Dc, Shared};
use super::known::{Known, Register};
use crate::config::{Server, Transport};
use crate::core::tiers::Tier;

/// The weight of a domain controller that the configuration names: what Active Directory gives all of its own.
const LISTED_WEIGHT: u16 = 100;

/// A domain controller that there should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) server: Server,
    pub(super) tier: Tier,
    pub(super) weight: u16,
}

impl Wanted {
    /// One that the configuration names: nothing comes before it.
    pub(super) fn listed(server: &Server) -> Self {
        Self {
            server: server.clone(),
            tier: Tier::default(),
            weight: LISTED_WEIGHT,
        }
    }
}

struct Member {
    wanted: Wanted,
    known: Arc<Known>,
    gone: CancellationToken,
}

/// Those that there are, by name.
pub(super) struct Members {
    shared: Shared,
    register: Register,
    members: BTreeMap<String, Member>,
    tasks: JoinSet<()>,
}

impl Members {
    /// Nobody yet.
    pub(super) fn new(shared: Shared) -> Self {
        Self {
            register: Register::new(shared.metrics.clone()),
            shared,
            members: BTreeMap::new(),
            tasks: JoinSet::new(),
        }
    }

    /// From now on there are these. Names differ.
    fn apply(&mut self, wanted: Vec<Wanted>) {
        let mut before = std::mem::take(&mut self.members);
        for wanted in wanted {
            let name = wanted.server.name.clone();
            let member = match before.remove(&name) {
                Some(member) if member.wanted.server == wanted.server => self.keep(member, wanted),
                // The same name elsewhere is another one.
                other => {
                    before.extend(other.map(|other| (name.clone(), other)));
                    self.start(wanted)
                }
            };
            self.members.insert(name, member);
        }
        for (name, member) in before {
            tracing::info!(dc = %name, address = %member.wanted.server.address(), "domain controller is gone");
            member.gone.cancel();
        }
    }

    fn keep(&self, mut member: Member, wanted: Wanted) -> Member {
        if member.wanted != wanted {
            self.shared.pool.reseat(member.known.id, wanted.tier, wanted.weight);
            member.wanted = wanted;
        }
        member
    }

    fn start(&mut self, wanted: Wanted) -> Member {
        let known = self.register.appeared(&wanted.server.name);
        if wanted.server.transport == Transport::Plain {
            tracing::warn!(
                dc = %wanted.server.name, address = %wanted.server.address(),
                "INSECURE: passwords go to this domain controller in the clear, for everybody on the way to read; use \
                 ldaps://, or leave insecure out for StartTLS",
            );
        }
        let gone = CancellationToken::new();
        self.shared.troubles().untried(&known);
        self.shared.pool.add(known.clone(), wanted.tier, wanted.weight);
        let dc = Dc {
            known: known.clone(),
            server: wanted.server.clone(),
            shared: self.shared.clone(),
        };
        self.tasks.spawn(dc.run(gone.clone()));
        Member { wanted, known, gone }
    }

    /// Starts and ends what `wanted` says, until dropped.
    pub(super) async fn run(mut self, mut wanted: watch::Receiver<Vec<Wanted>>) {
        wanted.mark_changed();
        loop {
            tokio::select! {
                biased;
                Some(ended) = self.tasks.join_next() => {
                    // One that is gone ends quietly.
                    if let Err(error) = ended {
                        std::panic::resume_unwind(error.into_panic());
                    }
                }
                Ok(()) = wanted.changed() => {
                    let now = wanted.borrow_and_update().clone();
                    self.apply(now);
                }
                else => std::future::pending().await,
            }
        }
    }
}
