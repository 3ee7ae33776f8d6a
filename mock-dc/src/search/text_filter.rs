//! Filters from text (RFC 4515), so that tests read as people write them. Text that is no filter ends the test.

use super::request::{Assertion, Filter, Substring};

/// The filter that `text` writes.
pub(super) fn read(text: &str) -> Filter {
    let (filter, rest) = one(text);
    assert_eq!(rest, "", "behind the filter {text}");
    filter
}

fn one(text: &str) -> (Filter, &str) {
    let inside = text.strip_prefix('(').expect("a bracket");
    match inside.split_at(1) {
        ("&", rest) => several(rest, Filter::And),
        ("|", rest) => several(rest, Filter::Or),
        ("!", rest) => {
            let (part, rest) = one(rest);
            (Filter::Not(Box::new(part)), rest.strip_prefix(')').expect("a bracket"))
        }
        _ => {
            let (item, rest) = inside.split_once(')').expect("a bracket");
            (leaf(item), rest)
        }
    }
}

fn several(mut text: &str, made: fn(Vec<Filter>) -> Filter) -> (Filter, &str) {
    let mut parts = Vec::new();
    loop {
        if let Some(rest) = text.strip_prefix(')') {
            return (made(parts), rest);
        }
        let (part, rest) = one(text);
        parts.push(part);
        text = rest;
    }
}

fn leaf(item: &str) -> Filter {
    let (name, value) = item.split_once('=').expect("an equals sign");
    let name = |end: &str| name.strip_suffix(end).map(str::to_owned);
    if let Some(name) = name(">") {
        Filter::GreaterOrEqual(name, bytes(value))
    } else if let Some(name) = name("<") {
        Filter::LessOrEqual(name, bytes(value))
    } else if let Some(name) = name("~") {
        Filter::Approx(name, bytes(value))
    } else if let Some(rule) = name(":") {
        let mut parts = rule.split(':');
        let attribute = parts.next().filter(|name| !name.is_empty()).map(str::to_owned);
        let more: Vec<_> = parts.collect();
        Filter::Extensible(Assertion {
            attribute,
            names_too: more.contains(&"dn"),
            rule: more.iter().find(|part| **part != "dn").map(|rule| (*rule).to_owned()),
            value: bytes(value),
        })
    } else {
        let name = name("").unwrap_or_default();
        match value.split('*').collect::<Vec<_>>().as_slice() {
            [only] => Filter::Equality(name, bytes(only)),
            ["", ""] => Filter::Present(name),
            [initial, any @ .., last] => {
                let part = |text: &str| Some(bytes(text)).filter(|bytes| !bytes.is_empty());
                let pattern = Substring {
                    initial: part(initial),
                    any: any.iter().map(|text| bytes(text)).collect(),
                    last: part(last),
                };
                Filter::Substring(name, pattern)
            }
            [] => unreachable!("a text has at least one part"),
        }
    }
}

/// Two hexadecimal digits behind a backslash are a byte.
fn bytes(text: &str) -> Vec<u8> {
    let mut parts = text.split('\\');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at(2);
        bytes.push(u8::from_str_radix(digits, 16).expect("two digits"));
        bytes.extend(rest.as_bytes());
    }
    bytes
}
