//! The relay without its doors for callers: sealer, core and driver, and the agents in session.
//!
//! Owns the one driver, and with it every sign-in that is not settled, and every session. Knows no HTTP, no file and no
//! process: the agents' endpoint, the deny list and chance are handed in, so that a simulation runs the very same.

use std::sync::Arc;

use postern_protocol::close::CloseCode;
use postern_service::shutdown::Shutdown;
use postern_service::threads::Threads;
use rand::Rng;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::Config;
use crate::core::{Core, RealmIndex, RealmRules};
use crate::deny::DenyList;
use crate::driver::{Driver, SignIns, Surroundings};
use crate::keys::KeyDirectory;
use crate::metrics::Metrics;
use crate::sealer::Sealer;
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
    /// A broker whose relay time begins now.
    pub fn new(
        config: &Config,
        metrics: &Metrics,
        deny: watch::Receiver<DenyList>,
        ending: Ending,
        chance: &mut impl Rng,
    ) -> (Self, Access) {
        let clock = Clock::start();
        let sealer = Arc::new(Sealer::new(config.sign_in.epoch));
        let keys = Arc::new(KeyDirectory::default());
        let surroundings = Surroundings {
            clock,
            sealer: sealer.clone(),
            keys: keys.clone(),
            metrics: metrics.clone(),
            realms: config
                .realms
                .iter()
                .map(|(key, realm)| (key.clone(), realm.ambiguous))
                .collect(),
        };
        let core = Core::new(realm_rules(config), chance.random());
        let (driver, sign_ins, events) = Driver::new(core, surroundings);
        let context = Arc::new(LinkContext {
            trust_domain: config.trust_domain.clone(),
            clock,
            instance: chance.random(),
            version: env!("CARGO_PKG_VERSION"),
            replicas: config.replicas.clone(),
            realms: config.realms.keys().cloned().zip((0..).map(RealmIndex)).collect(),
            registry: Registry::default(),
            deny,
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
        };
        (Self { driver, context }, access)
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

fn realm_rules(config: &Config) -> impl Iterator<Item = RealmRules> {
    config.realms.values().map(|realm| RealmRules {
        ambiguous: realm.ambiguous,
        lockout_window: realm.lockout_window,
        queue: config.sign_in.queue,
        agent_return: config.sign_in.deadline,
    })
}
