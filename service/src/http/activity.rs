//! What one HTTP connection is doing, and since when: the clock behind the header, answer and idle deadlines, and what
//! an orderly end has to know.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Shared by the stream (bytes arrive and go), the service (requests begin and end), the answers of HTTP/2 and the
/// watcher of the deadlines.
pub(super) struct Activity {
    header_timeout: Duration,
    answer_timeout: Duration,
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
    /// Since when the client takes nothing of what is written: until when it must.
    stalled: Option<Instant>,
    /// Answers of HTTP/2 on their way, and until when the client must take a part of each.
    answers: BTreeMap<u64, Instant>,
    next_answer: u64,
}

/// Held while a request is being answered.
pub(super) struct RequestGuard(Arc<Activity>);

/// Held by an answer of HTTP/2 until it is sent.
pub(super) struct AnswerGuard {
    number: u64,
    request: RequestGuard,
}

impl Activity {
    pub(super) fn new(header_timeout: Duration, answer_timeout: Duration, idle_timeout: Duration) -> Self {
        let deadline = Some(Instant::now() + header_timeout);
        let state = State {
            http2: false,
            open: 0,
            deadline,
            first: true,
            in_header: false,
            stalled: None,
            answers: BTreeMap::new(),
            next_answer: 0,
        };
        Self {
            header_timeout,
            answer_timeout,
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

    /// What the client has not taken yet leaves no room for more.
    pub(super) fn write_waits(&self) {
        let mut state = self.lock();
        if state.stalled.is_none() {
            state.stalled = Some(Instant::now() + self.answer_timeout);
            self.changed.notify_one();
        }
    }

    /// The client took something.
    pub(super) fn write_moves(&self) {
        self.lock().stalled = None;
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
            let deadline = self.lock().first_deadline();
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

impl State {
    fn first_deadline(&self) -> Option<Instant> {
        let answers = self.answers.values().copied();
        answers.chain(self.deadline).chain(self.stalled).min()
    }
}

impl RequestGuard {
    /// The request is answered; the answer is still to go.
    pub(super) fn answered(self) -> AnswerGuard {
        let mut state = self.0.lock();
        let number = state.next_answer;
        state.next_answer += 1;
        drop(state);
        let guard = AnswerGuard { number, request: self };
        guard.moves();
        guard
    }
}

impl AnswerGuard {
    /// A part of the answer goes: there is time for the next.
    pub(super) fn moves(&self) {
        let activity = &self.request.0;
        let until = Instant::now() + activity.answer_timeout;
        activity.lock().answers.insert(self.number, until);
        activity.changed.notify_one();
    }
}

impl Drop for AnswerGuard {
    fn drop(&mut self) {
        self.request.0.lock().answers.remove(&self.number);
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
    const ANSWER: Duration = Duration::from_secs(30);
    const IDLE: Duration = Duration::from_secs(75);

    fn activity() -> Arc<Activity> {
        Arc::new(Activity::new(HEADER, ANSWER, IDLE))
    }

    async fn overdue_after(activity: &Activity) -> Duration {
        let from = Instant::now();
        activity.overdue().await;
        from.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_a_first_request_ends_after_the_header_timeout() {
        let activity = activity();
        assert_eq!(overdue_after(&activity).await, HEADER);
    }

    #[tokio::test(start_paused = true)]
    async fn a_first_header_that_dribbles_in_has_the_header_timeout_from_the_start() {
        let activity = activity();
        assert!(!activity.in_header());
        tokio::time::advance(Duration::from_secs(1)).await;
        activity.bytes_arrive();
        assert!(activity.in_header());
        assert_eq!(overdue_after(&activity).await, HEADER - Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_header_that_dribbles_in_has_the_header_timeout_not_the_idle_one() {
        let activity = activity();
        drop(activity.request_begins(false));
        tokio::time::advance(Duration::from_secs(60)).await;
        activity.bytes_arrive();
        tokio::time::advance(Duration::from_secs(1)).await;
        activity.bytes_arrive();
        assert_eq!(overdue_after(&activity).await, HEADER - Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_in_work_has_no_deadline_and_an_idle_connection_has_the_idle_one() {
        let activity = activity();
        let guard = activity.request_begins(false);
        assert!(
            tokio::time::timeout(Duration::from_secs(3600), activity.overdue())
                .await
                .is_err()
        );
        drop(guard);
        assert_eq!(overdue_after(&activity).await, IDLE);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_has_the_answer_timeout_from_its_last_part_however_many_others_move() {
        let activity = activity();
        let (stuck, moving) = (
            activity.request_begins(true).answered(),
            activity.request_begins(true).answered(),
        );
        tokio::time::advance(Duration::from_secs(10)).await;
        moving.moves();
        assert_eq!(overdue_after(&activity).await, ANSWER - Duration::from_secs(10));
        drop(stuck);
        assert_eq!(overdue_after(&activity).await, Duration::from_secs(10));
        drop(moving);
        assert_eq!(overdue_after(&activity).await, IDLE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_has_the_answer_timeout_and_one_that_takes_something_has_it_anew() {
        let activity = activity();
        let _in_work = activity.request_begins(false);
        activity.write_waits();
        tokio::time::advance(Duration::from_secs(10)).await;
        activity.write_waits();
        assert_eq!(overdue_after(&activity).await, ANSWER - Duration::from_secs(10));
        activity.write_moves();
        activity.write_waits();
        assert_eq!(overdue_after(&activity).await, ANSWER);
    }
}
