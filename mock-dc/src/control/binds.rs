//! `/binds`: the journal as lines of JSON, and how many binds each account has had.

use std::collections::BTreeMap;

use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use serde::Serialize;
use serde_json::json;

use super::problem::{Problem, json_response};
use super::{Control, query, rfc3339};
use crate::domain::outcome::SubCode;
use crate::journal::{Next, Position, Record};

/// Lines are sent when this much has gathered, or when there are no more.
const CHUNK: usize = 64 * 1024;

/// One line.
#[derive(Serialize)]
struct Line<'a> {
    seq: u64,
    time: String,
    dc: &'a str,
    conn: u64,
    peer: String,
    msgid: i32,
    name: &'a str,
    user: Option<&'a str>,
    result: u32,
    sub_code: Option<&'static str>,
    answered: bool,
}

/// Every bind after `since`, in order; with `follow=1` also those that are still to come. Where records were
/// dropped from the ring, a line `{"dropped":N}` stands in their place.
pub(super) async fn binds(State(control): State<Control>, RawQuery(text): RawQuery) -> Result<Response, Problem> {
    let [since, follow] = query(text.as_deref(), ["since", "follow"])?;
    let since = since.unwrap_or("0");
    let since = since
        .parse()
        .map_err(|_| Problem::bad(format!("since: {since:?} is not a number of a bind")))?;
    let follow = match follow {
        None | Some("0") => false,
        Some("1") => true,
        Some(other) => return Err(Problem::bad(format!("follow: {other:?} is neither 0 nor 1"))),
    };
    let journal = &control.world.journal;
    let position = journal.position(since);
    // What comes while this is being read belongs to the next reading.
    let until = if follow { None } else { Some(journal.last()) };
    let reader = Reader {
        control,
        position,
        until,
    };
    let lines = futures_util::stream::unfold(reader, async |mut reader| {
        let chunk = reader.chunk().await;
        (!chunk.is_empty()).then(|| (Ok::<_, std::convert::Infallible>(Bytes::from(chunk)), reader))
    });
    Ok((
        [(header::CONTENT_TYPE, "application/x-ndjson")],
        Body::from_stream(lines),
    )
        .into_response())
}

struct Reader {
    control: Control,
    position: Position,
    until: Option<u64>,
}

impl Reader {
    /// The next lines; empty at the end. Waits for the first, and takes those after it that are there already.
    async fn chunk(&mut self) -> Vec<u8> {
        let journal = self.control.world.journal.clone();
        let mut chunk = Vec::new();
        while chunk.len() < CHUNK && self.until.is_none_or(|until| self.position.seq() < until) {
            let next = journal.next(&mut self.position, self.until.is_none());
            let next = if chunk.is_empty() {
                next.await
            } else {
                next.now_or_never().unwrap_or(Next::End)
            };
            let line = match next {
                Next::Record(record) => self.line(&record),
                Next::Dropped { count, .. } => json!({ "dropped": count }).to_string(),
                Next::End => break,
            };
            chunk.extend_from_slice(line.as_bytes());
            chunk.push(b'\n');
        }
        chunk
    }

    fn line(&self, record: &Record) -> String {
        let bind = &record.bind;
        let user = bind.account.map(|id| self.control.world.domain.sam(id));
        let line = Line {
            seq: record.seq,
            time: rfc3339(bind.time),
            dc: &bind.source.dc,
            conn: bind.source.conn,
            peer: bind.source.peer.to_string(),
            msgid: bind.msgid,
            name: &bind.name,
            user: user.as_deref(),
            result: bind.result,
            sub_code: bind.sub_code.map(SubCode::text),
            answered: record.answered().unwrap_or(false),
        };
        // Nothing in a line can fail to become JSON.
        serde_json::to_string(&line).unwrap_or_default()
    }
}

/// Binds of each account that has had any, by sAMAccountName.
pub(super) async fn counts(State(control): State<Control>) -> Response {
    let domain = &control.world.domain;
    let counts = control.world.journal.counts();
    let named: BTreeMap<_, _> = counts
        .into_iter()
        .map(|(id, count)| (domain.sam(id).into_owned(), count))
        .collect();
    json_response(&named)
}
