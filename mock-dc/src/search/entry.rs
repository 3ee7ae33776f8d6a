//! Entries of the tree, and what of an entry a request wants to see.

use crate::domain::attributes::Attribute;

/// An entry with all of its attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Distinguished name; empty for the RootDSE.
    pub dn: String,
    /// Attributes in the order in which they are shown.
    pub attributes: Vec<Attribute>,
}

impl Entry {
    /// The attribute of this name, compared without case.
    pub fn get(&self, name: &str) -> Option<&Attribute> {
        self.attributes
            .iter()
            .find(|attribute| attribute.name.eq_ignore_ascii_case(name))
    }
}

/// Which attributes a request asks for (RFC 4511 4.5.1.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    all_usual: bool,
    named: Vec<String>,
}

impl Selection {
    /// Reads the list of a request: empty or `*` is everything usual, `1.1` alone is nothing. What stands behind a
    /// semicolon asks for the same attribute.
    pub fn of(asked: &[String]) -> Self {
        let named = asked
            .iter()
            .filter(|name| !matches!(name.as_str(), "*" | "+" | "1.1"))
            .map(|name| name.split(';').next().unwrap_or_default().to_owned())
            .collect();
        Self {
            all_usual: asked.is_empty() || asked.iter().any(|name| name == "*"),
            named,
        }
    }

    /// Whether an attribute is asked for by its name.
    pub fn names(&self, attribute: &str) -> bool {
        self.named.iter().any(|name| name.eq_ignore_ascii_case(attribute))
    }

    /// The entry with what was asked for; without values when only types were.
    pub fn apply(&self, mut entry: Entry, types_only: bool) -> Entry {
        entry
            .attributes
            .retain(|attribute| (self.all_usual && !attribute.on_request) || self.names(attribute.name));
        if types_only {
            entry
                .attributes
                .iter_mut()
                .for_each(|attribute| attribute.values.clear());
        }
        entry
    }
}
