//! The relay: the cloud side of Postern.
//!
//! A sign-in comes in over HTTP ([`api`]), its password is sealed ([`sealer`]), the [`core`] decides which agent gets
//! it, the [`driver`] carries that out, a [`session`] brings it to the agent and the verdict back; the [`broker`] is all
//! that behind the API. Data flows in that one direction; only the core decides, and it does so without a socket or a clock.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use postern_service::http::{Options, Phases, serve};
use postern_service::net::bind_tcp;
use postern_service::program::{Program, run_reloading};
use postern_service::shutdown::Shutdown;
use postern_service::threads::Threads;
use postern_service::{admin, metrics as process_metrics, tls};
use tokio::net::TcpListener;
use tokio::sync::watch;
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
pub mod metrics;
pub mod page;
pub mod reload;
pub mod replays;
pub mod sealer;
pub mod session;

use api::ApiState;
use broker::{Broker, Ending};
use config::Config;
use metrics::Metrics;
use page::Page;
use session::listener::{self, Listener};

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

/// Runs a relay until it is told to end. `path` is watched for changes of the deny list.
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
    api_tls: Option<Arc<rustls::ServerConfig>>,
    api: TcpListener,
    admin: TcpListener,
    agents: Listener,
}

impl Relay {
    /// Takes the ports.
    ///
    /// # Errors
    /// When a port is taken or a certificate does not fit; the text says what to do.
    pub fn open(config: Config) -> anyhow::Result<Self> {
        let registry = process_metrics::registry("relay", env!("CARGO_PKG_VERSION"))?;
        let metrics = Metrics::new(&registry)?;
        note_certificates(&config, &metrics);
        let admin = bind_tcp(config.admin_listen)?;
        let api = bind_tcp(config.api.listen)?;
        let agents = listener::open(&config)?;
        let api_tls = config
            .api
            .tls
            .as_ref()
            .map(|identity| api_tls(identity, &config))
            .transpose()?;
        Ok(Self {
            config,
            registry,
            metrics,
            api_tls,
            api,
            admin,
            agents,
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

    /// Serves until `shutdown`. With a `path` the deny list there is watched.
    ///
    /// # Errors
    /// When a part of it ended by itself, which is a defect; it is better to be restarted than to serve by halves.
    pub async fn serve(self, path: Option<PathBuf>, shutdown: Shutdown) -> anyhow::Result<()> {
        let Self {
            config,
            registry,
            metrics,
            api_tls,
            api: api_listener,
            admin: admin_listener,
            agents: agents_listener,
        } = self;
        let address = |address: std::io::Result<SocketAddr>| address.map(|a| a.to_string()).unwrap_or_default();
        tracing::info!(
            relay = %config.name, api = address(api_listener.local_addr()), quic = address(agents_listener.endpoint.local_addr()),
            admin = address(admin_listener.local_addr()), realms = config.realms.len(), "relay is serving"
        );
        let threads = Threads::start(config.threads, "postern-relay")?;
        let readiness = admin::Readiness::new();
        let (deny_sender, deny) = watch::channel(config.deny.clone());
        let goodbye = CancellationToken::new();
        let ending = Ending {
            shutdown: shutdown.clone(),
            goodbye: goodbye.clone(),
        };
        let (broker, access) = Broker::new(&config, &metrics, deny, ending, &mut rand::rng());
        let state = Arc::new(ApiState::new(&config, access, metrics));
        let page = config.page.map(|settings| Page::new(&config, settings, state.clone()));
        let phases = Phases {
            goodbye: shutdown.drain.clone(),
            close: CancellationToken::new(),
            abort: shutdown.stop.clone(),
        };
        let options = Options {
            tls: api_tls,
            max_connections: config.api.max_connections,
            trusted_proxies: config.api.trusted_proxies.clone(),
            threads: Some(threads.clone()),
            ..Options::default()
        };

        let mut background = JoinSet::new();
        let admin_router = admin::router(registry, readiness.clone());
        background.spawn(serve(
            admin_listener,
            admin_router,
            Options::default(),
            Phases::until_stop(&shutdown),
        ));
        let mut deny_list = JoinSet::new();
        deny_list.spawn(watch_deny_list(path, deny_sender));
        let mut agents = JoinSet::new();
        agents.spawn(broker.run(agents_listener, threads));
        let mut api = JoinSet::new();
        api.spawn(serve(api_listener, api::router(state, page), options, phases.clone()));

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
            () = tokio::time::sleep(config.drain_wait) => {}
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

async fn watch_deny_list(path: Option<PathBuf>, deny: watch::Sender<deny::DenyList>) {
    let Some(path) = path else { return deny.closed().await };
    if let Err(error) = reload::watch(path, deny).await {
        tracing::error!(%error, "the deny list is not watched");
    }
}

fn api_tls(identity: &tls::Identity, config: &Config) -> anyhow::Result<Arc<rustls::ServerConfig>> {
    let provider = tls::provider();
    let builder =
        rustls::ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let builder = match &config.api.client_anchors {
        None => builder.with_no_client_auth(),
        Some(anchors) => {
            let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(anchors.clone(), provider);
            // Callers with a token need no certificate.
            builder.with_client_cert_verifier(verifier.allow_unauthenticated().build()?)
        }
    };
    let identity = identity.clone();
    let mut tls = builder.with_single_cert(identity.chain, identity.key)?;
    if config.api.client_anchors.is_some() {
        // A resumed session would take the caller's certificate as it was; each connection shows it anew.
        tls.send_tls13_tickets = 0;
        tls.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    }
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(tls))
}

fn note_certificates(config: &Config, metrics: &Metrics) {
    let note = |usage: &str, identity: &tls::Identity| {
        if identity.key_is_readable_by_all {
            tracing::warn!(
                key = usage,
                "every user of this machine can read this private key; take the right from others"
            );
        }
        if let Some(end) = identity.chain.first().and_then(tls::not_after) {
            metrics.certificate_not_after.with_label_values(&[usage]).set(end);
        }
    };
    note("quic", &config.quic.identity);
    if let Some(identity) = &config.api.tls {
        note("api", identity);
    }
}
