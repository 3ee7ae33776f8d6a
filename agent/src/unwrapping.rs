//! Content keys out of their wrapping: RSA private operations, as few as possible.
//!
//! A relay wraps one content key for many sign-ins, so a session remembers what it unwrapped, and a burst with the
//! same wrapped key costs one operation. A caller that seals for itself costs one operation each time, and anybody
//! can be such a caller: those wait in a bounded queue of their own, with at most half of the workers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest;
use postern_protocol::Moment;
use postern_protocol::seal::{CannotOpen, ContentKey, OpeningKey};
use tokio::sync::{OnceCell, Semaphore};

use crate::workshop::Workshop;

/// A content key lives a second in the relay, and its last sign-in a few more.
const REMEMBERED: Duration = Duration::from_secs(10);

/// A relay has one content key at a time for a realm, in per-request mode one per sign-in: 64 are more than slots.
const REMEMBERED_KEYS: usize = 64;

/// Client-sealed sign-ins that may wait. At 300 µs each the last one waits some 20 ms on one worker.
const CLIENT_QUEUE: usize = 64;

/// Why a caller's content key was not unwrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientRefusal {
    /// The queue is full.
    Busy,
    /// It does not open.
    CannotOpen,
}

/// Who may run private operations now.
#[derive(Debug)]
pub(crate) struct Workers {
    workshop: Workshop,
    relay: Semaphore,
    client: Semaphore,
    client_queue: Semaphore,
}

impl Workers {
    /// Those of a workshop.
    pub(crate) fn new(workshop: Workshop) -> Self {
        Self {
            workshop,
            relay: Semaphore::new(workshop.at_once()),
            client: Semaphore::new((workshop.at_once() / 2).max(1)),
            client_queue: Semaphore::new(CLIENT_QUEUE),
        }
    }

    /// Unwraps a key that a relay wrapped, or finds it in the session's memory.
    pub(crate) async fn relay_sealed(
        &self,
        memory: &KeyMemory,
        now: Moment,
        key: &OpeningKey,
        wrapped: &[u8],
    ) -> Result<Arc<ContentKey>, CannotOpen> {
        let (name, cell) = memory.cell(now, key.public().kid(), wrapped);
        let unwrapped = cell
            .get_or_try_init(|| async { self.unwrap(&self.relay, key, wrapped).await.map(Arc::new) })
            .await
            .cloned();
        if unwrapped.is_err() {
            memory.forget(&name);
        }
        unwrapped
    }

    /// Unwraps a key that a caller wrapped. It is used once, so it is not remembered.
    pub(crate) async fn client_sealed(&self, key: &OpeningKey, wrapped: &[u8]) -> Result<ContentKey, ClientRefusal> {
        let _place = self.client_queue.try_acquire().map_err(|_| ClientRefusal::Busy)?;
        self.unwrap(&self.client, key, wrapped)
            .await
            .map_err(|CannotOpen| ClientRefusal::CannotOpen)
    }

    async fn unwrap(&self, free: &Semaphore, key: &OpeningKey, wrapped: &[u8]) -> Result<ContentKey, CannotOpen> {
        let _worker = free.acquire().await.map_err(|_| CannotOpen)?;
        let (key, wrapped) = (key.clone(), wrapped.to_vec());
        let unwrapped = self.workshop.run(move || key.unwrap_key(&wrapped));
        unwrapped.await.ok_or(CannotOpen)?
    }
}

/// Kid, and SHA-256 of the wrapped bytes.
type Name = (String, [u8; 32]);

/// The unwrapped content keys of one session.
#[derive(Debug, Default)]
pub(crate) struct KeyMemory {
    keys: Mutex<HashMap<Name, Entry>>,
}

#[derive(Debug)]
struct Entry {
    cell: Arc<OnceCell<Arc<ContentKey>>>,
    since: Moment,
}

impl KeyMemory {
    /// The place of a key: empty, being filled by another sign-in, or full.
    fn cell(&self, now: Moment, kid: &str, wrapped: &[u8]) -> (Name, Arc<OnceCell<Arc<ContentKey>>>) {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, wrapped).as_ref());
        let name = (kid.to_owned(), hash);
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        forget_old(&mut keys, now);
        if !keys.contains_key(&name) && keys.len() >= REMEMBERED_KEYS {
            let oldest = keys
                .iter()
                .min_by_key(|(_, entry)| entry.since)
                .map(|(name, _)| name.clone());
            oldest.and_then(|name| keys.remove(&name));
        }
        let entry = keys.entry(name.clone()).or_insert_with(|| Entry {
            cell: Arc::default(),
            since: now,
        });
        (name, entry.cell.clone())
    }

    /// Forgets what is too old. To be called now and then: without sign-ins nothing else does it.
    pub(crate) fn purge(&self, now: Moment) {
        forget_old(&mut self.keys.lock().unwrap_or_else(PoisonError::into_inner), now);
    }

    fn forget(&self, name: &Name) {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.get(name).is_some_and(|entry| !entry.cell.initialized()) {
            keys.remove(name);
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.keys.lock().unwrap().len()
    }
}

fn forget_old(keys: &mut HashMap<Name, Entry>, now: Moment) {
    keys.retain(|_, entry| now.since(entry.since) <= REMEMBERED);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workers(at_once: usize) -> Workers {
        Workers::new(Workshop::Threads { at_once })
    }

    fn wrapped(key: &OpeningKey) -> Vec<u8> {
        key.public().wrap(&ContentKey::generate().unwrap()).unwrap()
    }

    #[tokio::test]
    async fn a_burst_with_one_wrapped_key_unwraps_it_once() {
        let (workers, memory, key) = (workers(2), KeyMemory::default(), OpeningKey::generate().unwrap());
        let bytes = wrapped(&key);
        let one = || workers.relay_sealed(&memory, Moment(0), &key, &bytes);
        let (a, b, c) = tokio::join!(one(), one(), one());
        let first = a.unwrap();
        // One allocation shared by all: one operation made it.
        assert!(Arc::ptr_eq(&first, &b.unwrap()) && Arc::ptr_eq(&first, &c.unwrap()));
    }

    #[tokio::test]
    async fn a_key_is_remembered_for_ten_seconds_and_a_failure_not_at_all() {
        let (workers, memory, key) = (workers(1), KeyMemory::default(), OpeningKey::generate().unwrap());
        let bytes = wrapped(&key);
        let at = |now| workers.relay_sealed(&memory, now, &key, &bytes);
        let first = at(Moment(0)).await.unwrap();
        assert!(Arc::ptr_eq(&first, &at(Moment(0) + REMEMBERED).await.unwrap()));
        let later = at(Moment(1) + REMEMBERED).await.unwrap();
        assert!(!Arc::ptr_eq(&first, &later));
        assert!(
            workers
                .relay_sealed(&memory, Moment(1) + REMEMBERED, &key, &[7; 256])
                .await
                .is_err()
        );
        assert_eq!(memory.len(), 1);
    }

    #[test]
    fn a_key_that_is_too_old_goes_though_no_sign_in_comes() {
        let memory = KeyMemory::default();
        memory.cell(Moment(0), "kid", &[1]);
        memory.purge(Moment(0) + REMEMBERED);
        assert_eq!(memory.len(), 1);
        memory.purge(Moment(1) + REMEMBERED);
        assert_eq!(memory.len(), 0);
    }

    #[tokio::test]
    async fn at_most_64_keys_are_remembered_and_the_oldest_goes_first() {
        let memory = KeyMemory::default();
        for number in 0..100_u8 {
            memory.cell(Moment(u64::from(number)), "kid", &[number]);
        }
        assert_eq!(memory.len(), REMEMBERED_KEYS);
        let (_, newest) = memory.cell(Moment(100), "kid", &[99]);
        let (_, again) = memory.cell(Moment(100), "kid", &[99]);
        assert!(Arc::ptr_eq(&newest, &again));
    }

    #[tokio::test]
    async fn a_full_client_queue_refuses_and_does_not_hinder_the_relays() {
        let (workers, memory, key) = (workers(1), KeyMemory::default(), OpeningKey::generate().unwrap());
        let bytes = wrapped(&key);
        let _all = workers.client_queue.try_acquire_many(64).unwrap();
        assert_eq!(
            workers.client_sealed(&key, &bytes).await.unwrap_err(),
            ClientRefusal::Busy
        );
        assert!(workers.relay_sealed(&memory, Moment(0), &key, &bytes).await.is_ok());
    }
}
