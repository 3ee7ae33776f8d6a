//! Commands of a shell that are run as faults, and their end: what they leave behind does not outlive the run.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::process::Command;
use tokio::time::timeout;

/// A command may take so long. What comes after it waits.
const LONGEST: Duration = Duration::from_secs(60);

/// Process groups of the commands of one run. Dropped, it ends what still runs in them.
#[derive(Debug, Default)]
pub(super) struct Commands {
    /// Those that may have somebody in them. A group that was found empty is no longer ours to end: its number may be
    /// another one's.
    groups: Vec<Pid>,
}

impl Commands {
    /// Runs one to its end.
    pub(super) async fn run(&mut self, command: &str) -> anyhow::Result<()> {
        let mut shell = Command::new("/bin/sh");
        shell
            .args(["-c", command])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let child = shell.spawn().context("cannot start a shell")?;
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        self.groups.extend(group);
        let output = timeout(LONGEST, child.wait_with_output()).await;
        self.groups.retain(|group| test_kill_process_group(*group).is_ok());
        let output = output.context("it takes more than a minute; let it go on by itself (… >/dev/null 2>&1 &)")?;
        let output = output.context("cannot wait for it")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("{}: {}", output.status, said.trim());
        }
        Ok(())
    }
}

impl Drop for Commands {
    fn drop(&mut self) {
        for group in &self.groups {
            // Nobody may be left.
            let _ = kill_process_group(*group, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_command_leaves_running_ends_with_the_run_and_not_before() {
        let mut commands = Commands::default();
        commands.run("sleep 600 >/dev/null 2>&1 &").await.unwrap();
        let [group] = commands.groups.as_slice() else {
            panic!("{commands:?}");
        };
        let group = *group;
        assert!(test_kill_process_group(group).is_ok(), "it runs on");
        drop(commands);
        // Whoever takes in orphans reaps it, in a moment: until then it is a zombie.
        let ended = async {
            while is_alive(group) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(30), ended).await.unwrap();
    }

    /// Whether any process of the group is more than a zombie.
    fn is_alive(group: Pid) -> bool {
        let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        let stats = processes.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
        stats.into_iter().any(|stat| {
            let fields: Vec<&str> = stat.rsplit_once(')').unwrap_or_default().1.split_whitespace().collect();
            fields.first() != Some(&"Z") && fields.get(2) == Some(&group.as_raw_nonzero().to_string().as_str())
        })
    }

    #[tokio::test]
    async fn of_a_command_that_leaves_nothing_nothing_is_kept() {
        let mut commands = Commands::default();
        commands.run("true").await.unwrap();
        let error = commands.run("echo no >&2; exit 3").await.unwrap_err();
        assert_eq!(error.to_string(), "exit status: 3: no");
        assert!(commands.groups.is_empty());
    }
}
