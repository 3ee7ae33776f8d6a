//! Networks that let no UDP through: sessions over TCP, and back on QUIC when it passes.

use std::time::{Duration, Instant};

use postern_protocol::Verdict;
use postern_protocol::close::CloseCode;
use postern_protocol::connection::Transport;
use postern_protocol::frame::Control;
use tokio::time::timeout;

use crate::bed::Bed;
use crate::pki::AGENT_URI;
use crate::relay::{Greeting, Relay};

const USER: &str = "user000001@corp.example.com";

#[tokio::test]
async fn without_udp_the_session_is_over_tcp_until_quic_passes() {
    let mut bed = Bed::new(1).await;
    let relay = bed.blocked_relay();
    let issued = bed.ca.issue(Some(AGENT_URI), &[]);
    let config = bed.config(&[relay.address], &issued, 1_500);
    let began = Instant::now();
    bed.run(config);
    let tcp = relay.connection_over_tcp().await;
    let took = began.elapsed();
    assert!(
        took >= Duration::from_millis(1_500) && took < Duration::from_secs(5),
        "{took:?}"
    );
    let mut over_tcp = Relay::greet(tcp, Greeting::default()).await;
    assert!(!over_tcp.hello.takes_over);
    over_tcp.until_ready(4).await;
    assert_eq!(over_tcp.ask(1, USER, "right").await.verdict().0, Verdict::Success);
    let carried = |transport: Transport| {
        let relay = relay.address;
        format!("postern_agent_link_sessions{{relay=\"{relay}\",transport=\"{transport}\"}}")
    };
    assert_eq!(bed.metric(&carried(Transport::Tcp)).await, 1);

    // What it sent over UDP is heard after all, and within two seconds.
    relay.let_udp_pass();
    let mut over_quic = timeout(Duration::from_secs(3), relay.agent(Greeting::default()))
        .await
        .unwrap();
    assert!(over_quic.hello.takes_over);
    assert_eq!(over_quic.hello.instance, over_tcp.hello.instance);
    over_quic.until_ready(2).await;
    // Both serve until the relay closes the older one.
    assert_eq!(over_tcp.ask(2, USER, "right").await.verdict().0, Verdict::Success);
    assert_eq!(over_quic.ask(3, USER, "right").await.verdict().0, Verdict::Success);
    over_tcp.connection.close(CloseCode::Done, "replaced");
    over_quic.until_ready(4).await;
    assert_eq!(over_quic.ask(4, USER, "right").await.verdict().0, Verdict::Success);
    assert_eq!(over_quic.connection.close_reason(), None);
    assert_eq!(bed.metric(&carried(Transport::Quic)).await, 1);
    assert_eq!(bed.metric(&carried(Transport::Tcp)).await, 0);
    assert_eq!(bed.binds().len(), 4);
}

#[tokio::test]
async fn who_drains_over_tcp_finishes_what_it_has_and_says_goodbye() {
    let mut bed = Bed::new(1).await;
    let relay = bed.blocked_relay();
    let issued = bed.ca.issue(Some(AGENT_URI), &[]);
    let config = bed.config(&[relay.address], &issued, 1_500);
    bed.run(config);
    let mut agent = Relay::greet(relay.connection_over_tcp().await, Greeting::default()).await;
    agent.until_ready(4).await;
    assert_eq!(agent.ask(1, USER, "right").await.verdict().0, Verdict::Success);
    bed.shutdown.drain.cancel();
    agent
        .next(|frame| matches!(frame, Control::Draining(_)).then_some(()))
        .await;
    agent.connection.close(CloseCode::Done, "drained");
    timeout(Duration::from_secs(5), bed.ended()).await.unwrap();
}

#[tokio::test]
async fn the_end_of_the_older_session_does_not_end_the_one_that_is_about_to_take_its_place() {
    let mut bed = Bed::new(1).await;
    let relay = bed.blocked_relay();
    let issued = bed.ca.issue(Some(AGENT_URI), &[]);
    let config = bed.config(&[relay.address], &issued, 1_500);
    bed.run(config);
    let mut over_tcp = Relay::greet(relay.connection_over_tcp().await, Greeting::default()).await;
    over_tcp.until_ready(4).await;
    relay.let_udp_pass();
    let quic = timeout(Duration::from_secs(3), relay.connection()).await.unwrap();
    // Admitted, so the relay closes the older one; and `Welcome` comes late.
    over_tcp.connection.close(CloseCode::Done, "the agent has drained");
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut over_quic = Relay::greet(quic, Greeting::default()).await;
    over_quic.until_ready(4).await;
    assert_eq!(over_quic.ask(1, USER, "right").await.verdict().0, Verdict::Success);
    let more = timeout(Duration::from_secs(1), relay.connection()).await;
    assert!(more.is_err(), "it dialled again");
    assert_eq!(over_quic.connection.close_reason(), None);
}
