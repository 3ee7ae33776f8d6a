//! Agents at a directory that errs: what a sign-in is told then, and how often its password is tried.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Cluster, Setup};

const RIGHT: &str = "success";
const WRONG: &str = "invalid_credentials";

/// One agent and two domain controllers, or more agents.
async fn cluster(agents: &str) -> Cluster {
    Setup::new(&["--relays", "1", "--agents", agents, "--dcs", "2", "--users", "100"])
        .start()
        .await
}

async fn put(cluster: &Cluster, faults: Value) {
    let url = format!("{}/faults", cluster.text("/dcs/0/control"));
    cluster.ask(Method::PUT, &url, &faults).await;
}

/// Name and password of a generated account.
fn account(number: u32) -> (String, String) {
    (
        format!("user{number:06}@corp.example.com"),
        format!("Postern-{number:06}"),
    )
}

/// Signs in with the right password or another; outcome and reason.
async fn sign_in(cluster: &Cluster, number: u32, right: bool) -> (String, String) {
    let (name, password) = account(number);
    let password = if right { password } else { "Wrong-1".to_owned() };
    let answer = cluster.sign_in(&name, &password).await;
    let reason = answer.body["reason"].as_str().unwrap_or_default();
    (answer.outcome().to_owned(), reason.to_owned())
}

/// Result code, and whether it was answered, of each bind with this account's name.
async fn binds_of(cluster: &Cluster, number: u32) -> Vec<(u64, bool)> {
    let (name, _) = account(number);
    let binds = cluster.binds().await;
    let own = binds.iter().filter(|bind| bind["name"] == name.as_str());
    own.map(|bind| (bind["result"].as_u64().unwrap(), bind["answered"].as_bool().unwrap()))
        .collect()
}

#[tokio::test]
async fn a_controller_that_is_busy_costs_nobody_a_sign_in_and_no_password_is_tried_twice() {
    let cluster = cluster("1").await;
    let mut handed_on = 0;
    for (first, code) in [(1, 51), (21, 52)] {
        put(&cluster, json!([{"kind": "result", "code": code, "dc": "dc-1"}])).await;
        for number in first..first + 20 {
            let right = number % 2 == 0;
            let (outcome, _) = sign_in(&cluster, number, right).await;
            assert_eq!(outcome, if right { RIGHT } else { WRONG }, "{code}");
            let binds = binds_of(&cluster, number).await;
            let tried: Vec<_> = binds.iter().filter(|(result, _)| *result != code).collect();
            assert_eq!(tried, [&(if right { 0 } else { 49 }, true)], "{binds:?}");
            handed_on += binds.len() - tried.len();
        }
    }
    assert!(handed_on > 0, "the controller that is busy was never asked");
}

#[tokio::test]
async fn a_bind_whose_answer_is_lost_is_never_a_wrong_password_and_made_once_by_the_only_agent() {
    let cluster = cluster("1").await;
    for (first, fault) in [
        (1, json!({"kind": "close", "when": "after_bind", "times": 2})),
        (11, json!({"kind": "hang", "when": "bind", "times": 2})),
    ] {
        put(&cluster, json!([fault])).await;
        for (number, right, result) in [(first, false, 49), (first + 1, true, 0)] {
            let told = sign_in(&cluster, number, right).await;
            assert_eq!(told, ("unavailable".to_owned(), "indeterminate".to_owned()), "{fault}");
            assert_eq!(binds_of(&cluster, number).await, [(result, false)], "{fault}");
        }
        for (number, right, outcome) in [(first, false, WRONG), (first + 1, true, RIGHT)] {
            assert_eq!(sign_in(&cluster, number, right).await.0, outcome, "{fault}");
            assert_eq!(binds_of(&cluster, number).await.len(), 2, "{fault}");
        }
    }
}

#[tokio::test]
async fn another_agent_answers_for_one_whose_bind_lost_its_answer() {
    let cluster = cluster("2").await;
    cluster.agents_ready(2).await;
    put(&cluster, json!([{"kind": "close", "when": "after_bind", "times": 1}])).await;
    assert_eq!(sign_in(&cluster, 1, true).await.0, RIGHT);
    assert_eq!(binds_of(&cluster, 1).await, [(0, false), (0, true)]);
}

#[tokio::test]
async fn a_directory_that_takes_its_time_is_waited_for_and_asked_once() {
    let cluster = cluster("1").await;
    put(&cluster, json!([{"kind": "latency", "ms": 500}])).await;
    for (number, right, outcome) in [(1, true, RIGHT), (2, false, WRONG)] {
        assert_eq!(sign_in(&cluster, number, right).await.0, outcome);
        assert_eq!(binds_of(&cluster, number).await.len(), 1);
    }
}
