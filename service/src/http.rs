//! Serving HTTP/1.1 and HTTP/2, with or without TLS: one accept loop for the sign-in API and the admin listeners.
//!
//! It owns what a router cannot see: the number of connections, the time that a client may take for a TLS handshake,
//! a request header or an answer, and an end that loses nothing: [`Phases::goodbye`] tells every client to take its next
//! request elsewhere while every connection, new or kept, is still served; [`Phases::close`] stops accepting, ends
//! what is idle and waits for the rest. A connection is only ever ended where no request can be on its way that the
//! client had no reason to send elsewhere.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, Version, header};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::shutdown::Shutdown;
use crate::threads::Threads;
use activity::Activity;
use neighbours::Neighbours;
use site::Handshaken;
pub use site::{Site, SiteTls};

mod activity;
mod answer;
mod neighbours;
mod site;

/// A TLS handshake that takes longer is a client that will not come; honest ones need a few round trips.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the accept loop rests when the process is out of descriptors: accepting at once would spin.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// What a client may have sent and nobody have read yet, per connection: a header of HTTP/1, bodies of HTTP/2. hyper's
/// own 400 KiB and 1 MiB, times thousands of connections, would be a lot of memory for strangers to fill.
const READ_BUFFER: u32 = 64 * 1024;

/// Requests at once on a connection of HTTP/2. Callers keep a few connections and lose nothing by it; what strangers can
/// have held for them is this many answers a connection.
const MAX_STREAMS: u32 = 64;

/// How a listener serves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Connections at once; more wait in the kernel's backlog.
    pub max_connections: usize,
    /// Connections at once from one address (IPv6: one /64); one more is closed at once, so that a single host cannot
    /// keep all others waiting. `None`: a quarter of `max_connections`, at least 16. Loopback is never counted: a
    /// process on this machine is a proxy, a tunnel or a test, and speaks for many.
    pub max_connections_per_address: Option<usize>,
    /// Further addresses that are not counted one by one: the proxies in front of this listener.
    pub trusted_proxies: Vec<IpAddr>,
    /// From a request's first byte (for the first request: from accepting) to the end of its header.
    pub header_timeout: Duration,
    /// A client that takes nothing of an answer for so long, or of HTTP/2 nothing of one of its answers, loses its
    /// connection. Much longer than a stalled mobile link needs to come back.
    pub answer_timeout: Duration,
    /// A kept connection without a request is closed after this. Longer than the 60 s of common load balancers, so
    /// that the client's side closes first and no request meets a closing connection.
    pub idle_timeout: Duration,
    /// Who serves the connections; `None`: the runtime that accepts them.
    pub threads: Option<Threads>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            max_connections_per_address: None,
            trusted_proxies: Vec::new(),
            header_timeout: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
            threads: None,
        }
    }
}

impl Options {
    /// What `max_connections_per_address` comes to.
    fn most_per_address(&self) -> usize {
        // It takes four hosts to fill the listener, and a browser or a small pool always fits.
        self.max_connections_per_address
            .unwrap_or_else(|| (self.max_connections / 4).max(16))
    }
}

/// The steps of an end, each a token; they are cancelled in this order.
#[derive(Debug, Clone, Default)]
pub struct Phases {
    /// Go on accepting, and answer with `Connection: close`, which also ends that connection. A kept connection of
    /// HTTP/1 stays until its next request is answered so; one of HTTP/2 gets GOAWAY, after its first request.
    pub goodbye: CancellationToken,
    /// Accept no more and end what is idle; [`serve`] returns when the last connection has ended. Implies `goodbye`.
    pub close: CancellationToken,
    /// Drop what is left.
    pub abort: CancellationToken,
}

impl Phases {
    /// Phases of a listener that serves until the process stops.
    pub fn until_stop(shutdown: &Shutdown) -> Self {
        Self {
            goodbye: shutdown.stop.clone(),
            close: shutdown.stop.clone(),
            abort: shutdown.stop.clone(),
        }
    }
}

/// Who sent a request; in every request's extensions.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The TCP peer's address. A proxy's, where there is one.
    pub address: SocketAddr,
    /// The client certificate, verified, where one was asked for and given.
    pub certificate: Option<CertificateDer<'static>>,
}

/// Serves `app` in the clear on `listener` until the phases end it. Dropping it drops every connection.
pub async fn serve(listener: TcpListener, app: Router, options: Options, phases: Phases) {
    serve_site(listener, Site::from(app).fixed(), options, phases).await;
}

/// As [`serve`], what `site` holds at each moment: a request gets the present application, a newcomer the present TLS.
/// Connections made with another TLS are told to close with their next answer, and a client certificate that they showed
/// counts only if it does now.
pub async fn serve_site(listener: TcpListener, site: watch::Receiver<Site>, options: Options, phases: Phases) {
    let slots = Arc::new(Semaphore::new(options.max_connections));
    let threads = options.threads.clone().unwrap_or_else(Threads::here);
    let neighbours = Neighbours::new(options.most_per_address(), &options.trusted_proxies);
    // Closing says goodbye to this listener's clients, not to those of another that shares the token.
    let phases = Phases {
        goodbye: phases.goodbye.child_token(),
        ..phases
    };
    let streams = TaskTracker::new();
    let mut connections = JoinSet::new();
    loop {
        // Else the set would grow with every connection there ever was.
        while connections.try_join_next().is_some() {}
        let slot = tokio::select! {
            biased;
            () = phases.close.cancelled() => break,
            slot = slots.clone().acquire_owned() => slot,
        };
        let Ok(slot) = slot else { break };
        let accepted = tokio::select! {
            biased;
            () = phases.close.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                // Out of this runtime's hands, for that of its thread.
                let Ok(stream) = stream.into_std() else { continue };
                let Some(place) = neighbours.enter(address.ip()) else {
                    tracing::debug!(%address, "closing a connection: its address holds as many as it may");
                    continue;
                };
                let (site, options, phases) = (site.clone(), options.clone(), phases.clone());
                let executor = Streams(streams.clone());
                let serving = async move {
                    let abort = phases.abort.clone();
                    tokio::select! {
                        biased;
                        () = abort.cancelled() => {}
                        () = connection(stream, address, site, options, phases, executor) => {}
                    }
                    drop((place, slot));
                };
                connections.spawn_on(serving, threads.next());
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_REST).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
    streams.close();
    streams.wait().await;
}

/// Runs the requests of HTTP/2 connections. Each ends by itself when its connection is gone; [`serve`] waits for it.
#[derive(Clone)]
struct Streams(TaskTracker);

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, stream: F) {
        self.0.spawn(stream);
    }
}

async fn connection(
    stream: std::net::TcpStream,
    address: SocketAddr,
    site: watch::Receiver<Site>,
    options: Options,
    phases: Phases,
    executor: Streams,
) {
    let Ok(stream) = TcpStream::from_std(stream) else {
        return;
    };
    // Answers are small and somebody waits for each.
    let _ = stream.set_nodelay(true);
    let tls = site.borrow().tls.as_ref().map(|tls| tls.config.clone());
    let Some(tls) = tls else {
        return requests(stream, address, Handshaken::default(), site, &options, phases, executor).await;
    };
    match timeout(HANDSHAKE_TIMEOUT, TlsAcceptor::from(tls.clone()).accept(stream)).await {
        Ok(Ok(stream)) => {
            let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
            let handshaken = Handshaken {
                tls: Some(tls),
                chain: chain
                    .iter()
                    .map(|certificate| certificate.clone().into_owned())
                    .collect(),
            };
            requests(stream, address, handshaken, site, &options, phases, executor).await;
        }
        Ok(Err(error)) => tracing::debug!(%address, %error, "TLS handshake failed"),
        Err(_) => tracing::debug!(%address, "TLS handshake took too long"),
    }
}

async fn requests<S>(
    stream: S,
    address: SocketAddr,
    handshaken: Handshaken,
    mut site: watch::Receiver<Site>,
    options: &Options,
    phases: Phases,
    executor: Streams,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = Arc::new(Activity::new(
        options.header_timeout,
        options.answer_timeout,
        options.idle_timeout,
    ));
    let service = {
        let (activity, goodbye) = (activity.clone(), phases.goodbye.clone());
        let (site, handshaken) = (site.clone(), handshaken.clone());
        hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
            let (goodbye, site) = (goodbye.clone(), site.borrow().clone());
            let peer = Peer {
                address,
                certificate: handshaken.certificate(&site),
            };
            let outdated = !handshaken.is_as_now(&site);
            let app = site.app;
            let http2 = request.version() == Version::HTTP_2;
            let guard = activity.request_begins(http2);
            async move {
                let mut request = request.map(Body::new);
                request.extensions_mut().insert(peer);
                let mut response: Response<Body> = match app.oneshot(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                };
                if http2 {
                    return Ok(response.map(|body| answer::Watched::body(body, guard.answered())));
                }
                if outdated || goodbye.is_cancelled() {
                    response
                        .headers_mut()
                        .insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                drop(guard);
                Ok::<_, Infallible>(response)
            }
        })
    };

    let mut builder = auto::Builder::new(executor);
    // The header's deadline is kept by `activity`: hyper's own also ends kept connections that are merely idle.
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_buf_size(READ_BUFFER as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .initial_connection_window_size(READ_BUFFER)
        .initial_stream_window_size(READ_BUFFER)
        .keep_alive_interval(Duration::from_secs(30));
    let connection = builder.serve_connection(
        TokioIo::new(Watched {
            stream,
            activity: activity.clone(),
        }),
        service,
    );
    tokio::pin!(connection);

    // Asking hyper for a graceful end closes an idle connection at once, so it waits for `close`, but for HTTP/2, whose
    // GOAWAY leaves time for requests that cross it. Even there a first request comes before: a client that is told
    // to go before it has asked anything would only come again.
    let mut told_to_go = false;
    let mut closing = false;
    loop {
        let parting = async {
            tokio::select! {
                () = phases.goodbye.cancelled() => {}
                () = handshaken.is_outdated(&mut site) => {}
            }
            activity.http2_request().await;
        };
        tokio::select! {
            biased;
            result = connection.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(%address, error = %error, "connection ended");
                }
                return;
            }
            () = parting, if !told_to_go => {
                told_to_go = true;
                connection.as_mut().graceful_shutdown();
            }
            () = phases.close.cancelled(), if !closing => {
                closing = true;
                phases.goodbye.cancel();
                // A request that has begun to come is still answered; its answer, or its deadline, ends the connection.
                if !activity.in_header() {
                    connection.as_mut().graceful_shutdown();
                }
            }
            () = activity.overdue() => {
                tracing::debug!(%address, "closing a connection: its client was too slow to send a request or to take an answer");
                return;
            }
        }
    }
}

/// A stream whose reads and writes are noted, so that a header that dribbles in and an answer that nobody takes have a
/// deadline.
struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S> Watched<S> {
    /// Notes whether the client takes what is written.
    fn written<T>(&self, polled: Poll<T>) -> Poll<T> {
        if polled.is_ready() {
            self.activity.write_moves();
        } else {
            self.activity.write_waits();
        }
        polled
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if polled.is_ready() && buf.filled().len() > before {
            self.activity.bytes_arrive();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.written(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.written(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.written(polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.written(polled)
    }
}
