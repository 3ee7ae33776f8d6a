//! Rules of searching: bases, scopes, filters, what is shown.

use proptest::prelude::*;

use super::request::Filter;
use super::text_filter::read;
use super::*;
use crate::domain::dialect::Dialect;
use crate::domain::fixture::{self, NOON as NOW, user_with};
use crate::domain::policy::Policy;
use crate::domain::settings::UserSettings;

const BASE: &str = "DC=corp,DC=example,DC=com";

fn user(sam: &str) -> UserSettings {
    UserSettings {
        cn: format!("{sam}-test"),
        ..fixture::user(sam)
    }
}

fn domain(dialect: Dialect, generated: u32) -> Domain {
    let mailed = UserSettings {
        cn: "jane-test".to_owned(),
        ..user_with("jane", "mail", "Jane.Doe@mail.example.org")
    };
    let disabled = UserSettings {
        disabled: true,
        ..user("disabled")
    };
    let mut settings = fixture::settings(dialect, vec![user("good"), mailed, disabled], generated);
    settings.generated.mail_suffix = None;
    settings.policy = Policy {
        max_password_age: None,
        ..settings.policy
    };
    Domain::new(&settings, NOW)
}

fn request(base: &str, scope: Scope, filter: &str) -> SearchRequest {
    SearchRequest {
        base: base.as_bytes().to_vec(),
        scope,
        size_limit: 0,
        time_limit: 0,
        types_only: false,
        filter: read(filter),
        attributes: vec!["sAMAccountName".to_owned(), "name".to_owned()],
    }
}

fn run(domain: &Domain, request: SearchRequest) -> (Vec<Entry>, Code) {
    let mut search = Search::begin(domain, request).expect("a base that exists");
    let mut found = Vec::new();
    loop {
        match search.step(domain, DcId::FIRST, NOW) {
            Step::Entries(entries) => found.extend(entries),
            Step::Last(entries, code) => {
                found.extend(entries);
                return (found, code);
            }
        }
    }
}

fn found(domain: &Domain, base: &str, scope: Scope, filter: &str) -> Vec<String> {
    let (entries, code) = run(domain, request(base, scope, filter));
    assert_eq!(code, Code::Success);
    let name = |entry: &Entry| {
        entry
            .get("sAMAccountName")
            .or(entry.get("name"))
            .and_then(|a| a.shown().next())
    };
    entries.iter().filter_map(name).collect()
}

#[test]
fn one_user_is_found_by_each_of_their_names() {
    let domain = domain(Dialect::Windows, 3);
    for (filter, sam) in [
        ("(sAMAccountName=GOOD)", "good"),
        ("(userPrincipalName=Good@corp.example.com)", "good"),
        ("(mail=jane.doe@MAIL.example.org)", "jane"),
        ("(cn=good-test)", "good"),
        ("(samaccountname=user000002)", "user000002"),
        ("(userPrincipalName=user000003@corp.example.com)", "user000003"),
        (
            "(&(objectClass=user)(objectCategory=person)(sAMAccountName=good))",
            "good",
        ),
        ("(&(objectClass=*)(|(mail=nobody)(sAMAccountName=jane)))", "jane"),
        ("(mail=JANE*@*.org)", "jane"),
        (
            "(&(mail=*)(objectCategory=user)(userAccountControl:1.2.840.113556.1.4.803:=512))",
            "jane",
        ),
        ("(&(sAMAccountName=j*)(!(mail=x)))", "jane"),
    ] {
        assert_eq!(found(&domain, BASE, Scope::Subtree, filter), [sam], "{filter}");
    }
}

#[test]
fn what_does_not_match_or_is_undefined_is_not_found() {
    let domain = domain(Dialect::Windows, 3);
    for filter in [
        "(sAMAccountName=nobody)",
        "(userPrincipalName=good@CORP)",
        "(!(noSuchAttribute=x))",
        "(noSuchAttribute=*)",
        "(&(sAMAccountName=good)(mail=*))",
        "(&(sAMAccountName=good)(!(objectClass=user)))",
        "(badPwdCount=many)",
    ] {
        assert_eq!(found(&domain, BASE, Scope::Subtree, filter), [""; 0], "{filter}");
    }
    assert_eq!(
        found(
            &domain,
            BASE,
            Scope::Subtree,
            "(|(noSuchAttribute=x)(sAMAccountName=good))"
        ),
        ["good"]
    );
    assert_eq!(
        found(
            &domain,
            BASE,
            Scope::Subtree,
            "(&(!(mail=x))(!(mail=*))(objectCategory=person)(cn=*-test))"
        ),
        ["good", "disabled"]
    );
}

#[test]
fn scopes_reach_what_they_say() {
    let domain = domain(Dialect::Windows, 2);
    let users = format!("CN=Users,{BASE}");
    let good = format!("CN=good-test,{users}");
    let any = "(objectClass=*)";
    assert_eq!(found(&domain, BASE, Scope::Base, any), ["corp"]);
    assert!(found(&domain, BASE, Scope::OneLevel, any).contains(&"Users".to_owned()));
    assert!(!found(&domain, BASE, Scope::OneLevel, any).contains(&"good".to_owned()));
    assert_eq!(found(&domain, &users, Scope::Base, any), ["Users"]);
    let people = "(&(objectClass=user)(|(cn=*-test)(cn=user*)))";
    assert_eq!(found(&domain, &users, Scope::OneLevel, people).len(), 5);
    assert_eq!(found(&domain, &good, Scope::Base, any), ["good"]);
    assert_eq!(found(&domain, &good, Scope::OneLevel, any), [""; 0]);
    assert_eq!(found(&domain, &good, Scope::Subtree, "(sAMAccountName=good)"), ["good"]);
    assert_eq!(found(&domain, &good, Scope::Subtree, "(sAMAccountName=jane)"), [""; 0]);
    assert_eq!(found(&domain, BASE, Scope::OneLevel, "(sAMAccountName=good)"), [""; 0]);
}

#[test]
fn the_configuration_is_a_naming_context_of_its_own() {
    let domain = domain(Dialect::Windows, 0);
    let configuration = format!("CN=Configuration,{BASE}");
    let names = "(nETBIOSName=CORP)";
    assert_eq!(found(&domain, BASE, Scope::Subtree, names), [""; 0]);
    assert_eq!(found(&domain, &configuration, Scope::Subtree, names), ["CORP"]);
    let any = "(objectClass=*)";
    assert!(!found(&domain, BASE, Scope::OneLevel, any).contains(&"Configuration".to_owned()));
}

#[test]
fn a_base_that_is_not_there_is_told_with_the_nearest_that_is() {
    let domain = domain(Dialect::Windows, 0);
    let refused = |base| Search::begin(&domain, request(base, Scope::Base, "(objectClass=*)")).expect_err("no base");
    let refusal = refused("CN=nobody,CN=Users,DC=corp,DC=example,DC=com");
    assert_eq!(
        (refusal.code, refusal.matched_dn.as_str()),
        (Code::NoSuchObject, "CN=Users,DC=corp,DC=example,DC=com")
    );
    assert!(refusal.text.starts_with("0000208D: NameErr:"));
    assert_eq!(refused("DC=other").matched_dn, "");
    assert_eq!(refused("no name").code, Code::InvalidDnSyntax);
}

#[test]
fn a_search_ends_at_its_size_limit_on_windows() {
    let any = "(objectClass=user)";
    let windows = domain(Dialect::Windows, 3000);
    let limited = |limit| SearchRequest {
        size_limit: limit,
        ..request(BASE, Scope::Subtree, any)
    };
    for (limit, expected) in [(0, 1000), (3, 3), (5000, 1000)] {
        let (entries, code) = run(&windows, limited(limit));
        assert_eq!(
            (entries.len(), code),
            (expected, Code::SizeLimitExceeded),
            "limit {limit}"
        );
    }
    let exactly = SearchRequest {
        size_limit: 1,
        ..request(BASE, Scope::Subtree, "(sAMAccountName=good)")
    };
    assert_eq!(run(&windows, exactly).1, Code::Success);
    // The three named ones, the generated, those that every domain has, and its controller.
    assert_eq!(run(&domain(Dialect::Samba, 3000), limited(3)).0.len(), 3 + 3000 + 3 + 1);
}

#[test]
fn computed_attributes_are_shown_only_when_asked_for() {
    let domain = domain(Dialect::Windows, 0);
    let shown = |attrs: &[&str]| {
        let attributes = attrs.iter().map(|name| (*name).to_owned()).collect();
        let request = SearchRequest {
            attributes,
            ..request(BASE, Scope::Subtree, "(sAMAccountName=good)")
        };
        let (entries, _) = run(&domain, request);
        entries[0]
            .attributes
            .iter()
            .map(|attribute| attribute.name)
            .collect::<Vec<_>>()
    };
    assert!(!shown(&[]).contains(&"msDS-User-Account-Control-Computed"));
    assert_eq!(shown(&[]), shown(&["*"]));
    assert_eq!(shown(&["1.1"]), [""; 0]);
    assert_eq!(
        shown(&["MSDS-user-account-control-computed", "SAMACCOUNTNAME"]),
        ["sAMAccountName", "msDS-User-Account-Control-Computed"]
    );
}

fn any_filter() -> impl Strategy<Value = Filter> {
    let name = prop::sample::select(vec![
        "sAMAccountName",
        "mail",
        "cn",
        "noSuchAttribute",
        "badPwdCount",
        "userPrincipalName",
    ]);
    let value = prop::sample::select(vec![
        "good",
        "jane",
        "user000001",
        "0",
        "good@corp.example.com",
        "jane.doe@mail.example.org",
    ]);
    let leaf = prop_oneof![
        (name.clone(), value).prop_map(|(name, value)| Filter::Equality(name.to_owned(), value.as_bytes().to_vec())),
        name.prop_map(|name| Filter::Present(name.to_owned())),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::And),
            prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::Or),
            inner.prop_map(|part| Filter::Not(Box::new(part))),
        ]
    })
}

proptest! {
    /// Looking only at the accounts that a filter names finds the same as looking at all of them.
    #[test]
    fn the_indexes_change_no_answer(filter in any_filter()) {
        let domain = domain(Dialect::Windows, 2);
        let by_index = run(&domain, SearchRequest { filter: filter.clone(), ..request(BASE, Scope::Subtree, "(a=b)") }).0;
        let by_looking: Vec<_> = domain
            .id_range()
            .map(ObjectId::from)
            .filter(|id| !domain.is_configuration(*id))
            .map(|id| Entry { dn: domain.dn_text(id), attributes: domain.attributes(DcId::FIRST, id, NOW) })
            .filter(|entry| filter::evaluate(&filter, entry, &domain) == Some(true))
            .map(|entry| entry.dn)
            .collect();
        prop_assert_eq!(by_index.into_iter().map(|entry| entry.dn).collect::<Vec<_>>(), by_looking);
    }
}
