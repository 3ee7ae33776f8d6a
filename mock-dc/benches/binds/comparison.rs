//! All servers, one after another in each round, so that what else the machine does falls on all of them alike. Medians
//! are told.

use std::collections::BTreeMap;
use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::Context;

use crate::load::{self, Load};
use crate::process::Folder;
use crate::servers::{Kind, Pki, Server, Transport};
use crate::{progress, say};

/// What is measured.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) kinds: Vec<Kind>,
    pub(crate) connections: Vec<usize>,
    pub(crate) seconds: Duration,
    pub(crate) rounds: usize,
}

/// Binds a second, and microseconds of the server's processor for each.
type Sample = (f64, f64);

pub(crate) fn run(plan: &Plan) -> anyhow::Result<()> {
    let folder = Folder::new()?;
    let pki = Pki::new(&folder)?;
    let mut servers = Vec::new();
    for kind in &plan.kinds {
        progress(format_args!("starting {}", kind.name()));
        let started = kind
            .start(&folder, &pki)
            .with_context(|| format!("{} does not start", kind.name()))?;
        match started {
            Some(server) => servers.push((*kind, server)),
            None => say(format_args!(
                "{} is left out: it is not installed, or may not listen here",
                kind.name()
            ))?,
        }
    }
    let mut samples: BTreeMap<(usize, usize, usize), Vec<Sample>> = BTreeMap::new();
    for round in 1..=plan.rounds {
        for (transport_at, transport) in Transport::ALL.into_iter().enumerate() {
            for (connections_at, connections) in plan.connections.iter().enumerate() {
                for (server_at, (kind, server)) in servers.iter().enumerate() {
                    let sample = measure(plan, server, transport, *connections, &pki)
                        .with_context(|| format!("{} over {}", kind.name(), transport.name()))?;
                    progress(format_args!(
                        "round {round}: {} over {}, {connections} connections: {:.0} binds/s, {:.1} µs each",
                        kind.name(),
                        transport.name(),
                        sample.0,
                        sample.1
                    ));
                    samples
                        .entry((transport_at, connections_at, server_at))
                        .or_default()
                        .push(sample);
                }
            }
        }
    }
    let kinds: Vec<Kind> = servers.iter().map(|(kind, _)| *kind).collect();
    report(plan, &kinds, &samples)
}

fn measure(
    plan: &Plan,
    server: &Server,
    transport: Transport,
    connections: usize,
    pki: &Pki,
) -> anyhow::Result<Sample> {
    let load = Load {
        target: server.target(transport, pki),
        binds: server.binds.clone(),
        connections,
        seconds: plan.seconds,
    };
    let measured = load::run(&load, || server.process.cpu())?;
    Ok((measured.per_second(), measured.cpu_per_bind()))
}

fn report(plan: &Plan, kinds: &[Kind], samples: &BTreeMap<(usize, usize, usize), Vec<Sample>>) -> anyhow::Result<()> {
    say(format_args!(
        "\n{} cores shared by client and servers, {}; medians of {} rounds of {} s.\n",
        available_parallelism()?,
        if cfg!(debug_assertions) {
            "debug build"
        } else {
            "release build"
        },
        plan.rounds,
        plan.seconds.as_secs_f64()
    ))?;
    let against = |kind| {
        let ours = kinds.iter().position(|kind| *kind == Kind::MockDc)?;
        kinds
            .iter()
            .position(|other| *other == kind)
            .map(|theirs| (ours, theirs))
    };
    let ratios = [(Kind::Bare, "of bare"), (Kind::Slapd, "times slapd")];
    let ratios: Vec<_> = ratios
        .into_iter()
        .filter_map(|(kind, title)| against(kind).map(|pair| (pair, title)))
        .collect();

    let mut title = "| binds a second | connections |".to_owned();
    let mut rule = "|---|---:|".to_owned();
    for name in kinds
        .iter()
        .map(|kind| kind.name())
        .chain(ratios.iter().map(|(_, title)| *title))
    {
        title += &format!(" {name} |");
        rule += "---:|";
    }
    say(&title)?;
    say(&rule)?;
    let median_of = |at: (usize, usize, usize), of: fn(&Sample) -> f64| {
        let samples = samples.get(&at).map_or(&[][..], Vec::as_slice);
        median(samples.iter().map(of).collect())
    };
    for (transport_at, transport) in Transport::ALL.into_iter().enumerate() {
        for (connections_at, connections) in plan.connections.iter().enumerate() {
            let rate = |server_at| median_of((transport_at, connections_at, server_at), |sample| sample.0);
            let mut line = format!("| {} | {connections} |", transport.name());
            for server_at in 0..kinds.len() {
                line += &format!(" {} |", thousands(rate(server_at)));
            }
            for ((ours, theirs), _) in &ratios {
                line += &format!(" {:.2} |", rate(*ours) / rate(*theirs));
            }
            say(line)?;
        }
    }

    let mut title = "\n| µs of processor a bind | connections |".to_owned();
    let mut rule = "|---|---:|".to_owned();
    for kind in kinds {
        title += &format!(" {} |", kind.name());
        rule += "---:|";
    }
    say(title)?;
    say(rule)?;
    for (transport_at, transport) in Transport::ALL.into_iter().enumerate() {
        for (connections_at, connections) in plan.connections.iter().enumerate() {
            let mut line = format!("| {} | {connections} |", transport.name());
            for server_at in 0..kinds.len() {
                let cost = median_of((transport_at, connections_at, server_at), |sample| sample.1);
                line += &format!(" {cost:.1} |");
            }
            say(line)?;
        }
    }
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[odd / 2],
        even => (values[even / 2 - 1] + values[even / 2]) / 2.0,
    }
}

/// `12345.6` as `12,346`.
fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut shown = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}
