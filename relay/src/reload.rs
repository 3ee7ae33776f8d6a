//! Reading the deny list again while the relay runs: on SIGHUP, and when the configuration file has changed.
//!
//! Only `[deny]` is read: a certificate that is just being exchanged elsewhere in the configuration must not keep a
//! stolen one in session. What cannot be read changes nothing, is reported, and is tried again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use postern_service::config::{Problems, RawConfig};
use postern_service::program::read_config;
use postern_service::telemetry::LogConfig;
use serde::Deserialize;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::config::raw::{Raw, RawDeny};
use crate::deny::DenyList;

/// How often the file is looked at. Denying an agent should take no longer than typing it.
const INTERVAL: Duration = Duration::from_secs(1);

/// The one section that is read; what else the file holds is not looked at.
#[derive(Debug, Deserialize)]
struct DenySection {
    #[serde(default)]
    deny: RawDeny,
}

impl RawConfig for DenySection {
    type Config = (DenyList, LogConfig);

    fn validate(self, _: &Path, problems: &mut Problems) -> Option<Self::Config> {
        Some((
            DenyList::parse(&self.deny.agents, &self.deny.serials, problems),
            LogConfig::default(),
        ))
    }

    fn log((_, log): &Self::Config) -> &LogConfig {
        log
    }
}

/// Watches `path` and keeps `deny` up to date. Returns when nobody reads the list any more.
///
/// # Errors
/// When the handler for SIGHUP cannot be installed.
pub async fn watch(path: PathBuf, deny: watch::Sender<DenyList>) -> std::io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut taken_over = content(&path).await;
    let mut reported = None;
    let mut tick = tokio::time::interval(INTERVAL);
    loop {
        let asked = tokio::select! {
            biased;
            () = deny.closed() => return Ok(()),
            _ = hangup.recv() => true,
            _ = tick.tick() => false,
        };
        // The content, not its time: a mounted ConfigMap changes by the exchange of a symbolic link.
        let present = content(&path).await;
        if !asked && present == taken_over {
            continue;
        }
        match reload(&path, &deny).await {
            Ok(()) => (taken_over, reported) = (present, None),
            Err(error) if asked || reported.as_ref() != Some(&error) => {
                tracing::error!(%error, "the deny list cannot be read again; the one before stays in force");
                reported = Some(error);
            }
            Err(_) => {}
        }
    }
}

/// Read elsewhere, as all here: the thread that serves must not wait for a disk, nor for a mount that hangs.
async fn content(path: &Path) -> Option<Vec<u8>> {
    tokio::fs::read(path).await.ok()
}

async fn read<R: RawConfig<Config: Send + 'static>>(path: &Path) -> Result<R::Config, String> {
    let path = path.to_owned();
    let read = tokio::task::spawn_blocking(move || read_config::<R>(&path).map_err(|error| error.to_string()));
    read.await.unwrap_or_else(|_| Err("the relay is ending".to_owned()))
}

async fn reload(path: &Path, deny: &watch::Sender<DenyList>) -> Result<(), String> {
    let (list, _) = read::<DenySection>(path).await?;
    let entries = list.len();
    let changed = deny.send_if_modified(|present| std::mem::replace(present, list) != *present);
    tracing::info!(
        changed,
        entries,
        "deny list read again; other settings take effect with a restart"
    );
    if let Err(error) = read::<Raw>(path).await {
        tracing::warn!(%error, "with this configuration the relay would not start again");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_deny_list_is_taken_over_though_the_rest_is_not_valid_and_a_bad_one_changes_nothing() {
        let path = std::env::temp_dir().join(format!("postern-relay-reload-{}.toml", std::process::id()));
        let (sender, receiver) = watch::channel(DenyList::default());
        std::fs::write(
            &path,
            "[quic]\ncertificate = \"missing.pem\"\n[deny]\nagents = [\"a/b/c\"]\n",
        )
        .unwrap();
        reload(&path, &sender).await.unwrap();
        assert_eq!(receiver.borrow().len(), 1);
        for bad in ["[deny]\nagents = [\"c\"]\n", "[deny\n", "[deny]\nagent = []\n"] {
            std::fs::write(&path, bad).unwrap();
            assert!(reload(&path, &sender).await.is_err(), "{bad}");
            assert_eq!(receiver.borrow().len(), 1);
        }
        std::fs::remove_file(&path).unwrap();
        assert!(reload(&path, &sender).await.is_err());
    }
}
