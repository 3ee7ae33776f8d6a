//! The one gate before a bind: may this sign-in's bind be started now?
//!
//! A [`Fence`] has what one session knows of its relay: the clock, what was cancelled, whether it is there at all. The
//! [`Replays`] are the marks of all sessions together. [`Fence::start`] judges and marks in one step and gives a
//! [`Permit`], which nobody else can make and without which the directory makes no bind: so a bind cannot be started
//! before the mark, nor be judged and started later. Must never start one for an id that was started before, that the
//! relay cancelled, or whose window may have passed by the relay's clock; in doubt it says that nothing was started.

mod cancelled;
mod replay;
mod start_window;

use std::time::Duration;

use postern_protocol::{Moment, NotStarted, RequestId};

use cancelled::Cancelled;
pub use replay::Replays;
use start_window::StartWindow;
pub use start_window::TICK;

/// One request, as far as it concerns the fence.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    /// The sign-in's id.
    pub id: RequestId,
    /// When its stream was accepted, by the local clock.
    pub received: Moment,
    /// The relay's own moment before which the bind must begin.
    pub start_by: Moment,
}

/// Leave to make one bind, at once.
#[derive(Debug)]
#[must_use = "the id is marked, so the bind must be made or the mark taken back"]
pub struct Permit(());

/// What one session knows of its relay.
#[derive(Debug)]
pub struct Fence {
    window: StartWindow,
    cancelled: Cancelled,
    over: bool,
}

impl Fence {
    /// A session that began at `now`. All moments but `start_by` and the relay's own are of the local clock, which
    /// must go on while the machine is suspended (CLOCK_BOOTTIME).
    pub fn new(now: Moment) -> Self {
        Self {
            window: StartWindow::new(now),
            cancelled: Cancelled::default(),
            over: false,
        }
    }

    /// Time passes; to be called every [`TICK`]. True when there was a gap since the last call, whoever noticed it: the
    /// process stood still, and the relay's clock must be asked again.
    pub fn tick(&mut self, now: Moment) -> bool {
        self.window.tick(now)
    }

    /// A ping sent at `sent` was answered at `received`; the relay's clock showed `relay`.
    pub fn record(&mut self, sent: Moment, received: Moment, relay: Moment) {
        self.window.record(sent, received, relay);
    }

    /// The relay no longer waits for the attempts of `id` that must begin by `start_by`, or sooner; for none, where that
    /// is not said. Their requests may still be on their way.
    pub fn cancel(&mut self, id: RequestId, start_by: Option<Moment>) {
        self.cancelled.insert(id, start_by.unwrap_or(Moment(u64::MAX)));
    }

    /// The connection is lost. Nobody would hear a verdict, and the relay may be asking another agent already.
    pub fn end(&mut self) {
        self.over = true;
    }

    /// How long it certainly is until `start_by`. Nothing where the relay's time is not known: what is judged then will
    /// not start.
    pub fn time_left(&self, now: Moment, start_by: Moment) -> Duration {
        self.window.time_left(now, start_by)
    }

    /// Whether a bind might be started at `now`: for work that comes before it and would be in vain. Gives no leave.
    ///
    /// # Errors
    /// Why not: `Cancelled`, `NoClock` or `WindowPassed`.
    pub fn may_start(&mut self, now: Moment, attempt: &Attempt) -> Result<(), NotStarted> {
        if self.over || self.cancelled.contains(attempt.id, attempt.start_by) {
            return Err(NotStarted::Cancelled);
        }
        self.window.judge(now, attempt.received, attempt.start_by)
    }

    /// Judges and marks in one step; to be called with an idle connection in hand. The mark stays for `keep`, which must
    /// reach beyond the sign-in's expiry.
    ///
    /// # Errors
    /// As [`Fence::may_start`]; `Replayed` where a bind was started for this id before; `Busy` where no other id can be
    /// remembered. Then no mark was made.
    pub fn start(
        &mut self,
        now: Moment,
        attempt: &Attempt,
        keep: Duration,
        marks: &mut Replays,
    ) -> Result<Permit, NotStarted> {
        self.may_start(now, attempt)?;
        marks.start(now, attempt.id, keep)?;
        Ok(Permit(()))
    }

    /// The same sign-in at another domain controller, after one that did not check the password. The mark is there; all
    /// else is judged again, since time has passed.
    ///
    /// # Errors
    /// As [`Fence::may_start`]; `Other` where [`Fence::start`] made no mark.
    pub fn start_again(&mut self, now: Moment, attempt: &Attempt, marks: &Replays) -> Result<Permit, NotStarted> {
        self.may_start(now, attempt)?;
        if marks.contains(attempt.id) {
            Ok(Permit(()))
        } else {
            Err(NotStarted::Other)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: Duration = Duration::from_secs(60);
    const NOW: Moment = Moment(10_000);

    /// A session whose relay's clock is its own, to the half of a round trip of 2 ms.
    fn fence() -> Fence {
        let mut fence = Fence::new(Moment(0));
        fence.record(Moment(0), Moment(2_000), Moment(1_000));
        fence
    }

    fn attempt(id: u8) -> Attempt {
        Attempt {
            id: RequestId([id; 16]),
            received: Moment(9_000),
            start_by: Moment(100_000),
        }
    }

    #[test]
    fn what_is_not_started_leaves_no_mark() {
        let mut marks = Replays::new(8);
        let late = Attempt {
            start_by: NOW,
            ..attempt(1)
        };
        assert_eq!(
            fence().start(NOW, &late, KEEP, &mut marks).unwrap_err(),
            NotStarted::WindowPassed
        );
        let mut unsampled = Fence::new(Moment(0));
        assert_eq!(
            unsampled.start(NOW, &attempt(1), KEEP, &mut marks).unwrap_err(),
            NotStarted::NoClock
        );
        let mut cancelled = fence();
        cancelled.cancel(attempt(1).id, Some(attempt(1).start_by));
        assert_eq!(
            cancelled.start(NOW, &attempt(1), KEEP, &mut marks).unwrap_err(),
            NotStarted::Cancelled
        );
        let mut over = fence();
        over.end();
        assert_eq!(
            over.start(NOW, &attempt(1), KEEP, &mut marks).unwrap_err(),
            NotStarted::Cancelled
        );
        assert!(!marks.contains(attempt(1).id));
        assert!(fence().start(NOW, &attempt(1), KEEP, &mut marks).is_ok());
    }

    #[test]
    fn a_cancelled_sign_in_that_is_sent_again_is_another_attempt() {
        let again = Attempt {
            start_by: Moment(100_001),
            ..attempt(1)
        };
        let mut marks = Replays::new(8);
        let mut fence = fence();
        fence.cancel(attempt(1).id, Some(attempt(1).start_by));
        assert!(fence.start(NOW, &attempt(1), KEEP, &mut marks).is_err());
        assert!(fence.may_start(NOW, &again).is_ok());
        // Whichever was said last, the later attempt is meant; and all of them by a relay that names none.
        fence.cancel(again.id, Some(again.start_by));
        fence.cancel(again.id, Some(attempt(1).start_by));
        assert_eq!(fence.may_start(NOW, &again), Err(NotStarted::Cancelled));
        fence.cancel(attempt(2).id, None);
        assert_eq!(fence.may_start(NOW, &attempt(2)), Err(NotStarted::Cancelled));
    }

    #[test]
    fn of_two_sessions_one_starts_an_id() {
        let mut marks = Replays::new(8);
        assert!(fence().start(NOW, &attempt(1), KEEP, &mut marks).is_ok());
        assert_eq!(
            fence().start(NOW, &attempt(1), KEEP, &mut marks).unwrap_err(),
            NotStarted::Replayed
        );
        assert!(fence().start(NOW, &attempt(2), KEEP, &mut marks).is_ok());
    }

    #[test]
    fn when_no_other_id_can_be_remembered_nothing_is_started() {
        let mut marks = Replays::new(0);
        assert_eq!(
            fence().start(NOW, &attempt(1), KEEP, &mut marks).unwrap_err(),
            NotStarted::Busy
        );
    }

    #[test]
    fn another_domain_controller_is_asked_only_under_the_mark_and_in_time() {
        let (mut fence, mut marks) = (fence(), Replays::new(8));
        assert_eq!(
            fence.start_again(NOW, &attempt(1), &marks).unwrap_err(),
            NotStarted::Other
        );
        assert!(fence.start(NOW, &attempt(1), KEEP, &mut marks).is_ok());
        assert!(fence.start_again(NOW, &attempt(1), &marks).is_ok());
        let late = Moment(99_000);
        assert_eq!(
            fence.start_again(late, &attempt(1), &marks).unwrap_err(),
            NotStarted::WindowPassed
        );
        fence.cancel(attempt(1).id, None);
        assert_eq!(
            fence.start_again(NOW, &attempt(1), &marks).unwrap_err(),
            NotStarted::Cancelled
        );
    }
}
