//! The task that drives a connection over TCP.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use futures_util::FutureExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Duration, Instant, MissedTickBehavior, sleep, timeout};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};
use yamux::{ConnectionError, FrameDecodeError, Mode};

use super::socket::{Heard, Socket};
use super::{Facts, Limits, Side, State, Tcp, halves};
use crate::close::CloseCode;
use crate::connection::{Ended, ReceiveStream, SendStream};
use crate::frame::{Ping, TcpFrame};
use crate::transport::{IDLE_TIMEOUT, PING_INTERVAL};
use crate::wire::{WireError, read_frame, write_frame};

/// What yamux lets the other side send on a stream before it is read; it cannot be told to give less.
const STREAM_WINDOW: usize = 256 * 1024;

/// Echoes that may be unanswered at once: more than the idle timeout lets happen.
const ECHOES: usize = 8;

/// Frames of the first stream that may come within [`PING_INTERVAL`]: an echo and an answer, and room for more.
const FRAMES_PER_INTERVAL: u32 = 20;

/// Frames of it that may wait to be written.
const WAITING_FRAMES: usize = 8;

/// How long the last words may take.
const GOODBYE: Duration = Duration::from_secs(1);

type Yamux<S> = yamux::Connection<Compat<Socket<S>>>;

/// Makes a connection of a TLS stream whose handshake is done. Nothing moves on it but in the future beside it, which
/// ends a second at the most after the connection.
pub fn connection<S>(
    stream: S,
    side: Side,
    facts: Facts,
    limits: Limits,
) -> (Tcp, impl Future<Output = ()> + Send + use<S>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let state = Arc::new(State::new());
    let (requests, requested) = mpsc::unbounded_channel();
    // Bounded by the streams that yamux lets be open.
    let (accepted, incoming) = mpsc::unbounded_channel();
    let users = Users {
        requested,
        accepted,
        waiting: VecDeque::new(),
        may_open: limits.accepted_in_all,
    };
    let heard = Heard::now();
    let mut config = yamux::Config::default();
    // Both together let no stream's window grow.
    config
        .set_max_connection_receive_window(None)
        .set_max_num_streams(limits.open + 1)
        .set_max_connection_receive_window(Some((limits.open + 1) * STREAM_WINDOW));
    let mode = match side {
        Side::Dialled => Mode::Client,
        Side::Accepted => Mode::Server,
    };
    let yamux = yamux::Connection::new(Socket::new(stream, heard.clone()).compat(), config, mode);
    let driver = drive(yamux, side, users, heard, state.clone());
    let connection = Tcp {
        facts: Arc::new(facts),
        state,
        requests,
        incoming: Arc::new(tokio::sync::Mutex::new(incoming)),
    };
    (connection, driver)
}

async fn drive<S>(mut yamux: Yamux<S>, side: Side, mut users: Users, heard: Heard, state: Arc<State>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // Also when the task is aborted or panics.
    let _gone = state.gone.clone().drop_guard();
    let ended = tokio::select! {
        biased;
        ended = serve(&mut yamux, side, &mut users, &state) => ended,
        () = heard.silent_for(IDLE_TIMEOUT) => Ended::TimedOut,
    };
    state.end(ended);
    // Whoever waits for a stream of it is told.
    drop(users);
    let _ = timeout(GOODBYE, poll_fn(|context| yamux.poll_close(context))).await;
}

async fn serve<S>(yamux: &mut Yamux<S>, side: Side, users: &mut Users, state: &Arc<State>) -> Ended
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // A close before the first stream is there has to wait for it.
    let given_up = async {
        state.closing.cancelled().await;
        sleep(GOODBYE).await;
    };
    let first = match side {
        Side::Dialled => poll_fn(|context| yamux.poll_new_outbound(context)).await,
        Side::Accepted => tokio::select! {
            biased;
            first = poll_fn(|context| yamux.poll_next_inbound(context)) => match first {
                Some(first) => first,
                None => return without_a_word(),
            },
            () = given_up => return Ended::Here,
        },
    };
    let (mut send, receive) = match first {
        Ok(first) => {
            let (send, receive) = halves(first, state);
            (SendStream::Tcp(send), ReceiveStream::Tcp(receive))
        }
        Err(error) => return lost(error),
    };
    let echoes = Echoes::default();
    // A stream begins for the other side with its first bytes, and this is to be the first of all. Nothing is written
    // yet: it waits for the pump, and there is room.
    if side == Side::Dialled && write_frame(&mut send, &echoes.ask().encode()).await.is_err() {
        return without_a_word();
    }
    let mut talk = pin!(talk(send, receive, &echoes, state));
    tokio::select! {
        biased;
        ended = users.pump(yamux) => {
            // Its last word may have come with the end.
            talk.now_or_never().unwrap_or(ended)
        }
        ended = &mut talk => {
            if matches!(ended, Ended::Closed { .. }) {
                // Streams are written in no order, so what they said before the close may come after it. The other side
                // ends the wire behind the last of it.
                let _ = timeout(GOODBYE, users.pump(yamux)).await;
            }
            ended
        }
    }
}

/// The streams' users, and what they may do.
struct Users {
    requested: mpsc::UnboundedReceiver<oneshot::Sender<yamux::Stream>>,
    accepted: mpsc::UnboundedSender<yamux::Stream>,
    waiting: VecDeque<oneshot::Sender<yamux::Stream>>,
    /// How many streams the other side may still open.
    may_open: Option<usize>,
}

impl Users {
    /// Moves everything that there is to move. Returns with the connection's end, or with that of its users.
    async fn pump<S>(&mut self, yamux: &mut Yamux<S>) -> Ended
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        poll_fn(|context| {
            loop {
                match yamux.poll_next_inbound(context) {
                    Poll::Ready(Some(Ok(stream))) => {
                        match &mut self.may_open {
                            Some(0) => {
                                return Poll::Ready(Ended::Violation(
                                    "the other side opened too many streams".to_owned(),
                                ));
                            }
                            Some(more) => *more -= 1,
                            None => {}
                        }
                        // Nobody may be there to take it; then it is dropped, and so reset.
                        let _ = self.accepted.send(stream);
                        continue;
                    }
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(lost(error)),
                    Poll::Ready(None) => return Poll::Ready(without_a_word()),
                    Poll::Pending => {}
                }
                while let Poll::Ready(request) = self.requested.poll_recv(context) {
                    match request {
                        Some(request) => self.waiting.push_back(request),
                        None => return Poll::Ready(Ended::Here),
                    }
                }
                if self.waiting.is_empty() {
                    return Poll::Pending;
                }
                match yamux.poll_new_outbound(context) {
                    Poll::Ready(Ok(stream)) => {
                        if let Some(request) = self.waiting.pop_front() {
                            let _ = request.send(stream);
                        }
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(lost(error)),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await
    }
}

/// The first stream's conversation. Returns with a close of either side.
async fn talk(send: SendStream, receive: ReceiveStream, echoes: &Echoes, state: &State) -> Ended {
    let (say, to_say) = mpsc::channel(WAITING_FRAMES);
    let mut write = pin!(write(send, to_say));
    tokio::select! {
        biased;
        () = state.closing.cancelled() => {}
        ended = listen(receive, &say, echoes, state) => return ended,
        () = ask(&say, echoes) => {}
        () = &mut write => return std::future::pending().await,
    }
    let goodbye = state.goodbye.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some((code, reason)) = goodbye {
        let _ = say.try_send(TcpFrame::close(code as u32, &reason));
        drop(say);
        // A side that does not read cannot be told.
        let _ = timeout(GOODBYE, write).await;
    }
    Ended::Here
}

/// Returns when the other side closes.
async fn listen(mut receive: ReceiveStream, say: &mpsc::Sender<TcpFrame>, echoes: &Echoes, state: &State) -> Ended {
    let (mut interval, mut frames) = (Instant::now(), 0);
    loop {
        let frame = match read_frame(&mut receive, TcpFrame::MAX_BYTES, TcpFrame::decode).await {
            Ok(frame) => frame,
            // yamux ends streams before it tells why the connection has ended. If it has not, the other side dropped it.
            Err(WireError::End) => {
                sleep(GOODBYE).await;
                return without_a_word();
            }
            Err(error) => {
                if error.is_violation() {
                    state.close(CloseCode::Protocol, &format!("the first stream: {error}"));
                }
                // The connection's end says why.
                return std::future::pending().await;
            }
        };
        if interval.elapsed() > PING_INTERVAL {
            (interval, frames) = (Instant::now(), 0);
        }
        frames += 1;
        if frames > FRAMES_PER_INTERVAL {
            state.close(CloseCode::Protocol, "too many frames on the first stream");
            return std::future::pending().await;
        }
        match frame {
            TcpFrame::Echo(ping) => {
                let _ = say.send(TcpFrame::Echoed(ping)).await;
            }
            TcpFrame::Echoed(ping) => {
                if let Some(took) = echoes.answered(ping) {
                    state.note_round_trip(took);
                }
            }
            TcpFrame::Close(close) => {
                return Ended::Closed {
                    code: CloseCode::from_number(u64::from(close.code)),
                    reason: close.reason,
                };
            }
            TcpFrame::Unknown(_) => {}
        }
    }
}

/// Asks for echoes without end.
async fn ask(say: &mpsc::Sender<TcpFrame>, echoes: &Echoes) {
    let mut ticks = tokio::time::interval(PING_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // A full queue is written to nobody.
        if let Ok(room) = say.try_reserve() {
            room.send(echoes.ask());
        }
    }
}

/// Writes until a close is written, or the stream is lost.
async fn write(mut send: SendStream, mut frames: mpsc::Receiver<TcpFrame>) {
    while let Some(frame) = frames.recv().await {
        if write_frame(&mut send, &frame.encode()).await.is_err() || matches!(frame, TcpFrame::Close(_)) {
            return;
        }
    }
}

/// Echoes that are not answered yet.
#[derive(Debug, Default)]
struct Echoes(Mutex<(u64, BTreeMap<u64, Instant>)>);

impl Echoes {
    fn ask(&self) -> TcpFrame {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (next, sent) = &mut *guard;
        let number = *next;
        *next += 1;
        sent.insert(number, Instant::now());
        if sent.len() > ECHOES {
            sent.pop_first();
        }
        TcpFrame::Echo(Ping { number })
    }

    fn answered(&self, ping: Ping) -> Option<Duration> {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        guard.1.remove(&ping.number).map(|sent| sent.elapsed())
    }
}

impl State {
    /// As TCP itself smooths it (RFC 6298, section 2).
    fn note_round_trip(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let before = self.rtt_us.load(Ordering::Relaxed);
        let smoothed = if self.measured.swap(true, Ordering::Relaxed) {
            before - before / 8 + took / 8
        } else {
            took
        };
        self.rtt_us.store(smoothed, Ordering::Relaxed);
    }
}

fn without_a_word() -> Ended {
    Ended::Lost("the other side ended the TCP connection without a word".to_owned())
}

fn lost(error: ConnectionError) -> Ended {
    match error {
        ConnectionError::Io(error) | ConnectionError::Decode(FrameDecodeError::Io(error)) => {
            Ended::of_tls_stream(&error)
        }
        ConnectionError::Closed => without_a_word(),
        error => Ended::Violation(format!("streams over TCP: {error}")),
    }
}
