//! What was done to what is tested, for reading it beside what came of it.

use crate::fault::Mark;
use crate::results::Results;
use crate::results::Slice;

/// Something that was done, and what came of it.
#[derive(Debug)]
pub(super) struct Fault<'a> {
    /// From 1 on, as in the charts.
    pub(super) number: usize,
    pub(super) mark: &'a Mark,
    /// When it was taken back, in seconds; `None` when it was not, or when it does not last.
    pub(super) until: Option<f64>,
    /// What came of it up to the next one.
    pub(super) came: Came,
}

/// What came of a fault up to the next one, by when sign-ins were planned.
#[derive(Debug, Default)]
pub(super) struct Came {
    pub(super) failed: u64,
    pub(super) wrong: u64,
    /// The worst of its slices, in milliseconds; `None` where none is known.
    pub(super) p99_ms: Option<f64>,
    /// How long after it the last one was not right, to a slice.
    pub(super) settled_s: Option<f64>,
}

/// A number in a chart, or several that lie too close.
#[derive(Debug, PartialEq)]
pub(super) struct Label {
    /// Where, from 0 to 1.
    pub(super) at: f64,
    /// In which row.
    pub(super) lane: usize,
    pub(super) text: String,
}

/// Rows of labels above a chart.
pub(super) const LANES: usize = 3;

/// Labels in one row are this far from each other, as a share of the chart's width.
const APART: f64 = 0.11;

/// All of a run, by when they were ordered.
pub(super) fn of(run: &Results) -> Vec<Fault<'_>> {
    let mut marks: Vec<&Mark> = run.marks.iter().collect();
    marks.sort_by(|one, other| one.ordered_s.total_cmp(&other.ordered_s));
    let all = marks.iter().enumerate();
    all.map(|(index, mark)| {
        let after = marks.get(index + 1..).unwrap_or_default();
        let until = after
            .iter()
            .find(|later| later.error.is_none() && takes_back(&later.what, &mark.what));
        Fault {
            number: index + 1,
            mark,
            until: until.map(|later| later.ordered_s).filter(|_| mark.error.is_none()),
            came: Came::between(run, mark.ordered_s, after.first().map(|next| next.ordered_s)),
        }
    })
    .collect()
}

/// Whether something is the end of something else: it says so, or it is the order that undoes it.
fn takes_back(later: &str, before: &str) -> bool {
    const UNDONE: [(&str, &str); 3] = [("kill ", "restart "), ("term ", "restart "), ("stop ", "cont ")];
    if later.strip_prefix("end of ") == Some(before) {
        return true;
    }
    UNDONE.iter().any(|(done, undone)| {
        let part = before.strip_prefix(done);
        part.is_some() && part == later.strip_prefix(undone)
    })
}

impl Came {
    /// Of the slices from the one that `from` is in to the one that `to` is in.
    fn between(run: &Results, from: f64, to: Option<f64>) -> Self {
        let mut came = Self::default();
        let end = |slice: &Slice| slice.from_s + slice.lasts_s;
        let slices = run.timeline.iter().filter(|slice| end(slice) > from);
        for slice in slices.take_while(|slice| to.is_none_or(|to| end(slice) <= to)) {
            came.failed += slice.counts.failed;
            came.wrong += slice.counts.wrong;
            if slice.counts.failed + slice.counts.wrong > 0 {
                came.settled_s = Some(end(slice) - from);
            }
            if slice.counts.sent > 0 {
                let p99 = slice.latency.p99.as_secs_f64() * 1_000.0;
                came.p99_ms = came.p99_ms.map_or(Some(p99), |worst| Some(worst.max(p99)));
            }
        }
        came
    }
}

/// Where the numbers of faults stand above a chart, so that none covers another.
pub(super) fn labels(faults: &[Fault<'_>], at: impl Fn(f64) -> f64) -> Vec<Label> {
    let mut labels: Vec<Label> = Vec::new();
    // Of each row: where the next label may begin.
    let mut free = [f64::NEG_INFINITY; LANES];
    // The number that the last label begins with.
    let mut first = 0;
    for fault in faults {
        let at = at(fault.mark.ordered_s);
        match free.iter().position(|free| *free <= at) {
            Some(lane) => {
                first = fault.number;
                let text = first.to_string();
                labels.push(Label { at, lane, text });
                if let Some(free) = free.get_mut(lane) {
                    *free = at + APART;
                }
            }
            None => {
                if let Some(last) = labels.last_mut() {
                    last.text = format!("{first}–{}", fault.number);
                    if let Some(free) = free.get_mut(last.lane) {
                        *free = last.at + 1.6 * APART;
                    }
                }
            }
        }
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample;

    #[test]
    fn a_fault_lasts_up_to_what_takes_it_back() {
        for (later, before, back) in [
            ("restart agent-2", "kill agent-2", true),
            ("restart agent-1", "kill agent-2", false),
            ("cont relay-1", "stop relay-1", true),
            ("end of blackhole a/b", "blackhole a/b", true),
            ("end of kill agent-2", "kill agent-2", true),
            ("restart agent-2", "restart agent-2", false),
        ] {
            assert_eq!(takes_back(later, before), back, "{before}, {later}");
        }
    }

    #[test]
    fn what_came_of_a_fault_is_counted_up_to_the_next() {
        let run = sample::failover();
        let faults = of(&run);
        let [killed, restarted] = faults.as_slice() else {
            panic!("{faults:?}");
        };
        assert_eq!(killed.until, Some(restarted.mark.ordered_s));
        assert_eq!(killed.came.failed, run.counts.failed);
        assert!(killed.came.settled_s.is_some_and(|seconds| seconds < 4.0), "{killed:?}");
        assert_eq!((restarted.came.failed, restarted.came.settled_s), (0, None));
    }

    #[test]
    fn labels_never_cover_each_other_and_name_every_fault() {
        let run = sample::huge();
        let faults = of(&run);
        let labels = labels(&faults, |seconds| seconds / 36_000.0);
        for lane in 0..LANES {
            let of_lane: Vec<&Label> = labels.iter().filter(|label| label.lane == lane).collect();
            for pair in of_lane.windows(2) {
                assert!(pair[1].at - pair[0].at >= APART - 1e-9, "{pair:?}");
            }
        }
        assert!(labels.first().is_some_and(|label| label.text.starts_with('1')));
        assert!(labels.last().is_some_and(|label| label.text.ends_with("100")));
    }
}
