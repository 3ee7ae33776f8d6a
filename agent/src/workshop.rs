//! Where work runs that would keep others waiting: private-key operations take some 300 µs of CPU each and a new key tens
//! of milliseconds, and a file may be slow to read.

/// Where such work runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workshop {
    /// On the runtime's threads for blocking work, never on one that serves tasks.
    Threads {
        /// Private-key operations at once.
        at_once: usize,
    },
    /// In the task that needs the result, while every other task of its thread waits. For a simulation: threads would
    /// finish in another order each time.
    InPlace,
}

impl Workshop {
    /// One private-key operation for each core.
    pub fn of_this_machine() -> Self {
        Self::Threads {
            at_once: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }

    /// Private-key operations at once, at least one.
    pub(crate) fn at_once(self) -> usize {
        match self {
            Self::Threads { at_once } => at_once.max(1),
            Self::InPlace => 1,
        }
    }

    /// Does `work`. `None` when it was given up: the process is ending, or it panicked.
    pub(crate) async fn run<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        match self {
            Self::Threads { .. } => tokio::task::spawn_blocking(work).await.ok(),
            Self::InPlace => Some(work()),
        }
    }
}
