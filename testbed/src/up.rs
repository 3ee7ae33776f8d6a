//! `postern up`: brings a cluster up, says so, and ends it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use postern_service::http::{self, Options, Phases};
use postern_service::net::bind_tcp;
use postern_service::prompt::PromptError;

use crate::cluster::description::Description;
use crate::cluster::existing::Existing;
use crate::cluster::files::{Directory, Parts, Site};
use crate::cluster::folder::Folder;
use crate::cluster::ports::{Choice, Reservation};
use crate::cluster::{Counts, Domain, TENANT, loopback};
use crate::control;
use crate::directory;
use crate::links::Links;
use crate::pki::Pki;
use crate::report::{Facts, announce, progress};
use crate::supervisor::ready::wait_ready;
use crate::supervisor::{Ended, Keepers, Kind, Part, Supervisor};
use postern_loadtest::scrape::{AGENTS, Metrics, READY};

/// What each kind of part may take to end by itself. Nothing waits for a load balancer here: an idle part needs a
/// fraction of a second, and one that takes longer is hung.
const GRACE: Duration = Duration::from_secs(5);

/// How often to choose other ports when somebody took one of those that the system gave us.
const ATTEMPTS: u32 = 3;

/// How often and how long to ask a relay whether every agent of its can take sign-ins.
const AGENT_TRIES: u32 = 200;
const AGENT_INTERVAL: Duration = Duration::from_millis(50);

/// What was asked for.
#[derive(Debug)]
pub struct Request {
    /// The cluster's size.
    pub counts: Counts,
    /// Its folder; a fresh one when `None`.
    pub dir: Option<PathBuf>,
    /// Its ports.
    pub ports: Choice,
    /// One JSON line instead of text.
    pub json: bool,
    /// TLS on the sign-in API.
    pub tls_api: bool,
    /// Proxies between agents and relays, whose faults the control sets.
    pub net_faults: bool,
    /// What the simulated directory does differently.
    pub dc_config: Option<PathBuf>,
    /// A directory to stand in front of, in the place of the simulated one.
    pub directory: Option<directory::Request>,
}

/// What is the same however often the cluster is started.
struct Setting<'a> {
    request: &'a Request,
    folder: &'a Folder,
    pki: &'a Pki,
    domain: &'a Domain,
    existing: Option<&'a Existing>,
}

/// Brings the cluster up and runs it until SIGINT or SIGTERM.
///
/// # Errors
/// What is wrong and what to do, when it does not come up. Nothing is left running then.
pub async fn run(request: &Request) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let folder = Folder::take(request.dir.as_deref())?;
    let found = match &request.directory {
        None => None,
        Some(directory) => {
            let found = tokio::select! {
                biased;
                () = signals.next() => None,
                found = directory::find(directory, &folder) => Some(found),
            };
            match found {
                Some(Ok(found)) => Some(found),
                // Ctrl-C where a password is asked for is typed and no signal, and means the same.
                Some(Err(error)) if !matches!(error.downcast_ref(), Some(PromptError::Interrupted)) => {
                    folder.discard();
                    return Err(error);
                }
                _ => {
                    folder.discard();
                    return Ok(());
                }
            }
        }
    };
    let pki = folder.pki()?;
    let (existing, domain) = found.map_or((None, Domain::simulated()), |(existing, domain)| {
        (Some(existing), domain)
    });
    let setting = Setting {
        request,
        folder: &folder,
        pki: &pki,
        domain: &domain,
        existing: existing.as_ref(),
    };
    let mut attempt = 1;
    loop {
        let mut reservation = match Reservation::new(request.counts, request.ports) {
            Ok(reservation) => reservation,
            Err(error) => {
                if attempt == 1 {
                    folder.discard();
                }
                return Err(error);
            }
        };
        let mut cluster = Cluster::default();
        let started = tokio::select! {
            biased;
            () = signals.next() => Ok(None),
            started = cluster.start(&setting, &mut reservation) => started.map(Some),
        };
        let result = match started {
            Ok(Some(control)) => cluster.serve(control, &mut signals).await,
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        cluster.end(&mut signals).await;
        let unlucky = result.is_err() && request.ports == Choice::Auto && reservation.udp_was_lost();
        if unlucky && attempt < ATTEMPTS {
            progress("Somebody took one of the ports; trying others");
            attempt += 1;
            continue;
        }
        if result.is_ok() {
            progress(format_args!(
                "Ended; its files and logs stay in {}",
                folder.path().display()
            ));
        }
        return result;
    }
}

/// The processes, and what listens to them and for them.
struct Cluster {
    supervisor: Supervisor,
    keepers: Keepers,
    endings: (mpsc::UnboundedSender<Ended>, mpsc::UnboundedReceiver<Ended>),
    control: JoinSet<()>,
    proxies: JoinSet<()>,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            supervisor: Supervisor::default(),
            keepers: Keepers::new(),
            endings: mpsc::unbounded_channel(),
            control: JoinSet::new(),
            proxies: JoinSet::new(),
        }
    }
}

impl Cluster {
    async fn start(&mut self, setting: &Setting<'_>, reservation: &mut Reservation) -> anyhow::Result<Control> {
        let began = Instant::now();
        let request = setting.request;
        let listener = bind_tcp(loopback(reservation.ports.control))?;
        let ports = reservation.ports.clone();
        let links = request.net_faults.then(|| {
            let relays: Vec<_> = ports.relays.iter().map(|relay| loopback(relay.quic)).collect();
            Links::open(request.counts.agents, &relays, &mut self.proxies)
        });
        let links = links.transpose()?;
        let site = Site {
            folder: setting.folder,
            pki: setting.pki,
            counts: request.counts,
            ports: &ports,
            tls_api: request.tls_api,
            domain: setting.domain,
            directory: match setting.existing {
                Some(existing) => Directory::Existing(existing),
                None => Directory::Simulated {
                    dc_config: request.dc_config.as_deref(),
                },
            },
            links: links.as_ref(),
        };
        let parts = site.write()?;
        let http = http_client(setting.pki)?;
        progress(format_args!("Starting in {}", setting.folder.path().display()));
        // Agents last: what they connect to is there then, and no socket of theirs takes a port of a relay.
        reservation.release_udp();
        self.launch(parts.dcs.iter().chain(&parts.relays), &http).await?;
        self.launch(&parts.agents, &http).await?;
        relays_have_all_agents(&http, setting.domain, &parts).await?;
        let description = Description::new(&site, &parts, &self.supervisor);
        let facts = Facts {
            counts: request.counts,
            lockout: parts.lockout,
            took: began.elapsed(),
        };
        announce(&description, setting.domain, facts, request.json)?;
        Ok(Control { listener, links, http })
    }

    /// Starts parts, all at once, and waits until each is ready.
    async fn launch(&mut self, parts: impl IntoIterator<Item = &Part>, http: &reqwest::Client) -> anyhow::Result<()> {
        let mut starting = JoinSet::new();
        for part in parts {
            self.supervisor
                .start(part.clone(), &mut self.keepers, &self.endings.0)?;
            let state = self
                .supervisor
                .watch(&part.name)
                .context("a part that was not started")?;
            let (http, part) = (http.clone(), part.clone());
            starting.spawn(async move { wait_ready(&http, &part, state).await.map(|()| part.name) });
        }
        while let Some(ready) = starting.join_next().await {
            progress(format_args!("  {} is ready", ready??));
        }
        Ok(())
    }

    /// Serves the control and tells of processes that end, until a signal.
    async fn serve(&mut self, control: Control, signals: &mut Signals) -> anyhow::Result<()> {
        let app = control::router(self.supervisor.clone(), control.links, control.http);
        self.control.spawn(http::serve(
            control.listener,
            app,
            Options::default(),
            Phases::default(),
        ));
        loop {
            tokio::select! {
                biased;
                () = signals.next() => return Ok(()),
                Some(ended) = self.endings.1.recv() => progress(format_args!(
                    "{} (pid {}) ended: {}; the others go on",
                    ended.name, ended.pid, ended.how
                )),
            }
        }
    }

    /// Ends every process, kind by kind. A second signal ends what is left at once.
    async fn end(mut self, signals: &mut Signals) {
        self.control.abort_all();
        let hard = CancellationToken::new();
        let supervisor = self.supervisor.clone();
        let orderly = async {
            for kind in Kind::ENDING {
                supervisor.end(kind, GRACE, &hard).await;
            }
        };
        tokio::pin!(orderly);
        loop {
            tokio::select! {
                biased;
                () = &mut orderly => break,
                () = signals.next() => hard.cancel(),
            }
        }
        self.keepers.shutdown().await;
        self.proxies.shutdown().await;
    }
}

/// What the cluster's control is served with.
struct Control {
    listener: TcpListener,
    links: Option<Links>,
    http: reqwest::Client,
}

/// For questions to our own processes: never through a proxy that the environment names.
fn http_client(pki: &Pki) -> anyhow::Result<reqwest::Client> {
    let ca = std::fs::read(pki.ca())?;
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([reqwest::Certificate::from_pem(&ca)?])
        .build()?;
    Ok(client)
}

/// Waits until every relay knows that each agent's directory answers: then the next sign-in can go to any of them.
async fn relays_have_all_agents(http: &reqwest::Client, domain: &Domain, parts: &Parts) -> anyhow::Result<()> {
    let agents = parts.agents.len() as u64;
    for relay in &parts.relays {
        let mut ready = 0;
        for _ in 0..AGENT_TRIES {
            ready = ready_agents(http, &relay.admin, &domain.realm).await.unwrap_or(0);
            if ready >= agents {
                break;
            }
            tokio::time::sleep(AGENT_INTERVAL).await;
        }
        if ready < agents {
            bail!(
                "{} has {ready} of {agents} agents that can take sign-ins; see its log {} and those beside it",
                relay.name,
                relay.log.display()
            );
        }
    }
    Ok(())
}

/// As the relay counts them in its metrics.
async fn ready_agents(http: &reqwest::Client, admin: &str, realm: &str) -> reqwest::Result<u64> {
    let metrics = Metrics::ask(http, admin, Duration::from_secs(2)).await?;
    Ok(metrics.count(AGENTS, &[READY, ("realm", realm), ("tenant", TENANT)]))
}

/// SIGINT and SIGTERM, which mean the same.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).context("cannot handle SIGINT")?,
            terminate: signal(SignalKind::terminate()).context("cannot handle SIGTERM")?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
