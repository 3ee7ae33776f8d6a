//! The summary for a pull request, in GitHub's Markdown.

use std::fmt::{self, Write as _};

use super::answers::{Answers, Judged};
use super::figures;
use super::measures::{Compared, MEASURES};
use super::numbers::{count, percent, seconds, seen};
use super::verdict::{Tone, Verdict, sentence};
use super::{Group, is_unfit, name_of};
use crate::results::Results;

/// A summary of one run, or of several together.
pub fn markdown(group: &Group) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut text, group);
    text
}

/// A text in which nothing is markup, on one line, fit for a table's cell.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => plain.push_str("&amp;"),
            '<' => plain.push_str("&lt;"),
            '>' => plain.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '|' | '~' | '!' => plain.extend(['\\', c]),
            // Nobody is called by a report.
            '@' => plain.push_str("&#64;"),
            c if is_unfit(c) => plain.push(char::REPLACEMENT_CHARACTER),
            c if c.is_control() => plain.push(' '),
            c => plain.push(c),
        }
    }
    plain
}

/// Code in a table's cell, with a fence that it does not have in itself.
fn code(text: &str) -> String {
    let fit = text.trim().chars().map(|c| match c {
        c if is_unfit(c) => char::REPLACEMENT_CHARACTER,
        c if c.is_control() => ' ',
        c => c,
    });
    let text = fit.collect::<String>().replace('|', "\\|");
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let space = if longest > 0 { " " } else { "" };
    format!("{fence}{space}{text}{space}{fence}")
}

fn write(text: &mut String, group: &Group) -> fmt::Result {
    let runs = group.shown.as_slice();
    if runs.len() > 1 {
        write_arms(text, group)?;
    }
    for (run, number) in runs.iter().zip(1..) {
        if number > 1 || runs.len() > 1 {
            text.push('\n');
        }
        write_run(text, run, number)?;
    }
    Ok(())
}

fn write_arms(text: &mut String, group: &Group) -> fmt::Result {
    let runs = group.shown.as_slice();
    write!(text, "### Load test: {}\n\n", plain(&group.heading))?;
    if let Some(lead) = &group.lead {
        write!(text, "{}\n\n", plain(lead))?;
    }
    text.push('|');
    for (run, number) in runs.iter().zip(1..) {
        write!(text, " | {}", plain(&name_of(run, number)))?;
    }
    writeln!(text, " |\n|---{}|", "|---:".repeat(runs.len()))?;
    for measure in &MEASURES {
        let Some(compared) = measure.compared(&group.rounds) else {
            continue;
        };
        write!(text, "| {}", measure.name)?;
        for Compared { value, ratio, better } in compared {
            let ratio = ratio.map(|ratio| format!(" ({ratio})")).unwrap_or_default();
            let sign = match better {
                Some(true) => " better",
                Some(false) => " **worse**",
                None => "",
            };
            write!(text, " | {value}{ratio}{sign}")?;
        }
        text.push_str(" |\n");
    }
    Ok(())
}

fn write_run(text: &mut String, run: &Results, number: usize) -> fmt::Result {
    let verdict = Verdict::of(run);
    let sign = match verdict.tone {
        Tone::Good => "✅",
        Tone::Neutral => "▫️",
        Tone::Doubtful => "⚠️",
        Tone::Bad => "❌",
        Tone::Alarming => "🚨",
    };
    writeln!(
        text,
        "### {sign} {}: {}\n",
        plain(name_of(run, number).trim()),
        plain(&verdict.title)
    )?;
    writeln!(text, "{}", plain(&sentence(run)))?;
    for (index, reason) in verdict.reasons.iter().enumerate() {
        write!(text, "{}- {}", if index == 0 { "\n" } else { "" }, plain(reason))?;
        text.push('\n');
    }
    if !run.thresholds.is_empty() {
        text.push_str("\n| threshold | seen | |\n|---|---:|---|\n");
        for threshold in &run.thresholds {
            let verdict = if threshold.ok { "ok" } else { "**missed**" };
            writeln!(text, "| {} | {} | {verdict} |", code(&threshold.expr), seen(threshold))?;
        }
    }
    if run.sent == 0 {
        return Ok(());
    }
    text.push_str("\n| | |\n|---|---|\n");
    for group in figures::groups(run) {
        let figures = group.figures.iter().map(|figure| match group.name {
            "Sign-ins" if !figure.note.is_empty() && figure.name != "goodput" => {
                format!("{} {} ({})", figure.name, figure.value, plain(&figure.note))
            }
            _ => format!("{} {}", figure.name, figure.value),
        });
        writeln!(text, "| {} | {} |", group.name, figures.collect::<Vec<_>>().join(" · "))?;
    }
    write_matrix(text, run)?;
    write_marks(text, run)
}

/// What came of each kind: right ones are plain, failures are in italics, what is wrong is bold.
fn write_matrix(text: &mut String, run: &Results) -> fmt::Result {
    if run.kinds.is_empty() {
        return Ok(());
    }
    let names = Answers::of(run).names;
    text.push_str("\n| kind | expected");
    for name in &names {
        write!(text, " | {}", plain(name))?;
    }
    writeln!(text, " |\n|---|---{}|", "|---:".repeat(names.len()))?;
    for kind in &run.kinds {
        write!(text, "| {} | {}", plain(&kind.kind), plain(&kind.expected))?;
        for name in &names {
            let number = kind.actual.get(name).copied().unwrap_or(0);
            let shown = count(number);
            let share = percent(number, kind.counts.sent);
            match Judged::of(kind, name) {
                Judged::Right => write!(text, " | ✓ {shown}")?,
                _ if number == 0 => text.push_str(" | "),
                Judged::Failed => write!(text, " | _△ {shown} ({share})_")?,
                judged => write!(text, " | **{} {shown}**", judged.sign())?,
            }
        }
        text.push_str(" |\n");
    }
    let legend = "✓ expected, △ failed (no verdict), ✗ wrong verdict, ‼ let in who must not be";
    writeln!(text, "\n<sub>{legend}</sub>")
}

/// What was done meanwhile, in a line.
fn write_marks(text: &mut String, run: &Results) -> fmt::Result {
    const MOST: usize = 8;
    if run.marks.is_empty() {
        return Ok(());
    }
    let marks = run.marks.iter().take(MOST).map(|mark| {
        let error = mark
            .error
            .as_ref()
            .map(|error| format!(" (**not done**: {})", plain(error)));
        format!(
            "{} {}{}",
            seconds(mark.ordered_s),
            code(&mark.what),
            error.unwrap_or_default()
        )
    });
    let more = run.marks.len().saturating_sub(MOST);
    let more = if more > 0 {
        format!(", and {more} more")
    } else {
        String::new()
    };
    writeln!(text, "\nFaults: {}{more}", marks.collect::<Vec<_>>().join(", "))
}
