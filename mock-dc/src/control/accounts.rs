//! `/users/{sAMAccountName}`: an account's attributes as AD shows them, to read and to change.

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::edit;
use super::problem::{Problem, json_response, read};
use super::{Control, controller, query};
use crate::domain::controllers::DcId;
use crate::domain::filetime::FileTime;
use crate::domain::object::ObjectId;

pub(super) async fn read_account(
    State(control): State<Control>,
    Path(sam): Path<String>,
    RawQuery(text): RawQuery,
) -> Result<Response, Problem> {
    let dc = asked(&control, text.as_deref())?;
    // In a turn: while a snapshot is being put in place, the account may be half of the one and half of the other.
    control.world.in_turn(|now| {
        let id = find(&control, &sam)?;
        Ok(show(&control, dc, id, FileTime::from(now)))
    })
}

pub(super) async fn change_account(
    State(control): State<Control>,
    Path(sam): Path<String>,
    RawQuery(text): RawQuery,
    body: Bytes,
) -> Result<Response, Problem> {
    let dc = asked(&control, text.as_deref())?;
    find(&control, &sam)?;
    let edits = edit::read(read(&body)?).map_err(Problem::bad)?;
    let world = &control.world;
    world.in_turn(|now| {
        let now = FileTime::from(now);
        // Once more: another request may have given the name to somebody else meanwhile.
        let id = find(&control, &sam)?;
        let changed = world.domain.edit(dc, id, edits, now);
        changed.map_err(|(name, problem)| Problem::bad(format!("`{name}` {problem}")))?;
        Ok(show(&control, dc, id, now))
    })
}

/// The controller that is asked, or that a change is made at.
fn asked(control: &Control, text: Option<&str>) -> Result<DcId, Problem> {
    let [dc] = query(text, ["dc"])?;
    controller(&control.world.domain, dc)
}

fn find(control: &Control, sam: &str) -> Result<ObjectId, Problem> {
    control
        .world
        .domain
        .find_sam(sam)
        .ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, format!("nobody has the sAMAccountName {sam:?}")))
}

fn show(control: &Control, dc: DcId, id: ObjectId, now: FileTime) -> Response {
    let world = &control.world;
    let mut object = Map::new();
    for attribute in world.domain.attributes(dc, id, now) {
        let mut values: Vec<Value> = attribute.shown().map(Value::String).collect();
        let several = attribute.name == "objectClass" || attribute.values.len() > 1;
        let value = if several {
            Value::Array(values)
        } else {
            values.pop().unwrap_or_default()
        };
        object.insert(attribute.name.to_owned(), value);
    }
    object.insert(
        "locked".to_owned(),
        json!(world.domain.is_locked(id, &world.domain.state(dc, id, now), now)),
    );
    json_response(&object)
}
