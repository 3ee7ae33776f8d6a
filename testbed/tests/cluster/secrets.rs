//! No password leaves a process other than as it must: not in a log at the most verbose level, not in a core dump.

use std::os::unix::fs::MetadataExt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use rustix::process::{Signal, getuid};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::{Cluster, PATIENCE, Setup, signal};

const SIGN_INS: u32 = 100;

/// Anybody but root: to whom the kernel shows whose a process's files in /proc are.
const NOBODY: u32 = 65_534;

fn setup() -> Setup {
    // Directives for everything, not the level of Postern's own code alone.
    let setup = Setup::new(&["--users", "1000"]).env("POSTERN_LOG__LEVEL", "trace,postern=trace");
    if getuid().is_root() {
        setup.run_by(NOBODY)
    } else {
        setup
    }
}

/// The ways in which a careless line would show it.
fn disguises(password: &str) -> Vec<String> {
    let bytes = password.as_bytes();
    let list = |sep: &str, show: fn(&u8) -> String| bytes.iter().map(show).collect::<Vec<_>>().join(sep);
    vec![
        password.to_owned(),
        STANDARD_NO_PAD.encode(bytes),
        URL_SAFE_NO_PAD.encode(bytes),
        list("", |byte| format!("{byte:02x}")),
        list(", ", |byte| byte.to_string()),
        password.escape_default().to_string(),
        bytes.escape_ascii().to_string(),
    ]
}

async fn sign_ins(cluster: &Cluster) -> Vec<String> {
    let mut passwords = Vec::new();
    for number in 1..=SIGN_INS {
        let right = format!("Postern-{number:06}");
        let (password, outcome) = match number % 2 {
            0 => (right, "success"),
            _ => (format!("Wröng-{:016x}", rand::random::<u64>()), "invalid_credentials"),
        };
        let answer = cluster
            .sign_in(&format!("user{number:06}@corp.example.com"), &password)
            .await;
        assert_eq!(answer.outcome(), outcome);
        passwords.push(password);
    }
    for user in cluster.list("users") {
        let password = user["password"].as_str().unwrap();
        let answer = cluster.sign_in(user["username"].as_str().unwrap(), password).await;
        assert_eq!(answer.outcome(), user["expect"]);
        passwords.push(password.to_owned());
    }
    // Refused before it is sealed, and a mistyped one: the password in the place of the name.
    let mistyped = "Typed-In-The-Wrong-Field-7".to_owned();
    cluster.sign_in(&mistyped, "x").await;
    cluster.sign_in("user000001@nowhere.example.com", &mistyped).await;
    passwords.push(mistyped);
    passwords
}

/// A bind to the first domain controller that is no LDAP, since its password ends before its length says; and one that
/// is cut off.
async fn garbled_binds(cluster: &Cluster) -> &'static str {
    const PASSWORD: &str = "Garbled-On-The-Wire-8";
    let address = cluster.text("/dcs/0/ldap").strip_prefix("ldap://").unwrap();
    let mut bind = vec![0x30, 33, 2, 1, 1, 0x60, 28, 2, 1, 3, 4, 0, 0x80, 100];
    bind.extend_from_slice(PASSWORD.as_bytes());
    assert_eq!(bind.len(), 2 + 33);
    for sent in [&bind[..], &bind[..30]] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(sent).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // Closed, or reset; behind a notice of disconnection, where the message was whole.
        let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap();
        let tells = |part: &[u8]| answer.windows(part.len()).any(|bytes| bytes == part);
        assert!(!PASSWORD.as_bytes().chunks(5).any(tells), "{answer:02x?}");
    }
    PASSWORD
}

#[tokio::test]
async fn no_password_is_in_any_output_of_any_process_at_the_most_verbose_level() {
    let mut cluster = setup().start().await;
    let mut passwords = sign_ins(&cluster).await;
    passwords.push(garbled_binds(&cluster).await.to_owned());
    signal(cluster.running.pid(), Signal::TERM);
    let (_, output) = cluster.running.end().await;

    let mut outputs = vec![
        ("stdout".to_owned(), output),
        ("stderr".to_owned(), cluster.running.stderr()),
    ];
    for name in ["relay-1", "agent-1", "agent-2", "agent-3", "mock-dc"] {
        let log = String::from_utf8(std::fs::read(cluster.running.log(name)).unwrap()).unwrap();
        // Otherwise the rest would be an empty promise.
        let verbose = log.contains(" TRACE ") || log.contains(" DEBUG ");
        assert!(verbose, "{name} does not log at the most verbose level");
        outputs.push((name.to_owned(), log));
    }
    let (_, of_the_directory) = outputs.last().unwrap();
    for why in ["what came is not LDAP", "closed in the middle of a message"] {
        assert_eq!(of_the_directory.matches(why).count(), 1, "{why}");
    }
    for (name, text) in &outputs {
        for password in &passwords {
            for disguise in disguises(password) {
                assert!(!text.contains(&disguise), "{name} shows {password:?} as {disguise:?}");
            }
        }
    }
}

#[tokio::test]
async fn no_process_can_dump_core_or_be_read_by_others_of_its_user() {
    let cluster = setup().start().await;
    let mut processes = cluster.running.children();
    processes.push(cluster.running.pid());
    assert_eq!(processes.len(), 1 + 1 + 3 + 1);
    for pid in processes {
        let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let core = limits
            .lines()
            .find(|line| line.starts_with("Max core file size"))
            .unwrap();
        assert_eq!(
            core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(),
            ["0", "0"],
            "{pid}"
        );
        // proc(5): the files of a process that is not dumpable belong to root, whoever runs it.
        assert_eq!(
            std::fs::metadata(format!("/proc/{pid}/environ")).unwrap().uid(),
            0,
            "{pid} is dumpable"
        );
    }
}
