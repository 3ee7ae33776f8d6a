//! Compares several things with one load: two relays, two builds, two settings, a relay with the directory itself.
//!
//! They are played in turn, there and back (A B, B A, A B …), so that a machine that grows slower or faster favours none;
//! what is compared is each round's, and how far rounds differ is told with it.

use std::fmt;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::hdr;
use crate::results::Results;
use crate::run::{self, Request, Stop, View};

/// A number of a run; `None` where it is not known.
type Measure = fn(&Results) -> Option<f64>;

/// What is compared of two runs.
const MEASURES: [(&str, Measure); 4] = [
    ("p50", |results| Some(results.latency_ms.p50.as_secs_f64())),
    ("p99", |results| Some(results.latency_ms.p99.as_secs_f64())),
    ("right answers/s", |results| Some(results.goodput())),
    ("cpu per sign-in", cpu),
];

fn cpu(results: &Results) -> Option<f64> {
    let used: f64 = results.processes.iter().map(|process| process.cpu_us_per_signin).sum();
    (used > 0.0).then_some(used)
}

/// What the arms came to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// In the order in which they were given; the others are compared with the first.
    pub arms: Vec<Arm>,
    /// Of each but the first.
    pub ratios: Vec<Ratio>,
    /// Why there are fewer rounds than were wanted, when a run could not begin or somebody ended it.
    pub broken: Option<String>,
}

/// One of them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Arm {
    /// Its name.
    pub name: String,
    /// A run for each round.
    pub runs: Vec<Results>,
}

/// How an arm stands to the first: 1 is alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// The arm.
    pub arm: String,
    /// What is compared.
    pub measure: String,
    /// Of the rounds' ratios.
    pub median: f64,
    /// The same.
    pub lowest: f64,
    /// The same.
    pub highest: f64,
}

/// Plays each of them once in every round.
///
/// # Errors
/// When a run cannot begin.
pub async fn compare(
    arms: Vec<Request>,
    rounds: usize,
    stop: &Stop,
    view: &mut impl View,
) -> anyhow::Result<Comparison> {
    let names = arms.iter().map(|arm| arm.name.clone()).collect();
    let play = async |index: usize, round: usize| {
        let request: &Request = arms.get(index).context("no such arm")?;
        let mut request = request.clone();
        let log = log_name(&request.name, round);
        request.hdr = request.hdr.map(|path| path.with_file_name(log));
        run::play(request, stop, view).await
    };
    in_turn(names, rounds, &stop.early, play).await
}

/// The name of the file with the log of an arm's run in this round.
pub fn log_name(arm: &str, round: usize) -> String {
    hdr::file_name(&format!("{arm}-round-{round}"))
}

/// Plays arms of these names by `play`, which is given an arm's place and the number of the round.
async fn in_turn(
    names: Vec<String>,
    rounds: usize,
    stop: &CancellationToken,
    mut play: impl AsyncFnMut(usize, usize) -> anyhow::Result<Results>,
) -> anyhow::Result<Comparison> {
    let arms = names.into_iter().map(|name| Arm { name, runs: Vec::new() });
    let (mut arms, mut broken): (Vec<Arm>, _) = (arms.collect(), None);
    'rounds: for round in 1..=rounds {
        let mut order: Vec<(usize, &mut Arm)> = arms.iter_mut().enumerate().collect();
        if round % 2 == 0 {
            order.reverse();
        }
        let mut order = order.into_iter().peekable();
        while let Some((index, arm)) = order.next() {
            match play(index, round).await {
                Ok(results) => arm.runs.push(results),
                // What was seen up to here is not lost for it.
                Err(error) if round > 1 => {
                    broken = Some(format!("{}, round {round}: {error:#}", arm.name));
                    break 'rounds;
                }
                Err(error) => return Err(error),
            }
            if stop.is_cancelled() {
                // The run itself may be whole: it was over, and only what comes after a load was under way.
                let is_all = round == rounds && order.peek().is_none();
                broken = (!is_all).then(|| format!("it was ended in round {round} of {rounds}"));
                break 'rounds;
            }
        }
    }
    Ok(Comparison {
        broken,
        ..Comparison::of(arms)
    })
}

impl Comparison {
    fn of(arms: Vec<Arm>) -> Self {
        let mut ratios = Vec::new();
        if let Some((first, others)) = arms.split_first() {
            for other in others {
                let of_measure = MEASURES
                    .iter()
                    .filter_map(|(name, measure)| Ratio::of(name, *measure, first, other));
                ratios.extend(of_measure);
            }
        }
        Self {
            arms,
            ratios,
            broken: None,
        }
    }

    /// Of each arm the run that stands for it in a picture: the worst, if one is not as it was wanted; else the one in the
    /// middle by its median latency.
    pub fn typical(&self) -> Vec<Results> {
        let typical = self.arms.iter().filter_map(|arm| {
            let bad = arm.runs.iter().filter(|run| !run.is_good());
            if let Some(worst) = bad.max_by_key(|run| (run.counts.false_successes, run.wrong_outcomes, run.failed)) {
                return Some(worst.clone());
            }
            let mut runs: Vec<&Results> = arm.runs.iter().collect();
            runs.sort_by_key(|results| results.latency_ms.p50);
            runs.get(runs.len().saturating_sub(1) / 2)
                .map(|results| (*results).clone())
        });
        typical.collect()
    }

    /// Whether every run of every arm is what was wanted.
    pub fn is_good(&self) -> bool {
        self.broken.is_none() && self.arms.iter().flat_map(|arm| &arm.runs).all(Results::is_good)
    }
}

/// A table of the arms' medians, and each ratio with its spread.
impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<16}{:>8}", "arm", "rounds")?;
        for (name, _) in MEASURES {
            write!(f, "{name:>18}")?;
        }
        writeln!(f)?;
        for arm in &self.arms {
            write!(f, "{:<16}{:>8}", arm.name, arm.runs.len())?;
            for (name, measure) in MEASURES {
                let mut values: Vec<f64> = arm.runs.iter().filter_map(measure).collect();
                values.sort_by(f64::total_cmp);
                let told = median(&values).map(|value| match name {
                    "p50" | "p99" => format!("{:.2} ms", value * 1e3),
                    "cpu per sign-in" => format!("{value:.0} µs"),
                    _ => format!("{value:.0}"),
                });
                write!(f, "{:>18}", told.unwrap_or_else(|| "-".to_owned()))?;
            }
            writeln!(f)?;
        }
        for Ratio {
            arm,
            measure,
            median,
            lowest,
            highest,
        } in &self.ratios
        {
            writeln!(
                f,
                "  {arm}: {measure} {median:.2} times that of {} ({lowest:.2} to {highest:.2})",
                self.arms.first().map_or("", |first| &first.name)
            )?;
        }
        for arm in &self.arms {
            for (run, round) in arm.runs.iter().zip(1..).filter(|(run, _)| !run.is_good()) {
                let let_in = match run.counts.false_successes {
                    0 => String::new(),
                    count => format!(", {count} LET IN WHO MUST NOT BE"),
                };
                writeln!(f, "  {}, round {round}: NOT as wanted{let_in}", arm.name)?;
            }
        }
        if let Some(why) = &self.broken {
            writeln!(f, "  the rest was not played: {why}")?;
        }
        match self.is_good() {
            true => writeln!(f, "  => every run is as it was wanted"),
            false => writeln!(f, "  => NOT every run is as it was wanted: see above, and --json"),
        }
    }
}

/// Of sorted values.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let (lower, upper) = (
        values.get(values.len().saturating_sub(1) / 2)?,
        values.get(values.len() / 2)?,
    );
    Some(f64::midpoint(*lower, *upper))
}

impl Ratio {
    /// Over the rounds that both have; `None` where nothing can be compared.
    fn of(name: &str, measure: Measure, first: &Arm, other: &Arm) -> Option<Self> {
        let rounds = first.runs.iter().zip(&other.runs);
        let mut ratios: Vec<f64> = rounds
            .filter_map(|(first, other)| Some(measure(other)? / measure(first).filter(|value| *value > 0.0)?))
            .collect();
        ratios.sort_by(f64::total_cmp);
        Some(Self {
            arm: other.name.clone(),
            measure: name.to_owned(),
            median: median(&ratios)?,
            lowest: *ratios.first()?,
            highest: *ratios.last()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{About, Counts};
    use crate::summary::Latency;
    use std::time::Duration;

    fn arm(name: &str, p50s: &[u64]) -> Arm {
        let run = |ms: &u64| Results {
            latency_ms: Latency::of([Duration::from_millis(*ms)]),
            counts: Counts {
                right: 100,
                ..Counts::default()
            },
            about: About {
                planned_s: 1.0,
                lasted_s: 1.0,
                ..About::default()
            },
            valid: true,
            ..Results::default()
        };
        Arm {
            name: name.to_owned(),
            runs: p50s.iter().map(run).collect(),
        }
    }

    #[test]
    fn an_arm_is_compared_with_the_first_round_by_round() {
        let comparison = Comparison::of(vec![arm("relay", &[10, 20, 40]), arm("direct", &[5, 20, 30])]);
        let p50 = &comparison.ratios[0];
        assert_eq!((p50.arm.as_str(), p50.measure.as_str()), ("direct", "p50"));
        assert!((p50.median - 0.75).abs() < 0.01, "{p50:?}");
        assert!((p50.lowest - 0.5).abs() < 0.01 && (p50.highest - 1.0).abs() < 0.01);
        let goodput = comparison
            .ratios
            .iter()
            .find(|ratio| ratio.measure == "right answers/s");
        assert!((goodput.unwrap().median - 1.0).abs() < f64::EPSILON);
        // Nothing is known of processes.
        assert!(comparison.ratios.iter().all(|ratio| ratio.measure != "cpu per sign-in"));
    }

    #[test]
    fn the_run_in_the_middle_stands_for_an_arm() {
        let comparison = Comparison::of(vec![arm("relay", &[40, 10, 20])]);
        let typical = comparison.typical();
        assert_eq!(typical[0].latency_ms.p50.as_millis(), 20);
        assert!(comparison.ratios.is_empty() && comparison.is_good());
    }

    #[test]
    fn a_round_that_only_one_arm_has_is_compared_with_nothing() {
        let comparison = Comparison::of(vec![arm("relay", &[10, 10]), arm("direct", &[20])]);
        assert!((comparison.ratios[0].highest - 2.0).abs() < 0.01);
    }

    fn names() -> Vec<String> {
        vec!["relay".to_owned(), "direct".to_owned()]
    }

    #[tokio::test]
    async fn arms_are_played_there_and_back() {
        let (mut order, stop) = (Vec::new(), CancellationToken::new());
        let compared = in_turn(names(), 3, &stop, async |arm, round| {
            order.push((round, arm));
            Ok(Results::default())
        });
        let compared = compared.await.unwrap();
        assert_eq!(order, [(1, 0), (1, 1), (2, 1), (2, 0), (3, 0), (3, 1)]);
        assert!(compared.arms.iter().all(|arm| arm.runs.len() == 3));
    }

    #[tokio::test]
    async fn a_run_that_cannot_begin_ends_the_comparison_and_loses_nothing_of_it_unless_it_is_in_the_first_round() {
        let stop = CancellationToken::new();
        let compared = in_turn(names(), 3, &stop, async |arm, round| {
            anyhow::ensure!((round, arm) != (2, 0), "gone");
            Ok(Results::default())
        });
        let compared = compared.await.unwrap();
        assert_eq!(compared.broken.as_deref(), Some("relay, round 2: gone"));
        let runs: Vec<usize> = compared.arms.iter().map(|arm| arm.runs.len()).collect();
        assert_eq!((runs, compared.is_good()), (vec![1, 2], false));
        assert!(
            in_turn(names(), 3, &stop, async |_, _| anyhow::bail!("gone"))
                .await
                .is_err()
        );
    }

    #[tokio::test]
    async fn a_comparison_that_is_ended_has_what_was_played_and_is_not_good() {
        let compared = ended_in(2, 1).await;
        let runs: Vec<usize> = compared.arms.iter().map(|arm| arm.runs.len()).collect();
        assert_eq!((runs, compared.is_good()), (vec![1, 2], false));
        assert_eq!(compared.broken.as_deref(), Some("it was ended in round 2 of 3"));
    }

    #[tokio::test]
    async fn a_comparison_of_which_everything_was_played_when_it_was_ended_is_good() {
        assert_eq!(
            ended_in(3, 0).await.broken.as_deref(),
            Some("it was ended in round 3 of 3")
        );
        let compared = ended_in(3, 1).await;
        assert_eq!((compared.broken.as_deref(), compared.is_good()), (None, true));
    }

    /// Good runs; somebody ends it all while this one is under way.
    async fn ended_in(round: usize, index: usize) -> Comparison {
        let stop = CancellationToken::new();
        let good = arm("relay", &[10]).runs.remove(0);
        let compared = in_turn(names(), 3, &stop, async |playing, now| {
            if (now, playing) == (round, index) {
                stop.cancel();
            }
            Ok(good.clone())
        });
        compared.await.unwrap()
    }
}
