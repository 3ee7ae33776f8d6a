//! `GUIDE.md`, word for word: its commands are run in an empty folder and what they print is compared with what it
//! shows; its Rust is the module `sign_in`, which is compiled and run here.
//!
//! Only the installation is left out: cargo has built the program that these tests run.

#![expect(
    clippy::expect_used,
    reason = "helpers of tests may panic as the tests themselves may"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "the guide drives a connection as the users of ldap3 do, by its own macro"
)]

mod sign_in;

use std::path::{Path, PathBuf};
use std::process::Command;

use uuid::Uuid;

const GUIDE: &str = include_str!("../../GUIDE.md");

/// Between the outputs of two blocks; no text has it.
const SEPARATOR: char = '\u{1e}';

/// Stands in shown output for what differs from run to run, within a line.
const ANYTHING: char = '…';

/// A fenced block: the word after the fence, and what is in it.
struct Block<'a> {
    language: &'a str,
    text: String,
}

/// The blocks of one section, in order.
fn blocks(title: &str) -> Vec<Block<'static>> {
    let mut sections = GUIDE.split("\n## ");
    let section = sections.find(|section| section.starts_with(&format!("{title}\n")));
    let mut blocks = Vec::new();
    let mut open: Option<Block<'static>> = None;
    for line in section.expect("a section of this title").lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => {
                open = Some(Block {
                    language,
                    text: String::new(),
                });
            }
            (Some(_), Some("")) => blocks.extend(open.take()),
            (Some(block), _) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("postern-guide-{}", Uuid::new_v4()));
        std::fs::create_dir(&path).expect("a folder");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Follows a section in one shell: writes the blocks that begin with the name of a file, runs those of `sh`, and
/// compares what each prints with the block of `text` behind it.
fn follow(title: &str) {
    let folder = Folder::new();
    let mut script = String::new();
    let mut expected: Vec<String> = Vec::new();
    for Block { language, text } in blocks(title) {
        match language {
            "sh" => {
                script.push_str(&format!("{text}printf '{SEPARATOR}'\n"));
                expected.push(String::new());
            }
            "text" => *expected.last_mut().expect("commands before their output") = text,
            _ => {
                let name = text.lines().next().and_then(|line| line.strip_prefix("# "));
                std::fs::write(folder.0.join(name.expect("a file's name")), text).expect("a file");
            }
        }
    }
    assert!(!expected.is_empty(), "nothing to follow");
    std::fs::write(folder.0.join("guide.sh"), script).expect("a file");

    // Beyond a minute and a half something hangs.
    let output = Command::new("timeout")
        .args(["90", "bash", "-euo", "pipefail", "guide.sh"])
        .current_dir(&folder.0)
        .env("PATH", path())
        .output()
        .expect("timeout and bash");
    let (told, complained) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{}\n{told}\n{complained}", output.status);
    let told: Vec<&str> = told.split_terminator(SEPARATOR).collect();
    assert_eq!(told.len(), expected.len());
    for (told, expected) in told.iter().zip(&expected) {
        assert!(agree(told, expected), "shown:\n{expected}\nprinted:\n{told}");
    }
}

/// The program that cargo built, then the Python of the tests, then what the system has.
fn path() -> std::ffi::OsString {
    let program = Path::new(env!("CARGO_BIN_EXE_postern-mock-dc"));
    let python = std::env::var_os("POSTERN_TEST_PYTHON").map(PathBuf::from);
    let ours = [Some(program), python.as_deref()];
    let ours = ours.into_iter().flatten().filter_map(Path::parent).map(Path::to_owned);
    let system = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(ours.chain(std::env::split_paths(&system))).expect("paths without colons")
}

fn agree(told: &str, shown: &str) -> bool {
    told.lines().count() == shown.lines().count()
        && told
            .lines()
            .zip(shown.lines())
            .all(|(told, shown)| match shown.split_once(ANYTHING) {
                None => told == shown,
                Some((before, after)) => {
                    told.len() >= before.len() + after.len() && told.starts_with(before) && told.ends_with(after)
                }
            })
}

#[test]
#[ignore = "needs ldap-utils, curl and jq (.ci/run installs them)"]
fn the_shell_part_prints_what_it_shows() {
    follow("From a shell");
}

#[test]
#[ignore = "needs ldap3 and pytest; POSTERN_TEST_PYTHON names a Python that has them (.ci/run installs them)"]
fn the_python_part_prints_what_it_shows() {
    follow("From Python");
}

#[test]
fn the_rust_part_is_what_is_tested_here() {
    let shown = blocks("From Rust");
    let shown = shown.iter().find(|block| block.language == "rust").expect("Rust");
    assert_eq!(shown.text, include_str!("sign_in.rs"));
}
