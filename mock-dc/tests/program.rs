//! The binary, as a script starts it: what it says on standard output, and how it ends.

#![expect(
    clippy::expect_used,
    reason = "helpers of tests may panic as the tests themselves may"
)]

use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use uuid::Uuid;

const CONFIG: &str = r#"
    domain = { name = "corp.example.com", netbios = "CORP" }
    control = { listen = "127.0.0.1:0" }
    dcs = [{ name = "dc-1", ldap = "127.0.0.1:0", ldaps = "127.0.0.1:0" }, { name = "dc-2", ldap = "127.0.0.1:0" }]
"#;

/// Starts it in a folder; the process, the rest of what it says, and what it has told.
async fn start(folder: &Path) -> (Child, BufReader<ChildStdout>, Value) {
    postern_service::tls::install_provider();
    let config = folder.join("dc.toml");
    std::fs::write(&config, CONFIG).expect("a file");
    let mut child = Command::new(env!("CARGO_BIN_EXE_postern-mock-dc"))
        .arg("--config")
        .arg(&config)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("the program");
    let mut stdout = BufReader::new(child.stdout.take().expect("its standard output"));
    let mut line = String::new();
    stdout.read_line(&mut line).await.expect("a line");
    (child, stdout, serde_json::from_str(&line).expect("JSON"))
}

async fn end(mut child: Child) {
    let pid = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
    kill_process(pid.expect("a process id"), Signal::TERM).expect("a signal");
    assert!(child.wait().await.expect("its end").success());
}

fn folder() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("postern-mock-dc-{}", Uuid::new_v4()));
    std::fs::create_dir(&folder).expect("a folder");
    folder
}

#[tokio::test]
async fn a_second_one_in_the_same_folder_leaves_the_first_ones_certificate_alone() {
    let folder = folder();
    let (first, _, told) = start(&folder).await;
    let ca = told["ca"].as_str().expect("a file");
    let before = std::fs::read(ca).expect("a file");
    let (second, _, other) = start(&folder).await;
    let own = other["ca"].as_str().expect("a file");
    assert_ne!(own, ca);
    assert_ne!(std::fs::read(own).expect("a file"), before);
    assert_eq!(std::fs::read(ca).expect("a file"), before);
    end(second).await;
    assert!(!Path::new(own).exists());
    end(first).await;
    // The name after the domain is free again.
    let (third, _, told) = start(&folder).await;
    assert_eq!(told["ca"], ca);
    assert_ne!(std::fs::read(ca).expect("a file"), before);
    end(third).await;
    std::fs::remove_dir_all(folder).expect("a folder to remove");
}

#[tokio::test]
async fn one_line_tells_where_it_listens_and_is_the_only_one() {
    let folder = folder();
    let (child, mut stdout, told) = start(&folder).await;

    let pid = child.id().expect("a process that runs");
    assert_eq!(told["pid"], pid);
    assert_eq!(told["ca"], *folder.join("corp.example.com-ca.pem").to_string_lossy());
    for url in ["/dcs/0/ldap", "/dcs/0/ldaps", "/dcs/1/ldap"] {
        let url = told.pointer(url).and_then(Value::as_str).expect("a URL");
        let (_, address) = url.split_once("://").expect("a scheme");
        std::net::TcpStream::connect(address).expect("a connection at once");
    }
    assert_eq!(
        told["dcs"][1].as_object().map(serde_json::Map::len),
        Some(2),
        "no LDAPS"
    );
    let control = told["control"].as_str().expect("a URL");
    assert_eq!(told["admin"], control);
    let ready = reqwest::get(format!("{control}/readyz")).await.expect("an answer");
    assert!(ready.status().is_success());

    end(child).await;
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).await.expect("its end");
    assert_eq!(rest, "");
    std::fs::remove_dir_all(&folder).expect("a folder to remove");
}
