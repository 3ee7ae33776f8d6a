//! New passwords over LDAP: a change by whoever knows the present one, and a reset by whoever may (MS-ADTS
//! 3.1.1.3.1.5.1).

use super::Domain;
use super::account::AccountState;
use super::cleartext::Cleartext;
use super::controllers::DcId;
use super::filetime::FileTime;
use super::object::ObjectId;
use super::password_rules::{Owner, Refusal};
use super::replica::{Try, Unproven};

/// What is asked for.
#[derive(Debug)]
pub enum NewPassword {
    /// Somebody shows the present password.
    Change {
        /// What they take for the present one.
        old: Cleartext,
        /// What it shall be.
        new: Cleartext,
    },
    /// Somebody has the right to set it without knowing the present one.
    Reset {
        /// What it shall be.
        new: Cleartext,
    },
}

impl NewPassword {
    /// Whether the present password was shown.
    pub fn is_change(&self) -> bool {
        matches!(self, Self::Change { .. })
    }
}

/// Why there is no new password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotSet {
    /// The account is locked: the old password is not looked at.
    Locked,
    /// The old password is wrong, and was counted as one of a bind is.
    OldIsWrong,
    /// A rule for new ones.
    Rule(Refusal),
}

impl From<Unproven> for NotSet {
    fn from(unproven: Unproven) -> Self {
        match unproven {
            Unproven::Locked => Self::Locked,
            Unproven::Wrong => Self::OldIsWrong,
        }
    }
}

impl Domain {
    /// Sets a password at a controller, and makes the changes `and_then` in the same moment. A change does not clear the
    /// count of wrong passwords and a reset ends no lock (measured); pwdLastSet is `now`.
    ///
    /// # Errors
    /// [`NotSet`]; only the count of wrong passwords may have changed then.
    pub fn set_password(
        &self,
        (dc, id): (DcId, ObjectId),
        password: &NewPassword,
        now: FileTime,
        and_then: impl FnOnce(&mut AccountState),
    ) -> Result<(), NotSet> {
        let rules = self.rules(id);
        let policy = &rules.policy;
        let object = self.object(id);
        self.change_account(
            id,
            || self.initial(id),
            |account| {
                let mut known_at = dc;
                if let NewPassword::Change { old, .. } = password {
                    let password = &old.hash();
                    let attempt = Try {
                        dc,
                        password,
                        rules: &rules,
                        now,
                    };
                    known_at = account.prove(attempt, &self.controllers, || self.next_usn())?;
                }
                let mut state = account.at(dc, now);
                state.credentials = account.at(known_at, now).credentials;
                let owner = Owner {
                    sam: object.sam.as_deref().unwrap_or_default(),
                    display_name: object.texts("displayName").next(),
                    user_account_control: state.shared.user_account_control,
                    passwords: &state.credentials.passwords,
                    pwd_last_set: state.credentials.pwd_last_set,
                };
                let new = match password {
                    NewPassword::Change { new, .. } => {
                        owner.may_change(new, policy, self.dialect, now).map_err(NotSet::Rule)?;
                        new
                    }
                    NewPassword::Reset { new } => {
                        owner.may_be_given(new, policy, self.dialect).map_err(NotSet::Rule)?;
                        new
                    }
                };
                state.credentials.passwords.set(new.hash(), policy.history as usize);
                state.credentials.pwd_last_set = now;
                and_then(&mut state);
                state.shared.was_changed(now, self.next_usn());
                account.write(state, dc, &self.controllers, now);
                Ok(())
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::controllers::REPLICATION_DELAY;
    use crate::domain::dialect::Dialect;
    use crate::domain::fixture::{NOON, PASSWORD, settings, user};
    use crate::domain::nt_hash::NtHash;
    use crate::domain::settings::DomainSettings;

    const NEW: &str = "New-Passw0rd-1";

    /// Three controllers, the first of which is the PDC emulator.
    fn domain() -> (Domain, ObjectId) {
        let settings = DomainSettings {
            dcs: ["dc-1", "dc-2", "dc-3"].map(str::to_owned).to_vec(),
            ..settings(Dialect::Windows, vec![user("anna")], 0)
        };
        let domain = Domain::new(&settings, NOON);
        let anna = domain.find_sam("anna").unwrap();
        (domain, anna)
    }

    fn change(domain: &Domain, at: (DcId, ObjectId), old: &str, new: &str, now: FileTime) -> Result<(), NotSet> {
        let password = NewPassword::Change {
            old: old.into(),
            new: new.into(),
        };
        domain.set_password(at, &password, now, |_| ())
    }

    fn everywhere<T>(of: impl Fn(DcId) -> T) -> [T; 3] {
        [0, 1, 2].map(|place| of(DcId::at(place)))
    }

    #[test]
    fn a_wrong_old_password_counts_at_the_pdc_too() {
        let (domain, anna) = domain();
        let second = (DcId::at(1), anna);
        assert_eq!(change(&domain, second, "wrong", NEW, NOON), Err(NotSet::OldIsWrong));
        let counts = everywhere(|dc| domain.state(dc, anna, NOON).counters.bad_pwd_count);
        assert_eq!(counts, [1, 1, 0]);
    }

    #[test]
    fn the_pdc_knows_a_changed_password_at_once_and_the_others_after_the_delay() {
        let (domain, anna) = domain();
        assert_eq!(change(&domain, (DcId::at(1), anna), PASSWORD, NEW, NOON), Ok(()));
        let known = |now| {
            everywhere(|dc| {
                let passwords = domain.state(dc, anna, now).credentials.passwords;
                passwords.is_present(&NtHash::of(NEW))
            })
        };
        assert_eq!(known(NOON), [true, true, false]);
        assert_eq!(known(NOON.after(REPLICATION_DELAY)), [true; 3]);
    }

    #[test]
    fn a_controller_that_has_not_heard_of_the_password_asks_the_pdc_about_the_old_one() {
        let (domain, anna) = domain();
        assert_eq!(change(&domain, (DcId::at(1), anna), PASSWORD, NEW, NOON), Ok(()));
        let third = (DcId::at(2), anna);
        assert_eq!(change(&domain, third, NEW, "Another-1", NOON), Ok(()));
        let passwords = domain.state(DcId::at(2), anna, NOON).credentials.passwords;
        assert_eq!(
            passwords.age(&NtHash::of(NEW), 24),
            Some(crate::domain::passwords::Age::Earlier)
        );
    }
}
