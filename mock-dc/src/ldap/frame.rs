//! Where received bytes wait until a message is whole (RFC 4511 5.1), with every limit checked before memory is taken.
//!
//! A message's memory grows with the bytes that came, never with the length that it claims. What all connections
//! together may hold of unfinished messages is bounded, too. Bytes are wiped once they were read or moved: a password may
//! be among them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use postern_ldap::ber::{self, Header};
use zeroize::Zeroize;

/// Bytes of the shortest message, an unbind. Nothing is judged before as many are there (measured at Samba).
const SHORTEST: usize = 7;

/// Lengths above this are not waited for in any state (measured at Samba: 256 MiB are, more is not).
const ABSURD: usize = 256 * 1024 * 1024;

/// What every connection may hold without asking: a bind has some hundred bytes, most messages have fewer.
const FREE: usize = 4 * 1024;

/// Bytes beyond [`FREE`] of all connections together: a dozen messages of the longest kind, hundreds of those that come
/// before signing in.
pub(crate) const SHARED: usize = 192 * 1024 * 1024;

/// Bytes that stop being LDAP. The connection they came on cannot go on. Not one of them is told: a bind's password may be
/// among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    /// The outer tag is not a SEQUENCE, or its length is indefinite or absurd.
    #[error("what came is not LDAP: no message begins so (TLS or HTTP, perhaps)")]
    NotLdap,
    /// The message is longer than whoever sends it may send.
    #[error("a message of {length} bytes; the limit is {limit}")]
    TooLong {
        /// What it claims, header included.
        length: usize,
        /// What it may have.
        limit: usize,
    },
    /// The message's inside is not what its operation calls for.
    #[error("what came is not LDAP: a message of {0} bytes has an inside that none of its operations has")]
    Malformed(usize),
    /// All connections together hold as much as they may.
    #[error("no memory is left for a message of {0} bytes; others hold {SHARED}")]
    NoMemory(usize),
    /// The client closed before the message was whole.
    #[error("the client closed in the middle of a message")]
    Cut,
}

/// How long a message may be, and what comes of longer ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit {
    /// Bytes, header included.
    pub(crate) bytes: usize,
    /// Whether a longer message is let come to its end before the connection is closed, as Samba does; it takes no memory.
    pub(crate) waits: bool,
}

/// What all connections of a process may hold together of long messages.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    left: Arc<AtomicUsize>,
}

impl Default for Memory {
    fn default() -> Self {
        Self::new(SHARED)
    }
}

impl Memory {
    fn new(bytes: usize) -> Self {
        Self {
            left: Arc::new(AtomicUsize::new(bytes)),
        }
    }

    fn take(&self, bytes: usize) -> bool {
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes))
            .is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.left.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// What one connection received and has not taken for a message yet.
pub(crate) struct Inbox {
    bytes: Vec<u8>,
    /// Where the next message begins.
    next: usize,
    /// Where it ends, once it was taken.
    taken: usize,
    /// Bytes still to come of a message that is too long, and what is to be said of it.
    skipping: Option<(usize, FrameError)>,
    memory: Memory,
    /// Bytes of [`Memory`] that this one holds.
    borrowed: usize,
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Inbox({} bytes)", self.bytes.len())
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.bytes.zeroize();
        self.memory.give_back(self.borrowed);
    }
}

impl Inbox {
    pub(crate) fn new(memory: Memory) -> Self {
        Self {
            bytes: Vec::new(),
            next: 0,
            taken: 0,
            skipping: None,
            memory,
            borrowed: 0,
        }
    }

    /// The next message, header included; `None` when it is not whole. It stays until [`Inbox::wipe`].
    pub(crate) fn take(&mut self, limit: Limit) -> Result<Option<&[u8]>, FrameError> {
        self.skip()?;
        let unread = &self.bytes[self.next..];
        let Some(length) = message_length(unread)? else {
            return Ok(None);
        };
        if length > limit.bytes {
            let error = FrameError::TooLong {
                length,
                limit: limit.bytes,
            };
            if !limit.waits {
                return Err(error);
            }
            self.skipping = Some((length, error));
            self.skip()?;
            return Ok(None);
        }
        if unread.len() < length {
            return Ok(None);
        }
        self.taken = self.next + length;
        Ok(Some(&self.bytes[self.next..self.taken]))
    }

    /// Wipes the message that was taken last.
    pub(crate) fn wipe(&mut self) {
        self.bytes[self.next..self.taken].zeroize();
        self.next = self.taken;
        if self.next == self.bytes.len() {
            self.clear();
        }
    }

    /// The buffer with room for more bytes behind what is there.
    pub(crate) fn room(&mut self) -> Result<&mut Vec<u8>, FrameError> {
        if self.bytes.len() < self.bytes.capacity() {
            return Ok(&mut self.bytes);
        }
        if self.next > 0 {
            let unread = self.bytes.len() - self.next;
            self.bytes.copy_within(self.next.., 0);
            self.bytes[unread..].zeroize();
            self.bytes.truncate(unread);
            self.taken -= self.next;
            self.next = 0;
            return Ok(&mut self.bytes);
        }
        self.grow()?;
        Ok(&mut self.bytes)
    }

    fn grow(&mut self) -> Result<(), FrameError> {
        let wanted = (self.bytes.capacity() * 2).max(FREE);
        let wanted = match message_length(&self.bytes) {
            Ok(Some(length)) if length > self.bytes.len() => wanted.min(length.max(FREE)),
            _ => wanted,
        };
        let borrow = wanted.saturating_sub(FREE) - self.borrowed;
        if !self.memory.take(borrow) {
            return Err(FrameError::NoMemory(wanted));
        }
        self.borrowed += borrow;
        let mut larger = Vec::with_capacity(wanted);
        larger.extend_from_slice(&self.bytes);
        self.bytes.zeroize();
        self.bytes = larger;
        Ok(())
    }

    /// Whether so little has arrived that no request has taken yet that more of it takes nothing from the others.
    pub(crate) fn has_free_room(&self) -> bool {
        self.bytes.len() - self.next < FREE
    }

    /// Whether bytes have arrived that no request has taken yet.
    pub(crate) fn has_unread(&self) -> bool {
        self.next < self.bytes.len() || self.skipping.is_some()
    }

    /// Wipes everything that has come.
    pub(crate) fn discard(&mut self) {
        self.bytes.zeroize();
        self.clear();
    }

    /// Drops what has come of a message that is too long; an error once it has come to its end.
    fn skip(&mut self) -> Result<(), FrameError> {
        let Some((left, error)) = &mut self.skipping else {
            return Ok(());
        };
        *left = left.saturating_sub(self.bytes.len() - self.next);
        let end = *left == 0;
        let error = *error;
        self.discard();
        if end { Err(error) } else { Ok(()) }
    }

    /// Nothing is left; what a long message took is given back.
    fn clear(&mut self) {
        self.bytes.clear();
        if self.borrowed > 0 {
            self.bytes = Vec::new();
            self.memory.give_back(self.borrowed);
            self.borrowed = 0;
        }
        self.next = 0;
        self.taken = 0;
    }
}

/// Length of the whole message with its header; `None` while that is not known.
fn message_length(bytes: &[u8]) -> Result<Option<usize>, FrameError> {
    if bytes.len() < SHORTEST {
        return Ok(None);
    }
    match ber::header(bytes) {
        Ok(Some(Header {
            tag: ber::SEQUENCE,
            size,
            content: content @ 0..=ABSURD,
        })) => Ok(Some(size + content)),
        _ => Err(FrameError::NotLdap),
    }
}

#[cfg(test)]
mod tests;
