//! What a scenario showed, for people and for scripts.

use std::fmt::Write as _;
use std::time::Duration;

use postern_loadtest::Summary;
use postern_loadtest::binds::BindSummary;
use postern_loadtest::generator::GeneratorReport;
use serde::Serialize;

use super::goal::{Goal, Strictness, Verdict};

/// One stretch of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Which: before, during or after the fault.
    pub phase: String,
    /// Its sign-ins.
    pub sign_ins: Summary,
    /// Their binds.
    pub binds: BindSummary,
}

/// What one run of a scenario showed.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The scenario, and what is particular about this run.
    pub title: String,
    /// By time.
    pub rows: Vec<Row>,
    /// What was promised, beside what was seen.
    pub goals: Vec<Goal>,
    /// What else is of interest.
    pub notes: Vec<String>,
    /// How well the load was what was planned.
    pub generator: GeneratorReport,
}

impl Report {
    /// The goals that are missed.
    pub fn missed(&self, strictness: Strictness) -> usize {
        let verdicts = self.goals.iter().map(|goal| goal.verdict(strictness));
        verdicts.filter(|&verdict| verdict == Verdict::Missed).count()
    }

    /// Whether it shows what was promised: every goal holds, and of the load that was planned. A short run is for machines
    /// that do other things too; there it is said, and counts must hold all the same.
    pub fn proves(&self, strictness: Strictness) -> bool {
        let as_planned = strictness == Strictness::Short || self.generator.is_valid();
        as_planned && self.missed(strictness) == 0
    }

    /// Why it does not show what was promised, in a line each; none where it does.
    pub fn shortcomings(&self, strictness: Strictness) -> Vec<String> {
        let missed = self
            .goals
            .iter()
            .filter(|goal| goal.verdict(strictness) == Verdict::Missed);
        let mut lines: Vec<String> = missed
            .map(|goal| {
                format!(
                    "{}: {} is {} and was to be {}",
                    self.title,
                    goal.what(),
                    goal.shown(),
                    goal.wanted()
                )
            })
            .collect();
        if lines.is_empty() && !self.proves(strictness) {
            lines.push(format!(
                "{}: the load was not as planned; this machine was too busy",
                self.title
            ));
        }
        lines
    }

    /// The table, the goals, and the verdict in the last line.
    pub fn text(&self, strictness: Strictness) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut text, strictness);
        text
    }

    fn write(&self, text: &mut String, strictness: Strictness) -> std::fmt::Result {
        writeln!(text, "\n{}", self.title)?;
        writeln!(
            text,
            "  {:<14}{:>7}{:>9}{:>8}{:>7}{:>10}{:>10}{:>10}{:>9}{:>7}{:>6}",
            "", "sent", "right", "failed", "wrong", "p50 ms", "p99 ms", "max ms", "binds", "twice", "late"
        )?;
        for row in &self.rows {
            let Row { phase, sign_ins, binds } = row;
            let latency = sign_ins.latency;
            writeln!(
                text,
                "  {phase:<14}{:>7}{:>9}{:>8}{:>7}{:>10}{:>10}{:>10}{:>9}{:>7}{:>6}",
                sign_ins.sent,
                sign_ins.right(),
                sign_ins.failed,
                sign_ins.wrong,
                ms(latency.p50),
                ms(latency.p99),
                ms(latency.max),
                binds.binds,
                binds.users_bound_twice,
                binds.late_binds
            )?;
        }
        for row in &self.rows {
            writeln!(text, "  {:<14}{}", row.phase, outcomes(&row.sign_ins))?;
        }
        let GeneratorReport {
            late,
            dropped,
            lag_p99_ms,
            cpu_us_each,
        } = self.generator;
        let valid = if self.generator.is_valid() {
            ""
        } else {
            "; THE LOAD WAS NOT AS PLANNED"
        };
        writeln!(
            text,
            "  load          {late} sent late (p99 {lag_p99_ms:.1} ms), {dropped} dropped, {cpu_us_each:.0} µs of processor each{valid}"
        )?;
        for note in &self.notes {
            writeln!(text, "  note          {note}")?;
        }
        let width = self
            .goals
            .iter()
            .map(|goal| goal.what().chars().count())
            .max()
            .unwrap_or(0);
        for goal in &self.goals {
            let verdict = match goal.verdict(strictness) {
                Verdict::Held => "held",
                Verdict::Slow => "slow",
                Verdict::Missed => "MISSED",
            };
            writeln!(
                text,
                "  {verdict:<14}{:<width$}  {:>12}  wanted {}",
                goal.what(),
                goal.shown(),
                goal.wanted()
            )?;
        }
        match self.missed(strictness) {
            0 if !self.proves(strictness) => {
                writeln!(
                    text,
                    "  => {} goals hold, of another load than was planned: try again with nothing else to do",
                    self.goals.len()
                )
            }
            0 => writeln!(text, "  => all {} goals hold", self.goals.len()),
            missed => writeln!(text, "  => {missed} of {} goals MISSED", self.goals.len()),
        }
    }
}

fn outcomes(summary: &Summary) -> String {
    let named = summary
        .outcomes
        .iter()
        .map(|(outcome, count)| format!("{outcome} {count}"));
    named.collect::<Vec<_>>().join(", ")
}

fn ms(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(goals: Vec<Goal>) -> Report {
        Report {
            title: "agent-killed: an agent is killed".to_owned(),
            rows: vec![Row {
                phase: "before".to_owned(),
                sign_ins: Summary::default(),
                binds: BindSummary::default(),
            }],
            goals,
            notes: vec!["a note".to_owned()],
            generator: GeneratorReport::default(),
        }
    }

    #[test]
    fn the_last_line_is_the_verdict_and_a_missed_goal_stands_out() {
        let text = report(vec![Goal::none("sign-ins failed", 0)]).text(Strictness::Full);
        assert!(text.ends_with("=> all 1 goals hold\n"), "{text}");
        let report = report(vec![Goal::none("sign-ins failed", 2), Goal::none("wrong verdicts", 0)]);
        let text = report.text(Strictness::Full);
        assert!(
            text.contains("MISSED        sign-ins failed             2  wanted ≤ 0"),
            "{text}"
        );
        assert!(text.ends_with("=> 1 of 2 goals MISSED\n"), "{text}");
        assert_eq!(report.missed(Strictness::Short), 1);
    }

    #[test]
    fn a_shortcoming_is_told_in_a_line_with_the_scenario_and_what_was_wanted() {
        let goals = || vec![Goal::none("sign-ins failed", 2), Goal::none("wrong verdicts", 0)];
        let lines = report(goals()).shortcomings(Strictness::Full);
        assert_eq!(
            lines,
            ["agent-killed: an agent is killed: sign-ins failed is 2 and was to be ≤ 0"]
        );
        assert!(report(Vec::new()).shortcomings(Strictness::Full).is_empty());
        let mut late = report(Vec::new());
        late.generator.lag_p99_ms = 5.1;
        assert!(late.shortcomings(Strictness::Full)[0].contains("not as planned"));
        assert!(late.shortcomings(Strictness::Short).is_empty());
    }

    #[test]
    fn a_load_that_was_not_as_planned_is_said() {
        let mut report = report(Vec::new());
        assert!(!report.text(Strictness::Full).contains("NOT AS PLANNED"));
        assert!(report.proves(Strictness::Full));
        report.generator.lag_p99_ms = 5.1;
        let text = report.text(Strictness::Full);
        assert!(text.contains("NOT AS PLANNED") && text.contains("try again"), "{text}");
        assert!(!report.proves(Strictness::Full) && report.proves(Strictness::Short));
    }
}
