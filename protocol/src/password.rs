//! A password: zeroed when dropped, never printed, never copied by accident.

use std::fmt;

use zeroize::Zeroizing;

/// The longest password that is taken, in bytes of UTF-8.
pub const MAX_PASSWORD_BYTES: usize = 1024;

/// A password that may be sent to a directory: not empty, no NUL, at most [`MAX_PASSWORD_BYTES`].
///
/// An empty one cannot exist. LDAP takes a bind with a name and no password for an anonymous one and says success
/// (RFC 4513, section 5.1.2), which would sign in anybody as anybody; relay and agent both build this type from what
/// they receive, so neither can pass one on.
pub struct Password(Zeroizing<String>);

/// Why a text cannot be a password. Says nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// No bytes at all.
    #[error("the password is empty")]
    Empty,
    /// A NUL, at which some directories end the comparison.
    #[error("the password contains a NUL character")]
    Nul,
    /// More than [`MAX_PASSWORD_BYTES`].
    #[error("the password is longer than {MAX_PASSWORD_BYTES} bytes")]
    TooLong,
    /// Bytes that are no UTF-8.
    #[error("the password is not valid UTF-8")]
    NotUtf8,
}

impl Password {
    /// Checks and takes over `text`.
    ///
    /// # Errors
    /// [`PasswordError`]; `text` is zeroed then too.
    pub fn new(text: Zeroizing<String>) -> Result<Self, PasswordError> {
        match text.len() {
            0 => Err(PasswordError::Empty),
            length if length > MAX_PASSWORD_BYTES => Err(PasswordError::TooLong),
            _ if text.contains('\0') => Err(PasswordError::Nul),
            _ => Ok(Self(text)),
        }
    }

    /// As [`Password::new`], from bytes that must be UTF-8.
    ///
    /// # Errors
    /// [`PasswordError`]; the bytes are zeroed then too.
    pub fn from_bytes(mut bytes: Zeroizing<Vec<u8>>) -> Result<Self, PasswordError> {
        // Checked before it is moved: a failed conversion would hand back the bytes without their zeroing wrapper.
        if std::str::from_utf8(&bytes).is_err() {
            return Err(PasswordError::NotUtf8);
        }
        match String::from_utf8(std::mem::take(&mut *bytes)) {
            Ok(text) => Self::new(Zeroizing::new(text)),
            Err(_) => Err(PasswordError::NotUtf8),
        }
    }

    /// The password, for the one place that needs it. Do not keep, print or compare it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<Password, PasswordError> {
        Password::new(Zeroizing::new(text.to_owned()))
    }

    #[test]
    fn what_a_directory_would_misread_cannot_be_a_password() {
        assert_eq!(check("").unwrap_err(), PasswordError::Empty);
        assert_eq!(check("right\0x").unwrap_err(), PasswordError::Nul);
        assert_eq!(check(&"x".repeat(1025)).unwrap_err(), PasswordError::TooLong);
        let broken = Zeroizing::new(vec![0x70, 0xff]);
        assert_eq!(Password::from_bytes(broken).unwrap_err(), PasswordError::NotUtf8);
    }

    #[test]
    fn length_counts_bytes_and_the_limit_itself_is_fine() {
        assert!(check(&"x".repeat(1024)).is_ok());
        assert!(check(&"é".repeat(512)).is_ok());
        assert_eq!(check(&"é".repeat(513)).unwrap_err(), PasswordError::TooLong);
    }

    #[test]
    fn debug_does_not_show_it() {
        assert_eq!(format!("{:?}", check("secret").unwrap()), "***");
    }
}
