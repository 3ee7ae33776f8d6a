//! No process is left behind, however the cluster ends; one that ends is reported and the rest serve on.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::{Cluster, Setup, eventually, signal};

const SMALL: [&str; 8] = ["--relays", "1", "--agents", "2", "--dcs", "1", "--users", "10"];

fn pid(cluster: &Cluster, list: &str, index: usize) -> u32 {
    cluster.list(list)[index]["pid"].as_u64().unwrap().try_into().unwrap()
}

async fn signs_in(cluster: &Cluster) {
    let answer = cluster.sign_in("user000001@corp.example.com", "Postern-000001").await;
    assert_eq!(answer.outcome(), "success", "{:?}", answer.body);
}

#[tokio::test]
async fn an_interrupt_ends_everything_in_order() {
    let mut cluster = Setup::new(&SMALL).start().await;
    assert_eq!(cluster.running.children().len(), 4);
    signal(cluster.running.pid(), Signal::INT);
    let (status, _) = cluster.running.end().await;
    assert_eq!(status.code(), Some(0), "{}", cluster.running.stderr());
    assert_eq!(cluster.running.children(), [0; 0]);
    // What was asked to end is not reported as if it had ended by itself.
    assert!(
        !cluster.running.stderr().contains(") ended"),
        "{}",
        cluster.running.stderr()
    );
}

#[tokio::test]
async fn a_hung_process_is_ended_too() {
    let mut cluster = Setup::new(&SMALL).start().await;
    signal(pid(&cluster, "agents", 0), Signal::STOP);
    signal(pid(&cluster, "relays", 0), Signal::STOP);
    signal(cluster.running.pid(), Signal::TERM);
    let (status, _) = cluster.running.end().await;
    assert_eq!((status.code(), cluster.running.children()), (Some(0), vec![]));
}

#[tokio::test]
async fn a_second_signal_ends_at_once_what_does_not_end_by_itself() {
    let mut cluster = Setup::new(&SMALL).start().await;
    for process in cluster.running.children() {
        signal(process, Signal::STOP);
    }
    let began = Instant::now();
    signal(cluster.running.pid(), Signal::INT);
    signal(cluster.running.pid(), Signal::TERM);
    let (status, _) = cluster.running.end().await;
    assert_eq!((status.code(), cluster.running.children()), (Some(0), vec![]));
    // Each of the three kinds has five seconds of grace after one signal alone.
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
}

#[tokio::test]
async fn when_postern_is_killed_its_children_end_even_a_hung_one() {
    let mut cluster = Setup::new(&SMALL).start().await;
    signal(pid(&cluster, "agents", 1), Signal::STOP);
    signal(cluster.running.pid(), Signal::KILL);
    cluster.running.end().await;
    eventually("no child is left", || cluster.running.children().is_empty()).await;
}

#[tokio::test]
async fn a_signal_while_it_starts_leaves_nothing() {
    let mut running = Setup::new(&["--ports", "auto"]).spawn();
    eventually("a child is started", || !running.children().is_empty()).await;
    signal(running.pid(), Signal::TERM);
    let (status, output) = running.end().await;
    assert_eq!((status.code(), output.as_str()), (Some(0), ""), "{}", running.stderr());
    assert_eq!(running.children(), [0; 0]);
}

#[tokio::test]
async fn an_agent_that_is_killed_while_idle_costs_no_sign_in_and_is_reported_not_restarted() {
    let cluster = Setup::new(&[]).start().await;
    signs_in(&cluster).await;
    let victim = pid(&cluster, "agents", 0);
    signal(victim, Signal::KILL);
    eventually("its end is reported", || {
        cluster
            .running
            .stderr()
            .contains(&format!("agent-1 (pid {victim}) ended: signal: 9"))
    })
    .await;
    for _ in 0..30 {
        signs_in(&cluster).await;
    }
    assert_eq!(cluster.running.children().len(), 1 + 2 + 1);
}

#[tokio::test]
async fn the_control_kills_stops_continues_and_restarts_by_name() {
    let cluster = Setup::new(&SMALL).start().await;
    let old = pid(&cluster, "agents", 0);
    let (status, body) = cluster.order("agent-1", "kill").await;
    assert_eq!(
        (status.as_u16(), &body["pid"], &body["state"]),
        (200, &old.into(), &"ended".into())
    );
    assert_eq!(cluster.order("agent-1", "stop").await.0, 409);
    let (status, body) = cluster.order("agent-1", "restart").await;
    assert_eq!((status.as_u16(), &body["state"]), (200, &"running".into()), "{body}");
    assert_ne!(body["pid"], old);
    cluster.agents_known(2).await;

    // With the other agent stopped and continued, both serve again.
    assert_eq!(cluster.order("agent-2", "stop").await.0, 200);
    assert_eq!(cluster.order("agent-2", "cont").await.0, 200);
    signs_in(&cluster).await;

    let (status, body) = cluster.order("dc-1", "restart").await;
    assert_eq!((status.as_u16(), &body["name"]), (200, &"mock-dc".into()), "{body}");
    assert_eq!(cluster.order("agent-7", "kill").await.0, 404);
    assert_eq!(cluster.order("agent-1", "explode").await.0, 400);
}

#[tokio::test]
async fn a_taken_port_is_named_with_what_it_is_for_and_what_to_do() {
    // A port in the middle of the layout: BASE + 301 is agent-1's.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().port();
    let base = (taken - 301).to_string();
    let mut running = Setup::new(&["--ports", &base]).spawn();
    let (status, output) = running.end().await;
    assert_eq!((status.code(), output.as_str()), (Some(1), ""));
    let message = running.stderr();
    assert!(
        message.contains(&format!("127.0.0.1:{taken} (TCP), for agent-1's admin listener")),
        "{message}"
    );
    assert!(message.contains("--ports auto"), "{message}");
}

#[tokio::test]
async fn a_part_that_does_not_start_shows_the_end_of_its_log() {
    let config = std::env::temp_dir().join(format!("postern-e2e-{:016x}.toml", rand::random::<u64>()));
    std::fs::write(&config, "[policy]\nlockout_treshold = 3\n").unwrap();
    let mut running = Setup::new(&["--ports", "auto", "--dc-config", config.to_str().unwrap()]).spawn();
    let (status, _) = running.end().await;
    std::fs::remove_file(&config).unwrap();
    let message = running.stderr();
    assert_eq!(status.code(), Some(1), "{message}");
    assert!(message.contains("mock-dc ended before it was ready"), "{message}");
    assert!(message.contains("policy.lockout_treshold: unknown field"), "{message}");
    assert_eq!(running.children(), [0; 0]);
}

#[tokio::test]
async fn bad_usage_is_told_apart_from_a_cluster_that_does_not_start() {
    let mut running = Setup::new(&["--agents", "none"]).spawn();
    let (status, _) = running.end().await;
    assert_eq!(status.code(), Some(64));
}
