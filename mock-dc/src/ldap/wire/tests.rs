//! Times and ends, on a clock that jumps when everybody waits.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use tokio::io::{DuplexStream, ReadBuf, duplex};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;
use crate::domain::dialect::Dialect;
use crate::domain::fixture::settings;
use crate::faults::board::{Board, Exposure};
use crate::faults::drip::Dripping;
use crate::faults::{Faults, Switch};
use crate::journal::Next;
use crate::ldap::Controller;
use crate::ldap::rehearsal::Rehearsal;

const ANONYMOUS_BIND: &[u8] = &[0x30, 12, 2, 1, 1, 0x60, 7, 2, 1, 3, 4, 0, 0x80, 0];

/// Bytes of the answer to it.
const ANSWER: usize = 22;

/// `(objectClass=*)` at the RootDSE: its answer has more than a thousand bytes.
const ROOT_DSE: &[u8] = &[
    0x30, 37, 2, 1, 2, 0x63, 32, 4, 0, 0x0a, 1, 0, 0x0a, 1, 0, 2, 1, 0, 2, 1, 0, 1, 1, 0, 0x87, 11, b'o', b'b', b'j',
    b'e', b'c', b't', b'C', b'l', b'a', b's', b's', 0x30, 0,
];

/// An unbind request.
const UNBIND: &[u8] = &[0x30, 5, 2, 1, 3, 0x42, 0];

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

struct Served {
    client: Box<dyn Stream>,
    ended: JoinSet<Result<End, WireError>>,
    drain: CancellationToken,
}

/// Takes everything, and lets nothing out.
struct Broken(DuplexStream);

impl AsyncRead for Broken {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Broken {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Leaves for DuplexStream {
    /// It tells only whoever reads it.
    async fn gone(&self) {
        std::future::pending().await
    }
}

impl Leaves for Broken {
    async fn gone(&self) {
        std::future::pending().await
    }
}

fn controller() -> Arc<Controller> {
    let settings = settings(Dialect::Windows, Vec::new(), 1);
    Rehearsal::new(&settings).unwrap().controller()
}

/// A connection whose network holds `network` bytes in each direction.
fn serve(network: usize) -> Served {
    let (client, server) = duplex(network);
    let controller = controller();
    serve_over(Dripping::new(server, controller.exposure.clone()), client, controller)
}

fn serve_over<S>(server: S, client: impl Stream + 'static, controller: Arc<Controller>) -> Served
where
    S: Stream + Stalls + Leaves + 'static,
{
    let drain = CancellationToken::new();
    let token = drain.clone();
    let mut ended = JoinSet::new();
    ended.spawn(async move {
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let mut conversation = Conversation::new(controller, peer, false);
        converse(server, &mut conversation, &token).await
    });
    Served {
        client: Box::new(client),
        ended,
        drain,
    }
}

/// A connection whose network holds as much, in the clear or over TLS. From its handshake on these faults are in force.
async fn serve_under(faults: &str, network: usize, over_tls: bool) -> Served {
    let board = Arc::new(Board::new(1));
    let put = Faults::new(controller().world.clone(), board.clone(), Vec::new(), Vec::new(), true);
    let (client, server) = duplex(network);
    let server = Dripping::new(server, Exposure::new(board, 0));
    let served = if over_tls {
        let (connector, acceptor) = tls();
        let name = ServerName::try_from("localhost").unwrap();
        let (client, server) = tokio::join!(connector.connect(name, client), acceptor.accept(server));
        serve_over(server.unwrap(), client.unwrap(), controller())
    } else {
        serve_over(server, client, controller())
    };
    put.replace(put.read(faults.as_bytes()).unwrap()).await.unwrap();
    served
}

fn tls() -> (TlsConnector, TlsAcceptor) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let mut anchors = rustls::RootCertStore::empty();
    anchors.add(made.cert.der().clone()).unwrap();
    let provider = postern_service::tls::provider();
    let client = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(anchors)
        .with_no_client_auth();
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    (Arc::new(client).into(), Arc::new(server).into())
}

impl Served {
    async fn end(&mut self) -> Result<End, WireError> {
        self.ended.join_next().await.unwrap().unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_request_may_be_two_minutes_in_coming_whole_and_every_later_one_a_quarter_of_an_hour() {
    let began = Instant::now();
    let mut silent = serve(4096);
    assert!(matches!(silent.end().await, Err(WireError::Idle(FIRST_REQUEST))));
    assert_eq!(began.elapsed().as_secs(), 120);

    // What is not whole does not count, however often something comes.
    let began = Instant::now();
    let mut slow = serve(4096);
    tokio::task::yield_now().await;
    for byte in &ANONYMOUS_BIND[..10] {
        slow.client.write_all(&[*byte]).await.unwrap();
        tokio::time::advance(Duration::from_secs(11)).await;
    }
    assert!(matches!(slow.end().await, Err(WireError::Idle(FIRST_REQUEST))));
    assert_eq!(began.elapsed().as_secs(), 120);

    let began = Instant::now();
    let mut bound = serve(4096);
    bound.client.write_all(ANONYMOUS_BIND).await.unwrap();
    assert!(matches!(bound.end().await, Err(WireError::Idle(IDLE_LIMIT))));
    assert_eq!(began.elapsed().as_secs(), 900);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_reads_is_given_up_and_holds_little_until_then() {
    for over_tls in [false, true] {
        let mut served = serve_under("[]", 1024, over_tls).await;
        let began = Instant::now();
        let mut sent = 0;
        // It goes on asking until nobody takes any more.
        while let Ok(Ok(())) = timeout(Duration::from_secs(5), ask(&mut served, ROOT_DSE)).await {
            sent += 1;
        }
        assert!(sent < 500, "{sent} requests were taken");
        assert!(matches!(served.end().await, Err(WireError::Stalled)));
        assert_eq!(began.elapsed().as_secs(), 10);
    }
}

async fn ask(served: &mut Served, bytes: &[u8]) -> io::Result<()> {
    served.client.write_all(bytes).await?;
    served.client.flush().await
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_slowly_gets_everything() {
    let expected = 20 * one_answer().await;
    for last in [&[][..], UNBIND] {
        // Over TLS everything is handed over at once, and leaves one record after the other.
        for (over_tls, at_once) in [(false, 512), (true, 16 * 1024)] {
            let mut served = serve_under("[]", 1024, over_tls).await;
            ask(&mut served, &[&ROOT_DSE.repeat(20), last].concat()).await.unwrap();
            let mut received = 0;
            while received < expected {
                tokio::time::sleep(Duration::from_secs(8)).await;
                let read = served.client.read(&mut vec![0; at_once]).await.unwrap();
                assert!(read > 0, "cut after {received} bytes");
                received += read;
            }
            // After a goodbye nobody may be there any more.
            let _ = served.client.shutdown().await;
            assert!(matches!(served.end().await, Ok(End::Closed)));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_read_everything_late_may_be_silent_as_long_as_any_other() {
    let expected = 20 * one_answer().await;
    for over_tls in [false, true] {
        let mut served = serve_under("[]", 1024, over_tls).await;
        ask(&mut served, &ROOT_DSE.repeat(20)).await.unwrap();
        tokio::time::sleep(Duration::from_secs(8)).await;
        served.client.read_exact(&mut vec![0; expected]).await.unwrap();
        let began = Instant::now();
        assert!(matches!(served.end().await, Err(WireError::Idle(IDLE_LIMIT))));
        assert_eq!(began.elapsed().as_secs(), 900);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_fault_lets_go_little_by_little_does_not_count_as_what_the_client_does_not_read() {
    for (bytes, every) in [(1, 20), (10, 30_000)] {
        let faults = format!(r#"[{{"kind": "drip", "bytes": {bytes}, "every_ms": {every}}}]"#);
        for over_tls in [false, true] {
            let mut served = serve_under(&faults, 4096, over_tls).await;
            ask(&mut served, ANONYMOUS_BIND).await.unwrap();
            served.client.read_exact(&mut [0; ANSWER]).await.unwrap();
            let began = Instant::now();
            assert!(matches!(served.end().await, Err(WireError::Idle(IDLE_LIMIT))));
            assert_eq!(began.elapsed().as_secs(), 900);
        }
        // A goodbye loses nothing of what goes before it.
        for over_tls in [false, true] {
            let mut served = serve_under(&faults, 4096, over_tls).await;
            ask(&mut served, &[ANONYMOUS_BIND, UNBIND].concat()).await.unwrap();
            let mut answer = Vec::new();
            served.client.read_to_end(&mut answer).await.unwrap();
            assert_eq!(answer.len(), ANSWER);
            assert!(matches!(served.end().await, Ok(End::Closed)));
        }
        // A client that reads nothing is given up all the same.
        for over_tls in [false, true] {
            let mut served = serve_under(
                &format!(r#"[{{"kind": "drip", "bytes": 1000, "every_ms": {every}}}]"#),
                1024,
                over_tls,
            )
            .await;
            ask(&mut served, &ROOT_DSE.repeat(2)).await.unwrap();
            assert!(matches!(served.end().await, Err(WireError::Stalled)));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_drains_does_not_wait_for_what_a_fault_lets_go_little_by_little() {
    for request in [ANONYMOUS_BIND, &[ANONYMOUS_BIND, UNBIND].concat()] {
        for over_tls in [false, true] {
            let mut served =
                serve_under(r#"[{"kind": "drip", "bytes": 1, "every_ms": 3600000}]"#, 4096, over_tls).await;
            ask(&mut served, request).await.unwrap();
            tokio::time::sleep(Duration::from_secs(60)).await;
            let began = Instant::now();
            served.drain.cancel();
            assert!(matches!(served.end().await, Err(WireError::Unsent)));
            assert_eq!(began.elapsed().as_secs(), 10);
        }
    }
}

/// Bytes of the answer to [`ROOT_DSE`].
async fn one_answer() -> usize {
    let mut served = serve(64 * 1024);
    served.client.write_all(ROOT_DSE).await.unwrap();
    served.client.shutdown().await.unwrap();
    let mut answer = Vec::new();
    served.client.read_to_end(&mut answer).await.unwrap();
    assert!(answer.len() > 1024, "{}", answer.len());
    answer.len()
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_said_everything_is_still_answered() {
    let mut served = serve(4096);
    served.client.write_all(ANONYMOUS_BIND).await.unwrap();
    served.client.shutdown().await.unwrap();
    let mut answer = Vec::new();
    served.client.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer.first(), Some(&0x30));
    assert!(matches!(served.end().await, Ok(End::Closed)));

    let mut cut = serve(4096);
    cut.client.write_all(&ANONYMOUS_BIND[..9]).await.unwrap();
    cut.client.shutdown().await.unwrap();
    assert!(matches!(cut.end().await, Err(WireError::Frame(FrameError::Cut))));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_answered_with_a_notice_that_the_client_receives() {
    let mut served = serve(4096);
    served.client.write_all(&[0x16; 4000]).await.unwrap();
    let mut answer = Vec::new();
    served.client.read_to_end(&mut answer).await.unwrap();
    assert!(answer.ends_with(b"1.3.6.1.4.1.1466.20036"));
    assert!(matches!(served.end().await, Err(WireError::Frame(FrameError::NotLdap))));
}

#[tokio::test(start_paused = true)]
async fn draining_ends_an_idle_connection() {
    let mut served = serve(4096);
    served.drain.cancel();
    assert!(matches!(served.end().await, Ok(End::Closed)));
}

#[tokio::test(start_paused = true)]
async fn a_bind_whose_answer_could_not_be_sent_is_not_told_as_answered() {
    let (mut client, server) = duplex(4096);
    client.write_all(ANONYMOUS_BIND).await.unwrap();
    let controller = controller();
    let server = Dripping::new(Broken(server), controller.exposure.clone());
    let mut served = serve_over(server, client, controller.clone());
    assert!(matches!(served.end().await, Err(WireError::Io(_))));
    let journal = &controller.world.journal;
    let Next::Record(told) = journal.next(&mut journal.position(0), false).await else {
        panic!("the bind was decided")
    };
    assert_eq!(told.answered(), Some(false));
}

/// A controller, and its faults.
fn exposed() -> (Arc<Controller>, Faults) {
    let mut controller = Arc::into_inner(controller()).expect("nobody else has it");
    let board = Arc::new(Board::new(1));
    controller.exposure = Exposure::new(board.clone(), 0);
    let controller = Arc::new(controller);
    let world = controller.world.clone();
    let switch = Switch {
        id: controller.id,
        dc: controller.name.clone(),
        refuse: watch::Sender::new(false),
        refusing: Vec::new(),
    };
    (controller, Faults::new(world, board, vec![switch], Vec::new(), true))
}

#[tokio::test(start_paused = true)]
async fn a_reset_discards_what_faults_hold_back() {
    let (controller, faults) = exposed();
    let world = controller.world.clone();
    let slow = br#"[{"kind": "limit", "binds": 1}, {"kind": "latency", "ms": 3600000, "operations": "all"}]"#;
    faults.replace(faults.read(slow).unwrap()).await.unwrap();

    let mut clients = Vec::new();
    // The first is decided and its answer waits, the second waits for its turn, the third waits to be looked at.
    for request in [ANONYMOUS_BIND, ANONYMOUS_BIND, ROOT_DSE] {
        let (client, server) = duplex(4096);
        let server = Dripping::new(server, Exposure::new(Arc::new(Board::new(1)), 0));
        let mut served = serve_over(server, client, controller.clone());
        ask(&mut served, request).await.unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
        clients.push(served);
    }
    assert_eq!(world.journal.last(), 1);
    faults.reset().await.unwrap();
    world.reset();
    clients[0].client.read_exact(&mut [0; ANSWER]).await.unwrap();
    for client in &mut clients[1..] {
        assert!(matches!(client.end().await, Ok(End::Cut(Cut::Reset))));
    }
    assert_eq!(world.journal.last(), 0);
    // What comes from now on is of the next test.
    let again = &mut clients[0];
    ask(again, ANONYMOUS_BIND).await.unwrap();
    again.client.read_exact(&mut [0; ANSWER]).await.unwrap();
    assert_eq!(world.journal.last(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_reset_discards_what_came_behind_an_answer_that_it_lets_go_and_nothing_else_does() {
    let slow = br#"[{"kind": "latency", "ms": 3600000}]"#;
    for (resets, seconds) in [(true, 0), (true, 60), (false, 60)] {
        let (controller, faults) = exposed();
        let world = controller.world.clone();
        faults.replace(faults.read(slow).unwrap()).await.unwrap();
        let (client, server) = duplex(4096);
        let server = Dripping::new(server, Exposure::new(Arc::new(Board::new(1)), 0));
        let mut served = serve_over(server, client, controller.clone());
        ask(&mut served, ANONYMOUS_BIND).await.unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(world.journal.last(), 1);
        ask(&mut served, ANONYMOUS_BIND).await.unwrap();
        // Read already, or still on its way.
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        if resets {
            faults.reset().await.unwrap();
            world.reset();
        } else {
            faults.replace(Vec::new()).await.unwrap();
        }
        served.client.read_exact(&mut [0; ANSWER]).await.unwrap();
        if resets {
            assert!(matches!(served.end().await, Ok(End::Cut(Cut::Reset))));
            assert_eq!(world.journal.last(), 0);
        } else {
            served.client.read_exact(&mut [0; ANSWER]).await.unwrap();
            assert_eq!(world.journal.last(), 2);
        }
    }
}
