//! What changes come to: of state, of names, and of what is looked up by them.

use super::*;
use crate::domain::account::UAC_DISABLED;
use crate::domain::dialect::Dialect;
use crate::domain::fixture::{NOON, PASSWORD, POLICY, domain, settings, user, user_with};
use crate::domain::outcome::BindResult;
use crate::domain::passwords::Match;
use crate::domain::settings::DomainSettings;

const DC: DcId = DcId::FIRST;

fn edits(changes: &[(&str, &str)]) -> Edits {
    let mut edits = Edits::default();
    for (name, value) in changes {
        let values = Some(value).filter(|value| !value.is_empty());
        edits
            .attribute(
                name,
                values.map(|value| value.as_bytes().to_vec()).into_iter().collect(),
            )
            .unwrap();
    }
    edits
}

fn change(domain: &Domain, sam: &str, changes: &[(&str, &str)]) -> Result<(), (&'static str, EditError)> {
    domain.edit(DC, domain.find_sam(sam).unwrap(), edits(changes), NOON)
}

fn shown(domain: &Domain, id: ObjectId, name: &str) -> Vec<String> {
    let attributes = domain.attributes(DC, id, NOON);
    let found: Vec<_> = attributes.iter().filter(|attribute| attribute.name == name).collect();
    assert!(found.len() <= 1, "{name} is shown twice");
    found
        .first()
        .map(|attribute| attribute.shown().collect())
        .unwrap_or_default()
}

fn signs_in(domain: &Domain, name: &str, password: &str) -> bool {
    domain.probe(DC, name, password, NOON).result == BindResult::Success
}

#[test]
fn a_changed_name_signs_in_and_the_one_before_does_not() {
    let domain = domain(Dialect::Windows, vec![user_with("good", "displayName", "Good One")], 5);
    let (good, number) = (domain.find_sam("good").unwrap(), domain.find_sam("user000003").unwrap());
    change(
        &domain,
        "good",
        &[
            ("samaccountname", "better"),
            ("displayName", "Better One"),
            ("userPrincipalName", "b@x.org"),
        ],
    )
    .unwrap();
    for name in ["CORP\\better", "b@x.org", "Better One", "better@corp.example.com"] {
        assert!(signs_in(&domain, name, PASSWORD), "{name}");
    }
    for name in ["CORP\\good", "good@corp.example.com", "Good One"] {
        assert!(!signs_in(&domain, name, PASSWORD), "{name}");
    }
    assert_eq!(domain.sam(good), "better");
    change(
        &domain,
        "user000003",
        &[("sAMAccountName", "numbered"), ("mail", "n@x.org")],
    )
    .unwrap();
    assert!(
        signs_in(&domain, "CORP\\numbered", "Postern-000003")
            && !signs_in(&domain, "CORP\\user000003", "Postern-000003")
    );
    assert_eq!(domain.find(Key::Mail, "N@x.org"), [number]);
    assert_eq!(shown(&domain, number, "mail"), ["n@x.org"]);

    domain.reset();
    assert!(signs_in(&domain, "CORP\\good", PASSWORD) && signs_in(&domain, "CORP\\user000003", "Postern-000003"));
    assert!(domain.find(Key::Mail, "n@x.org").is_empty());
}

#[test]
fn every_attribute_is_shown_as_it_was_changed_and_no_more_once_it_is_taken_away() {
    let domain = domain(Dialect::Windows, vec![user("good")], 0);
    let good = domain.find_sam("good").unwrap();
    for (name, value) in [
        ("department", "Sales"),
        ("codePage", "850"),
        ("logonCount", "7"),
        ("manager", "CN=a,DC=b"),
        ("accountExpires", "0"),
    ] {
        change(&domain, "good", &[(name, value)]).unwrap();
        assert_eq!(shown(&domain, good, name), [value]);
    }
    change(&domain, "good", &[("department", ""), ("userPrincipalName", "")]).unwrap();
    assert!(shown(&domain, good, "department").is_empty() && shown(&domain, good, "userPrincipalName").is_empty());
    assert!(
        signs_in(&domain, "good@corp.example.com", PASSWORD),
        "the implied name stays"
    );
}

#[test]
fn a_name_that_somebody_has_or_implies_is_refused_and_nothing_is_changed() {
    let domain = domain(Dialect::Windows, vec![user("good"), user("other")], 5);
    for (name, value) in [
        ("sAMAccountName", "OTHER"),
        ("sAMAccountName", "user000001"),
        ("sAMAccountName", "Domain Admins"),
        ("userPrincipalName", "other@corp.example.com"),
        ("userPrincipalName", "user000005@CORP.example.com"),
        ("userPrincipalName", "administrator@corp.example.com"),
    ] {
        let refused = change(&domain, "good", &[(name, value), ("department", "Sales")]);
        assert!(
            matches!(refused, Err((_, EditError::Taken { .. }))),
            "{name} {value}: {refused:?}"
        );
    }
    assert_eq!(domain.changed_accounts(), 0);
    assert!(shown(&domain, domain.find_sam("good").unwrap(), "department").is_empty());
    // Its own are nobody else's.
    change(
        &domain,
        "good",
        &[
            ("sAMAccountName", "Good"),
            ("userPrincipalName", "good@corp.example.com"),
        ],
    )
    .unwrap();
}

fn state() -> AccountState {
    AccountState::new(Passwords::new(NtHash::of("old")), FileTime(1))
}

fn apply(state: &mut AccountState, edits: Edits) {
    for edit in edits.0 {
        edit.apply(state, &POLICY, NOON);
    }
}

#[test]
fn unlocking_clears_the_count_in_both_ways() {
    let mut lock = Edits::default();
    lock.locked(true);
    let mut unlock = Edits::default();
    unlock.locked(false);
    for unlock in [unlock, edits(&[("lockoutTime", "0")])] {
        let mut state = state();
        apply(&mut state, lock.clone());
        assert_eq!(
            (state.shared.lockout_time, state.counters.bad_pwd_count),
            (Some(NOON), 3)
        );
        apply(&mut state, unlock);
        assert_eq!(
            (state.shared.lockout_time, state.counters.bad_pwd_count),
            (Some(FileTime::ZERO), 0)
        );
    }
}

#[test]
fn a_count_that_is_written_beside_the_end_of_a_lock_stands() {
    let settings = DomainSettings {
        dcs: vec!["dc-1".to_owned(), "dc-2".to_owned()],
        ..settings(Dialect::Windows, vec![user("good")], 0)
    };
    let domain = Domain::new(&settings, NOON);
    let good = domain.find_sam("good").unwrap();
    for _ in 0..3 {
        domain.bind(DcId::at(1), "CORP\\good", "wrong", NOON, |_| ());
    }
    let mut unlock = edits(&[("badPwdCount", "2")]);
    unlock.locked(false);
    domain.edit(DC, good, unlock, NOON).unwrap();
    let count = |dc| domain.state(dc, good, NOON).counters.bad_pwd_count;
    assert_eq!((count(DC), count(DcId::at(1))), (2, 0));
    assert!(!domain.is_locked(good, &domain.state(DC, good, NOON), NOON));
}

#[test]
fn a_reset_password_is_set_now_unless_it_must_be_changed() {
    let domain = domain(Dialect::Windows, vec![user("good")], 0);
    let good = domain.find_sam("good").unwrap();
    let mut reset = edits(&[("pwdLastSet", "0")]);
    reset.password(NtHash::of("new"));
    domain.edit(DC, good, reset, NOON).unwrap();
    let state = domain.state(DC, good, NOON).credentials;
    assert_eq!(state.pwd_last_set, FileTime::ZERO, "whatever the order");
    assert_eq!(state.passwords.find(&NtHash::of("new"), 24), Match::Current);
    assert_eq!(state.passwords.find(&NtHash::of(PASSWORD), 24), Match::Previous);
    change(&domain, "good", &[("pwdLastSet", "-1")]).unwrap();
    assert_eq!(domain.state(DC, good, NOON).credentials.pwd_last_set, NOON);
}

#[test]
fn computed_bits_of_the_account_control_are_ignored_and_a_smart_card_forgets_the_password() {
    let mut state = state();
    apply(&mut state, edits(&[("userAccountControl", "8388626")]));
    assert_eq!(
        state.shared.user_account_control,
        UAC_DISABLED | 0x200,
        "0x800012, of no kind"
    );
    apply(&mut state, edits(&[("userAccountControl", "262656")]));
    assert_eq!(state.credentials.passwords, Passwords::unknown());
}

#[test]
fn an_attribute_takes_several_values_exactly_where_the_schema_says_so() {
    for known in schema::ALL.iter().filter(|known| known.syntax == Syntax::Text) {
        let two = vec![b"one".to_vec(), b"two".to_vec()];
        match Edits::default().attribute(known.name, two) {
            // It follows from something else.
            Err(EditError::Fixed(_)) => {}
            taken => assert_eq!(
                taken == Err(EditError::SingleValued),
                known.single,
                "{}: {taken:?}",
                known.name
            ),
        }
    }
}
