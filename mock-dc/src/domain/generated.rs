//! Accounts by the million: computed from their number when asked for, and nowhere kept.

use super::account::AccountState;
use super::filetime::FileTime;
use super::name::fold;
use super::nt_hash::NtHash;
use super::settings::GeneratedSettings;
use super::{Account, AccountId, Domain};

/// What stands in a pattern for an account's number.
pub const PLACEHOLDER: &str = "{n}";

/// `user000001` and those that follow.
#[derive(Debug)]
pub(super) struct Generated {
    first: u32,
    count: u32,
    password: String,
    mail_suffix: Option<String>,
}

impl Generated {
    pub(super) fn new(settings: &GeneratedSettings, first: u32) -> Self {
        Self {
            first,
            count: settings.count,
            password: settings.password.clone(),
            mail_suffix: settings.mail_suffix.clone(),
        }
    }

    /// One past the last id.
    pub(super) fn end(&self) -> u32 {
        self.first.saturating_add(self.count)
    }

    /// The account with this folded sAMAccountName.
    pub(super) fn find(&self, sam: &str) -> Option<AccountId> {
        let number: u32 = sam.strip_prefix("user")?.parse().ok()?;
        // Parsing also takes "user1", "user0000001" and "user+00001": only the one way to write it counts.
        (number >= 1 && number <= self.count && sam == sam_of(number)).then(|| AccountId(self.first + number - 1))
    }

    /// The account with this folded mail address.
    pub(super) fn find_mail(&self, mail: &str) -> Option<AccountId> {
        let (sam, suffix) = mail.rsplit_once('@')?;
        let ours = self.mail_suffix.as_deref().is_some_and(|ours| fold(ours) == suffix);
        ours.then(|| self.find(sam)).flatten()
    }

    pub(super) fn sam(&self, id: AccountId) -> String {
        sam_of(self.number(id))
    }

    pub(super) fn account(&self, id: AccountId, domain: &Domain) -> Account {
        let sam = self.sam(id);
        Account {
            cn: sam.clone(),
            upn: Some(format!("{sam}@{}", domain.dns_name())),
            mail: self.mail_suffix.as_ref().map(|suffix| format!("{sam}@{suffix}")),
            display_name: None,
            lockout: domain.policy().lockout,
            sid: domain.sid().account(id.0),
            initial: self.initial(id, domain.created()),
            sam,
        }
    }

    pub(super) fn initial(&self, id: AccountId, created: FileTime) -> AccountState {
        let password = self.password.replace(PLACEHOLDER, &format!("{:06}", self.number(id)));
        AccountState::new(NtHash::of(&password), created)
    }

    fn number(&self, id: AccountId) -> u32 {
        id.0 - self.first + 1
    }
}

/// The sAMAccountName of the account with this number, counted from 1.
pub fn sam_of(number: u32) -> String {
    format!("user{number:06}")
}
