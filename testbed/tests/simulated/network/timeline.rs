//! The simulation's time, and the log of all that has happened in it.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use postern_protocol::Outcome;

/// Something that has happened. No content of a packet: keys are random, and what is sealed with them differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// A datagram was sent, and arrives so many times.
    Datagram {
        from: SocketAddr,
        to: SocketAddr,
        bytes: usize,
        copies: usize,
    },
    /// A domain controller was asked to check a password.
    Bind { agent: IpAddr, user: usize },
    /// A sign-in was made.
    SignIn { user: usize },
    /// It has its outcome.
    Settled { user: usize, outcome: Outcome },
    /// The test has done something.
    Deed(String),
}

/// Shared by everything in a simulation.
#[derive(Debug, Clone, Default)]
pub(super) struct Timeline(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    now: Duration,
    events: Vec<(Duration, Event)>,
}

impl Timeline {
    /// Since the simulation began.
    pub(super) fn now(&self) -> Duration {
        self.lock().now
    }

    pub(super) fn advance(&self, by: Duration) {
        self.lock().now += by;
    }

    pub(super) fn log(&self, event: Event) {
        let mut state = self.lock();
        let now = state.now;
        state.events.push((now, event));
    }

    pub(super) fn events(&self) -> Vec<(Duration, Event)> {
        self.lock().events.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}
