//! Sealing a password to agents' keys, and opening it: JWE (RFC 7516) with `RSA-OAEP-256` and `A256GCM`
//! (RFC 7518, sections 4.3 and 5.3).
//!
//! A sealed password is bound to its sign-in: [`AuthenticatedData`] names tenant, realm, user, request and expiry,
//! and is authenticated by the encryption. Sealing as one user and sending as another does not open. Every failure to
//! open is the same [`CannotOpen`], whatever its cause. Private-key operations run on aws-lc-rs, in constant time;
//! the `rsa` crate converts public keys.

mod aad;
mod content;
mod jwe;
mod jwk;
mod opening;

pub use aad::{AuthenticatedData, AuthenticatedDataError};
pub use content::{ContentKey, Sealed};
pub use jwe::{Jwe, JweError, MAX_RECIPIENTS, Parts, Recipient, RecipientHeader, check_protected};
pub use jwk::{Jwk, JwkSet, SealingKey, SealingKeyError};
pub use opening::OpeningKey;

/// The protected header that the relay writes, and what every envelope's must say.
pub const PROTECTED_HEADER: &str = r#"{"alg":"RSA-OAEP-256","enc":"A256GCM","typ":"postern+jwe"}"#;

/// [`PROTECTED_HEADER`] in base64url, as it enters the encryption's authenticated data.
pub const PROTECTED_HEADER_BASE64: &str =
    "eyJhbGciOiJSU0EtT0FFUC0yNTYiLCJlbmMiOiJBMjU2R0NNIiwidHlwIjoicG9zdGVybitqd2UifQ";

/// A sealed password does not open. Does not say why: wrong key, tampered text and wrong authenticated data look
/// alike from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sealed password cannot be opened")]
pub struct CannotOpen;

/// aws-lc reports that it could not encrypt or make random numbers; the process cannot work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cryptographic library failed")]
pub struct CryptoFailure;

impl From<aws_lc_rs::error::Unspecified> for CryptoFailure {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        Self
    }
}

#[cfg(test)]
mod tests;
