//! A few connections of HTTP/2, which many requests share.
//!
//! Each has a task of its own, which belongs to the set here and ends with it. One that has ended is replaced when the
//! next request finds no other.

use std::fmt;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

use super::dial::Place;
use super::http::{Answer, LONGEST_ANSWER};
use crate::record::Broken;
use crate::sync::lock;

/// Requests at once on a connection before another is opened: as many as a relay serves. What is beyond would wait in here.
const STREAMS: usize = 64;

/// The shared connections to one target.
pub(super) struct Connections {
    place: Place,
    lines: Mutex<Vec<Line>>,
    /// One is opened at a time: whoever waits meanwhile finds that one.
    opening: tokio::sync::Mutex<()>,
    /// What drives each connection.
    tasks: Mutex<JoinSet<()>>,
    streams: Streams,
}

/// One connection.
#[derive(Clone)]
struct Line {
    sender: SendRequest<Full<Bytes>>,
    /// Each request under way holds a clone.
    under_way: Arc<()>,
}

impl Line {
    fn streams(&self) -> usize {
        Arc::strong_count(&self.under_way) - 1
    }
}

impl Connections {
    pub(super) fn new(place: Place) -> Self {
        Self {
            place,
            lines: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
            tasks: Mutex::default(),
            streams: Streams(TaskTracker::new()),
        }
    }

    /// Opens one more, and keeps it.
    pub(super) async fn open(&self) -> anyhow::Result<()> {
        self.connect().await.map(drop)
    }

    /// Sends a request once: what may have reached the target is not sent again.
    pub(super) async fn send(&self, mut request: Request<Full<Bytes>>) -> Result<Answer, Broken> {
        // A connection that gives a request back has ended, and is not found again: this ends.
        loop {
            let (mut line, is_new) = self.take().await?;
            match line.sender.try_send_request(request).await {
                Ok(response) => {
                    let status = response.status();
                    let body = Limited::new(response.into_body(), LONGEST_ANSWER).collect().await;
                    let body = body.map_err(|_| Broken::Connection)?;
                    return Ok((status, body.to_bytes()));
                }
                Err(mut error) => match error.take_message() {
                    Some(unsent) if !is_new => request = unsent,
                    _ => return Err(Broken::Connection),
                },
            }
        }
    }

    /// The connection with the fewest requests, or a new one where each has enough.
    async fn take(&self) -> Result<(Line, bool), Broken> {
        if let Some(line) = self.best() {
            return Ok((line, false));
        }
        let _opening = self.opening.lock().await;
        match self.best() {
            Some(line) => Ok((line, false)),
            None => Ok((self.connect().await.map_err(|_| Broken::Connection)?, true)),
        }
    }

    fn best(&self) -> Option<Line> {
        let mut lines = lock(&self.lines);
        lines.retain(|line| !line.sender.is_closed());
        let free = lines.iter().filter(|line| line.streams() < STREAMS);
        free.min_by_key(|line| line.streams()).cloned()
    }

    async fn connect(&self) -> anyhow::Result<Line> {
        let stream = self.place.dial().await?;
        let (sender, connection) = http2::handshake(self.streams.clone(), TokioIo::new(stream)).await?;
        {
            let mut tasks = lock(&self.tasks);
            while tasks.try_join_next().is_some() {}
            tasks.spawn(async move {
                // Whoever waits for an answer on it learns of its end.
                let _ = connection.await;
            });
        }
        let line = Line {
            sender,
            under_way: Arc::default(),
        };
        lock(&self.lines).push(line.clone());
        Ok(line)
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connections({} to {})", lock(&self.lines).len(), self.place.target)
    }
}

/// Runs what belongs to single requests. Each ends by itself when its connection is gone.
#[derive(Clone)]
struct Streams(TaskTracker);

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, request: F) {
        self.0.spawn(request);
    }
}
