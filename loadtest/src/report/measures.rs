//! What arms of one comparison are compared by: each in proportion to the first.

use std::time::Duration;

use super::numbers::{NOTHING, count, digits, fine, rate, ratio, real, times};
use crate::arms::median;
use crate::results::Results;
use crate::text::told;

/// What is compared.
pub(super) struct Measure {
    pub(super) name: &'static str,
    of: fn(&Results) -> Option<f64>,
    told: fn(f64) -> String,
    /// Whether more is better; `None` where neither is.
    more: Option<bool>,
}

/// A change smaller than this is none.
pub(super) const SAME: f64 = 0.05;

/// In the order in which they are shown.
pub(super) const MEASURES: [Measure; 12] = [
    Measure::less("sent", |run| Some(real(run.sent)), whole).neutral(),
    Measure::less("right", |run| Some(real(run.counts.right)), whole).neutral(),
    Measure::less("failed", |run| Some(real(run.counts.failed)), whole),
    Measure::less("wrong", |run| Some(real(run.counts.wrong)), whole),
    Measure::less("false successes", |run| Some(real(run.counts.false_successes)), whole),
    Measure {
        name: "goodput",
        of: |run| Some(run.goodput()),
        told: rate,
        more: Some(true),
    },
    Measure::less("p50", |run| time(run, run.latency_ms.p50), time_told),
    Measure::less("p99", |run| time(run, run.latency_ms.p99), time_told),
    Measure::less("p99.9", |run| time(run, run.latency_ms.p999), time_told),
    Measure::less("max", |run| time(run, run.latency_ms.max), time_told),
    Measure::less("binds each", |run| run.binds_per_signin, fine),
    Measure::less(
        "CPU for a sign-in",
        |run| {
            let used: f64 = run.processes.iter().map(|process| process.cpu_us_per_signin).sum();
            (!run.processes.is_empty()).then_some(used)
        },
        |us| format!("{} µs", digits(us)),
    ),
];

fn time(run: &Results, time: Duration) -> Option<f64> {
    (run.sent > 0).then_some(time.as_secs_f64())
}

fn time_told(seconds: f64) -> String {
    told(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

fn whole(number: f64) -> String {
    count(number as u64)
}

/// A measure in one arm.
pub(super) struct Compared {
    pub(super) value: String,
    /// In proportion to the first arm.
    pub(super) ratio: Option<String>,
    /// Whether that is better; `None` where it is neither.
    pub(super) better: Option<bool>,
}

impl Measure {
    const fn less(name: &'static str, of: fn(&Results) -> Option<f64>, told: fn(f64) -> String) -> Self {
        Self {
            name,
            of,
            told,
            more: Some(false),
        }
    }

    const fn neutral(self) -> Self {
        Self { more: None, ..self }
    }

    /// In each arm, by the medians of its rounds; `None` where no arm knows it, or it is nothing in all.
    pub(super) fn compared(&self, arms: &[Vec<Results>]) -> Option<Vec<Compared>> {
        let values: Vec<Vec<Option<f64>>> = arms.iter().map(|rounds| rounds.iter().map(self.of).collect()).collect();
        let any = values.iter().flatten().flatten().any(|value| *value > 0.0);
        let first = values.first().cloned().unwrap_or_default();
        any.then(|| {
            let arms = values.iter().enumerate();
            arms.map(|(index, values)| self.beside(&first, index, values)).collect()
        })
    }

    fn beside(&self, firsts: &[Option<f64>], index: usize, values: &[Option<f64>]) -> Compared {
        let Some(value) = middle(values.iter().copied().flatten().collect()) else {
            return Compared {
                value: NOTHING.to_owned(),
                ratio: None,
                better: None,
            };
        };
        // Round by round: what made one round slow for all is no difference between them.
        let rounds = firsts.iter().zip(values).filter(|_| index > 0);
        let mut ratios: Vec<f64> = rounds
            .filter_map(|(first, value)| ratio((*value)?, (*first)?))
            .collect();
        ratios.sort_by(f64::total_cmp);
        let first = middle(firsts.iter().copied().flatten().collect());
        let ratio = middle(ratios.clone());
        let more = match (ratio, first) {
            _ if index == 0 => None,
            (Some(ratio), _) => ((ratio - 1.0).abs() > SAME).then_some(ratio > 1.0),
            // From nothing to something.
            (None, Some(_)) => (value > 0.0).then_some(true),
            (None, None) => None,
        };
        let spread = match ratios.as_slice() {
            [lowest, .., highest] => format!(", {lowest:.2} to {highest:.2}"),
            _ => String::new(),
        };
        Compared {
            value: (self.told)(value),
            ratio: ratio.map(|ratio| times(ratio) + &spread),
            better: more.zip(self.more).map(|(more, wanted)| more == wanted),
        }
    }
}

/// The median.
fn middle(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    median(&values)
}
