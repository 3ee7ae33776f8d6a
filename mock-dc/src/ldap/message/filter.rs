//! Filters off the wire (RFC 4511 4.5.1.7).

use postern_ldap::ber::{Malformed, OCTET_STRING, Reader, SEQUENCE};

use super::decode::{boolean, end, text};
use crate::search::request::{Assertion, Filter, Substring};

/// Levels of a filter: Samba reads 509 negations of a part and closes the connection at 510 (measured).
const DEPTH: usize = 510;

const AND: u8 = 0xa0;
const OR: u8 = 0xa1;
const NOT: u8 = 0xa2;
const EQUALITY: u8 = 0xa3;
const SUBSTRINGS: u8 = 0xa4;
const GREATER_OR_EQUAL: u8 = 0xa5;
const LESS_OR_EQUAL: u8 = 0xa6;
const PRESENT: u8 = 0x87;
const APPROX: u8 = 0xa8;
const EXTENSIBLE: u8 = 0xa9;

const INITIAL: u8 = 0x80;
const ANY: u8 = 0x81;
const FINAL: u8 = 0x82;

const RULE: u8 = 0x81;
const ATTRIBUTE: u8 = 0x82;
const VALUE: u8 = 0x83;
const DN_ATTRIBUTES: u8 = 0x84;

/// A well-formed filter of more parts than are taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooComplex;

/// Reads the next element as a filter, taking its parts off `room`.
pub(super) fn decode(reader: &mut Reader<'_>, room: &mut usize) -> Result<Result<Filter, TooComplex>, Malformed> {
    let (tag, content) = reader.any()?;
    let mut parts = Parts { room: *room };
    let filter = parts.filter(tag, content, DEPTH);
    *room = parts.room;
    match filter {
        Ok(filter) => Ok(Ok(filter)),
        Err(Trouble::Malformed(error)) => Err(error),
        Err(Trouble::TooComplex) => Ok(Err(TooComplex)),
    }
}

enum Trouble {
    Malformed(Malformed),
    TooComplex,
}

impl From<Malformed> for Trouble {
    fn from(error: Malformed) -> Self {
        Self::Malformed(error)
    }
}

struct Parts {
    room: usize,
}

impl Parts {
    fn take(&mut self) -> Result<(), Trouble> {
        self.room = self.room.checked_sub(1).ok_or(Trouble::TooComplex)?;
        Ok(())
    }

    /// `depth` bounds the recursion, here and wherever the filter is looked at or dropped.
    fn filter(&mut self, tag: u8, content: &[u8], depth: usize) -> Result<Filter, Trouble> {
        let depth = depth.checked_sub(1).ok_or(Malformed)?;
        self.take()?;
        let mut reader = Reader::new(content);
        let filter = match tag {
            AND => return Ok(Filter::And(self.list(reader, depth)?)),
            OR => return Ok(Filter::Or(self.list(reader, depth)?)),
            NOT => {
                let (tag, content) = reader.any()?;
                Filter::Not(Box::new(self.filter(tag, content, depth)?))
            }
            EQUALITY => pair(&mut reader, Filter::Equality)?,
            GREATER_OR_EQUAL => pair(&mut reader, Filter::GreaterOrEqual)?,
            LESS_OR_EQUAL => pair(&mut reader, Filter::LessOrEqual)?,
            APPROX => pair(&mut reader, Filter::Approx)?,
            PRESENT => return Ok(Filter::Present(text(content))),
            SUBSTRINGS => {
                let name = text(reader.expect(OCTET_STRING)?);
                Filter::Substring(name, self.substring(Reader::new(reader.expect(SEQUENCE)?))?)
            }
            EXTENSIBLE => Filter::Extensible(Assertion {
                rule: reader.optional(RULE)?.map(text),
                attribute: reader.optional(ATTRIBUTE)?.map(text),
                value: reader.expect(VALUE)?.to_vec(),
                names_too: match reader.optional(DN_ATTRIBUTES)? {
                    None => false,
                    Some(content) => boolean(content)?,
                },
            }),
            _ => return Err(Malformed.into()),
        };
        end(reader)?;
        Ok(filter)
    }

    fn list(&mut self, mut reader: Reader<'_>, depth: usize) -> Result<Vec<Filter>, Trouble> {
        let mut parts = Vec::new();
        while !reader.is_empty() {
            let (tag, content) = reader.any()?;
            parts.push(self.filter(tag, content, depth)?);
        }
        Ok(parts)
    }

    fn substring(&mut self, mut reader: Reader<'_>) -> Result<Substring, Trouble> {
        let mut substring = Substring::default();
        while !reader.is_empty() {
            self.take()?;
            let (tag, content) = reader.any()?;
            let content = content.to_vec();
            match tag {
                // It stands first, and the last one last.
                INITIAL if substring == Substring::default() => substring.initial = Some(content),
                ANY if substring.last.is_none() => substring.any.push(content),
                FINAL if substring.last.is_none() => substring.last = Some(content),
                _ => return Err(Malformed.into()),
            }
        }
        Ok(substring)
    }
}

fn pair(reader: &mut Reader<'_>, make: fn(String, Vec<u8>) -> Filter) -> Result<Filter, Malformed> {
    let name = text(reader.expect(OCTET_STRING)?);
    Ok(make(name, reader.expect(OCTET_STRING)?.to_vec()))
}
