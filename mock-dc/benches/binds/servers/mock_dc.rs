//! mock-dc as its binary is: the example with a million accounts, on other ports and with the common certificate.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::{ACCOUNTS, Pki, Server, binds, generated};
use crate::process::{Folder, Process, free_addresses};

const EXAMPLE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/million.toml"));

/// Started, and listening.
pub(super) fn start(folder: &Folder, pki: &Pki) -> anyhow::Result<Server> {
    let (mut process, [ldap, ldaps]) = spawn(folder, pki)?;
    process.wait_until_it_listens(&[ldap, ldaps])?;
    Ok(Server {
        process,
        ldap,
        ldaps,
        binds: binds(ACCOUNTS, generated),
    })
}

/// Started, and where it will listen for LDAP and LDAPS.
pub(crate) fn spawn(folder: &Folder, pki: &Pki) -> anyhow::Result<(Process, [SocketAddr; 2])> {
    let [control, ldap, ldaps] = free_addresses()?;
    let shown = |path: &Path| path.display().to_string();
    let config = EXAMPLE
        .replace("127.0.0.1:11380", &control.to_string())
        .replace("127.0.0.1:11389", &ldap.to_string())
        .replace("127.0.0.1:11636", &ldaps.to_string());
    let tls = format!(
        "[tls]\ncertificate = {:?}\nkey = {:?}\n",
        shown(&pki.certificate),
        shown(&pki.key)
    );
    let file = folder.join("mock-dc.toml");
    fs::write(&file, format!("{config}\n{tls}"))?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_postern-mock-dc"));
    command.arg("--end-with-parent").arg("--config").arg(file);
    Ok((
        Process::start(&mut command, &folder.join("mock-dc.log"))?,
        [ldap, ldaps],
    ))
}
