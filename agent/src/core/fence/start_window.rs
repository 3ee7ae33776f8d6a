//! May this bind still be started? By the relay's clock, as well as this session knows it.
//!
//! The relay gives every sign-in a moment of its own clock after which it may hand the sign-in to another agent. A
//! bind is started only if that moment is certainly not reached: at the latest that the relay's clock can show now.
//! A process that was frozen, suspended or starved knows nothing of the time that passed for the others: its samples
//! are dropped, and what it had received before is not started.

use std::time::Duration;

use postern_protocol::relay_time::ClockSamples;
use postern_protocol::{Moment, NotStarted};

/// A gap between two ticks that a healthy process does not have; ticks come every [`TICK`].
const LONGEST_GAP: Duration = Duration::from_millis(250);

/// How often [`Fence::tick`](super::Fence::tick) wants to be called: four late ones in a row are still no gap.
pub const TICK: Duration = Duration::from_millis(50);

/// What one session knows of its relay's clock.
#[derive(Debug)]
pub(super) struct StartWindow {
    samples: ClockSamples,
    last_tick: Moment,
    /// The end of the last gap: what was received until then is not started.
    resumed: Option<Moment>,
    /// A gap that [`StartWindow::tick`] has not told of yet.
    untold: bool,
}

impl StartWindow {
    /// A session that began at `now` (local time).
    pub(super) fn new(now: Moment) -> Self {
        Self {
            samples: ClockSamples::default(),
            last_tick: now,
            resumed: None,
            untold: false,
        }
    }

    /// Time passes. True when there was a gap since the last call, whoever noticed it: the relay's clock must be asked
    /// again.
    pub(super) fn tick(&mut self, now: Moment) -> bool {
        self.pass(now);
        std::mem::take(&mut self.untold)
    }

    fn pass(&mut self, now: Moment) {
        if now.since(self.last_tick) > LONGEST_GAP {
            self.samples.clear();
            self.resumed = Some(now);
            self.untold = true;
        }
        self.last_tick = self.last_tick.max(now);
    }

    /// A ping sent at `sent` was answered at `received`; the relay's clock showed `relay`.
    pub(super) fn record(&mut self, sent: Moment, received: Moment, relay: Moment) {
        self.samples.record(sent, received, relay);
    }

    /// How long it certainly is until `start_by`. Nothing where the relay's time is not known: what is judged then will
    /// not start.
    pub(super) fn time_left(&self, now: Moment, start_by: Moment) -> Duration {
        self.samples
            .latest_relay_time(now)
            .map_or(Duration::ZERO, |latest| start_by.since(latest))
    }

    /// Whether a bind for a request received at `received` may be started at `now`, before the relay's `start_by`:
    /// `NoClock` when the relay's time is not known, `WindowPassed` when the window is past, or may be.
    pub(super) fn judge(&mut self, now: Moment, received: Moment, start_by: Moment) -> Result<(), NotStarted> {
        // After a freeze this may run before the ticker does.
        self.pass(now);
        if self.resumed.is_some_and(|resumed| received <= resumed) {
            return Err(NotStarted::NoClock);
        }
        match self.samples.latest_relay_time(now) {
            None => Err(NotStarted::NoClock),
            Some(latest) if latest < start_by => Ok(()),
            Some(_) => Err(NotStarted::WindowPassed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: u64 = 1_000;

    /// A window whose relay is exactly 5 s ahead, sampled at 1 ms with a round trip of 2 ms.
    fn sampled() -> StartWindow {
        let mut window = StartWindow::new(Moment(0));
        window.record(Moment(0), Moment(2 * MS), Moment(5_001 * MS));
        window
    }

    #[test]
    fn a_bind_starts_only_before_the_window_ends_with_the_error_counted_in() {
        let now = Moment(10 * MS);
        // The relay shows 5,010 ms; the error is just over half the round trip.
        assert_eq!(sampled().judge(now, Moment(9 * MS), Moment(5_012 * MS)), Ok(()));
        assert_eq!(
            sampled().judge(now, Moment(9 * MS), Moment(5_011 * MS)),
            Err(NotStarted::WindowPassed)
        );
        assert_eq!(
            sampled().judge(now, Moment(9 * MS), Moment(0)),
            Err(NotStarted::WindowPassed)
        );
    }

    #[test]
    fn the_time_left_is_counted_from_the_latest_that_the_relay_can_show() {
        let now = Moment(10 * MS);
        let left = sampled().time_left(now, Moment(5_100 * MS));
        assert!(
            left < Duration::from_millis(90) && left > Duration::from_millis(88),
            "{left:?}"
        );
        assert_eq!(sampled().time_left(now, Moment(5_011 * MS)), Duration::ZERO);
        assert_eq!(
            StartWindow::new(Moment(0)).time_left(now, Moment(u64::MAX)),
            Duration::ZERO
        );
    }

    #[test]
    fn without_a_sample_nothing_starts() {
        let mut window = StartWindow::new(Moment(0));
        assert_eq!(
            window.judge(Moment(1), Moment(1), Moment(u64::MAX)),
            Err(NotStarted::NoClock)
        );
    }

    #[test]
    fn a_gap_drops_the_samples_and_everything_received_before_it() {
        let mut window = sampled();
        assert!(!window.tick(Moment(250 * MS)));
        let resumed = Moment(501 * MS);
        assert!(window.tick(resumed));
        assert_eq!(
            window.judge(resumed, Moment(502 * MS), Moment(u64::MAX)),
            Err(NotStarted::NoClock)
        );
        window.record(resumed, resumed + Duration::from_millis(2), Moment(5_502 * MS));
        let now = Moment(510 * MS);
        assert_eq!(
            window.judge(now, Moment(400 * MS), Moment(u64::MAX)),
            Err(NotStarted::NoClock)
        );
        assert_eq!(window.judge(now, resumed, Moment(u64::MAX)), Err(NotStarted::NoClock));
        assert_eq!(window.judge(now, Moment(505 * MS), Moment(u64::MAX)), Ok(()));
    }

    #[test]
    fn a_gap_is_noticed_by_the_sign_in_itself_when_it_runs_before_the_ticker() {
        let mut window = sampled();
        let received = Moment(10 * MS);
        assert_eq!(
            window.judge(Moment(300 * MS), received, Moment(u64::MAX)),
            Err(NotStarted::NoClock)
        );
        // The ticker hears of it all the same, once, and asks for new samples at once.
        assert!(window.tick(Moment(301 * MS)));
        assert!(!window.tick(Moment(302 * MS)));
    }

    proptest! {
        /// Whatever the delays of the ping and the true offset: what starts, starts before the relay's own clock
        /// shows `start_by`.
        #[test]
        fn nothing_starts_after_the_relay_gave_up(
            offset in 0u64..1_000_000_000,
            there in 0u64..100_000,
            back in 0u64..100_000,
            wait in 0u64..200_000,
            window in 0u64..500_000,
        ) {
            let mut session = StartWindow::new(Moment(0));
            let pong = there + back;
            session.tick(Moment(pong));
            session.record(Moment(0), Moment(pong), Moment(offset + there));
            let now = pong + wait;
            let start_by = offset + window;
            if session.judge(Moment(now), Moment(now), Moment(start_by)).is_ok() {
                prop_assert!(offset + now < start_by);
            }
        }
    }
}
