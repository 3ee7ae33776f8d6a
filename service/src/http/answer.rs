//! An answer of HTTP/2 whose client must take it.
//!
//! An HTTP/2 client says how much it will take. hyper holds an answer until then, for as long as the connection lives;
//! one that takes nothing, on all the streams that it may open, would have the server keep many answers at once. So an
//! answer's body tells [`Activity`](super::activity::Activity) whenever a part of it goes, and the connection is closed
//! when none does for too long. (HTTP/1.1 has no such windows: there the socket tells.)

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use hyper::body::{Frame, SizeHint};

use super::activity::AnswerGuard;

/// Parts of an answer, at most: an HTTP/2 frame as every client takes it. A client that takes one part in time is
/// slow, not stuck.
const PART: usize = 16 * 1024;

/// A body that goes in parts, and tells when it moves and when it is gone.
pub(super) struct Watched {
    body: Body,
    rest: Bytes,
    began: bool,
    guard: AnswerGuard,
}

impl Watched {
    /// Watches `body` until it is sent or dropped. It must not wait for anything but its client.
    pub(super) fn body(body: Body, guard: AnswerGuard) -> Body {
        Body::new(Self {
            body,
            rest: Bytes::new(),
            began: false,
            guard,
        })
    }

    /// The next part. The last byte is one of its own: hyper lets a part go, and forgets it, once the client takes one
    /// byte of it, and only asks for the next one when all of it was taken.
    fn part(&mut self) -> Bytes {
        let length = match self.rest.len() {
            0 | 1 => self.rest.len(),
            more => PART.min(more - 1),
        };
        self.rest.split_to(length)
    }
}

impl hyper::body::Body for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.guard.moves();
        self.began = true;
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                other => return Poll::Ready(other),
            }
        }
        Poll::Ready(Some(Ok(Frame::data(self.part()))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // hyper asks before the first part only, for the length of the whole.
        if self.began {
            SizeHint::default()
        } else {
            self.body.size_hint()
        }
    }
}
