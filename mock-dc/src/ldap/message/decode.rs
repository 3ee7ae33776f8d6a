//! Requests off the wire.
//!
//! As strict as Samba was measured to be: an element that is left over, unknown or does not fit makes the whole message
//! one that cannot be read. What is taken apart is bounded by number, since the parts take more memory than their bytes.

use postern_ldap::ber::{self, BOOLEAN, ENUMERATED, INTEGER, Malformed, OCTET_STRING, Reader, SEQUENCE, SET};

use super::filter;
use super::{Bind, Change, Compare, Controls, Credentials, Extended, Modify, Operation, Request, Response};
use crate::search::request::{Scope, SearchRequest};

/// Parts of one request that are taken apart at most: elements of a filter, attributes, values of a change. Far more
/// than anybody asks with, and some megabytes of memory.
pub(super) const PARTS: usize = 50_000;

const CONTROLS: u8 = 0xa0;
const SIMPLE: u8 = 0x80;
const SASL: u8 = 0xa3;
/// sicilyPackageDiscovery, sicilyNegotiate and sicilyResponse (MS-ADTS 5.1.1.1.3).
const SICILY: std::ops::RangeInclusive<u8> = 0x89..=0x8b;
const EXTENDED_NAME: u8 = 0x80;
const EXTENDED_VALUE: u8 = 0x81;
const NEW_SUPERIOR: u8 = 0x80;

/// Reads the message that `frame` is, header included.
///
/// # Errors
/// [`Malformed`] when it is not a request in LDAP's form.
pub(crate) fn decode(frame: &[u8]) -> Result<Request<'_>, Malformed> {
    let mut whole = Reader::new(frame);
    let mut message = Reader::new(whole.expect(SEQUENCE)?);
    end(whole)?;
    let id = ber::wrapped_number(message.expect(INTEGER)?);
    let (tag, content) = message.any()?;
    let operation = operation(tag, content)?;
    let controls = match message.optional(CONTROLS)? {
        None => Controls::default(),
        Some(content) => Controls::decode(content)?,
    };
    end(message)?;
    Ok(Request {
        id,
        operation,
        controls,
    })
}

fn operation(tag: u8, content: &[u8]) -> Result<Operation<'_>, Malformed> {
    let mut reader = Reader::new(content);
    let operation = match tag {
        0x60 => Operation::Bind(bind(&mut reader)?),
        0x42 => Operation::Unbind,
        0x63 => search(&mut reader)?,
        0x66 => modify(&mut reader)?,
        0x68 => {
            reader.expect(OCTET_STRING)?;
            Reader::new(reader.expect(SEQUENCE)?).skip()?;
            Operation::Add
        }
        0x4a => return Ok(Operation::Delete),
        0x6c => {
            reader.expect(OCTET_STRING)?;
            reader.expect(OCTET_STRING)?;
            boolean(reader.expect(BOOLEAN)?)?;
            reader.optional(NEW_SUPERIOR)?;
            Operation::ModifyDn
        }
        0x6e => {
            let name = reader.expect(OCTET_STRING)?;
            let mut assertion = Reader::new(reader.expect(SEQUENCE)?);
            let attribute = assertion.expect(OCTET_STRING)?;
            let value = assertion.expect(OCTET_STRING)?;
            end(assertion)?;
            Operation::Compare(Compare { name, attribute, value })
        }
        0x50 => return Ok(Operation::Abandon(ber::wrapped_number(content))),
        0x77 => {
            let oid = reader.expect(EXTENDED_NAME)?;
            reader.optional(EXTENDED_VALUE)?;
            Operation::Extended(Extended { oid })
        }
        // What a server answers, if there is something in it. Of an extended or intermediate response not even that is
        // read (measured).
        0x61 | 0x64 | 0x65 | 0x67 | 0x69 | 0x6b | 0x6d | 0x6f | 0x73 if !content.is_empty() => {
            reader.skip()?;
            return Ok(Operation::NoRequest);
        }
        _ => return Err(Malformed),
    };
    end(reader)?;
    Ok(operation)
}

fn bind<'a>(reader: &mut Reader<'a>) -> Result<Bind<'a>, Malformed> {
    let version = ber::wrapped_number(reader.expect(INTEGER)?);
    let name = reader.expect(OCTET_STRING)?;
    let credentials = match reader.any()? {
        (SIMPLE, password) => Credentials::Simple(password),
        (SASL, content) => {
            let mut inside = Reader::new(content);
            let mechanism = inside.expect(OCTET_STRING)?;
            inside.optional(OCTET_STRING)?;
            end(inside)?;
            Credentials::Sasl(mechanism)
        }
        (tag, _) if SICILY.contains(&tag) => Credentials::Sicily,
        _ => return Err(Malformed),
    };
    Ok(Bind {
        version,
        name,
        credentials,
    })
}

fn search<'a>(reader: &mut Reader<'a>) -> Result<Operation<'a>, Malformed> {
    let base = reader.expect(OCTET_STRING)?;
    let scope = ber::wrapped_number(reader.expect(ENUMERATED)?);
    // Whether aliases are followed: AD has none (MS-ADTS 3.1.1.3.1.3).
    reader.expect(ENUMERATED)?;
    let size_limit = limit(reader.expect(INTEGER)?);
    let time_limit = limit(reader.expect(INTEGER)?);
    let types_only = boolean(reader.expect(BOOLEAN)?)?;
    let mut room = PARTS;
    let filter = filter::decode(reader, &mut room)?;
    let mut names = Reader::new(reader.expect(SEQUENCE)?);
    let mut attributes = Vec::new();
    while !names.is_empty() {
        let name = names.expect(OCTET_STRING)?;
        if room > 0 {
            room -= 1;
            attributes.push(text(name));
        }
    }
    let (Ok(filter), 1..) = (filter, room) else {
        return Ok(Operation::TooComplex(Response::Search));
    };
    let scope = match scope {
        0 => Scope::Base,
        1 => Scope::OneLevel,
        2 => Scope::Subtree,
        _ => return Ok(Operation::SearchWithin),
    };
    Ok(Operation::Search(SearchRequest {
        base: base.to_vec(),
        scope,
        size_limit,
        time_limit,
        types_only,
        filter,
        attributes,
    }))
}

fn modify<'a>(reader: &mut Reader<'a>) -> Result<Operation<'a>, Malformed> {
    let name = reader.expect(OCTET_STRING)?;
    let mut list = Reader::new(reader.expect(SEQUENCE)?);
    let mut room = PARTS;
    let mut take = || {
        room = room.saturating_sub(1);
        room > 0
    };
    let mut changes = Vec::new();
    while !list.is_empty() {
        let mut change = Reader::new(list.expect(SEQUENCE)?);
        let kind = ber::wrapped_number(change.expect(ENUMERATED)?);
        let mut inside = Reader::new(change.expect(SEQUENCE)?);
        end(change)?;
        let attribute = inside.expect(OCTET_STRING)?;
        let mut set = Reader::new(inside.expect(SET)?);
        end(inside)?;
        let mut values = Vec::new();
        while !set.is_empty() {
            let value = set.expect(OCTET_STRING)?;
            if take() {
                values.push(value);
            }
        }
        if take() {
            changes.push(Change {
                kind,
                attribute,
                values,
            });
        }
    }
    Ok(if room > 0 {
        Operation::Modify(Modify { name, changes })
    } else {
        Operation::TooComplex(Response::Modify)
    })
}

/// Nothing may follow.
pub(super) fn end(reader: Reader<'_>) -> Result<(), Malformed> {
    if reader.is_empty() { Ok(()) } else { Err(Malformed) }
}

/// Whatever is not 0 is true.
pub(super) fn boolean(content: &[u8]) -> Result<bool, Malformed> {
    match content {
        [byte] => Ok(*byte != 0),
        _ => Err(Malformed),
    }
}

/// A limit below 0 is none (measured).
fn limit(content: &[u8]) -> u32 {
    u32::try_from(ber::wrapped_number(content)).unwrap_or(0)
}

/// The description of an attribute. One that is no UTF-8 is no attribute's either way.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests;
