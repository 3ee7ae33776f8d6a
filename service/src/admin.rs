//! The admin listener's paths: `/metrics`, `/livez`, `/readyz`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus::{Registry, TextEncoder};

/// Whether the process can do its work, and if not, why. Cheap to clone; clones share one state.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    reasons: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Readiness {
    /// Ready until a reason against it is given.
    pub fn new() -> Self {
        Self::default()
    }

    /// Not ready because of `topic`, for `reason`; a later call for the same topic replaces the reason.
    pub fn block(&self, topic: impl Into<String>, reason: impl Into<String>) {
        self.lock().insert(topic.into(), reason.into());
    }

    /// `topic` no longer stands against being ready.
    pub fn clear(&self, topic: &str) {
        self.lock().remove(topic);
    }

    /// The reasons against being ready, by topic; empty means ready.
    pub fn reasons(&self) -> BTreeMap<String, String> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, String>> {
        // The map is whole after every statement, so a panic elsewhere cannot have left it half-written.
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `/metrics` in Prometheus' text format, `/livez` (the process answers), `/readyz` (200, or 503 with a line per
/// reason).
pub fn router(registry: Registry, readiness: Readiness) -> Router {
    Router::new()
        .route("/metrics", get(metrics).with_state(registry))
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(readyz).with_state(readiness))
}

async fn metrics(State(registry): State<Registry>) -> Response {
    match TextEncoder::new().encode_to_string(&registry.gather()) {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn readyz(State(readiness): State<Readiness>) -> Response {
    let reasons = readiness.reasons();
    if reasons.is_empty() {
        return "ready\n".into_response();
    }
    let text: String = reasons
        .iter()
        .map(|(topic, reason)| format!("{topic}: {reason}\n"))
        .collect();
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}
