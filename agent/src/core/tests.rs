//! The core asks no clock, no socket, no file and no entropy, and waits for nothing.
//!
//! Its sources are read word by word, and every path in them must begin with something that is listed here. A list of
//! what is allowed cannot be got around by a crate or a module that nobody thought of when it was written.

use words::{sources, tokens};

mod words;

/// What a path may begin with, beside types and the core's own modules.
const ROOTS: [&str; 17] = [
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
];

/// The parts of `std` that only compute. Of `std::time` there is `Duration` and nothing else.
const STD: [&str; 8] = ["cmp", "collections", "error", "fmt", "iter", "mem", "num", "ops"];

/// What needs no path to do harm. A table of hashes takes entropy and has another order with every run. The fence has
/// some (`HashMap`), which it only looks ids up in, and whose order it never sees.
const WORDS: [&str; 9] = [
    "async",
    "await",
    "unsafe",
    "extern",
    "include",
    "print",
    "println",
    "HashSet",
    "RandomState",
];

/// What is wrong with the code, `modules` being the core's own.
fn faults(code: &str, modules: &[String]) -> Vec<String> {
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
        let wrong = match token.as_str() {
            "std" => !(next == "::" && (STD.contains(&second) || second == "time" && fourth == "Duration")),
            "crate" => begins_path && second != "core",
            "super" => next == "::" && second == "super",
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
        let faults = faults(code, &modules);
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
        assert!(!faults(code, &["fence".to_owned()]).is_empty(), "not found: {code}");
    }
    for code in [
        "use std::collections::{BTreeSet, HashMap};",
        "use std::time::Duration;",
        "use crate::core::fence::Fence;",
        "let end = now + Duration::from_secs(1); // tokio::time::sleep",
        "let text = \"std::net\"; fence::TICK; u64::MAX; Vec::<u8>::new()",
    ] {
        assert_eq!(faults(code, &["fence".to_owned()]), Vec::<String>::new(), "{code}");
    }
}
