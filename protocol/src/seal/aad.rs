//! What a sealed password is bound to.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::RequestId;

/// Of the JSON without the user name, so that it is written in one piece.
const TYPICAL_BYTES: usize = 160;

/// The JWE's additional authenticated data: one JSON object with these members, which stand in this order and
/// without white space where the relay writes it. A caller's own is read member by member, so that its JSON library
/// may escape what it likes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthenticatedData {
    /// When the password may no longer be used, in milliseconds since 1970.
    #[serde(rename = "exp")]
    pub expires_unix_ms: u64,
    /// The realm.
    pub realm: String,
    /// The request id.
    #[serde(rename = "rid", with = "as_text")]
    pub request_id: RequestId,
    /// The tenant.
    pub tenant: String,
    /// The user name, exactly as sent.
    pub user: String,
}

/// The text is no authenticated data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthenticatedDataError {
    /// Not base64url without padding.
    #[error("aad is not base64url without padding")]
    Base64,
    /// Not the expected JSON object; says which member. Does not quote values: one is the user name.
    #[error("aad is not a JSON object of exp, realm, rid, tenant and user: {0}")]
    Json(String),
}

impl AuthenticatedData {
    /// The canonical text in base64url, as it enters the encryption.
    pub fn to_base64(&self) -> String {
        // Strings and numbers only: serialization cannot fail.
        let mut json = Vec::with_capacity(TYPICAL_BYTES + self.user.len());
        let _ = serde_json::to_writer(&mut json, self);
        BASE64_URL_SAFE_NO_PAD.encode(json)
    }

    /// Reads a caller's text. Unknown, repeated and missing members are refused.
    ///
    /// # Errors
    /// [`AuthenticatedDataError`].
    pub fn from_base64(text: &str) -> Result<Self, AuthenticatedDataError> {
        let json = BASE64_URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| AuthenticatedDataError::Base64)?;
        crate::json::read_object(&json).map_err(|error| {
            use serde_json::error::Category;
            AuthenticatedDataError::Json(match error.classify() {
                Category::Data => format!(
                    "a member is missing, repeated, unknown or of the wrong type at column {}",
                    error.column()
                ),
                _ => "not valid JSON".to_owned(),
            })
        })
    }
}

mod as_text {
    use crate::RequestId;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(id: &RequestId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RequestId, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}
