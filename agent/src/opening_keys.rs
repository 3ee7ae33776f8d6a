//! The agent's opening keys: one current, and the old ones as long as a live request may need them.
//!
//! Keys are made by this process and live in its memory only. Making one takes tens of milliseconds of CPU, so it is
//! done in the workshop, never on a task that others wait for.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use postern_protocol::Moment;
use postern_protocol::seal::{CryptoFailure, OpeningKey};
use tokio::sync::watch;

use crate::machine::Machine;

/// How long an old key can still open. A caller may seal up to 60 s ahead and relays stop taking the old `kid` when
/// they hear of the new key; the other minute is for clocks that differ and for keys still on their way.
const OLD_KEY_LIFE: Duration = Duration::from_secs(120);

/// How often old keys are looked through: one stays this much longer at most.
const LOOK: Duration = Duration::from_secs(10);

/// After a failure to make a key. It has no cause that passes quickly, and the present key goes on serving.
const RETRY: Duration = Duration::from_secs(60);

/// Why there is no opening key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    /// The cryptographic library failed.
    #[error("cannot make an opening key: {0}")]
    Crypto(#[from] CryptoFailure),
    /// The process is ending.
    #[error("cannot make an opening key: the process is ending")]
    Ending,
}

/// The keys.
#[derive(Debug)]
pub(crate) struct OpeningKeys {
    machine: Machine,
    current: watch::Sender<OpeningKey>,
    /// Old keys, each until a local moment.
    old: Mutex<Vec<(OpeningKey, Moment)>>,
}

impl OpeningKeys {
    /// Makes the first key.
    pub(crate) async fn generate(machine: &Machine) -> Result<Self, KeyError> {
        let key = generate(machine).await?;
        Ok(Self {
            machine: machine.clone(),
            current: watch::channel(key).0,
            old: Mutex::default(),
        })
    }

    /// The current key, as it changes.
    pub(crate) fn current(&self) -> watch::Receiver<OpeningKey> {
        self.current.subscribe()
    }

    /// The key named `kid`, if it can still open.
    pub(crate) fn find(&self, kid: &str, now: Moment) -> Option<OpeningKey> {
        let current = self.current.borrow().clone();
        if current.public().kid() == kid {
            return Some(current);
        }
        self.old(now)
            .iter()
            .find(|(key, _)| key.public().kid() == kid)
            .map(|(key, _)| key.clone())
    }

    /// Makes a new key every `every`, and drops old ones that nobody asks for any more. Never ends.
    pub(crate) async fn renew(&self, every: Duration) {
        loop {
            tokio::select! {
                biased;
                () = tokio::time::sleep(every) => {}
                () = self.drop_old(|| self.machine.clock.now()) => {}
            }
            loop {
                match generate(&self.machine).await {
                    Ok(key) => break self.replace(key, self.machine.clock.now()),
                    Err(error) => tracing::warn!(%error, "the opening key was not renewed; it will be tried again"),
                }
                tokio::time::sleep(RETRY).await;
            }
        }
    }

    async fn drop_old(&self, now: impl Fn() -> Moment) {
        loop {
            tokio::time::sleep(LOOK).await;
            drop(self.old(now()));
        }
    }

    fn replace(&self, key: OpeningKey, now: Moment) {
        tracing::info!(kid = key.public().kid(), "new opening key");
        let mut old = self.old(now);
        // Both under the lock: a request must find its key in one place or the other.
        old.push((self.current.borrow().clone(), now + OLD_KEY_LIFE));
        self.current.send_replace(key);
    }

    /// The old keys, those that ended removed.
    fn old(&self, now: Moment) -> MutexGuard<'_, Vec<(OpeningKey, Moment)>> {
        let mut old = self.old.lock().unwrap_or_else(PoisonError::into_inner);
        old.retain(|&(_, end)| now <= end);
        old
    }
}

async fn generate(machine: &Machine) -> Result<OpeningKey, KeyError> {
    let maker = machine.key_maker.clone();
    let made = machine.workshop.run(move || maker.make()).await;
    made.ok_or(KeyError::Ending)?.map_err(KeyError::Crypto)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_old_key_opens_until_no_live_request_can_need_it_and_then_is_gone() {
        let keys = OpeningKeys::generate(&Machine::this()).await.unwrap();
        let mut told = keys.current();
        let first = told.borrow_and_update().public().kid().to_owned();
        let start = Moment(1_000_000);
        keys.replace(generate(&Machine::this()).await.unwrap(), start);
        assert!(told.has_changed().unwrap());
        let second = told.borrow_and_update().public().kid().to_owned();
        assert_ne!(first, second);
        assert!(keys.find(&first, start + OLD_KEY_LIFE).is_some());
        assert!(
            keys.find(&first, start + OLD_KEY_LIFE + Duration::from_micros(1))
                .is_none()
        );
        assert!(keys.find(&second, start + OLD_KEY_LIFE * 2).is_some());
        assert!(keys.find("another agent's", start).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_key_goes_though_nobody_asks_for_it() {
        let keys = OpeningKeys::generate(&Machine::this()).await.unwrap();
        let start = tokio::time::Instant::now();
        let now = || Moment(0) + start.elapsed();
        keys.replace(generate(&Machine::this()).await.unwrap(), now());
        let held = || keys.old.lock().unwrap().len();
        assert!(tokio::time::timeout(OLD_KEY_LIFE, keys.drop_old(now)).await.is_err());
        assert_eq!(held(), 1);
        assert!(tokio::time::timeout(LOOK * 2, keys.drop_old(now)).await.is_err());
        assert_eq!(held(), 0);
    }
}
