//! A minimal relay: accepts agents, exchanges greetings, keeps time, sends sign-ins.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use postern_protocol::close::CloseCode;
use postern_protocol::connection::tcp::{self, Facts, Limits, Side};
use postern_protocol::connection::{Connection, ReceiveStream, SendStream};
use postern_protocol::frame::{
    Answer, Control, DirectoryHealth, Hello, MAJOR, MAX_ANSWER_BYTES, MAX_CONTROL_BYTES, MINOR, Ping, Pong, Probed,
    Request, Welcome,
};
use postern_protocol::seal::{AuthenticatedData, ContentKey, SealingKey};
use postern_protocol::transport::{ALPN, crypto_provider, stream_limit, transport_config};
use postern_protocol::wire::{read_frame, write_frame};
use postern_protocol::{Moment, NotStarted, Password, RequestId, Verdict};
use quinn::Endpoint;
use quinn::crypto::rustls::QuicServerConfig;
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, OnceCell, mpsc};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;
use zeroize::Zeroizing;

use crate::pki::Issued;

/// What a relay is given to say in its `Welcome`.
#[derive(Clone)]
pub(crate) struct Greeting {
    pub(crate) major: u16,
    pub(crate) minor: u16,
    pub(crate) instance: [u8; 16],
    pub(crate) replicas: Vec<String>,
}

impl Default for Greeting {
    fn default() -> Self {
        Self {
            major: MAJOR,
            minor: MINOR,
            instance: [1; 16],
            replicas: Vec::new(),
        }
    }
}

pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    /// None while no UDP passes.
    endpoint: OnceCell<Endpoint>,
    /// What came over UDP meanwhile waits in here.
    blocked: std::sync::Mutex<Option<UdpSocket>>,
    server: quinn::ServerConfig,
    tcp: Option<TcpListener>,
    tls: TlsAcceptor,
    drivers: TaskTracker,
}

impl Relay {
    /// Over QUIC alone.
    pub(crate) fn start(issued: &Issued, anchors: RootCertStore) -> Self {
        let relay = Self::start_blocked(issued, anchors, false);
        relay.let_udp_pass();
        relay
    }

    /// Nothing that comes over UDP is heard yet; with `tcp` there is a listener beside it.
    pub(crate) fn start_blocked(issued: &Issued, anchors: RootCertStore, tcp: bool) -> Self {
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(anchors), crypto_provider())
            .build()
            .unwrap();
        let mut tls = rustls::ServerConfig::builder_with_provider(crypto_provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![issued.certificate.clone()], issued.key.clone_key())
            .unwrap();
        tls.alpn_protocols = vec![ALPN.to_vec()];
        let tls = Arc::new(tls);
        let mut server = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls.clone()).unwrap()));
        server.transport_config(Arc::new(transport_config(stream_limit(2))));
        // A number that is free for both, which the first may not be.
        let (udp, listener) = std::iter::repeat_with(|| UdpSocket::bind("127.0.0.1:0").unwrap())
            .take(16)
            .find_map(|udp| {
                let listener = std::net::TcpListener::bind(udp.local_addr().unwrap()).ok()?;
                listener.set_nonblocking(true).unwrap();
                Some((udp, TcpListener::from_std(listener).unwrap()))
            })
            .unwrap();
        Self {
            address: udp.local_addr().unwrap(),
            endpoint: OnceCell::new(),
            blocked: std::sync::Mutex::new(Some(udp)),
            server,
            tcp: tcp.then_some(listener),
            tls: TlsAcceptor::from(tls),
            drivers: TaskTracker::new(),
        }
    }

    /// From now on, and what has come already.
    pub(crate) fn let_udp_pass(&self) {
        let udp = self.blocked.lock().unwrap().take().unwrap();
        let (config, server) = (quinn::EndpointConfig::default(), self.server.clone());
        let endpoint = Endpoint::new(config, Some(server), udp, Arc::new(quinn::TokioRuntime)).unwrap();
        self.endpoint.set(endpoint).unwrap();
    }

    /// The next connection over TCP whose handshake succeeds.
    pub(crate) async fn connection_over_tcp(&self) -> Connection {
        loop {
            let (stream, remote) = self.tcp.as_ref().unwrap().accept().await.unwrap();
            let Ok(stream) = self.tls.accept(stream).await else {
                continue;
            };
            let facts = Facts {
                local: None,
                remote,
                chain: Vec::new(),
            };
            let limits = Limits {
                open: 64,
                accepted_in_all: Some(1),
            };
            let (connection, driver) = tcp::connection(stream, Side::Accepted, facts, limits);
            self.drivers.spawn(driver);
            return Connection::Tcp(connection);
        }
    }

    /// The next connection whose handshake succeeds.
    pub(crate) async fn connection(&self) -> Connection {
        loop {
            let incoming = self.endpoint.get().unwrap().accept().await.unwrap();
            if let Ok(connection) = incoming.await {
                return connection.into();
            }
        }
    }

    /// Shows itself to everybody who only looks, with a wall clock that is so much ahead of this machine's.
    pub(crate) async fn show(&self, ahead: Duration) {
        loop {
            Self::show_to(self.connection().await, ahead).await;
        }
    }

    /// As [`Self::show`], over TCP.
    pub(crate) async fn show_over_tcp(&self) {
        loop {
            Self::show_to(self.connection_over_tcp().await, Duration::ZERO).await;
        }
    }

    async fn show_to(connection: Connection, ahead: Duration) {
        // Whoever does not like the certificate asks nothing.
        let Ok((mut send, mut recv)) = connection.accept_bi().await else {
            return;
        };
        let probe = read_frame(&mut recv, MAX_CONTROL_BYTES, Control::decode).await.unwrap();
        assert!(matches!(probe, Control::Probe(_)), "{probe:?}");
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + ahead;
        let probed = Control::Probed(Probed {
            major: MAJOR,
            minor: MINOR,
            software: "test".to_owned(),
            unix_ms: u64::try_from(clock.as_millis()).unwrap(),
        });
        write_frame(&mut send, &probed.encode()).await.unwrap();
        connection.closed().await;
    }

    /// Refuses everybody, for this reason.
    pub(crate) async fn refuse(&self, code: CloseCode) {
        loop {
            self.connection().await.close(code, "not you");
        }
    }

    /// The next agent, greeted.
    pub(crate) async fn agent(&self, greeting: Greeting) -> Agent {
        Self::greet(self.connection().await, greeting).await
    }

    /// The agent at the other end of `connection`.
    pub(crate) async fn greet(connection: Connection, greeting: Greeting) -> Agent {
        let (mut send, mut recv) = connection.accept_bi().await.unwrap();
        let hello = read_frame(&mut recv, MAX_CONTROL_BYTES, Control::decode).await.unwrap();
        let Control::Hello(hello) = hello else {
            panic!("not a Hello: {hello:?}")
        };
        let welcome = Control::Welcome(Welcome {
            major: greeting.major,
            minor: greeting.minor,
            software: "test".to_owned(),
            instance: greeting.instance,
            replicas: greeting.replicas,
            ping_interval_ms: 100,
        });
        write_frame(&mut send, &welcome.encode()).await.unwrap();
        let (send, clock) = (Arc::new(Mutex::new(send)), Clock::default());
        let (tell, frames) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(read_control(recv, send.clone(), clock.clone(), tell));
        Agent {
            connection,
            hello,
            frames,
            send,
            clock,
            _tasks: tasks,
        }
    }
}

async fn read_control(
    mut recv: ReceiveStream,
    send: Arc<Mutex<SendStream>>,
    clock: Clock,
    tell: mpsc::UnboundedSender<Control>,
) {
    while let Ok(frame) = read_frame(&mut recv, MAX_CONTROL_BYTES, Control::decode).await {
        if let Control::Ping(ping) = &frame {
            let pong = Control::Pong(Pong {
                number: ping.number,
                time: clock.now(),
            });
            let _ = write_frame(&mut *send.lock().await, &pong.encode()).await;
            clock.answered.fetch_add(1, Ordering::SeqCst);
        }
        if tell.send(frame).is_err() {
            return;
        }
    }
}

/// The relay's clock, far from the agent's.
#[derive(Clone)]
pub(crate) struct Clock {
    origin: Instant,
    answered: Arc<AtomicU64>,
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            origin: Instant::now(),
            answered: Arc::default(),
        }
    }
}

impl Clock {
    pub(crate) fn now(&self) -> Moment {
        Moment(7_000_000_000) + self.origin.elapsed()
    }
}

/// An agent in session.
pub(crate) struct Agent {
    pub(crate) connection: Connection,
    pub(crate) hello: Hello,
    frames: mpsc::UnboundedReceiver<Control>,
    send: Arc<Mutex<SendStream>>,
    pub(crate) clock: Clock,
    _tasks: JoinSet<()>,
}

impl Agent {
    pub(crate) async fn send(&self, frame: Control) {
        write_frame(&mut *self.send.lock().await, &frame.encode())
            .await
            .unwrap();
    }

    /// The next control frame that `wanted` picks.
    pub(crate) async fn next<T>(&mut self, mut wanted: impl FnMut(Control) -> Option<T>) -> T {
        loop {
            let frame = self.frames.recv().await.expect("the agent's control stream has ended");
            if let Some(found) = wanted(frame) {
                return found;
            }
        }
    }

    /// Until the agent has read everything that was sent on the control stream.
    pub(crate) async fn barrier(&mut self, number: u64) {
        self.send(Control::Ping(Ping { number })).await;
        self.next(|frame| matches!(frame, Control::Pong(pong) if pong.number == number).then_some(()))
            .await;
    }

    /// Until the agent knows our time and its directory has `slots` for us.
    pub(crate) async fn until_ready(&mut self, slots: u32) {
        let ready = |slots_now: u32, directory| slots_now >= slots && directory == DirectoryHealth::Ready;
        if !ready(self.hello.slots, self.hello.directory) {
            self.next(|frame| {
                matches!(frame, Control::Status(status) if ready(status.slots, status.directory)).then_some(())
            })
            .await;
        }
        while self.clock.answered.load(Ordering::SeqCst) == 0 {
            self.next(|frame| matches!(frame, Control::Ping(_)).then_some(())).await;
        }
        self.barrier(u64::MAX).await;
    }

    /// A sign-in that the relay sealed, with two seconds to start.
    pub(crate) fn request(&self, id: u8, user: &str, password: &str) -> Request {
        let data = self.data(id, user);
        let key = SealingKey::from_der(&self.hello.opening_key).unwrap();
        let content = ContentKey::generate().unwrap();
        let password = Password::new(Zeroizing::new(password.to_owned())).unwrap();
        let sealed = content.seal(&password, &data.to_base64()).unwrap();
        Request {
            request_id: data.request_id,
            tenant: data.tenant,
            realm: data.realm,
            user: data.user,
            expires_unix_ms: data.expires_unix_ms,
            start_by: self.clock.now() + Duration::from_secs(2),
            kid: key.kid().to_owned(),
            encrypted_key: key.wrap(&content).unwrap(),
            iv: sealed.iv,
            ciphertext: sealed.ciphertext,
            tag: sealed.tag,
            client_sealed: None,
            alternate_id: false,
            avoid_dc: None,
        }
    }

    pub(crate) fn data(&self, id: u8, user: &str) -> AuthenticatedData {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        AuthenticatedData {
            expires_unix_ms: u64::try_from(unix.as_millis()).unwrap() + 4_000,
            realm: "corp.example.com".to_owned(),
            request_id: RequestId([id; 16]),
            tenant: "acme".to_owned(),
            user: user.to_owned(),
        }
    }

    /// For sign-ins that go on while this agent is listened to.
    pub(crate) fn line(&self) -> Line {
        Line {
            connection: self.connection.clone(),
            clock: self.clock.clone(),
        }
    }

    /// As [`Line::sign_in`].
    pub(crate) async fn sign_in(&self, request: &Request) -> Outcome {
        self.line().sign_in(request).await
    }

    /// As [`Agent::sign_in`] for a user name and a password.
    pub(crate) async fn ask(&self, id: u8, user: &str, password: &str) -> Outcome {
        self.sign_in(&self.request(id, user, password)).await
    }
}

/// A way to send sign-ins to an agent.
pub(crate) struct Line {
    connection: Connection,
    clock: Clock,
}

impl Line {
    /// Sends a request and reads to the last answer. On a machine so busy that the agent stood still it says
    /// `no_clock`, rightly; then it is asked again.
    pub(crate) async fn sign_in(&self, request: &Request) -> Outcome {
        let mut request = request.clone();
        let in_time = request.start_by > self.clock.now();
        loop {
            let outcome = self.once(&request).await;
            let no_clock = matches!(
                &outcome.answer,
                Answer::NotStarted(frame) if NotStarted::from_code(frame.reason) == NotStarted::NoClock
            );
            if !no_clock {
                return outcome;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            if in_time {
                request.start_by = self.clock.now() + Duration::from_secs(2);
            }
        }
    }

    async fn once(&self, request: &Request) -> Outcome {
        let (mut send, mut recv) = self.connection.open_bi().await.unwrap();
        write_frame(&mut send, &request.encode()).await.unwrap();
        let mut started = false;
        loop {
            match read_frame(&mut recv, MAX_ANSWER_BYTES, Answer::decode).await.unwrap() {
                Answer::Started => started = true,
                answer => return Outcome { started, answer },
            }
        }
    }
}

/// The answers to one request.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) started: bool,
    pub(crate) answer: Answer,
}

impl Outcome {
    /// Whether a bind was made, that the agent knows of.
    pub(crate) fn bound(&self) -> bool {
        matches!(self.answer, Answer::Verdict(_) | Answer::Failed(_))
    }

    /// (verdict, sub-code, domain controller) of an answer that must be a verdict.
    pub(crate) fn verdict(&self) -> (Verdict, Option<u32>, &str) {
        match &self.answer {
            Answer::Verdict(frame) => (Verdict::from_code(frame.verdict), frame.sub_code, &frame.dc),
            _ => panic!("no verdict: {self:?}"),
        }
    }

    /// The reason of an answer that must be `NotStarted`, without `Started` before.
    pub(crate) fn not_started(&self) -> NotStarted {
        match &self.answer {
            Answer::NotStarted(frame) if !self.started => NotStarted::from_code(frame.reason),
            _ => panic!("not NotStarted: {self:?}"),
        }
    }

    /// The key `account_only` of an answer that must be a failure, as it came.
    pub(crate) fn account_only(&self) -> Option<bool> {
        match &self.answer {
            Answer::Failed(frame) => frame.account_only,
            _ => panic!("not Failed: {self:?}"),
        }
    }

    /// (indeterminate, domain controller) of an answer that must be a failure.
    pub(crate) fn failed(&self) -> (bool, &str) {
        match &self.answer {
            Answer::Failed(frame) => (frame.indeterminate, &frame.dc),
            _ => panic!("not Failed: {self:?}"),
        }
    }
}
