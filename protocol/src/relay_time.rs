//! Time as values, and how an agent reads the relay's clock from pings.
//!
//! Nothing here asks a clock: moments are passed in. An agent must not start a bind after the relay has given up on
//! it, so it needs the relay's time with a bound on the error; wall clocks are not good enough for that, and need
//! not be right.

use std::collections::VecDeque;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A reading of one monotonic clock, in microseconds since an origin that only that clock knows. Moments of two
/// clocks cannot be compared; [`ClockSamples`] translates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, minicbor::Encode, minicbor::Decode)]
#[cbor(transparent)]
pub struct Moment(#[n(0)] pub u64);

impl Moment {
    /// The time from `earlier` to here, zero if it is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(micros(duration)))
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;
    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(micros(duration)))
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// A sample older than this is not used: the clocks have drifted, or the path has changed.
pub const SAMPLE_LIFE: Duration = Duration::from_secs(30);

/// How far two clocks may drift apart, in parts per million. Quartz stays below 100 over its temperature range; both
/// ends may err.
const DRIFT_PPM: u64 = 200;

/// One ping that was answered.
#[derive(Debug, Clone, Copy)]
struct Sample {
    /// Local time at which the answer came.
    taken: Moment,
    round_trip: Duration,
    /// Relay time less local time, in microseconds, if both ways took equally long.
    offset: i128,
}

impl Sample {
    /// By how much the relay's time may differ from what this sample says, at local time `now`. The clocks drift from when
    /// the ping was sent: the relay may have read its own at once, however late the answer was read here.
    fn error(&self, now: Moment) -> Duration {
        let drifting = now.since(self.taken) + self.round_trip;
        let drift = micros(drifting).saturating_mul(DRIFT_PPM).div_ceil(1_000_000);
        // Moments are whole microseconds, and the drift is relative to a clock that drifts itself.
        self.round_trip / 2 + Duration::from_micros(drift + 2)
    }

    /// Whether both can be right: at the time of the later one, `newer`, what they say of the relay's time overlaps.
    fn agrees(&self, newer: &Self) -> bool {
        let errors = self.error(newer.taken) + newer.error(newer.taken);
        self.offset.abs_diff(newer.offset) <= u128::from(micros(errors))
    }
}

/// The recent pings of one session, kept so that the one with the least round-trip time is at hand.
#[derive(Debug, Default)]
pub struct ClockSamples {
    /// By time taken; round-trip times increase, since an older and slower sample is never of use again.
    samples: VecDeque<Sample>,
}

impl ClockSamples {
    /// Notes a ping sent at `sent` and answered at `received` (local time), with the relay's own time in the answer.
    pub fn record(&mut self, sent: Moment, received: Moment, relay: Moment) {
        let middle = (i128::from(sent.0) + i128::from(received.0)) / 2;
        let sample = Sample {
            taken: received,
            round_trip: received.since(sent),
            offset: i128::from(relay.0) - middle,
        };
        self.expire(received);
        // One of the clocks stood still or was moved, as those of virtual machines are: the latest is right.
        self.samples.retain(|kept| kept.agrees(&sample));
        while self
            .samples
            .back()
            .is_some_and(|last| last.round_trip >= sample.round_trip)
        {
            self.samples.pop_back();
        }
        self.samples.push_back(sample);
    }

    /// Forgets everything: after a gap in local time no sample can be trusted.
    pub fn clear(&mut self) {
        self.samples.clear();
    }

    /// The latest that the relay's clock can show at local time `now`, or `None` without a fresh sample.
    pub fn latest_relay_time(&self, now: Moment) -> Option<Moment> {
        let best = self
            .samples
            .iter()
            .find(|sample| now.since(sample.taken) <= SAMPLE_LIFE)?;
        let error = i128::from(micros(best.error(now)));
        let relay = i128::from(now.0) + best.offset + error;
        Some(Moment(u64::try_from(relay.max(0)).unwrap_or(u64::MAX)))
    }

    /// The bound on the error of [`ClockSamples::latest_relay_time`] at `now`.
    pub fn error(&self, now: Moment) -> Option<Duration> {
        let best = self
            .samples
            .iter()
            .find(|sample| now.since(sample.taken) <= SAMPLE_LIFE)?;
        Some(best.error(now))
    }

    fn expire(&mut self, now: Moment) {
        while self
            .samples
            .front()
            .is_some_and(|oldest| now.since(oldest.taken) > SAMPLE_LIFE)
        {
            self.samples.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn without_a_fresh_sample_there_is_no_relay_time() {
        let mut samples = ClockSamples::default();
        assert_eq!(samples.latest_relay_time(Moment(5)), None);
        samples.record(Moment(0), Moment(1_000), Moment(7_000_500));
        assert!(samples.latest_relay_time(Moment(1_000) + SAMPLE_LIFE).is_some());
        assert_eq!(samples.latest_relay_time(Moment(1_001) + SAMPLE_LIFE), None);
    }

    #[test]
    fn the_sample_with_the_least_round_trip_is_used_until_it_is_old() {
        let mut samples = ClockSamples::default();
        let second = Duration::from_secs(1);
        samples.record(Moment(0), Moment(1_000), Moment(500));
        samples.record(Moment(0) + second, Moment(80_000) + second, Moment(79_000) + second);
        assert!(samples.error(Moment(0) + second * 2).unwrap() < Duration::from_millis(2));
        assert!(samples.error(Moment(0) + second * 31).unwrap() >= Duration::from_millis(40));
    }

    #[test]
    fn a_sample_that_a_later_one_shows_to_be_wrong_is_forgotten_however_good_it_was() {
        let second = Duration::from_secs(1);
        // Either way: the relay's clock stood still for a second, or this one did.
        for (before, after) in [(2, 1), (1, 2)] {
            let mut samples = ClockSamples::default();
            samples.record(Moment(0), Moment(1_000), Moment(500) + second * before);
            let now = Moment(1_000_000);
            samples.record(
                now,
                now + Duration::from_millis(80),
                now + Duration::from_millis(40) + second * after,
            );
            let latest = samples.latest_relay_time(now).unwrap();
            let truth = now + second * after;
            assert!(
                (truth..truth + Duration::from_millis(41)).contains(&latest),
                "{latest:?}"
            );
        }
    }

    #[test]
    fn an_answer_that_was_read_late_has_drifted_all_the_while() {
        // The relay's clock is the faster by 200 ppm, and read its time 50 µs after the ping was sent. The agent was frozen.
        let relay_at = |local: u64| Moment(local + local / 5_000);
        let mut samples = ClockSamples::default();
        let read = 5_000_000;
        samples.record(Moment(0), Moment(read), relay_at(50));
        assert!(samples.latest_relay_time(Moment(read)).unwrap() >= relay_at(read));
    }

    proptest! {
        /// Whatever the delays either way, the offset and a drift within bounds: the estimate is never early.
        #[test]
        fn the_bound_is_never_before_the_relays_true_time(
            offset in 0u64..10_000_000_000,
            pings in prop::collection::vec((0u64..2_000_000, 0u64..300_000, 0u64..300_000), 1..40),
            wait in 0u64..40_000_000,
            drift_ppm in -200i64..=200,
        ) {
            let relay_at = |local: u64| {
                let drift = i128::from(local) * i128::from(drift_ppm) / 1_000_000;
                Moment(u64::try_from(i128::from(local) + i128::from(offset) + drift + 1_000_000).unwrap())
            };
            let mut samples = ClockSamples::default();
            let mut now = 0;
            for (gap, there, back) in pings {
                let sent = now + gap;
                now = sent + there + back;
                samples.record(Moment(sent), Moment(now), relay_at(sent + there));
            }
            now += wait;
            if let Some(latest) = samples.latest_relay_time(Moment(now)) {
                prop_assert!(latest >= relay_at(now), "{latest:?} is before {:?}", relay_at(now));
            }
        }
    }
}
