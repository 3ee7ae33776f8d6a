//! What is wrong with a configuration, told by the keys that the file has.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Everything that is wrong with a configuration, each with the key that it concerns.
#[derive(Debug, Default)]
pub struct Problems {
    list: Vec<(String, String)>,
    /// Keys, as in the file, of what could not be read and was taken out.
    unreadable: BTreeSet<String>,
    /// Which elements were taken out of an array, by the array's key in the file: those after them moved up.
    gaps: BTreeMap<String, BTreeSet<usize>>,
    /// Keys that are not the file's but the environment's, with the names of their variables.
    variables: Vec<(String, String)>,
}

/// With the names of types as people say them.
fn for_people(message: &str) -> String {
    const WORDS: [(&str, &str); 9] = [
        ("usize", "a whole number"),
        ("u8", "a whole number"),
        ("u16", "a whole number"),
        ("u32", "a whole number"),
        ("u64", "a whole number"),
        ("i64", "a whole number"),
        ("f64", "a number"),
        ("a boolean", "true or false"),
        ("path string", "a path"),
    ];
    let word = |rest: &str| {
        WORDS.iter().find_map(|(name, words)| {
            let after = rest.strip_prefix(name)?;
            let whole = !after.starts_with(|next: char| next.is_alphanumeric() || next == '_');
            whole.then(|| format!("{words}{after}"))
        })
    };
    match message.split_once("expected ") {
        Some((before, rest)) => match word(rest) {
            Some(said) => format!("{before}expected {said}"),
            None => message.to_owned(),
        },
        None => message.to_owned(),
    }
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

    /// The file does not have `key`, or it does not count: the variable `name` of the environment does.
    pub(super) fn is_from(&mut self, name: String, key: String) {
        self.variables.push((key, name));
    }

    /// Says of what the environment set that it did.
    pub(super) fn name_variables(&mut self) {
        for (key, message) in &mut self.list {
            let variable = self.variables.iter().find(|(set, _)| is_part_of(key, set));
            if let Some((_, name)) = variable {
                *message = format!("{message} (set by {name} in the environment)");
            }
        }
    }

    /// Notes what could not be read and is about to be taken out.
    pub(super) fn add_unreadable(&mut self, path: &serde_path_to_error::Path, message: String) {
        let key = self.in_file(&path.to_string());
        if let Some((array, index)) = key.strip_suffix(']').and_then(|rest| rest.rsplit_once('['))
            && let Ok(index) = index.parse()
        {
            self.gaps.entry(array.to_owned()).or_default().insert(index);
        }
        self.list.push((key.clone(), for_people(&message)));
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
