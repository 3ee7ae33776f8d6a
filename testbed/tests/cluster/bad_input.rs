//! What callers can send wrong: each is told, none of it reaches the directory, and the cluster serves on.

use std::time::Instant;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::{Cluster, PATIENCE, Setup};

const USER: &str = "user000001@corp.example.com";
const PASSWORD: &str = "Postern-000001";

/// Makes the attempts, and checks that nothing of them shows in the directory and that all serve on.
async fn without_a_bind(cluster: &Cluster, attempts: impl AsyncFnOnce(&Cluster)) {
    let before = cluster.binds().await.len();
    attempts(cluster).await;
    assert_eq!(cluster.binds().await.len(), before);
    // More often than there are agents, so that each of them was asked.
    for _ in 0..10 {
        assert_eq!(cluster.sign_in(USER, PASSWORD).await.outcome(), "success");
    }
    assert_eq!(cluster.binds().await.len(), before + 10);
    assert_eq!(cluster.running.children().len(), 5, "{}", cluster.running.stderr());
}

#[tokio::test]
async fn passwords_and_names_that_cannot_be() {
    let cluster = Setup::new(&["--users", "1"]).start().await;
    without_a_bind(&cluster, async |cluster| {
        for (what, password) in [
            ("empty", String::new()),
            ("with a NUL", "Postern\0-000001".to_owned()),
            ("NUL alone", "\0".to_owned()),
            ("too long", "x".repeat(1025)),
            ("too long in bytes", "é".repeat(513)),
        ] {
            let answer = cluster.sign_in(USER, &password).await;
            assert_eq!(
                (answer.status.as_u16(), answer.outcome()),
                (400, "bad_request"),
                "password {what}"
            );
        }
        let long = format!("{}@corp.example.com", "x".repeat(10_240));
        for (name, outcome) in [
            ("", "bad_request"),
            ("   ", "bad_request"),
            ("user000001", "unknown_realm"),
            ("@corp.example.com", "unknown_realm"),
            ("user000001@", "unknown_realm"),
            ("user000001@elsewhere.example.com", "unknown_realm"),
            ("ELSEWHERE\\user000001", "unknown_realm"),
            ("*@corp.example.com", "bad_request"),
            ("*)(objectClass=*@corp.example.com", "bad_request"),
            ("user000001,cn=users@corp.example.com", "bad_request"),
            ("cn=user000001,cn=users,dc=corp,dc=example,dc=com", "bad_request"),
            ("{ce3ced4e-1032-4a81-8e6e-2f4216f12e2c}", "bad_request"),
            ("ce3ced4e-1032-4a81-8e6e-2f4216f12e2c", "unknown_realm"),
            ("S-1-5-21-1004336348-1177238915-682003330-1104", "unknown_realm"),
            ("<SID=S-1-5-21-1-2-3-1104>@corp.example.com", "bad_request"),
            ("corp.example.com/Users/user000001", "bad_request"),
            ("user000001@corp.example.com@corp.example.com", "bad_request"),
            ("user\n000001@corp.example.com", "bad_request"),
            ("user000001\0@corp.example.com", "bad_request"),
            (long.as_str(), "bad_request"),
        ] {
            let answer = cluster.sign_in(name, PASSWORD).await;
            assert_eq!(
                (answer.status.as_u16(), answer.outcome()),
                (400, outcome),
                "user name {name:.60?}"
            );
            let kind = answer.headers.get("content-type").unwrap();
            assert_eq!(kind, "application/problem+json");
            assert!(answer.body["request_id"].is_string());
        }
    })
    .await;
}

#[tokio::test]
async fn the_longest_password_is_fine_whatever_its_letters() {
    let cluster = Setup::new(&["--users", "1"]).start().await;
    // 256 letters of four bytes each.
    for password in ["🔑".repeat(256), "x".repeat(1024), "é".repeat(256)] {
        let before = cluster.binds().await.len();
        let answer = cluster.sign_in(USER, &password).await;
        assert_eq!((answer.status.as_u16(), answer.outcome()), (401, "invalid_credentials"));
        assert_eq!(cluster.binds().await.len(), before + 1);
    }
}

#[tokio::test]
async fn bodies_that_are_no_sign_in() {
    let cluster = Setup::new(&["--users", "1"]).start().await;
    without_a_bind(&cluster, async |cluster| {
        let api = cluster.text("/relays/0/api").to_owned();
        let too_large = json!({ "username": USER, "password": PASSWORD, "x": "x".repeat(20_000) });
        for (what, body) in [
            ("nothing", Vec::new()),
            ("no JSON", b"username=user000001&password=x".to_vec()),
            ("a list", b"[]".to_vec()),
            (
                "cut off",
                br#"{"username":"user000001@corp.example.com","pass"#.to_vec(),
            ),
            ("no password", br#"{"username":"user000001@corp.example.com"}"#.to_vec()),
            ("no name", br#"{"password":"Postern-000001"}"#.to_vec()),
            (
                "a number",
                br#"{"username":"user000001@corp.example.com","password":1}"#.to_vec(),
            ),
            (
                "null",
                br#"{"username":"user000001@corp.example.com","password":null}"#.to_vec(),
            ),
            (
                "an unknown member",
                json!({ "username": USER, "password": PASSWORD, "admin": true })
                    .to_string()
                    .into_bytes(),
            ),
            (
                "password and envelope",
                json!({ "username": USER, "password": PASSWORD, "jwe": {} })
                    .to_string()
                    .into_bytes(),
            ),
            (
                "a member twice",
                br#"{"username":"user000001@corp.example.com","password":"Postern-000001","password":"x"}"#.to_vec(),
            ),
            (
                "something after it",
                br#"{"username":"user000001@corp.example.com","password":"Postern-000001"}{}"#.to_vec(),
            ),
            (
                "a name that is no UTF-8",
                b"{\"username\":\"a\xff@corp.example.com\",\"password\":\"x\"}".to_vec(),
            ),
            (
                "a password that is no UTF-8",
                b"{\"username\":\"user000001@corp.example.com\",\"password\":\"Postern\xff\"}".to_vec(),
            ),
            (
                "half a surrogate pair",
                br#"{"username":"user000001@corp.example.com","password":"\ud800"}"#.to_vec(),
            ),
            ("more than 16 KiB", too_large.to_string().into_bytes()),
            ("deeply nested", [b"[".repeat(8000), b"]".repeat(8000)].concat()),
        ] {
            let answer = cluster.post_sign_in(&api, body, None).await;
            assert_eq!(answer.outcome(), "bad_request", "{what}: {:?}", answer.body);
            assert_eq!(answer.status.as_u16(), 400, "{what}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_body_that_is_huge_or_never_ends_is_cut_off_and_costs_nobody_else_anything() {
    let cluster = Setup::new(&["--users", "1"]).start().await;
    without_a_bind(&cluster, async |cluster| {
        let address = cluster
            .text("/relays/0/api")
            .strip_prefix("http://")
            .unwrap()
            .to_owned();
        let head = |length: &str| format!("POST /v1/sign-in HTTP/1.1\r\nhost: x\r\n{length}\r\n\r\n").into_bytes();
        let announced = head("content-length: 104857600");
        let in_pieces = head("transfer-encoding: chunked");

        let (huge, endless, silent) = tokio::join!(
            // 100 MiB as fast as they are taken.
            send(&address, announced.clone(), vec![b'x'; 65_536], 1_600),
            // A megabyte in pieces, and no last one.
            send(
                &address,
                in_pieces,
                [b"10000\r\n".to_vec(), vec![b'x'; 65_536], b"\r\n".to_vec()].concat(),
                16
            ),
            // Nothing of what was announced.
            send(&address, head("content-length: 100"), b"{".to_vec(), 1),
        );
        for (what, answer) in [("huge", huge), ("endless", endless), ("silent", silent)] {
            let refused = answer.is_empty() || answer.starts_with("HTTP/1.1 4");
            assert!(refused, "{what}: {answer:?}");
        }
        // Another that never ends, while others sign in.
        let mut dribbling = TcpStream::connect(&address).await.unwrap();
        dribbling.write_all(&announced).await.unwrap();
        assert_eq!(
            cluster.sign_in(USER, "wrong-on-purpose\0").await.outcome(),
            "bad_request"
        );
        drop(dribbling);
    })
    .await;
}

/// Sends a head and then `piece` again and again, and returns what is answered until the other side closes.
async fn send(address: &str, head: Vec<u8>, piece: Vec<u8>, times: usize) -> String {
    let began = Instant::now();
    let (mut read, mut write) = TcpStream::connect(address).await.unwrap().into_split();
    write.write_all(&head).await.unwrap();
    let writing = async {
        for _ in 0..times {
            if write.write_all(&piece).await.is_err() {
                break;
            }
        }
        // Open, but silent from now on.
        std::future::pending::<()>().await;
    };
    let reading = async {
        let mut answer = Vec::new();
        // A reset after the answer is as good as a close.
        let _ = read.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    };
    let answer = timeout(PATIENCE, async {
        tokio::select! { biased; answer = reading => answer, () = writing => String::new() }
    });
    answer
        .await
        .unwrap_or_else(|_| panic!("not cut off after {:?}", began.elapsed()))
}
