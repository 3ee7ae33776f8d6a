//! One link: dials the relay, is in session as an agent is, and answers success to every sign-in without opening it.
//!
//! What the relay sees is an agent: its greeting, its pings, the answers to the relay's, streams that end with their last
//! frame. What is behind a session of a real agent (the fence, the directory, draining) is not here. An agent looks every
//! 50 ms whether it is time for a ping, so its pings may be so much further apart.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use postern_protocol::close::CloseCode;
use postern_protocol::connection::{Connection, Ended, ReceiveStream, SendStream};
use postern_protocol::frame::{
    Answer, Control, MAX_CONTROL_BYTES, MAX_REQUEST_BYTES, Ping, Pong, Request, VerdictFrame,
};
use postern_protocol::wire::{WireError, read_frame, write_frame, write_last_frame};
use postern_protocol::{Moment, Verdict};
use quinn::Endpoint;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::board::Board;
use super::identities::Identities;
use crate::pki::RELAY_SERVER_NAME;

/// Dials under way at once. A relay takes 512 handshakes of one address, and asks for proof of it from 256 on.
const DIALS: usize = 64;

/// From a link's end or a dial that failed to the next dial.
const REST: Duration = Duration::from_secs(1);

/// Handshake and greeting. A relay gives each of them five seconds.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// As an agent's: the first pings, which tell it the relay's time, and how far apart they are.
const BURST: u64 = 3;
const BURST_INTERVAL: Duration = Duration::from_millis(50);

/// As an agent's: a stream on which no request comes is given up.
const READ_TIMEOUT: Duration = Duration::from_secs(2);

/// As an agent's: answers to pings that may wait to be written.
const PONGS: usize = 256;

/// What all links share.
pub(super) struct Shared {
    endpoint: Endpoint,
    relay: SocketAddr,
    identities: Identities,
    board: Arc<Board>,
    dials: Semaphore,
    /// From which the links' clocks count.
    began: Instant,
}

/// A link that is in session.
struct Session {
    connection: Connection,
    send: SendStream,
    receive: ReceiveStream,
    ping_interval: Duration,
}

impl Shared {
    pub(super) fn new(endpoint: Endpoint, relay: SocketAddr, identities: Identities, board: Arc<Board>) -> Self {
        Self {
            endpoint,
            relay,
            identities,
            board,
            dials: Semaphore::new(DIALS),
            began: Instant::now(),
        }
    }

    /// Keeps one link up. Ends only with its task.
    pub(super) async fn keep(self: Arc<Self>, number: u32) {
        loop {
            match Box::pin(self.dial(number)).await {
                Ok(session) => {
                    let joined = self.board.join(number, session.connection.clone());
                    let end = Box::pin(self.serve(session)).await;
                    drop(joined);
                    self.board.lost(end.to_string());
                }
                Err(error) => self.board.failed(format!("{error:#}")),
            }
            sleep(REST).await;
        }
    }

    /// Says goodbye to the relay on every link, and ends their tasks.
    pub(super) async fn close(&self, mut links: JoinSet<()>, patience: Duration) {
        // Before the tasks end, whose connections would close without a word of why.
        self.endpoint
            .close(CloseCode::Stopping.to_varint(), b"the links' process ends");
        links.shutdown().await;
        // Who has not heard it by then notices that nothing comes any more.
        let _ = timeout(patience, self.endpoint.wait_idle()).await;
    }

    async fn dial(&self, number: u32) -> anyhow::Result<Session> {
        let _dial = self.dials.acquire().await?;
        let client = self.identities.client(number)?;
        let dial = async {
            let connection = self
                .endpoint
                .connect_with(client, self.relay, RELAY_SERVER_NAME)?
                .await
                .map_err(Ended::from)?;
            let connection = Connection::from(connection);
            match self.greet(number, &connection).await {
                Ok(session) => Ok(session),
                // The close that comes with a refusal says why; a stream says only that it has ended.
                Err(error) => match timeout(REST, connection.closed()).await {
                    Ok(end) => Err(end.into()),
                    Err(_) => Err(error),
                },
            }
        };
        timeout(DIAL_TIMEOUT, dial)
            .await
            .context("no session within ten seconds")?
    }

    async fn greet(&self, number: u32, connection: &Connection) -> anyhow::Result<Session> {
        let (mut send, mut receive) = connection.open_bi().await?;
        let hello = Control::Hello(self.identities.hello(number));
        write_frame(&mut send, &hello.encode()).await?;
        match read_frame(&mut receive, MAX_CONTROL_BYTES, Control::decode).await? {
            Control::Welcome(welcome) => Ok(Session {
                connection: connection.clone(),
                send,
                receive,
                ping_interval: Duration::from_millis(u64::from(welcome.ping_interval_ms)),
            }),
            _ => bail!("the relay's first frame is not Welcome"),
        }
    }

    /// Until the connection's end, and why that was.
    async fn serve(&self, session: Session) -> Ended {
        let Session {
            connection,
            send,
            receive,
            ping_interval,
        } = session;
        let (pongs, to_answer) = mpsc::channel(PONGS);
        tokio::select! {
            biased;
            () = read_control(receive, pongs) => {}
            _ = self.write_control(send, to_answer, ping_interval) => {}
            () = self.answer_sign_ins(&connection) => {}
        }
        // The streams end before the connection does, and it knows why. A relay that ended them alone is left.
        let closed = timeout(REST, connection.closed()).await;
        closed.unwrap_or_else(|_| {
            connection.close(CloseCode::Done, "");
            Ended::Here
        })
    }

    async fn write_control(
        &self,
        mut send: SendStream,
        mut pings: mpsc::Receiver<Ping>,
        interval: Duration,
    ) -> Result<(), WireError> {
        let mut number = 0;
        let mut next = Instant::now();
        loop {
            let frame = tokio::select! {
                biased;
                ping = pings.recv() => match ping {
                    Some(ping) => Control::Pong(Pong {
                        number: ping.number,
                        time: self.now(),
                    }),
                    None => return Ok(()),
                },
                () = sleep_until(next) => {
                    let ping = Ping { number };
                    number += 1;
                    next = Instant::now() + if number < BURST { BURST_INTERVAL } else { interval };
                    Control::Ping(ping)
                }
            };
            write_frame(&mut send, &frame.encode()).await?;
        }
    }

    /// Ends with the connection.
    async fn answer_sign_ins(&self, connection: &Connection) {
        let mut sign_ins = JoinSet::new();
        while let Ok(streams) = connection.accept_bi().await {
            while sign_ins.try_join_next().is_some() {}
            let board = self.board.clone();
            sign_ins.spawn(async move {
                // A stream without a request is counted nowhere, and neither is an answer that cannot be sent.
                if answer(streams).await.is_ok() {
                    board.answered();
                }
            });
        }
    }

    fn now(&self) -> Moment {
        Moment(u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX))
    }
}

/// Hands the relay's pings on. Ends with the stream, or when they are not answered.
async fn read_control(mut receive: ReceiveStream, pings: mpsc::Sender<Ping>) {
    while let Ok(frame) = read_frame(&mut receive, MAX_CONTROL_BYTES, Control::decode).await {
        if let Control::Ping(ping) = frame
            && pings.try_send(ping).is_err()
        {
            return;
        }
    }
}

async fn answer((mut send, mut receive): (SendStream, ReceiveStream)) -> anyhow::Result<()> {
    let request = read_frame(&mut receive, MAX_REQUEST_BYTES, Request::decode);
    timeout(READ_TIMEOUT, request).await??;
    receive.take_end();
    // As long as a real agent's.
    let verdict = Answer::Verdict(VerdictFrame {
        verdict: Verdict::Success.code(),
        sub_code: None,
        dc: "dc-1".to_owned(),
        bind_us: 5_000,
        subject: None,
    });
    Ok(write_last_frame(&mut send, &verdict.encode()).await?)
}
