//! Looks once a second at what is tested: what each process uses, as the operating system counts it, and how many binds
//! each agent has made.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::cluster::{Cluster, Part};
use crate::results::{AgentShare, ProcessSample, ProcessUse, per_second};
use crate::scrape::Metrics;
use crate::sync::lock;

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// Seconds that a sample is of, at least.
const SHORTEST: f64 = 0.25;

/// Of a process or an agent so many are kept.
const MOST_SAMPLES: usize = 1_800;

/// Who does not answer within this is frozen or gone, and nothing is known of it then.
const PATIENCE: Duration = Duration::from_millis(250);

/// Which process is what, now: a restarted part is another one.
pub type Pids = Arc<Mutex<BTreeMap<String, u32>>>;

/// What is looked at.
#[derive(Debug)]
pub struct Sampler {
    seen: Arc<Mutex<Seen>>,
    _task: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Seen {
    processes: BTreeMap<String, Watched>,
    agents: BTreeMap<String, Counted>,
}

/// A process, or one after another of the same name.
#[derive(Debug, Default)]
struct Watched {
    pid: u32,
    /// When it was last looked at, and what it had used then.
    last: Option<(Duration, Duration)>,
    used: ProcessUse,
}

/// What an agent's counter did. A restarted one begins at 0 again.
#[derive(Debug, Default)]
struct Counted {
    last: Option<u64>,
    share: AgentShare,
}

impl Sampler {
    /// Begins to look; times count from `began`.
    pub fn start(cluster: Option<&Cluster>, pids: Pids, began: Instant) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let own = seen.clone();
        let agents = cluster.map_or_else(Vec::new, |cluster| cluster.about.agents.clone());
        let http = cluster.map(|cluster| cluster.http().clone());
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut tick = interval(INTERVAL);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tick.tick().await;
                let at = began.elapsed();
                look_at_processes(&mut lock(&own), &lock(&pids), at);
                if let Some(http) = &http {
                    let binds = ask(http, &agents).await;
                    lock(&own).count(began.elapsed(), binds);
                }
            }
        });
        Self { seen, _task: task }
    }

    /// Looks once more, and tells what was seen while so many sign-ins were made.
    pub fn stop(self, sign_ins: u64, pids: &Pids, at: Duration) -> (Vec<ProcessUse>, Vec<AgentShare>) {
        let mut seen = lock(&self.seen);
        look_at_processes(&mut seen, &lock(pids), at);
        let Seen { processes, agents } = std::mem::take(&mut *seen);
        let processes = processes.into_values().map(|watched| {
            let mut used = watched.used;
            used.cpu_us_per_signin = match sign_ins {
                0 => 0.0,
                sign_ins => used.cpu_s * 1e6 / per_second(sign_ins, 1.0),
            };
            used
        });
        (
            processes.collect(),
            agents.into_values().map(|counted| counted.share).collect(),
        )
    }
}

fn look_at_processes(seen: &mut Seen, pids: &BTreeMap<String, u32>, at: Duration) {
    for (name, pid) in pids {
        if let Some(usage) = usage(*pid) {
            let watched = seen.processes.entry(name.clone()).or_default();
            watched.used.name.clone_from(name);
            watched.add(*pid, at, usage);
        }
    }
}

impl Watched {
    fn add(&mut self, pid: u32, at: Duration, usage: Usage) {
        // What another process of this name has used, it has used since it began; what this one used before the run is
        // not the run's.
        let before = match self.last {
            Some((_, used)) if self.pid == pid => used,
            Some(_) => Duration::ZERO,
            None => usage.cpu,
        };
        let since = at
            .saturating_sub(self.last.map_or(Duration::ZERO, |(at, _)| at))
            .as_secs_f64();
        let used = usage.cpu.saturating_sub(before).as_secs_f64();
        if self.last.is_some() {
            self.used.cpu_s += used;
        }
        // The last look comes a moment after the one before, and says nothing of that moment: a tick of the clock or none.
        if self.last.is_some() && since >= SHORTEST {
            self.used.samples.push(ProcessSample {
                at_s: at.as_secs_f64(),
                cpu: used / since,
                memory_bytes: usage.memory,
            });
            thin(&mut self.used.samples, |one, next| ProcessSample {
                at_s: next.at_s,
                cpu: f64::midpoint(one.cpu, next.cpu),
                memory_bytes: one.memory_bytes.max(next.memory_bytes),
            });
        }
        self.used.peak_bytes = self.used.peak_bytes.max(usage.memory);
        (self.pid, self.last) = (pid, Some((at, usage.cpu)));
    }
}

impl Seen {
    fn count(&mut self, at: Duration, binds: Vec<(String, u64)>) {
        for (name, binds) in binds {
            let counted = self.agents.entry(name.clone()).or_default();
            counted.share.name = name;
            if let Some(last) = counted.last {
                let new = binds.checked_sub(last).unwrap_or(binds);
                counted.share.binds += new;
                counted.share.samples.push((at.as_secs_f64(), new));
                thin(&mut counted.share.samples, |one, next| (next.0, one.1 + next.1));
            }
            counted.last = Some(binds);
        }
    }
}

/// Makes one of each two when there are too many: a run of a day is to be told in as few as one of half an hour.
fn thin<T: Copy>(samples: &mut Vec<T>, merge: impl Fn(T, T) -> T) {
    if samples.len() < MOST_SAMPLES {
        return;
    }
    let pairs = samples.chunks(2).filter_map(|pair| match pair {
        [one, next] => Some(merge(*one, *next)),
        [one] => Some(*one),
        _ => None,
    });
    *samples = pairs.collect();
}

/// How many binds each agent has made, of those that answer.
async fn ask(http: &reqwest::Client, agents: &[Part]) -> Vec<(String, u64)> {
    let mut asked = JoinSet::new();
    for Part { name, admin, .. } in agents {
        let (http, name, admin) = (http.clone(), name.clone(), admin.clone());
        asked.spawn(async move {
            let metrics = Metrics::ask(&http, &admin, PATIENCE).await.ok()?;
            Some((name, metrics.count("postern_agent_binds_total", &[])))
        });
    }
    asked.join_all().await.into_iter().flatten().collect()
}

/// What a process has used since it began, and its memory now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Usage {
    cpu: Duration,
    memory: u64,
}

fn usage(pid: u32) -> Option<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let page = u64::try_from(rustix::param::page_size()).ok()?;
    parse(&stat, rustix::param::clock_ticks_per_second(), page)
}

/// Reads proc_pid_stat(5).
fn parse(stat: &str, ticks_per_second: u64, page: u64) -> Option<Usage> {
    // The second field is the program's name in brackets, which may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // A zombie has used what it has used, and will be nothing's.
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let ticks = number(14)? + number(15)?;
    let cpu = Duration::from_secs(1).checked_mul(u32::try_from(ticks).ok()?)? / u32::try_from(ticks_per_second).ok()?;
    Some(Usage {
        cpu,
        memory: number(24)? * page,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn usage(ms: u64) -> Usage {
        Usage {
            cpu: Duration::from_millis(ms),
            memory: 4096,
        }
    }

    #[test]
    fn the_systems_line_is_read_past_whatever_the_programs_name_is() {
        let stat = "42 (a) b) 3) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 4 0 100 123456 25 more";
        let expected = Usage {
            cpu: Duration::from_secs(2),
            memory: 25 * 4096,
        };
        assert_eq!(parse(stat, 100, 4096), Some(expected));
        assert_eq!(parse("42 (x) S 1", 100, 4096), None);
    }

    #[test]
    fn what_was_used_before_the_run_is_not_counted_and_what_a_new_process_used_is() {
        let mut watched = Watched::default();
        watched.add(7, Duration::ZERO, usage(5_000));
        watched.add(7, SECOND, usage(5_500));
        watched.add(8, SECOND * 2, usage(250));
        watched.add(8, SECOND * 3, usage(350));
        assert!((watched.used.cpu_s - 0.85).abs() < 1e-9, "{}", watched.used.cpu_s);
        let cpu: Vec<f64> = watched.used.samples.iter().map(|sample| sample.cpu).collect();
        assert_eq!(cpu.len(), 3);
        assert!((cpu[0] - 0.5).abs() < 1e-9 && (cpu[1] - 0.25).abs() < 1e-9);
    }

    #[test]
    fn a_long_run_is_told_in_fewer_samples_and_loses_no_bind() {
        let mut seen = Seen::default();
        for second in 0..20_000u32 {
            seen.count(SECOND * second, vec![("agent-1".to_owned(), u64::from(second) * 3)]);
        }
        let share = &seen.agents["agent-1"].share;
        assert!(share.samples.len() < MOST_SAMPLES, "{}", share.samples.len());
        assert_eq!(share.samples.iter().map(|(_, binds)| binds).sum::<u64>(), share.binds);
        assert!(share.samples.is_sorted_by(|one, next| one.0 < next.0));
    }

    #[test]
    fn an_agent_that_begins_anew_has_made_what_it_counts_since() {
        let mut seen = Seen::default();
        for binds in [100, 150, 20] {
            seen.count(SECOND, vec![("agent-1".to_owned(), binds)]);
        }
        assert_eq!(seen.agents["agent-1"].share.binds, 70);
    }

    #[tokio::test]
    async fn this_process_is_seen() {
        let pids: Pids = Arc::new(Mutex::new([("me".to_owned(), std::process::id())].into()));
        let sampler = Sampler::start(None, pids.clone(), Instant::now());
        tokio::task::yield_now().await;
        let (processes, agents) = sampler.stop(10, &pids, SECOND);
        assert!(processes[0].peak_bytes > 0 && agents.is_empty());
    }
}
