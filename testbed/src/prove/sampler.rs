//! Looks at relay and agents ten times a second while a scenario runs: who is in session, who binds, how much memory.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::metrics::Metrics;
use super::rig::{AGENTS, Part, READY, Rig, metrics};

/// Often enough for goals of seconds, seldom enough to cost nothing.
const INTERVAL: Duration = Duration::from_millis(100);

/// Who does not answer within this is frozen or gone, and nothing is known of it then.
const PATIENCE: Duration = Duration::from_millis(250);

/// How things stood at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// When it was asked for, from the beginning of the run.
    pub at: Duration,
    /// The relay, if it answered.
    pub relay: Option<RelaySample>,
    /// What each agent has bound so far, if it answered.
    pub binds: Vec<Option<u64>>,
}

/// A relay at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct RelaySample {
    /// Agents that can take sign-ins.
    pub ready: u64,
    /// Connections of agents.
    pub links: u64,
    /// Attempts so far of which it is unknown whether a bind was made.
    pub ambiguous: u64,
    /// Resident memory, in bytes.
    pub memory: u64,
}

impl RelaySample {
    /// From a reading.
    pub fn of(metrics: &Metrics) -> Self {
        Self {
            ready: metrics.count(AGENTS, &READY),
            links: metrics.count("postern_relay_links", &[]),
            ambiguous: metrics.count("postern_relay_ambiguous_total", &[]),
            memory: metrics.count("process_resident_memory_bytes", &[]),
        }
    }
}

/// Samples until it is stopped.
#[derive(Debug)]
pub struct Sampler {
    samples: Arc<Mutex<Vec<Sample>>>,
    _task: JoinSet<()>,
}

impl Sampler {
    /// Begins to look at the cluster; times count from `began`.
    ///
    /// # Errors
    /// When there is no relay.
    pub fn start(rig: &Rig, began: Instant) -> anyhow::Result<Self> {
        let (http, relay) = (rig.http().clone(), rig.relay()?.clone());
        let agents = rig.agents().to_vec();
        let samples = Arc::new(Mutex::new(Vec::new()));
        let mut task = JoinSet::new();
        let kept = samples.clone();
        task.spawn(async move {
            let mut tick = interval(INTERVAL);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tick.tick().await;
                let sample = look(&http, &relay, &agents, began).await;
                // Whole after every statement.
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(sample);
            }
        });
        Ok(Self { samples, _task: task })
    }

    /// Stops, and tells what it saw.
    pub fn stop(self) -> Vec<Sample> {
        std::mem::take(&mut *self.samples.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn look(http: &reqwest::Client, relay: &Part, agents: &[Part], began: Instant) -> Sample {
    let at = began.elapsed();
    // All at once: one that is frozen must not hold the others up.
    let mut asked = JoinSet::new();
    for (index, part) in std::iter::once(relay).chain(agents).enumerate() {
        let (http, admin) = (http.clone(), part.admin.clone());
        asked.spawn(async move { (index, metrics(&http, &admin, PATIENCE).await.ok()) });
    }
    let mut readings: Vec<Option<Metrics>> = vec![None; agents.len() + 1];
    while let Some(Ok((index, reading))) = asked.join_next().await {
        if let Some(place) = readings.get_mut(index) {
            *place = reading;
        }
    }
    let mut readings = readings.into_iter();
    let relay = readings.next().flatten();
    let binds = readings.map(|reading| Some(reading?.count("postern_agent_binds_total", &[])));
    Sample {
        at,
        relay: relay.as_ref().map(RelaySample::of),
        binds: binds.collect(),
    }
}

/// When something first held at or after `from`, as the relay told it; how long after `from` that was.
pub fn first(samples: &[Sample], from: Duration, holds: impl Fn(&RelaySample) -> bool) -> Option<Duration> {
    let mut later = samples.iter().filter(|sample| sample.at >= from);
    let found = later.find(|sample| sample.relay.as_ref().is_some_and(&holds))?;
    Some(found.at - from)
}

/// When agent number `index` first bound again at or after `from`; how long after `from` that was.
pub fn bound_again(samples: &[Sample], index: usize, from: Duration) -> Option<Duration> {
    let counted = samples
        .iter()
        .filter_map(|sample| Some((sample.at, (*sample.binds.get(index)?)?)));
    let mut before = None;
    for (at, binds) in counted {
        if at < from {
            before = Some(binds);
        } else if before.is_some_and(|before| binds != before) {
            return Some(at - from);
        } else {
            before = Some(binds);
        }
    }
    None
}

/// The share of each agent in the binds between two moments, as the agents count them.
pub fn shares(samples: &[Sample], from: Duration, until: Duration) -> Vec<f64> {
    let within: Vec<&Sample> = samples
        .iter()
        .filter(|sample| (from..until).contains(&sample.at))
        .collect();
    let agents = within.first().map_or(0, |sample| sample.binds.len());
    let made: Vec<u64> = (0..agents)
        .map(|index| {
            let mut counts = within.iter().filter_map(|sample| *sample.binds.get(index)?);
            let first = counts.next().unwrap_or_default();
            counts.next_back().unwrap_or(first).saturating_sub(first)
        })
        .collect();
    let all = made.iter().sum();
    made.iter().map(|&own| super::judge::share(own, all)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn sample(at: u64, ready: u64, binds: [Option<u64>; 2]) -> Sample {
        Sample {
            at: ms(at),
            relay: Some(RelaySample {
                ready,
                links: 3,
                ambiguous: 0,
                memory: 0,
            }),
            binds: binds.to_vec(),
        }
    }

    #[test]
    fn what_first_holds_is_counted_from_the_moment_asked_about() {
        let samples = [
            sample(0, 2, [None; 2]),
            sample(100, 3, [None; 2]),
            sample(200, 2, [None; 2]),
        ];
        assert_eq!(first(&samples, ms(50), |relay| relay.ready < 3), Some(ms(150)));
        assert_eq!(first(&samples, ms(50), |relay| relay.ready > 3), None);
    }

    #[test]
    fn an_agent_binds_again_when_its_count_moves_after_it_was_silent() {
        let samples = [
            sample(0, 3, [Some(10), Some(5)]),
            sample(100, 3, [None, Some(6)]),
            sample(200, 3, [Some(10), Some(7)]),
            sample(300, 3, [Some(11), Some(8)]),
        ];
        assert_eq!(bound_again(&samples, 0, ms(150)), Some(ms(150)));
        assert_eq!(bound_again(&samples[..3], 0, ms(150)), None);
    }

    #[test]
    fn shares_are_of_what_was_bound_between_two_moments() {
        let samples = [
            sample(0, 3, [Some(0), Some(0)]),
            sample(100, 3, [Some(50), Some(50)]),
            sample(200, 3, [Some(80), Some(140)]),
        ];
        let shares = shares(&samples, ms(100), ms(300));
        assert!(
            (shares[0] - 0.25).abs() < 1e-9 && (shares[1] - 0.75).abs() < 1e-9,
            "{shares:?}"
        );
    }
}
