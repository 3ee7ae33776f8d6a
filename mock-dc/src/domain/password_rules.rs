//! What stands against a new password (MS-SAMR 3.1.1.7), and in which order it is told.
//!
//! Pure: the moment is an argument. Whether the old password is right is not looked at here.

use super::account::UAC_PASSWORD_NOT_REQUIRED;
use super::cleartext::Cleartext;
use super::dialect::Dialect;
use super::filetime::FileTime;
use super::passwords::{Age, Passwords};
use super::policy::Policy;

/// Longest password that Windows takes, in UTF-16 units (MS-SAMR 3.1.1.7.2).
const LONGEST: usize = 256;

/// Why a new password is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The present one was set too recently.
    TooYoung,
    /// It has fewer letters than this.
    TooShort {
        /// What the policy asks for, in UTF-16 units.
        least: u32,
    },
    /// It has more letters than any password may have.
    TooLong,
    /// It has too few kinds of characters, or its owner's name in it.
    NotComplex,
    /// It is the present one.
    Present,
    /// It is among those that are remembered.
    InHistory,
}

/// What is looked at beside the new password.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// sAMAccountName.
    pub sam: &'a str,
    /// displayName.
    pub display_name: Option<&'a str>,
    /// userAccountControl.
    pub user_account_control: u32,
    /// The passwords so far.
    pub passwords: &'a Passwords,
    /// When the present one was set; zero: it must be changed.
    pub pwd_last_set: FileTime,
}

impl Owner<'_> {
    /// Whether its owner may change the password to `new` at `now`.
    ///
    /// # Errors
    /// The first [`Refusal`] in the order in which Samba was measured to tell them.
    pub fn may_change(&self, new: &Cleartext, policy: &Policy, dialect: Dialect, now: FileTime) -> Result<(), Refusal> {
        // One that must be changed was set in 1601, long enough ago.
        if now < self.pwd_last_set.after(policy.min_password_age) {
            return Err(Refusal::TooYoung);
        }
        self.may_be_given(new, policy, dialect)?;
        if self.is_exempt(dialect) {
            return Ok(());
        }
        match self.passwords.age(&new.hash(), policy.history as usize) {
            Some(Age::Present) => Err(Refusal::Present),
            Some(Age::Earlier) => Err(Refusal::InHistory),
            None => Ok(()),
        }
    }

    /// Whether an administrator may set the password to `new`: neither the age of the present one nor the history
    /// matters.
    ///
    /// # Errors
    /// The first [`Refusal`].
    pub fn may_be_given(&self, new: &Cleartext, policy: &Policy, dialect: Dialect) -> Result<(), Refusal> {
        if dialect.limits_password_length() && new.units() > LONGEST {
            return Err(Refusal::TooLong);
        }
        if self.is_exempt(dialect) {
            return Ok(());
        }
        let least = policy.min_password_length;
        if new.units() < least as usize {
            return Err(Refusal::TooShort { least });
        }
        let names = dialect.keeps_names_out_of_passwords();
        let is_complex = || {
            new.is_complex(dialect.letters_without_case()) && !(names && new.holds_name(self.sam, self.display_name))
        };
        if policy.complexity && !is_complex() {
            return Err(Refusal::NotComplex);
        }
        Ok(())
    }

    fn is_exempt(&self, dialect: Dialect) -> bool {
        dialect.exempts_from_password_rules() && self.user_account_control & UAC_PASSWORD_NOT_REQUIRED != 0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::account::UAC_NORMAL;
    use crate::domain::fixture::{NOON, POLICY};
    use crate::domain::nt_hash::NtHash;
    use proptest::prelude::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// Every rule at once: seven letters of three kinds, an hour of age, four passwords remembered.
    const STRICT: Policy = Policy {
        min_password_age: HOUR,
        min_password_length: 7,
        complexity: true,
        history: 4,
        ..POLICY
    };

    fn passwords(all: &[&str]) -> Passwords {
        let mut passwords = Passwords::unknown();
        for password in all {
            passwords.set(NtHash::of(password), 24);
        }
        passwords
    }

    fn owner(passwords: &Passwords) -> Owner<'_> {
        Owner {
            sam: "jsmith",
            display_name: Some("John Smith"),
            user_account_control: UAC_NORMAL,
            passwords,
            pwd_last_set: NOON,
        }
    }

    fn change(owner: &Owner<'_>, new: &str, now: FileTime) -> Result<(), Refusal> {
        owner.may_change(&new.into(), &STRICT, Dialect::Windows, now)
    }

    const SHORT: Refusal = Refusal::TooShort { least: 7 };

    #[test]
    fn the_first_refusal_in_order_is_told() {
        let passwords = passwords(&["a", "second", "Third-3", "Fourth-4"]);
        let owner = owner(&passwords);
        for (new, young, refusal) in [
            ("a", true, Some(Refusal::TooYoung)),
            ("Fourth-4", true, Some(Refusal::TooYoung)),
            ("Another-1", true, Some(Refusal::TooYoung)),
            ("a", false, Some(SHORT)),
            ("second", false, Some(SHORT)),
            ("lowercase", false, Some(Refusal::NotComplex)),
            ("xJohn-123", false, Some(Refusal::NotComplex)),
            ("Fourth-4", false, Some(Refusal::Present)),
            ("Third-3", false, Some(Refusal::InHistory)),
            ("Another-1", false, None),
        ] {
            let now = if young { NOON } else { NOON.after(HOUR) };
            assert_eq!(change(&owner, new, now).err(), refusal, "{new}, too young: {young}");
        }
    }

    #[test]
    fn a_reset_looks_at_length_and_complexity_alone() {
        let passwords = passwords(&["Third-3", "Fourth-4"]);
        let owner = owner(&passwords);
        let reset = |new: &str| owner.may_be_given(&new.into(), &STRICT, Dialect::Windows);
        assert_eq!(reset("a"), Err(SHORT));
        assert_eq!(reset("lowercase"), Err(Refusal::NotComplex));
        assert_eq!(reset("Third-3"), Ok(()));
        assert_eq!(reset("Fourth-4"), Ok(()));
    }

    #[test]
    fn a_password_that_must_be_changed_is_old_enough() {
        let passwords = passwords(&["Fourth-4"]);
        let owner = Owner {
            pwd_last_set: FileTime::ZERO,
            ..owner(&passwords)
        };
        assert_eq!(change(&owner, "Another-1", NOON), Ok(()));
    }

    #[test]
    fn history_counts_the_present_password_and_none_when_it_is_zero() {
        let passwords = passwords(&["Old-12345", "Present-1"]);
        let with = |history, new: &str| {
            let policy = Policy { history, ..STRICT };
            owner(&passwords).may_change(&new.into(), &policy, Dialect::Samba, NOON.after(HOUR))
        };
        for (history, present, old) in [
            (0, Ok(()), Ok(())),
            (1, Err(Refusal::Present), Ok(())),
            (2, Err(Refusal::Present), Err(Refusal::InHistory)),
        ] {
            assert_eq!(with(history, "Present-1"), present, "history {history}");
            assert_eq!(with(history, "Old-12345"), old, "history {history}");
        }
    }

    #[test]
    fn letters_are_counted_in_utf_16_units() {
        let passwords = passwords(&["Old-12345"]);
        let policy = Policy {
            min_password_length: 6,
            ..POLICY
        };
        let given = |new: &str| owner(&passwords).may_be_given(&new.into(), &policy, Dialect::Samba);
        assert_eq!(given("💥💥💥"), Ok(()));
        assert_eq!(given("💥💥a"), Err(Refusal::TooShort { least: 6 }));
        assert_eq!(given("äöüäö"), Err(Refusal::TooShort { least: 6 }));
    }

    #[test]
    fn windows_alone_knows_a_longest_password_names_in_it_and_accounts_that_need_none() {
        let passwords = passwords(&["Present-1"]);
        let not_required = Owner {
            user_account_control: UAC_NORMAL | UAC_PASSWORD_NOT_REQUIRED,
            ..owner(&passwords)
        };
        let later = NOON.after(HOUR);
        let long = "aB1".repeat(86);
        for (owner, new, windows, samba) in [
            (&owner(&passwords), long.as_str(), Err(Refusal::TooLong), Ok(())),
            (&owner(&passwords), &long[..256], Ok(()), Ok(())),
            (&owner(&passwords), "12-JSmith", Err(Refusal::NotComplex), Ok(())),
            (&not_required, "", Ok(()), Err(SHORT)),
            (&not_required, "Present-1", Ok(()), Err(Refusal::Present)),
        ] {
            let change = |dialect| owner.may_change(&new.into(), &STRICT, dialect, later);
            assert_eq!(change(Dialect::Windows), windows, "{new}");
            assert_eq!(change(Dialect::Samba), samba, "{new}");
        }
    }

    proptest! {
        #[test]
        fn what_a_change_allows_a_reset_allows_too(
            new in "\\PC{0,12}", complexity: bool, least in 0u32..10, history in 0u32..5, age in 0u64..7200
        ) {
            let passwords = passwords(&["Old-12345", "Present-1"]);
            let policy = Policy { complexity, min_password_length: least, history, ..STRICT };
            for dialect in [Dialect::Windows, Dialect::Samba] {
                let new = Cleartext::from(new.as_str());
                let now = NOON.after(Duration::from_secs(age));
                let owner = owner(&passwords);
                let changed = owner.may_change(&new, &policy, dialect, now);
                prop_assert!(changed.is_err() || owner.may_be_given(&new, &policy, dialect).is_ok());
                prop_assert!(changed.is_err() || new.units() >= least as usize);
                prop_assert!(changed.is_err() || age >= 3600);
            }
        }

        #[test]
        fn none_of_the_passwords_remembered_can_be_changed_to(count in 1usize..6, history in 0u32..6, pick in 0usize..6) {
            let all: Vec<_> = (0..count).map(|number| format!("Passw0rd-{number}")).collect();
            let names: Vec<_> = all.iter().map(String::as_str).collect();
            let passwords = passwords(&names);
            let pick = pick.min(count - 1);
            let policy = Policy { history, complexity: false, ..STRICT };
            let changed = owner(&passwords)
                .may_change(&names[pick].into(), &policy, Dialect::Windows, NOON.after(HOUR));
            let behind = count - 1 - pick;
            prop_assert_eq!(changed.is_err(), behind < history as usize);
        }
    }
}
