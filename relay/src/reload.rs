//! Reading the configuration again while the relay runs: on SIGHUP, and when its file has changed or one that it names.
//!
//! All of it is read and judged as at start, and nothing of it counts unless all of it is valid, but for `[deny]`: a
//! certificate that is just being exchanged elsewhere must not keep a stolen one in session.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use postern_service::config::{Problems, RawConfig};
use postern_service::program::read_config;
use postern_service::telemetry::LogConfig;
use serde::Deserialize;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::raw::{Raw, RawDeny};
use crate::deny::DenyList;
use crate::live::{Applied, Live};
use crate::metrics::Metrics;

/// How often the files are looked at. Denying an agent should take no longer than typing it.
const INTERVAL: Duration = Duration::from_secs(1);

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
    let mut hangup = signal(SignalKind::hangup())?;
    let mut taken_over = Seen::of(&path, &live.config().files).await;
    let mut failed: Option<String> = None;
    let mut told = None;
    let mut tick = tokio::time::interval(INTERVAL);
    loop {
        let asked = tokio::select! {
            biased;
            () = live.ended() => return Ok(()),
            _ = hangup.recv() => true,
            _ = tick.tick() => false,
        };
        let present = Seen::of(&path, &live.config().files).await;
        if !asked && failed.is_none() && present == taken_over {
            continue;
        }
        match reload(&path, &mut live).await {
            Ok(applied) => {
                tell(&applied, asked || failed.is_some());
                // With the files that are named now; a change after they were read is seen the next time.
                taken_over = match present.names(&live.config().files) {
                    true => present,
                    false => Seen::default(),
                };
                (failed, told) = (None, None);
            }
            Err(error) => {
                // Files are exchanged one after another, so what does not fit may be right a moment later.
                if (asked || failed.as_ref() == Some(&error)) && told.as_ref() != Some(&error) {
                    tracing::error!(%error, "the configuration cannot be read again; what was in force before stays, but for the deny list");
                    told = Some(error.clone());
                }
                failed = Some(error);
            }
        }
        metrics.config_last_reload_successful.set(i64::from(failed.is_none()));
    }
}

/// What the files were when they were looked at.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    /// The configuration's content, not its time: the deny list is in it.
    content: Option<Vec<u8>>,
    /// The files that it names, with what changes when they are exchanged or written to. A symbolic link's target counts:
    /// a mounted Secret changes by the exchange of a link.
    files: Vec<(PathBuf, Option<[i64; 6]>)>,
}

impl Seen {
    /// Looked at elsewhere, as all here: the thread that serves must not wait for a disk, nor for a mount that hangs.
    async fn of(path: &Path, files: &[PathBuf]) -> Self {
        let (path, files) = (path.to_owned(), files.to_vec());
        let look = move || {
            let stamp = |path: PathBuf| {
                let stamp = std::fs::metadata(&path).ok().map(|file| {
                    let number = |value: u64| i64::from_ne_bytes(value.to_ne_bytes());
                    [
                        number(file.ino()),
                        number(file.len()),
                        file.mtime(),
                        file.mtime_nsec(),
                        file.ctime(),
                        file.ctime_nsec(),
                    ]
                });
                (path, stamp)
            };
            Self {
                content: std::fs::read(&path).ok(),
                files: files.into_iter().map(stamp).collect(),
            }
        };
        tokio::task::spawn_blocking(look).await.unwrap_or_default()
    }

    fn names(&self, files: &[PathBuf]) -> bool {
        self.files.iter().map(|(path, _)| path).eq(files)
    }
}

fn tell(applied: &Applied, always: bool) {
    let in_force = applied.in_force.join(", ");
    if applied.with_restart.is_empty() {
        if always || !applied.in_force.is_empty() {
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

async fn read<R: RawConfig<Config: Send + 'static>>(path: &Path) -> Result<R::Config, String> {
    let path = path.to_owned();
    let read = tokio::task::spawn_blocking(move || read_config::<R>(&path).map_err(|error| error.to_string()));
    read.await.unwrap_or_else(|_| Err("the relay is ending".to_owned()))
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
