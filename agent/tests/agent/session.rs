//! Sessions: what is opened, what is refused, how they end.

use std::sync::Arc;
use std::time::Duration;

use ldap3_proto::proto::LdapResultCode;
use postern_protocol::close::CloseCode;
use postern_protocol::connection::Ended;
use postern_protocol::frame::{Cancel, ClientSealed, Control, GoAway, MAJOR, MINOR, Request};
use postern_protocol::seal::{Jwe, OpeningKey, SealingKey};
use postern_protocol::wire::write_frame;
use postern_protocol::{NotStarted, Password, RequestId, Verdict};
use tokio::sync::Notify;
use zeroize::Zeroizing;

use crate::bed::{Bed, RELAY_NAME};
use crate::dc::Reply;
use crate::pki::{AGENT_URI, Ca, RELAY_URI};
use crate::relay::{Agent, Greeting};

const USER: &str = "user000001@corp.example.com";

/// As a caller seals for itself.
fn client_sealed(agent: &Agent, id: u8, user: &str) -> Request {
    let data = agent.data(id, user);
    let key = SealingKey::from_der(&agent.hello.opening_key).unwrap();
    let password = Password::new(Zeroizing::new("right".to_owned())).unwrap();
    let jwe = Jwe::seal(&password, &data, [&key]).unwrap();
    let parts = jwe.parts().unwrap();
    Request {
        encrypted_key: parts.recipients.values().next().unwrap().clone(),
        iv: parts.sealed.iv,
        ciphertext: parts.sealed.ciphertext,
        tag: parts.sealed.tag,
        expires_unix_ms: data.expires_unix_ms,
        client_sealed: Some(ClientSealed {
            protected: jwe.protected,
            aad: jwe.aad,
        }),
        ..agent.request(id, user, "right")
    }
}

fn close_code(error: &Ended) -> Option<CloseCode> {
    match error {
        Ended::Closed { code, .. } => *code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn relay_sealed_and_client_sealed_sign_ins_both_reach_the_directory() {
    let (bed, agent) = Bed::start(1).await;
    assert_eq!(agent.ask(1, USER, "right").await.verdict().0, Verdict::Success);
    let outcome = agent.sign_in(&client_sealed(&agent, 2, USER)).await;
    assert_eq!(outcome.verdict().0, Verdict::Success);
    assert_eq!(bed.binds().len(), 2);
}

#[tokio::test]
async fn what_does_not_fit_its_sealing_or_this_agent_is_refused_and_never_bound() {
    let (bed, agent) = Bed::start(1).await;
    let other_key = OpeningKey::generate().unwrap();
    let changes: [fn(&mut Request); 6] = [
        |request| request.tenant = "other".to_owned(),
        |request| request.realm = "other.example.com".to_owned(),
        |request| request.user = "admin@corp.example.com".to_owned(),
        |request| request.request_id = RequestId([99; 16]),
        |request| request.tag[15] ^= 1,
        |request| request.ciphertext.clear(),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let id = u8::try_from(index).unwrap() + 1;
        for mut request in [agent.request(id, USER, "right"), client_sealed(&agent, id, USER)] {
            change(&mut request);
            let reason = agent.sign_in(&request).await.not_started();
            assert_eq!(reason, NotStarted::CannotOpen, "change {index}");
        }
    }
    let mut request = agent.request(50, USER, "right");
    other_key.public().kid().clone_into(&mut request.kid);
    assert_eq!(agent.sign_in(&request).await.not_started(), NotStarted::NoKey);
    let named = agent.request(51, "<SID=S-1-5-21-1>@corp.example.com", "right");
    assert_eq!(agent.sign_in(&named).await.not_started(), NotStarted::Refused);
    assert!(bed.binds().is_empty());
    assert_eq!(
        bed.metric("postern_agent_opens_total{result=\"cannot_open\"}").await,
        12
    );
}

#[tokio::test]
async fn an_id_is_bound_once_whatever_comes_again() {
    let (bed, agent) = Bed::start(1).await;
    let request = agent.request(1, USER, "right");
    assert_eq!(agent.sign_in(&request).await.verdict().0, Verdict::Success);
    assert_eq!(agent.sign_in(&request).await.not_started(), NotStarted::Replayed);
    // The same envelope many times at once: one bind.
    let request = client_sealed(&agent, 2, USER);
    let outcomes = futures_util::future::join_all((0..4).map(|_| agent.sign_in(&request))).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.bound()).count(), 1);
    assert_eq!(bed.binds().len(), 2);
    assert!(bed.metric("postern_agent_replays_refused_total").await >= 1);
}

#[tokio::test]
async fn two_relays_with_the_same_envelope_get_one_bind() {
    let mut bed = Bed::new(1).await;
    let relays = [bed.relay(), bed.relay()];
    let issued = bed.ca.issue(Some(AGENT_URI), &[]);
    let config = bed.config(&[relays[0].address, relays[1].address], &issued, 1_500);
    bed.run(config);
    let other = Greeting {
        instance: [2; 16],
        ..Greeting::default()
    };
    let (mut first, mut second) = tokio::join!(relays[0].agent(Greeting::default()), relays[1].agent(other));
    first.until_ready(2).await;
    second.until_ready(2).await;
    let request = client_sealed(&first, 1, USER);
    let through_second = Request {
        start_by: second.clock.now() + Duration::from_secs(2),
        ..request.clone()
    };
    let (a, b) = tokio::join!(first.sign_in(&request), second.sign_in(&through_second));
    assert!(a.bound() != b.bound(), "{a:?} {b:?}");
    assert_eq!(bed.binds().len(), 1);
}

#[tokio::test]
async fn a_start_is_told_only_of_a_bind_that_takes_its_time() {
    let (bed, agent) = Bed::start(1).await;
    // One that takes long for want of a processor may be told of; not one after another.
    let mut told = 0;
    for id in 1..=20 {
        told += u32::from(agent.ask(id, USER, "right").await.started);
    }
    assert!(told <= 10, "{told} of 20 were told of");
    bed.dcs[0].script(Reply::After(Duration::from_millis(100)));
    let outcome = agent.ask(21, USER, "right").await;
    assert!(outcome.started, "{outcome:?}");
}

#[tokio::test]
async fn a_cancel_that_overtakes_its_request_is_obeyed() {
    let (bed, mut agent) = Bed::start(1).await;
    let request = agent.request(1, USER, "right");
    agent
        .send(Control::Cancel(Cancel {
            request_id: request.request_id,
            start_by: None,
        }))
        .await;
    agent.barrier(1).await;
    assert_eq!(agent.sign_in(&request).await.not_started(), NotStarted::Cancelled);
    assert!(bed.binds().is_empty());
}

#[tokio::test]
async fn a_cancel_is_for_its_own_attempt_and_a_later_one_of_the_same_sign_in_is_carried_out() {
    let (bed, mut agent) = Bed::start(1).await;
    let first = agent.request(1, USER, "right");
    let again = Request {
        start_by: first.start_by + Duration::from_millis(1),
        ..first.clone()
    };
    agent
        .send(Control::Cancel(Cancel {
            request_id: first.request_id,
            start_by: Some(first.start_by),
        }))
        .await;
    agent.barrier(1).await;
    assert_eq!(agent.sign_in(&first).await.not_started(), NotStarted::Cancelled);
    assert!(bed.binds().is_empty());
    assert_eq!(agent.sign_in(&again).await.verdict().0, Verdict::Success);
    assert_eq!(bed.binds().len(), 1);
}

#[tokio::test]
async fn a_window_that_has_passed_starts_nothing_and_leaves_no_mark() {
    let (bed, agent) = Bed::start(1).await;
    let mut request = agent.request(1, USER, "right");
    request.start_by = agent.clock.now();
    assert_eq!(agent.sign_in(&request).await.not_started(), NotStarted::WindowPassed);
    assert_eq!(bed.metric("postern_agent_window_refusals_total").await, 1);
    request.start_by = agent.clock.now() + Duration::from_secs(2);
    assert_eq!(agent.sign_in(&request).await.verdict().0, Verdict::Success);
    assert_eq!(bed.binds().len(), 1);
}

#[tokio::test]
async fn garbage_on_a_sign_ins_stream_closes_the_session_as_a_breach_and_the_agent_comes_back() {
    let mut bed = Bed::new(1).await;
    let relay = bed.relay();
    let issued = bed.ca.issue(Some(AGENT_URI), &[]);
    let config = bed.config(&[relay.address], &issued, 1_500);
    bed.run(config);
    let too_long = 100_000_u32.to_be_bytes().to_vec();
    let malformed = vec![0, 0, 0, 3, 1, 2, 3];
    for bytes in [too_long, malformed] {
        let agent = relay.agent(Greeting::default()).await;
        let (mut send, _recv) = agent.connection.open_bi().await.unwrap();
        send.write_all(&bytes).await.unwrap();
        let end = agent.connection.closed().await;
        assert_eq!(close_code(&end), Some(CloseCode::Protocol));
    }
    let mut agent = relay.agent(Greeting::default()).await;
    agent.until_ready(4).await;
    assert_eq!(agent.ask(1, USER, "right").await.verdict().0, Verdict::Success);
}

#[tokio::test]
async fn unknown_control_frames_are_ignored_and_a_frame_that_is_not_a_relays_ends_the_session() {
    let (_bed, mut agent) = Bed::start(1).await;
    agent.send(Control::Unknown(4711)).await;
    agent.barrier(1).await;
    let hello = Control::Hello(agent.hello.clone());
    agent.send(hello).await;
    let end = agent.connection.closed().await;
    assert_eq!(close_code(&end), Some(CloseCode::Protocol));
}

#[tokio::test]
async fn another_major_version_is_refused_with_both_named() {
    let mut bed = Bed::new(1).await;
    let relay = bed.relay();
    let issued = bed.ca.issue(Some(AGENT_URI), &[]);
    let config = bed.config(&[relay.address], &issued, 1_500);
    bed.run(config);
    let later = Greeting {
        major: 2,
        ..Greeting::default()
    };
    let agent = relay.agent(later).await;
    let end = agent.connection.closed().await;
    assert_eq!(close_code(&end), Some(CloseCode::Version));
    let both = format!("the agent speaks version {MAJOR}.{MINOR}, the relay 2.{MINOR}");
    assert!(end.to_string().contains(&both), "{end}");
    let page = bed.readyz("version").await;
    assert!(page.contains("update the older"), "{page}");
}

#[tokio::test]
async fn a_relay_of_an_earlier_minor_version_gives_sign_ins_and_cancels_them() {
    let mut bed = Bed::new(1).await;
    let relay = bed.relay();
    let issued = bed.ca.issue(Some(AGENT_URI), &[]);
    let config = bed.config(&[relay.address], &issued, 1_500);
    bed.run(config);
    let earlier = Greeting {
        minor: MINOR - 1,
        ..Greeting::default()
    };
    let mut agent = relay.agent(earlier).await;
    agent.until_ready(4).await;
    assert_eq!(agent.ask(1, USER, "right").await.verdict().0, Verdict::Success);
    let cancelled = agent.request(2, USER, "right");
    agent
        .send(Control::Cancel(Cancel {
            request_id: cancelled.request_id,
            start_by: None,
        }))
        .await;
    agent.barrier(1).await;
    assert_eq!(agent.sign_in(&cancelled).await.not_started(), NotStarted::Cancelled);
}

#[tokio::test]
async fn after_go_away_the_session_serves_on_and_the_relay_is_dialled_again() {
    let mut bed = Bed::new(1).await;
    let relay = bed.relay();
    let issued = bed.ca.issue(Some(AGENT_URI), &[]);
    let config = bed.config(&[relay.address], &issued, 1_500);
    bed.run(config);
    let mut old = relay.agent(Greeting::default()).await;
    old.until_ready(4).await;
    old.send(Control::GoAway(GoAway {
        reason: "draining".to_owned(),
    }))
    .await;
    let successor = Greeting {
        instance: [2; 16],
        ..Greeting::default()
    };
    let mut new = relay.agent(successor).await;
    new.until_ready(2).await;
    assert_eq!(old.ask(1, USER, "right").await.verdict().0, Verdict::Success);
    assert_eq!(new.ask(2, USER, "right").await.verdict().0, Verdict::Success);
}

#[tokio::test]
async fn replicas_that_a_relay_tells_of_are_dialled_and_the_slots_are_shared() {
    let mut bed = Bed::new(1).await;
    let (first, second) = (bed.relay(), bed.relay());
    let issued = bed.ca.issue(Some(AGENT_URI), &[]);
    let config = bed.config(&[first.address], &issued, 1_500);
    bed.run(config);
    let tells = Greeting {
        replicas: vec![second.address.to_string(), "not an address".to_owned()],
        ..Greeting::default()
    };
    let mut one = first.agent(tells).await;
    one.until_ready(4).await;
    let other = Greeting {
        instance: [2; 16],
        ..Greeting::default()
    };
    let two = second.agent(other).await;
    assert_eq!(two.hello.slots, 2);
    one.next(|frame| matches!(frame, Control::Status(status) if status.slots == 2).then_some(()))
        .await;
}

#[tokio::test]
async fn a_drain_serves_what_was_taken_refuses_what_comes_and_ends_when_the_relay_closes() {
    let (mut bed, mut agent) = Bed::start(1).await;
    let release = Arc::new(Notify::new());
    bed.dcs[0].script(Reply::Held(release.clone(), LdapResultCode::Success));
    let (line, taken) = (agent.line(), agent.request(1, USER, "right"));
    let (outcome, ()) = tokio::join!(line.sign_in(&taken), async {
        bed.dcs[0].bound().await;
        bed.shutdown.drain.cancel();
        agent
            .next(|frame| matches!(frame, Control::Draining(_)).then_some(()))
            .await;
        assert_eq!(agent.ask(2, USER, "right").await.not_started(), NotStarted::Draining);
        release.notify_one();
    });
    assert_eq!(outcome.verdict().0, Verdict::Success);
    agent.connection.close(CloseCode::Done, "drained");
    bed.ended().await;
    assert_eq!(bed.binds().len(), 1);
}

#[tokio::test]
async fn a_stop_ends_at_once_and_says_so() {
    let (mut bed, agent) = Bed::start(1).await;
    bed.shutdown.stop_now();
    bed.ended().await;
    let end = agent.connection.closed().await;
    assert_eq!(close_code(&end), Some(CloseCode::Stopping));
}

#[tokio::test]
async fn readyz_names_what_is_wrong_with_either_certificate() {
    let mut bed = Bed::new(0).await;
    bed.dcs
        .push(crate::dc::Dc::start(&bed.ca.issue(None, &["dc-1.corp.example.com"])).await);
    let stranger = Ca::new();
    let agent = bed.ca.issue(Some(AGENT_URI), &[]);
    let relays = [
        (stranger.issue(Some(RELAY_URI), &[RELAY_NAME]), "relays.anchors"),
        (
            bed.ca.issue(Some(RELAY_URI), &["other.postern.test"]),
            "relays.server_name",
        ),
        (bed.ca.issue_until(Some(RELAY_URI), &[RELAY_NAME], 2021), "expired"),
        (
            bed.ca.issue(Some("spiffe://other.test/relay/relay-1"), &[RELAY_NAME]),
            "not a relay of ours",
        ),
        (bed.ca.issue(Some(AGENT_URI), &[RELAY_NAME]), "it is the agent"),
        (bed.ca.issue(None, &[RELAY_NAME]), "no URI"),
    ];
    for (issued, word) in &relays {
        let relay = bed.relay_with(issued);
        let config = bed.config(&[relay.address], &agent, 1_500);
        bed.shutdown = postern_service::shutdown::Shutdown::new();
        bed.run(config);
        // Whether the handshake succeeds or not, somebody must accept it.
        tokio::select! {
            page = bed.readyz(word) => assert!(page.contains("503"), "{page}"),
            () = accept_all(&relay) => {}
        }
        bed.shutdown.stop_now();
        bed.ended().await;
    }
    let agents = [
        (stranger.issue(Some(AGENT_URI), &[]), "does not trust the authority"),
        (
            bed.ca.issue_until(Some(AGENT_URI), &[], 2021),
            "renew agent.certificate",
        ),
    ];
    for (issued, word) in &agents {
        let relay = bed.relay();
        let config = bed.config(&[relay.address], issued, 1_500);
        bed.shutdown = postern_service::shutdown::Shutdown::new();
        bed.run(config);
        tokio::select! {
            page = bed.readyz(word) => assert!(page.contains("503"), "{page}"),
            () = accept_all(&relay) => {}
        }
        bed.shutdown.stop_now();
        bed.ended().await;
    }
}

async fn accept_all(relay: &crate::relay::Relay) {
    let mut kept = Vec::new();
    loop {
        kept.push(relay.connection().await);
    }
}

#[tokio::test]
async fn a_dead_address_is_told_as_no_answer_over_udp() {
    let mut bed = Bed::new(1).await;
    // Bound and never read: packets arrive and nobody answers.
    let deaf = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let issued = bed.ca.issue(Some(AGENT_URI), &[]);
    let config = bed.config(&[deaf.local_addr().unwrap()], &issued, 1_500);
    bed.run(config);
    let page = bed.readyz("no answer over UDP").await;
    assert!(page.contains("firewall"), "{page}");
}

#[tokio::test]
async fn raw_bytes_that_are_no_welcome_end_the_attempt() {
    let mut bed = Bed::new(1).await;
    let relay = bed.relay();
    let issued = bed.ca.issue(Some(AGENT_URI), &[]);
    let config = bed.config(&[relay.address], &issued, 1_500);
    bed.run(config);
    let connection = relay.connection().await;
    let (mut send, _recv) = connection.accept_bi().await.unwrap();
    write_frame(&mut send, b"not CBOR").await.unwrap();
    assert_eq!(close_code(&connection.closed().await), Some(CloseCode::Protocol));
}
