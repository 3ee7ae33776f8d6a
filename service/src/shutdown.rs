//! How a process ends: a soft *drain* that finishes what was taken, then a hard *stop*.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// The two tokens of an orderly end. Cheap to clone; every clone sees the same two events.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Take nothing new, finish what was taken, say goodbye.
    pub drain: CancellationToken,
    /// Drop everything now. Implies `drain`.
    pub stop: CancellationToken,
}

impl Shutdown {
    /// Tokens that nothing has cancelled yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for both at once.
    pub fn stop_now(&self) {
        self.drain.cancel();
        self.stop.cancel();
    }

    /// Turns SIGTERM and SIGINT into a drain, a second one or `grace` later into a stop. Never returns by itself.
    ///
    /// # Errors
    /// When the signal handlers cannot be installed.
    pub async fn watch_signals(self, grace: Duration) -> std::io::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let name = next_signal(&mut terminate, &mut interrupt).await;
        tracing::info!(
            signal = name,
            grace_s = grace.as_secs(),
            "draining; a second signal ends at once"
        );
        self.drain.cancel();
        tokio::select! {
            biased;
            name = next_signal(&mut terminate, &mut interrupt) => tracing::warn!(signal = name, "stopping at once"),
            () = tokio::time::sleep(grace) => tracing::warn!(grace_s = grace.as_secs(), "grace period over, stopping"),
        }
        self.stop.cancel();
        std::future::pending().await
    }
}

async fn next_signal(
    terminate: &mut tokio::signal::unix::Signal,
    interrupt: &mut tokio::signal::unix::Signal,
) -> &'static str {
    tokio::select! {
        biased;
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
