//! The sockets of one link: what an agent sends goes to the relay, and what the relay answers goes back.
//!
//! One task owns both directions. Each source port of the agent has a socket of its own towards the relay, so that the
//! relay sees one port for each, and a new one when the agent comes with a new one.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use postern_protocol::transport::UDP_BUFFER;
use postern_service::net::bind_udp;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Settings;
use super::line::{Line, Lots};

/// The longest datagram that UDP over IPv4 can carry.
const LONGEST: usize = 65_507;

/// Source ports of one agent at once: it has one, and a new one after each start. The one that was silent for longest
/// makes room.
const MOST_WAYS: usize = 16;

/// Datagrams from the relay that may wait to be looked at; more are lost, as they are in a socket's full buffer.
const INCOMING: usize = 4_096;

/// Datagrams that are taken from the agent before anything else is looked at.
const BATCH: usize = 64;

/// A link's proxy, before it runs.
pub(super) struct Proxy {
    front: Socket,
    address: SocketAddr,
    relay: SocketAddr,
    changes: watch::Receiver<Settings>,
}

/// A socket that is waited for only to read. What is sent goes to the kernel at once, or is lost where its buffer is full:
/// a new socket of the runtime's would refuse to send until it has been found writable.
struct Socket {
    read: UdpSocket,
    write: std::net::UdpSocket,
}

/// One source port of the agent.
struct Way {
    agent: SocketAddr,
    /// Connected to the relay.
    back: std::net::UdpSocket,
    /// Its place in the order in which ways were heard.
    heard: u64,
    /// Reads `back`; ends when this is dropped.
    _reader: JoinSet<()>,
}

/// A datagram from the relay, and the agent's port that it is for.
type FromRelay = (SocketAddr, Vec<u8>);

struct Running {
    proxy: Proxy,
    began: Instant,
    chance: SmallRng,
    to_relay: Line<SocketAddr>,
    to_agent: Line<SocketAddr>,
    ways: Vec<Way>,
    heard: u64,
    from_relay: mpsc::Sender<FromRelay>,
}

impl Socket {
    fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let write = bind_udp(address, UDP_BUFFER)?.socket;
        let read = UdpSocket::from_std(write.try_clone()?)?;
        Ok(Self { read, write })
    }
}

impl Proxy {
    /// Listens on `front` for an agent, and brings what it sends to `relay`.
    pub(super) fn open(
        front: SocketAddr,
        relay: SocketAddr,
        changes: watch::Receiver<Settings>,
    ) -> anyhow::Result<Self> {
        let front = Socket::open(front)?;
        Ok(Self {
            address: front.read.local_addr()?,
            front,
            relay,
            changes,
        })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Carries datagrams until nobody can change its settings any more.
    pub(super) async fn run(self) {
        let (sender, mut from_relay) = mpsc::channel(INCOMING);
        let settings = *self.changes.borrow();
        let mut running = Running {
            proxy: self,
            began: Instant::now(),
            chance: SmallRng::from_os_rng(),
            to_relay: Line::new(settings),
            to_agent: Line::new(settings),
            ways: Vec::new(),
            heard: 0,
            from_relay: sender,
        };
        let mut buffer = vec![0; LONGEST];
        loop {
            let next = running.next_timeout();
            tokio::select! {
                biased;
                changed = running.proxy.changes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    running.settings_changed();
                }
                () = sleep_until(next) => {}
                Some((agent, datagram)) = from_relay.recv() => running.answered(agent, datagram),
                readable = running.proxy.front.read.readable() => if readable.is_ok() {
                    running.read_front(&mut buffer);
                },
            }
            running.send_due();
        }
    }
}

impl Running {
    fn settings_changed(&mut self) {
        let settings = *self.proxy.changes.borrow_and_update();
        self.to_relay.handle_settings(settings);
        self.to_agent.handle_settings(settings);
    }

    fn read_front(&mut self, buffer: &mut [u8]) {
        for _ in 0..BATCH {
            // Errors are those of datagrams sent before (nobody listens there), or there is nothing more to read.
            let Ok((length, agent)) = self.proxy.front.read.try_recv_from(buffer) else {
                return;
            };
            let Some(datagram) = buffer.get(..length) else { return };
            let (now, lots) = (self.now(), self.lots());
            self.to_relay.handle_datagram(now, datagram.to_vec(), agent, lots);
        }
    }

    fn answered(&mut self, agent: SocketAddr, datagram: Vec<u8>) {
        let (now, lots) = (self.now(), self.lots());
        self.to_agent.handle_datagram(now, datagram, agent, lots);
    }

    fn send_due(&mut self) {
        let now = self.now();
        // A socket whose buffer is full loses datagrams, and so do these.
        while let Some((datagram, agent)) = self.to_relay.poll_due(now) {
            if let Ok(way) = self.way_of(agent) {
                let _ = way.back.send(&datagram);
            }
        }
        while let Some((datagram, agent)) = self.to_agent.poll_due(now) {
            let _ = self.proxy.front.write.send_to(&datagram, agent);
        }
    }

    /// The way of this source port of the agent.
    fn way_of(&mut self, agent: SocketAddr) -> io::Result<&Way> {
        self.heard += 1;
        let index = match self.ways.iter().position(|way| way.agent == agent) {
            Some(index) => index,
            None => self.open_way(agent)?,
        };
        let way = self.ways.get_mut(index).ok_or(io::ErrorKind::NotFound)?;
        way.heard = self.heard;
        Ok(way)
    }

    fn open_way(&mut self, agent: SocketAddr) -> io::Result<usize> {
        if self.ways.len() >= MOST_WAYS {
            let silent = self.ways.iter().enumerate().min_by_key(|(_, way)| way.heard);
            if let Some((index, _)) = silent {
                self.ways.swap_remove(index);
            }
        }
        let back = Socket::open(crate::cluster::loopback(0)).map_err(io::Error::other)?;
        back.write.connect(self.proxy.relay)?;
        let mut reader = JoinSet::new();
        reader.spawn(read_back(back.read, agent, self.from_relay.clone()));
        self.ways.push(Way {
            agent,
            back: back.write,
            heard: self.heard,
            _reader: reader,
        });
        Ok(self.ways.len() - 1)
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn lots(&mut self) -> Lots {
        Lots {
            loss: self.chance.random(),
            delay: self.chance.random(),
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        let next = [self.to_relay.next_timeout(), self.to_agent.next_timeout()];
        let next = next.into_iter().flatten().min()?;
        Some(self.began + next)
    }
}

async fn read_back(back: UdpSocket, agent: SocketAddr, from_relay: mpsc::Sender<FromRelay>) {
    let mut buffer = vec![0; LONGEST];
    loop {
        // An error says that the relay is not there at present (ICMP); it may be again.
        if let Ok(length) = back.recv(&mut buffer).await
            && let Some(datagram) = buffer.get(..length)
            && let Err(mpsc::error::TrySendError::Closed(_)) = from_relay.try_send((agent, datagram.to_vec()))
        {
            return;
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::loopback;
    use tokio::time::timeout;

    /// For what takes a fraction of a millisecond; it is no measure of speed.
    const PATIENCE: Duration = Duration::from_secs(20);

    struct Fixture {
        relay: UdpSocket,
        address: SocketAddr,
        _settings: watch::Sender<Settings>,
        _task: JoinSet<()>,
    }

    async fn fixture() -> Fixture {
        let relay = UdpSocket::bind(loopback(0)).await.unwrap();
        let (settings, changes) = watch::channel(Settings::default());
        let proxy = Proxy::open(loopback(0), relay.local_addr().unwrap(), changes).unwrap();
        let address = proxy.address();
        let mut task = JoinSet::new();
        task.spawn(proxy.run());
        Fixture {
            relay,
            address,
            _settings: settings,
            _task: task,
        }
    }

    async fn agent(fixture: &Fixture) -> UdpSocket {
        let agent = UdpSocket::bind(loopback(0)).await.unwrap();
        agent.connect(fixture.address).await.unwrap();
        agent
    }

    async fn heard(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
        let mut buffer = [0; 64];
        let (length, from) = timeout(PATIENCE, socket.recv_from(&mut buffer)).await.unwrap().unwrap();
        (buffer[..length].to_vec(), from)
    }

    #[tokio::test]
    async fn each_source_port_of_an_agent_is_one_port_to_the_relay_and_answers_find_back() {
        let fixture = fixture().await;
        let (old, new) = (agent(&fixture).await, agent(&fixture).await);
        let mut seen = Vec::new();
        for (agent, text) in [(&old, b"a1"), (&new, b"b1"), (&old, b"a2")] {
            agent.send(text).await.unwrap();
            let (datagram, from) = heard(&fixture.relay).await;
            assert_eq!(datagram, text);
            fixture.relay.send_to(text, from).await.unwrap();
            assert_eq!(heard(agent).await.0, text);
            seen.push(from);
        }
        assert_eq!(seen[0], seen[2]);
        assert_ne!(seen[0], seen[1]);
    }
}
