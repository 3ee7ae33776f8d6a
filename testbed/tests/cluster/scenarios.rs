//! Every scenario of the load tester that is ready, against a cluster as `postern up` brings it up: what each requires
//! holds. They are played in less time and, so that a busy machine and a debug build can, at lower rates.
//!
//! Speed is not what is looked at, but a scenario requires some: where the machine alone was too slow (the generator was
//! late, or an answer was), it is played again. Whatever else does not hold is an error at once.

use serde_json::Value;

use crate::loadtest::Bench;

/// How often a scenario is played when the machine is too slow for it.
const TRIES: usize = 3;

/// Scenarios, in what part of their time, and with what part of their rates.
const SCENARIOS: [(&str, &str); 7] = [
    ("smoke", "--scale-time 0.5"),
    ("steady", "--scale-time 0.1 --scale 0.3"),
    // Two seconds of four hundred a second, after sixty.
    ("spike", "--scale-time 0.4 --scale 0.3"),
    ("spray", "--scale-time 0.2 --scale 0.5"),
    // A killed agent needs its time to be missed and to come back.
    ("failover", "--scale-time 0.4 --scale 0.3"),
    // What the directory can do is what it can do, so there is no less than too much.
    ("overload", "--scale-time 0.4"),
    ("soak", "--scale-time 0.04 --scale 0.5"),
];

/// What does not hold, of what this machine's speed is no excuse for.
fn inexcusable(results: &Value) -> Vec<String> {
    let list = |name: &str| results[name].as_array().unwrap().clone();
    let because = list("invalid_because").into_iter();
    let because = because.map(|why| why.as_str().unwrap().to_owned());
    let invalid = because.filter(|why| !why.contains("the generator was late"));
    let missed = list("thresholds")
        .into_iter()
        .filter(|threshold| threshold["ok"] == false);
    let missed = missed.map(|threshold| format!("{} of {}", threshold["value"], threshold["expr"].as_str().unwrap()));
    let is_speed = |text: &String| {
        let (_, expr) = text.split_once(" of ").unwrap();
        expr.starts_with('p') || expr.starts_with("max") || expr.starts_with("rate")
    };
    invalid.chain(missed.filter(|text| !is_speed(text))).collect()
}

#[tokio::test]
#[ignore = "needs a machine with nothing else to do (.ci/run plays it alone)"]
async fn every_scenario_that_is_ready_keeps_what_it_requires_with_a_cluster_as_it_comes_up() {
    for (name, scale) in SCENARIOS {
        for left in (0..TRIES).rev() {
            // Each has people who have typed nothing wrong, and a directory without faults.
            let bench = Bench::start(&["--net-faults"]).await;
            let output = bench.run(&format!("--scenario {name} {scale}")).await;
            let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
            let results: Value = serde_json::from_slice(&std::fs::read(bench.path("out.json")).unwrap()).unwrap();
            assert_eq!(inexcusable(&results), Vec::<String>::new(), "{name}: {told}");
            if output.status.code() == Some(0) {
                assert_eq!(results["valid"], true, "{name}: {results}");
                break;
            }
            assert!(left > 0, "{name}: {told}");
        }
    }
}

/// A scenario that is added is played, too.
#[test]
fn no_scenario_is_left_out() {
    let ready: Vec<&str> = postern_loadtest::scenario::READY
        .iter()
        .map(|(name, _)| *name)
        .collect();
    assert_eq!(SCENARIOS.map(|(name, _)| name).as_slice(), ready);
}
