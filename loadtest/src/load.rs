//! When sign-ins come and of which kind. The same seed gives the same sequence again.
//!
//! Arrivals do not wait for answers: they are points in time, found from the rates alone. A ramp is a rate that changes
//! evenly, and the arrivals of a stage are where its integral reaches the next whole number (constant arrivals) or the
//! next point of a Poisson process of rate 1.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::mix::{Kind, Mix};
use crate::text::{duration, told};

/// So that a change of the mix leaves the arrivals as they are, each has a sequence of its own.
const KINDS: u64 = 0x6b69_6e64_7300_0000;

/// Beyond it a rate is a typing error.
const MOST_PER_SECOND: f64 = 1e6;

/// A while of arrivals, at one rate or at one that changes evenly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stage {
    /// Sign-ins a second at its beginning; 0 is a pause.
    pub from: f64,
    /// Sign-ins a second at its end.
    pub to: f64,
    /// How long.
    pub lasts: Duration,
}

impl Stage {
    /// One rate, in sign-ins a second, for so long.
    pub fn constant(per_second: f64, lasts: Duration) -> Self {
        Self {
            from: per_second,
            to: per_second,
            lasts,
        }
    }

    /// Sign-ins in all, as a real number.
    pub fn arrivals(&self) -> f64 {
        self.lasts.as_secs_f64() * f64::midpoint(self.from, self.to)
    }

    /// When `count` sign-ins have come, from the beginning of the stage.
    fn when(&self, count: f64) -> f64 {
        if count <= 0.0 {
            return 0.0;
        }
        // count = from t + (to - from) t² / 2 lasts, in the form that holds for constant rates too.
        let bend = (self.to - self.from) / (2.0 * self.lasts.as_secs_f64());
        let root = (self.from * self.from + 4.0 * bend * count).max(0.0).sqrt();
        2.0 * count / (self.from + root)
    }
}

/// As it is written.
impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lasts = told(self.lasts);
        if (self.from - self.to).abs() < f64::EPSILON {
            write!(f, "{lasts} at {}/s", self.from)
        } else {
            write!(f, "{lasts} from {}/s to {}/s", self.from, self.to)
        }
    }
}

/// `30s 500`, or `30s 100..500` for a rate that changes evenly.
impl FromStr for Stage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            |why: &str| format!("stage {text:?}: {why}; write it as \"30s 500\", or \"30s 100..500\" for a ramp");
        let (lasts, rates) = text
            .trim()
            .split_once(char::is_whitespace)
            .ok_or_else(|| wrong("it needs a time and a rate"))?;
        let lasts = duration(lasts).map_err(|why| wrong(&why))?;
        let (from, to) = rates.split_once("..").unwrap_or((rates, rates));
        let rate = |text: &str| {
            let rate = text.trim().parse::<f64>().ok();
            let rate = rate.filter(|rate| (0.0..=MOST_PER_SECOND).contains(rate));
            rate.ok_or_else(|| {
                wrong(&format!(
                    "{:?} is no rate from 0 to {MOST_PER_SECOND} a second",
                    text.trim()
                ))
            })
        };
        let (from, to) = (rate(from)?, rate(to)?);
        if lasts.is_zero() {
            return Err(wrong("it lasts no time"));
        }
        Ok(Self { from, to, lasts })
    }
}

/// How arrivals are spread over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Arrivals {
    /// Evenly.
    #[default]
    Constant,
    /// Independently of each other, as people are: the gaps are exponentially distributed.
    Poisson,
}

/// What load is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// One after another.
    pub stages: Vec<Stage>,
    /// How they are spread.
    pub arrivals: Arrivals,
    /// Of which kinds.
    pub mix: Mix,
    /// The same gives the same.
    pub seed: u64,
}

/// One sign-in that is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// When, from the beginning.
    pub at: Duration,
    /// Of which kind.
    pub kind: Kind,
}

impl Load {
    /// How long it takes, pauses at the end included.
    pub fn lasts(&self) -> Duration {
        self.stages.iter().map(|stage| stage.lasts).sum()
    }

    /// About how many sign-ins will come.
    pub fn expected(&self) -> f64 {
        self.stages.iter().map(Stage::arrivals).sum()
    }

    /// Sign-ins a second that are planned at this moment; 0 after the end.
    pub fn rate_at(&self, at: Duration) -> f64 {
        let mut from = Duration::ZERO;
        for stage in &self.stages {
            let end = from + stage.lasts;
            if at < end {
                let share = (at - from).as_secs_f64() / stage.lasts.as_secs_f64();
                return stage.from + (stage.to - stage.from) * share;
            }
            from = end;
        }
        0.0
    }

    /// The sign-ins, by time.
    pub fn iter(&self) -> Schedule<'_> {
        Schedule {
            load: self,
            stages: self.stages.iter(),
            stage: Stage::constant(0.0, Duration::ZERO),
            begin: Duration::ZERO,
            end: Duration::ZERO,
            count: 0.0,
            gaps: StdRng::seed_from_u64(self.seed),
            kinds: self.kinds(),
        }
    }

    /// The kinds alone, for sign-ins that come when those before are answered. Without an end.
    pub fn kinds(&self) -> Kinds {
        Kinds {
            mix: self.mix.clone(),
            lots: StdRng::seed_from_u64(self.seed ^ KINDS),
        }
    }
}

impl<'a> IntoIterator for &'a Load {
    type Item = Arrival;
    type IntoIter = Schedule<'a>;

    fn into_iter(self) -> Schedule<'a> {
        self.iter()
    }
}

/// Kinds by lot.
#[derive(Debug)]
pub struct Kinds {
    mix: Mix,
    lots: StdRng,
}

impl Iterator for Kinds {
    type Item = Kind;

    fn next(&mut self) -> Option<Kind> {
        Some(self.mix.kind(self.lots.random()))
    }
}

/// A load's sign-ins, made as they are asked for: a long run takes no more memory than a short one.
#[derive(Debug)]
pub struct Schedule<'a> {
    load: &'a Load,
    stages: std::slice::Iter<'a, Stage>,
    stage: Stage,
    begin: Duration,
    end: Duration,
    /// Where in the stage's integral the next one is.
    count: f64,
    gaps: StdRng,
    kinds: Kinds,
}

impl Schedule<'_> {
    fn gap(&mut self) -> f64 {
        match self.load.arrivals {
            Arrivals::Constant => 1.0,
            // Of (0, 1], whose logarithm is finite.
            Arrivals::Poisson => -(1.0 - self.gaps.random::<f64>()).ln(),
        }
    }
}

impl Iterator for Schedule<'_> {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        // Constant arrivals are each found from their number and not from the one before: no error adds up.
        while self.count >= self.stage.arrivals() {
            self.stage = *self.stages.next()?;
            self.begin = self.end;
            self.end += self.stage.lasts;
            self.count = match self.load.arrivals {
                Arrivals::Constant => 0.0,
                Arrivals::Poisson => self.gap(),
            };
        }
        let at = self.begin + Duration::from_secs_f64(self.stage.when(self.count));
        self.count += self.gap();
        Some(Arrival {
            at: at.min(self.end),
            kind: self.kinds.next()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(stages: &[Stage], arrivals: Arrivals) -> Load {
        Load {
            stages: stages.to_vec(),
            arrivals,
            mix: Mix::wrong(0.3),
            seed: 7,
        }
    }

    fn stage(per_second: f64, secs: u64) -> Stage {
        Stage::constant(per_second, Duration::from_secs(secs))
    }

    fn times(load: &Load) -> Vec<Duration> {
        load.iter().map(|arrival| arrival.at).collect()
    }

    #[test]
    fn arrivals_are_even_within_a_stage_and_go_on_where_the_one_before_ended() {
        let load = load(&[stage(500.0, 2), stage(0.0, 3), stage(100.0, 1)], Arrivals::Constant);
        let times = times(&load);
        assert_eq!((times.len(), load.lasts()), (1_100, Duration::from_secs(6)));
        assert_eq!(times[1], Duration::from_millis(2));
        assert_eq!(times[999], Duration::from_micros(1_998_000));
        assert_eq!(times[1_000], Duration::from_secs(5));
        assert!(times.is_sorted());
    }

    #[test]
    fn a_ramp_has_as_many_arrivals_as_its_mean_rate_and_most_of_them_where_it_is_steep() {
        let ramp = |from, to| Stage {
            from,
            to,
            lasts: Duration::from_secs(10),
        };
        for (from, to, in_first_half) in [(0.0, 100.0, 125), (100.0, 0.0, 375), (50.0, 150.0, 375)] {
            let times = times(&load(&[ramp(from, to)], Arrivals::Constant));
            let all = if from + to > 100.0 { 1_000 } else { 500 };
            assert!(times.len().abs_diff(all) <= 1, "{from} to {to}: {}", times.len());
            let first = times.iter().filter(|at| **at < Duration::from_secs(5)).count();
            assert!(first.abs_diff(in_first_half) <= 1, "{from} to {to}: {first}");
            assert!(times.is_sorted() && times.iter().all(|at| *at <= Duration::from_secs(10)));
        }
    }

    #[test]
    fn the_planned_rate_follows_the_stages_and_is_nothing_after_the_last() {
        let ramp: Stage = "10s 100..200".parse().unwrap();
        let load = load(&[stage(50.0, 2), ramp], Arrivals::Poisson);
        let at = |seconds| load.rate_at(Duration::from_secs(seconds));
        for (seconds, rate) in [(0, 50.0), (1, 50.0), (2, 100.0), (7, 150.0), (12, 0.0)] {
            assert!((at(seconds) - rate).abs() < 1e-9, "{seconds}: {}", at(seconds));
        }
    }

    #[test]
    fn stages_are_read_with_their_rates_and_refused_with_what_is_wrong() {
        assert_eq!("2s 500".parse(), Ok(stage(500.0, 2)));
        let ramp = Stage {
            from: 100.0,
            to: 500.5,
            lasts: Duration::from_secs(90),
        };
        assert_eq!("1.5m 100..500.5".parse(), Ok(ramp));
        for (text, why) in [
            ("500", "it needs a time and a rate"),
            ("500 2s", "is no time"),
            ("2s many", "is no rate"),
            ("2s -1", "is no rate"),
            ("2s 1e7", "is no rate"),
            ("0s 5", "it lasts no time"),
        ] {
            let error = text.parse::<Stage>().unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn poisson_gaps_have_the_mean_and_the_spread_of_an_exponential_distribution() {
        let times = times(&load(&[stage(1_000.0, 60)], Arrivals::Poisson));
        let gaps: Vec<f64> = times.windows(2).map(|two| (two[1] - two[0]).as_secs_f64()).collect();
        #[expect(clippy::cast_precision_loss, reason = "some ten thousands")]
        let count = gaps.len() as f64;
        let mean = gaps.iter().sum::<f64>() / count;
        let spread = (gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / count).sqrt();
        assert!((0.98e-3..1.02e-3).contains(&mean), "{mean}");
        assert!((0.97e-3..1.03e-3).contains(&spread), "{spread}");
    }

    #[test]
    fn a_seed_gives_the_same_load_again_another_seed_another_and_another_mix_the_same_times() {
        let load = |seed, mix| Load {
            seed,
            mix,
            ..load(&[stage(500.0, 2)], Arrivals::Poisson)
        };
        let of = |load: &Load| load.iter().collect::<Vec<_>>();
        let wrong = || Mix::wrong(0.3);
        assert_eq!(of(&load(1, wrong())), of(&load(1, wrong())));
        assert_ne!(of(&load(1, wrong())), of(&load(2, wrong())));
        assert_eq!(times(&load(1, wrong())), times(&load(1, Mix::wrong(0.9))));
    }
}
