//! Configuration: a TOML file, overridden by `POSTERN_SECTION__KEY`, checked as a whole.
//!
//! A person who mends a configuration wants every problem at once, each with its key. So reading does not stop at
//! the first: what does not fit is noted, taken out, and reading goes on; then the binary's own `validate` adds what
//! it finds. An invalid value never reaches a typed configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

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

    /// After SIGTERM, how long the process may take to finish what it took; then it is stopped. A program that is
    /// configured to wait before it even begins to end must say so here.
    fn grace(_config: &Self::Config) -> Duration {
        DEFAULT_GRACE
    }
}

/// Kubernetes gives 30 s before SIGKILL; this leaves room for the answer to the last sign-in and the log's last line.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(25);

/// Everything that is wrong with a configuration, each with the key that it concerns.
#[derive(Debug, Default)]
pub struct Problems {
    list: Vec<(String, String)>,
    /// Keys, as in the file, of what could not be read and was taken out.
    unreadable: BTreeSet<String>,
    /// Which elements were taken out of an array, by the array's key in the file: those after them moved up.
    gaps: BTreeMap<String, BTreeSet<usize>>,
}

impl Problems {
    /// Notes one problem. `key` is the dotted path, such as `dcs[0].ldap`, in what was read; it is told as in the
    /// file, where elements that could not be read still have their places.
    pub fn add(&mut self, key: impl Into<String>, message: impl fmt::Display) {
        let key = self.in_file(&key.into());
        // A value that could not be read was taken out before validation: do not call it, or what it is part of,
        // missing or empty as well.
        let already_told = self
            .unreadable
            .iter()
            .any(|told| is_part_of(told, &key) || is_part_of(&key, told));
        if !already_told {
            self.list.push((key, message.to_string()));
        }
    }

    /// Notes what could not be read and is about to be taken out.
    fn add_unreadable(&mut self, path: &serde_path_to_error::Path, message: String) {
        let key = self.in_file(&path.to_string());
        if let Some((array, index)) = key.strip_suffix(']').and_then(|rest| rest.rsplit_once('['))
            && let Ok(index) = index.parse()
        {
            self.gaps.entry(array.to_owned()).or_default().insert(index);
        }
        self.list.push((key.clone(), message));
        self.unreadable.insert(key);
    }

    /// The key in the file of what has `key` now that elements were taken out before it.
    fn in_file(&self, key: &str) -> String {
        let mut told = String::with_capacity(key.len());
        for part in key.split_inclusive('[') {
            // The part before a bracket ends here; one after it begins with an index.
            match part.split_once(']') {
                Some((index, rest)) if told.ends_with('[') => {
                    let index = match index.parse() {
                        Ok(index) => self.index_in_file(&told[..told.len() - 1], index).to_string(),
                        Err(_) => index.to_owned(),
                    };
                    told.push_str(&index);
                    told.push(']');
                    told.push_str(rest);
                }
                _ => told.push_str(part),
            }
        }
        told
    }

    fn index_in_file(&self, array: &str, index: usize) -> usize {
        let gaps = self.gaps.get(array).into_iter().flatten();
        gaps.fold(index, |index, gap| if *gap <= index { index + 1 } else { index })
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

/// Whether `key` is `whole` or something within it.
fn is_part_of(key: &str, whole: &str) -> bool {
    key.strip_prefix(whole)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
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
        problems.add_unreadable(error.path(), error.inner().to_string().trim_end().replace('\n', "; "));
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
        Ok(mut table) if table.len() == 1 => match table.remove("value") {
            // A name may look like a date or like braces around something.
            None | Some(toml::Value::Datetime(_) | toml::Value::Table(_)) => toml::Value::String(text.to_owned()),
            Some(value) => value,
        },
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
        callers: Option<Vec<RawCaller>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct RawCaller {
        name: Option<String>,
        groups: Option<Vec<String>>,
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
            if api.names.as_ref().is_some_and(Vec::is_empty) {
                problems.add("api.names", "must not be empty");
            }
            for (index, caller) in api.callers.unwrap_or_default().into_iter().enumerate() {
                problems.require(&format!("api.callers[{index}].name"), caller.name);
                for (group, name) in caller.groups.unwrap_or_default().iter().enumerate() {
                    if name.is_empty() {
                        problems.add(format!("api.callers[{index}].groups[{group}]"), "must not be empty");
                    }
                }
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

    /// The keys of the problems of `[api]` with these lines.
    fn keys(lines: &str) -> Vec<String> {
        match read(&format!("[api]\nlisten = \"127.0.0.1:1\"\n{lines}\n"), &[]) {
            Err(ConfigError::Invalid { problems, .. }) => problems.iter().map(|(key, _)| key.to_owned()).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_wrong_element_of_an_array_has_its_index_in_the_file() {
        assert_eq!(
            keys("names = [\"a\", 3, 4, \"b\", 5]"),
            ["api.names[1]", "api.names[2]", "api.names[4]"]
        );
    }

    #[test]
    fn every_wrong_table_of_an_array_has_its_index_in_the_file_also_when_validation_finds_it() {
        let callers = "callers = [1, {name = 2}, {name = \"a\"}, 3, {}, \
                       {name = \"b\", groups = [4, \"x\", \"\", 5, \"\"]}, {nam = \"c\"}]";
        let mut found = keys(callers);
        found.sort();
        let wanted = [
            "api.callers[0]",
            "api.callers[1].name",
            "api.callers[3]",
            "api.callers[4].name",
            "api.callers[5].groups[0]",
            "api.callers[5].groups[2]",
            "api.callers[5].groups[3]",
            "api.callers[5].groups[4]",
            "api.callers[6].nam",
            "api.callers[6].name",
        ];
        assert_eq!(found, wanted);
    }

    #[test]
    fn an_array_whose_elements_could_not_be_read_is_not_called_empty_as_well() {
        assert_eq!(keys("names = [3]"), ["api.names[0]"]);
    }

    #[test]
    fn an_override_that_looks_like_a_date_or_a_table_is_text() {
        for text in ["1979-05-27", "{}", "{a = 1}", "x = y"] {
            assert_eq!(environment_value(text), toml::Value::String(text.to_owned()));
        }
        assert_eq!(environment_value("\"7\""), toml::Value::String("7".to_owned()));
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
