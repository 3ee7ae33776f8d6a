//! Logging: tracing, for people or as JSON, to standard error.
//!
//! Standard output stays free for what a program is asked to print. Some libraries print what passes through them
//! at their most verbose levels, and what passes through here includes passwords: those are held at `warn`, whatever
//! the configuration asks for.

use std::io::IsTerminal;
use std::sync::OnceLock;
use std::time::Duration;

use serde::Deserialize;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{EnvFilter, FilterFn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use lines::Lines;

mod lines;

/// The process's log.
static LINES: OnceLock<Lines> = OnceLock::new();

/// Crates that see passwords in the clear: their debug and trace events are never let through.
const SEES_PASSWORDS: [&str; 4] = ["h2", "hyper", "axum", "rustls"];

/// `ldap3_proto` and `ldap3_lber`: they print whole messages, and at their loudest the bytes that they cannot read. What
/// an operator needs to know of it, Postern's own code says.
const PRINTS_MESSAGES: &str = "ldap3";

/// The `[log]` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// `human` (default: most first readers are people) or `json`.
    pub format: LogFormat,
    /// A level for Postern's own code (`info` by default: one line for what an operator would act on), or a list of
    /// `target=level` directives.
    pub level: String,
}

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One readable line, coloured on a terminal.
    Human,
    /// One JSON object a line.
    Json,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            format: LogFormat::Human,
            level: "info".to_owned(),
        }
    }
}

impl LogConfig {
    /// Notes what cannot be used, under the key `log.level`.
    pub fn validate(&self, problems: &mut crate::config::Problems) {
        if let Err(message) = self.filter() {
            problems.add("log.level", message);
        }
    }

    fn filter(&self) -> Result<EnvFilter, String> {
        let explain = |error| {
            format!(
                "{:?} is neither a level (error, warn, info, debug, trace) nor directives: {error}",
                self.level
            )
        };
        if self.level.contains(['=', ',']) {
            return EnvFilter::try_new(&self.level).map_err(|error| explain(error.to_string()));
        }
        let level: Level = self
            .level
            .parse()
            .map_err(|error: tracing::metadata::ParseLevelError| explain(error.to_string()))?;
        // Libraries speak at `warn` unless a directive names them: their `info` is our `debug`.
        EnvFilter::try_new(format!("warn,postern={level}")).map_err(|error| explain(error.to_string()))
    }
}

fn may_pass(metadata: &Metadata<'_>) -> bool {
    let verbose = *metadata.level() > Level::WARN;
    let by = |name: &str| metadata.target().starts_with(name);
    !(by(PRINTS_MESSAGES) || verbose && SEES_PASSWORDS.iter().any(|name| by(name)))
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `log.level` is not understood.
    #[error("log.level: {0}")]
    Level(String),
    /// A subscriber was installed before.
    #[error(transparent)]
    Installed(#[from] TryInitError),
    /// There is no thread for it.
    #[error("the log cannot be written: {0}")]
    Thread(#[from] std::io::Error),
}

/// Installs the process's subscriber. Once per process.
///
/// # Errors
/// [`TelemetryError`].
pub fn install(config: &LogConfig) -> Result<(), TelemetryError> {
    let filter = config.filter().map_err(TelemetryError::Level)?;
    // In the log's own format, and behind the lines that are there.
    let tell_dropped = |count| tracing::error!(count, "lines of the log were dropped: standard error took none");
    let lines = Lines::to(std::io::stderr(), tell_dropped)?;
    let layer = tracing_subscriber::fmt::layer().with_writer(lines.clone());
    let layer = match config.format {
        LogFormat::Human => layer.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => layer
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .boxed(),
    };
    tracing_subscriber::registry()
        .with(layer.with_filter(FilterFn::new(may_pass)).with_filter(filter))
        .try_init()?;
    let _ = LINES.set(lines);
    Ok(())
}

/// Writes what is still to be written when it is dropped, also by a panic: before the process ends.
#[derive(Debug)]
pub struct Flush;

impl Drop for Flush {
    fn drop(&mut self) {
        flush();
    }
}

/// How long the end of the process waits for a standard error that takes nothing.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Writes what is still to be written. To be called before the process ends.
pub fn flush() {
    if let Some(lines) = LINES.get() {
        lines.flush(LAST_LINES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_that_does_not_exist_is_refused() {
        for level in ["loud", "postern_relay=loud", ""] {
            let config = LogConfig {
                level: level.to_owned(),
                ..LogConfig::default()
            };
            assert!(config.filter().is_err(), "{level:?} was accepted");
        }
    }

    #[test]
    fn levels_and_directives_are_accepted() {
        for level in ["error", "INFO", "trace", "warn,postern_relay=trace", "quinn=debug"] {
            let config = LogConfig {
                level: level.to_owned(),
                ..LogConfig::default()
            };
            assert!(config.filter().is_ok(), "{level:?} was refused");
        }
    }
}
