//! Searching: which entries a request means, and what is shown of each. No socket and no clock in here.
//!
//! A filter that names objects is answered from the indexes; any other looks at every object, in batches, so that nobody
//! waits long. Nothing is kept between the pages of a paged search.

mod anr;
mod base;
mod candidates;
mod classes;
pub mod code;
mod computed;
pub mod controls;
mod dialect;
pub mod entry;
pub mod filter;
mod names;
mod page;
mod references;
pub mod request;
pub mod rights;
pub mod root_dse;
pub mod selection;
mod sort;
mod subschema;
mod value;

use std::time::Duration;

use crate::domain::Domain;
use crate::domain::controllers::DcId;
use crate::domain::filetime::FileTime;
use crate::domain::object::ObjectId;
pub use base::{compares_for_nobody, for_nobody, of_comparison};
use code::{Code, Refusal};
use controls::{Control, Options};
use entry::Entry;
use filter::Context;
use page::Place;
use references::NamingContext;
use request::{Scope, SearchRequest};
use rights::{Client, Reads};
use selection::Selection;
use sort::{Sorted, Sorting};

/// MaxPageSize of AD's default query policy (MS-ADTS 3.1.1.3.4.6): entries that one search returns at most.
const MAX_PAGE_SIZE: u32 = 1000;

/// MaxQueryDuration of that policy.
const MAX_QUERY_DURATION: Duration = Duration::from_secs(120);

/// Objects looked at in one step at most, of which this many are found: whoever reads no answers has that much of them
/// waiting, and not what thousands of objects come to.
const BATCH: usize = 256;
const FOUND: usize = 64;

/// Comparisons in one step: a filter of thousands of parts looks at fewer objects, so that others have their turn.
const COMPARISONS: usize = 64 * BATCH;

/// Bytes of a filter's values at most: they are brought into the form that is compared anew for each object, so that one
/// object takes some 10 ms at that. Filters of thousands of names have less.
const VALUES: usize = 1 << 20;

/// A search under way.
#[derive(Debug)]
pub struct Search {
    request: SearchRequest,
    client: Client,
    options: Options,
    selection: Selection,
    /// Where it begins; `None`: everywhere.
    base: Option<(ObjectId, NamingContext)>,
    candidates: Candidates,
    /// Candidates that were looked at.
    at: u32,
    /// How many are looked at in one step.
    batch: usize,
    /// Set while all that match are gathered to be sorted, before any is sent.
    sorting: Option<Sorting>,
    tells_of_sorting: bool,
    /// What is told of the sorting.
    told_of_sorting: Option<Control>,
    /// Entries that may still be returned; `None`: any number.
    room: Option<u32>,
    page: Option<Page>,
    limit: Option<Duration>,
    references: Vec<String>,
    promises_empty_pages: bool,
}

/// What may have to be looked at, in the order in which it is.
#[derive(Debug)]
enum Candidates {
    /// These, which an index or the scope names.
    Few(Vec<ObjectId>),
    /// These, as they are to be sent.
    Sorted(Sorted),
    /// Every object.
    All(u32),
    /// An entry that is no object of the tree.
    Only(Box<Entry>),
}

impl Candidates {
    /// Where the first comes whose id is not below `first`.
    fn place_of(&self, first: u32) -> u32 {
        match self {
            Self::Few(ids) => {
                let before = ids.partition_point(|id| *id < ObjectId::from(first));
                u32::try_from(before).unwrap_or(u32::MAX)
            }
            Self::Sorted(_) | Self::All(_) | Self::Only(_) => first,
        }
    }
}

/// The page that is asked for.
#[derive(Debug)]
struct Page {
    size: u32,
    sent: u32,
    /// Entries of all pages together, as far as they were counted.
    total: u32,
    /// Whether they are still being counted.
    counts: bool,
    /// The object with which the next page begins, and its place.
    next: Option<(ObjectId, u32)>,
}

/// What one step of a search found.
#[derive(Debug)]
pub enum Step {
    /// Entries to send; there is more to look at.
    Entries(Vec<Entry>),
    /// The last entries, and how the search ended.
    Last(Vec<Entry>, Done),
}

/// How a search ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// Result code and text.
    pub result: Refusal,
    /// References to be sent before it, each a message of its own.
    pub references: Vec<String>,
    /// Controls to be sent with it.
    pub controls: Vec<Control>,
}

impl Search {
    /// Begins a search below the RootDSE.
    ///
    /// # Errors
    /// [`Refusal`] when the base is no name or names nothing, or the filter or a control cannot be served.
    pub fn begin(domain: &Domain, request: SearchRequest, options: Options, client: Client) -> Result<Self, Refusal> {
        let dialect = domain.dialect();
        if filter::uses_constructed(&request.filter)
            && let Some(refusal) = dialect.refuses_constructed()
        {
            return Err(refusal);
        }
        if request.filter.bytes() > VALUES {
            let text = "the filter's values have more than 1 MiB, with which this server compares nothing";
            return Err(Refusal::new(Code::AdminLimitExceeded, text));
        }
        let of_windows = options.of_windows.as_deref();
        if let Some(refusal) = of_windows.and_then(|oid| dialect.refuses_controls_of_windows(oid)) {
            return Err(refusal);
        }
        let place = match &options.page {
            Some(page) if !page.cookie.is_empty() => {
                Place::read(&page.cookie, &request).map_err(|readable| dialect.refuses_cookie(readable))?
            }
            _ => Place::default(),
        };
        if options
            .page
            .as_ref()
            .is_some_and(|page| page.size == 0 && page.cookie.is_empty())
            && let Some(refusal) = dialect.refuses_empty_page()
        {
            return Err(refusal);
        }
        let subschema = subschema::is_meant(domain, &request);
        let (base, candidates) = match subschema {
            true => (None, Candidates::Only(Box::new(subschema::entry(domain)))),
            false => {
                let base = base::find(domain, &request, &options)?;
                (base, candidates(domain, &request, base))
            }
        };
        let references = match base {
            // Of a paged search the first page brings them (measured).
            Some(base) if !options.no_references && !options.everywhere && place == Place::default() => {
                references::below(domain, base, request.scope, client.ldaps)
            }
            _ => Vec::new(),
        };
        let asked = Some(request.size_limit).filter(|limit| *limit > 0);
        let most = if options.page.is_some() {
            u32::MAX
        } else {
            MAX_PAGE_SIZE
        };
        let room = dialect.limits_searches().then(|| asked.unwrap_or(most).min(most));
        let own = Some(request.time_limit).filter(|limit| *limit > 0);
        let own = own.map_or(MAX_QUERY_DURATION, |limit| Duration::from_secs(limit.into()));
        let (sorting, told_of_sorting) = Sorting::begin(&options, dialect)?;
        // Samba sends nothing that it was to sort and cannot (measured).
        let candidates = match told_of_sorting.is_some() && dialect.sends_nothing_unsorted() {
            true => Candidates::Few(Vec::new()),
            false => candidates,
        };
        let at = candidates.place_of(place.first);
        Ok(Self {
            selection: Selection::of(&request.attributes, request.types_only, dialect)?,
            client,
            base: base.map(|base| (base, NamingContext::of(domain, base))),
            candidates,
            at: if sorting.is_some() { 0 } else { at },
            sorting: sorting.map(|sorting| sorting.from(place)),
            batch: (COMPARISONS / request.filter.comparisons()).clamp(1, BATCH),
            tells_of_sorting: dialect.tells_of_sorting(),
            told_of_sorting,
            room,
            page: options.page.as_ref().map(|page| Page {
                size: match dialect.limits_searches() {
                    true => page.size.min(MAX_PAGE_SIZE),
                    false => page.size,
                },
                sent: 0,
                total: place.total,
                counts: page.cookie.is_empty() && dialect.tells_totals(),
                next: None,
            }),
            limit: dialect.limits_searches().then(|| own.min(MAX_QUERY_DURATION)),
            references,
            promises_empty_pages: dialect.promises_empty_pages(),
            request,
            options,
        })
    }

    /// Whether the scope covers an object. The configuration and the schema are naming contexts of their own: a search
    /// from the domain's root does not go into them.
    fn covers(&self, domain: &Domain, id: ObjectId) -> bool {
        let Some((base, context)) = self.base else {
            // Nothing is right below the RootDSE (measured).
            return self.request.scope == Scope::Subtree;
        };
        let in_scope = match self.request.scope {
            Scope::Base => id == base,
            Scope::OneLevel => domain.object(id).parent == Some(base),
            Scope::Subtree => domain.is_within(id, base),
        };
        let everywhere = self.options.everywhere && self.request.scope != Scope::OneLevel;
        in_scope && (everywhere || NamingContext::of(domain, id) == context)
    }

    /// Looks at the next candidates as a controller knows them. `elapsed`: how long the search has been under way.
    pub fn step(&mut self, domain: &Domain, dc: DcId, now: FileTime, elapsed: Duration) -> Step {
        let mut found = Vec::new();
        if self.limit.is_some_and(|limit| elapsed > limit) {
            let refusal = domain.dialect().out_of_time();
            return self.end(found, refusal);
        }
        for _ in 0..self.batch {
            if found.len() == FOUND {
                break;
            }
            let candidate = match self.candidate() {
                Some(candidate) => candidate,
                None if self.sorting.is_some() => {
                    self.begin_sending();
                    continue;
                }
                None => return self.end(found, Refusal::new(Code::Success, "")),
            };
            let place = self.at;
            self.at += 1;
            match self.look_at((domain, dc, now), candidate, place) {
                Ok(Some(entry)) => found.push(entry),
                Ok(None) => {}
                Err(result) => return self.end(found, result),
            }
        }
        Step::Entries(found)
    }

    fn candidate(&mut self) -> Option<Candidate> {
        match &mut self.candidates {
            Candidates::Few(ids) | Candidates::Sorted(Sorted { ids, .. }) => {
                ids.get(self.at as usize).copied().map(Candidate::Object)
            }
            Candidates::All(end) => (self.at < *end).then(|| Candidate::Object(ObjectId::from(self.at))),
            Candidates::Only(entry) => (self.at == 0).then(|| Candidate::Entry(entry.clone())),
        }
    }

    /// What is to be sent of a candidate, if anything; an error ends the search.
    fn look_at(
        &mut self,
        (domain, dc, now): (&Domain, DcId, FileTime),
        candidate: Candidate,
        place: u32,
    ) -> Result<Option<Entry>, Refusal> {
        let (id, mut entry) = match candidate {
            Candidate::Object(id) if !self.covers(domain, id) => return Ok(None),
            Candidate::Object(id) => {
                let attributes = domain.attributes(dc, id, now);
                let dn = domain.dn_text(id);
                (Some(id), Entry { dn, attributes })
            }
            Candidate::Entry(entry) => (None, *entry),
        };
        let reads = id.map_or(Reads::Everything, |id| self.client.reads(domain, id, &mut entry));
        if reads == Reads::Nothing {
            return Ok(None);
        }
        let attributes_of = |id| domain.attributes(dc, id, now);
        let context = Context {
            domain,
            attributes_of: &attributes_of,
        };
        match filter::evaluate(&self.request.filter, &entry, &context) {
            Ok(Some(true)) => {}
            Ok(_) => return Ok(None),
            Err(filter::Unfit) => return Err(domain.dialect().gave_up()),
        }
        if let (Some(sorting), Some(id)) = (&mut self.sorting, id) {
            return sorting.gather(id, &entry).map(|()| None);
        }
        if self.is_past_the_page(id.unwrap_or(ObjectId::ROOT), place)? {
            return Ok(None);
        }
        match &mut self.room {
            Some(0) => return Err(domain.dialect().too_many()),
            Some(room) => *room -= 1,
            None => {}
        }
        if let Some(id) = id {
            if let Some(name) = computed::wants_tokens(&self.selection).filter(|_| self.request.scope != Scope::Base) {
                let by_index = self.request.scope == Scope::OneLevel || !matches!(self.candidates, Candidates::All(_));
                return Err(domain.dialect().refuses_tokens_below(name, by_index));
            }
            if reads == Reads::Everything {
                computed::add(domain, id, &self.selection, &mut entry.attributes);
            }
        }
        let mut shown = self.selection.apply(entry);
        if let (Some(id), Some(form)) = (id, self.options.extended_names) {
            names::extend(domain, &mut shown, id, form);
        }
        Ok(Some(shown))
    }

    /// Whether an entry that matches belongs to a later page.
    ///
    /// # Errors
    /// The search's end, where nothing more has to be known of later pages.
    fn is_past_the_page(&mut self, id: ObjectId, place: u32) -> Result<bool, Refusal> {
        let Some(page) = &mut self.page else {
            return Ok(false);
        };
        page.total += u32::from(page.counts);
        if page.sent < page.size {
            page.sent += 1;
            return Ok(false);
        }
        // A page of none is how a client says that it wants no more (RFC 2696 3).
        page.next = page.next.or((page.size > 0).then_some((id, place)));
        match page.counts {
            true => Ok(true),
            false => Err(Refusal::new(Code::Success, "")),
        }
    }

    fn begin_sending(&mut self) {
        if let Some(sorting) = self.sorting.take() {
            let (sorted, begin, told) = sorting.finish(self.tells_of_sorting);
            self.candidates = Candidates::Sorted(sorted);
            self.at = begin;
            self.told_of_sorting = told;
        }
    }

    fn end(&mut self, found: Vec<Entry>, result: Refusal) -> Step {
        let mut told: Vec<_> = self.told_of_sorting.take().into_iter().collect();
        if let Some(page) = self.page.as_mut().filter(|_| result.code == Code::Success) {
            if self.promises_empty_pages && page.size > 0 && page.sent == page.size {
                // Where there is nothing more to be found.
                page.next = page.next.or(Some((ObjectId::from(u32::MAX), self.at)));
            }
            told.push(match page.next {
                Some((first, sorted)) => {
                    let place = Place {
                        first: first.into(),
                        sorted,
                        key: match &self.candidates {
                            Candidates::Sorted(all) => all.key(sorted),
                            _ => 0,
                        },
                        total: page.total,
                    };
                    controls::page_told(page.total, &place.cookie(&self.request))
                }
                None => controls::page_told(0, b""),
            });
        }
        let references = match result.code == Code::Success {
            true => std::mem::take(&mut self.references),
            false => Vec::new(),
        };
        Step::Last(
            found,
            Done {
                result,
                references,
                controls: told,
            },
        )
    }
}

#[derive(Debug)]
enum Candidate {
    Object(ObjectId),
    Entry(Box<Entry>),
}

/// Which objects are to be looked at; whether each is within the scope is looked at then.
fn candidates(domain: &Domain, request: &SearchRequest, base: Option<ObjectId>) -> Candidates {
    if let (Scope::Base, Some(base)) = (request.scope, base) {
        return Candidates::Few(vec![base]);
    }
    match candidates::named_objects(&request.filter, domain) {
        Some(ids) => Candidates::Few(ids),
        None => Candidates::All(domain.id_range().end),
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod text_filter;
