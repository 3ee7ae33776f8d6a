//! UDP between the processes: loss, delay, jitter, reordering, duplication, partitions, and a NAT that forgets.
//!
//! What happens to a datagram is decided when it is sent, by the link and one seeded generator; it is handed over by the
//! simulation when its time has come, between two ticks and in a fixed order.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use postern_protocol::transport::UDP_BUFFER;
use quinn::udp::{EcnCodepoint, RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::timeline::{Event, Timeline};

/// What one direction between two machines does to datagrams.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    /// The part that is lost.
    pub(super) loss: f64,
    /// What all take.
    pub(super) delay: Duration,
    /// What some take longer, evenly distributed.
    pub(super) jitter: Duration,
    /// Whether one that takes longer is overtaken by the next. Otherwise that waits behind it.
    pub(super) reorders: bool,
    /// The part that arrives twice.
    pub(super) duplicates: f64,
    /// Nothing arrives.
    pub(super) cut: bool,
}

impl Link {
    /// A good line within a country.
    pub(super) const GOOD: Self = Self {
        loss: 0.0,
        delay: Duration::from_millis(10),
        jitter: Duration::from_millis(2),
        reorders: false,
        duplicates: 0.0,
        cut: false,
    };

    pub(super) const CUT: Self = Self {
        cut: true,
        ..Self::GOOD
    };
}

#[derive(Debug)]
struct Datagram {
    from: SocketAddr,
    to: SocketAddr,
    ecn: Option<EcnCodepoint>,
    content: Vec<u8>,
}

#[derive(Debug, Default)]
struct Port {
    queue: VecDeque<Datagram>,
    bytes: usize,
    waker: Option<Waker>,
}

#[derive(Debug)]
struct State {
    rng: StdRng,
    ports: BTreeMap<SocketAddr, Port>,
    /// The port that each machine's next socket gets.
    next_port: BTreeMap<IpAddr, u16>,
    links: BTreeMap<(IpAddr, IpAddr), Link>,
    usual: Link,
    /// When the last one of a direction arrives.
    last: BTreeMap<(IpAddr, IpAddr), Duration>,
    /// By arrival, then in the order in which they were sent.
    on_the_way: BTreeMap<(Duration, u64), Datagram>,
    sent: u64,
    /// Sockets behind a NAT: what others see in place of their own address.
    seen_as: BTreeMap<SocketAddr, SocketAddr>,
}

/// The network. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Udp {
    state: Arc<Mutex<State>>,
    timeline: Timeline,
}

impl Udp {
    pub(super) fn new(seed: u64, usual: Link, timeline: Timeline) -> Self {
        let state = State {
            rng: StdRng::seed_from_u64(seed),
            ports: BTreeMap::new(),
            next_port: BTreeMap::new(),
            links: BTreeMap::new(),
            usual,
            last: BTreeMap::new(),
            on_the_way: BTreeMap::new(),
            sent: 0,
            seen_as: BTreeMap::new(),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            timeline,
        }
    }

    /// From now on datagrams from one machine to another go so.
    pub(super) fn set(&self, from: IpAddr, to: IpAddr, link: Link) {
        self.lock().links.insert((from, to), link);
    }

    pub(super) fn socket(&self, address: SocketAddr) -> Arc<Socket> {
        self.lock().ports.insert(address, Port::default());
        Arc::new(Socket {
            address,
            network: self.clone(),
        })
    }

    /// A socket with a port that nobody had before.
    pub(super) fn any_socket(&self, machine: IpAddr) -> Arc<Socket> {
        let address = self.lock().fresh(machine);
        self.socket(address)
    }

    /// The machine's process is gone: its sockets are closed, and what comes for them is nobody's.
    pub(super) fn close(&self, machine: IpAddr) {
        let mut state = self.lock();
        state.ports.retain(|address, _| address.ip() != machine);
        state.seen_as.retain(|inner, _| inner.ip() != machine);
    }

    /// The NAT in front of a machine forgets: its sockets are seen with other ports from now on, and nothing comes in by
    /// those before.
    pub(super) fn rebind(&self, machine: IpAddr) {
        let mut state = self.lock();
        let inner: Vec<_> = state
            .ports
            .keys()
            .filter(|port| port.ip() == machine)
            .copied()
            .collect();
        for inner in inner {
            let outer = state.fresh(machine);
            state.seen_as.insert(inner, outer);
        }
    }

    /// Hands over what has arrived by now.
    pub(super) fn deliver(&self) {
        let now = self.timeline.now();
        let mut woken = Vec::new();
        let mut state = self.lock();
        while let Some(first) = state.on_the_way.first_entry()
            && first.key().0 <= now
        {
            let datagram = first.remove();
            let to = state.inner(datagram.to);
            let Some(port) = to.and_then(|to| state.ports.get_mut(&to)) else {
                continue;
            };
            // What a socket's buffer does not hold is lost, as with the operating system's.
            if port.bytes + datagram.content.len() <= UDP_BUFFER {
                port.bytes += datagram.content.len();
                port.queue.push_back(datagram);
                woken.extend(port.waker.take());
            }
        }
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }

    fn send(&self, from: SocketAddr, transmit: &Transmit<'_>) {
        assert!(transmit.segment_size.is_none(), "one datagram at a time was promised");
        let now = self.timeline.now();
        let copies = {
            let mut state = self.lock();
            let from = state.seen_as.get(&from).copied().unwrap_or(from);
            let copies = state.copies(from, transmit.destination);
            for _ in 0..copies {
                let due = state.arrival(now, from, transmit.destination);
                state.sent += 1;
                let key = (due, state.sent);
                let datagram = Datagram {
                    from,
                    to: transmit.destination,
                    ecn: transmit.ecn,
                    content: transmit.contents.to_vec(),
                };
                state.on_the_way.insert(key, datagram);
            }
            copies
        };
        self.timeline.log(Event::Datagram {
            from,
            to: transmit.destination,
            bytes: transmit.contents.len(),
            copies,
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    fn fresh(&mut self, machine: IpAddr) -> SocketAddr {
        let port = self.next_port.entry(machine).or_insert(40_000);
        *port += 1;
        SocketAddr::new(machine, *port)
    }

    fn link(&self, from: SocketAddr, to: SocketAddr) -> Link {
        self.links.get(&(from.ip(), to.ip())).copied().unwrap_or(self.usual)
    }

    /// How many times a datagram arrives.
    fn copies(&mut self, from: SocketAddr, to: SocketAddr) -> usize {
        let link = self.link(from, to);
        let lost = self.rng.random_bool(link.loss);
        let twice = self.rng.random_bool(link.duplicates);
        if lost || link.cut { 0 } else { 1 + usize::from(twice) }
    }

    /// When one that is sent now arrives.
    fn arrival(&mut self, now: Duration, from: SocketAddr, to: SocketAddr) -> Duration {
        let link = self.link(from, to);
        let due = now + link.delay + link.jitter.mul_f64(self.rng.random());
        let last = self.last.entry((from.ip(), to.ip())).or_default();
        let due = if link.reorders { due } else { due.max(*last) };
        *last = due.max(*last);
        due
    }

    /// The socket that is seen at an address.
    fn inner(&self, outer: SocketAddr) -> Option<SocketAddr> {
        let behind = self.seen_as.iter().find(|(_, seen)| **seen == outer);
        match behind {
            Some((inner, _)) => Some(*inner),
            None if self.seen_as.contains_key(&outer) => None,
            None => Some(outer),
        }
    }
}

/// One end.
#[derive(Debug)]
pub(super) struct Socket {
    address: SocketAddr,
    network: Udp,
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(AlwaysWritable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.network.send(self.address, transmit);
        Ok(())
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.network.lock();
        let Some(port) = state.ports.get_mut(&self.address) else {
            return Poll::Pending;
        };
        let Some(datagram) = port.queue.pop_front() else {
            port.waker = Some(context.waker().clone());
            return Poll::Pending;
        };
        let length = datagram.content.len();
        port.bytes -= length;
        buffers[0][..length].copy_from_slice(&datagram.content);
        let mut told = RecvMeta::default();
        (told.addr, told.len, told.stride) = (datagram.from, length, length);
        (told.ecn, told.dst_ip) = (datagram.ecn, Some(self.address.ip()));
        meta[0] = told;
        Poll::Ready(Ok(1))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }

    fn may_fragment(&self) -> bool {
        false
    }
}

/// Sending never waits: what does not fit on a link is lost there.
#[derive(Debug)]
struct AlwaysWritable;

impl UdpPoller for AlwaysWritable {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
