//! What whoever waits for a run sees on standard error: a few lines that stand still in a terminal, else a line now and then.

use std::io::{IsTerminal, Stderr, Write};
use std::time::Duration;

use crate::fault::Mark;
use crate::metrics::Exporter;
use crate::record::Record;
use crate::results::{About, per_second};
use crate::run::{Progress, View};
use crate::text::told;

/// Where there is no terminal, so often.
const SELDOM: Duration = Duration::from_secs(10);

/// A fault that comes this late is told as late.
const WORTH_SAYING: Duration = Duration::from_millis(100);

/// Width of the bar.
const BAR: usize = 30;

/// A terminal, and counts for Prometheus where they are asked for.
#[derive(Debug)]
pub struct Watchers {
    /// For whoever waits.
    pub terminal: Terminal,
    /// For Prometheus.
    pub exporter: Option<Exporter>,
}

impl View for Watchers {
    fn begin(&mut self, about: &About) {
        self.terminal.begin(about);
        self.exporter.iter_mut().for_each(|exporter| exporter.begin(about));
    }

    fn ended(&mut self, records: &[Record]) {
        self.exporter.iter_mut().for_each(|exporter| exporter.ended(records));
    }

    fn progress(&mut self, progress: &Progress) {
        self.terminal.progress(progress);
        self.exporter
            .iter_mut()
            .for_each(|exporter| exporter.progress(progress));
    }

    fn mark(&mut self, mark: &Mark) {
        self.terminal.mark(mark);
        self.exporter.iter_mut().for_each(|exporter| exporter.mark(mark));
    }

    fn end(&mut self, dropped: u64) {
        self.exporter.iter_mut().for_each(|exporter| exporter.end(dropped));
    }
}

/// Standard error.
#[derive(Debug)]
pub struct Terminal {
    out: Stderr,
    name: String,
    quiet: bool,
    /// Whether lines can be written again.
    stands: bool,
    /// Lines that stand there.
    lines: usize,
    last: Option<Duration>,
}

impl Terminal {
    /// Standard error; nothing is said where nobody wants to hear it.
    pub fn new(quiet: bool) -> Self {
        let out = std::io::stderr();
        Self {
            stands: out.is_terminal(),
            out,
            name: String::new(),
            quiet,
            lines: 0,
            last: None,
        }
    }

    fn say(&mut self, line: &str) {
        if !self.quiet {
            self.clear();
            // Nobody looks: then nobody misses it.
            let _ = writeln!(self.out, "{line}");
        }
    }

    fn clear(&mut self) {
        if self.lines > 0 {
            // Up to the first of them, and everything below goes.
            let _ = write!(self.out, "\x1b[{}A\x1b[J", self.lines);
            self.lines = 0;
        }
    }
}

impl View for Terminal {
    fn begin(&mut self, about: &About) {
        (self.name, self.last) = (about.name.clone(), None);
        let targets = about.targets.join(", ");
        self.say(&format!("{}: {}; {}; at {targets}", about.name, about.load, about.mix));
    }

    fn progress(&mut self, progress: &Progress) {
        if self.quiet {
            return;
        }
        if self.stands {
            let lines = standing(&self.name, progress);
            self.clear();
            let _ = self.out.write_all((lines.join("\n") + "\n").as_bytes());
            self.lines = lines.len();
        } else if self.last.is_none_or(|last| progress.at >= last + SELDOM) {
            self.last = Some(progress.at);
            let line = line(progress);
            self.say(&line);
        }
    }

    fn mark(&mut self, mark: &Mark) {
        let at = told(Duration::try_from_secs_f64(mark.ordered_s).unwrap_or_default());
        match &mark.error {
            None => self.say(&format!("{at:>8}  {}{}", mark.what, late(mark))),
            Some(error) => self.say(&format!("{at:>8}  {}: COULD NOT BE DONE: {error}", mark.what)),
        }
    }
}

/// Said of what was done at another moment than it was to be.
fn late(mark: &Mark) -> String {
    let late = mark.late().filter(|late| *late >= WORTH_SAYING);
    late.map(|late| format!(" ({} late)", told(late))).unwrap_or_default()
}

fn not_made(dropped: u64) -> String {
    match dropped {
        0 => String::new(),
        dropped => format!(", {dropped} NOT MADE"),
    }
}

/// A line for a log.
fn line(progress: &Progress) -> String {
    let Progress {
        at,
        lasts,
        all,
        recent,
        since,
        latency,
        dropped,
        ..
    } = progress;
    format!(
        "{:>8} of {}: {:.0}/s, p50 {}, p99 {}; {} right, {} failed, {} wrong{}",
        told(*at),
        told(*lasts),
        per_second(recent.sent, since.as_secs_f64()),
        told(latency.p50),
        told(latency.p99),
        all.right,
        all.failed,
        all.wrong,
        not_made(*dropped),
    )
}

/// Lines for a terminal.
fn standing(name: &str, progress: &Progress) -> Vec<String> {
    let Progress {
        at,
        lasts,
        all,
        recent,
        since,
        latency,
        outcomes,
        dropped,
        ..
    } = progress;
    let share = (at.as_secs_f64() / lasts.as_secs_f64().max(0.001)).clamp(0.0, 1.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "from 0 to the bar's width"
    )]
    let filled = (share * BAR as f64) as usize;
    let mut lines = vec![
        format!(
            "{name}  {}{}  {} of {}",
            "━".repeat(filled),
            "─".repeat(BAR - filled),
            told(*at),
            told(*lasts)
        ),
        format!(
            "  now      {:.0}/s  p50 {}  p90 {}  p99 {}  max {}",
            per_second(recent.sent, since.as_secs_f64()),
            told(latency.p50),
            told(latency.p90),
            told(latency.p99),
            told(latency.max)
        ),
        format!(
            "  so far   {} sent, {} right, {} failed, {} wrong{}{}",
            all.sent,
            all.right,
            all.failed,
            all.wrong,
            if all.false_successes > 0 {
                format!(", {} LET IN WHO MUST NOT BE", all.false_successes)
            } else {
                String::new()
            },
            not_made(*dropped),
        ),
    ];
    let outcomes: Vec<String> = outcomes
        .iter()
        .map(|(outcome, count)| format!("{outcome} {count}"))
        .collect();
    lines.push(format!("  outcomes {}", outcomes.join(", ")));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Counts;
    use crate::summary::Latency;

    fn progress() -> Progress {
        let counts = Counts {
            sent: 500,
            right: 499,
            failed: 1,
            ..Counts::default()
        };
        Progress {
            at: Duration::from_secs(5),
            lasts: Duration::from_secs(30),
            all: counts,
            recent: counts,
            since: Duration::from_secs(1),
            latency: Latency::of([Duration::from_millis(2)]),
            outcomes: [("success".to_owned(), 499), ("unavailable/timeout".to_owned(), 1)].into(),
            dropped: 3,
            under_way: 0,
            planned_rate: 100.0,
        }
    }

    #[test]
    fn a_line_tells_how_far_how_fast_and_what_is_wrong() {
        assert_eq!(
            line(&progress()),
            "  5.00 s of 30.0 s: 500/s, p50 2.0 ms, p99 2.0 ms; 499 right, 1 failed, 0 wrong, 3 NOT MADE"
        );
    }

    #[test]
    fn what_stands_in_a_terminal_names_every_outcome_of_the_last_second() {
        let lines = standing("spike", &progress());
        assert!(lines[0].starts_with("spike  ━━━━━─"), "{}", lines[0]);
        assert!(lines[2].contains("3 NOT MADE") && !lines[2].contains("LET IN"));
        assert_eq!(lines[3], "  outcomes success 499, unavailable/timeout 1");
    }
}
