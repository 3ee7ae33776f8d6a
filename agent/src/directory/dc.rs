//! One domain controller: is it up, and has it its share of connections?
//!
//! Health is a RootDSE read on a connection of its own, never on one that binds. Connections are opened one after
//! another: Samba's listen backlog is 10, and a burst of connects would wait for repeated SYNs. So they are replaced,
//! too: the new one is open before an old one is closed. A domain controller that is behind others in preference is
//! left alone until it is needed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use postern_protocol::Moment;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::Connection;
use super::dial::ConnectError;
use super::known::Known;
use super::look_up::LookUps;
use super::pool::{Health, Kept, Pool};
use super::trouble::Troubles;
use crate::clock;
use crate::config::Server;
use crate::core::backoff::Backoff;
use crate::core::lease::Lease;
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
    pub(super) tls: Arc<rustls::ClientConfig>,
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
        self.shared.pool.remove(self.known.id);
        self.shared.look_ups.forget(self.known.id);
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
            let began = clock::now();
            let ended = match self.connect(|| ()).await {
                Ok(connection) => self.read_until_it_ends(connection).await,
                Err(error) => Err(error.to_string()),
            };
            backoff.ended_after(clock::now().since(began));
            // After a mere end of the connection the next attempt tells whether the domain controller is down.
            if let Err(trouble) = ended {
                self.down(trouble);
            }
            tokio::time::sleep(backoff.next_delay(rand::random())).await;
        }
    }

    /// `Ok` when the connection ended after at least one good read, or is no longer needed.
    async fn read_until_it_ends(&self, mut connection: Connection) -> Result<(), String> {
        let mut changes = self.shared.pool.changes();
        loop {
            connection
                .root_dse(HEALTH_TIMEOUT)
                .await
                .map_err(|error| format!("the RootDSE cannot be read: {error}"))?;
            self.up();
            tokio::select! {
                biased;
                () = connection.closed() => return Ok(()),
                _ = changes.wait_for(|_| !self.is_awake()) => return Ok(()),
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
        let (mut ended_early, mut last_trouble) = (0, clock::now());
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
                match self.connect(|| pool.count(id)).await {
                    Ok(connection) => {
                        let lease = Lease::new(clock::now(), self.shared.idle_limit, rand::random());
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
        let now = clock::now();
        backoff.ended_after(now.since(std::mem::replace(last, now)));
        tokio::time::sleep(backoff.next_delay(rand::random())).await;
    }

    pub(super) async fn connect<G: Send + 'static>(
        &self,
        opened: impl FnOnce() -> G,
    ) -> Result<Connection, ConnectError> {
        Connection::open(
            &self.server,
            &self.shared.tls,
            &self.shared.connections,
            &self.shared.stop,
            opened,
        )
        .await
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
