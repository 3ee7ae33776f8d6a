//! The simulated directory is worth testing with as far as it answers what a real one does: one list of a hundred
//! sign-ins, in order, through Samba AD and through mock-dc, with the same people and the same lockout policy.

use super::people::{
    OTHER_SUFFIX, Person, SERVICE_ACCOUNT, SERVICE_PASSWORD, THRESHOLD, everybody, for_mock_dc, person,
};
use super::samba::Samba;
use crate::harness::{Cluster, Scratch, Setup};

struct SignIn {
    name: String,
    password: String,
    expect: &'static str,
}

/// Names in every form, states, passwords right and wrong; accounts that lock on the way.
fn hundred() -> Vec<SignIn> {
    let mut list = Vec::new();
    let mut add = |name: String, password: &str, expect| {
        list.push(SignIn {
            name,
            password: password.to_owned(),
            expect,
        });
    };
    const WRONG: &str = "Certainly-Wrong-1";
    let people: Vec<Person> = everybody().into_iter().filter(|person| !person.is_owned()).collect();
    for person in &people {
        add(person.upn(), &person.password, person.expect);
        add(person.down_level(), WRONG, "invalid_credentials");
        add(
            person.down_level().to_ascii_uppercase(),
            &person.password,
            person.expect,
        );
    }
    for person in people.iter().filter(|person| person.mail) {
        add(person.mail_address(), &person.password, person.expect);
    }
    // The principal name that every account has beside an explicit one.
    let other = person("other.suffix");
    add(format!("{}@corp.example.com", other.sam), &other.password, "success");
    add(
        format!("{}@CORP.example.com", person("jörg.weiß").sam.to_ascii_uppercase()),
        "x",
        "invalid_credentials",
    );
    for nobody in [
        "nobody@corp.example.com",
        "CORP\\nobody",
        "nobody@mail.example.org",
        "nobody@people.example.net",
    ] {
        add(nobody.to_owned(), WRONG, "invalid_credentials");
    }
    // Nearly right is wrong. A success in between lets the count begin again.
    let grace = person("grace.good");
    for wrong in [grace.password.to_ascii_uppercase(), format!("{} ", grace.password)] {
        add(grace.upn(), &wrong, "invalid_credentials");
    }
    add(grace.upn(), &grace.password, "success");
    // Locked by wrong passwords under any of its names; then nothing but that is told, with whatever password.
    let locked = person("own.ldaps");
    let names = [locked.upn(), locked.down_level(), locked.mail_address()];
    for name in names.iter().cycle().take(usize::try_from(THRESHOLD).unwrap()) {
        add(name.clone(), WRONG, "invalid_credentials");
    }
    for name in names {
        add(name.clone(), &locked.password, "account_locked");
    }
    add(locked.upn(), WRONG, "account_locked");
    // With a right password that does not let in, the count stays as it was.
    let dean = person("dean.disabled");
    add(dean.upn(), WRONG, "invalid_credentials");
    add(dean.upn(), &dean.password, "account_disabled");
    add(dean.upn(), WRONG, "invalid_credentials");
    add(dean.upn(), &dean.password, "account_locked");
    let hugo = person("hugo.good");
    add(hugo.mail_address().to_ascii_uppercase(), &hugo.password, "success");
    list
}

#[test]
fn the_list_has_a_hundred_sign_ins() {
    assert_eq!(hundred().len(), 100);
}

fn setup(url: &str, ca: &str) -> Setup {
    let directory = [
        "--directory",
        url,
        "--directory-ca",
        ca,
        "--ports",
        "auto",
        "--agents",
        "2",
    ];
    let names = [
        "--upn-suffix",
        OTHER_SUFFIX,
        "--alternate-id",
        "mail",
        "--service-account",
        SERVICE_ACCOUNT,
    ];
    Setup::new(&[&directory[..], &names].concat()).env("POSTERN_SERVICE_PASSWORD", SERVICE_PASSWORD)
}

async fn outcomes(cluster: &Cluster) -> Vec<String> {
    let mut outcomes = Vec::new();
    for SignIn { name, password, .. } in hundred() {
        outcomes.push(cluster.sign_in(&name, &password).await.outcome().to_owned());
    }
    outcomes
}

#[tokio::test]
#[ignore = "needs root, samba and ldap-utils (.ci/run installs them)"]
async fn the_same_hundred_sign_ins_give_the_same_outcomes_through_samba_and_through_mock_dc() {
    let mut samba = Samba::provision_with_people();
    samba.start().await;
    let real = setup(&samba.url("ldaps"), &samba.ca()).start().await;

    let folder = Scratch::new();
    let config = folder.path().join("people.toml");
    std::fs::write(&config, for_mock_dc(&everybody(), "samba")).unwrap();
    let host = [
        "--agents",
        "1",
        "--dcs",
        "1",
        "--users",
        "0",
        "--dc-config",
        config.to_str().unwrap(),
    ];
    let host = Setup::new(&host).start().await;
    let simulated = setup(host.text("/dcs/0/ldaps"), host.text("/ca")).start().await;

    let (real, simulated) = (outcomes(&real).await, outcomes(&simulated).await);
    let differences: Vec<String> = hundred()
        .iter()
        .zip(real.iter().zip(&simulated))
        .enumerate()
        .filter(|(_, (sign_in, (real, simulated)))| *real != sign_in.expect || *simulated != sign_in.expect)
        .map(|(number, (sign_in, (real, simulated)))| {
            format!(
                "{number} {}: {} expected, Samba {real}, mock-dc {simulated}",
                sign_in.name, sign_in.expect
            )
        })
        .collect();
    assert!(differences.is_empty(), "{differences:#?}");
}
