//! Kept connections of HTTP/1.1: as many as there are sign-ins at once, and none is made while one is idle.
//!
//! A connection has no task of its own. Whoever waits for an answer on it drives it meanwhile, which saves two changes of
//! task for each sign-in. While it is idle nobody does, so that an end in between is looked for before the next request.

use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Mutex;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper_util::rt::TokioIo;

use super::dial::{Place, Stream};
use super::http::{Answer, LONGEST_ANSWER};
use crate::record::Broken;
use crate::sync::lock;

/// The kept connections to one target.
pub(super) struct Connections {
    place: Place,
    /// The one used last is used next, so that those above what is needed grow old.
    idle: Mutex<Vec<Line>>,
}

impl Connections {
    pub(super) fn new(place: Place) -> Self {
        Self {
            place,
            idle: Mutex::default(),
        }
    }

    /// Opens one more, and keeps it.
    pub(super) async fn open(&self) -> anyhow::Result<()> {
        let line = Line::open(&self.place).await?;
        lock(&self.idle).push(line);
        Ok(())
    }

    /// Sends a request once: what may have reached the target is not sent again.
    pub(super) async fn send(&self, mut request: Request<Full<Bytes>>) -> Result<Answer, Broken> {
        // A kept connection may have been closed by the target meanwhile. Each that was is gone from the idle ones, so
        // this ends.
        loop {
            let idle = lock(&self.idle).pop();
            let is_new = idle.is_none();
            let mut line = match idle {
                Some(mut line) => {
                    if !line.is_open().await {
                        continue;
                    }
                    line
                }
                None => Line::open(&self.place).await.map_err(|_| Broken::Connection)?,
            };
            match line.exchange(request).await {
                Ok(answer) => {
                    if line.connection.is_some() {
                        lock(&self.idle).push(line);
                    }
                    return Ok(answer);
                }
                Err(Some(unsent)) if !is_new => request = unsent,
                Err(_) => return Err(Broken::Connection),
            }
        }
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Connections({} idle to {})",
            lock(&self.idle).len(),
            self.place.target
        )
    }
}

/// One connection.
struct Line {
    sender: SendRequest<Full<Bytes>>,
    /// `None` when it has ended.
    connection: Option<Box<Connection<TokioIo<Stream>, Full<Bytes>>>>,
}

impl Line {
    async fn open(place: &Place) -> anyhow::Result<Self> {
        let stream = place.dial().await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        Ok(Self {
            sender,
            connection: Some(Box::new(connection)),
        })
    }

    /// A request and its answer. An error holds the request if nothing of it was sent.
    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, Option<Request<Full<Bytes>>>> {
        let response = self.sender.try_send_request(request);
        let response = self.drive(response).await.map_err(|mut error| error.take_message())?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LONGEST_ANSWER).collect();
        let body = self.drive(body).await.map_err(|_| None)?;
        Ok((status, body.to_bytes()))
    }

    /// Waits for what comes of the connection, and keeps that going.
    async fn drive<F: Future>(&mut self, awaited: F) -> F::Output {
        let mut awaited = pin!(awaited);
        poll_fn(|context| {
            self.go_on(context);
            awaited.as_mut().poll(context)
        })
        .await
    }

    /// Whether it has not ended, as far as is known by now.
    async fn is_open(&mut self) -> bool {
        poll_fn(|context| {
            self.go_on(context);
            Poll::Ready(self.connection.is_some())
        })
        .await
    }

    fn go_on(&mut self, context: &mut Context<'_>) {
        if let Some(connection) = &mut self.connection
            && Pin::new(connection).poll(context).is_ready()
        {
            self.connection = None;
        }
    }
}
