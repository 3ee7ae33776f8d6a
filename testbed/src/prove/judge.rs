//! From what was recorded to the numbers that goals are about. Nothing here waits, asks or prints.

use std::time::Duration;

use postern_loadtest::{Latency, Record};

use super::phases::{Moment, Window};

/// Steps in which the way back to normal is looked for, and the time over which it is looked at.
const STEP: Duration = Duration::from_millis(100);
const LOOK: Duration = Duration::from_secs(1);

/// The sign-ins that a fault made slow: planned at any time from 100 ms before its order on, and slower than 999 of 1,000
/// were before it.
pub fn affected<'a>(records: &'a [Record], fault: Moment, usual: &Latency) -> Vec<&'a Record> {
    let window = Window::from_just_before(fault.ordered);
    let slow = window.of(records).filter(|record| record.latency > usual.p999);
    slow.collect()
}

/// How much longer than usual (the median before the fault) the slowest of these took.
pub fn extra(affected: &[&Record], usual: &Latency) -> Duration {
    let slowest = affected.iter().map(|record| record.latency).max().unwrap_or_default();
    slowest.saturating_sub(usual.p50)
}

/// Whether a sign-in was under way, anywhere between its caller and the directory, while the fault was made.
pub fn is_in_flight(record: &Record, fault: Moment) -> bool {
    record.attempt.at <= fault.done && record.answered_at() >= fault.ordered
}

/// How many were.
pub fn in_flight(records: &[Record], fault: Moment) -> u64 {
    count(records.iter().filter(|record| is_in_flight(record, fault)))
}

/// How long after `from` sign-ins were as fast as `limit` again and stayed so: the first tenth of a second from which in
/// each second up to `until` there were some, and 99 of 100 took no longer. `None` when they never were.
pub fn back_to(records: &[Record], from: Duration, until: Duration, limit: Duration) -> Option<Duration> {
    let mut back = None;
    let mut begin = until.saturating_sub(LOOK);
    // From the end: the first bad second ends the search.
    while begin >= from {
        let window = Window::between(begin, begin + LOOK);
        let mut looked_at = window.of(records).map(|record| record.latency).peekable();
        if looked_at.peek().is_none() || Latency::of(looked_at).p99 > limit {
            break;
        }
        back = Some(begin - from);
        let Some(earlier) = begin.checked_sub(STEP) else { break };
        begin = earlier;
    }
    // The steps come from the end and rarely meet the beginning.
    back.map(|back| if back < STEP { Duration::ZERO } else { back })
}

/// How many.
pub fn count<T>(items: impl IntoIterator<Item = T>) -> u64 {
    items.into_iter().map(|_| 1).sum()
}

/// A part of a whole; 0 of nothing.
pub fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^52")]
    let share = part as f64 / whole as f64;
    share
}

#[cfg(test)]
mod tests {
    use super::*;
    use postern_loadtest::{Attempt, Ended, Kind, Tally};
    use postern_protocol::{Outcome, Verdict};

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn record(at: u64, latency: u64) -> Record {
        Record {
            attempt: Attempt {
                at: ms(at),
                user: 1,
                kind: Kind::Right,
            },
            lag: Duration::ZERO,
            latency: ms(latency),
            ended: Ended::Outcome(Outcome::Verdict(Verdict::Success)),
            binds: Tally::default(),
        }
    }

    /// Each 10 ms one that took 10 ms, but `slow` ms from `from` until `until`.
    fn run(seconds: u64, (from, until): (u64, u64), slow: u64) -> Vec<Record> {
        let latency = |at| if (from..until).contains(&at) { slow } else { 10 };
        (0..seconds * 100)
            .map(|n| n * 10)
            .map(|at| record(at, latency(at)))
            .collect()
    }

    const FAULT: Moment = Moment {
        ordered: Duration::from_secs(10),
        done: Duration::from_millis(10_010),
    };

    fn usual() -> Latency {
        Latency::of([ms(10)])
    }

    #[test]
    fn affected_are_the_slow_ones_from_just_before_the_fault_on() {
        let mut records = run(20, (10_000, 10_300), 400);
        records.extend([
            record(5_000, 900),
            record(9_950, 450),
            record(9_000, 2_000),
            record(15_000, 460),
        ]);
        let affected = affected(&records, FAULT, &usual());
        assert_eq!(affected.len(), 30 + 2);
        assert_eq!(extra(&affected, &usual()), ms(450));
        assert_eq!(extra(&[], &usual()), Duration::ZERO);
    }

    #[test]
    fn in_flight_is_what_was_sent_before_the_fault_was_done_and_not_answered_when_it_was_ordered() {
        let records = [
            record(9_000, 999),
            record(9_000, 1_000),
            record(9_995, 100),
            record(10_010, 1),
            record(10_011, 1),
        ];
        assert_eq!(in_flight(&records, FAULT), 3);
    }

    #[test]
    fn the_way_back_is_where_every_later_second_is_fast() {
        let from = FAULT.done;
        assert_eq!(
            back_to(&run(20, (0, 0), 0), from, ms(20_000), ms(12)),
            Some(Duration::ZERO)
        );
        let back = back_to(&run(20, (10_000, 11_500), 400), from, ms(20_000), ms(12)).unwrap();
        assert!((ms(1_400)..=ms(1_600)).contains(&back), "{back:?}");
        assert_eq!(back_to(&run(20, (10_000, 20_000), 400), from, ms(20_000), ms(12)), None);
        // Nobody is not fast.
        assert_eq!(back_to(&run(15, (0, 0), 0), from, ms(20_000), ms(12)), None);
        // Slow again at the end is not back.
        assert_eq!(back_to(&run(20, (19_500, 20_000), 400), from, ms(20_000), ms(12)), None);
    }

    #[test]
    fn a_share_of_nothing_is_nothing() {
        assert!((share(1, 4) - 0.25).abs() < f64::EPSILON);
        assert!(share(0, 0).abs() < f64::EPSILON);
    }
}
