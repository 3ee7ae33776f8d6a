//! Who has to wait, and for how long a client may keep the server waiting.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use postern_service::http::Options;
use postern_service::tls;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::parts::{Client, GET, Server};

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
    let server = Server::start(Options {
        tls: Some(Arc::new(server_tls)),
        ..Options::default()
    });

    let silent = server.connect().await;
    let mut garbage = server.connect().await;
    garbage.send(GET).await;
    // The server's alert, then the end.
    let mut alert = Vec::new();
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut garbage.0, &mut alert).await;
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
