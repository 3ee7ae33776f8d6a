//! An account's state as it is written, in AD's own names and units.

use serde::{Deserialize, Serialize};

use crate::domain::account::{Counters, Credentials, Shared};
use crate::domain::attributes::logon_hours;
use crate::domain::filetime::FileTime;
use crate::domain::hex;
use crate::domain::nt_hash::NtHash;
use crate::domain::passwords::Passwords;
use crate::domain::replica::Account;
use crate::domain::versions::Versions;

/// What signing in reads and writes. Moments are FILETIME's ticks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedState {
    #[serde(rename = "userAccountControl")]
    user_account_control: u32,
    #[serde(rename = "accountExpires")]
    account_expires: i64,
    #[serde(rename = "lockoutTime", default, skip_serializing_if = "Option::is_none")]
    lockout_time: Option<i64>,
    #[serde(rename = "lastLogonTimestamp", default, skip_serializing_if = "Option::is_none")]
    last_logon_timestamp: Option<i64>,
    #[serde(rename = "logonHours", default, skip_serializing_if = "Option::is_none")]
    logon_hours: Option<String>,
    #[serde(rename = "userWorkstations", default, skip_serializing_if = "Option::is_none")]
    user_workstations: Option<String>,
    #[serde(rename = "whenChanged")]
    when_changed: i64,
    #[serde(rename = "uSNChanged")]
    usn_changed: u64,
    /// Of each controller; one where all have the same.
    counters: Vec<SavedCounters>,
    /// The newest first, then those that some controllers still go by.
    passwords: Vec<SavedPassword>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedCounters {
    #[serde(rename = "badPwdCount")]
    bad_pwd_count: u32,
    #[serde(rename = "badPasswordTime")]
    bad_password_time: i64,
    #[serde(rename = "lastLogon")]
    last_logon: i64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedPassword {
    /// Without one no password is right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nt_hash: Option<NtHash>,
    /// Newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    previous: Vec<NtHash>,
    #[serde(rename = "pwdLastSet")]
    pwd_last_set: i64,
    /// When each controller learns of it; `null`: it has long known. Empty: all have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    known_from: Vec<Option<i64>>,
}

/// What is wrong with which member.
type Wrong = (&'static str, &'static str);

impl Account {
    /// As it is written.
    pub(super) fn saved(&self) -> SavedState {
        let shared = self.shared();
        SavedState {
            user_account_control: shared.user_account_control,
            account_expires: shared.account_expires.0,
            lockout_time: shared.lockout_time.map(|time| time.0),
            last_logon_timestamp: shared.last_logon_timestamp.map(|time| time.0),
            logon_hours: shared.logon_hours.as_ref().map(|hours| hex::encode(hours.as_slice())),
            user_workstations: shared.user_workstations.as_deref().map(str::to_owned),
            when_changed: shared.when_changed.0,
            usn_changed: shared.usn_changed,
            counters: self.counters().iter().map(SavedCounters::from).collect(),
            passwords: self.versions().iter().map(SavedPassword::from).collect(),
        }
    }

    /// Reads it again; `order` has the place of each controller of this domain among those of the snapshot.
    ///
    /// # Errors
    /// Names the member that does not fit.
    pub(super) fn restored(state: SavedState, order: &[usize]) -> Result<Self, Wrong> {
        let hours = state.logon_hours.as_deref().map(|text| {
            let hours = logon_hours(text).map(Box::new);
            hours.ok_or(("logonHours", "must be 42 hexadecimal digits"))
        });
        let shared = Shared {
            user_account_control: state.user_account_control,
            account_expires: FileTime(state.account_expires),
            lockout_time: state.lockout_time.map(FileTime),
            last_logon_timestamp: state.last_logon_timestamp.map(FileTime),
            logon_hours: hours.transpose()?,
            user_workstations: state.user_workstations.map(String::into_boxed_str),
            when_changed: FileTime(state.when_changed),
            usn_changed: state.usn_changed,
        };
        let counters: Vec<_> = state.counters.iter().map(SavedCounters::restored).collect();
        let counters = in_order(&counters, order);
        let counters = counters.ok_or(("counters", "must have one entry for all controllers, or one for each"))?;
        let versions = state.passwords.into_iter().map(|password| password.restored(order));
        let versions = Versions::restored(versions.collect::<Result<_, _>>()?);
        let versions = versions.ok_or(("passwords", "must have one entry at least"))?;
        Ok(Self::of(shared, versions, counters))
    }
}

/// One for all, or one for each in this domain's order.
fn in_order<T: Copy>(given: &[T], order: &[usize]) -> Option<Vec<T>> {
    match given {
        [one] => Some(vec![*one]),
        each if each.len() == order.len() => order.iter().map(|place| each.get(*place).copied()).collect(),
        _ => None,
    }
}

impl From<&Counters> for SavedCounters {
    fn from(counters: &Counters) -> Self {
        Self {
            bad_pwd_count: counters.bad_pwd_count,
            bad_password_time: counters.bad_password_time.0,
            last_logon: counters.last_logon.0,
        }
    }
}

impl SavedCounters {
    fn restored(&self) -> Counters {
        Counters {
            bad_pwd_count: self.bad_pwd_count,
            bad_password_time: FileTime(self.bad_password_time),
            last_logon: FileTime(self.last_logon),
        }
    }
}

impl From<(&Credentials, &[FileTime])> for SavedPassword {
    fn from((credentials, told): (&Credentials, &[FileTime])) -> Self {
        let (current, previous) = credentials.passwords.all();
        Self {
            nt_hash: current,
            previous: previous.to_vec(),
            pwd_last_set: credentials.pwd_last_set.0,
            known_from: told
                .iter()
                .map(|at| Some(at.0).filter(|_| *at != FileTime::LONG_AGO))
                .collect(),
        }
    }
}

impl SavedPassword {
    fn restored(self, order: &[usize]) -> Result<(Credentials, Box<[FileTime]>), Wrong> {
        let told: Vec<_> = self
            .known_from
            .iter()
            .map(|at| at.map_or(FileTime::LONG_AGO, FileTime))
            .collect();
        let each = told.is_empty() || told.len() == order.len();
        let told: Option<Vec<_>> = order
            .iter()
            .map(|place| match told.is_empty() {
                true => Some(FileTime::LONG_AGO),
                false => told.get(*place).copied(),
            })
            .collect();
        let told = told.filter(|_| each);
        let told = told.ok_or((
            "passwords",
            "known_from must be empty, or have one entry for each controller",
        ))?;
        let credentials = Credentials {
            passwords: Passwords::of(self.nt_hash, self.previous),
            pwd_last_set: FileTime(self.pwd_last_set),
        };
        Ok((credentials, told.into()))
    }
}

impl Serialize for NtHash {
    /// As a snapshot has it. Whoever has the hash can sign in by protocols that take it for the password.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(self.bytes()))
    }
}

impl<'de> Deserialize<'de> for NtHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let hash = hex::decode(&text).and_then(|bytes| bytes.try_into().ok());
        // The text is not told: it may be a hash but for one digit.
        hash.map(Self::from_bytes)
            .ok_or_else(|| serde::de::Error::custom("an NT hash must be 32 hexadecimal digits"))
    }
}
