//! Agents' public keys: as they travel (DER), as callers read them (JWK, RFC 7517), and as they are named (RFC 7638).

use std::sync::Arc;

use aws_lc_rs::digest;
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rsa::pkcs8::{DecodePublicKey, EncodePublicKey};
use rsa::traits::PublicKeyParts;
use serde::Serialize;

use super::{ContentKey, CryptoFailure};

/// A key to which passwords can be sealed: an agent's RSA-2048 opening key, public half. Cheap to clone.
#[derive(Clone)]
pub struct SealingKey(Arc<Inner>);

struct Inner {
    jwk: Jwk,
    encrypt: OaepPublicEncryptingKey,
}

/// The bytes are no key that passwords can be sealed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealingKeyError {
    /// No SubjectPublicKeyInfo of an RSA key, or no numbers that could be one's.
    #[error("the opening key is not an RSA public key (SubjectPublicKeyInfo in DER, or n and e of a JWK)")]
    NotRsa,
    /// Another size than 2048 bits. Larger ones cost the agent more than its directory does; smaller ones are weak.
    #[error("the opening key has {0} bits; 2048 are needed")]
    Size(usize),
    /// Another public exponent than 65537.
    #[error("the opening key's public exponent is not 65537")]
    Exponent,
}

/// A public key as callers read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Jwk {
    /// Always `RSA`.
    pub kty: &'static str,
    /// Always `enc`: for encryption.
    #[serde(rename = "use")]
    pub usage: &'static str,
    /// Always `RSA-OAEP-256`.
    pub alg: &'static str,
    /// The key's SHA-256 thumbprint (RFC 7638).
    pub kid: String,
    /// The modulus, base64url.
    pub n: String,
    /// The public exponent, base64url.
    pub e: String,
}

/// A realm's current keys, with the relay's time beside the members of RFC 7517, section 5: a caller whose clock is
/// off can still choose an expiry that holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JwkSet {
    /// One key for each agent in session.
    pub keys: Vec<Jwk>,
    /// The relay's time in milliseconds since 1970.
    pub now: u64,
}

impl SealingKey {
    /// Reads a SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// [`SealingKeyError`].
    pub fn from_der(der: &[u8]) -> Result<Self, SealingKeyError> {
        let public = rsa::RsaPublicKey::from_public_key_der(der).map_err(|_| SealingKeyError::NotRsa)?;
        if public.n().bits() != 2048 {
            return Err(SealingKeyError::Size(public.n().bits()));
        }
        if public.e() != &rsa::BigUint::from(65_537_u32) {
            return Err(SealingKeyError::Exponent);
        }
        let n = BASE64_URL_SAFE_NO_PAD.encode(public.n().to_bytes_be());
        let e = BASE64_URL_SAFE_NO_PAD.encode(public.e().to_bytes_be());
        let kid = thumbprint(&n, &e);
        let encrypt = PublicEncryptingKey::from_der(der)
            .ok()
            .and_then(|key| OaepPublicEncryptingKey::new(key).ok())
            .ok_or(SealingKeyError::NotRsa)?;
        let jwk = Jwk {
            kty: "RSA",
            usage: "enc",
            alg: "RSA-OAEP-256",
            kid,
            n,
            e,
        };
        Ok(Self(Arc::new(Inner { jwk, encrypt })))
    }

    /// Reads the two members of a JWK that make its key, as a caller does: modulus `n` and exponent `e`, base64url.
    ///
    /// # Errors
    /// [`SealingKeyError`].
    pub fn from_jwk(n: &str, e: &str) -> Result<Self, SealingKeyError> {
        let number = |text: &str| {
            let bytes = BASE64_URL_SAFE_NO_PAD
                .decode(text)
                .map_err(|_| SealingKeyError::NotRsa)?;
            Ok(rsa::BigUint::from_bytes_be(&bytes))
        };
        let public = rsa::RsaPublicKey::new(number(n)?, number(e)?).map_err(|_| SealingKeyError::NotRsa)?;
        let der = public.to_public_key_der().map_err(|_| SealingKeyError::NotRsa)?;
        Self::from_der(der.as_bytes())
    }

    /// The key's name: its SHA-256 thumbprint (RFC 7638), base64url.
    pub fn kid(&self) -> &str {
        &self.0.jwk.kid
    }

    /// The key as callers read it.
    pub fn jwk(&self) -> &Jwk {
        &self.0.jwk
    }

    /// Encrypts a content key to this key: RSA-OAEP with SHA-256 for both hash and mask.
    ///
    /// # Errors
    /// [`CryptoFailure`].
    pub fn wrap(&self, key: &ContentKey) -> Result<Vec<u8>, CryptoFailure> {
        let mut wrapped = vec![0; self.0.encrypt.ciphertext_size()];
        let written = self
            .0
            .encrypt
            .encrypt(&OAEP_SHA256_MGF1SHA256, key.bytes(), &mut wrapped, None)?
            .len();
        wrapped.truncate(written);
        Ok(wrapped)
    }
}

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealingKey({})", self.kid())
    }
}

impl PartialEq for SealingKey {
    fn eq(&self, other: &Self) -> bool {
        self.kid() == other.kid()
    }
}

impl Eq for SealingKey {}

/// RFC 7638, section 3: the required members in lexical order, no white space, hashed.
fn thumbprint(n: &str, e: &str) -> String {
    let canonical = format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#);
    BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, canonical.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::OpeningKey;

    #[test]
    fn a_key_that_was_read_from_its_jwk_is_the_same_and_what_is_none_is_refused() {
        let opening = OpeningKey::generate().unwrap();
        let jwk = opening.public().jwk();
        let key = SealingKey::from_jwk(&jwk.n, &jwk.e).unwrap();
        assert_eq!(&key, opening.public());
        let content = ContentKey::generate().unwrap();
        let opened = opening.unwrap_key(&key.wrap(&content).unwrap()).unwrap();
        assert_eq!(opened.bytes(), content.bytes());
        for (n, e) in [
            ("", "AQAB"),
            ("AQAB", "AQAB"),
            (&jwk.n, ""),
            (&jwk.n, "Aw"),
            ("not+base64", "AQAB"),
        ] {
            assert!(SealingKey::from_jwk(n, e).is_err(), "{n} {e}");
        }
    }

    /// The example key of RFC 7638, section 3.1.
    #[test]
    fn the_thumbprint_is_the_specifications() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3\
                 oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6\
                 qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJ\
                 zKnqDKgw";
        assert_eq!(thumbprint(n, "AQAB"), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }
}
