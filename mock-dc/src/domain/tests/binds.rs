//! What binds count and change, one after another and at once.

use std::sync::Barrier;

use super::*;

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
    assert_eq!(samba.state(DcId::FIRST, id, NOW).counters.bad_pwd_count, 3);
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
                    domain.bind(DcId::FIRST, "CORP\\good", "wrong", NOW, |decision| {
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
    let before = domain.state(DcId::FIRST, id, NOW);
    let years = NOW.after(Duration::from_secs(86_400 * 3650));
    for now in [NOW, years] {
        for password in [PASSWORD, "wrong"] {
            let (decision, ()) = domain.bind(DcId::FIRST, "CORP\\locked", password, now, |_| ());
            assert_eq!(decision.result, BindResult::Rejected(SubCode::LockedOut));
        }
    }
    assert_eq!(domain.state(DcId::FIRST, id, NOW), before);
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
    assert_eq!(domain.changed_accounts(), 0);
    assert_eq!(told(&domain, "CORP\\exempt", PASSWORD).result, BindResult::Success);
}

#[test]
fn a_probe_answers_as_a_bind_would_and_changes_nothing() {
    let domain = domain(Dialect::Windows, named(), 1);
    let wrong = BindResult::Rejected(SubCode::LogonFailure);
    for _ in 0..5 {
        assert_eq!(domain.probe(DcId::FIRST, "CORP\\good", "wrong", NOW).result, wrong);
    }
    for user in ["CORP\\good", "good", "good@corp.example.com"] {
        assert_eq!(
            domain.probe(DcId::FIRST, user, PASSWORD, NOW).result,
            BindResult::Success,
            "{user}"
        );
    }
    assert_eq!(
        domain
            .probe(DcId::FIRST, "zoe.mail@MAIL.example.org", PASSWORD, NOW)
            .result,
        BindResult::Success
    );
    assert_eq!(domain.probe(DcId::FIRST, "nobody", PASSWORD, NOW).result, wrong);
    assert_eq!(domain.changed_accounts(), 0);
}

#[test]
fn a_probe_takes_no_update_sequence_number() {
    let domain = domain(Dialect::Windows, vec![user("good")], 0);
    let sign_in_anew = NOW.after(Duration::from_secs(20 * 86_400));
    let before = domain.highest_usn();
    let success = domain.probe(DcId::FIRST, "good", PASSWORD, sign_in_anew).result;
    assert_eq!(success, BindResult::Success, "it would note a logon");
    for _ in 0..2 {
        told(&domain, "CORP\\good", "wrong");
    }
    domain.probe(DcId::FIRST, "good", "wrong", NOW);
    assert_eq!(domain.highest_usn(), before, "nor the one that would lock");
    told(&domain, "CORP\\good", "wrong");
    assert_eq!(domain.highest_usn(), before + 1, "the bind that locks does");
}

#[test]
fn a_bind_that_overlaps_a_rename_or_a_reset_is_decided_by_the_names_of_its_turn() {
    let domain = domain(Dialect::Windows, named(), 1);
    let good = domain.find_sam("good").unwrap();
    let rename = |to: &str| {
        let mut edits = edit::Edits::default();
        edits.attribute("sAMAccountName", vec![to.as_bytes().to_vec()]).unwrap();
        domain.edit(DcId::FIRST, good, edits, NOW).unwrap();
    };
    let (before, after) = (
        domain.attempt(b"CORP\\good", PASSWORD.as_bytes()),
        domain.attempt(b"CORP\\better", PASSWORD.as_bytes()),
    );
    rename("better");
    let decide = |attempt| domain.decide(attempt, DcId::FIRST, NOW, |_| ()).0;
    assert_eq!(decide(&before).account, None);
    assert_eq!(decide(&after).account, Some(good));
    let overlaps = domain.attempt(b"CORP\\better", PASSWORD.as_bytes());
    domain.reset();
    assert_eq!(decide(&overlaps).account, None);
    assert_eq!(decide(&before).result, BindResult::Success);
}
