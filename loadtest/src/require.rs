//! What is required of a run: `p99<50ms`, `failed==0`, `p99(right)[25s..30s]<=20ms`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::mix::Kind;
use crate::record::Ended;
use crate::results::{Counts, Results, per_second};
use crate::summary::Latency;
use crate::text::{duration, told};

/// How requirements are written, for whoever wrote one otherwise.
pub const HELP: &str = "a measure, one of < <= == != >= > and a value: p50, p90, p99, p999, max (as 50ms), each also of a kind \
                        as p99(wrong) and of a stretch of time as p99[20s..30s]; sent, right, failed, wrong_outcomes, \
                        false_successes, locked_out, each also of a stretch (failed[0s..20s]==0) and as a share of what was \
                        sent (failed<0.1%); outcome(NAME); rate (right answers a second); binds_per_signin, bound_twice, \
                        extra_bad_passwords, late_binds; late, dropped, lag_p99; cpu_us (of a sign-in, all processes) or \
                        cpu_us(PROCESS)";

/// Something that must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Requirement {
    /// As it was written.
    text: String,
    measure: Measure,
    /// A kind, an outcome, a process.
    of: Option<String>,
    /// A stretch of the run.
    window: Option<(Duration, Option<Duration>)>,
    relation: Relation,
    value: f64,
    unit: Unit,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Measure {
    Latency(Quantile),
    Count(Counted),
    Outcome,
    Rate,
    BindsPerSignIn,
    BoundTwice,
    ExtraBadPasswords,
    LateBinds,
    Late,
    Dropped,
    Lag,
    Cpu,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantile {
    P50,
    P90,
    P99,
    P999,
    Max,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counted {
    Sent,
    Right,
    Failed,
    Wrong,
    FalseSuccesses,
    LockedOut,
}

const MEASURES: [(&str, Measure); 22] = [
    ("p50", Measure::Latency(Quantile::P50)),
    ("p90", Measure::Latency(Quantile::P90)),
    ("p99", Measure::Latency(Quantile::P99)),
    ("p999", Measure::Latency(Quantile::P999)),
    ("max", Measure::Latency(Quantile::Max)),
    ("sent", Measure::Count(Counted::Sent)),
    ("right", Measure::Count(Counted::Right)),
    ("failed", Measure::Count(Counted::Failed)),
    ("wrong_outcomes", Measure::Count(Counted::Wrong)),
    ("false_successes", Measure::Count(Counted::FalseSuccesses)),
    ("locked_out", Measure::Count(Counted::LockedOut)),
    ("outcome", Measure::Outcome),
    ("rate", Measure::Rate),
    ("binds_per_signin", Measure::BindsPerSignIn),
    ("bound_twice", Measure::BoundTwice),
    ("extra_bad_passwords", Measure::ExtraBadPasswords),
    ("late_binds", Measure::LateBinds),
    ("late", Measure::Late),
    ("dropped", Measure::Dropped),
    ("lag_p99", Measure::Lag),
    ("cpu_us", Measure::Cpu),
    ("goodput", Measure::Rate),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Below,
    AtMost,
    Equal,
    Unequal,
    AtLeast,
    Above,
}

/// Two characters before those that one of them is.
const RELATIONS: [(&str, Relation); 6] = [
    ("<=", Relation::AtMost),
    (">=", Relation::AtLeast),
    ("==", Relation::Equal),
    ("!=", Relation::Unequal),
    ("<", Relation::Below),
    (">", Relation::Above),
];

/// In what a value is given and told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Number,
    Milliseconds,
    Percent,
}

/// A requirement, and what was seen of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// As it was written.
    pub expr: String,
    /// What was seen: milliseconds of times, percent of shares; `None` where nothing was.
    pub value: Option<f64>,
    /// Whether it holds. What was not seen does not.
    pub ok: bool,
}

/// What a run can tell of.
#[derive(Debug, Clone)]
pub struct Scope {
    /// Kinds that its load has.
    pub kinds: Vec<Kind>,
    /// Processes that are looked at, by name.
    pub processes: Vec<String>,
    /// How long the load is.
    pub lasts: Duration,
}

impl Requirement {
    /// Makes sure that the run can see what it is about: else it cannot hold, and that is better known before.
    ///
    /// # Errors
    /// What the run has not.
    pub fn check(&self, scope: &Scope) -> Result<(), String> {
        let cannot = |why: String| Err(format!("requirement {:?}: {why}", self.text));
        if let Some((from, _)) = self.window
            && from >= scope.lasts
        {
            return cannot(format!("the load is over after {}", told(scope.lasts)));
        }
        let Some(of) = self.of.as_deref() else {
            return Ok(());
        };
        let (what, known): (_, Vec<String>) = match self.measure {
            Measure::Latency(_) => ("the load has no sign-ins of the kind", {
                let corrected = scope.kinds.contains(&Kind::Typo).then_some(Kind::Corrected);
                let kinds = scope.kinds.iter().copied().chain(corrected);
                kinds.map(|kind| kind.to_string()).collect()
            }),
            Measure::Outcome => (
                "there is no outcome",
                Ended::all().map(|ended| ended.to_string()).collect(),
            ),
            Measure::Cpu => ("no process is looked at of the name", scope.processes.clone()),
            _ => return Ok(()),
        };
        if known.iter().any(|known| known == of) {
            return Ok(());
        }
        match known.is_empty() {
            true => cannot(format!("{what} {of:?}; there are none")),
            false => cannot(format!("{what} {of:?}; there are: {}", known.join(", "))),
        }
    }

    /// The same of a run that goes this many times as long.
    #[must_use]
    pub fn stretched(mut self, factor: f64) -> Self {
        let Some((from, until)) = self.window else { return self };
        let (from, until) = (from.mul_f64(factor), until.map(|until| until.mul_f64(factor)));
        let seconds = |time: Duration| format!("{}s", (time.as_secs_f64() * 1e3).round() / 1e3);
        let written = format!("[{}..{}]", seconds(from), until.map(seconds).unwrap_or_default());
        if let (Some(open), Some(close)) = (self.text.find('['), self.text.find(']')) {
            self.text.replace_range(open..=close, &written);
        }
        self.window = Some((from, until));
        self
    }

    /// Whether it holds of a run.
    pub fn judge(&self, results: &Results) -> Threshold {
        let value = self.measured(results);
        let holds = |seen: f64| match self.relation {
            Relation::Below => seen < self.value,
            Relation::AtMost => seen <= self.value,
            Relation::Equal => (seen - self.value).abs() < f64::EPSILON,
            Relation::Unequal => (seen - self.value).abs() >= f64::EPSILON,
            Relation::AtLeast => seen >= self.value,
            Relation::Above => seen > self.value,
        };
        Threshold {
            expr: self.text.clone(),
            value,
            ok: value.is_some_and(holds),
        }
    }

    fn measured(&self, results: &Results) -> Option<f64> {
        let of = self.of.as_deref();
        // Where nothing was sent, nothing was seen.
        let counts = || {
            let counts = match self.window {
                None => results.counts,
                Some(window) => counts_in(results, window),
            };
            (counts.sent > 0).then_some(counts)
        };
        match self.measure {
            Measure::Latency(quantile) => match (of, self.window) {
                (Some(kind), _) => {
                    let mut kinds = results.kinds.iter();
                    kinds
                        .find(|of_it| of_it.kind == kind)
                        .map(|of_it| quantile.of(&of_it.latency))
                }
                (None, Some(window)) => slowest_in(results, window, quantile),
                (None, None) => (results.sent > 0).then(|| quantile.of(&results.latency_ms)),
            },
            Measure::Count(counted) => {
                let counts = counts()?;
                let seen = number(counted.of(&counts));
                match self.unit {
                    Unit::Percent => Some(seen * 100.0 / number(counts.sent)),
                    _ => Some(seen),
                }
            }
            Measure::Outcome if results.sent == 0 => None,
            Measure::Outcome => Some(number(results.outcomes.get(of?).copied().unwrap_or(0))),
            Measure::Rate => Some(match self.window {
                None => results.goodput(),
                Some(window) => {
                    // Of the seconds that are wholly in it.
                    let lasts: f64 = slices_in(results, window).map(|slice| slice.lasts_s).sum();
                    per_second(counts()?.right, lasts)
                }
            }),
            Measure::BindsPerSignIn => results.binds_per_signin,
            Measure::BoundTwice => Some(number(results.binds?.users_bound_twice)),
            Measure::ExtraBadPasswords => Some(number(results.binds?.extra_bad_passwords)),
            Measure::LateBinds => Some(number(results.binds?.late_binds)),
            Measure::Late => Some(number(results.generator.late)),
            Measure::Dropped => Some(number(results.generator.dropped)),
            Measure::Lag => Some(results.generator.lag_p99_ms),
            Measure::Cpu => {
                let wanted = |name: &str| of.is_none_or(|of| of == name);
                let mut used = results
                    .processes
                    .iter()
                    .filter(|process| wanted(&process.name))
                    .peekable();
                used.peek()?;
                Some(used.map(|process| process.cpu_us_per_signin).sum())
            }
        }
    }
}

/// Of the seconds that are wholly in it.
fn slices_in(
    results: &Results,
    (from, until): (Duration, Option<Duration>),
) -> impl Iterator<Item = &crate::results::Slice> {
    let until = until.map_or(f64::INFINITY, |until| until.as_secs_f64());
    let within = move |slice: &&crate::results::Slice| {
        slice.from_s >= from.as_secs_f64() && slice.from_s + slice.lasts_s <= until
    };
    results.timeline.iter().filter(within)
}

fn counts_in(results: &Results, window: (Duration, Option<Duration>)) -> Counts {
    let mut sum = Counts::default();
    for slice in slices_in(results, window) {
        sum.add_all(&slice.counts);
    }
    sum
}

/// The slowest of its seconds: that is at least what all of them together would have.
fn slowest_in(results: &Results, window: (Duration, Option<Duration>), quantile: Quantile) -> Option<f64> {
    let sent = slices_in(results, window).filter(|slice| slice.counts.sent > 0);
    sent.map(|slice| quantile.of(&slice.latency)).reduce(f64::max)
}

impl Quantile {
    fn of(self, latency: &Latency) -> f64 {
        let time = match self {
            Self::P50 => latency.p50,
            Self::P90 => latency.p90,
            Self::P99 => latency.p99,
            Self::P999 => latency.p999,
            Self::Max => latency.max,
        };
        time.as_secs_f64() * 1_000.0
    }
}

impl Counted {
    fn of(self, counts: &Counts) -> u64 {
        match self {
            Self::Sent => counts.sent,
            Self::Right => counts.right,
            Self::Failed => counts.failed,
            Self::Wrong => counts.wrong,
            Self::FalseSuccesses => counts.false_successes,
            Self::LockedOut => counts.locked_out,
        }
    }
}

impl Measure {
    /// The unit that its values have, if it is not one's choice.
    fn takes(self, unit: Unit) -> bool {
        match self {
            Self::Latency(_) | Self::Lag => unit == Unit::Milliseconds,
            Self::Count(_) => unit != Unit::Milliseconds,
            _ => unit == Unit::Number,
        }
    }

    /// Whether something stands in brackets: must, may, must not.
    fn takes_of(self, given: bool) -> bool {
        match self {
            Self::Outcome => given,
            Self::Latency(_) | Self::Cpu => true,
            _ => !given,
        }
    }

    fn takes_window(self) -> bool {
        matches!(self, Self::Latency(_) | Self::Count(_) | Self::Rate)
    }
}

/// As it was written.
impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Requirement {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("requirement {text:?}: {why}; it takes {HELP}");
        let at = text
            .find(['<', '>', '=', '!'])
            .ok_or_else(|| wrong("there is no comparison"))?;
        let (left, right) = text.split_at(at);
        let (sign, relation) = RELATIONS
            .into_iter()
            .find(|(sign, _)| right.starts_with(sign))
            .ok_or_else(|| wrong("there is no comparison"))?;
        let (value, unit) = value(right.get(sign.len()..).unwrap_or_default().trim()).map_err(|why| wrong(&why))?;
        let (left, window) = window(left.trim()).map_err(|why| wrong(&why))?;
        let (name, of) = match left.split_once('(') {
            None => (left, None),
            Some((name, rest)) => {
                let of = rest.strip_suffix(')').ok_or_else(|| wrong("a bracket is open"))?;
                (name, Some(of.trim().to_owned()))
            }
        };
        let name = name.trim();
        let known = MEASURES.into_iter().find(|(known, _)| *known == name);
        let (_, measure) = known.ok_or_else(|| wrong(&format!("{name:?} is no measure")))?;
        if !measure.takes(unit) {
            return Err(wrong(match measure {
                Measure::Latency(_) | Measure::Lag => "a time needs its unit, as 50ms",
                _ => "the value is of another unit than the measure",
            }));
        }
        if !measure.takes_of(of.is_some()) {
            return Err(wrong("what is in brackets does not go with the measure, or is missing"));
        }
        if window.is_some() && (!measure.takes_window() || of.is_some()) {
            return Err(wrong("this measure is not kept over time"));
        }
        Ok(Self {
            text: text.to_owned(),
            measure,
            of,
            window,
            relation,
            value,
            unit,
        })
    }
}

fn value(text: &str) -> Result<(f64, Unit), String> {
    // Nothing is above what is infinite, and nothing is or is not what is no number.
    let finite = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
    if let Some(number) = text.strip_suffix('%') {
        let number = finite(number.trim()).ok_or_else(|| format!("{text:?} is no share"))?;
        return Ok((number, Unit::Percent));
    }
    if let Some(number) = finite(text) {
        return Ok((number, Unit::Number));
    }
    let time = duration(text)?;
    Ok((time.as_secs_f64() * 1_000.0, Unit::Milliseconds))
}

type Stretch = (Duration, Option<Duration>);

fn window(left: &str) -> Result<(&str, Option<Stretch>), String> {
    let Some((name, rest)) = left.split_once('[') else {
        return Ok((left, None));
    };
    let inside = rest.strip_suffix(']').ok_or("a bracket is open")?;
    let (from, until) = inside
        .split_once("..")
        .ok_or("a stretch of time is written as [20s..30s] or [20s..]")?;
    let from = if from.trim().is_empty() {
        Duration::ZERO
    } else {
        duration(from.trim())?
    };
    let until = (!until.trim().is_empty()).then(|| duration(until.trim())).transpose()?;
    if until.is_some_and(|until| until <= from) {
        return Err("the stretch of time ends before it begins".to_owned());
    }
    Ok((name, Some((from, until))))
}

#[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^52")]
fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests;
