//! Goodbye, close, abort (see `Phases`): no request that has come is lost, and nothing outlives its end.

use postern_service::http::Options;

use crate::parts::{GET, GET_HELD, Server, http2};

#[tokio::test]
async fn a_connection_that_is_new_at_the_goodbye_is_answered_and_told_to_close() {
    let server = Server::start(Options::default());
    let mut before = server.connect().await;
    server.settle().await;
    server.phases.goodbye.cancel();
    let mut after = server.connect().await;
    server.settle().await;
    for client in [&mut before, &mut after] {
        client.send(GET).await;
        let answer = client.answer().await;
        assert_eq!(answer.body, "hello");
        assert!(answer.says_close(), "{}", answer.head);
        client.sees_the_end().await;
    }
}

#[tokio::test]
async fn a_kept_connection_stays_open_through_the_goodbye_until_its_next_request_is_answered() {
    let server = Server::start(Options::default());
    let mut client = server.connect().await;
    client.send(GET).await;
    assert!(!client.answer().await.says_close());
    server.phases.goodbye.cancel();
    server.settle().await;
    client.send(GET).await;
    let answer = client.answer().await;
    assert_eq!(answer.body, "hello");
    assert!(answer.says_close(), "{}", answer.head);
    client.sees_the_end().await;
}

#[tokio::test]
async fn an_answer_given_during_the_goodbye_says_close_also_when_its_request_came_before() {
    let server = Server::start(Options::default());
    let mut client = server.connect().await;
    client.send(GET_HELD).await;
    server.holds_one().await;
    server.phases.goodbye.cancel();
    server.settle().await;
    server.release.add_permits(1);
    assert!(client.answer().await.says_close());
    client.sees_the_end().await;
}

#[tokio::test]
async fn http2_is_told_to_go_at_the_goodbye_once_a_request_has_come() {
    let server = Server::start(Options::default());
    let mut kept = server.connect().await;
    kept.send(http2::preface()).await;
    kept.send(http2::get(1, "/")).await;
    kept.frame_of(&[http2::HEADERS]).await;
    let mut new = server.connect().await;
    new.send(http2::preface()).await;
    server.settle().await;
    server.phases.goodbye.cancel();
    kept.frame_of(&[http2::GOAWAY]).await;
    server.settle().await;
    // A client that is told to go before its first request would have nowhere to send it.
    assert!(!new.frames_so_far().contains(&http2::GOAWAY));
    new.send(http2::get(1, "/")).await;
    // In either order: the answer and the GOAWAY are of one moment.
    let first = new.frame_of(&[http2::HEADERS, http2::GOAWAY]).await;
    let second = new.frame_of(&[http2::HEADERS, http2::GOAWAY]).await;
    assert_ne!(first, second);
}

#[tokio::test]
async fn close_ends_idle_connections_and_accepts_no_more() {
    let server = Server::start(Options::default());
    let (mut new, mut kept) = (server.connect().await, server.connect().await);
    kept.send(GET).await;
    kept.answer().await;
    server.settle().await;
    server.phases.goodbye.cancel();
    server.phases.close.cancel();
    new.sees_the_end().await;
    kept.sees_the_end().await;
    let address = server.address;
    server.ended().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_request_in_work_at_close_is_answered_and_then_the_server_ends() {
    let server = Server::start(Options::default());
    let mut client = server.connect().await;
    client.send(GET_HELD).await;
    server.holds_one().await;
    let mut idle = server.connect().await;
    server.settle().await;
    server.phases.goodbye.cancel();
    server.phases.close.cancel();
    idle.sees_the_end().await;
    server.release.add_permits(1);
    let answer = client.answer().await;
    assert_eq!(answer.body, "held");
    assert!(answer.says_close(), "{}", answer.head);
    server.ended().await;
}

#[tokio::test]
async fn a_request_whose_first_bytes_came_before_close_is_answered() {
    let server = Server::start(Options::default());
    let (mut new, mut kept) = (server.connect().await, server.connect().await);
    kept.send(GET).await;
    kept.answer().await;
    let (begin, rest) = GET.split_at(10);
    new.send(begin).await;
    kept.send(begin).await;
    let mut idle = server.connect().await;
    server.settle().await;
    // Closing says goodbye as well, whether or not that was done before.
    server.phases.close.cancel();
    idle.sees_the_end().await;
    for client in [&mut new, &mut kept] {
        client.send(rest).await;
        let answer = client.answer().await;
        assert_eq!(answer.body, "hello");
        assert!(answer.says_close(), "{}", answer.head);
        client.sees_the_end().await;
    }
    server.ended().await;
}

#[tokio::test]
async fn abort_drops_what_is_in_work() {
    let server = Server::start(Options::default());
    let mut client = server.connect().await;
    client.send(GET_HELD).await;
    server.holds_one().await;
    let mut other = server.connect().await;
    other.send(http2::preface()).await;
    other.send(http2::get(1, "/held")).await;
    server.holds_one().await;
    server.phases.goodbye.cancel();
    server.phases.close.cancel();
    server.phases.abort.cancel();
    client.sees_the_end().await;
    // Each request in work held a copy of the gate: none is left when the server has ended.
    let gate = server.release.clone();
    server.ended().await;
    assert_eq!(std::sync::Arc::strong_count(&gate), 1);
}
