//! What can be typed after `postern-loadtest run`, and what it asks for.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::{ArgAction, Args};

use super::output::Outputs;
use super::users;
use crate::client::Target;
use crate::cluster::Cluster;
use crate::fault::{self, Fault};
use crate::generator::{Generator, Pace};
use crate::load::{Arrivals, Load, Stage};
use crate::mix::Weights;
use crate::people::{Pattern, People};
use crate::require::{self, Requirement};
use crate::run::Request;
use crate::scenario::Scenario;
use crate::text::duration;

/// Three in ten are wrong where nothing else is asked for.
const MIX: &str = "right=70,wrong=30";

/// What `postern up` has unless it is told otherwise.
const USERS: u32 = 1_000;

/// What can be typed.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The line of `postern up --json`, in a file or (-) on standard input: what is tested, whom it knows, its controls
    #[arg(long, value_name = "FILE|-", help_heading = "What is tested")]
    cluster: Option<PathBuf>,
    /// Where sign-ins go instead: http://HOST:PORT, the relay's API
    #[arg(
        long,
        value_name = "URL",
        required_unless_present = "cluster",
        help_heading = "What is tested"
    )]
    target: Option<Target>,
    /// Look at this process, too; may be repeated
    #[arg(long, value_name = "NAME=PID", value_parser = process, help_heading = "What is tested")]
    process: Vec<(String, u32)>,

    /// A scenario that is ready (`postern-loadtest scenarios`), or a file; what is typed beside it wins
    #[arg(long, value_name = "NAME|FILE", help_heading = "The load")]
    scenario: Option<String>,
    /// Sign-ins a second
    #[arg(long, value_name = "N", requires = "duration", conflicts_with = "stage", value_parser = rate, help_heading = "The load")]
    rate: Option<f64>,
    /// How long
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "The load")]
    duration: Option<Duration>,
    /// One stage after another: "30s 500", or "30s 100..500" for a ramp
    #[arg(long, value_name = "STAGE", conflicts_with = "duration", help_heading = "The load")]
    stage: Vec<Stage>,
    /// All rates times this
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = rate, help_heading = "The load")]
    scale: f64,
    /// Arrivals as people come: independently of each other, and not evenly
    #[arg(long, help_heading = "The load")]
    poisson: bool,
    /// A closed loop instead: so many at once, each when one before is answered; for the duration
    #[arg(long, value_name = "N", conflicts_with_all = ["rate", "poisson"], value_parser = clap::value_parser!(u16).range(1..), help_heading = "The load")]
    closed: Option<u16>,
    /// The same seed makes the same sign-ins
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "The load")]
    seed: u64,
    /// Give an answer up after this; longer than the relay's deadline
    #[arg(long, value_name = "TIME", default_value = "6s", value_parser = duration, help_heading = "The load")]
    timeout: Duration,
    /// Sign-ins at once; what comes beyond is dropped, and the run not valid
    #[arg(long, value_name = "N", default_value_t = 4_000, help_heading = "The load")]
    at_once: usize,

    /// Kinds with weights: right, wrong, typo (the right one follows), spray, unknown, empty, verdicts as account_locked, and
    /// listed for all of these that somebody has [default: right=70,wrong=30]
    #[arg(long, value_name = "KIND=WEIGHT,…", help_heading = "Who signs in")]
    mix: Option<Weights>,
    /// User names by number [default: user%06d@ and the cluster's realm]
    #[arg(long, value_name = "PATTERN", help_heading = "Who signs in")]
    user: Option<Pattern>,
    /// Passwords by number [default: those of `postern up`]
    #[arg(long, value_name = "PATTERN", requires = "user", help_heading = "Who signs in")]
    password: Option<Pattern>,
    /// How many of them
    #[arg(long, value_name = "N", default_value_t = USERS, help_heading = "Who signs in")]
    user_count: u32,
    /// Number of the first
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Who signs in")]
    first_user: u32,
    /// People from a file instead, a line each: username,password[,expected outcome]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["user", "password"], help_heading = "Who signs in")]
    users: Option<PathBuf>,

    /// Something that is done meanwhile; may be repeated
    #[arg(long, value_name = "TIME WHAT", long_help = fault::HELP, help_heading = "What is done meanwhile")]
    fault: Vec<Fault>,

    /// Something that must hold; may be repeated
    #[arg(long, value_name = "EXPR", long_help = require::HELP, help_heading = "What must hold")]
    require: Vec<Requirement>,
    /// Leave out what the scenario requires
    #[arg(long, action = ArgAction::SetTrue, requires = "scenario", help_heading = "What must hold")]
    require_nothing: bool,

    #[command(flatten)]
    pub(super) outputs: Outputs,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok().filter(|rate| *rate > 0.0 && *rate <= 1e6);
    rate.ok_or_else(|| format!("{text:?} is no number above 0"))
}

fn process(text: &str) -> Result<(String, u32), String> {
    let (name, pid) = text.split_once('=').ok_or("write it as NAME=PID")?;
    let pid = pid.parse().map_err(|_| format!("{pid:?} is no process id"))?;
    Ok((name.to_owned(), pid))
}

impl Arguments {
    /// What is asked for.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn request(self, command: String) -> anyhow::Result<Request> {
        let scenario = self.scenario.as_deref().map(Scenario::find).transpose()?;
        let cluster = self.read_cluster()?;
        let target = match (&self.target, &cluster) {
            (Some(target), _) => *target,
            (None, Some(cluster)) => {
                let relay = cluster.about.relays.first().context("the cluster has no relay")?;
                Target::parse(&relay.api)?
            }
            (None, None) => bail!("name what is tested: --cluster or --target"),
        };
        let people = self.people(cluster.as_ref())?;
        let weights = match (&self.mix, &scenario) {
            (Some(mix), _) => mix.clone(),
            (None, Some(scenario)) => scenario.mix.clone(),
            (None, None) => MIX.parse()?,
        };
        let load = Load {
            stages: self.stages(scenario.as_ref())?,
            arrivals: match (&scenario, self.poisson) {
                (_, true) => Arrivals::Poisson,
                (Some(scenario), false) => scenario.arrivals,
                (None, false) => Arrivals::Constant,
            },
            mix: weights.among(&people.verdicts())?,
            seed: self.seed,
        };
        let (mut faults, mut requirements) = (self.fault, self.require);
        let name = scenario
            .as_ref()
            .map_or_else(|| "run".to_owned(), |scenario| scenario.name.clone());
        if let Some(scenario) = scenario {
            // Whoever gives faults of their own means those.
            if faults.is_empty() {
                faults = scenario.faults;
            }
            if !self.require_nothing {
                requirements.splice(0..0, scenario.require);
            }
        }
        Ok(Request {
            name,
            generator: Generator {
                target,
                people: Arc::new(people),
                pace: match self.closed {
                    Some(at_once) => Pace::Closed {
                        at_once: at_once.into(),
                    },
                    None => Pace::Open {
                        most_at_once: self.at_once,
                    },
                },
                patience: self.timeout,
            },
            load,
            cluster,
            processes: self.process,
            faults,
            requirements,
            command,
        })
    }

    fn read_cluster(&self) -> anyhow::Result<Option<Cluster>> {
        let Some(path) = &self.cluster else { return Ok(None) };
        let text = if path.as_os_str() == "-" {
            let mut text = String::new();
            std::io::stdin().read_line(&mut text).context("standard input")?;
            text
        } else {
            std::fs::read_to_string(path).with_context(|| format!("--cluster {}", path.display()))?
        };
        let cluster = Cluster::read(text.lines().next().unwrap_or_default());
        Ok(Some(cluster.with_context(|| format!("--cluster {}", path.display()))?))
    }

    fn stages(&self, scenario: Option<&Scenario>) -> anyhow::Result<Vec<Stage>> {
        let mut stages = match (self.rate, self.duration, self.closed, scenario) {
            _ if !self.stage.is_empty() => self.stage.clone(),
            (Some(rate), Some(lasts), ..) => vec![Stage::constant(rate, lasts)],
            (None, Some(lasts), Some(_), _) => vec![Stage::constant(1.0, lasts)],
            (_, None, _, Some(scenario)) => scenario.stages.clone(),
            _ => bail!(
                "say how much: --rate 500 --duration 30s, --stage \"30s 500\", --closed 16 --duration 30s, or --scenario steady"
            ),
        };
        for stage in &mut stages {
            stage.from *= self.scale;
            stage.to *= self.scale;
        }
        Ok(stages)
    }

    fn people(&self, cluster: Option<&Cluster>) -> anyhow::Result<People> {
        let listed = cluster.map(|cluster| cluster.people().collect::<Vec<_>>());
        if let Some(path) = &self.users {
            return users::read(path);
        }
        let names = match (&self.user, cluster) {
            (Some(names), _) => names.clone(),
            (None, Some(cluster)) => Pattern::new("user", 6, format!("@{}", cluster.about.realm)),
            (None, None) => {
                bail!("say who signs in: --user user%06d@corp.example.com --password 'Secret-%06d', or --users FILE")
            }
        };
        let passwords = match (&self.password, cluster) {
            (Some(passwords), _) => passwords.clone(),
            (None, Some(_)) => Pattern::new("Postern-", 6, ""),
            (None, None) => return Err(anyhow!("--user needs --password, a pattern as well")),
        };
        let people = People::generated(names, passwords, self.first_user, self.user_count);
        Ok(people.with_listed(listed.into_iter().flatten()))
    }
}
