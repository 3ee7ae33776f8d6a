//! The connections for look-ups at all domain controllers: which are idle, how many there are, what is known of those
//! that they are to.
//!
//! One lock, never held across an await. A connection is in here while nobody searches on it; who takes it out gives
//! it back, or drops it, which closes it. One whose domain controller went down meanwhile is not taken back.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use postern_protocol::Moment;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::clock::Clock;
use crate::core::lease::Lease;
use crate::core::suspicion::Suspicion;
use crate::directory::connection::Connection;
use crate::directory::known::{DcId, Known};

/// A connection that ended before it was so old does not show that look-ups work here, whatever it has let pass: each
/// one costs a bind of the service account.
const SETTLED: Duration = Duration::from_secs(5);

/// How long a domain controller that showed nobody is not asked again whether it shows somebody: the question may make
/// it look at every entry, and whoever types names that nobody has must not make it do so each time. Who mends the
/// account's rights does not wait for long.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// A connection in the name of the service account.
#[derive(Debug)]
pub(super) struct Asker {
    pub(super) dc: Arc<Known>,
    pub(super) connection: Connection,
    pub(super) lease: Lease,
    /// The number of the password that it was bound with.
    pub(super) version: u64,
    pub(super) base: String,
    pub(super) active_directory: bool,
    /// The domain controller's, when this was opened.
    pub(super) life: u64,
}

/// The connections to one domain controller, since it appeared.
#[derive(Debug, Default)]
pub(super) struct Count {
    open: AtomicU32,
    /// Ended before [`SETTLED`].
    ended_early: AtomicU32,
}

impl Count {
    pub(super) fn open(&self) -> u32 {
        self.open.load(Ordering::Relaxed)
    }

    pub(super) fn ended_early(&self) -> u32 {
        self.ended_early.load(Ordering::Relaxed)
    }
}

/// One connection that there is, or that is expected.
pub(super) struct Hope(Arc<AtomicU32>);

impl Drop for Hope {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One open connection in the count.
pub(super) struct Counted {
    count: Arc<Count>,
    since: Instant,
    _hope: Hope,
}

impl Counted {
    pub(super) fn new(count: Arc<Count>, hope: Hope) -> Self {
        count.open.fetch_add(1, Ordering::Relaxed);
        Self {
            count,
            since: Instant::now(),
            _hope: hope,
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if self.since.elapsed() < SETTLED {
            self.count.ended_early.fetch_add(1, Ordering::Relaxed);
        }
        self.count.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A domain controller, as look-ups know it.
#[derive(Debug, Default)]
struct OfDc {
    count: Arc<Count>,
    /// Of not answering searches, whatever it does with binds.
    suspicion: Suspicion,
    /// Rises whenever it cannot be used any more.
    life: u64,
    /// The attributes that it shows nobody to have, and when that was seen.
    blind: BTreeMap<String, Moment>,
}

impl OfDc {
    fn is_blind(&self, attribute: &str, now: Moment) -> bool {
        let looked = self.blind.get(attribute);
        looked.is_some_and(|looked| now.since(*looked) < LOOK_AGAIN)
    }
}

#[derive(Debug, Default)]
struct State {
    idle: VecDeque<Asker>,
    dcs: BTreeMap<DcId, OfDc>,
    /// Connections from before are to be replaced.
    renew_before: Moment,
}

/// The connections.
#[derive(Debug)]
pub(super) struct Askers {
    clock: Clock,
    state: Mutex<State>,
    /// Connections that there are, idle or in use, or may be before long: without any nobody waits for one.
    hopes: Arc<AtomicU32>,
    returned: Notify,
}

impl Askers {
    /// None yet.
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            state: Mutex::default(),
            hopes: Arc::default(),
            returned: Notify::new(),
        }
    }

    /// A domain controller appears.
    pub(super) fn add(&self, dc: DcId) -> Arc<Count> {
        self.lock().dcs.entry(dc).or_default().count.clone()
    }

    /// A connection is expected while this is kept.
    pub(super) fn hope(&self) -> Hope {
        self.hopes.fetch_add(1, Ordering::Relaxed);
        Hope(self.hopes.clone())
    }

    /// Those who wait look again, whether there is still something to wait for.
    pub(super) fn wake(&self) {
        self.returned.notify_waiters();
    }

    /// A connection to ask who has `attribute`, to a domain controller that is not among `avoid`; to one of those
    /// that are `free`, if there is a choice.
    pub(super) async fn take(
        &self,
        attribute: &str,
        avoid: &[DcId],
        free: impl Fn(DcId) -> bool,
        deadline: Instant,
    ) -> Option<Asker> {
        loop {
            // Made before looking, so that a return in between is not missed.
            let returned = self.returned.notified();
            if let Some(asker) = self.take_now(attribute, avoid, &free) {
                return Some(asker);
            }
            // No waiting for a connection that may never come: the relay has a limit of sign-ins that wait, and those
            // that need no look-up are among them.
            let hopeless = match avoid {
                [] => self.hopes.load(Ordering::Relaxed) == 0,
                // One that is merely in use comes back after a search.
                avoid => !self.has_open(avoid),
            };
            if hopeless || timeout_at(deadline, returned).await.is_err() {
                return None;
            }
        }
    }

    fn take_now(&self, attribute: &str, avoid: &[DcId], free: impl Fn(DcId) -> bool) -> Option<Asker> {
        let mut state = self.lock();
        let now = self.clock.now();
        let State { idle, dcs, .. } = &mut *state;
        let answers = |of: &OfDc| of.count.open() > 0 && !of.suspicion.stands();
        let others = dcs.iter().any(|(id, of)| !avoid.contains(id) && answers(of));
        let usable = |asker: &Asker| {
            let of = dcs.get(&asker.dc.id).filter(|_| !asker.connection.is_closed());
            of.is_some_and(|of| !avoid.contains(&asker.dc.id) && (!others || of.suspicion.allows(now)))
        };
        // One that shows nobody is the last choice, and a choice again when it is time to look whether it still does.
        let is_blind = |dc| dcs.get(&dc).is_some_and(|of| of.is_blind(attribute, now));
        let (at, _) = idle
            .iter()
            .enumerate()
            .filter(|(_, asker)| usable(asker))
            .min_by_key(|(at, asker)| (is_blind(asker.dc.id), !free(asker.dc.id), *at))?;
        let asker = idle.remove(at)?;
        if let Some(of) = dcs.get_mut(&asker.dc.id).filter(|of| others && of.suspicion.stands()) {
            of.suspicion.chosen(now);
        }
        Some(asker)
    }

    /// Whether there are connections, idle or in use, to domain controllers that are not among `avoid`.
    fn has_open(&self, avoid: &[DcId]) -> bool {
        let state = self.lock();
        let mut dcs = state.dcs.iter();
        dcs.any(|(dc, of)| !avoid.contains(dc) && of.count.open() > 0)
    }

    /// A search was answered, or was not. Gives what that changes: whether the domain controller is a suspect now.
    pub(super) fn judge(&self, dc: DcId, answered: bool) -> Option<bool> {
        let mut state = self.lock();
        let suspicion = &mut state.dcs.get_mut(&dc)?.suspicion;
        let changed = if answered {
            suspicion.answered()
        } else {
            suspicion.unanswered(self.clock.now())
        };
        changed.then_some(!answered)
    }

    /// Whether there is a connection to another domain controller now.
    pub(super) fn has_other(&self, avoid: &[DcId], dc: DcId) -> bool {
        let state = self.lock();
        let mut idle = state.idle.iter();
        idle.any(|other| other.dc.id != dc && !avoid.contains(&other.dc.id) && !other.connection.is_closed())
    }

    /// Puts a connection into the queue, new or used.
    pub(super) fn put(&self, mut asker: Asker) {
        asker.lease.used(self.clock.now());
        let surplus = {
            let mut state = self.lock();
            let lives = state.dcs.get(&asker.dc.id).is_some_and(|of| of.life == asker.life);
            if lives && !asker.connection.is_closed() {
                state.idle.push_back(asker);
                None
            } else {
                Some(asker)
            }
        };
        drop(surplus);
        self.wake();
    }

    /// From now on every connection that is there is to be replaced.
    pub(super) fn renew(&self) {
        self.lock().renew_before = self.clock.now();
    }

    /// Whether a domain controller has idle connections that are of another password than that of the number
    /// `version`, or to be renewed.
    pub(super) fn has_outdated(&self, dc: DcId, version: u64) -> bool {
        let state = self.lock();
        let is_outdated = state.is_outdated(dc, version);
        state.idle.iter().any(is_outdated)
    }

    /// Closes those, now that there is a newer one.
    pub(super) fn retire_outdated(&self, dc: DcId, version: u64) {
        let retired = {
            let mut state = self.lock();
            let is_outdated = state.is_outdated(dc, version);
            state.take_idle(is_outdated)
        };
        drop(retired);
    }

    /// Closes what is idle and `fits`.
    pub(super) fn retire(&self, fits: impl Fn(&Asker) -> bool) {
        let retired = self.lock().take_idle(fits);
        // Only now: the end of a connection's task may come back here.
        drop(retired);
    }

    /// A domain controller is down. Its connections end, those in use when they come back.
    pub(super) fn forget(&self, dc: DcId) {
        let retired = {
            let mut state = self.lock();
            if let Some(of) = state.dcs.get_mut(&dc) {
                of.life += 1;
                of.blind.clear();
            }
            state.take_idle(|asker| asker.dc.id == dc)
        };
        drop(retired);
    }

    /// A domain controller is gone.
    pub(super) fn remove(&self, dc: DcId) {
        self.forget(dc);
        self.lock().dcs.remove(&dc);
    }

    /// What connections to a domain controller have to show when they come back.
    pub(super) fn life(&self, dc: DcId) -> u64 {
        self.lock().dcs.get(&dc).map_or(0, |of| of.life)
    }

    /// Whether a domain controller has shown nobody with `attribute` a moment ago.
    pub(super) fn is_blind(&self, dc: DcId, attribute: &str, now: Moment) -> bool {
        let state = self.lock();
        state.dcs.get(&dc).is_some_and(|of| of.is_blind(attribute, now))
    }

    /// A domain controller shows somebody with `attribute`, or nobody. Gives whether that is news.
    pub(super) fn saw(&self, dc: DcId, attribute: &str, somebody: bool, now: Moment) -> bool {
        let mut state = self.lock();
        let Some(of) = state.dcs.get_mut(&dc) else {
            return false;
        };
        if somebody {
            of.blind.remove(attribute).is_some()
        } else {
            of.blind.insert(attribute.to_owned(), now).is_none()
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole after every statement, so a panic elsewhere cannot have left it half-written.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_outdated(&self, dc: DcId, version: u64) -> impl Fn(&Asker) -> bool + use<> {
        let renew_before = self.renew_before;
        move |asker| {
            let other = asker.version != version || asker.lease.opened_before(renew_before);
            asker.dc.id == dc && other
        }
    }

    fn take_idle(&mut self, fits: impl Fn(&Asker) -> bool) -> Vec<Asker> {
        let (taken, kept): (Vec<Asker>, Vec<Asker>) = self.idle.drain(..).partition(fits);
        self.idle.extend(kept);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::known::Register;
    use crate::metrics::Metrics;

    #[test]
    fn who_showed_nobody_is_asked_again_after_5_s_and_it_is_news_once() {
        let mut register = Register::new(Metrics::new(0).unwrap().0.into());
        let (one, two) = (register.appeared("dc-1").id, register.appeared("dc-2").id);
        let (askers, start) = (Askers::new(Clock::of_this_machine()), Moment(1));
        askers.add(one);
        askers.add(two);
        assert!(askers.saw(one, "mail", false, start));
        assert!(!askers.saw(one, "mail", false, start));
        let later = start + Duration::from_secs(4);
        assert!(askers.is_blind(one, "mail", later));
        assert!(!askers.is_blind(one, "uid", later) && !askers.is_blind(two, "mail", later));
        assert!(!askers.is_blind(one, "mail", start + LOOK_AGAIN));
        assert!(askers.saw(one, "mail", true, later));
        assert!(!askers.saw(one, "mail", true, later));
        assert!(!askers.is_blind(one, "mail", later));
    }
}
