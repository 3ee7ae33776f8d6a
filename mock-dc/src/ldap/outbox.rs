//! Answers that wait to be sent, and the binds whose fate hangs on them.

use std::collections::VecDeque;

use super::message::Answers;
use crate::journal::Pending;

/// When this much waits, no request is taken and no search goes on: a client that does not read holds no more.
const FULL: usize = 64 * 1024;

/// What a burst of answers may leave behind for the next.
const KEPT: usize = 16 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    /// How much of it was sent.
    sent: usize,
    /// Each with the place in `bytes` up to which it has to be sent to be answered.
    binds: VecDeque<(usize, Pending)>,
}

impl Outbox {
    /// Whether there is room for more answers.
    pub(crate) fn has_room(&self) -> bool {
        self.bytes.len() - self.sent < FULL
    }

    /// Whether everything was sent.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What is to be sent next.
    pub(crate) fn unsent(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    /// Takes answers.
    pub(crate) fn answers(&mut self) -> Answers<'_> {
        Answers::new(&mut self.bytes)
    }

    /// What was put in last is the answer to this bind.
    pub(crate) fn answers_bind(&mut self, pending: Pending) {
        self.binds.push_back((self.bytes.len(), pending));
    }

    /// Takes answers that were put together elsewhere and of which nothing was sent.
    pub(crate) fn append(&mut self, mut other: Self) {
        let before = self.bytes.len();
        self.bytes.append(&mut other.bytes);
        let binds = other.binds.drain(..);
        self.binds.extend(binds.map(|(end, pending)| (before + end, pending)));
    }

    /// So many bytes were handed to the stream.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.sent += bytes;
    }

    /// What was handed to the stream has left it. A bind is answered when the last byte of its answer has.
    pub(crate) fn flushed(&mut self) {
        while let Some((end, _)) = self.binds.front()
            && *end <= self.sent
            && let Some((_, pending)) = self.binds.pop_front()
        {
            pending.answered();
        }
        if self.sent == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(KEPT);
            self.sent = 0;
        } else if self.sent >= FULL {
            self.bytes.drain(..self.sent);
            self.binds.iter_mut().for_each(|(end, _)| *end -= self.sent);
            self.sent = 0;
        }
    }
}
