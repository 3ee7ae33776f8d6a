//! Who gets a session, who does not, and what ends one.

use std::time::Duration;

use postern_protocol::Verdict;
use postern_protocol::close::CloseCode;
use postern_protocol::connection::{Connection, Ended};
use postern_protocol::frame::{Control, Draining, MAJOR, MAX_CONTROL_BYTES, MINOR, Probe, Probed, Status};
use postern_protocol::wire::{read_frame, write_frame};
use rcgen::SerialNumber;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

use crate::key_exchange::{hybrid_was_negotiated, watched_provider};
use crate::rig::{AGENT, Agent, Rig, Shown, ca, closed, leaf};
use crate::sign_ins::{now_ms, verdict};

#[tokio::test]
async fn an_agent_is_welcomed_over_x25519mlkem768() {
    let rig = Rig::start();
    assert!(!hybrid_was_negotiated());
    let connection = rig
        .dial_with(rig.certificate("agent-1"), watched_provider())
        .await
        .unwrap();
    assert!(hybrid_was_negotiated());
    let agent = Agent::greet(connection, |_| {}).await;
    assert_eq!(agent.welcome.unwrap().major, 1);
}

/// Whether a certificate was refused in the handshake. (In TLS 1.3 the client learns it with its first flight.)
async fn refused_in_handshake(rig: &Rig, shown: Shown) -> bool {
    match rig.dial(shown).await {
        Err(_) => true,
        Ok(connection) => {
            matches!(connection.closed().await, Ended::Refused { .. })
        }
    }
}

#[tokio::test]
async fn certificates_that_name_nobody_or_somebody_elses_agent_are_refused() {
    let rig = Rig::start();
    let relay = "spiffe://postern.test/relay/relay-1";
    let expired = |params: &mut rcgen::CertificateParams| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    };
    let rogue = ca();
    let cases = [
        ("another CA", leaf(&rogue, &[AGENT], &[], |_| {})),
        (
            "another tenant's CA with this tenant's name",
            leaf(&rig.globex, &[AGENT], &[], |_| {}),
        ),
        ("the servers' CA", leaf(&rig.servers, &[AGENT], &[], |_| {})),
        ("no URI", leaf(&rig.acme, &[], &["agent-1.example.com"], |_| {})),
        ("two URIs", leaf(&rig.acme, &[AGENT, relay], &[], |_| {})),
        ("a relay's URI", leaf(&rig.acme, &[relay], &[], |_| {})),
        (
            "another trust domain",
            leaf(&rig.acme, &[&AGENT.replace("postern.test", "other.test")], &[], |_| {}),
        ),
        (
            "a segment too many",
            leaf(&rig.acme, &[&format!("{AGENT}/x")], &[], |_| {}),
        ),
        (
            "a wrong segment",
            leaf(&rig.acme, &[&AGENT.replace("/agent/", "/agents/")], &[], |_| {}),
        ),
        (
            "an unknown tenant",
            leaf(&rig.acme, &[&AGENT.replace("acme", "nobody")], &[], |_| {}),
        ),
        ("an expired certificate", leaf(&rig.acme, &[AGENT], &[], expired)),
    ];
    for (case, shown) in cases {
        assert!(refused_in_handshake(&rig, shown).await, "{case} was let in");
    }
    assert!(
        rig.agent("agent-1").await.welcome.is_some(),
        "the relay no longer serves"
    );
}

#[tokio::test]
async fn an_agent_of_a_realm_that_is_not_served_is_told_so() {
    let rig = Rig::start();
    let shown = leaf(&rig.acme, &[&AGENT.replace("/corp/", "/plant/")], &[], |_| {});
    let connection = rig.dial(shown).await.unwrap();
    let (code, reason) = closed(&connection).await;
    assert_eq!(code, Some(CloseCode::Identity));
    assert!(reason.contains("acme/plant"), "{reason}");
}

#[tokio::test]
async fn denied_agents_and_serials_are_refused_and_a_changed_list_closes_sessions_at_once() {
    let rig = Rig::start_with("[deny]\nagents = [\"acme/corp/agent-2\"]\nserials = [\"0A:BC\"]\n");
    let by_name = rig.dial(rig.certificate("agent-2")).await.unwrap();
    assert_eq!(closed(&by_name).await.0, Some(CloseCode::Denied));
    let serial =
        |params: &mut rcgen::CertificateParams| params.serial_number = Some(SerialNumber::from_slice(&[10, 188]));
    let by_serial = rig.dial(leaf(&rig.acme, &[AGENT], &[], serial)).await.unwrap();
    assert_eq!(closed(&by_serial).await.0, Some(CloseCode::Denied));

    let honest = rig.agent("agent-1").await;
    let path = rig.folder.join("relay.toml");
    let changed = std::fs::read_to_string(&path).unwrap().replace("agent-2", "agent-1");
    std::fs::write(&path, changed).unwrap();
    let (code, reason) = honest.closed().await;
    assert_eq!(code, Some(CloseCode::Denied));
    assert!(reason.contains("acme/corp/agent-1"), "{reason}");
    assert!(rig.agent("agent-2").await.welcome.is_some(), "no longer denied");
}

#[tokio::test]
async fn another_major_version_is_refused_with_both_versions_named() {
    let rig = Rig::start();
    let agent = Agent::greet(rig.dial(rig.certificate("agent-1")).await.unwrap(), |hello| {
        hello.major = 2
    })
    .await;
    let (code, reason) = agent.closed().await;
    assert_eq!(code, Some(CloseCode::Version));
    assert!(
        reason.contains(&format!("{MAJOR}.{MINOR}")) && reason.contains(&format!("2.{MINOR}")),
        "{reason}"
    );
}

/// Asks as one who only looks. `None` if the relay ends the connection instead, be it before the question.
async fn probe(connection: &Connection) -> Option<Control> {
    let (mut send, mut receive) = connection.open_bi().await.ok()?;
    let probe = Control::Probe(Probe {
        major: MAJOR,
        minor: MINOR,
    });
    write_frame(&mut send, &probe.encode()).await.ok()?;
    read_frame(&mut receive, MAX_CONTROL_BYTES, Control::decode).await.ok()
}

/// What the relay says to somebody with the certificate of `agent` who only looks.
async fn look(rig: &Rig, agent: &str) -> Result<Probed, (Option<CloseCode>, String)> {
    let connection = rig.dial(rig.certificate(agent)).await.unwrap();
    match probe(&connection).await {
        Some(Control::Probed(probed)) => Ok(probed),
        Some(other) => panic!("{other:?}"),
        None => Err(closed(&connection).await),
    }
}

#[tokio::test]
async fn whoever_only_looks_is_shown_version_and_clock_and_disturbs_no_session_of_the_same_agent() {
    let rig = Rig::start();
    let agent = rig.agent("agent-1").await;
    // As many as there is no room for, had they sessions.
    for _ in 0..6 {
        let probed = look(&rig, "agent-1").await.unwrap();
        assert_eq!((probed.major, probed.minor), (MAJOR, MINOR));
        assert!(probed.unix_ms.abs_diff(now_ms()) < 60_000, "{}", probed.unix_ms);
    }
    // Whoever looked is given nothing: every sign-in is the agent's, whose session is the only one.
    for _ in 0..6 {
        let serve = async { agent.request().await.answer(verdict(Verdict::Success)).await };
        let (answer, ()) = tokio::join!(rig.sign_in("x@corp.example.com", "right"), serve);
        assert_eq!(answer.0, 200);
    }
    assert!(agent.connection.close_reason().is_none());
}

#[tokio::test]
async fn whoever_only_looks_is_refused_as_an_agent_would_be() {
    let rig = Rig::start_with("[deny]\nagents = [\"acme/corp/agent-2\"]\n");
    let (code, reason) = look(&rig, "agent-2").await.unwrap_err();
    assert_eq!(code, Some(CloseCode::Denied), "{reason}");
    assert!(look(&rig, "agent-1").await.is_ok());
}

/// Connections with the certificate of `agent`, one more than may be without a session. They say nothing, or have looked
/// and stay. Comes back when the relay has closed one, and says how it closed it.
async fn too_many(rig: &Rig, agent: &str, looks: bool) -> (Vec<Connection>, (Option<CloseCode>, String)) {
    let (mut connections, mut ends) = (Vec::new(), JoinSet::new());
    for _ in 0..9 {
        let connection = rig.dial(rig.certificate(agent)).await.unwrap();
        if looks {
            // One of them is refused instead.
            let _ = probe(&connection).await;
        }
        connections.push(connection.clone());
        ends.spawn(async move { closed(&connection).await });
    }
    (connections, ends.join_next().await.unwrap().unwrap())
}

#[tokio::test]
async fn one_certificate_has_room_for_few_connections_that_are_not_in_session() {
    let rig = Rig::start();
    let served = rig.agent("agent-1").await;
    for looks in [false, true] {
        let (connections, (code, reason)) = too_many(&rig, "agent-1", looks).await;
        assert_eq!(code, Some(CloseCode::Superseded), "{reason}");
        assert!(reason.contains("8 connections"), "{reason}");
        let open = connections.iter().filter(|one| one.close_reason().is_none()).count();
        assert_eq!(open, 8, "looks: {looks}");
        assert!(
            rig.agent("agent-2").await.welcome.is_some(),
            "others pay for this agent's"
        );
        assert!(served.connection.close_reason().is_none(), "its session was disturbed");
        for connection in connections {
            connection.close(CloseCode::Done, "");
        }
        // The relay may hear of it a moment later.
        let room_again = async { while look(&rig, "agent-1").await.is_err() {} };
        tokio::time::timeout(Duration::from_secs(20), room_again)
            .await
            .expect("their places are never free again");
    }
}

#[tokio::test]
async fn a_hello_that_cannot_be_served_ends_the_session_with_the_reason() {
    let rig = Rig::start();
    for (change, expected) in [
        (
            (|hello| hello.slots = 0) as fn(&mut postern_protocol::frame::Hello),
            "slots",
        ),
        (|hello| hello.slots = u32::MAX, "slots"),
        (|hello| hello.opening_key = vec![1, 2, 3], "opening key"),
    ] {
        let agent = Agent::greet(rig.dial(rig.certificate("agent-1")).await.unwrap(), change).await;
        let (code, reason) = agent.closed().await;
        assert_eq!(code, Some(CloseCode::Protocol));
        assert!(reason.contains(expected), "{reason}");
    }
}

#[tokio::test]
async fn frames_that_are_too_long_garbage_or_out_of_place_end_only_their_own_session() {
    let rig = Rig::start();
    let honest = rig.agent("honest").await;
    let too_long = (1_u32 << 20).to_be_bytes().to_vec();
    let garbage = [&8_u32.to_be_bytes()[..], b"\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8"].concat();
    let mut second_hello = Vec::new();
    postern_protocol::wire::push_frame(
        &mut second_hello,
        &Control::GoAway(postern_protocol::frame::GoAway { reason: String::new() }).encode(),
    );
    for bytes in [too_long, garbage, second_hello] {
        let mut agent = rig.agent("agent-1").await;
        agent.send.write_all(&bytes).await.unwrap();
        assert_eq!(agent.closed().await.0, Some(CloseCode::Protocol));
    }
    assert!(honest.connection.close_reason().is_none());
}

#[tokio::test]
async fn unknown_control_frames_are_ignored() {
    let rig = Rig::start();
    let mut agent = rig.agent("agent-1").await;
    agent.say(Control::Unknown(4711)).await;
    agent
        .say(Control::Ping(postern_protocol::frame::Ping { number: 5 }))
        .await;
    assert!(matches!(agent.control().await, Control::Pong(pong) if pong.number == 5));
}

#[tokio::test]
async fn the_same_process_twice_keeps_the_older_session() {
    let rig = Rig::start();
    let greet = async || {
        let connection = rig.dial(rig.certificate("agent-1")).await.unwrap();
        Agent::greet(connection, |hello| hello.instance = [7; 16]).await
    };
    let mut older = greet().await;
    let newer = greet().await;
    assert_eq!(newer.closed().await.0, Some(CloseCode::Superseded));
    // Answers pings until well after the probe.
    let _ = tokio::time::timeout(Duration::from_millis(800), older.control()).await;
    assert!(older.connection.close_reason().is_none());
}

#[tokio::test]
async fn a_restarted_agents_old_session_is_closed_when_it_does_not_answer() {
    let rig = Rig::start();
    // Neither of the two reads its control stream, so neither answers pings.
    let dead = rig.agent("agent-1").await;
    let restarted = rig.agent("agent-1").await;
    assert_eq!(dead.closed().await.0, Some(CloseCode::Superseded));
    assert!(restarted.connection.close_reason().is_none());
}

#[tokio::test]
async fn two_live_machines_with_one_certificate_both_serve() {
    let rig = Rig::start();
    let mut first = rig.agent("agent-1").await;
    let second = rig.agent("agent-1").await;
    // Answers pings until well after the probe.
    let _ = tokio::time::timeout(Duration::from_millis(800), first.control()).await;
    assert!(second.connection.close_reason().is_none());
    // Whichever is asked answers; in the end both have.
    let (mut by_first, mut by_second) = (0, 0);
    while by_first == 0 || by_second == 0 {
        let serve = async {
            let (mut task, count) = tokio::select! {
                task = first.request() => (task, &mut by_first),
                task = second.request() => (task, &mut by_second),
            };
            task.answer(crate::sign_ins::verdict(postern_protocol::Verdict::Success))
                .await;
            *count += 1;
        };
        let ((status, _), ()) = tokio::join!(rig.sign_in("a@corp.example.com", "x"), serve);
        assert_eq!(status, 200);
        assert!(by_first + by_second < 200, "only one of the two serves");
    }
}

#[tokio::test]
async fn status_and_draining_are_understood() {
    let rig = Rig::start();
    let mut agent = rig.agent("agent-1").await;
    let down = postern_protocol::frame::DirectoryHealth::Down;
    agent
        .say(Control::Status(Status {
            slots: 4,
            directory: down,
        }))
        .await;
    // The answer to a ping shows that the relay has read the status before it.
    agent
        .say(Control::Ping(postern_protocol::frame::Ping { number: 1 }))
        .await;
    agent.control().await;
    let (status, body) = rig.sign_in("a@corp.example.com", "x").await;
    assert_eq!((status, body["reason"].as_str()), (503, Some("directory_down")));
    let up = postern_protocol::frame::DirectoryHealth::Ready;
    agent
        .say(Control::Status(Status {
            slots: 4,
            directory: up,
        }))
        .await;
    agent.say(Control::Draining(Draining {})).await;
    agent
        .say(Control::Ping(postern_protocol::frame::Ping { number: 2 }))
        .await;
    agent.control().await;
    // It may come back within the deadline, so the sign-in waits for that long.
    let (status, body) = rig.sign_in("a@corp.example.com", "x").await;
    assert_eq!((status, body["reason"].as_str()), (503, Some("timeout")));
}

/// The first datagrams of this many handshakes, caught before they reach anybody.
async fn caught_initials(count: usize) -> Vec<Vec<u8>> {
    let trap = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let tls = rustls::ClientConfig::builder_with_provider(postern_protocol::transport::crypto_provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
    let config = quinn::ClientConfig::new(std::sync::Arc::new(crypto));
    let mut initials: Vec<Vec<u8>> = Vec::new();
    while initials.len() < count {
        let address = trap.local_addr().unwrap();
        let _connecting = endpoint.connect_with(config.clone(), address, "relay.test").unwrap();
        let mut bytes = vec![0; 2048];
        // Each handshake is known by the connection id that its datagrams carry.
        loop {
            let (length, _) = trap.recv_from(&mut bytes).await.unwrap();
            let id = 6..14;
            if !initials.iter().any(|other| other[id.clone()] == bytes[id.clone()]) {
                initials.push(bytes[..length].to_vec());
                break;
            }
        }
    }
    initials
}

#[tokio::test]
async fn garbage_and_replayed_datagrams_hurt_nobody_and_half_open_handshakes_make_newcomers_prove_their_address() {
    let rig = Rig::start();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let initials = caught_initials(300).await;
    for (round, initial) in initials.iter().enumerate() {
        let garbage: Vec<u8> = (0..round * 4).map(|_| rand::random()).collect();
        socket.send_to(&garbage, rig.quic).await.unwrap();
        // Twice: a replay belongs to the handshake that is there already.
        socket.send_to(initial, rig.quic).await.unwrap();
        socket.send_to(initial, rig.quic).await.unwrap();
    }
    // RFC 9000, section 17.2.5: a long header of version 1 with the packet type 3.
    let is_retry = |packet: &[u8]| packet[0] & 0xf0 == 0xf0 && packet[1..5] == [0, 0, 0, 1];
    let mut packet = [0; 2048];
    let saw_retry = async {
        loop {
            let (length, _) = socket.recv_from(&mut packet).await.unwrap();
            if is_retry(&packet[..length]) {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(4), saw_retry)
        .await
        .expect("no Retry under half-open handshakes");
    assert!(
        rig.agent("agent-1").await.welcome.is_some(),
        "the relay no longer serves"
    );
}

#[tokio::test]
async fn an_agent_that_floods_its_control_stream_loses_its_session() {
    let rig = Rig::start();
    let mut agent = rig.agent("agent-1").await;
    let mut flood = Vec::new();
    for _ in 0..2_000 {
        let down = postern_protocol::frame::DirectoryHealth::Down;
        postern_protocol::wire::push_frame(
            &mut flood,
            &Control::Status(Status {
                slots: 4,
                directory: down,
            })
            .encode(),
        );
    }
    // The end of the stream may come before all of it is written.
    let _ = agent.send.write_all(&flood).await;
    assert_eq!(agent.closed().await.0, Some(CloseCode::Protocol));
}

#[tokio::test]
async fn an_agent_that_dials_again_is_let_in_when_its_old_session_does_not_answer() {
    let rig = Rig::start();
    let greet = async || {
        let connection = rig.dial(rig.certificate("agent-1")).await.unwrap();
        Agent::greet(connection, |hello| hello.instance = [7; 16]).await
    };
    // It reads nothing, so it answers no ping.
    let dead = greet().await;
    assert_eq!(greet().await.closed().await.0, Some(CloseCode::Superseded));
    assert_eq!(dead.closed().await.0, Some(CloseCode::Superseded));
    assert!(greet().await.welcome.is_some());
}

#[tokio::test]
async fn a_draining_agent_is_closed_when_its_last_sign_in_is_answered() {
    let rig = Rig::start();
    let mut agent = rig.agent("agent-1").await;
    let serve = async {
        let mut task = agent.request().await;
        agent.say(Control::Draining(Draining {})).await;
        agent.send.finish().await;
        // The relay has read both by the time that it answers nothing new; the sign-in in hand must not be lost.
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(agent.connection.close_reason().is_none());
        task.answer(crate::sign_ins::verdict(postern_protocol::Verdict::Success))
            .await;
        agent.closed().await
    };
    let ((status, _), (code, _)) = tokio::join!(rig.sign_in("a@corp.example.com", "x"), serve);
    assert_eq!((status, code), (200, Some(CloseCode::Done)));
}

#[tokio::test]
async fn a_draining_relay_settles_what_it_took_and_says_goodbye() {
    let mut rig = Rig::start();
    let mut agent = rig.agent("agent-1").await;
    let (shutdown, mut relay) = (rig.shutdown.clone(), std::mem::take(&mut rig.relay));
    let sign_in = rig.sign_in("a@corp.example.com", "x");
    let serve = async {
        let mut task = agent.request().await;
        shutdown.drain.cancel();
        tokio::time::sleep(Duration::from_millis(100)).await;
        task.answer(crate::sign_ins::verdict(postern_protocol::Verdict::Success))
            .await;
        loop {
            if let Control::GoAway(_) = agent.control().await {
                break;
            }
        }
        agent.closed().await
    };
    let ((status, _), (code, _)) = tokio::join!(sign_in, serve);
    assert_eq!((status, code), (200, Some(CloseCode::Done)));
    relay.join_next().await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn on_several_threads_sign_ins_are_served_and_every_agent_hears_of_the_end() {
    let mut rig = Rig::start_changed(|config| config.replace("[relay]\n", "[relay]\nthreads = 3\n"));
    let mut agents = Vec::new();
    for number in 1..=60 {
        agents.push(rig.agent(&format!("agent-{number}")).await);
    }
    let mut served = JoinSet::new();
    for agent in agents {
        served.spawn(async move {
            let answer = async {
                loop {
                    agent.request().await.answer(verdict(Verdict::Success)).await;
                }
            };
            tokio::select! {
                biased;
                end = closed(&agent.connection) => end.0,
                () = answer => None,
            }
        });
    }
    for number in 0..30 {
        let (status, body) = rig.sign_in(&format!("user{number}@corp.example.com"), "right").await;
        assert_eq!((status, body["outcome"].as_str()), (200, Some("success")));
    }
    rig.shutdown.drain.cancel();
    let ends = served.join_all().await;
    assert!(ends.iter().all(|end| *end == Some(CloseCode::Done)), "{ends:?}");
    rig.relay.join_next().await.unwrap().unwrap().unwrap();
}
