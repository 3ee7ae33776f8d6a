//! What adds, deletes and replacements make of an attribute's values (RFC 4511 4.6, with AD's codes).

use std::collections::{BTreeMap, HashMap, HashSet};

use super::refusal::{Place, Refusal};
use super::{Kind, Known};
use crate::domain::fold::fold;
use crate::domain::schema::Syntax;

/// An attribute's values while a request is carried out. A request may make very many changes of very many values: each
/// takes time in proportion to what it names, not to what is there.
pub(super) struct Values {
    /// In the order in which they came.
    list: BTreeMap<u64, Vec<u8>>,
    /// Where each stands, by what makes values the same.
    places: HashMap<Vec<u8>, u64>,
    /// Where the next one goes.
    next: u64,
    syntax: Syntax,
}

impl Values {
    /// Those that it has now.
    pub(super) fn new<'a>(list: impl IntoIterator<Item = &'a Vec<u8>>, syntax: Syntax) -> Self {
        let mut values = Self {
            list: BTreeMap::new(),
            places: HashMap::new(),
            next: 0,
            syntax,
        };
        list.into_iter().for_each(|value| values.push(value));
        values
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.list.len()
    }

    /// Those that it has then.
    pub(super) fn list(&self) -> Vec<Vec<u8>> {
        self.list.values().cloned().collect()
    }

    /// Makes one change. A `permissive` one leaves what is added and there as it is, and what is deleted and not there.
    ///
    /// # Errors
    /// What is added is there already, or what is deleted is not. Nothing is made of the request then, nor of these.
    pub(super) fn apply(
        &mut self,
        change: &Known<'_>,
        permissive: bool,
        place: impl FnOnce() -> Place,
    ) -> Result<(), Refusal> {
        match change.kind {
            Kind::Replace => {
                let mut seen = HashSet::new();
                if !change.values.iter().all(|value| seen.insert(*value)) {
                    return Err(Refusal::GivenTwice(place()));
                }
                self.clear();
                change.values.iter().for_each(|value| self.push(value));
            }
            Kind::Add if change.values.is_empty() => return Err(Refusal::NothingToAdd(place())),
            Kind::Add => {
                // One that the change itself gives twice is an error all the same (measured).
                let before = self.next;
                for value in change.values {
                    match self.places.get(&self.key(value)) {
                        None => self.push(value),
                        Some(at) if permissive && *at < before => {}
                        Some(_) => return Err(Refusal::ValueExists(place())),
                    }
                }
            }
            Kind::Delete if change.values.is_empty() => {
                if self.list.is_empty() && !permissive {
                    return Err(Refusal::NoSuchAttribute(place()));
                }
                self.clear();
            }
            Kind::Delete => {
                for value in change.values {
                    if !self.remove(value) && !permissive {
                        return Err(Refusal::NoSuchValue(place()));
                    }
                }
            }
        }
        Ok(())
    }

    fn push(&mut self, value: &[u8]) {
        self.places.insert(self.key(value), self.next);
        self.list.insert(self.next, value.to_vec());
        self.next += 1;
    }

    /// Whether it was there.
    fn remove(&mut self, value: &[u8]) -> bool {
        let place = self.places.remove(&self.key(value));
        place.is_some_and(|place| self.list.remove(&place).is_some())
    }

    fn clear(&mut self) {
        self.list.clear();
        self.places.clear();
    }

    /// What two values have in common that are the same to the directory.
    fn key(&self, value: &[u8]) -> Vec<u8> {
        match (self.syntax, std::str::from_utf8(value)) {
            (Syntax::Guid | Syntax::Sid | Syntax::Octets, _) | (_, Err(_)) => value.to_vec(),
            (_, Ok(text)) => fold(text).into_bytes(),
        }
    }
}
