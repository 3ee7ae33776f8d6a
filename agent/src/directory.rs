//! The directory client: binds over LDAPS on kept connections to several domain controllers.
//!
//! A password is sent to a directory in here and nowhere else. Connecting to another domain controller instead is
//! safe before a bind is sent and forbidden afterwards: what was sent and not answered is reported as unknown. A
//! connection used for binds is used for nothing else; the next bind on it replaces the identity of the last.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use postern_protocol::{Password, UserName};
use postern_service::admin::Readiness;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::DirectoryConfig;
use crate::metrics::Metrics;
use connection::{Connection, Sent};
use dc::Dc;
use pool::Pool;
use trouble::Troubles;

pub(crate) use pool::{Capacity, NoConnection};
pub(crate) use verdict::Reading;

mod connection;
mod dc;
mod pool;
mod trouble;
mod verdict;

/// The directory, for those who bind.
#[derive(Debug)]
pub(crate) struct Directory {
    pool: Arc<Pool>,
    names: Vec<String>,
    doubts: Vec<Arc<Notify>>,
    bind_timeout: Duration,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
}

/// A connection in hand: open, idle, and nobody else's.
#[derive(Debug)]
pub(crate) struct Ready {
    dc: usize,
    connection: Connection,
}

/// A bind and what became of it.
#[derive(Debug)]
pub(crate) struct Bind {
    /// The result.
    pub(crate) result: BindResult,
    /// Which domain controller, by position.
    pub(crate) dc: usize,
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
    Unknown(&'static str),
}

impl Directory {
    /// Starts a task for each domain controller in `tasks`.
    pub(crate) fn start(
        config: &DirectoryConfig,
        metrics: Arc<Metrics>,
        readiness: Readiness,
        tasks: &mut JoinSet<()>,
    ) -> Arc<Self> {
        let names: Vec<String> = config.servers.iter().map(|server| server.name.clone()).collect();
        let pool = Arc::new(Pool::new(names.len(), config.connections));
        let troubles = Arc::new(Mutex::new(Troubles::new(names.iter().map(String::as_str), readiness)));
        let doubts: Vec<_> = names.iter().map(|_| Arc::new(Notify::new())).collect();
        let stop = CancellationToken::new();
        for (index, (server, doubt)) in config.servers.iter().zip(&doubts).enumerate() {
            metrics.dc_up.with_label_values(&[&server.name]).set(0);
            let dc = Dc {
                index,
                server: server.clone(),
                tls: config.tls.clone(),
                pool: pool.clone(),
                tasks: TaskTracker::new(),
                stop: stop.clone(),
                metrics: metrics.clone(),
                troubles: troubles.clone(),
                doubt: doubt.clone(),
            };
            tasks.spawn(dc.run());
        }
        Arc::new(Self {
            pool,
            names,
            doubts,
            bind_timeout: config.bind_timeout,
            metrics,
            stop,
        })
    }

    /// What can be had, as it changes.
    pub(crate) fn capacity(&self) -> watch::Receiver<Capacity> {
        self.pool.capacity()
    }

    /// The configured name of a domain controller.
    pub(crate) fn name(&self, dc: usize) -> &str {
        self.names.get(dc).map_or("", String::as_str)
    }

    /// A connection to bind on, to none of the domain controllers in `avoid`.
    pub(crate) async fn ready(&self, avoid: &[usize]) -> Result<Ready, NoConnection> {
        let (dc, connection) = self.pool.take(avoid).await?;
        Ok(Ready { dc, connection })
    }

    /// No bind will be made on it.
    pub(crate) fn give_back(&self, ready: Ready) {
        self.pool.put(ready.dc, ready.connection);
    }

    /// Closes every connection; for the end of the process.
    pub(crate) fn close(&self) {
        self.stop.cancel();
    }

    /// Makes one bind. Dropped in the middle, it closes the connection.
    pub(crate) async fn bind(&self, ready: Ready, user: &UserName, password: &Password) -> Bind {
        let Ready { dc, mut connection } = ready;
        let began = Instant::now();
        let local = connection.local;
        let (sent, message_id) = connection.bind(user, password, self.bind_timeout).await;
        let took = began.elapsed();
        let result = match sent {
            Sent::Answered { result, text } => {
                if self.pool.answered(dc) {
                    tracing::info!(dc = self.name(dc), "the domain controller answers binds again");
                }
                if !verdict::ends_connection(result) {
                    self.pool.put(dc, connection);
                }
                BindResult::Answered {
                    reading: verdict::read(result, &text),
                    result,
                    text,
                }
            }
            Sent::Never => BindResult::NeverSent,
            Sent::Unknown(why) => {
                self.doubts[dc].notify_one();
                if self.pool.unanswered(dc) {
                    tracing::warn!(
                        dc = self.name(dc),
                        "the domain controller leaves binds unanswered; others are preferred until it answers one",
                    );
                }
                BindResult::Unknown(why)
            }
        };
        self.count(dc, &result, took);
        Bind {
            result,
            dc,
            local,
            message_id,
            took,
        }
    }

    fn count(&self, dc: usize, result: &BindResult, took: Duration) {
        let dc = self.name(dc);
        let verdict = match result {
            BindResult::Answered {
                reading: Reading::Verdict { verdict, .. },
                ..
            } => verdict.as_str(),
            BindResult::Answered {
                reading: Reading::Elsewhere,
                ..
            } => "unavailable",
            BindResult::Answered {
                reading: Reading::Fault,
                ..
            } => "error",
            BindResult::Unknown(_) => "indeterminate",
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
