//! Postern's agent: the on-premises side.
//!
//! It dials every relay, opens the sealed passwords that they pass on, asks the directory with one LDAP bind, and
//! answers with the directory's verdict. The way of a sign-in: `link` → `sign_in` → `opener` → `directory` and
//! back. Decisions are in [`core`], which asks no clock and no socket. What the rest asks of the machine goes through
//! [`machine`].

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use postern_service::admin::{self, Readiness};
use postern_service::http::{self, Options, Phases};
use postern_service::net::{BindError, bind_tcp};
use postern_service::program::{self, Program};
use postern_service::shutdown::Shutdown;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

use config::Config;
use directory::Directory;
use link::Context;
use link::board::Board;
use link::dial::{Dialer, DialerError};
use machine::Machine;
use metrics::Metrics;
use opening_keys::{KeyError, OpeningKeys};
use sign_in::Agent;

pub mod chance;
mod check;
pub mod clock;
pub mod config;
pub mod core;
mod directory;
mod link;
pub mod machine;
mod metrics;
pub mod network;
mod opener;
mod opening_keys;
mod reload;
mod sign_in;
mod unwrapping;
pub mod workshop;

pub use directory::survey;

const PROGRAM: Program = Program {
    name: "postern-agent",
    version: env!("CARGO_PKG_VERSION"),
    about: "Postern's on-premises side: dials the relays and asks the directory",
    tools: &[check::TOOL],
};

/// Why the agent cannot run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The admin listener cannot be opened.
    #[error("admin.listen: {0}")]
    Admin(#[from] BindError),
    /// The links to relays cannot be set up.
    #[error("{0}")]
    Links(String),
    /// No opening key can be made.
    #[error("{0}")]
    OpeningKey(String),
    /// A part that serves for as long as the process does has ended: an error of this program. To go on without it
    /// would be to look well and not to serve.
    #[error("a part of the agent has ended: {0}")]
    Part(String),
    /// A metric's name is used twice: an error of this program.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

impl From<DialerError> for RunError {
    fn from(error: DialerError) -> Self {
        Self::Links(error.to_string())
    }
}

impl From<KeyError> for RunError {
    fn from(error: KeyError) -> Self {
        Self::OpeningKey(error.to_string())
    }
}

/// The command `postern-agent` with its subcommand `check`, from its arguments (the first is its own name) to its exit code.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    program::run_reloading::<config::Raw, _, _, _>(PROGRAM, arguments, run)
}

/// Serves until the drain is over or the stop comes. `path` is watched for changes.
///
/// # Errors
/// [`RunError`] when the agent cannot start, or a part of it fails. Relays and directories that cannot be reached are no such reason.
pub async fn run(config: Config, path: PathBuf, shutdown: Shutdown) -> Result<(), RunError> {
    // In the order of what can fail for the operator's reasons first.
    let listener = bind_tcp(config.admin)?;
    let service = Service::new(config, Machine::this())?.watching(path);
    let router = admin::router(service.registry.clone(), service.readiness.clone());
    // It shows how the rest ends, so it has no end of its own: it is aborted when this function returns.
    let phases = Phases::until_stop(&Shutdown::new());
    let mut admin = JoinSet::new();
    admin.spawn(http::serve(listener, router, Options::default(), phases));
    tokio::select! {
        biased;
        served = service.run(shutdown) => served,
        Some(ended) = admin.join_next() => Err(part_ended(ended)),
    }
}

/// An agent without its admin listener, on whatever machine.
#[derive(Debug)]
pub struct Service {
    config: Config,
    path: Option<PathBuf>,
    machine: Machine,
    metrics: Arc<Metrics>,
    registry: prometheus::Registry,
    readiness: Readiness,
    dialer: Dialer,
}

impl Service {
    /// Prepares everything that needs no network.
    ///
    /// # Errors
    /// [`RunError`].
    pub fn new(config: Config, machine: Machine) -> Result<Self, RunError> {
        let (metrics, registry) = Metrics::new(config.not_after)?;
        let dialer = Dialer::new(machine.network.clone(), &config)?;
        Ok(Self {
            config,
            path: None,
            machine,
            metrics: Arc::new(metrics),
            registry,
            readiness: Readiness::new(),
            dialer,
        })
    }

    /// As it is, and when its configuration at `path`, or what that names, changes, as that then says.
    pub fn watching(mut self, path: PathBuf) -> Self {
        self.path = Some(path);
        self
    }

    /// Serves until the drain is over or the stop comes.
    ///
    /// # Errors
    /// [`RunError`] when no opening key can be made, or a part of the agent fails.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), RunError> {
        let Self {
            config,
            path,
            machine,
            metrics,
            readiness,
            dialer,
            ..
        } = self;
        let keys = OpeningKeys::generate(&machine).await?;
        // Everything in here is aborted when this function returns.
        let mut tasks = JoinSet::new();
        let directory = Directory::start(
            machine.clone(),
            &config.directory,
            metrics.clone(),
            readiness.clone(),
            &mut tasks,
        );
        let board = Board::new(metrics.clone(), readiness.clone());
        if config.certificate.key_is_readable_by_all {
            tracing::warn!("every user of this machine can read agent.key; take the right from others");
        }
        tracing::info!(
            identity = %config.identity, certificate_not_after = date(config.not_after), relays = config.relays.addresses.len(),
            domain_controllers = config.directory.servers.len(), "serving",
        );
        let agent = Arc::new(Agent::new(
            &machine,
            config.identity.clone(),
            config.directory.look_up.names,
            keys,
            directory.clone(),
            metrics,
        ));
        let renewing = agent.clone();
        tasks.spawn(async move { renewing.keys.renew(config.renew_opening_key).await });
        let context = Arc::new(Context {
            agent,
            dialer,
            board,
            instance: machine.chance.draw(),
            chance: machine.chance,
            shutdown: shutdown.clone(),
        });
        let (relays_sender, relays) = watch::channel(config.relays);
        let live = reload::Live {
            context: context.clone(),
            relays: relays_sender,
            identity: config.identity,
            trust_domain: config.trust_domain,
            certificate: config.certificate,
            files: config.files,
        };
        tasks.spawn(async move {
            match path {
                Some(path) => reload::keep_up(path, live).await,
                // Kept, or the links would hear that nothing changes any more.
                None => {
                    std::future::pending::<()>().await;
                    drop(live);
                }
            }
        });
        let draining = shutdown.drain.clone();
        tasks.spawn(async move {
            draining.cancelled().await;
            readiness.block("draining", "the agent is ending");
            std::future::pending().await
        });

        let outcome = tokio::select! {
            biased;
            () = shutdown.stop.cancelled() => Ok(()),
            Some(ended) = tasks.join_next() => Err(part_ended(ended)),
            () = link::keep(context.clone(), relays) => {
                tracing::info!("drained");
                Ok(())
            }
        };
        context.dialer.close().await;
        directory.close().await;
        outcome
    }
}

/// A time in seconds since 1970, for people.
fn date(unix: i64) -> String {
    let time = time::OffsetDateTime::from_unix_timestamp(unix).ok();
    let told = time.and_then(|time| time.format(&time::format_description::well_known::Rfc3339).ok());
    told.unwrap_or_else(|| unix.to_string())
}

fn part_ended(ended: Result<(), JoinError>) -> RunError {
    RunError::Part(match ended {
        Ok(()) => "without a word".to_owned(),
        Err(error) => error.to_string(),
    })
}
