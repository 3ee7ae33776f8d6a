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
