//! The sample users: one for each answer that a directory can give.
//!
//! Signing in with the password given, any number of times and at any time of the domain's clock, gives the same
//! answer and changes nothing: those that succeed have passwords that never expire, and the lock of the locked one
//! ends only by an administrator's hand.

use postern_loadtest::Pattern;
use postern_protocol::{Password, Verdict};
use serde::Serialize;
use toml::Value;
use toml::map::Map;

use super::{MAIL_SUFFIX, REALM, SERVICE_ACCOUNT};

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
    /// It is signed in with by its mail address, which the directory does not take for a name.
    by_mail: bool,
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
        by_mail: false,
        cn: "Gina Good",
        password: "Good-Sample-1",
        expect: Verdict::Success,
        state: &[NEVER_EXPIRES],
    },
    Sample {
        sam: "zoë.größe",
        by_mail: false,
        cn: "Zoë Größe",
        password: "Pässwörd-Sample-2",
        expect: Verdict::Success,
        state: &[NEVER_EXPIRES],
    },
    Sample {
        sam: "wanda.wren",
        by_mail: true,
        cn: "Wanda Wren",
        password: "Alternate-Sample-3",
        expect: Verdict::Success,
        state: &[NEVER_EXPIRES],
    },
    Sample {
        sam: "peter.past",
        by_mail: false,
        cn: "Peter Past",
        password: "Expired-Sample-4",
        expect: Verdict::PasswordExpired,
        state: &[("password_expired", State::Yes)],
    },
    Sample {
        sam: "mona.mustchange",
        by_mail: false,
        cn: "Mona Mustchange",
        password: "Change-Sample-5",
        expect: Verdict::PasswordMustChange,
        state: &[("must_change", State::Yes)],
    },
    Sample {
        sam: "dora.disabled",
        by_mail: false,
        cn: "Dora Disabled",
        password: "Disabled-Sample-6",
        expect: Verdict::AccountDisabled,
        state: &[("disabled", State::Yes), NEVER_EXPIRES],
    },
    Sample {
        sam: "ed.ended",
        by_mail: false,
        cn: "Ed Ended",
        password: "Ended-Sample-7",
        expect: Verdict::AccountExpired,
        state: &[("account_expires", State::Text("2020-01-01T00:00:00Z")), NEVER_EXPIRES],
    },
    Sample {
        sam: "luke.locked",
        by_mail: false,
        cn: "Luke Locked",
        password: "Locked-Sample-8",
        expect: Verdict::AccountLocked,
        state: &[("locked", State::Text("until_unlocked")), NEVER_EXPIRES],
    },
    Sample {
        sam: "hanna.hours",
        by_mail: false,
        cn: "Hanna Hours",
        password: "Hours-Sample-9",
        expect: Verdict::LogonHours,
        state: &[("logon_hours", State::Text("none")), NEVER_EXPIRES],
    },
    Sample {
        sam: "walt.workstation",
        by_mail: false,
        cn: "Walt Workstation",
        password: "Workstation-Sample-10",
        expect: Verdict::LogonWorkstation,
        state: &[("workstations", State::List(&["FRONTDESK"])), NEVER_EXPIRES],
    },
];

impl Sample {
    fn upn(&self) -> String {
        format!("{}@{REALM}", self.sam)
    }

    fn mail(&self) -> Option<String> {
        self.by_mail.then(|| format!("{}@{MAIL_SUFFIX}", self.sam))
    }
}

/// The sample users as people and scripts are told of them.
pub fn samples() -> Vec<SampleUser> {
    SAMPLES
        .iter()
        .map(|sample| SampleUser {
            username: sample.mail().unwrap_or_else(|| sample.upn()),
            password: sample.password.to_owned(),
            expect: sample.expect,
        })
        .collect()
}

/// The same users as mock-dc's `[[users]]`, and the service account, which is not one to try.
pub(super) fn directory_entries(service_password: &Password) -> Vec<Value> {
    let service = [
        ("sam", SERVICE_ACCOUNT.into()),
        ("cn", "Postern Service".into()),
        ("upn", service_account().into()),
        ("password", service_password.expose().into()),
        ("password_never_expires", true.into()),
    ];
    let service = service
        .map(|(key, value)| (key.to_owned(), value))
        .into_iter()
        .collect();
    let samples = SAMPLES.iter().map(directory_entry);
    samples.chain([Value::Table(service)]).collect()
}

/// The service account's name, as agents bind it.
pub(super) fn service_account() -> String {
    format!("{SERVICE_ACCOUNT}@{REALM}")
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
    entry.extend(sample.mail().map(|mail| ("mail".to_owned(), Value::String(mail))));
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

/// The user names of generated accounts, by number from 1 on.
pub fn generated_names() -> Pattern {
    Pattern::new("user", 6, format!("@{REALM}"))
}

/// The passwords of generated accounts, by number from 1 on.
pub fn generated_passwords() -> Pattern {
    Pattern::new("Postern-", 6, "")
}

/// The user name of a generated account.
pub fn generated_name(number: u32) -> String {
    generated_names().of(number)
}

/// The password of a generated account.
pub fn generated_password(number: u32) -> String {
    generated_passwords().of(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use postern_protocol::UserName;
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
