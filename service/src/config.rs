//! Configuration: a TOML file, overridden by `POSTERN_SECTION__KEY`, checked as a whole.
//!
//! A person who mends a configuration wants every problem at once, each with its key. So reading does not stop at
//! the first: what does not fit is noted, taken out, and reading goes on; then the binary's own `validate` adds what
//! it finds. An invalid value never reaches a typed configuration.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::telemetry::LogConfig;
use environment::override_from;

pub use problems::Problems;
pub use reading::read_all;

mod environment;
mod problems;
mod reading;

/// The file's content as serde reads it: every member optional, names refused that it does not know
/// (`deny_unknown_fields`). [`RawConfig::validate`] turns it into the typed configuration.
pub trait RawConfig: DeserializeOwned {
    /// What the program works with. An invalid value cannot exist in it.
    type Config;

    /// Checks everything and notes every problem with its key. `base` is the folder that relative paths start from.
    ///
    /// Returns `None`, or anything, when a problem was noted: the result is then dropped.
    fn validate(self, base: &Path, problems: &mut Problems) -> Option<Self::Config>;

    /// Where and how much the process logs.
    fn log(config: &Self::Config) -> &LogConfig;

    /// After SIGTERM, how long the process may take to finish what it took; then it is stopped. A program that is
    /// configured to wait before it even begins to end must say so here.
    fn grace(_config: &Self::Config) -> Duration {
        DEFAULT_GRACE
    }
}

/// Kubernetes gives 30 s before SIGKILL; this leaves room for the answer to the last sign-in and the log's last line.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(25);

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file is not TOML; nothing in it can be checked further.
    #[error("{} is not valid TOML: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The parser's message, with line and column; see [`located`].
        message: String,
    },
    /// The file is TOML and says things that cannot be.
    #[error("{} has {}:{}", path.display(), Count(problems.iter().count()), Listing(problems))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong, all of it.
        problems: Problems,
    },
}

struct Count(usize);
impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 1 {
            f.write_str("one problem")
        } else {
            write!(f, "{} problems", self.0)
        }
    }
}

struct Listing<'a>(&'a Problems);
impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|(key, message)| write!(f, "\n  {key}: {message}"))
    }
}

/// Reads and checks the configuration at `path`, with overrides from `environment` (name, value).
///
/// # Errors
/// [`ConfigError`], which for an invalid file lists every problem with its key.
pub fn load<R: RawConfig>(
    path: &Path,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<R::Config, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
        path: path.to_path_buf(),
        source,
    })?;
    let base = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    parse::<R>(&text, path, base, environment)
}

/// As [`load`], for a text that is already in memory. `path` is only named in errors.
///
/// # Errors
/// As [`load`], less the reading.
pub fn parse<R: RawConfig>(
    text: &str,
    path: &Path,
    base: &Path,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<R::Config, ConfigError> {
    let mut table: toml::Table = toml::from_str(text).map_err(|error: toml::de::Error| ConfigError::Syntax {
        path: path.to_path_buf(),
        message: located(&error, text),
    })?;
    let mut problems = Problems::default();
    override_from(&mut table, environment, &mut problems);
    let mut value = toml::Value::Table(table);
    let config = read_all::<R>(&mut value, &mut problems).and_then(|raw| raw.validate(base, &mut problems));
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        _ => {
            if problems.is_empty() {
                problems.add("(file)", "does not describe a complete configuration");
            }
            problems.name_variables();
            Err(ConfigError::Invalid {
                path: path.to_path_buf(),
                problems,
            })
        }
    }
}

/// What a parser says and where, without the line itself, or a value of it: it may be a password.
pub fn located(error: &toml::de::Error, text: &str) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    // A number beyond what TOML has is told with its digits.
    let said = match error.message().split_once('`') {
        Some((what, _)) if what.starts_with("invalid type: ") || what.starts_with("invalid value: ") => {
            "this value is of no type that is expected here"
        }
        _ => error.message(),
    };
    format!("line {line}, column {column}: {said}")
}

#[cfg(test)]
mod tests;
