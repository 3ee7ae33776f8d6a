//! Reading the configuration again while the relay runs: on SIGHUP, and when the file has changed.
//!
//! Only the deny list is taken over; a deny list that waits for a restart is none. A file that is not valid changes
//! nothing and is reported.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::config::raw::Raw;
use crate::deny::DenyList;

/// How often the file is looked at. Denying an agent should take no longer than typing it.
const INTERVAL: Duration = Duration::from_secs(1);

/// Watches `path` and keeps `deny` up to date. Returns when nobody reads the list any more.
///
/// # Errors
/// When the handler for SIGHUP cannot be installed.
pub async fn watch(path: PathBuf, deny: watch::Sender<DenyList>) -> std::io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut seen = content(&path);
    let mut tick = tokio::time::interval(INTERVAL);
    loop {
        let asked = tokio::select! {
            biased;
            () = deny.closed() => return Ok(()),
            _ = hangup.recv() => true,
            _ = tick.tick() => false,
        };
        // The content, not its time: a mounted ConfigMap changes by the exchange of a symbolic link.
        let present = content(&path);
        if asked || present != seen {
            seen = present;
            reload(&path, &deny);
        }
    }
}

fn content(path: &Path) -> Option<Vec<u8>> {
    std::fs::read(path).ok()
}

fn reload(path: &Path, deny: &watch::Sender<DenyList>) {
    match postern_service::program::read_config::<Raw>(path) {
        Ok(config) => {
            let entries = config.deny.len();
            let changed = deny.send_if_modified(|list| {
                let changed = *list != config.deny;
                *list = config.deny;
                changed
            });
            tracing::info!(
                changed,
                entries,
                "deny list read again; other settings take effect with a restart"
            );
        }
        Err(error) => tracing::error!(%error, "the changed configuration is not valid; nothing of it is taken over"),
    }
}
