//! Which names mean whom, and what those come to that mean nobody.

use super::*;

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
fn every_object_is_found_by_place_guid_and_identifier() {
    let domain = domain(Dialect::Windows, named(), 3);
    for id in domain.id_range().map(ObjectId::from) {
        let text = domain.dn_text(id);
        assert_eq!(domain.find_name(&text), Ok(Some(id)), "{text}");
        let object = domain.object(id);
        assert_eq!(domain.find_guid(object.guid), Some(id), "{text}");
        let guid = sid::guid_text(object.guid);
        assert_eq!(domain.find_name(&format!("<GUID={guid}>")), Ok(Some(id)), "{text}");
        let hexadecimal = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let guid = hexadecimal(&object.guid);
        assert_eq!(domain.find_name(&format!("<GUID={guid}>")), Ok(Some(id)), "{text}");
        if let Some(sid) = &object.sid {
            assert_eq!(domain.find_name(&format!("<SID={sid}>")), Ok(Some(id)), "{text}");
            let sid = hexadecimal(&sid.bytes());
            assert_eq!(domain.find_name(&format!("<SID={sid}>")), Ok(Some(id)), "{text}");
        }
    }
    let users = "<WKGUID=a9d1ca15768811d1aded00c04fd8d5cd,DC=corp,DC=example,DC=com>";
    assert_eq!(
        domain.find_name(users),
        domain.find_name("CN=Users,DC=corp,DC=example,DC=com")
    );
    for other in [
        "<GUID=x>",
        "<SID=x>",
        "<GUID=00>",
        "<SID=010",
        "<SID=0€0>",
        "<GUID",
        "<X=y>",
        "good",
    ] {
        assert_eq!(domain.find_name(other), Err(crate::domain::names::NotAName), "{other}");
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

/// Each was seen to keep a thread busy for a minute or for ever.
#[test]
fn names_of_megabytes_are_nobodys_at_once() {
    let long = 9_000_000;
    for dialect in [Dialect::Windows, Dialect::Samba] {
        let domain = domain(dialect, named(), 3);
        let base = "DC=corp,DC=example,DC=com";
        for name in [
            format!("{}{base}", "CN=x,".repeat(long / 5)),
            format!("corp.example.com/{}", "a/".repeat(long / 2)),
            format!("corp.example.com/{}", "Users/".repeat(long / 6)),
            format!("{}com", "DC=a,".repeat(long / 5)),
            "\\".repeat(long),
        ] {
            assert_eq!(domain.resolve(&name), Named::Nobody);
            assert_eq!(domain.find_name(&name).ok().flatten(), None);
            assert_eq!(domain.best_match(&name), None);
        }
        let path = format!("corp.example.com/{}", "a/".repeat(8_000));
        assert_eq!(domain.resolve(&path), Named::Nobody);
    }
}

#[test]
fn the_nearest_object_above_a_name_is_the_lowest_that_is_there() {
    let domain = domain(Dialect::Windows, named(), 5);
    let base = "DC=corp,DC=example,DC=com";
    let users = "CN=Users,DC=corp,DC=example,DC=com";
    let generated = "CN=user000003,CN=Users,DC=corp,DC=example,DC=com";
    for (name, above) in [
        (format!("CN=x,{users}"), Some(users)),
        (format!("CN=x,{generated}"), Some(generated)),
        (format!("CN=x,CN=nobody,{users}"), Some(users)),
        (format!("CN=Users,OU=nowhere,{base}"), Some(base)),
        (format!("{}{users}", "a=b,".repeat(200)), Some(users)),
        (base.to_owned(), None),
        ("DC=example,DC=com".to_owned(), None),
        ("CN=Users,DC=other,DC=example,DC=com".to_owned(), None),
        // More RDNs than a name has: each was looked up with all above it, in a copy.
        (format!("{}{users}", "a=b,".repeat(50_000)), None),
    ] {
        let found = domain.best_match(&name).map(|id| domain.dn_text(id));
        assert_eq!(found.as_deref(), above, "{}", &name[..name.len().min(80)]);
    }
}

#[test]
fn a_canonical_name_is_followed_down_once_however_many_parts_it_has() {
    let domain = in_a_unit(Dialect::Windows);
    // Whoever began anew at every slash would be at it for minutes.
    let slashes = "/".repeat(1_000_000);
    for name in [
        format!("corp.example.com/Users/{slashes}"),
        format!("corp.example.com/{slashes}"),
        format!("corp.example.com/Users/one{slashes}"),
    ] {
        assert_eq!(domain.resolve(&name), Named::Nobody);
    }
    for name in ["corp.example.com/Test/Good\\/User", "corp.example.com/Test/Good/User"] {
        assert_eq!(who(&domain, name).as_deref(), Some("good"), "{name}");
    }
    assert_eq!(domain.resolve("corp.example.com/Users/one\\"), Named::Nobody);
}
