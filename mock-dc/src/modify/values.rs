//! What adds, deletes and replacements make of an attribute's values (RFC 4511 4.6, with AD's codes).

use std::collections::HashSet;

use super::refusal::{Place, Refusal};
use super::{Kind, Known};
use crate::domain::fold::fold;
use crate::domain::schema::Syntax;

/// An attribute's values while a request is carried out.
pub(super) struct Values {
    pub(super) list: Vec<Vec<u8>>,
    syntax: Syntax,
}

impl Values {
    /// Those that it has now.
    pub(super) fn new(list: Vec<Vec<u8>>, syntax: Syntax) -> Self {
        Self { list, syntax }
    }

    /// Makes one change. Takes time in proportion to the values, of which a request may have very many.
    ///
    /// # Errors
    /// What is added is there already, or what is deleted is not.
    pub(super) fn apply(&mut self, change: &Known<'_>, place: impl FnOnce() -> Place) -> Result<(), Refusal> {
        let given = || change.values.iter().map(|value| value.to_vec());
        match change.kind {
            Kind::Replace => {
                let mut seen = HashSet::new();
                if !change.values.iter().all(|value| seen.insert(*value)) {
                    return Err(Refusal::GivenTwice(place()));
                }
                self.list = given().collect();
            }
            Kind::Add if change.values.is_empty() => return Err(Refusal::NothingToAdd(place())),
            Kind::Add => {
                let mut there = self.keys();
                if !change.values.iter().all(|value| there.insert(self.key(value))) {
                    return Err(Refusal::ValueExists(place()));
                }
                self.list.extend(given());
            }
            Kind::Delete if change.values.is_empty() => {
                if self.list.is_empty() {
                    return Err(Refusal::NoSuchAttribute(place()));
                }
                self.list.clear();
            }
            Kind::Delete => {
                let mut there = self.keys();
                if !change.values.iter().all(|value| there.remove(&self.key(value))) {
                    return Err(Refusal::NoSuchValue(place()));
                }
                let syntax = self.syntax;
                self.list.retain(|value| there.contains(&key(syntax, value)));
            }
        }
        Ok(())
    }

    fn keys(&self) -> HashSet<Vec<u8>> {
        self.list.iter().map(|value| self.key(value)).collect()
    }

    fn key(&self, value: &[u8]) -> Vec<u8> {
        key(self.syntax, value)
    }
}

/// What two values have in common that are the same to the directory.
fn key(syntax: Syntax, value: &[u8]) -> Vec<u8> {
    match (syntax, std::str::from_utf8(value)) {
        (Syntax::Guid | Syntax::Sid | Syntax::Octets, _) | (_, Err(_)) => value.to_vec(),
        (_, Ok(text)) => fold(text).into_bytes(),
    }
}
