//! Proxies between agents and relays: bad networks on a machine that has none.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Cluster, Setup};

const USER: (&str, &str) = ("user000001@corp.example.com", "Postern-000001");

async fn put(cluster: &Cluster, link: &str, settings: Value) -> Value {
    let url = format!("{}/links/{link}", cluster.text("/control"));
    cluster.ask(Method::PUT, &url, &settings).await
}

async fn signs_in(cluster: &Cluster) {
    let answer = cluster.sign_in(USER.0, USER.1).await;
    assert_eq!(answer.outcome(), "success", "{:?}", answer.body);
}

#[tokio::test]
async fn a_black_hole_takes_its_agent_away_and_a_mended_link_brings_it_back() {
    let cluster = Setup::new(&[
        "--relays",
        "1",
        "--agents",
        "2",
        "--dcs",
        "1",
        "--users",
        "1",
        "--net-faults",
    ])
    .start()
    .await;
    signs_in(&cluster).await;
    let told = put(&cluster, "agent-1/relay-1", json!({ "drop": true })).await;
    assert_eq!((&told["agent"], &told["drop"]), (&json!("agent-1"), &json!(true)));
    cluster.agents_ready(1).await;
    signs_in(&cluster).await;
    put(&cluster, "agent-1/relay-1", json!({})).await;
    cluster.agents_ready(2).await;
    // The agent that was cut off all the time is one that serves.
    put(&cluster, "agent-2/relay-1", json!({ "drop": true })).await;
    cluster.agents_ready(1).await;
    signs_in(&cluster).await;
}

#[tokio::test]
async fn sign_ins_pass_links_that_delay_and_reorder() {
    let cluster = Setup::new(&[
        "--relays",
        "1",
        "--agents",
        "1",
        "--dcs",
        "1",
        "--users",
        "1",
        "--net-faults",
    ])
    .start()
    .await;
    let bad = json!({ "delay_ms": [0, 20], "reorder": true });
    put(&cluster, "agent-1/relay-1", bad).await;
    for _ in 0..10 {
        signs_in(&cluster).await;
    }
}

#[tokio::test]
async fn a_cluster_without_proxies_says_how_to_have_them() {
    let cluster = Setup::new(&["--relays", "1", "--agents", "1", "--dcs", "1", "--users", "1"])
        .start()
        .await;
    let url = format!("{}/links/agent-1/relay-1", cluster.text("/control"));
    let response = cluster.http.put(url).body("{}").send().await.unwrap();
    assert_eq!(response.status(), 409);
    assert!(response.text().await.unwrap().contains("--net-faults"));
}
