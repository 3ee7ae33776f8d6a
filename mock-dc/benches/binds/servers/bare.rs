//! The ceiling: mock-dc's runtime, TLS and encoding, and nothing else. Whoever binds succeeds; there are no limits, no
//! accounts, no record.

use std::ffi::OsString;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, bail};
use postern_ldap::ber::{ENUMERATED, INTEGER, Malformed, OCTET_STRING, Reader, SEQUENCE, Writer, header, number};
use postern_service::net::bind_tcp;
use postern_service::tls::{load_identity, provider};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::{ACCOUNTS, Pki, Server, binds, generated};
use crate::client::{BIND_REQUEST, BIND_RESPONSE};
use crate::process::{Folder, Process, free_addresses};

/// Bytes that are read at once: many binds.
const ROOM: usize = 4096;

/// Started, and listening.
pub(super) fn start(folder: &Folder, pki: &Pki) -> anyhow::Result<Server> {
    let [ldap, ldaps] = free_addresses()?;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg("--serve-bare")
        .args([ldap.to_string(), ldaps.to_string()])
        .args([&pki.certificate, &pki.key]);
    let mut process = Process::start(&mut command, &folder.join("bare.log"))?;
    process.wait_until_it_listens(&[ldap, ldaps])?;
    Ok(Server {
        process,
        ldap,
        ldaps,
        binds: binds(ACCOUNTS, generated),
    })
}

/// The server's own process: LDAP address, LDAPS address, certificate, key.
pub(crate) fn serve<'a>(arguments: impl Iterator<Item = &'a OsString>) -> anyhow::Result<()> {
    let arguments: Vec<&OsString> = arguments.collect();
    let [ldap, ldaps, certificate, key] = arguments[..] else {
        bail!("four arguments");
    };
    let address =
        |argument: &OsString| -> anyhow::Result<SocketAddr> { Ok(argument.to_str().context("an address")?.parse()?) };
    let identity = load_identity(Path::new(certificate), Path::new(key))?;
    let tls = rustls::ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(identity.chain, identity.key)?;
    let tls = TlsAcceptor::from(Arc::new(tls));
    let (ldap, ldaps) = (address(ldap)?, address(ldaps)?);
    std::thread::spawn(|| {
        let mut byte = [0];
        while matches!(std::io::stdin().read(&mut byte), Ok(1)) {}
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut listeners = JoinSet::new();
        listeners.spawn(listen(ldap, None));
        listeners.spawn(listen(ldaps, Some(tls)));
        while let Some(ended) = listeners.join_next().await {
            ended??;
        }
        Ok(())
    })
}

async fn listen(address: SocketAddr, tls: Option<TlsAcceptor>) -> anyhow::Result<()> {
    let listener = bind_tcp(address)?;
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let tls = tls.clone();
        connections.spawn(async move {
            match tls {
                None => serve_connection(stream).await,
                Some(tls) => serve_connection(tls.accept(stream).await?).await,
            }
        });
        // Whatever ended a connection, there is nobody to tell.
        while connections.try_join_next().is_some() {}
    }
}

async fn serve_connection(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> anyhow::Result<()> {
    let mut received = Vec::with_capacity(ROOM);
    while stream.read_buf(&mut received).await? > 0 {
        let mut answers = Writer::with_capacity(64);
        let mut read = 0;
        while let Some(header) = header(&received[read..])? {
            let end = read + header.size + header.content;
            let Some(message) = received.get(read..end) else { break };
            let id = bind(message)?;
            answers.nest(SEQUENCE, |answer| {
                answer.number(INTEGER, id);
                answer.nest(BIND_RESPONSE, |result| {
                    result.number(ENUMERATED, 0);
                    result.element(OCTET_STRING, b"");
                    result.element(OCTET_STRING, b"");
                });
            });
            read = end;
        }
        received.drain(..read);
        stream.write_all(&answers.finish()).await?;
        stream.flush().await?;
    }
    Ok(())
}

/// Reads a bind request to its end, as one that looks at what is in it; the message's id.
fn bind(message: &[u8]) -> Result<i32, Malformed> {
    let mut message = Reader::new(Reader::new(message).expect(SEQUENCE)?);
    let id = number(message.expect(INTEGER)?)?;
    let mut bind = Reader::new(message.expect(BIND_REQUEST)?);
    number(bind.expect(INTEGER)?)?;
    bind.expect(OCTET_STRING)?;
    bind.any()?;
    Ok(id)
}
