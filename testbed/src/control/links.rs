//! `PUT /links/AGENT/RELAY` `{"drop":bool,"loss":0.05,"delay_ms":[0,50],"reorder":bool}`: what the network between an
//! agent and a relay does, both ways. Each `PUT` replaces all of it, and `{}` mends the link. `GET` of the same tells
//! what is in force, and `GET /links` of all.
//!
//! 404 where there is no such link, 400 for what cannot be, 409 in a cluster without `--net-faults`.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde_json::json;

use super::{answer, refuse};
use crate::links::{Links, Settings};

/// The links' part of the control.
pub(super) fn router(links: Option<Links>) -> Router {
    Router::new()
        .route("/links", get(all))
        .route("/links/{agent}/{relay}", get(one).put(set))
        .with_state(links)
}

async fn all(State(links): State<Option<Links>>) -> Response {
    match links {
        Some(links) => answer(StatusCode::OK, &json!(links.all())),
        None => no_proxies(),
    }
}

async fn one(State(links): State<Option<Links>>, Path((agent, relay)): Path<(String, String)>) -> Response {
    let Some(links) = links else { return no_proxies() };
    match links.describe(&agent, &relay) {
        Some(link) => answer(StatusCode::OK, &json!(link)),
        None => no_such_link(&links, &agent, &relay),
    }
}

async fn set(
    State(links): State<Option<Links>>,
    Path((agent, relay)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    let Some(links) = links else { return no_proxies() };
    let settings = match Settings::parse(&body) {
        Ok(settings) => settings,
        Err(problem) => return refuse(StatusCode::BAD_REQUEST, &problem),
    };
    match links.set(&agent, &relay, settings) {
        Some(link) => answer(StatusCode::OK, &json!(link)),
        None => no_such_link(&links, &agent, &relay),
    }
}

fn no_such_link(links: &Links, agent: &str, relay: &str) -> Response {
    let names = links
        .all()
        .into_iter()
        .map(|link| format!("{}/{}", link.agent, link.relay));
    let names: Vec<String> = names.collect();
    let message = format!("there is no link {agent}/{relay}; there are: {}", names.join(", "));
    refuse(StatusCode::NOT_FOUND, &message)
}

fn no_proxies() -> Response {
    refuse(
        StatusCode::CONFLICT,
        "nothing is between agents and relays here; start the cluster with --net-faults",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::loopback;
    use serde_json::Value;
    use tokio::task::JoinSet;

    fn links(tasks: &mut JoinSet<()>) -> Option<Links> {
        Some(Links::open(2, &[loopback(9), loopback(9)], tasks).unwrap())
    }

    fn path(agent: &str, relay: &str) -> Path<(String, String)> {
        Path((agent.to_owned(), relay.to_owned()))
    }

    async fn read(response: Response) -> (u16, Value) {
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 65_536).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    async fn put(links: Option<Links>, (agent, relay): (&str, &str), body: &'static str) -> (u16, Value) {
        read(set(State(links), path(agent, relay), Bytes::from_static(body.as_bytes())).await).await
    }

    #[tokio::test]
    async fn a_link_is_changed_alone_told_as_it_is_and_mended_by_an_empty_object() {
        let mut tasks = JoinSet::new();
        let links = links(&mut tasks);
        let bad = r#"{"drop":true,"loss":0.05,"delay_ms":[0,50],"reorder":true}"#;
        let (status, told) = put(links.clone(), ("agent-2", "relay-1"), bad).await;
        let expected = json!({"agent": "agent-2", "relay": "relay-1",
            "drop": true, "loss": 0.05, "delay_ms": [0, 50], "reorder": true});
        assert_eq!((status, &told), (200, &expected));
        assert_eq!(
            read(one(State(links.clone()), path("agent-2", "relay-1")).await)
                .await
                .1,
            expected
        );
        let (_, every) = read(all(State(links.clone())).await).await;
        let changed: Vec<&Value> = every
            .as_array()
            .unwrap()
            .iter()
            .filter(|link| link["drop"] == true)
            .collect();
        assert_eq!((every.as_array().unwrap().len(), changed), (4, vec![&expected]));
        let (_, mended) = put(links, ("agent-2", "relay-1"), "{}").await;
        assert_eq!(
            (&mended["drop"], &mended["loss"], &mended["delay_ms"]),
            (&json!(false), &json!(0.0), &json!([0, 0]))
        );
    }

    #[tokio::test]
    async fn what_is_not_there_or_cannot_be_is_said() {
        let mut tasks = JoinSet::new();
        let links = links(&mut tasks);
        let (status, body) = put(links.clone(), ("agent-3", "relay-1"), "{}").await;
        assert_eq!(status, 404);
        assert!(
            body["error"]
                .as_str()
                .unwrap()
                .contains("agent-1/relay-1, agent-1/relay-2"),
            "{body}"
        );
        let (status, body) = put(links, ("agent-1", "relay-1"), r#"{"dorp":true}"#).await;
        assert_eq!(status, 400);
        assert!(body["error"].as_str().unwrap().contains("dorp"), "{body}");
        for response in [
            all(State(None)).await,
            one(State(None), path("agent-1", "relay-1")).await,
            set(State(None), path("agent-1", "relay-1"), Bytes::from_static(b"{}")).await,
        ] {
            let (status, body) = read(response).await;
            assert_eq!(status, 409);
            assert!(body["error"].as_str().unwrap().contains("--net-faults"), "{body}");
        }
    }
}
