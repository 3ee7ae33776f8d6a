//! Envelopes that callers seal for themselves, against the running cluster.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use postern_protocol::seal::{AuthenticatedData, Jwe, OpeningKey, SealingKey};
use postern_protocol::{Password, RequestId};
use rsa::pkcs8::EncodePublicKey;
use serde_json::{Value, json};

use crate::harness::{Answer, Cluster, PATIENCE, Setup};

const USER: &str = "user000001@corp.example.com";
const PASSWORD: &str = "Postern-000001";

fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn bound_to(user: &str) -> AuthenticatedData {
    AuthenticatedData {
        expires_unix_ms: now_ms() + 30_000,
        realm: "corp.example.com".to_owned(),
        request_id: RequestId(rand::random()),
        tenant: "acme".to_owned(),
        user: user.to_owned(),
    }
}

/// The realm's keys, as a caller reads them.
async fn keys(cluster: &Cluster) -> Vec<SealingKey> {
    let url = format!("{}/v1/realms/corp.example.com/keys", cluster.text("/relays/0/api"));
    let set: Value = cluster.http.get(url).send().await.unwrap().json().await.unwrap();
    let number = |key: &Value, member: &str| {
        rsa::BigUint::from_bytes_be(&BASE64_URL_SAFE_NO_PAD.decode(key[member].as_str().unwrap()).unwrap())
    };
    let key = |jwk: &Value| {
        let public = rsa::RsaPublicKey::new(number(jwk, "n"), number(jwk, "e")).unwrap();
        let key = SealingKey::from_der(public.to_public_key_der().unwrap().as_bytes()).unwrap();
        assert_eq!(key.kid(), jwk["kid"], "the kid is not the key's thumbprint");
        key
    };
    set["keys"].as_array().unwrap().iter().map(key).collect()
}

fn envelope(bound_to: &AuthenticatedData, keys: &[SealingKey]) -> Value {
    let password = Password::new(PASSWORD.to_owned().into()).unwrap();
    json!({ "username": bound_to.user, "jwe": Jwe::seal(&password, bound_to, keys).unwrap() })
}

async fn post(cluster: &Cluster, relay: usize, body: &Value) -> Answer {
    let api = cluster.text(&format!("/relays/{relay}/api"));
    cluster.post_sign_in(api, body.to_string().into_bytes(), None).await
}

async fn binds_of(cluster: &Cluster, user: &str) -> usize {
    cluster.binds().await.iter().filter(|bind| bind["user"] == user).count()
}

#[tokio::test]
async fn an_envelope_to_one_agent_is_bound_once_though_two_relays_get_it_at_once() {
    let cluster = Setup::new(&["--relays", "2", "--users", "1"]).start().await;
    cluster.agents_known(3).await;
    for round in 1..=5 {
        let sealed = envelope(&bound_to(USER), &keys(&cluster).await[..1]);
        let (first, second) = tokio::join!(post(&cluster, 0, &sealed), post(&cluster, 1, &sealed));
        let mut outcomes = [first.outcome(), second.outcome()];
        outcomes.sort_unstable();
        assert_eq!(outcomes, ["bad_request", "success"]);
        for relay in [0, 1] {
            assert_eq!(
                post(&cluster, relay, &sealed).await.outcome(),
                "bad_request",
                "taken a second time"
            );
        }
        assert_eq!(binds_of(&cluster, "user000001").await, round);
    }
}

#[tokio::test]
async fn after_its_agent_has_restarted_an_envelope_is_stale_and_a_new_one_is_taken() {
    let cluster = Setup::new(&["--agents", "1", "--users", "1"]).start().await;
    cluster.agents_known(1).await;
    let old = keys(&cluster).await;
    let used = envelope(&bound_to(USER), &old);
    assert_eq!(post(&cluster, 0, &used).await.outcome(), "success");
    let unused = envelope(&bound_to(USER), &old);
    let (status, _) = cluster.order("agent-1", "restart").await;
    assert!(status.is_success());
    let deadline = std::time::Instant::now() + PATIENCE;
    let new = loop {
        let now = keys(&cluster).await;
        if now.len() == 1 && now != old {
            break now;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "the restarted agent's key never came"
        );
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert_eq!(post(&cluster, 0, &unused).await.outcome(), "stale_key");
    assert_eq!(post(&cluster, 0, &used).await.status.as_u16(), 400);
    assert_eq!(binds_of(&cluster, "user000001").await, 1);
    assert_eq!(
        post(&cluster, 0, &envelope(&bound_to(USER), &new)).await.outcome(),
        "success"
    );
}

#[tokio::test]
async fn envelopes_that_cannot_be_are_refused_make_no_bind_and_leave_every_agent_serving() {
    let cluster = Setup::new(&["--users", "2"]).start().await;
    cluster.agents_known(3).await;
    let keys = keys(&cluster).await;
    let good = || bound_to(USER);
    let change = |change: &dyn Fn(&mut Value)| {
        let mut body = envelope(&good(), &keys);
        change(&mut body);
        body
    };
    let flip_last = |text: &Value| {
        let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(text.as_str().unwrap()).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        json!(BASE64_URL_SAFE_NO_PAD.encode(bytes))
    };
    let stranger = OpeningKey::generate().unwrap();
    let cases = [
        (
            "sent as another user",
            change(&|body| body["username"] = json!("user000002@corp.example.com")),
        ),
        (
            "bound to another user than it says",
            change(&|body| body["jwe"]["aad"] = json!(bound_to(USER).to_base64())),
        ),
        (
            "another realm",
            envelope(
                &AuthenticatedData {
                    realm: "plant".to_owned(),
                    ..good()
                },
                &keys,
            ),
        ),
        (
            "another tenant",
            envelope(
                &AuthenticatedData {
                    tenant: "globex".to_owned(),
                    ..good()
                },
                &keys,
            ),
        ),
        (
            "expired by 1 ms",
            envelope(
                &AuthenticatedData {
                    expires_unix_ms: now_ms() - 1,
                    ..good()
                },
                &keys,
            ),
        ),
        (
            "61 s ahead",
            envelope(
                &AuthenticatedData {
                    expires_unix_ms: now_ms() + 61_000,
                    ..good()
                },
                &keys,
            ),
        ),
        ("no current kid", envelope(&good(), &[stranger.public().clone()])),
        (
            "another agent's kid",
            change(&|body| {
                for recipient in body["jwe"]["recipients"].as_array_mut().unwrap() {
                    recipient["encrypted_key"] = json!(BASE64_URL_SAFE_NO_PAD.encode([7; 256]));
                }
            }),
        ),
        (
            "a wrong tag",
            change(&|body| body["jwe"]["tag"] = flip_last(&body["jwe"]["tag"])),
        ),
        (
            "a truncated tag",
            change(&|body| body["jwe"]["tag"] = json!("AAAAAAAAAAAAAAAA")),
        ),
        (
            "zip",
            change(&|body| {
                let header = r#"{"alg":"RSA-OAEP-256","enc":"A256GCM","typ":"postern+jwe","zip":"DEF"}"#;
                body["jwe"]["protected"] = json!(BASE64_URL_SAFE_NO_PAD.encode(header));
            }),
        ),
        (
            "101 recipients",
            change(&|body| {
                let one = body["jwe"]["recipients"][0].clone();
                body["jwe"]["recipients"] = Value::Array(vec![one; 101]);
            }),
        ),
    ];
    for (case, body) in &cases {
        let answer = post(&cluster, 0, body).await;
        assert_eq!(answer.status.as_u16(), 400, "{case}: {}", answer.body);
        let stale = *case == "no current kid";
        assert_eq!(
            answer.outcome(),
            if stale { "stale_key" } else { "bad_request" },
            "{case}"
        );
    }
    // By the hundred: what a caller causes is not the agents' fault.
    for _ in 0..100 {
        let answer = post(
            &cluster,
            0,
            &change(&|body| body["jwe"]["tag"] = flip_last(&body["jwe"]["tag"])),
        )
        .await;
        assert_eq!(answer.outcome(), "bad_request");
    }
    assert_eq!(
        binds_of(&cluster, "user000001").await + binds_of(&cluster, "user000002").await,
        0
    );
    for key in keys {
        let answer = post(&cluster, 0, &envelope(&good(), &[key])).await;
        assert_eq!(answer.outcome(), "success", "an agent no longer serves");
    }
}

#[tokio::test]
async fn a_sealed_alternate_id_is_looked_up_and_is_bound_to_the_name_that_was_typed() {
    let cluster = Setup::new(&["--agents", "2", "--users", "2"]).start().await;
    cluster.agents_known(2).await;
    let keys = keys(&cluster).await;
    let name = "user000001@mail.example.org";
    let answer = post(&cluster, 0, &envelope(&bound_to(name), &keys)).await;
    assert_eq!(answer.outcome(), "success", "{:?}", answer.body);
    assert_eq!(answer.body["subject"]["upn"], USER, "{:?}", answer.body);
    assert_eq!(binds_of(&cluster, "user000001").await, 1);
    // Nobody has it.
    let nobody = envelope(&bound_to("nobody@mail.example.org"), &keys);
    assert_eq!(post(&cluster, 0, &nobody).await.outcome(), "invalid_credentials");
    // Sealed for one of its names and sent as another, or as somebody else's.
    for other in [USER, "user000002@mail.example.org"] {
        let mut body = envelope(&bound_to(name), &keys);
        body["username"] = json!(other);
        assert_eq!(post(&cluster, 0, &body).await.outcome(), "bad_request", "{other}");
    }
    assert_eq!(binds_of(&cluster, "user000001").await, 1);
    assert_eq!(binds_of(&cluster, "user000002").await, 0);
}
