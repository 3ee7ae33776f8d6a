//! Callers, what they are told, and how much they may ask: a relay with `[[callers]]` and small token buckets.

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::json;
use toml::{Table, Value};

use crate::harness::{Answer, Cluster, Setup};

const TRUSTED: &str = "token-of-the-trusted-back-end";
const PUBLIC: &str = "token-of-the-sign-in-page";
const USER: &str = "user000001@corp.example.com";

/// Writes the relay's configuration anew and starts it again.
async fn reconfigure(cluster: &Cluster, change: impl FnOnce(&mut Table)) {
    let path = cluster.running.config("relay-1");
    let mut config: Table = toml::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    change(&mut config);
    std::fs::write(&path, toml::to_string(&config).unwrap()).unwrap();
    let (status, body) = cluster.order("relay-1", "restart").await;
    assert_eq!(status.as_u16(), 200, "{body}");
    // A relay is ready without agents; they come back by themselves.
    cluster.agents_known(cluster.list("agents").len()).await;
}

fn caller(name: &str, token: &str, disclose: &str) -> Value {
    let hash = digest(&SHA256, token.as_bytes());
    let hex: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let table = [("name", name), ("token_sha256", &hex), ("disclose", disclose)];
    Value::Table(
        table
            .map(|(key, text)| (key.to_owned(), text.into()))
            .into_iter()
            .collect(),
    )
}

async fn sign_in(cluster: &Cluster, token: Option<&str>, user: &str, password: &str) -> Answer {
    let body = json!({ "username": user, "password": password }).to_string();
    cluster
        .post_sign_in(cluster.text("/relays/0/api"), body.into_bytes(), token)
        .await
}

async fn relay_with_callers() -> Cluster {
    let cluster = Setup::new(&["--users", "10"]).start().await;
    reconfigure(&cluster, |config| {
        let callers = vec![caller("shop", TRUSTED, "full"), caller("page", PUBLIC, "public")];
        config.insert("callers".to_owned(), Value::Array(callers));
    })
    .await;
    cluster
}

#[tokio::test]
async fn a_caller_that_does_not_show_who_it_is_gets_no_bind() {
    let cluster = relay_with_callers().await;
    let before = cluster.binds().await.len();
    for token in [None, Some("wrong"), Some(""), Some(&TRUSTED[1..])] {
        let answer = sign_in(&cluster, token, USER, "Postern-000001").await;
        assert_eq!(
            (answer.status.as_u16(), answer.outcome()),
            (401, "unauthorized_caller"),
            "{token:?}"
        );
        assert!(answer.headers.contains_key("www-authenticate"));
    }
    assert_eq!(cluster.binds().await.len(), before);
    assert_eq!(
        sign_in(&cluster, Some(TRUSTED), USER, "Postern-000001").await.outcome(),
        "success"
    );
}

#[tokio::test]
async fn a_public_caller_is_not_told_of_a_lock_and_a_trusted_one_is() {
    let cluster = relay_with_callers().await;
    let users = cluster.list("users");
    let sample = |expect: &str| users.iter().find(|user| user["expect"] == expect).unwrap();
    let ask = async |token: &str, expect: &str| {
        let user = sample(expect);
        let answer = sign_in(
            &cluster,
            Some(token),
            user["username"].as_str().unwrap(),
            user["password"].as_str().unwrap(),
        )
        .await;
        answer.outcome().to_owned()
    };
    assert_eq!(ask(TRUSTED, "account_locked").await, "account_locked");
    assert_eq!(ask(PUBLIC, "account_locked").await, "invalid_credentials");
    // Told only with the right password, by the directory itself.
    assert_eq!(ask(PUBLIC, "password_expired").await, "password_expired");
}

#[tokio::test]
async fn too_many_requests_for_one_user_are_refused_before_the_directory_and_others_go_on() {
    let cluster = Setup::new(&["--users", "10"]).start().await;
    reconfigure(&cluster, |config| {
        let bucket: Table = toml::from_str("per_second = 1\nburst = 5").unwrap();
        let limits = config["limits"].as_table_mut().unwrap();
        limits.insert("per_user".to_owned(), Value::Table(bucket));
    })
    .await;
    let before = cluster.binds().await.len();
    let mut served = 0;
    let mut refused = 0;
    for _ in 0..40 {
        let answer = sign_in(&cluster, None, USER, "Postern-000001").await;
        match answer.outcome() {
            "success" => served += 1,
            "too_many_requests" => {
                assert_eq!(answer.status.as_u16(), 429);
                let wait: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
                assert!(wait >= 1);
                refused += 1;
            }
            other => panic!("{other}"),
        }
    }
    assert!(served >= 5 && refused >= 1, "{served} served, {refused} refused");
    assert_eq!(cluster.binds().await.len() - before, served);
    let other = sign_in(&cluster, None, "user000002@corp.example.com", "Postern-000002").await;
    assert_eq!(other.outcome(), "success");
}
