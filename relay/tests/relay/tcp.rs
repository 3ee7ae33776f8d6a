//! Agents whose network lets no UDP through.

use std::time::Duration;

use postern_protocol::Verdict;
use postern_protocol::close::CloseCode;
use postern_protocol::connection::Ended;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::rig::{AGENT, Agent, Rig, closed, leaf};
use crate::sign_ins::verdict;

const ALICE: &str = "alice@corp.example.com";

async fn over_tcp(rig: &Rig) -> Agent {
    Agent::greet(rig.dial_tcp(rig.certificate("agent-1")).await.unwrap(), |_| {}).await
}

#[tokio::test]
async fn sign_ins_go_over_tcp_as_over_quic() {
    let rig = Rig::start();
    let agent = over_tcp(&rig).await;
    assert!(agent.welcome.is_some());
    let serve = async {
        for _ in 0..40 {
            let mut task = agent.request().await;
            assert_eq!(agent.open(&task.request).expose(), "right");
            task.answer(verdict(Verdict::Success)).await;
        }
    };
    let ask = async {
        for _ in 0..40 {
            let (status, body) = rig.sign_in(ALICE, "right").await;
            assert_eq!((status, body["outcome"].as_str()), (200, Some("success")));
        }
    };
    tokio::join!(serve, ask);
}

#[tokio::test]
async fn over_tcp_too_only_the_tenants_own_authority_names_its_agents() {
    let rig = Rig::start();
    let foreign = leaf(&rig.globex, &[AGENT], &[], |_| {});
    let ended = match rig.dial_tcp(foreign).await {
        Ok(connection) => connection.closed().await,
        Err(ended) => ended,
    };
    assert!(matches!(ended, Ended::Refused { .. }), "{ended:?}");

    let unserved = "spiffe://postern.test/tenant/acme/realm/other/agent/agent-1";
    let connection = rig.dial_tcp(leaf(&rig.acme, &[unserved], &[], |_| {})).await.unwrap();
    let (code, reason) = closed(&connection).await;
    assert_eq!(code, Some(CloseCode::Identity));
    assert!(reason.contains("is not served"), "{reason}");
}

#[tokio::test]
async fn a_session_over_quic_takes_the_place_of_the_one_over_tcp_and_loses_nothing() {
    let rig = Rig::start();
    let instance = [7; 16];
    let tcp = rig.dial_tcp(rig.certificate("agent-1")).await.unwrap();
    let tcp = Agent::greet(tcp, |hello| hello.instance = instance).await;
    let before = rig.sign_in(ALICE, "right");
    let in_hand = tcp.request();
    let (answer, ()) = tokio::join!(before, async {
        let mut in_hand = in_hand.await;
        let quic = rig.dial(rig.certificate("agent-1")).await.unwrap();
        let quic = Agent::greet(quic, |hello| {
            hello.instance = instance;
            hello.takes_over = true;
        })
        .await;
        assert!(quic.welcome.is_some());
        // What comes from now on goes over the new one, and what was in hand is answered over the old one.
        let (next, ()) = tokio::join!(rig.sign_in(ALICE, "right"), async {
            quic.request().await.answer(verdict(Verdict::Success)).await;
        });
        assert_eq!(next.0, 200);
        assert_eq!(tcp.connection.close_reason(), None);
        in_hand.answer(verdict(Verdict::Success)).await;
        drop(in_hand);
        let (code, _) = timeout(Duration::from_secs(2), closed(&tcp.connection)).await.unwrap();
        assert_eq!(code, Some(CloseCode::Done));
        assert_eq!(quic.connection.close_reason(), None);
    });
    assert_eq!(answer.0, 200);
}

#[tokio::test]
async fn whoever_does_not_shake_hands_over_tcp_is_left_in_time() {
    let rig = Rig::start();
    let mut silent = TcpStream::connect(rig.quic).await.unwrap();
    let mut wrong = TcpStream::connect(rig.quic).await.unwrap();
    wrong.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    timeout(Duration::from_secs(1), wrong.read_to_end(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert!(answer.len() < 16, "an alert, and nothing else: {answer:?}");
    let read = timeout(Duration::from_secs(7), silent.read(&mut [0; 16]))
        .await
        .unwrap();
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}

#[tokio::test]
async fn where_tcp_is_not_wanted_nobody_listens() {
    let rig =
        Rig::start_changed(|config| config.replace("key = \"relay-key.pem\"", "key = \"relay-key.pem\"\ntcp = false"));
    let refused = TcpStream::connect(rig.quic).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    assert!(rig.dial(rig.certificate("agent-1")).await.is_ok());
}
