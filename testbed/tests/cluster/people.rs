//! What `postern up` prints for people does what it says, word by word.

use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Running, Setup, signal};

/// What a printed `curl` line would send, and how often.
struct Pasted {
    url: String,
    body: String,
    times: u32,
}

fn pasted(line: &str) -> Option<Pasted> {
    let (_, rest) = line.split_once("curl -s ")?;
    let (url, rest) = rest.split_once(" -d '")?;
    let (body, _) = rest.split_once('\'')?;
    let times = line
        .split_once("$(seq ")
        .map_or(1, |(_, rest)| rest.split_once(')').unwrap().0.parse().unwrap());
    Some(Pasted {
        url: url.to_owned(),
        body: body.to_owned(),
        times,
    })
}

async fn paste(http: &reqwest::Client, line: &str) -> Value {
    let pasted = pasted(line).unwrap_or_else(|| panic!("not a curl line: {line:?}"));
    let mut last = Value::Null;
    for _ in 0..pasted.times {
        // As curl does: `-d` makes it a form, unless told otherwise.
        let request = http
            .post(&pasted.url)
            .header("content-type", "application/x-www-form-urlencoded");
        let response = request.body(pasted.body.clone()).send().await.unwrap();
        last = response.json().await.unwrap_or(Value::Null);
    }
    last
}

async fn printed(running: &mut Running) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let line = running.line().await;
        assert!(!line.is_empty(), "{}", running.stderr());
        let last = line.starts_with("Ctrl-C");
        lines.push(line.trim_end().to_owned());
        if last {
            return lines;
        }
    }
}

#[tokio::test]
async fn every_command_it_suggests_does_what_it_says() {
    let setup = Setup::new(&["--ports", "auto", "--agents", "1", "--users", "10"]);
    let mut running = setup.in_a_fresh_folder().spawn();
    let lines = printed(&mut running).await;
    assert!(lines.iter().all(|line| !line.contains('\x1b')), "colour in a pipe");
    let http = {
        postern_service::tls::install_provider();
        reqwest::Client::builder().no_proxy().build().unwrap()
    };
    let curls: Vec<&String> = lines.iter().filter(|line| line.contains("curl")).collect();
    let [sign_in, wrong, in_a_loop, restart, lock, locked, clock, unlocked] = curls.as_slice() else {
        panic!("other commands than expected: {curls:#?}");
    };
    for (line, outcome) in [
        (sign_in, "success"),
        (wrong, "invalid_credentials"),
        (in_a_loop, "success"),
        (lock, "invalid_credentials"),
        (locked, "account_locked"),
    ] {
        assert_eq!(paste(&http, line).await["outcome"], outcome, "{line}");
    }
    assert!(paste(&http, clock).await["now"].is_string(), "{clock}");
    assert_eq!(paste(&http, unlocked).await["outcome"], "success");
    let kill = lines.iter().find(|line| line.contains("kill -9 ")).unwrap();
    let pid: u32 = kill.split_whitespace().nth(2).unwrap().parse().unwrap();
    assert!(running.children().contains(&pid), "{kill}");
    assert_eq!(paste(&http, restart).await["state"], "running", "{restart}");
    assert!(!running.children().contains(&pid), "not restarted");

    let folder = lines
        .iter()
        .find_map(|line| line.trim().strip_prefix("Files, logs  "))
        .unwrap();
    let mode = std::fs::metadata(folder).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    signal(running.pid(), Signal::INT);
    assert_eq!(running.end().await.0.code(), Some(0));
    assert!(running.stderr().contains(&format!("files and logs stay in {folder}")));
}
