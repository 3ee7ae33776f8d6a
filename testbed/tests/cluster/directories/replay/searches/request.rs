//! Searches and comparisons as they are asked, byte for byte. Filters are written as in RFC 4515.

use super::super::client::tlv;
use super::landscape::Landscape;

/// RFC 2696, MS-ADTS 3.1.1.3.4.1 and others.
pub(super) const PAGED: &str = "1.2.840.113556.1.4.319";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Base,
    OneLevel,
    Subtree,
    /// draft-sermersheim-ldap-subordinate-scope.
    Within,
}

/// A control of a request.
#[derive(Debug, Clone)]
pub(super) struct Control {
    pub(super) oid: String,
    pub(super) critical: bool,
    pub(super) value: Option<Vec<u8>>,
}

impl Control {
    pub(super) fn critical(oid: &str, value: Option<Vec<u8>>) -> Self {
        Self {
            oid: oid.to_owned(),
            critical: true,
            value,
        }
    }

    pub(super) fn page(size: u8, cookie: &[u8]) -> Self {
        let value = tlv(0x30, &[tlv(0x02, &[vec![size]]), tlv(0x04, &[cookie.to_vec()])]);
        Self::critical(PAGED, Some(value))
    }

    pub(super) fn not_critical(self) -> Self {
        Self {
            critical: false,
            ..self
        }
    }

    fn element(&self) -> Vec<u8> {
        let mut parts = vec![tlv(0x04, &[self.oid.as_bytes().to_vec()])];
        if self.critical {
            parts.push(tlv(0x01, &[vec![0xff]]));
        }
        parts.extend(self.value.as_ref().map(|value| tlv(0x04, std::slice::from_ref(value))));
        tlv(0x30, &parts)
    }
}

/// All controls of a request; nothing where there are none.
pub(super) fn controls(controls: &[Control]) -> Vec<u8> {
    match controls {
        [] => Vec::new(),
        controls => tlv(0xa0, &controls.iter().map(Control::element).collect::<Vec<_>>()),
    }
}

/// A search. Base and filter may name an object's GUID and identifier, as [`Landscape::fill`] reads them.
#[derive(Debug, Clone)]
pub(super) struct Search {
    pub(super) base: String,
    pub(super) scope: Scope,
    pub(super) filter: String,
    pub(super) attributes: Vec<String>,
    pub(super) size_limit: u8,
    pub(super) time_limit: u8,
    pub(super) types_only: bool,
    pub(super) controls: Vec<Control>,
}

impl Search {
    /// Everything below a base that matches; names only.
    pub(super) fn below(base: &str, filter: &str) -> Self {
        Self {
            base: base.to_owned(),
            scope: Scope::Subtree,
            filter: filter.to_owned(),
            attributes: vec!["1.1".to_owned()],
            size_limit: 0,
            time_limit: 0,
            types_only: false,
            controls: Vec::new(),
        }
    }

    /// One object alone.
    pub(super) fn of(base: &str, attributes: &[&str]) -> Self {
        Self::below(base, "(objectClass=*)")
            .within(Scope::Base)
            .showing(attributes)
    }

    pub(super) fn within(self, scope: Scope) -> Self {
        Self { scope, ..self }
    }

    pub(super) fn showing(self, attributes: &[&str]) -> Self {
        Self {
            attributes: attributes.iter().map(|name| (*name).to_owned()).collect(),
            ..self
        }
    }

    pub(super) fn with(mut self, control: Control) -> Self {
        self.controls.push(control);
        self
    }

    /// The operation as it goes over the wire.
    pub(super) fn operation(&self, landscape: &Landscape) -> Vec<u8> {
        let scope = match self.scope {
            Scope::Base => 0,
            Scope::OneLevel => 1,
            Scope::Subtree => 2,
            Scope::Within => 3,
        };
        let text = |text: &str| tlv(0x04, &[text.as_bytes().to_vec()]);
        let number = |tag, number| tlv(tag, &[vec![number]]);
        tlv(
            0x63,
            &[
                text(&landscape.fill(&self.base)),
                number(0x0a, scope),
                number(0x0a, 0),
                number(0x02, self.size_limit),
                number(0x02, self.time_limit),
                number(0x01, if self.types_only { 0xff } else { 0 }),
                filter(&landscape.fill(&self.filter)),
                tlv(0x30, &self.attributes.iter().map(|name| text(name)).collect::<Vec<_>>()),
            ],
        )
    }
}

/// Whether an entry has a value.
pub(super) fn compare(base: &str, attribute: &str, value: &str, landscape: &Landscape) -> Vec<u8> {
    let text = |bytes: Vec<u8>| tlv(0x04, &[bytes]);
    let assertion = [
        text(attribute.as_bytes().to_vec()),
        text(unescaped(&landscape.fill(value))),
    ];
    tlv(0x6e, &[text(landscape.fill(base).into_bytes()), tlv(0x30, &assertion)])
}

/// An extended operation without a value.
pub(super) fn extended(oid: &str) -> Vec<u8> {
    tlv(0x77, &[tlv(0x80, &[oid.as_bytes().to_vec()])])
}

/// A filter from its text.
pub(super) fn filter(text: &str) -> Vec<u8> {
    let (filter, rest) = one(text);
    assert_eq!(rest, "", "behind the filter {text}");
    filter
}

fn one(text: &str) -> (Vec<u8>, &str) {
    let inside = text.strip_prefix('(').unwrap();
    match inside.as_bytes()[0] {
        b'&' => several(&inside[1..], 0xa0),
        b'|' => several(&inside[1..], 0xa1),
        b'!' => {
            let (part, rest) = one(&inside[1..]);
            (tlv(0xa2, &[part]), rest.strip_prefix(')').unwrap())
        }
        _ => {
            let (item, rest) = inside.split_once(')').unwrap();
            (leaf(item), rest)
        }
    }
}

fn several(mut text: &str, tag: u8) -> (Vec<u8>, &str) {
    let mut parts = Vec::new();
    loop {
        if let Some(rest) = text.strip_prefix(')') {
            return (tlv(tag, &parts), rest);
        }
        let (part, rest) = one(text);
        parts.push(part);
        text = rest;
    }
}

fn leaf(item: &str) -> Vec<u8> {
    let (name, value) = item.split_once('=').unwrap();
    let (tag, name) = match name.as_bytes().last() {
        Some(b'>') => (0xa5, &name[..name.len() - 1]),
        Some(b'<') => (0xa6, &name[..name.len() - 1]),
        Some(b'~') => (0xa8, &name[..name.len() - 1]),
        Some(b':') => return extensible(&name[..name.len() - 1], value),
        _ if value == "*" => return tlv(0x87, &[name.as_bytes().to_vec()]),
        _ if value.contains('*') => (0xa4, name),
        _ => (0xa3, name),
    };
    let name = tlv(0x04, &[name.as_bytes().to_vec()]);
    if tag != 0xa4 {
        return tlv(tag, &[name, tlv(0x04, &[unescaped(value)])]);
    }
    let parts: Vec<_> = value.split('*').collect();
    let last = parts.len() - 1;
    let part = |(place, text): (usize, &&str)| {
        let tag = match place {
            0 => 0x80,
            place if place == last => 0x82,
            _ => 0x81,
        };
        (!text.is_empty()).then(|| tlv(tag, &[unescaped(text)]))
    };
    let parts: Vec<_> = parts.iter().enumerate().filter_map(part).collect();
    tlv(tag, &[name, tlv(0x30, &parts)])
}

fn extensible(name: &str, value: &str) -> Vec<u8> {
    let mut words = name.split(':');
    let attribute = words.next().unwrap();
    let (names_too, rule): (Vec<_>, Vec<_>) = words.partition(|word| *word == "dn");
    let mut parts = Vec::new();
    parts.extend(rule.first().map(|rule| tlv(0x81, &[rule.as_bytes().to_vec()])));
    if !attribute.is_empty() {
        parts.push(tlv(0x82, &[attribute.as_bytes().to_vec()]));
    }
    parts.push(tlv(0x83, &[unescaped(value)]));
    if !names_too.is_empty() {
        parts.push(tlv(0x84, &[vec![0xff]]));
    }
    tlv(0xa9, &parts)
}

/// Two hexadecimal digits behind a backslash are a byte.
fn unescaped(text: &str) -> Vec<u8> {
    let mut parts = text.split('\\');
    let mut bytes = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at(2);
        bytes.push(u8::from_str_radix(digits, 16).unwrap());
        bytes.extend(rest.as_bytes());
    }
    bytes
}
