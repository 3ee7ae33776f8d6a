//! A caller's envelope: JWE in general JSON serialization (RFC 7516, section 7.2.1), one recipient for each agent.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::{
    AuthenticatedData, AuthenticatedDataError, ContentKey, CryptoFailure, PROTECTED_HEADER_BASE64, Sealed, SealingKey,
};
use crate::Password;
use crate::password::MAX_PASSWORD_BYTES;

/// The most recipients of an envelope. One wrapped key is 350 bytes in JSON; 100 fill 35 KiB of the 64 allowed.
pub const MAX_RECIPIENTS: usize = 100;

/// The longest protected header that is taken, in base64url. The one that is asked for has 78 characters; white space
/// and another order of its members are fine.
const MAX_PROTECTED: usize = 256;

/// The longest authenticated data that is taken, in base64url: a user name of 1,024 bytes, each escaped to six.
const MAX_AAD: usize = 10 * 1024;

/// An SHA-256 thumbprint in base64url.
const KID_CHARACTERS: usize = 43;

/// An envelope as parsed from JSON. Its members are as they came; [`Jwe::parts`] checks them.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jwe {
    /// The protected header, base64url.
    pub protected: String,
    /// The content key, encrypted to each agent.
    #[serde(deserialize_with = "crate::json::objects")]
    pub recipients: Vec<Recipient>,
    /// The authenticated data, base64url.
    pub aad: String,
    /// base64url.
    pub iv: String,
    /// base64url.
    pub ciphertext: String,
    /// base64url.
    pub tag: String,
}

/// One agent's copy of the content key.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipient {
    /// The per-recipient unprotected header.
    #[serde(deserialize_with = "crate::json::object")]
    pub header: RecipientHeader,
    /// base64url.
    pub encrypted_key: String,
}

/// Names the key that a recipient's `encrypted_key` is for.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecipientHeader {
    /// Thumbprint (RFC 7638).
    pub kid: String,
}

/// An envelope that was checked, with its parts decoded.
pub struct Parts {
    /// Whom, what for, until when.
    pub authenticated: AuthenticatedData,
    /// The sealed password.
    pub sealed: Sealed,
    /// The encrypted content key by `kid`.
    pub recipients: BTreeMap<String, Vec<u8>>,
}

/// Why an envelope is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JweError {
    /// A member is not base64url without padding.
    #[error("jwe member {0:?} is not base64url without padding")]
    Base64(&'static str),
    /// The protected header is not what is asked for.
    #[error(
        "the protected header must have exactly alg \"RSA-OAEP-256\", enc \"A256GCM\" and typ \"postern+jwe\" (no zip, no crit)"
    )]
    Header,
    /// No recipient, or too many.
    #[error("an envelope has 1 to {MAX_RECIPIENTS} recipients, not {0}")]
    Recipients(usize),
    /// A recipient's `kid` cannot be one, or another recipient has the same.
    #[error("each recipient's kid is the thumbprint of another key (43 characters, RFC 7638)")]
    Kid,
    /// A member that is longer than anything it could need to be.
    #[error("jwe member {0:?} is too long")]
    TooLong(&'static str),
    /// A member has a length that the algorithms do not allow.
    #[error("jwe member {member:?} has {actual} bytes, {expected} are needed")]
    Length {
        /// Which.
        member: &'static str,
        /// Its decoded length.
        actual: usize,
        /// What it should be.
        expected: &'static str,
    },
    /// The authenticated data cannot be read.
    #[error(transparent)]
    AuthenticatedData(#[from] AuthenticatedDataError),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProtectedHeader {
    alg: String,
    enc: String,
    typ: String,
}

impl Jwe {
    /// Seals `password` to every one of `keys`, under a content key of its own.
    ///
    /// # Errors
    /// [`CryptoFailure`].
    pub fn seal<'a>(
        password: &Password,
        authenticated: &AuthenticatedData,
        keys: impl IntoIterator<Item = &'a SealingKey>,
    ) -> Result<Self, CryptoFailure> {
        let content_key = ContentKey::generate()?;
        let aad = authenticated.to_base64();
        let sealed = content_key.seal(password, &aad)?;
        let recipients = keys
            .into_iter()
            .map(|key| {
                Ok(Recipient {
                    header: RecipientHeader {
                        kid: key.kid().to_owned(),
                    },
                    encrypted_key: BASE64_URL_SAFE_NO_PAD.encode(key.wrap(&content_key)?),
                })
            })
            .collect::<Result<_, CryptoFailure>>()?;
        Ok(Self {
            protected: PROTECTED_HEADER_BASE64.to_owned(),
            recipients,
            aad,
            iv: BASE64_URL_SAFE_NO_PAD.encode(sealed.iv),
            ciphertext: BASE64_URL_SAFE_NO_PAD.encode(&sealed.ciphertext),
            tag: BASE64_URL_SAFE_NO_PAD.encode(sealed.tag),
        })
    }

    /// Checks everything that can be checked without a key.
    ///
    /// # Errors
    /// [`JweError`].
    pub fn parts(&self) -> Result<Parts, JweError> {
        // Bounded before anything else: the parts travel to the agent as they are.
        if self.protected.len() > MAX_PROTECTED {
            return Err(JweError::TooLong("protected"));
        }
        if self.aad.len() > MAX_AAD {
            return Err(JweError::TooLong("aad"));
        }
        check_protected(&self.protected)?;
        if !(1..=MAX_RECIPIENTS).contains(&self.recipients.len()) {
            return Err(JweError::Recipients(self.recipients.len()));
        }
        let authenticated = AuthenticatedData::from_base64(&self.aad)?;
        let ciphertext = decode("ciphertext", &self.ciphertext)?;
        if !(1..=MAX_PASSWORD_BYTES).contains(&ciphertext.len()) {
            return Err(JweError::Length {
                member: "ciphertext",
                actual: ciphertext.len(),
                expected: "1 to 1024",
            });
        }
        let sealed = Sealed {
            iv: exactly("iv", &self.iv, "12")?,
            ciphertext,
            tag: exactly("tag", &self.tag, "16")?,
        };
        let mut recipients = BTreeMap::new();
        for recipient in &self.recipients {
            let wrapped: [u8; 256] = exactly("encrypted_key", &recipient.encrypted_key, "256")?;
            let kid = recipient.header.kid.clone();
            if kid.len() != KID_CHARACTERS || recipients.insert(kid, wrapped.to_vec()).is_some() {
                return Err(JweError::Kid);
            }
        }
        Ok(Parts {
            authenticated,
            sealed,
            recipients,
        })
    }
}

/// Checks a protected header (base64url) for exactly the algorithms that are spoken here.
///
/// # Errors
/// [`JweError`].
pub fn check_protected(protected: &str) -> Result<(), JweError> {
    let json = decode("protected", protected)?;
    let header: ProtectedHeader = crate::json::read_object(&json).map_err(|_| JweError::Header)?;
    let fits = header.alg == "RSA-OAEP-256" && header.enc == "A256GCM" && header.typ == "postern+jwe";
    if fits { Ok(()) } else { Err(JweError::Header) }
}

fn decode(member: &'static str, text: &str) -> Result<Vec<u8>, JweError> {
    BASE64_URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| JweError::Base64(member))
}

fn exactly<const N: usize>(member: &'static str, text: &str, expected: &'static str) -> Result<[u8; N], JweError> {
    let bytes = decode(member, text)?;
    let actual = bytes.len();
    bytes.try_into().map_err(|_| JweError::Length {
        member,
        actual,
        expected,
    })
}
