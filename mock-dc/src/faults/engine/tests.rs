//! What strikes when, with the moments and the chance of the test's choosing.

use std::sync::atomic::AtomicUsize;

use postern_service::config::Problems;
use proptest::prelude::*;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::super::rule::{Known, validate};
use super::*;

fn engine(raw: Value) -> Engine {
    let known = Known {
        dcs: &["dc-1", "dc-2"],
        is_user: &|_| true,
        can_issue: true,
    };
    let mut problems = Problems::default();
    let rules = validate(serde_json::from_value(raw).unwrap(), "faults", &known, &mut problems);
    assert!(problems.is_empty(), "{problems:?}");
    Engine::new(rules)
}

const fn at(dc: usize, ms: u64) -> At {
    At {
        dc,
        elapsed: Duration::from_millis(ms),
    }
}

const NOW: At = at(0, 0);

/// A draw that must not happen.
fn never() -> f64 {
    panic!("nothing here depends on chance")
}

#[test]
fn without_faults_nothing_strikes() {
    let engine = engine(json!([]));
    assert!(engine.is_empty() && !engine.asks_whose());
    assert!(!engine.refuses(NOW) && !engine.cuts_off(NOW));
    assert_eq!(engine.binds_at_once(NOW), None);
    assert_eq!(engine.connection(NOW, &mut Exposed::default(), &mut never), None);
    assert_eq!(engine.bind_received(NOW, None, &mut never), None);
    assert_eq!(engine.bind_decided(NOW, None, &mut never), Fate::Answer);
    assert_eq!(engine.delay(NOW, Operation::Bind, None, &mut never), Duration::ZERO);
    assert_eq!(engine.next_edge(Duration::ZERO), None);
}

#[test]
fn the_first_that_strikes_decides_and_those_behind_it_lose_nothing() {
    let engine = engine(json!([
        {"kind": "result", "code": 51, "times": 1},
        {"kind": "result", "code": 52, "times": 1},
        {"kind": "close", "when": "before_bind"},
    ]));
    let received: Vec<_> = (0..4)
        .filter_map(|_| engine.bind_received(NOW, None, &mut never))
        .collect();
    let expected = [
        OnBind::Result(ResultCode::Busy),
        OnBind::Result(ResultCode::Unavailable),
        OnBind::Close,
        OnBind::Close,
    ];
    assert_eq!(received, expected);
    let left: Vec<_> = engine.rules().map(|(_, left)| left).collect();
    assert_eq!(left, [Some(0), Some(0), None]);
}

#[test]
fn latencies_add_up_and_the_lowest_limit_holds() {
    let engine = engine(json!([
        {"kind": "latency", "ms": 5},
        {"kind": "latency", "ms": 7, "operations": "all"},
        {"kind": "latency", "ms": 11, "operations": "searches"},
        {"kind": "latency", "ms": 100, "users": ["Good"]},
        {"kind": "limit", "binds": 8},
        {"kind": "limit", "binds": 3, "dc": "dc-1"},
    ]));
    let delay = |operation, user| engine.delay(NOW, operation, user, &mut never).as_millis();
    assert_eq!(delay(Operation::Bind, None), 12);
    assert_eq!(delay(Operation::Bind, Some("other")), 12);
    assert_eq!(delay(Operation::Bind, Some("gOOD")), 112);
    assert_eq!(delay(Operation::Search, None), 18);
    assert_eq!(delay(Operation::Other, None), 7);
    assert_eq!(engine.binds_at_once(at(0, 0)), Some(3));
    assert_eq!(engine.binds_at_once(at(1, 0)), Some(8));
}

#[test]
fn a_fault_strikes_at_its_controller_and_within_its_time() {
    let engine = engine(json!([
        {"kind": "refuse", "dc": "dc-2", "from_ms": 100, "for_ms": 50},
        {"kind": "hang", "when": "after_tls", "from_ms": 120},
    ]));
    for (at, refuses) in [
        (at(1, 99), false),
        (at(1, 100), true),
        (at(0, 100), false),
        (at(1, 149), true),
        (at(1, 150), false),
    ] {
        assert_eq!((engine.refuses(at), engine.cuts_off(at)), (refuses, refuses), "{at:?}");
    }
    assert_eq!(engine.hang(at(0, 119), Stage::AfterTls, &mut never), None);
    assert_eq!(engine.hang(at(0, 120), Stage::AfterTls, &mut never), Some(1));
    let edges = std::iter::successors(engine.next_edge(Duration::ZERO), |edge| engine.next_edge(*edge));
    let edges: Vec<_> = edges.map(|edge| edge.as_millis()).collect();
    assert_eq!(edges, [100, 120, 150]);
    let lasts = |ms| engine.lasts(0, Duration::from_millis(ms));
    assert!(lasts(149) && !lasts(150));
}

#[test]
fn bytes_may_drip_where_a_fault_can_still_have_it_so() {
    let engine = engine(json!([
        {"kind": "latency", "ms": 1},
        {"kind": "drip", "bytes": 1, "every_ms": 1, "probability": 0},
        {"kind": "drip", "bytes": 1, "every_ms": 1, "dc": "dc-2", "from_ms": 100, "for_ms": 20},
        {"kind": "drip", "bytes": 1, "every_ms": 1, "dc": "dc-1", "from_ms": 200, "times": 1},
    ]));
    let may = |dc, ms| engine.may_drip(at(dc, ms), Duration::from_millis(10));
    assert!(!may(1, 89) && may(1, 90) && may(1, 119) && !may(1, 120));
    assert!(!may(0, 189) && may(0, 190) && may(0, 3_600_000));
    assert!(engine.drip(at(0, 200), &mut || 0.5).is_some());
    assert!(!may(0, 200), "it has happened as often as it may");
}

#[test]
fn whom_nobody_reaches_the_other_controllers_do_not_reach_either() {
    let cut_off = |raw| engine(json!([raw])).cuts_off(NOW);
    assert!(cut_off(json!({"kind": "refuse"})));
    assert!(cut_off(json!({"kind": "half_open"})));
    assert!(cut_off(json!({"kind": "hang", "when": "connection"})));
    assert!(!cut_off(json!({"kind": "half_open", "probability": 0.5})));
    assert!(!cut_off(json!({"kind": "half_open", "times": 1})));
    assert!(!cut_off(json!({"kind": "hang", "when": "bind"})));
    assert!(!cut_off(json!({"kind": "refuse", "dc": "dc-2"})));
}

#[test]
fn a_connection_is_struck_or_spared_once_by_each_fault() {
    let engine = engine(json!([
        {"kind": "reset", "when": "connection", "probability": 0.5},
        {"kind": "half_open", "from_ms": 10},
    ]));
    let mut exposed = Exposed::default();
    assert_eq!(engine.connection(NOW, &mut exposed, &mut || 0.9), None);
    assert_eq!(engine.connection(NOW, &mut exposed, &mut never), None);
    let later = at(0, 10);
    let half_open = Some((1, OnConnection::HalfOpen));
    assert_eq!(engine.connection(later, &mut exposed, &mut never), half_open);
    assert_eq!(engine.connection(later, &mut exposed, &mut never), None);
    let mut another = Exposed::default();
    let reset = Some((0, OnConnection::Reset));
    assert_eq!(engine.connection(NOW, &mut another, &mut || 0.1), reset);
}

#[test]
fn faults_of_some_strike_nobody_else() {
    let engine = engine(json!([{"kind": "close", "when": "after_bind", "users": ["Zoë"]}]));
    assert!(engine.asks_whose());
    assert_eq!(engine.bind_decided(NOW, Some("ZOË"), &mut never), Fate::Close);
    assert_eq!(engine.bind_decided(NOW, Some("zo"), &mut never), Fate::Answer);
    assert_eq!(engine.bind_decided(NOW, None, &mut never), Fate::Answer);
}

/// However many ask at once, a fault strikes exactly as often as it may.
#[test]
fn times_are_exact_under_threads() {
    let engine = engine(json!([{"kind": "result", "code": 80, "times": 1000, "probability": 0.5}]));
    let struck = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for seed in 0..8 {
            let (engine, struck) = (&engine, &struck);
            scope.spawn(move || {
                let mut random = SmallRng::seed_from_u64(seed);
                for _ in 0..1000 {
                    if engine.bind_received(NOW, None, &mut || random.random()).is_some() {
                        struck.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(struck.into_inner(), 1000);
    assert_eq!(engine.rules().next().and_then(|(_, left)| left), Some(0));
}

#[test]
fn a_log_normal_delay_has_its_median_and_its_p99() {
    let engine = engine(json!([{"kind": "latency", "log_normal_ms": {"median": 5, "p99": 50}}]));
    let mut random = SmallRng::seed_from_u64(1);
    let mut delays: Vec<_> = (0..20_000)
        .map(|_| engine.delay(NOW, Operation::Bind, None, &mut || random.random()))
        .collect();
    delays.sort();
    let median = delays[10_000].as_secs_f64() * 1e3;
    let p99 = delays[19_800].as_secs_f64() * 1e3;
    assert!((4.8..5.2).contains(&median), "{median}");
    assert!((45.0..55.0).contains(&p99), "{p99}");
}

proptest! {
    /// Five standard deviations either way.
    #[test]
    fn chance_is_as_likely_as_it_says(probability in 0.01..0.99, seed: u64) {
        const ASKED: f64 = 20_000.0;
        let engine = engine(json!([{"kind": "close", "when": "after_bind", "probability": probability}]));
        let mut random = SmallRng::seed_from_u64(seed);
        let struck = (0..ASKED as usize)
            .filter(|_| engine.bind_decided(NOW, None, &mut || random.random()) == Fate::Close)
            .count();
        let (struck, likely): (f64, f64) = (struck as f64, ASKED * probability);
        let deviation = f64::sqrt(ASKED * probability * (1.0 - probability));
        prop_assert!((struck - likely).abs() < 5.0 * deviation + 1.0, "{struck} at {probability}");
    }

    #[test]
    fn a_uniform_delay_stays_within_its_bounds(least in 0_u64..1000, more in 0_u64..1000, draw in 0.0..1.0) {
        let engine = engine(json!([{"kind": "latency", "uniform_ms": [least, least + more]}]));
        let delay = engine.delay(NOW, Operation::Bind, None, &mut || draw);
        prop_assert!((Duration::from_millis(least)..=Duration::from_millis(least + more)).contains(&delay));
    }

    /// Whatever is drawn, a delay is one that a timer knows.
    #[test]
    fn a_log_normal_delay_is_a_time(median in 1_i64..1000, more in 0_i64..80_000_000, draws in prop::array::uniform2(0.0..1.0)) {
        let engine = engine(json!([{"kind": "latency", "log_normal_ms": {"median": median, "p99": median + more}}]));
        let mut draws = draws.into_iter();
        let delay = engine.delay(NOW, Operation::Bind, None, &mut || draws.next().unwrap_or(0.999));
        prop_assert!(delay <= Duration::from_secs(7 * 86_400));
    }
}
