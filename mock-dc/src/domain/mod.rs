//! The simulated domain: who is in it, in what state, and what a bind does. No socket and no clock in here.
//!
//! Every moment is an argument. One domain is shared by all of its controllers and all of their connections; each
//! attempt at an account is atomic, so that parallel wrong passwords are counted one by one.

pub mod account;
pub mod attributes;
pub mod dialect;
pub mod dn;
pub mod filetime;
pub mod generated;
pub mod name;
pub mod nt_hash;
pub mod outcome;
pub mod policy;
pub mod settings;
pub mod sid;

use std::borrow::Cow;
use std::collections::HashMap;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use account::AccountState;
use dialect::Dialect;
use dn::Dn;
use filetime::FileTime;
use generated::Generated;
use name::{Form, fold, forms};
use nt_hash::NtHash;
use outcome::{BindResult, SubCode};
use policy::{LockoutPolicy, Policy};
use settings::DomainSettings;
use sid::Sid;

/// An account's place in the domain: the configured ones first, then the generated ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(u32);

impl From<u32> for AccountId {
    fn from(number: u32) -> Self {
        Self(number)
    }
}

/// What of an account does not change while the domain runs.
#[derive(Debug, Clone)]
pub struct Account {
    /// sAMAccountName.
    pub sam: String,
    /// cn, the first part of its distinguished name.
    pub cn: String,
    /// userPrincipalName, where it has one of its own.
    pub upn: Option<String>,
    /// mail.
    pub mail: Option<String>,
    /// displayName.
    pub display_name: Option<String>,
    /// The lockout policy that holds for it.
    pub lockout: LockoutPolicy,
    /// objectSid.
    pub sid: Sid,
    /// The state it begins with.
    initial: AccountState,
}

/// What a bind came to and whose name it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// The account that the name was resolved to.
    pub account: Option<AccountId>,
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
    created: FileTime,
    sid: Sid,
    base: Dn,
    base_text: String,
    people: Vec<Account>,
    generated: Generated,
    by_sam: HashMap<String, AccountId>,
    by_upn: HashMap<String, AccountId>,
    by_cn: HashMap<String, AccountId>,
    by_mail: HashMap<String, Vec<AccountId>>,
    /// The accounts whose state is no longer the one they began with. All others take no memory.
    changed: DashMap<AccountId, AccountState>,
}

impl Domain {
    /// A domain as configured, whose accounts' passwords were set at `now` unless they say otherwise.
    pub fn new(settings: &DomainSettings, now: FileTime) -> Self {
        let sid = Sid::of_domain(&settings.dns_name);
        let mut implied_suffixes = vec![fold(&settings.dns_name), fold(&settings.netbios)];
        if settings.dialect.upn_suffixes_imply_names() {
            implied_suffixes.extend(settings.upn_suffixes.iter().map(|suffix| fold(suffix)));
        }
        let base_text: String = settings
            .dns_name
            .split('.')
            .map(|label| format!("DC={label}"))
            .collect::<Vec<_>>()
            .join(",");
        let base = Dn::parse(&base_text).unwrap_or_else(Dn::root);
        let people: Vec<Account> = (0..)
            .zip(&settings.users)
            .map(|(index, user)| Account {
                sam: user.sam.clone(),
                cn: user.cn.clone(),
                upn: user.upn.clone(),
                mail: user.mail.clone(),
                display_name: user.display_name.clone(),
                lockout: user.lockout(&settings.policy),
                sid: sid.account(index),
                initial: user.state(&settings.policy, now),
            })
            .collect();
        let first_generated = u32::try_from(people.len()).unwrap_or(u32::MAX);
        let mut domain = Self {
            dns_name: settings.dns_name.clone(),
            netbios: settings.netbios.clone(),
            implied_suffixes,
            dialect: settings.dialect,
            policy: settings.policy,
            created: now,
            sid,
            base,
            base_text,
            people,
            generated: Generated::new(&settings.generated, first_generated),
            by_sam: HashMap::new(),
            by_upn: HashMap::new(),
            by_cn: HashMap::new(),
            by_mail: HashMap::new(),
            changed: DashMap::new(),
        };
        domain.index();
        domain
    }

    fn index(&mut self) {
        for (id, account) in (0..).map(AccountId).zip(&self.people) {
            self.by_sam.insert(fold(&account.sam), id);
            self.by_cn.insert(fold(&account.cn), id);
            if let Some(upn) = &account.upn {
                self.by_upn.insert(fold(upn), id);
            }
            if let Some(mail) = &account.mail {
                self.by_mail.entry(fold(mail)).or_default().push(id);
            }
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
        let Some(id) = (match self.before_look_up(name, password) {
            Some(result) => return recorded(Decision { account: None, result }, record),
            None => self.resolve(name),
        }) else {
            // Never 525: a name that is nobody's and a wrong password read alike.
            return recorded(
                Decision {
                    account: None,
                    result: BindResult::Rejected(SubCode::LogonFailure),
                },
                record,
            );
        };
        let hash = NtHash::of(password);
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
        if let Some(result) = self.before_look_up(user, password) {
            return Decision { account: None, result };
        }
        let Some(id) = self
            .resolve(user)
            .or_else(|| self.find_sam(user))
            .or_else(|| self.find_mail(user))
        else {
            return Decision {
                account: None,
                result: BindResult::Rejected(SubCode::LogonFailure),
            };
        };
        let result = self.sign_in(id, &mut self.state(id), &NtHash::of(password), now);
        Decision {
            account: Some(id),
            result,
        }
    }

    /// What a bind comes to before any name is looked up, if it does.
    fn before_look_up(&self, name: &str, password: &str) -> Option<BindResult> {
        match (name.is_empty(), password.is_empty()) {
            (true, true) => Some(BindResult::Anonymous),
            (true, false) => Some(BindResult::Rejected(SubCode::LogonFailure)),
            (false, true) if self.dialect.empty_password_is_anonymous() => Some(BindResult::Anonymous),
            (false, _) => None,
        }
    }

    fn sign_in(&self, id: AccountId, state: &mut AccountState, password: &NtHash, now: FileTime) -> BindResult {
        match state.sign_in(password, &self.lockout(id), self.policy.max_password_age, now) {
            Ok(()) => BindResult::Success,
            Err(sub_code) => BindResult::Rejected(sub_code),
        }
    }

    /// The account that a bind's name means. The first form that names one decides.
    pub fn resolve(&self, name: &str) -> Option<AccountId> {
        forms(name).iter().find_map(|form| match form {
            Form::Dn(dn) => self.find_dn(dn),
            Form::Upn { whole, prefix, suffix } => self.find_upn(whole, prefix, suffix),
            Form::Nt4 { domain, sam } => (*domain == fold(&self.netbios)).then(|| self.find_sam(sam)).flatten(),
        })
    }

    fn find_upn(&self, whole: &str, prefix: &str, suffix: &str) -> Option<AccountId> {
        let implied = || {
            self.implied_suffixes
                .iter()
                .any(|known| known == suffix)
                .then(|| self.find_sam(prefix))
                .flatten()
        };
        self.by_upn.get(whole).copied().or_else(implied)
    }

    /// The account whose userPrincipalName is `upn`. Names that are only implied do not count.
    pub fn find_explicit_upn(&self, upn: &str) -> Option<AccountId> {
        let upn = fold(upn);
        self.by_upn.get(&upn).copied().or_else(|| {
            let (prefix, suffix) = upn.rsplit_once('@')?;
            (suffix == fold(&self.dns_name))
                .then(|| self.generated.find(prefix))
                .flatten()
        })
    }

    /// The account with this sAMAccountName.
    pub fn find_sam(&self, sam: &str) -> Option<AccountId> {
        let sam = fold(sam);
        self.by_sam.get(&sam).copied().or_else(|| self.generated.find(&sam))
    }

    /// The account with this cn.
    pub fn find_cn(&self, cn: &str) -> Option<AccountId> {
        let cn = fold(cn);
        self.by_cn.get(&cn).copied().or_else(|| self.generated.find(&cn))
    }

    /// The accounts with this mail address.
    pub fn with_mail(&self, mail: &str) -> Vec<AccountId> {
        let mail = fold(mail);
        let named = self.by_mail.get(&mail).into_iter().flatten().copied();
        named.chain(self.generated.find_mail(&mail)).collect()
    }

    fn find_mail(&self, mail: &str) -> Option<AccountId> {
        match *self.with_mail(mail) {
            [only] => Some(only),
            _ => None,
        }
    }

    /// The account at this place in the tree.
    pub fn find_dn(&self, dn: &Dn) -> Option<AccountId> {
        let (("cn", cn), parent) = dn.split_first()? else {
            return None;
        };
        (parent == self.users_container()).then(|| self.find_cn(cn)).flatten()
    }

    /// What of an account does not change.
    pub fn account(&self, id: AccountId) -> Cow<'_, Account> {
        match self.people.get(id.0 as usize) {
            Some(account) => Cow::Borrowed(account),
            None => Cow::Owned(self.generated.account(id, self)),
        }
    }

    /// sAMAccountName of an account.
    pub fn sam(&self, id: AccountId) -> Cow<'_, str> {
        match self.people.get(id.0 as usize) {
            Some(account) => Cow::Borrowed(&account.sam),
            None => Cow::Owned(self.generated.sam(id)),
        }
    }

    fn lockout(&self, id: AccountId) -> LockoutPolicy {
        self.people
            .get(id.0 as usize)
            .map_or(self.policy.lockout, |account| account.lockout)
    }

    fn initial(&self, id: AccountId) -> AccountState {
        match self.people.get(id.0 as usize) {
            Some(account) => account.initial.clone(),
            None => self.generated.initial(id, self.created),
        }
    }

    /// An account's present state.
    pub fn state(&self, id: AccountId) -> AccountState {
        self.changed
            .get(&id)
            .map_or_else(|| self.initial(id), |state| state.clone())
    }

    /// Whether an account is locked at `now`.
    pub fn is_locked(&self, id: AccountId, state: &AccountState, now: FileTime) -> bool {
        self.lockout(id).is_locked(state.lockout_time, now)
    }

    /// Changes an account. Nobody sees or changes it meanwhile; an unchanged account goes on taking no memory.
    pub fn change<R>(&self, id: AccountId, change: impl FnOnce(&mut AccountState) -> R) -> R {
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

    /// The numbers of all accounts, configured ones first, for [`AccountId::from`].
    pub fn id_range(&self) -> std::ops::Range<u32> {
        0..self.generated.end()
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

    /// objectSid of the domain.
    pub fn sid(&self) -> &Sid {
        &self.sid
    }

    /// When the domain began.
    pub fn created(&self) -> FileTime {
        self.created
    }

    /// The domain's root, `DC=…`.
    pub fn base(&self) -> &Dn {
        &self.base
    }

    /// The domain's root as text.
    pub fn base_text(&self) -> &str {
        &self.base_text
    }

    /// The container that holds the accounts.
    pub fn users_container(&self) -> Dn {
        self.base.child("cn", "users")
    }
}

fn recorded<R>(decision: Decision, record: impl FnOnce(&Decision) -> R) -> (Decision, R) {
    let record = record(&decision);
    (decision, record)
}

#[cfg(test)]
mod tests;
