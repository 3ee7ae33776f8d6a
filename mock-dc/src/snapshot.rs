//! A snapshot of the whole state as one JSON document, an account a line: what the clock shows and how it runs, and all
//! that changed of the domain. The record of binds is no part of it, nor are the faults in force.
//!
//! It holds NT hashes, which are as good as passwords: no error and no log line quotes what stands in it.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::clock::{ClockError, Reading, Start};
use crate::domain::Domain;
use crate::domain::snapshot::{Copied, Loadable, Misfit, SavedAccount, SavedDomain};

/// The format's version. One who changes what a member means, or leaves one out, raises it.
const VERSION: u64 = 1;

/// Bytes of a document at most: room for a million accounts that were signed in to or changed.
pub const LARGEST: usize = 512 * 1024 * 1024;

/// Accounts that are written at a time.
const CHUNK: usize = 256;

#[derive(Debug, Serialize)]
struct Head {
    version: u64,
    domain: SavedDomain,
    clock: SavedClock,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedClock {
    now: String,
    rate: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(rename = "version")]
    _version: u64,
    domain: SavedDomain,
    clock: SavedClock,
    accounts: Vec<SavedAccount>,
}

/// Looked at first: what another version means by the rest is not known.
#[derive(Debug, Deserialize)]
struct Version {
    version: u64,
}

/// Why a snapshot was not loaded; nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It is not JSON, or a member is missing, unknown or of another kind.
    #[error("{0}")]
    Form(String),
    /// It is of another version.
    #[error("version: {0} is not the version that this program reads, {VERSION}")]
    Version(u64),
    /// Its clock shows no moment.
    #[error("clock.now: must be a moment like \"2030-01-31T18:00:00Z\"")]
    Moment,
    /// Its clock cannot be followed.
    #[error("clock: {0}")]
    Clock(#[from] ClockError),
    /// It is of another domain, or says what cannot be.
    #[error(transparent)]
    Misfit(#[from] Misfit),
}

impl From<serde_json::Error> for SnapshotError {
    fn from(error: serde_json::Error) -> Self {
        // A value of the wrong kind is quoted, and might be a hash; unknown members stand in backticks.
        let text = error.to_string();
        let shown = match (text.find('"'), text.rfind('"')) {
            (Some(first), Some(last)) if first < last => format!("{}…{}", &text[..first], &text[last + 1..]),
            _ => text,
        };
        Self::Form(shown)
    }
}

/// A state that was copied and is being written.
#[derive(Debug)]
pub struct Snapshot {
    head: Head,
    accounts: Copied,
    written: usize,
    is_begun: bool,
    is_ended: bool,
}

impl Snapshot {
    /// What the clock showed and the domain was at one moment.
    pub(crate) fn new(domain: &Domain, clock: Reading, copied: Copied) -> Self {
        Self {
            head: Head {
                version: VERSION,
                domain: copied.head(domain),
                clock: SavedClock {
                    now: clock.now.format(&Rfc3339).unwrap_or_default(),
                    rate: clock.rate,
                },
            },
            accounts: copied.gathered(),
            written: 0,
            is_begun: false,
            is_ended: false,
        }
    }

    /// The next part of the document; `None` after the last. `domain` is the one that it was taken of.
    ///
    /// # Errors
    /// Where a part cannot become JSON, which no state can be.
    pub fn next_part(&mut self, domain: &Domain) -> serde_json::Result<Option<Vec<u8>>> {
        if self.is_ended {
            return Ok(None);
        }
        let mut part = Vec::new();
        if !std::mem::replace(&mut self.is_begun, true) {
            serde_json::to_writer(&mut part, &self.head)?;
            // The head is an object; the accounts are its last member.
            part.pop();
            part.extend_from_slice(b",\n\"accounts\":[");
        }
        for account in self.accounts.accounts(domain, self.written).take(CHUNK) {
            part.extend_from_slice(if self.written == 0 { b"\n" } else { b",\n" });
            serde_json::to_writer(&mut part, &account)?;
            self.written += 1;
        }
        if self.written == self.accounts.count() {
            part.extend_from_slice(b"\n]}\n");
            self.is_ended = true;
        }
        Ok(Some(part))
    }
}

/// A snapshot that fits a domain.
#[derive(Debug)]
pub struct Checked {
    /// How the clock goes on.
    pub(crate) clock: Start,
    /// What the domain becomes.
    pub(crate) domain: Loadable,
}

/// Reads a document and checks all of it against the domain that it is to be loaded into.
///
/// # Errors
/// [`SnapshotError`] names what does not fit.
pub fn read(text: &[u8], domain: &Domain) -> Result<Checked, SnapshotError> {
    let Version { version } = serde_json::from_slice(text)?;
    if version != VERSION {
        return Err(SnapshotError::Version(version));
    }
    let document: Document = serde_json::from_slice(text)?;
    let now = OffsetDateTime::parse(&document.clock.now, &Rfc3339).map_err(|_| SnapshotError::Moment)?;
    Ok(Checked {
        clock: Start::default().at(now)?.running_at(document.clock.rate)?,
        domain: domain.check(document.domain, document.accounts)?,
    })
}

#[cfg(test)]
mod tests;
