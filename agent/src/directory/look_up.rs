//! Looking names up: from the value of an attribute to the one account that has it.
//!
//! It is asked as the service account, on connections of its own: one that binds users never searches, one that
//! searches never binds a user. They are opened when the first name is to be looked up, and kept from then on. A search
//! may be made again elsewhere, since it changes and counts nothing.

use std::sync::Arc;
use std::time::Duration;

use postern_protocol::Subject;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use super::connection::ReadError;
use super::known::{DcId, Known};
use crate::config::LookUpConfig;
use crate::core::service_account::ServiceAccount;
use crate::machine::Machine;
use crate::metrics::{Metrics, look_up};
use askers::{Asker, Askers};
use entries::{SIGHT_ADVICE, explain, is_of_limits, judge, sees_nobody};
use password::Passwords;
use sight::{Sight, Whom, Witnesses};

pub(crate) use entries::Match;

mod askers;
pub(super) mod entries;
pub(super) mod keeper;
mod password;
pub(super) mod sight;

/// With less time than this nothing is asked: no answer would come in time to bind.
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
    machine: Machine,
    config: LookUpConfig,
    /// For one search.
    limit: Duration,
    /// The searches that are on their way, with or without somebody who waits.
    tasks: TaskTracker,
    passwords: Passwords,
    /// Held during a bind of the service account: one at a time, so that a wrong password is tried once.
    account: tokio::sync::Mutex<ServiceAccount>,
    askers: Askers,
    witnesses: Witnesses,
    /// Somebody has asked for a look-up.
    wanted: watch::Sender<bool>,
    metrics: Arc<Metrics>,
}

/// Why a connection did not say who has a name.
#[derive(Debug)]
enum Trouble {
    /// It shows nobody at all, which was told when that was found.
    Blind(String),
    /// It is of no further use.
    Lost(String),
}

impl LookUps {
    /// Searches have `limit` to be answered in, and end in `tasks`.
    pub(super) fn new(
        machine: Machine,
        config: LookUpConfig,
        limit: Duration,
        metrics: Arc<Metrics>,
        tasks: TaskTracker,
    ) -> Self {
        Self {
            limit,
            tasks,
            passwords: Passwords::new(config.account.clone()),
            config,
            account: tokio::sync::Mutex::default(),
            askers: Askers::new(machine.clock.clone()),
            machine,
            witnesses: Witnesses::default(),
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
        self.passwords.watch(self.machine.workshop).await;
    }

    /// The account whose `attribute` has `value`, if a domain controller that is not among `avoid` can say so within
    /// `patience`; those that are `free` are asked first.
    pub(super) async fn find(
        self: &Arc<Self>,
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
        self: &Arc<Self>,
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
            let Some(asker) = self.askers.take(attribute, &avoid, &free, deadline).await else {
                return Err(failure);
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left < LEAST_PATIENCE {
                self.askers.put(asker);
                return Err(failure);
            }
            let (id, dc) = (asker.dc.id, asker.dc.name().to_owned());
            // The first one leaves time for another, where there is one.
            let patience = if self.askers.has_other(&avoid, id) {
                left / 2
            } else {
                left
            };
            let trouble = match timeout(patience, self.begin(asker, attribute, value)).await {
                Ok(Ok(Ok(looked_up))) => return Ok(looked_up),
                Ok(Ok(Err(Trouble::Blind(trouble) | Trouble::Lost(trouble)))) => trouble,
                // Its task has ended without a word.
                Ok(Err(_)) => "the search was given up".to_owned(),
                Err(_) => format!("no answer within {patience:?}"),
            };
            avoid.push(id);
            failure = NoLookUp::Failed { dc, trouble };
        }
    }

    /// Searches on one connection, and puts it back if it is of further use. It has its own limit and not that of a
    /// sign-in: each connection has cost a bind of the service account, and would be lost to a search that is merely
    /// slow, or to whoever goes away. There are never more searches than connections.
    fn begin(
        self: &Arc<Self>,
        mut asker: Asker,
        attribute: &str,
        value: &str,
    ) -> oneshot::Receiver<Result<LookedUp, Trouble>> {
        let (tell, told) = oneshot::channel();
        let (look_ups, attribute, value) = (self.clone(), attribute.to_owned(), value.to_owned());
        self.tasks.spawn(async move {
            let looked = look_ups.look(&mut asker, &attribute, &value).await;
            let dc = asker.dc.name();
            match &looked {
                Ok(_) => look_ups.askers.put(asker),
                Err(Trouble::Blind(trouble)) => {
                    tracing::debug!(dc, trouble, "a name cannot be looked up here");
                    look_ups.askers.put(asker);
                }
                Err(Trouble::Lost(trouble)) => {
                    tracing::warn!(dc, trouble, "a name cannot be looked up here");
                    // A connection that was refused may have lost its identity; one without an answer is of no use.
                    asker.dc.doubt.notify_one();
                    drop(asker);
                    // It may have been the last that anybody waited for.
                    look_ups.askers.wake();
                }
            }
            // Whoever asked may have gone away.
            let _ = tell.send(looked);
        });
        told
    }

    async fn look(&self, asker: &mut Asker, attribute: &str, value: &str) -> Result<LookedUp, Trouble> {
        let search = entries::search(&asker.base, asker.active_directory, attribute, value);
        let found = asker.connection.search(&search, self.limit).await;
        self.judge(&asker.dc, !matches!(found, Err(ReadError::Unanswered(_))));
        let found = found.map_err(|error| match is_of_limits(&error) {
            // Nothing of rights or of the connection, which is of further use.
            true => Trouble::Blind(error.to_string()),
            false => Trouble::Lost(explain(&error)),
        })?;
        if let Some(dn) = entries::somebody_else(&found, self.passwords.account()) {
            self.witnesses.replace(attribute, dn);
            self.tell_sight(asker, attribute, None);
        }
        let dc = asker.dc.id;
        match judge(found) {
            Match::One { dn, subject } => Ok(LookedUp::One(Account { dn, subject, dc })),
            Match::Several => Ok(LookedUp::Several),
            Match::None => {
                self.confirm(asker, attribute, self.limit).await?;
                Ok(LookedUp::None)
            }
            Match::Unusable => {
                let trouble = "an entry's DN is not one that a password can be sent with";
                Err(Trouble::Lost(trouble.to_owned()))
            }
        }
    }

    /// What an answer, or none, says of its domain controller; a change of opinion is told.
    fn judge(&self, dc: &Known, answered: bool) {
        match self.askers.judge(dc.id, answered) {
            Some(true) => tracing::warn!(
                dc = dc.name(),
                "the domain controller leaves look-ups unanswered; others are preferred until it answers one",
            ),
            Some(false) => tracing::info!(dc = dc.name(), "the domain controller answers look-ups again"),
            None => {}
        }
    }

    /// Whether that nobody was found says something: only if somebody would be.
    async fn confirm(&self, asker: &mut Asker, attribute: &str, patience: Duration) -> Result<(), Trouble> {
        if self.askers.is_blind(asker.dc.id, attribute, self.machine.clock.now()) {
            return Err(Trouble::Blind(sees_nobody(attribute)));
        }
        let whom = Whom {
            base: &asker.base,
            active_directory: asker.active_directory,
            attribute,
            account: self.passwords.account(),
        };
        let sight = sight::look(&mut asker.connection, whom, self.witnesses.of(attribute), patience).await;
        match sight.map_err(|error| Trouble::Lost(explain(&error)))? {
            Sight::Somebody(dn) => {
                self.witnesses.replace(attribute, dn);
                self.tell_sight(asker, attribute, None);
                Ok(())
            }
            Sight::Nobody => {
                let trouble = sees_nobody(attribute);
                self.tell_sight(asker, attribute, Some(&trouble));
                Err(Trouble::Blind(trouble))
            }
            Sight::Untold(why) => {
                self.tell_sight(asker, attribute, Some(&why));
                Err(Trouble::Blind(why))
            }
        }
    }

    /// Whether a domain controller shows somebody: told when it changes.
    fn tell_sight(&self, asker: &Asker, attribute: &str, trouble: Option<&str>) {
        let dc = asker.dc.name();
        let news = self
            .askers
            .saw(asker.dc.id, attribute, trouble.is_none(), self.machine.clock.now());
        match trouble.filter(|_| news) {
            Some(trouble) => tracing::error!(
                dc,
                trouble,
                base = asker.base,
                account = self.passwords.account().unwrap_or("none"),
                "names that are not found here are no wrong passwords, and their sign-ins fail: {}",
                SIGHT_ADVICE,
            ),
            None if news => tracing::info!(dc, attribute, "accounts are seen again here"),
            None => {}
        }
    }

    /// There are other authorities: every connection is to be replaced.
    pub(super) fn renew(&self) {
        self.askers.renew();
    }

    /// A domain controller is down.
    pub(super) fn forget(&self, dc: DcId) {
        self.askers.forget(dc);
    }

    /// A domain controller is gone.
    pub(super) fn remove(&self, dc: DcId) {
        self.askers.remove(dc);
    }
}
