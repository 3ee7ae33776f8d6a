//! How agents shared the work.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use super::View;
use super::charts::{ticks, time_ticks};
use super::markup::Name;
use super::numbers::{count, percent, rate, real, seconds};
use super::plot::{Key, Plot, ReadOut};
use super::scale::{Scale, tick};
use super::svg::Field;
use crate::results::AgentShare;

/// More than these have no colour of their own.
const MOST_COLOURS: usize = 7;

/// The table ends after so many rows.
const MOST_ROWS: usize = 20;

/// No more stretches than this are shown over time.
const MOST_STRETCHES: f64 = 600.0;

/// Who made the binds: over time, and in all.
pub(super) fn agents(html: &mut String, view: &View<'_>) -> fmt::Result {
    let mut agents: Vec<&AgentShare> = view.run.agents.iter().collect();
    if agents.is_empty() {
        return Ok(());
    }
    // By name where each has a colour, so that agents stay where they are from run to run.
    if agents.len() > MOST_COLOURS + 1 {
        agents.sort_by_key(|agent| std::cmp::Reverse(agent.binds));
    }
    if agents
        .iter()
        .any(|agent| agent.samples.iter().any(|(_, binds)| *binds > 0))
    {
        shares(html, view, &agents)?;
    }
    html.push_str("<div class=\"wide\"><table class=\"numbers\">\n<thead><tr><th>agent</th><th>binds</th><th>share</th><th class=\"bar\"></th></tr></thead>\n<tbody>\n");
    let all: u64 = agents.iter().map(|agent| agent.binds).sum();
    let (shown, left) = agents.split_at(agents.len().min(MOST_ROWS));
    for agent in shown {
        row_of_agent(html, &agent.name, agent.binds, all)?;
    }
    if !left.is_empty() {
        let binds = left.iter().map(|agent| agent.binds).sum();
        row_of_agent(html, &format!("{} others", left.len()), binds, all)?;
    }
    html.write_str("</tbody></table></div>\n")
}

fn row_of_agent(html: &mut String, name: &str, binds: u64, all: u64) -> fmt::Result {
    let width = real(binds) * 100.0 / real(all.max(1));
    writeln!(
        html,
        "<tr><th>{}</th><td>{}</td><td>{}</td><td class=\"bar\"><i style=\"width:{width:.1}%\"></i></td></tr>",
        Name(name),
        count(binds),
        percent(binds, all)
    )
}

/// Each agent's binds in each stretch of time. A stretch is a second, or longer in a long run.
fn shares(html: &mut String, view: &View<'_>, agents: &[&AgentShare]) -> fmt::Result {
    let stretch = (view.length() / MOST_STRETCHES).ceil().max(1.0);
    let named = if agents.len() > MOST_COLOURS + 1 {
        MOST_COLOURS
    } else {
        agents.len()
    };
    let layers = if named < agents.len() { named + 1 } else { named };
    let mut stretches: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    for (index, agent) in agents.iter().enumerate() {
        for (end, binds) in &agent.samples {
            // A sample is of the second before; its middle says in which stretch that is.
            let at = ((end - 0.5).max(0.0) / stretch) as u32;
            let counts = stretches.entry(at).or_insert_with(|| vec![0; layers]);
            if let Some(count) = counts.get_mut(index.min(layers - 1)) {
                *count += binds;
            }
        }
    }
    let field = Field {
        x: view.time(),
        y: Scale::between(0.0, 100.0),
        height: 170.0,
    };
    let mut names: Vec<String> = agents.iter().take(named).map(|agent| agent.name.clone()).collect();
    if layers > named {
        names.push(format!("{} others", agents.len() - named));
    }
    let mut read_out = ReadOut {
        rows: names.iter().map(|name| (name.clone(), Vec::new())).collect(),
        ..ReadOut::default()
    };
    let mut steps = Vec::new();
    for (at, counts) in &stretches {
        let all: u64 = counts.iter().sum();
        let (from, to) = (f64::from(*at) * stretch, f64::from(*at + 1) * stretch);
        read_out.add_place(
            field.x.at(f64::midpoint(from, to)),
            format!("{} to {}", seconds(from), seconds(to)),
        );
        for ((_, told), binds) in read_out.rows.iter_mut().zip(counts) {
            told.push(format!("{} ({})", rate(real(*binds) / stretch), percent(*binds, all)));
        }
        let share = |binds: &u64| real(*binds) * 100.0 / real(all.max(1));
        steps.push((from, to, counts.iter().map(share).collect()));
    }
    let classes = (0..layers).map(|layer| format!("area c{layer}"));
    let plot = Plot {
        label: "Share of the binds that each agent made, over time".to_owned(),
        unit: "share of binds",
        field,
        x_ticks: time_ticks(field.x),
        y_ticks: ticks(field.y, |share| format!("{} %", tick(share))),
        shapes: classes.clone().zip(field.stack(&steps)).collect(),
        legend: classes
            .zip(names)
            .map(|(class, name)| (class, Key::Area, name))
            .collect(),
        faults: &view.faults,
        pointed_out: Vec::new(),
        read_out,
    };
    plot.write(html)
}
