//! The core and the fence, broken on purpose: each breakage must be caught by the schedules, and by a rule that it
//! breaks.
//!
//! Nothing in the product knows of this. A breakage is a change of its source; `every_breakage_is_caught` makes it in a
//! copy of the workspace, builds the schedules there, runs them and reads which rule they name. That takes about a
//! minute for each, so it is run by itself; what a usual run does is to see that every change can still be made.

use std::path::{Path, PathBuf};
use std::process::Command;

/// One change, and the rules that may name it.
struct Breakage {
    what: &'static str,
    edits: &'static [Edit],
    caught_by: &'static [&'static str],
}

/// In this file, this text, which is there once, becomes that.
type Edit = (&'static str, &'static str, &'static str);

const BREAKAGES: [Breakage; 22] = [
    Breakage {
        what: "an agent that may have bound it gets it again",
        edits: &[(
            "relay/src/core/answers.rs",
            "        flight.avoid.insert(name);\n",
            "        drop(name);\n",
        )],
        caught_by: &["never-again-to-who-may-have-seen-it"],
    },
    Breakage {
        what: "the policy `fail` retries",
        edits: &[(
            "relay/src/core/ambiguous.rs",
            "self.policy == Ambiguous::RetryOnce",
            "self.policy == Ambiguous::RetryOnce || self.policy == Ambiguous::Fail",
        )],
        caught_by: &["fail-is-never-retried", "fail-never-binds-twice"],
    },
    Breakage {
        what: "a user has any number of extra attempts",
        edits: &[("relay/src/core/ambiguous.rs", " && !self.last.contains_key(&user)", "")],
        caught_by: &["one-extra-attempt-per-user", "one-second-bind-per-user"],
    },
    Breakage {
        what: "a user's extra attempt is there again after half the window",
        edits: &[(
            "relay/src/core/ambiguous.rs",
            "if now.since(at) < self.window {",
            "if now.since(at) < self.window / 2 {",
        )],
        caught_by: &["one-extra-attempt-per-user", "one-second-bind-per-user"],
    },
    Breakage {
        what: "an agent gets one sign-in more than it has slots",
        edits: &[(
            "relay/src/core/agents.rs",
            "self.outstanding() < self.session.slots",
            "self.outstanding() <= self.session.slots",
        )],
        caught_by: &["sent-within-slots"],
    },
    Breakage {
        what: "an agent that drains gets work",
        edits: &[(
            "relay/src/core/agents.rs",
            "!self.draining && self.session.directory_ready",
            "self.session.directory_ready",
        )],
        caught_by: &["sent-to-who-takes-work"],
    },
    Breakage {
        what: "an answer that was lost is a wrong password",
        edits: &[(
            "relay/src/core/answers.rs",
            "Answer::Lost => self.attempt_lost(now, flight, id, Word::WillNot),",
            "Answer::Lost => self.settle(flight, Outcome::Verdict(Verdict::InvalidCredentials), Some(id)),",
        )],
        caught_by: &["no-failure-becomes-a-verdict"],
    },
    Breakage {
        what: "a password that may have been tried is called untried",
        edits: &[(
            "relay/src/core/flight.rs",
            "_ if may_have_been_bound =>",
            "_ if may_have_been_bound && self.sends > 9 =>",
        )],
        caught_by: &["untried-means-untried"],
    },
    Breakage {
        what: "an answer is believed whoever gives it",
        edits: &[
            (
                "relay/src/core/answers.rs",
                "agent.in_hand.remove(&(flight, attempt)) else {",
                "agent.in_hand.remove(&(flight, attempt)).or(Some(InHand { sent: now, user: 0, probe: false, counted: false })) else {",
            ),
            (
                "relay/src/core/answers.rs",
                ".filter(|state| state.has_attempt(id, attempt))",
                "",
            ),
        ],
        caught_by: &[
            "no-failure-becomes-a-verdict",
            "failures-have-a-cause",
            "three-users-eject",
            // What an agent owes is forgotten by somebody else's answer.
            "the-silent-are-pinged",
        ],
    },
    Breakage {
        what: "an agent that is there is given up before it can answer",
        edits: &[(
            "relay/src/core.rs",
            "const PATIENCE: Duration = Duration::from_secs(2);",
            "const PATIENCE: Duration = Duration::from_millis(5);",
        )],
        caught_by: &["nobody-is-given-up-early", "binds-are-not-hedged"],
    },
    Breakage {
        what: "the deadline's timer is forgotten",
        edits: &[(
            "relay/src/core/flight.rs",
            ".fold(self.sign_in.deadline, Moment::min)",
            ".fold(self.sign_in.deadline + Duration::from_secs(3), Moment::min)",
        )],
        caught_by: &["settled-by-its-deadline"],
    },
    Breakage {
        what: "a caller's envelope that does not open counts against the agent",
        edits: &[(
            "relay/src/core/answers.rs",
            "NotStarted::Busy if known != Some(false) => Credit::None",
            "NotStarted::Busy if known != Some(false) => Credit::Bad",
        )],
        caught_by: &["callers-harm-no-agent"],
    },
    Breakage {
        what: "later pings put off the suspicion of an idle agent",
        edits: &[(
            "relay/src/core/liveness.rs",
            "self.deaf_since.map(|since| since + silence)",
            "self.pinged.filter(|_| self.deaf_since.is_some()).map(|pinged| pinged + silence)",
        )],
        caught_by: &["idle-silence-makes-suspects"],
    },
    Breakage {
        what: "suspects get work as anybody does",
        edits: &[
            (
                "relay/src/core/balance.rs",
                "!agent.liveness.is_suspect() && !passed_over.has(agent, self.now)",
                "!passed_over.has(agent, self.now)",
            ),
            (
                "relay/src/core/balance.rs",
                "let there = agent.could_take(flight) && !agent.liveness.is_suspect();",
                "let there = agent.could_take(flight);",
            ),
        ],
        caught_by: &["suspects-get-nothing"],
    },
    Breakage {
        what: "the mark of a bind is not kept",
        edits: &[(
            "agent/src/core/fence/replay.rs",
            "        self.marks.insert(id, end);\n        self.ends.insert((end, id));\n        Ok(())",
            "        self.ends.insert((end, id));\n        Ok(())",
        )],
        caught_by: &["an-id-is-bound-once"],
    },
    Breakage {
        what: "the error of the relay's time is left out",
        edits: &[(
            "protocol/src/relay_time.rs",
            "i128::from(now.0) + best.offset + error;",
            "i128::from(now.0) + best.offset - error;",
        )],
        caught_by: &["binds-start-in-time"],
    },
    Breakage {
        what: "what was cancelled is started",
        edits: &[(
            "agent/src/core/fence.rs",
            "self.over || self.cancelled.contains(attempt.id, attempt.start_by)",
            "self.over",
        )],
        caught_by: &["cancelled-is-not-started"],
    },
    Breakage {
        what: "ejected agents get work as anybody does",
        edits: &[(
            "relay/src/core/balance.rs",
            "let ejections = self.are_few(there, ejected);",
            "let ejections = self.are_few(there, ejected) && self.usual.factor_of(1.0) < 0.0;",
        )],
        caught_by: &["the-ejected-get-nothing"],
    },
    Breakage {
        what: "an ejected agent gets any number of sign-ins as probes",
        edits: &[(
            "relay/src/core/breaker.rs",
            "ejection.probing |= probe;",
            "ejection.probing &= probe;",
        )],
        caught_by: &["the-ejected-get-nothing"],
    },
    Breakage {
        what: "ejections do not last longer when the probe fails",
        edits: &[(
            "relay/src/core/breaker.rs",
            "saturating_mul(1 << self.ejections.min(16))",
            "saturating_mul(1 << self.ejections.min(0))",
        )],
        caught_by: &["the-ejected-get-nothing"],
    },
    Breakage {
        what: "hand-offs cost nothing",
        edits: &[(
            "relay/src/core/answers.rs",
            "budget.take(now, slots);",
            "budget.take(now, slots) || slots < u32::MAX;",
        )],
        caught_by: &["hand-offs-within-budget"],
    },
    Breakage {
        what: "who has answered gets nothing of what waits",
        edits: &[(
            "relay/src/core/answers.rs",
            "            self.no_longer_suspect(now, id, realm);\n        }\n        self.dispatch(now, realm);",
            "            self.no_longer_suspect(now, id, realm);\n        }",
        )],
        caught_by: &["nobody-waits-in-vain"],
    },
];

/// Schedules for each; one that is caught is caught by the first few hundred.
const SCHEDULES: &str = "20000";

fn workspace() -> PathBuf {
    let testbed = Path::new(env!("CARGO_MANIFEST_DIR"));
    testbed.parent().unwrap().to_owned()
}

fn changed(edits: &[Edit], read: impl Fn(&str) -> String) -> Vec<(&'static str, String)> {
    let mut files: Vec<(&'static str, String)> = Vec::new();
    for (file, from, to) in edits {
        if !files.iter().any(|(known, _)| known == file) {
            files.push((file, read(file)));
        }
        let (_, text) = files.iter_mut().find(|(known, _)| known == file).unwrap();
        assert_eq!(text.matches(from).count(), 1, "{file} should have this once: {from}");
        *text = text.replace(from, to);
    }
    files
}

#[test]
fn every_breakage_can_still_be_made() {
    let read = |file: &str| std::fs::read_to_string(workspace().join(file)).unwrap();
    for breakage in &BREAKAGES {
        for (file, text) in changed(breakage.edits, read) {
            assert_ne!(text, read(file), "{}", breakage.what);
        }
    }
}

#[test]
#[ignore = "builds the workspace once for each breakage"]
fn every_breakage_is_caught() {
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("breakages");
    copy_sources(&workspace(), &copy);
    let read = |file: &str| std::fs::read_to_string(workspace().join(file)).unwrap();
    let mut missed = Vec::new();
    for breakage in &BREAKAGES {
        for (file, text) in changed(breakage.edits, read) {
            std::fs::write(copy.join(file), text).unwrap();
        }
        let told = run_schedules(&copy);
        let rule = told
            .rsplit_once(" broke a rule: [")
            .and_then(|(_, rest)| rest.split_once(']'));
        match rule {
            Some((rule, _)) if breakage.caught_by.contains(&rule) => {
                say(&format!("{}: caught by {rule}", breakage.what))
            }
            Some((rule, _)) => missed.push(format!("{}: caught by {rule} only", breakage.what)),
            None => missed.push(format!("{}: {told}", breakage.what)),
        }
        for (file, ..) in breakage.edits {
            std::fs::write(copy.join(file), read(file)).unwrap();
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[expect(
    clippy::print_stderr,
    reason = "whoever runs this by hand wants to see how far it is"
)]
fn say(line: &str) {
    eprintln!("{line}");
}

/// The same, without what is built or fetched. Files that are as they were stay as they are, for the build's sake.
fn copy_sources(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (name, source) = (entry.file_name(), entry.path());
        let left_out = [".git", "target", "node_modules", "fuzz"];
        if left_out.iter().any(|left_out| name == *left_out) {
            continue;
        }
        let copy = to.join(&name);
        if source.is_dir() {
            copy_sources(&source, &copy);
        } else if std::fs::read(&source).unwrap() != std::fs::read(&copy).unwrap_or_default() {
            std::fs::copy(&source, &copy).unwrap();
        }
    }
}

/// Builds and runs the schedules of the copy; what they and the build say. In a target folder of its own: cargo would take
/// what is built of a broken copy for what is built of the workspace.
fn run_schedules(copy: &Path) -> String {
    let arguments = [
        "test",
        "--workspace",
        "--test",
        "simulated",
        "--",
        "every_schedule_keeps_every_rule",
    ];
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(copy)
        .env("CARGO_TARGET_DIR", copy.join("target"))
        .env("POSTERN_SCHEDULES", SCHEDULES)
        .output()
        .unwrap();
    let told = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&told).into_owned()
}
