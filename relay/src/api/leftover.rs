//! What a handler leaves of a request's body is read and thrown away before the answer is sent.
//!
//! Over HTTP/2 an answer that comes before the request's end is followed by a reset of the stream. RFC 9113, section
//! 8.1, has clients keep such an answer; many drop it, and whoever forgot its token would be told of a broken stream. An
//! HTTP/1.1 connection is closed after such an answer, which keeps it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::Version;
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use tokio::time::timeout;

use super::body::MAX_BYTES_WITH_JWE;

/// For the rest of a body that nobody asked for. What is sent with the headers is there at once; who dribbles is not waited
/// for.
const PATIENCE: Duration = Duration::from_millis(500);

/// As much as anybody's body is read.
pub(super) async fn discard(request: Request, next: Next) -> Response {
    if request.version() != Version::HTTP_2 || request.body().is_end_stream() {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let shared = Shared(Arc::new(Mutex::new(body)));
    let response = next.run(Request::from_parts(parts, Body::new(shared.clone()))).await;
    // In time or not, the answer is sent.
    let _ = timeout(PATIENCE, read(shared)).await;
    response
}

async fn read(mut body: Shared) {
    let mut left = MAX_BYTES_WITH_JWE;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        let Some(rest) = left.checked_sub(length) else { return };
        left = rest;
    }
}

/// A body that the handler may drop.
#[derive(Debug, Clone)]
struct Shared(Arc<Mutex<Body>>);

impl Shared {
    fn body(&self) -> MutexGuard<'_, Body> {
        // A body that panicked is not read on: what is made of it is thrown away.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpBody for Shared {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut *self.body()).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body().size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::http::StatusCode;
    use axum::routing::post;
    use tower::ServiceExt;

    /// Gives one frame after another and counts what was taken.
    #[derive(Clone)]
    struct Frames {
        left: usize,
        taken: Arc<Mutex<usize>>,
    }

    impl HttpBody for Frames {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            if self.left == 0 {
                return Poll::Ready(None);
            }
            self.left -= 1;
            *self.taken.lock().unwrap() += 1;
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[0; 1024])))))
        }
    }

    /// How many of so many KiB are taken when nobody asks for the body.
    async fn taken(left: usize, version: Version) -> usize {
        let refuse = |_: Request| async { StatusCode::UNAUTHORIZED };
        let router = Router::new()
            .route("/", post(refuse))
            .layer(axum::middleware::from_fn(discard));
        let taken = Arc::new(Mutex::new(0));
        let frames = Frames {
            left,
            taken: taken.clone(),
        };
        let request = Request::post("/").version(version).body(Body::new(frames)).unwrap();
        assert_eq!(
            router.oneshot(request).await.unwrap().status(),
            StatusCode::UNAUTHORIZED
        );
        *taken.lock().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_comes_delays_the_answer_by_no_more_than_a_moment() {
        struct Never;
        impl HttpBody for Never {
            type Data = Bytes;
            type Error = std::convert::Infallible;

            fn poll_frame(
                self: Pin<&mut Self>,
                _: &mut Context<'_>,
            ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
                Poll::Pending
            }
        }
        let router = Router::new()
            .route("/", post(|_: Request| async { StatusCode::UNAUTHORIZED }))
            .layer(axum::middleware::from_fn(discard));
        let request = Request::post("/")
            .version(Version::HTTP_2)
            .body(Body::new(Never))
            .unwrap();
        let began = tokio::time::Instant::now();
        assert_eq!(
            router.oneshot(request).await.unwrap().status(),
            StatusCode::UNAUTHORIZED
        );
        assert!(began.elapsed() <= PATIENCE + Duration::from_millis(10));
    }

    #[tokio::test]
    async fn over_http_2_a_body_that_nobody_asked_for_is_read_up_to_the_longest_that_anybody_may_send() {
        assert_eq!(taken(10, Version::HTTP_2).await, 10);
        assert_eq!(taken(1_000, Version::HTTP_2).await, MAX_BYTES_WITH_JWE / 1024 + 1);
        assert_eq!(taken(10, Version::HTTP_11).await, 0);
    }
}
