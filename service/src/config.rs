//! Configuration: a TOML file, overridden by `POSTERN_SECTION__KEY`, checked as a whole.
//!
//! A person who mends a configuration wants every problem at once, each with its key. So reading does not stop at
//! the first: what does not fit is noted, taken out, and reading goes on; then the binary's own `validate` adds what
//! it finds. An invalid value never reaches a typed configuration.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::telemetry::LogConfig;

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
}

/// Everything that is wrong with a configuration, each with the key that it concerns.
#[derive(Debug, Default)]
pub struct Problems {
    list: Vec<(String, String)>,
    unreadable: BTreeSet<String>,
}

impl Problems {
    /// Notes one problem. `key` is the dotted path in the file, such as `dcs[0].ldap`.
    pub fn add(&mut self, key: impl Into<String>, message: impl fmt::Display) {
        let key = key.into();
        // A value that could not be read was taken out before validation: do not call it missing as well.
        let already_told = self
            .unreadable
            .iter()
            .any(|told| *told == key || told.starts_with(&format!("{key}.")));
        if !already_told {
            self.list.push((key, message.to_string()));
        }
    }

    /// `value`, or `None` and a note that `key` is missing.
    pub fn require<T>(&mut self, key: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.add(key, "is missing");
        }
        value
    }

    /// The parsed value, or `None` and a note that quotes the text and says why it does not parse.
    pub fn parse<T>(&mut self, key: &str, text: &str) -> Option<T>
    where
        T: std::str::FromStr,
        T::Err: fmt::Display,
    {
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.add(key, format!("{text:?}: {error}"));
                None
            }
        }
    }

    /// Whether nothing was noted.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The problems as (key, message), in the order they were found.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.list.iter().map(|(key, message)| (key.as_str(), message.as_str()))
    }
}

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
        /// The parser's message, with line and column.
        message: String,
    },
    /// The file is TOML and says things that cannot be.
    #[error("{} has {}:{}", path.display(), Count(problems.list.len()), Listing(problems))]
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
        message: error.to_string().trim_end().to_owned(),
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
            Err(ConfigError::Invalid {
                path: path.to_path_buf(),
                problems,
            })
        }
    }
}

/// Deserializes, each time taking out what does not fit, until the rest does.
fn read_all<R: RawConfig>(value: &mut toml::Value, problems: &mut Problems) -> Option<R> {
    loop {
        let error = match serde_path_to_error::deserialize::<_, R>(value.clone()) {
            Ok(raw) => return Some(raw),
            Err(error) => error,
        };
        let key = error.path().to_string();
        problems.add(key.clone(), error.inner().to_string().trim_end().replace('\n', "; "));
        problems.unreadable.insert(key);
        if !remove(value, error.path()) {
            return None;
        }
    }
}

fn remove(root: &mut toml::Value, path: &serde_path_to_error::Path) -> bool {
    use serde_path_to_error::Segment;
    let segments: Vec<_> = path.iter().collect();
    let Some((last, parents)) = segments.split_last() else {
        return false;
    };
    let mut here = root;
    for segment in parents {
        let next = match segment {
            Segment::Map { key } => here.get_mut(key.as_str()),
            Segment::Seq { index } => here.get_mut(*index),
            _ => None,
        };
        match next {
            Some(next) => here = next,
            None => return false,
        }
    }
    match (last, here) {
        (Segment::Map { key }, toml::Value::Table(table)) => table.remove(key).is_some(),
        (Segment::Seq { index }, toml::Value::Array(array)) if *index < array.len() => {
            array.remove(*index);
            true
        }
        _ => false,
    }
}

/// `POSTERN_API__LISTEN=…` sets `api.listen`. A value that reads as a TOML boolean, number, array or quoted string is
/// that; anything else is a string.
fn override_from(
    table: &mut toml::Table,
    environment: impl IntoIterator<Item = (String, String)>,
    problems: &mut Problems,
) {
    for (name, text) in environment {
        let Some(path) = name.strip_prefix("POSTERN_").filter(|rest| rest.contains("__")) else {
            continue;
        };
        let path: Vec<String> = path.split("__").map(str::to_ascii_lowercase).collect();
        let Some((key, sections)) = path.split_last() else {
            continue;
        };
        let fits = path.iter().all(|part| !part.is_empty());
        match section_of(table, sections) {
            Some(section) if fits => {
                section.insert(key.clone(), environment_value(&text));
            }
            _ => problems.add(name, "does not name a key of a section (POSTERN_SECTION__KEY)"),
        }
    }
}

/// The table at `path` below `table`, made where it is missing; `None` where something else is in the way.
fn section_of<'a>(table: &'a mut toml::Table, path: &[String]) -> Option<&'a mut toml::Table> {
    let Some((first, rest)) = path.split_first() else {
        return Some(table);
    };
    match table
        .entry(first.clone())
        .or_insert_with(|| toml::Value::Table(toml::Table::new()))
    {
        toml::Value::Table(inner) => section_of(inner, rest),
        _ => None,
    }
}

fn environment_value(text: &str) -> toml::Value {
    match toml::from_str::<toml::Table>(&format!("value = {text}")) {
        Ok(mut table) if table.len() == 1 => table
            .remove("value")
            .unwrap_or_else(|| toml::Value::String(text.to_owned())),
        _ => toml::Value::String(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Raw {
        api: Option<RawApi>,
        #[serde(default)]
        log: LogConfig,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct RawApi {
        listen: Option<String>,
        rate: Option<u32>,
        names: Option<Vec<String>>,
    }

    #[derive(Debug)]
    struct Typed {
        listen: std::net::SocketAddr,
        rate: Option<u32>,
        names: Vec<String>,
        log: LogConfig,
    }

    impl RawConfig for Raw {
        type Config = Typed;
        fn validate(self, _: &Path, problems: &mut Problems) -> Option<Typed> {
            let api = problems.require("api", self.api)?;
            let listen = problems
                .require("api.listen", api.listen)
                .and_then(|t| problems.parse("api.listen", &t));
            if api.rate == Some(0) {
                problems.add("api.rate", "must be at least 1");
            }
            Some(Typed {
                listen: listen?,
                rate: api.rate,
                names: api.names.unwrap_or_default(),
                log: self.log,
            })
        }
        fn log(config: &Typed) -> &LogConfig {
            &config.log
        }
    }

    fn read(text: &str, environment: &[(&str, &str)]) -> Result<Typed, ConfigError> {
        let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        parse::<Raw>(text, Path::new("test.toml"), Path::new("."), environment)
    }

    #[test]
    fn every_problem_is_named_at_once_with_its_key() {
        let text = "[api]\nlisten = \"nowhere\"\nrate = \"many\"\nlisen = 1\nnames = [\"a\", 3]\n[lgo]\n";
        let error = read(text, &[]).unwrap_err().to_string();
        for key in [
            "api.listen: \"nowhere\"",
            "api.rate: ",
            "api.lisen: unknown field",
            "api.names[1]: ",
            "lgo: unknown",
        ] {
            assert!(error.contains(key), "{key} is not in: {error}");
        }
        assert!(error.contains("5 problems"), "{error}");
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_not_called_missing_as_well() {
        let error = read("[api]\nlisten = 7\n", &[]).unwrap_err().to_string();
        assert!(error.contains("one problem"), "{error}");
    }

    #[test]
    fn the_environment_overrides_the_file_and_may_add_a_section() {
        let environment = [
            ("POSTERN_API__LISTEN", "127.0.0.1:9"),
            ("POSTERN_API__RATE", "7"),
            ("POSTERN_API__NAMES", "[\"x\"]"),
            ("POSTERN_SERVICE_PASSWORD", "not a setting"),
            ("POSTERN_LOG__LEVEL", "debug"),
        ];
        let typed = read("[api]\nlisten = \"127.0.0.1:1\"\n", &environment).unwrap();
        assert_eq!(typed.listen.port(), 9);
        assert_eq!(typed.rate, Some(7));
        assert_eq!(typed.names, ["x"]);
        assert_eq!(typed.log.level, "debug");
    }

    #[test]
    fn an_unknown_override_is_refused_like_an_unknown_key() {
        let error = read("[api]\nlisten = \"127.0.0.1:1\"\n", &[("POSTERN_API__LISEN", "x")]).unwrap_err();
        assert!(error.to_string().contains("api.lisen: unknown field"), "{error}");
    }

    #[test]
    fn a_file_that_is_no_toml_says_where() {
        let error = read("[api\n", &[]).unwrap_err().to_string();
        assert!(error.contains("line 1"), "{error}");
    }
}
