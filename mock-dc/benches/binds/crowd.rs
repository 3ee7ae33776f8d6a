//! Many connections at once: most hold still, the others are busy, and nobody is turned away.

use std::time::{Duration, Instant};

use crate::client::{Connection, Target};
use crate::load::{self, Load};
use crate::process::Folder;
use crate::servers::{Kind, Pki, Transport};
use crate::{progress, say};

const IDLE: usize = 5000;
const BUSY: usize = 1000;

pub(crate) fn run(seconds: Duration) -> anyhow::Result<()> {
    let folder = Folder::new()?;
    let pki = Pki::new(&folder)?;
    let Some(server) = Kind::MockDc.start(&folder, &pki)? else {
        return Ok(());
    };
    say(format_args!(
        "{IDLE} idle connections that have signed in, and {BUSY} busy ones, for {} s:\n",
        seconds.as_secs_f64()
    ))?;
    say("| | opened in | binds/s | p50 | p99 | longest | resident |")?;
    say("|---|---:|---:|---:|---:|---:|---:|")?;
    for transport in Transport::ALL {
        let target = server.target(transport, &pki);
        progress(format_args!("opening {IDLE} connections over {}", transport.name()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let begun = Instant::now();
        let mut idle = runtime.block_on(open(&target, &server.binds))?;
        let opened = begun.elapsed();
        let load = Load {
            target,
            binds: server.binds.clone(),
            connections: BUSY,
            seconds,
        };
        let measured = load::run(&load, || server.process.cpu())?;
        let resident = server.process.resident()?;
        // Those that held still are there and still answered.
        runtime.block_on(async {
            for (connection, bind) in idle.iter_mut().zip(server.binds.iter().cycle()) {
                connection.bind(bind, crate::client::SUCCESS).await?;
            }
            anyhow::Ok(())
        })?;
        say(format_args!(
            "| {} | {:.1} s | {:.0} | {:.1} ms | {:.1} ms | {:.1} ms | {} MiB |",
            transport.name(),
            opened.as_secs_f64(),
            measured.per_second(),
            measured.quantile(0.5).as_secs_f64() * 1e3,
            measured.quantile(0.99).as_secs_f64() * 1e3,
            measured.quantile(1.0).as_secs_f64() * 1e3,
            resident >> 20,
        ))?;
    }
    say("\nNo connection was refused or lost, and no bind failed, or the run would have ended with that.")
}

async fn open(target: &Target, binds: &[crate::client::Bind]) -> anyhow::Result<Vec<Connection>> {
    let mut connections = Vec::with_capacity(IDLE);
    for bind in binds.iter().cycle().take(IDLE) {
        let mut connection = Connection::open(target).await?;
        connection.bind(bind, crate::client::SUCCESS).await?;
        connections.push(connection);
    }
    Ok(connections)
}
