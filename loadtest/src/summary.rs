//! A part of a run in numbers.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize, de};

use crate::record::{Judgement, Record};

/// Latencies are kept to a thousandth, in microseconds.
const DIGITS: u8 = 3;

/// The longest latency that is told apart: a minute. Nobody waits longer.
const LONGEST_US: u64 = 60_000_000;

/// Latencies of some sign-ins; all zero where there were none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Latency {
    /// Half took no longer.
    pub p50: Duration,
    /// 90 of 100 took no longer.
    pub p90: Duration,
    /// 99 of 100 took no longer.
    pub p99: Duration,
    /// 999 of 1,000 took no longer.
    pub p999: Duration,
    /// None took longer.
    pub max: Duration,
}

impl Latency {
    /// Of these.
    pub fn of(latencies: impl IntoIterator<Item = Duration>) -> Self {
        // Only bounds that make no sense are refused.
        let Ok(mut histogram) = Histogram::<u64>::new_with_bounds(1, LONGEST_US, DIGITS) else {
            return Self::default();
        };
        let mut max = Duration::ZERO;
        for latency in latencies {
            histogram.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(LONGEST_US));
            max = max.max(latency);
        }
        Self::from(&histogram).up_to(max)
    }

    /// None of them longer than this: a histogram's values are the upper ends of what it tells apart.
    fn up_to(self, max: Duration) -> Self {
        let Self {
            p50, p90, p99, p999, ..
        } = self;
        Self {
            p50: p50.min(max),
            p90: p90.min(max),
            p99: p99.min(max),
            p999: p999.min(max),
            max,
        }
    }
}

/// Of microseconds.
impl From<&Histogram<u64>> for Latency {
    fn from(histogram: &Histogram<u64>) -> Self {
        let quantile = |share| Duration::from_micros(histogram.value_at_quantile(share));
        if histogram.is_empty() {
            return Self::default();
        }
        Self {
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
            p999: quantile(0.999),
            max: Duration::from_micros(histogram.max()),
        }
    }
}

/// Milliseconds, as section 8 of the contract has them.
impl Serialize for Latency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
        let named = [
            ("p50", ms(self.p50)),
            ("p90", ms(self.p90)),
            ("p99", ms(self.p99)),
            ("p999", ms(self.p999)),
            ("max", ms(self.max)),
        ];
        serializer.collect_map(named)
    }
}

/// As it is written.
impl<'de> Deserialize<'de> for Latency {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Ms {
            p50: f64,
            p90: f64,
            p99: f64,
            p999: f64,
            max: f64,
        }
        let time = |ms: f64| Duration::try_from_secs_f64(ms / 1_000.0).map_err(de::Error::custom);
        let Ms {
            p50,
            p90,
            p99,
            p999,
            max,
        } = Ms::deserialize(deserializer)?;
        Ok(Self {
            p50: time(p50)?,
            p90: time(p90)?,
            p99: time(p99)?,
            p999: time(p999)?,
            max: time(max)?,
        })
    }
}

/// Some sign-ins in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// How many.
    pub sent: u64,
    /// How they ended, by name.
    pub outcomes: BTreeMap<String, u64>,
    /// With neither what was expected nor a verdict.
    pub failed: u64,
    /// With another verdict than expected.
    pub wrong: u64,
    /// Of those, who was let in and must not be.
    pub false_successes: u64,
    /// From the planned time to the answer.
    #[serde(rename = "latency_ms")]
    pub latency: Latency,
}

impl Summary {
    /// Of these.
    pub fn of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Self {
        let records: Vec<&Record> = records.into_iter().collect();
        let mut summary = Self {
            latency: Latency::of(records.iter().map(|record| record.latency)),
            ..Self::default()
        };
        for record in records {
            summary.sent += 1;
            *summary.outcomes.entry(record.ended.to_string()).or_default() += 1;
            summary.false_successes += u64::from(record.is_false_success());
            match record.judgement() {
                Judgement::Right => {}
                Judgement::Failed => summary.failed += 1,
                Judgement::Wrong => summary.wrong += 1,
            }
        }
        summary
    }

    /// Those with the expected verdict.
    pub fn right(&self) -> u64 {
        self.sent - self.failed - self.wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mix::Kind;
    use crate::record::{Attempt, Ended, Tally};
    use postern_protocol::{Outcome, Unavailable, Verdict};

    #[test]
    fn quantiles_are_those_of_the_latencies_within_a_thousandth() {
        let latency = Latency::of((1..=1_000).map(Duration::from_millis));
        for (quantile, ms) in [
            (latency.p50, 500),
            (latency.p90, 900),
            (latency.p99, 990),
            (latency.p999, 999),
        ] {
            let wanted = Duration::from_millis(ms);
            assert!(
                quantile >= wanted && quantile <= wanted.mul_f64(1.002),
                "{quantile:?} for {wanted:?}"
            );
        }
        assert_eq!(latency.max, Duration::from_secs(1));
        assert_eq!(Latency::of([]), Latency::default());
    }

    #[test]
    fn failed_and_wrong_are_counted_apart_and_every_outcome_by_its_name() {
        let record = |right, outcome| Record {
            attempt: Attempt {
                at: Duration::ZERO,
                user: 1,
                kind: if right { Kind::Right } else { Kind::Wrong },
            },
            lag: Duration::ZERO,
            latency: Duration::from_millis(5),
            ended: Ended::Outcome(outcome),
            binds: Tally::default(),
        };
        let records = [
            record(true, Outcome::Verdict(Verdict::Success)),
            record(false, Outcome::Verdict(Verdict::Success)),
            record(true, Outcome::Verdict(Verdict::InvalidCredentials)),
            record(true, Outcome::Unavailable(Unavailable::NoAgent)),
        ];
        let summary = Summary::of(&records);
        assert_eq!((summary.sent, summary.right(), summary.failed), (4, 1, 1));
        assert_eq!((summary.wrong, summary.false_successes), (2, 1));
        assert_eq!(summary.outcomes["success"], 2);
        assert_eq!(summary.outcomes["unavailable/no_agent"], 1);
    }
}
