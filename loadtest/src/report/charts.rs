//! Charts of a run: latency and answers over time, and how latencies are distributed.

use std::fmt::{self, Write as _};

use super::View;
use super::numbers::{count, ms, percent, rate, real, seconds};
use super::plot::{Key, Plot, ReadOut};
use super::scale::{Scale, tick, tick_ms};
use super::svg::{Field, Point};
use crate::results::per_second;
use crate::summary::Latency;
use crate::text::told;

/// Lines with fewer points than this have a dot at each.
const FEW: usize = 45;

/// What is drawn of latency: its name, its class, and its milliseconds.
type Quantile = (&'static str, &'static str, fn(&Latency) -> f64);

const QUANTILES: [Quantile; 3] = [
    ("max", "line max", |latency| latency.max.as_secs_f64() * 1_000.0),
    ("p99", "line s1", |latency| latency.p99.as_secs_f64() * 1_000.0),
    ("p50", "line s0", |latency| latency.p50.as_secs_f64() * 1_000.0),
];

/// Ticks of an axis of time.
pub(super) fn time_ticks(x: Scale) -> Vec<(f64, String)> {
    let times = x.time_ticks();
    let last = times.last().copied().unwrap_or(0.0);
    // The longest unit in which all of them are whole.
    let whole = |unit: f64| last >= 3.0 * unit && times.iter().all(|at| at % unit == 0.0);
    let name = |at: f64| match () {
        () if whole(3_600.0) => format!("{} h", tick(at / 3_600.0)),
        () if whole(60.0) => format!("{} min", tick(at / 60.0)),
        () => seconds(at),
    };
    times.iter().map(|at| (*at, name(*at))).collect()
}

/// Ticks of an axis with names by `name`.
pub(super) fn ticks(scale: Scale, name: impl Fn(f64) -> String) -> Vec<(f64, String)> {
    scale.ticks().into_iter().map(|value| (value, name(value))).collect()
}

/// A line's shapes: itself, and dots where it has few points.
pub(super) fn line(field: &Field, class: &str, points: &[Point]) -> Vec<(String, String)> {
    let mut shapes = vec![(class.to_owned(), field.line(points))];
    if points.len() < FEW {
        shapes.push((format!("{class} dots"), field.dots(points)));
    }
    shapes
}

/// p50, p99 and the longest of each slice.
pub(super) fn latency(html: &mut String, view: &View<'_>) -> fmt::Result {
    let slices = &view.run.timeline;
    let sent = slices.iter().filter(|slice| slice.counts.sent > 0);
    if sent.clone().next().is_none() {
        return Ok(());
    }
    let values = sent.flat_map(|slice| QUANTILES.map(|(_, _, of)| of(&slice.latency)));
    let y = Scale::of(values);
    let field = Field {
        x: view.time(),
        y,
        height: 240.0,
    };
    let mut shapes = Vec::new();
    for (_, class, of) in QUANTILES {
        let points: Vec<Point> = slices
            .iter()
            .map(|slice| {
                let value = (slice.counts.sent > 0).then(|| of(&slice.latency));
                (slice.from_s + slice.lasts_s / 2.0, value)
            })
            .collect();
        shapes.extend(line(&field, class, &points));
    }
    let latency = |of: fn(&Latency) -> f64| slices.iter().map(|slice| ms(of(&slice.latency))).collect();
    let rows = QUANTILES.map(|(name, _, of)| (name.to_owned(), latency(of)));
    let mut read_out = view.places(&field);
    read_out.rows = rows.into();
    let plot = Plot {
        label: "Latency over time: median, 99th percentile and maximum of each slice".to_owned(),
        unit: if y.is_logarithmic() {
            "latency, logarithmic"
        } else {
            "latency"
        },
        field,
        x_ticks: time_ticks(field.x),
        y_ticks: ticks(y, tick_ms),
        shapes,
        legend: QUANTILES
            .map(|(name, class, _)| (class.to_owned(), Key::Line, name.to_owned()))
            .into(),
        faults: &view.faults,
        pointed_out: Vec::new(),
        read_out,
    };
    plot.write(html)?;
    view.write_fault_keys(html)
}

/// What came of the sign-ins of each slice, a second: all of them, and larger what was not right.
pub(super) fn answers(html: &mut String, view: &View<'_>) -> fmt::Result {
    let slices = &view.run.timeline;
    if slices.is_empty() {
        return Ok(());
    }
    let judged = slices.iter().map(|slice| {
        let counts = slice.counts;
        vec![counts.right, counts.failed, counts.wrong]
    });
    let all = [
        ("area right".to_owned(), "right".to_owned()),
        ("area failed".to_owned(), "failed".to_owned()),
        ("area wrong".to_owned(), "wrong".to_owned()),
    ];
    let label = "Sign-ins a second over time, by whether the answer was right";
    stacked(
        html,
        view,
        label,
        ("sign-ins a second", 170.0),
        &judged.collect::<Vec<_>>(),
        &all,
    )?;
    let counts = view.run.counts;
    if counts.failed + counts.wrong == 0 {
        return writeln!(html, "<p class=\"quiet\">Every answer was the expected one.</p>");
    }
    let not_right: Vec<Vec<u64>> = slices.iter().map(|slice| view.answers.not_right(slice)).collect();
    let names = view.answers.layers();
    let failures = names.len() - 1;
    let keys: Vec<(String, String)> = names
        .iter()
        .enumerate()
        .map(|(index, name)| match index {
            index if index == failures => ("area wrong".to_owned(), (*name).to_owned()),
            index => (format!("area f{index}"), (*name).to_owned()),
        })
        .collect();
    let label = "Answers a second over time that were not right, by what they were";
    html.push_str("<p class=\"sub\">Only what was not right</p>\n");
    stacked(html, view, label, ("answers a second", 170.0), &not_right, &keys)
}

/// A stack of counts a second over time. Layers that are never there are left out, but for the first.
fn stacked(
    html: &mut String,
    view: &View<'_>,
    label: &str,
    (unit, height): (&str, f64),
    counts: &[Vec<u64>],
    keys: &[(String, String)],
) -> fmt::Result {
    let slices = &view.run.timeline;
    let lasting = slices.iter().zip(counts);
    let steps: Vec<(f64, f64, Vec<f64>)> = lasting
        .map(|(slice, counts)| {
            let rates = counts.iter().map(|count| per_second(*count, slice.lasts_s));
            (slice.from_s, slice.from_s + slice.lasts_s, rates.collect())
        })
        .collect();
    let most = steps.iter().map(|(.., rates)| rates.iter().sum()).fold(0.0, f64::max);
    let field = Field {
        x: view.time(),
        y: Scale::up_to(most),
        height,
    };
    let mut read_out = view.places(&field);
    let (mut shapes, mut legend) = (Vec::new(), Vec::new());
    for (index, (path, (class, name))) in field.stack(&steps).into_iter().zip(keys).enumerate() {
        if path.is_empty() && index > 0 {
            continue;
        }
        legend.push((class.clone(), Key::Area, name.clone()));
        let rates = steps.iter().map(|(.., rates)| rates.get(index).copied().unwrap_or(0.0));
        read_out.rows.push((name.clone(), rates.map(rate).collect()));
        shapes.push((class.clone(), path));
    }
    let plot = Plot {
        label: label.to_owned(),
        unit,
        field,
        x_ticks: time_ticks(field.x),
        y_ticks: ticks(field.y, tick),
        shapes,
        legend,
        faults: &view.faults,
        pointed_out: Vec::new(),
        read_out,
    };
    plot.write(html)
}

/// How many sign-ins took how long, with percentiles.
pub(super) fn distribution(html: &mut String, view: &View<'_>) -> fmt::Result {
    let bins = &view.run.distribution;
    let (Some(first), Some(last)) = (bins.first(), bins.last()) else {
        return Ok(());
    };
    let ratio = bins.get(1).map_or(1.122, |second| second.up_to_ms / first.up_to_ms);
    let most = bins.iter().map(|bin| bin.count).max().unwrap_or(0);
    // Few are slow, and those are the ones that matter: one must be seen beside thousands.
    let y = if most > 60 {
        Scale::logarithmic(0.5, real(most))
    } else {
        Scale::up_to(real(most))
    };
    let field = Field {
        x: Scale::logarithmic(first.up_to_ms / ratio, last.up_to_ms),
        y,
        height: 200.0,
    };
    let lower = std::iter::once(first.up_to_ms / ratio).chain(bins.iter().map(|bin| bin.up_to_ms));
    let columns = lower.clone().zip(bins).filter(|(_, bin)| bin.count > 0);
    let path = field.columns(columns.map(|(from, bin)| (from, bin.up_to_ms, real(bin.count))));
    let mut read_out = ReadOut::default();
    let (mut counts, mut within) = (Vec::new(), Vec::new());
    let mut sum = 0;
    let all = bins.iter().map(|bin| bin.count).sum();
    for (from, bin) in lower.zip(bins) {
        sum += bin.count;
        let place = format!("{} to {}", ms(from), ms(bin.up_to_ms));
        read_out.add_place(field.x.at((from * bin.up_to_ms).sqrt()), place);
        counts.push(count(bin.count));
        within.push(percent(sum, all));
    }
    read_out.rows = vec![("sign-ins".to_owned(), counts), ("took no longer".to_owned(), within)];
    let latency = view.run.latency_ms;
    let named = [
        ("p50", latency.p50),
        ("p90", latency.p90),
        ("p99", latency.p99),
        ("p99.9", latency.p999),
        ("max", latency.max),
    ];
    let plot = Plot {
        label: "How many sign-ins took how long".to_owned(),
        unit: if y.is_logarithmic() {
            "sign-ins, logarithmic"
        } else {
            "sign-ins"
        },
        field,
        x_ticks: ticks(field.x, tick_ms),
        y_ticks: ticks(y, tick)
            .into_iter()
            .filter(|(value, _)| *value >= 1.0 || *value <= 0.0)
            .collect(),
        shapes: vec![("area s0".to_owned(), path)],
        legend: Vec::new(),
        faults: &[],
        pointed_out: named
            .map(|(name, time)| (time.as_secs_f64() * 1_000.0, format!("{name} {}", told(time))))
            .into(),
        read_out,
    };
    plot.write(html)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_named_in_the_longest_unit_that_fits_all() {
        for (length, last) in [(30.0, "30 s"), (120.0, "120 s"), (600.0, "10 min"), (36_000.0, "10 h")] {
            let names = time_ticks(Scale::between(0.0, length));
            assert_eq!(names.last().map(|(_, name)| name.as_str()), Some(last), "{names:?}");
        }
    }
}
