//! A run can be had again.

use std::time::Duration;

use super::cluster::Cluster;
use super::plan::{Control, Plan};
use super::report::Report;
use super::udp::Link;

fn run(seed: u64) -> Report {
    let link = Link {
        loss: 0.05,
        jitter: Duration::from_millis(30),
        reorders: true,
        duplicates: 0.02,
        ..Link::GOOD
    };
    let mut cluster = Cluster::start(Plan {
        seed,
        policy: "retry-once",
        link,
        control: Control::Floored,
    });
    cluster.load(100);
    cluster.run(Duration::from_secs(1));
    cluster.freeze_agent(0);
    cluster.run(Duration::from_millis(700));
    cluster.thaw_agent(0);
    cluster.kill_agent(1);
    cluster.run(Duration::from_millis(500));
    cluster.start_agent(1);
    cluster.run(Duration::from_secs(1));
    cluster.finish()
}

#[test]
fn the_same_seed_gives_the_same_run_datagram_for_datagram() {
    for seed in [1, 2] {
        let (first, second) = (run(seed), run(seed));
        let differ = first.events.iter().zip(&second.events).position(|(a, b)| a != b);
        if let Some(at) = differ {
            let around = at.saturating_sub(15)..at + 6;
            panic!(
                "seed {seed}: {:#?} and {:#?}",
                &first.events[around.clone()],
                &second.events[around]
            );
        }
        assert_eq!(first.events.len(), second.events.len());
        assert!(first.events.len() > 1_000, "too little happens to compare");
    }
}

#[test]
fn another_seed_gives_another_run() {
    assert_ne!(run(1).events, run(2).events);
}
