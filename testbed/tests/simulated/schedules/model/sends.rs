//! The rules of sending a sign-in to an agent, and of taking it back.

use std::time::Duration;

use postern_protocol::Moment;
use postern_relay::config::Ambiguous;
use postern_relay::core::{AttemptNumber, FlightId, SessionId};

use super::session::Session;
use super::{Attempt, Broken, End, Model};

/// All hand-offs included.
const MAX_ATTEMPTS: usize = 3;

/// What an agent that is there owes its answer within.
const PATIENCE: Duration = Duration::from_secs(2);

/// The least that a start window is long, and what a `Cancel` is given to be answered beside two round trips.
const WINDOW: Duration = Duration::from_millis(250);
const CANCEL: Duration = Duration::from_millis(100);

impl Model {
    /// The relay sends `flight` to `to`.
    pub(in super::super) fn sent(
        &mut self,
        now: Moment,
        flight: FlightId,
        to: SessionId,
        number: AttemptNumber,
        start_by: Moment,
    ) -> Result<(), Broken> {
        let broken = |rule, what: String| Err(Broken::new(rule, now, flight, what));
        let Some(view) = self.sign_ins.get(&flight) else {
            return broken("sent-is-known", "was never asked for".to_owned());
        };
        if let Some(outcome) = view.settled {
            return broken("nothing-after-the-outcome", format!("sent to {to:?} after {outcome}"));
        }
        if view.attempts.len() >= MAX_ATTEMPTS {
            return broken("three-attempts", format!("sent the {number}th time"));
        }
        if usize::from(number) != view.attempts.len() + 1 {
            return broken(
                "attempts-are-numbered",
                format!("attempt {number} of {}", view.attempts.len()),
            );
        }
        let Some(session) = self.sessions.get(&to) else {
            return broken("sent-to-who-is-there", format!("{to:?} is not in session"));
        };
        if session.realm != view.facts.realm.0 {
            return broken("sent-within-its-realm", format!("{to:?} is of realm {}", session.realm));
        }
        if !session.serves() {
            let state = (session.ready, session.draining);
            return broken(
                "sent-to-who-takes-work",
                format!("{to:?} has ready, draining {state:?}"),
            );
        }
        if !session.has_room() {
            return broken(
                "sent-within-slots",
                format!("{to:?} has {} of {} slots in use", session.open.len(), session.slots),
            );
        }
        if !session.can_open(&view.facts) {
            return broken(
                "sent-to-who-can-open",
                format!("{to:?} has none of its recipients' keys"),
            );
        }
        let seen =
            |attempt: &&Attempt| attempt.agent == session.name && !matches!(attempt.end, Some(End::NotStarted(_)));
        if let Some(before) = view.attempts.iter().find(seen) {
            return broken(
                "never-again-to-who-may-have-seen-it",
                format!(
                    "{} had it as attempt {} and did not say that it made no bind",
                    session.name, before.number
                ),
            );
        }
        if now >= view.facts.deadline {
            let late = now.since(view.facts.deadline);
            return broken("sent-before-its-deadline", format!("to {to:?}, {late:?} late"));
        }
        let window = WINDOW
            .max(CANCEL + session.rtt * 3)
            .min(view.facts.deadline.since(now) / 2);
        if start_by != now + window {
            return broken("start-window", format!("{:?} and not {window:?}", start_by.since(now)));
        }
        let unknown: Vec<&Attempt> = view
            .attempts
            .iter()
            .filter(|attempt| attempt.may_have_bound())
            .collect();
        for attempt in &unknown {
            if !attempt.given_up {
                return broken(
                    "binds-are-not-hedged",
                    format!(
                        "attempt {} with {} may still answer: {attempt:?}",
                        attempt.number, attempt.agent
                    ),
                );
            }
        }
        if let Some(first) = unknown.first() {
            self.extra(now, flight, unknown.len(), first.number, number)?;
        }
        if self.rightly_chosen(now, flight, &self.sign_ins[&flight], to)? {
            let chosen = self.sessions.get_mut(&to).unwrap();
            chosen.probes.insert((flight, number));
        }
        self.note_sent(now, flight, to, number, start_by);
        Ok(())
    }

    /// A bind may have been made, and this makes another possible.
    fn extra(
        &mut self,
        now: Moment,
        flight: FlightId,
        unknown: usize,
        first: AttemptNumber,
        number: AttemptNumber,
    ) -> Result<(), Broken> {
        let view = &self.sign_ins[&flight];
        let (realm, user) = (view.facts.realm.0, view.facts.user);
        let rules = &self.realms[realm];
        let broken = |rule, what: String| Err(Broken::new(rule, now, flight, what));
        if rules.ambiguous == Ambiguous::Fail {
            return broken("fail-is-never-retried", format!("attempt {first} may have been bound"));
        }
        if unknown > 1 {
            return broken(
                "one-extra-attempt",
                format!("{unknown} attempts may have been bound already"),
            );
        }
        // After an extra attempt that was not started, the same extra attempt goes to somebody else.
        let goes_on = view
            .attempts
            .iter()
            .any(|attempt| attempt.number > first && matches!(attempt.end, Some(End::NotStarted(_))));
        if !goes_on {
            // It may have waited for somebody who is free since the relay decided it.
            let Some(decided) = view.ambiguous else {
                return broken("ambiguity-is-told", format!("attempt {first} may have been bound"));
            };
            let apart = |other: &Moment| decided.since(*other).max(other.since(decided));
            let extras = self.extras.entry((realm, user)).or_default();
            if let Some(other) = extras.iter().find(|other| apart(other) < rules.lockout_window) {
                let text = format!(
                    "attempt {number}; user {user} had one {:?} before or after",
                    apart(other)
                );
                return broken("one-extra-attempt-per-user", text);
            }
            extras.push(decided);
            self.sign_ins.get_mut(&flight).unwrap().extra = Some(decided);
        }
        Ok(())
    }

    /// The relay gives up an attempt of `flight`; which, it does not say.
    pub(super) fn give_up(&mut self, now: Moment, flight: FlightId) -> Result<(), Broken> {
        let attempts = &mut self.sign_ins.get_mut(&flight).unwrap().attempts;
        let mut any = false;
        for attempt in attempts {
            if !attempt.given_up && may_be_given_up(attempt, now, self.sessions.get(&attempt.session)) {
                attempt.given_up = true;
                any |= attempt.may_have_bound();
            }
        }
        if any {
            Ok(())
        } else {
            let text = format!("{:?}", self.sign_ins[&flight].attempts);
            Err(Broken::new("nobody-is-given-up-early", now, flight, text))
        }
    }

    fn note_sent(&mut self, now: Moment, flight: FlightId, to: SessionId, number: AttemptNumber, start_by: Moment) {
        let session = self.sessions.get_mut(&to).unwrap();
        session.takes(now, (flight, number));
        let attempt = Attempt {
            session: to,
            agent: session.name.clone(),
            number,
            sent: now,
            start_by,
            started: false,
            cancelled: None,
            given_up: false,
            end: None,
        };
        self.sign_ins.get_mut(&flight).unwrap().attempts.push(attempt);
    }

    /// The relay tells `whom` that `flight` is not waited for any more.
    pub(in super::super) fn cancelled(&mut self, now: Moment, flight: FlightId, whom: SessionId) -> Result<(), Broken> {
        let view = self.sign_ins.get_mut(&flight);
        let sent = |attempt: &&mut Attempt| attempt.session == whom;
        let Some(attempt) = view.and_then(|view| view.attempts.iter_mut().rfind(sent)) else {
            return Err(Broken::new(
                "cancelled-where-it-was-sent",
                now,
                flight,
                format!("{whom:?} was never sent it"),
            ));
        };
        let rtt = self.sessions.get(&whom).map_or(Duration::ZERO, |session| session.rtt);
        attempt.cancelled.get_or_insert(now + CANCEL + rtt * 2);
        Ok(())
    }
}

/// Whether nobody has to wait any longer for the attempt: its session is lost; or its window is past, a
/// `Cancel` was sent unless it said that it began, and its agent is silent, or there and without a word for 2 s.
fn may_be_given_up(attempt: &Attempt, now: Moment, session: Option<&Session>) -> bool {
    let (None, Some(session)) = (attempt.end, session) else {
        return true;
    };
    let asked = attempt.started || attempt.cancelled.is_some();
    let silent = session.suspect || now.since(session.heard.max(attempt.sent)) >= CANCEL;
    let wordless = now >= attempt.sent + PATIENCE;
    now >= attempt.start_by && asked && (silent || wordless)
}
