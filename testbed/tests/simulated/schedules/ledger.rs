//! What really happened at the domain controllers, which no relay and no agent knows: every bind, by the fence's word.
//!
//! Holds the rules of ARCHITECTURE.md that can only be judged from there: how often a password was tried, when, and what
//! the directory said of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use postern_protocol::{Moment, Verdict};
use postern_relay::config::Ambiguous;
use postern_relay::core::{FlightId, SessionId};

use super::model::{Broken, Model};

/// A process of an agent. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ProcessId(pub(super) u64);

/// What only the world knows of a sign-in.
#[derive(Debug, Clone)]
pub(super) struct Truth {
    /// What a domain controller that checks the password says.
    pub(super) verdict: Verdict,
    /// There is such a user.
    pub(super) exists: bool,
    pub(super) ambiguous: Ambiguous,
    pub(super) lockout_window: Duration,
    pub(super) realm: usize,
    pub(super) user: u64,
}

/// A bind that a fence gave leave for.
#[derive(Debug)]
struct Start {
    process: ProcessId,
    at: Moment,
    /// The agent found that nothing was sent, and took the mark back.
    taken_back: bool,
    checked: bool,
}

/// What a fence was asked, with what only the world knows beside it.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) flight: FlightId,
    pub(super) process: ProcessId,
    /// The relay's own moment before which the bind must begin.
    pub(super) start_by: Moment,
    /// A `Cancel` for it had come to this session.
    pub(super) cancelled: bool,
    /// The agent knew that the session was lost.
    pub(super) over: bool,
    /// The process stood still after it had received the request.
    pub(super) stood_still: bool,
    /// It is the same request once more, through another relay.
    pub(super) copy: bool,
    /// Marks that the process can hold.
    pub(super) room: usize,
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    truths: BTreeMap<FlightId, Truth>,
    starts: BTreeMap<FlightId, Vec<Start>>,
    /// Second binds by user: when the relay decided for each, which is what its window counts from, and of which sign-in.
    second: BTreeMap<(usize, u64), Vec<(Moment, FlightId)>>,
    /// Marks that each process holds: none ends within a schedule.
    marks: BTreeMap<ProcessId, usize>,
    /// Names that an honest agent looked up and did not find.
    not_found: BTreeSet<FlightId>,
}

impl Ledger {
    pub(super) fn sign_in(&mut self, flight: FlightId, truth: Truth) {
        self.truths.insert(flight, truth);
    }

    pub(super) fn truth(&self, flight: FlightId) -> &Truth {
        &self.truths[&flight]
    }

    /// A fence gave leave for a bind, for the first time at this process. Every rule that the fence is there for.
    pub(super) fn started(&mut self, now: Moment, asked: &Asked, model: &Model) -> Result<(), Broken> {
        self.in_time(now, asked)?;
        let flight = asked.flight;
        let broken = |rule, what: String| Err(Broken::new(rule, now, flight, what));
        let starts = self.starts.entry(flight).or_default();
        let again = starts
            .iter()
            .any(|start| start.process == asked.process && !start.taken_back);
        if again {
            return broken("an-id-is-bound-once", format!("a second bind by {:?}", asked.process));
        }
        if asked.copy {
            return Ok(());
        }
        let marks = self.marks.entry(asked.process).or_default();
        *marks += 1;
        if *marks > asked.room {
            return broken("marks-within-bounds", format!("{marks} of {}", asked.room));
        }
        let before: Vec<&Start> = starts.iter().filter(|start| !start.taken_back).collect();
        let truth = &self.truths[&flight];
        match (before.as_slice(), truth.ambiguous) {
            ([], _) => {}
            ([first, ..], Ambiguous::Fail) => {
                return broken(
                    "fail-never-binds-twice",
                    format!("{:?} had bound it at {:?}", first.process, first.at),
                );
            }
            ([_], Ambiguous::RetryOnce) => {
                // Whether the relay had a right to it, the model has judged when it was sent.
                let view = &model.sign_ins[&flight];
                let Some(decided) = view.extra else {
                    let text = format!("it was sent {} times, never as an extra attempt", view.attempts.len());
                    return broken("a-second-bind-needs-a-retry", text);
                };
                let seconds = self.second.entry((truth.realm, truth.user)).or_default();
                let apart = |(other, _): &(Moment, FlightId)| decided.since(*other).max(other.since(decided));
                let closest = seconds.iter().map(apart).min();
                seconds.push((decided, flight));
                if let Some(apart) = closest.filter(|apart| *apart < truth.lockout_window) {
                    let text = format!(
                        "user {} has two second binds, decided {apart:?} apart, in a window of {:?}",
                        truth.user, truth.lockout_window
                    );
                    return broken("one-second-bind-per-user", text);
                }
            }
            (more, Ambiguous::RetryOnce) => {
                return broken("one-second-bind", format!("bound {} times before", more.len()));
            }
        }
        starts.push(Start {
            process: asked.process,
            at: now,
            taken_back: false,
            checked: false,
        });
        Ok(())
    }

    /// A fence gave leave to go on at another domain controller.
    pub(super) fn in_time(&self, now: Moment, asked: &Asked) -> Result<(), Broken> {
        let broken = |rule, what: String| Err(Broken::new(rule, now, asked.flight, what));
        if now >= asked.start_by {
            let late = now.since(asked.start_by);
            return broken("binds-start-in-time", format!("{late:?} late by the relay's own clock"));
        }
        if asked.cancelled {
            return broken("cancelled-is-not-started", format!("{:?} had been told", asked.process));
        }
        if asked.over {
            return broken("nothing-starts-on-a-lost-session", format!("{:?} knew", asked.process));
        }
        if asked.stood_still {
            return broken(
                "nothing-received-before-a-gap-starts",
                format!("{:?} stood still", asked.process),
            );
        }
        Ok(())
    }

    /// Nothing was sent after all, and the agent has said so to its fence.
    pub(super) fn taken_back(&mut self, flight: FlightId, process: ProcessId) {
        for start in self.starts.get_mut(&flight).into_iter().flatten() {
            if start.process == process && !start.taken_back {
                start.taken_back = true;
                *self.marks.entry(process).or_default() -= 1;
            }
        }
        let truth = &self.truths[&flight];
        if let Some(seconds) = self.second.get_mut(&(truth.realm, truth.user)) {
            seconds.retain(|(_, of)| *of != flight);
        }
    }

    /// A domain controller checks the password.
    pub(super) fn checked(&mut self, flight: FlightId, process: ProcessId) -> Verdict {
        for start in self.starts.get_mut(&flight).into_iter().flatten() {
            start.checked |= start.process == process;
        }
        self.truths[&flight].verdict
    }

    /// An honest agent looked the name up and found nobody.
    pub(super) fn not_found(&mut self, flight: FlightId) {
        self.not_found.insert(flight);
    }

    /// The relay answers with `verdict`, which it has of `by`, a session of `process`.
    pub(super) fn answered(
        &self,
        now: Moment,
        flight: FlightId,
        verdict: Verdict,
        by: SessionId,
        process: ProcessId,
    ) -> Result<(), Broken> {
        let truth = &self.truths[&flight];
        let checked_there = |start: &Start| start.process == process && start.checked;
        let checked = self
            .starts
            .get(&flight)
            .is_some_and(|starts| starts.iter().any(checked_there));
        let not_found = verdict == Verdict::InvalidCredentials && self.not_found.contains(&flight) && !truth.exists;
        if verdict == Verdict::Success && truth.verdict != Verdict::Success {
            let text = format!(
                "success by {by:?}, and the directory would say {}",
                truth.verdict.as_str()
            );
            return Err(Broken::new("success-is-the-directorys", now, flight, text));
        }
        let true_one = checked && verdict == truth.verdict;
        if !true_one && !not_found {
            let text = format!("{} by {by:?}, which no domain controller said to it", verdict.as_str());
            return Err(Broken::new("verdicts-are-the-directorys", now, flight, text));
        }
        Ok(())
    }

    /// The relay said that the password was not tried, and nothing that comes later may make it untrue. To be asked at
    /// the end.
    pub(super) fn was_tried(&self, flight: FlightId) -> bool {
        self.starts
            .get(&flight)
            .is_some_and(|starts| starts.iter().any(|start| start.checked && !start.taken_back))
    }

    /// How many sign-ins had more than one bind.
    pub(super) fn bound_twice(&self) -> usize {
        let twice = |starts: &&Vec<Start>| starts.iter().filter(|start| !start.taken_back).count() > 1;
        self.starts.values().filter(twice).count()
    }
}
