//! The page: what to think of a run comes first, then what that rests on, and the terms last.

use std::fmt::{self, Write as _};

use super::markup::Text;
use super::verdict::{Verdict, sentence};
use super::{Group, View, agents, arms, charts, name_of, processes, tables};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// Nothing is loaded from anywhere, whatever a run is called.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; \
                      form-action 'none'";

/// A pattern that tells what is wrong from all else without its colour.
const PATTERNS: &str = r#"<svg class="patterns" aria-hidden="true"><defs><pattern id="wrong" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="6" height="6" class="ground"/><path d="M0 0V6" class="stripe"/></pattern></defs></svg>"#;

/// Writes one part of a run.
type Write = fn(&mut String, &View<'_>) -> fmt::Result;

/// Parts of a run: what each is called in an address, its heading, and what writes it. One that writes nothing is left out.
const PARTS: [(&str, &str, Write); 9] = [
    ("figures", "Key figures", tables::key_figures),
    ("latency", "Latency over time", charts::latency),
    ("answers", "Answers over time", charts::answers),
    ("distribution", "How latency is distributed", charts::distribution),
    ("matrix", "Expected and actual answers", tables::matrix),
    ("kinds", "Latency by kind of sign-in", tables::kinds),
    ("agents", "Share of each agent", agents::agents),
    ("processes", "Processors and memory", processes::processes),
    ("faults", "Faults, and what came of them", tables::faults),
];

/// One page of a run, or of several together. It is complete in itself.
pub fn html(group: &Group) -> String {
    let mut html = String::with_capacity(256 * 1024);
    // Writing to a string cannot fail.
    let _ = write_page(&mut html, group);
    html
}

fn write_page(html: &mut String, group: &Group) -> fmt::Result {
    let runs = group.shown.as_slice();
    let names: Vec<String> = runs.iter().zip(1..).map(|(run, number)| name_of(run, number)).collect();
    let title = match (runs, names.as_slice()) {
        ([run], [name]) => format!("{name}: {}", Verdict::of(run).title),
        ([], _) => "no runs".to_owned(),
        (_, names) => format!("{}: {}", group.heading, names.join(" / ")),
    };
    write!(
        html,
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>Load test {title}</title>
<style>
{STYLE}</style>
</head>
<body>
{PATTERNS}
<main>
"#,
        title = Text(&title)
    )?;
    let views: Vec<View<'_>> = runs
        .iter()
        .zip(1..)
        .map(|(run, number)| View::of(run, number))
        .collect();
    match views.as_slice() {
        [] => html.push_str("<h1>Load test</h1>\n<p>There are no runs to show.</p>\n"),
        [view] => write_run(html, view, "h1", "h2")?,
        views => {
            writeln!(html, "<h1>Load test: {}</h1>", Text(&group.heading))?;
            if let Some(lead) = &group.lead {
                writeln!(html, "<p>{}</p>", Text(lead))?;
            }
            arms::write(html, group, views)?;
            for view in views {
                write_run(html, view, "h2", "h3")?;
            }
        }
    }
    write_terms(html)?;
    write!(html, "</main>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n")
}

fn write_run(html: &mut String, view: &View<'_>, title: &str, heading: &str) -> fmt::Result {
    let View { run, number, .. } = view;
    let name = name_of(run, *number);
    writeln!(html, "<section class=\"run\" id=\"run-{number}\">")?;
    writeln!(
        html,
        "<p class=\"eyebrow\">postern-loadtest {}</p>",
        Text(&run.about.began_at)
    )?;
    writeln!(html, "<{title}>{}</{title}>", Text(&name))?;
    let verdict = Verdict::of(run);
    writeln!(
        html,
        "<div class=\"verdict {}\"><p class=\"title\"><span class=\"sign\" aria-hidden=\"true\">{}</span> {}</p>\n<p>{}</p>",
        verdict.tone.class(),
        verdict.tone.sign(),
        Text(&verdict.title),
        Text(&sentence(run))
    )?;
    if !verdict.reasons.is_empty() {
        html.push_str("<ul>\n");
        for reason in &verdict.reasons {
            writeln!(html, "<li>{}</li>", Text(reason))?;
        }
        html.push_str("</ul>\n");
    }
    html.push_str("</div>\n");
    tables::thresholds(html, view)?;
    if run.sent > 0 {
        for (id, name, write) in PARTS {
            write_part(html, view, (id, heading, name), write)?;
        }
        if run.timeline.is_empty() {
            html.push_str("<p class=\"quiet\">Nothing was kept over time, so there are no charts of it.</p>\n");
        }
    }
    write_part(html, view, ("about", heading, "What was run"), tables::about)?;
    html.write_str("</section>\n")
}

fn write_part(
    html: &mut String,
    view: &View<'_>,
    (id, heading, name): (&str, &str, &str),
    write: Write,
) -> fmt::Result {
    let mut part = String::new();
    write(&mut part, view)?;
    if part.is_empty() {
        return Ok(());
    }
    write!(
        html,
        "<section class=\"part\" id=\"r{}-{id}\">\n<{heading} class=\"part-name\">{name}</{heading}>\n{part}</section>\n",
        view.number
    )
}

/// Terms, with what they mean here.
const TERMS: [(&str, &str); 10] = [
    (
        "Latency",
        "From the time at which a sign-in was planned to its whole answer. A sign-in that had to wait for its turn has \
         waited for its user too, so slow answers are not left out because they held up the next ones (no coordinated \
         omission).",
    ),
    (
        "Service time",
        "From the time at which it was really sent to its whole answer: latency without the generator’s own delay.",
    ),
    (
        "Percentiles",
        "p99 is the latency that 99 of 100 sign-ins did not exceed. Those of a slice of time are of the sign-ins planned \
         in it.",
    ),
    (
        "Right",
        "The answer that was known to be the true one before the sign-in was sent. A refused wrong password is right.",
    ),
    (
        "Failed",
        "No verdict: the service was not available, too slow, or not reached. Somebody could not sign in, and nobody was \
         told anything untrue.",
    ),
    (
        "Wrong",
        "Another verdict than the true one. The service said something untrue, so there should be none.",
    ),
    (
        "False success",
        "A wrong verdict that let somebody in who must not be. One is too many.",
    ),
    ("Goodput", "Right answers a second, over the time that was planned."),
    (
        "Binds each",
        "How often the directory was asked for a sign-in. More than once may count one wrong password twice.",
    ),
    (
        "Valid",
        "The load was the one that was planned: nothing dropped, 99 of 100 sign-ins sent within 5 ms of their time, and \
         every fault carried out. Figures of a run that is not valid tell of the generator, too.",
    ),
];

fn write_terms(html: &mut String) -> fmt::Result {
    html.push_str("<section class=\"part terms\" id=\"terms\">\n<h2 class=\"part-name\">How to read this</h2>\n<dl>\n");
    for (term, meaning) in TERMS {
        writeln!(html, "<div><dt>{term}</dt><dd>{meaning}</dd></div>")?;
    }
    html.write_str(
        "</dl>\n<p class=\"quiet\">In the charts, a numbered line is something that was done to what is tested; a shaded \
         band lasts until it was taken back. Point at a chart, or focus it and use the arrow keys, to read its values.</p>\n\
         </section>\n",
    )
}
