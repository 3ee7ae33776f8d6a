//! An agent's opening key: made by the process, in its memory only.

use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use zeroize::Zeroizing;

use super::content::KEY_BYTES;
use super::{CannotOpen, ContentKey, CryptoFailure, SealingKey};

/// An RSA-2048 key pair. Cheap to clone; prints its public name only. aws-lc zeroes the key when the last clone goes.
#[derive(Clone)]
pub struct OpeningKey(Arc<Inner>);

struct Inner {
    decrypt: OaepPrivateDecryptingKey,
    public: SealingKey,
    public_der: Vec<u8>,
}

impl OpeningKey {
    /// Makes a new key. Takes tens of milliseconds of CPU: not for a task that others wait for.
    ///
    /// # Errors
    /// [`CryptoFailure`].
    pub fn generate() -> Result<Self, CryptoFailure> {
        let private = PrivateDecryptingKey::generate(KeySize::Rsa2048)?;
        let der: PublicKeyX509Der<'_> = private.public_key().as_der()?;
        let public_der = der.as_ref().to_vec();
        let public = SealingKey::from_der(&public_der).map_err(|_| CryptoFailure)?;
        Ok(Self(Arc::new(Inner {
            decrypt: OaepPrivateDecryptingKey::new(private)?,
            public,
            public_der,
        })))
    }

    /// The public half.
    pub fn public(&self) -> &SealingKey {
        &self.0.public
    }

    /// The public half as SubjectPublicKeyInfo, DER.
    pub fn public_der(&self) -> &[u8] {
        &self.0.public_der
    }

    /// Decrypts a content key: one RSA private operation, some 280 µs of CPU on a common core.
    ///
    /// # Errors
    /// [`CannotOpen`].
    pub fn unwrap_key(&self, wrapped: &[u8]) -> Result<ContentKey, CannotOpen> {
        // aws-lc asks for room for the longest message that the key size allows.
        let mut room = Zeroizing::new(vec![0; self.0.decrypt.min_output_size()]);
        let plaintext = self
            .0
            .decrypt
            .decrypt(&OAEP_SHA256_MGF1SHA256, wrapped, &mut room, None)
            .map_err(|_| CannotOpen)?;
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        if plaintext.len() != KEY_BYTES {
            return Err(CannotOpen);
        }
        bytes.copy_from_slice(plaintext);
        ContentKey::from_bytes(bytes).ok_or(CannotOpen)
    }
}

impl std::fmt::Debug for OpeningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OpeningKey({}, ***)", self.0.public.kid())
    }
}
