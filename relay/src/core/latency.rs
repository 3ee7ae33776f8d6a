//! How fast an agent's verdicts come, compared with those of its realm.
//!
//! A peak-EWMA: slower verdicts count at once, faster ones as they come and as time passes (Finagle's measure, with
//! a time constant of 10 s). What counts is the mean of a quarter of a second, not the single verdict: where there are
//! many, a few are always late, at every agent, and if each counted for 10 s all agents would look alike. Successes and
//! rejections are kept apart, since directories take different times for them, and an agent that by chance gets more of
//! one kind is not slower for it. So an agent is compared kind by kind with the median of its realm, and the result is a
//! factor: 1 is as fast as usual. Each agent has one voice in the median, however many sessions it has, and of two in
//! the middle the slower one counts: else one that makes its answers up would tell what is usual.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use postern_protocol::Moment;

/// The time constant, in seconds: a peak is forgotten by two thirds in this time.
const TAU: f64 = 10.0;

/// Verdicts of this time count as one.
const WINDOW: Duration = Duration::from_millis(250);

/// An agent is not taken to be faster than twice the usual speed. One that says that it is does not know or makes its
/// answers up.
const FASTEST: f64 = 0.5;

/// Up to this, in seconds, all are equally fast: what a scheduler gives and takes. Else, of agents that all answer in
/// half a millisecond, one that was late once would get nothing for as long as it takes that to fade, and with nothing to
/// do would have nothing to show: seen as 66, 31 and 3 % of three agents.
const GRAIN: f64 = 0.003;

/// What is usual is known where so many agents have shown it; of two, none can be called the unusual one.
const VOICES: usize = 3;

/// Taken for the usual time where nobody has shown it yet, in seconds.
const UNKNOWN: f64 = 0.01;

/// Kinds of verdicts: successes, and everything else.
const KINDS: usize = 2;

/// An estimate that follows peaks at once.
#[derive(Debug, Clone, Copy, Default)]
struct PeakEwma {
    seconds: f64,
    at: Moment,
}

impl PeakEwma {
    fn at(&self, now: Moment) -> f64 {
        self.seconds * remains(now, self.at)
    }

    fn observe(&mut self, now: Moment, seconds: f64) {
        let weight = remains(now, self.at);
        let blended = self.seconds * weight + seconds * (1.0 - weight);
        *self = Self {
            seconds: blended.max(seconds),
            at: now,
        };
    }
}

/// What is left at `now` of something seen at `then`.
fn remains(now: Moment, then: Moment) -> f64 {
    (-now.since(then).as_secs_f64() / TAU).exp()
}

/// The verdict times of one kind.
#[derive(Debug, Clone, Copy)]
struct Times {
    /// Of the windows that are over.
    peaks: PeakEwma,
    /// The window that is not: when it began, the sum of its times in seconds, how many, and when the last one came.
    began: Moment,
    sum: f64,
    count: f64,
    last: Moment,
}

impl Times {
    fn first(now: Moment, seconds: f64) -> Self {
        Self {
            peaks: PeakEwma::default(),
            began: now,
            sum: seconds,
            count: 1.0,
            last: now,
        }
    }

    fn observe(&mut self, now: Moment, seconds: f64) {
        if now.since(self.began) >= WINDOW {
            self.peaks.observe(self.last, self.mean());
            *self = Self {
                peaks: self.peaks,
                ..Self::first(now, seconds)
            };
        } else {
            (self.sum, self.count, self.last) = (self.sum + seconds, self.count + 1.0, now);
        }
    }

    fn mean(&self) -> f64 {
        self.sum / self.count
    }

    /// The estimate, in seconds.
    fn at(&self, now: Moment) -> f64 {
        self.peaks.at(now).max(self.mean() * remains(now, self.last))
    }
}

/// The verdict times of one session.
#[derive(Debug, Clone, Default)]
pub(super) struct Latency {
    kinds: [Option<Times>; KINDS],
}

impl Latency {
    /// A verdict came `took` after the sign-in was sent.
    pub(super) fn observe(&mut self, now: Moment, success: bool, took: Duration) {
        let seconds = took.as_secs_f64();
        match &mut self.kinds[usize::from(success)] {
            Some(estimate) => estimate.observe(now, seconds),
            none => *none = Some(Times::first(now, seconds)),
        }
    }

    /// How slow it is beside `usual`: 1 is as usual, also where nothing is known.
    pub(super) fn factor(&self, now: Moment, usual: &Usual) -> f64 {
        self.beside(now, usual).max(FASTEST)
    }

    /// Whether its verdicts come so fast that it must not attract anything by it.
    pub(super) fn is_suspiciously_fast(&self, now: Moment, usual: &Usual) -> bool {
        usual.voices >= VOICES && self.beside(now, usual) < FASTEST
    }

    fn beside(&self, now: Moment, usual: &Usual) -> f64 {
        let known = self.kinds.iter().zip(&usual.kinds);
        let factors = known.filter_map(|(estimate, usual)| Some(relation(estimate.as_ref()?.at(now), (*usual)?)));
        let (sum, count) = factors.fold((0.0, 0.0), |(sum, count), factor| (sum + factor, count + 1.0));
        if count > 0.0 { sum / count } else { 1.0 }
    }
}

/// How a time stands to the usual one.
fn relation(seconds: f64, usual: f64) -> f64 {
    if seconds <= GRAIN && usual <= GRAIN {
        1.0
    } else {
        seconds / usual.max(GRAIN)
    }
}

/// The usual verdict times of a realm, by kind, in seconds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Usual {
    kinds: [Option<f64>; KINDS],
    /// How many agents have shown it.
    voices: usize,
}

impl Usual {
    /// The medians over the agents at `now`; `sessions` are all of theirs, with their agents' names.
    pub(super) fn of<'a>(sessions: impl Iterator<Item = (&'a str, &'a Latency)> + Clone, now: Moment) -> Self {
        let mut voices = BTreeSet::new();
        let mut of_kind = |kind: usize| {
            let mut slowest: BTreeMap<&str, f64> = BTreeMap::new();
            for (agent, latency) in sessions.clone() {
                if let Some(estimate) = &latency.kinds[kind] {
                    voices.insert(agent);
                    let of_agent = slowest.entry(agent).or_default();
                    *of_agent = of_agent.max(estimate.at(now));
                }
            }
            upper_median(slowest.into_values().collect()).filter(|median| *median > 0.0)
        };
        Self {
            kinds: std::array::from_fn(&mut of_kind),
            voices: voices.len(),
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

/// The middle one, or of two in the middle the greater; `None` of nothing.
fn upper_median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
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
        let names: Vec<String> = (0..agents.len()).map(|number| number.to_string()).collect();
        let usual = Usual::of(names.iter().map(String::as_str).zip(agents), now);
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
    fn where_all_are_as_fast_as_can_be_told_nobody_is_slow_and_who_is_slow_is_so_beside_what_can_be_told() {
        let micros = |micros: u64| {
            let mut latency = Latency::default();
            latency.observe(Moment(0), true, Duration::from_micros(micros));
            latency
        };
        assert_eq!(factors(&[micros(400), micros(500), micros(2_900)]), [1.0, 1.0, 1.0]);
        assert_eq!(factors(&[micros(400), micros(500), micros(6_000)]), [1.0, 1.0, 2.0]);
    }

    #[test]
    fn an_agent_has_one_voice_however_many_sessions_it_has() {
        let (honest, fast) = (agent(&[(true, 10)]), agent(&[(true, 0)]));
        let sessions = [("a", &honest), ("b", &fast), ("b", &fast), ("b", &fast), ("b", &fast)];
        let usual = Usual::of(sessions.into_iter(), Moment(0));
        assert_eq!(honest.factor(Moment(0), &usual), 1.0);
        assert_eq!(fast.factor(Moment(0), &usual), 0.5);
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
    fn slow_verdicts_count_at_once_and_fade_with_time_alone() {
        let mut latency = agent(&[(true, 10)]);
        let usual = Usual {
            kinds: [None, Some(0.01)],
            voices: 1,
        };
        let rounded = |latency: &Latency, at: u64| (latency.factor(Moment(at), &usual) * 10.0).round() / 10.0;
        // In the next quarter of a second all are slow, and then all are fast.
        for at in 0..25 {
            latency.observe(Moment(250_000 + at * 10_000), true, MS * 100);
        }
        assert_eq!(rounded(&latency, 500_000), 10.0);
        for at in 0..25 {
            latency.observe(Moment(500_000 + at * 10_000), true, MS * 10);
        }
        assert_eq!(rounded(&latency, 740_000), 9.8);
        assert_eq!(rounded(&latency, 10_490_000), 3.7);
    }

    #[test]
    fn a_few_late_ones_of_many_hide_nothing() {
        // One verdict in twenty-five is ten times as late, at both; and one of the two is really slow.
        let (mut quick, mut slow) = (Latency::default(), Latency::default());
        for number in 0..1_000 {
            let late = if number % 25 == 0 { MS * 45 } else { Duration::ZERO };
            quick.observe(Moment(number * 10_000), true, MS * 5 + late);
            slow.observe(Moment(number * 10_000), true, MS * 50 + late);
        }
        let now = Moment(10_000_000);
        let usual = Usual::of([("a", &quick), ("b", &quick), ("c", &slow)].into_iter(), now);
        assert!(
            (7.0..8.0).contains(&slow.factor(now, &usual)),
            "{}",
            slow.factor(now, &usual)
        );
    }

    #[test]
    fn where_verdicts_are_few_each_counts() {
        let mut latency = agent(&[(true, 10)]);
        latency.observe(Moment(1_000_000), true, MS * 100);
        latency.observe(Moment(2_000_000), true, MS * 10);
        let usual = Usual {
            kinds: [None, Some(0.01)],
            voices: 1,
        };
        assert!((8.0..9.5).contains(&latency.factor(Moment(2_000_000), &usual)));
    }

    #[test]
    fn nobody_known_is_as_usual() {
        assert_eq!(factors(&[Latency::default(), Latency::default()]), [1.0, 1.0]);
        assert_eq!(Usual::default().factor_of(0.02), 2.0);
    }
}
