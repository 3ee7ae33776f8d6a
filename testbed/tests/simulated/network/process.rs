//! A process of the simulation: what runs in it, and its time.
//!
//! Each has a runtime of its own on the test's one thread, whose clock moves only while the simulation gives it a tick.
//! So a process can be frozen as SIGSTOP freezes it, between any two steps of any of its tasks, and finds after SIGCONT
//! that time has passed; and it can be killed, which ends all of its tasks where they stand.

use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

/// The step in which time passes. As fine as tokio's timers are.
pub(super) const TICK: Duration = Duration::from_millis(1);

pub(super) struct Process {
    runtime: Runtime,
    tasks: JoinSet<()>,
    frozen: bool,
    /// Time that has passed for all others since it was frozen.
    missed: Duration,
}

impl Process {
    pub(super) fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        Self {
            runtime: runtime.unwrap(),
            tasks: JoinSet::new(),
            frozen: false,
            missed: Duration::ZERO,
        }
    }

    /// Does `what` inside: what asks for the time or starts tasks gets this process's.
    pub(super) fn enter<T>(&mut self, what: impl FnOnce(&mut JoinSet<()>) -> T) -> T {
        let _inside = self.runtime.enter();
        what(&mut self.tasks)
    }

    /// A tick passes: everything that can happen in it happens.
    pub(super) fn tick(&mut self) {
        if self.frozen {
            self.missed += TICK;
            return;
        }
        let missed = std::mem::take(&mut self.missed);
        self.runtime.block_on(async {
            if !missed.is_zero() {
                // In one leap: what was due meanwhile finds that it is late.
                tokio::time::advance(missed).await;
            }
            tokio::time::sleep(TICK).await;
        });
        while let Some(ended) = self.tasks.try_join_next() {
            ended.unwrap();
        }
    }

    /// Whether all that was started in it has ended.
    pub(super) fn is_over(&self) -> bool {
        self.tasks.is_empty()
    }

    /// From now on no time passes in it.
    pub(super) fn freeze(&mut self) {
        self.frozen = true;
    }

    /// It goes on, and finds that it is later.
    pub(super) fn thaw(&mut self) {
        self.frozen = false;
    }
}
