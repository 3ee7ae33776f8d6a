//! `postern agent check` beside a cluster that runs: it finds nothing wrong, and nobody notices it.

use std::process::Stdio;
use std::time::Instant;

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::harness::{Cluster, PATIENCE, Setup};

const USER: &str = "user000001@corp.example.com";
const PASSWORD: &str = "Postern-000001";
const OTHER: &str = "user000002@corp.example.com";
const OTHERS_PASSWORD: &str = "Postern-000002";

/// Exit code and everything that the doctor of the first agent said, with `password` on its standard input.
async fn check(cluster: &Cluster, more: &[&str], password: &str) -> (i32, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_postern"))
        .args(["agent", "check", "--config"])
        .arg(cluster.running.config("agent-1"))
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    // Whoever is not asked for it does not read it.
    let _ = input.write_all(format!("{password}\n").as_bytes()).await;
    drop(input);
    let output = child.wait_with_output().await.unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

/// An account as the directory has it, its counters included.
async fn account(cluster: &Cluster, name: &str) -> Value {
    let url = format!("{}/users/{name}", cluster.text("/dcs/0/control"));
    cluster.http.get(url).send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn a_healthy_cluster_has_nothing_failed_and_nobody_notices_the_doctor_but_the_user_who_is_asked_for() {
    let cluster = Setup::new(&["--agents", "1", "--dcs", "2", "--users", "5"])
        .start()
        .await;
    let before = (
        account(&cluster, "user000001").await,
        account(&cluster, "user000002").await,
    );

    // People sign in all the while.
    let mut sign_ins = 0;
    let doctor = check(&cluster, &["--json"], "");
    tokio::pin!(doctor);
    let (code, text) = loop {
        tokio::select! {
            biased;
            said = &mut doctor => break said,
            answer = cluster.sign_in(OTHER, OTHERS_PASSWORD) => {
                assert_eq!(answer.outcome(), "success");
                sign_ins += 1;
            }
        }
    };
    let said: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!((code, &said["ok"]), (0, &Value::Bool(true)), "{text}");
    let steps = said["steps"].as_array().unwrap();
    assert!(steps.iter().all(|step| step["status"] == "ok"), "{text}");
    assert_eq!(steps.iter().filter(|step| step["step"] == "directory.kind").count(), 2);
    let bound_by = |binds: &[Value], user: &str| binds.iter().filter(|bind| bind["user"] == user).count();
    let binds = cluster.binds().await;
    // The last sign-in may have been given up by this test in the middle.
    let others = bound_by(&binds, "user000002");
    assert!((sign_ins..=sign_ins + 1).contains(&others), "{sign_ins}: {others}");
    // The doctor's own, once at each domain controller.
    assert_eq!(binds.len() - others, bound_by(&binds, "svc-postern"));
    let now = (
        account(&cluster, "user000001").await,
        account(&cluster, "user000002").await,
    );
    assert_eq!(before, now);

    let (code, text) = check(&cluster, &["--user", USER], PASSWORD).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.ends_with("All is well.\n") && !text.contains(PASSWORD), "{text}");
    assert_eq!(bound_by(&cluster.binds().await, "user000001"), 1);

    let (code, text) = check(&cluster, &["--user", USER], "Wrong-1").await;
    assert_eq!(code, 1);
    assert!(
        text.contains("FAILED   directory.sign-in") && !text.contains("Wrong-1"),
        "{text}"
    );
    let wrong = cluster.binds().await;
    assert_eq!(bound_by(&wrong, "user000001"), 2);
    assert_eq!(wrong.last().unwrap()["sub_code"], "52e");
    assert_eq!(account(&cluster, "user000002").await, before.1);
    assert_eq!(account(&cluster, "user000001").await["badPwdCount"].as_str(), Some("1"));
    assert_eq!(cluster.sign_in(USER, PASSWORD).await.outcome(), "success");
}

#[tokio::test]
async fn an_agent_that_the_relay_denies_is_told_by_its_doctor() {
    let cluster = Setup::new(&["--agents", "1", "--users", "1"]).start().await;
    let path = cluster.running.config("relay-1");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text + "\n[deny]\nagents = [\"acme/corp.example.com/agent-1\"]\n").unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        // The relay looks at its file again by itself.
        let (code, text) = check(&cluster, &[], "").await;
        if code == 0 {
            assert!(Instant::now() < deadline, "never denied: {text}");
            continue;
        }
        let failed: Vec<&str> = text.lines().filter(|line| line.starts_with("FAILED")).collect();
        assert!(
            matches!(failed[..], [line] if line.contains("relay.admission")),
            "{text}"
        );
        assert!(text.contains("what to do: deny.agents"), "{text}");
        return;
    }
}
