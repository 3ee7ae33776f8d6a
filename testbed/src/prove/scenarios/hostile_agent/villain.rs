//! An agent that speaks the protocol as far as it serves its ends. Its certificate is from the development PKI, as good as
//! any other agent's.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use postern_protocol::connection::{Connection, ReceiveStream, SendStream};
use postern_protocol::frame::{
    Answer, Control, DirectoryHealth, Hello, MAJOR, MAX_CONTROL_BYTES, MAX_REQUEST_BYTES, MINOR, NotStartedFrame, Pong,
    Request, VerdictFrame,
};
use postern_protocol::identity::{AgentIdentity, RealmKey};
use postern_protocol::seal::OpeningKey;
use postern_protocol::transport::{ALPN, crypto_provider, stream_limit, transport_config};
use postern_protocol::wire::{read_frame, write_frame};
use postern_protocol::{Moment, NotStarted, Verdict};
use postern_service::tls;
use quinn::Endpoint;
use quinn::crypto::rustls::QuicClientConfig;
use rand::RngCore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::cluster::{TENANT, loopback};
use crate::pki::{Pki, RELAY_SERVER_NAME};
use crate::prove::rig::Rig;

/// What it is called.
const NAME: &str = "villain";

/// As many as an honest agent has.
const SLOTS: u32 = 16;

/// The verdict that it makes up: none that an honest agent gives here, so that it is known whose it is.
pub(super) const MADE_UP: Verdict = Verdict::Rejected;

/// Sessions that it tries to have at once.
pub(super) const CROWD: u64 = 100;

/// Between two attempts to be in session. A crowd rests longer: its handshakes cost this machine as much as the relay.
const REST: Duration = Duration::from_millis(100);
const REST_OF_CROWD: Duration = Duration::from_secs(1);

/// A relay that wants to answer does so within this.
const PATIENCE: Duration = Duration::from_secs(5);

/// What it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mischief {
    /// Bytes that are no frames.
    Garbage,
    /// Verdicts for requests that it never got.
    ForeignVerdicts,
    /// Says that it begins, and nothing more.
    StartedForever,
    /// A hundred sessions, none of which does anything.
    ManySessions,
    /// A verdict at once, without asking any directory.
    InstantAnswers,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    /// Which of the sessions that it wants it has asked for, each over a connection of its own.
    pub(super) asked: BTreeSet<u64>,
    /// Sessions that the relay took.
    pub(super) sessions: Vec<Life>,
    /// The most of them at once.
    pub(super) most_at_once: u64,
    /// When each request came, from when the mischief began.
    pub(super) requests: Vec<Duration>,
    at_once: u64,
}

/// A session, from `Welcome` on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Life {
    began: Instant,
    /// When it was closed to the agent; `None` while it is open.
    ended: Option<Instant>,
}

/// The agent.
#[derive(Debug)]
pub(super) struct Villain {
    endpoint: Endpoint,
    relay: SocketAddr,
    opening_key: Vec<u8>,
    began: Mutex<Option<Instant>>,
    tally: Mutex<Tally>,
}

struct Session {
    connection: Connection,
    send: SendStream,
    receive: ReceiveStream,
}

impl Tally {
    /// How long the longest session lived. One that was never closed has lived until `now`.
    pub(super) fn longest(&self, now: Instant) -> Option<Duration> {
        let lives = self.sessions.iter();
        lives
            .map(|life| life.ended.unwrap_or(now).duration_since(life.began))
            .max()
    }

    /// Sessions that were closed to it.
    pub(super) fn closed(&self) -> usize {
        self.sessions.iter().filter(|life| life.ended.is_some()).count()
    }
}

impl Mischief {
    pub(super) const ALL: [Self; 5] = [
        Self::Garbage,
        Self::ForeignVerdicts,
        Self::StartedForever,
        Self::ManySessions,
        Self::InstantAnswers,
    ];

    /// For folders.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Garbage => "garbage",
            Self::ForeignVerdicts => "foreign-verdicts",
            Self::StartedForever => "started-for-ever",
            Self::ManySessions => "many-sessions",
            Self::InstantAnswers => "instant-answers",
        }
    }

    /// For people.
    pub(super) fn about(self) -> &'static str {
        match self {
            Self::Garbage => "sends bytes that are no frames",
            Self::ForeignVerdicts => "sends verdicts for requests that it never got",
            Self::StartedForever => "says of every request that it begins, and nothing more",
            Self::ManySessions => "wants a hundred sessions at once, and is always busy",
            Self::InstantAnswers => "answers everything at once without asking a directory",
        }
    }

    /// Sessions that it wants at once.
    fn sessions(self) -> u64 {
        match self {
            Self::ManySessions => CROWD,
            _ => 1,
        }
    }

    fn rest(self) -> Duration {
        match self {
            Self::ManySessions => REST_OF_CROWD,
            _ => REST,
        }
    }

    /// Whether it wants requests. Otherwise it says that its directory is down, so that none is lost by its end.
    pub(super) fn wants_work(self) -> bool {
        !matches!(self, Self::Garbage | Self::ForeignVerdicts)
    }
}

impl Villain {
    /// Makes its certificate and opens its socket. Nothing is sent yet.
    pub(super) fn new(rig: &Rig) -> anyhow::Result<Self> {
        let pki = Pki::open(rig.folder())?;
        let identity = AgentIdentity {
            realm: RealmKey {
                tenant: TENANT.parse()?,
                realm: rig.realm().parse()?,
            },
            name: NAME.parse()?,
        };
        let issued = pki.agent(&identity)?;
        let own = tls::load_identity(&issued.certificate, &issued.key)?;
        let mut config = rustls::ClientConfig::builder_with_provider(crypto_provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(tls::load_anchors(&pki.ca())?)
            .with_client_auth_cert(own.chain, own.key)?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        let mut client = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(config)?));
        client.transport_config(Arc::new(transport_config(stream_limit(SLOTS))));
        let mut endpoint = Endpoint::client(loopback(0))?;
        endpoint.set_default_client_config(client);
        Ok(Self {
            endpoint,
            relay: rig.relay()?.quic.parse().context("the relay's address")?,
            opening_key: OpeningKey::generate()?.public_der().to_vec(),
            began: Mutex::default(),
            tally: Mutex::default(),
        })
    }

    /// Begins; it goes on until the tasks are ended.
    pub(super) fn begin(self: Arc<Self>, mischief: Mischief, tasks: &mut JoinSet<()>) {
        *lock(&self.began) = Some(Instant::now());
        for number in 0..mischief.sessions() {
            let villain = self.clone();
            tasks.spawn(async move {
                loop {
                    // What keeps it out shows in what it asked for and what it got.
                    if let Ok(session) = villain.dial(mischief, number).await {
                        villain.live(session, mischief).await;
                    }
                    sleep(mischief.rest()).await;
                }
            });
        }
    }

    /// What came of it so far.
    pub(super) fn tally(&self) -> Tally {
        lock(&self.tally).clone()
    }

    async fn dial(&self, mischief: Mischief, number: u64) -> anyhow::Result<Session> {
        let dial = async {
            let connection = Connection::from(self.endpoint.connect(self.relay, RELAY_SERVER_NAME)?.await?);
            lock(&self.tally).asked.insert(number);
            let (mut send, mut receive) = connection.open_bi().await?;
            let mut instance = [0; 16];
            rand::rng().fill_bytes(&mut instance);
            let hello = Hello {
                major: MAJOR,
                minor: MINOR,
                software: "villain".to_owned(),
                instance,
                opening_key: self.opening_key.clone(),
                slots: SLOTS,
                directory: if mischief.wants_work() {
                    DirectoryHealth::Ready
                } else {
                    DirectoryHealth::Down
                },
                takes_over: false,
            };
            write_frame(&mut send, &Control::Hello(hello).encode()).await?;
            match read_frame(&mut receive, MAX_CONTROL_BYTES, Control::decode).await? {
                Control::Welcome(_) => Ok(Session {
                    connection,
                    send,
                    receive,
                }),
                _ => bail!("no Welcome"),
            }
        };
        timeout(PATIENCE, dial).await?
    }

    async fn live(&self, session: Session, mischief: Mischief) {
        let number = {
            let mut tally = lock(&self.tally);
            tally.sessions.push(Life {
                began: Instant::now(),
                ended: None,
            });
            tally.at_once += 1;
            tally.most_at_once = tally.most_at_once.max(tally.at_once);
            tally.sessions.len() - 1
        };
        let connection = session.connection.clone();
        tokio::select! {
            biased;
            _ = connection.closed() => {}
            () = self.misbehave(session, mischief) => {}
        }
        let mut tally = lock(&self.tally);
        tally.at_once -= 1;
        if let Some(life) = tally.sessions.get_mut(number) {
            life.ended = Some(Instant::now());
        }
    }

    /// Ends only with its connection.
    async fn misbehave(&self, session: Session, mischief: Mischief) {
        let Session {
            connection,
            mut send,
            receive,
        } = session;
        match mischief {
            Mischief::Garbage => {
                let mut bytes = [0; 1_000];
                rand::rng().fill_bytes(&mut bytes);
                // An error says that the relay has had enough, and the connection's end is near.
                while send.write_all(&bytes).await.is_ok() {}
            }
            Mischief::ForeignVerdicts => {
                let verdict = verdict().encode();
                while write_frame(&mut send, &verdict).await.is_ok() {}
            }
            Mischief::StartedForever | Mischief::ManySessions | Mischief::InstantAnswers => {
                tokio::select! {
                    biased;
                    () = answer_pings(send, receive) => {}
                    () = self.answer_requests(&connection, mischief) => {}
                }
            }
        }
        connection.closed().await;
    }

    async fn answer_requests(&self, connection: &Connection, mischief: Mischief) {
        let mut requests = JoinSet::new();
        while let Ok((send, receive)) = connection.accept_bi().await {
            while requests.try_join_next().is_some() {}
            let came = lock(&self.began).map(|began| began.elapsed()).unwrap_or_default();
            lock(&self.tally).requests.push(came);
            requests.spawn(answer(send, receive, mischief));
        }
    }
}

async fn answer(mut send: SendStream, mut receive: ReceiveStream, mischief: Mischief) {
    // What it is asked does not matter to it.
    if read_frame(&mut receive, MAX_REQUEST_BYTES, Request::decode)
        .await
        .is_err()
    {
        return;
    }
    let answer = match mischief {
        Mischief::InstantAnswers => verdict(),
        Mischief::ManySessions => Answer::NotStarted(NotStartedFrame {
            reason: NotStarted::Busy.code(),
        }),
        _ => Answer::Started,
    };
    let said = write_frame(&mut send, &answer.encode()).await;
    if mischief == Mischief::StartedForever
        && said.is_ok()
        && let SendStream::Quic(send) = send
    {
        // The stream stays open for as long as the relay wants it.
        let _ = send.stopped().await;
    }
}

/// Alive as far as anybody can tell.
async fn answer_pings(mut send: SendStream, mut receive: ReceiveStream) {
    let began = Instant::now();
    while let Ok(frame) = read_frame(&mut receive, MAX_CONTROL_BYTES, Control::decode).await {
        let Control::Ping(ping) = frame else { continue };
        let time = Moment(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX));
        let pong = Control::Pong(Pong {
            number: ping.number,
            time,
        });
        if write_frame(&mut send, &pong.encode()).await.is_err() {
            return;
        }
    }
}

fn verdict() -> Answer {
    Answer::Verdict(VerdictFrame {
        verdict: MADE_UP.code(),
        sub_code: None,
        dc: "dc-1".to_owned(),
        bind_us: 100,
        subject: None,
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whole after every statement.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_was_never_closed_counts_with_its_age() {
        let began = Instant::now();
        let after = |ms| began + Duration::from_millis(ms);
        let mut tally = Tally::default();
        assert_eq!(tally.longest(after(9_000)), None);
        for ended in [Some(after(300)), None, Some(after(200))] {
            tally.sessions.push(Life { began, ended });
        }
        assert_eq!(tally.longest(after(9_000)), Some(Duration::from_secs(9)));
        assert_eq!(tally.closed(), 2);
        tally.sessions.remove(1);
        assert_eq!(tally.longest(after(9_000)), Some(Duration::from_millis(300)));
    }
}
