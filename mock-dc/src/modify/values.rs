//! What adds, deletes and replacements make of an attribute's values (RFC 4511 4.6, with AD's codes).

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

    /// Makes one change.
    ///
    /// # Errors
    /// What is added is there already, or what is deleted is not.
    pub(super) fn apply(&mut self, change: &Known<'_>, place: impl FnOnce() -> Place) -> Result<(), Refusal> {
        let given = || change.values.iter().map(|value| value.to_vec());
        match change.kind {
            Kind::Replace => {
                let repeated = |(at, value): (usize, &&[u8])| change.values[..at].contains(value);
                if change.values.iter().enumerate().any(repeated) {
                    return Err(Refusal::GivenTwice(place()));
                }
                self.list = given().collect();
            }
            Kind::Add if change.values.is_empty() => return Err(Refusal::NothingToAdd(place())),
            Kind::Add => {
                for value in given() {
                    if self.position(&value).is_some() {
                        return Err(Refusal::ValueExists(place()));
                    }
                    self.list.push(value);
                }
            }
            Kind::Delete if change.values.is_empty() => {
                if self.list.is_empty() {
                    return Err(Refusal::NoSuchAttribute(place()));
                }
                self.list.clear();
            }
            Kind::Delete => {
                for value in change.values {
                    let Some(at) = self.position(value) else {
                        return Err(Refusal::NoSuchValue(place()));
                    };
                    self.list.remove(at);
                }
            }
        }
        Ok(())
    }

    fn position(&self, value: &[u8]) -> Option<usize> {
        self.list.iter().position(|own| self.is_same(own, value))
    }

    fn is_same(&self, own: &[u8], value: &[u8]) -> bool {
        let texts = || Some((std::str::from_utf8(own).ok()?, std::str::from_utf8(value).ok()?));
        match self.syntax {
            Syntax::Guid | Syntax::Sid | Syntax::Octets => own == value,
            _ => own == value || texts().is_some_and(|(own, value)| fold(own) == fold(value)),
        }
    }
}
