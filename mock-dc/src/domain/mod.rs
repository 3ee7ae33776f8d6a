//! The simulated domain: who is in it, in what state, and what a bind does. No socket and no clock in here.
//!
//! Every moment is an argument. One domain is shared by all of its controllers and all of their connections; each
//! attempt at an account is atomic, so that parallel wrong passwords are counted one by one.

pub mod account;
pub mod attributes;
pub mod builtin;
pub mod dialect;
pub mod dn;
pub mod filetime;
pub mod fold;
mod founding;
pub mod generated;
pub mod names;
pub mod nt_hash;
pub mod object;
pub mod outcome;
pub mod passwords;
pub mod policy;
pub mod schema;
pub mod settings;
pub mod sid;
mod tree;

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use account::{AccountState, Rules};
use dialect::Dialect;
use dn::Dn;
use filetime::FileTime;
pub use founding::OLD_PASSWORD_ALLOWED;
use founding::Structure;
use names::Named;
use nt_hash::NtHash;
use object::{Object, ObjectId, Principal};
use outcome::{BindResult, SubCode};
use policy::{PasswordSettings, Policy};
use settings::DomainSettings;
use sid::Sid;
pub use tree::Key;

/// What a bind came to and whose name it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// The account that the name was resolved to.
    pub account: Option<ObjectId>,
    /// What the bind came to.
    pub result: BindResult,
}

/// One Active Directory domain.
#[derive(Debug)]
pub struct Domain {
    dns_name: String,
    netbios: String,
    /// Folded suffixes after which a sAMAccountName may stand, beside explicit names.
    implied_suffixes: Vec<String>,
    dialect: Dialect,
    policy: Policy,
    old_password_allowed: Duration,
    created: FileTime,
    structure: Structure,
    /// The accounts whose state is no longer the one they began with. All others take no memory.
    changed: DashMap<ObjectId, AccountState>,
    /// The last update sequence number that was given.
    usn: AtomicU64,
}

impl Domain {
    /// A domain as configured, whose accounts' passwords were set at `now` unless they say otherwise.
    pub fn new(settings: &DomainSettings, now: FileTime) -> Self {
        let structure = founding::found(settings, now);
        let mut implied_suffixes = vec![fold::fold(&settings.dns_name), fold::fold(&settings.netbios)];
        if settings.dialect.upn_suffixes_imply_names() {
            implied_suffixes.extend(settings.upn_suffixes.iter().map(|suffix| fold::fold(suffix)));
        }
        let usn = AtomicU64::new(u64::from(structure.tree.end()));
        Self {
            dns_name: settings.dns_name.clone(),
            netbios: settings.netbios.clone(),
            implied_suffixes,
            dialect: settings.dialect,
            policy: settings.policy,
            old_password_allowed: settings.old_password_allowed,
            created: now,
            structure,
            changed: DashMap::new(),
            usn,
        }
    }

    /// Takes a simple bind and changes the account accordingly.
    ///
    /// `record` is called with the decision before any other attempt at the same account can be decided, so that
    /// what it writes down is in the order in which it happened.
    pub fn bind<R>(
        &self,
        name: &str,
        password: &str,
        now: FileTime,
        record: impl FnOnce(&Decision) -> R,
    ) -> (Decision, R) {
        let id = match self.whose(name, password) {
            Ok(id) => id,
            Err(decision) => return recorded(decision, record),
        };
        let hash = NtHash::of(self.dialect.password(password));
        self.change(id, |state| {
            let result = self.sign_in(id, state, &hash, now);
            recorded(
                Decision {
                    account: Some(id),
                    result,
                },
                record,
            )
        })
    }

    /// What a bind as `user` would come to, without counting it. Besides the forms that a bind accepts, `user` may
    /// be a bare sAMAccountName or the mail address of exactly one account.
    pub fn probe(&self, user: &str, password: &str, now: FileTime) -> Decision {
        let id = match self.whose(user, password) {
            Ok(id) => id,
            Err(decision) => {
                let nobody = decision.result == BindResult::Rejected(SubCode::LogonFailure);
                let other = || self.find_sam(user).or_else(|| self.find_mail(user));
                match nobody.then(other).flatten() {
                    Some(id) => id,
                    None => return decision,
                }
            }
        };
        let hash = NtHash::of(self.dialect.password(password));
        Decision {
            account: Some(id),
            result: self.sign_in(id, &mut self.state(id), &hash, now),
        }
    }

    /// The account that a bind is about, or what the bind comes to without one.
    fn whose(&self, name: &str, password: &str) -> Result<ObjectId, Decision> {
        let nobody = |result| Err(Decision { account: None, result });
        match (name.is_empty(), password.is_empty()) {
            (true, true) => return nobody(BindResult::Anonymous),
            (true, false) => return nobody(BindResult::Rejected(SubCode::LogonFailure)),
            (false, true) if self.dialect.empty_password_is_anonymous() => return nobody(BindResult::Anonymous),
            (false, _) => {}
        }
        let refused = match self.resolve(name) {
            Named::Object(id) => match self.structure.tree.object(id).principal() {
                Principal::Account => return Ok(id),
                // Samba makes of it a name of the form DOMAIN\name without a name, and that is nobody's (measured).
                Principal::OfDomain if id == ObjectId::ROOT && password.is_empty() => {
                    return nobody(BindResult::Anonymous);
                }
                other => self.dialect.no_account(other),
            },
            // Never 525: a name that is nobody's and a wrong password read alike.
            Named::Nobody => SubCode::LogonFailure,
            Named::Several => self.dialect.ambiguous_name(),
        };
        nobody(BindResult::Rejected(refused))
    }

    fn sign_in(&self, id: ObjectId, state: &mut AccountState, password: &NtHash, now: FileTime) -> BindResult {
        match state.sign_in(password, &self.rules(id), now, || self.next_usn()) {
            Ok(()) => BindResult::Success,
            Err(sub_code) => BindResult::Rejected(sub_code),
        }
    }

    /// What holds for an account.
    pub fn rules(&self, id: ObjectId) -> Rules {
        Rules {
            policy: *self.policy_of(id),
            old_password_allowed: self.old_password_allowed,
        }
    }

    /// The policy that holds for an account: the domain's, or a fine-grained one.
    pub fn policy_of(&self, id: ObjectId) -> &Policy {
        self.resultant_settings(id)
            .map_or(&self.policy, |settings| &settings.policy)
    }

    /// The fine-grained policy that holds for an account.
    pub(crate) fn resultant_settings(&self, id: ObjectId) -> Option<&PasswordSettings> {
        let Structure {
            tree,
            password_settings,
            resultant,
            ..
        } = &self.structure;
        let place = match tree.named(id) {
            Some(_) => resultant.named.get(&id),
            None => resultant.generated.as_ref(),
        };
        password_settings.get(*place?)
    }

    /// The number of the next change.
    pub fn next_usn(&self) -> u64 {
        self.usn.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The account with this sAMAccountName; groups have one, too, and are not meant.
    pub fn find_sam(&self, sam: &str) -> Option<ObjectId> {
        self.accounts_named(sam).first().copied()
    }

    fn accounts_named(&self, sam: &str) -> Vec<ObjectId> {
        let mut found = self.structure.tree.find(Key::Sam, sam);
        found.retain(|id| self.is_account(*id));
        found
    }

    /// Everything that has this value.
    pub fn find(&self, key: Key, value: &str) -> Vec<ObjectId> {
        self.structure.tree.find(key, value)
    }

    fn find_mail(&self, mail: &str) -> Option<ObjectId> {
        match self.structure.tree.find(Key::Mail, mail).as_slice() {
            [only] if self.is_account(*only) => Some(*only),
            _ => None,
        }
    }

    /// Whether an object signs in.
    pub fn is_account(&self, id: ObjectId) -> bool {
        self.structure
            .tree
            .named(id)
            .is_none_or(|object| object.class.is_account())
    }

    /// The object with this objectGUID.
    pub fn find_guid(&self, guid: [u8; 16]) -> Option<ObjectId> {
        self.structure.tree.find_guid(guid)
    }

    /// The object with this objectSid.
    pub fn find_sid(&self, sid: &Sid) -> Option<ObjectId> {
        self.structure.tree.find_sid(sid)
    }

    /// The nearest object that exists above a name that nothing has.
    pub fn best_match(&self, name: &str) -> Option<ObjectId> {
        let mut dn = Dn::parse(name)?;
        while let Some((_, above)) = dn.split_first() {
            if let Some(id) = self.find_dn(&above) {
                return Some(id);
            }
            dn = above;
        }
        None
    }

    /// The object at this place in the tree.
    pub fn find_dn(&self, dn: &Dn) -> Option<ObjectId> {
        self.structure.tree.find_dn(dn)
    }

    /// An object as it began.
    pub fn object(&self, id: ObjectId) -> Cow<'_, Object> {
        self.structure.tree.object(id)
    }

    /// Whether `id` is `base` or below it.
    pub fn is_within(&self, id: ObjectId, base: ObjectId) -> bool {
        self.structure.tree.is_within(id, base)
    }

    /// Whether an object belongs to the configuration, a naming context of its own.
    pub fn is_configuration(&self, id: ObjectId) -> bool {
        self.structure.tree.is_configuration(id)
    }

    /// sAMAccountName of an account; empty for what has none.
    pub fn sam(&self, id: ObjectId) -> Cow<'_, str> {
        match self.structure.tree.named(id) {
            Some(object) => Cow::Borrowed(object.sam.as_deref().unwrap_or_default()),
            None => Cow::Owned(self.structure.tree.object(id).sam.clone().unwrap_or_default()),
        }
    }

    fn initial(&self, id: ObjectId) -> AccountState {
        match (self.structure.tree.named(id), self.structure.tree.generated()) {
            (Some(object), _) => object
                .initial
                .clone()
                .unwrap_or_else(|| AccountState::new(passwords::Passwords::unknown(), self.created)),
            (None, Some(generated)) => generated.initial(id),
            (None, None) => AccountState::new(passwords::Passwords::unknown(), self.created),
        }
    }

    /// An account's present state.
    pub fn state(&self, id: ObjectId) -> AccountState {
        self.changed
            .get(&id)
            .map_or_else(|| self.initial(id), |state| state.clone())
    }

    /// Whether an account is locked at `now`. A controller's own account is never shown so (measured).
    pub fn is_locked(&self, id: ObjectId, state: &AccountState, now: FileTime) -> bool {
        !state.is_trust_account() && self.policy_of(id).lockout.is_locked(state.lockout_time, now)
    }

    /// Changes an account. Nobody sees or changes it meanwhile; an unchanged account goes on taking no memory.
    pub fn change<R>(&self, id: ObjectId, change: impl FnOnce(&mut AccountState) -> R) -> R {
        match self.changed.entry(id) {
            Entry::Occupied(mut state) => change(state.get_mut()),
            Entry::Vacant(place) => {
                let initial = self.initial(id);
                let mut state = initial.clone();
                let result = change(&mut state);
                if state != initial {
                    place.insert(state);
                }
                result
            }
        }
    }

    /// How many accounts differ from the state they began with.
    pub fn changed_accounts(&self) -> usize {
        self.changed.len()
    }

    /// Puts every account back to the state it began with.
    pub fn reset(&self) {
        self.changed.clear();
    }

    /// The numbers of all objects, named ones first, for [`ObjectId::from`].
    pub fn id_range(&self) -> std::ops::Range<u32> {
        0..self.structure.tree.end()
    }

    /// Whose words this domain's controllers speak.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// DNS name.
    pub fn dns_name(&self) -> &str {
        &self.dns_name
    }

    /// NetBIOS name.
    pub fn netbios(&self) -> &str {
        &self.netbios
    }

    /// The domain policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// When the domain began.
    pub fn created(&self) -> FileTime {
        self.created
    }

    /// The domain's root, `DC=…`.
    pub fn base(&self) -> &Dn {
        self.structure.tree.base()
    }

    /// The domain's root as text.
    pub fn base_text(&self) -> &str {
        self.structure.tree.base_text()
    }

    /// Distinguished name of an object.
    pub fn dn_text(&self, id: ObjectId) -> String {
        self.structure.tree.dn_text(id)
    }
}

fn recorded<R>(decision: Decision, record: impl FnOnce(&Decision) -> R) -> (Decision, R) {
    let record = record(&decision);
    (decision, record)
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
