//! Searching: which entries a request means, and what is shown of each. No socket and no clock in here.
//!
//! The tree is the RootDSE, the domain, its container `CN=Users`, and the accounts in it. A filter that names an
//! account is answered from the indexes; any other looks at every account, in batches, so that nobody waits long.

pub mod entry;
pub mod filter;
pub mod root_dse;

use std::borrow::Cow;
use std::collections::VecDeque;

use ldap3_proto::proto::{LdapResultCode, LdapSearchRequest, LdapSearchScope};

use crate::domain::dn::Dn;
use crate::domain::filetime::FileTime;
use crate::domain::{AccountId, Domain};
use entry::{Entry, Selection};

/// MaxPageSize of AD's default query policy (MS-ADTS 3.1.1.3.4.6): entries that one search returns at most.
const MAX_PAGE_SIZE: usize = 1000;

/// Accounts looked at in one step.
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

/// An entry that a search may return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Candidate {
    Domain,
    Users,
    Account(AccountId),
}

/// A search under way.
#[derive(Debug)]
pub struct Search {
    request: LdapSearchRequest,
    selection: Selection,
    few: VecDeque<Candidate>,
    /// Accounts still to be looked at, when no index helps.
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
        let base = Dn::parse(&request.base).ok_or_else(|| Refusal {
            code: LdapResultCode::InvalidDNSyntax,
            matched_dn: String::new(),
            text: dialect.bad_name(),
        })?;
        let Some(place) = place(domain, &base) else {
            let matched_dn = if base.is_within(domain.base()) {
                domain.base_text().to_owned()
            } else {
                String::new()
            };
            let text = dialect.no_such_object(&matched_dn);
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
            few: VecDeque::new(),
            all: None,
            room,
            request,
        };
        search.collect(domain, place);
        Ok(search)
    }

    /// Which entries the scope covers, from `base` on.
    fn collect(&mut self, domain: &Domain, base: Candidate) {
        let (itself, children, below) = match self.request.scope {
            LdapSearchScope::Base => (true, false, false),
            LdapSearchScope::OneLevel => (false, true, false),
            LdapSearchScope::Subtree => (true, true, true),
            LdapSearchScope::Children => (false, true, true),
        };
        if itself {
            self.few.push_back(base);
        }
        let with_accounts = match base {
            Candidate::Domain => {
                if children {
                    self.few.push_back(Candidate::Users);
                }
                below
            }
            Candidate::Users => children,
            Candidate::Account(_) => false,
        };
        if !with_accounts {
            return;
        }
        match filter::named_accounts(&self.request.filter, domain) {
            Some(ids) => self.few.extend(ids.into_iter().map(Candidate::Account)),
            None => self.all = Some(domain.id_range()),
        }
    }

    /// Looks at the next candidates.
    pub fn step(&mut self, domain: &Domain, now: FileTime) -> Step {
        let mut found = Vec::new();
        for _ in 0..BATCH {
            let Some(candidate) = self.next_candidate() else {
                return Step::Last(found, LdapResultCode::Success);
            };
            let entry = entry(domain, candidate, now);
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

    fn next_candidate(&mut self) -> Option<Candidate> {
        let account = |range: &mut std::ops::Range<u32>| range.next().map(AccountId::from).map(Candidate::Account);
        self.few.pop_front().or_else(|| self.all.as_mut().and_then(account))
    }
}

fn place(domain: &Domain, base: &Dn) -> Option<Candidate> {
    if base == domain.base() {
        Some(Candidate::Domain)
    } else if *base == domain.users_container() {
        Some(Candidate::Users)
    } else {
        domain.find_dn(base).map(Candidate::Account)
    }
}

fn entry(domain: &Domain, candidate: Candidate, now: FileTime) -> Entry {
    match candidate {
        Candidate::Domain => entry::domain_root(domain),
        Candidate::Users => entry::users_container(domain),
        Candidate::Account(id) => Entry {
            dn: domain.dn_text(id),
            attributes: domain.attributes(id, now),
        },
    }
}

#[cfg(test)]
mod tests;
