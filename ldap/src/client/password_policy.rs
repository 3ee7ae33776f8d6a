//! The password policy control (draft-behera-ldap-password-policy-10, section 6.2).

use crate::ber::{self, Malformed, Reader, SEQUENCE};

/// The control's name, in requests and answers.
pub const OID: &str = "1.3.6.1.4.1.42.2.27.8.5.1";

mod tag {
    pub(super) const WARNING: u8 = 0xa0;
    pub(super) const ERROR: u8 = 0x81;
}

/// What a server's policy says of a bind. Its warnings (time until expiry, sign-ins left after it) are read for their
/// form alone: a bind that they come with has succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PasswordPolicy {
    /// 0 password expired, 1 account locked, 2 change after reset; others are about changing passwords.
    pub error: Option<i32>,
}

impl PasswordPolicy {
    /// Reads the control's value. None at all says nothing.
    pub(super) fn read(value: &[u8]) -> Result<Self, Malformed> {
        if value.is_empty() {
            return Ok(Self::default());
        }
        let mut outer = Reader::new(value);
        let mut response = Reader::new(outer.expect(SEQUENCE)?);
        if !outer.is_empty() {
            return Err(Malformed);
        }
        if let Some(warning) = response.optional(tag::WARNING)? {
            let mut warning = Reader::new(warning);
            ber::number(warning.any()?.1)?;
            warning.skip()?;
        }
        let error = response.optional(tag::ERROR)?.map(ber::number).transpose()?;
        response.skip()?;
        Ok(Self { error })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_and_warning_are_told_apart_and_nothing_is_said_by_an_empty_answer() {
        let read = |value: &[u8]| PasswordPolicy::read(value).map(|policy| policy.error);
        for silent in [
            &[][..],
            &[0x30, 0x00],
            &[0x30, 5, 0xa0, 3, 0x80, 1, 60],
            &[0x30, 5, 0xa0, 3, 0x81, 1, 2],
        ] {
            assert_eq!(read(silent), Ok(None));
        }
        assert_eq!(read(&[0x30, 3, 0x81, 1, 1]), Ok(Some(1)));
        assert_eq!(read(&[0x30, 8, 0xa0, 3, 0x81, 1, 0, 0x81, 1, 2]), Ok(Some(2)));
        assert_eq!(read(&[0x30, 6, 0x81, 1, 0, 0x85, 1, 1]), Ok(Some(0)));
    }

    #[test]
    fn what_is_not_of_its_form_is_an_error_and_not_silence() {
        for bad in [
            &[0x30][..],
            &[0x30, 3, 0x81, 1],
            &[0x30, 2, 0x81, 0],
            &[0x81, 1, 1],
            &[0x30, 0, 0x81, 1, 1],
        ] {
            assert_eq!(PasswordPolicy::read(bad), Err(Malformed), "{bad:?}");
        }
    }
}
