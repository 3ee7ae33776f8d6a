//! Looks at the relay ten times a second while a scenario runs: who is in session, how much memory it has.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::rig::Rig;
use postern_loadtest::scrape::{AGENTS, Metrics, READY};

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
            ready: metrics.count(AGENTS, &[READY]),
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
        let samples = Arc::new(Mutex::new(Vec::new()));
        let mut task = JoinSet::new();
        let kept = samples.clone();
        task.spawn(async move {
            let mut tick = interval(INTERVAL);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tick.tick().await;
                let at = began.elapsed();
                let reading = Metrics::ask(&http, &relay.admin, PATIENCE).await;
                let sample = Sample {
                    at,
                    relay: reading.ok().as_ref().map(RelaySample::of),
                };
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

/// When something first held at or after `from`, as the relay told it; how long after `from` that was.
pub fn first(samples: &[Sample], from: Duration, holds: impl Fn(&RelaySample) -> bool) -> Option<Duration> {
    let mut later = samples.iter().filter(|sample| sample.at >= from);
    let found = later.find(|sample| sample.relay.as_ref().is_some_and(&holds))?;
    Some(found.at - from)
}

/// The fewest agents that the relay counted on at or after `from`; `None` if it never told.
pub fn fewest_ready(samples: &[Sample], from: Duration) -> Option<u64> {
    let later = samples.iter().filter(|sample| sample.at >= from);
    later.filter_map(|sample| Some(sample.relay.as_ref()?.ready)).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn sample(at: u64, ready: u64) -> Sample {
        Sample {
            at: ms(at),
            relay: Some(RelaySample {
                ready,
                links: 3,
                ambiguous: 0,
                memory: 0,
            }),
        }
    }

    #[test]
    fn what_first_holds_is_counted_from_the_moment_asked_about() {
        let samples = [sample(0, 2), sample(100, 3), sample(200, 2)];
        assert_eq!(first(&samples, ms(50), |relay| relay.ready < 3), Some(ms(150)));
        assert_eq!(first(&samples, ms(50), |relay| relay.ready > 3), None);
    }

    #[test]
    fn fewest_are_counted_from_the_moment_asked_about_and_never_of_a_relay_that_is_silent() {
        let silent = Sample {
            at: ms(400),
            relay: None,
        };
        let samples = [sample(0, 1), sample(100, 3), sample(200, 2), sample(300, 3), silent];
        assert_eq!(fewest_ready(&samples, ms(50)), Some(2));
        assert_eq!(fewest_ready(&samples, ms(250)), Some(3));
        assert_eq!(fewest_ready(&samples, ms(350)), None);
    }
}
