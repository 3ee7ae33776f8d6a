//! Looking names up: from the value of an attribute to the one account that has it.
//!
//! It is asked as the service account, on connections of its own: one that binds users never searches, one that
//! searches never binds a user. They are opened when the first name is to be looked up, and kept from then on. A search
//! may be made again elsewhere, since it changes and counts nothing.

use std::sync::Arc;
use std::time::Duration;

use postern_protocol::Subject;
use tokio::sync::watch;
use tokio::time::Instant;

use super::known::DcId;
use crate::clock;
use crate::config::LookUpConfig;
use crate::core::service_account::ServiceAccount;
use crate::metrics::{Metrics, look_up};
use askers::{Asker, Askers};
use entries::{SIGHT_ADVICE, explain, judge, sees_nobody};
use password::Passwords;
use sight::{Sight, Whom, Witnesses};

pub(crate) use entries::Match;

mod askers;
pub(super) mod entries;
pub(super) mod keeper;
mod password;
pub(super) mod sight;

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
    pub(super) fn new(config: LookUpConfig, metrics: Arc<Metrics>) -> Self {
        Self {
            passwords: Passwords::new(config.account.clone()),
            config,
            account: tokio::sync::Mutex::default(),
            askers: Askers::default(),
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
            let Some(mut asker) = self.askers.take(attribute, &avoid, &free, deadline).await else {
                return Err(failure);
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left < LEAST_PATIENCE {
                self.askers.put(asker);
                return Err(failure);
            }
            let known = asker.dc.clone();
            // The first one leaves time for another, where there is one.
            let patience = if self.askers.has_other(&avoid, known.id) {
                left / 2
            } else {
                left
            };
            let (dc, trouble) = (known.name(), self.look(&mut asker, attribute, value, patience).await);
            let trouble = match trouble {
                Ok(looked_up) => {
                    self.askers.put(asker);
                    return Ok(looked_up);
                }
                Err(Trouble::Blind(trouble)) => {
                    self.askers.put(asker);
                    tracing::debug!(%dc, %trouble, "a name cannot be looked up here");
                    trouble
                }
                Err(Trouble::Lost(trouble)) => {
                    tracing::warn!(%dc, %trouble, "a name cannot be looked up here");
                    // A connection that was refused may have lost its identity; one without an answer is of no use.
                    known.doubt.notify_one();
                    trouble
                }
            };
            avoid.push(known.id);
            failure = NoLookUp::Failed {
                dc: dc.to_owned(),
                trouble,
            };
        }
    }

    /// Searches on one connection.
    async fn look(
        &self,
        asker: &mut Asker,
        attribute: &str,
        value: &str,
        patience: Duration,
    ) -> Result<LookedUp, Trouble> {
        let deadline = Instant::now() + patience;
        let search = entries::search(&asker.base, asker.active_directory, attribute, value);
        let found = asker.connection.search(&search, patience).await;
        let found = found.map_err(|error| Trouble::Lost(explain(&error)))?;
        if let Some(dn) = entries::somebody_else(&found, self.passwords.account()) {
            self.witnesses.add(attribute, dn);
            self.tell_sight(asker, attribute, None);
        }
        let dc = asker.dc.id;
        match judge(found) {
            Match::One { dn, subject } => Ok(LookedUp::One(Account { dn, subject, dc })),
            Match::Several => Ok(LookedUp::Several),
            Match::None => {
                let left = deadline.saturating_duration_since(Instant::now());
                self.confirm(asker, attribute, left).await?;
                Ok(LookedUp::None)
            }
            Match::Unusable => {
                let trouble = "an entry's DN is not one that a password can be sent with";
                Err(Trouble::Lost(trouble.to_owned()))
            }
        }
    }

    /// Whether that nobody was found says something: only if somebody would be.
    async fn confirm(&self, asker: &mut Asker, attribute: &str, patience: Duration) -> Result<(), Trouble> {
        if self.askers.is_blind(asker.dc.id, attribute, clock::now()) {
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
        let news = self.askers.saw(asker.dc.id, attribute, trouble.is_none(), clock::now());
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

    /// A domain controller is down.
    pub(super) fn forget(&self, dc: DcId) {
        self.askers.forget(dc);
    }

    /// A domain controller is gone.
    pub(super) fn remove(&self, dc: DcId) {
        self.askers.remove(dc);
    }
}
