//! The command that plays fault scenarios. All of them are played by the gate, one after another and with nothing beside
//! them; here only what a busy machine cannot spoil.

use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

use crate::harness::{Scratch, eventually};

/// A short scenario takes twenty seconds, and this machine may be busy.
const PATIENCE: Duration = Duration::from_secs(180);

fn command(arguments: &[&str], folder: &Scratch) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postern"));
    command
        .arg("prove")
        .args(arguments)
        .env("TMPDIR", folder.path())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

async fn prove(arguments: &[&str], folder: &Scratch) -> Output {
    timeout(PATIENCE, command(arguments, folder).output())
        .await
        .unwrap()
        .unwrap()
}

/// Processes of clusters in this folder.
fn processes(folder: &Scratch) -> usize {
    let folder = folder.path().to_str().unwrap();
    let all = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    all.filter(|entry| {
        let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&command).contains(folder)
    })
    .count()
}

#[tokio::test]
async fn the_names_of_the_scenarios_are_told_and_others_are_bad_usage() {
    let folder = Scratch::new();
    let listed = prove(&["list"], &folder).await;
    assert_eq!(listed.status.code(), Some(0));
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert_eq!(listed.lines().count(), 12, "{listed}");
    let refused = prove(&["agent-exploded"], &folder).await;
    assert_eq!(refused.status.code(), Some(64));
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(told.contains("agent-killed"), "{told}");
}

#[tokio::test]
async fn a_scenario_tells_what_it_saw_and_leaves_nothing_behind_when_all_is_well() {
    let folder = Scratch::new();
    let json = folder.path().join("report.json");
    let played = prove(
        &["lone-agent-restarted", "--short", "--json", json.to_str().unwrap()],
        &folder,
    )
    .await;
    let told = String::from_utf8(played.stdout).unwrap();
    assert_eq!(
        played.status.code(),
        Some(0),
        "{told}\n{}",
        String::from_utf8_lossy(&played.stderr)
    );
    assert!(told.ends_with("goals hold\n"), "{told}");
    let reports: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let rows = reports[0]["rows"].as_array().unwrap();
    assert!(
        rows.iter().all(|row| row["sign_ins"]["sent"].as_u64() > Some(0)),
        "{reports}"
    );
    // The directory was asked about each of them.
    assert!(
        rows[0]["binds"]["binds"].as_u64() >= rows[0]["sign_ins"]["sent"].as_u64(),
        "{reports}"
    );
    let left: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["report.json"]);
}

#[tokio::test]
async fn when_it_is_killed_its_cluster_ends_with_it() {
    let folder = Scratch::new();
    let mut playing = command(&["agent-killed", "--short"], &folder)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    // `up`, a relay, three agents and the directory.
    eventually("a cluster is up", || processes(&folder) == 6).await;
    playing.kill().await.unwrap();
    eventually("no process of it is left", || processes(&folder) == 0).await;
}
