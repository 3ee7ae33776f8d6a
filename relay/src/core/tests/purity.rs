//! The core decides: it asks no clock, no socket, no file and no entropy, and waits for nothing.
//!
//! Its sources are read word by word, as those of the agent's core are, and every path in them must begin with something
//! that is listed here. Chance is a generator that is given its seed.

#[path = "../../../../agent/src/core/tests/words.rs"]
mod words;

use words::{sources, tokens};

/// What a path may begin with, beside types and the core's own modules.
const ROOTS: [&str; 12] = [
    "self",
    "super",
    "std",
    "postern_protocol",
    "u8",
    "u16",
    "u32",
    "u64",
    "usize",
    "i64",
    "f64",
    // Of `std`, imported by name.
    "mem",
];

/// The parts of `std` that only compute or hold. Of `std::time` there is `Duration` and nothing else, of `std::sync` `Arc`.
const STD: [&str; 9] = [
    "array",
    "cmp",
    "collections",
    "error",
    "fmt",
    "iter",
    "mem",
    "num",
    "ops",
];

/// What needs no path to do harm. A table of hashes takes entropy, and another order with every run: no seed would
/// bring a run back.
const WORDS: [&str; 15] = [
    "async",
    "await",
    "unsafe",
    "extern",
    "include",
    "env",
    "print",
    "println",
    "eprint",
    "eprintln",
    "dbg",
    "thread_local",
    "HashMap",
    "HashSet",
    "RandomState",
];

/// What is wrong with the code, `modules` being the core's own. In its root, `super` is the crate.
fn faults(code: &str, modules: &[String], is_root: bool) -> Vec<String> {
    let tokens = tokens(code);
    let at = |place: usize| tokens.get(place).map_or("", String::as_str);
    let is_word = |token: &str| token.chars().all(|letter| letter.is_alphanumeric() || letter == '_');
    let may_begin = |token: &str| {
        token.starts_with(char::is_uppercase) || ROOTS.contains(&token) || modules.iter().any(|module| module == token)
    };
    let mut faults = Vec::new();
    for (place, token) in tokens.iter().enumerate() {
        let before = place.checked_sub(1).map_or("", at);
        let (next, second, fourth) = (at(place + 1), at(place + 2), at(place + 4));
        let begins_path = next == "::" && before != "::";
        let computes = || STD.contains(&second) || matches!((second, fourth), ("time", "Duration") | ("sync", "Arc"));
        let seeded = || matches!((second, fourth), ("Rng" | "SeedableRng", _) | ("rngs", "SmallRng"));
        let wrong = match token.as_str() {
            "std" => !(next == "::" && computes()),
            "rand" => !(next == "::" && seeded()),
            "SmallRng" => next == "::" && second != "seed_from_u64",
            "crate" => begins_path && second != "core" && (second, fourth) != ("config", "Ambiguous"),
            "super" => is_root || next == "::" && second == "super",
            // With nothing before it, the name of a crate follows.
            "::" => before != ">" && !is_word(before),
            word if WORDS.contains(&word) => true,
            // After a dot it is a method.
            root => begins_path && before != "." && is_word(root) && !may_begin(root),
        };
        if wrong {
            faults.push(format!("{token} {next} {second} … {fourth}"));
        }
    }
    faults
}

#[test]
fn the_core_asks_no_clock_no_socket_and_no_entropy_and_waits_for_nothing() {
    let sources = sources(env!("CARGO_MANIFEST_DIR"));
    let modules: Vec<String> = sources
        .iter()
        .map(|(path, _)| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    for module in ["core", "answers", "balance", "queue", "vocabulary"] {
        assert!(
            modules.contains(&module.to_owned()),
            "{module} was not read: {modules:?}"
        );
    }
    for (path, code) in &sources {
        let faults = faults(code, &modules, path.ends_with("core.rs"));
        assert!(faults.is_empty(), "{}: {faults:?}", path.display());
    }
}

#[test]
fn what_must_not_creep_in_is_found_however_it_is_written() {
    let modules = ["flight".to_owned()];
    for code in [
        "use std::io;",
        "use std::{fmt, net};",
        "use std::time::Instant;",
        "use std::time::{Duration, Instant};",
        "use std::time::Instant as Duration;",
        "let now = std::time::Instant::now();",
        "use std::time;",
        "use std::sync::Mutex;",
        "use std::sync::{Arc, mpsc};",
        "use std as s;",
        "use std::thread;",
        "std::thread::sleep(pause)",
        "use std::env;",
        "let name = env!(\"HOME\");",
        "std::env::var(name)",
        "std::fs::read(path)",
        "let dice = rand::rng();",
        "use rand::random as pure;",
        "use rand::{Rng, rng};",
        "use rand::rngs::OsRng;",
        "use rand::rngs::*;",
        "let random = SmallRng::from_os_rng();",
        "use crate::clock;",
        "let now = crate::clock::now();",
        "use crate::config;",
        "use crate::{clock, core};",
        "use super::super::clock;",
        "tokio::spawn(work)",
        "let socket = ::quinn::Endpoint::server();",
        "tracing::info!(user);",
        "pub(crate) async fn wait() {}",
        "unsafe { clock_gettime() }",
        "use std::collections::HashMap;",
        "use std::collections::{BTreeMap, HashSet};",
        "let marks = std::collections::HashMap::new();",
        "use std::collections::HashMap as BTreeMap;",
        "use std::{collections::hash_map::RandomState, fmt};",
    ] {
        assert!(!faults(code, &modules, false).is_empty(), "not found: {code}");
    }
    assert!(!faults("use super::clock;", &modules, true).is_empty());
    for code in [
        "use std::collections::{BTreeMap, VecDeque};",
        "use std::sync::Arc;",
        "use std::time::Duration;",
        "use crate::config::Ambiguous;",
        "use super::flight::Flight;",
        "use rand::Rng; use rand::rngs::SmallRng; SmallRng::seed_from_u64(seed)",
        "let end = now + Duration::from_secs(1); // tokio::time::sleep",
        "let text = \"std::net\"; flight::PAUSE; u64::MAX; Vec::<u8>::new()",
    ] {
        assert_eq!(faults(code, &modules, false), Vec::<String>::new(), "{code}");
    }
}
