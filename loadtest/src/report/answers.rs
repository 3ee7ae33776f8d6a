//! Which answers are right, which are failures and which are wrong, by their names.
//!
//! A verdict may be right for one kind of sign-in and wrong for another; whatever is no verdict is a failure, unless it is
//! what was expected.

use std::collections::{BTreeMap, BTreeSet};

use postern_protocol::Verdict;

use crate::results::{KindResult, Results, Slice};

/// More failures than these have no colour of their own.
const MOST_FAILURES: usize = 6;

/// What those are called together.
const OTHERS: &str = "other failures";

/// Names of a run's answers, in the order in which they are shown.
#[derive(Debug)]
pub(super) struct Answers {
    /// All of them: expected ones first, then failures, then other verdicts; the most frequent of each first.
    pub(super) names: Vec<String>,
    /// Failures that have a colour, the most frequent first.
    failures: Vec<String>,
    /// What is expected somewhere, though it is no verdict.
    expected: BTreeSet<String>,
    /// Whether there are more failures.
    others: bool,
}

/// What one answer to one kind of sign-in is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Judged {
    Right,
    Failed,
    Wrong,
    FalseSuccess,
}

impl Judged {
    /// Of an answer to a kind of sign-in.
    pub(super) fn of(kind: &KindResult, answer: &str) -> Self {
        match answer {
            answer if answer == kind.expected => Self::Right,
            answer if answer == Verdict::Success.as_str() => Self::FalseSuccess,
            answer if is_verdict(answer) => Self::Wrong,
            _ => Self::Failed,
        }
    }

    /// A sign that is told from the others without any colour.
    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Right => "✓",
            Self::Failed => "△",
            Self::Wrong => "✗",
            Self::FalseSuccess => "‼",
        }
    }
}

fn is_verdict(name: &str) -> bool {
    Verdict::ALL.iter().any(|verdict| verdict.as_str() == name)
}

impl Answers {
    /// Of a run.
    pub(super) fn of(run: &Results) -> Self {
        let expected: BTreeSet<String> = run.kinds.iter().map(|kind| kind.expected.clone()).collect();
        let mut failed: BTreeMap<&str, u64> = BTreeMap::new();
        for kind in &run.kinds {
            for (name, count) in &kind.actual {
                if Judged::of(kind, name) == Judged::Failed {
                    *failed.entry(name).or_default() += count;
                }
            }
        }
        let mut failures: Vec<(&str, u64)> = failed.into_iter().filter(|(_, count)| *count > 0).collect();
        failures.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let others = failures.len() > MOST_FAILURES;
        let mut names: Vec<&String> = run.outcomes.keys().collect();
        let rank = |name: &str| match name {
            name if expected.contains(name) => 0,
            name if !is_verdict(name) => 1,
            _ => 2,
        };
        names.sort_by_key(|name| (rank(name), std::cmp::Reverse(run.outcomes.get(*name).copied())));
        Self {
            names: names.into_iter().cloned().collect(),
            failures: failures
                .into_iter()
                .take(MOST_FAILURES)
                .map(|(name, _)| name.to_owned())
                .collect(),
            expected: expected.into_iter().filter(|name| !is_verdict(name)).collect(),
            others,
        }
    }

    /// Names of what is not right, in the order of [`Self::not_right`].
    pub(super) fn layers(&self) -> Vec<&str> {
        let others = self.others.then_some(OTHERS);
        let named = self.failures.iter().map(String::as_str);
        named.chain(others).chain(["wrong verdict"]).collect()
    }

    /// What was not right in a slice of time: each failure, the others, and wrong verdicts.
    pub(super) fn not_right(&self, slice: &Slice) -> Vec<u64> {
        let count = |name: &String| slice.outcomes.get(name).copied().unwrap_or(0);
        let failures = slice.outcomes.iter().filter(|(name, _)| !is_verdict(name));
        // What is a failure for one kind only: its share is what the others leave of all failures.
        let sure = failures.filter(|(name, _)| !self.expected.contains(*name));
        let mut left = slice.counts.failed.saturating_sub(sure.map(|(_, count)| count).sum());
        let mut counts: Vec<u64> = Vec::new();
        for name in &self.failures {
            let mut number = count(name);
            if self.expected.contains(name) {
                number = number.min(left);
                left -= number;
            }
            counts.push(number);
        }
        if self.others {
            counts.push(slice.counts.failed.saturating_sub(counts.iter().sum()));
        }
        counts.push(slice.counts.wrong);
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Counts;
    use crate::summary::Latency;

    fn kind(name: &str, expected: &str, actual: &[(&str, u64)]) -> KindResult {
        KindResult {
            kind: name.to_owned(),
            expected: expected.to_owned(),
            actual: actual
                .iter()
                .map(|(name, count)| ((*name).to_owned(), *count))
                .collect(),
            counts: Counts::default(),
            latency: Latency::default(),
        }
    }

    #[test]
    fn an_answer_is_judged_by_what_was_expected_of_its_kind() {
        let wrong = kind("wrong", "invalid_credentials", &[]);
        for (answer, judged) in [
            ("invalid_credentials", Judged::Right),
            ("success", Judged::FalseSuccess),
            ("account_locked", Judged::Wrong),
            ("bad_request", Judged::Failed),
            ("unavailable/timeout", Judged::Failed),
            ("no answer", Judged::Failed),
        ] {
            assert_eq!(Judged::of(&wrong, answer), judged, "{answer}");
        }
        assert_eq!(
            Judged::of(&kind("empty", "bad_request", &[]), "bad_request"),
            Judged::Right
        );
    }

    #[test]
    fn what_is_right_for_one_kind_and_a_failure_for_another_is_counted_once() {
        let kinds = vec![
            kind("empty", "bad_request", &[("bad_request", 5)]),
            kind(
                "right",
                "success",
                &[("success", 10), ("bad_request", 2), ("no answer", 1)],
            ),
        ];
        let mut run = Results {
            kinds,
            ..Results::default()
        };
        for (name, count) in [("bad_request", 7), ("success", 10), ("no answer", 1)] {
            run.outcomes.insert(name.to_owned(), count);
        }
        let slice = Slice {
            from_s: 0.0,
            lasts_s: 1.0,
            outcomes: run.outcomes.clone(),
            counts: Counts {
                sent: 18,
                right: 15,
                failed: 3,
                ..Counts::default()
            },
            latency: Latency::default(),
        };
        let answers = Answers::of(&run);
        assert_eq!(answers.names, ["success", "bad_request", "no answer"]);
        assert_eq!(answers.layers(), ["bad_request", "no answer", "wrong verdict"]);
        assert_eq!(answers.not_right(&slice), [2, 1, 0]);
    }
}
