//! Goals: what was promised, what was seen, and whether it holds. Numbers in, verdict out.

use std::fmt;
use std::time::Duration;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

/// In a short run a time may be this many times its goal: the machine may be anybody's, and busy.
const SLACK: u32 = 3;

/// Something that can be measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// How many.
    Count(u64),
    /// How long.
    Time(Duration),
    /// A part of a whole, or of something else; 1 is all of it.
    Share(f64),
    /// Memory, in bytes.
    Bytes(u64),
}

impl Value {
    fn number(self) -> f64 {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^52")]
            Self::Count(count) | Self::Bytes(count) => count as f64,
            Self::Time(time) => time.as_secs_f64(),
            Self::Share(share) => share,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Time(time) if *time >= Duration::from_secs(10) => write!(f, "{:.1} s", time.as_secs_f64()),
            Self::Time(time) => write!(f, "{:.1} ms", time.as_secs_f64() * 1_000.0),
            Self::Share(share) => write!(f, "{:.1} %", share * 100.0),
            #[expect(clippy::cast_precision_loss, reason = "memory of a process is far below 2^52 bytes")]
            Self::Bytes(bytes) => write!(f, "{:.1} MiB", *bytes as f64 / (1024.0 * 1024.0)),
        }
    }
}

/// Which side of its limit is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    AtMost,
    AtLeast,
}

/// What was promised of one number, and what was seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Goal {
    what: String,
    side: Side,
    limit: Value,
    /// `None`: it never came.
    seen: Option<Value>,
}

/// How strictly times are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// As promised.
    Full,
    /// Counts as promised, times up to three times their goal.
    Short,
}

/// What came of a goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Held,
    /// A time beyond its goal, within what a short run lets pass.
    Slow,
    /// It does not hold.
    Missed,
}

impl Goal {
    /// `seen` must not be above `limit`; `None` is something that never came, and missed.
    pub fn at_most(what: impl Into<String>, limit: Value, seen: Option<Value>) -> Self {
        Self {
            what: what.into(),
            side: Side::AtMost,
            limit,
            seen,
        }
    }

    /// `seen` must not be below `limit`.
    pub fn at_least(what: impl Into<String>, limit: Value, seen: Option<Value>) -> Self {
        Self {
            side: Side::AtLeast,
            ..Self::at_most(what, limit, seen)
        }
    }

    /// Nothing of this may have happened.
    pub fn none(what: impl Into<String>, seen: u64) -> Self {
        Self::at_most(what, Value::Count(0), Some(Value::Count(seen)))
    }

    /// At most this many.
    pub fn count(what: impl Into<String>, limit: u64, seen: u64) -> Self {
        Self::at_most(what, Value::Count(limit), Some(Value::Count(seen)))
    }

    /// At most this long; `None` is for ever.
    pub fn time(what: impl Into<String>, limit: Duration, seen: Option<Duration>) -> Self {
        Self::at_most(what, Value::Time(limit), seen.map(Value::Time))
    }

    /// Whether it holds.
    pub fn verdict(&self, strictness: Strictness) -> Verdict {
        let Some(seen) = self.seen else {
            return Verdict::Missed;
        };
        let holds = match self.side {
            Side::AtMost => seen.number() <= self.limit.number(),
            Side::AtLeast => seen.number() >= self.limit.number(),
        };
        if holds {
            return Verdict::Held;
        }
        match (strictness, self.side, seen, self.limit) {
            (Strictness::Short, Side::AtMost, Value::Time(seen), Value::Time(limit)) if seen <= limit * SLACK => {
                Verdict::Slow
            }
            _ => Verdict::Missed,
        }
    }

    /// What it is about.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// The limit with its side: `≤ 600.0 ms`.
    pub fn wanted(&self) -> String {
        let side = match self.side {
            Side::AtMost => '≤',
            Side::AtLeast => '≥',
        };
        format!("{side} {}", self.limit)
    }

    /// What was seen, in words.
    pub fn shown(&self) -> String {
        self.seen.map_or_else(|| "never".to_owned(), |seen| seen.to_string())
    }
}

/// What a script reads of it; numbers are counts, seconds, bytes or parts of one.
impl Serialize for Goal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Goal", 6)?;
        object.serialize_field("goal", &self.what)?;
        object.serialize_field("wanted", &self.wanted())?;
        object.serialize_field("seen", &self.shown())?;
        object.serialize_field("limit", &self.limit.number())?;
        object.serialize_field("value", &self.seen.map(Value::number))?;
        object.serialize_field("held", &(self.verdict(Strictness::Full) == Verdict::Held))?;
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_goal_holds_up_to_its_limit_and_not_beyond() {
        for (limit, seen, verdict) in [(0, 0, Verdict::Held), (0, 1, Verdict::Missed), (5, 5, Verdict::Held)] {
            for strictness in [Strictness::Full, Strictness::Short] {
                assert_eq!(
                    Goal::count("x", limit, seen).verdict(strictness),
                    verdict,
                    "{limit} {seen}"
                );
            }
        }
        let enough = |seen| Goal::at_least("x", Value::Share(0.9), Some(Value::Share(seen)));
        assert_eq!(enough(0.9).verdict(Strictness::Full), Verdict::Held);
        assert_eq!(enough(0.89).verdict(Strictness::Short), Verdict::Missed);
    }

    #[test]
    fn a_short_run_lets_times_pass_up_to_three_times_their_goal_and_counts_never() {
        let goal = |seen| Goal::time("x", ms(600), Some(ms(seen)));
        assert_eq!(goal(601).verdict(Strictness::Full), Verdict::Missed);
        assert_eq!(goal(601).verdict(Strictness::Short), Verdict::Slow);
        assert_eq!(goal(1_800).verdict(Strictness::Short), Verdict::Slow);
        assert_eq!(goal(1_801).verdict(Strictness::Short), Verdict::Missed);
        assert_eq!(Goal::count("x", 10, 11).verdict(Strictness::Short), Verdict::Missed);
        let memory = Goal::at_most("x", Value::Bytes(64), Some(Value::Bytes(65)));
        assert_eq!(memory.verdict(Strictness::Short), Verdict::Missed);
    }

    #[test]
    fn a_time_that_is_shorter_than_it_must_be_is_missed_in_a_short_run_too() {
        let goal = |seen| Goal::at_least("x", Value::Time(ms(20)), Some(Value::Time(ms(seen))));
        assert_eq!(goal(20).verdict(Strictness::Short), Verdict::Held);
        assert_eq!(goal(19).verdict(Strictness::Short), Verdict::Missed);
    }

    #[test]
    fn what_never_came_is_missed_and_said_so() {
        let goal = Goal::time("back", ms(5_000), None);
        assert_eq!(goal.verdict(Strictness::Short), Verdict::Missed);
        assert_eq!(
            (goal.wanted().as_str(), goal.shown().as_str()),
            ("≤ 5000.0 ms", "never")
        );
    }
}
