//! A small LDAP client that sends exactly what it is told: names and passwords are bytes, any version may be asked for.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::harness::PATIENCE;

const STARTTLS: &[u8] = b"1.3.6.1.4.1.1466.20037";

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// How a directory is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Ldap,
    StartTls,
    Ldaps,
}

/// Where a directory listens, and who vouches for it.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) ldap: SocketAddr,
    pub(super) ldaps: SocketAddr,
    pub(super) tls: Arc<rustls::ClientConfig>,
    pub(super) name: ServerName<'static>,
}

/// A result: its code and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) code: u8,
    pub(super) text: String,
}

/// What an entry has: values by attribute name.
pub(super) type Entry = BTreeMap<String, Vec<Vec<u8>>>;

/// One change of a modify request.
pub(super) struct Change {
    /// Add 0, delete 1, replace 2.
    pub(super) kind: u8,
    pub(super) attribute: String,
    pub(super) values: Vec<Vec<u8>>,
}

impl Change {
    fn element(&self) -> Vec<u8> {
        let values: Vec<_> = self
            .values
            .iter()
            .map(|value| tlv(0x04, std::slice::from_ref(value)))
            .collect();
        let attribute = tlv(0x04, &[self.attribute.as_bytes().to_vec()]);
        tlv(
            0x30,
            &[
                tlv(0x0a, &[vec![self.kind]]),
                tlv(0x30, &[attribute, tlv(0x31, &values)]),
            ],
        )
    }
}

pub(super) struct Client {
    stream: Box<dyn Stream>,
}

impl Client {
    pub(super) async fn connect(to: &Address, transport: Transport) -> Self {
        let secured = async |tcp: TcpStream| {
            let stream = TlsConnector::from(to.tls.clone()).connect(to.name.clone(), tcp).await;
            Self {
                stream: Box::new(stream.unwrap()),
            }
        };
        match transport {
            Transport::Ldaps => secured(TcpStream::connect(to.ldaps).await.unwrap()).await,
            Transport::Ldap => Self {
                stream: Box::new(TcpStream::connect(to.ldap).await.unwrap()),
            },
            Transport::StartTls => {
                let mut tcp = TcpStream::connect(to.ldap).await.unwrap();
                tcp.write_all(&message(&tlv(0x77, &[tlv(0x80, &[STARTTLS.to_vec()])])))
                    .await
                    .unwrap();
                let (_, operation) = receive(&mut tcp).await.unwrap();
                assert_eq!(result(&operation).code, 0, "StartTLS");
                secured(tcp).await
            }
        }
    }

    /// `None` when the connection is closed instead of an answer.
    pub(super) async fn bind(&mut self, name: &[u8], password: &[u8]) -> Option<Told> {
        self.bind_as_version(3, name, password).await
    }

    pub(super) async fn bind_as_version(&mut self, version: u8, name: &[u8], password: &[u8]) -> Option<Told> {
        let operation = tlv(
            0x60,
            &[
                tlv(0x02, &[vec![version]]),
                tlv(0x04, &[name.to_vec()]),
                tlv(0x80, &[password.to_vec()]),
            ],
        );
        self.send(&operation).await;
        let (_, operation) = receive(&mut self.stream).await?;
        Some(result(&operation))
    }

    /// The entries below `base` in which `attribute` is `value`.
    pub(super) async fn find(&mut self, base: &str, attribute: &str, value: &str, wanted: &[&str]) -> Vec<Entry> {
        let text = |tag, text: &str| tlv(tag, &[text.as_bytes().to_vec()]);
        let wanted: Vec<_> = wanted.iter().map(|name| text(0x04, name)).collect();
        let number = |tag, number| tlv(tag, &[vec![number]]);
        let operation = tlv(
            0x63,
            &[
                text(0x04, base),
                number(0x0a, 2),
                number(0x0a, 0),
                number(0x02, 0),
                number(0x02, 0),
                number(0x01, 0),
                tlv(0xa3, &[text(0x04, attribute), text(0x04, value)]),
                tlv(0x30, &wanted),
            ],
        );
        self.send(&operation).await;
        let mut found = Vec::new();
        loop {
            let (tag, operation) = receive(&mut self.stream).await.unwrap();
            match tag {
                0x64 => found.push(entry(&operation)),
                0x65 => {
                    assert_eq!(result(&operation).code, 0, "{base} {attribute}={value}");
                    return found;
                }
                // A reference to another naming context.
                0x73 => {}
                other => panic!("an answer with the tag {other:#x}"),
            }
        }
    }

    /// Writes one attribute, as an administrator.
    pub(super) async fn replace(&mut self, dn: &str, attribute: &str, value: &[u8]) -> Told {
        let change = Change {
            kind: 2,
            attribute: attribute.to_owned(),
            values: vec![value.to_vec()],
        };
        self.modify(dn, &[change]).await
    }

    /// Asks for changes of an entry.
    pub(super) async fn modify(&mut self, dn: &str, changes: &[Change]) -> Told {
        let changes: Vec<_> = changes.iter().map(Change::element).collect();
        let name = tlv(0x04, &[dn.as_bytes().to_vec()]);
        self.send(&tlv(0x66, &[name, tlv(0x30, &changes)])).await;
        let (_, operation) = receive(&mut self.stream).await.unwrap();
        result(&operation)
    }

    /// Sends an operation and its controls, and gives whole answers up to the last. The last is one that no other
    /// follows; none is a closed connection.
    pub(super) async fn ask(&mut self, operation: &[u8], controls: &[u8]) -> Vec<Vec<u8>> {
        let _ = self.stream.write_all(&message(&[operation, controls].concat())).await;
        let mut answers = Vec::new();
        while let Some(answer) = receive_whole(&mut self.stream).await {
            let tag = operation_of(&answer).0;
            answers.push(answer);
            // Entries and references go on.
            if !matches!(tag, 0x64 | 0x73) {
                break;
            }
        }
        answers
    }

    async fn send(&mut self, operation: &[u8]) {
        // A server that has closed is noticed by the answer that does not come.
        let _ = self.stream.write_all(&message(operation)).await;
    }
}

/// An element of BER with these contents.
pub(super) fn tlv(tag: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    let length: usize = parts.iter().map(Vec::len).sum();
    let mut bytes = vec![tag];
    match u8::try_from(length) {
        Ok(short @ 0..0x80) => bytes.push(short),
        _ => {
            let long = u32::try_from(length).unwrap().to_be_bytes();
            bytes.push(0x84);
            bytes.extend(long);
        }
    }
    bytes.extend(parts.iter().flatten());
    bytes
}

/// Every request has the same number: there is never more than one.
fn message(operation: &[u8]) -> Vec<u8> {
    tlv(0x30, &[vec![0x02, 0x01, 0x01], operation.to_vec()])
}

/// The next element of `bytes`: its tag, its contents, what follows.
fn split(bytes: &[u8]) -> (u8, &[u8], &[u8]) {
    let (length, begin) = match bytes[1] {
        short @ 0..0x80 => (usize::from(short), 2),
        long => {
            let size = usize::from(long & 0x7f);
            let length = bytes[2..2 + size]
                .iter()
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            (length, 2 + size)
        }
    };
    (bytes[0], &bytes[begin..begin + length], &bytes[begin + length..])
}

/// All elements of `bytes`.
pub(super) fn elements(mut bytes: &[u8]) -> Vec<(u8, &[u8])> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let (tag, contents, rest) = split(bytes);
        all.push((tag, contents));
        bytes = rest;
    }
    all
}

/// The next message's operation: its tag and contents. `None` at the end.
async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> Option<(u8, Vec<u8>)> {
    let whole = receive_whole(stream).await?;
    let (tag, operation) = operation_of(&whole);
    Some((tag, operation.to_vec()))
}

/// The operation of a message: its tag and contents.
fn operation_of(message: &[u8]) -> (u8, &[u8]) {
    let (_, contents, _) = split(message);
    elements(contents)[1]
}

/// The next message. `None` at the end.
async fn receive_whole(stream: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let mut header = vec![0; 2];
    let first = timeout(PATIENCE, stream.read_exact(&mut header)).await;
    first.unwrap().ok()?;
    if header[1] >= 0x80 {
        let mut long = vec![0; usize::from(header[1] & 0x7f)];
        stream.read_exact(&mut long).await.ok()?;
        header.extend(long);
    }
    let mut whole = header.clone();
    let length = match header[1] {
        short @ 0..0x80 => usize::from(short),
        _ => header[2..].iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
    };
    let begin = whole.len();
    whole.resize(begin + length, 0);
    stream.read_exact(&mut whole[begin..]).await.ok()?;
    Some(whole)
}

fn result(operation: &[u8]) -> Told {
    let parts = elements(operation);
    Told {
        code: parts[0].1[0],
        text: String::from_utf8_lossy(parts[2].1).into_owned(),
    }
}

fn entry(operation: &[u8]) -> Entry {
    let parts = elements(operation);
    let attribute = |(_, contents): (u8, &[u8])| {
        let parts = elements(contents);
        let values = elements(parts[1].1).into_iter().map(|(_, value)| value.to_vec());
        (String::from_utf8_lossy(parts[0].1).into_owned(), values.collect())
    };
    elements(parts[1].1).into_iter().map(attribute).collect()
}
