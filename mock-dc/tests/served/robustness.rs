//! Clients that do harm, by intent or not, to a process of its own: its memory stays within bounds, whoever can be told
//! is told, and everybody else is served all the while.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use ldap3::{LdapConnAsync, LdapConnSettings};
use postern_ldap::ber::{Appender, ENUMERATED, INTEGER, OCTET_STRING, SEQUENCE};
use postern_service::open_files;
use postern_service::tls::{install_provider, load_anchors, provider};
use rustls_pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::support::PASSWORD;

const MIB: u64 = 1024 * 1024;
const GOOD: &str = "good@corp.example.com";

/// Anonymous, message 1, and how long its answer is.
const BIND: &[u8] = &[0x30, 12, 2, 1, 1, 0x60, 7, 2, 1, 3, 4, 0, 0x80, 0];
const ANSWER: usize = 22;

/// Notice of Disconnection (RFC 4511 4.4.1).
const NOTICE: &[u8] = b"1.3.6.1.4.1.1466.20036";

/// Connections that a neighbour has at once, at most.
const NEIGHBOURS: usize = 2;

/// Longer than the server takes to give anybody up who is to be given up soon.
const PATIENCE: Duration = Duration::from_secs(60);

/// So many connections, or as many as the limit of open files permits beside those of the tests that run at the same time.
fn at_once(most: usize) -> usize {
    const OTHERS: usize = 3000;
    open_files::raise_limit().expect("a higher limit of open files");
    let limit = open_files::limit().and_then(|limit| usize::try_from(limit).ok());
    limit.map_or(most, |limit| most.min(limit.saturating_sub(OTHERS).max(limit / 4)))
}

/// mock-dc as a process, which ends with the test.
struct Process {
    child: Child,
    folder: PathBuf,
    control: String,
    ldap: SocketAddr,
    ldaps: SocketAddr,
    anchors: Arc<rustls::ClientConfig>,
    /// Bytes that were resident when it was ready.
    resident: u64,
}

impl Process {
    async fn start(dialect: &str) -> Self {
        Self::start_by(Command::new(env!("CARGO_BIN_EXE_postern-mock-dc")), dialect).await
    }

    /// With a command that becomes mock-dc when it is given mock-dc's arguments.
    async fn start_by(mut command: Command, dialect: &str) -> Self {
        install_provider();
        let folder = std::env::temp_dir().join(format!("postern-mock-dc-{}", Uuid::new_v4()));
        std::fs::create_dir(&folder).expect("a folder");
        let config = format!(
            r#"
            domain = {{ name = "corp.example.com", netbios = "CORP", dialect = "{dialect}" }}
            control = {{ listen = "127.0.0.1:0" }}
            generated = {{ count = 3000 }}
            dcs = [{{ name = "dc-1", ldap = "127.0.0.1:0", ldaps = "127.0.0.1:0" }}]
            users = [{{ sam = "good", password = "{PASSWORD}" }}]
            log = {{ level = "warn" }}
            "#
        );
        std::fs::write(folder.join("dc.toml"), config).expect("a file");
        let mut child = command
            .arg("--config")
            .arg(folder.join("dc.toml"))
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the program");
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("its standard output"));
        stdout.read_line(&mut line).await.expect("a line");
        let told: Value = serde_json::from_str(&line).expect("JSON");
        let text = |path: &str| told.pointer(path).and_then(Value::as_str).expect("a text");
        let address = |path: &str| {
            let (_, address) = text(path).split_once("://").expect("a scheme");
            address.parse().expect("an address")
        };
        let anchors = rustls::ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("TLS versions")
            .with_root_certificates(load_anchors(text("/ca").as_ref()).expect("its CA"))
            .with_no_client_auth();
        let mut process = Self {
            control: text("/control").to_owned(),
            ldap: address("/dcs/0/ldap"),
            ldaps: address("/dcs/0/ldaps"),
            anchors: Arc::new(anchors),
            child,
            folder,
            resident: 0,
        };
        process.resident = process.memory("VmRSS:");
        process
    }

    async fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.ldap).await.expect("a connection");
        // Thousands of connections that linger would take the system's ports.
        stream.set_zero_linger().expect("an open socket");
        stream
    }

    /// A line of proc_pid_status(5), in bytes.
    fn memory(&self, line: &str) -> u64 {
        let pid = self.child.id().expect("a process that runs");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
        let kib = status
            .lines()
            .find_map(|found| found.strip_prefix(line)?.trim().strip_suffix(" kB"));
        kib.and_then(|kib| kib.parse::<u64>().ok()).expect("a number of KiB") * 1024
    }

    /// Files that it has open.
    fn open_files(&self) -> usize {
        let pid = self.child.id().expect("a process that runs");
        std::fs::read_dir(format!("/proc/{pid}/fd")).expect("its files").count()
    }

    /// What was resident at most beyond what was at the beginning has to be within so many bytes.
    fn grew_at_most(&self, bytes: u64) {
        let grown = self.memory("VmHWM:").saturating_sub(self.resident);
        assert!(grown <= bytes, "{grown} bytes beyond {}", self.resident);
    }

    /// Somebody who signs in again and again, over a kept connection and over new ones with TLS.
    async fn neighbour(&self) -> Neighbour {
        let settings = LdapConnSettings::new().set_config(self.anchors.clone());
        let (kept, fresh) = (format!("ldap://{}", self.ldap), format!("ldaps://{}", self.ldaps));
        let (rounds, seen) = watch::channel(0);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let (connection, mut kept) = LdapConnAsync::new(&kept).await.expect("LDAP");
            let mut drivers = JoinSet::new();
            drivers.spawn(connection.drive());
            loop {
                let signed_in = kept.simple_bind(GOOD, PASSWORD).await.expect("an answer");
                assert_eq!(signed_in.rc, 0);
                let (connection, mut fresh) = LdapConnAsync::with_settings(settings.clone(), &fresh)
                    .await
                    .expect("LDAPS");
                drivers.spawn(connection.drive());
                let signed_in = fresh.simple_bind(GOOD, PASSWORD).await.expect("an answer");
                assert_eq!(signed_in.rc, 0);
                fresh.unbind().await.expect("a goodbye");
                rounds.send_modify(|rounds| *rounds += 1);
            }
        });
        Neighbour { seen, tasks }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Left behind for whoever asks why the test failed.
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// Ends with the test.
struct Neighbour {
    seen: watch::Receiver<u64>,
    tasks: JoinSet<()>,
}

impl Neighbour {
    /// Waits until they have signed in so many times more.
    async fn goes_on(&mut self, rounds: u64) {
        let until = *self.seen.borrow() + rounds;
        tokio::select! {
            biased;
            reached = self.seen.wait_for(|seen| *seen >= until) => { reached.expect("somebody who signs in"); }
            failed = self.tasks.join_next() => panic!("the neighbour was not served: {failed:?}"),
        }
    }
}

fn message(id: i32, tag: u8, content: impl FnOnce(&mut Appender<'_>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    Appender::new(&mut bytes).nest(SEQUENCE, |message| {
        message.number(INTEGER, id);
        message.nest(tag, content);
    });
    bytes
}

fn bind(name: &str, password: &str) -> Vec<u8> {
    message(1, 0x60, |bind| {
        bind.number(INTEGER, 3);
        bind.element(OCTET_STRING, name.as_bytes());
        bind.element(0x80, password.as_bytes());
    })
}

/// Everything about everybody.
fn search(id: i32) -> Vec<u8> {
    message(id, 0x63, |search| {
        search.element(OCTET_STRING, b"DC=corp,DC=example,DC=com");
        [2, 0].into_iter().for_each(|number| search.number(ENUMERATED, number));
        [0, 0].into_iter().for_each(|number| search.number(INTEGER, number));
        search.element(0x01, &[0]);
        search.element(0x87, b"objectClass");
        search.nest(SEQUENCE, |_| {});
    })
}

/// A request for StartTLS, and how long its answer is.
const STARTTLS: &[u8] = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037";
const STARTTLS_ANSWER: usize = 46;

/// The first bytes of a TLS handshake.
fn client_hello(config: Arc<rustls::ClientConfig>) -> Vec<u8> {
    let name = ServerName::try_from("localhost").expect("a name");
    let mut client = rustls::ClientConnection::new(config, name).expect("a client");
    let mut hello = Vec::new();
    client.write_tls(&mut hello).expect("a buffer");
    hello
}

/// How a connection ended: by an end, or by a reset. What came before is in `rest`.
async fn end_of(stream: &mut TcpStream, rest: &mut Vec<u8>) -> Result<(), ErrorKind> {
    stream.read_to_end(rest).await.map(|_| ()).map_err(|error| error.kind())
}

/// Measured at Samba, where it says something; Windows' way is RFC 4511's.
#[tokio::test]
async fn what_cannot_be_read_ends_its_own_connection_in_the_dialects_way() {
    const RESET: Result<(), ErrorKind> = Err(ErrorKind::ConnectionReset);
    let mut trailing = BIND.to_vec();
    trailing[1] += 2;
    trailing.extend([4, 0]);
    let odd: HashMap<&str, (Vec<u8>, Result<(), ErrorKind>)> = HashMap::from([
        ("HTTP", (b"GET / HTTP/1.1\r\n\r\n".to_vec(), RESET)),
        ("TLS in the clear", (vec![0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3], RESET)),
        ("zeros", (vec![0; 40], RESET)),
        ("ones", (vec![0xff; 40], RESET)),
        ("another outer tag", ([&[0x31], &BIND[1..]].concat(), RESET)),
        ("indefinite length", (vec![0x30, 0x80, 2, 1, 1, 0x42, 0, 0, 0], RESET)),
        ("300 MB", (vec![0x30, 0x84, 0x11, 0xe1, 0xa3, 0, 2, 1, 1], RESET)),
        (
            "length of five bytes",
            (vec![0x30, 0x85, 0, 0, 0, 0, 12, 2, 1, 1], RESET),
        ),
        ("unknown operation", (vec![0x30, 5, 2, 1, 1, 0x7e, 0], Ok(()))),
        (
            "inner length too long",
            (vec![0x30, 12, 2, 1, 1, 0x60, 7, 2, 1, 3, 4, 0x50, 0x80, 0], Ok(())),
        ),
        (
            "fifth way to sign in",
            (vec![0x30, 12, 2, 1, 1, 0x60, 7, 2, 1, 3, 4, 0, 0x85, 0], Ok(())),
        ),
        ("something behind the operation", (trailing, Ok(()))),
        (
            "no such filter",
            (
                message(1, 0x63, |search| {
                    search.element(OCTET_STRING, b"");
                    [0, 0].into_iter().for_each(|number| search.number(ENUMERATED, number));
                    [0, 0].into_iter().for_each(|number| search.number(INTEGER, number));
                    search.element(0x01, &[0]);
                    search.element(0x8f, b"x");
                    search.nest(SEQUENCE, |_| {});
                }),
                Ok(()),
            ),
        ),
    ]);
    for dialect in ["windows", "samba"] {
        let process = Process::start(dialect).await;
        let mut neighbour = process.neighbour().await;
        for (what, (bytes, samba)) in &odd {
            let mut stream = process.connect().await;
            let mut rest = Vec::new();
            // A reset may come while it is still being said.
            let said = stream.write_all(bytes).await.map_err(|error| error.kind());
            let ended = said.and(end_of(&mut stream, &mut rest).await);
            if dialect == "samba" {
                assert_eq!((ended, &rest[..]), (*samba, &[][..]), "{what}");
            } else {
                assert_eq!(ended, Ok(()), "{what}");
                assert_eq!(rest[6..10], [2, 1, 0, 0x78], "{what}: {rest:02x?}");
                assert_eq!(rest[15..18], [0x0a, 1, 2], "{what}: {rest:02x?}");
                assert!(rest.ends_with(NOTICE), "{what}: {rest:02x?}");
            }
        }
        // What is odd and can be read is answered (measured).
        let long_lengths = bind("", "");
        let no_version = vec![0x30, 11, 2, 1, 1, 0x60, 6, 2, 0, 4, 0, 0x80, 0];
        let mut answered = vec![long_lengths, [BIND, &[0xff; 4]].concat()];
        answered.extend((dialect == "samba").then_some(no_version));
        for bytes in answered {
            let mut stream = process.connect().await;
            stream.write_all(&bytes).await.expect("a write");
            let mut answer = [0; 14];
            stream.read_exact(&mut answer).await.expect("an answer");
            assert!(
                answer.ends_with(&[0x0a, 1, 0, 4, 0, 4]) || answer.contains(&0x61),
                "{answer:02x?}"
            );
        }
        neighbour.goes_on(1).await;
        process.grew_at_most(16 * MIB);
    }
}

#[tokio::test]
async fn messages_of_100_mib_take_no_memory_whether_they_come_or_not() {
    const LENGTH: usize = 100 * 1024 * 1024;
    let header = [0x30, 0x84, 6, 0x40, 0, 0];
    let piece: Arc<[u8]> = vec![7; 1024 * 1024].into();

    let windows = Process::start("windows").await;
    let mut neighbour = windows.neighbour().await;
    for _ in 0..20 {
        let mut stream = windows.connect().await;
        stream
            .write_all(&[&header[..], &piece[..1000]].concat())
            .await
            .expect("a write");
        let mut rest = Vec::new();
        assert_eq!(end_of(&mut stream, &mut rest).await, Ok(()));
        assert!(
            rest.ends_with(NOTICE),
            "told as soon as the length is known: {rest:02x?}"
        );
        // Who goes on all the same talks to nobody.
        let mut stream = windows.connect().await;
        stream.write_all(&header).await.expect("a write");
        while stream.write_all(&piece).await.is_ok() {}
    }
    neighbour.goes_on(1).await;
    windows.grew_at_most(24 * MIB);

    let samba = Process::start("samba").await;
    let mut neighbour = samba.neighbour().await;
    let mut senders = JoinSet::new();
    for _ in 0..4 {
        let (mut stream, piece) = (samba.connect().await, piece.clone());
        senders.spawn(async move {
            stream.write_all(&header).await.expect("a write");
            for _ in 0..LENGTH / piece.len() {
                stream.write_all(&piece).await.expect("a server that waits for its end");
            }
            let mut rest = Vec::new();
            (end_of(&mut stream, &mut rest).await, rest)
        });
    }
    for (ended, rest) in senders.join_all().await {
        assert_eq!((ended, rest), (Ok(()), Vec::new()));
    }
    neighbour.goes_on(1).await;
    samba.grew_at_most(24 * MIB);
}

#[tokio::test]
async fn unfinished_messages_of_many_share_a_bounded_memory() {
    // 9 MiB each, which Windows takes: all of them would be 900 MiB.
    let header = [0x30, 0x84, 0, 0x90, 0, 0];
    let piece = vec![7; 9 * 1024 * 1024];
    let process = Process::start("windows").await;
    let mut neighbour = process.neighbour().await;
    let (mut held, mut refused) = (Vec::new(), 0);
    for _ in 0..100 {
        let mut stream = process.connect().await;
        let _ = stream.write_all(&header).await;
        if stream.write_all(&piece[..piece.len() - 1]).await.is_ok() {
            held.push(stream);
        } else {
            refused += 1;
        }
    }
    assert!(refused > 50, "{refused}");
    neighbour.goes_on(2).await;
    process.grew_at_most(2 * 192 * MIB);
}

#[tokio::test]
async fn half_tls_handshakes_keep_nobody_from_a_whole_one() {
    let connections = at_once(2000);
    let process = Process::start("windows").await;
    // Faults that leave handshakes alone give nobody more time for one.
    let fault = r#"[{"kind":"result","code":51,"probability":0}]"#;
    let put = reqwest::Client::new().put(format!("{}/faults", process.control));
    assert!(put.body(fault).send().await.expect("an answer").status().is_success());
    let mut neighbour = process.neighbour().await;
    let hello = client_hello(process.anchors.clone());
    let mut half = Vec::new();
    for number in 0..connections {
        let mut stream = match number % 2 {
            0 => TcpStream::connect(process.ldaps).await.expect("a connection"),
            _ => {
                let mut stream = process.connect().await;
                stream.write_all(STARTTLS).await.expect("a write");
                stream.read_exact(&mut [0; STARTTLS_ANSWER]).await.expect("an answer");
                stream
            }
        };
        stream.set_zero_linger().expect("an open socket");
        // Nothing; the beginning; all that the client says before the server does.
        let said = [0, 200, hello.len()][number / 2 % 3];
        stream.write_all(&hello[..said]).await.expect("a write");
        half.push(stream);
    }
    neighbour.goes_on(3).await;
    process.grew_at_most(96 * MIB);
    // Each is given up in time.
    for mut stream in half.into_iter().take(6) {
        let mut rest = Vec::new();
        let ended = timeout(PATIENCE, end_of(&mut stream, &mut rest)).await;
        assert!(ended.is_ok(), "still waited for");
    }
    neighbour.goes_on(1).await;
}

#[tokio::test]
async fn who_reads_no_answers_gets_few_and_takes_little() {
    let process = Process::start("windows").await;
    let open = process.open_files();
    let mut neighbour = process.neighbour().await;
    let mut requests = bind(GOOD, PASSWORD);
    (2..200).for_each(|id| requests.extend(search(id)));
    let mut silent = Vec::new();
    for _ in 0..100 {
        let mut stream = process.connect().await;
        stream.write_all(&requests).await.expect("a write");
        silent.push(stream);
    }
    neighbour.goes_on(5).await;
    // Whoever is read from before they are given up gets everything: not one may be left, so the neighbour's own
    // connections, which come and go, must not count in the end.
    let given_up = async {
        while process.open_files() > open + NEIGHBOURS {
            neighbour.goes_on(1).await;
        }
        drop(neighbour);
        while process.open_files() > open {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, given_up).await.expect("nobody is waited for");
    process.grew_at_most(96 * MIB);
    // What the system had taken for them is there, and no more: all answers would be hundreds of MiB for each.
    for stream in &mut silent {
        let mut answers = Vec::new();
        let _ = end_of(stream, &mut answers).await;
        assert!(answers.len() as u64 <= 16 * MIB, "{} bytes", answers.len());
    }
}

#[tokio::test]
async fn who_says_a_byte_at_a_time_is_answered_with_the_last_one_and_keeps_nobody_waiting() {
    let process = Process::start("windows").await;
    let mut neighbour = process.neighbour().await;
    let mut slow = Vec::new();
    for _ in 0..200 {
        slow.push(process.connect().await);
    }
    for byte in BIND {
        for stream in &mut slow {
            stream.write_all(&[*byte]).await.expect("a write");
        }
        neighbour.goes_on(1).await;
    }
    for stream in &mut slow {
        stream.read_exact(&mut [0; ANSWER]).await.expect("an answer");
    }
    process.grew_at_most(24 * MIB);
}

#[tokio::test]
async fn ten_thousand_connections_are_served_at_once_where_as_many_may_be_open() {
    let connections = at_once(10_000);
    let process = Process::start("windows").await;
    let mut neighbour = process.neighbour().await;
    let mut open = Vec::with_capacity(connections);
    for _ in 0..connections {
        let mut stream = process.connect().await;
        stream.write_all(BIND).await.expect("a write");
        open.push(stream);
    }
    for round in 0..2 {
        for stream in &mut open {
            stream.read_exact(&mut [0; ANSWER]).await.expect("an answer");
            if round == 0 {
                stream.write_all(BIND).await.expect("a write");
            }
        }
    }
    neighbour.goes_on(2).await;
    process.grew_at_most(16 * MIB + u64::try_from(connections).expect("a number") * 24 * 1024);
    let clock = reqwest::get(format!("{}/clock", process.control))
        .await
        .expect("an answer");
    assert!(clock.status().is_success());
}

#[tokio::test]
async fn when_open_files_run_out_the_next_waits_and_the_control_interface_answers() {
    let mut command = Command::new("sh");
    command.args([
        "-c",
        "ulimit -n 200; exec \"$0\" \"$@\"",
        env!("CARGO_BIN_EXE_postern-mock-dc"),
    ]);
    let process = Process::start_by(command, "windows").await;
    let mut open = Vec::new();
    // A hundred places: half of what is permitted.
    for _ in 0..100 {
        let mut stream = process.connect().await;
        stream.write_all(BIND).await.expect("a write");
        stream.read_exact(&mut [0; ANSWER]).await.expect("an answer");
        open.push(stream);
    }
    let mut waits = process.connect().await;
    waits.write_all(BIND).await.expect("a write");
    for stream in &mut open {
        stream.write_all(BIND).await.expect("a write");
        stream.read_exact(&mut [0; ANSWER]).await.expect("an answer");
    }
    let clock = reqwest::get(format!("{}/clock", process.control))
        .await
        .expect("an answer");
    assert!(clock.status().is_success());
    let nothing = waits.try_read(&mut [0; 1]).map_err(|error| error.kind());
    assert_eq!(nothing, Err(ErrorKind::WouldBlock), "there is no place for it yet");
    drop(open.pop());
    waits.read_exact(&mut [0; ANSWER]).await.expect("an answer");
}
