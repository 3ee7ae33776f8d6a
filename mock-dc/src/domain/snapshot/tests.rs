//! That a domain goes on after a snapshot as if nothing had happened, and that one which does not fit changes nothing.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::domain::controllers::DcId;
use crate::domain::dialect::Dialect;
use crate::domain::fixture::{NOON, PASSWORD, settings, user};
use crate::domain::nt_hash::NtHash;
use crate::domain::settings::{Lock, PasswordSet, UserSettings};

const PASSWORDS: [&str; 4] = [PASSWORD, "Second-Passw0rd", "Third-Passw0rd", "wrong"];

fn configured() -> DomainSettings {
    let users = vec![
        user("good"),
        UserSettings {
            lock: Lock::Locked,
            ..user("locked")
        },
        UserSettings {
            password_set: PasswordSet::At(NOON.before(Duration::from_secs(40 * 86_400))),
            ..user("dated")
        },
        UserSettings {
            password_set: PasswordSet::TooLongAgo,
            ..user("old")
        },
    ];
    DomainSettings {
        dcs: ["dc-1", "dc-2", "dc-3"].map(str::to_owned).into(),
        ..settings(Dialect::Windows, users, 2)
    }
}

const SAMS: [&str; 6] = ["good", "locked", "dated", "old", "user000001", "user000002"];

/// One thing that happens to a domain.
#[derive(Debug, Clone)]
enum Step {
    Bind(usize, usize, usize),
    Password(usize, usize, usize),
    Change(usize, &'static str, Option<&'static str>),
    Rename(usize, usize),
    Wait(i64),
    Away(usize, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let (dc, who, password) = (0..3usize, 0..SAMS.len(), 0..PASSWORDS.len());
    let change = prop::sample::select(vec![
        ("lockoutTime", Some("0")),
        ("userAccountControl", Some("514")),
        ("userAccountControl", Some("512")),
        ("pwdLastSet", Some("0")),
        ("pwdLastSet", Some("-1")),
        ("displayName", Some("Shown Name")),
        ("displayName", None),
        ("mail", Some("a@mail.example.org")),
        ("userWorkstations", Some("WKS1")),
        ("userWorkstations", None),
        ("lastLogonTimestamp", None),
    ]);
    prop_oneof![
        6 => (dc.clone(), who.clone(), password.clone()).prop_map(|(dc, who, password)| Step::Bind(dc, who, password)),
        2 => (dc.clone(), who.clone(), password).prop_map(|(dc, who, password)| Step::Password(dc, who, password)),
        2 => (who.clone(), change).prop_map(|(who, (name, value))| Step::Change(who, name, value)),
        1 => (who, 0..3usize).prop_map(|(who, to)| Step::Rename(who, to)),
        3 => prop::sample::select(vec![1, 14, 600, 1800, 90_000, -30, -4000]).prop_map(Step::Wait),
        1 => (dc, any::<bool>()).prop_map(|(dc, away)| Step::Away(dc, away)),
    ]
}

/// What a step shows to whoever made it.
fn take(domain: &Domain, now: &mut FileTime, step: &Step) -> String {
    let find = |who: &usize| domain.structure.tree.find(Key::Sam, SAMS[*who])[0];
    let edit = |dc: usize, who: &usize, edits| domain.edit(DcId::at(dc), find(who), edits, *now);
    match step {
        Step::Bind(dc, who, password) => {
            let name = format!("CORP\\{}", domain.sam(find(who)));
            format!(
                "{:?}",
                domain.bind(DcId::at(*dc), &name, PASSWORDS[*password], *now, |_| ())
            )
        }
        Step::Password(dc, who, password) => {
            let mut edits = Edits::default();
            edits.password(NtHash::of(PASSWORDS[*password]));
            format!("{:?}", edit(*dc, who, edits))
        }
        Step::Change(who, name, value) => {
            let mut edits = Edits::default();
            let values = value.iter().map(|value| value.as_bytes().to_vec());
            edits.attribute(name, values.collect()).expect("a change");
            format!("{:?}", edit(0, who, edits))
        }
        Step::Rename(who, to) => {
            let mut edits = Edits::default();
            let name = format!("renamed{to}").into_bytes();
            edits.attribute("sAMAccountName", vec![name]).expect("a name");
            format!("{:?}", edit(0, who, edits))
        }
        Step::Wait(seconds) => {
            let before = *now;
            *now = FileTime(now.0 + seconds * 10_000_000);
            domain.clock_was_set(before, *now);
            String::new()
        }
        Step::Away(dc, away) => {
            domain.set_away(DcId::at(*dc), *away, *now);
            String::new()
        }
    }
}

/// All that can be seen of the accounts.
fn seen(domain: &Domain, now: FileTime) -> Vec<String> {
    let ids = domain
        .id_range()
        .map(ObjectId::from)
        .filter(|id| domain.is_account(*id));
    let each = ids.flat_map(|id| domain.dcs().map(move |dc| (dc, id)));
    let mut seen: Vec<_> = each
        .map(|(dc, id)| {
            let mut shown: Vec<_> = domain
                .attributes(dc, id, now)
                .into_iter()
                .map(|attribute| (attribute.name, attribute.values))
                .collect();
            shown.sort();
            format!("{dc:?} {shown:?}")
        })
        .collect();
    for (key, value) in [
        (Key::Sam, "renamed0"),
        (Key::Sam, "good"),
        (Key::Mail, "a@mail.example.org"),
        (Key::DisplayName, "Shown Name"),
    ] {
        let mut found = domain.find(key, value);
        found.sort();
        seen.push(format!("{found:?}"));
    }
    seen
}

fn written(domain: &Domain) -> (String, Vec<String>) {
    let copied = domain.copy().gathered();
    let text = |account: SavedAccount| serde_json::to_string(&account).expect("JSON");
    (
        serde_json::to_string(&copied.head(domain)).expect("JSON"),
        copied.accounts(domain, 0).map(text).collect(),
    )
}

fn checked(domain: &Domain, (head, accounts): &(String, Vec<String>)) -> Result<Loadable, Misfit> {
    let accounts = accounts
        .iter()
        .map(|text| serde_json::from_str(text).expect("an account"));
    domain.check(serde_json::from_str(head).expect("a head"), accounts.collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_domain_goes_on_after_a_snapshot_as_if_nothing_had_happened(
        before in prop::collection::vec(step(), 0..40),
        elsewhere in prop::collection::vec(step(), 0..10),
        after in prop::collection::vec(step(), 0..40),
    ) {
        let domain = Domain::new(&configured(), NOON);
        let mut now = NOON;
        for step in &before {
            take(&domain, &mut now, step);
        }
        let saved = written(&domain);

        // Another process, that began at another time and in which other things happened.
        let begun = NOON.after(Duration::from_secs(1_000_000));
        let other = Domain::new(&configured(), begun);
        let mut there = begun;
        for step in &elsewhere {
            take(&other, &mut there, step);
        }
        for dc in domain.dcs() {
            other.set_away(dc, domain.controllers.is_away(dc), there);
        }
        other.load(&checked(&other, &saved).expect("a snapshot that fits"), now);
        prop_assert_eq!(seen(&other, now), seen(&domain, now));
        let mut there = now;
        for step in &after {
            prop_assert_eq!(take(&other, &mut there, step), take(&domain, &mut now, step));
        }
        prop_assert_eq!(seen(&other, now), seen(&domain, now));

        other.reset();
        prop_assert_eq!(seen(&other, begun), seen(&Domain::new(&configured(), begun), begun));
    }
}

#[test]
fn lists_by_controller_follow_the_order_of_the_domain_that_loads_them() {
    let domain = Domain::new(&configured(), NOON);
    for dc in [1, 2] {
        domain.bind(DcId::at(dc), "CORP\\good", "wrong", NOON, |_| ());
    }
    let turned = DomainSettings {
        dcs: ["DC-3", "dc-1", "dc-2"].map(str::to_owned).into(),
        pdc: DcId::at(1),
        ..configured()
    };
    let other = Domain::new(&turned, NOON);
    other.load(&checked(&other, &written(&domain)).expect("it fits"), NOON);
    let count = |domain: &Domain, name: &str| {
        let (dc, id) = (domain.dc_named(name).unwrap(), domain.find_sam("good").unwrap());
        domain.state(dc, id, NOON).counters.bad_pwd_count
    };
    for (name, expected) in [("dc-1", 2), ("dc-2", 1), ("dc-3", 1)] {
        assert_eq!(
            (count(&domain, name), count(&other, name)),
            (expected, expected),
            "{name}"
        );
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let domain = Domain::new(&configured(), NOON);
    domain.bind(DcId::FIRST, "CORP\\good", "wrong", NOON, |_| ());
    domain.bind(DcId::FIRST, "CORP\\user000001", "wrong", NOON, |_| ());
    let (head, accounts) = written(&domain);
    let told = |head: &str, accounts: &[String]| {
        let saved = (head.to_owned(), accounts.to_vec());
        checked(&domain, &saved).expect_err("a misfit").to_string()
    };
    assert!(told(&head.replace("corp.example", "other.example"), &accounts).starts_with("domain.name: "));
    let text = told(&head.replace("\"dc-3\"", "\"dc-4\""), &accounts);
    assert_eq!(
        text,
        "domain.dcs: the snapshot's domain controllers are dc-1, dc-2, dc-4; this domain's are dc-1, dc-2, dc-3"
    );
    assert!(told(&head.replace(",\"dc-3\"", ""), &accounts).starts_with("domain.dcs: "));
    let usn = format!("\"usn\":{}", domain.highest_usn());
    let counted = head.replace(&usn, &format!("\"usn\":{}", u64::MAX));
    assert!(told(&counted, &accounts).starts_with("domain.usn: "));
    for (name, expected) in [
        (
            "nobody",
            "accounts[1].account: no account began with the sAMAccountName \"nobody\"",
        ),
        ("GOOD", "accounts[1].account: \"GOOD\" is there twice"),
    ] {
        let second = accounts[1].replace("user000001", name);
        assert_eq!(told(&head, &[accounts[0].clone(), second]), expected);
    }
    let state = |member: &str, value: Value| {
        let mut account: Value = serde_json::from_str(&accounts[1]).unwrap();
        account["state"][member] = value;
        told(&head, &[accounts[0].clone(), account.to_string()])
    };
    assert!(state("counters", json!([])).starts_with("accounts[1].state.counters: "));
    assert!(state("passwords", json!([])).starts_with("accounts[1].state.passwords: "));
    assert!(state("logonHours", json!("ff")).starts_with("accounts[1].state.logonHours: "));
    let spread = json!([{"pwdLastSet": 1, "known_from": [1]}]);
    assert!(state("passwords", spread).starts_with("accounts[1].state.passwords: known_from"));
    let attributes = |given: Value| {
        let mut account: Value = serde_json::from_str(&accounts[1]).unwrap();
        account["attributes"] = given;
        told(&head, &[accounts[0].clone(), account.to_string()])
    };
    for (given, expected) in [
        (
            json!({"favouriteColour": ["red"]}),
            "favouriteColour: it is not an attribute",
        ),
        (
            json!({"badPwdCount": ["1"]}),
            "badPwdCount: it cannot be changed: it belongs",
        ),
        (json!({"objectSid": ["S-1-5"]}), "objectSid: it cannot be changed"),
        (
            json!({"sAMAccountName": ["good"]}),
            "sAMAccountName: it \"good\" is taken",
        ),
    ] {
        let text = attributes(given);
        assert!(
            text.starts_with(&format!("accounts[1].attributes.{expected}")),
            "{text}"
        );
    }

    let fewer = Domain::new(
        &DomainSettings {
            users: vec![user("good")],
            ..configured()
        },
        NOON,
    );
    assert_eq!(
        checked(&fewer, &(head, accounts)).expect_err("a misfit"),
        Misfit::Objects
    );
}
