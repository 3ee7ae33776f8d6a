//! One agent's directory is ten times slower than the others'. It gets so much less to do that nobody notices; beside it,
//! the two others alone.

use std::time::Duration;

use postern_loadtest::generator::GeneratorReport;
use serde_json::json;
use toml::Value;

use super::words;
use crate::prove::course::{Evidence, drive};
use crate::prove::goal::{Goal, Value as Seen};
use crate::prove::phases::Window;
use crate::prove::report::Report;
use crate::prove::rig::{Rig, Shape};
use crate::prove::{Context, WARM_UP};

mod beside;

/// The agent with the slow directory, and its domain controller, which nobody else asks.
const SLOW: &str = "agent-3";
const SLOW_INDEX: usize = 2;
const SLOW_DC: &str = "dc-3";

/// As much slower, as much less to do.
const SHARE: f64 = 0.1;

/// Beside the two others alone.
const FACTOR: f64 = 1.5;

/// From when on it must be known who is slow.
const KNOWN: Duration = Duration::from_secs(3);

/// Plays it, and then the two others alone.
pub(super) async fn play(context: &Context) -> anyhow::Result<Vec<Report>> {
    let shape = Shape {
        dcs: 3,
        ..Shape::default()
    };
    let mut rig = context.rig("slow-directory", shape).await?;
    part_directories(&rig).await?;
    let begin = WARM_UP + KNOWN;
    let lasts = begin + context.either(20, 6);
    let window = Window::between(begin, lasts);
    let (with, ()) = drive(&mut rig, &context.load(lasts), context.seed, async |_, _| Ok(())).await?;
    rig.order(SLOW, "term").await?;
    rig.wait_ready(rig.agents().len() - 1).await?;
    let (without, ()) = drive(&mut rig, &context.load(lasts), context.seed, async |_, _| Ok(())).await?;
    rig.end().await?;

    let share = with.share(SLOW_INDEX, window);
    let limit = without.latency(window).p99.mul_f64(FACTOR);
    let mut goals = vec![words::none_failed(&with)];
    goals.extend(words::always(&with));
    goals.extend([
        Goal::at_most(
            "the slow one's share of binds",
            Seen::Share(SHARE),
            Some(Seen::Share(share)),
        ),
        Goal::time(
            "p99, beside 1.5 × of the two others alone",
            limit,
            Some(with.latency(window).p99),
        ),
        words::none_late(&with),
    ]);
    // What it is held against must have been well itself.
    goals.push(Goal::none(
        "others alone: sign-ins failed",
        without.summary(Window::WHOLE).failed,
    ));
    goals.push(words::none_dropped(&without));
    let row = |phase, evidence: &Evidence| evidence.row(phase, window);
    Ok(vec![Report {
        title: "slow-directory: one agent's directory takes 50 ± 20 ms, the others' 5 ± 2 ms".to_owned(),
        rows: vec![row("with it", &with), row("others alone", &without)],
        goals,
        notes: vec![beside(context.seed)],
        generator: worse(with.generator, without.generator),
    }])
}

/// How well the load was what was planned where it was less so: a late generator in the run that the other is held
/// against makes the limit wider.
fn worse(with: GeneratorReport, without: GeneratorReport) -> GeneratorReport {
    if without.is_valid() { with } else { without }
}

/// What other ways of dealing sign-ins out would have made of it, in a simulation.
fn beside(seed: u64) -> String {
    let ways = beside::play(seed);
    let ms = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1_000.0);
    format!(
        "simulated, p99 of the directory's part: {} by the relay's core, {} in turn, {} at random",
        ms(ways.by_cost),
        ms(ways.in_turn),
        ms(ways.at_random)
    )
}

/// The last agent has a domain controller of its own, and a slow one; the others share the rest.
async fn part_directories(rig: &Rig) -> anyhow::Result<()> {
    for agent in rig.agents() {
        rig.reconfigure(&agent.name, |file| {
            let servers = file
                .get_mut("directory")
                .and_then(|directory| directory.get_mut("servers"));
            if let Some(servers) = servers.and_then(Value::as_array_mut) {
                servers.retain(|server| {
                    let name = server.get("name").and_then(Value::as_str);
                    (name == Some(SLOW_DC)) == (agent.name == SLOW)
                });
            }
        })
        .await?;
    }
    rig.wait_ready(rig.agents().len()).await?;
    let latency = |dc: &str, ms: [u64; 2]| json!({ "kind": "latency", "uniform_ms": ms, "dc": dc });
    let latencies = [
        latency("dc-1", [3, 7]),
        latency("dc-2", [3, 7]),
        latency(SLOW_DC, [30, 70]),
    ];
    rig.only_faults(&latencies).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_that_was_not_as_planned_in_either_run_is_the_reports() {
        let [good, late] = [0.0, 5.1].map(|lag_p99_ms| GeneratorReport {
            lag_p99_ms,
            ..GeneratorReport::default()
        });
        assert!(worse(good, good).is_valid());
        for (with, without) in [(late, good), (good, late), (late, late)] {
            assert!(!worse(with, without).is_valid(), "{with:?}, {without:?}");
        }
    }
}
