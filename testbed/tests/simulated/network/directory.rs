//! The directory: mock-dc's own domain and conversation, over streams in memory. Its journal is the truth about binds.

use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use postern_mock_dc::RawFile;
use postern_mock_dc::journal::Next;
use postern_mock_dc::ldap::rehearsal::{Line, Rehearsal};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::timeline::{Event, Timeline};

/// Users of the domain: as many as any test signs in, each once.
const USERS: usize = 20_000;

/// What a bind takes: 5 ± 2 ms.
const BIND: (Duration, Duration) = (Duration::from_millis(3), Duration::from_millis(7));

pub(super) fn name(user: usize) -> String {
    format!("user{user:06}@corp.example.com")
}

pub(super) fn password(user: usize) -> String {
    format!("Postern-{user:06}")
}

/// A connection that an agent has opened.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) stream: DuplexStream,
    pub(super) agent: IpAddr,
}

#[derive(Debug)]
pub(super) struct Directory {
    domain: Rehearsal,
    rng: Mutex<StdRng>,
    timeline: Timeline,
}

impl Directory {
    pub(super) fn new(seed: u64, timeline: Timeline) -> Arc<Self> {
        let text = format!(
            r#"
            domain = {{ name = "corp.example.com", netbios = "CORP" }}
            control = {{ listen = "127.0.0.1:0" }}
            dcs = [{{ name = "dc-1", ldap = "127.0.0.1:0" }}]
            generated = {{ count = {USERS}, password = "Postern-{{n}}" }}
            "#
        );
        let config = postern_service::config::parse::<RawFile>(&text, Path::new("(text)"), Path::new("/"), []);
        let config = config.unwrap_or_else(|error| panic!("{error}"));
        Arc::new(Self {
            domain: Rehearsal::new(&config.domain).unwrap(),
            rng: Mutex::new(StdRng::seed_from_u64(seed)),
            timeline,
        })
    }

    /// Serves those who connect.
    pub(super) async fn serve(self: Arc<Self>, mut arrivals: mpsc::UnboundedReceiver<Arrival>) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                Some(ended) = connections.join_next(), if !connections.is_empty() => ended.unwrap(),
                Some(arrival) = arrivals.recv() => {
                    connections.spawn(self.clone().converse(arrival));
                }
                else => return,
            }
        }
    }

    async fn converse(self: Arc<Self>, Arrival { mut stream, agent }: Arrival) {
        let mut line = self.domain.connect(true);
        let mut buffer = vec![0; 4_096];
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            let (answers, bound) = self.hear(&mut line, agent, &buffer[..read]).await;
            if bound {
                let took = self.rng.lock().unwrap().random_range(BIND.0..=BIND.1);
                tokio::time::sleep(took).await;
            }
            if stream.write_all(&answers).await.is_err() || line.is_over() {
                return;
            }
        }
    }

    /// What is answered, and whether a password was checked for it.
    async fn hear(&self, line: &mut Line, agent: IpAddr, bytes: &[u8]) -> (Vec<u8>, bool) {
        let journal = &self.domain.world().journal;
        let mut position = journal.position(journal.last());
        let answers = line.say(bytes);
        let mut bound = false;
        while let Next::Record(record) = journal.next(&mut position, false).await {
            let digits: String = record.bind.name.chars().filter(char::is_ascii_digit).collect();
            let user = digits
                .parse()
                .unwrap_or_else(|_| panic!("a bind of {}", record.bind.name));
            self.timeline.log(Event::Bind { agent, user });
            bound = true;
        }
        (answers, bound)
    }
}
