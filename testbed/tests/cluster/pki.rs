//! `postern pki`: what it makes is what relays and agents of a cluster accept.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use toml::Table;

use crate::harness::{Cluster, Setup};

fn postern(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_postern"))
        .args(arguments)
        .output()
        .unwrap()
}

fn succeeds(arguments: &[&str]) -> String {
    let output = postern(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn refused(arguments: &[&str]) -> String {
    let output = postern(arguments);
    assert!(!output.status.success(), "{arguments:?} was accepted");
    String::from_utf8(output.stderr).unwrap()
}

/// An agent of the cluster under another name, with a certificate that `postern pki` makes. Ends when dropped.
fn extra_agent(cluster: &Cluster, name: &str) -> tokio::process::Child {
    let dir = cluster.text("/dir");
    succeeds(&["pki", "agent", &format!("acme/corp.example.com/{name}"), dir]);
    let text = std::fs::read_to_string(cluster.running.config("agent-1")).unwrap();
    let mut config: Table = toml::from_str(&text.replace("agent-1", name)).unwrap();
    config["admin"]["listen"] = "127.0.0.1:0".into();
    let path = cluster.running.config(name);
    std::fs::write(&path, toml::to_string(&config).unwrap()).unwrap();
    tokio::process::Command::new(env!("CARGO_BIN_EXE_postern"))
        .arg("agent")
        .arg("--config")
        .arg(&path)
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn an_agent_with_a_certificate_from_the_clusters_folder_joins_it() {
    let cluster = Setup::new(&["--agents", "1", "--users", "1"]).start().await;
    let mut agent = extra_agent(&cluster, "agent-extra");
    cluster.agents_known(2).await;
    // It carries the realm alone.
    assert_eq!(cluster.order("agent-1", "kill").await.0, 200);
    let answer = cluster.sign_in("user000001@corp.example.com", "Postern-000001").await;
    assert_eq!(answer.outcome(), "success");
    agent.kill().await.unwrap();
}

#[test]
fn it_says_which_files_it_made_and_refuses_what_would_do_harm() {
    let folder = std::env::temp_dir().join(format!("postern-e2e-{:016x}", rand::random::<u64>()));
    let dir = folder.to_str().unwrap();
    assert!(refused(&["pki", "relay", "relay-1", "--dns", "a.example", dir]).contains("postern pki init"));
    succeeds(&["pki", "init", dir]);
    assert!(refused(&["pki", "init", dir]).contains("holds a PKI already"));
    let text = succeeds(&["pki", "relay", "relay-1", "--dns", "a.example", "b.example", dir]);
    let text = text + &succeeds(&["pki", "agent", "acme/corp.example.com/agent-1", dir]);
    let paths: Vec<&str> = text.split_whitespace().filter(|word| word.starts_with(dir)).collect();
    assert!(
        paths.len() >= 6 && paths.iter().all(|path| Path::new(path).is_file()),
        "{paths:?}"
    );
    assert!(refused(&["pki", "agent", "acme/agent-1", dir]).contains("three names"));
    assert!(refused(&["pki", "agent", "acme/../agent-1", dir]).contains("is not a name"));
    std::fs::remove_dir_all(&folder).unwrap();
}
