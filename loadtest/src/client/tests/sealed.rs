//! Sign-ins that are sealed before the relay has them.

use crate::sync::lock;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{get, post};
use postern_protocol::seal::{AuthenticatedData, Jwe, JwkSet, OpeningKey};
use serde_json::Value;
use tokio::net::TcpListener;

use super::*;

/// A relay and its agents.
struct Realm {
    url: String,
    state: Arc<State>,
    _task: JoinSet<()>,
}

struct State {
    agents: [OpeningKey; 2],
    /// Only the second agent is there.
    has_changed: AtomicBool,
    /// What the relay answers to who asks for keys, when it is not what it should.
    spoilt: Mutex<Option<(StatusCode, String)>>,
    asked_for_keys: AtomicUsize,
    /// What was opened, as whom; nothing for what came unsealed.
    opened: Mutex<Vec<Option<(String, AuthenticatedData)>>>,
}

/// The relay's clock is an hour ahead.
fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_hours(1);
    u64::try_from(now.as_millis()).unwrap()
}

impl Realm {
    async fn start() -> Self {
        let state = Arc::new(State {
            agents: [OpeningKey::generate().unwrap(), OpeningKey::generate().unwrap()],
            has_changed: AtomicBool::new(false),
            spoilt: Mutex::default(),
            asked_for_keys: AtomicUsize::new(0),
            opened: Mutex::default(),
        });
        let (keys, sign_in) = (state.clone(), state.clone());
        let app = Router::new()
            .route(
                "/v1/realms/corp.example.com/keys",
                get(move || std::future::ready(keys.keys())),
            )
            .route(
                "/v1/sign-in",
                post(move |body: String| std::future::ready(sign_in.sign_in(&body))),
            );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut task = JoinSet::new();
        task.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            url,
            state,
            _task: task,
        }
    }

    async fn client(&self) -> Client {
        client(&self.url, |reach| reach.sealing = Some(sealing("corp.example.com"))).await
    }
}

fn sealing(realm: &str) -> Sealing {
    Sealing {
        tenant: "acme".to_owned(),
        realm: realm.to_owned(),
    }
}

impl State {
    fn agents(&self) -> &[OpeningKey] {
        let gone = usize::from(self.has_changed.load(Ordering::SeqCst));
        &self.agents[gone..=gone]
    }

    fn keys(&self) -> (StatusCode, String) {
        self.asked_for_keys.fetch_add(1, Ordering::SeqCst);
        if let Some(spoilt) = lock(&self.spoilt).clone() {
            return spoilt;
        }
        (StatusCode::OK, self.key_set())
    }

    fn key_set(&self) -> String {
        let set = JwkSet {
            keys: self.agents().iter().map(|agent| agent.public().jwk().clone()).collect(),
            now: now_ms(),
        };
        serde_json::to_string(&set).unwrap()
    }

    fn sign_in(&self, body: &str) -> (StatusCode, &'static str) {
        let body: Value = serde_json::from_str(body).unwrap();
        if body.get("password").is_some() {
            assert_eq!(body["password"], "", "a password came in the clear");
            lock(&self.opened).push(None);
            return (StatusCode::BAD_REQUEST, r#"{"outcome":"bad_request"}"#);
        }
        let jwe: Jwe = serde_json::from_value(body["jwe"].clone()).unwrap();
        let parts = jwe.parts().unwrap();
        assert_eq!(body["username"], parts.authenticated.user.as_str());
        let agent = &self.agents()[0];
        let Some(wrapped) = parts.recipients.get(agent.public().kid()) else {
            return (StatusCode::BAD_REQUEST, r#"{"outcome":"stale_key"}"#);
        };
        let key = agent.unwrap_key(wrapped).unwrap();
        let password = key.open(&parts.sealed, &jwe.protected, &jwe.aad).unwrap();
        lock(&self.opened).push(Some((password.expose().to_owned(), parts.authenticated)));
        (StatusCode::OK, r#"{"outcome":"success"}"#)
    }
}

#[tokio::test]
async fn an_envelope_opens_with_the_agents_key_names_its_user_and_is_good_by_the_relays_clock() {
    let realm = Realm::start().await;
    let client = realm.client().await;
    for name in ["ada@corp.example.com", "eve@corp.example.com"] {
        assert_eq!(client.sign_in(name, "s3cret").await, SUCCESS);
        let opened = lock(&realm.state.opened).pop().unwrap();
        let (password, bound_to) = opened.unwrap();
        assert_eq!((password.as_str(), bound_to.user.as_str()), ("s3cret", name));
        assert_eq!(
            (bound_to.tenant.as_str(), bound_to.realm.as_str()),
            ("acme", "corp.example.com")
        );
        assert!((now_ms()..now_ms() + 60_000).contains(&bound_to.expires_unix_ms));
    }
    assert_eq!(
        realm.state.asked_for_keys.load(Ordering::SeqCst),
        2,
        "once before the run, once in it"
    );
}

#[tokio::test]
async fn a_stale_key_is_told_as_it_is_and_the_next_sign_in_is_sealed_to_a_new_one() {
    let realm = Realm::start().await;
    let client = realm.client().await;
    assert_eq!(client.sign_in("ada", "s3cret").await, SUCCESS);
    realm.state.has_changed.store(true, Ordering::SeqCst);
    assert_eq!(client.sign_in("ada", "s3cret").await, Ended::Outcome(Outcome::StaleKey));
    assert_eq!(client.sign_in("ada", "s3cret").await, SUCCESS);
}

#[tokio::test]
async fn keys_that_are_stale_are_gone_by_until_the_relay_tells_others_and_it_is_not_asked_by_everybody() {
    let realm = Realm::start().await;
    let client = realm.client().await;
    assert_eq!(client.sign_in("ada", "s3cret").await, SUCCESS);
    realm.state.has_changed.store(true, Ordering::SeqCst);
    *lock(&realm.state.spoilt) = Some((StatusCode::INTERNAL_SERVER_ERROR, String::new()));
    let asked = realm.state.asked_for_keys.load(Ordering::SeqCst);
    for _ in 0..3 {
        assert_eq!(client.sign_in("ada", "s3cret").await, Ended::Outcome(Outcome::StaleKey));
    }
    assert_eq!(realm.state.asked_for_keys.load(Ordering::SeqCst) - asked, 1);
    *lock(&realm.state.spoilt) = None;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(1)).await;
    tokio::time::resume();
    assert_eq!(client.sign_in("ada", "s3cret").await, SUCCESS);
}

#[tokio::test]
async fn of_a_relay_that_never_told_keys_the_first_answer_is_everybodys() {
    let realm = Realm::start().await;
    let client = realm.client().await;
    *lock(&realm.state.spoilt) = Some((StatusCode::INTERNAL_SERVER_ERROR, String::new()));
    let asked = realm.state.asked_for_keys.load(Ordering::SeqCst);
    let (one, other) = tokio::join!(client.sign_in("ada", "s3cret"), client.sign_in("eve", "s3cret"));
    assert_eq!([one, other], [Ended::Broken(Broken::Unreadable); 2]);
    assert_eq!(realm.state.asked_for_keys.load(Ordering::SeqCst) - asked, 1);
}

#[tokio::test]
async fn what_cannot_be_a_password_goes_to_nobody_and_is_a_bad_request() {
    let realm = Realm::start().await;
    let client = realm.client().await;
    for none in ["", "s3\0cret"] {
        assert_eq!(client.sign_in("ada", none).await, Ended::Outcome(Outcome::BadRequest));
    }
    assert_eq!(*lock(&realm.state.opened), [None, None]);
}

#[tokio::test]
async fn a_realm_without_keys_is_told_before_the_run() {
    let realm = Realm::start().await;
    let error = complaint(&realm.url, |reach| reach.sealing = Some(sealing("plant"))).await;
    assert!(
        error.contains("/v1/realms/plant/keys") && error.contains("realm's name?"),
        "{error}"
    );
}

#[tokio::test]
async fn one_key_that_is_none_keeps_nobody_from_sealing_to_the_others() {
    let realm = Realm::start().await;
    let mut set: Value = serde_json::from_str(&realm.state.key_set()).unwrap();
    let mut bad = set["keys"][0].clone();
    bad["n"] = "AQAB".into();
    set["keys"].as_array_mut().unwrap().insert(0, bad.clone());
    *lock(&realm.state.spoilt) = Some((StatusCode::OK, set.to_string()));
    assert_eq!(realm.client().await.sign_in("ada", "s3cret").await, SUCCESS);
    // All of them none is no set of keys.
    let client = realm.client().await;
    set["keys"] = Value::Array(vec![bad]);
    *lock(&realm.state.spoilt) = Some((StatusCode::OK, set.to_string()));
    let ended = client.sign_in("ada", "s3cret").await;
    assert_eq!(ended, Ended::Broken(Broken::Unreadable));
}

#[tokio::test]
async fn where_nobody_could_open_it_nothing_is_sent_and_that_is_said() {
    let realm = Realm::start().await;
    let client = realm.client().await;
    let none = format!(r#"{{"keys":[],"now":{}}}"#, now_ms());
    *lock(&realm.state.spoilt) = Some((StatusCode::OK, none));
    assert_eq!(client.sign_in("ada", "s3cret").await, Ended::Broken(Broken::NoKey));
    assert!(lock(&realm.state.opened).is_empty());
}

#[tokio::test]
async fn the_last_keys_are_good_for_a_while_where_no_others_can_be_had() {
    let realm = Realm::start().await;
    let client = realm.client().await;
    assert_eq!(client.sign_in("ada", "s3cret").await, SUCCESS);
    let broken = (StatusCode::INTERNAL_SERVER_ERROR, String::new());
    *lock(&realm.state.spoilt) = Some(broken);
    let asked = realm.state.asked_for_keys.load(Ordering::SeqCst);
    for (seconds, ended, asks) in [
        (6, SUCCESS, 1),
        // It was asked a moment ago.
        (0, SUCCESS, 1),
        (30, SUCCESS, 2),
        (30, Ended::Broken(Broken::Unreadable), 3),
        (0, Ended::Broken(Broken::Unreadable), 3),
        (1, Ended::Broken(Broken::Unreadable), 4),
    ] {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(seconds)).await;
        tokio::time::resume();
        assert_eq!(client.sign_in("ada", "s3cret").await, ended, "{seconds}");
        assert_eq!(
            realm.state.asked_for_keys.load(Ordering::SeqCst) - asked,
            asks,
            "{seconds}"
        );
    }
}
