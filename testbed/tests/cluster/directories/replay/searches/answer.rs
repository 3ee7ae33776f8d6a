//! Everything that a request is answered with, and what of it has to be the same.

use std::collections::{BTreeMap, BTreeSet};

use super::super::client::elements;
use super::excuses;
use super::landscape::Landscape;
use super::request::PAGED;

/// Attributes with their values, as they were sent.
type Attributes = Vec<(String, Vec<Vec<u8>>)>;

/// The messages that one request is answered with.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// Their names, and what was sent of them.
    pub(super) entries: Vec<(String, Attributes)>,
    references: Vec<String>,
    /// The last message: its operation, its contents and its controls. `None`: the connection was closed.
    last: Option<Last>,
}

#[derive(Debug)]
struct Last {
    tag: u8,
    code: u8,
    matched: String,
    text: String,
    /// What follows the text: referrals, the name and value of an extended operation.
    more: Vec<(u8, String)>,
    controls: Vec<(String, Vec<u8>)>,
}

/// What has to be the same, by what it is.
pub(super) type Facts = BTreeMap<String, String>;

/// Reads the answers to a request.
pub(super) fn read(messages: &[Vec<u8>]) -> Answer {
    let mut answer = Answer::default();
    for message in messages {
        let parts = elements(elements(message)[0].1);
        let (tag, contents) = parts[1];
        let inside = elements(contents);
        match tag {
            0x64 => answer.entries.push((text(inside[0].1), attributes(inside[1].1))),
            0x73 => answer
                .references
                .extend(inside.iter().map(|(_, reference)| text(reference))),
            _ => {
                answer.last = Some(Last {
                    tag,
                    code: inside[0].1[0],
                    matched: text(inside[1].1),
                    text: text(inside[2].1),
                    more: inside[3..].iter().map(|(tag, more)| (*tag, text(more))).collect(),
                    controls: parts.get(2).map(|(_, list)| controls(list)).unwrap_or_default(),
                });
            }
        }
    }
    answer
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn attributes(list: &[u8]) -> Attributes {
    let attribute = |(_, contents): (u8, &[u8])| {
        let parts = elements(contents);
        let values = elements(parts[1].1).into_iter().map(|(_, value)| value.to_vec());
        (text(parts[0].1), values.collect())
    };
    elements(list).into_iter().map(attribute).collect()
}

fn controls(list: &[u8]) -> Vec<(String, Vec<u8>)> {
    let control = |(_, contents): (u8, &[u8])| {
        let parts = elements(contents);
        let value = parts.iter().skip(1).find(|(tag, _)| *tag == 0x04);
        let value = value.map(|(_, value)| value.to_vec()).unwrap_or_default();
        (text(parts[0].1), value)
    };
    elements(list).into_iter().map(control).collect()
}

impl Answer {
    /// What the next page is asked for with.
    pub(super) fn cookie(&self) -> Option<Vec<u8>> {
        let controls = &self.last.as_ref()?.controls;
        let (_, value) = controls.iter().find(|(oid, _)| oid == PAGED)?;
        Some(elements(elements(value)[0].1)[1].1.to_vec())
    }

    pub(super) fn is_closed(&self) -> bool {
        self.last.is_none()
    }

    /// Everything that has to be the same; but for the entries that one directory has `alone`. `in_order`: the order of
    /// the entries, too.
    pub(super) fn facts(&self, landscape: &Landscape, alone: &BTreeSet<String>, in_order: bool) -> Facts {
        let mut facts = Facts::new();
        let Some(last) = &self.last else {
            facts.insert("connection".to_owned(), "closed".to_owned());
            return facts;
        };
        let mut tell = |what: String, told: String| facts.insert(what, told);
        tell("answer".to_owned(), format!("{:#x}", last.tag));
        tell("result".to_owned(), format!("{} {:?}", last.code, last.text));
        tell("matched DN".to_owned(), last.matched.clone());
        tell("behind the text".to_owned(), format!("{:?}", last.more));
        for (oid, value) in &last.controls {
            let told = match oid.as_str() {
                // The cookie means something to the server alone.
                PAGED => {
                    let parts = elements(elements(value)[0].1);
                    let more = if parts[1].1.is_empty() {
                        "the last"
                    } else {
                        "not the last"
                    };
                    format!("{:?}, {more}", parts[0].1)
                }
                // Lengths may be written in several ways.
                _ => format!("{:?}", elements(elements(value)[0].1)),
            };
            tell(format!("control {oid}"), told);
        }
        for (place, reference) in self.references.iter().enumerate() {
            tell(format!("reference {place}"), reference.clone());
        }
        let entries = || self.entries.iter().filter(|(name, _)| !alone.contains(name));
        if in_order {
            let names = entries().map(|(name, _)| name.as_str()).collect::<Vec<_>>();
            tell("order".to_owned(), names.join(" | "));
        }
        for (name, attributes) in entries() {
            let name = landscape.shown(name.as_bytes());
            let twice = tell(name.clone(), "found".to_owned());
            assert_eq!(twice, None, "{name} came twice");
            let set = attributes.iter().find(|(attribute, _)| attribute == "pwdLastSet");
            let set = set.and_then(|(_, values)| values.first()).map(Vec::as_slice);
            for (attribute, values) in attributes {
                if let Some(shown) = excuses::shown(&name, (attribute, values), set, landscape) {
                    // The same attribute may be sent twice.
                    let key = format!("{name}, {attribute}");
                    let before = tell(key.clone(), shown.clone());
                    if let Some(before) = before {
                        tell(key, format!("{before} and again {shown}"));
                    }
                }
            }
        }
        facts
    }
}
