//! Opening listeners, with errors that name the address and what to do; and what of an address is one host.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

/// A listener could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} ({protocol}): {}", explain(source))]
pub struct BindError {
    address: SocketAddr,
    protocol: &'static str,
    source: io::Error,
}

impl BindError {
    /// Whether another process has the port.
    pub fn is_taken(&self) -> bool {
        self.source.kind() == io::ErrorKind::AddrInUse
    }
}

fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "the port is taken by another process; stop it or choose another port".to_owned(),
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address".to_owned(),
        io::ErrorKind::PermissionDenied => "not permitted; ports below 1024 need CAP_NET_BIND_SERVICE".to_owned(),
        _ => error.to_string(),
    }
}

/// Opens a TCP listener. Port 0 asks the system for a free one.
///
/// # Errors
/// [`BindError`] names the address and what to do.
pub fn bind_tcp(address: SocketAddr) -> Result<tokio::net::TcpListener, BindError> {
    let open = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // A restarted process must not wait for its predecessor's connections to leave TIME_WAIT.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(1024)?;
        tokio::net::TcpListener::from_std(socket.into())
    };
    open().map_err(|source| BindError {
        address,
        protocol: "TCP",
        source,
    })
}

/// A UDP socket and the buffer sizes that the kernel granted.
#[derive(Debug)]
pub struct Udp {
    /// The bound socket, non-blocking.
    pub socket: UdpSocket,
    /// Granted receive buffer, in bytes.
    pub receive_buffer: usize,
    /// Granted send buffer, in bytes.
    pub send_buffer: usize,
}

/// Opens a UDP socket and asks for buffers of `wanted` bytes each; warns when the kernel grants less, because a
/// burst of datagrams beyond the buffer is lost without a trace in the process.
///
/// # Errors
/// [`BindError`] names the address and what to do.
pub fn bind_udp(address: SocketAddr, wanted: usize) -> Result<Udp, BindError> {
    let open = || {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        // Asking for too much is not an error; what was granted is read back.
        let _ = socket.set_recv_buffer_size(wanted);
        let _ = socket.set_send_buffer_size(wanted);
        socket.bind(&address.into())?;
        // Linux reports twice what it grants, for its own bookkeeping.
        let receive_buffer = socket.recv_buffer_size()? / 2;
        let send_buffer = socket.send_buffer_size()? / 2;
        Ok(Udp {
            socket: socket.into(),
            receive_buffer,
            send_buffer,
        })
    };
    let udp = open().map_err(|source| BindError {
        address,
        protocol: "UDP",
        source,
    })?;
    if udp.receive_buffer < wanted || udp.send_buffer < wanted {
        tracing::warn!(
            %address,
            wanted,
            receive = udp.receive_buffer,
            send = udp.send_buffer,
            "the kernel grants less UDP buffer than asked for; bursts may lose datagrams. \
             Raise net.core.rmem_max and net.core.wmem_max to the wanted size",
        );
    }
    Ok(udp)
}

/// What counts as one host, for every limit per address: an IPv4 address, or the /64 of an IPv6 address, which one
/// host commonly has to itself (RFC 4291, section 2.5.1). Hosts are equal where the results are.
pub fn host_of(address: IpAddr) -> IpAddr {
    // A listener for both families shows IPv4 peers as ::ffff:a.b.c.d, which would all be one /64.
    match address.to_canonical() {
        v4 @ IpAddr::V4(_) => v4,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_of_one_ipv6_network_are_one_host_and_ipv4_addresses_are_each_their_own() {
        let host = |text: &str| host_of(text.parse().unwrap());
        assert_eq!(host("2001:db8:1:2::1"), host("2001:db8:1:2:ffff::9"));
        assert_ne!(host("2001:db8:1:2::1"), host("2001:db8:1:3::1"));
        assert_ne!(host("192.0.2.1"), host("192.0.2.2"));
        assert_ne!(host("::ffff:192.0.2.1"), host("::ffff:192.0.2.2"));
        assert_eq!(host("::ffff:192.0.2.1"), host("192.0.2.1"));
    }

    #[tokio::test]
    async fn a_taken_port_is_named() {
        let first = bind_tcp(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = first.local_addr().unwrap();
        let error = bind_tcp(address).unwrap_err();
        assert!(error.is_taken());
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }

    #[test]
    fn granted_buffers_are_read_back() {
        let udp = bind_udp(SocketAddr::from(([127, 0, 0, 1], 0)), 64 * 1024).unwrap();
        assert!(udp.receive_buffer >= 64 * 1024);
    }
}
