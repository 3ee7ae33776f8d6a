//! Sign-ins at relays.

use crate::sync::lock;
use axum::Router;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::pki::{CA_FILE, Ca};
use super::relay::Relay;
use super::*;

fn believes(ca: &Ca) -> impl FnOnce(&mut Reach) {
    let authorities = Some(ca.authorities());
    |reach| reach.authorities = authorities
}

#[tokio::test]
async fn sign_ins_one_after_another_share_a_connection_whatever_protects_it_and_whichever_the_version() {
    let ca = Ca::new();
    for (protocol, alpn) in [(Protocol::Http1, "http/1.1"), (Protocol::Http2, "h2")] {
        for tls in [None, Some(ca.server("localhost", &[alpn]))] {
            let scheme = if tls.is_some() { "https" } else { "http" };
            let relay = Relay::start(tls).await;
            let url = format!("{scheme}://localhost:{}", relay.address.port());
            let client = client(&url, |reach| {
                believes(&ca)(reach);
                reach.protocol = protocol;
                reach.token = Some(Token::new("s3cret").unwrap());
            });
            let client = client.await;
            for _ in 0..5 {
                assert_eq!(client.sign_in("ada", "right").await, SUCCESS, "{url} {protocol:?}");
                assert_eq!(client.sign_in("ada", "wrong").await, REFUSED, "{url} {protocol:?}");
            }
            assert_eq!((relay.connections(), relay.requests()), (1, 10), "{url} {protocol:?}");
            assert_eq!(lock(&relay.asked).tokens.iter().collect::<Vec<_>>(), ["Bearer s3cret"]);
        }
    }
}

/// Makes so many at once.
async fn at_once(client: Client, sign_ins: usize) -> Arc<Client> {
    let client = Arc::new(client);
    let mut tasks = JoinSet::new();
    for _ in 0..sign_ins {
        let client = client.clone();
        tasks.spawn(async move { client.sign_in("ada", "right").await });
    }
    while let Some(ended) = tasks.join_next().await {
        assert_eq!(ended.unwrap(), SUCCESS);
    }
    client
}

#[tokio::test]
async fn over_http_1_there_are_as_many_connections_as_sign_ins_at_once_and_those_are_used_again() {
    let relay = Relay::start_slow(None, 10).await;
    let client = client(&format!("http://{}", relay.address), |_| {}).await;
    let client = at_once(client, 10).await;
    assert_eq!(relay.connections(), 10);
    let client = Arc::into_inner(client).unwrap();
    at_once(client, 10).await;
    assert_eq!((relay.connections(), relay.requests()), (10, 20));
}

#[tokio::test]
async fn over_http_2_many_sign_ins_at_once_share_a_few_connections() {
    let relay = Relay::start_slow(None, 150).await;
    let http2 = |reach: &mut Reach| reach.protocol = Protocol::Http2;
    let client = client(&format!("http://{}", relay.address), http2).await;
    at_once(client, 150).await;
    assert_eq!((relay.connections(), relay.requests()), (3, 150));
}

#[tokio::test]
async fn a_connection_of_http_2_that_broke_is_replaced() {
    let relay = Relay::start(None).await;
    let http2 = |reach: &mut Reach| reach.protocol = Protocol::Http2;
    let client = client(&format!("http://{}", relay.address), http2).await;
    assert_eq!(client.sign_in("ada", "right").await, SUCCESS);
    let relay = relay.replace().await;
    // What was sent before its end was noticed is lost, and not sent again.
    while client.sign_in("ada", "right").await != SUCCESS {
        tokio::task::yield_now().await;
    }
    assert_eq!((relay.connections(), relay.requests()), (1, 1));
}

#[tokio::test]
async fn connections_are_opened_before_the_run_where_that_is_asked_for() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let relay = Relay::start_slow(None, 4).await;
        let url = format!("http://{}", relay.address);
        let client = client(&url, |reach| {
            reach.protocol = protocol;
            reach.connections = 4;
        });
        let client = client.await;
        client.open().await.unwrap();
        at_once(client, 4).await;
        assert_eq!(relay.connections(), 4, "{protocol:?}");
    }
}

#[tokio::test]
async fn several_targets_are_used_in_turn() {
    let relays = [
        Relay::start(None).await,
        Relay::start(None).await,
        Relay::start(None).await,
    ];
    let targets = relays
        .iter()
        .map(|relay| Target::parse(&format!("http://{}", relay.address)).unwrap());
    let route = Reach::new(targets.collect()).prepare().await.unwrap();
    let client = Client::new(&route).unwrap();
    for _ in 0..9 {
        assert_eq!(client.sign_in("ada", "right").await, SUCCESS);
    }
    assert_eq!(relays.map(|relay| relay.requests()), [3, 3, 3]);
}

/// Reads one request and gives its first line.
async fn request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !(bytes.ends_with(b"}") || bytes.starts_with(b"GET") && bytes.ends_with(b"\r\n\r\n")) {
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "the client went away");
    }
    String::from_utf8(bytes).unwrap().lines().next().unwrap().to_owned()
}

const RIGHT: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 21\r\n\r\n{\"outcome\":\"success\"}";
const NOT_ALLOWED: &[u8] = b"HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// A listener that a client of it has tried.
async fn tried() -> (TcpListener, Client) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let trial = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        assert_eq!(request(&mut stream).await, "GET /v1/sign-in HTTP/1.1");
        stream.write_all(NOT_ALLOWED).await.unwrap();
    };
    let (client, ()) = tokio::join!(client(&url, |_| {}), trial);
    (listener, client)
}

#[tokio::test]
async fn a_connection_that_was_closed_while_it_was_idle_is_replaced_and_no_sign_in_lost() {
    let (listener, client) = tried().await;
    for _ in 0..3 {
        let answer = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            request(&mut stream).await;
            stream.write_all(RIGHT).await.unwrap();
        };
        let (ended, ()) = tokio::join!(client.sign_in("ada", "right"), answer);
        assert_eq!(ended, SUCCESS);
        // The runtime learns of it.
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_was_sent_on_a_connection_that_then_closed_is_not_sent_again() {
    let (listener, client) = tried().await;
    let answer = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        request(&mut stream).await;
        stream.write_all(RIGHT).await.unwrap();
        stream
    };
    let (ended, mut stream) = tokio::join!(client.sign_in("ada", "right"), answer);
    assert_eq!(ended, SUCCESS);
    let close = async {
        request(&mut stream).await;
        drop(stream);
    };
    let again = async {
        listener.accept().await.unwrap();
        panic!("it was sent again");
    };
    let sign_in = async { tokio::join!(client.sign_in("ada", "right"), close).0 };
    let ended = tokio::select! {
        biased;
        () = again => unreachable!(),
        ended = sign_in => ended,
    };
    assert_eq!(ended, Ended::Broken(Broken::Connection));
}

#[tokio::test]
async fn a_target_that_is_not_there_or_no_relay_is_told_with_what_to_do() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = complaint(&url, |_| {}).await;
    assert!(
        error.contains(&format!("{url}: connection refused; is the relay running there?")),
        "{error}"
    );

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut server = JoinSet::new();
    server.spawn(async move { axum::serve(listener, Router::new()).await.unwrap() });
    let error = complaint(&url, |_| {}).await;
    assert!(
        error.contains("404") && error.contains("which a relay does not"),
        "{error}"
    );
    let error = complaint(&url.replace("http", "https"), |reach| believes(&Ca::new())(reach)).await;
    assert!(
        error.contains("what answers is not TLS") && error.contains("http://"),
        "{error}"
    );
}

#[tokio::test]
async fn a_certificate_that_is_not_believed_or_of_another_name_is_told_with_what_to_do() {
    let ca = Ca::new();
    let relay = Relay::start(Some(ca.server("relay.example.com", &["http/1.1"]))).await;
    let url = format!("https://localhost:{}", relay.address.port());
    let error = complaint(&url, believes(&Ca::new())).await;
    let expected = format!("its certificate is not issued by an authority of {CA_FILE}");
    assert!(error.contains(&url) && error.contains(&expected), "{error}");
    let error = complaint(&url, believes(&ca)).await;
    assert!(
        error.contains("not for localhost (it is for relay.example.com)"),
        "{error}"
    );
    let error = complaint(&url, |reach| {
        believes(&ca)(reach);
        reach.protocol = Protocol::Http2;
    });
    let error = error.await;
    assert!(error.contains("another version of HTTP"), "{error}");
}

#[tokio::test]
async fn what_does_not_fit_together_is_refused_before_anything_is_connected_to() {
    let error = format!("{:#}", Reach::new(Vec::new()).prepare().await.unwrap_err());
    assert!(error.contains("give at least one"), "{error}");
    let mixed = ["http://127.0.0.1:1", "ldaps://127.0.0.1:2"].map(|url| Target::parse(url).unwrap());
    let error = format!("{:#}", Reach::new(mixed.to_vec()).prepare().await.unwrap_err());
    assert!(error.contains("http://127.0.0.1:1 and ldaps://127.0.0.1:2"), "{error}");
    assert!(Token::new("a\nb").is_err() && Token::new("").is_err());
    assert!(!format!("{:?}", Token::new("s3cret").unwrap()).contains("s3cret"));
}
