//! The core decides: it asks no clock, no socket, no file and no entropy, and waits for nothing.
//!
//! Its sources are read word by word, as those of the agent's core are, and every path in them must begin with something
//! that is listed here. Chance is a generator that is given its seed.

#[path = "../../../../agent/src/core/tests/words.rs"]
mod words;

use words::{Rules, sources};

const RULES: Rules = Rules {
    roots: &[
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
    ],
    // The parts of `std` that only compute or hold, and chance that is given its seed.
    only: &[
        ("std", "array", None),
        ("std", "cmp", None),
        ("std", "collections", None),
        ("std", "error", None),
        ("std", "fmt", None),
        ("std", "iter", None),
        ("std", "mem", None),
        ("std", "num", None),
        ("std", "ops", None),
        ("std", "time", Some("Duration")),
        ("std", "sync", Some("Arc")),
        ("rand", "Rng", None),
        ("rand", "SeedableRng", None),
        ("rand", "rngs", Some("SmallRng")),
        ("SmallRng", "seed_from_u64", None),
        ("crate", "core", None),
        ("crate", "config", Some("Ambiguous")),
    ],
    // A table of hashes takes entropy, and another order with every run: no seed would bring a run back.
    refused: &[
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
    ],
};

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
        let faults = RULES.faults(code, &modules, path.ends_with("core.rs"));
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
        assert!(!RULES.faults(code, &modules, false).is_empty(), "not found: {code}");
    }
    assert!(!RULES.faults("use super::clock;", &modules, true).is_empty());
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
        assert_eq!(RULES.faults(code, &modules, false), Vec::<String>::new(), "{code}");
    }
}
