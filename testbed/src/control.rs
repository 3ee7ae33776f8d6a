//! The cluster's control: `POST /children/NAME` `{"do":"kill|stop|cont|term|restart"}`, on loopback; with
//! `--net-faults` also what its network does (`control/links.rs`).
//!
//! `GET /children` tells of all: `[{"name","aliases","pid","state"}]`. An order is answered with `{"name","pid","state"}`, after `kill` when the process has ended and after `restart` when the new one is
//! ready; the other signals when they are sent. Errors are `{"error"}`: 404 no such part, 400 no such order, 409 not
//! possible now.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::json;

use crate::links::Links;
use crate::supervisor::ready::wait_ready;
use crate::supervisor::{Order, Supervisor};

mod links;

#[derive(Clone)]
struct Shared {
    supervisor: Supervisor,
    http: reqwest::Client,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    r#do: Order,
}

/// The control of these processes, and of the links between them where there are proxies; `http` asks whether a
/// restarted process is ready.
pub fn router(supervisor: Supervisor, links: Option<Links>, http: reqwest::Client) -> Router {
    Router::new()
        .route("/children", get(children))
        .route("/children/{name}", post(order))
        .fallback(elsewhere)
        .with_state(Shared { supervisor, http })
        .merge(links::router(links))
}

/// Every process as it is now. One that was restarted is not the one of when the cluster came up.
async fn children(State(shared): State<Shared>) -> Response {
    let supervisor = &shared.supervisor;
    let told = supervisor.parts().filter_map(|part| {
        let state = supervisor.watch(&part.name)?.borrow().clone();
        Some(json!({ "name": part.name, "aliases": part.aliases, "pid": state.pid(), "state": state.as_str() }))
    });
    answer(StatusCode::OK, &told.collect())
}

async fn elsewhere() -> Response {
    refuse(
        StatusCode::NOT_FOUND,
        "there is nothing here; there are GET /children, POST /children/NAME {\"do\":\"kill|stop|cont|term|restart\"} and, of a \
         cluster that was started with --net-faults, GET /links and PUT /links/AGENT/RELAY",
    )
}

async fn order(State(shared): State<Shared>, Path(name): Path<String>, body: Bytes) -> Response {
    let request: Request = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => {
            return refuse(
                StatusCode::BAD_REQUEST,
                &format!("the body must be {{\"do\":\"kill|stop|cont|term|restart\"}}: {error}"),
            );
        }
    };
    let supervisor = &shared.supervisor;
    let (Some(part), Some(state)) = (supervisor.part(&name), supervisor.watch(&name)) else {
        let names = supervisor.names().join(", ");
        return refuse(
            StatusCode::NOT_FOUND,
            &format!("there is no {name:?}; there are: {names}"),
        );
    };
    match supervisor.order(&name, request.r#do).await {
        Some(Ok(now)) => {
            if request.r#do == Order::Restart
                && let Err(error) = wait_ready(&shared.http, part, state).await
            {
                return refuse(StatusCode::CONFLICT, &error.to_string());
            }
            answer(
                StatusCode::OK,
                &json!({ "name": part.name, "pid": now.pid(), "state": now.as_str() }),
            )
        }
        Some(Err(refusal)) => refuse(StatusCode::CONFLICT, &format!("{name}: {refusal}")),
        None => refuse(StatusCode::NOT_FOUND, "there is no such part"),
    }
}

fn refuse(status: StatusCode, message: &str) -> Response {
    answer(status, &json!({ "error": message }))
}

fn answer(status: StatusCode, body: &serde_json::Value) -> Response {
    let mut text = body.to_string();
    text.push('\n');
    (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use crate::supervisor::{self, Keepers, Kind, Part};
    use tokio::sync::mpsc;

    struct Fixture {
        _scratch: Scratch,
        _keepers: Keepers,
        shared: Shared,
        endings: mpsc::UnboundedReceiver<supervisor::Ended>,
    }

    fn fixture() -> Fixture {
        postern_service::tls::install_provider();
        let scratch = Scratch::new();
        let (sender, endings) = mpsc::unbounded_channel();
        let (mut supervisor, mut keepers) = (Supervisor::default(), Keepers::new());
        let part = Part {
            kind: Kind::MockDc,
            name: "mock-dc".to_owned(),
            aliases: vec!["dc-1".to_owned()],
            argv: ["/bin/sh", "-c", "read -r _"].map(str::to_owned).to_vec(),
            log: scratch.path().join("log"),
            admin: String::new(),
        };
        supervisor.start(part, &mut keepers, &sender).unwrap();
        let shared = Shared {
            supervisor,
            http: reqwest::Client::new(),
        };
        Fixture {
            _scratch: scratch,
            _keepers: keepers,
            shared,
            endings,
        }
    }

    async fn ask(fixture: &Fixture, name: &str, body: &'static str) -> (StatusCode, serde_json::Value) {
        let state = State(fixture.shared.clone());
        let response = order(state, Path(name.to_owned()), Bytes::from_static(body.as_bytes())).await;
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 65_536).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn all_parts_are_told_as_they_are_now() {
        let fixture = fixture();
        let told = async || {
            let response = children(State(fixture.shared.clone())).await;
            let body = axum::body::to_bytes(response.into_body(), 65_536).await.unwrap();
            serde_json::from_slice::<serde_json::Value>(&body).unwrap()
        };
        let before = told().await;
        assert_eq!(before[0]["name"], "mock-dc");
        assert_eq!(before[0]["aliases"], json!(["dc-1"]));
        assert_eq!(before[0]["state"], "running");
        assert_eq!(before[0]["pid"], fixture.shared.supervisor.pid("dc-1").unwrap());
        ask(&fixture, "dc-1", r#"{"do":"kill"}"#).await;
        assert_eq!(told().await[0]["state"], "ended");
    }

    #[tokio::test]
    async fn a_part_is_killed_by_any_of_its_names_and_its_end_is_told() {
        let mut fixture = fixture();
        let (status, body) = ask(&fixture, "dc-1", r#"{"do":"kill"}"#).await;
        assert_eq!(
            (status, &body["name"], &body["state"]),
            (StatusCode::OK, &json!("mock-dc"), &json!("ended"))
        );
        assert_eq!(fixture.endings.recv().await.unwrap().name, "mock-dc");
        let (status, body) = ask(&fixture, "mock-dc", r#"{"do":"stop"}"#).await;
        assert_eq!(status, StatusCode::CONFLICT);
        assert!(body["error"].as_str().unwrap().contains("has ended"), "{body}");
    }

    #[tokio::test]
    async fn what_is_not_understood_is_refused_and_said() {
        let fixture = fixture();
        let (status, body) = ask(&fixture, "agent-9", r#"{"do":"kill"}"#).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert!(body["error"].as_str().unwrap().contains("mock-dc, dc-1"), "{body}");
        for wrong in [r#"{"do":"explode"}"#, "{}", r#"{"do":"kill","when":"now"}"#, "kill"] {
            assert_eq!(ask(&fixture, "dc-1", wrong).await.0, StatusCode::BAD_REQUEST, "{wrong}");
        }
        let (status, _) = ask(&fixture, "dc-1", r#"{"do":"cont"}"#).await;
        assert_eq!(status, StatusCode::OK);
    }
}
