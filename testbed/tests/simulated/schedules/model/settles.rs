//! The rules of outcomes: one, in time, true, and with a cause.

use std::time::Duration;

use postern_protocol::{Moment, NotStarted, Outcome, Unavailable, Verdict};
use postern_relay::core::{FlightId, SessionId, Shed};

use super::ends::GRACE;
use super::session::Session;
use super::{Attempt, Broken, End, Model, View};

impl Model {
    /// The relay answers the caller of `flight`.
    pub(in super::super) fn settled(
        &mut self,
        now: Moment,
        flight: FlightId,
        outcome: Outcome,
        by: Option<SessionId>,
    ) -> Result<(), Broken> {
        let broken = |rule, what: String| Err(Broken::new(rule, now, flight, what));
        let Some(view) = self.sign_ins.get(&flight) else {
            return broken("one-outcome", format!("{outcome} of what was never asked for"));
        };
        if let Some(before) = view.settled {
            return broken("one-outcome", format!("{outcome} after {before}"));
        }
        if now > view.facts.deadline + GRACE {
            let late = now.since(view.facts.deadline);
            return broken("settled-by-its-deadline", format!("{outcome}, {late:?} late"));
        }
        let unanswered = view.attempts.iter().filter(|attempt| attempt.end.is_none());
        for attempt in unanswered.filter(|_| !view.caller_gone) {
            // Where the deadline is past it had its time. What its caller gave up is none of its doing.
            if let Some(session) = self.sessions.get_mut(&attempt.session) {
                session.failed.insert(view.facts.user);
            }
        }
        match outcome {
            Outcome::Verdict(verdict) => {
                let gave = |attempt: &Attempt| match attempt.end {
                    Some(End::Verdict(given)) => given == verdict,
                    Some(End::NotStarted(NotStarted::NoMatch)) => verdict == Verdict::InvalidCredentials,
                    _ => false,
                };
                let mut of_it = view.attempts.iter().filter(|attempt| Some(attempt.session) == by);
                if !of_it.any(gave) {
                    return broken(
                        "no-failure-becomes-a-verdict",
                        format!("{outcome} by {by:?}: {:?}", view.attempts),
                    );
                }
            }
            Outcome::Unavailable(Unavailable::Indeterminate) => {
                if !view.attempts.iter().any(Attempt::may_have_bound) {
                    return broken(
                        "failures-have-a-cause",
                        format!("{outcome}, and every attempt was answered"),
                    );
                }
            }
            _ => {
                let tried = |attempt: &&Attempt| {
                    // That it was bound before is the caller's own doing where the caller made the id.
                    let callers = attempt.end == Some(End::NotStarted(NotStarted::Replayed));
                    attempt.may_have_bound() && !(callers && view.facts.recipients.is_some())
                };
                if let Some(attempt) = view.attempts.iter().find(tried) {
                    let text = format!("{outcome}, and attempt {} may have been bound", attempt.number);
                    return broken("untried-means-untried", text);
                }
                if !view.caller_gone && !self.has_cause(now, flight, view, outcome) {
                    let text = format!("{outcome} after {:?}, sessions {:?}", view.attempts, self.sessions);
                    return broken("failures-have-a-cause", text);
                }
            }
        }
        self.shed = None;
        let view = self.sign_ins.get_mut(&flight).unwrap();
        view.settled = Some(outcome);
        let realm = view.facts.realm;
        self.unsettled.remove(&flight);
        let of_realm = |other: &FlightId| self.sign_ins[other].facts.realm == realm;
        if !self.unsettled.iter().any(of_realm) {
            self.busy_since[realm.0] = None;
        }
        let view = &self.sign_ins[&flight];
        for attempt in &view.attempts {
            let other = attempt.end.is_none() && Some(attempt.session) != by;
            if other && attempt.cancelled.is_none() {
                let text = format!("{} has it and was not told that {outcome}", attempt.agent);
                return broken("others-are-cancelled", text);
            }
        }
        Ok(())
    }

    /// Whether the outcome, of a sign-in that was certainly not bound, is one that the relay had a reason for.
    fn has_cause(&self, now: Moment, flight: FlightId, view: &View, outcome: Outcome) -> bool {
        let realm = view.facts.realm.0;
        let sealed = view.facts.recipients.is_some();
        let said = |reasons: &[NotStarted]| {
            let said = |attempt: &Attempt| matches!(attempt.end, Some(End::NotStarted(it)) if reasons.contains(&it));
            view.attempts.iter().any(said)
        };
        let asked = |name: &str| view.attempts.iter().any(|attempt| *attempt.agent == *name);
        let staying = || self.of_realm(realm).filter(|session| !session.draining);
        // Who has not been asked and could be.
        let left = staying().any(|session| session.ready && session.can_open(&view.facts) && !asked(&session.name));
        let exhausted = view.attempts.len() == 3 || !left || self.hands_nothing_on(realm);
        match outcome {
            Outcome::Unavailable(Unavailable::Timeout) => {
                let reasons = [
                    NotStarted::Expired,
                    NotStarted::NoClock,
                    NotStarted::Cancelled,
                    NotStarted::WindowPassed,
                    NotStarted::Other,
                    NotStarted::Refused,
                    NotStarted::Replayed,
                ];
                now >= view.facts.deadline || exhausted && said(&reasons)
            }
            Outcome::Unavailable(Unavailable::Overloaded) => {
                exhausted && said(&[NotStarted::Busy]) || self.queue_may_be_full(now, flight, view)
            }
            Outcome::Unavailable(Unavailable::NoAgent) => {
                staying().next().is_none() || exhausted && said(&[NotStarted::Draining])
            }
            Outcome::Unavailable(Unavailable::DirectoryDown) => {
                let unchecked = view.attempts.iter().any(|attempt| attempt.end == Some(End::NotChecked));
                let refused = said(&[NotStarted::NoDirectory, NotStarted::NoLookUp]);
                let nobody_has_one = !staying().any(|session| session.ready);
                unchecked || exhausted && refused || nobody_has_one || !left && view.attempts.is_empty()
            }
            Outcome::Unavailable(Unavailable::CannotOpen) => {
                exhausted && said(&[NotStarted::NoKey, NotStarted::CannotOpen])
            }
            Outcome::StaleKey => sealed && !staying().any(|session| session.can_open(&view.facts)),
            Outcome::BadRequest => {
                let of_envelope = [NotStarted::CannotOpen, NotStarted::Replayed];
                said(&[NotStarted::Refused]) || sealed && said(&of_envelope)
            }
            _ => false,
        }
    }

    /// Whether the relay refuses to hand on, and may.
    fn hands_nothing_on(&self, realm: usize) -> bool {
        self.shed == Some(Shed::HandOffs) && self.budget_may_be_spent(realm)
    }

    /// Whether the relay refuses to let it wait, and as many others may be waiting as that needs.
    fn queue_may_be_full(&self, now: Moment, flight: FlightId, view: &View) -> bool {
        let realm = view.facts.realm;
        let rules = &self.realms[realm.0].queue;
        let others = self.unsettled.iter().filter(|other| **other != flight);
        let of_realm: Vec<&View> = others
            .map(|other| &self.sign_ins[other])
            .filter(|other| other.facts.realm == realm)
            .collect();
        match self.shed {
            Some(Shed::QueueLength) => of_realm.len() >= rules.length,
            Some(Shed::QueueBytes) => {
                let bytes: usize = of_realm.iter().map(|other| other.facts.bytes).sum();
                bytes + view.facts.bytes > rules.bytes
            }
            Some(Shed::QueueWait) => {
                // No verdict took longer than the slowest, so nobody can expect more than this.
                // Those of whom nothing is expected do not count, unless nobody else is there.
                let slots_of = |which: fn(&Session) -> bool| -> u32 {
                    let those = self.of_realm(realm.0).filter(|session| which(session));
                    those.map(|session| session.slots).sum()
                };
                let slots = match slots_of(Session::is_well) {
                    0 => slots_of(Session::serves),
                    slots => slots,
                };
                let slowest = self.slowest[realm.0];
                let ahead = u32::try_from(of_realm.len() + 1).unwrap();
                let wait = slowest * ahead / slots.max(1);
                // A queue that stands has a fifth of the bound, and is at most as old as what is not settled.
                let busy = self.busy_since[realm.0].map_or(Duration::ZERO, |since| now.since(since));
                let bound = if busy < Duration::from_secs(1) {
                    rules.wait
                } else {
                    rules.wait / 5
                };
                wait > bound || wait + slowest > view.facts.deadline.since(now)
            }
            Some(Shed::HandOffs) | None => false,
        }
    }
}
