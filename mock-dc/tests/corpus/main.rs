//! The fuzzing corpus, replayed: whatever a client says, in both dialects, whole or in pieces, the connection keeps to
//! the rules of `exam`. `fuzz/README.md` tells how the corpus is made.

/// The fuzzer's own program, so that no change leaves it behind unbuilt: what it takes from libfuzzer-sys is here.
#[cfg(test)]
#[path = "../../../fuzz/fuzz_targets/requests.rs"]
#[expect(
    unused_attributes,
    reason = "it is a program's root where it is built with a sanitizer"
)]
mod target;

extern crate self as libfuzzer_sys;

/// As libfuzzer-sys has it, to be called by hand.
#[macro_export]
macro_rules! fuzz_target {
    (|$bytes:ident: &[u8]| $body:block) => {
        pub(crate) fn run($bytes: &[u8]) {
            $body
        }
    };
}

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use postern_mock_dc::domain::dialect::Dialect;
use target::exam::{Answer, controllers, examine};

/// How long it may be beside the sources.
const CORPUS_BYTES: usize = 1024 * 1024;

/// The domain that is asked.
const DOMAIN: &str = include_str!("../../../fuzz/domain.toml");

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/requests")
}

fn results(answers: &[Answer]) -> Vec<(i32, u8, i32)> {
    let result = |answer: &Answer| Some((answer.id, answer.tag, answer.code?));
    answers.iter().filter_map(result).collect()
}

#[test]
fn every_input_of_the_corpus_keeps_to_the_rules() {
    let controllers = controllers(DOMAIN);
    let (mut inputs, mut bytes_of_all, mut answered) = (0, 0, 0);
    for input in std::fs::read_dir(corpus()).expect("the corpus") {
        let input = input.expect("an input").path();
        let bytes = std::fs::read(&input).expect("its bytes");
        inputs += 1;
        bytes_of_all += bytes.len();
        for (dialect, controller) in &controllers {
            let [whole, pieces] = [bytes.len().max(1), 7].map(|piece| {
                // A rule that is broken names no input.
                let answers = catch_unwind(AssertUnwindSafe(|| examine(controller, *dialect, &bytes, piece)));
                answers.unwrap_or_else(|_| panic!("{} in pieces of {piece}, {dialect:?}", input.display()))
            });
            answered += whole.len();
            // Nothing overtakes anything else there.
            if *dialect == Dialect::Samba {
                assert_eq!(results(&whole), results(&pieces), "{}", input.display());
            }
        }
    }
    assert!(inputs >= 60 && answered > 600, "{inputs} inputs, {answered} answers");
    assert!(bytes_of_all < CORPUS_BYTES, "{bytes_of_all} bytes");
}

#[test]
fn the_fuzzer_puts_an_input_to_the_same_rules() {
    let seed = std::fs::read(corpus().join("password-tls")).expect("a seed");
    target::run(&seed);
}

/// What the seeds are for: that each comes as far as its name says.
#[test]
fn seeds_reach_what_they_are_named_after() {
    let [(windows, windows_dc), (samba, samba_dc)] = controllers(DOMAIN);
    let ask = |dc, dialect, name: &str| {
        let bytes = std::fs::read(corpus().join(name)).expect("a seed");
        results(&examine(dc, dialect, &bytes, bytes.len()))
    };
    let on_windows = |name| ask(&windows_dc, windows, name);
    let on_samba = |name| ask(&samba_dc, samba, name);
    let (bound, changed) = ((1, 0x61, 0), |code| (2, 0x67, code));
    // Over TLS a password is changed; in the clear Windows does not look at it.
    assert_eq!(
        on_windows("password-tls"),
        [(9, 0x78, 0), bound, changed(0), (3, 0x61, 0)]
    );
    assert_eq!(on_windows("password-clear"), [bound, changed(53), (3, 0x61, 49)]);
    assert_eq!(on_samba("password-clear"), [bound, changed(0), (3, 0x61, 0)]);
    assert_eq!(
        on_windows("password-reset"),
        [(9, 0x78, 0), bound, changed(0), (3, 0x61, 0)]
    );
    // What is paged, sorted or named in another way is found.
    for name in ["sort", "ranges", "base-guid", "base-sid", "base-wkguid", "chain", "anr"] {
        for answers in [on_windows(name), on_samba(name)] {
            assert!(answers.iter().all(|(_, _, code)| *code == 0), "{name}: {answers:?}");
        }
    }
    assert_eq!(on_windows("compare"), [bound, (2, 0x6f, 6), (3, 0x6f, 5)]);
    assert_eq!(on_windows("fast-bind")[..2], [(1, 0x78, 0), bound]);
}
