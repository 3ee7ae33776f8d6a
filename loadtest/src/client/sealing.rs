//! Passwords that the caller seals itself, so that the relay never has them: to the keys that it tells, as any caller
//! would.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use postern_protocol::seal::{AuthenticatedData, Jwe, SealingKey};
use postern_protocol::{Password, RequestId};
use serde::Deserialize;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::http::Answer;
use crate::record::{Broken, Ended, read_answer};
use crate::sync::lock;

/// Keys change when agents come and go, and old ones open for two minutes more; they are asked for again after this.
const REFRESH: Duration = Duration::from_secs(5);

/// A relay that does not tell them, or tells of none, is asked again after this.
const AGAIN: Duration = Duration::from_secs(1);

/// For so long the last ones are good where no others can be had: less than the two minutes that old ones open for.
const KEEP: Duration = Duration::from_secs(60);

/// How long an envelope is good for: longer than any deadline, and shorter than the 60 s that a relay takes.
const EXPIRY_MS: u64 = 30_000;

/// Whom passwords are sealed for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealing {
    /// The tenant.
    pub tenant: String,
    /// The realm.
    pub realm: String,
}

/// Seals for one relay.
#[derive(Debug)]
pub(super) struct Sealer {
    whom: Sealing,
    known: Mutex<Known>,
    /// Somebody was told that a key is none.
    has_warned: AtomicBool,
    /// The keys are asked for by one at a time.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Known {
    /// What sign-ins go by: the last keys, or what became of asking where there are none that are still good.
    answer: Option<Result<Arc<Keys>, Ended>>,
    /// The relay said that they are.
    are_stale: bool,
    /// It is asked again from then on.
    ask_at: Option<Instant>,
}

/// A realm's keys, when they were asked for.
#[derive(Debug)]
pub(super) struct Keys {
    keys: Vec<SealingKey>,
    /// The relay's time then, in milliseconds since 1970.
    now_ms: u64,
    at: Instant,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Key>,
    now: u64,
}

#[derive(Deserialize)]
struct Key {
    n: String,
    e: String,
}

impl Sealer {
    pub(super) fn new(whom: Sealing) -> Self {
        Self {
            whom,
            known: Mutex::default(),
            has_warned: AtomicBool::new(false),
            asking: tokio::sync::Mutex::default(),
        }
    }

    /// The keys to seal to. `ask` asks the relay for them where that is due.
    ///
    /// # Errors
    /// What became of asking, which then becomes of the sign-in.
    pub(super) async fn keys(&self, ask: impl Future<Output = Result<Answer, Broken>>) -> Result<Arc<Keys>, Ended> {
        let known = {
            let known = lock(&self.known);
            let is_fresh = known.ask_at.is_some_and(|at| Instant::now() < at);
            match &known.answer {
                Some(answer) if is_fresh => return answer.clone(),
                answer => answer.clone(),
            }
        };
        // One asks. The others go on with what is known, be it stale or a failure: a relay that does not tell keys would
        // else be asked by each of them in turn, until nobody waits any more. Only the first answer is waited for.
        let _asking = match (self.asking.try_lock(), known.clone()) {
            (Ok(asking), _) => asking,
            (Err(_), Some(answer)) => return answer,
            (Err(_), None) => {
                let asking = self.asking.lock().await;
                let known = lock(&self.known).answer.clone();
                if let Some(answer) = known {
                    return answer;
                }
                asking
            }
        };
        // Before it is asked: whoever asks may be gone before the answer is there.
        lock(&self.known).ask_at = Some(Instant::now() + AGAIN);
        match (self.ask(ask).await, known) {
            (Ok(keys), _) => {
                let keys = Arc::new(keys);
                let rest = if keys.is_empty() { AGAIN } else { REFRESH };
                *lock(&self.known) = Known {
                    answer: Some(Ok(keys.clone())),
                    are_stale: false,
                    ask_at: Some(keys.at + rest),
                };
                Ok(keys)
            }
            (Err(_), Some(Ok(keys))) if keys.at.elapsed() < KEEP => Ok(keys),
            (Err(ended), _) => {
                let mut known = lock(&self.known);
                known.answer = Some(Err(ended));
                known.ask_at = Some(Instant::now() + AGAIN);
                Err(ended)
            }
        }
    }

    async fn ask(&self, ask: impl Future<Output = Result<Answer, Broken>>) -> Result<Keys, Ended> {
        let (status, body) = ask.await.map_err(Ended::Broken)?;
        if !status.is_success() {
            return Err(read_answer(status.as_u16(), &body));
        }
        let (keys, bad) = Keys::read(&body).ok_or(Ended::Broken(Broken::Unreadable))?;
        if bad > 0 && !self.has_warned.swap(true, Ordering::Relaxed) {
            let realm = &self.whom.realm;
            // Nobody may read it; the sign-ins tell all the same.
            let _ = writeln!(
                std::io::stderr(),
                "postern-loadtest: of the keys of {realm} {bad} cannot be read, and nothing is sealed to them"
            );
        }
        Ok(keys)
    }

    /// These keys were answered with `stale_key`: the next sign-in asks for others. Until there are others they are kept:
    /// what else the relay says is still to be seen.
    pub(super) fn renew(&self, stale: &Arc<Keys>) {
        let mut known = lock(&self.known);
        let is_known = matches!(&known.answer, Some(Ok(keys)) if Arc::ptr_eq(keys, stale));
        // Once: where no others can be had, the next try has its time.
        if is_known && !known.are_stale {
            (known.are_stale, known.ask_at) = (true, None);
        }
    }

    /// An envelope for one sign-in; `None` for what cannot be a password.
    pub(super) fn seal(&self, name: &str, password: &str, keys: &Keys) -> Option<Jwe> {
        let password = Password::new(Zeroizing::new(password.to_owned())).ok()?;
        let elapsed = u64::try_from(keys.at.elapsed().as_millis()).unwrap_or(u64::MAX);
        let bound_to = AuthenticatedData {
            expires_unix_ms: keys.now_ms.saturating_add(elapsed).saturating_add(EXPIRY_MS),
            realm: self.whom.realm.clone(),
            request_id: RequestId(rand::random()),
            tenant: self.whom.tenant.clone(),
            user: name.to_owned(),
        };
        Jwe::seal(&password, &bound_to, &keys.keys).ok()
    }
}

impl Keys {
    /// With how many of them are none. One that is none is an agent's own fault, and no reason to seal to nobody; where all
    /// are none, there is no set.
    fn read(body: &[u8]) -> Option<(Self, usize)> {
        let set: KeySet = serde_json::from_slice(body).ok()?;
        let keys = set.keys.iter();
        let keys: Vec<SealingKey> = keys
            .filter_map(|key| SealingKey::from_jwk(&key.n, &key.e).ok())
            .collect();
        let bad = set.keys.len() - keys.len();
        if keys.is_empty() && bad > 0 {
            return None;
        }
        let keys = Self {
            keys,
            now_ms: set.now,
            at: Instant::now(),
        };
        Some((keys, bad))
    }

    /// Whether nobody could open what is sealed to them.
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}
