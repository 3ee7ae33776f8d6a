//! Who has to wait, and for how long a client may keep the server waiting.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use postern_service::http::Options;
use postern_service::tls;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::parts::{Client, GET, Server, http2};

const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

#[tokio::test(start_paused = true)]
async fn a_header_that_does_not_end_in_time_ends_the_connection() {
    let server = Server::start(Options::default());
    let from = Instant::now();
    let mut client = server.connect().await;
    client.send("GET / HTTP/1.1\r\nhost: te").await;
    client.sees_the_end().await;
    let options = Options::default();
    assert!(from.elapsed() >= options.header_timeout && from.elapsed() < options.idle_timeout);
}

#[tokio::test]
async fn a_header_beyond_64_kib_is_refused() {
    let server = Server::start(Options::default());
    let mut client = server.connect().await;
    let mut header = b"GET / HTTP/1.1\r\nhost: test\r\nx: ".to_vec();
    header.resize(64 * 1024, b'x');
    client.send(header).await;
    assert!(client.answer().await.head.starts_with("http/1.1 431 "));
}

#[tokio::test(start_paused = true)]
async fn a_kept_connection_without_a_request_ends_after_the_idle_timeout() {
    let server = Server::start(Options::default());
    let mut client = server.connect().await;
    client.send(GET).await;
    client.answer().await;
    let from = Instant::now();
    client.sees_the_end().await;
    assert!(from.elapsed() >= Options::default().idle_timeout - Duration::from_secs(1));
}

/// How long a client of HTTP/2 keeps its connection that asks twice and takes `window` bytes of each answer.
async fn kept_by_a_client_that_takes(window: u32) -> Duration {
    let server = Server::start(Options {
        answer_timeout: ANSWER_TIMEOUT,
        ..Options::default()
    });
    let mut client = server.connect().await;
    client.send(http2::preface_taking(window)).await;
    let from = Instant::now();
    client.send([http2::get(1, "/"), http2::get(3, "/")].concat()).await;
    let mut all = Vec::new();
    let _ = client.0.read_to_end(&mut all).await;
    from.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_client_of_http2_that_takes_no_answer_or_not_all_of_it_loses_its_connection() {
    let (soon, taken) = (ANSWER_TIMEOUT + Duration::from_secs(1), "hello".len());
    for window in 0..u32::try_from(taken).expect("a short answer") {
        let kept = kept_by_a_client_that_takes(window).await;
        assert!(kept >= ANSWER_TIMEOUT && kept < soon, "{window}: {kept:?}");
    }
    assert!(kept_by_a_client_that_takes(5).await > 2 * soon, "it took all");
}

#[tokio::test(start_paused = true)]
async fn a_client_of_http1_that_takes_no_answer_loses_its_connection() {
    let server = Server::start(Options {
        answer_timeout: ANSWER_TIMEOUT,
        ..Options::default()
    });
    let mut client = server.connect().await;
    client.send("GET /large HTTP/1.1\r\nhost: test\r\n\r\n").await;
    let mut first = [0; 1];
    client.0.read_exact(&mut first).await.expect("the answer begins");
    server.phases.close.cancel();
    timeout(2 * ANSWER_TIMEOUT, server.ended())
        .await
        .expect("not kept for ever");
}

#[tokio::test]
async fn a_connection_beyond_the_most_waits_for_another_to_end() {
    let server = Server::start(Options {
        max_connections: 1,
        ..Options::default()
    });
    let mut first = server.connect().await;
    first.send(GET).await;
    first.answer().await;
    let mut second = server.connect().await;
    second.send(GET).await;
    first.send(GET).await;
    first.answer().await;
    let nothing = second.0.try_read(&mut [0]).expect_err("no answer yet");
    assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
    drop(first);
    assert_eq!(second.answer().await.body, "hello");
}

#[tokio::test]
async fn a_failed_tls_handshake_does_not_hurt_others() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let server_tls = rustls::ServerConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a server's side");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("an anchor");
    let client_tls = rustls::ClientConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let server = Server::start_with_tls(Options::default(), Some(Arc::new(server_tls)));

    let silent = server.connect().await;
    let mut garbage = server.connect().await;
    garbage.send(GET).await;
    // The server's alert, then the end.
    let mut alert = Vec::new();
    let _ = garbage.0.read_to_end(&mut alert).await;
    assert!(!alert.is_empty() && !alert.starts_with(b"HTTP"), "{alert:?}");

    let mut client = tls_client(server.address, client_tls).await;
    client.send(GET).await;
    assert_eq!(client.answer().await.body, "hello");
    drop(silent);
}

async fn tls_client(
    address: SocketAddr,
    config: rustls::ClientConfig,
) -> Client<tokio_rustls::client::TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await.expect("a connection");
    let name = ServerName::try_from("localhost").expect("a name");
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    Client(connector.connect(name, stream).await.expect("a handshake"))
}
