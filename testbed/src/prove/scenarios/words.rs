//! Goals that several scenarios have, in the same words.

use std::time::Duration;

use crate::prove::course::{Evidence, WHOLE};
use crate::prove::goal::{Goal, Value as Seen};
use crate::prove::phases::Window;
use crate::prove::rig::DEADLINE;

/// How much slower than before sign-ins may be once a fault has been dealt with.
const AS_BEFORE: f64 = 1.2;

/// A fault is dealt with within this.
pub(super) const DEALT_WITH: Duration = Duration::from_secs(2);

/// An answer at the deadline takes a moment to arrive.
const ARRIVAL: Duration = Duration::from_millis(100);

/// What holds in every scenario: whatever goes wrong, no verdict is another than the right one, and the load was made.
pub(super) fn always(evidence: &Evidence) -> Vec<Goal> {
    let all = evidence.summary(WHOLE);
    vec![
        Goal::none("wrong verdicts", all.wrong),
        Goal::none("sign-ins that the generator dropped", evidence.generator.dropped),
    ]
}

/// The fault took effect: a scenario whose fault does nothing would hold every other goal.
pub(super) fn at_least_one(what: &str, seen: u64) -> Goal {
    Goal::at_least(what, Seen::Count(1), Some(Seen::Count(seen)))
}

/// No sign-in failed.
pub(super) fn none_failed(evidence: &Evidence) -> Goal {
    Goal::none("sign-ins failed", evidence.summary(WHOLE).failed)
}

/// No bind came after nobody waited for it any more.
pub(super) fn none_late(evidence: &Evidence) -> Goal {
    Goal::none("binds after the answer", evidence.binds_of(WHOLE).late_binds)
}

/// Every sign-in was answered by its deadline.
pub(super) fn all_in_time(evidence: &Evidence) -> Goal {
    let slowest = evidence.summary(WHOLE).latency.max;
    Goal::time("slowest answer", DEADLINE + ARRIVAL, Some(slowest))
}

/// In `now` sign-ins were as fast as in `before`.
pub(super) fn as_fast_as_before(what: &str, evidence: &Evidence, before: Window, now: Window) -> Goal {
    let limit = evidence.latency(before).p99.mul_f64(AS_BEFORE);
    Goal::time(what, limit, Some(evidence.latency(now).p99))
}
