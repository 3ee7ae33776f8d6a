//! What can be typed after `postern-loadtest run`.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, Args, Command};

use super::output::Outputs;
use crate::client::{Sealing, Target};
use crate::fault::{self, Fault};
use crate::load::Stage;
use crate::mix::Weights;
use crate::people::Pattern;
use crate::require::{self, Requirement};
use crate::text::duration;

/// What `postern up` has unless it is told otherwise.
const USERS: u32 = 1_000;

/// What can be typed.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("tested").args(["cluster", "target", "arm"]).multiple(true).required(true))]
pub(super) struct Arguments {
    /// The line of `postern up --json`, in a file or (-) on standard input: what is tested, whom it knows, its controls
    #[arg(long, value_name = "FILE|-", help_heading = "What is tested")]
    pub(super) cluster: Option<PathBuf>,
    /// Where sign-ins go instead: http:// or https:// of a relay's API, ldaps:// or ldap:// (StartTLS) of a directory; repeat
    /// it for several, which get sign-ins in turn
    #[arg(long, value_name = "URL", value_parser = Discreet(str::parse::<Target>), help_heading = "What is tested")]
    pub(super) target: Vec<Target>,
    /// Compare several: NAME=URL, NAME=relay or NAME=directory of the cluster, NAME=@FILE for another cluster's line; the
    /// others with the first
    #[arg(long, value_name = "NAME=WHAT", conflicts_with_all = ["target", "find_max"], value_parser = Discreet(arm), help_heading = "What is tested")]
    pub(super) arm: Vec<Arm>,
    /// How often each arm is played, in turn
    #[arg(long, value_name = "N", default_value_t = 3, requires = "arm", value_parser = clap::value_parser!(u16).range(1..=100), help_heading = "What is tested")]
    pub(super) rounds: u16,
    /// The authorities (PEM) of its certificate [default: the cluster's, or the system's]
    #[arg(long, value_name = "FILE", help_heading = "How it is reached")]
    pub(super) ca: Option<PathBuf>,
    /// HTTP/2 instead of HTTP/1.1
    #[arg(long, help_heading = "How it is reached")]
    pub(super) http2: bool,
    /// Seal passwords before the relay has them, for the tenant's realm [with a cluster: its own]
    #[arg(long, value_name = "TENANT/REALM", num_args = 0..=1, default_missing_value = "", value_parser = sealing, help_heading = "How it is reached")]
    pub(super) sealed: Option<Whom>,
    /// A file with the bearer token that the relay knows the caller by
    #[arg(long, value_name = "FILE", help_heading = "How it is reached")]
    pub(super) token_file: Option<PathBuf>,
    /// Connections to open before the run; more are opened as they are needed
    #[arg(long, value_name = "N", default_value_t = 16, help_heading = "How it is reached")]
    pub(super) connections: usize,
    /// Look at this process, too; may be repeated
    #[arg(long, value_name = "NAME=PID", value_parser = process, help_heading = "What is tested")]
    pub(super) process: Vec<(String, u32)>,

    /// A scenario that is ready (`postern-loadtest scenarios`), or a file; what is typed beside it wins
    #[arg(long, value_name = "NAME|FILE", help_heading = "The load")]
    pub(super) scenario: Option<String>,
    /// Sign-ins a second
    #[arg(long, value_name = "N", conflicts_with = "stage", value_parser = rate, help_heading = "The load")]
    pub(super) rate: Option<f64>,
    /// How long
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "The load")]
    pub(super) duration: Option<Duration>,
    /// One stage after another: "30s 500", or "30s 100..500" for a ramp
    #[arg(long, value_name = "STAGE", conflicts_with = "duration", help_heading = "The load")]
    pub(super) stage: Vec<Stage>,
    /// All times of the scenario, of its faults and of what it requires, times this; rates stay
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, requires = "scenario", value_parser = rate, help_heading = "The load")]
    pub(super) scale_time: f64,
    /// All rates times this
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = rate, help_heading = "The load")]
    pub(super) scale: f64,
    /// Arrivals as people come: independently of each other, and not evenly
    #[arg(long, help_heading = "The load")]
    pub(super) poisson: bool,
    /// A closed loop instead: so many at once, each when one before is answered; for the duration
    #[arg(long, value_name = "N", conflicts_with_all = ["rate", "poisson"], value_parser = clap::value_parser!(u16).range(1..), help_heading = "The load")]
    pub(super) closed: Option<u16>,
    /// Look for the highest rate that holds what is required [default: failed==0, wrong_outcomes==0, p99<50ms], from --rate on
    /// [default: 500], each held for --duration [default: 10s]
    #[arg(long, conflicts_with_all = ["scenario", "stage", "closed"], help_heading = "The load")]
    pub(super) find_max: bool,
    /// No more than this when looking for the highest rate
    #[arg(long, value_name = "N", default_value_t = 100_000.0, requires = "find_max", value_parser = rate, help_heading = "The load")]
    pub(super) up_to: f64,
    /// The same seed makes the same sign-ins
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "The load")]
    pub(super) seed: u64,
    /// Give an answer up after this; longer than the relay's deadline
    #[arg(long, value_name = "TIME", default_value = "6s", value_parser = timeout, help_heading = "The load")]
    pub(super) timeout: Duration,
    /// Sign-ins at once; what comes beyond is dropped, and the run not valid
    #[arg(long, value_name = "N", default_value_t = 4_000, help_heading = "The load")]
    pub(super) at_once: usize,

    /// Kinds with weights: right, wrong, typo (the right one follows), spray, unknown, empty, verdicts as account_locked, and
    /// listed for all of these that somebody has [default: right=70,wrong=30]
    #[arg(long, value_name = "KIND=WEIGHT,…", help_heading = "Who signs in")]
    pub(super) mix: Option<Weights>,
    /// User names by number [default: user%06d in the cluster's realm]
    #[arg(long, value_name = "PATTERN", help_heading = "Who signs in")]
    pub(super) user: Option<Pattern>,
    /// Passwords by number [default: those of `postern up`]
    #[arg(long, value_name = "PATTERN", requires = "user", value_parser = Unquoted, help_heading = "Who signs in")]
    pub(super) password: Option<Pattern>,
    /// How many of them
    #[arg(long, value_name = "N", default_value_t = USERS, help_heading = "Who signs in")]
    pub(super) user_count: u32,
    /// Number of the first
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Who signs in")]
    pub(super) first_user: u32,
    /// People from a file instead, a line each: username,password[,expected outcome]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["user", "password"], help_heading = "Who signs in")]
    pub(super) users: Option<PathBuf>,

    /// Something that is done meanwhile; may be repeated
    #[arg(long, value_name = "TIME WHAT", long_help = fault::HELP, help_heading = "What is done meanwhile")]
    pub(super) fault: Vec<Fault>,

    /// Something that must hold; may be repeated
    #[arg(long, value_name = "EXPR", long_help = require::HELP, help_heading = "What must hold")]
    pub(super) require: Vec<Requirement>,
    /// Leave out what the scenario requires, and that no outcome is wrong
    #[arg(long, action = ArgAction::SetTrue, help_heading = "What must hold")]
    pub(super) require_nothing: bool,

    #[command(flatten)]
    pub(super) outputs: Outputs,
}

/// One of several that are compared.
#[derive(Debug, Clone)]
pub(super) struct Arm {
    pub(super) name: String,
    pub(super) what: What,
}

/// What an arm is.
#[derive(Debug, Clone)]
pub(super) enum What {
    /// The cluster's relays.
    Relay,
    /// The cluster's domain controllers, by LDAPS.
    Directory,
    /// Something else.
    Target(Target),
    /// Another cluster's relays, by its line of JSON.
    Cluster(PathBuf),
}

/// Reads a pattern of passwords. An error of any other parser is told with the value, and this one may be a password.
#[derive(Clone)]
struct Unquoted;

impl TypedValueParser for Unquoted {
    type Value = Pattern;

    fn parse_ref(&self, command: &Command, _: Option<&Arg>, value: &OsStr) -> Result<Pattern, clap::Error> {
        let pattern = value.to_str().and_then(|text| text.parse().ok());
        pattern.ok_or_else(|| {
            const WRONG: &str = "the value of --password has no number; write it as in 'Secret-%06d' (passwords without one \
                                 belong into a file: --users)\n";
            clap::Error::raw(ErrorKind::ValueValidation, WRONG).with_cmd(command)
        })
    }
}

/// Reads what may hold a URL, and does not repeat one that has a user or a password in it.
#[derive(Clone)]
struct Discreet<T>(fn(&str) -> Result<T, String>);

impl<T: Clone + Send + Sync + 'static> TypedValueParser for Discreet<T> {
    type Value = T;

    fn parse_ref(&self, command: &Command, argument: Option<&Arg>, value: &OsStr) -> Result<T, clap::Error> {
        let text = value.to_string_lossy();
        (self.0)(&text).map_err(|why| {
            let shown = if text.contains('@') {
                String::new()
            } else {
                format!("{text:?} ")
            };
            let argument = argument.map(ToString::to_string).unwrap_or_default();
            let message = format!("invalid value {shown}for '{argument}': {why}\n");
            clap::Error::raw(ErrorKind::ValueValidation, message).with_cmd(command)
        })
    }
}

/// Whom passwords are sealed for; `None` is the cluster's.
pub(super) type Whom = Option<Sealing>;

fn arm(text: &str) -> Result<Arm, String> {
    let (name, what) = text.split_once('=').ok_or("write it as NAME=WHAT")?;
    let what = match what {
        "relay" => What::Relay,
        "directory" => What::Directory,
        what => match what.strip_prefix('@') {
            Some(path) => What::Cluster(path.into()),
            None => What::Target(what.parse()?),
        },
    };
    Ok(Arm {
        name: name.to_owned(),
        what,
    })
}

fn sealing(text: &str) -> Result<Whom, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let (tenant, realm) = text.split_once('/').ok_or("write it as TENANT/REALM")?;
    Ok(Some(Sealing {
        tenant: tenant.to_owned(),
        realm: realm.to_owned(),
    }))
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok().filter(|rate| *rate > 0.0 && *rate <= 1e6);
    rate.ok_or_else(|| format!("{text:?} is no number above 0"))
}

/// Up to the longest latency that is told apart.
fn timeout(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    let fits = (Duration::from_millis(100)..=Duration::from_secs(60)).contains(&time);
    fits.then_some(time)
        .ok_or_else(|| format!("{text} is not from 100ms to 60s"))
}

fn process(text: &str) -> Result<(String, u32), String> {
    let (name, pid) = text.split_once('=').ok_or("write it as NAME=PID")?;
    let pid = pid.parse().map_err(|_| format!("{pid:?} is no process id"))?;
    Ok((name.to_owned(), pid))
}
