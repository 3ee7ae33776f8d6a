//! The content key: A256GCM over one password (or, within an epoch, several, each with an IV of its own).

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::rand;
use zeroize::Zeroizing;

use super::{CannotOpen, CryptoFailure, PROTECTED_HEADER_BASE64};
use crate::Password;

/// Bytes of a content key.
pub(super) const KEY_BYTES: usize = 32;

/// A key for A256GCM. Zeroed when dropped; prints nothing of itself.
pub struct ContentKey {
    bytes: Zeroizing<[u8; KEY_BYTES]>,
    cipher: LessSafeKey,
}

/// A password under a content key.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    /// 96 random bits.
    pub iv: [u8; 12],
    /// As long as the password.
    pub ciphertext: Vec<u8>,
    /// 128 bits.
    pub tag: [u8; 16],
}

impl ContentKey {
    /// A new random key.
    ///
    /// # Errors
    /// [`CryptoFailure`].
    pub fn generate() -> Result<Self, CryptoFailure> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        rand::fill(&mut *bytes)?;
        Self::from_bytes(bytes).ok_or(CryptoFailure)
    }

    /// The key with these bytes; `None` if aws-lc does not take it.
    pub(super) fn from_bytes(bytes: Zeroizing<[u8; KEY_BYTES]>) -> Option<Self> {
        let unbound = UnboundKey::new(&AES_256_GCM, &*bytes).ok()?;
        Some(Self {
            bytes,
            cipher: LessSafeKey::new(unbound),
        })
    }

    pub(super) fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.bytes
    }

    /// Seals `password` under the relay's own protected header and `aad` (base64url).
    ///
    /// With one random 96-bit IV a message, a key may serve 2^32 messages (NIST SP 800-38D, section 8.3); the relay
    /// stops at 2^20.
    ///
    /// # Errors
    /// [`CryptoFailure`].
    pub fn seal(&self, password: &Password, aad: &str) -> Result<Sealed, CryptoFailure> {
        let mut iv = [0; 12];
        // From the system each time, though that costs more than the sealing: a generator in this memory would give the same
        // again under the same key, were the machine resumed twice from one snapshot.
        rand::fill(&mut iv)?;
        let authenticated = authenticated_bytes(PROTECTED_HEADER_BASE64, aad);
        let mut ciphertext = vec![0; password.expose().len()];
        let mut tag = [0; 16];
        // Out of place, so that the password is in no second buffer, not even for a moment.
        self.cipher.seal_out_of_place_scatter(
            Nonce::assume_unique_for_key(iv),
            Aad::from(authenticated),
            password.expose().as_bytes(),
            &mut ciphertext,
            &[],
            &mut tag,
        )?;
        Ok(Sealed { iv, ciphertext, tag })
    }

    /// Opens a password sealed under `protected` and `aad` (both base64url, as they stand in the envelope).
    ///
    /// # Errors
    /// [`CannotOpen`], also for a plaintext that cannot be a [`Password`].
    pub fn open(&self, sealed: &Sealed, protected: &str, aad: &str) -> Result<Password, CannotOpen> {
        let mut plaintext = Zeroizing::new(vec![0; sealed.ciphertext.len()]);
        let nonce = Nonce::assume_unique_for_key(sealed.iv);
        self.cipher
            .open_separate_gather(
                nonce,
                Aad::from(authenticated_bytes(protected, aad)),
                &sealed.ciphertext,
                &sealed.tag,
                &mut plaintext,
            )
            .map_err(|_| CannotOpen)?;
        Password::from_bytes(plaintext).map_err(|_| CannotOpen)
    }
}

impl std::fmt::Debug for ContentKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ContentKey(***)")
    }
}

impl std::fmt::Debug for Sealed {
    /// Shows nothing of the ciphertext: its length is the password's.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealed(***)")
    }
}

/// What the tag covers beside the ciphertext: `ASCII(protected || '.' || aad)` (RFC 7516, section 5.1, step 14).
fn authenticated_bytes(protected: &str, aad: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(protected.len() + 1 + aad.len());
    bytes.extend_from_slice(protected.as_bytes());
    bytes.push(b'.');
    bytes.extend_from_slice(aad.as_bytes());
    bytes
}
