//! One run: the load, what is done to the cluster meanwhile, and everything that was seen of it.

use std::time::Duration;

use anyhow::Context as _;
use postern_loadtest::binds::BindSummary;
use postern_loadtest::generator::GeneratorReport;
use postern_loadtest::{Arrivals, Bind, Binds, Latency, Load, Mix, Record, Stage, Summary};
use tokio::time::{Instant, sleep, sleep_until};

use super::agent_log::BindsOfAgent;
use super::judge;
use super::phases::{Moment, Window};
use super::report::Row;
use super::rig::Rig;
use super::sampler::{Sample, Sampler};
use crate::cluster::users::generated_name;

/// The share of wrong passwords.
const WRONG: f64 = 0.3;

/// After the last answer, before the directory is asked for its record: what a frozen agent would still bind has come.
const SETTLE: Duration = Duration::from_secs(1);

/// The time of a run.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    began: Instant,
}

impl Clock {
    /// Waits until this moment of the run.
    pub async fn until(&self, at: Duration) {
        sleep_until(self.began + at).await;
    }

    /// How long the run has lasted.
    pub fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Does something to the cluster, and tells when that was.
    ///
    /// # Errors
    /// When it could not be done.
    pub async fn moment<T>(&self, action: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<Moment> {
        Ok(self.timed(action).await?.0)
    }

    /// The same, with what came of it.
    ///
    /// # Errors
    /// When it could not be done.
    pub async fn timed<T>(&self, action: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<(Moment, T)> {
        let ordered = self.now();
        let result = action.await?;
        let done = self.now();
        Ok((Moment { ordered, done }, result))
    }
}

/// What was seen of a run.
#[derive(Debug)]
pub struct Evidence {
    /// What became of each sign-in.
    pub records: Vec<Record>,
    /// What the directory did.
    pub binds: Binds,
    /// How the relay stood.
    pub samples: Vec<Sample>,
    /// Who bound, in the agents' order.
    agents: Vec<BindsOfAgent>,
    /// How well the load was what was planned.
    pub generator: GeneratorReport,
}

impl Evidence {
    /// The sign-ins planned in a window, in numbers.
    pub fn summary(&self, window: Window) -> Summary {
        Summary::of(window.of(&self.records))
    }

    /// Their latencies.
    pub fn latency(&self, window: Window) -> Latency {
        Latency::of(window.of(&self.records).map(|record| record.latency))
    }

    /// Their binds, in numbers.
    pub fn binds_of(&self, window: Window) -> BindSummary {
        BindSummary::of(window.of(&self.records))
    }

    /// When agent number `index` first bound for a sign-in that was planned at or after `from`; how long after it.
    pub fn bound_again(&self, index: usize, from: Duration) -> Option<Duration> {
        let later = self.records.iter().filter(|record| record.attempt.at >= from);
        let binds = later.flat_map(|record| self.binds.of(&generated_name(record.attempt.user)));
        let own = binds.filter(|bind| self.is_of(index, bind));
        own.map(|bind| bind.at.saturating_sub(from)).min()
    }

    /// The share of agent number `index` in the binds of a window.
    pub fn share(&self, index: usize, window: Window) -> f64 {
        let all = self.binds.iter().filter(|bind| window.contains(bind.at));
        let (mut own, mut every) = (0, 0);
        for bind in all {
            every += 1;
            own += u64::from(self.is_of(index, bind));
        }
        judge::share(own, every)
    }

    fn is_of(&self, index: usize, bind: &Bind) -> bool {
        self.agents.get(index).is_some_and(|agent| agent.contains(bind))
    }

    /// A row of a table.
    pub fn row(&self, phase: &str, window: Window) -> Row {
        Row {
            phase: phase.to_owned(),
            sign_ins: self.summary(window),
            binds: self.binds_of(window),
        }
    }
}

/// Makes the sign-ins of `stages` while `script` does something to the cluster. What the script returns comes with the
/// evidence.
///
/// # Errors
/// When the cluster cannot be asked, or the script fails.
pub async fn drive<T>(
    rig: &mut Rig,
    stages: &[Stage],
    seed: u64,
    script: impl AsyncFnOnce(&Rig, &Clock) -> anyhow::Result<T>,
) -> anyhow::Result<(Evidence, T)> {
    let load = Load {
        stages: stages.to_vec(),
        arrivals: Arrivals::Constant,
        mix: Mix::wrong(WRONG),
        seed,
    };
    let people = rig.take_people(load.iter().count())?;
    let running = rig.generator(people.clone()).await?.start(load).await?;
    let clock = Clock { began: running.began };
    let sampler = Sampler::start(rig, clock.began)?;
    let (run, told) = tokio::try_join!(running.end(), script(rig, &clock)).context("in the middle of a run")?;
    sleep(SETTLE).await;
    let samples = sampler.stop();
    let binds = Binds::read(&rig.binds().await?, run.began_at)?;
    let mut records = run.records;
    binds.attribute(&mut records, &people);
    let evidence = Evidence {
        binds,
        records,
        samples,
        agents: rig.binds_of_agents()?,
        generator: run.generator,
    };
    Ok((evidence, told))
}
