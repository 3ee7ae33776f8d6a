//! Rules of the whole domain: which names mean whom, what is counted, what takes memory.

use std::sync::Barrier;
use std::time::Duration;

use super::fixture::{NOON as NOW, PASSWORD, domain, settings, user, user_with};
use super::policy::{LockoutDuration, LockoutPolicy};
use super::settings::{GroupSettings, Lock, PasswordSettingsSettings, UnitSettings, UserSettings};
use super::*;

fn named() -> Vec<UserSettings> {
    let other = UserSettings {
        upn: Some("someone.else@other.example.net".to_owned()),
        cn: "Smith, Jane".to_owned(),
        ..user("jane")
    };
    let mailed = user_with("zoë", "mail", "Zoe.Mail@mail.example.org");
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
    domain.resolve(name).object().map(|id| domain.sam(id))
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
        let found = domain.find(Key::Mail, mail).into_iter();
        found.map(|id| domain.sam(id).into_owned()).collect()
    };
    assert_eq!(who("USER000005@people.Example.net"), ["user000005"]);
    assert_eq!(who("zoe.mail@mail.example.org"), ["zoë"]);
    let id = domain.find_sam("user000005").unwrap();
    assert!(domain.object(id).texts("mail").eq(["user000005@People.example.net"]));
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
            .object()
            .is_some()
    );
    assert!(
        domain(Dialect::Samba, named(), 0)
            .resolve("good@mail.example.org")
            .object()
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
    assert_eq!(domain.changed_accounts(), 0);
    assert_eq!(told(&domain, "CORP\\exempt", PASSWORD).result, BindResult::Success);
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
fn every_shown_attribute_is_known_to_filters_with_its_syntax() {
    let all = UserSettings {
        logon_hours: Some([0xff; 21]),
        workstations: Some("W".to_owned()),
        lock: Lock::UntilUnlocked,
        ..user_with("all", "mail", "a@b")
    };
    let domain = domain(Dialect::Windows, vec![all], 1);
    for id in domain.id_range().map(ObjectId::from) {
        for attribute in domain.attributes(id, NOW) {
            assert_eq!(
                schema::known(attribute.name),
                Some((attribute.name, attribute.syntax)),
                "{}",
                domain.dn_text(id)
            );
        }
    }
}

#[test]
fn every_object_is_found_by_place_guid_and_identifier() {
    let domain = domain(Dialect::Windows, named(), 3);
    for id in domain.id_range().map(ObjectId::from) {
        let text = domain.dn_text(id);
        assert_eq!(domain.find_name(&text), Ok(Some(id)), "{text}");
        let object = domain.object(id);
        assert_eq!(domain.find_guid(object.guid), Some(id), "{text}");
        let guid = sid::guid_text(object.guid);
        assert_eq!(domain.find_name(&format!("<GUID={guid}>")), Ok(Some(id)), "{text}");
        if let Some(sid) = &object.sid {
            assert_eq!(domain.find_name(&format!("<SID={sid}>")), Ok(Some(id)), "{text}");
        }
    }
    let users = "<WKGUID=a9d1ca15768811d1aded00c04fd8d5cd,DC=corp,DC=example,DC=com>";
    assert_eq!(
        domain.find_name(users),
        domain.find_name("CN=Users,DC=corp,DC=example,DC=com")
    );
    for other in ["<GUID=x>", "<SID=x>", "<GUID", "<X=y>", "good"] {
        assert_eq!(domain.find_name(other), Err(names::NotAName), "{other}");
    }
}

fn in_a_unit(dialect: Dialect) -> Domain {
    let mut settings = settings(
        dialect,
        vec![
            UserSettings {
                path: Some("OU=Test".to_owned()),
                cn: "Good/User".to_owned(),
                ..user_with("good", "displayName", "Good Display Name")
            },
            user_with("one", "displayName", "Twin"),
            user_with("two", "displayName", "Twin"),
            user_with("web", "servicePrincipalName", "HOST/web.corp.example.com"),
        ],
        1,
    );
    settings.units.push(UnitSettings {
        name: "Test".to_owned(),
        path: None,
    });
    Domain::new(&settings, NOW)
}

#[test]
fn windows_tries_every_form_of_a_name() {
    let domain = in_a_unit(Dialect::Windows);
    let good = domain.object(domain.find_sam("good").unwrap()).into_owned();
    let (guid, sid) = (sid::guid_text(good.guid), good.sid.unwrap());
    for name in [
        "corp.example.com/Test/Good\\/User",
        "CORP.EXAMPLE.COM/test\nGood\\/User",
        &format!("{{{guid}}}"),
        "good display  name",
        &sid.to_string(),
    ] {
        assert_eq!(who(&domain, name).as_deref(), Some("good"), "{name}");
    }
    for name in ["HOST/web.corp.example.com", "http/WEB.corp.example.com"] {
        assert_eq!(who(&domain, name).as_deref(), Some("web"), "{name}");
    }
    for name in [&guid, "good", "Good/User", "smtp/web.corp.example.com"] {
        assert_eq!(domain.resolve(name), Named::Nobody, "{name}");
    }
    assert_eq!(domain.resolve("Twin"), Named::Several);
}

#[test]
fn samba_takes_a_name_for_one_form_by_its_letters() {
    let domain = in_a_unit(Dialect::Samba);
    let good = domain.object(domain.find_sam("good").unwrap()).into_owned();
    let (guid, sid) = (sid::guid_text(good.guid), good.sid.unwrap());
    for name in [
        &format!("<GUID={guid}>;CN=x"),
        &format!("{sid}x"),
        "CN=Good/User,OU=Test,DC=corp,DC=example,DC=com ",
        "CORP \\ good\0x",
    ] {
        assert_eq!(who(&domain, name).as_deref(), Some("good"), "{name}");
    }
    for name in [
        &format!("{{{guid}}}"),
        &format!(" {sid}"),
        "Good Display Name",
        "HOST/web.corp.example.com",
        "corp.example.com/Test/Good\\/User",
        "CORP\\good@corp.example.com",
        "/Users/one",
    ] {
        assert_eq!(domain.resolve(name), Named::Nobody, "{name}");
    }
    assert_eq!(who(&domain, "corp.example.com/Users\none").as_deref(), Some("one"));
}

#[test]
fn what_is_no_account_is_refused_as_each_dialect_does() {
    let cases = [
        ("DC=corp,DC=example,DC=com", "57", "52e"),
        ("CN=Users,DC=corp,DC=example,DC=com", "57", "1f"),
        ("CN=Domain Users,CN=Users,DC=corp,DC=example,DC=com", "57", "52e"),
        ("CN=Administrators,CN=Builtin,DC=corp,DC=example,DC=com", "57", "51f"),
        (
            "CN=S-1-5-11,CN=ForeignSecurityPrincipals,DC=corp,DC=example,DC=com",
            "57",
            "1f",
        ),
    ];
    for (name, windows, samba) in cases {
        for (dialect, code) in [(Dialect::Windows, windows), (Dialect::Samba, samba)] {
            let result = told(&domain(dialect, named(), 0), name, "x").result;
            assert_eq!(result.sub_code().map(SubCode::text), Some(code), "{name}, {dialect:?}");
        }
    }
    let twins = told(&in_a_unit(Dialect::Windows), "Twin", PASSWORD).result;
    assert_eq!(twins, BindResult::Rejected(SubCode::InvalidParameter));
}

#[test]
fn the_fine_grained_policy_of_a_user_or_its_groups_holds() {
    let mut settings = settings(Dialect::Windows, vec![user("direct"), user("member"), user("other")], 2);
    let policy = |threshold| Policy {
        lockout: LockoutPolicy {
            threshold,
            duration: LockoutDuration::UntilUnlocked,
            ..settings.policy.lockout
        },
        ..settings.policy
    };
    let own = |name: &str, precedence, threshold, applies_to: &[&str]| PasswordSettingsSettings {
        name: name.to_owned(),
        precedence,
        policy: policy(threshold),
        applies_to: applies_to.iter().map(|who| (*who).to_owned()).collect(),
    };
    settings.password_settings = vec![
        own("direct", 50, 5, &["direct"]),
        own("outer", 10, 7, &["Outer"]),
        own("everybody", 90, 9, &["Domain Users"]),
    ];
    let group = |name: &str, members: &[&str]| GroupSettings {
        name: name.to_owned(),
        path: None,
        scope: builtin::GroupScope::Global,
        members: members.iter().map(|who| (*who).to_owned()).collect(),
        rid: None,
    };
    settings.groups = vec![group("Inner", &["member"]), group("Outer", &["Inner", "direct"])];
    let domain = Domain::new(&settings, NOW);
    for (sam, threshold) in [("direct", 5), ("member", 7), ("other", 9), ("user000002", 9)] {
        let id = domain.find_sam(sam).unwrap();
        assert_eq!(domain.policy_of(id).lockout.threshold, threshold, "{sam}");
    }
    let shown = |sam: &str, name: &str| {
        let attributes = domain.attributes(domain.find_sam(sam).unwrap(), NOW);
        let found = attributes.iter().find(|attribute| attribute.name == name);
        found.map(|attribute| attribute.shown().collect::<Vec<_>>())
    };
    let container = "CN=Password Settings Container,CN=System,DC=corp,DC=example,DC=com";
    assert_eq!(
        shown("member", "msDS-ResultantPSO"),
        Some(vec![format!("CN=outer,{container}")])
    );
    assert_eq!(
        shown("member", "memberOf"),
        Some(vec!["CN=Inner,CN=Users,DC=corp,DC=example,DC=com".to_owned()]),
        "no primary group, and none of the groups' own"
    );
}
