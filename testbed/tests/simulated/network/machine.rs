//! The machine that an agent of the simulation runs on.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use postern_agent::chance::Chance;
use postern_agent::clock::{Clock, Time};
use postern_agent::machine::{KeyMaker, Machine};
use postern_agent::network::{Connected, Network, NoStream, Place};
use postern_agent::workshop::Workshop;
use postern_protocol::Moment;
use postern_protocol::seal::{CryptoFailure, OpeningKey};
use quinn::{Endpoint, EndpointConfig, TokioRuntime, TransportConfig};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::directory::Arrival;
use super::pki::AGENTS;
use super::plan::{Control, agent};
use super::udp::{Socket, Udp};

/// A stream's buffer in either direction: as many bytes as a kernel would take, roughly.
const STREAM: usize = 64 * 1024;

/// Opening keys of all agents' processes. Made once: that takes longer than many a simulation.
static KEYS: LazyLock<Vec<OpeningKey>> =
    LazyLock::new(|| (0..AGENTS * LIVES).map(|_| OpeningKey::generate().unwrap()).collect());

/// How often an agent may be started with a key that it did not have before.
const LIVES: usize = 4;

/// A machine for the `life`-th process of agent number `number`, within the process that is entered.
pub(super) fn machine(
    (number, life): (usize, usize),
    seed: u64,
    unix_ms: u64,
    control: Control,
    udp: Udp,
    directory: mpsc::UnboundedSender<Arrival>,
) -> Machine {
    let chance = Chance::seeded(seed);
    let key = KEYS[number * LIVES + life % LIVES].clone();
    Machine {
        clock: Clock::new(Local {
            origin: Instant::now(),
            unix_ms,
            // Nobody's clock agrees with another's: it shows another time, and runs faster or slower.
            shows: Duration::from_secs(1_000 + seed % 100_000),
            ppm: i32::try_from(seed % 201).unwrap() - 100,
        }),
        chance,
        network: Arc::new(Here {
            address: agent(number),
            seed,
            control,
            udp,
            directory,
            next_port: AtomicU16::new(50_000),
        }),
        workshop: Workshop::InPlace,
        key_maker: Arc::new(Prepared(key)),
    }
}

#[derive(Debug)]
struct Prepared(OpeningKey);

impl KeyMaker for Prepared {
    fn make(&self) -> Result<OpeningKey, CryptoFailure> {
        Ok(self.0.clone())
    }
}

/// An endpoint that does the same again for the same seed.
pub(super) fn endpoint(socket: Arc<Socket>, server: Option<quinn::ServerConfig>, seed: u64) -> Endpoint {
    let mut config = EndpointConfig::default();
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    config.rng_seed(Some(bytes));
    Endpoint::new_with_abstract_socket(config, server, socket, Arc::new(TokioRuntime)).unwrap()
}

/// A clock that follows its process's time.
#[derive(Debug)]
struct Local {
    origin: Instant,
    unix_ms: u64,
    shows: Duration,
    ppm: i32,
}

impl Time for Local {
    fn now(&self) -> Moment {
        let elapsed = self.origin.elapsed();
        Moment(0) + self.shows + elapsed.mul_f64(1.0 + f64::from(self.ppm) * 1e-6)
    }

    fn unix_ms(&self) -> u64 {
        self.unix_ms + u64::try_from(self.origin.elapsed().as_millis()).unwrap()
    }
}

#[derive(Debug)]
struct Here {
    address: IpAddr,
    seed: u64,
    control: Control,
    udp: Udp,
    directory: mpsc::UnboundedSender<Arrival>,
    next_port: AtomicU16,
}

impl Network for Here {
    fn endpoint(&self, _peer: IpAddr) -> Result<Endpoint, String> {
        Ok(endpoint(self.udp.any_socket(self.address), None, self.seed))
    }

    fn transport(&self, streams: u32) -> TransportConfig {
        self.control.transport(streams)
    }

    fn connect<'a>(
        &'a self,
        _place: Place<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<Connected, NoStream>> + Send + 'a>> {
        Box::pin(async {
            let (ours, theirs) = tokio::io::duplex(STREAM);
            let arrival = Arrival {
                stream: theirs,
                agent: self.address,
            };
            let taken = self.directory.send(arrival);
            taken.map_err(|_| NoStream::Connect("there is no directory".to_owned()))?;
            let port = self.next_port.fetch_add(1, Ordering::Relaxed);
            Ok(Connected {
                stream: Box::new(ours),
                local: SocketAddr::new(self.address, port),
            })
        })
    }
}
