//! One domain controller: is it up, and has it its share of connections?
//!
//! Health is a RootDSE read on a connection of its own, never on one that binds. Connections are opened one after
//! another: Samba's listen backlog is 10, and a burst of connects would wait for repeated SYNs. So they are replaced,
//! too: the new one is open before an old one is closed. A domain controller that is behind others in preference is
//! left alone until it is needed.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use postern_protocol::Moment;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::Connection;
use super::dial::ConnectError;
use super::known::{DcId, Facts, Known};
use super::look_up::LookUps;
use super::pool::{Health, Kept, Pool};
use super::root_dse::RootDse;
use super::trouble::Troubles;
use crate::config::Server;
use crate::core::backoff::Backoff;
use crate::core::kind::{Kind, Kinds};
use crate::core::lease::Lease;
use crate::machine::Machine;
use crate::metrics::Metrics;

/// Between two RootDSE reads. A domain controller that dies is noticed by its closed connections; this is for one
/// that hangs, and binds that time out ask for a read at once.
const HEALTH_INTERVAL: Duration = Duration::from_secs(5);

/// A RootDSE is read from memory; longer than this and binds would not be answered in time either.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);

/// The share is looked at again at least this often, for surplus that was in use when it became one, and for
/// connections that have become too old.
const SHARE_INTERVAL: Duration = Duration::from_secs(1);

/// What all domain controllers' tasks work with.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) machine: Machine,
    /// Changes with the authorities.
    pub(super) tls: watch::Receiver<Arc<rustls::ClientConfig>>,
    /// The configured kind of directory.
    pub(super) kind: Option<Kind>,
    pub(super) kinds: Arc<Mutex<Kinds<DcId>>>,
    pub(super) pool: Arc<Pool>,
    /// Ends every connection.
    pub(super) stop: CancellationToken,
    /// The tasks of all connections.
    pub(super) connections: TaskTracker,
    pub(super) metrics: Arc<Metrics>,
    pub(super) troubles: Arc<Mutex<Troubles>>,
    /// How long servers leave an idle connection alone, at least.
    pub(super) idle_limit: Duration,
    pub(super) look_ups: Arc<LookUps>,
}

impl Shared {
    pub(super) fn kinds(&self) -> std::sync::MutexGuard<'_, Kinds<DcId>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn troubles(&self) -> std::sync::MutexGuard<'_, Troubles> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One domain controller's task.
pub(super) struct Dc {
    pub(super) known: Arc<Known>,
    pub(super) server: Server,
    pub(super) shared: Shared,
}

impl Dc {
    /// Runs until dropped, or until `gone`: then nothing is left of the domain controller but binds on their way.
    pub(super) async fn run(self, gone: CancellationToken) {
        tokio::select! {
            biased;
            () = gone.cancelled() => {}
            _ = async { tokio::join!(self.watch_health(), self.keep_share(), self.shared.look_ups.keep(&self)) } => {}
        }
        self.shared.kinds().forget(&self.known.id);
        self.shared.pool.remove(self.known.id);
        self.shared.look_ups.remove(self.known.id);
        self.shared.troubles().forget(&self.known);
    }

    async fn watch_health(&self) {
        let mut backoff = Backoff::default();
        let mut changes = self.shared.pool.changes();
        self.shared.metrics.dc_up.with_label_values(&[self.known.name()]).set(0);
        loop {
            if !self.is_awake() {
                self.rest();
                // The pool outlives its domain controllers, so there is always a next change.
                let _ = changes.wait_for(|_| self.is_awake()).await;
            }
            let began = self.shared.machine.clock.now();
            // Marked before connecting: no exchange of authorities is missed.
            let mut tls = self.shared.tls.clone();
            tls.mark_unchanged();
            let ended = match self.connect(|_| ()).await {
                Ok(connection) => self.read_until_it_ends(connection, tls).await,
                Err(error) => Err(error.to_string()),
            };
            backoff.ended_after(self.shared.machine.clock.now().since(began));
            // After a mere end of the connection the next attempt tells whether the domain controller is down.
            if let Err(trouble) = ended {
                self.down(trouble);
            }
            tokio::time::sleep(backoff.next_delay(self.shared.machine.chance.draw())).await;
        }
    }

    /// `Ok` when the connection ended after at least one good read, or is no longer needed.
    async fn read_until_it_ends(
        &self,
        mut connection: Connection,
        mut tls: watch::Receiver<Arc<rustls::ClientConfig>>,
    ) -> Result<(), String> {
        let mut changes = self.shared.pool.changes();
        loop {
            let root_dse = connection
                .root_dse(HEALTH_TIMEOUT)
                .await
                .map_err(|error| format!("the RootDSE cannot be read: {error}"))?;
            self.examine(root_dse)?;
            self.up();
            tokio::select! {
                biased;
                () = connection.closed() => return Ok(()),
                _ = changes.wait_for(|_| !self.is_awake()) => return Ok(()),
                // Whether other authorities vouch for it as well shows on a new connection.
                Ok(()) = tls.changed() => return Ok(()),
                () = self.known.doubt.notified() => {}
                () = tokio::time::sleep(HEALTH_INTERVAL) => {}
            }
        }
    }

    async fn keep_share(&self) {
        let pool = &self.shared.pool;
        let id = self.known.id;
        let (mut changes, mut capacity) = (pool.changes(), pool.capacity());
        let mut backoff = Backoff::default();
        let (mut ended_early, mut last_trouble) = (0, self.shared.machine.clock.now());
        loop {
            changes.mark_unchanged();
            capacity.mark_unchanged();
            let (open, wanted) = pool.share(id);
            // Replacing is opening one more; what is too much is closed, the old one first.
            if open < wanted || (open == wanted && pool.has_old(id)) {
                let ended_early_now = pool.ended_early(id);
                if std::mem::replace(&mut ended_early, ended_early_now) != ended_early_now {
                    // Not a failure to connect, but no better: a handshake costs both sides more than a refusal.
                    self.pause(&mut backoff, &mut last_trouble).await;
                    continue;
                }
                let began = self.shared.machine.clock.now();
                match self.connect(|bound| pool.count(id, bound)).await {
                    Ok(mut connection) => {
                        if self.known.facts().is_some_and(|facts| facts.has_password_policy()) {
                            connection.ask_password_policy();
                        }
                        let lease = Lease::new(began, self.shared.idle_limit, self.shared.machine.chance.draw());
                        pool.put(id, Kept { connection, lease });
                    }
                    Err(error) => {
                        tracing::debug!(dc = self.known.name(), %error, "cannot open a connection");
                        self.known.doubt.notify_one();
                        self.pause(&mut backoff, &mut last_trouble).await;
                    }
                }
                continue;
            }
            pool.shed(id, open - wanted);
            tokio::select! {
                biased;
                _ = changes.changed() => {}
                _ = capacity.changed() => {}
                () = tokio::time::sleep(SHARE_INTERVAL) => {}
            }
        }
    }

    /// After trouble with a connection; the trouble before was at `last`.
    async fn pause(&self, backoff: &mut Backoff, last: &mut Moment) {
        let now = self.shared.machine.clock.now();
        backoff.ended_after(now.since(std::mem::replace(last, now)));
        tokio::time::sleep(backoff.next_delay(self.shared.machine.chance.draw())).await;
    }

    pub(super) async fn connect<G: Send + 'static>(
        &self,
        opened: impl FnOnce(Arc<AtomicBool>) -> G,
    ) -> Result<Connection, ConnectError> {
        let tls = self.shared.tls.borrow().clone();
        let Shared {
            machine,
            connections,
            stop,
            ..
        } = &self.shared;
        Connection::open(&*machine.network, &self.server, &tls, connections, stop, opened).await
    }

    /// Whether this is a directory that can be used, by what it says of itself.
    fn examine(&self, root_dse: RootDse) -> Result<(), String> {
        if root_dse.refusal.is_some() && self.known.facts().is_some() {
            // It is what it was when it said so.
            return Ok(());
        }
        let kind = root_dse
            .kind_unless(self.shared.kind)
            .map_err(|unknown| unknown.to_string())?;
        if kind != Kind::ActiveDirectory && !self.shared.look_ups.finds_everybody() {
            // What cannot be used has no say in what the others are.
            self.shared.kinds().forget(&self.known.id);
            return Err(format!(
                "it is of the kind {kind}, whose users bind by DN: set directory.look_up.attribute to what their names \
                 are looked up by; if it is Active Directory and does not show it, set directory.kind"
            ));
        }
        if !self.shared.kinds().told(self.known.id, kind) {
            return Err(format!(
                "it is of the kind {kind}, and most others of this agent are of another; an agent serves one directory"
            ));
        }
        if self.known.learn(Facts { kind, root_dse }) {
            tracing::debug!(dc = self.known.name(), %kind, "what the domain controller says of itself");
        }
        Ok(())
    }

    pub(super) fn is_awake(&self) -> bool {
        self.shared.pool.is_awake(self.known.id)
    }

    fn up(&self) {
        let name = self.known.name();
        self.shared.metrics.dc_up.with_label_values(&[name]).set(1);
        if self.shared.pool.set_health(self.known.id, Health::Up) {
            tracing::info!(dc = name, address = %self.server.address(), "domain controller is up");
        }
        self.shared.troubles().clear(&self.known);
    }

    fn down(&self, trouble: String) {
        let name = self.known.name();
        self.shared.metrics.dc_up.with_label_values(&[name]).set(0);
        self.shared.pool.set_health(self.known.id, Health::Down);
        self.shared.look_ups.forget(self.known.id);
        if self.shared.troubles().set(&self.known, &trouble) {
            tracing::warn!(dc = name, %trouble, "domain controller cannot be used");
        }
    }

    /// Others come before it.
    fn rest(&self) {
        let _ = self.shared.metrics.dc_up.remove_label_values(&[self.known.name()]);
        self.shared.pool.set_health(self.known.id, Health::Untried);
        self.shared.look_ups.forget(self.known.id);
        self.shared.troubles().untried(&self.known);
    }
}
