//! The threads that serve connections: several runtimes of one thread each, rather than one that moves tasks about.
//!
//! What belongs to one connection wakes its own parts and little else. On one thread that costs next to nothing; across
//! threads each wake-up is a system call, an interrupt of another core and a switch, more than the work that is waited
//! for. So a connection stays where it was put, and a process with one thread to serve is the default.

use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::config::Problems;

/// More than any machine has cores for; a mistyped number should not fill the process with threads.
const MOST: usize = 256;

/// Where connections are served. Cheap to clone; the threads end when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Threads {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Never empty.
    runtimes: Vec<Handle>,
    next: AtomicUsize,
    _end: Option<DropGuard>,
}

impl Threads {
    /// The runtime that this is called in, and no other.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn here() -> Self {
        Self::new(vec![Handle::current()], None)
    }

    /// With `count` of one, [`Threads::here`]. With more, the present runtime keeps what there is one of in a process
    /// (what decides, what receives), and `count - 1` threads called `name` serve.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(count: NonZeroUsize, name: &str) -> io::Result<Self> {
        if count.get() == 1 {
            return Ok(Self::here());
        }
        let end = CancellationToken::new();
        let guard = end.clone().drop_guard();
        let mut runtimes = Vec::with_capacity(count.get() - 1);
        for number in 1..count.get() {
            let (started, handle) = mpsc::sync_channel(1);
            let end = end.clone();
            // Made where it will end: a runtime must not be dropped inside of another.
            std::thread::Builder::new()
                .name(format!("{name}-{number}"))
                .spawn(move || {
                    let runtime = Builder::new_current_thread().enable_all().build();
                    let _ = started.send(
                        runtime
                            .as_ref()
                            .map(|runtime| runtime.handle().clone())
                            .map_err(io::Error::kind),
                    );
                    if let Ok(runtime) = runtime {
                        runtime.block_on(end.cancelled());
                    }
                })?;
            let handle = handle.recv().map_err(|_| io::ErrorKind::Other)?;
            runtimes.push(handle?);
        }
        Ok(Self::new(runtimes, Some(guard)))
    }

    fn new(runtimes: Vec<Handle>, end: Option<DropGuard>) -> Self {
        Self {
            shared: Arc::new(Shared {
                runtimes,
                next: AtomicUsize::new(0),
                _end: end,
            }),
        }
    }

    /// Whose turn it is to take a connection.
    pub fn next(&self) -> &Handle {
        let turn = self.shared.next.fetch_add(1, Ordering::Relaxed);
        &self.shared.runtimes[turn % self.shared.runtimes.len()]
    }
}

/// The number of threads that a configuration asks for: one where it is silent.
pub fn configured(key: &str, threads: Option<usize>, problems: &mut Problems) -> NonZeroUsize {
    let threads = threads.unwrap_or(1);
    let fits = NonZeroUsize::new(threads).filter(|threads| threads.get() <= MOST);
    fits.unwrap_or_else(|| {
        problems.add(key, format!("is {threads}, and must be from 1 to {MOST}"));
        NonZeroUsize::MIN
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;

    async fn where_tasks_run(threads: &Threads, tasks: usize) -> BTreeMap<String, usize> {
        let mut names = BTreeMap::new();
        for _ in 0..tasks {
            let name = threads
                .next()
                .spawn(async { std::thread::current().name().unwrap_or_default().to_owned() });
            *names.entry(name.await.unwrap()).or_default() += 1;
        }
        names
    }

    #[tokio::test]
    async fn one_thread_is_the_present_one() {
        let threads = Threads::start(NonZeroUsize::MIN, "serve").unwrap();
        let here = std::thread::current().name().unwrap().to_owned();
        assert_eq!(where_tasks_run(&threads, 3).await, BTreeMap::from([(here, 3)]));
    }

    #[tokio::test]
    async fn several_take_turns_and_the_present_one_is_left_alone() {
        let threads = Threads::start(NonZeroUsize::new(3).unwrap(), "serve").unwrap();
        let names = where_tasks_run(&threads, 6).await;
        assert_eq!(
            names,
            BTreeMap::from([("serve-1".to_owned(), 3), ("serve-2".to_owned(), 3)])
        );
    }

    #[tokio::test]
    async fn they_end_with_the_last_clone() {
        let threads = Threads::start(NonZeroUsize::new(2).unwrap(), "serve").unwrap();
        let other = threads.clone();
        let lives = threads.next().spawn(std::future::pending::<()>());
        drop(threads);
        assert!(!lives.is_finished());
        drop(other);
        let ended = tokio::time::timeout(Duration::from_secs(10), lives).await;
        assert!(ended.expect("its thread goes on").unwrap_err().is_cancelled());
    }
}
