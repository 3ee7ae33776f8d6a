//! What a run comes to while it goes on, as Prometheus asks for it.
//!
//! Everything is taken from sign-ins that have ended, a few times in a second and away from the thread that makes the
//! load. Labels are kinds, outcomes and judgements, of which there are few; no user's name is ever among them.

use std::collections::HashMap;

use postern_service::metrics::registry;
use prometheus::{Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use crate::fault::Mark;
use crate::mix::Kind;
use crate::record::{Ended, Judgement, Record};
use crate::results::About;
use crate::run::{Progress, View};

/// From an idle relay's answer to the longest that anybody waits.
const BUCKETS: [f64; 15] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// Counts for Prometheus. Over several runs, of arms or of a search, it counts on.
#[derive(Debug)]
pub struct Exporter {
    registry: Registry,
    runs: IntCounter,
    sign_ins: IntCounterVec,
    latency: HistogramVec,
    of_kind: HashMap<Kind, Histogram>,
    under_way: IntGauge,
    planned: Gauge,
    late: IntCounter,
    dropped: IntCounter,
    /// Of the run that goes on.
    dropped_so_far: u64,
    faults: IntCounterVec,
}

impl Exporter {
    /// Nothing yet.
    ///
    /// # Errors
    /// When a name is there twice.
    pub fn new() -> prometheus::Result<Self> {
        let exporter = Self {
            registry: registry("loadtest", env!("CARGO_PKG_VERSION"))?,
            runs: IntCounter::new("postern_loadtest_runs_total", "Runs begun.")?,
            sign_ins: IntCounterVec::new(
                Opts::new("postern_loadtest_signins_total", "Sign-ins that have ended."),
                &["kind", "expected", "outcome", "judgement"],
            )?,
            latency: HistogramVec::new(
                HistogramOpts::new(
                    "postern_loadtest_latency_seconds",
                    "From the planned time of a sign-in to its answer.",
                )
                .buckets(BUCKETS.to_vec()),
                &["kind"],
            )?,
            of_kind: HashMap::new(),
            under_way: IntGauge::new("postern_loadtest_signins_in_flight", "Sign-ins sent and not answered.")?,
            planned: Gauge::new(
                "postern_loadtest_planned_rate",
                "Sign-ins a second that are to be sent now; 0 in a closed loop, which has no rate.",
            )?,
            late: IntCounter::new(
                "postern_loadtest_late_total",
                "Sign-ins sent more than 5 ms after their time: the generator's own fault.",
            )?,
            dropped: IntCounter::new(
                "postern_loadtest_dropped_total",
                "Sign-ins not sent: too many were under way, or everybody was in one.",
            )?,
            dropped_so_far: 0,
            faults: IntCounterVec::new(
                Opts::new(
                    "postern_loadtest_faults_total",
                    "Faults and their ends that were carried out, or could not be.",
                ),
                &["result"],
            )?,
        };
        let all: [Box<dyn prometheus::core::Collector>; 8] = [
            Box::new(exporter.runs.clone()),
            Box::new(exporter.sign_ins.clone()),
            Box::new(exporter.latency.clone()),
            Box::new(exporter.under_way.clone()),
            Box::new(exporter.planned.clone()),
            Box::new(exporter.late.clone()),
            Box::new(exporter.dropped.clone()),
            Box::new(exporter.faults.clone()),
        ];
        for collector in all {
            exporter.registry.register(collector)?;
        }
        // Whoever waits for the first failure has a 0 before it.
        for result in ["done", "failed"] {
            exporter.faults.with_label_values(&[result]);
        }
        Ok(exporter)
    }

    /// Where all of it is.
    pub fn registry(&self) -> Registry {
        self.registry.clone()
    }

    fn count_dropped(&mut self, dropped: u64) {
        self.dropped.inc_by(dropped.saturating_sub(self.dropped_so_far));
        self.dropped_so_far = dropped;
    }
}

impl View for Exporter {
    fn begin(&mut self, _about: &About) {
        self.runs.inc();
        self.dropped_so_far = 0;
    }

    fn ended(&mut self, records: &[Record]) {
        let mut counts: HashMap<(Kind, Ended), u64> = HashMap::new();
        for record in records {
            let kind = record.attempt.kind;
            *counts.entry((kind, record.ended)).or_default() += 1;
            let latency = self.of_kind.entry(kind);
            let latency = latency.or_insert_with(|| self.latency.with_label_values(&[kind.as_str()]));
            latency.observe(record.latency.as_secs_f64());
            self.late.inc_by(u64::from(record.is_late()));
        }
        for ((kind, ended), count) in counts {
            let judgement = match Record::judge(kind, ended) {
                Judgement::Right => "right",
                Judgement::Failed => "failed",
                Judgement::Wrong => "wrong",
            };
            let (expected, outcome) = (kind.expected().to_string(), ended.to_string());
            let labels = [kind.as_str(), expected.as_str(), outcome.as_str(), judgement];
            self.sign_ins.with_label_values(&labels).inc_by(count);
        }
    }

    fn progress(&mut self, progress: &Progress) {
        self.under_way
            .set(i64::try_from(progress.under_way).unwrap_or(i64::MAX));
        self.planned.set(progress.planned_rate);
        self.count_dropped(progress.dropped);
    }

    fn mark(&mut self, mark: &Mark) {
        let result = if mark.error.is_none() { "done" } else { "failed" };
        self.faults.with_label_values(&[result]).inc();
    }

    fn end(&mut self, dropped: u64) {
        self.under_way.set(0);
        self.planned.set(0.0);
        self.count_dropped(dropped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Attempt, Tally};
    use crate::scrape::Metrics;
    use postern_protocol::{Outcome, Unavailable, Verdict};
    use prometheus::TextEncoder;
    use std::time::Duration;

    fn record(kind: Kind, outcome: Outcome) -> Record {
        Record {
            attempt: Attempt {
                at: Duration::ZERO,
                user: 1,
                kind,
            },
            lag: Duration::from_millis(6),
            latency: Duration::from_millis(20),
            ended: Ended::Outcome(outcome),
            binds: Tally::default(),
        }
    }

    #[test]
    fn sign_ins_are_counted_by_what_was_expected_and_what_came_over_several_runs() {
        let mut exporter = Exporter::new().unwrap();
        for dropped in [3, 5] {
            exporter.begin(&About::default());
            exporter.ended(&[
                record(Kind::Right, Outcome::Verdict(Verdict::Success)),
                record(Kind::Wrong, Outcome::Verdict(Verdict::Success)),
                record(Kind::Right, Outcome::Unavailable(Unavailable::Timeout)),
            ]);
            exporter.end(dropped);
        }
        let text = TextEncoder::new()
            .encode_to_string(&exporter.registry().gather())
            .unwrap();
        let metrics = Metrics::parse(&text);
        let count = |name: &str, labels: &[(&str, &str)]| metrics.count(name, labels);
        let name = "postern_loadtest_signins_total";
        assert_eq!(count(name, &[]), 6);
        assert_eq!(count(name, &[("judgement", "wrong"), ("outcome", "success")]), 2);
        let expected = [("kind", "right"), ("expected", "success"), ("judgement", "failed")];
        assert_eq!(count(name, &expected), 2);
        assert_eq!(
            count(
                "postern_loadtest_latency_seconds_bucket",
                &[("kind", "right"), ("le", "0.025")]
            ),
            4
        );
        assert_eq!(
            count(
                "postern_loadtest_latency_seconds_bucket",
                &[("kind", "right"), ("le", "0.01")]
            ),
            0
        );
        assert_eq!(count("postern_loadtest_dropped_total", &[]), 8);
        assert_eq!(
            (
                count("postern_loadtest_late_total", &[]),
                count("postern_loadtest_runs_total", &[])
            ),
            (6, 2)
        );
    }
}
