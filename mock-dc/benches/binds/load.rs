//! Keeps connections busy for a while and counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use tokio::task::JoinSet;

use crate::client::{Bind, Connection, SUCCESS, Target};

/// Of the measured time, how much runs before it uncounted: caches, and the server's threads, get warm.
const WARM_UP: f64 = 0.2;

/// What is kept busy.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) target: Target,
    /// Each of another account, with the right password.
    pub(crate) binds: Arc<[Bind]>,
    pub(crate) connections: usize,
    pub(crate) seconds: Duration,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Measured {
    /// Binds that succeeded.
    pub(crate) binds: u64,
    /// In this time.
    pub(crate) elapsed: Duration,
    /// Processor time that the server took for them.
    pub(crate) cpu: Duration,
    /// From sending to the whole answer, in order of length, the warm-up's included.
    pub(crate) latencies: Vec<Duration>,
}

impl Measured {
    pub(crate) fn per_second(&self) -> f64 {
        self.binds as f64 / self.elapsed.as_secs_f64()
    }

    /// Microseconds of the server's processor for one bind.
    pub(crate) fn cpu_per_bind(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.binds as f64
    }

    /// The latency that this part of all binds did not exceed.
    pub(crate) fn quantile(&self, part: f64) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        let at = (last as f64 * part).round() as usize;
        self.latencies.get(at).copied().unwrap_or_default()
    }
}

#[derive(Debug, Default)]
struct Shared {
    binds: AtomicU64,
    stop: AtomicBool,
}

/// Runs a load. `cpu` tells the processor time that the server has taken so far.
pub(crate) fn run(load: &Load, cpu: impl Fn() -> anyhow::Result<Duration>) -> anyhow::Result<Measured> {
    let shared = Arc::new(Shared::default());
    // As many threads as a client with nothing else to do would take, each with its part of the connections.
    let threads = thread::available_parallelism()?.get().min(load.connections);
    let (connected, all_connected) = mpsc::channel();
    let workers: Vec<_> = (0..threads)
        .map(|thread| {
            let (load, shared, connected) = (load.clone(), shared.clone(), connected.clone());
            thread::spawn(move || {
                let done = work(&load, thread, threads, &shared, connected);
                if done.is_err() {
                    shared.stop.store(true, Ordering::Relaxed);
                }
                done
            })
        })
        .collect();
    drop(connected);
    // Ends early when a thread has failed; which one, and why, is told when they are joined.
    let counted = (all_connected.iter().take(threads).count() == threads).then(|| -> anyhow::Result<_> {
        thread::sleep(load.seconds.mul_f64(WARM_UP));
        let from = (Instant::now(), shared.binds.load(Ordering::Relaxed), cpu()?);
        thread::sleep(load.seconds);
        let binds = shared.binds.load(Ordering::Relaxed) - from.1;
        Ok((binds, from.0.elapsed(), cpu()?.saturating_sub(from.2)))
    });
    shared.stop.store(true, Ordering::Relaxed);
    let mut latencies = Vec::new();
    for worker in workers {
        latencies.extend(worker.join().map_err(|_| anyhow!("a client thread panicked"))??);
    }
    latencies.sort_unstable();
    let (binds, elapsed, cpu) = counted.context("a client thread ended before it began")??;
    Ok(Measured {
        binds,
        elapsed,
        cpu,
        latencies,
    })
}

fn work(
    load: &Load,
    thread: usize,
    threads: usize,
    shared: &Arc<Shared>,
    connected: mpsc::Sender<()>,
) -> anyhow::Result<Vec<Duration>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connections = Vec::new();
        for number in (thread..load.connections).step_by(threads) {
            connections.push((number, Connection::open(&load.target).await?));
        }
        // Nobody waits for it any more when another thread has failed.
        let _ = connected.send(());
        drop(connected);
        let mut busy = JoinSet::new();
        for (number, connection) in connections {
            busy.spawn(keep_busy(connection, load.clone(), number, shared.clone()));
        }
        let mut latencies = Vec::new();
        while let Some(ended) = busy.join_next().await {
            latencies.extend(ended??);
        }
        Ok(latencies)
    })
}

async fn keep_busy(
    mut connection: Connection,
    load: Load,
    number: usize,
    shared: Arc<Shared>,
) -> anyhow::Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    let mine = load
        .binds
        .iter()
        .cycle()
        .skip(number % load.binds.len())
        .step_by(load.connections);
    for bind in mine {
        if shared.stop.load(Ordering::Relaxed) {
            break;
        }
        let sent = Instant::now();
        connection.bind(bind, SUCCESS).await?;
        latencies.push(sent.elapsed());
        shared.binds.fetch_add(1, Ordering::Relaxed);
    }
    Ok(latencies)
}
