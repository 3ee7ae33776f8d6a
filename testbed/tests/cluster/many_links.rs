//! `postern links`: what it plays are agents to the relay, and what it tells of them is true. Few links: nothing here is
//! about how many there can be.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use crate::harness::{Cluster, PATIENCE, Scratch, Setup, signal};

const USER: (&str, &str) = ("user000001@corp.example.com", "Postern-000001");

fn command(cluster: &Path, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postern"));
    command
        .arg("links")
        .arg("--cluster")
        .arg(cluster)
        .args(arguments.split_whitespace())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn links(cluster: &Path, arguments: &str) -> Output {
    timeout(PATIENCE, command(cluster, arguments).output())
        .await
        .unwrap()
        .unwrap()
}

/// Refused with this exit code, and these words.
async fn refused(cluster: &Path, arguments: &str, code: i32, words: &str) {
    let output = links(cluster, arguments).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments}: {said}");
    assert!(said.contains(words), "{arguments}: {said}");
    assert!(output.stdout.is_empty() && !said.contains("panicked"), "{said}");
}

fn write(folder: &Scratch, cluster: &Cluster) -> PathBuf {
    let file = folder.path().join("cluster.json");
    std::fs::write(&file, &cluster.line).unwrap();
    file
}

#[tokio::test]
async fn a_cluster_without_agents_is_served_by_links_and_what_sign_ins_cost_is_told_apart_from_idle_links() {
    let cluster = Setup::new(&["--agents", "0", "--dcs", "1", "--users", "1"])
        .start()
        .await;
    assert_eq!(cluster.about["agents"], json!([]));
    assert_eq!(cluster.sign_in(USER.0, USER.1).await.body["reason"], "no_agent");

    let folder = Scratch::new();
    let mut playing = command(&write(&folder, &cluster), "--links 20 --duration 10m --json")
        .spawn()
        .unwrap();
    let mut said = BufReader::new(playing.stderr.take().unwrap()).lines();
    let ready = async {
        let mut all = String::new();
        while let Some(line) = said.next_line().await.unwrap() {
            all += &line;
            if line.contains("sign-ins may begin") {
                return;
            }
        }
        panic!("it never said that sign-ins may begin: {all}");
    };
    timeout(PATIENCE, ready).await.unwrap();
    cluster.agents_ready(20).await;
    for _ in 0..40 {
        // Whatever the password: no directory is asked.
        let answer = cluster.sign_in(USER.0, "not the password").await;
        assert_eq!(answer.outcome(), "success", "{answer:?}");
    }
    assert!(cluster.binds().await.is_empty());

    signal(playing.id().unwrap(), rustix::process::Signal::INT);
    let output = timeout(PATIENCE, async {
        // What it says goes on being read, or it would wait for a reader.
        while said.next_line().await.unwrap().is_some() {}
        playing.wait_with_output().await.unwrap()
    });
    let output = output.await.unwrap();
    assert_eq!(output.status.code(), Some(130));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (
            &summary["links"],
            &summary["up"],
            &summary["lost"],
            &summary["sign_ins"]
        ),
        (&json!(20), &json!(20), &json!(0), &json!(40)),
        "{summary}"
    );
    let figure = |name: &str| summary[name].as_f64().unwrap_or_else(|| panic!("{name}: {summary}"));
    assert!((200.0..1_200.0).contains(&figure("bytes_per_sign_in")), "{summary}");
    assert!(figure("idle_bytes_per_link_s") > 50.0, "{summary}");
    assert!(figure("relay_bytes_per_link") > 0.0, "{summary}");
    assert!(
        figure("bytes_sent") > 0.0 && figure("bytes_received") > 0.0,
        "{summary}"
    );
    // They said goodbye, so the relay does not wait until it misses them.
    cluster.agents_known(0).await;
}

#[tokio::test]
async fn what_cannot_be_used_is_named_with_what_to_do() {
    let folder = Scratch::new();
    let file = folder.path().join("cluster.json");
    refused(&file, "--links 0", 64, "--links").await;
    refused(&file, "--agents-named a/b", 64, "--agents-named").await;
    refused(&file, "--duration 3", 64, "30s").await;
    refused(&file, "--links 1", 1, "the line that `postern up --json` prints").await;
    std::fs::write(&file, "{}").unwrap();
    refused(&file, "--links 1", 1, "this is not what `postern up --json` prints").await;

    let mut cluster = Setup::new(&["--agents", "0", "--dcs", "1", "--users", "1"])
        .start()
        .await;
    let file = write(&folder, &cluster);
    let marker = Path::new(cluster.text("/dir")).join("pki.toml");
    let hidden = marker.with_extension("hidden");
    std::fs::rename(&marker, &hidden).unwrap();
    refused(&file, "--links 1", 1, "the cluster's folder").await;
    std::fs::rename(&hidden, &marker).unwrap();

    signal(cluster.running.pid(), rustix::process::Signal::TERM);
    cluster.running.end().await;
    refused(&file, "--links 1", 1, "is the cluster still up?").await;
}
