//! A changed configuration, brought to a relay that serves. Sessions and connections that are still allowed go on; what is
//! read at start only is named.

use std::sync::Arc;

use postern_service::http::{Site, SiteTls};
use postern_service::tls;
use tokio::sync::watch;

use crate::api::{self, ApiState, Memory};
use crate::broker::{Access, Changes};
use crate::config::{Api, Config, Quic, SignInConfig, Tenant};
use crate::deny::DenyList;
use crate::metrics::Metrics;
use crate::page::Page;
use crate::session::listener::ShownToAgents;

/// The parts of a relay that follow its configuration.
#[derive(Debug)]
pub struct Live {
    /// As it is in force.
    config: Config,
    access: Access,
    memory: Arc<Memory>,
    metrics: Metrics,
    changes: Changes,
    agents: ShownToAgents,
    site: watch::Sender<Site>,
}

/// What came of a changed configuration.
#[derive(Debug, PartialEq, Eq)]
pub struct Applied {
    /// The keys that have changed and are in force.
    pub in_force: Vec<&'static str>,
    /// Those that have changed and take a restart.
    pub with_restart: Vec<&'static str>,
}

impl Live {
    /// The parts of a relay that begins with `config`, and what its API serves.
    ///
    /// # Errors
    /// When a certificate does not fit what TLS needs.
    pub fn new(
        config: Config,
        access: Access,
        changes: Changes,
        agents: ShownToAgents,
        metrics: Metrics,
    ) -> anyhow::Result<(Self, watch::Receiver<Site>)> {
        let memory = Arc::<Memory>::default();
        note_certificates(&config, &metrics);
        let site = Site {
            app: app(&config, &access, &memory, &metrics),
            tls: api_tls(&config.api)?,
        };
        let (site, receiver) = watch::channel(site);
        let live = Self {
            config,
            access,
            memory,
            metrics,
            changes,
            agents,
            site,
        };
        Ok((live, receiver))
    }

    /// As it is in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Resolves when the last session is over. Callers are gone before that, and agents would take the end of this for that
    /// of the relay.
    pub async fn ended(&self) {
        self.changes.closed().await;
    }

    /// Puts a configuration in force, as far as a running relay can.
    ///
    /// # Errors
    /// When a certificate does not fit what TLS needs; then nothing has changed.
    pub async fn apply(&mut self, new: Config) -> anyhow::Result<Applied> {
        let (config, applied) = merge(&self.config, new);
        let agents = self.agents.prepare(&config)?;
        let tls = if same_api_tls(&self.config.api, &config.api) {
            self.site.borrow().tls.clone()
        } else {
            api_tls(&config.api)?
        };
        self.access.realms = self.changes.apply(&config).await?;
        if !same_identity(&self.config.quic.identity, &config.quic.identity)
            || !same_tenants(&self.config, &config, |tenant, other| {
                tenant.anchors.roots == other.anchors.roots
            })
        {
            self.agents.show(agents);
        }
        note_certificates(&config, &self.metrics);
        let app = app(&config, &self.access, &self.memory, &self.metrics);
        self.site.send_replace(Site { app, tls });
        self.config = config;
        Ok(applied)
    }

    /// Puts a deny list in force, and nothing else. Returns whether it is another than before.
    pub fn deny(&mut self, deny: DenyList) -> bool {
        let changed = self.config.deny != deny;
        if changed {
            self.config.deny = deny.clone();
            self.changes.deny(deny);
        }
        changed
    }
}

fn app(config: &Config, access: &Access, memory: &Arc<Memory>, metrics: &Metrics) -> axum::Router {
    let state = Arc::new(ApiState::new(config, access.clone(), memory.clone(), metrics.clone()));
    let page = config.page.map(|settings| Page::new(config, settings, state.clone()));
    api::router(state, page)
}

/// `new` where a running relay can follow it, and `old` where it cannot.
fn merge(old: &Config, new: Config) -> (Config, Applied) {
    let mut with_restart = Vec::new();
    let mut fixed = |key, changed: bool| {
        if changed {
            with_restart.push(key);
        }
        changed
    };
    // The certificate for agents has the name in it.
    let named =
        fixed("relay.name", old.name != new.name) | fixed("relay.trust_domain", old.trust_domain != new.trust_domain);
    fixed("relay.state", old.state != new.state);
    fixed("relay.drain_wait_ms", old.drain_wait != new.drain_wait);
    fixed("relay.threads", old.threads != new.threads);
    fixed("api.listen", old.api.listen != new.api.listen);
    fixed(
        "api.max_connections",
        old.api.max_connections != new.api.max_connections,
    );
    fixed(
        "api.trusted_proxies",
        old.api.trusted_proxies != new.api.trusted_proxies,
    );
    let tls = fixed("api.tls", old.api.tls.is_some() != new.api.tls.is_some());
    fixed("quic.listen", old.quic.listen != new.quic.listen);
    fixed("quic.tcp", old.quic.tcp != new.quic.tcp);
    fixed("admin.listen", old.admin_listen != new.admin_listen);
    fixed("sign_in.epoch_ms", old.sign_in.epoch != new.sign_in.epoch);
    fixed("log", old.log != new.log);
    let api = if tls { old.api.clone() } else { new.api };
    let config = Config {
        name: old.name.clone(),
        trust_domain: old.trust_domain.clone(),
        state: old.state.clone(),
        drain_wait: old.drain_wait,
        threads: old.threads,
        api: Api {
            listen: old.api.listen,
            max_connections: old.api.max_connections,
            trusted_proxies: old.api.trusted_proxies.clone(),
            ..api
        },
        quic: Quic {
            listen: old.quic.listen,
            tcp: old.quic.tcp,
            identity: if named {
                old.quic.identity.clone()
            } else {
                new.quic.identity
            },
        },
        admin_listen: old.admin_listen,
        sign_in: SignInConfig {
            epoch: old.sign_in.epoch,
            ..new.sign_in
        },
        log: old.log.clone(),
        ..new
    };
    let in_force = in_force(old, &config);
    (config, Applied { in_force, with_restart })
}

fn in_force(old: &Config, new: &Config) -> Vec<&'static str> {
    let anchors = |tenant: &Tenant, other: &Tenant| tenant.anchors.roots == other.anchors.roots;
    let shown =
        |tenant: &Tenant, other: &Tenant| tenant.display_name == other.display_name && tenant.logo == other.logo;
    let same = [
        ("relay.replicas", old.replicas == new.replicas),
        (
            "quic.certificate",
            same_identity(&old.quic.identity, &new.quic.identity),
        ),
        ("api.tls", same_api_tls(&old.api, &new.api)),
        ("api.disclose", old.api.disclose == new.api.disclose),
        ("page", old.page == new.page),
        ("tenants.anchors", same_tenants(old, new, anchors)),
        ("tenants.display_name, logo", same_tenants(old, new, shown)),
        ("realms", old.realms == new.realms),
        ("callers", old.callers == new.callers),
        ("limits", old.limits == new.limits),
        ("sign_in", old.sign_in == new.sign_in),
        ("deny", old.deny == new.deny),
    ];
    same.into_iter().filter(|(_, same)| !same).map(|(key, _)| key).collect()
}

fn same_tenants(old: &Config, new: &Config, same: impl Fn(&Tenant, &Tenant) -> bool) -> bool {
    let pairs = old.tenants.iter().zip(&new.tenants);
    old.tenants.len() == new.tenants.len()
        && pairs
            .into_iter()
            .all(|((name, tenant), (other_name, other))| name == other_name && same(tenant, other))
}

fn same_identity(old: &tls::Identity, new: &tls::Identity) -> bool {
    old.chain == new.chain && old.key == new.key
}

fn same_api_tls(old: &Api, new: &Api) -> bool {
    let identity = match (&old.tls, &new.tls) {
        (Some(old), Some(new)) => same_identity(old, new),
        (old, new) => old.is_none() && new.is_none(),
    };
    let roots = |api: &Api| api.client_anchors.as_ref().map(|anchors| anchors.roots.clone());
    identity && roots(old) == roots(new)
}

fn api_tls(api: &Api) -> anyhow::Result<Option<SiteTls>> {
    let Some(identity) = api.tls.clone() else {
        return Ok(None);
    };
    let provider = tls::provider();
    let builder =
        rustls::ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let clients = match &api.client_anchors {
        None => None,
        Some(anchors) => {
            let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(anchors.clone(), provider);
            // Callers with a token need no certificate.
            Some(verifier.allow_unauthenticated().build()?)
        }
    };
    let builder = match &clients {
        None => builder.with_no_client_auth(),
        Some(verifier) => builder.with_client_cert_verifier(verifier.clone()),
    };
    let mut config = builder.with_single_cert(identity.chain, identity.key)?;
    if clients.is_some() {
        // A resumed session would take the caller's certificate as it was; each connection shows it anew.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    }
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(SiteTls {
        config: Arc::new(config),
        clients,
    }))
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
