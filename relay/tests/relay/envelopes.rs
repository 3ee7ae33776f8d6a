//! Envelopes that callers sealed themselves, and the keys that they seal to.

use postern_protocol::frame::Control;
use postern_protocol::seal::AuthenticatedData;
use postern_protocol::{NotStarted, Verdict};
use serde_json::{Value, json};

use crate::rig::{Rig, new_id};
use crate::sign_ins::{authenticated, not_started, now_ms, sealed, verdict};

#[tokio::test]
async fn a_callers_own_envelope_reaches_the_agent_as_it_was_sealed() {
    let rig = Rig::start();
    let agent = rig.agent("agent-1").await;
    let authenticated = authenticated("a@corp.example.com");
    let serve = async {
        let mut task = agent.request().await;
        assert!(task.request.client_sealed.is_some());
        assert_eq!(agent.open(&task.request).expose(), "right");
        task.answer(verdict(Verdict::Success)).await;
    };
    let body = sealed(&authenticated, &[agent.key.public()]);
    let ((status, answer), ()) = tokio::join!(rig.post(&body), serve);
    assert_eq!(
        (status, answer["request_id"].as_str()),
        (200, Some(authenticated.request_id.to_string().as_str()))
    );
    let (status, answer) = rig.post(&body).await;
    assert_eq!(
        (status, answer["outcome"].as_str()),
        (400, Some("bad_request")),
        "the same id was taken twice"
    );
}

#[tokio::test]
async fn envelopes_that_cannot_be_are_refused_before_any_agent_sees_them() {
    let rig = Rig::start();
    let agent = rig.agent("agent-1").await;
    let key = agent.key.public();
    let good = authenticated("a@corp.example.com");
    let change = |change: &dyn Fn(&mut AuthenticatedData)| {
        let mut changed = AuthenticatedData {
            request_id: new_id(),
            ..good.clone()
        };
        change(&mut changed);
        sealed(&changed, &[key])
    };
    let mut other_user = change(&|_| {});
    other_user["username"] = json!("b@corp.example.com");
    let mut other_realm = change(&|data| data.user = "a@plant.example.com".to_owned());
    other_realm["username"] = json!("a@plant.example.com");
    let mut zipped = change(&|_| {});
    zipped["jwe"]["protected"] = json!(base64url(
        r#"{"alg":"RSA-OAEP-256","enc":"A256GCM","typ":"postern+jwe","zip":"DEF"}"#
    ));
    let mut short_tag = change(&|_| {});
    short_tag["jwe"]["tag"] = json!("AAAA");
    let mut many = change(&|_| {});
    many["jwe"]["recipients"] = Value::Array(vec![many["jwe"]["recipients"][0].clone(); 101]);
    let mut both = change(&|_| {});
    both["password"] = json!("right");
    let cases = [
        (
            "expired by a millisecond",
            change(&|data| data.expires_unix_ms = now_ms() - 1),
        ),
        (
            "61 seconds ahead",
            change(&|data| data.expires_unix_ms = now_ms() + 61_000),
        ),
        ("another user", other_user),
        ("another realm", other_realm),
        ("another tenant", change(&|data| data.tenant = "globex".to_owned())),
        ("zip", zipped),
        ("a truncated tag", short_tag),
        ("101 recipients", many),
        ("password and jwe", both),
    ];
    for (case, body) in cases {
        let (status, answer) = rig.post(&body).await;
        assert_eq!(
            (status, answer["outcome"].as_str()),
            (400, Some("bad_request")),
            "{case}: {answer}"
        );
    }
    let stranger = postern_protocol::seal::OpeningKey::generate().unwrap();
    let (status, answer) = rig
        .post(&sealed(&authenticated("a@corp.example.com"), &[stranger.public()]))
        .await;
    assert_eq!((status, answer["outcome"].as_str()), (400, Some("stale_key")));
    let none = tokio::time::timeout(std::time::Duration::from_millis(200), agent.request()).await;
    assert!(none.is_err(), "an agent saw one of them");
}

#[tokio::test]
async fn a_hundred_envelopes_that_do_not_open_are_the_callers_fault_and_eject_nobody() {
    let rig = Rig::start();
    let agent = rig.agent("agent-1").await;
    for _ in 0..100 {
        let serve = async {
            let mut task = agent.request().await;
            task.answer(not_started(NotStarted::CannotOpen)).await;
        };
        let body = sealed(&authenticated("a@corp.example.com"), &[agent.key.public()]);
        let ((status, answer), ()) = tokio::join!(rig.post(&body), serve);
        assert_eq!((status, answer["outcome"].as_str()), (400, Some("bad_request")));
    }
    let serve = async {
        let mut task = agent.request().await;
        task.answer(verdict(Verdict::Success)).await;
    };
    let ((status, _), ()) = tokio::join!(rig.sign_in("a@corp.example.com", "x"), serve);
    assert_eq!(status, 200);
}

#[tokio::test]
async fn the_key_set_has_the_key_of_every_agent_in_session_and_follows_its_change() {
    let rig = Rig::start();
    let mut agent = rig.agent("agent-1").await;
    let other = rig.agent("agent-2").await;
    let kids = async || {
        let url = format!("http://{}/v1/realms/corp/keys", rig.api);
        let response = rig.http.get(url).send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/jwk-set+json");
        let set: Value = response.json().await.unwrap();
        assert!(set["now"].as_u64().unwrap().abs_diff(now_ms()) < 60_000);
        let mut kids: Vec<_> = set["keys"]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| key["kid"].as_str().unwrap().to_owned())
            .collect();
        kids.sort();
        kids
    };
    let sorted = |mut kids: Vec<String>| {
        kids.sort();
        kids
    };
    let both = sorted(vec![
        agent.key.public().kid().to_owned(),
        other.key.public().kid().to_owned(),
    ]);
    assert_eq!(kids().await, both);
    let new = postern_protocol::seal::OpeningKey::generate().unwrap();
    let change = postern_protocol::frame::KeyChange {
        opening_key: new.public_der().to_vec(),
    };
    agent.say(Control::KeyChange(change)).await;
    agent
        .say(Control::Ping(postern_protocol::frame::Ping { number: 1 }))
        .await;
    agent.control().await;
    // The driver has the change before the ping's answer, and the directory a moment later.
    let changed = sorted(vec![new.public().kid().to_owned(), other.key.public().kid().to_owned()]);
    for _ in 0..50 {
        if kids().await == changed {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(kids().await, changed);
    let unknown = rig
        .http
        .get(format!("http://{}/v1/realms/nowhere/keys", rig.api))
        .send()
        .await
        .unwrap();
    assert_eq!(unknown.status().as_u16(), 404);
}

fn base64url(text: &str) -> String {
    use base64::Engine;
    base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(text)
}
