//! The relay without its doors for callers: sealer, core and driver, and the agents in session.
//!
//! Owns the one driver, and with it every sign-in that is not settled, and every session. Knows no HTTP, no file and no
//! process: the agents' endpoint, the configuration and chance are handed in, so that a simulation runs the very same.

use std::collections::BTreeMap;
use std::sync::Arc;

use postern_protocol::RealmKey;
use postern_protocol::close::CloseCode;
use postern_service::shutdown::Shutdown;
use postern_service::threads::Threads;
use rand::Rng;
use rustls::server::VerifierBuilderError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::{Config, RealmConfig};
use crate::core::{Core, RealmIndex, RealmRules};
use crate::deny::DenyList;
use crate::driver::{Driver, Event, SignIns, Surroundings};
use crate::keys::KeyDirectory;
use crate::metrics::Metrics;
use crate::sealer::Sealer;
use crate::session::entry::Entry;
use crate::session::link::LinkContext;
use crate::session::listener::{self, Listener};
use crate::session::registry::Registry;

/// What the doors for callers work with. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Access {
    /// Relay time.
    pub clock: Clock,
    /// Seals passwords.
    pub sealer: Arc<Sealer>,
    /// What callers seal to.
    pub keys: Arc<KeyDirectory>,
    /// Takes what is sealed.
    pub sign_ins: SignIns,
    /// The realms that are served, with their indices in the core.
    pub realms: Arc<BTreeMap<RealmKey, RealmIndex>>,
}

/// How the broker ends.
#[derive(Debug, Clone, Default)]
pub struct Ending {
    /// The process's own end.
    pub shutdown: Shutdown,
    /// All sign-ins are settled: agents are told to go, and nobody new is taken into session.
    pub goodbye: CancellationToken,
}

/// The broker. [`Broker::run`] is its task.
pub struct Broker {
    driver: Driver,
    context: Arc<LinkContext>,
}

impl Broker {
    /// A broker whose relay time begins now. It ends when the third is dropped.
    ///
    /// # Errors
    /// When a tenant has no anchors.
    pub fn new(
        config: &Config,
        metrics: &Metrics,
        ending: Ending,
        chance: &mut impl Rng,
    ) -> Result<(Self, Access, Changes), VerifierBuilderError> {
        let clock = Clock::start();
        let sealer = Arc::new(Sealer::new(config.sign_in.epoch));
        let keys = Arc::new(KeyDirectory::default());
        let with_rules = |(key, realm): (&RealmKey, &RealmConfig)| (key.clone(), rules(config, realm));
        let realms: Vec<_> = config.realms.iter().map(with_rules).collect();
        let surroundings = Surroundings {
            clock,
            sealer: sealer.clone(),
            keys: keys.clone(),
            metrics: metrics.clone(),
            realms: realms
                .iter()
                .map(|(key, rules)| (key.clone(), rules.ambiguous))
                .collect(),
        };
        let indices: Arc<BTreeMap<_, _>> = Arc::new(config.realms.keys().cloned().zip((0..).map(RealmIndex)).collect());
        let (entry_sender, entry) = watch::channel(Arc::new(Entry::new(config, Arc::clone(&indices))?));
        let core = Core::new(realms.iter().map(|(_, rules)| rules.clone()), chance.random());
        let (driver, sign_ins, events) = Driver::new(core, surroundings);
        let changes = Changes {
            realms,
            events: events.clone(),
            entry: entry_sender,
        };
        let context = Arc::new(LinkContext {
            trust_domain: config.trust_domain.clone(),
            clock,
            instance: chance.random(),
            version: env!("CARGO_PKG_VERSION"),
            registry: Registry::default(),
            entry,
            events,
            metrics: metrics.clone(),
            shutdown: ending.shutdown,
            goodbye: ending.goodbye,
        });
        let access = Access {
            clock,
            sealer,
            keys,
            sign_ins,
            realms: indices,
        };
        Ok((Self { driver, context }, access, changes))
    }

    /// Takes agents into session, each on one of `threads`, and brings them sign-ins. Returns when it was told to end and
    /// the last packets have left; before that only by a defect.
    pub async fn run(self, listener: Listener, threads: Threads) {
        let stop = CancellationToken::new();
        let mut driver = JoinSet::new();
        driver.spawn(self.driver.run(stop.clone()));
        tokio::select! {
            biased;
            _ = driver.join_next() => return,
            () = listener::accept(&listener, self.context, &threads) => {}
        }
        let endpoint = listener.endpoint;
        endpoint.close(CloseCode::Done.to_varint(), b"");
        stop.cancel();
        while driver.join_next().await.is_some() {}
        endpoint.wait_idle().await;
        // Not before: the connections' own tasks are there, and what they still have to send.
        drop(threads);
    }
}

/// Brings a changed configuration to a running broker.
#[derive(Debug)]
pub struct Changes {
    /// All realms that there ever were, by index, with their latest rules.
    realms: Vec<(RealmKey, RealmRules)>,
    events: mpsc::Sender<Event>,
    entry: watch::Sender<Arc<Entry>>,
}

impl Changes {
    /// Puts the realms' rules, the deny list, tenants' anchors and the replicas of `config` in force. Realms that are new
    /// can be used when this returns; sessions that are not allowed any more are closed. Returns the realms' indices.
    ///
    /// # Errors
    /// When a tenant has no anchors; then nothing has changed.
    pub async fn apply(
        &mut self,
        config: &Config,
    ) -> Result<Arc<BTreeMap<RealmKey, RealmIndex>>, VerifierBuilderError> {
        let mut realms = self.realms.clone();
        for (key, realm) in &config.realms {
            let new = rules(config, realm);
            match realms.iter_mut().find(|(known, _)| known == key) {
                Some((_, rules)) => *rules = new,
                None => realms.push((key.clone(), new)),
            }
        }
        let served = |(index, (key, _)): (usize, &(RealmKey, RealmRules))| {
            (config.realms.contains_key(key)).then(|| (key.clone(), RealmIndex(index)))
        };
        let indices = Arc::new(realms.iter().enumerate().filter_map(served).collect());
        let entry = Entry::new(config, Arc::clone(&indices))?.keeping_verifier_of(&self.entry.borrow());
        self.realms.clone_from(&realms);
        let (in_force, done) = oneshot::channel();
        if self.events.send(Event::Rules(realms, in_force)).await.is_ok() {
            // An error means that the relay is ending.
            let _ = done.await;
        }
        self.entry.send_replace(Arc::new(entry));
        Ok(indices)
    }

    /// Resolves when the broker has ended.
    pub async fn closed(&self) {
        self.entry.closed().await;
    }

    /// Puts this deny list in force, and nothing else.
    pub fn deny(&self, deny: DenyList) {
        self.entry.send_modify(|entry| {
            Arc::make_mut(entry).deny = deny;
        });
    }
}

fn rules(config: &Config, realm: &RealmConfig) -> RealmRules {
    RealmRules {
        ambiguous: realm.ambiguous,
        lockout_window: realm.lockout_window,
        queue: config.sign_in.queue,
        agent_return: config.sign_in.deadline,
    }
}
