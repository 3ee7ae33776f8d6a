//! The relay: the cloud side of Postern.
//!
//! A sign-in comes in over HTTP ([`api`]), its password is sealed ([`sealer`]), the [`core`] decides which agent gets
//! it, the [`driver`] carries that out, a [`session`] brings it to the agent and the verdict back; the [`broker`] is all
//! that behind the API. Data flows in that one direction; only the core decides, and it does so without a socket or a clock.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use postern_service::http::{Options, Phases, serve, serve_site};
use postern_service::net::bind_tcp;
use postern_service::program::{Program, run_reloading};
use postern_service::shutdown::Shutdown;
use postern_service::threads::Threads;
use postern_service::{admin, metrics as process_metrics};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub mod api;
pub mod broker;
pub mod clock;
pub mod config;
pub mod core;
pub mod deny;
pub mod driver;
pub mod envelope;
pub mod keys;
pub mod limits;
pub mod live;
pub mod metrics;
pub mod page;
pub mod reload;
pub mod replays;
pub mod sealer;
pub mod session;
pub mod state;

use broker::{Broker, Ending};
use config::Config;
use live::Live;
use metrics::Metrics;
use session::listener::{self, Listener, ShownToAgents};

/// The binary from its arguments to its exit code.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let program = Program {
        name: "postern-relay",
        version: env!("CARGO_PKG_VERSION"),
        about: "Takes sign-ins in the cloud and has them validated by agents on premises",
        tools: &[],
    };
    run_reloading::<config::raw::Raw, _, _, _>(program, arguments, run)
}

/// Runs a relay until it is told to end. `path` is watched for changes.
///
/// # Errors
/// When something that it needs cannot be opened; the text says what to do.
pub async fn run(config: Config, path: PathBuf, shutdown: Shutdown) -> anyhow::Result<()> {
    Relay::open(config)?.serve(Some(path), shutdown).await
}

/// A relay with all that can be missing opened: certificates read, ports taken, nothing served yet.
pub struct Relay {
    config: Config,
    registry: prometheus::Registry,
    metrics: Metrics,
    api: TcpListener,
    admin: TcpListener,
    agents: Listener,
    shown_to_agents: ShownToAgents,
}

impl Relay {
    /// Takes the ports.
    ///
    /// # Errors
    /// When a port is taken or a certificate does not fit; the text says what to do.
    pub fn open(config: Config) -> anyhow::Result<Self> {
        let registry = process_metrics::registry("relay", env!("CARGO_PKG_VERSION"))?;
        let metrics = Metrics::new(&registry)?;
        let admin = bind_tcp(config.admin_listen)?;
        let api = bind_tcp(config.api.listen)?;
        let (agents, shown_to_agents) = listener::open(&config)?;
        Ok(Self {
            config,
            registry,
            metrics,
            api,
            admin,
            agents,
            shown_to_agents,
        })
    }

    /// Where callers connect.
    ///
    /// # Errors
    /// The operating system's.
    pub fn api_address(&self) -> std::io::Result<SocketAddr> {
        self.api.local_addr()
    }

    /// Where agents connect.
    ///
    /// # Errors
    /// The operating system's.
    pub fn quic_address(&self) -> std::io::Result<SocketAddr> {
        self.agents.endpoint.local_addr()
    }

    /// Serves until `shutdown`. With a `path` the configuration there is watched.
    ///
    /// # Errors
    /// When a part of it ended by itself, which is a defect; it is better to be restarted than to serve by halves.
    pub async fn serve(self, path: Option<PathBuf>, shutdown: Shutdown) -> anyhow::Result<()> {
        let Self {
            config,
            registry,
            metrics,
            api: api_listener,
            admin: admin_listener,
            agents: agents_listener,
            shown_to_agents,
        } = self;
        let address = |address: std::io::Result<SocketAddr>| address.map(|a| a.to_string()).unwrap_or_default();
        tracing::info!(
            relay = %config.name, api = address(api_listener.local_addr()), quic = address(agents_listener.endpoint.local_addr()),
            admin = address(admin_listener.local_addr()), realms = config.realms.len(), "relay is serving"
        );
        let threads = Threads::start(config.threads, "postern-relay")?;
        let readiness = admin::Readiness::new();
        let goodbye = CancellationToken::new();
        let ending = Ending {
            shutdown: shutdown.clone(),
            goodbye: goodbye.clone(),
        };
        let (broker, access, changes) = Broker::new(&config, &metrics, ending, &mut rand::rng())?;
        let phases = Phases {
            goodbye: shutdown.drain.clone(),
            close: CancellationToken::new(),
            abort: shutdown.stop.clone(),
        };
        let options = Options {
            max_connections: config.api.max_connections,
            trusted_proxies: config.api.trusted_proxies.clone(),
            threads: Some(threads.clone()),
            ..Options::default()
        };

        let drain_wait = config.drain_wait;
        let (live, site) = Live::new(config, access, changes, shown_to_agents, metrics.clone())?;

        let mut background = JoinSet::new();
        let admin_router = admin::router(registry, readiness.clone());
        background.spawn(serve(
            admin_listener,
            admin_router,
            Options::default(),
            Phases::until_stop(&shutdown),
        ));
        let mut configuration = JoinSet::new();
        configuration.spawn(keep_up(path, live, metrics));
        let mut agents = JoinSet::new();
        agents.spawn(broker.run(agents_listener, threads));
        let mut api = JoinSet::new();
        api.spawn(serve_site(api_listener, site, options, phases.clone()));

        tokio::select! {
            biased;
            () = shutdown.drain.cancelled() => {}
            _ = background.join_next() => anyhow::bail!("a part of the relay has ended by itself"),
            _ = agents.join_next() => anyhow::bail!("what brings sign-ins to agents has ended by itself"),
            _ = api.join_next() => anyhow::bail!("the sign-in API has ended by itself"),
        }
        readiness.block("drain", "the relay is draining");
        // Still serving: load balancers need a while to see that it is no longer ready.
        tokio::select! {
            biased;
            () = shutdown.stop.cancelled() => {}
            () = tokio::time::sleep(drain_wait) => {}
        }
        phases.close.cancel();
        while api.join_next().await.is_some() {}
        tracing::info!("all sign-ins are settled; telling agents to go");
        goodbye.cancel();
        while agents.join_next().await.is_some() {}
        background.shutdown().await;
        Ok(())
    }
}

async fn keep_up(path: Option<PathBuf>, live: Live, metrics: Metrics) {
    let Some(path) = path else { return live.ended().await };
    if let Err(error) = reload::watch(path, live, metrics).await {
        tracing::error!(%error, "the configuration is not read again when it changes");
    }
}
