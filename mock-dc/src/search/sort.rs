//! Server-side sorting (RFC 2891, MS-ADTS 3.1.1.3.4.1.13): by one attribute; what lacks it comes last.

use super::code::{Code, Refusal};
use super::controls::{Control, Options, sort_told};
use super::entry::Entry;
use super::page::Place;
use crate::domain::dialect::Dialect;
use crate::domain::fold::ordered;
use crate::domain::object::ObjectId;
use crate::domain::schema::{self, Syntax};

/// MaxTempTableSize of AD's default query policy: entries that are sorted at most.
const MOST: usize = 10_000;

/// What a sort tells by result codes of LDAP.
const NO_SUCH_ATTRIBUTE: u8 = 16;
const UNWILLING: u8 = 53;

/// By what an entry is placed.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Number(i64),
    Bytes(Vec<u8>),
}

/// Entries on their way to be sorted.
#[derive(Debug)]
pub(super) struct Sorting {
    by: &'static str,
    syntax: Syntax,
    reverse: bool,
    from: Place,
    gathered: Vec<(Option<Key>, ObjectId)>,
}

impl Sorting {
    /// What is to be sorted by, or what is told instead. Both are `None` where nothing is asked for.
    ///
    /// # Errors
    /// Result 12 for what cannot be sorted and is not wanted unsorted.
    pub(super) fn begin(options: &Options, dialect: Dialect) -> Result<(Option<Self>, Option<Control>), Refusal> {
        let (key, more) = match options.sort.as_slice() {
            [] => return Ok((None, None)),
            [key, more @ ..] => (key, more),
        };
        if !more.is_empty() {
            return match (options.sort_is_critical, dialect.sends_nothing_unsorted()) {
                (true, false) => Err(Refusal::new(
                    Code::UnavailableCriticalExtension,
                    dialect.no_such_control().text,
                )),
                // As if nothing had been asked for (measured).
                (false, true) => Ok((None, None)),
                _ => Ok((None, Some(sort_told(UNWILLING, dialect.one_sort_key_only())))),
            };
        }
        match schema::find(&key.attribute).filter(|known| !known.constructed) {
            Some(known) => Ok((
                Some(Self {
                    by: known.name,
                    syntax: known.syntax,
                    reverse: key.reverse,
                    from: Place::default(),
                    gathered: Vec::new(),
                }),
                None,
            )),
            // As if there were nothing to sort by (measured).
            None if dialect.sends_nothing_unsorted() => Ok((
                Some(Self {
                    by: "",
                    syntax: Syntax::Text,
                    reverse: false,
                    from: Place::default(),
                    gathered: Vec::new(),
                }),
                None,
            )),
            None if options.sort_is_critical => Err(Refusal::new(
                Code::UnavailableCriticalExtension,
                dialect.no_such_control().text,
            )),
            None => Ok((None, Some(sort_told(NO_SUCH_ATTRIBUTE, None)))),
        }
    }

    /// Sending begins here.
    pub(super) fn from(self, from: Place) -> Self {
        Self { from, ..self }
    }

    /// Takes an entry that matches.
    ///
    /// # Errors
    /// When there are too many.
    pub(super) fn gather(&mut self, id: ObjectId, entry: &Entry) -> Result<(), Refusal> {
        if self.gathered.len() == MOST {
            return Err(Refusal::new(Code::UnwillingToPerform, "too many entries to be sorted"));
        }
        let value = entry.get(self.by).and_then(|attribute| attribute.values.first());
        let key = value.map(|value| match (self.syntax, std::str::from_utf8(value)) {
            (Syntax::Integer | Syntax::LargeInteger, Ok(text)) => Key::Number(text.parse().unwrap_or_default()),
            (Syntax::Text | Syntax::Class | Syntax::Dn, Ok(text)) => Key::Bytes(ordered(text).into_bytes()),
            _ => Key::Bytes(value.clone()),
        });
        self.gathered.push((key, id));
        Ok(())
    }

    /// Everything in order, where sending begins, and what is told of it.
    pub(super) fn finish(mut self, tells: bool) -> (Vec<ObjectId>, u32, Option<Control>) {
        // A stable order, so that pages fit together.
        self.gathered.sort_by(|(one, _), (other, _)| {
            let order = match (one, other) {
                (Some(one), Some(other)) => one.cmp(other),
                // Nothing is greater than everything (RFC 2891 2.2).
                (one, other) => one.is_none().cmp(&other.is_none()),
            };
            if self.reverse { order.reverse() } else { order }
        });
        let ids: Vec<_> = self.gathered.into_iter().map(|(_, id)| id).collect();
        let first = ObjectId::from(self.from.first);
        let first = ids
            .iter()
            .zip(0..)
            .find(|(id, _)| **id == first && self.from != Place::default());
        let place = first.map_or(self.from.sorted, |(_, place)| place);
        (ids, place, tells.then(|| sort_told(0, None)))
    }
}
