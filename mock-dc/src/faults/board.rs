//! The faults in force, as connections ask about them: the engine's decisions with the machine's time and chance added.
//!
//! Faults follow real time, not the domain's clock: a clock that stands still must not make a fault last for ever, nor a
//! jump of a month end it. While there are none, asking costs one look at a flag.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::engine::{At, Engine, Exposed, Fate, OnBind, OnConnection, Operation};
use super::gate::{Gate, Pass};
use super::rule::{Certificate, Rule, Stage};

/// Shared by all controllers.
#[derive(Debug)]
pub struct Board {
    /// Told also when the time of a fault begins or ends.
    in_force: watch::Sender<Arc<InForce>>,
    quiet: AtomicBool,
    gates: Box<[Arc<Gate>]>,
    /// How often what is held back was discarded. Held for reading while a request that was held back is carried out.
    discarded: RwLock<u64>,
}

/// When a request began to be held back: before or after such requests were discarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldSince(u64);

/// What becomes of what faults hold when others take their place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnHeld {
    /// It goes on.
    LetGo,
    /// It ends with its connection.
    Discard,
}

/// Faults that were put in force together.
#[derive(Debug)]
pub(super) struct InForce {
    pub(super) engine: Engine,
    since: Instant,
    replaced: AtomicBool,
    /// Set before `replaced` is: what they hold is discarded rather than let go.
    discards: AtomicBool,
    /// A token for every connection that goes by them.
    pub(super) followers: TaskTracker,
}

impl InForce {
    fn new(rules: Vec<Rule>) -> Arc<Self> {
        let followers = TaskTracker::new();
        // It is waited for when these faults are replaced; connections may still come and go.
        followers.close();
        Arc::new(Self {
            engine: Engine::new(rules),
            since: Instant::now(),
            replaced: AtomicBool::new(false),
            discards: AtomicBool::new(false),
            followers,
        })
    }

    pub(super) fn at(&self, dc: usize) -> At {
        At {
            dc,
            elapsed: self.since.elapsed(),
        }
    }

    /// Since they were put in force.
    pub(super) fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    /// How they ended, once others are in force.
    fn over(&self) -> Option<Over> {
        let replaced = self.replaced.load(Ordering::Acquire);
        replaced.then(|| match self.discards.load(Ordering::Acquire) {
            true => Over::Discarded,
            false => Over::Replaced,
        })
    }

    /// When the next fault begins or ends by itself, after so long a time; it may have been meanwhile.
    pub(super) fn next_edge(&self, after: Duration) -> Option<Instant> {
        let edge = self.engine.next_edge(after)?;
        self.since.checked_add(edge)
    }
}

impl Board {
    /// No faults, for so many controllers.
    pub fn new(controllers: usize) -> Self {
        Self {
            in_force: watch::Sender::new(InForce::new(Vec::new())),
            quiet: AtomicBool::new(true),
            gates: (0..controllers).map(|_| Arc::default()).collect(),
            discarded: RwLock::default(),
        }
    }

    /// Puts faults in the place of those in force, which are returned.
    pub(super) fn replace(&self, rules: Vec<Rule>, held: OnHeld) -> Arc<InForce> {
        let new = InForce::new(rules);
        self.quiet.store(new.engine.is_empty(), Ordering::Release);
        let mut old = None;
        self.in_force.send_modify(|now| {
            // Marked before anybody can be told: nobody waits for a word that has been said.
            now.discards.store(held == OnHeld::Discard, Ordering::Release);
            now.replaced.store(true, Ordering::Release);
            old = Some(std::mem::replace(now, new.clone()));
        });
        old.unwrap_or(new)
    }

    pub(super) fn in_force(&self) -> Arc<InForce> {
        self.in_force.borrow().clone()
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Arc<InForce>> {
        self.in_force.subscribe()
    }

    /// Lets everybody look again: the time of a fault has begun or ended.
    pub(super) fn stir(&self) {
        self.in_force.send_modify(|_| {});
    }

    /// Requests that are held back at present will never be carried out; those that are being are when this returns.
    pub(super) fn discard_held(&self) {
        // A number, changed in one step.
        *self.discarded.write().unwrap_or_else(PoisonError::into_inner) += 1;
    }

    pub(super) fn gate(&self, dc: usize) -> Option<&Arc<Gate>> {
        self.gates.get(dc)
    }
}

/// A controller's share of the board. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Exposure {
    board: Arc<Board>,
    dc: usize,
}

impl Exposure {
    /// What the controller at this place is exposed to.
    pub fn new(board: Arc<Board>, dc: usize) -> Self {
        Self { board, dc }
    }

    /// Whether there are no faults at all, so that nothing else need be asked.
    pub fn is_quiet(&self) -> bool {
        self.board.quiet.load(Ordering::Acquire)
    }

    /// Whether it matters whose bind it is.
    pub fn asks_whose(&self) -> bool {
        self.board.in_force.borrow().engine.asks_whose()
    }

    /// A place among the binds that are worked on at once, when it is one's turn.
    pub fn enter(&self) -> impl Future<Output = Option<Pass>> + Send + 'static {
        let gate = self.board.gate(self.dc).cloned();
        async move {
            match gate {
                Some(gate) => Some(gate.enter().await),
                None => None,
            }
        }
    }

    /// For a request that is held back from now on.
    pub fn held_since(&self) -> HeldSince {
        HeldSince(*self.discarded())
    }

    /// Carries out a request that was held back, unless such requests were discarded meanwhile.
    pub fn unless_discarded<R>(&self, since: HeldSince, carry_out: impl FnOnce() -> R) -> Option<R> {
        let discarded = self.discarded();
        (since.0 == *discarded).then(carry_out)
    }

    fn discarded(&self) -> RwLockReadGuard<'_, u64> {
        self.board.discarded.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What strikes a bind before anybody looks at it. `user` is the account's sAMAccountName.
    pub fn bind_received(&self, user: Option<&str>) -> Option<OnBind> {
        let now = self.board.in_force.borrow();
        now.engine.bind_received(now.at(self.dc), user, &mut chance)
    }

    /// What becomes of a decided bind's answer.
    pub fn bind_decided(&self, user: Option<&str>) -> Fate {
        let now = self.board.in_force.borrow();
        now.engine.bind_decided(now.at(self.dc), user, &mut chance)
    }

    /// How long an answer is held back, if it is.
    pub fn delay(&self, operation: Operation, user: Option<&str>) -> Option<Delayed> {
        let by = self.board.in_force();
        let delay = by.engine.delay(by.at(self.dc), operation, user, &mut chance);
        (!delay.is_zero()).then_some(Delayed { by, delay })
    }

    /// Waits for as long, or until other faults are in force: taking a fault back lets go what it holds.
    pub fn pause(&self, Delayed { by, delay }: Delayed) -> impl Future<Output = Over> + Send + 'static {
        let mut changes = self.board.subscribe();
        async move {
            // An end of its time takes nothing back that it struck; whoever could replace it is gone with the process.
            let replaced = changes.wait_for(|now| !Arc::ptr_eq(now, &by));
            let _ = tokio::time::timeout(delay, replaced).await;
            by.over().unwrap_or(Over::Ended)
        }
    }

    /// The certificate of a handshake where it is not the right one.
    pub fn certificate(&self) -> Option<Certificate> {
        let now = self.board.in_force.borrow();
        now.engine.certificate(now.at(self.dc), &mut chance)
    }

    /// Whether a TLS handshake that may take so long, and begins now, may be sent little by little.
    pub fn may_drip(&self, within: Duration) -> bool {
        let now = self.board.in_force.borrow();
        now.engine.may_drip(now.at(self.dc), within)
    }

    /// How little at a time a bundle of bytes is sent, as long as [`Struck`] says.
    pub(super) fn drip(&self) -> Option<(Struck, usize, Duration)> {
        let now = self.board.in_force();
        let (place, bytes, every) = now.engine.drip(now.at(self.dc), &mut chance)?;
        Some((self.struck(now, place), bytes, every))
    }

    /// Returns at once, or, if the server is to fall silent before or after a TLS handshake, when that is over.
    ///
    /// # Errors
    /// Whatever has come meanwhile is to be discarded.
    pub async fn hang(&self, stage: Stage) -> Result<(), Discarded> {
        loop {
            let now = self.board.in_force();
            let Some(place) = now.engine.hang(now.at(self.dc), stage, &mut chance) else {
                return Ok(());
            };
            // A fault whose time is over lets go; one that was replaced leaves it to those in its place.
            match self.struck(now, place).over().await {
                Over::Ended => return Ok(()),
                Over::Replaced => {}
                Over::Discarded => return Err(Discarded),
            }
        }
    }

    /// A connection at its beginning.
    pub fn connection(&self) -> Connection {
        Connection {
            exposure: self.clone(),
            changes: self.board.subscribe(),
            goes_by: None,
            next: None,
        }
    }

    pub(super) fn struck(&self, by: Arc<InForce>, place: usize) -> Struck {
        Struck {
            changes: self.board.subscribe(),
            by,
            place,
        }
    }
}

/// How long an answer is held back, and by which faults: others in their place let it go.
#[derive(Debug)]
pub struct Delayed {
    by: Arc<InForce>,
    delay: Duration,
}

/// How a fault that strikes for a while ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// Its time is over.
    Ended,
    /// Others are in force.
    Replaced,
    /// Others are in force since a reset: what this one held is not to be carried out.
    Discarded,
}

/// What a fault held was discarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Discarded;

/// A fault that strikes for a while.
#[derive(Debug, Clone)]
pub struct Struck {
    by: Arc<InForce>,
    place: usize,
    changes: watch::Receiver<Arc<InForce>>,
}

impl Struck {
    /// Whether it is over, and how.
    pub fn is_over(&self) -> Option<Over> {
        self.by.over().or_else(|| {
            let lasts = self.by.engine.lasts(self.place, self.by.since.elapsed());
            (!lasts).then_some(Over::Ended)
        })
    }

    /// Waits until it is over.
    pub async fn over(&mut self) -> Over {
        loop {
            if let Some(over) = self.is_over() {
                return over;
            }
            if self.changes.changed().await.is_err() {
                // Whoever could end it is gone, and with it the process.
                return Over::Replaced;
            }
        }
    }
}

/// One connection as far as faults strike it as a whole.
///
/// Whoever replaces the faults waits until no connection goes by the old ones, so what strikes at once has struck when
/// that is over.
#[derive(Debug)]
pub struct Connection {
    exposure: Exposure,
    changes: watch::Receiver<Arc<InForce>>,
    goes_by: Option<Follower>,
    /// What it will go by when what struck it has been done.
    next: Option<Follower>,
}

#[derive(Debug)]
struct Follower {
    faults: Arc<InForce>,
    exposed: Exposed,
    _token: TaskTrackerToken,
}

impl Connection {
    /// Waits until something strikes. Whoever replaced the faults waits for what is done about it, until
    /// [`Connection::settled`] or the connection's end.
    pub async fn strike(&mut self) -> (OnConnection, Struck) {
        loop {
            self.settled();
            let mut next = {
                // Taken while nobody can replace them.
                let now = self.changes.borrow_and_update();
                let before = self.goes_by.as_ref().filter(|before| Arc::ptr_eq(&before.faults, &now));
                Follower {
                    faults: now.clone(),
                    exposed: before.map_or_else(Exposed::default, |before| before.exposed),
                    _token: now.followers.token(),
                }
            };
            let faults = next.faults.clone();
            let at = faults.at(self.exposure.dc);
            let strike = faults.engine.connection(at, &mut next.exposed, &mut chance);
            self.next = Some(next);
            if let Some((place, strike)) = strike {
                return (strike, self.exposure.struck(faults, place));
            }
            self.settled();
            if self.changes.changed().await.is_err() {
                // Whoever could put faults in force is gone, and with it the process.
                std::future::pending::<()>().await;
            }
        }
    }

    /// What struck has been done.
    pub fn settled(&mut self) {
        if let Some(next) = self.next.take() {
            self.goes_by = Some(next);
        }
    }
}

fn chance() -> f64 {
    rand::random()
}

#[cfg(test)]
mod tests;
