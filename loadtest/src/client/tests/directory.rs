//! A server that answers binds as a directory does, and remembers them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use postern_ldap::ber::{self, ENUMERATED, INTEGER, OCTET_STRING, Reader, SEQUENCE, Writer};
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::client::dial::Stream;
use crate::sync::lock;

mod tag {
    pub(super) const BIND: u8 = 0x60;
    pub(super) const BIND_RESPONSE: u8 = 0x61;
    pub(super) const SIMPLE: u8 = 0x80;
    pub(super) const EXTENDED: u8 = 0x77;
    pub(super) const EXTENDED_RESPONSE: u8 = 0x78;
}

/// A bind: on which connection, by whom.
pub(super) type Bind = (SocketAddr, String);

pub(super) struct Directory {
    pub(super) address: SocketAddr,
    pub(super) binds: Arc<Mutex<Vec<Bind>>>,
    _task: JoinSet<()>,
}

impl Directory {
    /// A password `RESULT TEXT` has this result and text, `close` ends the connection without an answer, and after
    /// `0 last` the connection ends. Speaks TLS at once, or after StartTLS.
    pub(super) async fn start(tls: Arc<ServerConfig>, start_tls: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let binds = Arc::new(Mutex::new(Vec::new()));
        let own = binds.clone();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, peer) = listener.accept().await.unwrap();
                connections.spawn(serve(stream, peer, tls.clone(), start_tls, own.clone()));
            }
        });
        Self {
            address,
            binds,
            _task: task,
        }
    }
}

async fn serve(
    mut stream: TcpStream,
    peer: SocketAddr,
    tls: Arc<ServerConfig>,
    start_tls: bool,
    binds: Arc<Mutex<Vec<Bind>>>,
) {
    if start_tls {
        let mut bytes = [0; 64];
        let read = stream.read(&mut bytes).await.unwrap();
        assert_eq!(kind_of(&bytes[..read]), (1, tag::EXTENDED));
        stream
            .write_all(&answer(1, tag::EXTENDED_RESPONSE, 0, ""))
            .await
            .unwrap();
    }
    // A client that does not believe the certificate goes away.
    let Ok(stream) = TlsAcceptor::from(tls).accept(stream).await else {
        return;
    };
    let mut stream: Stream = Box::new(stream);
    let mut bytes = vec![0; 4096];
    // A bind of these tests comes in one piece.
    while let Ok(read @ 1..) = stream.read(&mut bytes).await {
        let (id, name, password) = bind(&bytes[..read]);
        lock(&binds).push((peer, name));
        let Some((code, text)) = password.split_once(' ') else {
            return;
        };
        let answer = answer(id, tag::BIND_RESPONSE, code.parse().unwrap(), text);
        stream.write_all(&answer).await.unwrap();
        stream.flush().await.unwrap();
        if text == "last" {
            return;
        }
    }
}

fn kind_of(bytes: &[u8]) -> (i32, u8) {
    let mut message = Reader::new(Reader::new(bytes).expect(SEQUENCE).unwrap());
    let id = ber::number(message.expect(INTEGER).unwrap()).unwrap();
    (id, message.any().unwrap().0)
}

fn bind(bytes: &[u8]) -> (i32, String, String) {
    let (id, kind) = kind_of(bytes);
    assert_eq!(kind, tag::BIND);
    let mut message = Reader::new(Reader::new(bytes).expect(SEQUENCE).unwrap());
    message.expect(INTEGER).unwrap();
    let mut bind = Reader::new(message.expect(tag::BIND).unwrap());
    assert_eq!(ber::number(bind.expect(INTEGER).unwrap()), Ok(3));
    let mut text = |tag| String::from_utf8(bind.expect(tag).unwrap().to_vec()).unwrap();
    (id, text(OCTET_STRING), text(tag::SIMPLE))
}

fn answer(id: i32, kind: u8, code: i32, text: &str) -> Vec<u8> {
    let mut writer = Writer::with_capacity(256 + text.len());
    writer.nest(SEQUENCE, |message| {
        message.number(INTEGER, id);
        message.nest(kind, |result| {
            result.number(ENUMERATED, code);
            result.element(OCTET_STRING, b"");
            result.element(OCTET_STRING, text.as_bytes());
        });
    });
    writer.finish().to_vec()
}
