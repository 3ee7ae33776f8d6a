//! Every bind that was received, in order: the truth that `GET /binds` tells.
//!
//! A record is written when its bind is decided, before any later bind of the same account can be, and is settled
//! when its answer has been handed to the connection or could not be. Readers wait for that, so nobody reads a bind
//! whose fate is still open. Kept in a ring: the oldest records go when it is full, and how many went is told.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError};

use time::OffsetDateTime;
use tokio::sync::Notify;

use crate::domain::object::ObjectId;
use crate::domain::outcome::SubCode;

/// Records kept. With names of the usual length about 150 MB when full.
pub const CAPACITY: usize = 1_000_000;

/// Bytes of a name that are kept: one who sends names of 10 MB must not fill the memory with them.
const NAME_LIMIT: usize = 1024;

/// A name as it is written down: as far as it is text, and no more than a kilobyte of it.
pub fn written(name: &[u8]) -> Box<str> {
    // Cut before anything is made of it. A letter that the cut parts reads as one that is none.
    match name.split_at_checked(NAME_LIMIT) {
        Some((first, rest)) if !rest.is_empty() => format!("{}…", String::from_utf8_lossy(first)).into(),
        _ => String::from_utf8_lossy(name).into(),
    }
}

/// Where binds come from: one connection.
#[derive(Debug)]
pub struct Source {
    /// The controller.
    pub dc: Arc<str>,
    /// Number of the connection, from 1, over all controllers.
    pub conn: u64,
    /// The other end of the connection.
    pub peer: SocketAddr,
}

/// One bind.
#[derive(Debug)]
pub struct Record {
    /// Its place in the order, from 1.
    pub seq: u64,
    /// What was written down when it was decided.
    pub bind: Bind,
    answer: AtomicU8,
}

/// A bind as it was decided.
#[derive(Debug, Clone)]
pub struct Bind {
    /// When, by the domain's clock.
    pub time: OffsetDateTime,
    /// The connection. All of its records share it.
    pub source: Arc<Source>,
    /// LDAP message id.
    pub msgid: i32,
    /// The name that was sent, as [`written`].
    pub name: Box<str>,
    /// The account that it was resolved to.
    pub account: Option<ObjectId>,
    /// LDAP result code.
    pub result: u32,
    /// The sub-code of result 49.
    pub sub_code: Option<SubCode>,
}

const OPEN: u8 = 0;
const ANSWERED: u8 = 1;
const UNANSWERED: u8 = 2;

impl Record {
    /// Whether the answer was handed to the connection; `None` while that is open.
    pub fn answered(&self) -> Option<bool> {
        match self.answer.load(Ordering::Acquire) {
            OPEN => None,
            answer => Some(answer == ANSWERED),
        }
    }
}

/// What a reader finds next.
#[derive(Debug)]
pub enum Next {
    /// A settled record.
    Record(Arc<Record>),
    /// This many records that the reader asked for are gone; reading goes on with `seq` + 1.
    Dropped {
        /// How many.
        count: u64,
        /// The last one that is gone.
        seq: u64,
    },
    /// Nothing more yet.
    End,
}

/// The record of all binds since the start or the last reset.
#[derive(Debug)]
pub struct Journal {
    capacity: usize,
    inner: Mutex<Inner>,
    changed: Notify,
    /// Readers that wait or are about to. Mostly there is none, and then nobody is woken: that takes a lock, which would
    /// be taken for every bind.
    waiting: AtomicUsize,
}

#[derive(Debug, Default)]
struct Inner {
    /// Rises with every reset: a follower begins anew.
    generation: u64,
    last: u64,
    ring: VecDeque<Arc<Record>>,
    counts: HashMap<ObjectId, u64>,
}

/// A record that waits for the fate of its answer. Dropped without [`Pending::answered`], the answer was not sent.
#[derive(Debug)]
#[must_use]
pub struct Pending {
    record: Arc<Record>,
    journal: Arc<Journal>,
}

impl Pending {
    /// The answer was handed to the connection.
    pub fn answered(self) {
        self.record.answer.store(ANSWERED, Ordering::Release);
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let _ = self
            .record
            .answer
            .compare_exchange(OPEN, UNANSWERED, Ordering::AcqRel, Ordering::Acquire);
        self.journal.tell_waiting();
    }
}

/// A reader's place: after `seq` of the present generation.
#[derive(Debug, Clone, Copy)]
pub struct Position {
    generation: u64,
    seq: u64,
}

impl Position {
    /// The last record that was read.
    pub fn seq(&self) -> u64 {
        self.seq
    }
}

impl Journal {
    /// An empty journal that keeps `capacity` records.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            inner: Mutex::default(),
            changed: Notify::new(),
            waiting: AtomicUsize::new(0),
        }
    }

    /// Writes a bind down.
    pub fn record(self: &Arc<Self>, bind: Bind) -> Pending {
        let mut inner = self.lock();
        inner.last += 1;
        if let Some(account) = bind.account {
            *inner.counts.entry(account).or_default() += 1;
        }
        if inner.ring.len() == self.capacity {
            inner.ring.pop_front();
        }
        let record = Arc::new(Record {
            seq: inner.last,
            bind,
            answer: AtomicU8::new(OPEN),
        });
        inner.ring.push_back(record.clone());
        Pending {
            record,
            journal: self.clone(),
        }
    }

    /// Binds of each account.
    pub fn counts(&self) -> HashMap<ObjectId, u64> {
        self.lock().counts.clone()
    }

    /// The place after record `seq`; 0 is the beginning.
    pub fn position(&self, seq: u64) -> Position {
        Position {
            generation: self.lock().generation,
            seq,
        }
    }

    /// Forgets everything and begins again at 1.
    pub fn clear(&self) {
        let mut inner = self.lock();
        *inner = Inner {
            generation: inner.generation + 1,
            ..Inner::default()
        };
        drop(inner);
        self.tell_waiting();
    }

    /// To be called after whatever a reader may wait for.
    fn tell_waiting(&self) {
        // Either the reader is seen here, or it sees what was done before this: see [`Waiting::begin`].
        fence(Ordering::SeqCst);
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.changed.notify_waiters();
        }
    }

    /// The last record's number, 0 when there is none: where a reader that does not follow ends.
    pub fn last(&self) -> u64 {
        self.lock().last
    }

    /// The next record after `position`, which moves on; waits while it is not settled, and for the first that is
    /// still to come when `follow` is set. A reset is the end, and for those who follow a new beginning.
    pub async fn next(&self, position: &mut Position, follow: bool) -> Next {
        let mut waiting = None;
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // From here on no settling is missed, also one that happens before the wait.
            changed.as_mut().enable();
            match self.look(position, follow) {
                Look::Found(record) => {
                    position.seq = record.seq;
                    return Next::Record(record);
                }
                Look::Gone { count, seq } => {
                    position.seq = seq;
                    return Next::Dropped { count, seq };
                }
                Look::End => return Next::End,
                Look::Nothing if !follow => return Next::End,
                // What happened before anybody knew of this reader is looked for once more.
                Look::Nothing | Look::Open if waiting.is_none() => waiting = Some(Waiting::begin(&self.waiting)),
                Look::Nothing | Look::Open => changed.await,
            }
        }
    }

    fn look(&self, position: &mut Position, follow: bool) -> Look {
        let inner = self.lock();
        if position.generation != inner.generation {
            if !follow {
                return Look::End;
            }
            *position = Position {
                generation: inner.generation,
                seq: 0,
            };
        }
        let gone = inner.last - inner.ring.len() as u64;
        if position.seq < gone {
            return Look::Gone {
                count: gone - position.seq,
                seq: gone,
            };
        }
        let index = usize::try_from(position.seq - gone).unwrap_or(usize::MAX);
        match inner.ring.get(index) {
            None => Look::Nothing,
            Some(record) if record.answered().is_none() => Look::Open,
            Some(record) => Look::Found(record.clone()),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        // A panic between two statements loses one record of a test tool at worst; going on is better than ending.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A reader that waits, for as long as it does.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

enum Look {
    Found(Arc<Record>),
    Gone {
        count: u64,
        seq: u64,
    },
    Open,
    Nothing,
    /// What was to be read is gone with a reset.
    End,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(name: &str) -> Bind {
        Bind {
            time: OffsetDateTime::UNIX_EPOCH,
            source: Arc::new(Source {
                dc: "dc-1".into(),
                conn: 1,
                peer: SocketAddr::from(([127, 0, 0, 1], 1)),
            }),
            msgid: 1,
            name: written(name.as_bytes()),
            account: None,
            result: 0,
            sub_code: None,
        }
    }

    async fn read(journal: &Journal, since: u64) -> Vec<String> {
        let mut position = journal.position(since);
        let mut told = Vec::new();
        loop {
            match journal.next(&mut position, false).await {
                Next::Record(record) => told.push(format!(
                    "{}:{}:{}",
                    record.seq,
                    record.bind.name,
                    record.answered().unwrap()
                )),
                Next::Dropped { count, seq } => told.push(format!("dropped {count} up to {seq}")),
                Next::End => return told,
            }
        }
    }

    #[tokio::test]
    async fn binds_are_told_in_order_with_the_fate_of_their_answer() {
        let journal = Arc::new(Journal::new(10));
        journal.record(bind("a")).answered();
        drop(journal.record(bind("b")));
        assert_eq!(read(&journal, 0).await, ["1:a:true", "2:b:false"]);
        assert_eq!(read(&journal, 1).await, ["2:b:false"]);
        assert!(read(&journal, 2).await.is_empty());
        assert!(read(&journal, 99).await.is_empty());
    }

    #[tokio::test]
    async fn a_reader_waits_for_a_bind_whose_answer_is_on_its_way() {
        let journal = Arc::new(Journal::new(10));
        let pending = journal.record(bind("a"));
        let reader = read(&journal, 0);
        tokio::pin!(reader);
        assert!(futures_util::poll!(&mut reader).is_pending());
        pending.answered();
        assert_eq!(reader.await, ["1:a:true"]);
    }

    #[tokio::test]
    async fn what_fell_out_of_the_ring_is_told() {
        let journal = Arc::new(Journal::new(2));
        for name in ["a", "b", "c", "d", "e"] {
            journal.record(bind(name)).answered();
        }
        assert_eq!(read(&journal, 0).await, ["dropped 3 up to 3", "4:d:true", "5:e:true"]);
        assert_eq!(read(&journal, 2).await[0], "dropped 1 up to 3");
        assert_eq!(read(&journal, 3).await.len(), 2);
    }

    #[tokio::test]
    async fn a_follower_sees_what_comes_later_and_begins_anew_after_a_reset() {
        let journal = Arc::new(Journal::new(10));
        journal.record(bind("a")).answered();
        let mut position = journal.position(1);
        {
            let next = journal.next(&mut position, true);
            tokio::pin!(next);
            assert!(futures_util::poll!(&mut next).is_pending());
            journal.clear();
            journal.record(bind("b")).answered();
            assert!(matches!(next.await, Next::Record(record) if record.seq == 1 && &*record.bind.name == "b"));
        }
        assert!(journal.counts().is_empty());
    }

    #[tokio::test]
    async fn a_reset_is_the_end_for_who_does_not_follow() {
        let journal = Arc::new(Journal::new(10));
        let open = journal.record(bind("a"));
        let mut position = journal.position(0);
        let next = journal.next(&mut position, false);
        tokio::pin!(next);
        assert!(futures_util::poll!(&mut next).is_pending());
        journal.clear();
        journal.record(bind("b")).answered();
        drop(open);
        assert!(
            matches!(next.await, Next::End),
            "b belongs to the record that began then"
        );
    }

    #[test]
    fn a_long_name_takes_no_more_memory_than_is_shown_of_it() {
        for (name, shown) in [
            ("ä".repeat(100_000), format!("{}…", "ä".repeat(NAME_LIMIT / 2))),
            (
                format!("x{}", "ä".repeat(600)),
                format!("x{}\u{fffd}…", "ä".repeat(511)),
            ),
            ("x".repeat(NAME_LIMIT), "x".repeat(NAME_LIMIT)),
            (String::new(), String::new()),
        ] {
            // A boxed text has no room that is not used.
            assert_eq!(*written(name.as_bytes()), shown);
        }
        assert_eq!(*written(b"a\xffb"), *"a\u{fffd}b");
    }

    #[test]
    fn a_record_takes_little_memory_besides_its_name() {
        assert!(size_of::<Record>() <= 80, "{} bytes", size_of::<Record>());
    }
}
