//! Searching: which entries a request means, and what is shown of each. No socket and no clock in here.
//!
//! A filter that names objects is answered from the indexes; any other looks at every object, in batches, so that nobody
//! waits long.

pub mod code;
pub mod entry;
pub mod filter;
pub mod request;
pub mod root_dse;

use std::collections::VecDeque;

use crate::domain::Domain;
use crate::domain::controllers::DcId;
use crate::domain::filetime::FileTime;
use crate::domain::object::ObjectId;
use code::{Code, Refusal};
use entry::{Entry, Selection};
use request::{Scope, SearchRequest};

/// MaxPageSize of AD's default query policy (MS-ADTS 3.1.1.3.4.6): entries that one search returns at most.
const MAX_PAGE_SIZE: usize = 1000;

/// Objects looked at in one step.
const BATCH: usize = 256;

/// A search under way.
#[derive(Debug)]
pub struct Search {
    request: SearchRequest,
    selection: Selection,
    base: ObjectId,
    few: VecDeque<ObjectId>,
    /// Objects still to be looked at, when no index helps.
    all: Option<std::ops::Range<u32>>,
    /// Entries that may still be returned; `None`: any number.
    room: Option<usize>,
}

/// What one step of a search found.
#[derive(Debug)]
pub enum Step {
    /// Entries to send; there is more to look at.
    Entries(Vec<Entry>),
    /// The last entries, and whether there would have been more than the size limit allows.
    Last(Vec<Entry>, Code),
}

impl Search {
    /// Begins a search below the RootDSE.
    ///
    /// # Errors
    /// [`Refusal`] when the base is no name or names nothing.
    pub fn begin(domain: &Domain, request: SearchRequest) -> Result<Self, Refusal> {
        let dialect = domain.dialect();
        let name = std::str::from_utf8(&request.base).ok();
        let named = name.and_then(|name| Some((name, domain.find_name(name).ok()?)));
        let Some((name, base)) = named else {
            return Err(Refusal::new(Code::InvalidDnSyntax, dialect.bad_name()));
        };
        let Some(base) = base else {
            let best = domain.best_match(name).map(|id| domain.dn_text(id));
            let text = dialect.no_such_object(best.as_deref().unwrap_or_default());
            // Samba tells it in no way (measured).
            let matched_dn = best.filter(|_| dialect.tells_best_match()).unwrap_or_default();
            return Err(Refusal {
                code: Code::NoSuchObject,
                matched_dn,
                text,
            });
        };
        let asked = usize::try_from(request.size_limit).ok().filter(|limit| *limit > 0);
        let room = dialect
            .limits_search_size()
            .then(|| asked.unwrap_or(MAX_PAGE_SIZE).min(MAX_PAGE_SIZE));
        let mut search = Self {
            selection: Selection::of(&request.attributes),
            base,
            few: VecDeque::new(),
            all: None,
            room,
            request,
        };
        search.collect(domain);
        Ok(search)
    }

    /// Which objects are to be looked at; whether each is within the scope is looked at then.
    fn collect(&mut self, domain: &Domain) {
        if self.request.scope == Scope::Base {
            self.few.push_back(self.base);
            return;
        }
        match filter::named_objects(&self.request.filter, domain) {
            Some(ids) => self.few.extend(ids),
            None => self.all = Some(domain.id_range()),
        }
    }

    /// Whether the scope covers an object. The configuration is a naming context of its own: a search from the domain's
    /// root does not go into it.
    fn covers(&self, domain: &Domain, id: ObjectId) -> bool {
        if domain.is_configuration(id) && !domain.is_configuration(self.base) {
            return false;
        }
        match self.request.scope {
            Scope::Base => id == self.base,
            Scope::OneLevel => domain.object(id).parent == Some(self.base),
            Scope::Subtree => domain.is_within(id, self.base),
        }
    }

    /// Looks at the next candidates as a controller knows them.
    pub fn step(&mut self, domain: &Domain, dc: DcId, now: FileTime) -> Step {
        let mut found = Vec::new();
        for _ in 0..BATCH {
            let Some(candidate) = self.next_candidate() else {
                return Step::Last(found, Code::Success);
            };
            if !self.covers(domain, candidate) {
                continue;
            }
            let entry = Entry {
                dn: domain.dn_text(candidate),
                attributes: domain.attributes(dc, candidate, now),
            };
            if filter::evaluate(&self.request.filter, &entry, domain) != Some(true) {
                continue;
            }
            match &mut self.room {
                Some(0) => return Step::Last(found, Code::SizeLimitExceeded),
                Some(room) => *room -= 1,
                None => {}
            }
            found.push(self.selection.apply(entry, self.request.types_only));
        }
        Step::Entries(found)
    }

    fn next_candidate(&mut self) -> Option<ObjectId> {
        let next = |range: &mut std::ops::Range<u32>| range.next().map(ObjectId::from);
        self.few.pop_front().or_else(|| self.all.as_mut().and_then(next))
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod text_filter;
