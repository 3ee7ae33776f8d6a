//! What many agents cost: bytes on their links, CPU and memory of the relay.
//!
//! The agents are simulated by `postern links`, in one process: they say success at once. So only the relay's figures
//! count here, and what its links carry.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::cluster::{Cluster, POSTERN};
use crate::load::{Figures, medians, run as play};
use crate::measures::Plan;
use crate::say;

/// Time in which what the relay spends on links at rest is seen, and the load begins.
const BEFORE_S: u32 = 8;

pub(crate) fn run(plan: Plan) -> anyhow::Result<()> {
    for (rate, counts) in [("500", [1, 40, 1_000]), ("6000", [3, 40, 1_000])] {
        for links in counts {
            let figures = medians(plan.rounds, || with(links, rate, plan))?;
            let of = |name: &str| figures.get(name).copied().unwrap_or(f64::NAN);
            say(&format!(
                "{links} links, {rate}/s: {:.0} bytes for each sign-in (at rest {:.0} bytes/s for each link); relay {:.1} µs of CPU for \
                 each sign-in, {:.1} without what the links cost at rest; {:.1} KiB of memory for each link; p99 {:.2} ms",
                of("bytes"),
                of("idle bytes"),
                of("relay"),
                of("relay net"),
                of("memory") / 1024.0,
                of("p99"),
            ));
        }
    }
    Ok(())
}

/// A load on a relay with so many links.
fn with(links: u32, rate: &str, plan: Plan) -> anyhow::Result<Figures> {
    let cluster = Cluster::up(&["--agents", "0"])?;
    // With few links each needs room for all.
    let (count, slots) = (links.to_string(), (6_000 / links).clamp(4, 200).to_string());
    let stays = (BEFORE_S + plan.seconds + 10).to_string() + "s";
    say(&format!(
        "    $ postern links --cluster cluster.json --links {count} --slots {slots} --duration {stays} --json"
    ));
    let mut simulator = Command::new(POSTERN)
        .args(["links", "--cluster"])
        .arg(&cluster.file)
        .args(["--links", &count, "--slots", &slots, "--duration", &stays, "--json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start the links")?;
    let told = BufReader::new(simulator.stderr.take().context("no standard error")?);
    let mut lines = told.lines();
    // It says when all are up and it has seen what they cost at rest.
    let up = lines
        .by_ref()
        .map_while(Result::ok)
        .any(|line| line.contains("sign-ins may begin"));
    ensure!(up, "the links did not come up");
    // Nobody may have to wait for this program to read what is said.
    let rest = std::thread::spawn(move || lines.count());
    let before = cluster.cpu();
    std::thread::sleep(std::time::Duration::from_secs(5));
    let idle = cluster.cpu().since(&before).0["relay"] / 5.0;
    let duration = plan.duration();
    let load = [
        "--cluster",
        "CLUSTER",
        "--mix",
        "right=1",
        "--rate",
        rate,
        "--duration",
        &duration,
    ];
    let mut figures = play(&cluster, &load)?;
    let output = simulator.wait_with_output()?;
    let _ = rest.join();
    let summary: Value = serde_json::from_slice(&output.stdout).context("the links told no summary")?;
    let number = |name: &str| summary[name].as_f64().unwrap_or(f64::NAN);
    ensure!(number("lost") == 0.0, "links were lost: {summary}");
    figures.insert("relay net".to_owned(), figures["relay"] - idle * 1e6 / figures["rate"]);
    figures.insert("bytes".to_owned(), number("bytes_per_sign_in"));
    figures.insert("idle bytes".to_owned(), number("idle_bytes_per_link_s"));
    figures.insert("memory".to_owned(), number("relay_bytes_per_link"));
    Ok(figures)
}
