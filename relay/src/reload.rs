//! Reading the configuration again while the relay runs: on SIGHUP, and when its file has changed or one that it names.
//!
//! All of it is read and judged as at start, and nothing of it counts unless all of it is valid, but for `[deny]`: a
//! certificate that is just being exchanged elsewhere must not keep a stolen one in session.

use std::path::{Path, PathBuf};

use postern_service::config::{Problems, RawConfig};
use postern_service::reload::{Watcher, read};
use postern_service::telemetry::LogConfig;
use serde::Deserialize;

use crate::config::raw::{Raw, RawDeny};
use crate::deny::DenyList;
use crate::live::{Applied, Live};
use crate::metrics::Metrics;

/// The one section that counts by itself; what else the file holds is not looked at.
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

/// Watches `path` and the files that it names, and keeps `live` up to date. Returns when the relay serves no more.
///
/// # Errors
/// When the handler for SIGHUP cannot be installed.
pub async fn watch(path: PathBuf, mut live: Live, metrics: Metrics) -> std::io::Result<()> {
    let mut watcher = Watcher::new(path.clone(), &live.config().files).await?;
    loop {
        tokio::select! {
            biased;
            () = live.ended() => return Ok(()),
            () = watcher.due() => {}
        }
        let reloaded = reload(&path, &mut live).await;
        metrics.config_last_reload_successful.set(i64::from(reloaded.is_ok()));
        match reloaded {
            Ok(applied) => {
                let success = watcher.succeeded(&live.config().files);
                tell(&applied, success.awaited);
            }
            Err(error) => {
                if watcher.failed(&error) {
                    tracing::error!(
                        %error,
                        "the configuration cannot be read again; what was in force before stays, but for the deny list"
                    );
                }
            }
        }
    }
}

fn tell(applied: &Applied, awaited: bool) {
    let in_force = applied.in_force.join(", ");
    if applied.with_restart.is_empty() {
        if awaited || !applied.in_force.is_empty() {
            tracing::info!(changed = in_force, "configuration read again");
        }
    } else {
        let with_restart = applied.with_restart.join(", ");
        tracing::warn!(
            changed = in_force,
            with_restart,
            "configuration read again; some of what has changed takes effect with a restart only"
        );
    }
}

async fn reload(path: &Path, live: &mut Live) -> Result<Applied, String> {
    let error = match read::<Raw>(path).await {
        Ok(config) => match live.apply(config).await {
            Ok(applied) => return Ok(applied),
            Err(error) => error.to_string(),
        },
        Err(error) => error,
    };
    if let Ok((deny, _)) = read::<DenySection>(path).await
        && live.deny(deny)
    {
        tracing::info!(
            entries = live.config().deny.len(),
            "deny list read again, and nothing else"
        );
    }
    Err(error)
}
