//! A sign-in's body: read within bounds of size and time, and parsed strictly.
//!
//! What is ours is wiped: the collected body, and the password as a string. What is not: hyper's read buffer, and
//! serde_json's scratch space when a password is written with escapes; both hold it until they are used again.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use http_body_util::BodyExt;
use postern_protocol::json;
use postern_protocol::seal::Jwe;
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};
use zeroize::Zeroizing;

/// The longest body, in bytes: user name and password of 1,024 each, six times as long when escaped.
pub(crate) const MAX_BYTES: usize = 16 * 1024;

/// The longest body with an envelope, in bytes: 100 recipients.
pub(super) const MAX_BYTES_WITH_JWE: usize = 64 * 1024;

/// From arrival to the body's end.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// What a caller posts: a password, or an envelope.
#[derive(Debug)]
pub struct SignInBody {
    /// As typed.
    pub username: String,
    /// One of the two.
    pub secret: Secret,
}

/// The password, or what it is sealed in.
pub enum Secret {
    /// In the clear; to be sealed here.
    Password(Zeroizing<String>),
    /// Sealed by the caller.
    Jwe(Box<Jwe>),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// Why a body is refused. Quotes nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Over the limit; the rest was not read.
    #[error("the body is longer than {MAX_BYTES} bytes ({MAX_BYTES_WITH_JWE} with \"jwe\")")]
    TooLong,
    /// Not complete in time.
    #[error("the body was not complete within {} seconds", READ_TIMEOUT.as_secs())]
    TooSlow,
    /// The connection broke.
    #[error("the body ended early")]
    Broken,
    /// Not the expected JSON.
    #[error("the body is not the expected JSON: {0}")]
    Json(String),
    /// Neither or both of password and jwe.
    #[error("the body needs \"username\" and exactly one of \"password\" and \"jwe\"")]
    Members,
}

impl BodyError {
    /// Whether something of the body is left unread, so that the connection cannot go on.
    pub fn leaves_rest(&self) -> bool {
        matches!(self, Self::TooLong | Self::TooSlow | Self::Broken)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    username: Option<String>,
    password: Option<RawPassword>,
    #[serde(default, deserialize_with = "some_object")]
    jwe: Option<Box<Jwe>>,
}

fn some_object<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Box<Jwe>>, D::Error> {
    json::object(deserializer).map(|jwe| Some(Box::new(jwe)))
}

/// A string that is zeroed even when the member after it turns out to be wrong.
#[derive(Deserialize)]
#[serde(from = "String")]
struct RawPassword(Zeroizing<String>);

impl From<String> for RawPassword {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

/// Reads and parses a body.
///
/// # Errors
/// [`BodyError`].
pub async fn read(body: Body, arrived: Instant) -> Result<SignInBody, BodyError> {
    parse(&bytes(body, arrived).await?)
}

/// A body's bytes, within the bounds of the longest and of time.
///
/// # Errors
/// [`BodyError`].
pub(crate) async fn bytes(body: Body, arrived: Instant) -> Result<Zeroizing<Vec<u8>>, BodyError> {
    // Of a body's own length from the beginning, where it says so: all of it is wiped in the end, and the most that it may
    // be is a hundred times what it is.
    let length =
        usize::try_from(body.size_hint().lower()).map_or(MAX_BYTES_WITH_JWE, |hint| hint.min(MAX_BYTES_WITH_JWE));
    let mut bytes = Zeroizing::new(Vec::with_capacity(length));
    match timeout_at(arrived + READ_TIMEOUT, collect(body, &mut bytes)).await {
        Ok(read) => read.map(|()| bytes),
        Err(_) => Err(BodyError::TooSlow),
    }
}

async fn collect(mut body: Body, bytes: &mut Zeroizing<Vec<u8>>) -> Result<(), BodyError> {
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else {
            continue;
        };
        if bytes.len() + data.len() > MAX_BYTES_WITH_JWE {
            return Err(BodyError::TooLong);
        }
        append(bytes, &data);
    }
    Ok(())
}

/// A vector that grows by itself leaves copies behind.
fn append(bytes: &mut Zeroizing<Vec<u8>>, data: &[u8]) {
    let needed = bytes.len() + data.len();
    if needed > bytes.capacity() {
        let mut larger = Zeroizing::new(Vec::with_capacity(needed.max(2 * bytes.capacity())));
        larger.extend_from_slice(bytes);
        *bytes = larger;
    }
    bytes.extend_from_slice(data);
}

fn parse(bytes: &[u8]) -> Result<SignInBody, BodyError> {
    let raw: Raw = json::read_object(bytes).map_err(|error| BodyError::Json(describe(&error)))?;
    if raw.jwe.is_none() && bytes.len() > MAX_BYTES {
        return Err(BodyError::TooLong);
    }
    let username = raw.username.ok_or(BodyError::Members)?;
    let secret = match (raw.password, raw.jwe) {
        (Some(password), None) => Secret::Password(password.0),
        (None, Some(jwe)) => Secret::Jwe(jwe),
        _ => return Err(BodyError::Members),
    };
    Ok(SignInBody { username, secret })
}

/// Where it is wrong and of what kind; serde's own text quotes what it found.
fn describe(error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    let what = match error.classify() {
        Category::Data => {
            "a member is unknown, repeated or of the wrong type; \"username\" and one of \"password\" and \"jwe\" are known"
        }
        Category::Eof => "it ends too early",
        Category::Syntax | Category::Io => "it is not valid JSON in UTF-8",
    };
    format!("{what} (line {}, column {})", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_name_and_a_password_are_enough() {
        let body = parse(br#"{"username":"a@b","password":"x"}"#).unwrap();
        assert_eq!(body.username, "a@b");
        assert!(matches!(body.secret, Secret::Password(password) if *password == "x"));
    }

    #[test]
    fn unknown_repeated_missing_and_misplaced_members_are_refused_without_being_quoted() {
        for text in [
            r#"{"username":"a@b","password":"hunter2","extra":1}"#,
            r#"{"username":"a@b","password":"hunter2","password":"hunter2"}"#,
            r#"{"username":"a@b"}"#,
            r#"{"password":"hunter2"}"#,
            r#"{"username":"a@b","password":["hunter2"]}"#,
            r#"{"username":"a@b","password":null}"#,
            r#"{"username":"a@b","password":"hunter2"} hunter2"#,
            r#"{"username":"a@b","password":"hunter2"#,
            r#"{"username":"a@b","hunter2":1}"#,
            r#""hunter2""#,
            r#"["a@b","hunter2",null]"#,
            r#"{"username":"a@b","jwe":["hunter2",[],"","","",""]}"#,
            r#"{"username":"a@b","jwe":null}"#,
            "{\"username\":\"a@b\",\"password\":\"\\ud800\"}",
            "",
        ] {
            let error = parse(text.as_bytes()).expect_err(text).to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
        assert!(parse(b"{\"username\":\"a@b\",\"password\":\"\xff\"}").is_err());
    }

    #[test]
    fn a_body_that_did_not_say_its_length_grows_whole() {
        let mut bytes = Zeroizing::new(Vec::new());
        let pieces: Vec<Vec<u8>> = (0..200u8).map(|n| vec![n; usize::from(n) + 1]).collect();
        for piece in &pieces {
            append(&mut bytes, piece);
        }
        assert_eq!(*bytes, pieces.concat());
    }

    #[tokio::test]
    async fn a_body_above_the_limit_is_not_read_to_its_end() {
        let endless = Body::from(vec![b' '; MAX_BYTES_WITH_JWE + 1]);
        assert_eq!(read(endless, Instant::now()).await.unwrap_err(), BodyError::TooLong);
        let padded = format!("{{\"username\":\"a@b\",\"password\":\"x\"}}{}", " ".repeat(MAX_BYTES));
        assert_eq!(
            read(Body::from(padded), Instant::now()).await.unwrap_err(),
            BodyError::TooLong
        );
    }
}
