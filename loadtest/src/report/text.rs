//! The summary at the end of a run, for a terminal: no wider than 100 columns, the verdict in its last line.

use std::fmt::{self, Write as _};

use super::answers::{Answers, Judged};
use super::numbers::{NOTHING, bytes, count, digits, ms, percent, real, seconds, seen};
use super::verdict::{Tone, Verdict, sentence};
use super::{faults, figures, is_unfit, name_of};
use crate::results::Results;

/// No line is longer.
const WIDTH: usize = 100;

/// Where values begin.
const INDENT: usize = 14;

/// Lists end after so many lines.
const MOST: usize = 12;

/// A run's summary.
pub fn text(results: &Results) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut text, results);
    text
}

fn write(text: &mut String, run: &Results) -> fmt::Result {
    let about = &run.about;
    writeln!(text)?;
    line(text, "", &[name_of(run, 1), about.targets.join(" ")].join("  "))?;
    line(text, "", &sentence(run))?;
    text.push('\n');
    if run.sent > 0 {
        for group in figures::groups(run) {
            let name = group.name.to_lowercase();
            let figures = group.figures.iter().map(|figure| match group.name {
                "Sign-ins" if figure.name != "goodput" => format!("{} {} ({})", figure.name, figure.value, figure.note),
                _ => format!("{} {}", figure.name, figure.value),
            });
            line(text, &name, &figures.collect::<Vec<_>>().join(", "))?;
        }
        write_kinds(text, run)?;
        write_parts(text, run)?;
        write_faults(text, run)?;
    }
    write_thresholds(text, run)?;
    let verdict = Verdict::of(run);
    for reason in &verdict.reasons {
        line(text, "note", reason)?;
    }
    let emphasis = matches!(verdict.tone, Tone::Bad | Tone::Alarming);
    let title = if emphasis {
        verdict.title.to_uppercase()
    } else {
        verdict.title
    };
    line(text, "=>", &title)
}

/// Words after a name, broken before they are too long and indented as far again.
fn line(text: &mut String, name: &str, words: &str) -> fmt::Result {
    let mut column = match name {
        "" | "=>" => 2 + name.len() + name.len() / 2,
        _ => INDENT + 2,
    };
    let indent = column;
    write!(text, "  {name:<width$}", width = indent - 2)?;
    let mut first = true;
    for word in glued(words) {
        // A word that no line has room for is broken anywhere.
        let letters: Vec<char> = word.chars().filter(|c| !is_unfit(*c)).collect();
        for piece in letters.chunks(WIDTH - indent) {
            let space = usize::from(!first);
            if !first && column + space + piece.len() > WIDTH {
                write!(text, "\n{:indent$}", "")?;
                column = indent;
            } else if !first {
                text.push(' ');
                column += 1;
            }
            text.extend(piece);
            column += piece.len();
            first = false;
        }
    }
    writeln!(text)
}

/// The words of a text. A unit goes with its number.
fn glued(text: &str) -> Vec<String> {
    const UNITS: [&str; 4] = ["%", "ms", "µs", "s"];
    let mut words: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let is_unit = UNITS.contains(&word.trim_end_matches([',', '.', ';', ':', ')']));
        match words.last_mut() {
            Some(number) if is_unit => {
                number.push(' ');
                number.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
    }
    words
}

/// No longer than so many characters.
fn cut(text: &str, width: usize) -> String {
    let text: String = text
        .chars()
        .map(|c| if c.is_control() || is_unfit(c) { ' ' } else { c })
        .collect();
    if text.chars().count() <= width {
        return text;
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    kept + "…"
}

fn write_kinds(text: &mut String, run: &Results) -> fmt::Result {
    writeln!(
        text,
        "\n  {:<22}{:>10}{:>10}{:>9}{:>8}{:>11}{:>11}{:>11}",
        "kind", "sent", "right", "failed", "wrong", "p50", "p99", "max"
    )?;
    for kind in &run.kinds {
        let counts = kind.counts;
        writeln!(
            text,
            "  {:<22}{:>10}{:>10}{:>9}{:>8}{:>11}{:>11}{:>11}",
            cut(&kind.kind, 21),
            count(counts.sent),
            count(counts.right),
            count(counts.failed),
            count(counts.wrong),
            crate::text::told(kind.latency.p50),
            crate::text::told(kind.latency.p99),
            crate::text::told(kind.latency.max),
        )?;
    }
    let names = Answers::of(run).names;
    for kind in &run.kinds {
        for name in &names {
            let Some(number) = kind.actual.get(name).filter(|number| **number > 0) else {
                continue;
            };
            let word = match Judged::of(kind, name) {
                Judged::Right => continue,
                Judged::Failed => "failed",
                Judged::Wrong => "WRONG",
                Judged::FalseSuccess => "FALSE SUCCESS",
            };
            let share = percent(*number, kind.counts.sent);
            let (kind, expected) = (&kind.kind, &kind.expected);
            let what = match word {
                "failed" => format!("{kind}: {} {name} ({share})", count(*number)),
                _ => format!("{kind}: {} {name} instead of {expected} ({share})", count(*number)),
            };
            line(text, word, &what)?;
        }
    }
    Ok(())
}

/// What agents and processes did.
fn write_parts(text: &mut String, run: &Results) -> fmt::Result {
    let all: u64 = run.agents.iter().map(|agent| agent.binds).sum();
    let shares = run.agents.iter().take(MOST);
    let shares = shares.map(|agent| format!("{} {}", agent.name, percent(agent.binds, all)));
    let shares: Vec<String> = shares.collect();
    if !shares.is_empty() || !run.processes.is_empty() {
        text.push('\n');
    }
    if !shares.is_empty() {
        line(text, "binds by", &(shares.join(", ") + &more(run.agents.len())))?;
    }
    let used = run.processes.iter().take(MOST).map(|process| {
        let (cpu, memory) = (digits(process.cpu_us_per_signin), bytes(real(process.peak_bytes)));
        format!("{} {cpu} µs for a sign-in, {memory}", process.name)
    });
    let used: Vec<String> = used.collect();
    if !used.is_empty() {
        line(text, "used", &(used.join("; ") + &more(run.processes.len())))?;
    }
    Ok(())
}

fn more(all: usize) -> String {
    match all.saturating_sub(MOST) {
        0 => String::new(),
        left => format!(", and {left} more"),
    }
}

fn write_faults(text: &mut String, run: &Results) -> fmt::Result {
    let faults = faults::of(run);
    if faults.is_empty() {
        return Ok(());
    }
    writeln!(
        text,
        "\n  {:<44}{:>10}{:>9}{:>8}{:>11}{:>15}",
        "fault", "ordered", "failed", "wrong", "worst p99", "settled within"
    )?;
    for fault in faults.iter().take(MOST) {
        let came = &fault.came;
        writeln!(
            text,
            "  {:<44}{:>10}{:>9}{:>8}{:>11}{:>15}",
            cut(&fault.mark.what, 43),
            seconds(fault.mark.ordered_s),
            count(came.failed),
            count(came.wrong),
            came.p99_ms.map_or_else(|| NOTHING.to_owned(), ms),
            came.settled_s.map_or_else(|| NOTHING.to_owned(), seconds),
        )?;
        if let Some(error) = &fault.mark.error {
            line(text, "  NOT DONE", error)?;
        }
    }
    match faults.len().saturating_sub(MOST) {
        0 => Ok(()),
        left => writeln!(text, "  and {left} more"),
    }
}

fn write_thresholds(text: &mut String, run: &Results) -> fmt::Result {
    if run.thresholds.is_empty() {
        return Ok(());
    }
    text.push('\n');
    let widths = run.thresholds.iter().map(|threshold| threshold.expr.chars().count());
    let width = widths.max().unwrap_or(0).clamp(20, 60);
    for threshold in &run.thresholds {
        let verdict = if threshold.ok { "held" } else { "MISSED" };
        writeln!(
            text,
            "  {verdict:<INDENT$}{:<width$}  {:>12}",
            cut(&threshold.expr, width),
            seen(threshold)
        )?;
    }
    Ok(())
}
