//! Does the account that asks see anybody? One that may read nothing finds nobody, whatever the name: without this,
//! everybody's right password would be called wrong.
//!
//! So that nobody was found is an answer only of a domain controller that, asked right after on the same connection
//! and in the same way, does show somebody. Not before the search, and not every now and then: rights may be taken
//! away at any moment. It costs one read of an entry that was seen before (the *witness*, whoever was found last), less
//! than the bind that a name which is found costs; so names that nobody has cost a directory no more than others, and
//! are answered no faster than by a search and a second question. A witness that is gone is replaced by a search, once.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::entries;
use crate::directory::connection::{Connection, ReadError};

/// What a connection shows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Somebody other than who asks, by this DN.
    Somebody(String),
    /// Nobody, or only who asks.
    Nobody,
    /// It does not go through all its entries to tell; says so in its words.
    Untold(String),
}

/// Whom the account asks for.
#[derive(Debug, Clone, Copy)]
pub(in crate::directory) struct Whom<'a> {
    pub(in crate::directory) base: &'a str,
    pub(in crate::directory) active_directory: bool,
    pub(in crate::directory) attribute: &'a str,
    /// The account that asks, which does not count.
    pub(in crate::directory) account: Option<&'a str>,
}

/// Looks for somebody, first for the `witness`.
pub(in crate::directory) async fn look(
    connection: &mut Connection,
    whom: Whom<'_>,
    witness: Option<String>,
    patience: Duration,
) -> Result<Sight, ReadError> {
    let deadline = Instant::now() + patience;
    if let Some(dn) = witness {
        let search = entries::witness(&dn, whom.active_directory, whom.attribute);
        match connection.search(&search, patience).await {
            Ok(found) if !found.entries.is_empty() => return Ok(Sight::Somebody(dn)),
            // Moved, deleted, not here yet, or not shown any more.
            Ok(_) | Err(ReadError::Refused(_)) => {}
            Err(error) => return Err(error),
        }
    }
    let left = deadline.saturating_duration_since(Instant::now());
    let search = entries::anybody(whom.base, whom.active_directory, whom.attribute);
    match connection.search(&search, left).await {
        Ok(found) => Ok(entries::somebody_else(&found, whom.account).map_or(Sight::Nobody, Sight::Somebody)),
        Err(error) if entries::is_of_limits(&error) => Ok(Sight::Untold(error.to_string())),
        Err(error) => Err(error),
    }
}

/// Somebody who has each attribute, wherever seen.
#[derive(Debug, Default)]
pub(super) struct Witnesses {
    by_attribute: Mutex<BTreeMap<String, String>>,
}

impl Witnesses {
    pub(super) fn of(&self, attribute: &str) -> Option<String> {
        self.lock().get(attribute).cloned()
    }

    /// This is one from now on.
    pub(super) fn replace(&self, attribute: &str, dn: String) {
        self.lock().insert(attribute.to_owned(), dn);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, String>> {
        // Whole after every statement.
        self.by_attribute.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
