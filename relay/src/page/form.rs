//! The page's forms: `application/x-www-form-urlencoded`, read within the API's bounds and as strictly.
//!
//! A password is decoded into memory that is wiped and never grows, so that no copy is left behind.

use axum::extract::Request;
use axum::http::header;
use postern_protocol::json;
use postern_protocol::seal::Jwe;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::api::body::{self, BodyError, MAX_BYTES, Secret};

/// What a person sent: the name alone (first step), or with the password (second step).
#[derive(Debug)]
pub(super) struct Form {
    /// As typed.
    pub(super) username: String,
    /// The password, or what the script sealed it in.
    pub(super) secret: Option<Secret>,
}

/// Why a form is refused. Quotes nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum FormError {
    /// Another kind of body.
    #[error("the form is not application/x-www-form-urlencoded")]
    Kind,
    /// Size, time, or the connection.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// An escape that is none, or bytes that are no UTF-8.
    #[error("the form is not encoded as forms are")]
    Encoding,
    /// A field that is unknown, missing or there twice.
    #[error("the form needs \"username\", may have one of \"password\" and \"jwe\", and has no other field")]
    Fields,
    /// The envelope is not the expected JSON.
    #[error("the sealed password in the form is not the expected JSON")]
    Jwe,
}

impl FormError {
    /// Whether something of the body is left unread, so that the connection cannot go on.
    pub(super) fn leaves_rest(&self) -> bool {
        match self {
            Self::Kind => true,
            Self::Body(error) => error.leaves_rest(),
            Self::Encoding | Self::Fields | Self::Jwe => false,
        }
    }
}

/// Reads a form.
///
/// # Errors
/// [`FormError`].
pub(super) async fn read(request: Request, arrived: Instant) -> Result<Form, FormError> {
    let kind = request.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|value| value.to_str().ok()?.split(';').next());
    if !kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")) {
        return Err(FormError::Kind);
    }
    parse(&body::bytes(request.into_body(), arrived).await?)
}

fn parse(bytes: &[u8]) -> Result<Form, FormError> {
    let (mut username, mut password, mut jwe) = (None, None, None);
    for field in bytes.split(|&byte| byte == b'&') {
        let at = field.iter().position(|&byte| byte == b'=').ok_or(FormError::Fields)?;
        let (name, value) = (&field[..at], &field[at + 1..]);
        let slot = match name {
            b"username" => &mut username,
            b"password" => &mut password,
            b"jwe" => &mut jwe,
            _ => return Err(FormError::Fields),
        };
        if slot.replace(decode(value)?).is_some() {
            return Err(FormError::Fields);
        }
    }
    if jwe.is_none() && bytes.len() > MAX_BYTES {
        return Err(BodyError::TooLong.into());
    }
    let secret = match (password, jwe) {
        (None, None) => None,
        (Some(password), None) => Some(Secret::Password(password)),
        (None, Some(jwe)) => {
            let jwe: Jwe = json::read_object(jwe.as_bytes()).map_err(|_| FormError::Jwe)?;
            Some(Secret::Jwe(Box::new(jwe)))
        }
        (Some(_), Some(_)) => return Err(FormError::Fields),
    };
    Ok(Form {
        username: username.ok_or(FormError::Fields)?.to_string(),
        secret,
    })
}

/// A field's value: `+` is a blank, `%` and two digits are a byte (WHATWG URL, section 5.1), and stricter than there
/// a `%` without them is refused: no browser sends it.
fn decode(encoded: &[u8]) -> Result<Zeroizing<String>, FormError> {
    let mut decoded = Zeroizing::new(Vec::with_capacity(encoded.len()));
    let mut rest = encoded.iter();
    while let Some(&byte) = rest.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => match (digit(rest.next()), digit(rest.next())) {
                (Some(high), Some(low)) => high << 4 | low,
                _ => return Err(FormError::Encoding),
            },
            other => other,
        });
    }
    // Checked before it is moved: a failed conversion would hand back the bytes without their zeroing wrapper.
    if std::str::from_utf8(&decoded).is_err() {
        return Err(FormError::Encoding);
    }
    String::from_utf8(std::mem::take(&mut *decoded))
        .map(Zeroizing::new)
        .map_err(|_| FormError::Encoding)
}

fn digit(byte: Option<&u8>) -> Option<u8> {
    let digit = char::from(*byte?).to_digit(16)?;
    u8::try_from(digit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn password(form: &str) -> Option<String> {
        match parse(form.as_bytes()).unwrap().secret {
            Some(Secret::Password(password)) => Some(password.to_string()),
            _ => None,
        }
    }

    #[test]
    fn a_name_alone_is_the_first_step_and_an_empty_password_is_one() {
        assert!(parse(b"username=a%40b").unwrap().secret.is_none());
        assert_eq!(password("username=a%40b&password="), Some(String::new()));
    }

    #[test]
    fn values_are_decoded_as_browsers_encode_them() {
        let form = "username=zo%C3%AB%40b&password=a+b%2Bc%26d%3De%25%0A";
        assert_eq!(parse(form.as_bytes()).unwrap().username, "zoë@b");
        assert_eq!(password(form), Some("a b+c&d=e%\n".to_owned()));
    }

    #[test]
    fn unknown_repeated_missing_and_broken_fields_are_refused_without_being_quoted() {
        for form in [
            "",
            "username",
            "password=hunter2",
            "username=a%40b&password=hunter2&password=hunter2",
            "username=a%40b&username=hunter2",
            "username=a%40b&password=hunter2&remember=1",
            "username=a%40b&password=hunter2&",
            "username=a%40b&password=hunter2%",
            "username=a%40b&password=hunter2%2",
            "username=a%40b&password=hunter2%zz",
            "username=a%40b&password=hunter2%ff",
            "username=a%40b&password=hunter2&jwe=%7B%7D",
            "username=a%40b&jwe=hunter2",
            "username=a%40b&jwe=%7B%22hunter2%22%3A1%7D",
        ] {
            let error = parse(form.as_bytes()).expect_err(form).to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn only_an_envelope_may_be_longer_than_a_password() {
        let long = format!("username=a%40b&password={}", "x".repeat(MAX_BYTES));
        assert_eq!(parse(long.as_bytes()).unwrap_err(), BodyError::TooLong.into());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }

        #[test]
        fn every_text_comes_back_from_its_encoding(text in "\\PC{0,40}") {
            let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
            prop_assert_eq!(decode(encoded.as_bytes()).unwrap().to_string(), text);
        }
    }
}
