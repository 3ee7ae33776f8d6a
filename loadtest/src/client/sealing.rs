//! Passwords that the caller seals itself, so that the relay never has them: to the keys that it tells, as any caller
//! would.

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
    keys: Mutex<Option<Arc<Keys>>>,
    /// The keys are asked for by one at a time.
    asking: tokio::sync::Mutex<()>,
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
            keys: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
        }
    }

    /// The keys to seal to. `ask` asks the relay for them where that is due.
    ///
    /// # Errors
    /// What became of asking, which then becomes of the sign-in.
    pub(super) async fn keys(&self, ask: impl Future<Output = Result<Answer, Broken>>) -> Result<Arc<Keys>, Ended> {
        let known = lock(&self.keys).clone();
        if let Some(keys) = known.clone().filter(|keys| keys.at.elapsed() < REFRESH) {
            return Ok(keys);
        }
        // One asks. The others go on with what is known, or wait for it.
        let _asking = match (self.asking.try_lock(), known) {
            (Ok(asking), _) => asking,
            (Err(_), Some(keys)) => return Ok(keys),
            (Err(_), None) => {
                let asking = self.asking.lock().await;
                if let Some(keys) = lock(&self.keys).clone() {
                    return Ok(keys);
                }
                asking
            }
        };
        let (status, body) = ask.await.map_err(Ended::Broken)?;
        if !status.is_success() {
            return Err(read_answer(status.as_u16(), &body));
        }
        let keys = Arc::new(Keys::read(&body).ok_or(Ended::Broken(Broken::Unreadable))?);
        *lock(&self.keys) = Some(keys.clone());
        Ok(keys)
    }

    /// These keys were answered with `stale_key`: the next sign-in asks for others.
    pub(super) fn forget(&self, stale: &Arc<Keys>) {
        lock(&self.keys).take_if(|keys| Arc::ptr_eq(keys, stale));
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
    fn read(body: &[u8]) -> Option<Self> {
        let set: KeySet = serde_json::from_slice(body).ok()?;
        let keys = set.keys.iter().map(|key| SealingKey::from_jwk(&key.n, &key.e));
        Some(Self {
            keys: keys.collect::<Result<_, _>>().ok()?,
            now_ms: set.now,
            at: Instant::now(),
        })
    }

    /// Whether nobody could open what is sealed to them.
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}
