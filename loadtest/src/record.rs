//! What became of one sign-in, and whether that was right.

use std::time::Duration;

use postern_protocol::{Outcome, Unavailable, Verdict};
use serde::Deserialize;

use crate::mix::Kind;

/// Sent later than this after its time, a sign-in is late.
pub(crate) const LATE: Duration = Duration::from_millis(5);

const SUCCESS: Outcome = Outcome::Verdict(Verdict::Success);

/// One sign-in, as it was to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// When, from the beginning of the run.
    pub at: Duration,
    /// The user's number.
    pub user: u32,
    /// Of which kind: that says what must come of it.
    pub kind: Kind,
}

/// One sign-in that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// What was to be made.
    pub attempt: Attempt,
    /// How much later than planned it was sent: the generator's own fault.
    pub lag: Duration,
    /// From the planned time to the whole answer: a generator that is late makes nothing look fast.
    pub latency: Duration,
    /// How it ended.
    pub ended: Ended,
    /// What the directory did for it; nothing as long as it was not asked.
    pub binds: Tally,
}

/// A sign-in's binds in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// All of them. More than one: the directory counted the password more than once.
    pub all: u32,
    /// Those with a wrong password or name.
    pub bad: u32,
    /// Those after the sign-in was answered.
    pub late: u32,
}

/// How a sign-in ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ended {
    /// With an outcome.
    Outcome(Outcome),
    /// Without one.
    Broken(Broken),
}

/// Why there was no outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Broken {
    /// No answer within the generator's patience, which is longer than any deadline.
    NoAnswer,
    /// The connection could not be made, or ended before the answer.
    Connection,
    /// An answer that is none of a relay's.
    Unreadable,
    /// An answer that is none of a relay's, and by its status or by its body alone somebody is let in: one half of all
    /// callers looks at the one, the other half at the other.
    HalfSuccess,
    /// The relay told of no key to seal the password to, so that nothing was sent.
    NoKey,
}

impl Ended {
    /// Every way in which a sign-in can end.
    pub fn all() -> impl Iterator<Item = Self> {
        let outcomes = Verdict::ALL.into_iter().map(Outcome::Verdict).chain(OTHERS);
        let outcomes = outcomes.chain(Unavailable::ALL.into_iter().map(Outcome::Unavailable));
        outcomes.map(Self::Outcome).chain(Broken::ALL.map(Self::Broken))
    }
}

/// Outcomes that are neither verdicts nor failures of the service.
const OTHERS: [Outcome; 5] = [
    Outcome::BadRequest,
    Outcome::UnknownRealm,
    Outcome::StaleKey,
    Outcome::UnauthorizedCaller,
    Outcome::TooManyRequests,
];

impl Broken {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::NoAnswer,
        Self::Connection,
        Self::Unreadable,
        Self::HalfSuccess,
        Self::NoKey,
    ];

    /// The name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoAnswer => "no answer",
            Self::Connection => "connection lost",
            Self::Unreadable => "unreadable answer",
            Self::HalfSuccess => "half a success",
            Self::NoKey => "no key",
        }
    }
}

/// What to think of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// What was expected.
    Right,
    /// No verdict: a failure of ours.
    Failed,
    /// Another verdict than expected. The worst of all when it is a success.
    Wrong,
}

impl Record {
    /// What to think of it.
    pub fn judgement(&self) -> Judgement {
        Self::judge(self.attempt.kind, self.ended)
    }

    /// What to think of a sign-in of this kind that ended so.
    pub fn judge(kind: Kind, ended: Ended) -> Judgement {
        match ended {
            Ended::Outcome(outcome) if outcome == kind.expected() => Judgement::Right,
            Ended::Outcome(Outcome::Verdict(_)) => Judgement::Wrong,
            Ended::Broken(Broken::HalfSuccess) if kind.expected() != SUCCESS => Judgement::Wrong,
            _ => Judgement::Failed,
        }
    }

    /// Somebody was let in who must not be.
    pub fn is_false_success(&self) -> bool {
        let let_in = matches!(self.ended, Ended::Outcome(SUCCESS) | Ended::Broken(Broken::HalfSuccess));
        let_in && self.attempt.kind.expected() != SUCCESS
    }

    /// Whether the generator was so late with it that it tells of the generator.
    pub fn is_late(&self) -> bool {
        self.lag > LATE
    }

    /// From when it was really sent to the whole answer.
    pub fn service(&self) -> Duration {
        self.latency.saturating_sub(self.lag)
    }

    /// When it was sent, from the beginning of the run.
    pub fn sent_at(&self) -> Duration {
        self.attempt.at + self.lag
    }

    /// When its answer was there, from the beginning of the run.
    pub fn answered_at(&self) -> Duration {
        self.attempt.at + self.latency
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Outcome(outcome) => outcome.fmt(f),
            Self::Broken(broken) => f.write_str(broken.as_str()),
        }
    }
}

#[derive(Deserialize)]
struct Body<'a> {
    outcome: &'a str,
    reason: Option<&'a str>,
}

/// Reads a relay's answer. A status that does not go with the outcome makes it none.
pub(crate) fn read_answer(status: u16, body: &[u8]) -> Ended {
    let outcome = serde_json::from_slice::<Body<'_>>(body)
        .ok()
        .and_then(|body| outcome(&body));
    match outcome {
        Some(outcome) if outcome.http_status() == status => Ended::Outcome(outcome),
        Some(Outcome::Verdict(Verdict::Success)) => Ended::Broken(Broken::HalfSuccess),
        _ if (200..300).contains(&status) => Ended::Broken(Broken::HalfSuccess),
        _ => Ended::Broken(Broken::Unreadable),
    }
}

fn outcome(body: &Body<'_>) -> Option<Outcome> {
    let verdicts = Verdict::ALL.into_iter().map(Outcome::Verdict);
    if let Some(reason) = body.reason {
        let mut reasons = Unavailable::ALL.into_iter();
        let reason = reasons
            .find(|known| known.as_str() == reason)
            .map(Outcome::Unavailable)?;
        return (reason.as_str() == body.outcome).then_some(reason);
    }
    verdicts.chain(OTHERS).find(|known| known.as_str() == body.outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(right: bool, ended: Ended) -> Record {
        let attempt = Attempt {
            at: Duration::ZERO,
            user: 1,
            kind: if right { Kind::Right } else { Kind::Wrong },
        };
        Record {
            attempt,
            lag: Duration::ZERO,
            latency: Duration::ZERO,
            ended,
            binds: Tally::default(),
        }
    }

    #[test]
    fn every_answer_of_a_relay_is_read_as_what_it_is() {
        let others = [
            Outcome::BadRequest,
            Outcome::UnknownRealm,
            Outcome::StaleKey,
            Outcome::TooManyRequests,
        ];
        let verdicts = Verdict::ALL.into_iter().map(Outcome::Verdict).chain(others);
        for outcome in verdicts {
            let body = format!(r#"{{"request_id":"x","outcome":"{outcome}"}}"#);
            assert_eq!(
                read_answer(outcome.http_status(), body.as_bytes()),
                Ended::Outcome(outcome)
            );
        }
        for reason in Unavailable::ALL {
            let body = format!(
                r#"{{"outcome":"unavailable","reason":"{}","title":"…"}}"#,
                reason.as_str()
            );
            assert_eq!(
                read_answer(503, body.as_bytes()),
                Ended::Outcome(Outcome::Unavailable(reason))
            );
        }
    }

    #[test]
    fn what_a_relay_never_answers_is_no_outcome() {
        for (status, body) in [
            (503, r#"{"outcome":"unavailable"}"#),
            (503, r#"{"outcome":"success","reason":"timeout"}"#),
            (502, "<html>"),
        ] {
            assert_eq!(
                read_answer(status, body.as_bytes()),
                Ended::Broken(Broken::Unreadable),
                "{status} {body}"
            );
        }
    }

    #[test]
    fn who_is_let_in_by_status_or_body_alone_is_let_in() {
        for (status, body) in [
            (200, ""),
            (200, "<html>"),
            (204, ""),
            (200, r#"{"outcome":"invalid_credentials"}"#),
            (401, r#"{"outcome":"success"}"#),
        ] {
            let ended = read_answer(status, body.as_bytes());
            assert_eq!(ended, Ended::Broken(Broken::HalfSuccess), "{status} {body}");
            assert!(record(false, ended).is_false_success());
            assert_eq!(record(false, ended).judgement(), Judgement::Wrong);
            assert_eq!(record(true, ended).judgement(), Judgement::Failed);
        }
    }

    #[test]
    fn a_failure_is_never_wrong_and_another_verdict_always_is() {
        let verdict = |verdict| Ended::Outcome(Outcome::Verdict(verdict));
        let judged = |right, ended| record(right, ended).judgement();
        assert_eq!(judged(true, verdict(Verdict::Success)), Judgement::Right);
        assert_eq!(judged(false, verdict(Verdict::InvalidCredentials)), Judgement::Right);
        assert_eq!(judged(true, verdict(Verdict::InvalidCredentials)), Judgement::Wrong);
        assert_eq!(judged(false, verdict(Verdict::AccountLocked)), Judgement::Wrong);
        let unavailable = Ended::Outcome(Outcome::Unavailable(Unavailable::Timeout));
        for ended in [
            unavailable,
            Ended::Outcome(Outcome::BadRequest),
            Ended::Broken(Broken::NoAnswer),
        ] {
            assert_eq!(judged(false, ended), Judgement::Failed);
        }
        assert!(record(false, verdict(Verdict::Success)).is_false_success());
        assert!(!record(true, verdict(Verdict::Success)).is_false_success());
    }
}
