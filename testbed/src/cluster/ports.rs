//! Which part listens where, and keeping those ports free until it does.
//!
//! TCP ports are kept by sockets that are bound and never listen: Linux lets a second socket with SO_REUSEADDR bind
//! and listen beside such a one, and gives the port to nobody else, neither for `bind` to port 0 nor as the source of
//! a connection. They are kept as long as the cluster lives, so a part that is restarted finds its port. UDP has no
//! such way: those ports are given up just before the relays start.

use std::io;
use std::net::UdpSocket;
use std::str::FromStr;

use anyhow::bail;
use socket2::{Domain, Protocol, Socket, Type};

use super::{Counts, loopback, numbered};

/// The first port when none is chosen: beside the 8000s and 9000s where most things of a developer listen.
pub const DEFAULT_BASE: u16 = 7000;

/// Largest counts that the layout from a base has room for.
pub const MOST: Counts = Counts {
    relays: 9,
    agents: 100,
    dcs: 50,
    users: 10_000_000,
};

/// For `--help`: the layout from a base.
pub const LAYOUT_HELP: &str = "\
Ports from a base B (7000): B the cluster's control; B+1, B+2 mock-dc's control and admin;
  B+10·i, +1, +2 relay-i's API, QUIC (UDP) and admin; B+100+2·i, +1 dc-i's LDAP and LDAPS;
  B+300+i agent-i's admin";

const SPAN: u16 = 300 + MOST.agents;

/// Where the ports come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Whatever the system has free.
    Auto,
    /// Fixed distances from this one.
    Base(u16),
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let highest = u16::MAX - SPAN;
        match text.parse() {
            Ok(base) if (1024..=highest).contains(&base) => Ok(Self::Base(base)),
            _ => Err(format!("neither \"auto\" nor a port from 1024 to {highest}")),
        }
    }
}

/// Every port of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ports {
    /// The cluster's own control.
    pub control: u16,
    /// mock-dc's own, where there is one.
    pub mock_dc: Option<MockDcPorts>,
    /// One for each relay.
    pub relays: Vec<RelayPorts>,
    /// One for each domain controller.
    pub dcs: Vec<DcPorts>,
    /// Each agent's admin listener.
    pub agents: Vec<u16>,
}

/// mock-dc's ports beside those of its domain controllers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MockDcPorts {
    /// Its control.
    pub control: u16,
    /// Its admin listener.
    pub admin: u16,
}

/// A relay's ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayPorts {
    /// Sign-in API.
    pub api: u16,
    /// For agents: UDP, and TCP.
    pub quic: u16,
    /// Admin listener.
    pub admin: u16,
}

/// A domain controller's ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DcPorts {
    /// LDAP.
    pub ldap: u16,
    /// LDAPS.
    pub ldaps: u16,
}

/// Ports that nobody else gets while this lives.
#[derive(Debug)]
pub struct Reservation {
    /// Which.
    pub ports: Ports,
    _tcp: Vec<Socket>,
    udp: Vec<UdpSocket>,
}

impl Reservation {
    /// Finds and keeps the ports of a cluster.
    ///
    /// # Errors
    /// Names every port that is taken, what it is for, and what to do.
    pub fn new(counts: Counts, choice: Choice) -> anyhow::Result<Self> {
        let (mut tcp, mut udp, mut problems) = (Vec::new(), Vec::new(), Vec::new());
        let ports = layout(counts, |need| {
            let wanted = match choice {
                Choice::Auto => 0,
                Choice::Base(base) => base + need.offset,
            };
            let kept = match need.protocol {
                Transport::Tcp => keep_tcp(wanted).map(|(socket, port)| {
                    tcp.push(socket);
                    port
                }),
                Transport::Both => keep_both(wanted).map(|(tcp_socket, udp_socket, port)| {
                    tcp.push(tcp_socket);
                    udp.push(udp_socket);
                    port
                }),
            };
            kept.unwrap_or_else(|error| {
                problems.push(need.problem(wanted, &error));
                wanted
            })
        });
        if !problems.is_empty() {
            bail!(
                "ports that the cluster needs are not free:\n  {}\nStop what has them (`ss -lntup` shows it), or choose \
                 others: `--ports 8000`, or `--ports auto` for whatever is free",
                problems.join("\n  ")
            );
        }
        Ok(Self { ports, _tcp: tcp, udp })
    }

    /// Gives up the UDP ports, for the relays that are about to bind them.
    pub fn release_udp(&mut self) {
        self.udp.clear();
    }

    /// Whether somebody took a UDP port after it was given up.
    pub fn udp_was_lost(&self) -> bool {
        let quic = self.ports.relays.iter().map(|relay| relay.quic);
        quic.into_iter().any(|port| keep_udp(port).is_err())
    }
}

#[derive(Clone, Copy)]
enum Transport {
    Tcp,
    /// UDP, and TCP with the same number.
    Both,
}

/// How often a port is looked for that is free for both.
const TRIES: u32 = 16;

/// A port that the cluster needs: how far from the base, and what for.
struct Need {
    offset: u16,
    protocol: Transport,
    owner: String,
    purpose: &'static str,
}

impl Need {
    fn problem(&self, port: u16, error: &io::Error) -> String {
        let what = match error.kind() {
            io::ErrorKind::AddrInUse => "taken by another process".to_owned(),
            _ => error.to_string(),
        };
        let protocol = match self.protocol {
            Transport::Tcp => "TCP",
            Transport::Both => "UDP and TCP",
        };
        let (address, owner, purpose) = (loopback(port), &self.owner, self.purpose);
        format!("{address} ({protocol}), for {owner}'s {purpose}: {what}")
    }
}

/// Where everything listens. `port` turns each need into a port.
fn layout(counts: Counts, mut port: impl FnMut(Need) -> u16) -> Ports {
    let mut need = |offset, protocol, owner: &str, purpose| {
        port(Need {
            offset,
            protocol,
            owner: owner.to_owned(),
            purpose,
        })
    };
    let name = |kind, number: u16| numbered(kind, usize::from(number) - 1);
    Ports {
        control: need(0, Transport::Tcp, "the cluster", "control"),
        mock_dc: (counts.dcs > 0).then(|| MockDcPorts {
            control: need(1, Transport::Tcp, "mock-dc", "control"),
            admin: need(2, Transport::Tcp, "mock-dc", "admin listener"),
        }),
        relays: (1..=counts.relays)
            .map(|i| (i, name("relay", i)))
            .map(|(i, relay)| RelayPorts {
                api: need(10 * i, Transport::Tcp, &relay, "sign-in API"),
                quic: need(10 * i + 1, Transport::Both, &relay, "listener for agents"),
                admin: need(10 * i + 2, Transport::Tcp, &relay, "admin listener"),
            })
            .collect(),
        dcs: (1..=counts.dcs)
            .map(|i| (i, name("dc", i)))
            .map(|(i, dc)| DcPorts {
                ldap: need(100 + 2 * i, Transport::Tcp, &dc, "LDAP"),
                ldaps: need(100 + 2 * i + 1, Transport::Tcp, &dc, "LDAPS"),
            })
            .collect(),
        agents: (1..=counts.agents)
            .map(|i| need(300 + i, Transport::Tcp, &name("agent", i), "admin listener"))
            .collect(),
    }
}

fn keep_tcp(port: u16) -> io::Result<(Socket, u16)> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&loopback(port).into())?;
    let port = socket.local_addr()?.as_socket().map_or(port, |address| address.port());
    Ok((socket, port))
}

/// What is free for one may be taken for the other; where any port will do, another is tried.
fn keep_both(port: u16) -> io::Result<(Socket, UdpSocket, u16)> {
    let mut tries = 0;
    loop {
        let (udp, found) = keep_udp(port)?;
        match keep_tcp(found) {
            Ok((tcp, found)) => return Ok((tcp, udp, found)),
            Err(_) if port == 0 && tries < TRIES => tries += 1,
            Err(error) => return Err(error),
        }
    }
}

fn keep_udp(port: u16) -> io::Result<(UdpSocket, u16)> {
    let socket = UdpSocket::bind(loopback(port))?;
    let port = socket.local_addr()?.port();
    Ok((socket, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::net::TcpListener;

    const SMALL: Counts = Counts {
        relays: 2,
        agents: 3,
        dcs: 2,
        users: 0,
    };

    #[test]
    fn no_port_is_given_out_twice_even_in_the_largest_cluster_from_the_highest_base() {
        let base = u16::MAX - SPAN;
        let (mut given, mut count) = (BTreeSet::new(), 0);
        layout(MOST, |need| {
            count += 1;
            given.insert(base + need.offset);
            base + need.offset
        });
        assert_eq!(given.len(), count);
        assert!(matches!(base.to_string().parse(), Ok(Choice::Base(_))));
        assert!((u32::from(base) + 1).to_string().parse::<Choice>().is_err());
    }

    #[test]
    fn a_port_from_the_system_is_kept_for_who_listens_again_and_again() {
        let mut reservation = Reservation::new(SMALL, Choice::Auto).unwrap();
        reservation.release_udp();
        let api = reservation.ports.relays[0].api;
        for _restart in 0..2 {
            let listener = TcpListener::bind(loopback(api)).unwrap();
            std::net::TcpStream::connect(loopback(api)).unwrap();
            drop(listener);
        }
        assert!(!reservation.udp_was_lost());
    }

    #[test]
    fn every_taken_port_is_named_with_what_it_is_for() {
        // Listeners of another process, at two places where the layout needs them.
        let (base, _tcp, _udp) = std::iter::repeat_with(|| {
            let tcp = TcpListener::bind(loopback(0)).unwrap();
            let base = tcp.local_addr().unwrap().port() - 10;
            let udp = UdpSocket::bind(loopback(base + 11));
            (base, tcp, udp)
        })
        .find(|(base, _, udp)| udp.is_ok() && matches!(base.to_string().parse(), Ok(Choice::Base(_))))
        .unwrap();
        let error = Reservation::new(SMALL, Choice::Base(base)).unwrap_err().to_string();
        for line in [
            format!("127.0.0.1:{} (TCP), for relay-1's sign-in API: taken", base + 10),
            format!(
                "127.0.0.1:{} (UDP and TCP), for relay-1's listener for agents: taken",
                base + 11
            ),
            "--ports auto".to_owned(),
        ] {
            assert!(error.contains(&line), "{line} is not in: {error}");
        }
    }
}
