//! One domain controller: is it up, and has it its share of connections?
//!
//! Health is a RootDSE read on a connection of its own, never on one that binds. Connections are opened one after
//! another: Samba's listen backlog is 10, and a burst of connects would wait for repeated SYNs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use postern_protocol::Moment;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{ConnectError, Connection};
use super::pool::Pool;
use super::trouble::Troubles;
use crate::clock;
use crate::config::Server;
use crate::core::backoff::Backoff;
use crate::metrics::Metrics;

/// Between two RootDSE reads. A domain controller that dies is noticed by its closed connections; this is for one
/// that hangs, and binds that time out ask for a read at once.
const HEALTH_INTERVAL: Duration = Duration::from_secs(5);

/// A RootDSE is read from memory; longer than this and binds would not be answered in time either.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);

/// The share is looked at again at least this often, for surplus that was in use when it became one.
const SHARE_INTERVAL: Duration = Duration::from_secs(1);

/// What a domain controller's task works with.
pub(super) struct Dc {
    pub(super) index: usize,
    pub(super) server: Server,
    pub(super) tls: Arc<rustls::ClientConfig>,
    pub(super) pool: Arc<Pool>,
    pub(super) tasks: TaskTracker,
    /// Ends every connection.
    pub(super) stop: CancellationToken,
    pub(super) metrics: Arc<Metrics>,
    pub(super) troubles: Arc<Mutex<Troubles>>,
    /// Asks for a health check now.
    pub(super) doubt: Arc<Notify>,
}

impl Dc {
    /// Runs until dropped.
    pub(super) async fn run(self) {
        tokio::join!(self.watch_health(), self.keep_share());
    }

    async fn watch_health(&self) {
        let mut backoff = Backoff::default();
        loop {
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

    /// `Ok` when the connection ended after at least one good read.
    async fn read_until_it_ends(&self, mut connection: Connection) -> Result<(), String> {
        loop {
            connection.read_root_dse(HEALTH_TIMEOUT).await?;
            self.up();
            tokio::select! {
                biased;
                () = connection.closed() => return Ok(()),
                () = self.doubt.notified() => {}
                () = tokio::time::sleep(HEALTH_INTERVAL) => {}
            }
        }
    }

    async fn keep_share(&self) {
        let mut capacity = self.pool.capacity();
        let mut backoff = Backoff::default();
        let (mut ended_early, mut last_trouble) = (0, clock::now());
        loop {
            let (open, wanted) = self.pool.share(self.index);
            if open < wanted {
                let ended_early_now = self.pool.ended_early(self.index);
                if std::mem::replace(&mut ended_early, ended_early_now) != ended_early_now {
                    // Not a failure to connect, but no better: a handshake costs both sides more than a refusal.
                    self.pause(&mut backoff, &mut last_trouble).await;
                    continue;
                }
                match self.connect(|| self.pool.count(self.index)).await {
                    Ok(connection) => self.pool.put(self.index, connection),
                    Err(error) => {
                        tracing::debug!(dc = %self.server.name, %error, "cannot open a connection");
                        self.doubt.notify_one();
                        self.pause(&mut backoff, &mut last_trouble).await;
                    }
                }
                continue;
            }
            self.pool.shed(self.index, open - wanted);
            let _ = tokio::time::timeout(SHARE_INTERVAL, capacity.changed()).await;
        }
    }

    /// After trouble with a connection; the trouble before was at `last`.
    async fn pause(&self, backoff: &mut Backoff, last: &mut Moment) {
        let now = clock::now();
        backoff.ended_after(now.since(std::mem::replace(last, now)));
        tokio::time::sleep(backoff.next_delay(rand::random())).await;
    }

    async fn connect<G: Send + 'static>(&self, opened: impl FnOnce() -> G) -> Result<Connection, ConnectError> {
        Connection::open(&self.server, &self.tls, &self.tasks, &self.stop, opened).await
    }

    fn up(&self) {
        let name = &self.server.name;
        self.metrics.dc_up.with_label_values(&[name]).set(1);
        if self.pool.set_up(self.index, true) {
            tracing::info!(dc = %name, address = %self.server.address(), "domain controller is up");
        }
        self.troubles().clear(name);
    }

    fn down(&self, trouble: String) {
        let name = &self.server.name;
        self.metrics.dc_up.with_label_values(&[name]).set(0);
        self.pool.set_up(self.index, false);
        if self.troubles().set(name, &trouble) {
            tracing::warn!(dc = %name, %trouble, "domain controller cannot be used");
        }
    }

    fn troubles(&self) -> std::sync::MutexGuard<'_, Troubles> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
