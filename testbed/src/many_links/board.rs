//! What all links together have come to: how many are up, what they answered, and what went over the network for it.
//!
//! Bytes are counted from a session's beginning, so that no figure has handshakes in it, whoever dials again meanwhile.

use std::collections::BTreeMap;
use std::ops::{AddAssign, Sub};
use std::sync::{Mutex, MutexGuard, PoisonError};

use postern_protocol::connection::Connection;
use tokio::time::Instant;

/// UDP payload in bytes, both ways.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Traffic {
    pub(super) sent: u64,
    pub(super) received: u64,
}

impl Traffic {
    fn of(connection: &Connection) -> Self {
        // The simulated links are over QUIC, all of them.
        let Connection::Quic(connection) = connection else {
            return Self::default();
        };
        let stats = connection.stats();
        Self {
            sent: stats.udp_tx.bytes,
            received: stats.udp_rx.bytes,
        }
    }

    /// Both ways together.
    pub(super) fn total(self) -> u64 {
        self.sent + self.received
    }
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.sent += other.sent;
        self.received += other.received;
    }
}

impl Sub for Traffic {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            sent: self.sent.saturating_sub(other.sent),
            received: self.received.saturating_sub(other.received),
        }
    }
}

/// How things stand at one moment. The difference of two readings is what happened between them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    pub(super) at: Instant,
    /// Links in session.
    pub(super) up: usize,
    /// So far, as are all that follow: sign-ins that were answered.
    pub(super) sign_ins: u64,
    pub(super) traffic: Traffic,
    /// How long links have been in session, all together, in seconds.
    pub(super) link_seconds: f64,
    /// Sessions that ended.
    pub(super) lost: u64,
    /// Dials that came to no session.
    pub(super) failed: u64,
}

/// Where links tell what they do.
#[derive(Debug)]
pub(super) struct Board {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    up: BTreeMap<u32, Session>,
    sign_ins: u64,
    /// Of sessions that have ended.
    ended: Traffic,
    /// Until `since`.
    link_seconds: f64,
    since: Instant,
    lost: u64,
    failed: u64,
    trouble: Option<String>,
}

#[derive(Debug)]
struct Session {
    connection: Connection,
    /// Of the handshake.
    before: Traffic,
}

impl Session {
    fn traffic(&self) -> Traffic {
        Traffic::of(&self.connection) - self.before
    }
}

impl State {
    /// To be called before `up` changes.
    fn pass_time(&mut self) -> Instant {
        let now = Instant::now();
        // Exact below 2^32 links.
        let up = u32::try_from(self.up.len()).map_or(f64::INFINITY, f64::from);
        self.link_seconds += up * now.duration_since(self.since).as_secs_f64();
        self.since = now;
        now
    }
}

/// A link's place among those that are up, for as long as this lives.
#[derive(Debug)]
pub(super) struct Joined<'a> {
    board: &'a Board,
    number: u32,
}

impl Drop for Joined<'_> {
    fn drop(&mut self) {
        let mut state = self.board.lock();
        state.pass_time();
        if let Some(session) = state.up.remove(&self.number) {
            state.ended += session.traffic();
        }
    }
}

impl Board {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                up: BTreeMap::new(),
                sign_ins: 0,
                ended: Traffic::default(),
                link_seconds: 0.0,
                since: Instant::now(),
                lost: 0,
                failed: 0,
                trouble: None,
            }),
        }
    }

    /// A link is in session.
    pub(super) fn join(&self, number: u32, connection: Connection) -> Joined<'_> {
        let before = Traffic::of(&connection);
        let mut state = self.lock();
        state.pass_time();
        state.up.insert(number, Session { connection, before });
        drop(state);
        Joined { board: self, number }
    }

    /// A sign-in was answered.
    pub(super) fn answered(&self) {
        self.lock().sign_ins += 1;
    }

    /// A session ended that should not have.
    pub(super) fn lost(&self, why: String) {
        let mut state = self.lock();
        state.lost += 1;
        state.trouble.get_or_insert(why);
    }

    /// A dial came to no session.
    pub(super) fn failed(&self, why: String) {
        let mut state = self.lock();
        state.failed += 1;
        state.trouble.get_or_insert(why);
    }

    /// Why the first was lost or failed.
    pub(super) fn trouble(&self) -> Option<String> {
        self.lock().trouble.clone()
    }

    /// Links in session.
    pub(super) fn up(&self) -> usize {
        self.lock().up.len()
    }

    /// How things stand. Asks each connection.
    pub(super) fn read(&self) -> Reading {
        let mut state = self.lock();
        let at = state.pass_time();
        let mut traffic = state.ended;
        for session in state.up.values() {
            traffic += session.traffic();
        }
        Reading {
            at,
            up: state.up.len(),
            sign_ins: state.sign_ins,
            traffic,
            link_seconds: state.link_seconds,
            lost: state.lost,
            failed: state.failed,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whole after every statement.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
