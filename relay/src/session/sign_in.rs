//! One sign-in on one session: a stream of its own, the request out, the agent's answer back.

use std::time::Duration;

use postern_protocol::connection::Connection;
use postern_protocol::frame::{Answer as AnswerFrame, FrameError, MAX_ANSWER_BYTES, MAX_REQUEST_BYTES, Request};
use postern_protocol::wire::{WireError, read_frame, write_last_frame};
use postern_protocol::{NotStarted, RequestId, Subject, Verdict};
use tokio::time::Instant;

use crate::core::Answer;

/// After the deadline nobody waits, but the agent's slot is taken until its answer: a bind's own time-out and some.
const PATIENCE: Duration = Duration::from_secs(3);

/// How a stream ended.
#[derive(Debug)]
pub enum StreamEnd {
    /// With the agent's answer, or with its loss.
    Answer(Answer),
    /// With the agent's word that a bind was sent and its answer lost, at the domain controller of this name.
    LostAt(String),
    /// The agent broke the protocol; the session must end.
    Violation(WireError),
}

/// Sends `request` and waits for the answer, until some time after `deadline`. `started` is called at most once.
pub async fn exchange(
    connection: &Connection,
    request: &Request,
    deadline: Instant,
    started: impl AsyncFnOnce(),
) -> StreamEnd {
    match tokio::time::timeout_at(deadline + PATIENCE, attempt(connection, request, started)).await {
        Ok(Ok(end)) => end,
        Ok(Err(error)) if error.is_violation() => StreamEnd::Violation(error),
        Ok(Err(_)) | Err(_) => StreamEnd::Answer(Answer::Lost),
    }
}

async fn attempt(
    connection: &Connection,
    request: &Request,
    started: impl AsyncFnOnce(),
) -> Result<StreamEnd, WireError> {
    let frame = request.encode();
    if frame.len() > MAX_REQUEST_BYTES {
        // The agent would take it for a breach. What is accepted fits, so this is never reached.
        return Ok(StreamEnd::Answer(Answer::NotStarted(NotStarted::Refused)));
    }
    // The connection has ended, and not a byte of this was written.
    let Ok((mut send, mut receive)) = connection.open_bi().await else {
        return Ok(StreamEnd::Answer(Answer::Unsent));
    };
    write_last_frame(&mut send, &frame).await?;
    let first = read_frame(&mut receive, MAX_ANSWER_BYTES, AnswerFrame::decode).await?;
    let last = if first == AnswerFrame::Started {
        started().await;
        read_frame(&mut receive, MAX_ANSWER_BYTES, AnswerFrame::decode).await?
    } else {
        first
    };
    receive.take_end();
    let answer = match last {
        AnswerFrame::Verdict(frame) => {
            let verdict = Verdict::from_code(frame.verdict);
            tracing::debug!(
                request_id = %request.request_id,
                verdict = verdict.as_str(),
                sub_code = frame.sub_code.map(|code| format!("{code:x}")),
                dc = frame.dc,
                bind_us = frame.bind_us,
                "verdict"
            );
            Answer::Verdict(verdict, subject(request.request_id, verdict, frame.subject))
        }
        AnswerFrame::NotStarted(frame) => Answer::NotStarted(NotStarted::from_code(frame.reason)),
        AnswerFrame::Failed(frame) if frame.indeterminate => return Ok(StreamEnd::LostAt(frame.dc)),
        AnswerFrame::Failed(frame) if frame.account_only == Some(true) => Answer::AccountNotChecked,
        AnswerFrame::Failed(_) => Answer::NotChecked,
        AnswerFrame::Started => {
            return Err(WireError::Frame(FrameError::Malformed("Started came twice".to_owned())));
        }
    };
    Ok(StreamEnd::Answer(answer))
}

/// Whose account it is, as callers may see it: with a success only, since it would tell who has the name, and never
/// anything that an agent could have made up to look like something else.
fn subject(request_id: RequestId, verdict: Verdict, said: Option<Subject>) -> Option<Box<Subject>> {
    let said = said.filter(|_| verdict == Verdict::Success)?;
    match said.checked() {
        Ok(subject) => Some(Box::new(subject)),
        Err(error) => {
            tracing::warn!(%request_id, %error, "the agent's subject is left out of the answer");
            None
        }
    }
}
