//! TCP to a domain controller: its name resolved, its addresses tried one after another.

use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::dial::CONNECT_TIMEOUT;
use super::dns;
use crate::network::{Connected, NoStream, Place};

/// The least time for one of several addresses of a name; otherwise they share the time evenly, so that a dead one
/// does not use up that of the others.
const ADDRESS_TIMEOUT_FLOOR: Duration = Duration::from_millis(500);

/// An idle connection is probed after this long, so that one that a firewall forgot is noticed by its reader and not
/// by a bind that is never answered.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(30))
    .with_interval(Duration::from_secs(5))
    .with_retries(3);

/// Connects.
pub(crate) async fn connect(place: Place<'_>) -> Result<Connected, NoStream> {
    let addresses = dns::addresses(place.nameservers, place.host, place.port)
        .await
        .map_err(|error| NoStream::Resolve(error.to_string()))?;
    let stream = connect_any(&addresses).await.map_err(NoStream::Connect)?;
    let local = prepare(&stream).map_err(|error| NoStream::Connect(error.to_string()))?;
    Ok(Connected {
        stream: Box::new(stream),
        local,
    })
}

fn prepare(stream: &TcpStream) -> std::io::Result<SocketAddr> {
    // Requests are one small write each, and somebody waits for every one of them.
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_keepalive(&KEEPALIVE)?;
    stream.local_addr()
}

/// The first of `addresses` that connects, tried one after another.
async fn connect_any(addresses: &[SocketAddr]) -> Result<TcpStream, String> {
    let count = u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let patience = (CONNECT_TIMEOUT / count).max(ADDRESS_TIMEOUT_FLOOR);
    let mut last = "no address".to_owned();
    for address in addresses {
        match timeout(patience, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error.to_string(),
            Err(_) => last = format!("no answer within {patience:?}"),
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::{Domain, Socket, Type};

    /// An address that does not answer: its listener's queue is full.
    async fn dead() -> (Socket, Vec<TcpStream>, SocketAddr) {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let mut queued = Vec::new();
        while let Ok(stream) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
            queued.push(stream.unwrap());
        }
        (listener, queued, address)
    }

    #[tokio::test]
    async fn a_dead_address_of_a_name_leaves_time_for_the_others() {
        let (_listener, _queued, dead) = dead().await;
        let live = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses = [dead, live.local_addr().unwrap()];
        let stream = timeout(CONNECT_TIMEOUT, connect_any(&addresses))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addresses[1]);
    }
}
