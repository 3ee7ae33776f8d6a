//! `postern prove`: shows under load, with real processes and real signals, that no sign-in is lost and none counted
//! twice.
//!
//! Each scenario brings a cluster of its own up ([`rig`]), makes sign-ins whose outcome is known beforehand, does something
//! to the cluster meanwhile ([`course`]), and compares what became of every sign-in with what the directory says that it
//! did. What is seen is turned to numbers ([`judge`]) and held against what was promised ([`goal`]) by code that knows
//! neither processes nor clocks.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use postern_loadtest::Stage;

use crate::report::progress;
use goal::Strictness;
use report::Report;
use rig::{Rig, Shape};
pub use scenarios::Scenario;

pub mod agent_log;
pub mod arguments;
pub mod course;
pub mod goal;
pub mod judge;
pub mod phases;
pub mod report;
pub mod rig;
pub mod sampler;
mod scenarios;

/// What is asked for.
#[derive(Debug)]
pub struct Request {
    /// What to play, in this order.
    pub scenarios: Vec<Scenario>,
    /// Shorter, and lenient with times: for machines that do other things too.
    pub short: bool,
    /// Where the reports go as JSON.
    pub json: Option<PathBuf>,
    /// The same seed makes the same sign-ins.
    pub seed: u64,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// Every goal holds.
    Held,
    /// At least one does not, or the load was not what was planned.
    Missed,
    /// Somebody ended it before.
    Interrupted,
}

/// What a scenario is played with.
#[derive(Debug)]
pub struct Context {
    /// How long, and how strictly judged.
    strictness: Strictness,
    seed: u64,
    /// For the clusters' folders.
    folder: PathBuf,
}

/// Sign-ins a second, unless a scenario says otherwise.
const RATE: f64 = 500.0;

/// Before anything is counted: connections are opened and caches filled.
const WARM_UP: Duration = Duration::from_secs(2);

impl Context {
    /// A cluster for one run, which is called `name`.
    async fn rig(&self, name: &str, shape: Shape) -> anyhow::Result<Rig> {
        Rig::start(shape, &self.folder.join(name))
            .await
            .with_context(|| format!("the cluster for {name}"))
    }

    /// One of two lengths.
    fn either(&self, full: u64, short: u64) -> Duration {
        Duration::from_secs(match self.strictness {
            Strictness::Full => full,
            Strictness::Short => short,
        })
    }

    /// From the beginning of a run to its fault: the warm-up and the baseline.
    fn fault_at(&self) -> Duration {
        WARM_UP + self.either(10, 4)
    }

    /// The usual load for so long.
    fn load(&self, lasts: Duration) -> [Stage; 1] {
        [Stage::constant(RATE, lasts)]
    }
}

/// The names of all scenarios, and what each is about.
pub fn list() -> String {
    Scenario::ALL.iter().fold(String::new(), |mut text, scenario| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:<22}{}", scenario.name(), scenario.about());
        text
    })
}

/// Plays the scenarios and prints what they showed.
///
/// # Errors
/// When a scenario could not be played: its cluster did not come up, or could not be asked. The others are played all the
/// same. At once when it is interrupted, or the reports cannot be written.
pub async fn run(request: &Request) -> anyhow::Result<Proof> {
    if let Some(path) = &request.json {
        // Before ten minutes of scenarios, and not after them. What is there stays until there is something else.
        let opened = std::fs::OpenOptions::new().create(true).append(true).open(path);
        opened.with_context(|| format!("cannot write {}", path.display()))?;
    }
    let folder = std::env::temp_dir().join(format!("postern-prove-{:08x}", rand::random::<u32>()));
    std::fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let context = Context {
        strictness: if request.short {
            Strictness::Short
        } else {
            Strictness::Full
        },
        seed: request.seed,
        folder,
    };
    let played = tokio::select! {
        biased;
        interrupted = tokio::signal::ctrl_c() => interrupted.map(|()| Proof::Interrupted).map_err(Into::into),
        played = play(request, &context) => played,
    };
    if matches!(played, Ok(Proof::Interrupted)) {
        progress("Interrupted");
    }
    if matches!(played, Ok(Proof::Held)) {
        // Nobody wants to look at what went well. What cannot be removed is for the system to clear.
        let _ = std::fs::remove_dir_all(&context.folder);
    } else {
        progress(format_args!(
            "The clusters' files and logs stay in {}",
            context.folder.display()
        ));
    }
    played
}

async fn play(request: &Request, context: &Context) -> anyhow::Result<Proof> {
    let mut all = Vec::new();
    let mut not_played = Vec::new();
    progress(format_args!("Seed {}; the same makes the same sign-ins", context.seed));
    for scenario in &request.scenarios {
        progress(format_args!("{}: {}", scenario.name(), scenario.about()));
        match scenario.play(context).await {
            Ok(reports) => {
                for report in &reports {
                    print(&report.text(context.strictness));
                }
                all.extend(reports);
            }
            Err(error) => {
                progress(format_args!("{} could not be played: {error:#}", scenario.name()));
                not_played.push(scenario.name());
            }
        }
        if let Some(path) = &request.json {
            write_json(path, &all)?;
        }
    }
    let short: Vec<String> = all
        .iter()
        .flat_map(|report| report.shortcomings(context.strictness))
        .collect();
    if request.scenarios.len() > 1 {
        print(&in_all(all.len(), &short));
    }
    if !not_played.is_empty() {
        bail!("could not be played: {}", not_played.join(", "));
    }
    Ok(if short.is_empty() { Proof::Held } else { Proof::Missed })
}

/// What is to be known at the end of many scenarios: whoever scrolls back through all of them may miss one line.
fn in_all(runs: usize, short: &[String]) -> String {
    if short.is_empty() {
        return format!("\nAll {runs} runs show what was promised.\n");
    }
    let lines: String = short.iter().map(|line| format!("  {line}\n")).collect();
    format!("\nOf {runs} runs these show something else:\n{lines}")
}

fn print(text: &str) {
    let mut stdout = std::io::stdout();
    // Whoever reads it may have gone; the exit code tells all the same.
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

fn write_json(path: &Path, reports: &[Report]) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(reports)? + "\n";
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
