//! The connections to all domain controllers: which are idle, how many each should have, who waits for one.
//!
//! One lock, never held across an await. A connection is in the pool while it is idle; who takes it out gives it back,
//! or drops it, which closes it: the right end for one whose bind was not answered, or whose user went away. A domain
//! controller that is down, or gone, has no idle connections.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use postern_protocol::Moment;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};

use super::connection::Connection;
use super::known::{DcId, Known};
use crate::clock::Clock;
use crate::core::lease::Lease;
use crate::core::pace::Pace;
use crate::core::suspicion::Suspicion;
use crate::core::tiers::{self, Seat, Standing, Tier};

/// How long a sign-in may wait for an idle connection. The relay counts slots, so waiting is for the moment between
/// an answer and its connection's return; a queue here would only hide that another agent is free.
const PATIENCE: Duration = Duration::from_millis(5);

/// The same when only one domain controller will do: its few connections come back after a bind's time each, and nobody
/// else's can take their place.
const PATIENCE_FOR_ONE: Duration = Duration::from_millis(100);

/// A connection that ended before it was so old does not show that the domain controller takes connections: some
/// close them right after the handshake, being full, misconfigured, or a load balancer with nothing behind it.
const SETTLED: Duration = Duration::from_secs(5);

/// Why there is no connection to bind on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoConnection {
    /// All are in use.
    Busy,
    /// The only domain controller that will do cannot be used now.
    Unusable,
    /// No domain controller can be reached.
    NoDirectory,
}

/// Which domain controllers will do for a bind.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wish<'a> {
    /// None but this, where it is given.
    pub(crate) only: Option<DcId>,
    /// None of these.
    pub(crate) avoid: &'a [DcId],
    /// The one of this name only where no other has a connection free: at it the answer to a bind of the same sign-in was
    /// lost before.
    pub(crate) rather_not: Option<&'a str>,
}

/// What the sessions tell their relays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Capacity {
    /// Open connections, idle or not.
    pub(crate) connections: u32,
    /// Whether a domain controller answers and there is a connection to bind on, be it in use. When they all go down,
    /// their connections end before anything else tells it.
    pub(crate) ready: bool,
}

/// What the health check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    /// Nothing yet, or nothing any more.
    Untried,
    /// It answers.
    Up,
    /// It cannot be used.
    Down,
}

/// What a bind has changed in the opinion of its domain controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Opinion {
    /// It is now suspected of not answering binds, or is so no longer.
    pub(super) suspect: Option<bool>,
    /// It is now much slower than its peers, or is so no longer.
    pub(super) slow: Option<bool>,
}

#[derive(Debug)]
struct Dc {
    known: Arc<Known>,
    tier: Tier,
    weight: u16,
    health: Health,
    open: u32,
    /// Connections that ended before [`SETTLED`], since it appeared.
    ended_early: u64,
    suspicion: Suspicion,
    pace: Pace,
}

impl Dc {
    fn seat(&self) -> Seat {
        Seat {
            tier: self.tier,
            weight: self.weight,
            standing: match self.health {
                Health::Untried => Standing::Untried,
                Health::Up if self.suspicion.stands() => Standing::Suspect,
                Health::Up => Standing::Up,
                Health::Down => Standing::Down,
            },
        }
    }

    /// Whether a bind is as good here as anywhere. A suspect gets its turn to be tried all the same.
    fn is_well(&self, now: Moment, rather_not: Option<&str>) -> bool {
        let answers = self.suspicion.stands() || self.suspicion.is_clear(now);
        answers && self.pace.allows(now) && rather_not != Some(self.known.name())
    }

    fn is_up(&self) -> bool {
        self.health == Health::Up
    }
}

/// A connection and its time. Idle in the pool, or in the hands of who binds.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) connection: Connection,
    pub(super) lease: Lease,
}

#[derive(Debug, Default)]
struct State {
    /// The longest idle first: so binds spread, and slow domain controllers get fewer.
    idle: VecDeque<(DcId, Kept)>,
    dcs: BTreeMap<DcId, Dc>,
    /// Connections from before are to be replaced.
    renew_before: Moment,
}

impl State {
    /// All seats, and which of them is `dc`'s.
    fn seats(&self, dc: DcId) -> Option<(Vec<Seat>, usize)> {
        let index = self.dcs.keys().position(|&id| id == dc)?;
        Some((self.dcs.values().map(Dc::seat).collect(), index))
    }

    /// What is to be replaced.
    fn is_old(&self, now: Moment) -> impl Fn(&Kept) -> bool + use<> {
        let renew_before = self.renew_before;
        move |kept| kept.lease.is_over(now) || kept.lease.opened_before(renew_before)
    }

    /// Takes out what fits. The caller drops it after the lock is released: dropping a connection ends its task, and
    /// the end of a task comes back here.
    fn take_idle(&mut self, mut fits: impl FnMut(DcId, &Kept) -> bool) -> Vec<Kept> {
        let (taken, kept): (Vec<_>, Vec<_>) = self.idle.drain(..).partition(|(dc, kept)| fits(*dc, kept));
        self.idle.extend(kept);
        taken.into_iter().map(|(_, kept)| kept).collect()
    }
}

/// The pool. Shared by the domain controllers' tasks, which fill it, and the sign-ins, which use it.
#[derive(Debug)]
pub(super) struct Pool {
    clock: Clock,
    state: Mutex<State>,
    connections: u32,
    returned: Notify,
    capacity: watch::Sender<Capacity>,
    /// Counts the changes of who is there and who can be used.
    changes: watch::Sender<u64>,
}

impl Pool {
    pub(super) fn new(clock: Clock, connections: u32) -> Self {
        Self {
            clock,
            state: Mutex::default(),
            connections,
            returned: Notify::new(),
            capacity: watch::channel(Capacity::default()).0,
            changes: watch::channel(0).0,
        }
    }

    pub(super) fn capacity(&self) -> watch::Receiver<Capacity> {
        self.capacity.subscribe()
    }

    /// Told whenever [`Self::is_awake`] and [`Self::share`] may say something else.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// A domain controller appears.
    pub(super) fn add(&self, known: Arc<Known>, tier: Tier, weight: u16) {
        let dc = Dc {
            known,
            tier,
            weight,
            health: Health::Untried,
            open: 0,
            ended_early: 0,
            suspicion: Suspicion::default(),
            pace: Pace::default(),
        };
        self.lock().dcs.insert(dc.known.id, dc);
        self.publish(true);
    }

    /// A domain controller is preferred differently from now on.
    pub(super) fn reseat(&self, dc: DcId, tier: Tier, weight: u16) {
        if let Some(dc) = self.lock().dcs.get_mut(&dc) {
            (dc.tier, dc.weight) = (tier, weight);
        }
        self.publish(true);
    }

    /// A domain controller is gone. Its idle connections are closed, those in use when they come back.
    pub(super) fn remove(&self, dc: DcId) {
        let ended = {
            let mut state = self.lock();
            state.dcs.remove(&dc);
            state.take_idle(|of, _| of == dc)
        };
        drop(ended);
        self.publish(true);
    }

    /// An idle connection to a domain controller that will do.
    pub(super) async fn take(&self, wish: Wish<'_>) -> Result<(Arc<Known>, Kept), NoConnection> {
        let only = wish.only;
        let deadline = Instant::now() + only.map_or(PATIENCE, |_| PATIENCE_FOR_ONE);
        loop {
            // Made before looking, so that a return in between is not missed.
            let returned = self.returned.notified();
            if let Some(taken) = self.take_now(wish, self.clock.now()) {
                return Ok(taken);
            }
            if only.is_some_and(|only| !self.is_usable(only, self.clock.now())) {
                return Err(NoConnection::Unusable);
            }
            if !self.capacity.borrow().ready {
                return Err(NoConnection::NoDirectory);
            }
            if timeout_at(deadline, returned).await.is_err() {
                return Err(NoConnection::Busy);
            }
        }
    }

    fn take_now(&self, wish: Wish<'_>, now: Moment) -> Option<(Arc<Known>, Kept)> {
        let Wish {
            only,
            avoid,
            rather_not,
        } = wish;
        let mut state = self.lock();
        let State { idle, dcs, .. } = &mut *state;
        let others = dcs
            .iter()
            .any(|(id, dc)| !avoid.contains(id) && dc.is_up() && dc.open > 0 && !dc.suspicion.stands());
        let usable = |(id, kept): &(DcId, Kept)| {
            let dc = dcs
                .get(id)
                .filter(|_| only.is_none_or(|only| only == *id))
                .filter(|_| !avoid.contains(id) && !kept.connection.is_closed())?;
            (!others || dc.suspicion.allows(now)).then_some(dc)
        };
        // One of a slow or silent domain controller rather than none: the binds of the others take their time, too.
        let well = |dc: &Dc| dc.is_well(now, rather_not);
        let quick = idle.iter().position(|idle| usable(idle).is_some_and(well));
        let at = quick.or_else(|| idle.iter().position(|idle| usable(idle).is_some()))?;
        let (id, kept) = idle.remove(at)?;
        let dc = dcs.get_mut(&id)?;
        if others && dc.suspicion.stands() {
            dc.suspicion.chosen(now);
        }
        dc.pace.chosen(now);
        Some((dc.known.clone(), kept))
    }

    /// Whether binds may go to a domain controller, were a connection free.
    fn is_usable(&self, dc: DcId, now: Moment) -> bool {
        let state = self.lock();
        let others = state
            .dcs
            .iter()
            .any(|(id, other)| *id != dc && other.is_up() && other.open > 0 && !other.suspicion.stands());
        let of = state.dcs.get(&dc).filter(|of| of.is_up());
        of.is_some_and(|of| !others || of.suspicion.allows(now))
    }

    /// Whether a bind could begin at a domain controller at once, and is not better begun elsewhere.
    pub(super) fn is_free(&self, dc: DcId, rather_not: Option<&str>) -> bool {
        let now = self.clock.now();
        let state = self.lock();
        let allows = |of: &Dc| of.is_up() && of.suspicion.allows(now) && of.is_well(now, rather_not);
        state.dcs.get(&dc).is_some_and(allows)
            && state
                .idle
                .iter()
                .any(|(of, kept)| *of == dc && !kept.connection.is_closed())
    }

    /// A bind was answered, or was not, after `took`.
    pub(super) fn judge(&self, dc: DcId, answered: bool, took: Duration) -> Opinion {
        let opinion = {
            let mut state = self.lock();
            let Some(judged) = state.dcs.get_mut(&dc) else {
                return Opinion::default();
            };
            let changed = if answered {
                judged.suspicion.answered()
            } else {
                judged.suspicion.unanswered(self.clock.now())
            };
            judged.pace.took(took);
            Opinion {
                suspect: changed.then_some(!answered),
                slow: compare(&mut state.dcs, dc),
            }
        };
        if opinion.suspect.is_some() {
            self.publish(true);
        }
        opinion
    }

    /// Puts a connection into the pool, new or used.
    pub(super) fn put(&self, dc: DcId, kept: Kept) {
        let surplus = {
            let mut state = self.lock();
            let keep = state.dcs.get(&dc).is_some_and(Dc::is_up) && !kept.connection.is_closed();
            if keep {
                state.idle.push_back((dc, kept));
                None
            } else {
                Some(kept)
            }
        };
        drop(surplus);
        self.returned.notify_waiters();
    }

    /// Counts a connection that was opened, until the result is dropped. `bound` says whether a bind was
    /// sent on it.
    pub(super) fn count(self: &Arc<Self>, dc: DcId, bound: Arc<AtomicBool>) -> Counted {
        if let Some(dc) = self.lock().dcs.get_mut(&dc) {
            dc.open += 1;
        }
        self.publish(false);
        Counted {
            pool: self.clone(),
            dc,
            since: Instant::now(),
            bound,
        }
    }

    /// How many of a domain controller's connections ended soon after they were opened, since it appeared.
    pub(super) fn ended_early(&self, dc: DcId) -> u64 {
        self.lock().dcs.get(&dc).map_or(0, |dc| dc.ended_early)
    }

    /// The health check says something. Gives whether that is new.
    pub(super) fn set_health(&self, dc: DcId, health: Health) -> bool {
        let (changed, ended) = {
            let mut state = self.lock();
            let Some(of) = state.dcs.get_mut(&dc) else {
                return false;
            };
            let changed = std::mem::replace(&mut of.health, health) != health;
            let ended = if health == Health::Up {
                Vec::new()
            } else {
                state.take_idle(|of, _| of == dc)
            };
            (changed, ended)
        };
        drop(ended);
        self.publish(changed);
        changed
    }

    /// Whether to find out about a domain controller and to go on doing so.
    pub(super) fn is_awake(&self, dc: DcId) -> bool {
        let seats = self.lock().seats(dc);
        seats.is_some_and(|(seats, index)| tiers::awake(&seats, index))
    }

    /// Whether the health check found it down, and has not found it up since.
    pub(super) fn is_down(&self, dc: DcId) -> bool {
        self.lock().dcs.get(&dc).is_none_or(|dc| dc.health == Health::Down)
    }

    /// (open, wanted) connections of a domain controller.
    pub(super) fn share(&self, dc: DcId) -> (u32, u32) {
        let state = self.lock();
        let open = state.dcs.get(&dc).map_or(0, |dc| dc.open);
        let wanted = state
            .seats(dc)
            .map_or(0, |(seats, index)| tiers::wanted(&seats, self.connections, index));
        (open, wanted)
    }

    /// Whether an idle connection of a domain controller is to be replaced.
    pub(super) fn has_old(&self, dc: DcId) -> bool {
        let now = self.clock.now();
        let state = self.lock();
        let is_old = state.is_old(now);
        state.idle.iter().any(|(of, kept)| *of == dc && is_old(kept))
    }

    /// From now on every connection that is there is to be replaced.
    pub(super) fn renew(&self) {
        self.lock().renew_before = self.clock.now();
    }

    /// Closes up to `count` idle connections of a domain controller that has more than its share, those first that
    /// are to be replaced.
    pub(super) fn shed(&self, dc: DcId, count: u32) {
        let now = self.clock.now();
        let mut left = count;
        let ended = {
            let mut state = self.lock();
            let is_old = state.is_old(now);
            let mut take = |old_only: bool| {
                state.take_idle(|of, kept| {
                    let take = of == dc && left > 0 && (!old_only || is_old(kept));
                    left -= u32::from(take);
                    take
                })
            };
            (take(true), take(false))
        };
        drop(ended);
    }

    fn publish(&self, changed: bool) {
        let capacity = {
            let state = self.lock();
            Capacity {
                connections: state.dcs.values().map(|dc| dc.open).sum(),
                ready: state.dcs.values().any(|dc| dc.is_up() && dc.open > 0),
            }
        };
        self.capacity.send_if_modified(|old| {
            let changed = *old != capacity;
            *old = capacity;
            changed
        });
        if changed {
            self.changes.send_modify(|count| *count += 1);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole after every statement, so a panic elsewhere cannot have left it half-written.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Compares the times of `dc`'s binds with those of the others that can be used instead.
fn compare(dcs: &mut BTreeMap<DcId, Dc>, dc: DcId) -> Option<bool> {
    let peers: Vec<Duration> = dcs
        .iter()
        .filter(|(id, peer)| **id != dc && peer.is_up())
        .filter_map(|(_, peer)| peer.pace.typical())
        .collect();
    let pace = &mut dcs.get_mut(&dc)?.pace;
    let changed = pace.compare(peers.into_iter());
    changed.then(|| pace.is_slow())
}

/// One open connection in the pool's count.
pub(super) struct Counted {
    pool: Arc<Pool>,
    dc: DcId,
    since: Instant,
    bound: Arc<AtomicBool>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        let ended = {
            let mut state = self.pool.lock();
            if let Some(dc) = state.dcs.get_mut(&self.dc) {
                dc.open = dc.open.saturating_sub(1);
                // One that took binds ended no earlier than it was of use, and is replaced at once.
                let early = self.since.elapsed() < SETTLED && !self.bound.load(Ordering::Relaxed);
                dc.ended_early += u64::from(early);
            }
            state.take_idle(|_, kept| kept.connection.is_closed())
        };
        drop(ended);
        self.pool.publish(false);
    }
}
