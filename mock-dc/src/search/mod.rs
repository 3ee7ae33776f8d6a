//! Searching: which entries a request means, and what is shown of each. No socket and no clock in here.
//!
//! A filter that names objects is answered from the indexes; any other looks at every object, in batches, so that nobody
//! waits long.

pub mod entry;
pub mod filter;
pub mod request;
pub mod root_dse;

use std::borrow::Cow;
use std::collections::VecDeque;

use ldap3_proto::proto::{LdapResultCode, LdapSearchRequest, LdapSearchScope};

use crate::domain::Domain;
use crate::domain::filetime::FileTime;
use crate::domain::object::ObjectId;
use entry::{Entry, Selection};

/// MaxPageSize of AD's default query policy (MS-ADTS 3.1.1.3.4.6): entries that one search returns at most.
const MAX_PAGE_SIZE: usize = 1000;

/// Objects looked at in one step.
const BATCH: usize = 256;

/// A search that ends before it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The LDAP result code.
    pub code: LdapResultCode,
    /// The nearest entry that exists.
    pub matched_dn: String,
    /// The diagnostic text.
    pub text: Cow<'static, str>,
}

/// A search under way.
#[derive(Debug)]
pub struct Search {
    request: LdapSearchRequest,
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
    Last(Vec<Entry>, LdapResultCode),
}

impl Search {
    /// Begins a search below the RootDSE.
    ///
    /// # Errors
    /// [`Refusal`] when the base is no name or names nothing.
    pub fn begin(domain: &Domain, request: LdapSearchRequest) -> Result<Self, Refusal> {
        let dialect = domain.dialect();
        let Ok(base) = domain.find_name(&request.base) else {
            return Err(Refusal {
                code: LdapResultCode::InvalidDNSyntax,
                matched_dn: String::new(),
                text: dialect.bad_name(),
            });
        };
        let Some(base) = base else {
            let best = domain.best_match(&request.base).map(|id| domain.dn_text(id));
            let text = dialect.no_such_object(best.as_deref().unwrap_or_default());
            // Samba tells it in no way (measured).
            let matched_dn = best.filter(|_| dialect.tells_best_match()).unwrap_or_default();
            return Err(Refusal {
                code: LdapResultCode::NoSuchObject,
                matched_dn,
                text,
            });
        };
        let asked = usize::try_from(request.sizelimit).ok().filter(|limit| *limit > 0);
        let room = dialect
            .limits_search_size()
            .then(|| asked.unwrap_or(MAX_PAGE_SIZE).min(MAX_PAGE_SIZE));
        let mut search = Self {
            selection: Selection::of(&request.attrs),
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
        if self.request.scope == LdapSearchScope::Base {
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
            LdapSearchScope::Base => id == self.base,
            LdapSearchScope::OneLevel => domain.object(id).parent == Some(self.base),
            LdapSearchScope::Subtree => domain.is_within(id, self.base),
            LdapSearchScope::Children => id != self.base && domain.is_within(id, self.base),
        }
    }

    /// Looks at the next candidates.
    pub fn step(&mut self, domain: &Domain, now: FileTime) -> Step {
        let mut found = Vec::new();
        for _ in 0..BATCH {
            let Some(candidate) = self.next_candidate() else {
                return Step::Last(found, LdapResultCode::Success);
            };
            if !self.covers(domain, candidate) {
                continue;
            }
            let entry = Entry {
                dn: domain.dn_text(candidate),
                attributes: domain.attributes(candidate, now),
            };
            if filter::evaluate(&self.request.filter, &entry, domain) != Some(true) {
                continue;
            }
            match &mut self.room {
                Some(0) => return Step::Last(found, LdapResultCode::SizeLimitExceeded),
                Some(room) => *room -= 1,
                None => {}
            }
            found.push(self.selection.apply(entry, self.request.typesonly));
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
