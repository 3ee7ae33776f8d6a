//! What a run came to, as it is written to JSON and read again by what makes reports of it.
//!
//! The members of the first part of [`Results`] are a contract with other people's scripts; what follows them may grow.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::binds::BindSummary;
use crate::fault::Mark;
use crate::generator::GeneratorReport;
use crate::require::Threshold;
use crate::summary::Latency;

/// One run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// Sign-ins made.
    pub sent: u64,
    /// How they ended, by name.
    pub outcomes: BTreeMap<String, u64>,
    /// Those with another verdict than expected.
    pub wrong_outcomes: u64,
    /// Those with neither what was expected nor a verdict.
    pub failed: u64,
    /// Binds at the directory for each sign-in, on average; `None` where the directory does not tell.
    pub binds_per_signin: Option<f64>,
    /// From the planned time to the answer.
    pub latency_ms: Latency,
    /// How well the load was kept to.
    pub generator: GeneratorReport,
    /// What was required.
    pub thresholds: Vec<Threshold>,
    /// Whether the load was what was planned, and so was what was done meanwhile.
    pub valid: bool,

    /// Why it is not valid, in words.
    pub invalid_because: Vec<String>,
    /// What else whoever reads this should know.
    #[serde(default)]
    pub notes: Vec<String>,
    /// How the run ended, when not as planned.
    pub ended_early: Option<String>,
    /// Why the log of HdrHistogram's is not whole, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_error: Option<String>,
    /// What was to be made, and of what.
    pub about: About,
    /// Sums of all kinds.
    pub counts: Counts,
    /// From the time of sending to the answer.
    pub service_ms: Latency,
    /// Each kind of sign-in, with what was expected of it and what came.
    pub kinds: Vec<KindResult>,
    /// What the directory did; `None` where it does not tell.
    pub binds: Option<BindSummary>,
    /// What was done to what is tested.
    pub marks: Vec<Mark>,
    /// Over time, by when sign-ins were planned.
    pub timeline: Vec<Slice>,
    /// How latencies are distributed.
    pub distribution: Vec<Bin>,
    /// Processes of what is tested.
    pub processes: Vec<ProcessUse>,
    /// Who made the binds, over time.
    pub agents: Vec<AgentShare>,
}

/// What was to be made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// Version of the tool.
    pub version: String,
    /// When it began, as RFC 3339 has it.
    pub began_at: String,
    /// Scenario or arm.
    pub name: String,
    /// Where sign-ins went.
    pub targets: Vec<String>,
    /// Stages, in words.
    pub load: String,
    /// Kinds with their shares, in words.
    pub mix: String,
    /// The same seed gives the same sign-ins.
    pub seed: u64,
    /// Seconds that were planned.
    pub planned_s: f64,
    /// Seconds that it took up to the last answer.
    pub lasted_s: f64,
    /// The command, as it was typed.
    pub command: String,
    /// Processors of the machine that the load was made on.
    pub processors: usize,
}

/// Sign-ins in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// All of them.
    pub sent: u64,
    /// With what was expected.
    pub right: u64,
    /// With neither that nor a verdict.
    pub failed: u64,
    /// With another verdict.
    pub wrong: u64,
    /// Of those, who was let in and must not be.
    pub false_successes: u64,
    /// Of those, who was told that the account is locked, though nobody did what would lock it.
    pub locked_out: u64,
}

/// A kind of sign-in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KindResult {
    /// Its name in a mix.
    pub kind: String,
    /// The outcome that was expected.
    pub expected: String,
    /// Those that came.
    pub actual: BTreeMap<String, u64>,
    /// In numbers.
    pub counts: Counts,
    /// From the planned time to the answer.
    #[serde(rename = "latency_ms")]
    pub latency: Latency,
}

/// A while of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// Its beginning, in seconds from that of the run.
    pub from_s: f64,
    /// How long it is.
    pub lasts_s: f64,
    /// How the sign-ins planned in it ended.
    pub outcomes: BTreeMap<String, u64>,
    /// In numbers.
    pub counts: Counts,
    /// From the planned time to the answer, to a hundredth.
    #[serde(rename = "latency_ms")]
    pub latency: Latency,
}

/// A bin of a distribution, from the one before it on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// Its upper bound.
    pub up_to_ms: f64,
    /// How many are in it.
    pub count: u64,
}

/// What a process used.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ProcessUse {
    /// Its name.
    pub name: String,
    /// Processor time in all, in seconds; of a process that was restarted, of all that it was.
    pub cpu_s: f64,
    /// The same for each sign-in, in microseconds.
    pub cpu_us_per_signin: f64,
    /// The most memory at any time.
    pub peak_bytes: u64,
    /// Over time.
    pub samples: Vec<ProcessSample>,
}

/// A process at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ProcessSample {
    /// When, in seconds from the beginning of the run.
    pub at_s: f64,
    /// Processors that it used since the sample before: 1 is one of them all the time.
    pub cpu: f64,
    /// Its resident memory.
    pub memory_bytes: u64,
}

/// What an agent did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AgentShare {
    /// Its name.
    pub name: String,
    /// Its binds in all.
    pub binds: u64,
    /// Its binds in each second: when the second ended, and how many.
    pub samples: Vec<(f64, u64)>,
}

impl About {
    /// Seconds in which sign-ins were sent: those that were planned, if it was not ended before.
    pub fn sending_s(&self) -> f64 {
        self.planned_s.min(self.lasted_s)
    }
}

impl Results {
    /// Whether it is what was wanted: a load as planned, nobody let in who must not be, and every threshold kept.
    pub fn is_good(&self) -> bool {
        self.valid && self.counts.false_successes == 0 && self.thresholds.iter().all(|threshold| threshold.ok)
    }

    /// Right answers a second, over [`About::sending_s`].
    pub fn goodput(&self) -> f64 {
        per_second(self.counts.right, self.about.sending_s())
    }
}

/// So many in so many seconds.
pub(crate) fn per_second(count: u64, seconds: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^52")]
    let count = count as f64;
    if seconds > 0.0 { count / seconds } else { 0.0 }
}
