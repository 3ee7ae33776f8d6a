//! The id of one sign-in: 128 bits, written as a lower-case hyphenated UUID.

use std::fmt;
use std::str::FromStr;

/// A sign-in's id. The relay makes UUIDv7 ([RFC 9562](https://www.rfc-editor.org/rfc/rfc9562)); a caller that seals
/// for itself chooses 128 random bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, minicbor::Encode, minicbor::Decode)]
#[cbor(transparent)]
pub struct RequestId(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 16]);

/// The text is no request id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a request id is 32 lower-case hexadecimal digits in the form 8-4-4-4-12")]
pub struct RequestIdError;

const HYPHENS: [usize; 4] = [8, 13, 18, 23];

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        // Written several times for each sign-in, so not by the formatter byte by byte.
        let mut text = [b'-'; 36];
        let places = (0..text.len()).filter(|at| !HYPHENS.contains(at));
        let halves = self.0.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        for (at, half) in places.zip(halves) {
            text[at] = DIGITS[usize::from(half)];
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for RequestId {
    type Err = RequestIdError;

    /// One spelling only, so that an id has one text.
    fn from_str(text: &str) -> Result<Self, RequestIdError> {
        let text = text.as_bytes();
        if text.len() != 36 || HYPHENS.iter().any(|&at| text[at] != b'-') {
            return Err(RequestIdError);
        }
        let digits: Vec<u8> = text
            .iter()
            .enumerate()
            .filter(|(at, _)| !HYPHENS.contains(at))
            .map(|(_, &digit)| match digit {
                b'0'..=b'9' => Ok(digit - b'0'),
                b'a'..=b'f' => Ok(digit - b'a' + 10),
                _ => Err(RequestIdError),
            })
            .collect::<Result<_, _>>()?;
        let mut id = [0; 16];
        for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair[0] << 4 | pair[1];
        }
        Ok(Self(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_and_bytes_round_trip(bytes: [u8; 16]) {
            let id = RequestId(bytes);
            prop_assert_eq!(id.to_string().parse::<RequestId>(), Ok(id));
        }

        #[test]
        fn no_text_panics_and_only_the_canonical_one_is_taken(text in "\\PC{0,40}") {
            if let Ok(id) = text.parse::<RequestId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        let id = "0190a5e2-7b1c-7def-8123-456789abcdef";
        assert!(id.parse::<RequestId>().is_ok());
        let others = [
            id.to_uppercase(),
            id.replace('-', ""),
            format!("{{{id}}}"),
            id.replace('e', "é"),
        ];
        for other in others {
            assert_eq!(other.parse::<RequestId>(), Err(RequestIdError), "{other}");
        }
    }
}
