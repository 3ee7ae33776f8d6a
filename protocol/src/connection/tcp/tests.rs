use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::connection::Connection;
use crate::frame::{Control, MAX_CONTROL_BYTES, Ping};
use crate::transport::IDLE_TIMEOUT;
use crate::wire::{WireError, read_frame, write_frame, write_last_frame};

/// What a relay gives an agent: a control stream, and no more.
const OF_AN_AGENT: Limits = Limits {
    open: 64,
    accepted_in_all: Some(1),
};
const OF_A_RELAY: Limits = Limits {
    open: 64,
    accepted_in_all: None,
};

fn facts() -> Facts {
    Facts {
        local: None,
        remote: "192.0.2.1:7011".parse().unwrap(),
        chain: Vec::new(),
    }
}

#[expect(clippy::disallowed_methods, reason = "the runtime of a test owns it")]
fn driven(stream: DuplexStream, side: Side, limits: Limits) -> Connection {
    let (connection, driver) = super::connection(stream, side, facts(), limits);
    tokio::spawn(driver);
    Connection::Tcp(connection)
}

fn agent(stream: DuplexStream) -> Connection {
    driven(stream, Side::Dialled, OF_A_RELAY)
}

fn relay(stream: DuplexStream) -> Connection {
    driven(stream, Side::Accepted, OF_AN_AGENT)
}

/// An agent's end and a relay's, with a wire that holds `bytes`.
fn pair(bytes: usize) -> (Connection, Connection) {
    let (here, there) = duplex(bytes);
    (agent(here), relay(there))
}

fn ping(number: u64) -> Vec<u8> {
    Control::Ping(Ping { number }).encode()
}

async fn read(stream: &mut crate::connection::ReceiveStream) -> Result<Control, WireError> {
    read_frame(stream, MAX_CONTROL_BYTES, Control::decode).await
}

#[tokio::test]
async fn both_sides_open_streams_and_finish_them() {
    let (agent, relay) = pair(64 * 1024);
    let (mut to_relay, mut from_relay) = agent.open_bi().await.unwrap();
    write_frame(&mut to_relay, &ping(1)).await.unwrap();
    let (mut to_agent, mut from_agent) = relay.accept_bi().await.unwrap();
    assert_eq!(read(&mut from_agent).await.unwrap(), Control::Ping(Ping { number: 1 }));
    write_last_frame(&mut to_agent, &ping(2)).await.unwrap();
    assert_eq!(read(&mut from_relay).await.unwrap(), Control::Ping(Ping { number: 2 }));
    // Finished this way, and open the other.
    assert!(matches!(read(&mut from_relay).await, Err(WireError::End)));
    write_frame(&mut to_relay, &ping(3)).await.unwrap();
    assert_eq!(read(&mut from_agent).await.unwrap(), Control::Ping(Ping { number: 3 }));

    let mut requests = Vec::new();
    for number in 0..32 {
        let (mut send, receive) = relay.open_bi().await.unwrap();
        write_last_frame(&mut send, &ping(number)).await.unwrap();
        requests.push((number, receive));
    }
    for _ in 0..32 {
        let (mut send, mut receive) = agent.accept_bi().await.unwrap();
        let asked = read(&mut receive).await.unwrap();
        write_last_frame(&mut send, &asked.encode()).await.unwrap();
    }
    for (number, mut receive) in requests {
        assert_eq!(read(&mut receive).await.unwrap(), Control::Ping(Ping { number }));
    }
    assert_eq!((agent.close_reason(), relay.close_reason()), (None, None));
}

#[tokio::test]
async fn streams_that_are_over_make_room_for_others() {
    let (agent, relay) = pair(64 * 1024);
    for number in 0..200 {
        let (mut send, mut receive) = relay.open_bi().await.unwrap();
        write_last_frame(&mut send, &ping(number)).await.unwrap();
        let (mut answer, mut request) = agent.accept_bi().await.unwrap();
        read(&mut request).await.unwrap();
        write_last_frame(&mut answer, &ping(number)).await.unwrap();
        read(&mut receive).await.unwrap();
    }
    assert_eq!(agent.close_reason(), None);
}

#[tokio::test]
async fn a_close_brings_its_code_and_text_and_what_was_said_before() {
    for text in ["the agent a is on the deny list".to_owned(), "ü".repeat(2_000)] {
        let (agent, relay) = pair(64 * 1024);
        let (mut send, mut receive) = relay.open_bi().await.unwrap();
        write_last_frame(&mut send, &ping(1)).await.unwrap();
        let (mut answer, mut request) = agent.accept_bi().await.unwrap();
        read(&mut request).await.unwrap();
        write_last_frame(&mut answer, &ping(2)).await.unwrap();
        agent.close(CloseCode::Denied, &text);
        assert_eq!(agent.close_reason(), Some(Ended::Here));
        assert!(agent.open_bi().await.is_err());
        let Ended::Closed { code, reason } = relay.closed().await else {
            panic!("{:?}", relay.close_reason());
        };
        assert_eq!(code, Some(CloseCode::Denied));
        assert!(text.starts_with(&reason) && reason.len() >= text.len().min(1_000));
        assert_eq!(read(&mut receive).await.unwrap(), Control::Ping(Ping { number: 2 }));
        assert!(relay.accept_bi().await.is_err());
        timeout(Duration::from_secs(1), agent.gone()).await.unwrap();
        timeout(Duration::from_secs(1), relay.gone()).await.unwrap();
    }
}

#[tokio::test]
async fn a_close_at_once_brings_its_code_too() {
    let (here, there) = duplex(64 * 1024);
    let relay = relay(there);
    relay.close(CloseCode::Identity, "not served");
    sleep(Duration::from_millis(10)).await;
    let ended = timeout(Duration::from_secs(1), agent(here).closed()).await.unwrap();
    assert!(
        matches!(
            &ended,
            Ended::Closed {
                code: Some(CloseCode::Identity),
                ..
            }
        ),
        "{ended:?}"
    );
}

#[tokio::test]
async fn the_end_of_the_connection_is_not_taken_for_the_end_of_a_stream() {
    let (agent, relay) = pair(64 * 1024);
    let (mut to_relay, _from_relay) = agent.open_bi().await.unwrap();
    write_frame(&mut to_relay, &ping(1)).await.unwrap();
    let (_to_agent, mut from_agent) = relay.accept_bi().await.unwrap();
    read(&mut from_agent).await.unwrap();
    agent.close(CloseCode::Stopping, "ends");
    let error = read(&mut from_agent).await.unwrap_err();
    assert!(matches!(error, WireError::Lost(_)), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn whoever_reads_when_the_connection_ends_is_told_at_once() {
    for how in ["closed here", "closed there"] {
        let (agent, relay) = pair(64 * 1024);
        let (mut send, mut receive) = relay.open_bi().await.unwrap();
        write_last_frame(&mut send, &ping(1)).await.unwrap();
        let (_answer, mut request) = agent.accept_bi().await.unwrap();
        read(&mut request).await.unwrap();
        let end = async {
            sleep(Duration::from_millis(100)).await;
            match how {
                "closed here" => relay.close(CloseCode::Done, ""),
                _ => agent.close(CloseCode::Done, ""),
            }
        };
        let began = Instant::now();
        let (error, ()) = tokio::join!(read(&mut receive), end);
        assert!(matches!(error, Err(WireError::Lost(_))), "{how}: {error:?}");
        assert!(
            began.elapsed() < Duration::from_millis(200),
            "{how}: {:?}",
            began.elapsed()
        );
    }
}

#[tokio::test]
async fn what_was_said_before_a_close_comes_whatever_overtook_it() {
    let (agent, relay) = pair(64 * 1024);
    let mut asked = Vec::new();
    for number in 0..30 {
        let (mut send, receive) = relay.open_bi().await.unwrap();
        write_last_frame(&mut send, &ping(number)).await.unwrap();
        asked.push(receive);
    }
    let mut answers = Vec::new();
    for _ in 0..30 {
        let (answer, mut request) = agent.accept_bi().await.unwrap();
        read(&mut request).await.unwrap();
        answers.push(answer);
    }
    for answer in &mut answers {
        write_last_frame(answer, &ping(99)).await.unwrap();
    }
    agent.close(CloseCode::Done, "");
    relay.closed().await;
    for mut receive in asked {
        assert_eq!(read(&mut receive).await.unwrap(), Control::Ping(Ping { number: 99 }));
    }
}

#[tokio::test]
async fn a_wire_that_breaks_ends_both_sides() {
    let (here, there) = duplex(1024);
    let relay = relay(there);
    drop(here);
    let ended = relay.closed().await;
    assert!(matches!(ended, Ended::Lost(_)), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn silence_ends_a_connection_and_echoes_keep_it() {
    let (agent, relay) = pair(64 * 1024);
    sleep(10 * IDLE_TIMEOUT).await;
    assert_eq!((agent.close_reason(), relay.close_reason()), (None, None));

    // One that reads and says nothing.
    let (here, mut there) = duplex(64 * 1024);
    let began = Instant::now();
    let silent = driven(here, Side::Dialled, OF_A_RELAY);
    let (mut send, mut receive) = silent.open_bi().await.unwrap();
    write_frame(&mut send, &ping(1)).await.unwrap();
    let mut reads = tokio::task::JoinSet::new();
    reads.spawn(async move { while there.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {} });
    assert!(matches!(read(&mut receive).await, Err(WireError::Lost(_))));
    let ended = silent.closed().await;
    assert_eq!(ended, Ended::TimedOut);
    assert!(began.elapsed() >= IDLE_TIMEOUT && began.elapsed() < IDLE_TIMEOUT + Duration::from_millis(50));
}

#[tokio::test(start_paused = true)]
async fn one_that_never_reads_is_not_waited_for() {
    let (here, _there) = duplex(16);
    let agent = agent(here);
    let (mut send, _receive) = agent.open_bi().await.unwrap();
    let mut written = 0;
    while let Ok(Ok(())) = timeout(Duration::from_millis(10), send.write_all(&[0; 64 * 1024])).await {
        written += 1;
    }
    assert!(written < 10, "{written} times 64 KiB were taken for nobody");
    agent.close(CloseCode::Done, "");
    timeout(Duration::from_secs(4), agent.gone()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn round_trips_are_measured() {
    // A wire that takes 40 ms each way.
    let (here, near) = duplex(64 * 1024);
    let (far, there) = duplex(64 * 1024);
    let slow = |from, to| async move {
        let (mut from, mut to): (tokio::io::ReadHalf<DuplexStream>, tokio::io::WriteHalf<DuplexStream>) = (from, to);
        let mut bytes = [0; 4096];
        while let Ok(read) = from.read(&mut bytes).await {
            sleep(Duration::from_millis(40)).await;
            to.write_all(&bytes[..read]).await.unwrap();
        }
    };
    let (near_read, near_write) = tokio::io::split(near);
    let (far_read, far_write) = tokio::io::split(far);
    let mut wire = tokio::task::JoinSet::new();
    wire.spawn(slow(near_read, far_write));
    wire.spawn(slow(far_read, near_write));
    let (agent, relay) = (agent(here), relay(there));
    assert_eq!(relay.rtt(), INITIAL_RTT);
    sleep(Duration::from_secs(20)).await;
    for connection in [agent, relay] {
        let rtt = connection.rtt();
        assert!(
            rtt >= Duration::from_millis(80) && rtt < Duration::from_millis(130),
            "{rtt:?}"
        );
    }
}

#[tokio::test]
async fn who_opens_more_streams_than_allowed_is_left() {
    let (agent, relay) = pair(64 * 1024);
    let mut streams = Vec::new();
    for number in 0..2 {
        let (mut send, receive) = agent.open_bi().await.unwrap();
        write_frame(&mut send, &ping(number)).await.unwrap();
        streams.push((send, receive));
    }
    let ended = relay.closed().await;
    assert!(matches!(ended, Ended::Violation(_)), "{ended:?}");
}

#[tokio::test]
async fn a_connection_that_nobody_holds_ends() {
    let (agent, relay) = pair(1024);
    drop(agent);
    let ended = timeout(Duration::from_secs(2), relay.closed()).await.unwrap();
    assert!(matches!(ended, Ended::Lost(_)), "{ended:?}");
}

#[tokio::test]
async fn garbage_ends_a_connection() {
    let (mut here, there) = duplex(64 * 1024);
    let relay = relay(there);
    here.write_all(&[0xff; 4096]).await.unwrap();
    let ended = timeout(Duration::from_secs(2), relay.closed()).await.unwrap();
    assert!(matches!(ended, Ended::Violation(_)), "{ended:?}");
}
