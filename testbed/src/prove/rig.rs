//! The cluster that a scenario is played on: a `postern up` of its own, started for it and ended with it.
//!
//! Everything that is done to it goes the ways that anybody's script can take: the line of `--json`, the controls of the
//! cluster and of mock-dc, signals, and the parts' own configuration files.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use postern_loadtest::cluster::{Cluster, Part};
use postern_loadtest::scrape::{AGENTS, Metrics, READY};
use postern_loadtest::{Generator, Pace, People, Reach, Target};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};
use toml::Table;

use super::agent_log::BindsOfAgent;
use crate::cluster::users::{generated_names, generated_passwords};
/// More than any run takes; they cost the directory nothing until they sign in.
const USERS: u32 = 1_000_000;

/// How long a cluster may take to be ready. Half a minute is told of by `up` itself.
const START: Duration = Duration::from_secs(120);

/// For what takes a fraction of a second: beyond it something hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two questions whether something has come to pass.
const INTERVAL: Duration = Duration::from_millis(50);

/// Sign-ins at once that the generator makes: the relay serves 4,096 connections.
const MOST_AT_ONCE: usize = 4_000;

/// From the relay's defaults: every sign-in is answered by then.
pub const DEADLINE: Duration = Duration::from_secs(4);

/// Beyond the deadline, before the generator gives an answer up.
const GRACE: Duration = Duration::from_secs(2);

/// The directory's answers take 5 ± 2 ms.
const LATENCY: [u64; 2] = [3, 7];

/// What cluster is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Agents.
    pub agents: u16,
    /// Domain controllers.
    pub dcs: u16,
    /// Whether the network between agents and relay can be made bad.
    pub net_faults: bool,
}

impl Default for Shape {
    /// What all scenarios have that need nothing else.
    fn default() -> Self {
        Self {
            agents: 3,
            dcs: 2,
            net_faults: false,
        }
    }
}

/// A cluster for one scenario.
#[derive(Debug)]
pub struct Rig {
    process: Child,
    cluster: Cluster,
    next_user: u32,
}

impl Rig {
    /// Brings a cluster up in `folder`, a new one.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start(shape: Shape, folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        // It writes a line for every bind otherwise, which costs more than the bind.
        let dc_config = folder.join("mock-dc-quiet.toml");
        std::fs::write(&dc_config, "[log]\nlevel = \"warn\"\n")?;
        let (agents, dcs) = (shape.agents.to_string(), shape.dcs.to_string());
        let mut command = Command::new(std::env::current_exe().context("cannot find the program's own file")?);
        command
            .args([
                "up",
                "--end-with-parent",
                "--json",
                "--relays",
                "1",
                "--users",
                &USERS.to_string(),
            ])
            .args(["--agents", &agents, "--dcs", &dcs])
            .arg("--dc-config")
            .arg(&dc_config)
            .arg("--dir")
            .arg(folder.join("cluster"))
            .args(shape.net_faults.then_some("--net-faults"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(folder.join("up.log"))?)
            // Ctrl-C in a terminal goes to a whole process group: this process alone is to get it, and ends the cluster.
            .process_group(0)
            .kill_on_drop(true);
        let mut process = command.spawn().context("cannot start a cluster")?;
        let stdout = process.stdout.take().context("the cluster has no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        let line = timeout(START, lines.next_line()).await;
        let Ok(Ok(Some(line))) = line else {
            let log = std::fs::read_to_string(folder.join("up.log")).unwrap_or_default();
            bail!("the cluster did not come up:\n{log}");
        };
        let cluster = Cluster::read(&line)?;
        let rig = Self {
            process,
            cluster,
            next_user: 1,
        };
        rig.faults(&[]).await?;
        Ok(rig)
    }

    /// What makes sign-ins at the relay.
    ///
    /// # Errors
    /// When the relay cannot be reached.
    pub async fn generator(&self, people: Arc<People>) -> anyhow::Result<Generator> {
        Ok(Generator {
            route: Reach::new(vec![Target::parse(&self.relay()?.api)?]).prepare().await?,
            people,
            pace: Pace::Open {
                most_at_once: MOST_AT_ONCE,
            },
            patience: DEADLINE + GRACE,
        })
    }

    /// So many users that nobody used before.
    ///
    /// # Errors
    /// When there are not as many left.
    pub fn take_people(&mut self, how_many: usize) -> anyhow::Result<Arc<People>> {
        let (first, count) = (self.next_user, u32::try_from(how_many)?);
        let next = first.checked_add(count).filter(|next| *next <= USERS);
        self.next_user = next.context("the cluster has too few users left")?;
        let people = People::generated(generated_names(), generated_passwords(), first, count);
        Ok(Arc::new(people))
    }

    /// The relay.
    ///
    /// # Errors
    /// When there is none.
    pub fn relay(&self) -> anyhow::Result<&Part> {
        self.cluster.about.relays.first().context("a cluster without a relay")
    }

    /// The agents.
    pub fn agents(&self) -> &[Part] {
        &self.cluster.about.agents
    }

    /// The cluster's folder.
    pub fn folder(&self) -> &Path {
        &self.cluster.about.dir
    }

    /// For questions to the cluster.
    pub fn http(&self) -> &reqwest::Client {
        self.cluster.http()
    }

    /// Kills, stops, continues, ends or restarts a part. Its process, which is another one after a restart.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn order(&self, part: &str, what: &str) -> anyhow::Result<u32> {
        self.cluster.order(part, what).await
    }

    /// What each agent bound so far, in the agents' order.
    ///
    /// # Errors
    /// When a log cannot be read.
    pub fn binds_of_agents(&self) -> anyhow::Result<Vec<BindsOfAgent>> {
        let agents = self.agents().iter();
        agents
            .map(|agent| {
                let log = std::fs::read(&agent.log).with_context(|| format!("the log of {}", agent.name))?;
                Ok(BindsOfAgent::read(&String::from_utf8_lossy(&log)))
            })
            .collect()
    }

    /// Sets what the network between an agent and the relay does.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn link(&self, agent: &str, settings: &Value) -> anyhow::Result<()> {
        self.cluster.link(agent, &self.relay()?.name, settings).await
    }

    /// Sets what goes wrong in the directory, beside its usual latency.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn faults(&self, faults: &[Value]) -> anyhow::Result<()> {
        let usual = json!({ "kind": "latency", "uniform_ms": LATENCY });
        let all: Vec<Value> = faults.iter().cloned().chain([usual]).collect();
        self.only_faults(&all).await
    }

    /// Sets what goes wrong in the directory, and nothing beside it.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn only_faults(&self, faults: &[Value]) -> anyhow::Result<()> {
        self.cluster.set_directory_faults(faults).await
    }

    /// What mock-dc tells of binds: lines of JSON.
    ///
    /// # Errors
    /// When it cannot be had.
    pub async fn binds(&self) -> anyhow::Result<String> {
        self.cluster.binds().await
    }

    /// What the relay counts.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn relay_metrics(&self) -> anyhow::Result<Metrics> {
        self.cluster.metrics(self.relay()?).await
    }

    /// What all agents together count.
    ///
    /// # Errors
    /// When one does not answer.
    pub async fn agents_count(&self, name: &str, labels: &[(&str, &str)]) -> anyhow::Result<u64> {
        let mut sum = 0;
        for agent in self.agents() {
            let metrics = self.cluster.metrics(agent).await?;
            sum += metrics.count(name, labels);
        }
        Ok(sum)
    }

    /// Changes the configuration of a part and restarts it.
    ///
    /// # Errors
    /// When its file cannot be read or written, or it does not start with it.
    pub async fn reconfigure(&self, part: &str, change: impl FnOnce(&mut Table)) -> anyhow::Result<()> {
        let path = self.folder().join(format!("{part}.toml"));
        let cannot = || format!("the configuration of {part}");
        let mut table: Table = toml::from_str(&std::fs::read_to_string(&path).with_context(cannot)?)?;
        change(&mut table);
        std::fs::write(&path, toml::to_string(&table)?).with_context(cannot)?;
        self.order(part, "restart").await?;
        Ok(())
    }

    /// Gives every agent so many connections to the directory.
    ///
    /// # Errors
    /// When one cannot be restarted with them.
    pub async fn set_connections(&self, connections: i64) -> anyhow::Result<()> {
        for agent in self.agents() {
            self.reconfigure(&agent.name, |file| {
                if let Some(directory) = file.get_mut("directory").and_then(toml::Value::as_table_mut) {
                    directory.insert("connections".to_owned(), connections.into());
                }
            })
            .await?;
        }
        self.wait_ready(self.agents().len()).await
    }

    /// Waits until the relay has exactly this many agents that can take sign-ins.
    ///
    /// # Errors
    /// When that never comes to pass.
    pub async fn wait_ready(&self, agents: usize) -> anyhow::Result<()> {
        let wait = async {
            loop {
                let ready = self
                    .relay_metrics()
                    .await
                    .map(|metrics| metrics.count(AGENTS, &[READY]));
                if ready.ok() == u64::try_from(agents).ok() {
                    return;
                }
                sleep(INTERVAL).await;
            }
        };
        timeout(PATIENCE, wait)
            .await
            .with_context(|| format!("the relay never had {agents} agents that are ready"))
    }

    /// Ends the cluster, in order.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn end(mut self) -> anyhow::Result<()> {
        let pid = self
            .process
            .id()
            .and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        // Not waited for yet, so the pid is its own.
        if let Some(pid) = pid {
            kill_process(pid, Signal::TERM)?;
        }
        timeout(PATIENCE, self.process.wait())
            .await
            .context("the cluster does not end")??;
        Ok(())
    }

    /// The realm's name.
    pub fn realm(&self) -> &str {
        &self.cluster.about.realm
    }
}
