//! How fast an agent's verdicts come, compared with those of its realm.
//!
//! A peak-EWMA: a slower verdict counts at once, faster ones as they come and as time passes (Finagle's measure, with
//! a time constant of 10 s). Successes and rejections are kept apart, since directories take different times for
//! them, and an agent that by chance gets more of one kind is not slower for it. So an agent is compared kind by kind
//! with the median of its realm, and the result is a factor: 1 is as fast as usual.

use std::time::Duration;

use postern_protocol::Moment;

/// The time constant, in seconds: a peak is forgotten by two thirds in this time.
const TAU: f64 = 10.0;

/// An agent that answers suspiciously fast attracts no more than one of twice the usual speed.
const FASTEST: f64 = 0.5;

/// Taken for the usual time where nobody has shown it yet, in seconds.
const UNKNOWN: f64 = 0.01;

/// Kinds of verdicts: successes, and everything else.
const KINDS: usize = 2;

/// An estimate that follows peaks at once.
#[derive(Debug, Clone, Copy)]
struct PeakEwma {
    seconds: f64,
    at: Moment,
}

impl PeakEwma {
    fn at(&self, now: Moment) -> f64 {
        self.seconds * (-now.since(self.at).as_secs_f64() / TAU).exp()
    }

    fn observe(&mut self, now: Moment, seconds: f64) {
        let weight = (-now.since(self.at).as_secs_f64() / TAU).exp();
        let blended = self.seconds * weight + seconds * (1.0 - weight);
        *self = Self {
            seconds: blended.max(seconds),
            at: now,
        };
    }
}

/// The verdict times of one session.
#[derive(Debug, Clone, Default)]
pub(super) struct Latency {
    kinds: [Option<PeakEwma>; KINDS],
}

impl Latency {
    /// A verdict came `took` after the sign-in was sent.
    pub(super) fn observe(&mut self, now: Moment, success: bool, took: Duration) {
        let seconds = took.as_secs_f64();
        match &mut self.kinds[usize::from(success)] {
            Some(estimate) => estimate.observe(now, seconds),
            none => *none = Some(PeakEwma { seconds, at: now }),
        }
    }

    /// How slow it is beside `usual`: 1 is as usual, also where nothing is known.
    pub(super) fn factor(&self, now: Moment, usual: &Usual) -> f64 {
        let known = self.kinds.iter().zip(usual.kinds);
        let factors = known.filter_map(|(estimate, usual)| Some(estimate.as_ref()?.at(now) / usual?));
        let (sum, count) = factors.fold((0.0, 0.0), |(sum, count), factor| (sum + factor, count + 1.0));
        if count > 0.0 { (sum / count).max(FASTEST) } else { 1.0 }
    }
}

/// The usual verdict times of a realm, by kind, in seconds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Usual {
    kinds: [Option<f64>; KINDS],
}

impl Usual {
    /// The medians over `agents` at `now`.
    pub(super) fn of<'a>(agents: impl Iterator<Item = &'a Latency> + Clone, now: Moment) -> Self {
        let of_kind = |kind: usize| {
            let mut estimates: Vec<f64> = agents
                .clone()
                .filter_map(|latency| latency.kinds[kind].as_ref())
                .map(|estimate| estimate.at(now))
                .collect();
            median(&mut estimates).filter(|median| *median > 0.0)
        };
        Self {
            kinds: std::array::from_fn(of_kind),
        }
    }

    /// A time as a factor of the usual one.
    pub(super) fn factor_of(&self, seconds: f64) -> f64 {
        let (sum, count) = self
            .kinds
            .iter()
            .flatten()
            .fold((0.0, 0.0), |(sum, count), usual| (sum + usual, count + 1.0));
        seconds / if count > 0.0 { sum / count } else { UNKNOWN }
    }
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn agent(times: &[(bool, u32)]) -> Latency {
        let mut latency = Latency::default();
        for &(success, ms) in times {
            latency.observe(Moment(0), success, MS * ms);
        }
        latency
    }

    fn factors(agents: &[Latency]) -> Vec<f64> {
        let now = Moment(0);
        let usual = Usual::of(agents.iter(), now);
        agents.iter().map(|agent| agent.factor(now, &usual)).collect()
    }

    #[test]
    fn a_slow_one_counts_as_slow_as_it_is_and_a_fast_one_as_twice_as_fast_at_most() {
        assert_eq!(
            factors(&[agent(&[(true, 5)]), agent(&[(true, 5)]), agent(&[(true, 50)])]),
            [1.0, 1.0, 10.0]
        );
        let with_a_fast_one = factors(&[agent(&[(true, 10)]), agent(&[(true, 10)]), agent(&[(true, 0)])]);
        assert_eq!(with_a_fast_one, [1.0, 1.0, 0.5]);
    }

    #[test]
    fn who_gets_more_wrong_passwords_is_not_slower_for_it() {
        // Rejections take three times as long in this directory.
        let agents = [
            agent(&[(true, 10)]),
            agent(&[(false, 30)]),
            agent(&[(true, 10), (false, 30)]),
        ];
        assert_eq!(factors(&agents), [1.0, 1.0, 1.0]);
    }

    #[test]
    fn a_peak_counts_at_once_and_fades_with_time_alone() {
        let mut latency = agent(&[(true, 10)]);
        latency.observe(Moment(0), true, MS * 100);
        latency.observe(Moment(1), true, MS * 10);
        let usual = Usual {
            kinds: [None, Some(0.01)],
        };
        assert!(latency.factor(Moment(1), &usual) > 9.9);
        let later = latency.factor(Moment(10_000_000), &usual);
        assert!((3.6..3.8).contains(&later), "{later}");
    }

    #[test]
    fn nobody_known_is_as_usual() {
        assert_eq!(factors(&[Latency::default(), Latency::default()]), [1.0, 1.0]);
        assert_eq!(Usual::default().factor_of(0.02), 2.0);
    }
}
