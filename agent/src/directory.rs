//! The directory client: binds on kept connections to several domain controllers.
//!
//! A password is sent to a directory in here and nowhere else. Connecting to another domain controller instead is
//! safe before a bind is sent and forbidden afterwards: what was sent and not answered is reported as unknown. A
//! connection used for binds is used for nothing else; the next bind on it replaces the identity of the last.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use postern_protocol::Password;
use postern_service::admin::Readiness;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::config::DirectoryConfig;
use crate::core::fence::Permit;
use crate::core::kind::{Kind, Kinds};
use crate::machine::Machine;
use crate::metrics::{Metrics, no_verdict};
use connection::Sent;
use dc::Shared;
use discovery::Discovery;
use known::Known;
use look_up::LookUps;
use members::{Members, Wanted};
use pool::{Kept, Pool};
use trouble::Troubles;

pub(crate) use discovery::look;
pub(crate) use incoming::Unanswered;
pub(crate) use known::{DcId, Facts};
pub(crate) use look_up::entries::{SIGHT_ADVICE, sees_nobody};
pub(crate) use look_up::keeper::advice as service_account_advice;
pub(crate) use look_up::sight::Sight;
pub(crate) use look_up::{Account, LookedUp, Match, NoLookUp};
pub(crate) use pool::{Capacity, NoConnection, Wish};
pub(crate) use verdict::{Reading, advice};

mod connection;
mod dc;
mod dial;
mod discovery;
mod dns;
mod incoming;
mod known;
mod look_up;
mod members;
mod pool;
mod root_dse;
pub mod survey;
pub(crate) mod tcp;
mod trouble;
pub(crate) mod trust;
mod verdict;

/// For taking leave of the domain controllers.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The directory, for those who bind.
#[derive(Debug)]
pub(crate) struct Directory {
    clock: Clock,
    pool: Arc<Pool>,
    bind_timeout: Duration,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
    /// The tasks of all connections, and of what is asked on them.
    connections: TaskTracker,
    kinds: Arc<Mutex<Kinds<DcId>>>,
    look_ups: Arc<LookUps>,
}

/// A connection in hand: open, idle, and nobody else's.
#[derive(Debug)]
pub(crate) struct Ready {
    dc: Arc<Known>,
    kept: Kept,
}

/// A bind and what became of it.
#[derive(Debug)]
pub(crate) struct Bind {
    /// The result.
    pub(crate) result: BindResult,
    /// Which domain controller.
    pub(crate) dc: Arc<Known>,
    /// This end's address.
    pub(crate) local: SocketAddr,
    /// LDAP message id.
    pub(crate) message_id: i32,
    /// From handing it to the connection to the answer or the end of patience.
    pub(crate) took: Duration,
}

/// What became of a bind.
#[derive(Debug)]
pub(crate) enum BindResult {
    /// The domain controller answered.
    Answered {
        /// What that means.
        reading: Reading,
        /// The result code.
        result: u32,
        /// The diagnostic text.
        text: String,
    },
    /// Not a byte was sent.
    NeverSent,
    /// The password may have been checked.
    Unknown(Unanswered),
}

impl Directory {
    /// Starts what keeps the domain controllers, in `tasks`.
    pub(crate) fn start(
        machine: Machine,
        config: &DirectoryConfig,
        metrics: Arc<Metrics>,
        readiness: Readiness,
        tasks: &mut JoinSet<()>,
    ) -> Arc<Self> {
        let connections = TaskTracker::new();
        let look_ups = LookUps::new(
            machine.clone(),
            config.look_up.clone(),
            config.bind_timeout,
            metrics.clone(),
            connections.clone(),
        );
        let look_ups = Arc::new(look_ups);
        let (tell, tls) = watch::channel(config.trust.tls.clone());
        let pool = Arc::new(Pool::new(machine.clock.clone(), config.connections));
        let shared = Shared {
            machine,
            tls,
            kind: config.kind,
            kinds: Arc::default(),
            pool,
            stop: CancellationToken::new(),
            connections,
            metrics,
            troubles: Arc::new(Mutex::new(Troubles::new(readiness))),
            idle_limit: config.idle_limit,
            look_ups: look_ups.clone(),
        };
        let directory = Self {
            clock: shared.machine.clock.clone(),
            pool: shared.pool.clone(),
            bind_timeout: config.bind_timeout,
            metrics: shared.metrics.clone(),
            stop: shared.stop.clone(),
            connections: shared.connections.clone(),
            kinds: shared.kinds.clone(),
            look_ups: look_ups.clone(),
        };
        let (pool, renewed, workshop) = (shared.pool.clone(), look_ups.clone(), shared.machine.workshop);
        tasks.spawn(config.trust.clone().watch(workshop, move |tls| {
            // First, so that no connection of the authorities before is taken for one of those now.
            tell.send_replace(tls);
            pool.renew();
            renewed.renew();
        }));
        let (found, wanted) = watch::channel(config.servers.iter().map(Wanted::listed).collect());
        if let Some(discover) = &config.discover {
            let discovery = Discovery::new(discover.clone(), config.servers.clone(), shared.clone());
            tasks.spawn(discovery.run(found));
        }
        tasks.spawn(Members::new(shared).run(wanted));
        tasks.spawn(async move { look_ups.run().await });
        Arc::new(directory)
    }

    /// What can be had, as it changes.
    pub(crate) fn capacity(&self) -> watch::Receiver<Capacity> {
        self.pool.capacity()
    }

    /// The account whose `attribute` has `value`, if a domain controller that will do can say so within `patience`.
    pub(crate) async fn look_up(
        &self,
        attribute: &str,
        value: &str,
        wish: Wish<'_>,
        patience: Duration,
    ) -> Result<LookedUp, NoLookUp> {
        // The bind goes where the account was found, so it is best found where a bind can begin.
        let free = |dc| self.pool.is_free(dc, wish.rather_not);
        self.look_ups.find(attribute, value, wish.avoid, free, patience).await
    }

    /// Whether it takes user names for binds, as Active Directory does. Others take DNs only.
    pub(crate) fn binds_names(&self) -> bool {
        let kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        // While nobody has said what it is, there is nobody to bind at either.
        kinds.prevailing().is_none_or(|kind| kind == Kind::ActiveDirectory)
    }

    /// A connection to bind on, to a domain controller that will do.
    ///
    /// # Errors
    /// [`NoConnection`].
    pub(crate) async fn ready(&self, wish: Wish<'_>) -> Result<Ready, NoConnection> {
        let (dc, kept) = self.pool.take(wish).await?;
        Ok(Ready { dc, kept })
    }

    /// No bind will be made on it.
    pub(crate) fn give_back(&self, ready: Ready) {
        self.pool.put(ready.dc.id, ready.kept);
    }

    /// Closes every connection, and says so to the domain controllers; for the end of the process.
    pub(crate) async fn close(&self) {
        self.stop.cancel();
        self.connections.close();
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.connections.wait()).await;
    }

    /// Makes the one bind that the fence has given leave for. Dropped in the middle, it closes the connection.
    /// `name` is a user name that passed [`UserName::parse`](postern_protocol::UserName::parse), or the DN of an account.
    pub(crate) async fn bind(&self, ready: Ready, name: &str, password: &Password, _permit: Permit) -> Bind {
        let Ready { dc, mut kept } = ready;
        let began = Instant::now();
        let local = kept.connection.local;
        let kind = dc.facts().map(|facts| facts.kind);
        let (sent, message_id) = kept.connection.bind(name, password, self.bind_timeout).await;
        let took = began.elapsed();
        let result = match sent {
            Sent::Answered {
                result,
                password_policy,
            } => {
                self.judge(&dc, true, took);
                if !verdict::ends_connection(result.code) {
                    kept.lease.used(self.clock.now());
                    self.pool.put(dc.id, kept);
                }
                BindResult::Answered {
                    reading: verdict::read_of(kind, result.code, &result.text, password_policy),
                    result: result.code,
                    text: result.text,
                }
            }
            Sent::Never => BindResult::NeverSent,
            Sent::Unknown(why) => {
                dc.doubt.notify_one();
                self.judge(&dc, false, took);
                BindResult::Unknown(why)
            }
        };
        self.count(dc.name(), &result, took);
        Bind {
            result,
            dc,
            local,
            message_id,
            took,
        }
    }

    /// What this bind says of its domain controller; a change of opinion is told.
    fn judge(&self, dc: &Known, answered: bool, took: Duration) {
        let opinion = self.pool.judge(dc.id, answered, took);
        let dc = dc.name();
        match opinion.suspect {
            Some(true) => tracing::warn!(
                dc,
                "the domain controller leaves binds unanswered; others are preferred until it answers one",
            ),
            Some(false) => tracing::info!(dc, "the domain controller answers binds again"),
            None => {}
        }
        match opinion.slow {
            Some(true) => tracing::warn!(
                dc,
                "the domain controller's binds take much longer than the others'; it gets fewer until they do not",
            ),
            Some(false) => tracing::info!(
                dc,
                "the domain controller's binds take no longer than the others' again"
            ),
            None => {}
        }
    }

    fn count(&self, dc: &str, result: &BindResult, took: Duration) {
        let verdict = match result {
            BindResult::Answered {
                reading: Reading::Verdict { verdict, .. },
                ..
            } => verdict.as_str(),
            BindResult::Answered {
                reading: Reading::Elsewhere,
                ..
            } => no_verdict::UNAVAILABLE,
            BindResult::Answered {
                reading: Reading::Fault | Reading::AccountFault,
                ..
            } => no_verdict::ERROR,
            BindResult::Unknown(_) => no_verdict::INDETERMINATE,
            // Nothing reached the directory.
            BindResult::NeverSent => return,
        };
        self.metrics.binds.with_label_values(&[dc, verdict]).inc();
        self.metrics
            .bind_duration
            .with_label_values(&[dc])
            .observe(took.as_secs_f64());
    }
}
