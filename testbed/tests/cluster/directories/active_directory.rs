//! Samba AD: every state that an account can be in, every way to name it, over LDAPS and StartTLS; and that what is
//! no verdict of the directory is never told as one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::people::{OTHER_SUFFIX, SECOND, SERVICE_ACCOUNT, SERVICE_PASSWORD, THRESHOLD, everybody_twice, person};
use super::samba::{Samba, shared};
use crate::harness::{Cluster, PATIENCE, Setup};

const WRONG: &str = "Certainly-Wrong-1";

fn small(samba: &Samba, scheme: &str, more: &[&str]) -> Setup {
    samba.setup(
        scheme,
        &[&["--agents", "2", "--upn-suffix", OTHER_SUFFIX], more].concat(),
    )
}

async fn outcome(cluster: &Cluster, name: &str, password: &str) -> String {
    let answer = cluster.sign_in(name, password).await;
    let reason = answer.body["reason"].as_str();
    reason.map_or_else(
        || answer.outcome().to_owned(),
        |reason| format!("{}/{reason}", answer.outcome()),
    )
}

/// `mark` ends the names of those who are not another test's.
async fn every_state_is_told(scheme: &str, mark: &str, to_lock: &str) {
    let samba = shared().await;
    let cluster = small(samba, scheme, &[]).start().await;
    let ours = |sam: &str| match mark {
        "" => !sam.ends_with(SECOND),
        mark => sam.ends_with(mark),
    };
    for person in everybody_twice()
        .into_iter()
        .filter(|person| !person.is_owned() && ours(&person.sam))
    {
        for name in [person.upn(), person.down_level(), person.upn().to_ascii_uppercase()] {
            assert_eq!(
                outcome(&cluster, &name, &person.password).await,
                person.expect,
                "{scheme}, {name}"
            );
        }
    }
    let nobody = outcome(&cluster, "nobody@corp.example.com", WRONG).await;
    assert_eq!(nobody, "invalid_credentials");
    // The right password tells a state, a wrong one tells nothing of it.
    for sam in [
        "dean.disabled",
        "eva.ended",
        "mark.mustchange",
        "paula.past",
        "hans.hours",
        "jörg.weiß",
    ] {
        let name = person(&format!("{sam}{mark}")).upn();
        assert_eq!(outcome(&cluster, &name, WRONG).await, "invalid_credentials", "{name}");
    }
    let locked = person(to_lock);
    for _ in 0..THRESHOLD {
        assert_eq!(outcome(&cluster, &locked.upn(), WRONG).await, "invalid_credentials");
    }
    for (name, password) in [(locked.upn(), &*locked.password), (locked.down_level(), WRONG)] {
        assert_eq!(outcome(&cluster, &name, password).await, "account_locked", "{name}");
    }
    // One bind for each sign-in, or there would be more of them. Samba counts none while the account is locked.
    assert_eq!(samba.wrong_passwords(to_lock), THRESHOLD);
}

#[tokio::test]
#[ignore = "needs root, samba and ldap-utils (.ci/run installs them)"]
async fn every_state_of_an_account_is_told_over_ldaps() {
    every_state_is_told("ldaps", "", "own.ldaps").await;
}

#[tokio::test]
#[ignore = "needs root, samba and ldap-utils (.ci/run installs them)"]
async fn every_state_of_an_account_is_told_over_starttls() {
    every_state_is_told("ldap", SECOND, "own.starttls").await;
}

#[tokio::test]
#[ignore = "needs root, samba and ldap-utils (.ci/run installs them)"]
async fn people_are_found_by_mail_and_told_who_they_are() {
    let samba = shared().await;
    let alternate = ["--alternate-id", "mail", "--service-account", SERVICE_ACCOUNT];
    let setup = small(samba, "ldaps", &alternate).env("POSTERN_SERVICE_PASSWORD", SERVICE_PASSWORD);
    let cluster = setup.start().await;
    for sam in [
        "grace.good",
        "jörg.weiß",
        "long.password",
        "other.suffix",
        "paula.past",
        "dean.disabled",
    ] {
        let person = person(sam);
        let answer = cluster.sign_in(&person.mail_address(), &person.password).await;
        assert_eq!(answer.outcome(), person.expect, "{sam}: {:?}", answer.body);
        if person.expect == "success" {
            assert_eq!(answer.body["subject"]["upn"], person.upn(), "{:?}", answer.body);
            assert!(answer.body["subject"]["object_guid"].is_string(), "{:?}", answer.body);
        }
        // Names that the directory knows are bound as they are.
        assert_eq!(
            outcome(&cluster, &person.upn(), &person.password).await,
            person.expect,
            "{sam}"
        );
    }
    let wrong = outcome(&cluster, &person("own.mail").mail_address(), WRONG).await;
    assert_eq!(wrong, "invalid_credentials");
    let nobody = outcome(&cluster, "nobody@people.example.net", WRONG).await;
    assert_eq!(nobody, "invalid_credentials");
    let told = cluster.running.stderr();
    assert!(told.contains("@people.example.net are looked up by mail"), "{told}");
    let password = std::fs::read(cluster.running.log("agent-1")).unwrap();
    assert!(!String::from_utf8_lossy(&password).contains(SERVICE_PASSWORD));
}

#[tokio::test]
#[ignore = "needs root, samba and ldap-utils (.ci/run installs them)"]
async fn a_wrong_password_of_the_service_account_is_told_and_tried_once() {
    let samba = shared().await;
    let victim = person("own.service");
    let name = victim.upn();
    assert_eq!(samba.wrong_passwords(&victim.sam), 0);
    let alternate = ["--alternate-id", "mail", "--service-account", &name];
    let setup = small(samba, "ldaps", &alternate).env("POSTERN_SERVICE_PASSWORD", WRONG);
    let mut running = setup.spawn();
    let (status, output) = running.end().await;
    let told = running.stderr();
    assert_eq!((status.code(), output.as_str()), (Some(1), ""), "{told}");
    assert!(told.contains(&name) && told.contains("invalid_credentials"), "{told}");
    assert!(!told.contains(WRONG), "{told}");
    assert_eq!(samba.wrong_passwords(&victim.sam), 1);
}

#[tokio::test]
#[ignore = "needs root, samba and ldap-utils (.ci/run installs them)"]
async fn a_refusal_of_ldap_in_the_clear_is_our_trouble_and_counts_against_nobody() {
    let samba = shared().await;
    let cluster = samba.setup("ldap", &["--agents", "1"]).start().await;
    let config = cluster.running.config("agent-1");
    let text = std::fs::read_to_string(&config).unwrap();
    let url = format!("url = \"{}\"\n", samba.url("ldap"));
    assert!(text.contains(&url), "{text}");
    std::fs::write(&config, text.replace(&url, &format!("{url}insecure = true\n"))).unwrap();
    assert_eq!(cluster.order("agent-1", "restart").await.0, 200);
    cluster.agents_ready(1).await;
    let someone = person("own.clear");
    for password in [&*someone.password, WRONG, WRONG, WRONG, WRONG] {
        assert_eq!(
            outcome(&cluster, &someone.upn(), password).await,
            "unavailable/directory_down"
        );
    }
    assert_eq!(samba.wrong_passwords(&someone.sam), 0);
    let log = std::fs::read_to_string(cluster.running.log("agent-1")).unwrap();
    assert!(log.contains("Transport encryption required"), "{log}");
}

/// What somebody who signs in again and again got.
type Told = Arc<Mutex<Vec<String>>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root, samba and ldap-utils (.ci/run installs them)"]
async fn a_domain_controller_that_stops_and_starts_under_load_causes_no_wrong_outcome() {
    let mut samba = Samba::provision_with_people();
    samba.start().await;
    let cluster = Arc::new(samba.setup("ldaps", &["--agents", "2"]).start().await);
    let over = Arc::new(AtomicBool::new(false));
    let mut load = JoinSet::new();
    let people = [
        "grace.good",
        "hugo.good",
        "jörg.weiß",
        "dean.disabled",
        "paula.past",
        "mark.mustchange",
        "nobody",
    ];
    let told: Vec<(&str, Told)> = people.map(|sam| (sam, Told::default())).to_vec();
    for (sam, told) in told.clone() {
        let (name, password) = match sam {
            "nobody" => ("nobody@corp.example.com".to_owned(), WRONG.to_owned()),
            sam => (person(sam).upn(), person(sam).password),
        };
        let (cluster, over) = (cluster.clone(), over.clone());
        load.spawn(async move {
            while !over.load(Ordering::Relaxed) {
                let outcome = outcome(&cluster, &name, &password).await;
                told.lock().await.push(outcome);
            }
        });
    }
    let wait = async |what: &str, enough: fn(&[String]) -> bool| {
        let deadline = Instant::now() + PATIENCE;
        let from: Vec<usize> = lengths(&told).await;
        loop {
            let mut all = true;
            for ((_, told), from) in told.iter().zip(&from) {
                all &= enough(&told.lock().await[*from..]);
            }
            if all {
                return;
            }
            assert!(Instant::now() < deadline, "never: {what}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let answers = |told: &[String]| {
        told.iter()
            .filter(|outcome| !outcome.starts_with("unavailable"))
            .count()
            >= 10
    };
    let failures = |told: &[String]| told.iter().filter(|outcome| outcome.starts_with("unavailable")).count() >= 3;
    wait("sign-ins are answered", answers).await;
    samba.stop();
    wait("sign-ins fail", failures).await;
    samba.start().await;
    wait("sign-ins are answered again", answers).await;
    over.store(true, Ordering::Relaxed);
    while let Some(ended) = load.join_next().await {
        ended.unwrap();
    }
    for (sam, told) in told {
        let right = if sam == "nobody" {
            "invalid_credentials"
        } else {
            person(sam).expect
        };
        let told = told.lock().await;
        let wrong: Vec<_> = told
            .iter()
            .filter(|outcome| *outcome != right && !outcome.starts_with("unavailable/"))
            .collect();
        assert!(wrong.is_empty(), "{sam}: {wrong:?}");
        if sam != "nobody" {
            assert_eq!(samba.wrong_passwords(sam), 0, "{sam}");
        }
    }
}

async fn lengths(told: &[(&str, Told)]) -> Vec<usize> {
    let mut lengths = Vec::new();
    for (_, told) in told {
        lengths.push(told.lock().await.len());
    }
    lengths
}
