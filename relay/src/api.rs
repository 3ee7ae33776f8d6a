//! The sign-in API: `POST /v1/sign-in` and `GET /v1/realms/{realm}/keys`.
//!
//! The way of a request: [`caller`] (who asks), [`crate::limits`] (how often), [`body`] (what), then here: where to,
//! sealed, settled by the core, and out through [`answer`]. The sign-in page ([`crate::page`]) takes the same way.
//! Passwords are in the clear from `body` to the sealing in [`sign_in`] and nowhere else.

pub mod answer;
pub mod body;
pub mod caller;
mod leftover;
pub mod sign_in;

use std::collections::BTreeMap;
use std::hash::RandomState;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use postern_protocol::seal::JwkSet;
use postern_protocol::user_name::Route;
use postern_protocol::{Outcome, RealmKey};
use postern_service::net::host_of;

use crate::broker::Access;
use crate::clock::{Clock, unix_ms};
use crate::config::{Config, Limits, SignInConfig};
use crate::core::RealmIndex;
use crate::driver::SignIns;
use crate::keys::KeyDirectory;
use crate::limits::Buckets;
use crate::metrics::Metrics;
use crate::page::Page;
use crate::replays::Replays;
use crate::sealer::Sealer;
use answer::{Answer, new_request_id};
use caller::Callers;

/// What every request needs.
#[derive(Debug)]
pub struct ApiState {
    callers: Callers,
    limits: Limits,
    memory: Arc<Memory>,
    routes: BTreeMap<Route, Destination>,
    realms: BTreeMap<String, RealmKey>,
    timing: SignInConfig,
    sealer: Arc<Sealer>,
    keys: Arc<KeyDirectory>,
    sign_ins: SignIns,
    metrics: Metrics,
    clock: Clock,
}

/// What is remembered from one sign-in to the next, whatever the configuration.
#[derive(Debug, Default)]
pub struct Memory {
    per_caller: Buckets,
    per_address: Buckets,
    per_user: Buckets,
    replays: Replays,
    user_hasher: RandomState,
}

/// Where a user name leads.
#[derive(Debug, Clone)]
struct Destination {
    realm: RealmKey,
    index: RealmIndex,
    /// The name is not one that the directory knows by itself: agents look it up.
    alternate_id: bool,
}

impl ApiState {
    /// The API's state for a configuration, which the broker works by already.
    pub fn new(config: &Config, access: Access, memory: Arc<Memory>, metrics: Metrics) -> Self {
        let served = config
            .realms
            .iter()
            .filter_map(|(key, realm)| Some((key, *access.realms.get(key)?, realm)));
        let by_route = served.flat_map(|(key, index, realm)| {
            let destination = move |alternate_id| Destination {
                realm: key.clone(),
                index,
                alternate_id,
            };
            let as_typed = realm.routes.iter().map(|route| (route, false));
            let looked_up = realm.alternate_id.iter().map(|route| (route, true));
            as_typed
                .chain(looked_up)
                .map(move |(route, alternate_id)| (route.clone(), destination(alternate_id)))
        });
        Self {
            callers: Callers::new(config),
            limits: config.limits,
            memory,
            routes: by_route.collect(),
            realms: config
                .realms
                .keys()
                .map(|key| (key.realm.to_string(), key.clone()))
                .collect(),
            timing: config.sign_in,
            sealer: access.sealer,
            keys: access.keys,
            sign_ins: access.sign_ins,
            metrics,
            clock: access.clock,
        }
    }

    /// Who may ask, and from where.
    pub fn callers(&self) -> &Callers {
        &self.callers
    }
}

/// The API's paths, and the page's where there is one.
pub fn router(state: Arc<ApiState>, page: Option<Page>) -> Router {
    Router::new()
        .route("/v1/sign-in", post(sign_in::post))
        .route("/v1/realms/{realm}/keys", get(realm_keys))
        .merge(page.map(Page::router).unwrap_or_default())
        .fallback(no_such_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn(leftover::discard))
        .with_state(state)
}

/// The keys that callers may seal to. Public keys: whoever may reach the API may read them, at the address's rate.
async fn realm_keys(State(state): State<Arc<ApiState>>, Path(realm): Path<String>, request: Request) -> Response {
    let address = state.callers.client_address(&request);
    let rate = state.limits.per_address;
    let taken = state
        .memory
        .per_address
        .take(state.clock.now(), rate, address.map(host_of));
    if let Err(wait) = taken {
        state.metrics.shed.with_label_values(&["per_address"]).inc();
        return Answer::new(Outcome::TooManyRequests, new_request_id())
            .retry_after(wait)
            .into_response();
    }
    let Some(realm) = state.realms.get(&realm) else {
        return answer::problem(
            StatusCode::NOT_FOUND,
            "There is no such realm",
            "Realm names are those of the relay's configuration.",
        );
    };
    let set = JwkSet {
        keys: state.keys.of(realm),
        now: unix_ms(),
    };
    match serde_json::to_string(&set) {
        Ok(json) => (
            [
                (
                    header::CONTENT_TYPE,
                    HeaderValue::from_static("application/jwk-set+json"),
                ),
                (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            ],
            json,
        )
            .into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn no_such_path() -> Response {
    answer::problem(
        StatusCode::NOT_FOUND,
        "There is nothing here",
        "Sign-ins go to POST /v1/sign-in.",
    )
}

async fn wrong_method() -> Response {
    answer::problem(
        StatusCode::METHOD_NOT_ALLOWED,
        "Wrong method",
        "Sign-ins are POST /v1/sign-in, keys are GET.",
    )
}
