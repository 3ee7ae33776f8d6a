//! Looks for the highest rate at which everything that is required holds, and at what becomes of more.
//!
//! Rates are doubled until something does not hold, then halved in between; what is tried next follows from what was seen
//! and from nothing else. A step whose generator was late tells of the generator: the search ends below it, and says so.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::hdr;
use crate::load::Stage;
use crate::results::Results;
use crate::run::{self, Request, Stop, View};

/// The answer is known this well: the lowest rate that failed is less than this times the highest that held.
const CLOSE: f64 = 1.05;

/// How far below the first rate is looked before the search is given up.
const GIVE_UP: f64 = 1.0 / 16.0;

/// Multiples of the answer that are tried for the curve beyond it.
const BEYOND: [f64; 3] = [1.25, 1.5, 2.0];

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Search {
    /// The first rate, in sign-ins a second.
    pub from: f64,
    /// The highest that is tried.
    pub up_to: f64,
    /// How long each rate is held.
    pub step: Duration,
}

/// One rate that was tried.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Sign-ins a second that were asked for.
    pub rate: f64,
    /// Right answers a second that came.
    pub goodput: f64,
    /// Latencies, in milliseconds.
    pub p50_ms: f64,
    /// The same.
    pub p99_ms: f64,
    /// Neither what was expected nor a verdict.
    pub failed: u64,
    /// Another verdict than expected.
    pub wrong: u64,
    /// Processor time of all processes of what was tested, for each sign-in; `None` where none is known.
    pub cpu_us_per_signin: Option<f64>,
    /// Whether everything held.
    pub ok: bool,
    /// Whether the generator kept to the load.
    pub valid: bool,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// The highest rate that held; `None` when none did.
    pub rate: Option<f64>,
    /// Whether the search came to its end: nobody ended it, nobody was let in who must not be.
    pub is_whole: bool,
    /// What ended the search, in words.
    pub ended_by: String,
    /// Everything that was tried, in that order.
    pub steps: Vec<Step>,
}

/// Between two steps, for what the one before left to settle.
const PAUSE: Duration = Duration::from_secs(2);

/// Looks for it: the request's stages are replaced by one rate after another. What was found, and each step's run.
///
/// # Errors
/// When a run cannot begin.
pub async fn look(
    request: &Request,
    search: Search,
    stop: &Stop,
    view: &mut impl View,
) -> anyhow::Result<(Found, Vec<Results>)> {
    let play = async |rate: f64, number: usize| {
        let mut step = request.clone();
        step.name = format!("{rate:.0}/s");
        step.load.stages = vec![Stage::constant(rate, search.step)];
        // By name they are in the order in which they were tried.
        let log = hdr::file_name(&format!("{number:02}-{rate:.0}-per-second"));
        step.hdr = step.hdr.map(|path| path.with_file_name(log));
        run::play(step, stop, view).await
    };
    search.look(&stop.early, play).await
}

impl Step {
    /// What a run at this rate came to.
    pub fn of(rate: f64, results: &Results) -> Self {
        let processes = &results.processes;
        Self {
            rate,
            goodput: results.goodput(),
            p50_ms: results.latency_ms.p50.as_secs_f64() * 1e3,
            p99_ms: results.latency_ms.p99.as_secs_f64() * 1e3,
            failed: results.failed,
            wrong: results.wrong_outcomes,
            cpu_us_per_signin: (!processes.is_empty())
                .then(|| processes.iter().map(|process| process.cpu_us_per_signin).sum()),
            ok: results.is_good(),
            valid: results.generator.is_in_time(),
        }
    }
}

impl Search {
    /// Tries one rate after another by `play`, which is given the rate and the number of the step.
    async fn look(
        &self,
        stop: &CancellationToken,
        mut play: impl AsyncFnMut(f64, usize) -> anyhow::Result<Results>,
    ) -> anyhow::Result<(Found, Vec<Results>)> {
        let (mut steps, mut runs, mut ended_early) = (Vec::new(), Vec::new(), None);
        while let Some(rate) = self.next(&steps) {
            if !steps.is_empty() {
                stop.run_until_cancelled(sleep(PAUSE)).await;
            }
            if stop.is_cancelled() {
                break;
            }
            let results = match play(rate, steps.len() + 1).await {
                Ok(results) => results,
                // What was found up to here is not lost for it.
                Err(error) if !steps.is_empty() => {
                    ended_early = Some(format!("{rate:.0}/s could not be tried: {error:#}"));
                    break;
                }
                Err(error) => return Err(error),
            };
            steps.push(Step::of(rate, &results));
            ended_early.clone_from(&results.ended_early);
            runs.push(results);
            if ended_early.is_some() {
                break;
            }
        }
        let mut found = self.found(steps);
        if let Some(why) = ended_early.or_else(|| stop.is_cancelled().then(|| "it was ended before".to_owned())) {
            (found.is_whole, found.ended_by) = (false, why);
        }
        Ok((found, runs))
    }

    /// The rate to try next; `None` when all is known that is looked for.
    pub fn next(&self, steps: &[Step]) -> Option<f64> {
        let (held, failed) = bounds(steps);
        match (held, failed) {
            (None, None) => Some(self.from),
            (Some(held), None) if held >= self.up_to => None,
            (Some(held), None) => Some((held * 2.0).min(self.up_to)),
            (None, Some(failed)) if failed <= self.from * GIVE_UP => None,
            (None, Some(failed)) => Some(failed / 2.0),
            // A round number: it is for people to read and to type.
            (Some(held), Some(failed)) if failed > held * CLOSE => Some(rounded((held * failed).sqrt())),
            (Some(held), Some(_)) => self.beyond(held, steps),
        }
    }

    /// Of the curve beyond the answer, what was not tried yet. Where the generator is at its end, it ends.
    fn beyond(&self, held: f64, steps: &[Step]) -> Option<f64> {
        let too_much = steps.iter().filter(|step| !step.valid).map(|step| step.rate);
        let end = too_much.fold(self.up_to, f64::min);
        let tried = |rate: f64| {
            steps
                .iter()
                .any(|step| (step.rate / rate).max(rate / step.rate) <= CLOSE)
        };
        let mut wanted = BEYOND.into_iter().map(|times| rounded(times * held));
        wanted.find(|rate| *rate < end && !tried(*rate))
    }

    /// What it came to.
    pub fn found(&self, steps: Vec<Step>) -> Found {
        let (held, failed) = bounds(&steps);
        let of_generator = |rate| steps.iter().any(|step| step.rate <= rate && !step.valid);
        let ended_by = match (held, failed) {
            (_, None) => format!("{:.0}/s is the highest that was to be tried", self.up_to),
            (_, Some(failed)) if of_generator(failed) => {
                format!("at {failed:.0}/s the generator itself was late: this machine cannot make more")
            }
            (_, Some(failed)) => format!("at {failed:.0}/s something that is required does not hold"),
        };
        Found {
            rate: held,
            is_whole: true,
            ended_by,
            steps,
        }
    }
}

/// A table of what was tried, and the answer.
impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:>10}{:>12}{:>10}{:>10}{:>9}{:>8}{:>12}",
            "rate/s", "right/s", "p50 ms", "p99 ms", "failed", "wrong", "CPU µs each"
        )?;
        for step in &self.steps {
            let verdict = match (step.valid, step.ok) {
                (false, _) => "the generator was late",
                (true, true) => "held",
                (true, false) => "missed",
            };
            let cpu = step
                .cpu_us_per_signin
                .map_or_else(|| "-".to_owned(), |cpu| format!("{cpu:.0}"));
            writeln!(
                f,
                "{:>10.0}{:>12.0}{:>10.1}{:>10.1}{:>9}{:>8}{cpu:>12}  {verdict}",
                step.rate, step.goodput, step.p50_ms, step.p99_ms, step.failed, step.wrong
            )?;
        }
        match self.rate {
            _ if !self.is_whole => writeln!(f, "  => ENDED EARLY: {}", self.ended_by),
            Some(rate) => writeln!(f, "  => {rate:.0} sign-ins a second; {}", self.ended_by),
            None => writeln!(f, "  => no rate held; {}", self.ended_by),
        }
    }
}

/// To three digits, which is closer than the answer is known.
fn rounded(rate: f64) -> f64 {
    let step = 10_f64.powf((rate.log10() - 2.0).floor());
    (rate / step).round() * step
}

/// The highest rate that held, of those below the lowest that did not; and that.
fn bounds(steps: &[Step]) -> (Option<f64>, Option<f64>) {
    let rates = |ok: bool| steps.iter().filter(move |step| step.ok == ok).map(|step| step.rate);
    let failed = rates(false).reduce(f64::min);
    let held = rates(true)
        .filter(|rate| failed.is_none_or(|failed| *rate < failed))
        .reduce(f64::max);
    (held, failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEARCH: Search = Search {
        from: 500.0,
        up_to: 50_000.0,
        step: Duration::from_secs(10),
    };

    /// Plays the search against something that holds up to one rate, with a generator that keeps up to another.
    fn found(search: Search, holds: f64, keeps: f64) -> Found {
        let mut steps = Vec::new();
        while let Some(rate) = search.next(&steps) {
            assert!(steps.len() < 40, "{steps:?}");
            steps.push(Step {
                rate,
                goodput: rate.min(holds),
                p50_ms: 1.0,
                p99_ms: 5.0,
                failed: 0,
                wrong: 0,
                cpu_us_per_signin: None,
                ok: rate <= holds && rate <= keeps,
                valid: rate <= keeps,
            });
        }
        search.found(steps)
    }

    #[test]
    fn the_highest_rate_that_holds_is_found_within_a_twentieth_and_the_curve_goes_on_to_twice_of_it() {
        for holds in [40.0, 480.0, 733.0, 9_999.0] {
            let found = found(SEARCH, holds, f64::INFINITY);
            let rate = found.rate.unwrap();
            assert!(rate <= holds && rate * CLOSE >= holds, "{rate} for {holds}");
            assert!(found.ended_by.contains("does not hold"), "{}", found.ended_by);
            let highest = found.steps.iter().map(|step| step.rate).fold(0.0, f64::max);
            assert!(highest >= rate * 1.9, "{highest} for {rate}");
        }
    }

    #[test]
    fn where_the_generator_ends_the_search_ends_and_says_so() {
        let found = found(SEARCH, f64::INFINITY, 3_000.0);
        let rate = found.rate.unwrap();
        assert!(rate <= 3_000.0 && rate * CLOSE >= 3_000.0);
        assert!(found.ended_by.contains("the generator itself"), "{}", found.ended_by);
        // Beyond there is nothing to be seen.
        let highest = found.steps.iter().map(|step| step.rate).fold(0.0, f64::max);
        assert!(highest <= 4_000.0, "{highest}");
    }

    #[test]
    fn nothing_beyond_what_was_allowed_is_tried_and_what_never_holds_is_given_up() {
        let search = Search {
            up_to: 1_200.0,
            ..SEARCH
        };
        let all = found(search, f64::INFINITY, f64::INFINITY);
        assert_eq!(all.rate, Some(1_200.0));
        assert!(
            all.ended_by.contains("highest that was to be tried"),
            "{}",
            all.ended_by
        );
        let none = found(SEARCH, 1.0, f64::INFINITY);
        assert_eq!((none.rate, none.steps.len()), (None, 5));
    }

    /// Everything holds up to this rate.
    fn holds(rate: f64, up_to: f64) -> Results {
        let mut results = Results {
            sent: 100,
            valid: true,
            ..Results::default()
        };
        results.thresholds = vec![crate::require::Threshold {
            expr: "failed==0".to_owned(),
            value: Some(0.0),
            ok: rate <= up_to,
        }];
        results
    }

    #[tokio::test(start_paused = true)]
    async fn every_step_is_a_run_of_its_own_and_stands_beside_the_answer() {
        let stop = CancellationToken::new();
        let mut played = Vec::new();
        let (found, runs) = SEARCH
            .look(&stop, async |rate, number| {
                played.push(number);
                Ok(holds(rate, 700.0))
            })
            .await
            .unwrap();
        assert!(
            found.is_whole && found.rate.is_some_and(|rate| rate <= 700.0),
            "{found:?}"
        );
        assert_eq!((runs.len(), played.len()), (found.steps.len(), found.steps.len()));
        assert!(played.into_iter().eq(1..=runs.len()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_tried_ends_the_search_and_loses_nothing_of_it_unless_it_is_the_first() {
        let stop = CancellationToken::new();
        let (found, runs) = SEARCH
            .look(&stop, async |rate, number| {
                anyhow::ensure!(number < 3, "gone");
                Ok(holds(rate, f64::INFINITY))
            })
            .await
            .unwrap();
        assert_eq!((found.is_whole, found.rate, runs.len()), (false, Some(1_000.0), 2));
        assert_eq!(found.ended_by, "2000/s could not be tried: gone");
        assert!(SEARCH.look(&stop, async |_, _| anyhow::bail!("gone")).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_search_that_is_ended_is_no_whole_one() {
        let stop = CancellationToken::new();
        let (found, runs) = SEARCH
            .look(&stop, async |rate, _| {
                stop.cancel();
                let ended_early = Some("it was ended after 1.00 s of 10.0 s".to_owned());
                Ok(Results {
                    ended_early,
                    ..holds(rate, f64::INFINITY)
                })
            })
            .await
            .unwrap();
        assert_eq!((found.is_whole, runs.len()), (false, 1));
        assert!(found.ended_by.starts_with("it was ended after"), "{}", found.ended_by);
    }
}
