//! Cookies of paged searches (RFC 2696).
//!
//! A cookie holds the object with which the next page begins, so that nothing is kept between the pages and what changes
//! meanwhile moves nothing else. Of a sorted search it also tells by which key that object stood there: one that has moved
//! takes no other with it. It is bound to the search that it was given to. One that somebody makes up says no more than
//! where to begin in their own search.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::request::SearchRequest;

/// Where a page begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// The first object of the page. Objects are looked at in the order of their ids, unless they are sorted.
    pub(super) first: u32,
    /// Its place among those that are sorted: where it is no longer there by the same key, the page begins there.
    pub(super) sorted: u32,
    /// A digest of the key that it was sorted by.
    pub(super) key: u64,
    /// Entries of all pages together, as they were counted for the first.
    pub(super) total: u32,
}

impl Place {
    /// As the client sees it.
    pub(super) fn cookie(self, request: &SearchRequest) -> Vec<u8> {
        let parts = [
            &self.first.to_be_bytes()[..],
            &self.sorted.to_be_bytes(),
            &self.key.to_be_bytes(),
            &self.total.to_be_bytes(),
            &stamp(request).to_be_bytes(),
        ];
        parts.concat()
    }

    /// Reads [`Place::cookie`].
    ///
    /// # Errors
    /// When it was not given to this search; and whether it is a cookie at all.
    pub(super) fn read(cookie: &[u8], request: &SearchRequest) -> Result<Self, bool> {
        let (first, rest) = cookie.split_first_chunk().ok_or(false)?;
        let (sorted, rest) = rest.split_first_chunk().ok_or(false)?;
        let (key, rest) = rest.split_first_chunk().ok_or(false)?;
        let (total, own) = rest.split_first_chunk().ok_or(false)?;
        if own != stamp(request).to_be_bytes() {
            return Err(own.len() == size_of::<u64>());
        }
        Ok(Self {
            first: u32::from_be_bytes(*first),
            sorted: u32::from_be_bytes(*sorted),
            key: u64::from_be_bytes(*key),
            total: u32::from_be_bytes(*total),
        })
    }
}

/// What tells searches apart.
fn stamp(request: &SearchRequest) -> u64 {
    let mut hasher = DefaultHasher::new();
    request.base.hash(&mut hasher);
    format!("{:?} {:?}", request.scope, request.filter).hash(&mut hasher);
    hasher.finish()
}
