//! Server-side sorting (RFC 2891, MS-ADTS 3.1.1.3.4.1.13): by one attribute; what lacks it comes last.

use std::hash::{DefaultHasher, Hash, Hasher};

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
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    pub(super) fn finish(mut self, tells: bool) -> (Sorted, u32, Option<Control>) {
        // A stable order, so that pages fit together.
        self.gathered.sort_by(|(one, _), (other, _)| {
            let order = match (one, other) {
                (Some(one), Some(other)) => one.cmp(other),
                // Nothing is greater than everything (RFC 2891 2.2).
                (one, other) => one.is_none().cmp(&other.is_none()),
            };
            if self.reverse { order.reverse() } else { order }
        });
        let mut sorted = Sorted {
            keys: self.gathered.iter().map(|(key, _)| digest(key.as_ref())).collect(),
            ids: self.gathered.into_iter().map(|(_, id)| id).collect(),
        };
        let begin = sorted.begin(self.from);
        (sorted, begin, tells.then(|| sort_told(0, None)))
    }
}

/// What was sorted, in order.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    pub(super) ids: Vec<ObjectId>,
    /// Digests of the keys, by place.
    keys: Vec<u64>,
}

impl Sorted {
    /// A digest of the key of what stands at a place.
    pub(super) fn key(&self, place: u32) -> u64 {
        self.keys.get(place as usize).copied().unwrap_or_default()
    }

    /// The place of the first that is to be sent: the object that the page was to begin with, wherever others have moved
    /// it. If its own key has changed, the others still stand around the place that it had.
    fn begin(&mut self, from: Place) -> u32 {
        if from == Place::default() {
            return 0;
        }
        let first = ObjectId::from(from.first);
        match self.ids.iter().zip(0..).find(|(id, _)| **id == first) {
            Some((_, at)) if self.key(at) == from.key => at,
            Some((_, at)) if at < from.sorted => {
                // It has gone to where pages were sent already, without having been on one: it goes first instead.
                let end = self.ids.len().min((from.sorted as usize).saturating_add(1));
                self.ids[at as usize..end].rotate_left(1);
                self.keys[at as usize..end].rotate_left(1);
                u32::try_from(end - 1).unwrap_or(from.sorted)
            }
            _ => from.sorted,
        }
    }
}

fn digest(key: Option<&Key>) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}
