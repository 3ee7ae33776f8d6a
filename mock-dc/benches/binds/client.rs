//! A client that costs little: binds encoded beforehand, on connections that are kept, one in flight on each.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use postern_ldap::ber::{BOOLEAN, ENUMERATED, INTEGER, OCTET_STRING, Reader, SEQUENCE, Writer, header, number};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Tags of the operations (RFC 4511, section 4).
pub(crate) const BIND_REQUEST: u8 = 0x60;
pub(crate) const BIND_RESPONSE: u8 = 0x61;
const SEARCH_REQUEST: u8 = 0x63;
const SEARCH_RESULT_ENTRY: u8 = 0x64;
const SIMPLE: u8 = 0x80;
const PRESENT: u8 = 0x87;

/// Answers to what is asked here are some hundred bytes; the RootDSE is some thousand.
const ROOM: usize = 16 * 1024;

/// Result codes that a bind may come to.
pub(crate) const SUCCESS: i32 = 0;
/// A wrong password, among others.
pub(crate) const INVALID_CREDENTIALS: i32 = 49;

/// A bind as it is sent.
#[derive(Debug)]
pub(crate) struct Bind {
    id: i32,
    bytes: Vec<u8>,
}

impl Bind {
    /// A simple bind (RFC 4511, section 4.2).
    pub(crate) fn new(id: i32, name: &str, password: &str) -> Self {
        let bytes = message(id, name.len() + password.len() + 64, |inner| {
            inner.nest(BIND_REQUEST, |bind| {
                bind.number(INTEGER, 3);
                bind.element(OCTET_STRING, name.as_bytes());
                bind.element(SIMPLE, password.as_bytes());
            });
        });
        Self { id, bytes }
    }
}

fn message(id: i32, capacity: usize, operation: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::with_capacity(capacity);
    writer.nest(SEQUENCE, |inner| {
        inner.number(INTEGER, id);
        operation(inner);
    });
    writer.finish().to_vec()
}

/// Where and how to connect.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// LDAPS when there is one.
    pub(crate) tls: Option<Arc<rustls::ClientConfig>>,
}

trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Bytes for S {}

/// A kept connection.
pub(crate) struct Connection {
    stream: Box<dyn Bytes>,
    received: Box<[u8; ROOM]>,
}

impl Connection {
    pub(crate) async fn open(target: &Target) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(target.address)
            .await
            .with_context(|| format!("cannot connect to {}", target.address))?;
        stream.set_nodelay(true)?;
        let stream: Box<dyn Bytes> = match &target.tls {
            None => Box::new(stream),
            Some(config) => {
                let name = ServerName::from(target.address.ip());
                let connector = TlsConnector::from(config.clone());
                Box::new(connector.connect(name, stream).await.context("TLS")?)
            }
        };
        Ok(Self {
            stream,
            received: Box::new([0; ROOM]),
        })
    }

    /// Binds and looks at the answer.
    pub(crate) async fn bind(&mut self, bind: &Bind, expected: i32) -> anyhow::Result<()> {
        self.send(&bind.bytes).await?;
        let length = self.receive().await?;
        let (id, tag, content) = read(&self.received[..length]).context("the answer is no LDAP message")?;
        ensure!(
            id == bind.id && tag == BIND_RESPONSE,
            "bind {} was answered with a message {id}, tag {tag:#x}",
            bind.id
        );
        let result = Reader::new(content).expect(ENUMERATED).and_then(number)?;
        ensure!(result == expected, "a bind came to result {result}, not {expected}");
        Ok(())
    }

    /// Reads the RootDSE, as whoever asks whether a directory is up.
    pub(crate) async fn root_dse(&mut self) -> anyhow::Result<()> {
        let search = message(1, 128, |inner| {
            inner.nest(SEARCH_REQUEST, |search| {
                search.element(OCTET_STRING, b"");
                search.number(ENUMERATED, 0);
                search.number(ENUMERATED, 0);
                search.number(INTEGER, 0);
                search.number(INTEGER, 0);
                search.element(BOOLEAN, &[0]);
                search.element(PRESENT, b"objectClass");
                search.nest(SEQUENCE, |_| {});
            });
        });
        self.send(&search).await?;
        // The entry and the end of the search may come together.
        let mut filled = 0;
        loop {
            filled += self.fill(filled).await?;
            if let Some(header) = header(&self.received[..filled])?
                && filled >= header.size + header.content
            {
                let (_, tag, _) = read(&self.received[..header.size + header.content])?;
                ensure!(tag == SEARCH_RESULT_ENTRY, "no RootDSE but tag {tag:#x}");
                return Ok(());
            }
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await?;
        Ok(())
    }

    /// Exactly one message: nobody has anything else to say.
    async fn receive(&mut self) -> anyhow::Result<usize> {
        let mut filled = 0;
        loop {
            filled += self.fill(filled).await?;
            if let Some(header) = header(&self.received[..filled])? {
                match filled.checked_sub(header.size + header.content) {
                    Some(0) => return Ok(filled),
                    Some(_) => bail!("more came than one answer"),
                    None => {}
                }
            }
        }
    }

    async fn fill(&mut self, filled: usize) -> anyhow::Result<usize> {
        let read = self.stream.read(&mut self.received[filled..]).await?;
        ensure!(read > 0, "the server closed the connection");
        Ok(read)
    }
}

fn read(bytes: &[u8]) -> Result<(i32, u8, &[u8]), postern_ldap::ber::Malformed> {
    let mut inner = Reader::new(Reader::new(bytes).expect(SEQUENCE)?);
    let id = number(inner.expect(INTEGER)?)?;
    let (tag, content) = inner.any()?;
    Ok((id, tag, content))
}
