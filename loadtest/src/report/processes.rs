//! What processes of what is tested used.

use std::fmt::{self, Write as _};

use super::View;
use super::charts::{ticks, time_ticks};
use super::markup::Text;
use super::numbers::{NOTHING, bytes, digits, real, seconds};
use super::plot::{Key, Plot, ReadOut};
use super::scale::{Scale, tick};
use super::svg::{Field, Point};
use crate::results::{ProcessSample, ProcessUse};

/// More than these have no colour of their own.
const MOST_COLOURS: usize = 7;

/// The table ends after so many rows.
const MOST_ROWS: usize = 20;

/// What processes used, over time and in all.
pub(super) fn processes(html: &mut String, view: &View<'_>) -> fmt::Result {
    let mut processes: Vec<&ProcessUse> = view.run.processes.iter().collect();
    if processes.is_empty() {
        return Ok(());
    }
    if processes.len() > MOST_COLOURS {
        processes.sort_by(|one, other| other.cpu_s.total_cmp(&one.cpu_s));
    }
    let drawn = processes.get(..MOST_COLOURS).unwrap_or(&processes);
    if drawn.iter().any(|process| !process.samples.is_empty()) {
        if drawn.len() < processes.len() {
            writeln!(
                html,
                "<p class=\"quiet\">The {} of {} that used most are drawn.</p>",
                drawn.len(),
                processes.len()
            )?;
        }
        let label = "Processors used by each process over time";
        over_time(
            html,
            view,
            drawn,
            (label, "processors used"),
            |sample| sample.cpu,
            |cpu| format!("{cpu:.2}"),
            tick,
        )?;
        let label = "Resident memory of each process over time";
        let memory = |sample: &ProcessSample| real(sample.memory_bytes);
        over_time(html, view, drawn, (label, "memory"), memory, bytes, |mi| {
            format!("{} MiB", tick(mi))
        })?;
    }
    table_of_processes(html, &processes)
}

fn over_time(
    html: &mut String,
    view: &View<'_>,
    processes: &[&ProcessUse],
    (label, unit): (&str, &str),
    of: fn(&ProcessSample) -> f64,
    told: fn(f64) -> String,
    tick: fn(f64) -> String,
) -> fmt::Result {
    // Memory has round numbers in its own unit.
    let scale = if unit == "memory" { 1_048_576.0 } else { 1.0 };
    let samples = processes.iter().flat_map(|process| &process.samples);
    let most = samples.map(|sample| of(sample) / scale).fold(0.0, f64::max);
    let field = Field {
        x: view.time(),
        y: Scale::up_to(most),
        height: 170.0,
    };
    let (mut shapes, mut legend) = (Vec::new(), Vec::new());
    let mut read_out = ReadOut::default();
    let longest = processes.iter().max_by_key(|process| process.samples.len());
    let times: Vec<f64> = longest
        .into_iter()
        .flat_map(|process| process.samples.iter().map(|sample| sample.at_s))
        .collect();
    for at in &times {
        read_out.add_place(field.x.at(*at), seconds(*at));
    }
    for (index, process) in processes.iter().enumerate() {
        let points = points(&process.samples, |sample| of(sample) / scale);
        let class = format!("line s{index}");
        shapes.push((class.clone(), field.line(&points)));
        legend.push((class, Key::Line, process.name.clone()));
        let near = times
            .iter()
            .map(|at| near(&process.samples, *at).map_or_else(|| NOTHING.to_owned(), |sample| told(of(sample))));
        read_out.rows.push((process.name.clone(), near.collect()));
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

/// Points of a line, with a gap where a process was not there: where samples are far apart.
fn points(samples: &[ProcessSample], of: impl Fn(&ProcessSample) -> f64) -> Vec<Point> {
    const FAR: f64 = 2.5;
    let steps = samples
        .windows(2)
        .filter_map(|pair| Some(pair.last()?.at_s - pair.first()?.at_s));
    let usual = steps.fold(f64::INFINITY, f64::min);
    let mut points: Vec<Point> = Vec::with_capacity(samples.len());
    for sample in samples {
        let before = points.last().map_or(sample.at_s, |(at, _)| *at);
        if sample.at_s - before > usual.max(0.5) * FAR {
            points.push((f64::midpoint(before, sample.at_s), None));
        }
        points.push((sample.at_s, Some(of(sample))));
    }
    points
}

/// The sample at about this time.
fn near(samples: &[ProcessSample], at: f64) -> Option<&ProcessSample> {
    const NEAR_S: f64 = 0.75;
    let next = samples.partition_point(|sample| sample.at_s < at - NEAR_S);
    samples.get(next).filter(|sample| (sample.at_s - at).abs() <= NEAR_S)
}

fn table_of_processes(html: &mut String, processes: &[&ProcessUse]) -> fmt::Result {
    html.push_str(
        "<div class=\"wide\"><table class=\"numbers\">\n<thead><tr><th>process</th><th>CPU time</th>\
         <th>CPU for a sign-in</th><th>peak memory</th></tr></thead>\n<tbody>\n",
    );
    let (shown, left) = processes.split_at(processes.len().min(MOST_ROWS));
    let mut row = |name: &str, class: &str, cpu_s: f64, cpu_us: f64, peak: u64| {
        writeln!(
            html,
            "<tr{class}><th>{}</th><td>{} s</td><td>{} µs</td><td>{}</td></tr>",
            Text(name),
            digits(cpu_s),
            digits(cpu_us),
            bytes(real(peak))
        )
    };
    for process in shown {
        row(
            &process.name,
            "",
            process.cpu_s,
            process.cpu_us_per_signin,
            process.peak_bytes,
        )?;
    }
    let sum = |processes: &[&ProcessUse]| {
        let cpu_s: f64 = processes.iter().map(|process| process.cpu_s).sum();
        let cpu_us: f64 = processes.iter().map(|process| process.cpu_us_per_signin).sum();
        let peak: u64 = processes.iter().map(|process| process.peak_bytes).sum();
        (cpu_s, cpu_us, peak)
    };
    if !left.is_empty() {
        let (cpu_s, cpu_us, peak) = sum(left);
        row(&format!("{} others", left.len()), "", cpu_s, cpu_us, peak)?;
    }
    if processes.len() > 1 {
        let (cpu_s, cpu_us, peak) = sum(processes);
        row("all", " class=\"sum\"", cpu_s, cpu_us, peak)?;
    }
    html.write_str("</tbody></table></div>\n")
}
