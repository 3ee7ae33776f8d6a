//! A directory server that a test started: it ends with the test's process, however that ends.

use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

/// Ends what it runs when its standard input does, and then removes the folder that it was given, if any. The server has
/// a process group of its own: its children may live a moment longer than it, and still write.
const LIFELINE: &str = r#"
folder=$1; shift
exec 3<&0
setsid "$@" <&3 & server=$!
cat <&3 >/dev/null
kill "$server" 2>/dev/null
wait "$server"
left=50
while kill -s 0 -- "-$server" 2>/dev/null && [ "$left" -gt 0 ]; do
  sleep 0.1
  left=$((left - 1))
done
kill -s KILL -- "-$server" 2>/dev/null
[ -z "$folder" ] || rm -rf "$folder"
"#;

/// A process that serves.
pub(crate) struct Server {
    child: Child,
    lifeline: Option<ChildStdin>,
}

impl Server {
    /// Runs `command`, whose output goes to `log`. `removes` is a folder to remove after its end.
    pub(crate) fn start(command: &[&str], log: &Path, removes: Option<&Path>) -> Self {
        let log = std::fs::OpenOptions::new().append(true).create(true).open(log).unwrap();
        let mut child = Command::new("sh")
            .args(["-c", LIFELINE, "sh"])
            .arg(removes.unwrap_or(Path::new("")))
            .args(command)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let lifeline = child.stdin.take();
        Self { child, lifeline }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.lifeline = None;
        self.child.wait().unwrap();
    }
}

/// Runs a program to its end and gives what it printed; it must succeed.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}
