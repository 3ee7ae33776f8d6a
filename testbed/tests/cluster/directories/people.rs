//! People in every state that an account can be in, for every directory alike.

use postern_testbed::cluster::{NETBIOS, REALM};
use serde_json::{Value, json};
use toml::Table;

/// Wrong passwords in a row that lock an account.
pub(crate) const THRESHOLD: u32 = 3;

/// A suffix of principal names beside the domain's own.
pub(crate) const OTHER_SUFFIX: &str = "mail.example.org";

/// What mail addresses end in: no suffix of principal names.
pub(crate) const MAIL_SUFFIX: &str = "people.example.net";

/// Who looks people up.
/// Not that of `postern up` itself, which the simulated directory has as well.
pub(crate) const SERVICE_ACCOUNT: &str = "svc-look-up@corp.example.com";

/// Its password.
pub(crate) const SERVICE_PASSWORD: &str = "Sërvice Passwörd 1";

/// What is not as it should be with an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    NeverExpires,
    Disabled,
    AccountExpired,
    MustChange,
    PasswordExpired,
    NoHours,
    OtherWorkstation,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::NeverExpires => "never_expires",
            Self::Disabled => "disabled",
            Self::AccountExpired => "account_expired",
            Self::MustChange => "must_change",
            Self::PasswordExpired => "password_expired",
            Self::NoHours => "no_hours",
            Self::OtherWorkstation => "other_workstation",
        }
    }
}

/// An account.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) sam: String,
    /// The suffix of its principal name.
    pub(crate) suffix: &'static str,
    pub(crate) password: String,
    /// Whether it has a mail address.
    pub(crate) mail: bool,
    pub(crate) states: &'static [State],
    /// What the right password comes to.
    pub(crate) expect: &'static str,
}

impl Person {
    pub(crate) fn upn(&self) -> String {
        format!("{}@{}", self.sam, self.suffix)
    }

    pub(crate) fn down_level(&self) -> String {
        format!("{NETBIOS}\\{}", self.sam)
    }

    /// Whether one test has it for itself.
    pub(crate) fn is_owned(&self) -> bool {
        self.sam.starts_with("own.")
    }

    pub(crate) fn mail_address(&self) -> String {
        format!("{}.mail@{MAIL_SUFFIX}", self.sam)
    }
}

/// What distinguishes the second of two accounts in the same state.
pub(crate) const SECOND: &str = ".2";

/// Everybody. Each has a password of its own.
pub(crate) fn everybody() -> Vec<Person> {
    use State::{AccountExpired, Disabled, MustChange, NeverExpires, NoHours, OtherWorkstation, PasswordExpired};
    let rows: [(&'static str, &'static [State], &'static str); 24] = [
        ("grace.good", &[], "success"),
        ("hugo.good", &[], "success"),
        ("jörg.weiß", &[], "success"),
        ("long.password", &[], "success"),
        ("other.suffix", &[], "success"),
        ("nora.never", &[NeverExpires], "success"),
        // Each for the one test that counts its wrong passwords.
        ("own.ldaps", &[], "success"),
        ("own.starttls", &[], "success"),
        ("own.clear", &[], "success"),
        ("own.mail", &[], "success"),
        ("own.service", &[], "success"),
        ("dean.disabled", &[Disabled], "account_disabled"),
        ("eva.ended", &[AccountExpired], "account_expired"),
        ("mark.mustchange", &[MustChange], "password_must_change"),
        ("paula.past", &[PasswordExpired], "password_expired"),
        ("wilma.workstation", &[OtherWorkstation], "logon_workstation"),
        ("hans.hours", &[NoHours], "logon_hours"),
        // Several at once: which is told is the directory's choice.
        ("disabled.ended", &[Disabled, AccountExpired], "account_disabled"),
        ("disabled.past", &[Disabled, PasswordExpired], "account_disabled"),
        ("ended.past", &[AccountExpired, PasswordExpired], "account_expired"),
        ("ended.mustchange", &[AccountExpired, MustChange], "account_expired"),
        ("mustchange.hours", &[MustChange, NoHours], "password_must_change"),
        (
            "past.workstation",
            &[PasswordExpired, OtherWorkstation],
            "password_expired",
        ),
        ("hours.workstation", &[NoHours, OtherWorkstation], "logon_workstation"),
    ];
    let mut people: Vec<Person> = rows
        .into_iter()
        .map(|(sam, states, expect)| Person {
            sam: sam.to_owned(),
            suffix: if sam == "other.suffix" { OTHER_SUFFIX } else { REALM },
            password: match sam {
                "jörg.weiß" => "Pässwörd-日本-€uro".to_owned(),
                "long.password" => "L0ng!".repeat(51) + "!",
                _ => format!("Right-{sam}-1"),
            },
            mail: true,
            states,
            expect,
        })
        .collect();
    let service = SERVICE_ACCOUNT.split('@').next().unwrap();
    people.push(Person {
        sam: service.to_owned(),
        suffix: REALM,
        password: SERVICE_PASSWORD.to_owned(),
        mail: false,
        states: &[State::NeverExpires],
        expect: "success",
    });
    people
}

/// Another in each state: tests that share a directory share nobody, or one test's wrong passwords would be another's.
pub(crate) fn everybody_twice() -> Vec<Person> {
    let mut people = everybody();
    let service = SERVICE_ACCOUNT.split('@').next().unwrap();
    let others = people
        .iter()
        .filter(|person| !person.is_owned() && person.sam != service);
    let second = |person: &Person| Person {
        sam: format!("{}{SECOND}", person.sam),
        ..person.clone()
    };
    let others: Vec<Person> = others.map(second).collect();
    people.extend(others);
    people
}

/// One of them.
pub(crate) fn person(sam: &str) -> Person {
    everybody_twice().into_iter().find(|person| person.sam == sam).unwrap()
}

/// As the script that fills a Samba domain reads them.
pub(crate) fn for_samba(people: &[Person]) -> Value {
    let person = |person: &Person| {
        json!({
            "sam": person.sam,
            "cn": person.sam,
            "upn": person.upn(),
            "password": person.password,
            "mail": person.mail.then(|| person.mail_address()),
            "states": person.states.iter().map(|state| state.name()).collect::<Vec<_>>(),
        })
    };
    people.iter().map(person).collect()
}

/// As a file for `--dc-config`, with the same lockout policy.
pub(crate) fn for_mock_dc(people: &[Person], dialect: &str) -> String {
    let user = |person: &Person| {
        let mut user = Table::new();
        let mut set = |key: &str, value: toml::Value| user.insert(key.to_owned(), value);
        set("sam", person.sam.clone().into());
        set("upn", person.upn().into());
        set("password", person.password.clone().into());
        if person.mail {
            set("mail", person.mail_address().into());
        }
        for state in person.states {
            match state {
                State::NeverExpires => set("password_never_expires", true.into()),
                State::Disabled => set("disabled", true.into()),
                State::AccountExpired => set("account_expires", "2020-01-01T00:00:00Z".into()),
                State::MustChange => set("must_change", true.into()),
                State::PasswordExpired => set("password_expired", true.into()),
                State::NoHours => set("logon_hours", "none".into()),
                State::OtherWorkstation => set("workstations", vec!["FRONTDESK"].into()),
            };
        }
        toml::Value::Table(user)
    };
    let mut file = Table::new();
    file.insert("users".to_owned(), people.iter().map(user).collect::<Vec<_>>().into());
    let tables = format!(
        "[domain]\ndialect = \"{dialect}\"\n[policy]\nlockout_threshold = {THRESHOLD}\nlockout_duration_s = 1800\n\
         lockout_window_s = 1800\n"
    );
    file.extend(toml::from_str::<Table>(&tables).unwrap());
    toml::to_string(&file).unwrap()
}
