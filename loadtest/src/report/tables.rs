//! Tables of a run: thresholds, key figures, expected and actual answers, kinds, faults, and what was to be made.

use std::fmt::{self, Write as _};

use super::View;
use super::answers::Judged;
use super::figures;
use super::markup::{Name, Text};
use super::numbers::{NOTHING, count, ms, percent, seconds, seen};
use crate::results::KindResult;
use crate::text::told;

/// Faults have their keys below the first chart when there are no more than these.
const FEW_FAULTS: usize = 12;

/// What was required, what was seen, and whether it holds: missed ones first.
pub(super) fn thresholds(html: &mut String, view: &View<'_>) -> fmt::Result {
    let thresholds = &view.run.thresholds;
    if thresholds.is_empty() {
        return Ok(());
    }
    html.push_str("<ul class=\"thresholds\">\n");
    let missed = thresholds.iter().filter(|threshold| !threshold.ok);
    for threshold in missed.chain(thresholds.iter().filter(|threshold| threshold.ok)) {
        let (class, sign) = if threshold.ok {
            ("ok", "✓ ok")
        } else {
            ("missed", "✗ missed")
        };
        writeln!(
            html,
            "<li class=\"{class}\"><b>{sign}</b> <code>{}</code> <span class=\"seen\">{}</span></li>",
            Name(&threshold.expr),
            seen(threshold)
        )?;
    }
    html.write_str("</ul>\n")
}

/// Key figures in their groups.
pub(super) fn key_figures(html: &mut String, view: &View<'_>) -> fmt::Result {
    html.push_str("<div class=\"groups\">\n");
    for group in figures::groups(view.run) {
        writeln!(html, "<div class=\"group\"><h4>{}</h4><dl>", group.name)?;
        for figure in group.figures {
            writeln!(
                html,
                "<div class=\"{}\"><dt>{}</dt><dd>{}<small>{}</small></dd></div>",
                figure.tone.class(),
                figure.name,
                figure.value,
                Text(&figure.note)
            )?;
        }
        html.push_str("</dl></div>\n");
    }
    html.write_str("</div>\n")
}

/// What came of each kind of sign-in.
pub(super) fn matrix(html: &mut String, view: &View<'_>) -> fmt::Result {
    let kinds = &view.run.kinds;
    if kinds.is_empty() {
        return Ok(());
    }
    html.push_str("<div class=\"wide\"><table class=\"matrix\">\n<thead><tr><th>kind of sign-in</th><th>expected</th>");
    for name in &view.answers.names {
        write!(html, "<th class=\"answer\">{}</th>", Name(name))?;
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    let mut seen = Vec::new();
    for kind in kinds {
        write!(
            html,
            "<tr><th>{}</th><td class=\"expected\">{}</td>",
            Text(&kind.kind),
            Name(&kind.expected)
        )?;
        for name in &view.answers.names {
            let number = kind.actual.get(name).copied().unwrap_or(0);
            let judged = Judged::of(kind, name);
            if number == 0 && judged != Judged::Right {
                html.push_str("<td class=\"none\">·</td>");
                continue;
            }
            seen.push(judged);
            let (class, words) = words(judged);
            let sign = judged.sign();
            write!(
                html,
                "<td class=\"{class}\" title=\"{words}\"><span>{sign}</span> {}<small>{}</small></td>",
                count(number),
                percent(number, kind.counts.sent)
            )?;
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table></div>\n<p class=\"quiet keys\">");
    seen.sort_unstable();
    seen.dedup();
    for judged in seen {
        let (class, words) = words(judged);
        write!(html, "<span><i class=\"{class}\">{}</i> {words}</span> ", judged.sign())?;
    }
    html.write_str("</p>\n")
}

fn words(judged: Judged) -> (&'static str, &'static str) {
    match judged {
        Judged::Right => ("right", "right: what was expected"),
        Judged::Failed => ("failed", "failed: no verdict"),
        Judged::Wrong => ("wrong", "wrong: another verdict than expected"),
        Judged::FalseSuccess => ("false", "false success: let in who must not be"),
    }
}

/// Latency of each kind.
pub(super) fn kinds(html: &mut String, view: &View<'_>) -> fmt::Result {
    if view.run.kinds.is_empty() {
        return Ok(());
    }
    html.push_str(
        "<div class=\"wide\"><table class=\"numbers\">\n<thead><tr><th>kind of sign-in</th><th>sent</th><th>p50</th>\
         <th>p90</th><th>p99</th><th>p99.9</th><th>max</th></tr></thead>\n<tbody>\n",
    );
    let mut row = |name: &str, class: &str, sent: u64, latency: &crate::summary::Latency| {
        write!(html, "<tr{class}><th>{}</th><td>{}</td>", Text(name), count(sent))?;
        for time in [latency.p50, latency.p90, latency.p99, latency.p999, latency.max] {
            write!(
                html,
                "<td>{}</td>",
                if sent == 0 { NOTHING.to_owned() } else { told(time) }
            )?;
        }
        html.write_str("</tr>\n")
    };
    for KindResult {
        kind, counts, latency, ..
    } in &view.run.kinds
    {
        row(kind, "", counts.sent, latency)?;
    }
    if view.run.kinds.len() > 1 {
        row("all", " class=\"sum\"", view.run.sent, &view.run.latency_ms)?;
    }
    html.write_str("</tbody></table></div>\n")
}

/// What was done to what is tested, and what came of each.
pub(super) fn faults(html: &mut String, view: &View<'_>) -> fmt::Result {
    if view.faults.is_empty() {
        return Ok(());
    }
    html.push_str(
        "<div class=\"wide\"><table class=\"numbers faults\">\n<thead><tr><th>no.</th><th>what</th><th>ordered</th>\
         <th>done after</th><th>failed</th><th>wrong</th><th>worst p99</th><th>settled within</th></tr></thead>\n<tbody>\n",
    );
    for fault in &view.faults {
        let (mark, came) = (fault.mark, &fault.came);
        write!(
            html,
            "<tr><td><span class=\"number\">{}</span></td><th>{}",
            fault.number,
            Name(&mark.what)
        )?;
        if let Some(error) = &mark.error {
            write!(html, "<small class=\"error\">✗ not done: {}</small>", Text(error))?;
        }
        let settled = came.settled_s.map_or_else(|| NOTHING.to_owned(), seconds);
        writeln!(
            html,
            "</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{settled}</td></tr>",
            seconds(mark.ordered_s),
            ms((mark.done_s - mark.ordered_s).max(0.0) * 1_000.0),
            count(came.failed),
            count(came.wrong),
            came.p99_ms.map_or_else(|| NOTHING.to_owned(), ms),
        )?;
    }
    html.write_str(
        "</tbody></table></div>\n<p class=\"quiet\">Failed, wrong and worst p99 are of the sign-ins planned from then up to \
         the next row’s; worst p99 is that of the worst slice of time. Settled within: from then to the end of the last \
         slice in which an answer was not right.</p>\n",
    )
}

impl View<'_> {
    /// What the numbers in the charts are.
    pub(super) fn write_fault_keys(&self, html: &mut String) -> fmt::Result {
        match self.faults.len() {
            0 => return Ok(()),
            1..=FEW_FAULTS => {}
            all => {
                return writeln!(
                    html,
                    "<p class=\"quiet\">The numbers above the charts are those of the {all} <a href=\"#r{}-faults\">faults</a>.</p>",
                    self.number
                );
            }
        }
        html.push_str("<ol class=\"faultkeys\">");
        for fault in &self.faults {
            write!(
                html,
                "<li><span class=\"number\">{}</span> {} <span class=\"quiet\">at {}{}</span></li>",
                fault.number,
                Name(&fault.mark.what),
                seconds(fault.mark.ordered_s),
                if fault.mark.error.is_some() { ", not done" } else { "" }
            )?;
        }
        html.write_str("</ol>\n")
    }
}

/// What was to be made, and by what.
pub(super) fn about(html: &mut String, view: &View<'_>) -> fmt::Result {
    let about = &view.run.about;
    let machine = match about.processors {
        0 => String::new(),
        1 => "1 processor".to_owned(),
        many => format!("{many} processors"),
    };
    let planned = format!(
        "{} planned, {} up to the last answer",
        seconds(about.planned_s),
        seconds(about.lasted_s)
    );
    let rows = [
        ("targets", about.targets.join(" ")),
        ("load", about.load.clone()),
        ("mix", about.mix.clone()),
        ("seed", about.seed.to_string()),
        ("began", about.began_at.clone()),
        ("lasted", planned),
        ("machine", machine),
        ("version", about.version.clone()),
    ];
    html.push_str("<dl class=\"about\">\n");
    for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        writeln!(html, "<div><dt>{name}</dt><dd>{}</dd></div>", Name(value))?;
    }
    html.push_str("</dl>\n");
    if !about.command.is_empty() {
        writeln!(
            html,
            "<pre class=\"command\"><code>{}</code></pre>",
            Text(&about.command)
        )?;
    }
    Ok(())
}
