//! How a value is compared with the one that a filter names, by its syntax (MS-ADTS 3.1.1.2.2.4).

use std::cmp::Ordering;

use super::request::Substring;
use crate::domain::Domain;
use crate::domain::dialect::Dialect;
use crate::domain::dn::Dn;
use crate::domain::fold::{fold, fold_case, ordered};
use crate::domain::object::Class;
use crate::domain::schema::Syntax;
use crate::domain::sid::{Sid, parse_guid};

/// What a filter asks of a value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Comparison<'a> {
    Equal(&'a [u8]),
    AtLeast(&'a [u8]),
    AtMost(&'a [u8]),
    Contains(&'a Substring),
}

impl<'a> Comparison<'a> {
    /// The value that is compared with as a whole, and the orders that fit.
    fn order(&self) -> Option<(&'a [u8], Fits)> {
        match self {
            Self::Equal(asked) => Some((asked, Ordering::is_eq)),
            Self::AtLeast(asked) => Some((asked, Ordering::is_ge)),
            Self::AtMost(asked) => Some((asked, Ordering::is_le)),
            Self::Contains(_) => None,
        }
    }
}

/// Which orders of a stored value and an asked one are meant.
type Fits = fn(Ordering) -> bool;

type Test<'a> = Box<dyn Fn(&[u8]) -> bool + 'a>;

/// The test that a stored value has to pass; `None` where the syntax has no such comparison or the asked value is none
/// of it.
pub(super) fn test<'a>(
    name: &str,
    syntax: Syntax,
    comparison: &Comparison<'a>,
    domain: &'a Domain,
) -> Option<Test<'a>> {
    let dialect = domain.dialect();
    let lenient = dialect.compares_everything_as_text();
    match (syntax, comparison) {
        // Blanks around a part belong to it; not to Samba (measured).
        (Syntax::Text, Comparison::Contains(pattern)) if !lenient => {
            contains(pattern, |part| text(part, dialect).map(fold_case), fold_case)
        }
        (Syntax::Text | Syntax::Class, Comparison::Contains(pattern)) if lenient => {
            contains(pattern, |part| text(part, dialect).map(fold), fold)
        }
        // Each part is a number of its own (measured).
        (Syntax::Integer | Syntax::LargeInteger, Comparison::Contains(pattern)) if lenient => {
            let read = |part: &[u8]| {
                let digits = part.strip_prefix(b"-").unwrap_or(part);
                let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
                let read = is_number.then(|| number(part, syntax, dialect)).flatten()?;
                Some(read.to_string())
            };
            contains(pattern, read, fold)
        }
        (Syntax::Octets | Syntax::Guid | Syntax::Sid, Comparison::Contains(pattern)) if !lenient => {
            Some(Box::new(|stored| parts_in_order(stored, pattern)))
        }
        (_, Comparison::Contains(_)) => None,
        (Syntax::Class, Comparison::AtLeast(_) | Comparison::AtMost(_)) if !lenient => None,
        (Syntax::Text | Syntax::Class, _) => {
            let (asked, fits) = comparison.order()?;
            let asked = ordered(text(asked, dialect)?);
            Some(Box::new(move |stored| {
                std::str::from_utf8(stored).is_ok_and(|stored| fits(ordered(stored).cmp(&asked)))
            }))
        }
        (Syntax::Boolean, Comparison::Equal(asked)) => {
            let asked = ["TRUE", "FALSE"]
                .iter()
                .find(|truth| asked.eq_ignore_ascii_case(truth.as_bytes()))?;
            Some(Box::new(|stored| stored == asked.as_bytes()))
        }
        (Syntax::Integer | Syntax::LargeInteger, _) => {
            let (asked, fits) = comparison.order()?;
            let asked = number(asked, syntax, dialect)?;
            Some(Box::new(move |stored| {
                decimal(stored).is_some_and(|stored| fits(stored.cmp(&asked)))
            }))
        }
        (Syntax::Time, _) => {
            let (asked, fits) = comparison.order()?;
            let asked = moment(asked).or_else(|| dialect.takes_no_time_for_the_first().then(|| vec![b'0'; 14]))?;
            Some(Box::new(move |stored| {
                moment(stored).is_some_and(|stored| fits(stored.cmp(&asked)))
            }))
        }
        (Syntax::Dn, Comparison::Equal(asked)) => {
            let asked = named(name, text(asked, dialect)?, domain)?;
            Some(Box::new(move |stored| {
                let stored = std::str::from_utf8(stored).ok().and_then(Dn::parse);
                stored.is_some() && stored == asked
            }))
        }
        (Syntax::Boolean | Syntax::Dn, Comparison::AtLeast(_) | Comparison::AtMost(_)) => None,
        (Syntax::Guid | Syntax::Sid | Syntax::Octets, _) => {
            let (asked, fits) = comparison.order()?;
            let asked = binary(syntax, asked, dialect);
            Some(Box::new(move |stored| fits(stored.cmp(asked.as_slice()))))
        }
    }
}

/// A text as it is asked for; `None` where the bytes are none. Samba's ends at the first NUL (measured).
pub(super) fn text(asked: &[u8], dialect: Dialect) -> Option<&str> {
    std::str::from_utf8(dialect.password(asked)).ok()
}

fn decimal(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A number as it is asked for. Those of 32 bits are taken modulo 2^32: masks are often written without a sign.
fn number(asked: &[u8], syntax: Syntax, dialect: Dialect) -> Option<i64> {
    let read = match dialect.reads_numbers_like_c() {
        true => like_c(&String::from_utf8_lossy(dialect.password(asked))),
        false => std::str::from_utf8(asked).ok()?.parse().ok()?,
    };
    match syntax {
        #[expect(clippy::cast_possible_truncation, reason = "that is what it is for")]
        Syntax::Integer => Some(i64::from(read as i32)),
        _ => Some(read),
    }
}

/// As `strtoll` reads it (measured): blanks before it, a sign, hexadecimal and octal, up to where it is none, at most
/// the greatest.
fn like_c(text: &str) -> i64 {
    let text = text.trim_start();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let hexadecimal = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let (radix, digits) = match hexadecimal {
        Some(rest) if rest.starts_with(|letter: char| letter.is_ascii_hexdigit()) => (16, rest),
        _ if digits.starts_with('0') => (8, digits),
        _ => (10, digits),
    };
    let digits = digits.chars().map_while(|digit| digit.to_digit(radix));
    digits.fold(0_i64, |sum, digit| {
        let sum = sum.saturating_mul(i64::from(radix));
        match negative {
            true => sum.saturating_sub(i64::from(digit)),
            false => sum.saturating_add(i64::from(digit)),
        }
    })
}

/// A number whose bits are looked at. Samba reads hexadecimal ones, too (measured).
pub(super) fn bits(text: &str, dialect: Dialect) -> Option<i64> {
    let digits = text.strip_prefix("0x").filter(|_| dialect.reads_numbers_like_c());
    match digits {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// The digits of a GeneralizedTime, `20261122120000.0Z`, which are in order as the moments are. AD keeps no parts of
/// seconds.
fn moment(text: &[u8]) -> Option<Vec<u8>> {
    let (digits, rest) = text.split_at_checked(14)?;
    (digits.iter().all(u8::is_ascii_digit) && rest.starts_with(b".") && rest.ends_with(b"Z")).then(|| digits.to_vec())
}

/// The name that is asked for; `Some(None)` where it is a way to write a name that nothing has.
fn named(attribute: &str, asked: &str, domain: &Domain) -> Option<Option<Dn>> {
    // A class's name stands for its category.
    if attribute == "objectCategory"
        && let Some(category) = Class::category_named(asked)
    {
        return Some(Dn::parse(&domain.schema_dn(category)));
    }
    match asked.starts_with('<') {
        true => {
            let found = domain.find_name(asked).ok()?;
            Some(found.and_then(|id| Dn::parse(&domain.dn_text(id))))
        }
        false => Dn::parse(asked).map(Some),
    }
}

/// Bytes come as they are; a GUID and an identifier may also be written as text (measured).
fn binary(syntax: Syntax, asked: &[u8], dialect: Dialect) -> Vec<u8> {
    let text = std::str::from_utf8(asked).ok();
    let read = match syntax {
        Syntax::Guid => text.and_then(parse_guid).map(Vec::from),
        Syntax::Sid => text
            .filter(|text| !dialect.reads_identifiers_exactly() || text.starts_with('S'))
            .and_then(Sid::parse)
            .map(|sid| sid.bytes()),
        _ => None,
    };
    read.unwrap_or_else(|| asked.to_vec())
}

/// Looks for parts, as `read` has them, in what `fold` makes of a text.
fn contains<'a>(
    pattern: &Substring,
    read: impl Fn(&[u8]) -> Option<String>,
    fold: fn(&str) -> String,
) -> Option<Test<'a>> {
    let folded = |part: &Vec<u8>| read(part).map(String::into_bytes);
    let pattern = Substring {
        initial: pattern
            .initial
            .as_ref()
            .map(|part| folded(part).ok_or(()))
            .transpose()
            .ok()?,
        any: pattern.any.iter().map(folded).collect::<Option<_>>()?,
        last: pattern
            .last
            .as_ref()
            .map(|part| folded(part).ok_or(()))
            .transpose()
            .ok()?,
    };
    Some(Box::new(move |stored| {
        std::str::from_utf8(stored).is_ok_and(|stored| parts_in_order(fold(stored).as_bytes(), &pattern))
    }))
}

fn parts_in_order(stored: &[u8], pattern: &Substring) -> bool {
    let initial = pattern.initial.as_deref().unwrap_or_default();
    let last = pattern.last.as_deref().unwrap_or_default();
    let Some(mut rest) = stored.strip_prefix(initial).and_then(|rest| rest.strip_suffix(last)) else {
        return false;
    };
    pattern.any.iter().all(|part| {
        let found = match part.is_empty() {
            true => Some(0),
            false => rest.windows(part.len()).position(|window| window == part.as_slice()),
        };
        if let Some(at) = found {
            rest = &rest[at + part.len()..];
        }
        found.is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_c_does() {
        for (text, number) in [
            ("512", 512),
            (" 512", 512),
            ("0x200", 512),
            ("0x", 0),
            ("010", 8),
            ("-0", 0),
            ("-7x", -7),
            ("abc", 0),
            ("", 0),
            ("9223372036854775808", i64::MAX),
            ("-9223372036854775809", i64::MIN),
        ] {
            assert_eq!(like_c(text), number, "{text:?}");
        }
    }

    #[test]
    fn moments_are_in_order_as_their_digits_are() {
        assert!(moment(b"20261122120000.0Z") < moment(b"20261122120001.0Z"));
        for none in ["20261122120000Z", "2026112212", "abc", "2026112212000x.0Z"] {
            assert_eq!(moment(none.as_bytes()), None, "{none}");
        }
    }

    #[test]
    fn parts_are_found_one_behind_the_other() {
        let pattern = |initial: &str, any: &[&str], last: &str| Substring {
            initial: Some(initial.as_bytes().to_vec()),
            any: any.iter().map(|part| part.as_bytes().to_vec()).collect(),
            last: Some(last.as_bytes().to_vec()),
        };
        assert!(parts_in_order(b"abcabc", &pattern("a", &["ca"], "c")));
        assert!(parts_in_order(b"aa", &pattern("a", &[], "a")));
        assert!(!parts_in_order(b"a", &pattern("a", &[], "a")));
        assert!(!parts_in_order(b"abc", &pattern("a", &["b", "b"], "c")));
    }
}
