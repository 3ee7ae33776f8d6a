//! What callers get: JSON for verdicts, `application/problem+json` (RFC 9457) for everything of 4xx and 5xx.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use postern_protocol::{Outcome, RequestId, Subject, Unavailable, Verdict};
use serde::Serialize;

use crate::clock::unix_ms;

/// When a failure may have passed: an agent reconnects within a second.
const RETRY_AFTER: Duration = Duration::from_secs(1);

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A new request id: UUIDv7, so that ids sort by time in whatever log they end up.
pub fn new_request_id() -> RequestId {
    // uuid's own way asks the operating system for chance each time.
    RequestId(
        uuid::Builder::from_unix_timestamp_millis(unix_ms(), &rand::random())
            .into_uuid()
            .into_bytes(),
    )
}

/// The answer to one sign-in.
#[derive(Debug)]
pub struct Answer {
    outcome: Outcome,
    request_id: RequestId,
    subject: Option<Box<Subject>>,
    detail: Option<String>,
    retry_after: Duration,
    close: bool,
}

#[derive(Serialize)]
struct Success<'a> {
    outcome: &'static str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<Account<'a>>,
}

/// Whose account it is. Whatever tells callers apart is for them to key on, so names are those of the directory.
#[derive(Serialize)]
struct Account<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    object_guid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry_uuid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upn: Option<&'a str>,
}

impl<'a> From<&'a Subject> for Account<'a> {
    fn from(subject: &'a Subject) -> Self {
        Self {
            object_guid: subject.object_guid_text(),
            entry_uuid: subject.entry_uuid.as_deref(),
            upn: subject.upn.as_deref(),
        }
    }
}

#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
}

impl Answer {
    /// An answer with this outcome.
    pub fn new(outcome: Outcome, request_id: RequestId) -> Self {
        Self {
            outcome,
            request_id,
            subject: None,
            detail: None,
            retry_after: RETRY_AFTER,
            close: false,
        }
    }

    /// Says whose account it is. Shown with a success only, to public callers too: who typed the right password may
    /// know its own account, and an application needs something to know it by that no renaming changes.
    pub fn subject(mut self, subject: Option<Box<Subject>>) -> Self {
        self.subject = subject;
        self
    }

    /// Says what is wrong with the request and what to do. Never quotes it.
    pub fn detail(mut self, detail: impl std::fmt::Display) -> Self {
        self.detail = Some(detail.to_string());
        self
    }

    /// When to try again.
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = wait;
        self
    }

    /// Ends the connection: what is left of the request will not be read.
    pub fn close(mut self) -> Self {
        self.close = true;
        self
    }

    /// The outcome as it is.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// The sign-in's id.
    pub fn request_id(&self) -> RequestId {
        self.request_id
    }

    /// What is wrong with the request, where that is known.
    pub fn what_is_wrong(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// Seconds until another try makes sense, at least one.
    pub fn wait_seconds(&self) -> u64 {
        let whole = self.retry_after.as_secs() + u64::from(self.retry_after.subsec_nanos() > 0);
        whole.max(1)
    }

    /// Sets the headers that an answer has whatever its body is written in.
    pub fn dress(&self, response: &mut Response) {
        let status = response.status();
        let headers = response.headers_mut();
        if let Ok(value) = HeaderValue::from_str(&self.request_id.to_string()) {
            headers.insert(REQUEST_ID, value);
        }
        match status {
            StatusCode::UNAUTHORIZED => {
                // RFC 9110, section 11.6.1. A rejected sign-in is not the caller's own lack of credentials.
                let challenge = match self.outcome {
                    Outcome::UnauthorizedCaller => "Bearer realm=\"postern\"",
                    _ => "Postern-SignIn",
                };
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
            }
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(self.wait_seconds()));
            }
            _ => {}
        }
        if self.close {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }

    /// The same answer as it may be shown to whoever types: that an account is locked is told to trusted callers only,
    /// since the directory tells it without the right password.
    pub fn public(mut self) -> Self {
        if self.outcome == Outcome::Verdict(Verdict::AccountLocked) {
            self.outcome = Outcome::Verdict(Verdict::InvalidCredentials);
        }
        self
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.outcome.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let request_id = self.request_id.to_string();
        let mut response = if status.is_success() {
            json(
                status,
                "application/json",
                &Success {
                    outcome: self.outcome.as_str(),
                    request_id: &request_id,
                    subject: self.subject.as_deref().map(Account::from),
                },
            )
        } else {
            let reason = match self.outcome {
                Outcome::Unavailable(reason) => Some(reason.as_str()),
                _ => None,
            };
            let problem = Problem {
                r#type: "about:blank",
                title: title(self.outcome),
                status: status.as_u16(),
                detail: self.detail.as_deref(),
                outcome: Some(self.outcome.as_str()),
                reason,
                request_id: Some(request_id),
            };
            json(status, "application/problem+json", &problem)
        };
        self.dress(&mut response);
        response
    }
}

/// A problem that is not a sign-in's outcome.
pub fn problem(status: StatusCode, title: &str, detail: &str) -> Response {
    let problem = Problem {
        r#type: "about:blank",
        title,
        status: status.as_u16(),
        detail: Some(detail),
        outcome: None,
        reason: None,
        request_id: None,
    };
    json(status, "application/problem+json", &problem)
}

fn json(status: StatusCode, content_type: &'static str, body: &impl Serialize) -> Response {
    // Strings and numbers only: serialization cannot fail.
    let mut body = serde_json::to_string(body).unwrap_or_default();
    // For whoever reads it in a terminal.
    body.push('\n');
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, body).into_response()
}

fn title(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Verdict(verdict) => match verdict {
            Verdict::Success => "Signed in",
            Verdict::InvalidCredentials => "User name or password is wrong",
            Verdict::PasswordExpired => "The password has expired",
            Verdict::PasswordMustChange => "The password must be changed before signing in",
            Verdict::AccountDisabled => "The account is disabled",
            Verdict::AccountExpired => "The account has expired",
            Verdict::AccountLocked => "The account is locked after too many wrong passwords",
            Verdict::LogonHours => "The account may not sign in at this hour",
            Verdict::LogonWorkstation => "The account may not sign in from here",
            Verdict::Rejected => "The directory rejected the sign-in",
        },
        Outcome::Unavailable(reason) => match reason {
            Unavailable::NoAgent => "No agent of this realm is connected",
            Unavailable::DirectoryDown => "The directory cannot be reached",
            Unavailable::Timeout => "The sign-in could not be tried in time",
            Unavailable::Overloaded => "Too many sign-ins at once",
            Unavailable::Draining => "This relay is shutting down",
            Unavailable::Indeterminate => "The directory's answer was lost",
            Unavailable::CannotOpen => "No agent could open the sealed password",
        },
        Outcome::BadRequest => "The request cannot be a sign-in",
        Outcome::UnknownRealm => "The user name belongs to no realm that is served here",
        Outcome::StaleKey => "The envelope is sealed to keys that are no longer in use",
        Outcome::UnauthorizedCaller => "The caller is not known",
        Outcome::TooManyRequests => "Too many requests",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_account_reads_as_wrong_credentials_in_public_and_nothing_else_changes() {
        for verdict in Verdict::ALL {
            let shown = Answer::new(Outcome::Verdict(verdict), RequestId([0; 16]))
                .public()
                .outcome();
            let expected = if verdict == Verdict::AccountLocked {
                Verdict::InvalidCredentials
            } else {
                verdict
            };
            assert_eq!(shown, Outcome::Verdict(expected));
        }
    }

    #[test]
    fn every_answer_is_not_to_be_stored_and_carries_its_id() {
        let outcomes = [
            Outcome::Verdict(Verdict::Success),
            Outcome::Verdict(Verdict::InvalidCredentials),
            Outcome::Unavailable(Unavailable::NoAgent),
            Outcome::BadRequest,
            Outcome::TooManyRequests,
            Outcome::UnauthorizedCaller,
        ];
        for outcome in outcomes {
            let response = Answer::new(outcome, RequestId([1; 16])).into_response();
            let headers = response.headers();
            assert_eq!(headers["cache-control"], "no-store");
            assert_eq!(headers["x-request-id"], "01010101-0101-0101-0101-010101010101");
            assert_eq!(
                headers.contains_key("www-authenticate"),
                response.status() == 401,
                "{outcome}"
            );
            assert_eq!(
                headers.contains_key("retry-after"),
                [429, 503].contains(&response.status().as_u16()),
                "{outcome}"
            );
        }
    }

    async fn body(answer: Answer) -> serde_json::Value {
        let body = axum::body::to_bytes(answer.into_response().into_body(), 65_536).await;
        serde_json::from_slice(&body.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn the_subject_is_shown_with_a_success_and_with_nothing_else() {
        let subject = || {
            Some(Box::new(Subject {
                object_guid: Some([1; 16]),
                entry_uuid: None,
                upn: Some("zoë@corp.example.com".to_owned()),
            }))
        };
        for verdict in Verdict::ALL {
            let answer = || Answer::new(Outcome::Verdict(verdict), RequestId([0; 16])).subject(subject());
            for shown in [body(answer()).await, body(answer().public()).await] {
                if verdict == Verdict::Success {
                    let expected = serde_json::json!({
                        "object_guid": "01010101-0101-0101-0101-010101010101",
                        "upn": "zoë@corp.example.com",
                    });
                    assert_eq!(shown["subject"], expected);
                } else {
                    assert!(shown.get("subject").is_none(), "{shown}");
                }
            }
        }
        let without = body(Answer::new(Outcome::Verdict(Verdict::Success), RequestId([0; 16]))).await;
        assert_eq!(without.as_object().unwrap().len(), 2);
    }
}
