//! A cluster of `postern up`, and what its processes cost.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;

use crate::say;

/// The program that everything is a part of.
pub(crate) const POSTERN: &str = env!("CARGO_BIN_EXE_postern");

/// Ticks of the accounts, a second: what Linux tells every program, whatever its own clock.
const TICKS: f64 = 100.0;

/// A running cluster, ended when this is dropped.
pub(crate) struct Cluster {
    child: Child,
    /// The line that it is described by.
    pub(crate) line: Value,
    /// The file with that line.
    pub(crate) file: PathBuf,
    folder: PathBuf,
    replaced: Option<Running>,
}

impl Cluster {
    /// Brings one up, with these further arguments.
    pub(crate) fn up(arguments: &[&str]) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("postern-speed-{}", std::process::id()));
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let typed = ["up", "--json", "--users", "20000"].iter().chain(arguments);
        say(&format!(
            "    $ postern {} > cluster.json &",
            typed.clone().copied().collect::<Vec<_>>().join(" ")
        ));
        let mut child = Command::new(POSTERN)
            .args(typed)
            .arg("--dir")
            .arg(folder.join("cluster"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start postern")?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("no standard output")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let Ok(parsed) = serde_json::from_str(&line) else {
            let _ = child.wait();
            bail!("`postern up` did not come up; its logs are in {}", folder.display());
        };
        let file = folder.join("cluster.json");
        fs::write(&file, &line)?;
        Ok(Self {
            child,
            line: parsed,
            file,
            folder,
            replaced: None,
        })
    }

    /// Puts another relay in the place of the first, with this setting of the environment.
    pub(crate) fn relay_with(mut self, name: &str, value: &str) -> anyhow::Result<Self> {
        let relay = &mut self.line["relays"][0];
        let argv: Vec<String> = serde_json::from_value(relay["argv"].clone())?;
        let argv: Vec<&String> = argv
            .iter()
            .filter(|argument| *argument != "--end-with-parent")
            .collect();
        let old = relay["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
        let old = old.and_then(rustix::process::Pid::from_raw).context("no pid")?;
        rustix::process::kill_process(old, rustix::process::Signal::KILL)?;
        std::thread::sleep(Duration::from_millis(500));
        let (program, arguments) = argv.split_first().context("no argv")?;
        say(&format!("    $ kill RELAY; {name}={value} postern relay --config …"));
        let child = Command::new(program)
            .args(arguments)
            .env(name, value)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start the relay")?;
        relay["pid"] = child.id().into();
        fs::write(&self.file, self.line.to_string())?;
        self.replaced = Some(Running(child));
        // Agents dial again within seconds.
        std::thread::sleep(Duration::from_secs(4));
        Ok(self)
    }

    /// The first relay's API.
    pub(crate) fn api(&self) -> &str {
        self.line["relays"][0]["api"].as_str().unwrap_or_default()
    }

    /// One domain controller's LDAPS port, and the authority of its certificate.
    pub(crate) fn ldaps(&self) -> anyhow::Result<(u16, PathBuf)> {
        let url = self.line["dcs"][0]["ldaps"].as_str().unwrap_or_default();
        let port = url.rsplit(':').next().and_then(|port| port.parse().ok());
        let ca = self.line["ca"].as_str().context("no ca")?;
        Ok((port.context("no LDAPS port")?, ca.into()))
    }

    /// The folder of its development PKI.
    pub(crate) fn pki(&self) -> anyhow::Result<PathBuf> {
        Ok(Path::new(self.line["dir"].as_str().context("no dir")?).to_owned())
    }

    /// The kinds of its processes with their ids.
    fn processes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        ["relay", "agent", "dc"].into_iter().flat_map(|kind| {
            let all = self.line[format!("{kind}s").as_str()].as_array();
            // Controllers are one process.
            let count = if kind == "dc" { 1 } else { usize::MAX };
            let entries = all.into_iter().flatten().take(count);
            entries.filter_map(move |entry| Some((kind, entry["pid"].as_u64()?)))
        })
    }

    /// The seconds of CPU that each kind of process has had.
    pub(crate) fn cpu(&self) -> Cpu {
        let mut cpu = Cpu::default();
        for (kind, pid) in self.processes() {
            *cpu.0.entry(kind).or_default() += seconds_of(pid).unwrap_or_default();
        }
        cpu
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.replaced.take());
        if let Some(pid) = i32::try_from(self.child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw)
        {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Seconds of CPU by kind of process.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cpu(pub(crate) BTreeMap<&'static str, f64>);

impl Cpu {
    /// What was used since `before`.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let of = |kind: &&'static str| before.0.get(*kind).copied().unwrap_or_default();
        Self(self.0.iter().map(|(kind, now)| (*kind, now - of(kind))).collect())
    }

    /// Microseconds for each of `count`.
    pub(crate) fn each(&self, count: f64) -> BTreeMap<&'static str, f64> {
        self.0
            .iter()
            .map(|(kind, seconds)| (*kind, seconds * 1e6 / count.max(1.0)))
            .collect()
    }
}

/// User and system time of a process, by `/proc/PID/stat`.
pub(crate) fn seconds_of(pid: u64) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) / TICKS)
}

/// A process that is ended with this.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
