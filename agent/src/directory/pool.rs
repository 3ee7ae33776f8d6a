//! The connections to all domain controllers: which are idle, how many each should have, who waits for one.
//!
//! One lock, never held across an await. A connection is in the pool while it is idle; who takes it out gives it back,
//! or drops it, which closes it: the right end for one whose bind was not answered, or whose user went away. A domain
//! controller that is down has no idle connections.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};

use super::connection::Connection;
use crate::clock;
use crate::core::slots::connections_of;
use crate::core::suspicion::Suspicion;

/// How long a sign-in may wait for an idle connection. The relay counts slots, so waiting is for the moment between
/// an answer and its connection's return; a queue here would only hide that another agent is free.
const PATIENCE: Duration = Duration::from_millis(5);

/// A connection that ended before it was so old does not show that the domain controller takes connections: some
/// close them right after the handshake, being full, misconfigured, or a load balancer with nothing behind it.
const SETTLED: Duration = Duration::from_secs(5);

/// Why there is no connection to bind on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoConnection {
    /// All are in use.
    Busy,
    /// No domain controller can be reached.
    NoDirectory,
}

/// What the sessions tell their relays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Capacity {
    /// Open connections, idle or not.
    pub(crate) connections: u32,
    /// Whether at least one domain controller answers. Connections to bind on may still be on their way: that is
    /// `busy`, which passes, and not a directory that is down.
    pub(crate) ready: bool,
}

#[derive(Debug, Default)]
struct Dc {
    up: bool,
    open: u32,
    /// Connections that ended before [`SETTLED`], since the start.
    ended_early: u64,
    suspicion: Suspicion,
}

#[derive(Debug, Default)]
struct State {
    /// (domain controller, connection), the longest idle first: so binds spread, and slow ones get fewer.
    idle: VecDeque<(usize, Connection)>,
    dcs: Vec<Dc>,
}

/// The pool. Shared by the domain controllers' tasks, which fill it, and the sign-ins, which use it.
#[derive(Debug)]
pub(super) struct Pool {
    state: Mutex<State>,
    connections: u32,
    returned: Notify,
    capacity: watch::Sender<Capacity>,
}

impl Pool {
    pub(super) fn new(dcs: usize, connections: u32) -> Self {
        let state = State {
            dcs: std::iter::repeat_with(Dc::default).take(dcs).collect(),
            ..State::default()
        };
        Self {
            state: Mutex::new(state),
            connections,
            returned: Notify::new(),
            capacity: watch::channel(Capacity::default()).0,
        }
    }

    pub(super) fn capacity(&self) -> watch::Receiver<Capacity> {
        self.capacity.subscribe()
    }

    /// An idle connection to a domain controller that is not among `avoid`.
    pub(super) async fn take(&self, avoid: &[usize]) -> Result<(usize, Connection), NoConnection> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            // Made before looking, so that a return in between is not missed.
            let returned = self.returned.notified();
            if let Some(taken) = self.take_now(avoid) {
                return Ok(taken);
            }
            if !self.capacity.borrow().ready {
                return Err(NoConnection::NoDirectory);
            }
            if timeout_at(deadline, returned).await.is_err() {
                return Err(NoConnection::Busy);
            }
        }
    }

    fn take_now(&self, avoid: &[usize]) -> Option<(usize, Connection)> {
        let now = clock::now();
        let mut state = self.lock();
        let State { idle, dcs } = &mut *state;
        let others = dcs
            .iter()
            .enumerate()
            .any(|(index, dc)| !avoid.contains(&index) && dc.up && dc.open > 0 && !dc.suspicion.stands());
        let at = idle.iter().position(|(dc, connection)| {
            !avoid.contains(dc) && !connection.is_closed() && (!others || dcs[*dc].suspicion.allows(now))
        })?;
        let taken = idle.remove(at)?;
        if others && dcs[taken.0].suspicion.stands() {
            dcs[taken.0].suspicion.chosen(now);
        }
        Some(taken)
    }

    /// A bind was answered. True when the domain controller was suspected of not answering.
    pub(super) fn answered(&self, dc: usize) -> bool {
        self.lock().dcs[dc].suspicion.answered()
    }

    /// A bind was not answered. True when that makes the domain controller a suspect.
    pub(super) fn unanswered(&self, dc: usize) -> bool {
        self.lock().dcs[dc].suspicion.unanswered(clock::now())
    }

    /// Puts a connection into the pool, new or used.
    pub(super) fn put(&self, dc: usize, connection: Connection) {
        let surplus = {
            let mut state = self.lock();
            let keep = state.dcs[dc].up && !connection.is_closed();
            if keep {
                state.idle.push_back((dc, connection));
                None
            } else {
                Some(connection)
            }
        };
        drop(surplus);
        self.returned.notify_waiters();
    }

    /// Counts a connection that was opened, until the result is dropped.
    pub(super) fn count(self: &Arc<Self>, dc: usize) -> Counted {
        self.lock().dcs[dc].open += 1;
        self.publish();
        Counted {
            pool: self.clone(),
            dc,
            since: Instant::now(),
        }
    }

    /// How many of a domain controller's connections ended soon after they were opened, since the start.
    pub(super) fn ended_early(&self, dc: usize) -> u64 {
        self.lock().dcs[dc].ended_early
    }

    /// A domain controller answers, or does not any more. Gives whether that is a change.
    pub(super) fn set_up(&self, dc: usize, up: bool) -> bool {
        let (changed, ended) = {
            let mut state = self.lock();
            let changed = std::mem::replace(&mut state.dcs[dc].up, up) != up;
            let ended = if up {
                Vec::new()
            } else {
                take_where(&mut state.idle, |(of, _)| *of == dc)
            };
            (changed, ended)
        };
        drop(ended);
        self.publish();
        changed
    }

    /// (open, wanted) connections of a domain controller.
    pub(super) fn share(&self, dc: usize) -> (u32, u32) {
        let state = self.lock();
        let up = |dcs: &[Dc]| u32::try_from(dcs.iter().filter(|dc| dc.up).count()).unwrap_or(u32::MAX);
        let wanted = if state.dcs[dc].up {
            connections_of(self.connections, up(&state.dcs), up(&state.dcs[..dc]))
        } else {
            0
        };
        (state.dcs[dc].open, wanted)
    }

    /// Closes up to `count` idle connections of a domain controller that has more than its share.
    pub(super) fn shed(&self, dc: usize, count: u32) {
        let mut left = count;
        let ended = take_where(&mut self.lock().idle, |(of, _)| {
            let take = *of == dc && left > 0;
            left -= u32::from(take);
            take
        });
        drop(ended);
    }

    fn publish(&self) {
        let capacity = {
            let state = self.lock();
            Capacity {
                connections: state.dcs.iter().map(|dc| dc.open).sum(),
                ready: state.dcs.iter().any(|dc| dc.up),
            }
        };
        self.capacity.send_if_modified(|old| {
            let changed = *old != capacity;
            *old = capacity;
            changed
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole after every statement, so a panic elsewhere cannot have left it half-written.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes out what fits. The caller drops it after the lock is released: dropping a connection ends its task, and the
/// end of a task comes back here.
fn take_where<T>(queue: &mut VecDeque<T>, mut fits: impl FnMut(&T) -> bool) -> Vec<T> {
    let (taken, kept): (Vec<T>, Vec<T>) = queue.drain(..).partition(|item| fits(item));
    queue.extend(kept);
    taken
}

/// One open connection in the pool's count.
pub(super) struct Counted {
    pool: Arc<Pool>,
    dc: usize,
    since: Instant,
}

impl Drop for Counted {
    fn drop(&mut self) {
        let ended = {
            let mut state = self.pool.lock();
            let dc = &mut state.dcs[self.dc];
            dc.open = dc.open.saturating_sub(1);
            dc.ended_early += u64::from(self.since.elapsed() < SETTLED);
            take_where(&mut state.idle, |(_, connection)| connection.is_closed())
        };
        drop(ended);
        self.pool.publish();
    }
}
