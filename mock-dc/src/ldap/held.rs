//! What faults hold back of a connection: a request that is not taken yet, or an answer that is not given yet. One at a
//! time: as long as there is one, no other request is begun.
//!
//! A bind first waits for its turn, is then decided and recorded, and then its answer waits. Whatever else is slow waits
//! before it is begun: nobody can tell that from an answer that waits.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use zeroize::Zeroizing;

use super::message::{Operation, Request};
use super::outbox::Outbox;
use super::session::Then;
use crate::faults::board::{Delayed, Exposure, HeldSince, Over};
use crate::faults::engine;
use crate::faults::gate::Pass;

/// Something that waits, and then is due.
pub(crate) enum Held {
    /// A request that may not begin yet.
    Request {
        message: Zeroizing<Vec<u8>>,
        since: HeldSince,
        wait: Pin<Box<dyn Future<Output = Option<Pass>> + Send>>,
    },
    /// An answer that is late.
    Answer {
        late: Late,
        wait: Pin<Box<dyn Future<Output = Over> + Send>>,
    },
    /// What waited long enough.
    Due(Due),
}

/// What waited long enough.
#[derive(Debug)]
pub(crate) enum Due {
    /// A whole message, since when it was held back, and its place among the binds at once if it is one.
    Request(Zeroizing<Vec<u8>>, HeldSince, Option<Pass>),
    /// The answer to a bind, and why it is due.
    Answer(Late, Over),
}

/// An answer that is late, or the lack of one.
#[derive(Debug)]
pub(crate) struct Late {
    /// What is to be sent.
    pub(crate) answer: Outbox,
    /// What follows.
    pub(crate) then: Then,
    /// Held until then: who is slow keeps others waiting.
    pub(crate) pass: Option<Pass>,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Request { .. } => "Held::Request",
            Self::Answer { .. } => "Held::Answer",
            Self::Due(_) => "Held::Due",
        })
    }
}

impl Held {
    /// Holds a request back where a fault has it so.
    pub(crate) fn request(exposure: &Exposure, request: &Request<'_>, message: &[u8]) -> Option<Self> {
        let operation = match request.operation {
            Operation::Bind(_) => engine::Operation::Bind,
            Operation::Unbind | Operation::Abandon(_) => return None,
            Operation::Search(_) | Operation::SearchWithin => engine::Operation::Search,
            _ => engine::Operation::Other,
        };
        let wait: Pin<Box<dyn Future<Output = _> + Send>> = if operation == engine::Operation::Bind {
            Box::pin(exposure.enter())
        } else {
            let pause = exposure.pause(exposure.delay(operation, None)?);
            Box::pin(async move {
                pause.await;
                None
            })
        };
        Some(Self::Request {
            message: Zeroizing::new(message.to_vec()),
            since: exposure.held_since(),
            wait,
        })
    }

    /// Holds an answer back.
    pub(crate) fn answer(exposure: &Exposure, late: Late, delay: Option<Delayed>) -> Self {
        match delay {
            None => Self::Due(Due::Answer(late, Over::Ended)),
            Some(delay) => Self::Answer {
                late,
                wait: Box::pin(exposure.pause(delay)),
            },
        }
    }

    /// Takes out what is due.
    pub(crate) fn take_due(held: &mut Option<Self>) -> Option<Due> {
        match held.take() {
            Some(Self::Due(due)) => Some(due),
            waiting => {
                *held = waiting;
                None
            }
        }
    }

    /// Ready when it is due.
    pub(crate) fn poll(held: &mut Option<Self>, cx: &mut Context<'_>) -> Poll<()> {
        let due = match held {
            None => return Poll::Pending,
            Some(Self::Due(_)) => return Poll::Ready(()),
            Some(Self::Request { message, since, wait }) => {
                let pass = ready!(wait.as_mut().poll(cx));
                Due::Request(std::mem::take(message), *since, pass)
            }
            Some(Self::Answer { late, wait }) => {
                let over = ready!(wait.as_mut().poll(cx));
                let late = Late {
                    answer: std::mem::take(&mut late.answer),
                    then: late.then,
                    pass: late.pass.take(),
                };
                Due::Answer(late, over)
            }
        };
        *held = Some(Self::Due(due));
        Poll::Ready(())
    }
}
