//! What is saved of a domain and loaded again: everything that does not follow from its configuration.
//!
//! Saving copies under the caller's turn and writes later; loading checks all of it first, against the domain that it is
//! to be loaded into, and only then replaces what is there. Accounts go by the sAMAccountName that they began with, so
//! that a file can be read; lists by controller are in the order of the document's `dcs`.

mod saved;

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::Ordering;

use md4::{Digest, Md4};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Domain;
use super::attributes::Attribute;
use super::edit::{EditError, Edits};
use super::filetime::FileTime;
use super::fold::fold;
use super::hex;
use super::object::ObjectId;
use super::overlay::Overlay;
use super::replica::Account;
use super::schema::{self, Syntax};
use super::settings::DomainSettings;
use super::tree::Key;
use saved::SavedState;

/// The domain that a snapshot was taken of, and where its counting stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedDomain {
    /// DNS name.
    name: String,
    /// Its controllers.
    dcs: Vec<String>,
    /// A digest of its configured objects.
    objects: String,
    /// When it began: what accounts began with goes by it.
    begun: i64,
    /// The last update sequence number that was given.
    usn: u64,
}

/// One account that is not as it began.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedAccount {
    /// The sAMAccountName that it began with.
    account: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state: Option<SavedState>,
    /// Those that were changed, as the control interface shows them; without a value they were taken away.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<String, Vec<String>>,
}

/// Why a snapshot does not fit a domain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// It was taken of another domain.
    #[error("domain.name: the snapshot is of {theirs:?}, and this domain is {ours:?}")]
    Domain {
        /// The snapshot's.
        theirs: String,
        /// This one.
        ours: String,
    },
    /// It has other controllers.
    #[error("domain.dcs: the snapshot's domain controllers are {theirs}; this domain's are {ours}")]
    Controllers {
        /// The snapshot's.
        theirs: String,
        /// This domain's.
        ours: String,
    },
    /// Its objects are others.
    #[error(
        "domain.objects: the snapshot was taken with other users, groups, organizational units or another number of \
         generated accounts than are configured here"
    )]
    Objects,
    /// It counts so far that the next changes could not be counted.
    #[error("domain.usn: {0} leaves no room for changes to come; it may be {MOST_CHANGES} at most")]
    Counted(u64),
    /// Nobody began with this name.
    #[error("accounts[{place}].account: no account began with the sAMAccountName {name:?}")]
    Account {
        /// Where it stands.
        place: usize,
        /// The name.
        name: String,
    },
    /// One account stands in it twice.
    #[error("accounts[{place}].account: {name:?} is there twice")]
    Twice {
        /// Where it stands the second time.
        place: usize,
        /// The name.
        name: String,
    },
    /// Something that an account cannot have.
    #[error("accounts[{place}].state.{member}: {problem}")]
    State {
        /// Which account.
        place: usize,
        /// What of it.
        member: &'static str,
        /// What is wrong.
        problem: &'static str,
    },
    /// An attribute that an account cannot have.
    #[error("accounts[{place}].attributes.{name}: it {problem}")]
    Attribute {
        /// Which account.
        place: usize,
        /// The attribute.
        name: String,
        /// What is wrong.
        problem: EditError,
    },
}

/// The highest update sequence number that a domain may begin with. They are signed numbers of 64 bits to LDAP; as many
/// again are left to count on with.
const MOST_CHANGES: u64 = 1 << 62;

/// All of a domain that changes, at one moment.
#[derive(Debug)]
pub struct Copied {
    begun: FileTime,
    usn: u64,
    accounts: Vec<CopiedAccount>,
}

#[derive(Debug)]
struct CopiedAccount {
    id: ObjectId,
    state: Option<Account>,
    attributes: Vec<Attribute>,
}

/// A snapshot that fits the domain that it was checked against, and every other one of the same settings.
#[derive(Debug)]
pub struct Loadable {
    begun: FileTime,
    usn: u64,
    accounts: Vec<(ObjectId, Account)>,
    overlay: Overlay,
}

/// Sees that two domains are configured with the same objects. Nobody who could choose them has anything to gain: it
/// tells of mistakes.
pub(super) fn digest(settings: &DomainSettings) -> String {
    let mut digest = Md4::new();
    let mut add = |object: Value| digest.update(object.to_string());
    add(json!([
        settings.sid.as_ref().map(ToString::to_string),
        settings.generated.count
    ]));
    for unit in &settings.units {
        add(json!(["unit", unit.name, unit.path]));
    }
    for group in &settings.groups {
        add(json!(["group", group.name, group.path, group.rid]));
    }
    for user in &settings.users {
        add(json!(["user", user.sam, user.cn, user.path, user.guid, user.rid]));
    }
    hex::encode(&digest.finalize())
}

impl Copied {
    /// What stands at the head of the document.
    pub fn head(&self, domain: &Domain) -> SavedDomain {
        SavedDomain {
            name: domain.dns_name.clone(),
            dcs: domain.dcs().map(|dc| domain.dc_name(dc).to_owned()).collect(),
            objects: domain.objects_digest.clone(),
            begun: self.begun.0,
            usn: self.usn,
        }
    }

    /// The same, an account in one place and all in their order, so that one state has one document.
    #[must_use]
    pub fn gathered(mut self) -> Self {
        // Where there are both, the state stands first.
        self.accounts
            .sort_by_key(|account| (account.id, account.state.is_none()));
        self.accounts.dedup_by(|later, earlier| {
            let same = later.id == earlier.id;
            if same {
                earlier.attributes.append(&mut later.attributes);
            }
            same
        });
        self
    }

    /// The accounts from the `from`-th on.
    pub fn accounts(&self, domain: &Domain, from: usize) -> impl Iterator<Item = SavedAccount> {
        let rest = self.accounts.get(from..).unwrap_or_default();
        rest.iter().map(|account| SavedAccount {
            account: domain.first_sam(account.id),
            state: account.state.as_ref().map(Account::saved),
            attributes: account
                .attributes
                .iter()
                .map(|attribute| (attribute.name.to_owned(), attribute.shown().collect()))
                .collect(),
        })
    }

    /// How many accounts it has.
    pub fn count(&self) -> usize {
        self.accounts.len()
    }
}

impl Domain {
    /// Copies all that changes. The caller lets nothing change meanwhile.
    pub fn copy(&self) -> Copied {
        let changed = self.changed.iter().map(|account| CopiedAccount {
            id: *account.key(),
            state: Some(account.clone()),
            attributes: Vec::new(),
        });
        let renamed = self.overlay.all().into_iter().map(|(id, attributes)| CopiedAccount {
            id,
            state: None,
            attributes,
        });
        Copied {
            begun: self.created(),
            usn: self.usn.load(Ordering::Relaxed),
            accounts: changed.chain(renamed).collect(),
        }
    }

    /// The sAMAccountName that an account began with.
    fn first_sam(&self, id: ObjectId) -> String {
        self.structure.tree.object(id).sam.clone().unwrap_or_default()
    }

    /// Checks a snapshot as a whole.
    ///
    /// # Errors
    /// [`Misfit`] names the first thing that does not fit.
    pub fn check(&self, head: SavedDomain, accounts: Vec<SavedAccount>) -> Result<Loadable, Misfit> {
        let order = self.check_head(&head)?;
        let overlay = Overlay::default();
        let (mut seen, mut named) = (HashSet::new(), Vec::new());
        let mut states = Vec::with_capacity(accounts.len());
        for (
            place,
            SavedAccount {
                account: name,
                state,
                attributes,
            },
        ) in accounts.into_iter().enumerate()
        {
            let found = self.structure.tree.find(Key::Sam, &name);
            let Some(id) = found.into_iter().find(|id| self.is_account(*id)) else {
                return Err(Misfit::Account { place, name });
            };
            if !seen.insert(id) {
                return Err(Misfit::Twice { place, name });
            }
            if let Some(state) = state {
                let account = Account::restored(state, &order);
                let account = account.map_err(|(member, problem)| Misfit::State { place, member, problem })?;
                states.push((id, account));
            }
            if !attributes.is_empty() {
                let attributes = attributes.into_iter().map(|(name, values)| {
                    read(&name, values).map_err(|problem| Misfit::Attribute { place, name, problem })
                });
                let attributes = attributes.collect::<Result<Vec<_>, _>>()?;
                overlay.write(id, attributes.clone());
                named.push((place, id, attributes));
            }
        }
        // Once all names are known: two accounts may have taken each other's.
        for (place, id, attributes) in named {
            self.check_names(&overlay, id, &attributes)
                .map_err(|(name, problem)| Misfit::Attribute {
                    place,
                    name: name.to_owned(),
                    problem,
                })?;
        }
        Ok(Loadable {
            begun: FileTime(head.begun),
            usn: head.usn,
            accounts: states,
            overlay,
        })
    }

    /// The place of each of this domain's controllers among the snapshot's.
    fn check_head(&self, head: &SavedDomain) -> Result<Vec<usize>, Misfit> {
        if fold(&head.name) != fold(&self.dns_name) {
            return Err(Misfit::Domain {
                theirs: head.name.clone(),
                ours: self.dns_name.clone(),
            });
        }
        let ours: Vec<_> = self.dcs().map(|dc| self.dc_name(dc)).collect();
        let place = |ours: &&str| head.dcs.iter().position(|dc| dc.eq_ignore_ascii_case(ours));
        let order: Option<Vec<_>> = ours.iter().map(place).collect();
        let order = order.filter(|order| order.len() == head.dcs.len());
        let order = order.ok_or_else(|| Misfit::Controllers {
            theirs: head.dcs.join(", "),
            ours: ours.join(", "),
        })?;
        if head.objects != self.objects_digest {
            return Err(Misfit::Objects);
        }
        if head.usn > MOST_CHANGES {
            return Err(Misfit::Counted(head.usn));
        }
        Ok(order)
    }

    /// Puts a snapshot in place of everything that changed. The caller lets nothing be decided meanwhile.
    pub fn load(&self, snapshot: &Loadable, now: FileTime) {
        self.begun.store(snapshot.begun.0, Ordering::Relaxed);
        self.usn.store(snapshot.usn.max(self.first_usn()), Ordering::Relaxed);
        self.changed.clear();
        for (id, account) in &snapshot.accounts {
            self.changed.insert(*id, account.clone());
        }
        self.overlay.replace(&snapshot.overlay);
        // Which controllers are cut off is a matter of the faults in force, here and now.
        self.replan(now, now);
        self.renamed();
    }
}

/// An attribute that no bind reads except to find the account.
fn read(name: &str, values: Vec<String>) -> Result<Attribute, EditError> {
    let is_bytes = matches!(schema::known(name), Some((_, Syntax::Octets)));
    let values = values.into_iter().map(|text| match is_bytes {
        false => Ok(text.into_bytes()),
        true => hex::decode(&text).ok_or(EditError::Syntax("bytes as hexadecimal digits")),
    });
    let mut edits = Edits::default();
    edits.attribute(name, values.collect::<Result<_, _>>()?)?;
    edits.into_other().ok_or(EditError::Fixed("it belongs to the state"))
}

#[cfg(test)]
mod tests;
