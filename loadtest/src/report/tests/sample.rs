//! Runs to make reports of, always the same.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::binds::BindSummary;
use crate::fault::Mark;
use crate::generator::GeneratorReport;
use crate::require::Threshold;
use crate::results::{About, AgentShare, Bin, Counts, KindResult, ProcessSample, ProcessUse, Results, Slice};
use crate::summary::Latency;

/// Numbers that look like chance.
struct Chance(u64);

impl Chance {
    /// From 0 to 1.
    fn next(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f64 / (1u64 << 24) as f64
    }
}

/// Latencies from a median and a tail, in milliseconds.
fn latency(p50: f64, tail: f64) -> Latency {
    let time = |ms: f64| Duration::from_micros((ms * 1_000.0) as u64);
    Latency {
        p50: time(p50),
        p90: time(p50 * 1.6),
        p99: time(p50 * 2.0 + tail * 0.2),
        p999: time(p50 * 2.5 + tail * 0.6),
        max: time(p50 * 3.0 + tail),
    }
}

fn outcomes(of: &[(&str, u64)]) -> BTreeMap<String, u64> {
    let some = of.iter().filter(|(_, count)| *count > 0);
    some.map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

fn threshold(expr: &str, value: f64, ok: bool) -> Threshold {
    Threshold {
        expr: expr.to_owned(),
        value: Some(value),
        ok,
    }
}

fn mark(what: &str, ordered_s: f64, took_s: f64) -> Mark {
    Mark {
        what: what.to_owned(),
        planned_s: None,
        ordered_s,
        done_s: ordered_s + took_s,
        error: None,
    }
}

/// A distribution with a hump, and a tail.
fn distribution(sent: u64, around_ms: f64, tail: u64) -> Vec<Bin> {
    let bin = |index: u32| 0.5 * 1.122_f64.powf(f64::from(index));
    let height = |up_to: f64| (-(up_to / around_ms).ln().powi(2) * 6.0).exp();
    let whole: f64 = (0..72).map(|index| height(bin(index))).sum();
    (0..72)
        .map(|index| {
            let up_to_ms = bin(index);
            let count = (sent as f64 * height(up_to_ms) / whole) as u64;
            let late = u64::from((40.0..1_600.0).contains(&up_to_ms) && index % 3 == 0) * tail;
            Bin {
                up_to_ms,
                count: count + late,
            }
        })
        .collect()
}

/// 30 s at 500 a second; one of three agents is killed at 10 s and started again at 20 s.
pub(crate) fn failover() -> Results {
    let mut chance = Chance(7);
    let mut timeline = Vec::new();
    let mut counts = Counts::default();
    let (mut timeouts, mut indeterminates) = (0, 0);
    for second in 0..30u32 {
        let (timeout, indeterminate) = match second {
            10 => (3, 14),
            11 => (9, 4),
            12 => (2, 0),
            _ => (0, 0),
        };
        let wrong = 150 + (chance.next() * 20.0) as u64 - 10;
        let failed = timeout + indeterminate;
        let tail = match second {
            10 => 1_500.0,
            11 => 900.0,
            12 => 240.0,
            20 => 40.0,
            _ => 6.0 + chance.next() * 9.0,
        };
        let of_slice = Counts {
            sent: 500,
            right: 500 - failed,
            failed,
            ..Counts::default()
        };
        counts.add_all(&of_slice);
        timeouts += timeout;
        indeterminates += indeterminate;
        timeline.push(Slice {
            from_s: f64::from(second),
            lasts_s: 1.0,
            outcomes: outcomes(&[
                ("success", 500 - failed - wrong),
                ("invalid_credentials", wrong),
                ("unavailable/timeout", timeout),
                ("unavailable/indeterminate", indeterminate),
            ]),
            counts: of_slice,
            latency: latency(3.0 + chance.next() * 0.8, tail),
        });
    }
    let invalid = 4_498;
    let actual = outcomes(&[
        ("success", 10_470),
        ("unavailable/timeout", timeouts),
        ("unavailable/indeterminate", indeterminates - 4),
    ]);
    let right = KindResult {
        kind: "right".to_owned(),
        expected: "success".to_owned(),
        counts: Counts {
            sent: 10_498,
            right: 10_470,
            failed: 28,
            ..Counts::default()
        },
        actual,
        latency: Latency {
            p999: Duration::from_micros(931_000),
            max: Duration::from_micros(1_509_000),
            ..latency(3.2, 32.0)
        },
    };
    let wrong = KindResult {
        kind: "wrong".to_owned(),
        expected: "invalid_credentials".to_owned(),
        counts: Counts {
            sent: 4_502,
            right: invalid,
            failed: 4,
            ..Counts::default()
        },
        actual: outcomes(&[("invalid_credentials", invalid), ("unavailable/indeterminate", 4)]),
        latency: Latency {
            p999: Duration::from_micros(640_000),
            max: Duration::from_micros(912_000),
            ..latency(3.0, 28.0)
        },
    };
    Results {
        sent: counts.sent,
        outcomes: outcomes(&[
            ("success", 10_470),
            ("invalid_credentials", invalid),
            ("unavailable/timeout", timeouts),
            ("unavailable/indeterminate", indeterminates),
        ]),
        failed: counts.failed,
        binds_per_signin: Some(1.001_2),
        latency_ms: Latency {
            p50: Duration::from_micros(3_210),
            p90: Duration::from_micros(5_400),
            p99: Duration::from_micros(12_700),
            p999: Duration::from_micros(912_000),
            max: Duration::from_micros(1_509_000),
        },
        service_ms: Latency {
            p50: Duration::from_micros(3_140),
            p90: Duration::from_micros(5_290),
            p99: Duration::from_micros(12_500),
            p999: Duration::from_micros(911_000),
            max: Duration::from_micros(1_508_000),
        },
        generator: GeneratorReport {
            late: 12,
            dropped: 0,
            lag_p99_ms: 0.31,
            cpu_us_each: 84.2,
        },
        thresholds: vec![
            threshold("false_successes==0", 0.0, true),
            threshold("wrong_outcomes==0", 0.0, true),
            threshold("p99<50ms", 12.7, true),
            threshold("failed<0.1%", 0.213_3, false),
            threshold("failed[20s..30s]==0", 0.0, true),
            threshold("binds_per_signin<=1.01", 1.001_2, true),
        ],
        valid: true,
        about: About {
            version: "0.1.0 (2c3c376)".to_owned(),
            began_at: "2026-11-23T14:03:27Z".to_owned(),
            name: "agent-killed".to_owned(),
            targets: vec!["http://127.0.0.1:8080".to_owned()],
            load: "500/s for 30 s".to_owned(),
            mix: "right 70 %, wrong 30 %".to_owned(),
            seed: 1,
            planned_s: 30.0,
            lasted_s: 30.01,
            command: "postern-loadtest run --url http://127.0.0.1:8080 --rate 500 --for 30s --mix right=70,wrong=30 \
                      --fault '10s kill agent-2' --fault '20s restart agent-2' --require 'p99<50ms' --html report.html"
                .to_owned(),
            processors: 2,
        },
        counts,
        kinds: vec![right, wrong],
        binds: Some(BindSummary {
            binds: 15_018,
            users_bound_twice: 18,
            most_for_one: 2,
            extra_bad_passwords: 0,
            late_binds: 2,
        }),
        marks: vec![
            mark("kill agent-2", 10.002, 0.011),
            mark("restart agent-2", 20.001, 0.148),
        ],
        timeline,
        distribution: distribution(14_950, 3.2, 2),
        processes: ["relay", "agent-1", "agent-2", "agent-3", "mock-dc"]
            .map(|name| process(name, &mut chance))
            .into(),
        agents: ["agent-1", "agent-2", "agent-3"]
            .map(|name| agent(name, &mut chance))
            .into(),
        ..Results::default()
    }
}

fn process(name: &str, chance: &mut Chance) -> ProcessUse {
    let cpu = if name == "relay" { 0.31 } else { 0.12 };
    let samples: Vec<ProcessSample> = (1..=30)
        .filter(|second| name != "agent-2" || !(11..=20).contains(second))
        .map(|second| ProcessSample {
            at_s: f64::from(second) + 0.02,
            cpu: cpu * (0.85 + chance.next() * 0.3),
            memory_bytes: (if name == "relay" { 21u64 } else { 14 } << 20) + (f64::from(second) * 30_000.0) as u64,
        })
        .collect();
    let cpu_s: f64 = samples.iter().map(|sample| sample.cpu).sum();
    ProcessUse {
        name: name.to_owned(),
        cpu_s,
        cpu_us_per_signin: cpu_s * 1e6 / 15_000.0,
        peak_bytes: samples.iter().map(|sample| sample.memory_bytes).max().unwrap_or(0),
        samples,
    }
}

fn agent(name: &str, chance: &mut Chance) -> AgentShare {
    let samples: Vec<(f64, u64)> = (1..=30)
        .map(|second| {
            let gone = (11..=20).contains(&second);
            let binds = match name {
                "agent-2" if gone => 0.0,
                _ if gone => 250.0,
                _ => 167.0,
            };
            (f64::from(second) + 0.02, (binds * (0.94 + chance.next() * 0.12)) as u64)
        })
        .collect();
    AgentShare {
        name: name.to_owned(),
        binds: samples.iter().map(|(_, binds)| binds).sum(),
        samples,
    }
}

/// The same load on two others, of which the last is worse.
pub(crate) fn arms() -> Vec<Results> {
    let mut two = failover();
    two.about.name = "two relays".to_owned();
    two.latency_ms = latency(2.9, 31.0);
    for slice in &mut two.timeline {
        slice.latency = latency(2.9, slice.latency.max.as_secs_f64() * 300.0);
    }
    two.counts.failed = 11;
    two.counts.right = 14_989;
    two.thresholds.iter_mut().for_each(|threshold| threshold.ok = true);
    let mut slow = failover();
    slow.about.name = "directory 20 ms slower".to_owned();
    slow.latency_ms = latency(24.1, 2_100.0);
    for slice in &mut slow.timeline {
        slice.latency = latency(24.0, slice.latency.max.as_secs_f64() * 1_500.0);
    }
    slow.marks.clear();
    vec![failover(), two, slow]
}

/// Sign-ins that were let in, locked accounts, a load that was not kept to, and an early end.
pub(crate) fn disaster() -> Results {
    let mut run = failover();
    run.about.name = "disaster".to_owned();
    run.valid = false;
    run.invalid_because = vec![
        "41 sign-ins were dropped: too many were under way".to_owned(),
        "fault \"restart agent-2\" was not carried out: connection refused (os error 111)".to_owned(),
    ];
    run.ended_early = Some("more than 10 % of the sign-ins failed for 5 s".to_owned());
    run.about.lasted_s = 19.02;
    run.sent = 9_500;
    run.counts.sent = 9_500;
    run.counts.failed += 420;
    run.failed = run.counts.failed;
    run.counts.false_successes = 3;
    run.counts.wrong = 120;
    run.counts.locked_out = 117;
    run.counts.right = run.sent - run.counts.failed - 120;
    run.wrong_outcomes = 120;
    run.generator.dropped = 41;
    run.generator.lag_p99_ms = 38.0;
    run.marks[1].error = Some("connection refused (os error 111)".to_owned());
    run.timeline.truncate(19);
    for slice in run.timeline.iter_mut().skip(12) {
        slice.counts.right -= 80;
        slice.counts.failed += 60;
        slice.counts.wrong += 20;
        slice.outcomes.insert("unavailable/no_agent".to_owned(), 45);
        slice.outcomes.insert("no answer".to_owned(), 15);
        slice.outcomes.insert("account_locked".to_owned(), 20);
    }
    for (name, count) in [
        ("account_locked", 117),
        ("unavailable/no_agent", 315),
        ("no answer", 105),
    ] {
        run.outcomes.insert(name.to_owned(), count);
        run.kinds[0].actual.insert(name.to_owned(), count);
    }
    run.kinds[1].actual.insert("success".to_owned(), 3);
    for (kind, (right, failed, wrong)) in run.kinds.iter_mut().zip([(6_047, 448, 117), (2_881, 4, 3)]) {
        kind.actual.insert(kind.expected.clone(), right);
        run.outcomes.insert(kind.expected.clone(), right);
        kind.counts = Counts {
            sent: right + failed + wrong,
            right,
            failed,
            wrong,
            ..Counts::default()
        };
    }
    run.thresholds[0] = threshold("false_successes==0", 3.0, false);
    run.thresholds[1] = threshold("wrong_outcomes==0", 120.0, false);
    run
}

/// Ten hours with 600 slices, many outcomes, 100 agents and processes, and 100 faults.
pub(crate) fn huge() -> Results {
    let mut run = failover();
    let mut chance = Chance(3);
    run.about.name = "huge".to_owned();
    run.about.planned_s = 36_000.0;
    run.marks = (0..100)
        .map(|index| mark(&format!("stop agent-{index}"), f64::from(index) * 358.0, 0.01))
        .collect();
    let failures = [
        "timeout",
        "no_agent",
        "overloaded",
        "draining",
        "indeterminate",
        "cannot_open",
        "directory_down",
    ];
    let mut names: Vec<String> = failures.map(|name| format!("unavailable/{name}")).into();
    names.extend(["no answer", "connection lost", "unreadable answer", "too_many_requests"].map(str::to_owned));
    run.timeline = (0..600u32)
        .map(|index| {
            let mut outcomes = outcomes(&[("success", 30_000)]);
            for name in &names {
                outcomes.insert(name.clone(), (chance.next() * 900.0) as u64);
            }
            let failed = outcomes.values().sum::<u64>() - 30_000;
            Slice {
                from_s: f64::from(index) * 60.0,
                lasts_s: 60.0,
                outcomes,
                counts: Counts {
                    sent: 30_000 + failed,
                    right: 30_000,
                    failed,
                    ..Counts::default()
                },
                latency: latency(3.0 + chance.next() * 4.0, chance.next() * 3_000.0),
            }
        })
        .collect();
    for name in &names {
        let all = run.timeline.iter().map(|slice| slice.outcomes[name]).sum();
        run.outcomes.insert(name.clone(), all);
        run.kinds[0].actual.insert(name.clone(), all);
    }
    run.counts = Counts::default();
    for slice in &run.timeline {
        run.counts.add_all(&slice.counts);
    }
    (run.sent, run.failed) = (run.counts.sent, run.counts.failed);
    run.about.lasted_s = 36_000.0;
    run.outcomes.insert("success".to_owned(), run.counts.right);
    run.kinds.truncate(1);
    run.kinds[0].actual.insert("success".to_owned(), run.counts.right);
    run.kinds[0].counts = run.counts;
    let seconds = |chance: &mut Chance| {
        (1..=3_600)
            .map(|at| (f64::from(at * 10), (chance.next() * 9.0) as u64))
            .collect()
    };
    run.agents = (0..100)
        .map(|index| AgentShare {
            name: format!("agent-{index:03}"),
            binds: 16_000 + index,
            samples: seconds(&mut chance),
        })
        .collect();
    run.processes = (0..100)
        .map(|index| ProcessUse {
            name: format!("agent-{index:03}"),
            cpu_s: 100.0 + f64::from(index),
            samples: (0..600)
                .map(|at| ProcessSample {
                    at_s: f64::from(at * 60),
                    cpu: chance.next(),
                    memory_bytes: 20 << 20,
                })
                .collect(),
            ..ProcessUse::default()
        })
        .collect();
    run
}
