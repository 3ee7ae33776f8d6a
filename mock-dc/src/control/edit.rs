//! What a `PATCH` of an account asks for: read as a whole before anything is changed.

use serde_json::{Map, Value};

use crate::domain::account::AccountState;
use crate::domain::attributes::logon_hours;
use crate::domain::filetime::FileTime;
use crate::domain::nt_hash::NtHash;
use crate::domain::policy::Policy;

/// One change.
#[derive(Debug, PartialEq, Eq)]
enum Edit {
    Password(NtHash),
    Locked(bool),
    UserAccountControl(u32),
    PwdLastSet(FileTime),
    PwdLastSetNow,
    AccountExpires(FileTime),
    BadPwdCount(u32),
    BadPasswordTime(FileTime),
    LockoutTime(FileTime),
    LastLogon(FileTime),
    LogonHours(Option<[u8; 21]>),
    UserWorkstations(Option<String>),
}

/// Attributes that are shown and cannot be changed here.
const READ_ONLY: &str = "is not one that can be changed; those are userAccountControl, pwdLastSet, accountExpires, \
                         badPwdCount, badPasswordTime, lockoutTime, lastLogon, logonHours, userWorkstations, locked, \
                         password";

/// All changes of one request.
#[derive(Debug)]
pub(super) struct Edits(Vec<Edit>);

impl Edits {
    /// Reads every member.
    ///
    /// # Errors
    /// Names the member that is unknown or whose value does not fit.
    pub(super) fn parse(members: Map<String, Value>) -> Result<Self, String> {
        let edits = members
            .into_iter()
            .map(|(name, value)| parse(&name, value))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self(edits))
    }

    /// Makes the changes. A new password is set now and `locked` is written first, so that attributes named beside
    /// them have the last word.
    pub(super) fn apply(self, state: &mut AccountState, policy: &Policy, now: FileTime) {
        let (first, then): (Vec<_>, Vec<_>) = self
            .0
            .into_iter()
            .partition(|edit| matches!(edit, Edit::Password(_) | Edit::Locked(_)));
        for edit in first.into_iter().chain(then) {
            edit.apply(state, policy, now);
        }
    }
}

impl Edit {
    fn apply(self, state: &mut AccountState, policy: &Policy, now: FileTime) {
        match self {
            Self::Password(hash) => {
                state.credentials.passwords.set(hash, policy.history as usize);
                state.credentials.pwd_last_set = now;
            }
            Self::Locked(true) => {
                state.shared.lockout_time = Some(now);
                state.counters.bad_pwd_count = state.counters.bad_pwd_count.max(policy.lockout.threshold);
                state.counters.bad_password_time = now;
            }
            // Writing lockoutTime 0 is how an administrator unlocks; it clears the count too.
            Self::Locked(false) | Self::LockoutTime(FileTime::ZERO) => state.unlock(),
            Self::LockoutTime(time) => state.shared.lockout_time = Some(time),
            Self::UserAccountControl(bits) => state.shared.user_account_control = bits,
            Self::PwdLastSet(time) => state.credentials.pwd_last_set = time,
            Self::PwdLastSetNow => state.credentials.pwd_last_set = now,
            Self::AccountExpires(time) => state.shared.account_expires = time,
            Self::BadPwdCount(count) => state.counters.bad_pwd_count = count,
            Self::BadPasswordTime(time) => state.counters.bad_password_time = time,
            Self::LastLogon(time) => state.counters.last_logon = time,
            Self::LogonHours(hours) => state.shared.logon_hours = hours.map(Box::new),
            Self::UserWorkstations(names) => state.shared.user_workstations = names.map(String::into_boxed_str),
        }
    }
}

fn parse(name: &str, value: Value) -> Result<Edit, String> {
    Ok(match name.to_ascii_lowercase().as_str() {
        "password" => match value {
            Value::String(text) if !text.is_empty() => Edit::Password(NtHash::of(&zeroize::Zeroizing::new(text))),
            _ => return Err("password: must be a text that is not empty".to_owned()),
        },
        "locked" => Edit::Locked(value.as_bool().ok_or("locked: must be true or false")?),
        "useraccountcontrol" => Edit::UserAccountControl(small(name, &value)?),
        // As over LDAP, -1 means now.
        "pwdlastset" if integer(name, &value)? == -1 => Edit::PwdLastSetNow,
        "pwdlastset" => Edit::PwdLastSet(time(name, &value)?),
        "accountexpires" => Edit::AccountExpires(time(name, &value)?),
        "badpwdcount" => Edit::BadPwdCount(small(name, &value)?),
        "badpasswordtime" => Edit::BadPasswordTime(time(name, &value)?),
        "lockouttime" => Edit::LockoutTime(time(name, &value)?),
        "lastlogon" => Edit::LastLogon(time(name, &value)?),
        "logonhours" => Edit::LogonHours(match value {
            Value::Null => None,
            Value::String(text) => Some(logon_hours(&text).ok_or("logonHours: must be 42 hexadecimal digits")?),
            _ => return Err("logonHours: must be 42 hexadecimal digits, or null".to_owned()),
        }),
        "userworkstations" => Edit::UserWorkstations(match value {
            Value::Null => None,
            Value::String(names) => Some(names).filter(|names| !names.is_empty()),
            _ => return Err("userWorkstations: must be a text, or null".to_owned()),
        }),
        _ => return Err(format!("`{name}` {READ_ONLY}")),
    })
}

/// A number, as such or as the decimal text that AD shows.
fn integer(name: &str, value: &Value) -> Result<i64, String> {
    let number = value
        .as_i64()
        .or_else(|| value.as_str().and_then(|text| text.parse().ok()));
    number.ok_or_else(|| format!("{name}: must be an integer, as a number or as decimal text"))
}

fn small(name: &str, value: &Value) -> Result<u32, String> {
    u32::try_from(integer(name, value)?).map_err(|_| format!("{name}: must be from 0 to {}", u32::MAX))
}

fn time(name: &str, value: &Value) -> Result<FileTime, String> {
    let ticks = integer(name, value)?;
    if ticks < 0 {
        return Err(format!("{name}: must not be negative"));
    }
    Ok(FileTime(ticks))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::passwords::{Match, Passwords};
    use crate::domain::policy::{LockoutDuration, LockoutPolicy};
    use serde_json::json;

    const NOW: FileTime = FileTime(134_398_224_000_000_000);

    fn edits(value: Value) -> Result<Edits, String> {
        Edits::parse(value.as_object().expect("an object").clone())
    }

    fn state() -> AccountState {
        AccountState::new(Passwords::new(NtHash::of("old")), FileTime(1))
    }

    const POLICY: Policy = Policy {
        lockout: LockoutPolicy {
            threshold: 3,
            duration: LockoutDuration::UntilUnlocked,
            window: Duration::from_secs(60),
        },
        max_password_age: None,
        min_password_age: Duration::ZERO,
        min_password_length: 0,
        complexity: false,
        history: 24,
    };

    #[test]
    fn numbers_and_decimal_texts_mean_the_same() {
        let (mut by_number, mut by_text) = (state(), state());
        edits(json!({"badPwdCount": 2, "accountExpires": 5}))
            .unwrap()
            .apply(&mut by_number, &POLICY, NOW);
        edits(json!({"badpwdcount": "2", "ACCOUNTEXPIRES": "5"}))
            .unwrap()
            .apply(&mut by_text, &POLICY, NOW);
        assert_eq!(by_number, by_text);
        assert_eq!(by_number.counters.bad_pwd_count, 2);
    }

    #[test]
    fn unlocking_clears_the_count_in_both_ways() {
        for unlock in [json!({"locked": false}), json!({"lockoutTime": "0"})] {
            let mut state = state();
            edits(json!({"locked": true})).unwrap().apply(&mut state, &POLICY, NOW);
            assert_eq!(
                (state.shared.lockout_time, state.counters.bad_pwd_count),
                (Some(NOW), 3)
            );
            edits(unlock).unwrap().apply(&mut state, &POLICY, NOW);
            assert_eq!(
                (state.shared.lockout_time, state.counters.bad_pwd_count),
                (Some(FileTime::ZERO), 0)
            );
        }
    }

    #[test]
    fn a_reset_password_is_set_now_unless_it_must_be_changed() {
        let mut state = state();
        edits(json!({"password": "new"}))
            .unwrap()
            .apply(&mut state, &POLICY, NOW);
        assert_eq!(state.credentials.passwords.find(&NtHash::of("new"), 24), Match::Current);
        assert_eq!(
            state.credentials.passwords.find(&NtHash::of("old"), 24),
            Match::Previous
        );
        assert_eq!(state.credentials.pwd_last_set, NOW);
        edits(json!({"pwdLastSet": 0, "password": "newer"}))
            .unwrap()
            .apply(&mut state, &POLICY, NOW);
        assert_eq!(state.credentials.pwd_last_set, FileTime::ZERO);
        edits(json!({"pwdLastSet": -1}))
            .unwrap()
            .apply(&mut state, &POLICY, NOW);
        assert_eq!(state.credentials.pwd_last_set, NOW);
    }

    #[test]
    fn a_member_that_does_not_fit_is_named() {
        for (value, name) in [
            (json!({"sAMAccountName": "x"}), "`sAMAccountName`"),
            (json!({"favouriteColour": 1}), "`favouriteColour`"),
            (json!({"badPwdCount": -1}), "badPwdCount"),
            (json!({"lockoutTime": "soon"}), "lockoutTime"),
            (json!({"pwdLastSet": -2}), "pwdLastSet"),
            (json!({"password": ""}), "password"),
            (json!({"locked": "yes"}), "locked"),
            (json!({"logonHours": "ff"}), "logonHours"),
        ] {
            let error = edits(value).unwrap_err();
            assert!(error.contains(name), "{error}");
        }
    }
}
