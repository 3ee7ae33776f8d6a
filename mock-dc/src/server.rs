//! Puts a configured domain on the network and takes it off again.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use postern_service::admin::{self, Readiness};
use postern_service::http::{self, Options, Phases};
use postern_service::net::bind_tcp;
use postern_service::open_files;
use postern_service::shutdown::Shutdown;
use postern_service::threads::Threads;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::addresses::{Addresses, DcAddresses};
use crate::config::{Config, DcConfig, is_dns_name};
use crate::control::{self, Control};
use crate::domain::controllers::DcId;
use crate::faults::board::{Board, Exposure};
use crate::faults::{Faults, Switch};
use crate::ldap::endpoint::Endpoint;
use crate::ldap::{self, Controller, Shared};
use crate::metrics::Metrics;
use crate::tls::{self, Source};
use crate::world::World;

/// Connections at once that nobody should have to think about: a domain controller of a large site has as many.
const EXPECTED_CONNECTIONS: usize = 10_000;

/// A domain whose listeners are open and not served yet.
#[derive(Debug)]
pub struct Server {
    endpoints: Vec<Endpoint>,
    threads: Threads,
    web: Vec<(TcpListener, Router)>,
    faults: Arc<Faults>,
    addresses: Addresses,
    _ca: Option<tls::PublishedCa>,
}

/// Serves the configured domain until the process ends. Once every listener is open, one line of JSON on standard
/// output tells where.
///
/// # Errors
/// When a listener cannot be opened or a certificate cannot be made.
pub async fn run(config: Config, shutdown: Shutdown) -> anyhow::Result<()> {
    if let Err(error) = open_files::raise_limit() {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
    let limit = open_files::limit();
    let connections = ldap::connections(limit);
    if connections < EXPECTED_CONNECTIONS {
        tracing::warn!(
            limit,
            connections,
            "the limit of open files is low: more connections than these wait for one to end; raise the hard limit \
             (ulimit -Hn, LimitNOFILE= of systemd) for {EXPECTED_CONNECTIONS}"
        );
    }
    let server = Server::open(config)?;
    let Addresses {
        control, admin, dcs, ..
    } = server.addresses();
    for dc in dcs {
        let shown = |address: Option<SocketAddr>| address.map(tracing::field::display);
        tracing::info!(dc = dc.name, ldap = shown(dc.ldap), ldaps = shown(dc.ldaps), "serving");
    }
    tracing::info!(%control, %admin, "ready");
    announce(server.addresses());
    server.serve(shutdown).await;
    Ok(())
}

/// For whoever started this process and has its standard output: the ports, where the system chose them, and that there is
/// nothing more to wait for. Whoever connects from now on is served.
fn announce(addresses: &Addresses) {
    // Whoever closed standard output does not want to be told.
    let _ = writeln!(std::io::stdout(), "{}", addresses.to_json());
}

impl Server {
    /// Opens every listener, so that a taken port is told before anything is served.
    ///
    /// # Errors
    /// When a listener cannot be opened or a certificate cannot be made.
    pub fn open(config: Config) -> anyhow::Result<Self> {
        let registry = postern_service::metrics::registry("dc", env!("CARGO_PKG_VERSION"))?;
        let metrics = Metrics::new(&registry, config.dcs.iter().map(|dc| dc.name.as_str()))?;
        let world = Arc::new(World::new(&config.domain, config.start, metrics));
        let (certificates, made_ca) = certificates(config.tls, &config.dcs, &config.domain.dns_name)?;
        let certificates = Arc::new(certificates);
        let board = Arc::new(Board::new(config.dcs.len()));

        let shared = Arc::new(Shared::new(ldap::connections(open_files::limit())));
        let mut endpoints = Vec::new();
        let mut switches = Vec::new();
        let mut dcs = Vec::new();
        for (place, dc) in config.dcs.into_iter().enumerate() {
            let name: Arc<str> = dc.name.as_str().into();
            let id = DcId::at(place);
            let controller = Arc::new(Controller {
                id,
                name: name.clone(),
                world: world.clone(),
                certificates: certificates.clone(),
                exposure: Exposure::new(board.clone(), place),
                shared: shared.clone(),
            });
            let (refuse, told) = watch::channel(false);
            let mut refusing = Vec::new();
            let mut open = |address: Option<SocketAddr>, over_tls| -> anyhow::Result<Option<SocketAddr>> {
                let Some(address) = address else { return Ok(None) };
                let listener = bind_tcp(address)?;
                let (endpoint, is_refusing) = Endpoint::new(controller.clone(), listener, over_tls, told.clone())
                    .with_context(|| format!("cannot tell where {address} listens"))?;
                refusing.push(is_refusing);
                let address = endpoint.address();
                endpoints.push(endpoint);
                Ok(Some(address))
            };
            let (ldap, ldaps) = (open(dc.ldap, false)?, open(dc.ldaps, true)?);
            switches.push(Switch {
                id,
                dc: name,
                refuse,
                refusing,
            });
            dcs.push(DcAddresses {
                name: dc.name,
                ldap,
                ldaps,
            });
        }

        let can_issue = made_ca.is_some();
        let faults = Arc::new(Faults::new(world.clone(), board, switches, config.faults, can_issue));
        let control = control::router(Control {
            world,
            faults: faults.clone(),
        });
        let admin = admin::router(registry, Readiness::new());
        let control_listener = bind_tcp(config.control)?;
        let control_address = control_listener.local_addr()?;
        let (web, admin_address) = match config.admin {
            None => (vec![(control_listener, control.merge(admin))], control_address),
            Some(address) => {
                let listener = bind_tcp(address)?;
                let address = listener.local_addr()?;
                (vec![(control_listener, control), (listener, admin)], address)
            }
        };
        let ca = made_ca.map(tls::MadeCa::publish).transpose()?;
        let addresses = Addresses {
            control: control_address,
            admin: admin_address,
            ca: ca.as_ref().map(|ca| ca.path().to_owned()),
            dcs,
        };
        Ok(Self {
            _ca: ca,
            endpoints,
            threads: Threads::start(config.threads, "postern-mock-dc")?,
            web,
            faults,
            addresses,
        })
    }

    /// Where everything listens.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The control interface, for whoever is in this process; the first of what is served over HTTP.
    pub(crate) fn control(&self) -> Router {
        self.web.first().map(|(_, router)| router.clone()).unwrap_or_default()
    }

    /// Serves until the process drains.
    pub async fn serve(self, shutdown: Shutdown) {
        let mut tasks = JoinSet::new();
        tasks.spawn(self.faults.follow_time(shutdown.drain.clone()));
        for endpoint in self.endpoints {
            tasks.spawn(endpoint.run(shutdown.clone(), self.threads.clone()));
        }
        for (listener, router) in self.web {
            // A follower of /binds would never end by itself.
            let phases = Phases {
                goodbye: shutdown.drain.clone(),
                close: shutdown.drain.clone(),
                abort: shutdown.drain.clone(),
            };
            // Following a quiet record must not be taken for an idle connection.
            let options = Options {
                idle_timeout: Duration::from_secs(24 * 3600),
                ..Options::default()
            };
            tasks.spawn(http::serve(listener, router, options, phases));
        }
        tasks.join_all().await;
    }
}

/// A certificate made here is for the domain, its controllers, and every address that they listen on.
fn certificates(
    source: Source,
    dcs: &[DcConfig],
    dns_name: &str,
) -> Result<(tls::Certificates, Option<tls::MadeCa>), tls::TlsError> {
    let hosts = dcs.iter().map(|dc| format!("{}.{dns_name}", dc.name.to_lowercase()));
    // OpenLDAP's clients put the machine's own name in place of localhost.
    let own = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let own = own.map(|name| name.trim().to_owned()).filter(|name| is_dns_name(name));
    let names = [dns_name.to_owned(), "localhost".to_owned()]
        .into_iter()
        .chain(hosts)
        .chain(own)
        .collect();
    let listening = dcs
        .iter()
        .flat_map(|dc| [dc.ldap, dc.ldaps])
        .flatten()
        .map(|address| address.ip());
    let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    let addresses: BTreeSet<IpAddr> = listening.filter(|ip| !ip.is_unspecified()).chain(loopback).collect();
    tls::certificates(source, names, &addresses.into_iter().collect::<Vec<_>>())
}
