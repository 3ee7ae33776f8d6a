//! Cookies of paged searches (RFC 2696).
//!
//! A cookie holds the place at which the next page begins, so that nothing is kept between the pages. It is bound to
//! the search that it was given to. One that somebody makes up says no more than where to begin in their own search.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::request::SearchRequest;

/// Where a page begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Candidates that were looked at.
    pub(super) at: u32,
    /// Entries of all pages together, as they were counted for the first.
    pub(super) total: u32,
}

impl Place {
    /// As the client sees it.
    pub(super) fn cookie(self, request: &SearchRequest) -> Vec<u8> {
        let parts = [
            &self.at.to_be_bytes()[..],
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
        let (at, rest) = cookie.split_first_chunk().ok_or(false)?;
        let (total, own) = rest.split_first_chunk().ok_or(false)?;
        if own != stamp(request).to_be_bytes() {
            return Err(own.len() == size_of::<u64>());
        }
        Ok(Self {
            at: u32::from_be_bytes(*at),
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
