//! Looking names up: from the value of an attribute to the one account that has it.
//!
//! It is asked as the service account, on connections of its own: one that binds users never searches, one that
//! searches never binds a user. They are opened when the first name is to be looked up, and kept from then on. A search
//! may be made again elsewhere, since it changes and counts nothing.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use postern_protocol::Subject;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};

use super::connection::Connection;
use super::known::{DcId, Known};
use crate::clock;
use crate::config::LookUpConfig;
use crate::core::lease::Lease;
use crate::core::service_account::ServiceAccount;
use crate::metrics::{Metrics, look_up};
use entries::{explain, judge, search};
use password::Passwords;

pub(crate) use entries::Match;

pub(super) mod entries;
pub(super) mod keeper;
mod password;

/// With less time than this nothing is asked: a connection without an answer in time has to be closed, and one that is
/// well would be.
const LEAST_PATIENCE: Duration = Duration::from_millis(30);

/// What a look-up came to.
#[derive(Debug)]
pub(crate) enum LookedUp {
    /// Exactly one account has the value.
    One(Account),
    /// None has.
    None,
    /// More than one has: nobody knows whose password to check.
    Several,
}

/// An account of the directory.
#[derive(Debug)]
pub(crate) struct Account {
    /// Never empty.
    pub(crate) dn: String,
    /// What to know it by, where the entry shows that.
    pub(crate) subject: Option<Subject>,
    /// Where it was found. Another domain controller may not know it yet, or know another one by this DN.
    pub(crate) dc: DcId,
}

/// Why a name was not looked up. Says nothing of the name.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoLookUp {
    /// No connection, or all are in use.
    #[error("no connection for look-ups is ready")]
    NotReady,
    /// No domain controller answered as it should.
    #[error("{dc}: {trouble}")]
    Failed {
        /// The last one.
        dc: String,
        /// What was wrong.
        trouble: String,
    },
}

/// The connections of the service account.
#[derive(Debug)]
pub(super) struct LookUps {
    config: LookUpConfig,
    passwords: Passwords,
    /// Held during a bind of the service account: one at a time, so that a wrong password is tried once.
    account: tokio::sync::Mutex<ServiceAccount>,
    idle: Mutex<VecDeque<Asker>>,
    /// Connections that there are, idle or in use, or may be before long: without any nobody waits for one.
    hopes: Arc<AtomicU32>,
    returned: Notify,
    /// Somebody has asked for a look-up.
    wanted: watch::Sender<bool>,
    metrics: Arc<Metrics>,
}

/// A connection in the name of the service account.
#[derive(Debug)]
struct Asker {
    dc: Arc<Known>,
    connection: Connection,
    lease: Lease,
    /// The number of the password that it was bound with.
    version: u64,
    base: String,
    active_directory: bool,
}

impl LookUps {
    pub(super) fn new(config: LookUpConfig, metrics: Arc<Metrics>) -> Self {
        Self {
            passwords: Passwords::new(config.account.clone()),
            config,
            account: tokio::sync::Mutex::default(),
            idle: Mutex::default(),
            hopes: Arc::default(),
            returned: Notify::new(),
            wanted: watch::channel(false).0,
            metrics,
        }
    }

    /// Whether every name can be looked up, and not alternate ids alone.
    pub(super) fn finds_everybody(&self) -> bool {
        self.config.names.attribute.is_some()
    }

    /// Watches the password's file until dropped.
    pub(super) async fn run(&self) {
        self.passwords.watch().await;
    }

    /// The account whose `attribute` has `value`, if a domain controller that is not among `avoid` can say so within
    /// `patience`; those that are `free` are asked first.
    pub(super) async fn find(
        &self,
        attribute: &str,
        value: &str,
        avoid: &[DcId],
        free: impl Fn(DcId) -> bool,
        patience: Duration,
    ) -> Result<LookedUp, NoLookUp> {
        let found = self.ask(attribute, value, avoid, free, patience).await;
        let result = match &found {
            Ok(LookedUp::One(_)) => look_up::ONE,
            Ok(LookedUp::None) => look_up::NONE,
            Ok(LookedUp::Several) => look_up::SEVERAL,
            Err(NoLookUp::NotReady) => look_up::NOT_READY,
            Err(NoLookUp::Failed { .. }) => look_up::FAILED,
        };
        self.metrics.look_ups.with_label_values(&[result]).inc();
        found
    }

    async fn ask(
        &self,
        attribute: &str,
        value: &str,
        avoid: &[DcId],
        free: impl Fn(DcId) -> bool,
        patience: Duration,
    ) -> Result<LookedUp, NoLookUp> {
        self.wanted.send_if_modified(|wanted| !std::mem::replace(wanted, true));
        let deadline = Instant::now() + patience;
        let mut avoid = avoid.to_vec();
        let mut failure = NoLookUp::NotReady;
        loop {
            let Some(mut asker) = self.take(&avoid, &free, deadline).await else {
                return Err(failure);
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left < LEAST_PATIENCE {
                self.put(asker);
                return Err(failure);
            }
            // The first one leaves time for another, where there is one.
            let patience = if self.has_other(&avoid, asker.dc.id) {
                left / 2
            } else {
                left
            };
            let answer = asker
                .connection
                .search(&search(&asker.base, asker.active_directory, attribute, value), patience)
                .await;
            let trouble = match answer.map(judge) {
                Ok(Match::One { dn, subject }) => {
                    let dc = asker.dc.id;
                    self.put(asker);
                    return Ok(LookedUp::One(Account { dn, subject, dc }));
                }
                Ok(Match::None) => {
                    self.put(asker);
                    return Ok(LookedUp::None);
                }
                Ok(Match::Several) => {
                    self.put(asker);
                    return Ok(LookedUp::Several);
                }
                Ok(Match::Unusable) => "an entry's DN is not one that a password can be sent with".to_owned(),
                Err(error) => explain(&error),
            };
            let dc = asker.dc.name().to_owned();
            tracing::warn!(%dc, %trouble, "a name cannot be looked up here");
            // A connection that was refused may have lost its identity; one without an answer is of no use.
            asker.dc.doubt.notify_one();
            avoid.push(asker.dc.id);
            failure = NoLookUp::Failed { dc, trouble };
        }
    }

    async fn take(&self, avoid: &[DcId], free: impl Fn(DcId) -> bool, deadline: Instant) -> Option<Asker> {
        loop {
            // Made before looking, so that a return in between is not missed.
            let returned = self.returned.notified();
            if let Some(asker) = self.take_now(avoid, &free) {
                return Some(asker);
            }
            // No waiting for a connection that may never come: the relay has a limit of sign-ins that wait, and those
            // that need no look-up are among them.
            let hopeless = !avoid.is_empty() || self.hopes.load(Ordering::Relaxed) == 0;
            if hopeless || timeout_at(deadline, returned).await.is_err() {
                return None;
            }
        }
    }

    fn take_now(&self, avoid: &[DcId], free: impl Fn(DcId) -> bool) -> Option<Asker> {
        let mut idle = self.idle();
        let usable = |asker: &Asker| !avoid.contains(&asker.dc.id) && !asker.connection.is_closed();
        let at = idle
            .iter()
            .position(|asker| usable(asker) && free(asker.dc.id))
            .or_else(|| idle.iter().position(usable))?;
        idle.remove(at)
    }

    /// Whether there is a connection to another domain controller now.
    fn has_other(&self, avoid: &[DcId], dc: DcId) -> bool {
        let idle = self.idle();
        idle.iter()
            .any(|other| other.dc.id != dc && !avoid.contains(&other.dc.id) && !other.connection.is_closed())
    }

    fn put(&self, mut asker: Asker) {
        if !asker.connection.is_closed() {
            asker.lease.used(clock::now());
            self.idle().push_back(asker);
        }
        self.returned.notify_waiters();
    }

    /// Closes what is idle and `fits`. Dropped after the lock is released: the end of a connection's task may come
    /// back here.
    fn retire(&self, fits: impl Fn(&Asker) -> bool) {
        let retired: Vec<Asker> = {
            let mut idle = self.idle();
            let (retired, kept): (Vec<Asker>, Vec<Asker>) = idle.drain(..).partition(fits);
            idle.extend(kept);
            retired
        };
        drop(retired);
    }

    /// A domain controller is down, or gone.
    pub(super) fn forget(&self, dc: DcId) {
        self.retire(|asker| asker.dc.id == dc);
    }

    fn idle(&self) -> MutexGuard<'_, VecDeque<Asker>> {
        // The queue is whole after every statement, so a panic elsewhere cannot have left it half-written.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
