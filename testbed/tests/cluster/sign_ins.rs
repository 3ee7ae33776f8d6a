//! Every sign-in through the whole path gives what the directory says, and makes exactly one bind.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use tokio::task::JoinSet;

use crate::harness::{Answer, Cluster, Setup};

/// Sign-ins under way at a time: more than the cluster's agents and fewer than their connections.
const AT_ONCE: usize = 16;

struct Attempt {
    username: String,
    password: String,
    expected: String,
}

impl Attempt {
    async fn new(cluster: &Cluster, username: &str, password: &str) -> Self {
        Self {
            username: username.to_owned(),
            password: password.to_owned(),
            expected: cluster.oracle(username, password).await,
        }
    }

    async fn make(&self, cluster: &Cluster) -> Answer {
        let answer = cluster.sign_in(&self.username, &self.password).await;
        assert_eq!(answer.outcome(), self.expected, "{}: {:?}", self.username, answer.body);
        answer
    }
}

#[tokio::test]
async fn every_sample_user_gets_what_is_announced_however_often_and_one_bind_each_time() {
    let cluster = Setup::new(&["--users", "0"]).start().await;
    let mut names = Vec::new();
    for round in 0..3 {
        for user in cluster.list("users") {
            let text = |member: &str| user[member].as_str().unwrap();
            let attempt = Attempt::new(&cluster, text("username"), text("password")).await;
            assert_eq!(attempt.expected, text("expect"), "round {round}, {}", attempt.username);
            let answer = attempt.make(&cluster).await;
            answer_is_as_the_contract_has_it(&answer);
            // The account's name is what stands before the @, also of the one that is looked up by its mail address.
            names.push(attempt.username.split('@').next().unwrap().to_owned());
        }
    }
    let bound: Vec<_> = cluster
        .binds()
        .await
        .iter()
        .filter_map(|bind| Some(bind["user"].as_str()?.to_owned()))
        .filter(|user| user != "svc-postern")
        .collect();
    assert_eq!(bound, names);
}

fn answer_is_as_the_contract_has_it(answer: &Answer) {
    let success = answer.outcome() == "success";
    assert_eq!(answer.status.as_u16(), if success { 200 } else { 401 });
    let header = |name: &str| answer.headers.get(name).map(|value| value.to_str().unwrap());
    assert_eq!(header("cache-control"), Some("no-store"));
    let kind = if success {
        "application/json"
    } else {
        "application/problem+json"
    };
    assert_eq!(header("content-type"), Some(kind));
    assert_eq!(header("www-authenticate").is_some(), !success);
    let id = answer.body["request_id"].as_str().unwrap();
    assert_eq!(header("x-request-id"), Some(id));
    assert_eq!(uuid::Uuid::parse_str(id).unwrap().get_version_num(), 7);
}

#[tokio::test]
async fn a_wrong_password_gets_what_the_directory_says_for_every_sample_user() {
    let cluster = Setup::new(&["--users", "0"]).start().await;
    for user in cluster.list("users") {
        let attempt = Attempt::new(&cluster, user["username"].as_str().unwrap(), "Certainly-Wrong-1").await;
        let locked = user["expect"] == "account_locked";
        assert_eq!(
            attempt.expected,
            if locked {
                "account_locked"
            } else {
                "invalid_credentials"
            }
        );
        attempt.make(&cluster).await;
    }
    let nobody = Attempt::new(&cluster, "nobody@corp.example.com", "Certainly-Wrong-1").await;
    assert_eq!(nobody.expected, "invalid_credentials");
    nobody.make(&cluster).await;
}

#[tokio::test]
async fn both_name_forms_and_either_case_reach_the_same_account() {
    let cluster = Setup::new(&["--users", "1"]).start().await;
    for name in [
        "user000001@corp.example.com",
        "USER000001@CORP.EXAMPLE.COM",
        "CORP\\user000001",
        "corp\\USER000001",
    ] {
        assert_eq!(
            cluster.sign_in(name, "Postern-000001").await.outcome(),
            "success",
            "{name}"
        );
        assert_eq!(
            cluster.sign_in(name, "Postern-000002").await.outcome(),
            "invalid_credentials",
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_thousand_sign_ins_a_third_of_them_wrong_give_what_the_directory_says_with_one_bind_each() {
    let cluster = Arc::new(Setup::new(&[]).start().await);
    let mut attempts = Vec::new();
    for number in 1..=1000 {
        let wrong = number % 3 == 0;
        let password = format!("Postern-{:06}", if wrong { number + 1 } else { number });
        let attempt = Attempt::new(&cluster, &format!("user{number:06}@corp.example.com"), &password).await;
        assert_eq!(attempt.expected, if wrong { "invalid_credentials" } else { "success" });
        attempts.push(attempt);
    }
    let mut under_way = JoinSet::new();
    for attempt in attempts {
        if under_way.len() == AT_ONCE {
            under_way.join_next().await.unwrap().unwrap();
        }
        let cluster = cluster.clone();
        under_way.spawn(async move { attempt.make(&cluster).await });
    }
    while let Some(made) = under_way.join_next().await {
        made.unwrap();
    }
    let url = format!("{}/binds/counts", cluster.text("/dcs/0/control"));
    let counts: BTreeMap<String, u64> = cluster.http.get(url).send().await.unwrap().json().await.unwrap();
    let expected: BTreeMap<_, _> = (1..=1000).map(|number| (format!("user{number:06}"), 1)).collect();
    assert_eq!(counts, expected);
    bind_results_agree(&cluster.binds().await);
}

fn bind_results_agree(binds: &[Value]) {
    for bind in binds.iter().filter(|bind| bind["user"].is_string()) {
        let number: u32 = bind["user"]
            .as_str()
            .unwrap()
            .strip_prefix("user")
            .unwrap()
            .parse()
            .unwrap();
        let expected = if number.is_multiple_of(3) { 49 } else { 0 };
        assert_eq!(bind["result"], expected, "{bind}");
    }
}

#[tokio::test]
async fn every_agent_gets_its_share() {
    let cluster = Setup::new(&["--users", "60"]).start().await;
    for number in 1..=60 {
        let name = format!("user{number:06}@corp.example.com");
        assert_eq!(
            cluster.sign_in(&name, &format!("Postern-{number:06}")).await.outcome(),
            "success"
        );
    }
    let mut made = 0.0;
    for agent in cluster.list("agents") {
        let url = format!("{}/metrics", agent["admin"].as_str().unwrap());
        let text = cluster.http.get(url).send().await.unwrap().text().await.unwrap();
        let binds = text
            .lines()
            .filter(|line| line.starts_with("postern_agent_binds_total"));
        let own: f64 = binds
            .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum();
        assert!(own > 0.0, "{} made no bind", agent["name"]);
        made += own;
    }
    assert_eq!(made, 60.0);
}
