//! Goals that several scenarios have, in the same words.

use std::time::Duration;

use postern_loadtest::{Ended, Judgement, Kind, Latency, Record};

use crate::prove::course::Evidence;
use crate::prove::goal::{Goal, Value as Seen};
use crate::prove::judge;
use crate::prove::phases::Window;
use crate::prove::rig::DEADLINE;

/// How much slower than before sign-ins may be once a fault has been dealt with.
const AS_BEFORE: f64 = 1.2;

/// A fault is dealt with within this.
pub(super) const DEALT_WITH: Duration = Duration::from_secs(2);

/// An answer at the deadline takes a moment to arrive.
const ARRIVAL: Duration = Duration::from_millis(100);

/// What holds in every scenario: whatever goes wrong, no verdict is another than the right one, everybody is answered, and
/// the load was made.
pub(super) fn always(evidence: &Evidence) -> Vec<Goal> {
    let all = evidence.summary(Window::WHOLE);
    vec![
        Goal::none("wrong verdicts", all.wrong),
        none_unanswered(evidence),
        none_dropped(evidence),
    ]
}

/// Everybody got an answer that a relay gives, at most two seconds after the deadline.
pub(super) fn none_unanswered(evidence: &Evidence) -> Goal {
    let broken = |record: &&Record| matches!(record.ended, Ended::Broken(_));
    Goal::none(
        "sign-ins never answered",
        judge::count(evidence.records.iter().filter(broken)),
    )
}

/// The load was made.
pub(super) fn none_dropped(evidence: &Evidence) -> Goal {
    Goal::none("sign-ins that the generator dropped", evidence.generator.dropped)
}

/// The fault took effect: a scenario whose fault does nothing would hold every other goal.
pub(super) fn at_least_one(what: &str, seen: u64) -> Goal {
    Goal::at_least(what, Seen::Count(1), Some(Seen::Count(seen)))
}

/// No sign-in failed.
pub(super) fn none_failed(evidence: &Evidence) -> Goal {
    Goal::none("sign-ins failed", evidence.summary(Window::WHOLE).failed)
}

/// No sign-in of this window failed.
pub(super) fn none_failed_before(evidence: &Evidence, before: Window) -> Goal {
    Goal::none("sign-ins failed before the fault", evidence.summary(before).failed)
}

/// The last sign-in that failed came no longer than this after `from`.
pub(super) fn last_failure(what: &str, limit: Duration, evidence: &Evidence, from: Duration) -> Goal {
    let failed = Window::since(from)
        .of(&evidence.records)
        .filter(|record| record.judgement() == Judgement::Failed);
    let last = failed.map(|record| record.attempt.at - from).max();
    Goal::time(what, limit, Some(last.unwrap_or_default()))
}

/// No bind came after nobody waited for it any more.
pub(super) fn none_late(evidence: &Evidence) -> Goal {
    Goal::none("binds after the answer", evidence.binds_of(Window::WHOLE).late_binds)
}

/// Every sign-in was answered by its deadline.
pub(super) fn all_in_time(evidence: &Evidence) -> Goal {
    let slowest = evidence.summary(Window::WHOLE).latency.max;
    Goal::time("slowest answer", DEADLINE + ARRIVAL, Some(slowest))
}

/// In `now` sign-ins were as fast as in `before`.
pub(super) fn as_fast_as_before(what: &str, evidence: &Evidence, before: Window, now: Window) -> Goal {
    let limit = evidence.latency(before).p99.mul_f64(AS_BEFORE);
    Goal::time(what, limit, Some(evidence.latency(now).p99))
}

/// Rejections wait for a grid of 25 ms, and three in ten sign-ins are rejections: what all of them take hides what
/// successes do.
pub(super) fn successes(evidence: &Evidence, before: Window, now: Window) -> String {
    let p99 = |window: Window| {
        let right = window
            .of(&evidence.records)
            .filter(|record| record.attempt.kind == Kind::Right);
        Latency::of(right.map(|record| record.latency)).p99.as_secs_f64() * 1_000.0
    };
    format!(
        "p99 of right passwords alone: {:.1} ms before, then {:.1} ms",
        p99(before),
        p99(now)
    )
}
