//! `/snapshot`: the whole state, to be kept and loaded again.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Control;
use super::problem::Problem;
use crate::snapshot::{self, LARGEST};

/// The state at this moment. Binds wait while it is copied, not while it is written.
pub(super) async fn save(State(control): State<Control>) -> Result<Response, Problem> {
    let world = control.world.clone();
    let snapshot = tokio::task::spawn_blocking(move || world.snapshot());
    let snapshot = snapshot.await.map_err(|error| Problem::internal(&error))?;
    let parts = futures_util::stream::unfold(snapshot, move |mut snapshot| {
        let part = snapshot.next_part(&control.world.domain).transpose();
        std::future::ready(part.map(|part| (part.map(Bytes::from), snapshot)))
    });
    Ok(([(header::CONTENT_TYPE, "application/json")], Body::from_stream(parts)).into_response())
}

/// Puts a state in place of the present one: all of it, or nothing.
pub(super) async fn load(
    State(control): State<Control>,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Problem> {
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("a snapshot may have {LARGEST} bytes"),
        ),
        status => Problem::new(status, rejection.body_text()),
    })?;
    let world = control.world;
    let loaded = tokio::task::spawn_blocking(move || {
        let checked = snapshot::read(&body, &world.domain)?;
        world.load(&checked);
        Ok::<_, snapshot::SnapshotError>(())
    });
    let loaded = loaded.await.map_err(|error| Problem::internal(&error))?;
    loaded.map_err(|error| Problem::bad(error.to_string()))?;
    Ok(StatusCode::NO_CONTENT)
}
