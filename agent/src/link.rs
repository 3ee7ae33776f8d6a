//! The links to the relays: one for each address that the configured names resolve to, and that relays tell of.
//!
//! Names are resolved again and again, since a name may stand for a set of replicas that changes. Each link is a task
//! that dials, keeps a session, and dials again; a relay that says `GoAway` is dialled again while its session
//! goes on serving.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use postern_protocol::connection::Transport;
use postern_service::shutdown::Shutdown;
use rustls_pki_types::ServerName;
use tokio::sync::watch;
use tokio::task::{Id, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::chance::Chance;
use crate::config::{RelayAddress, RelaysConfig, literal};
use crate::core::backoff::Backoff;
use crate::sign_in::Agent;
use board::Board;
use dial::{Dialer, Spot};
use explain::{Trouble, TroubleKind};
use reach::Way;
use session::Established;

pub(crate) mod board;
pub(crate) mod dial;
pub(crate) mod explain;
pub(crate) mod probe;
mod reach;
pub(crate) mod session;

/// How often names are resolved. DNS answers of headless services live for some seconds.
const RESOLVE_INTERVAL: Duration = Duration::from_secs(5);

/// How long a second way to a relay process that is in session already is left alone.
const DUPLICATE_REST: Duration = Duration::from_secs(30);

/// What every link works with.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) agent: Arc<Agent>,
    pub(crate) dialer: Dialer,
    pub(crate) chance: Chance,
    pub(crate) board: Arc<Board>,
    /// Random, new with every start of the process.
    pub(crate) instance: [u8; 16],
    pub(crate) shutdown: Shutdown,
}

/// How long a name may take to resolve; it is asked for again soon. Resolvers themselves take up to half a minute.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(2);

/// Keeps the links until the drain is over: every session ended.
pub(crate) async fn keep(context: Arc<Context>, mut relays: watch::Receiver<RelaysConfig>) {
    let mut tasks = JoinSet::new();
    let mut links: BTreeMap<Spot, (Id, CancellationToken)> = BTreeMap::new();
    let drain = context.shutdown.drain.clone();
    while !drain.is_cancelled() {
        let present = relays.borrow_and_update().clone();
        let targets = tokio::select! {
            biased;
            () = drain.cancelled() => break,
            targets = targets(&context, &present) => targets,
        };
        for (spot, name) in &targets {
            links.entry(spot.clone()).or_insert_with(|| {
                let gone = CancellationToken::new();
                let way = Way {
                    context: context.clone(),
                    spot: spot.clone(),
                    name: name.clone(),
                };
                let task = tasks.spawn(link(way, gone.clone()));
                (task.id(), gone)
            });
        }
        for (spot, (_, gone)) in &links {
            // One that is in session stays: its relay is there, whatever the name says.
            if !targets.contains_key(spot) && !context.board.is_up(spot) {
                gone.cancel();
            }
        }
        tokio::select! {
            biased;
            () = drain.cancelled() => break,
            Some(ended) = tasks.join_next_with_id() => {
                let task = match ended {
                    Ok((task, ())) => task,
                    Err(error) => {
                        tracing::error!(%error, "a link failed; its relay is dialled anew");
                        error.id()
                    }
                };
                // By its task and not by what it returns: one that panicked must not keep its place.
                links.retain(|_, (of, _)| *of != task);
            }
            () = context.board.news() => {}
            Ok(()) = relays.changed() => {}
            () = tokio::time::sleep(RESOLVE_INTERVAL) => {}
        }
    }
    while tasks.join_next().await.is_some() {}
}

/// Every address that there should be a link to, with the name that its certificate must have.
async fn targets(context: &Context, relays: &RelaysConfig) -> BTreeMap<Spot, ServerName<'static>> {
    let told = context.board.replicas();
    let addresses: BTreeSet<&RelayAddress> = relays.addresses.iter().chain(&told).collect();
    context
        .board
        .keep_names(&addresses.iter().map(ToString::to_string).collect());
    // All at once: a name that nobody answers for must not keep the others waiting.
    let resolved = join_all(addresses.iter().map(|address| resolve(context, relays, address))).await;
    let mut targets = BTreeMap::new();
    for (address, resolved) in addresses.into_iter().zip(resolved) {
        let Some(name) = certificate_name(relays, address) else {
            continue;
        };
        for resolved in resolved {
            targets.entry(resolved).or_insert_with(|| name.clone());
        }
    }
    targets
}

async fn resolve(context: &Context, relays: &RelaysConfig, address: &RelayAddress) -> Vec<Spot> {
    if let Some(literal) = literal(address) {
        return vec![Spot::Address(literal)];
    }
    let label = address.to_string();
    match look_up(address).await {
        Ok(found) => {
            context.board.resolved(&label);
            found.into_iter().map(Spot::Address).collect()
        }
        // Where a proxy leads out, names of outside are often known to it alone.
        Err(_) if relays.proxy.is_some() => {
            context.board.resolved(&label);
            vec![Spot::Named(address.clone())]
        }
        Err(trouble) => {
            context.board.trouble(&label, &trouble);
            Vec::new()
        }
    }
}

/// The addresses of a relay's name.
pub(crate) async fn look_up(address: &RelayAddress) -> Result<Vec<SocketAddr>, Trouble> {
    let looked_up = tokio::net::lookup_host((address.host.as_str(), address.port));
    let error = match timeout(RESOLVE_TIMEOUT, looked_up).await {
        Ok(Ok(found)) => return Ok(found.collect()),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} seconds", RESOLVE_TIMEOUT.as_secs()),
    };
    let text = format!("{} does not resolve: {error}; check this machine's DNS", address.host);
    Err(Trouble::new(TroubleKind::Resolve, text))
}

/// The name that the certificate of a relay at `address` must have.
pub(crate) fn certificate_name(relays: &RelaysConfig, address: &RelayAddress) -> Option<ServerName<'static>> {
    let own = || ServerName::try_from(address.host.clone()).ok();
    relays.server_name.clone().or_else(own)
}

/// One link: dials, keeps a session, dials again.
async fn link(way: Way, gone: CancellationToken) {
    let context = &way.context;
    let label = way.spot.to_string();
    let mut backoff = Backoff::default();
    let mut sessions = JoinSet::new();
    let drain = &context.shutdown.drain;
    loop {
        let attempt = tokio::select! {
            biased;
            () = drain.cancelled() => break,
            () = gone.cancelled() => break,
            attempt = way.session() => attempt,
        };
        let mut rest = Duration::ZERO;
        match attempt {
            Ok((established, late)) => {
                let began = context.agent.clock.now();
                serve(&way, established, late, &gone, &mut sessions).await;
                backoff.ended_after(context.agent.clock.now().since(began));
            }
            Err(trouble) => {
                context.board.trouble(&label, &trouble);
                if trouble.kind == TroubleKind::Duplicate {
                    rest = DUPLICATE_REST;
                }
            }
        }
        let rest = backoff.next_delay(context.chance.draw()).max(rest);
        tokio::select! {
            biased;
            () = drain.cancelled() => break,
            () = gone.cancelled() => break,
            () = tokio::time::sleep(rest) => {}
        }
        while sessions.try_join_next().is_some() {}
    }
    while sessions.join_next().await.is_some() {}
    context.board.forget(&way.spot);
}

/// Puts a session into `sessions`, and whatever takes its place over a better carrier or with renewed certificates.
/// Returns when the relay is to be dialled anew, or is gone.
async fn serve(
    way: &Way,
    mut established: Established,
    mut late: Option<reach::Attempt>,
    gone: &CancellationToken,
    sessions: &mut JoinSet<()>,
) {
    loop {
        let present = established.present();
        // Cancelled also when the session's task panics.
        let over = present.over.clone().drop_guard();
        sessions.spawn(async move {
            let _over = over;
            established.run().await;
        });
        if present.connection.transport() == Transport::Tcp {
            tracing::warn!(
                relay = %way.spot,
                "no answer over UDP, so this session is over TCP, where one lost packet keeps all sign-ins waiting; let UDP \
                 to the relay's port pass. QUIC is tried again from time to time",
            );
        }
        (established, late) = tokio::select! {
            biased;
            next = way.successor(&present, late) => match next {
                Some(next) => next,
                None => return,
            },
            () = gone.cancelled() => return,
        };
    }
}
