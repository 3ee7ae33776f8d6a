//! The simulated domain: who is in it, in what state, and what a bind does. No socket and no clock in here.
//!
//! Every moment is an argument. One domain is shared by all of its controllers and all of their connections; each
//! attempt at an account is atomic, so that parallel wrong passwords are counted one by one.

pub mod account;
pub mod attributes;
pub mod builtin;
pub mod cleartext;
pub mod controllers;
pub mod dialect;
pub mod dn;
pub mod edit;
pub mod filetime;
pub mod fold;
mod founding;
pub mod generated;
pub mod hex;
pub mod names;
pub mod nt_hash;
pub mod object;
pub mod outcome;
mod overlay;
pub mod password_change;
pub mod password_rules;
pub mod passwords;
pub mod policy;
mod replica;
pub mod schema;
pub mod settings;
pub mod sid;
pub mod snapshot;
mod tree;
pub mod versions;

use std::borrow::Cow;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use account::{AccountState, Rules};
use controllers::{Controllers, DcId};
use dialect::Dialect;
use dn::Dn;
use filetime::FileTime;
pub use founding::OLD_PASSWORD_ALLOWED;
use founding::Structure;
use names::Named;
use nt_hash::NtHash;
use object::{Object, ObjectId, Principal};
use outcome::{BindResult, SubCode};
use overlay::Overlay;
use policy::{PasswordSettings, Policy};
use replica::{Account, Try};
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

/// A bind before it is decided.
#[derive(Debug)]
pub struct Attempt<'a> {
    name: &'a [u8],
    password: &'a [u8],
    /// Of the names that the name was looked up among.
    generation: u64,
    whose: Result<Known, Decision>,
}

#[derive(Debug)]
struct Known {
    id: ObjectId,
    password: NtHash,
    /// Worked out ahead where it is nowhere kept.
    initial: Option<AccountState>,
}

/// One Active Directory domain.
#[derive(Debug)]
pub struct Domain {
    dns_name: String,
    netbios: String,
    /// Folded suffixes after which a sAMAccountName may stand, beside explicit names.
    implied_suffixes: Vec<String>,
    dialect: Dialect,
    strong_auth: bool,
    policy: Policy,
    old_password_allowed: Duration,
    /// When the structure was founded.
    founded: FileTime,
    /// When the domain began, in ticks: then, unless a snapshot says otherwise.
    begun: AtomicI64,
    structure: Structure,
    /// Of the configured objects, as snapshots name them.
    objects_digest: String,
    /// The accounts whose state is no longer the one they began with. All others take no memory.
    changed: DashMap<ObjectId, Account>,
    overlay: Overlay,
    controllers: Controllers,
    /// The last update sequence number that was given.
    usn: AtomicU64,
    /// Rises whenever a name may have come to mean somebody else, or an account to be another than it was.
    generation: AtomicU64,
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
            strong_auth: settings.strong_auth,
            policy: settings.policy,
            old_password_allowed: settings.old_password_allowed,
            founded: now,
            begun: AtomicI64::new(now.0),
            objects_digest: snapshot::digest(settings),
            structure,
            changed: DashMap::new(),
            overlay: Overlay::default(),
            controllers: Controllers::new(&settings.dcs, settings.pdc, settings.replication_delay),
            usn,
            generation: AtomicU64::new(0),
        }
    }

    /// Takes a simple bind at a controller and changes the account accordingly. Name and password are the bytes that
    /// came: a name that is no UTF-8 is nobody's, such a password is a wrong one.
    ///
    /// `record` is called with the decision before any other attempt at the same account can be decided, so that
    /// what it writes down is in the order in which it happened.
    pub fn bind<R>(
        &self,
        dc: DcId,
        name: impl AsRef<[u8]>,
        password: impl AsRef<[u8]>,
        now: FileTime,
        record: impl FnOnce(&Decision) -> R,
    ) -> (Decision, R) {
        self.decide(&self.attempt(name.as_ref(), password.as_ref()), dc, now, record)
    }

    /// All of a bind that takes time and depends on no moment: whose name it is, and the password's hash. Should names
    /// change before it is decided, [`Domain::decide`] looks it up again.
    pub fn attempt<'a>(&self, name: &'a [u8], password: &'a [u8]) -> Attempt<'a> {
        // Read before the name is looked up: what changes in between is seen to have changed.
        let generation = self.generation.load(Ordering::Acquire);
        Attempt {
            name,
            password,
            generation,
            whose: self.known(self.whose(name, password), password),
        }
    }

    fn known(&self, whose: Result<ObjectId, Decision>, password: &[u8]) -> Result<Known, Decision> {
        whose.map(|id| Known {
            id,
            password: NtHash::of_bytes(self.dialect.password(password)),
            initial: self.computed_state(id),
        })
    }

    /// Takes note that names, or accounts as a whole, are no longer what they were.
    fn renamed(&self) {
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Decides a bind at a controller; see [`Domain::bind`].
    pub fn decide<R>(
        &self,
        attempt: &Attempt<'_>,
        dc: DcId,
        now: FileTime,
        record: impl FnOnce(&Decision) -> R,
    ) -> (Decision, R) {
        let again;
        let attempt = if attempt.generation == self.generation.load(Ordering::Acquire) {
            attempt
        } else {
            again = self.attempt(attempt.name, attempt.password);
            &again
        };
        let known = match &attempt.whose {
            Ok(known) => known,
            Err(decision) => return recorded(*decision, record),
        };
        let initial = || known.initial.clone().unwrap_or_else(|| self.initial(known.id));
        self.change_account(known.id, initial, |account| {
            recorded(self.sign_in(known, account, dc, now, || self.next_usn()), record)
        })
    }

    /// What a bind as `user` at `dc` would come to, without counting it. Besides the forms that a bind accepts, `user`
    /// may be a bare sAMAccountName or the mail address of exactly one account.
    pub fn probe(&self, dc: DcId, user: &str, password: &str, now: FileTime) -> Decision {
        let password = password.as_bytes();
        let whose = self.whose(user.as_bytes(), password).or_else(|decision| {
            let nobody = decision.result == BindResult::Rejected(SubCode::LogonFailure);
            let other = || self.find_sam(user).or_else(|| self.find_mail(user));
            nobody.then(other).flatten().ok_or(decision)
        });
        match self.known(whose, password) {
            // What becomes of the copy is nobody's to see, and takes no number.
            Ok(known) => self.sign_in(&known, &mut self.account(known.id), dc, now, || self.highest_usn()),
            Err(decision) => decision,
        }
    }

    /// The account that a bind is about, where there is one.
    pub fn account_of_bind(&self, name: &[u8], password: &[u8]) -> Option<ObjectId> {
        self.whose(name, password).ok()
    }

    /// The account that a bind is about, or what the bind comes to without one.
    fn whose(&self, name: &[u8], password: &[u8]) -> Result<ObjectId, Decision> {
        let nobody = |result| Err(Decision { account: None, result });
        match (name.is_empty(), password.is_empty()) {
            (true, true) => return nobody(BindResult::Anonymous),
            (true, false) => return nobody(BindResult::Rejected(SubCode::LogonFailure)),
            (false, true) if self.dialect.empty_password_is_anonymous() => return nobody(BindResult::Anonymous),
            (false, _) => {}
        }
        let named = std::str::from_utf8(name).map_or(Named::Nobody, |name| self.resolve(name));
        let refused = match named {
            Named::Object(id) => match self.principal(id) {
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

    fn principal(&self, id: ObjectId) -> Principal {
        // Whoever is not named is an account that is computed when asked for; a bind need not.
        let named = self.structure.tree.named(id);
        named.map_or(Principal::Account, Object::principal)
    }

    fn sign_in(
        &self,
        known: &Known,
        account: &mut Account,
        dc: DcId,
        now: FileTime,
        usn: impl FnOnce() -> u64,
    ) -> Decision {
        let rules = self.rules(known.id);
        let attempt = Try {
            dc,
            password: &known.password,
            rules: &rules,
            now,
        };
        let result = match account.sign_in(attempt, &self.controllers, usn) {
            Ok(()) => BindResult::Success,
            Err(sub_code) => BindResult::Rejected(sub_code),
        };
        Decision {
            account: Some(known.id),
            result,
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

    /// Whether somebody is in one of these groups, also by way of other groups: groups of the domain, or of the built-in
    /// domain, by their relative identifiers.
    pub fn is_in(&self, id: ObjectId, of_domain: &[u32], builtin: &[u32]) -> bool {
        let Structure { sid, tree, members, .. } = &self.structure;
        let wanted = of_domain.iter().map(|rid| sid.with_rid(*rid));
        let wanted = wanted.chain(builtin.iter().map(|rid| Sid::builtin(*rid)));
        let wanted: Vec<_> = wanted.filter_map(|sid| tree.find_sid(&sid)).collect();
        let groups = founding::groups_of(members, id, founding::primary_group(tree, sid, id));
        groups.iter().any(|group| wanted.contains(group))
    }

    /// The object of the domain with this relative identifier.
    pub fn with_rid(&self, rid: u32) -> Option<ObjectId> {
        self.structure.tree.find_sid(&self.structure.sid.with_rid(rid))
    }

    /// The number of the next change.
    pub fn next_usn(&self) -> u64 {
        self.usn.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// All groups that an account is in, also by way of other groups, its primary group first.
    pub fn groups_of(&self, id: ObjectId) -> Vec<ObjectId> {
        let Structure { tree, sid, members, .. } = &self.structure;
        founding::groups_of(members, id, founding::primary_group(tree, sid, id))
    }

    /// The number of the last change.
    pub fn highest_usn(&self) -> u64 {
        self.usn.load(Ordering::Relaxed)
    }

    /// The account with this sAMAccountName; groups have one, too, and are not meant.
    pub fn find_sam(&self, sam: &str) -> Option<ObjectId> {
        self.accounts_named(sam).first().copied()
    }

    fn accounts_named(&self, sam: &str) -> Vec<ObjectId> {
        let mut found = self.find(Key::Sam, sam);
        found.retain(|id| self.is_account(*id));
        found
    }

    /// Everything that has this value.
    pub fn find(&self, key: Key, value: &str) -> Vec<ObjectId> {
        self.overlay.find(key, value, self.structure.tree.find(key, value))
    }

    fn find_mail(&self, mail: &str) -> Option<ObjectId> {
        match self.find(Key::Mail, mail).as_slice() {
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
        self.structure.tree.nearest_above(&Dn::parse(name)?)
    }

    /// The object at this place in the tree.
    pub fn find_dn(&self, dn: &Dn) -> Option<ObjectId> {
        self.structure.tree.find_dn(dn)
    }

    /// An object with what was changed of its attributes.
    pub fn object(&self, id: ObjectId) -> Cow<'_, Object> {
        self.overlay.over(id, self.structure.tree.object(id))
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
        match self.object(id) {
            Cow::Borrowed(object) => Cow::Borrowed(object.sam.as_deref().unwrap_or_default()),
            Cow::Owned(object) => Cow::Owned(object.sam.unwrap_or_default()),
        }
    }

    /// The state that an account began with.
    fn initial(&self, id: ObjectId) -> AccountState {
        let named = || self.structure.tree.named(id)?.initial.clone();
        let nobody = || AccountState::new(passwords::Passwords::unknown(), self.founded);
        self.computed_state(id)
            .unwrap_or_else(|| self.begun(id, named().unwrap_or_else(nobody)))
    }

    /// The state that an account was founded with, as of when the domain began.
    fn begun(&self, id: ObjectId, state: AccountState) -> AccountState {
        match self.created().0.saturating_sub(self.founded.0) {
            0 => state,
            ticks => state.moved(ticks, self.structure.dated.contains(&id)),
        }
    }

    /// The state that an account began with whose state is not kept.
    fn computed_state(&self, id: ObjectId) -> Option<AccountState> {
        let tree = &self.structure.tree;
        match tree.named(id) {
            Some(_) => None,
            None => tree.generated().map(|generated| self.begun(id, generated.initial(id))),
        }
    }

    fn account(&self, id: ObjectId) -> Account {
        let changed = self.changed.get(&id).map(|account| account.clone());
        changed.unwrap_or_else(|| self.initial(id).into())
    }

    /// What `dc` knows of an account at `now`.
    pub fn state(&self, dc: DcId, id: ObjectId, now: FileTime) -> AccountState {
        match self.changed.get(&id) {
            Some(account) => account.at(dc, now),
            None => self.initial(id),
        }
    }

    /// Whether an account is locked at `now`. A controller's own account is never shown so (measured).
    pub fn is_locked(&self, id: ObjectId, state: &AccountState, now: FileTime) -> bool {
        let lockout = &self.policy_of(id).lockout;
        !state.shared.is_trust_account() && lockout.is_locked(state.shared.lockout_time, now)
    }

    /// Changes what `dc` knows of an account; the others learn of it as of any change there. Nobody sees or changes the
    /// account meanwhile.
    pub fn change<R>(&self, dc: DcId, id: ObjectId, now: FileTime, change: impl FnOnce(&mut AccountState) -> R) -> R {
        self.change_account(
            id,
            || self.initial(id),
            |account| {
                let mut state = account.at(dc, now);
                let result = change(&mut state);
                account.write(state, dc, &self.controllers, now);
                result
            },
        )
    }

    /// An account that is as it began goes on taking no memory.
    fn change_account<R>(
        &self,
        id: ObjectId,
        initial: impl FnOnce() -> AccountState,
        change: impl FnOnce(&mut Account) -> R,
    ) -> R {
        match self.changed.entry(id) {
            Entry::Occupied(mut account) => change(account.get_mut()),
            Entry::Vacant(place) => {
                let initial = Account::from(initial());
                let mut account = initial.clone();
                let result = change(&mut account);
                if account != initial {
                    place.insert(account);
                }
                result
            }
        }
    }

    /// Cuts a controller off from the others, or ends that. Passwords that were on their way arrive later, or from
    /// somebody else who knows them.
    pub fn set_away(&self, dc: DcId, away: bool, now: FileTime) {
        if self.controllers.set_away(dc, away) {
            self.replan(now, now);
        }
    }

    /// Takes note that the clock was set from `before` to `now`: what was known stays known, and what was on its way
    /// takes no longer than the delay.
    pub fn clock_was_set(&self, before: FileTime, now: FileTime) {
        if now < before {
            self.replan(before, now);
        }
    }

    fn replan(&self, before: FileTime, now: FileTime) {
        for mut account in self.changed.iter_mut() {
            account.replan(&self.controllers, before, now);
        }
    }

    /// The controller with this name, in any case.
    pub fn dc_named(&self, name: &str) -> Option<DcId> {
        self.controllers.named(name)
    }

    /// A controller's name.
    pub fn dc_name(&self, dc: DcId) -> &str {
        self.controllers.name(dc)
    }

    /// All controllers, in the order of the configuration.
    pub fn dcs(&self) -> impl Iterator<Item = DcId> {
        (0..self.controllers.count()).map(DcId::at)
    }

    /// The PDC emulator, which passwords are told to first.
    pub fn pdc(&self) -> DcId {
        self.controllers.pdc()
    }

    /// How many accounts differ from the state they began with.
    pub fn changed_accounts(&self) -> usize {
        self.changed.len()
    }

    /// Puts every account back to how it began.
    pub fn reset(&self) {
        self.begun.store(self.founded.0, Ordering::Relaxed);
        self.changed.clear();
        self.overlay.clear();
        self.renamed();
    }

    /// The number that the last object took when the domain was founded.
    fn first_usn(&self) -> u64 {
        u64::from(self.structure.tree.end())
    }

    /// The numbers of all objects, named ones first, for [`ObjectId::from`].
    pub fn id_range(&self) -> std::ops::Range<u32> {
        0..self.structure.tree.end()
    }

    /// Whose words this domain's controllers speak.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Whether simple binds have to be encrypted.
    pub fn wants_strong_auth(&self) -> bool {
        self.strong_auth
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
        FileTime(self.begun.load(Ordering::Relaxed))
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
