//! The core asks no clock, no socket, no file and no entropy, and waits for nothing.
//!
//! Its sources are read word by word, and every path in them must begin with something that is listed here. A list of
//! what is allowed cannot be got around by a crate or a module that nobody thought of when it was written.

use words::{Rules, sources};

mod words;

const RULES: Rules = Rules {
    roots: &[
        "self",
        "super",
        "std",
        "postern_protocol",
        "thiserror",
        "u8",
        "u16",
        "u32",
        "u64",
        "usize",
        "i64",
        "i128",
        "f64",
        "str",
        // Of `std`, imported by name.
        "fmt",
        "mem",
        "cmp",
    ],
    // The parts of `std` that only compute.
    only: &[
        ("std", "cmp", None),
        ("std", "collections", None),
        ("std", "error", None),
        ("std", "fmt", None),
        ("std", "iter", None),
        ("std", "mem", None),
        ("std", "num", None),
        ("std", "ops", None),
        ("std", "time", Some("Duration")),
        ("crate", "core", None),
    ],
    // A table of hashes takes entropy and has another order with every run. The fence has some (`HashMap`), which it only
    // looks ids up in, and whose order it never sees.
    refused: &[
        "async",
        "await",
        "unsafe",
        "extern",
        "include",
        "print",
        "println",
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
    for module in ["core", "fence", "start_window", "tiers"] {
        assert!(
            modules.contains(&module.to_owned()),
            "{module} was not read: {modules:?}"
        );
    }
    for (path, code) in &sources {
        assert!(
            !path.ends_with("core.rs") || !code.contains("use "),
            "the root has modules only"
        );
        let faults = RULES.faults(code, &modules, false);
        assert!(faults.is_empty(), "{}: {faults:?}", path.display());
    }
}

#[test]
fn what_must_not_creep_in_is_found_however_it_is_written() {
    for code in [
        "use std::net::UdpSocket;",
        "use std::{fmt, net};",
        "use std::time::{Duration, Instant};",
        "let now = std::time::SystemTime::now();",
        "use std::time::Instant as Duration;",
        "use std::time;",
        "use std as s;",
        "let dice = rand::rng();",
        "use rand::random as pure;",
        "let socket = ::quinn::Endpoint::server();",
        "pub(crate) async fn wait() {}",
        "use crate::clock;",
        "let now = crate::clock::now();",
        "use super::super::clock;",
        "tokio::spawn(work)",
        "std::thread::sleep(pause)",
        "std::env::var(name)",
        "unsafe { clock_gettime() }",
        "use std::collections::{BTreeSet, HashSet};",
        "let dice = std::collections::hash_map::RandomState::new();",
    ] {
        assert!(
            !RULES.faults(code, &["fence".to_owned()], false).is_empty(),
            "not found: {code}"
        );
    }
    for code in [
        "use std::collections::{BTreeSet, HashMap};",
        "use std::time::Duration;",
        "use crate::core::fence::Fence;",
        "let end = now + Duration::from_secs(1); // tokio::time::sleep",
        "let text = \"std::net\"; fence::TICK; u64::MAX; Vec::<u8>::new()",
    ] {
        assert_eq!(
            RULES.faults(code, &["fence".to_owned()], false),
            Vec::<String>::new(),
            "{code}"
        );
    }
}
