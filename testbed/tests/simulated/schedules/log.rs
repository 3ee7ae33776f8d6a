//! What happened, line by line, for whoever has to understand a schedule that failed. And how often what happened, so
//! that a test can tell whether the schedules reach what they are for.

use std::collections::BTreeMap;
use std::fmt::Write;

use postern_protocol::Moment;

#[derive(Debug, Default)]
pub(super) struct Log {
    /// Lines are kept only where somebody will read them: writing them takes longer than the schedule.
    pub(super) kept: bool,
    start: Moment,
    text: String,
    seen: BTreeMap<(&'static str, &'static str), u64>,
}

impl Log {
    pub(super) fn new(start: Moment, kept: bool) -> Self {
        Self {
            kept,
            start,
            ..Self::default()
        }
    }

    /// Something happened at `now`.
    pub(super) fn line(&mut self, now: Moment, line: impl FnOnce() -> String) {
        if self.kept {
            let seconds = now.since(self.start).as_secs_f64();
            let _ = writeln!(self.text, "{seconds:>10.6}  {}", line());
        }
    }

    /// Something of this kind happened.
    pub(super) fn count(&mut self, what: &'static str) {
        self.count_of(what, "");
    }

    /// Something of this kind happened, and it was this one.
    pub(super) fn count_of(&mut self, kind: &'static str, which: &'static str) {
        *self.seen.entry((kind, which)).or_default() += 1;
    }

    /// The lines, and how often what happened.
    pub(super) fn into_parts(self) -> (String, BTreeMap<String, u64>) {
        let name = |(kind, which): (&str, &str)| format!("{kind} {which}").trim_end().to_owned();
        let seen = self.seen.into_iter().map(|(what, times)| (name(what), times));
        (self.text, seen.collect())
    }
}
