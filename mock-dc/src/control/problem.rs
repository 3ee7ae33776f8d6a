//! Answers of the control interface: JSON, and problems after RFC 9457.

use std::borrow::Cow;

use axum::body::to_bytes;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

const PROBLEM: &str = "application/problem+json";

/// A request that cannot be carried out.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    detail: Cow<'static, str>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            detail: detail.into(),
        }
    }

    /// The request itself is wrong.
    pub(super) fn bad(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }
}

impl Problem {
    /// Something that no request can be blamed for.
    pub(super) fn internal(error: &impl std::fmt::Display) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or_default();
        let body = json!({ "title": title, "status": self.status.as_u16(), "detail": self.detail });
        (self.status, [(header::CONTENT_TYPE, PROBLEM)], body.to_string()).into_response()
    }
}

/// Makes a problem of whatever the framework itself refuses: a body that is too long, a path that is no text.
pub(super) async fn in_our_form(response: Response) -> Response {
    let is_ours = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind == PROBLEM);
    let status = response.status();
    if is_ours || status.is_success() {
        return response;
    }
    // The framework's words are a line.
    let words = to_bytes(response.into_body(), 1024).await.unwrap_or_default();
    Problem::new(status, String::from_utf8_lossy(&words).into_owned()).into_response()
}

/// Reads a body. serde names an unknown member, a missing one, or one that is there twice.
///
/// # Errors
/// [`Problem`], 400.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| Problem::bad(error.to_string()))
}

/// 200 with JSON.
pub(super) fn json_response(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(error) => Problem::internal(&error).into_response(),
    }
}
