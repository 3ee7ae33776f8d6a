//! A server with a gate to hold answers back, and clients that see every byte.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use postern_service::http::{Options, Phases, Site, SiteTls, serve_site};
use postern_service::net::bind_tcp;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

pub(crate) const GET: &str = "GET / HTTP/1.1\r\nhost: test\r\n\r\n";
pub(crate) const GET_HELD: &str = "GET /held HTTP/1.1\r\nhost: test\r\n\r\n";

/// More than any kernel takes for a client that does not read.
pub(crate) const LARGE: usize = 64 * 1024 * 1024;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) phases: Phases,
    /// One permit for each request to `/held` that the server has begun to answer.
    pub(crate) begun: Arc<Semaphore>,
    /// Each permit lets one such answer go.
    pub(crate) release: Arc<Semaphore>,
    running: JoinSet<()>,
}

impl Server {
    pub(crate) fn start(options: Options) -> Self {
        Self::start_with_tls(options, None)
    }

    pub(crate) fn start_with_tls(options: Options, tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let (begun, release) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let held = {
            let (begun, release) = (begun.clone(), release.clone());
            move || async move {
                begun.add_permits(1);
                release.acquire().await.expect("a gate").forget();
                "held"
            }
        };
        let app = Router::new()
            .route("/", get(|| async { "hello" }))
            .route("/large", get(|| async { vec![b'x'; LARGE] }))
            .route("/held", get(held));
        let listener = bind_tcp(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a listener");
        let address = listener.local_addr().expect("its address");
        let phases = Phases::default();
        let mut running = JoinSet::new();
        let tls = tls.map(|config| SiteTls { config, clients: None });
        let site = Site { app, tls }.fixed();
        running.spawn(serve_site(listener, site, options, phases.clone()));
        Self {
            address,
            phases,
            begun,
            release,
            running,
        }
    }

    pub(crate) async fn connect(&self) -> Client<TcpStream> {
        Client(TcpStream::connect(self.address).await.expect("a connection"))
    }

    /// Returns when the server has seen all that clients did before this call.
    pub(crate) async fn settle(&self) {
        let mut client = self.connect().await;
        client.send(GET).await;
        assert_eq!(client.answer().await.body, "hello");
    }

    pub(crate) async fn holds_one(&self) {
        self.begun.acquire().await.expect("a gate").forget();
    }

    /// Returns when `serve` has.
    pub(crate) async fn ended(mut self) {
        self.running.join_next().await.expect("a task").expect("no panic");
    }
}

/// An answer of HTTP/1.1.
pub(crate) struct Answer {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn says_close(&self) -> bool {
        self.head.contains("connection: close\r\n")
    }
}

pub(crate) struct Client<S>(pub(crate) S);

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.expect("an open connection");
    }

    pub(crate) async fn answer(&mut self) -> Answer {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.expect("an answer"));
        }
        let head = String::from_utf8(head).expect("a head in ASCII").to_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse().expect("a length"));
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.expect("a whole body");
        Answer {
            head,
            body: String::from_utf8(body).expect("a body in ASCII"),
        }
    }

    /// Waits for the end of the connection; a byte before it fails the test.
    pub(crate) async fn sees_the_end(&mut self) {
        match self.0.read_u8().await {
            Ok(byte) => panic!("a byte {byte:#x} instead of the end"),
            Err(_ended) => {}
        }
    }
}

/// Just enough of HTTP/2 (RFC 9113) to see when GOAWAY comes: whole frames, header blocks never looked into.
pub(crate) mod http2 {
    use super::{AsyncReadExt, Client, TcpStream};

    pub(crate) const HEADERS: u8 = 1;
    const SETTINGS: u8 = 4;
    pub(crate) const GOAWAY: u8 = 7;
    const INITIAL_WINDOW_SIZE: u8 = 4;
    const END_STREAM: u8 = 1;
    const END_HEADERS: u8 = 4;

    pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        frame
    }

    pub(crate) fn preface() -> Vec<u8> {
        preface_with(&[])
    }

    /// The preface of a client that takes so many bytes of each answer before it says more.
    pub(crate) fn preface_taking(window: u32) -> Vec<u8> {
        preface_with(&[&[0, INITIAL_WINDOW_SIZE], &window.to_be_bytes()[..]].concat())
    }

    fn preface_with(settings: &[u8]) -> Vec<u8> {
        [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            frame(SETTINGS, 0, 0, settings),
        ]
        .concat()
    }

    /// GET over http, in HPACK (RFC 7541, appendix A): two indexed fields, literal path and authority.
    pub(crate) fn get(stream: u32, path: &str) -> Vec<u8> {
        let length = u8::try_from(path.len()).expect("a short path");
        let fields = [b"\x82\x86\x44", &[length][..], path.as_bytes(), b"\x41\x04test"].concat();
        frame(HEADERS, END_STREAM | END_HEADERS, stream, &fields)
    }

    impl Client<TcpStream> {
        /// Reads frames until one of `kinds` comes, and tells which.
        pub(crate) async fn frame_of(&mut self, kinds: &[u8]) -> u8 {
            loop {
                let mut head = [0; 9];
                self.0.read_exact(&mut head).await.expect("a frame's head");
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
                let mut payload = vec![0; usize::try_from(length).expect("a length")];
                self.0.read_exact(&mut payload).await.expect("a frame's payload");
                if kinds.contains(&head[3]) {
                    return head[3];
                }
            }
        }

        /// The kinds of the frames that have come, without waiting for more.
        pub(crate) fn frames_so_far(&mut self) -> Vec<u8> {
            let mut bytes = vec![0; 4096];
            let length = self.0.try_read(&mut bytes).expect("the server's settings at least");
            let (mut rest, mut kinds) = (&bytes[..length], Vec::new());
            while let [a, b, c, kind, ..] = *rest {
                let payload = u32::from_be_bytes([0, a, b, c]);
                rest = &rest[9 + usize::try_from(payload).expect("a length")..];
                kinds.push(kind);
            }
            kinds
        }
    }
}
