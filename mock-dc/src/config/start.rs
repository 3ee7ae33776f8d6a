//! What the clock of a configuration shows first, and the snapshot that its domain begins with.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use postern_service::config::Problems;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::clock::Start;
use crate::domain::Domain;
use crate::domain::filetime::FileTime;
use crate::domain::settings::DomainSettings;
use crate::snapshot::{self, Checked};

/// The clock as it is read. What is not said: real time, at its rate.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawClock {
    now: Option<String>,
    offset_s: Option<f64>,
    rate: Option<f64>,
}

/// The snapshot to begin with.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSnapshot {
    load: Option<PathBuf>,
}

impl RawClock {
    /// `loads` tells whether a snapshot says what the clock shows.
    pub(super) fn validate(self, loads: bool, problems: &mut Problems) -> Start {
        if loads && (self.now.is_some() || self.offset_s.is_some() || self.rate.is_some()) {
            problems.add(
                "clock",
                "is not possible together with snapshot.load, which has a clock of its own",
            );
        }
        if self.now.is_some() && self.offset_s.is_some() {
            problems.add("clock.offset_s", "is not possible together with clock.now");
        }
        let mut start = Start::default();
        if let Some(text) = self.now {
            match OffsetDateTime::parse(&text, &Rfc3339) {
                Ok(moment) => take(&mut start, "clock.now", |start| start.at(moment), problems),
                Err(_) => problems.add(
                    "clock.now",
                    format!("{text:?} is not a moment like \"2030-01-31T18:00:00Z\" (RFC 3339, in quotes)"),
                ),
            }
        }
        if let Some(seconds) = self.offset_s {
            take(&mut start, "clock.offset_s", |start| start.shifted(seconds), problems);
        }
        if let Some(rate) = self.rate {
            take(&mut start, "clock.rate", |start| start.running_at(rate), problems);
        }
        start
    }
}

fn take<E: std::fmt::Display>(
    start: &mut Start,
    key: &str,
    change: impl FnOnce(Start) -> Result<Start, E>,
    problems: &mut Problems,
) {
    match change(*start) {
        Ok(changed) => *start = changed,
        Err(error) => problems.add(key, error.to_string()),
    }
}

impl RawSnapshot {
    /// Reads it and checks it against the domain that is configured.
    pub(super) fn read(self, base: &Path, settings: &DomainSettings, problems: &mut Problems) -> Option<Arc<Checked>> {
        let path = base.join(problems.require("snapshot.load", self.load)?);
        let mut wrong = |problem: String| problems.add("snapshot.load", format!("{}: {problem}", path.display()));
        let text = std::fs::read(&path).map_err(|error| wrong(error.to_string())).ok()?;
        // What a snapshot is checked against does not depend on when the domain begins.
        let domain = Domain::new(settings, FileTime::ZERO);
        let checked = snapshot::read(&text, &domain).map_err(|error| wrong(error.to_string()));
        checked.ok().map(Arc::new)
    }
}
