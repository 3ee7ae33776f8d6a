//! The Basic Encoding Rules as LDAP restricts them (RFC 4511, section 5.1): tags of one byte, definite lengths.
//!
//! Reading is strict: an element that does not fit into what holds it is an error, never a shorter element. A length
//! is checked against the bytes that are there before anything is made of it, and nothing recurses.

use std::fmt;

use zeroize::Zeroizing;

/// Universal tag of a BOOLEAN.
pub const BOOLEAN: u8 = 0x01;
/// Universal tag of an INTEGER.
pub const INTEGER: u8 = 0x02;
/// Universal tag of an OCTET STRING.
pub const OCTET_STRING: u8 = 0x04;
/// Universal tag of an ENUMERATED.
pub const ENUMERATED: u8 = 0x0a;
/// Universal tag of a SEQUENCE or SEQUENCE OF, constructed.
pub const SEQUENCE: u8 = 0x30;
/// Universal tag of a SET OF, constructed.
pub const SET: u8 = 0x31;

/// The longest form of a length that is read: four bytes say 4 GiB.
const LENGTH_BYTES: usize = 4;

/// Not BER, or not in LDAP's form of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not BER in LDAP's form")]
pub struct Malformed;

/// What stands before an element's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The tag, class and form included.
    pub tag: u8,
    /// Bytes of tag and length.
    pub size: usize,
    /// Bytes of content.
    pub content: usize,
}

/// The header at the beginning of `bytes`, or `None` while it is not whole.
///
/// # Errors
/// [`Malformed`] for a tag of several bytes, an indefinite length, and one of more than four bytes.
pub fn header(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let [tag, rest @ ..] = bytes else {
        return Ok(None);
    };
    // 31 announces a tag of several bytes, of which LDAP has none.
    if tag & 0x1f == 0x1f {
        return Err(Malformed);
    }
    let [first, rest @ ..] = rest else {
        return Ok(None);
    };
    let (size, content) = match usize::from(first & 0x7f) {
        short if first & 0x80 == 0 => (2, short),
        // None is the indefinite form.
        count @ 1..=LENGTH_BYTES => {
            let Some(bytes) = rest.get(..count) else {
                return Ok(None);
            };
            let length = bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
            (2 + count, length)
        }
        _ => return Err(Malformed),
    };
    Ok(Some(Header {
        tag: *tag,
        size,
        content,
    }))
}

/// The elements of a content, one after another.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads `content` from its beginning.
    pub fn new(content: &'a [u8]) -> Self {
        Self { rest: content }
    }

    /// Whether everything has been read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next element, tag and content.
    ///
    /// # Errors
    /// [`Malformed`] when it does not fit into what is left.
    pub fn any(&mut self) -> Result<(u8, &'a [u8]), Malformed> {
        let header = header(self.rest)?.ok_or(Malformed)?;
        let (_, after) = self.rest.split_at_checked(header.size).ok_or(Malformed)?;
        let (content, rest) = after.split_at_checked(header.content).ok_or(Malformed)?;
        self.rest = rest;
        Ok((header.tag, content))
    }

    /// The next element, which has to have this tag.
    ///
    /// # Errors
    /// [`Malformed`], also when it has another tag.
    pub fn expect(&mut self, tag: u8) -> Result<&'a [u8], Malformed> {
        self.optional(tag)?.ok_or(Malformed)
    }

    /// The next element, if it has this tag.
    ///
    /// # Errors
    /// [`Malformed`] when it does not fit into what is left.
    pub fn optional(&mut self, tag: u8) -> Result<Option<&'a [u8]>, Malformed> {
        if self.rest.first() != Some(&tag) {
            return Ok(None);
        }
        self.any().map(|(_, content)| Some(content))
    }

    /// Whatever follows is well-formed. LDAP's sequences may grow, and what is added is to be ignored (RFC 4511,
    /// section 4).
    ///
    /// # Errors
    /// [`Malformed`] when something does not fit.
    pub fn skip(mut self) -> Result<(), Malformed> {
        while !self.is_empty() {
            self.any()?;
        }
        Ok(())
    }
}

/// A number that is not negative (LDAP has no other), at most 2^31 - 1 (RFC 4511, section 4.1.1).
///
/// # Errors
/// [`Malformed`] for any other.
pub fn number(content: &[u8]) -> Result<i32, Malformed> {
    if content.is_empty() || content.len() > 4 || content[0] & 0x80 != 0 {
        return Err(Malformed);
    }
    Ok(content.iter().fold(0, |number, byte| number << 8 | i32::from(*byte)))
}

/// Any number, as a server has to take message ids: those that do not fit lose what is above 32 bits, and none at all is
/// 0 (both measured at Samba).
pub fn wrapped_number(content: &[u8]) -> i32 {
    let sign = if content.first().is_some_and(|first| first & 0x80 != 0) {
        -1
    } else {
        0
    };
    content.iter().fold(sign, |number, byte| number << 8 | i32::from(*byte))
}

/// Writes elements behind what a buffer holds already: the answers of a server, which are no secret.
#[derive(Debug)]
pub struct Appender<'a> {
    bytes: &'a mut Vec<u8>,
}

impl<'a> Appender<'a> {
    /// Writes behind `bytes`.
    pub fn new(bytes: &'a mut Vec<u8>) -> Self {
        Self { bytes }
    }

    /// An element with this content.
    pub fn element(&mut self, tag: u8, content: &[u8]) {
        match u8::try_from(content.len()) {
            Ok(short @ 0..=0x7f) => self.bytes.extend_from_slice(&[tag, short]),
            _ => {
                self.bytes.extend_from_slice(&[tag, 0x84]);
                self.bytes.extend_from_slice(&four_bytes(content.len()));
            }
        }
        self.bytes.extend_from_slice(content);
    }

    /// A number under `tag`: INTEGER, ENUMERATED, or one of the context.
    pub fn number(&mut self, tag: u8, value: i32) {
        let bytes = value.to_be_bytes();
        self.element(tag, &bytes[spare_bytes(bytes)..]);
    }

    /// An element made of elements, its length in the four-byte form, as in [`Writer::nest`].
    pub fn nest(&mut self, tag: u8, content: impl FnOnce(&mut Appender<'_>)) {
        self.bytes.extend_from_slice(&[tag, 0x84, 0, 0, 0, 0]);
        let start = self.bytes.len();
        content(&mut Appender { bytes: self.bytes });
        let length = four_bytes(self.bytes.len() - start);
        self.bytes[start - 4..start].copy_from_slice(&length);
    }
}

/// How many of a number's first bytes say nothing beyond its sign.
fn spare_bytes(bytes: [u8; 4]) -> usize {
    let fill = if bytes[0] & 0x80 == 0 { 0x00 } else { 0xff };
    (0..3)
        .take_while(|&at| bytes[at] == fill && (bytes[at + 1] ^ fill) & 0x80 == 0)
        .count()
}

/// Nothing that is written here comes near 4 GiB.
fn four_bytes(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

/// An encoding in the making. Wiped when dropped; so what is written must fit into the capacity that it was made with,
/// or a copy is left behind where the bytes were before. Shown by its length alone.
pub struct Writer {
    bytes: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Writer({} bytes)", self.bytes.len())
    }
}

impl Writer {
    /// An empty encoding with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            bytes: Zeroizing::new(Vec::with_capacity(capacity)),
        }
    }

    /// The bytes; wiped when dropped.
    pub fn finish(self) -> Zeroizing<Vec<u8>> {
        self.bytes
    }

    /// An element with this content.
    pub fn element(&mut self, tag: u8, content: &[u8]) {
        self.nest(tag, |inner| inner.bytes.extend_from_slice(content));
    }

    /// A BOOLEAN.
    pub fn boolean(&mut self, value: bool) {
        self.element(BOOLEAN, &[if value { 0xff } else { 0x00 }]);
    }

    /// A number under `tag`: INTEGER, ENUMERATED, or one of the context.
    pub fn number(&mut self, tag: u8, value: i32) {
        let bytes = value.to_be_bytes();
        self.element(tag, &bytes[spare_bytes(bytes)..]);
    }

    /// An element made of elements. Its length always takes the four-byte form, as Windows' own client writes it: so
    /// it can be filled in afterwards, and nothing is moved about.
    pub fn nest(&mut self, tag: u8, content: impl FnOnce(&mut Self)) {
        self.bytes.extend_from_slice(&[tag, 0x84, 0, 0, 0, 0]);
        let start = self.bytes.len();
        content(self);
        let length = four_bytes(self.bytes.len() - start);
        self.bytes[start - 4..start].copy_from_slice(&length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn short_and_long_lengths_are_read_and_others_are_refused() {
        let read = |bytes: &[u8]| header(bytes).map(|header| header.map(|header| (header.size, header.content)));
        assert_eq!(read(&[0x30, 0x05]), Ok(Some((2, 5))));
        assert_eq!(read(&[0x30, 0x81, 0x80]), Ok(Some((3, 128))));
        assert_eq!(read(&[0x30, 0x84, 0, 0, 0, 7]), Ok(Some((6, 7))));
        for partial in [&[][..], &[0x30], &[0x30, 0x82, 1]] {
            assert_eq!(read(partial), Ok(None));
        }
        // Indefinite, five bytes, reserved, a tag of several bytes.
        for bad in [[0x30, 0x80], [0x30, 0x85], [0x30, 0xff], [0x1f, 0x01]] {
            assert_eq!(read(&bad), Err(Malformed));
        }
    }

    #[test]
    fn an_element_that_is_longer_than_what_holds_it_is_an_error() {
        assert_eq!(Reader::new(&[0x04, 0x03, b'a', b'b']).any(), Err(Malformed));
        assert_eq!(Reader::new(&[0x04, 0x01, b'a', 0x04, 0x01]).skip(), Err(Malformed));
        assert_eq!(Reader::new(&[0x04, 0x01, b'a', 0x04, 0x00]).skip(), Ok(()));
    }

    #[test]
    fn what_is_being_written_is_shown_by_its_length_alone() {
        let mut writer = Writer::with_capacity(16);
        writer.element(OCTET_STRING, b"s3cret");
        assert_eq!(format!("{writer:?}"), "Writer(12 bytes)");
    }

    #[test]
    fn numbers_are_written_in_the_fewest_bytes_and_read_up_to_four() {
        for (value, expected) in [
            (0, &[0][..]),
            (127, &[127]),
            (128, &[0, 128]),
            (65_535, &[0, 255, 255]),
            (i32::MAX, &[127, 255, 255, 255]),
        ] {
            let mut writer = Writer::with_capacity(16);
            writer.number(INTEGER, value);
            let bytes = writer.finish();
            assert_eq!(bytes[6..], *expected);
            assert_eq!(number(&bytes[6..]), Ok(value));
        }
        for bad in [&[][..], &[0x80], &[0, 0, 0, 0, 1]] {
            assert_eq!(number(bad), Err(Malformed));
        }
    }

    #[test]
    fn numbers_of_any_length_and_sign_are_wrapped_to_32_bits() {
        for (content, expected) in [
            (&[][..], 0),
            (&[0xff], -1),
            (&[0x00, 0x80, 0x00, 0x00, 0x05], i32::MIN + 5),
            (&[0x01, 0x00, 0x00, 0x00, 0x07], 7),
            (&[0x7f, 0xff, 0xff, 0xff], i32::MAX),
        ] {
            assert_eq!(wrapped_number(content), expected, "{content:02x?}");
        }
    }

    #[test]
    fn what_is_appended_stands_behind_what_was_there() {
        let mut bytes = vec![0xaa];
        Appender::new(&mut bytes).nest(SEQUENCE, |inside| {
            inside.number(INTEGER, -129);
            inside.element(OCTET_STRING, &[7; 128]);
        });
        assert_eq!(bytes[..7], [0xaa, 0x30, 0x84, 0, 0, 0, 4 + 134]);
        assert_eq!(bytes[7..11], [0x02, 2, 0xff, 0x7f]);
        assert_eq!(bytes[11..18], [0x04, 0x84, 0, 0, 0, 128, 7]);
    }

    proptest! {
        #[test]
        fn every_number_is_appended_in_a_form_that_is_read_as_it_was(value: i32) {
            let mut bytes = Vec::new();
            Appender::new(&mut bytes).number(INTEGER, value);
            prop_assert_eq!(wrapped_number(&bytes[2..]), value);
        }

        #[test]
        fn what_is_written_is_read_again(tag in (0u8..=0xff).prop_filter("one byte", |tag| tag & 0x1f != 0x1f), content: Vec<u8>) {
            let mut writer = Writer::with_capacity(content.len() + 6);
            writer.element(tag, &content);
            let bytes = writer.finish();
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.any(), Ok((tag, &content[..])));
            prop_assert!(reader.is_empty());
        }
    }
}
