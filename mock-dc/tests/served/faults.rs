//! Every kind of fault over real sockets: what the client sees, what the directory did, and that taking the fault back
//! lets go what it holds.
//!
//! Faults that wait are given an hour, so that no test depends on how fast it runs.

use std::io::ErrorKind;
use std::net::SocketAddr;

use ldap3::{Ldap, LdapError};
use postern_ldap::ber::{Appender, INTEGER, OCTET_STRING, SEQUENCE};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::{Domain, PASSWORD, bind, windows};

const HOUR: u64 = 3_600_000;

/// An anonymous bind, message 7.
const BIND: [u8; 14] = [
    0x30, 0x0c, 0x02, 0x01, 0x07, 0x60, 0x07, 0x02, 0x01, 0x03, 0x04, 0x00, 0x80, 0x00,
];

/// Bytes of the answer to it, and where in them the message's number stands: lengths as Windows writes them.
const ANSWER: usize = 22;
const NUMBER: usize = 8;

async fn put(domain: &Domain, faults: Value) {
    let shown = domain.send(Method::PUT, "/faults", faults).await;
    assert_eq!(domain.get("/faults").await, shown);
}

async fn ldap(domain: &Domain, dc: usize) -> Ldap {
    domain.connect(&domain.ldap(dc), false).await.expect("LDAP")
}

fn address(domain: &Domain, dc: usize) -> SocketAddr {
    domain.addresses.dcs[dc].ldap.expect("an LDAP listener")
}

async fn good(ldap: &mut Ldap) -> Result<u32, LdapError> {
    ldap.simple_bind("CORP\\good", PASSWORD).await.map(|result| result.rc)
}

/// Waits until so many binds of `good` were decided. The counts wait for no answer, as the record does.
async fn until_decided(domain: &Domain, binds: u64) {
    while domain.get("/binds/counts").await["good"].as_u64().unwrap_or(0) < binds {
        tokio::task::yield_now().await;
    }
}

/// Waits until every fault has happened as often as it may.
async fn until_spent(domain: &Domain) {
    let spent = |faults: Value| faults.as_array().unwrap().iter().all(|fault| fault["left"] == 0);
    while !spent(domain.get("/faults").await) {
        tokio::task::yield_now().await;
    }
}

fn answered(binds: &[Value]) -> Vec<(Option<u64>, Option<bool>)> {
    let told = |bind: &Value| (bind["result"].as_u64(), bind["answered"].as_bool());
    binds.iter().map(told).collect()
}

#[tokio::test]
async fn a_slow_bind_is_decided_at_once_and_its_answer_stays_open_until_it_is_sent() {
    let domain = Domain::serve();
    put(&domain, json!([{"kind": "latency", "ms": HOUR, "users": ["GOOD"]}])).await;
    let mut other = ldap(&domain, 0).await;
    assert_eq!(bind(&mut other, "CORP\\disabled", PASSWORD).await, windows("533"));

    let mut slow = ldap(&domain, 0).await;
    let mut waits = JoinSet::new();
    waits.spawn(async move { good(&mut slow).await });
    until_decided(&domain, 1).await;
    let mut record = Box::pin(domain.binds(""));
    tokio::select! {
        biased;
        told = &mut record => panic!("told before the answer was sent: {told:?}"),
        // More than a reader needs that does not wait.
        () = async { drop(domain.get("/clock").await) } => {}
    }
    assert!(waits.try_join_next().is_none());
    put(&domain, json!([])).await;
    assert!(matches!(waits.join_next().await, Some(Ok(Ok(0)))));
    assert_eq!(answered(&record.await), [(Some(49), Some(true)), (Some(0), Some(true))]);
    domain.end().await;
}

#[tokio::test]
async fn slow_searches_leave_binds_alone() {
    let domain = Domain::serve();
    put(
        &domain,
        json!([{"kind": "latency", "ms": HOUR, "operations": "searches"}]),
    )
    .await;
    let mut slow = ldap(&domain, 0).await;
    assert_eq!(good(&mut slow).await.unwrap(), 0);
    let mut waits = JoinSet::new();
    waits.spawn(async move {
        let found = slow.search("", ldap3::Scope::Base, "(objectClass=*)", vec!["1.1"]);
        found.await.map(|found| found.0.len())
    });
    assert_eq!(good(&mut ldap(&domain, 0).await).await.unwrap(), 0);
    assert!(waits.try_join_next().is_none());
    put(&domain, json!([])).await;
    assert!(matches!(waits.join_next().await, Some(Ok(Ok(1)))));
    domain.end().await;
}

#[tokio::test]
async fn with_a_limit_the_next_bind_is_decided_when_the_one_before_was_answered() {
    let domain = Domain::serve();
    put(
        &domain,
        json!([{"kind": "limit", "binds": 1}, {"kind": "latency", "ms": 10}]),
    )
    .await;
    let mut binds = JoinSet::new();
    for _ in 0..6 {
        let mut client = ldap(&domain, 0).await;
        binds.spawn(async move { good(&mut client).await });
    }
    assert!(binds.join_all().await.into_iter().all(|told| matches!(told, Ok(0))));
    let format = &time::format_description::well_known::Rfc3339;
    let moment = |bind: &Value| time::OffsetDateTime::parse(bind["time"].as_str().unwrap(), format).unwrap();
    let times: Vec<_> = domain.binds("").await.iter().map(moment).collect();
    assert_eq!(times.len(), 6);
    assert!(
        times
            .windows(2)
            .all(|pair| pair[1] - pair[0] >= time::Duration::milliseconds(9)),
        "{times:?}"
    );
    domain.end().await;
}

#[tokio::test]
async fn connections_of_a_server_that_hangs_stay_open_and_go_on_when_it_is_over() {
    let domain = Domain::serve();
    let mut existing = ldap(&domain, 0).await;
    assert_eq!(good(&mut existing).await.unwrap(), 0);
    put(&domain, json!([{"kind": "hang", "when": "connection", "dc": "dc-1"}])).await;
    let mut waits = JoinSet::new();
    waits.spawn(async move { good(&mut existing).await });
    let (new, settings) = (domain.ldap(0), domain.settings(false));
    waits.spawn(async move {
        let (connection, mut ldap) = ldap3::LdapConnAsync::with_settings(settings, &new).await?;
        let mut driven = JoinSet::new();
        driven.spawn(connection.drive());
        good(&mut ldap).await
    });
    assert_eq!(good(&mut ldap(&domain, 1).await).await.unwrap(), 0);
    let dcs: Vec<_> = domain.binds("").await.iter().map(|bind| bind["dc"].clone()).collect();
    assert_eq!(dcs, ["dc-1", "dc-2"]);
    assert!(waits.try_join_next().is_none());
    // Other faults in its place that say the same change nothing.
    put(
        &domain,
        json!([{"kind": "latency", "ms": 1}, {"kind": "hang", "when": "connection", "dc": "dc-1"}]),
    )
    .await;
    assert_eq!(good(&mut ldap(&domain, 1).await).await.unwrap(), 0);
    assert!(waits.try_join_next().is_none());
    put(&domain, json!([])).await;
    assert!(waits.join_all().await.into_iter().all(|told| matches!(told, Ok(0))));
    domain.end().await;
}

#[tokio::test]
async fn a_server_may_hang_before_or_after_tls_and_answer_in_the_clear() {
    let domain = Domain::serve();
    for when in ["before_tls", "after_tls"] {
        put(&domain, json!([{"kind": "hang", "when": when}])).await;
        let mut waits = JoinSet::new();
        for (url, starttls) in [(domain.ldap(0), true), (domain.ldaps(0), false)] {
            let settings = domain.settings(starttls);
            waits.spawn(async move {
                let (connection, mut ldap) = ldap3::LdapConnAsync::with_settings(settings, &url).await?;
                let mut driven = JoinSet::new();
                driven.spawn(connection.drive());
                good(&mut ldap).await
            });
        }
        assert_eq!(good(&mut ldap(&domain, 0).await).await.unwrap(), 0);
        assert!(waits.try_join_next().is_none(), "{when}");
        put(&domain, json!([])).await;
        assert!(waits.join_all().await.into_iter().all(|told| matches!(told, Ok(0))));
    }
    domain.end().await;
}

#[tokio::test]
async fn a_bind_that_is_never_answered_counts_and_the_connection_goes_on() {
    let domain = Domain::serve();
    put(&domain, json!([{"kind": "hang", "when": "bind", "times": 1}])).await;
    assert_eq!(domain.get("/faults").await[0]["left"], 1);
    let mut stream = TcpStream::connect(address(&domain, 0)).await.expect("a connection");
    let mut second = BIND;
    second[4] = 8;
    stream.write_all(&[BIND, second].concat()).await.expect("a write");
    let mut answer = [0; ANSWER];
    stream.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(answer[NUMBER], 8, "the first is not answered: {answer:02x?}");
    assert_eq!(
        answered(&domain.binds("").await),
        [(Some(0), Some(false)), (Some(0), Some(true))]
    );
    assert_eq!(domain.get("/faults").await[0]["left"], 0);
    domain.end().await;
}

/// A bind of `good`, as bytes.
fn raw_bind() -> Vec<u8> {
    let mut bytes = Vec::new();
    Appender::new(&mut bytes).nest(SEQUENCE, |message| {
        message.number(INTEGER, 1);
        message.nest(0x60, |bind| {
            bind.number(INTEGER, 3);
            bind.element(OCTET_STRING, b"CORP\\good");
            bind.element(0x80, PASSWORD.as_bytes());
        });
    });
    bytes
}

#[tokio::test]
async fn who_leaves_while_a_bind_is_held_back_gives_up_the_place() {
    let domain = Domain::serve();
    put(
        &domain,
        json!([{"kind": "limit", "binds": 1, "dc": "dc-1"}, {"kind": "latency", "ms": HOUR, "dc": "dc-1"}]),
    )
    .await;
    let mut clients = Vec::new();
    for place in 0..3 {
        let mut client = TcpStream::connect(address(&domain, 0)).await.expect("a connection");
        client.write_all(&raw_bind()).await.expect("a write");
        if place == 0 {
            until_decided(&domain, 1).await;
        }
        clients.push(client);
    }
    let [answer, turn, last] = &mut clients[..] else {
        panic!("three clients")
    };
    // What was said behind it makes no difference, be it more than the server takes.
    turn.write_all(&raw_bind()).await.expect("a write");
    answer.write_all(&raw_bind().repeat(1000)).await.expect("a write");
    for client in [turn, answer] {
        client.shutdown().await.expect("an end");
        let ended = client.read(&mut [0; 1]).await.map_err(|error| error.kind());
        assert!(
            matches!(ended, Ok(0) | Err(ErrorKind::ConnectionReset)),
            "nobody waits any longer: {ended:?}"
        );
    }
    until_decided(&domain, 2).await;
    put(&domain, json!([])).await;
    assert!(last.read(&mut [0; 1]).await.expect("an answer") > 0);
    let told = answered(&domain.binds("").await);
    assert_eq!(
        told,
        [(Some(0), Some(false)), (Some(0), Some(true))],
        "one was never decided"
    );
    domain.end().await;
}

#[tokio::test]
async fn who_leaves_while_tls_or_an_answer_does_not_come_is_let_go() {
    let domain = Domain::serve();
    let ldaps = domain.addresses.dcs[0].ldaps.expect("an LDAPS listener");
    for (when, to) in [("before_tls", ldaps), ("bind", address(&domain, 0))] {
        put(&domain, json!([{"kind": "hang", "when": when}])).await;
        let mut client = TcpStream::connect(to).await.expect("a connection");
        // Of a bind it is one; of a handshake it is never looked at.
        client.write_all(&raw_bind()).await.expect("a write");
        client.shutdown().await.expect("an end");
        let ended = client.read(&mut [0; 1]).await.map_err(|error| error.kind());
        assert!(
            matches!(ended, Ok(0) | Err(ErrorKind::ConnectionReset)),
            "{when}: {ended:?}"
        );
    }
    domain.end().await;
}

#[tokio::test]
async fn a_connection_closed_after_the_bind_has_counted_it_and_one_closed_before_has_not() {
    let domain = Domain::serve();
    let name = "user000001@corp.example.com";
    for (kind, when, binds) in [
        ("close", "after_bind", 1),
        ("close", "before_bind", 1),
        ("reset", "after_bind", 2),
        ("reset", "before_bind", 2),
    ] {
        let mut tls = domain.connect(&domain.ldaps(0), false).await.expect("LDAPS");
        put(&domain, json!([{"kind": kind, "when": when, "users": ["user000001"]}])).await;
        assert!(tls.simple_bind(name, "wrong").await.is_err(), "{kind} {when}");
        let told = domain.binds("").await;
        assert_eq!(answered(&told), vec![(Some(49), Some(false)); binds], "{kind} {when}");
        assert_eq!(domain.get("/users/user000001").await["badPwdCount"], binds.to_string());
    }
    assert_eq!(good(&mut ldap(&domain, 0).await).await.unwrap(), 0);
    domain.end().await;
}

#[tokio::test]
async fn closed_is_an_end_and_reset_is_a_reset() {
    let domain = Domain::serve();
    for (kind, end) in [("close", Ok(0)), ("reset", Err(ErrorKind::ConnectionReset))] {
        for when in ["after_bind", "before_bind", "connection"] {
            let mut stream = TcpStream::connect(address(&domain, 0)).await.expect("a connection");
            // Whoever has been answered has been accepted.
            stream.write_all(&BIND).await.expect("a write");
            stream.read_exact(&mut [0; ANSWER]).await.expect("an answer");
            put(&domain, json!([{"kind": kind, "when": when, "times": 1}])).await;
            if when == "connection" {
                // It has struck when it is in force; its only time is over.
                assert_eq!(domain.get("/faults").await[0]["left"], 0);
            } else {
                stream.write_all(&BIND).await.expect("a write");
            }
            let ended = stream.read(&mut [0; 1]).await.map_err(|error| error.kind());
            assert_eq!(ended, end, "{kind} {when}");
            assert_eq!(good(&mut ldap(&domain, 0).await).await.unwrap(), 0);
        }
    }
    domain.end().await;
}

#[tokio::test]
async fn closed_is_an_end_also_where_the_server_has_not_read_everything() {
    let domain = Domain::serve();
    for when in ["after_bind", "before_bind", "connection"] {
        let mut stream = TcpStream::connect(address(&domain, 0)).await.expect("a connection");
        put(&domain, json!([{"kind": "hang", "when": "connection"}])).await;
        stream.write_all(&BIND.repeat(4000)).await.expect("a write");
        put(&domain, json!([{"kind": "close", "when": when}])).await;
        let ended = stream.read(&mut [0; 1]).await.map_err(|error| error.kind());
        assert_eq!(ended, Ok(0), "{when}");
        // Nobody waits for the client's end, which has not come yet.
        put(&domain, json!([])).await;
        drop(stream);
    }
    domain.end().await;
}

#[tokio::test]
async fn new_connections_are_reset_while_the_listener_stays_open() {
    let domain = Domain::serve();
    put(&domain, json!([{"kind": "reset", "when": "connection", "dc": "dc-1"}])).await;
    for _ in 0..3 {
        // The reset may come before the connection is looked at here.
        let ended = match TcpStream::connect(address(&domain, 0)).await {
            Ok(mut stream) => stream.read(&mut [0; 1]).await.map(|_| ()),
            Err(error) => Err(error),
        };
        assert_eq!(ended.map_err(|error| error.kind()), Err(ErrorKind::ConnectionReset));
    }
    assert_eq!(good(&mut ldap(&domain, 1).await).await.unwrap(), 0);
    domain.end().await;
}

#[tokio::test]
async fn certificates_have_the_one_fault_that_was_asked_for() {
    let domain = Domain::serve();
    for (which, told) in [
        ("expired", "xpired"),
        ("wrong_name", "not valid for name"),
        ("unknown_ca", "UnknownIssuer"),
    ] {
        put(&domain, json!([{"kind": "certificate", "which": which, "dc": "dc-1"}])).await;
        for (url, starttls) in [(domain.ldaps(0), false), (domain.ldap(0), true)] {
            let Err(error) = domain.connect(&url, starttls).await else {
                panic!("{which} is trusted")
            };
            let text = format!("{error} {error:?}");
            assert!(text.contains(told), "{which}: {text}");
        }
        assert!(domain.connect(&domain.ldaps(1), false).await.is_ok());
    }
    put(&domain, json!([])).await;
    assert!(domain.connect(&domain.ldaps(0), false).await.is_ok());
    domain.end().await;
}

#[tokio::test]
async fn a_server_in_trouble_answers_before_it_looks_at_the_account() {
    let domain = Domain::serve();
    let mut client = ldap(&domain, 0).await;
    for code in [51, 52, 80] {
        put(
            &domain,
            json!([
                {"kind": "result", "code": code, "users": ["user000001"]},
                {"kind": "result", "code": code, "probability": 0},
                {"kind": "result", "code": code, "dc": "dc-2"},
            ]),
        )
        .await;
        let told = bind(&mut client, "user000001@corp.example.com", "wrong").await;
        assert_eq!(told.0, code);
        assert_eq!(good(&mut client).await.unwrap(), 0);
        let told = domain.binds("").await;
        let troubled = &told[told.len() - 2];
        assert_eq!(
            (
                troubled["result"].as_u64(),
                &troubled["user"],
                troubled["answered"].as_bool()
            ),
            (Some(code.into()), &Value::Null, Some(true))
        );
    }
    assert_eq!(domain.get("/binds/counts").await, json!({"good": 3}));
    assert_eq!(domain.get("/users/user000001").await["badPwdCount"], "0");
    domain.end().await;
}

#[tokio::test]
async fn bytes_drip_and_the_bind_is_answered_with_the_last_of_them() {
    let domain = Domain::serve();
    put(
        &domain,
        json!([{"kind": "drip", "bytes": 1, "every_ms": HOUR, "dc": "dc-1"}]),
    )
    .await;
    let mut stream = TcpStream::connect(address(&domain, 0)).await.expect("a connection");
    stream.write_all(&BIND).await.expect("a write");
    let mut first = [0; ANSWER];
    assert_eq!(stream.read(&mut first).await.expect("a byte"), 1);
    put(&domain, json!([])).await;
    stream.read_exact(&mut first[1..]).await.expect("the rest");
    assert_eq!((first[0], first[NUMBER]), (0x30, 7), "{first:02x?}");
    assert_eq!(answered(&domain.binds("").await), [(Some(0), Some(true))]);

    // Handshakes come in pieces, too, and get there.
    put(&domain, json!([{"kind": "drip", "bytes": 100, "every_ms": 1}])).await;
    let mut tls = domain.connect(&domain.ldaps(0), false).await.expect("LDAPS");
    assert_eq!(good(&mut tls).await.unwrap(), 0);
    domain.end().await;
}

#[tokio::test]
async fn of_half_open_connections_the_server_knows_nothing_when_it_is_back() {
    let domain = Domain::serve();
    let mut existing = TcpStream::connect(address(&domain, 0)).await.expect("a connection");
    existing.write_all(&BIND).await.expect("a write");
    existing.read_exact(&mut [0; ANSWER]).await.expect("an answer");
    put(&domain, json!([{"kind": "half_open", "dc": "dc-1"}])).await;
    let mut new = TcpStream::connect(address(&domain, 0)).await.expect("a connection");
    for stream in [&mut existing, &mut new] {
        stream.write_all(&BIND).await.expect("a write");
        stream.shutdown().await.expect("a goodbye");
    }
    assert_eq!(good(&mut ldap(&domain, 1).await).await.unwrap(), 0);
    put(
        &domain,
        json!([{"kind": "latency", "ms": 1}, {"kind": "half_open", "dc": "dc-1"}]),
    )
    .await;
    // One anonymous bind from before, and the other controller's.
    assert_eq!(domain.binds("").await.len(), 2);
    put(&domain, json!([])).await;
    for mut stream in [existing, new] {
        let ended = stream.read(&mut [0; 1]).await.map_err(|error| error.kind());
        assert_eq!(ended, Err(ErrorKind::ConnectionReset));
    }
    domain.end().await;
}

#[tokio::test]
async fn a_fault_begins_and_ends_by_its_time() {
    let domain = Domain::serve();
    let mut existing = TcpStream::connect(address(&domain, 0)).await.expect("a connection");
    put(
        &domain,
        json!([{"kind": "refuse", "dc": "dc-1", "from_ms": 20, "for_ms": 20}]),
    )
    .await;
    let ended = existing.read(&mut [0; 1]).await.map_err(|error| error.kind());
    assert_eq!(ended, Err(ErrorKind::ConnectionReset));
    while TcpStream::connect(address(&domain, 0)).await.is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(good(&mut ldap(&domain, 0).await).await.unwrap(), 0);
    domain.end().await;
}

#[tokio::test]
async fn configured_faults_are_in_force_from_the_start_and_again_after_a_reset() {
    let domain = Domain::serve_with("[[faults]]\nkind = \"result\"\ncode = 51\ntimes = 1\n");
    let configured = domain.get("/faults").await;
    assert_eq!(
        configured,
        json!([{"kind": "result", "code": 51, "times": 1, "left": 1}])
    );
    for _ in 0..2 {
        let mut client = ldap(&domain, 0).await;
        assert_eq!(good(&mut client).await.unwrap(), 51);
        assert_eq!(good(&mut client).await.unwrap(), 0);
        put(&domain, json!([{"kind": "refuse"}])).await;
        domain.send(Method::POST, "/reset", json!({})).await;
        assert_eq!(domain.get("/faults").await, configured);
    }
    domain.end().await;
}

#[tokio::test]
async fn nothing_that_was_said_to_a_server_that_hangs_is_carried_out_after_a_reset() {
    let domain = Domain::serve();
    let other = domain.addresses.dcs[1].ldaps.expect("an LDAPS listener");
    for round in 0..20 {
        let mut existing = TcpStream::connect(address(&domain, 0)).await.expect("a connection");
        existing.write_all(&BIND).await.expect("a write");
        existing.read_exact(&mut [0; ANSWER]).await.expect("an answer");
        put(
            &domain,
            json!([
                {"kind": "hang", "when": "connection", "dc": "dc-1", "times": 2},
                {"kind": "hang", "when": "after_tls", "times": 1},
            ]),
        )
        .await;
        let mut new = TcpStream::connect(address(&domain, 0)).await.expect("a connection");
        // The other controller takes a handshake, and then says nothing.
        let encrypted = TcpStream::connect(other).await.expect("a connection");
        let mut encrypted = domain.handshake(encrypted).await.expect("TLS");
        for client in [&mut existing, &mut new] {
            client.write_all(&raw_bind()).await.expect("a write");
        }
        encrypted.write_all(&raw_bind()).await.expect("a write");
        encrypted.flush().await.expect("a write");
        until_spent(&domain).await;
        domain.send(Method::POST, "/reset", json!({})).await;
        assert_eq!(domain.binds("").await, Vec::<Value>::new(), "{round}");
        for mut client in [existing, new, encrypted.into_inner().0] {
            let ended = client.read_to_end(&mut Vec::new()).await.map_err(|error| error.kind());
            assert_eq!(ended, Err(ErrorKind::ConnectionReset), "{round}");
        }
        assert_eq!(domain.get("/binds/counts").await, json!({}), "{round}");
    }
    domain.end().await;
}

#[tokio::test]
async fn everything_wrong_with_faults_is_told_at_once_and_changes_nothing() {
    let domain = Domain::serve();
    let before = json!([{"kind": "latency", "ms": 1}]);
    put(&domain, before.clone()).await;
    let wrong = json!([
        {"kind": "earthquake"},
        {"kind": "drip", "bytes": 0, "colour": "red"},
        {"kind": "refuse", "dc": "dc-9", "times": 1},
        {"kind": "result", "code": 53, "users": ["nobody"], "probability": 2, "for_ms": null},
        {"kind": "latency", "ms": 0.5},
    ]);
    let (status, told) = domain.ask(Method::PUT, "/faults", Some(wrong)).await;
    assert_eq!(status, 400);
    for part in [
        "faults[0].kind: unknown variant `earthquake`",
        "faults[1].colour: unknown field",
        "faults[1].bytes: must be from 1 to 65536",
        "faults[1].every_ms: is missing",
        "faults[2].dc: there is no domain controller",
        "faults[2].times: does not go with the kind",
        "faults[3].code: must be 51",
        "faults[3].users[0]: nobody has",
        "faults[3].probability: must be from 0 to 1",
        "faults[4].ms: invalid type: floating point",
    ] {
        assert!(told.contains(part), "{part} is not in: {told}");
    }
    for (body, part) in [
        (json!({"kind": "refuse"}), "faults: must be an array"),
        (json!([1]), "faults[0]"),
    ] {
        let (status, told) = domain.ask(Method::PUT, "/faults", Some(body)).await;
        assert!(status == 400 && told.contains(part), "{told}");
    }
    assert_eq!(domain.get("/faults").await, before);
    domain.end().await;
}

/// However many connections bind at once, a fault strikes exactly as often as it may, and the record says which.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn times_are_exact_under_load() {
    let domain = Domain::serve_in_parallel();
    put(
        &domain,
        json!([
            {"kind": "close", "when": "after_bind", "times": 20, "probability": 0.2},
            {"kind": "result", "code": 51, "times": 33, "probability": 0.5},
            {"kind": "hang", "when": "bind", "times": 0x7fff_ffff, "probability": 0},
        ]),
    )
    .await;
    let mut clients = JoinSet::new();
    for _ in 0..8 {
        let (url, settings) = (domain.ldap(0), domain.settings(false));
        clients.spawn(async move {
            let (mut busy, mut cut, mut ldap, mut driven) = (0, 0, None, JoinSet::new());
            for _ in 0..100 {
                let client = match &mut ldap {
                    Some(client) => client,
                    None => {
                        let connected = ldap3::LdapConnAsync::with_settings(settings.clone(), &url).await;
                        let (connection, client) = connected.expect("LDAP");
                        driven.spawn(connection.drive());
                        ldap.insert(client)
                    }
                };
                match good(client).await {
                    Ok(51) => busy += 1,
                    Ok(code) => assert_eq!(code, 0),
                    Err(_) => {
                        cut += 1;
                        ldap = None;
                    }
                }
            }
            (busy, cut)
        });
    }
    let told = clients.join_all().await;
    let sums = told.iter().fold((0, 0), |sum, told| (sum.0 + told.0, sum.1 + told.1));
    assert_eq!(sums, (33, 20));
    let recorded = domain.binds("").await;
    assert_eq!(recorded.len(), 800);
    let count = |told: &dyn Fn(&&Value) -> bool| recorded.iter().filter(told).count();
    assert_eq!(count(&|bind| bind["answered"] == false), 20);
    assert_eq!(count(&|bind| bind["result"] == 51), 33);
    let left: Vec<_> = domain.get("/faults").await.as_array().unwrap().clone();
    assert_eq!((&left[0]["left"], &left[1]["left"]), (&json!(0), &json!(0)));
    domain.end().await;
}
