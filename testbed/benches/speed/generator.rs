//! What our own generator costs for each request, and what wrk does, at one server with the same connections.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::cluster::{Cluster, Running};
use crate::load::{medians, run as play, wrk_at};
use crate::measures::Plan;
use crate::say;

const CONNECTIONS: u32 = 64;

pub(crate) fn run(plan: Plan) -> anyhow::Result<()> {
    let (_server, address) = serve()?;
    let url = format!("http://{address}");
    // For a folder, and nothing else of it.
    let cluster = Cluster::up(&[])?;
    let (duration, at_once) = (plan.duration(), CONNECTIONS.to_string());
    let people = [
        "--user",
        "user%06d@corp.example.com",
        "--password",
        "Postern-%06d",
        "--user-count",
        "20000",
    ];
    let arguments: Vec<&str> = [
        "--target",
        &url,
        "--mix",
        "right=1",
        "--closed",
        &at_once,
        "--duration",
        &duration,
    ]
    .into_iter()
    .chain(people)
    .collect();
    say(&format!("    $ postern loadtest run {}", arguments.join(" ")));
    say(&format!(
        "    $ wrk -t1 -c{CONNECTIONS} -d{duration} --latency -s sign-ins.lua {url}"
    ));
    let figures = medians(plan.rounds, || {
        let mut ours = play(&cluster, &arguments)?;
        let (theirs, _) = wrk_at(&url, &[], CONNECTIONS, plan.seconds)?;
        ours.insert("wrk".to_owned(), theirs["generator"]);
        ours.insert("wrk rate".to_owned(), theirs["rate"]);
        ours.insert("ratio".to_owned(), ours["generator"] / theirs["generator"]);
        Ok(ours)
    })?;
    say(&format!(
        "ours: {:.1} µs for each request at {:.0}/s; wrk {:.1} µs at {:.0}/s; {:.2} times wrk's",
        figures["generator"], figures["rate"], figures["wrk"], figures["wrk rate"], figures["ratio"]
    ));
    Ok(())
}

/// The trivial server, in a process of its own, once it answers.
fn serve() -> anyhow::Result<(Running, SocketAddr)> {
    // Free a moment ago; whoever takes it in between is told by the server's end.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let program = std::env::current_exe()?;
    let child = Command::new(program)
        .args(["--serve-trivial", &address.to_string()])
        .spawn()
        .context("cannot start the trivial server")?;
    let running = Running(child);
    let began = Instant::now();
    while TcpStream::connect(address).is_err() {
        ensure!(
            began.elapsed() < Duration::from_secs(5),
            "the trivial server does not answer"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok((running, address))
}
