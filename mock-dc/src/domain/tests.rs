//! Rules of the whole domain: which names mean whom, what is counted, what takes memory.

use std::sync::Barrier;
use std::time::Duration;

use super::policy::LockoutDuration;
use super::settings::{GeneratedSettings, Lock, PasswordSet, UserSettings};
use super::*;

const NOW: FileTime = FileTime(134_398_224_000_000_000);
const PASSWORD: &str = "Str0ng-Passw0rd!";

fn user(sam: &str) -> UserSettings {
    UserSettings {
        sam: sam.to_owned(),
        cn: sam.to_owned(),
        upn: Some(format!("{sam}@corp.example.com")),
        mail: None,
        display_name: None,
        nt_hash: NtHash::of(PASSWORD),
        disabled: false,
        account_expires: FileTime::NEVER,
        password_set: PasswordSet::Now,
        password_never_expires: false,
        logon_hours: None,
        workstations: None,
        lock: Lock::Open,
    }
}

fn domain(dialect: Dialect, users: Vec<UserSettings>, generated: u32) -> Domain {
    let lockout = LockoutPolicy {
        threshold: 3,
        duration: LockoutDuration::For(Duration::from_secs(1800)),
        window: Duration::from_secs(1800),
    };
    let settings = DomainSettings {
        dns_name: "corp.example.com".to_owned(),
        netbios: "CORP".to_owned(),
        upn_suffixes: vec!["mail.example.org".to_owned()],
        dialect,
        policy: Policy {
            lockout,
            max_password_age: Some(Duration::from_secs(42 * 86_400)),
        },
        users,
        generated: GeneratedSettings {
            count: generated,
            password: "Postern-{n}".to_owned(),
            mail_suffix: Some("People.example.net".to_owned()),
        },
    };
    Domain::new(&settings, NOW)
}

fn named() -> Vec<UserSettings> {
    let other = UserSettings {
        upn: Some("someone.else@other.example.net".to_owned()),
        cn: "Smith, Jane".to_owned(),
        ..user("jane")
    };
    let mailed = UserSettings {
        mail: Some("Zoe.Mail@mail.example.org".to_owned()),
        ..user("zoë")
    };
    vec![
        user("good"),
        other,
        mailed,
        UserSettings {
            upn: None,
            ..user("noupn")
        },
    ]
}

fn told(domain: &Domain, name: &str, password: &str) -> Decision {
    domain.bind(name, password, NOW, |_| ()).0
}

fn who<'a>(domain: &'a Domain, name: &str) -> Option<Cow<'a, str>> {
    domain.resolve(name).map(|id| domain.sam(id))
}

#[test]
fn every_form_of_a_name_means_its_account() {
    let domain = domain(Dialect::Windows, named(), 5);
    for (name, sam) in [
        ("good@corp.example.com", "good"),
        ("GOOD@CORP.EXAMPLE.COM ", "good"),
        ("good@CORP", "good"),
        ("good@mail.example.org", "good"),
        ("corp\\Good", "good"),
        ("cn=good, cn=users, dc=corp, dc=example, dc=com", "good"),
        ("someone.else@other.example.net", "jane"),
        ("jane@corp.example.com", "jane"),
        ("CN=Smith\\, Jane,CN=Users,DC=corp,DC=example,DC=com", "jane"),
        ("noupn@corp.example.com", "noupn"),
        ("ZOË@corp.example.com", "zoë"),
        ("user000005@corp.example.com", "user000005"),
        ("CORP\\user000001", "user000001"),
        ("CN=user000003,CN=Users,DC=corp,DC=example,DC=com", "user000003"),
    ] {
        assert_eq!(who(&domain, name).as_deref(), Some(sam), "{name}");
    }
}

#[test]
fn generated_accounts_have_mail_addresses_that_are_found_and_no_others() {
    let domain = domain(Dialect::Windows, named(), 5);
    let who = |mail: &str| -> Vec<String> {
        let found = domain.with_mail(mail).into_iter();
        found.map(|id| domain.sam(id).into_owned()).collect()
    };
    assert_eq!(who("USER000005@people.Example.net"), ["user000005"]);
    assert_eq!(who("zoe.mail@mail.example.org"), ["zoë"]);
    let id = domain.find_sam("user000005").unwrap();
    assert_eq!(
        domain.account(id).mail.as_deref(),
        Some("user000005@People.example.net")
    );
    for nobody in [
        "user000006@people.example.net",
        "user000005@mail.example.org",
        "good@people.example.net",
        "@",
        "",
    ] {
        assert!(who(nobody).is_empty(), "{nobody}");
    }
    // They take no more memory than without.
    assert_eq!(domain.changed_accounts(), 0);
}

#[test]
fn other_names_mean_nobody_and_read_as_a_wrong_password() {
    let domain = domain(Dialect::Windows, named(), 5);
    for name in [
        "good",
        "OTHER\\good",
        "corp.example.com\\good",
        "CORP/good",
        "good@nope.example.net",
        "zoe@corp.example.com",
        "Zoe.Mail@mail.example.org",
        "nobody@corp.example.com",
        "user000000@corp.example.com",
        "user000006@corp.example.com",
        "user5@corp.example.com",
        "user0000005@corp.example.com",
        "user+00005@corp.example.com",
        "CN=good,DC=corp,DC=example,DC=com",
        "DC=corp,DC=example,DC=com",
        "CN=good,,DC=corp",
        "",
    ] {
        let decision = told(&domain, name, PASSWORD);
        assert_eq!(
            decision,
            Decision {
                account: None,
                result: BindResult::Rejected(SubCode::LogonFailure)
            },
            "{name:?}"
        );
    }
    assert_eq!(domain.changed_accounts(), 0);
}

#[test]
fn an_extra_suffix_implies_names_on_windows_only() {
    assert!(
        domain(Dialect::Windows, named(), 0)
            .resolve("good@mail.example.org")
            .is_some()
    );
    assert!(
        domain(Dialect::Samba, named(), 0)
            .resolve("good@mail.example.org")
            .is_none()
    );
}

#[test]
fn an_empty_password_is_anonymous_on_windows_and_a_wrong_one_on_samba() {
    let windows = domain(Dialect::Windows, named(), 0);
    for name in ["good@corp.example.com", "nobody@corp.example.com"] {
        assert_eq!(
            told(&windows, name, ""),
            Decision {
                account: None,
                result: BindResult::Anonymous
            }
        );
    }
    assert_eq!(windows.changed_accounts(), 0);

    let samba = domain(Dialect::Samba, named(), 0);
    let id = samba.find_sam("good").unwrap();
    for _ in 0..3 {
        assert_eq!(
            told(&samba, "good@corp.example.com", "").result,
            BindResult::Rejected(SubCode::LogonFailure)
        );
    }
    assert_eq!(samba.state(id).bad_pwd_count, 3);
    assert_eq!(
        told(&samba, "good@corp.example.com", "").result,
        BindResult::Rejected(SubCode::LockedOut)
    );
}

#[test]
fn all_forms_of_a_name_share_one_count() {
    let domain = domain(Dialect::Windows, named(), 0);
    let forms = [
        "good@corp.example.com",
        "CORP\\good",
        "CN=good,CN=Users,DC=corp,DC=example,DC=com",
    ];
    for name in forms {
        assert_eq!(
            told(&domain, name, "wrong").result,
            BindResult::Rejected(SubCode::LogonFailure)
        );
    }
    for name in forms {
        assert_eq!(
            told(&domain, name, PASSWORD).result,
            BindResult::Rejected(SubCode::LockedOut)
        );
    }
}

#[test]
fn only_accounts_that_changed_take_memory() {
    let domain = domain(Dialect::Windows, named(), 1_000_000);
    for number in 1..=500 {
        let name = format!("user{number:06}@corp.example.com");
        assert_eq!(
            told(&domain, &name, &format!("Postern-{number:06}")).result,
            BindResult::Success
        );
    }
    assert_eq!(
        told(&domain, "user1000000@corp.example.com", "Postern-1000000").result,
        BindResult::Success
    );
    assert_eq!(domain.changed_accounts(), 0, "a plain success was stored");
    told(&domain, "user000007@corp.example.com", "wrong");
    assert_eq!(domain.changed_accounts(), 1);
    domain.reset();
    assert_eq!(domain.changed_accounts(), 0);
}

#[test]
fn twelve_parallel_wrong_passwords_are_three_52e_and_nine_775() {
    let domain = domain(Dialect::Windows, named(), 0);
    for _ in 0..50 {
        let start = Barrier::new(12);
        let mut told: Vec<_> = std::thread::scope(|scope| {
            let binds: Vec<_> = (0..12)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        told(&domain, "CORP\\good", "wrong")
                            .result
                            .sub_code()
                            .map(SubCode::text)
                    })
                })
                .collect();
            binds.into_iter().map(|bind| bind.join().unwrap().unwrap()).collect()
        });
        told.sort_unstable();
        assert_eq!(told[..3], ["52e"; 3]);
        assert_eq!(told[3..], ["775"; 9]);
        domain.reset();
    }
}

#[test]
fn what_is_recorded_is_in_the_order_of_the_decisions() {
    let domain = domain(Dialect::Windows, named(), 0);
    let log = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..20 {
                    domain.bind("CORP\\good", "wrong", NOW, |decision| {
                        log.lock().unwrap().push(decision.result)
                    });
                }
            });
        }
    });
    let log = log.into_inner().unwrap();
    assert_eq!(log[..3], [BindResult::Rejected(SubCode::LogonFailure); 3]);
    assert!(
        log[3..]
            .iter()
            .all(|result| *result == BindResult::Rejected(SubCode::LockedOut))
    );
}

#[test]
fn an_account_locked_until_unlocked_never_changes_by_signing_in() {
    let users = vec![UserSettings {
        lock: Lock::UntilUnlocked,
        ..user("locked")
    }];
    let domain = domain(Dialect::Windows, users, 0);
    let id = domain.find_sam("locked").unwrap();
    let before = domain.state(id);
    let years = NOW.after(Duration::from_secs(86_400 * 3650));
    for now in [NOW, years] {
        for password in [PASSWORD, "wrong"] {
            let (decision, ()) = domain.bind("CORP\\locked", password, now, |_| ());
            assert_eq!(decision.result, BindResult::Rejected(SubCode::LockedOut));
        }
    }
    assert_eq!(domain.state(id), before);
}

#[test]
fn an_exempt_account_is_never_counted() {
    let domain = domain(
        Dialect::Windows,
        vec![UserSettings {
            lock: Lock::Exempt,
            ..user("exempt")
        }],
        0,
    );
    for _ in 0..10 {
        assert_eq!(
            told(&domain, "CORP\\exempt", "wrong").result,
            BindResult::Rejected(SubCode::LogonFailure)
        );
    }
    assert_eq!(told(&domain, "CORP\\exempt", PASSWORD).result, BindResult::Success);
    assert_eq!(domain.changed_accounts(), 0);
}

#[test]
fn a_probe_answers_as_a_bind_would_and_changes_nothing() {
    let domain = domain(Dialect::Windows, named(), 1);
    let wrong = BindResult::Rejected(SubCode::LogonFailure);
    for _ in 0..5 {
        assert_eq!(domain.probe("CORP\\good", "wrong", NOW).result, wrong);
    }
    for user in ["CORP\\good", "good", "good@corp.example.com"] {
        assert_eq!(domain.probe(user, PASSWORD, NOW).result, BindResult::Success, "{user}");
    }
    assert_eq!(
        domain.probe("zoe.mail@MAIL.example.org", PASSWORD, NOW).result,
        BindResult::Success
    );
    assert_eq!(domain.probe("nobody", PASSWORD, NOW).result, wrong);
    assert_eq!(domain.changed_accounts(), 0);
}

#[test]
fn every_shown_attribute_is_known_to_filters() {
    let all = UserSettings {
        mail: Some("a@b".to_owned()),
        display_name: Some("D".to_owned()),
        logon_hours: Some([0xff; 21]),
        workstations: Some("W".to_owned()),
        lock: Lock::Locked,
        ..user("all")
    };
    let domain = domain(Dialect::Windows, vec![all], 0);
    let id = domain.find_sam("all").unwrap();
    let shown: Vec<_> = domain
        .attributes(id, NOW)
        .iter()
        .map(|attribute| attribute.name)
        .collect();
    let mut known: Vec<_> = attributes::USER_ATTRIBUTES.to_vec();
    let mut sorted = shown.clone();
    sorted.sort_unstable();
    known.sort_unstable();
    assert_eq!(sorted, known);
}
