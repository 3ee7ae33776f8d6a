//! The limit of binds at once at a controller: who comes too many waits, in order.
//!
//! Whoever is inside holds a [`Pass`], which lets the next one in when it is dropped. The limit may change at any
//! time; those inside stay.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

/// One controller's gate; open to all until a limit is set.
#[derive(Debug, Default)]
pub struct Gate {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    limit: Option<usize>,
    inside: usize,
    waiting: VecDeque<oneshot::Sender<Pass>>,
}

/// Somebody's place inside.
#[derive(Debug)]
#[must_use]
pub struct Pass(Arc<Gate>);

impl Drop for Pass {
    fn drop(&mut self) {
        self.0.lock().inside -= 1;
        self.0.admit();
    }
}

impl Gate {
    /// How many may be inside from now on; all when `None`.
    pub fn set_limit(self: &Arc<Self>, limit: Option<usize>) {
        self.lock().limit = limit;
        self.admit();
    }

    /// Enters when it is one's turn.
    pub async fn enter(self: &Arc<Self>) -> Pass {
        loop {
            let (pass, passed) = oneshot::channel();
            self.lock().waiting.push_back(pass);
            self.admit();
            // The gate keeps the other end until it sends.
            if let Ok(pass) = passed.await {
                return pass;
            }
        }
    }

    /// Lets in whoever may enter.
    fn admit(self: &Arc<Self>) {
        loop {
            let next = {
                let mut state = self.lock();
                if state.limit.is_some_and(|limit| state.inside >= limit) {
                    return;
                }
                let Some(next) = state.waiting.pop_front() else { return };
                if next.is_closed() {
                    continue;
                }
                state.inside += 1;
                next
            };
            // Whoever went away in this very moment gives the pass back: dropped, it lets in the one behind.
            drop(next.send(Pass(self.clone())));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // Numbers and a queue, changed in single steps: a panic elsewhere cannot have left them half-written.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn who_comes_too_many_waits_and_enters_in_order() {
        let gate = Arc::new(Gate::default());
        gate.set_limit(Some(2));
        let (first, second) = (gate.enter().await, gate.enter().await);
        let (mut third, mut fourth) = (Box::pin(gate.enter()), Box::pin(gate.enter()));
        assert!((&mut third).now_or_never().is_none());
        assert!((&mut fourth).now_or_never().is_none());
        drop(second);
        assert!((&mut fourth).now_or_never().is_none(), "the third came before");
        let third = third.await;
        drop(first);
        let fourth = fourth.await;
        drop((third, fourth));
        assert_eq!(gate.lock().inside, 0);
    }

    #[tokio::test]
    async fn who_goes_away_while_waiting_takes_no_place() {
        let gate = Arc::new(Gate::default());
        gate.set_limit(Some(1));
        let inside = gate.enter().await;
        let (mut gone, mut too_late, mut waits) =
            (Box::pin(gate.enter()), Box::pin(gate.enter()), Box::pin(gate.enter()));
        assert!((&mut gone).now_or_never().is_none());
        assert!((&mut too_late).now_or_never().is_none());
        assert!((&mut waits).now_or_never().is_none());
        drop(gone);
        drop(inside);
        // It was given the pass and never took it.
        drop(too_late);
        drop(waits.now_or_never().expect("a place"));
        assert_eq!(gate.lock().inside, 0);
    }

    #[tokio::test]
    async fn a_limit_that_is_lifted_lets_everybody_in_at_once() {
        let gate = Arc::new(Gate::default());
        gate.set_limit(Some(1));
        let inside = gate.enter().await;
        let mut waits = Box::pin(gate.enter());
        assert!((&mut waits).now_or_never().is_none());
        gate.set_limit(None);
        let entered = waits.now_or_never().expect("a place");
        gate.set_limit(Some(1));
        drop(inside);
        assert!(gate.enter().now_or_never().is_none(), "one is still inside");
        drop(entered);
        drop(gate.enter().now_or_never().expect("a place"));
    }

    /// However many come, and however they go, there are never more inside than the limit.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_limit_is_exact_under_load() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let gate = Arc::new(Gate::default());
        gate.set_limit(Some(3));
        let inside = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..200 {
            let (gate, inside, most) = (gate.clone(), inside.clone(), most.clone());
            tasks.spawn(async move {
                let pass = gate.enter().await;
                most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                inside.fetch_sub(1, Ordering::SeqCst);
                drop(pass);
            });
        }
        tasks.join_all().await;
        assert_eq!(most.load(Ordering::SeqCst), 3);
        assert_eq!(gate.lock().inside, 0);
    }
}
