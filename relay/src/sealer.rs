//! The relay's own sealing: one content key per realm and *epoch*, wrapped once for each agent that needs it.
//!
//! RFC 7516 asks for a fresh key per message. Sharing one for at most a second is a choice: the passwords of that
//! second passed through this memory in the clear anyway, and it makes the RSA cost independent of the number of
//! sign-ins. Each password has an IV of its own, 96 random bits; an epoch ends after 2^20 of them, far below the
//! 2^32 of NIST SP 800-38D. A key change or the end of a session ends the epoch too, so that who has left cannot
//! open what comes after. The key is zeroed when the epoch is over and its last sign-in is settled.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dashmap::DashMap;
use postern_protocol::seal::{ContentKey, CryptoFailure, Sealed, SealingKey};
use postern_protocol::{Moment, Password, RealmKey};

/// Passwords under one content key.
const MOST_PER_EPOCH: u32 = 1 << 20;

/// A content key in use. Alive as long as a sign-in sealed under it is.
#[derive(Debug)]
pub struct Epoch {
    key: ContentKey,
    began: Moment,
    sealed: AtomicU32,
    wrapped: Mutex<HashMap<String, Arc<[u8]>>>,
}

impl Epoch {
    fn new(now: Moment) -> Result<Self, CryptoFailure> {
        let key = ContentKey::generate()?;
        Ok(Self {
            key,
            began: now,
            sealed: AtomicU32::new(0),
            wrapped: Mutex::new(HashMap::new()),
        })
    }

    /// The content key wrapped for `to`: one RSA public operation the first time, kept for the epoch.
    ///
    /// # Errors
    /// [`CryptoFailure`].
    pub fn wrapped_for(&self, to: &SealingKey) -> Result<Arc<[u8]>, CryptoFailure> {
        // Held during the operation (some 20 µs), so that a burst wraps once.
        let mut wrapped = self.wrapped.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = wrapped.get(to.kid()) {
            return Ok(known.clone());
        }
        let fresh: Arc<[u8]> = to.wrap(&self.key)?.into();
        wrapped.insert(to.kid().to_owned(), fresh.clone());
        Ok(fresh)
    }
}

/// Seals passwords, realm by realm.
#[derive(Debug)]
pub struct Sealer {
    life: Duration,
    epochs: DashMap<RealmKey, Arc<Epoch>>,
}

impl Sealer {
    /// A sealer whose epochs last `life`; zero makes a key for each password.
    pub fn new(life: Duration) -> Self {
        Self {
            life,
            epochs: DashMap::new(),
        }
    }

    /// Seals `password` under the realm's present epoch, bound to `aad` (base64url).
    ///
    /// # Errors
    /// [`CryptoFailure`].
    pub fn seal(
        &self,
        realm: &RealmKey,
        now: Moment,
        password: &Password,
        aad: &str,
    ) -> Result<(Arc<Epoch>, Sealed), CryptoFailure> {
        let epoch = self.epoch(realm, now)?;
        let sealed = epoch.key.seal(password, aad)?;
        Ok((epoch, sealed))
    }

    fn epoch(&self, realm: &RealmKey, now: Moment) -> Result<Arc<Epoch>, CryptoFailure> {
        if self.life.is_zero() {
            return Ok(Arc::new(Epoch::new(now)?));
        }
        // The count is taken under the map's lock on this realm, so no key seals more than it may.
        let usable = |epoch: &Epoch| {
            now.since(epoch.began) < self.life && epoch.sealed.fetch_add(1, Ordering::Relaxed) < MOST_PER_EPOCH
        };
        if let Some(epoch) = self.epochs.get(realm)
            && usable(&epoch)
        {
            return Ok(epoch.clone());
        }
        let fresh = Arc::new(Epoch::new(now)?);
        let mut slot = self.epochs.entry(realm.clone()).or_insert_with(|| fresh.clone());
        if !usable(&slot) {
            fresh.sealed.store(1, Ordering::Relaxed);
            *slot = fresh;
        }
        Ok(slot.clone())
    }

    /// Ends the realm's epoch: what is sealed from now on has another key.
    pub fn end_epoch(&self, realm: &RealmKey) {
        self.epochs.remove(realm);
    }

    /// Drops the keys of epochs that are over. Called a few times a second: a realm that is no longer asked for must
    /// not keep its key.
    pub fn sweep(&self, now: Moment) {
        self.epochs.retain(|_, epoch| now.since(epoch.began) < self.life);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postern_protocol::seal::{OpeningKey, PROTECTED_HEADER_BASE64};
    use std::sync::Weak;

    fn realm(name: &str) -> RealmKey {
        RealmKey {
            tenant: "acme".parse().unwrap(),
            realm: name.parse().unwrap(),
        }
    }

    fn password() -> Password {
        Password::new("secret".to_owned().into()).unwrap()
    }

    fn same(a: &Arc<Epoch>, b: &Arc<Epoch>) -> bool {
        Arc::ptr_eq(a, b)
    }

    #[test]
    fn a_realm_has_one_key_for_an_epoch_and_no_realm_has_anothers() {
        let sealer = Sealer::new(Duration::from_secs(1));
        let seal = |name, now| sealer.seal(&realm(name), Moment(now), &password(), "aad").unwrap().0;
        let first = seal("a", 0);
        assert!(same(&first, &seal("a", 999_999)));
        assert!(!same(&first, &seal("a", 1_000_000)));
        assert!(!same(&first, &seal("b", 0)));
    }

    #[test]
    fn a_key_change_ends_the_epoch_and_zero_life_makes_a_key_for_each() {
        let sealer = Sealer::new(Duration::from_secs(1));
        let seal = |sealer: &Sealer| sealer.seal(&realm("a"), Moment(0), &password(), "aad").unwrap().0;
        let first = seal(&sealer);
        sealer.end_epoch(&realm("a"));
        assert!(!same(&first, &seal(&sealer)));
        let fresh = Sealer::new(Duration::ZERO);
        assert!(!same(&seal(&fresh), &seal(&fresh)));
    }

    #[test]
    fn a_key_seals_no_more_than_its_share() {
        let sealer = Sealer::new(Duration::from_secs(1));
        let seal = || sealer.seal(&realm("a"), Moment(0), &password(), "aad").unwrap().0;
        let first = seal();
        first.sealed.store(MOST_PER_EPOCH, Ordering::Relaxed);
        assert!(!same(&first, &seal()));
    }

    #[test]
    fn the_key_is_gone_when_its_epoch_is_over_and_its_last_sign_in_settled() {
        let sealer = Sealer::new(Duration::from_secs(1));
        let (epoch, _) = sealer.seal(&realm("a"), Moment(0), &password(), "aad").unwrap();
        let watch: Weak<Epoch> = Arc::downgrade(&epoch);
        sealer.sweep(Moment(1_000_000));
        assert!(watch.upgrade().is_some(), "a sign-in still needs it");
        drop(epoch);
        assert!(watch.upgrade().is_none());
    }

    #[test]
    fn an_agent_opens_what_was_sealed_in_an_epoch_with_its_one_wrapped_key() {
        let agent = OpeningKey::generate().unwrap();
        let sealer = Sealer::new(Duration::from_secs(1));
        let (epoch, sealed) = sealer.seal(&realm("a"), Moment(0), &password(), "aad").unwrap();
        let wrapped = epoch.wrapped_for(agent.public()).unwrap();
        assert!(
            Arc::ptr_eq(&wrapped, &epoch.wrapped_for(agent.public()).unwrap()),
            "wrapped twice"
        );
        let key = agent.unwrap_key(&wrapped).unwrap();
        assert_eq!(
            key.open(&sealed, PROTECTED_HEADER_BASE64, "aad").unwrap().expose(),
            "secret"
        );
        assert!(key.open(&sealed, PROTECTED_HEADER_BASE64, "another").is_err());
    }
}
