//! Entries of the tree.

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
