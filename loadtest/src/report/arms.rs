//! Arms of one comparison beside each other, each in proportion to the first.

use std::fmt::{self, Write as _};

use super::charts::{line, ticks, time_ticks};
use super::markup::Text;
use super::measures::{Compared, MEASURES, SAME};
use super::numbers::{NOTHING, ms, seconds};
use super::plot::{Key, Plot, ReadOut};
use super::scale::{Scale, tick_ms};
use super::svg::{Field, Point};
use super::verdict::Verdict;
use super::{Group, View, name_of};

/// More arms than these are in the table only.
const MOST_COLOURS: usize = 7;

/// The table and charts of all arms.
pub(super) fn write(html: &mut String, group: &Group, views: &[View<'_>]) -> fmt::Result {
    let runs = group.shown.as_slice();
    html.push_str("<section class=\"part\">\n<div class=\"wide\"><table class=\"numbers arms\">\n<thead><tr><th></th>");
    for (index, run) in runs.iter().enumerate() {
        let number = index + 1;
        write!(
            html,
            "<th><a href=\"#run-{number}\">{}</a></th>",
            Text(&name_of(run, number))
        )?;
    }
    html.push_str("</tr></thead>\n<tbody>\n<tr><th>verdict</th>");
    for verdict in runs.iter().map(Verdict::of) {
        let (class, sign) = (verdict.tone.class(), verdict.tone.sign());
        write!(
            html,
            "<td class=\"verdict-cell {class}\"><span>{sign}</span> {}</td>",
            Text(&verdict.title)
        )?;
    }
    html.push_str("</tr>\n");
    for measure in &MEASURES {
        let Some(compared) = measure.compared(&group.rounds) else {
            continue;
        };
        write!(html, "<tr><th>{}</th>", measure.name)?;
        for Compared { value, ratio, better } in compared {
            let (class, word) = match better {
                Some(true) => (" class=\"better\"", " better"),
                Some(false) => (" class=\"worse\"", " worse"),
                None => ("", ""),
            };
            if group.is_search {
                write!(html, "<td>{value}</td>")?;
                continue;
            }
            let ratio = ratio.unwrap_or_default();
            write!(html, "<td{class}>{value}<small>{ratio}{word}</small></td>")?;
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table></div>\n<p class=\"quiet\">");
    if !group.is_search {
        let first = runs.first().map(|run| name_of(run, 1)).unwrap_or_default();
        write!(
            html,
            "Ratios are to the first arm, {}. Better and worse are said of differences over {:.0} %. ",
            Text(&first),
            SAME * 100.0
        )?;
    }
    let drawn = views.get(..MOST_COLOURS).unwrap_or(views);
    if drawn.len() < views.len() {
        write!(html, "The charts show the first {} of {}.", drawn.len(), views.len())?;
    }
    html.push_str("</p>\n</section>\n<section class=\"part\">\n");
    percentiles(html, drawn)?;
    p99_over_time(html, drawn)?;
    html.write_str("</section>\n")
}

/// Each arm's percentiles as a line.
fn percentiles(html: &mut String, views: &[View<'_>]) -> fmt::Result {
    const NAMES: [&str; 5] = ["p50", "p90", "p99", "p99.9", "max"];
    let of = |view: &View<'_>| {
        let latency = view.run.latency_ms;
        let times = [latency.p50, latency.p90, latency.p99, latency.p999, latency.max];
        times.map(|time| time.as_secs_f64() * 1_000.0)
    };
    let sent = || views.iter().filter(|view| view.run.sent > 0);
    if sent().next().is_none() {
        return Ok(());
    }
    let field = Field {
        x: Scale::between(-0.3, 4.3),
        y: Scale::of(sent().flat_map(of)),
        height: 240.0,
    };
    let places: [f64; 5] = [0.0, 1.0, 2.0, 3.0, 4.0];
    let mut read_out = ReadOut::default();
    for (at, name) in places.into_iter().zip(NAMES) {
        read_out.add_place(field.x.at(at), name.to_owned());
    }
    let lines = sent().map(|view| {
        let values = of(view);
        let told = values.iter().map(|value| ms(*value)).collect();
        (view, places.into_iter().zip(values.map(Some)).collect(), told)
    });
    let unit = if field.y.is_logarithmic() {
        "latency by percentile, logarithmic"
    } else {
        "latency by percentile"
    };
    let x_ticks = places.into_iter().zip(NAMES.map(str::to_owned)).collect();
    overlay(
        html,
        "Latency percentiles of each arm",
        unit,
        (field, x_ticks, read_out),
        lines,
    )
}

/// Each arm's 99th percentile over time.
fn p99_over_time(html: &mut String, views: &[View<'_>]) -> fmt::Result {
    let p99 = |view: &View<'_>| -> Vec<Point> {
        let slices = view.run.timeline.iter();
        slices
            .map(|slice| {
                let value = slice.latency.p99.as_secs_f64() * 1_000.0;
                (
                    slice.from_s + slice.lasts_s / 2.0,
                    (slice.counts.sent > 0).then_some(value),
                )
            })
            .collect()
    };
    let lines: Vec<(&View<'_>, Vec<Point>)> = views.iter().map(|view| (view, p99(view))).collect();
    let values = lines
        .iter()
        .flat_map(|(_, points)| points.iter().filter_map(|(_, value)| *value));
    if values.clone().next().is_none() {
        return Ok(());
    }
    let length = views.iter().map(View::length).fold(0.0, f64::max);
    let field = Field {
        x: Scale::between(0.0, length),
        y: Scale::of(values),
        height: 200.0,
    };
    let longest = lines.iter().max_by_key(|(_, points)| points.len());
    let times: Vec<f64> = longest
        .into_iter()
        .flat_map(|(_, points)| points.iter().map(|(at, _)| *at))
        .collect();
    let mut read_out = ReadOut::default();
    for at in &times {
        read_out.add_place(field.x.at(*at), seconds(*at));
    }
    let lines = lines.into_iter().map(|(view, points)| {
        let value = |at: f64| {
            let next = points.partition_point(|(point, _)| *point < at - 1e-9);
            points.get(next).and_then(|(_, value)| *value)
        };
        let told = times.iter().map(|at| value(*at).map_or(NOTHING.to_owned(), ms));
        let told = told.collect();
        (view, points, told)
    });
    let unit = if field.y.is_logarithmic() {
        "p99 over time, logarithmic"
    } else {
        "p99 over time"
    };
    overlay(
        html,
        "99th percentile over time of each arm",
        unit,
        (field, time_ticks(field.x), read_out),
        lines,
    )
}

type Line<'a> = (&'a View<'a>, Vec<Point>, Vec<String>);

/// A line for each arm in one chart.
fn overlay<'a>(
    html: &mut String,
    label: &str,
    unit: &str,
    (field, x_ticks, mut read_out): (Field, Vec<(f64, String)>, ReadOut),
    lines: impl Iterator<Item = Line<'a>>,
) -> fmt::Result {
    let (mut shapes, mut legend) = (Vec::new(), Vec::new());
    for (index, (view, points, told)) in lines.enumerate() {
        let class = format!("line s{index}");
        let name = name_of(view.run, view.number);
        shapes.extend(line(&field, &class, &points));
        legend.push((class, Key::Line, name.clone()));
        read_out.rows.push((name, told));
    }
    let plot = Plot {
        label: label.to_owned(),
        unit,
        field,
        x_ticks,
        y_ticks: ticks(field.y, tick_ms),
        shapes,
        legend,
        faults: &[],
        pointed_out: Vec::new(),
        read_out,
    };
    plot.write(html)
}
