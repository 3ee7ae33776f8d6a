//! The sample users: one for each answer that a directory can give.
//!
//! Signing in with the password given, any number of times and at any time of the domain's clock, gives the same
//! answer and changes nothing: those that succeed have passwords that never expire, and the lock of the locked one
//! ends only by an administrator's hand.

use postern_protocol::Verdict;
use serde::Serialize;
use toml::Value;
use toml::map::Map;

use super::{REALM, SECOND_SUFFIX};

/// A user to try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SampleUser {
    /// What is typed as user name.
    pub username: String,
    /// What is typed as password.
    pub password: String,
    /// What comes of it: an outcome of the API.
    #[serde(serialize_with = "as_text")]
    pub expect: Verdict,
}

struct Sample {
    sam: &'static str,
    /// An explicit UPN's suffix, when it is not the domain's own.
    suffix: &'static str,
    cn: &'static str,
    password: &'static str,
    expect: Verdict,
    /// What of mock-dc's `[[users]]` makes it so.
    state: &'static [(&'static str, State)],
}

#[derive(Clone, Copy)]
enum State {
    Yes,
    Text(&'static str),
    List(&'static [&'static str]),
}

const NEVER_EXPIRES: (&str, State) = ("password_never_expires", State::Yes);

const SAMPLES: [Sample; 10] = [
    Sample {
        sam: "gina.good",
        suffix: REALM,
        cn: "Gina Good",
        password: "Good-Sample-1",
        expect: Verdict::Success,
        state: &[NEVER_EXPIRES],
    },
    Sample {
        sam: "zoë.größe",
        suffix: REALM,
        cn: "Zoë Größe",
        password: "Pässwörd-Sample-2",
        expect: Verdict::Success,
        state: &[NEVER_EXPIRES],
    },
    // An alternate name that is an explicit UPN of the account, with a suffix other than the domain's: the directory
    // itself knows it, so it needs no look-up by the agent.
    Sample {
        sam: "wanda.wren",
        suffix: SECOND_SUFFIX,
        cn: "Wanda Wren",
        password: "Alternate-Sample-3",
        expect: Verdict::Success,
        state: &[NEVER_EXPIRES, ("mail", State::Text("wanda.wren@mail.example.org"))],
    },
    Sample {
        sam: "peter.past",
        suffix: REALM,
        cn: "Peter Past",
        password: "Expired-Sample-4",
        expect: Verdict::PasswordExpired,
        state: &[("password_expired", State::Yes)],
    },
    Sample {
        sam: "mona.mustchange",
        suffix: REALM,
        cn: "Mona Mustchange",
        password: "Change-Sample-5",
        expect: Verdict::PasswordMustChange,
        state: &[("must_change", State::Yes)],
    },
    Sample {
        sam: "dora.disabled",
        suffix: REALM,
        cn: "Dora Disabled",
        password: "Disabled-Sample-6",
        expect: Verdict::AccountDisabled,
        state: &[("disabled", State::Yes), NEVER_EXPIRES],
    },
    Sample {
        sam: "ed.ended",
        suffix: REALM,
        cn: "Ed Ended",
        password: "Ended-Sample-7",
        expect: Verdict::AccountExpired,
        state: &[("account_expires", State::Text("2020-01-01T00:00:00Z")), NEVER_EXPIRES],
    },
    Sample {
        sam: "luke.locked",
        suffix: REALM,
        cn: "Luke Locked",
        password: "Locked-Sample-8",
        expect: Verdict::AccountLocked,
        state: &[("locked", State::Text("until_unlocked")), NEVER_EXPIRES],
    },
    Sample {
        sam: "hanna.hours",
        suffix: REALM,
        cn: "Hanna Hours",
        password: "Hours-Sample-9",
        expect: Verdict::LogonHours,
        state: &[("logon_hours", State::Text("none")), NEVER_EXPIRES],
    },
    Sample {
        sam: "walt.workstation",
        suffix: REALM,
        cn: "Walt Workstation",
        password: "Workstation-Sample-10",
        expect: Verdict::LogonWorkstation,
        state: &[("workstations", State::List(&["FRONTDESK"])), NEVER_EXPIRES],
    },
];

impl Sample {
    fn upn(&self) -> String {
        format!("{}@{}", self.sam, self.suffix)
    }
}

/// The sample users as people and scripts are told of them.
pub fn samples() -> Vec<SampleUser> {
    SAMPLES
        .iter()
        .map(|sample| SampleUser {
            username: sample.upn(),
            password: sample.password.to_owned(),
            expect: sample.expect,
        })
        .collect()
}

/// The same users as mock-dc's `[[users]]`.
pub(super) fn directory_entries() -> Vec<Value> {
    SAMPLES.iter().map(directory_entry).collect()
}

fn directory_entry(sample: &Sample) -> Value {
    let mut entry: Map<String, Value> = Map::new();
    let texts = [
        ("sam", sample.sam.to_owned()),
        ("cn", sample.cn.to_owned()),
        ("display_name", sample.cn.to_owned()),
        ("upn", sample.upn()),
        ("password", sample.password.to_owned()),
    ];
    entry.extend(texts.map(|(key, text)| (key.to_owned(), Value::String(text))));
    for (key, state) in sample.state {
        let value = match state {
            State::Yes => Value::Boolean(true),
            State::Text(text) => Value::String((*text).to_owned()),
            State::List(names) => Value::Array(names.iter().map(|name| (*name).into()).collect()),
        };
        entry.insert((*key).to_owned(), value);
    }
    Value::Table(entry)
}

fn as_text<S: serde::Serializer>(verdict: &Verdict, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(verdict.as_str())
}

/// The user name of a generated account, counted from 1.
pub fn generated_name(number: u32) -> String {
    format!("user{number:06}@{REALM}")
}

/// The password of a generated account, counted from 1.
pub fn generated_password(number: u32) -> String {
    format!("Postern-{number:06}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use postern_protocol::{Password, UserName};
    use std::collections::BTreeSet;

    #[test]
    fn there_is_one_for_each_state_an_account_can_be_in_and_three_that_succeed() {
        let expected: BTreeSet<_> = SAMPLES.iter().map(|sample| sample.expect.as_str()).collect();
        // A wrong password needs no user of its own, and an unknown sub-code no directory gives on purpose.
        let others = [Verdict::InvalidCredentials, Verdict::Rejected];
        let all = Verdict::ALL.iter().filter(|verdict| !others.contains(verdict));
        assert_eq!(expected, all.map(|verdict| verdict.as_str()).collect());
        assert_eq!(
            SAMPLES
                .iter()
                .filter(|sample| sample.expect == Verdict::Success)
                .count(),
            3
        );
    }

    #[test]
    fn names_can_be_typed_and_passwords_differ() {
        let users = samples();
        for user in &users {
            assert!(UserName::parse(&user.username).is_ok(), "{}", user.username);
            assert!(Password::new(user.password.clone().into()).is_ok());
        }
        let passwords: BTreeSet<_> = users.iter().map(|user| &user.password).collect();
        assert_eq!(passwords.len(), users.len());
        assert!(users.iter().all(|user| !user.username.starts_with("user0")));
    }
}
