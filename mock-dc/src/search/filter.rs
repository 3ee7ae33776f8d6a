//! Search filters (RFC 4511 4.5.1.7), evaluated as AD does: three-valued, text without case.
//!
//! An attribute that no entry here can have makes its part undefined; one that this entry lacks makes it false, so
//! that `(!(mail=x))` finds those without a mail address.

use std::cmp::Ordering;

use super::entry::Entry;
use super::request::{Assertion, Filter, Substring};
use crate::domain::attributes::Attribute;
use crate::domain::dn::Dn;
use crate::domain::fold::fold;
use crate::domain::object::{Class, ObjectId};
use crate::domain::schema::{self, Syntax};
use crate::domain::sid::{Sid, parse_guid};
use crate::domain::{Domain, Key};

/// LDAP_MATCHING_RULE_BIT_AND (MS-ADTS 3.1.1.3.4.4.1).
const BIT_AND: &str = "1.2.840.113556.1.4.803";
/// LDAP_MATCHING_RULE_BIT_OR (MS-ADTS 3.1.1.3.4.4.2).
const BIT_OR: &str = "1.2.840.113556.1.4.804";

/// Whether `entry` matches; `None` is "undefined", which a search treats as no.
pub fn evaluate(filter: &Filter, entry: &Entry, domain: &Domain) -> Option<bool> {
    match filter {
        Filter::And(parts) => all(parts.iter().map(|part| evaluate(part, entry, domain))),
        // De Morgan: an "or" is undefined exactly where the "and" of the opposites is.
        Filter::Or(parts) => all(parts
            .iter()
            .map(|part| evaluate(part, entry, domain).map(|matches| !matches)))
        .map(|none| !none),
        Filter::Not(part) => evaluate(part, entry, domain).map(|matches| !matches),
        Filter::Present(name) => known(entry, name).then(|| entry.get(name).is_some()),
        Filter::Equality(name, value) | Filter::Approx(name, value) => {
            any_value(entry, name, |attribute, stored| equal(attribute, stored, value, domain))
        }
        Filter::Substring(name, pattern) => any_value(entry, name, |attribute, stored| {
            Some(attribute.syntax == Syntax::Text && contains(stored, pattern))
        }),
        Filter::GreaterOrEqual(name, value) => ordered(entry, name, value, Ordering::is_ge),
        Filter::LessOrEqual(name, value) => ordered(entry, name, value, Ordering::is_le),
        Filter::Extensible(rule) => extensible(entry, rule),
    }
}

/// The objects that a filter can match at most, where it names them; `None` where it does not.
pub fn named_objects(filter: &Filter, domain: &Domain) -> Option<Vec<ObjectId>> {
    let mut ids = match filter {
        Filter::And(parts) => {
            return parts
                .iter()
                .filter_map(|part| named_objects(part, domain))
                .min_by_key(Vec::len);
        }
        Filter::Or(parts) => parts
            .iter()
            .map(|part| named_objects(part, domain))
            .collect::<Option<Vec<_>>>()?
            .concat(),
        Filter::Equality(name, value) | Filter::Approx(name, value) => {
            let value = std::str::from_utf8(value).ok()?;
            let key = match name.to_ascii_lowercase().as_str() {
                "samaccountname" => Key::Sam,
                "userprincipalname" => Key::Upn,
                "cn" | "name" => Key::Name,
                "mail" => Key::Mail,
                "displayname" => Key::DisplayName,
                "serviceprincipalname" => Key::Spn,
                "distinguishedname" => return Some(domain.find_name(value).ok().flatten().into_iter().collect()),
                // Bytes come as text that is not this one; those are looked for among all.
                "objectguid" => return parse_guid(value).map(|guid| domain.find_guid(guid).into_iter().collect()),
                "objectsid" => return Sid::parse(value).map(|sid| domain.find_sid(&sid).into_iter().collect()),
                _ => return None,
            };
            domain.find(key, value)
        }
        _ => return None,
    };
    ids.sort_unstable();
    ids.dedup();
    Some(ids)
}

/// Three-valued "and": false wins over undefined.
fn all(parts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut result = Some(true);
    for part in parts {
        match part {
            Some(false) => return Some(false),
            Some(true) => {}
            None => result = None,
        }
    }
    result
}

fn known(entry: &Entry, name: &str) -> bool {
    entry.get(name).is_some() || schema::known(name).is_some()
}

fn any_value(entry: &Entry, name: &str, test: impl Fn(&Attribute, &[u8]) -> Option<bool>) -> Option<bool> {
    let Some(attribute) = entry.get(name) else {
        return known(entry, name).then_some(false);
    };
    all(attribute
        .values
        .iter()
        .map(|value| test(attribute, value).map(|matches| !matches)))
    .map(|none| !none)
}

fn equal(attribute: &Attribute, stored: &[u8], asked: &[u8], domain: &Domain) -> Option<bool> {
    let bytes = asked;
    let asked = std::str::from_utf8(asked).unwrap_or_default();
    let text = std::str::from_utf8(stored).unwrap_or_default();
    match attribute.syntax {
        Syntax::Text => Some(fold(text) == fold(asked)),
        Syntax::Integer => asked.parse::<i64>().ok().map(|asked| text.parse() == Ok(asked)),
        Syntax::Dn if attribute.name == "objectCategory" => Some(category(asked, domain) == Dn::parse(text)),
        Syntax::Dn => Dn::parse(asked).map(|asked| Dn::parse(text) == Some(asked)),
        // The text form and escaped bytes both match (measured); escaped bytes arrive as they are.
        Syntax::Guid | Syntax::Sid | Syntax::Octets => {
            Some(stored == bytes || attribute.shown().any(|shown| fold(&shown) == fold(asked)))
        }
    }
}

/// A class's name stands for its category.
fn category(asked: &str, domain: &Domain) -> Option<Dn> {
    match Class::category_named(asked) {
        Some(category) => Dn::parse(&domain.schema_dn(category)),
        None => Dn::parse(asked),
    }
}

fn contains(stored: &[u8], pattern: &Substring) -> bool {
    let Ok(text) = std::str::from_utf8(stored).map(fold) else {
        return false;
    };
    let part = |bytes: &[u8]| std::str::from_utf8(bytes).map(fold).ok();
    let mut rest = text.as_str();
    if let Some(initial) = &pattern.initial {
        let Some(after) = part(initial).and_then(|initial| rest.strip_prefix(initial.as_str())) else {
            return false;
        };
        rest = after;
    }
    if let Some(last) = &pattern.last {
        let Some(before) = part(last).and_then(|last| rest.strip_suffix(last.as_str())) else {
            return false;
        };
        rest = before;
    }
    pattern
        .any
        .iter()
        .all(|any| match part(any).and_then(|any| rest.split_once(any.as_str())) {
            Some((_, after)) => {
                rest = after;
                true
            }
            None => false,
        })
}

fn ordered(entry: &Entry, name: &str, asked: &[u8], test: fn(Ordering) -> bool) -> Option<bool> {
    any_value(entry, name, |attribute, stored| {
        let text = std::str::from_utf8(stored).ok()?;
        let asked = std::str::from_utf8(asked).ok()?;
        match attribute.syntax {
            Syntax::Integer => {
                let (stored, asked): (i64, i64) = (text.parse().ok()?, asked.parse().ok()?);
                Some(test(stored.cmp(&asked)))
            }
            Syntax::Text => Some(test(fold(text).cmp(&fold(asked)))),
            Syntax::Dn | Syntax::Guid | Syntax::Sid | Syntax::Octets => None,
        }
    })
}

fn extensible(entry: &Entry, assertion: &Assertion) -> Option<bool> {
    let name = assertion.attribute.as_deref()?;
    let mask: i64 = std::str::from_utf8(&assertion.value).ok()?.parse().ok()?;
    let test: fn(i64, i64) -> bool = match assertion.rule.as_deref()? {
        BIT_AND => |stored, mask| stored & mask == mask,
        BIT_OR => |stored, mask| stored & mask != 0,
        _ => return None,
    };
    any_value(entry, name, |attribute, stored| {
        let stored = (attribute.syntax == Syntax::Integer).then(|| std::str::from_utf8(stored).ok())??;
        stored.parse().ok().map(|stored| test(stored, mask))
    })
}
