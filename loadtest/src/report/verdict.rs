//! What to think of a run, in one line and a few reasons: the same in every report.

use super::faults;
use super::numbers::{self, count, ms, percent, some};
use crate::results::Results;

/// How good it is, for whoever reads nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// All that was required.
    Good,
    /// Nothing was required, and nothing is badly wrong.
    Neutral,
    /// It says little of what is tested.
    Doubtful,
    /// Something that was required is not so.
    Bad,
    /// Somebody was let in who must not be.
    Alarming,
}

/// What to think of a run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Verdict {
    pub(super) tone: Tone,
    /// A line.
    pub(super) title: String,
    /// What else must be known, worst first.
    pub(super) reasons: Vec<String>,
}

impl Tone {
    /// A sign that is told from the others without any colour.
    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Good => "✓",
            Self::Neutral => "•",
            Self::Doubtful => "?",
            Self::Bad => "✗",
            Self::Alarming => "‼",
        }
    }

    /// Its class in a page.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Neutral => "neutral",
            Self::Doubtful => "doubtful",
            Self::Bad => "bad",
            Self::Alarming => "alarming",
        }
    }
}

impl Verdict {
    /// Of a run.
    pub(super) fn of(run: &Results) -> Self {
        let missed = numbers::length(run.thresholds.iter().filter(|threshold| !threshold.ok).count());
        let all = numbers::length(run.thresholds.len());
        let (tone, title) = match run.counts.false_successes {
            0 if run.sent == 0 => (Tone::Doubtful, "Nothing was sent".to_owned()),
            0 => judged(run.valid, missed, all),
            one_or_more => (Tone::Alarming, some_false(one_or_more)),
        };
        let mut reasons = Vec::new();
        if tone == Tone::Alarming && missed > 0 {
            reasons.push(format!("{} missed.", some_of(missed, all)));
        }
        let (wrong, locked) = (run.counts.wrong, run.counts.locked_out);
        if wrong > run.counts.false_successes {
            let verdicts = some(wrong, "wrong verdict");
            reasons.push(format!(
                "{verdicts} in all: the service said something untrue, unless the people are not what \
                 --user or --users says."
            ));
        }
        if locked > 0 {
            reasons.push(format!(
                "{} were told that the account is locked, though nobody did what locks it.",
                some(locked, "sign-in")
            ));
        }
        let because = &run.invalid_because;
        reasons.extend(because.iter().map(|why| format!("Not valid: {why}")));
        if !run.valid && because.is_empty() && run.sent > 0 {
            reasons.push("Not valid: the load was not what was planned.".to_owned());
        }
        let told = run.ended_early.iter().filter(|why| !because.contains(why));
        reasons.extend(told.map(|why| format!("Ended early: {why}")));
        reasons.extend(run.notes.iter().cloned());
        Self { tone, title, reasons }
    }
}

/// Of a run without false successes.
fn judged(valid: bool, missed: u64, all: u64) -> (Tone, String) {
    match (valid, missed, all) {
        (false, 0, _) => (Tone::Doubtful, "Not valid: these figures prove nothing".to_owned()),
        (false, ..) => (Tone::Bad, format!("Not valid, and {} missed", some_of(missed, all))),
        (true, 0, 0) => (Tone::Neutral, "Nothing was required of this run".to_owned()),
        (true, 0, 1) => (Tone::Good, "Held: the one threshold is kept".to_owned()),
        (true, 0, _) => (Tone::Good, format!("Held: all {all} thresholds are kept")),
        (true, ..) => (Tone::Bad, format!("Missed: {} not kept", some_of(missed, all))),
    }
}

fn some_of(missed: u64, all: u64) -> String {
    format!("{} of {}", count(missed), some(all, "threshold"))
}

fn some_false(number: u64) -> String {
    match number {
        1 => "1 FALSE SUCCESS: somebody was let in who must not be".to_owned(),
        number => format!("{} FALSE SUCCESSES: people were let in who must not be", count(number)),
    }
}

/// A run in a sentence.
pub(super) fn sentence(run: &Results) -> String {
    let counts = run.counts;
    if run.sent == 0 {
        return "No sign-in was made, so there is nothing to show.".to_owned();
    }
    let none = |number: u64, what: &str| match number {
        0 => format!("none {what}"),
        number => format!("{} {what}", count(number)),
    };
    let latency = |time: std::time::Duration| ms(time.as_secs_f64() * 1_000.0);
    let mut sentence = format!(
        "{} in {}: {} right, {}, {}. Half were answered within {}, 99 % within {}.",
        some(run.sent, "sign-in"),
        numbers::seconds(run.about.sending_s()),
        percent(counts.right, counts.sent),
        none(counts.failed, "failed"),
        none(counts.wrong, "wrong"),
        latency(run.latency_ms.p50),
        latency(run.latency_ms.p99),
    );
    sentence.extend(worst_fault(run));
    sentence
}

/// What came of the fault that most came of.
fn worst_fault(run: &Results) -> Option<String> {
    let faults = faults::of(run);
    let worst = faults
        .iter()
        .rev()
        .max_by_key(|fault| fault.came.failed + fault.came.wrong)?;
    Some(format!(
        " After “{}” at {}, {} not right, the last within {}.",
        worst.mark.what,
        numbers::seconds(worst.mark.ordered_s),
        match worst.came.failed + worst.came.wrong {
            1 => "1 sign-in was".to_owned(),
            many => format!("{} sign-ins were", count(many)),
        },
        numbers::seconds(worst.came.settled_s?),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample;

    #[test]
    fn a_false_success_comes_before_all_else() {
        let mut run = sample::disaster();
        let verdict = Verdict::of(&run);
        assert_eq!(verdict.tone, Tone::Alarming);
        assert!(verdict.title.starts_with("3 FALSE SUCCESSES"), "{}", verdict.title);
        run.counts.false_successes = 0;
        assert_eq!(Verdict::of(&run).tone, Tone::Bad);
    }

    #[test]
    fn the_title_says_whether_it_held_and_whether_that_means_anything() {
        let mut run = sample::failover();
        assert!(Verdict::of(&run).title.starts_with("Missed: 1 of 6 thresholds"));
        run.thresholds.retain(|threshold| threshold.ok);
        assert!(Verdict::of(&run).title.starts_with("Held: all 5 thresholds"));
        run.valid = false;
        assert_eq!(Verdict::of(&run).tone, Tone::Doubtful);
        run.valid = true;
        run.thresholds.clear();
        assert_eq!(Verdict::of(&run).tone, Tone::Neutral);
        assert_eq!(Verdict::of(&Results::default()).title, "Nothing was sent");
    }
}
