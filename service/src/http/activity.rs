//! What one HTTP connection is doing, and since when: the clock behind the header and idle deadlines, and what an
//! orderly end has to know.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Shared by the stream (bytes arrive), the service (requests begin and end) and the watcher of the deadline.
pub(super) struct Activity {
    header_timeout: Duration,
    idle_timeout: Duration,
    state: Mutex<State>,
    changed: Notify,
    http2_request: CancellationToken,
}

struct State {
    http2: bool,
    open: u32,
    deadline: Option<Instant>,
    /// No request has come yet: the deadline runs from accepting.
    first: bool,
    /// Some bytes of a request have come, and not yet all of its header.
    in_header: bool,
}

/// Held while a request is being answered.
pub(super) struct RequestGuard(Arc<Activity>);

impl Activity {
    pub(super) fn new(header_timeout: Duration, idle_timeout: Duration) -> Self {
        let deadline = Some(Instant::now() + header_timeout);
        let state = State {
            http2: false,
            open: 0,
            deadline,
            first: true,
            in_header: false,
        };
        Self {
            header_timeout,
            idle_timeout,
            state: Mutex::new(state),
            changed: Notify::new(),
            http2_request: CancellationToken::new(),
        }
    }

    /// Bytes came in; between requests of HTTP/1.1 they begin a header. (HTTP/2 has frames that are no request.)
    pub(super) fn bytes_arrive(&self) {
        let mut state = self.lock();
        if state.open == 0 && !state.in_header && !state.http2 {
            state.in_header = true;
            if !state.first {
                state.deadline = Some(Instant::now() + self.header_timeout);
                self.changed.notify_one();
            }
        }
    }

    /// A header is complete.
    pub(super) fn request_begins(self: &Arc<Self>, http2: bool) -> RequestGuard {
        let mut state = self.lock();
        state.open += 1;
        state.http2 = http2;
        state.first = false;
        state.in_header = false;
        state.deadline = None;
        self.changed.notify_one();
        drop(state);
        if http2 {
            self.http2_request.cancel();
        }
        RequestGuard(self.clone())
    }

    /// Returns once a request of HTTP/2 has come.
    pub(super) async fn http2_request(&self) {
        self.http2_request.cancelled().await;
    }

    /// Whether a request is on its way in: its first bytes are here, the end of its header is not.
    pub(super) fn in_header(&self) -> bool {
        self.lock().in_header
    }

    /// Returns when the client has kept the connection waiting for too long.
    pub(super) async fn overdue(&self) {
        loop {
            let deadline = self.lock().deadline;
            match deadline {
                Some(deadline) if deadline <= Instant::now() => return,
                Some(deadline) => {
                    tokio::select! {
                        biased;
                        () = self.changed.notified() => {}
                        () = tokio::time::sleep_until(deadline) => {}
                    }
                }
                None => self.changed.notified().await,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every statement leaves the state whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.open = state.open.saturating_sub(1);
        if state.open == 0 {
            state.deadline = Some(Instant::now() + self.0.idle_timeout);
            self.0.changed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Duration = Duration::from_secs(5);
    const IDLE: Duration = Duration::from_secs(75);

    async fn overdue_after(activity: &Activity) -> Duration {
        let from = Instant::now();
        activity.overdue().await;
        from.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_a_first_request_ends_after_the_header_timeout() {
        let activity = Arc::new(Activity::new(HEADER, IDLE));
        assert_eq!(overdue_after(&activity).await, HEADER);
    }

    #[tokio::test(start_paused = true)]
    async fn a_first_header_that_dribbles_in_has_the_header_timeout_from_the_start() {
        let activity = Arc::new(Activity::new(HEADER, IDLE));
        assert!(!activity.in_header());
        tokio::time::advance(Duration::from_secs(1)).await;
        activity.bytes_arrive();
        assert!(activity.in_header());
        assert_eq!(overdue_after(&activity).await, HEADER - Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_header_that_dribbles_in_has_the_header_timeout_not_the_idle_one() {
        let activity = Arc::new(Activity::new(HEADER, IDLE));
        drop(activity.request_begins(false));
        tokio::time::advance(Duration::from_secs(60)).await;
        activity.bytes_arrive();
        tokio::time::advance(Duration::from_secs(1)).await;
        activity.bytes_arrive();
        assert_eq!(overdue_after(&activity).await, HEADER - Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_in_work_has_no_deadline_and_an_idle_connection_has_the_idle_one() {
        let activity = Arc::new(Activity::new(HEADER, IDLE));
        let guard = activity.request_begins(false);
        assert!(
            tokio::time::timeout(Duration::from_secs(3600), activity.overdue())
                .await
                .is_err()
        );
        drop(guard);
        assert_eq!(overdue_after(&activity).await, IDLE);
    }
}
