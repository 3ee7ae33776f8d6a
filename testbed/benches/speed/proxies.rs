//! HAProxy and OpenLDAP's lloadd in front of the same mock-dc: what one would use where there is a VPN to the directory.
//!
//! Both hand LDAPS on: HAProxy as it is (the caller's TLS ends at the directory) and ending TLS on both sides, as the
//! relay and its agents do; lloadd in the clear in front, since it speaks LDAP. None of them seals, knows a verdict from a
//! failure, or gives a sign-in to another when one dies.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::cluster::{Cluster, POSTERN, Running};
use crate::load::{medians, run as play, tell};
use crate::measures::{self, Plan};
use crate::say;

pub(crate) fn run(plan: Plan) -> anyhow::Result<()> {
    let cluster = Cluster::up(&[])?;
    measures::play("Postern, 64 at once", &cluster, &["--closed", "64"], plan)?;
    let (ldaps, ca) = cluster.ldaps()?;
    let ca = ca.to_string_lossy().into_owned();
    direct(&cluster, "the directory itself", ldaps, &ca, None, plan)?;
    if installed("haproxy") {
        haproxy(&cluster, plan, ldaps, &ca)?;
    } else {
        say("HAProxy is not installed (Debian: apt-get install haproxy): left out");
    }
    Ok(())
}

fn installed(program: &str) -> bool {
    let found = Command::new(program)
        .arg("-v")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    found.is_ok()
}

/// Binds on kept connections at `port`, with what `proxy` costs.
fn direct(
    cluster: &Cluster,
    what: &str,
    port: u16,
    ca: &str,
    proxy: Option<(&str, u32)>,
    plan: Plan,
) -> anyhow::Result<()> {
    let (url, duration) = (format!("ldaps://localhost:{port}"), plan.duration());
    let process = proxy.map(|(name, pid)| format!("{name}={pid}"));
    let mut arguments = vec!["--cluster", "CLUSTER", "--target", &url, "--ca", ca];
    arguments.extend(["--mix", "right=1", "--closed", "64", "--duration", &duration]);
    if let Some(process) = &process {
        arguments.extend(["--process", process]);
    }
    say(&format!(
        "    $ postern loadtest run {}",
        arguments.join(" ").replace("CLUSTER", "cluster.json")
    ));
    let figures = medians(plan.rounds, || play(cluster, &arguments))?;
    tell(what, &figures);
    Ok(())
}

fn haproxy(cluster: &Cluster, plan: Plan, ldaps: u16, ca: &str) -> anyhow::Result<()> {
    let folder = cluster.file.with_file_name("haproxy");
    fs::create_dir_all(&folder)?;
    let (port, _) = (free_port()?, ());
    let passing = format!("  bind 127.0.0.1:{port}\n  server dc 127.0.0.1:{ldaps}\n");
    let proxy = start_haproxy(&folder, &passing)?;
    direct(
        cluster,
        "HAProxy, TLS passed on",
        port,
        ca,
        Some(("haproxy", proxy.0.id())),
        plan,
    )?;
    drop(proxy);

    // A certificate of its own, of the development PKI that the cluster's relays have theirs of.
    let pki = cluster.pki()?;
    let issued = Command::new(POSTERN)
        .args(["pki", "relay", "proxy", "--dns", "localhost"])
        .arg(&pki)
        .output()?;
    ensure!(issued.status.success(), "{}", String::from_utf8_lossy(&issued.stderr));
    let (certificate, key) = (pki.join("relays/proxy.pem"), pki.join("relays/proxy.key"));
    let both = folder.join("proxy.pem");
    let read = |path: &Path| fs::read_to_string(path).with_context(|| format!("no {}", path.display()));
    fs::write(&both, read(&certificate)? + &read(&key)?)?;
    let port = free_port()?;
    let ending = format!(
        "  bind 127.0.0.1:{port} ssl crt {}\n  server dc 127.0.0.1:{ldaps} ssl verify required ca-file {ca} sni str(localhost) verifyhost localhost\n",
        both.display()
    );
    let proxy = start_haproxy(&folder, &ending)?;
    direct(
        cluster,
        "HAProxy, TLS ended on both sides",
        port,
        ca,
        Some(("haproxy", proxy.0.id())),
        plan,
    )
}

fn start_haproxy(folder: &Path, listen: &str) -> anyhow::Result<Running> {
    let file = folder.join("haproxy.cfg");
    let text = format!(
        "global\n  maxconn 2000\n  nbthread 1\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n\
         listen ldaps\n{listen}"
    );
    fs::write(&file, &text)?;
    say(&format!(
        "    $ haproxy -f haproxy.cfg   # {}",
        listen.trim().replace('\n', ";")
    ));
    let child = Command::new("haproxy")
        .arg("-db")
        .arg("-f")
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start HAProxy")?;
    std::thread::sleep(Duration::from_millis(500));
    Ok(Running(child))
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
