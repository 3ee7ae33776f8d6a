//! Accounts by the million: computed from their number when asked for, and nowhere kept.

use super::account::AccountState;
use super::attributes::Attribute;
use super::filetime::FileTime;
use super::fold::fold;
use super::nt_hash::NtHash;
use super::object::{Class, Object, ObjectId};
use super::passwords::Passwords;
use super::settings::GeneratedSettings;
use super::sid::{Sid, number_of, numbered_guid};

/// What stands in a pattern for an account's number.
pub const PLACEHOLDER: &str = "{n}";

/// Digits of a number at least.
const DIGITS: u32 = 6;

/// `user000001` and those that follow.
#[derive(Debug)]
pub(super) struct Generated {
    first: u32,
    /// Relative identifier of the first.
    first_rid: u32,
    count: u32,
    password: String,
    mail_suffix: Option<String>,
    parent: ObjectId,
    domain: Sid,
    dns_name: String,
    created: FileTime,
}

impl Generated {
    /// `first` is the id of the first, `first_rid` its relative identifier; they stand below `parent`.
    pub(super) fn new(
        settings: &GeneratedSettings,
        (first, first_rid, parent): (u32, u32, ObjectId),
        (domain, dns_name): (&Sid, &str),
        created: FileTime,
    ) -> Self {
        Self {
            first,
            first_rid,
            count: settings.count,
            password: settings.password.clone(),
            mail_suffix: settings.mail_suffix.clone(),
            parent,
            domain: domain.clone(),
            dns_name: dns_name.to_lowercase(),
            created,
        }
    }

    /// One past the last id.
    pub(super) fn end(&self) -> u32 {
        self.first.saturating_add(self.count)
    }

    /// What they stand below.
    pub(super) fn parent(&self) -> ObjectId {
        self.parent
    }

    /// The account with this folded sAMAccountName.
    pub(super) fn find(&self, sam: &str) -> Option<ObjectId> {
        self.id(number_in(sam)?)
    }

    /// The account with this folded userPrincipalName.
    pub(super) fn find_upn(&self, upn: &str) -> Option<ObjectId> {
        let (sam, suffix) = upn.rsplit_once('@')?;
        (suffix == self.dns_name).then(|| self.find(sam)).flatten()
    }

    /// The account with this folded mail address.
    pub(super) fn find_mail(&self, mail: &str) -> Option<ObjectId> {
        let (sam, suffix) = mail.rsplit_once('@')?;
        let ours = self.mail_suffix.as_deref().is_some_and(|ours| fold(ours) == suffix);
        ours.then(|| self.find(sam)).flatten()
    }

    pub(super) fn find_guid(&self, guid: [u8; 16]) -> Option<ObjectId> {
        number_of(&self.domain, guid).and_then(|number| self.id(number))
    }

    pub(super) fn find_sid(&self, sid: &Sid) -> Option<ObjectId> {
        let number = sid.rid_in(&self.domain)?.checked_sub(self.first_rid)?;
        self.id(number.checked_add(1)?)
    }

    pub(super) fn object(&self, id: ObjectId) -> Object {
        let number = self.number(id);
        let sam = sam_of(number);
        Object {
            name: sam.clone(),
            parent: Some(self.parent),
            class: Class::User,
            guid: numbered_guid(&self.domain, number),
            sid: Some(self.domain.with_rid(self.first_rid.saturating_add(number - 1))),
            upn: Some(format!("{sam}@{}", self.dns_name)),
            attributes: self
                .mail_suffix
                .iter()
                .map(|suffix| Attribute::text("mail", [format!("{sam}@{suffix}")]))
                .collect(),
            password_settings: None,
            initial: Some(self.initial(id)),
            sam: Some(sam),
        }
    }

    /// The state that the account began with. It has signed in before, so that signing in again changes nothing and
    /// takes no memory.
    pub(super) fn initial(&self, id: ObjectId) -> AccountState {
        let number = self.number(id);
        // Every bind of a generated account comes here: nothing is allocated.
        let digits = move || {
            let places = DIGITS.max(number.checked_ilog10().map_or(1, |log| log + 1));
            (0..places)
                .rev()
                .map(move |place| b'0' + u8::try_from(number / 10u32.pow(place) % 10).unwrap_or(0))
                .map(u16::from)
        };
        let mut parts = self.password.split(PLACEHOLDER);
        let first = parts.next().unwrap_or_default().encode_utf16();
        let rest = parts.flat_map(|part| digits().chain(part.encode_utf16()));
        let password = NtHash::of_units(first.chain(rest));
        let mut state = AccountState::new(Passwords::new(password), self.created);
        state.shared.last_logon_timestamp = Some(self.created);
        state
    }

    fn id(&self, number: u32) -> Option<ObjectId> {
        (1..=self.count)
            .contains(&number)
            .then(|| ObjectId(self.first + number - 1))
    }

    fn number(&self, id: ObjectId) -> u32 {
        id.0.saturating_sub(self.first).saturating_add(1)
    }
}

/// The sAMAccountName of the account with this number, counted from 1.
pub fn sam_of(number: u32) -> String {
    format!("user{number:06}")
}

/// The number of the account with this folded sAMAccountName. Only the one way to write it counts: not "user1", not
/// "user0000001", not "user+00001".
fn number_in(sam: &str) -> Option<u32> {
    let digits = sam.strip_prefix("user")?;
    let least = DIGITS as usize;
    let is_the_one = digits.len() >= least
        && digits.bytes().all(|digit| digit.is_ascii_digit())
        && (digits.len() == least || !digits.starts_with('0'));
    is_the_one.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_one_way_to_write_a_number_names_an_account() {
        for other in [
            "user1",
            "user0000001",
            "user+00001",
            "user00001",
            "user",
            "user00000１",
            "user99999999999",
            "usr000001",
        ] {
            assert_eq!(number_in(other), None, "{other}");
        }
        assert_eq!(number_in("user000000"), Some(0), "which is nobody's");
    }

    proptest! {
        #[test]
        fn every_name_that_is_made_is_read_again(number: u32) {
            prop_assert_eq!(number_in(&sam_of(number)), Some(number));
        }
    }
}
