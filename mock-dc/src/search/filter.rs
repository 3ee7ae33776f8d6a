//! Search filters (RFC 4511 4.5.1.7, MS-ADTS 3.1.1.3.1.3.1): whether an entry is meant.
//!
//! Three-valued on Windows: an attribute that no entry here can have, or a value that is none of its syntax, makes its
//! part undefined; an attribute that this entry lacks makes it false. Samba knows no third value: what is undefined is
//! false to it, so that `(!(noSuchAttribute=x))` finds everything (measured).

use std::collections::HashSet;

use super::anr;
use super::classes;
use super::entry::Entry;
use super::request::{Assertion, Filter};
use super::value::{self, Comparison};
use crate::domain::Domain;
use crate::domain::attributes::Attribute;
use crate::domain::dialect::Dialect;
use crate::domain::object::ObjectId;
use crate::domain::schema::{self, Syntax};

/// LDAP_MATCHING_RULE_BIT_AND (MS-ADTS 3.1.1.3.4.4.1).
const BIT_AND: &str = "1.2.840.113556.1.4.803";
/// LDAP_MATCHING_RULE_BIT_OR (MS-ADTS 3.1.1.3.4.4.2).
const BIT_OR: &str = "1.2.840.113556.1.4.804";
/// LDAP_MATCHING_RULE_TRANSITIVE_EVAL (MS-ADTS 3.1.1.3.4.4.3).
pub(super) const TRANSITIVE: &str = "1.2.840.113556.1.4.1941";

/// Attributes that hold links between objects, which alone can be followed.
const LINKS: [&str; 6] = [
    "member",
    "memberOf",
    "manager",
    "directReports",
    "msDS-PSOAppliesTo",
    "msDS-PSOApplied",
];

/// What every object has, so that it can be asked for even where nobody may read it (measured).
const OF_ALL: [&str; 4] = ["objectClass", "name", "objectGUID", "distinguishedName"];

/// A part of the filter that Samba cannot evaluate: the search ends with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unfit;

/// Whether something holds; `None` is "undefined", which a search treats as no.
pub type Truth = Result<Option<bool>, Unfit>;

/// What a filter is evaluated against besides the entry.
pub struct Context<'a> {
    /// Where objects are.
    pub domain: &'a Domain,
    /// The attributes of any other object, which a chain of links may lead to.
    pub attributes_of: &'a dyn Fn(ObjectId) -> Vec<Attribute>,
}

impl Context<'_> {
    fn dialect(&self) -> Dialect {
        self.domain.dialect()
    }
}

/// Whether `entry` matches.
///
/// # Errors
/// [`Unfit`] where Samba gives up; parts that the others decide are not looked at.
pub fn evaluate(filter: &Filter, entry: &Entry, context: &Context<'_>) -> Truth {
    let part = |part: &Filter| evaluate(part, entry, context);
    let item = match filter {
        Filter::And(parts) => return all(parts.iter().map(part)),
        // De Morgan: an "or" is undefined exactly where the "and" of the opposites is.
        Filter::Or(parts) => return Ok(opposite(all(parts.iter().map(|one| part(one).map(opposite)))?)),
        Filter::Not(one) => return part(one).map(opposite),
        Filter::Present(name) => present(name, entry, context),
        Filter::Approx(..) if !context.dialect().approximates() => return Err(Unfit),
        Filter::Equality(name, value) | Filter::Approx(name, value) => match anr::is_meant(name) {
            true => anr::matches(value, entry),
            false => compare(name, &Comparison::Equal(value), entry, context),
        },
        // Only how a name begins can be ambiguous.
        Filter::Substring(name, pattern) if anr::is_meant(name) => pattern
            .initial
            .as_ref()
            .filter(|_| !context.dialect().resolves_beginnings_only() || pattern.is_beginning())
            .and_then(|initial| anr::matches(initial, entry)),
        Filter::Substring(name, pattern) => compare(name, &Comparison::Contains(pattern), entry, context),
        Filter::GreaterOrEqual(name, value) => compare(name, &Comparison::AtLeast(value), entry, context),
        Filter::LessOrEqual(name, value) => compare(name, &Comparison::AtMost(value), entry, context),
        Filter::Extensible(assertion) => extensible(assertion, entry, context)?,
    };
    Ok(match item {
        None if !context.dialect().knows_undefined() => Some(false),
        item => item,
    })
}

/// Whether a filter names an attribute that is constructed, and no stored value can be compared with (MS-ADTS
/// 3.1.1.3.1.3.1).
pub fn uses_constructed(filter: &Filter) -> bool {
    let constructed = |name: &str| schema::find(name).is_some_and(|known| known.constructed);
    match filter {
        Filter::And(parts) | Filter::Or(parts) => parts.iter().any(uses_constructed),
        Filter::Not(part) => uses_constructed(part),
        Filter::Equality(name, _)
        | Filter::Approx(name, _)
        | Filter::GreaterOrEqual(name, _)
        | Filter::LessOrEqual(name, _)
        | Filter::Substring(name, _)
        | Filter::Present(name) => constructed(name),
        Filter::Extensible(assertion) => assertion.attribute.as_deref().is_some_and(constructed),
    }
}

/// Three-valued "and": false wins over undefined.
fn all(parts: impl Iterator<Item = Truth>) -> Truth {
    let mut result = Some(true);
    for part in parts {
        match part? {
            Some(false) => return Ok(Some(false)),
            Some(true) => {}
            None => result = None,
        }
    }
    Ok(result)
}

fn opposite(truth: Option<bool>) -> Option<bool> {
    truth.map(|matches| !matches)
}

/// The attribute that a description means: its schema name and syntax.
fn described(description: &str, entry: &Entry, dialect: Dialect) -> Option<(&'static str, Syntax)> {
    let name = match description.split_once(';') {
        None => description,
        // Options have no case (RFC 4512 2.5).
        Some((name, option)) if option.eq_ignore_ascii_case("binary") && dialect.knows_attribute_options() => name,
        Some(_) => return None,
    };
    match schema::find(name) {
        Some(known) if known.constructed && !dialect.derives_time_stamps(known.name) => None,
        Some(known) if known.oid == name && !dialect.knows_attributes_by_identifier() => None,
        Some(known) => Some((known.name, known.syntax)),
        // What the RootDSE alone has.
        None => entry.get(name).map(|attribute| (attribute.name, attribute.syntax)),
    }
}

/// The attribute that holds the values: the time stamps of LDAP are AD's own under other names.
fn stored<'e>(name: &str, entry: &'e Entry) -> Option<&'e Attribute> {
    entry.get(match name {
        "createTimeStamp" => "whenCreated",
        "modifyTimeStamp" => "whenChanged",
        name => name,
    })
}

fn present(name: &str, entry: &Entry, context: &Context<'_>) -> Option<bool> {
    if !entry.dn.is_empty() && OF_ALL.iter().any(|own| own.eq_ignore_ascii_case(name)) {
        return Some(true);
    }
    described(name, entry, context.dialect()).map(|(name, _)| stored(name, entry).is_some())
}

fn compare(name: &str, comparison: &Comparison<'_>, entry: &Entry, context: &Context<'_>) -> Option<bool> {
    let (name, syntax) = described(name, entry, context.dialect())?;
    if name == "objectClass"
        && let Comparison::Equal(asked) = comparison
    {
        return classes::is_of(asked, entry);
    }
    let test = value::test(name, syntax, comparison, context.domain)?;
    let values = stored(name, entry).map(|attribute| attribute.values.as_slice());
    Some(values.unwrap_or_default().iter().any(|value| test(value)))
}

fn extensible(assertion: &Assertion, entry: &Entry, context: &Context<'_>) -> Truth {
    let Some(name) = assertion.attribute.as_deref() else {
        return Ok(None);
    };
    match assertion.rule.as_deref() {
        // Whether the parts of the name count, too, is not looked at (MS-ADTS 3.1.1.3.1.3.1).
        None => {
            // Samba's is a C string (measured).
            let value = context.dialect().password(&assertion.value);
            Ok(match anr::is_meant(name) {
                true => anr::matches(value, entry),
                false => compare(name, &Comparison::Equal(value), entry, context),
            })
        }
        Some(BIT_AND) => bits(
            name,
            &assertion.value,
            |stored, mask| stored & mask == mask,
            entry,
            context,
        ),
        Some(BIT_OR) => bits(
            name,
            &assertion.value,
            |stored, mask| stored & mask != 0,
            entry,
            context,
        ),
        Some(TRANSITIVE) => leads_to(name, &assertion.value, entry, context),
        Some(_) => Ok(None),
    }
}

fn bits(name: &str, mask: &[u8], test: fn(i64, i64) -> bool, entry: &Entry, context: &Context<'_>) -> Truth {
    let Some((name, syntax)) = described(name, entry, context.dialect()) else {
        return Ok(None);
    };
    let values = stored(name, entry).map(|attribute| attribute.values.as_slice());
    let values = values.unwrap_or_default();
    let gives_up = context.dialect().gives_up_on_odd_bits();
    let number = |text: &[u8]| value::bits(std::str::from_utf8(text).ok()?, context.dialect());
    // What is a number is said by the syntax to Windows, by the values to Samba, which does not keep distinguishedName as
    // one (measured).
    let is_kept = name != "distinguishedName";
    let numeric = matches!(syntax, Syntax::Integer | Syntax::LargeInteger) || gives_up && is_kept;
    let Some(mask) = number(mask).filter(|_| numeric) else {
        return match gives_up && numeric && !values.is_empty() {
            true => Err(Unfit),
            false => Ok(None),
        };
    };
    let mut holds = false;
    for value in values {
        match number(value) {
            Some(stored) => holds |= test(stored, mask),
            None if gives_up => return Err(Unfit),
            None => {}
        }
    }
    Ok(Some(holds))
}

/// Whether the links of this attribute lead to the object that `value` names, directly or by way of others. Each object
/// is gone through once, so that groups within each other come to an end.
fn leads_to(name: &str, value: &[u8], entry: &Entry, context: &Context<'_>) -> Truth {
    let Some((name, _)) = described(name, entry, context.dialect()) else {
        let is_known = schema::find(name).is_some_and(|known| known.constructed);
        return match context.dialect().gives_up_on_odd_bits() && !is_known {
            true => Err(Unfit),
            false => Ok(None),
        };
    };
    let target = std::str::from_utf8(value)
        .ok()
        .and_then(|text| context.domain.find_name(text).ok());
    let Some(target) = target.filter(|_| LINKS.contains(&name)) else {
        return Ok(None);
    };
    let Some(target) = target else {
        return Ok(Some(false));
    };
    let named = |attribute: &Attribute| -> Vec<ObjectId> {
        let values = attribute.values.iter();
        let texts = values.filter_map(|value| std::str::from_utf8(value).ok());
        texts
            .filter_map(|text| context.domain.find_name(text).ok().flatten())
            .collect()
    };
    let mut seen = HashSet::new();
    let mut ahead = entry.get(name).map(named).unwrap_or_default();
    while let Some(id) = ahead.pop() {
        if id == target {
            return Ok(Some(true));
        }
        if seen.insert(id) {
            let attributes = (context.attributes_of)(id);
            ahead.extend(
                attributes
                    .iter()
                    .filter(|attribute| attribute.name == name)
                    .flat_map(named),
            );
        }
    }
    Ok(Some(false))
}
