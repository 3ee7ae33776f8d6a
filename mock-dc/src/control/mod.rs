//! The control interface: what a test reads and changes from outside. JSON over HTTP, without authentication, so on
//! loopback unless configured otherwise. An unknown member is refused with its name.

mod accounts;
mod binds;
mod edit;
mod problem;
mod snapshot;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{Method, StatusCode};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::{Deserialize, Deserializer};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use zeroize::Zeroizing;

use crate::domain::Domain;
use crate::domain::controllers::DcId;
use crate::domain::outcome::{BindResult, SubCode};
use crate::faults::{FaultError, Faults};
use crate::snapshot::LARGEST;
use crate::world::World;
use problem::{Problem, json_response, read};

/// What the interface reads and changes.
#[derive(Debug, Clone)]
pub struct Control {
    /// The domain, its time and its record.
    pub world: Arc<World>,
    /// What puts faults in force.
    pub faults: Arc<Faults>,
}

/// The paths of the control interface.
pub fn router(control: Control) -> Router {
    Router::new()
        .route("/oracle", post(oracle))
        .route("/binds", get(binds::binds))
        .route("/binds/counts", get(binds::counts))
        .route("/clock", get(read_clock).post(change_clock))
        .route(
            "/users/{sam}",
            get(accounts::read_account).patch(accounts::change_account),
        )
        .route("/faults", get(read_faults).put(replace_faults))
        .route(
            "/snapshot",
            get(snapshot::save)
                .put(snapshot::load)
                .layer(DefaultBodyLimit::max(LARGEST)),
        )
        .route("/reset", post(reset))
        .fallback(|| async { Problem::new(StatusCode::NOT_FOUND, "there is nothing at this path") })
        .method_not_allowed_fallback(async |method: Method| {
            let detail = format!("this path does not take {method}; what it takes is in Allow");
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
        })
        .layer(map_response(problem::in_our_form))
        .with_state(control)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    user: String,
    #[serde(deserialize_with = "wiped")]
    password: Zeroizing<String>,
    dc: Option<String>,
}

fn wiped<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Zeroizing<String>, D::Error> {
    String::deserialize(deserializer).map(Zeroizing::new)
}

/// What a bind at a controller, the PDC emulator by default, would come to now. Counts nothing.
async fn oracle(State(control): State<Control>, body: Bytes) -> Result<Response, Problem> {
    let Question { user, password, dc } = read(&body)?;
    let world = &control.world;
    let dc = controller(&world.domain, dc.as_deref())?;
    let result = world.probe(dc, &user, &password).result;
    let outcome = match result {
        // Result 0 for a bind without a password is no success: no sign-in reaches a directory without one.
        _ if password.is_empty() => "bad_request",
        BindResult::Anonymous => "bad_request",
        BindResult::Success => "success",
        BindResult::Rejected(sub_code) => sub_code.outcome(),
    };
    let diagnostic = result
        .sub_code()
        .map(|sub_code| world.domain.dialect().rejection(sub_code))
        .unwrap_or_default();
    Ok(json_response(&json!({
        "outcome": outcome,
        "result": result.code(),
        "sub_code": result.sub_code().map(SubCode::text),
        "diagnostic": diagnostic,
    })))
}

async fn read_clock(State(control): State<Control>) -> Response {
    show_clock(&control.world)
}

fn show_clock(world: &World) -> Response {
    let reading = world.clock.read();
    json_response(&json!({ "now": rfc3339(reading.now), "offset_s": reading.offset_s, "rate": reading.rate }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockChange {
    advance_s: Option<f64>,
    set: Option<String>,
    rate: Option<f64>,
}

async fn change_clock(State(control): State<Control>, body: Bytes) -> Result<Response, Problem> {
    let world = &control.world;
    let changed = match read(&body)? {
        ClockChange {
            advance_s: Some(seconds),
            set: None,
            rate: None,
        } => world.set_clock(|clock| clock.advance(seconds)),
        ClockChange {
            advance_s: None,
            set: Some(text),
            rate: None,
        } => {
            let moment = OffsetDateTime::parse(&text, &Rfc3339)
                .map_err(|_| Problem::bad(format!("set: {text:?} is not a moment like \"2030-01-31T18:00:00Z\"")))?;
            world.set_clock(|clock| clock.set(moment))
        }
        ClockChange {
            advance_s: None,
            set: None,
            rate: Some(rate),
        } => world.set_clock(|clock| clock.set_rate(rate)),
        _ => return Err(Problem::bad("give exactly one of advance_s, set, rate")),
    };
    changed.map_err(|error| Problem::bad(error.to_string()))?;
    Ok(show_clock(&control.world))
}

async fn read_faults(State(control): State<Control>) -> Response {
    json_response(&control.faults.get())
}

async fn replace_faults(State(control): State<Control>, body: Bytes) -> Result<Response, Problem> {
    let rules = control.faults.read(&body).map_err(|problems| {
        let told: Vec<_> = problems
            .iter()
            .map(|(key, message)| format!("{key}: {message}"))
            .collect();
        Problem::bad(told.join("; "))
    })?;
    control.faults.replace(rules).await.map_err(no_effect)?;
    Ok(json_response(&control.faults.get()))
}

fn no_effect(error: FaultError) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// Accounts, clock, faults and record as they began.
async fn reset(State(control): State<Control>, body: Bytes) -> Result<Response, Problem> {
    if !body.is_empty() {
        let Nothing {} = read(&body)?;
    }
    control.faults.reset().await.map_err(no_effect)?;
    control.world.reset();
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The controller that a request names; the PDC emulator where it names none.
///
/// # Errors
/// Tells which ones there are.
fn controller(domain: &Domain, name: Option<&str>) -> Result<DcId, Problem> {
    let Some(name) = name else { return Ok(domain.pdc()) };
    domain.dc_named(name).ok_or_else(|| {
        let known: Vec<_> = domain.dcs().map(|dc| domain.dc_name(dc)).collect();
        Problem::bad(format!(
            "dc: there is no domain controller {name:?}; there are: {}",
            known.join(", ")
        ))
    })
}

/// A moment as every answer shows it.
fn rfc3339(time: OffsetDateTime) -> String {
    // Every moment that the clock can show has such a form.
    time.format(&Rfc3339).unwrap_or_default()
}

/// The members of a query, each at most once.
///
/// # Errors
/// Names a member that is not among `known`, or is there twice.
fn query<'a, const N: usize>(text: Option<&'a str>, known: [&str; N]) -> Result<[Option<&'a str>; N], Problem> {
    let mut values = [None; N];
    for part in text.unwrap_or_default().split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let Some(index) = known.iter().position(|known| *known == name) else {
            return Err(Problem::bad(format!(
                "unknown parameter `{name}`, expected one of {}",
                known.join(", ")
            )));
        };
        if values[index].replace(value).is_some() {
            return Err(Problem::bad(format!("`{name}` is there twice")));
        }
    }
    Ok(values)
}
