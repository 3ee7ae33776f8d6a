//! What is asked for at a terminal can be declined: by a signal, and by Ctrl-C, which is a key there.

use std::process::Stdio;

use postern_testbed::directory::PASSWORD_VARIABLE;
use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::harness::{PATIENCE, Scratch, Setup, signal};

/// A shell at a terminal of its own.
struct Terminal {
    _script: Child,
    keyboard: ChildStdin,
    screen: ChildStdout,
    shown: String,
}

impl Terminal {
    fn run(command: &str) -> Self {
        let mut script = Command::new("script")
            .args(["--quiet", "--flush", "--command", command, "/dev/null"])
            .env_remove(PASSWORD_VARIABLE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self {
            keyboard: script.stdin.take().unwrap(),
            screen: script.stdout.take().unwrap(),
            _script: script,
            shown: String::new(),
        }
    }

    async fn until_shown(&mut self, text: &str) {
        while !self.shown.contains(text) {
            let mut bytes = [0; 1024];
            let read = timeout(PATIENCE, self.screen.read(&mut bytes)).await.unwrap().unwrap();
            assert!(read > 0, "{text} was not shown: {}", self.shown);
            self.shown.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
    }

    /// What follows a word, to the end of its line.
    fn after(&self, word: &str) -> &str {
        let (_, rest) = self.shown.split_once(word).unwrap();
        rest.lines().next().unwrap().trim()
    }
}

#[tokio::test]
#[ignore = "needs script and stty (.ci/run runs where they are)"]
async fn a_signal_and_ctrl_c_end_the_question_for_the_service_password_and_the_terminal_shows_keys_again() {
    let directory = Setup::new(&["--agents", "1", "--dcs", "1", "--users", "0"])
        .start()
        .await;
    let folder = Scratch::new();
    let up = format!(
        "{} up --dir {}/cluster --directory {} --directory-ca {} --alternate-id mail --service-account svc@corp.example.com",
        env!("CARGO_BIN_EXE_postern"),
        folder.path().display(),
        directory.text("/dcs/0/ldaps"),
        directory.text("/ca"),
    );
    let command = format!("sh -c 'echo pid: $$; exec {up}'; echo ended: $?; stty -a; echo over");
    for by_key in [false, true] {
        let mut terminal = Terminal::run(&command);
        terminal.until_shown("Password of svc@corp.example.com: ").await;
        match by_key {
            true => terminal.keyboard.write_all(b"half a passw\x03").await.unwrap(),
            false => signal(terminal.after("pid: ").parse().unwrap(), Signal::TERM),
        }
        terminal.until_shown("over").await;
        assert_eq!(terminal.after("ended: "), "0", "{}", terminal.shown);
        let modes: Vec<&str> = terminal.shown.split_whitespace().collect();
        for mode in ["echo", "icanon", "isig"] {
            assert!(modes.contains(&mode), "{mode}: {}", terminal.shown);
        }
        assert!(!terminal.shown.contains("half"), "{}", terminal.shown);
        let binds = directory.binds().await;
        assert!(binds.is_empty(), "{binds:?}");
    }
}

#[tokio::test]
#[ignore = "needs script and stty (.ci/run runs where they are)"]
async fn a_signal_ends_the_doctors_question_and_the_terminal_shows_keys_again() {
    let cluster = Setup::new(&["--agents", "1", "--dcs", "1", "--users", "0"])
        .start()
        .await;
    let check = format!(
        "{} agent check --config {} --user success@corp.example.com",
        env!("CARGO_BIN_EXE_postern"),
        cluster.running.config("agent-1").display(),
    );
    let command = format!("sh -c 'echo pid: $$; exec {check}'; echo ended: $?; stty -a; echo over");
    for (sent, code) in [(Signal::TERM, "143"), (Signal::INT, "130")] {
        let mut terminal = Terminal::run(&command);
        terminal.until_shown("Password of success@corp.example.com: ").await;
        signal(terminal.after("pid: ").parse().unwrap(), sent);
        terminal.until_shown("over").await;
        assert_eq!(terminal.after("ended: "), code, "{}", terminal.shown);
        let modes: Vec<&str> = terminal.shown.split_whitespace().collect();
        for mode in ["echo", "icanon", "isig"] {
            assert!(modes.contains(&mode), "{mode}: {}", terminal.shown);
        }
    }
}
