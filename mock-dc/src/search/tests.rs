//! Rules of searching: bases, scopes, filters, what is shown.

use super::text_filter::read;
use super::*;
use crate::domain::dialect::Dialect;
use crate::domain::edit::Edits;
use crate::domain::fixture::{self, NOON as NOW, user_with};
use crate::domain::policy::Policy;
use crate::domain::settings::UserSettings;
use crate::search::request::Filter;

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

#[test]
fn one_step_finds_few_entries_and_makes_few_comparisons() {
    let domain = domain(Dialect::Windows, 600);
    let first_step = |filter| {
        let asked = SearchRequest {
            filter,
            ..request(BASE, Scope::Subtree, "(cn=*)")
        };
        let mut search =
            Search::begin(&domain, asked, Options::default(), Client::default()).expect("a base that exists");
        let step = search.step(&domain, DcId::FIRST, NOW, Duration::ZERO);
        let Step::Entries(found) = step else {
            panic!("there are more than 600")
        };
        (found.len(), search.at)
    };
    let all = Filter::Present("objectClass".to_owned());
    assert_eq!(first_step(all.clone()).0, FOUND);
    let none = Filter::Not(Box::new(all));
    assert_eq!(first_step(none.clone()), (0, 256));
    assert_eq!(first_step(Filter::And(vec![none; 20_000])), (0, 1));
    let long = |name: &str| Filter::Equality(name.to_owned(), vec![b'x'; VALUES]);
    assert_eq!(first_step(long("description")), (0, 1));
    // What is compared with every name, and what follows links.
    let short = |name: &str| Filter::Equality(name.to_owned(), vec![b'x'; 6_400]);
    assert_eq!(first_step(short("description")), (0, 162));
    assert_eq!(first_step(short("anr")), (0, 10));
    let chain = format!("(member:1.2.840.113556.1.4.1941:=CN=Users,{BASE})");
    assert_eq!(first_step(read(&chain)), (0, 15));
    assert_eq!(first_step(Filter::Not(Box::new(read(&chain)))).1, 15);
}

#[test]
fn a_filter_of_too_long_values_is_refused() {
    let domain = domain(Dialect::Windows, 0);
    let begun = |filter: &Filter| {
        let asked = SearchRequest {
            filter: filter.clone(),
            ..request(BASE, Scope::Subtree, "(cn=*)")
        };
        let begun = Search::begin(&domain, asked, Options::default(), Client::default());
        begun.map(|_| ()).map_err(|refusal| refusal.code)
    };
    let value = |length| Filter::Equality("description".to_owned(), vec![b'x'; length]);
    let half = || Filter::Not(Box::new(value(VALUES / 2)));
    let two = Filter::Substring(
        "cn".to_owned(),
        request::Substring {
            initial: Some(vec![b'x'; VALUES]),
            any: Vec::new(),
            last: Some(vec![b'x']),
        },
    );
    assert_eq!(begun(&Filter::And(vec![half(), half()])), Ok(()));
    for filter in [
        value(VALUES + 1),
        two,
        Filter::Or(vec![half(), half(), value(1)]),
        Filter::Not(Box::new(value(9_000_000))),
    ] {
        assert_eq!(begun(&filter), Err(Code::AdminLimitExceeded));
    }
}

fn run(domain: &Domain, request: SearchRequest) -> (Vec<Entry>, Code) {
    let mut search = Search::begin(domain, request, Options::default(), Client::default()).expect("a base that exists");
    let mut found = Vec::new();
    loop {
        match search.step(domain, DcId::FIRST, NOW, Duration::ZERO) {
            Step::Entries(entries) => found.extend(entries),
            Step::Last(entries, done) => {
                found.extend(entries);
                return (found, done.result.code);
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
    let refused = |base| {
        Search::begin(
            &domain,
            request(base, Scope::Base, "(objectClass=*)"),
            Options::default(),
            Client::default(),
        )
        .expect_err("no base")
    };
    let refusal = refused("CN=nobody,CN=Users,DC=corp,DC=example,DC=com");
    assert_eq!(
        (refusal.code, refusal.matched_dn.as_str()),
        (Code::NoSuchObject, "CN=Users,DC=corp,DC=example,DC=com")
    );
    assert!(refusal.text.starts_with("0000208D: NameErr:"));
    assert_eq!(refused("DC=other").code, Code::Referral);
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

#[test]
fn what_is_undefined_is_false_to_samba_alone() {
    let (windows, samba) = (domain(Dialect::Windows, 0), domain(Dialect::Samba, 0));
    let people = |filter: &str| format!("(&(objectCategory=person)(cn=*-test){filter})");
    for filter in ["(!(noSuchAttribute=x))", "(!(objectClass=noSuchClass))"] {
        let filter = people(filter);
        assert_eq!(found(&windows, BASE, Scope::Subtree, &filter), [""; 0], "{filter}");
        assert_eq!(found(&samba, BASE, Scope::Subtree, &filter).len(), 3, "{filter}");
    }
    for filter in [
        "(userAccountControl=0x200)",
        "(userAccountControl= 512)",
        "(userAccountControl=51*)",
    ] {
        let filter = people(filter);
        assert_eq!(found(&windows, BASE, Scope::Subtree, &filter), [""; 0], "{filter}");
        assert!(!found(&samba, BASE, Scope::Subtree, &filter).is_empty(), "{filter}");
    }
}

#[test]
fn values_are_compared_by_their_syntax() {
    let domain = domain(Dialect::Windows, 0);
    let good = domain.object(domain.find_sam("good").unwrap()).into_owned();
    let escaped = |bytes: &[u8]| bytes.iter().map(|byte| format!("\\{byte:02x}")).collect::<String>();
    let sid = good.sid.unwrap();
    for filter in [
        format!("(objectGUID={})", escaped(&good.guid)),
        format!("(objectGUID={})", crate::domain::sid::guid_text(good.guid)),
        format!("(objectSid={})", escaped(&sid.bytes())),
        format!("(objectSid={sid})"),
        format!("(distinguishedName=<SID={sid}>)"),
        "(&(cn=good-test)(whenCreated>=20200101000000.0Z)(whenCreated<=20990101000000.0Z))".to_owned(),
        "(&(cn~=good-test)(objectClass=1.2.840.113556.1.5.9))".to_owned(),
        "(1.2.840.113556.1.4.221=good)".to_owned(),
        "(&(cn=good-test)(sAMAccountName;binary=good))".to_owned(),
        "(&(cn=good-test)(sAMAccountName;Binary=good))".to_owned(),
        "(&(cn=good-test)(userAccountControl>=512)(userAccountControl<=512))".to_owned(),
        "(anr=goo)".to_owned(),
        "(anr==good)".to_owned(),
    ] {
        assert_eq!(found(&domain, BASE, Scope::Subtree, &filter), ["good"], "{filter}");
    }
    for filter in [
        "(anr=ood)",
        "(anr==goo)",
        "(&(cn=good-test)(whenCreated>=soon))",
        "(:=good)",
    ] {
        assert_eq!(found(&domain, BASE, Scope::Subtree, filter), [""; 0], "{filter}");
    }
}

#[test]
fn links_are_followed_to_their_end() {
    let domain = domain(Dialect::Windows, 0);
    let rule = "1.2.840.113556.1.4.1941";
    let filter = format!("(memberOf:{rule}:=CN=Administrators,CN=Builtin,{BASE})");
    let mut members = found(&domain, BASE, Scope::Subtree, &filter);
    members.sort_unstable();
    assert_eq!(members, ["Administrator", "Domain Admins", "Enterprise Admins"]);
    let filter = format!("(member:{rule}:=CN=Administrator,CN=Users,{BASE})");
    let groups = found(&domain, BASE, Scope::Subtree, &filter);
    assert!(
        groups.contains(&"Denied RODC Password Replication Group".to_owned()),
        "{groups:?}"
    );
}

#[test]
fn a_filter_that_cannot_be_served_is_refused() {
    let code = |dialect, filter: &str| {
        let domain = domain(dialect, 0);
        match Search::begin(
            &domain,
            request(BASE, Scope::Subtree, filter),
            Options::default(),
            Client::default(),
        ) {
            Ok(_) => run(&domain, request(BASE, Scope::Subtree, filter)).1,
            Err(refusal) => refusal.code,
        }
    };
    let constructed = "(canonicalName=*)";
    assert_eq!(code(Dialect::Windows, constructed), Code::InappropriateMatching);
    assert_eq!(code(Dialect::Samba, constructed), Code::Success);
    for odd in ["(cn~=good-test)", "(cn:1.2.840.113556.1.4.803:=2)"] {
        assert_eq!(code(Dialect::Windows, odd), Code::Success, "{odd}");
        assert_eq!(code(Dialect::Samba, odd), Code::OperationsError, "{odd}");
    }
}

fn page(size: u32, cookie: Vec<u8>) -> Options {
    Options {
        page: Some(controls::Page { size, cookie }),
        ..Options::default()
    }
}

/// The names of a page, the estimate, and the cookie for the next.
fn paged(domain: &Domain, filter: &str, options: Options) -> (Vec<String>, u32, Vec<u8>) {
    let mut search = Search::begin(
        domain,
        request(BASE, Scope::Subtree, filter),
        options,
        Client::default(),
    )
    .unwrap();
    let mut names = Vec::new();
    loop {
        let (entries, done) = match search.step(domain, DcId::FIRST, NOW, Duration::ZERO) {
            Step::Entries(entries) => (entries, None),
            Step::Last(entries, done) => (entries, Some(done)),
        };
        names.extend(entries.into_iter().map(|entry| entry.dn));
        if let Some(done) = done {
            assert_eq!(done.result.code, Code::Success);
            let told = done.controls.last().unwrap().clone();
            let told = controls::read([told].into_iter(), domain.dialect())
                .unwrap()
                .page
                .unwrap();
            return (names, told.size, told.cookie);
        }
    }
}

#[test]
fn pages_together_are_the_whole_and_only_samba_counts_them() {
    let filter = "(&(objectCategory=person)(cn=*))";
    for (dialect, estimate) in [(Dialect::Windows, 0), (Dialect::Samba, 506)] {
        let domain = domain(dialect, 500);
        let (mut all, mut cookie, mut pages) = (Vec::new(), Vec::new(), 0);
        loop {
            let (names, told, next) = paged(&domain, filter, page(100, cookie));
            pages += 1;
            all.extend(names);
            assert_eq!(
                told,
                if next.is_empty() { 0 } else { estimate },
                "{dialect:?}, page {pages}"
            );
            cookie = next;
            if cookie.is_empty() {
                break;
            }
        }
        all.sort_unstable();
        all.dedup();
        assert_eq!((all.len(), pages), (506, 6), "{dialect:?}");
    }
}

#[test]
fn nobody_is_left_out_of_a_page_because_somebody_else_has_changed_meanwhile() {
    let dn = |name: &str| format!("CN={name},CN=Users,{BASE}");
    for (sort, first) in [(None, ["u1", "u2"]), (Some(true), ["u4", "u3"])] {
        let mail = |number| user_with(&format!("u{number}"), "mail", &format!("{number}@example.org"));
        let settings = fixture::settings(Dialect::Windows, (1..=4).map(mail).collect(), 0);
        let domain = Domain::new(&settings, NOW);
        let filter = "(|(mail=1@example.org)(mail=2@example.org)(mail=3@example.org)(mail=4@example.org))";
        let page = |cookie| Options {
            sort: sort
                .map(|reverse| controls::SortKey {
                    attribute: "mail".to_owned(),
                    reverse,
                })
                .into_iter()
                .collect(),
            ..page(2, cookie)
        };
        let (names, _, cookie) = paged(&domain, filter, page(Vec::new()));
        assert_eq!(names, first.map(dn));
        let gone = domain.find_sam(first[0]).unwrap();
        let mut edits = Edits::default();
        edits.attribute("mail", Vec::new()).unwrap();
        domain.edit(DcId::FIRST, gone, edits, NOW).unwrap();
        let (mut names, _, cookie) = paged(&domain, filter, page(cookie));
        names.extend(first.map(dn));
        names.sort();
        assert_eq!(names, ["u1", "u2", "u3", "u4"].map(dn), "sorted: {sort:?}");
        assert!(cookie.is_empty());
    }
}

#[test]
fn a_page_goes_on_where_the_one_before_ended_wherever_its_first_object_has_moved() {
    let dn = |name: &str| format!("CN={name},CN=Users,{BASE}");
    // Between the pages the user with whom the second begins moves behind the others, before them, and not at all; or
    // another does, who was on the first.
    for (moved, to, rest) in [
        ("u3", "9", ["u4", "u5", "u3"]),
        ("u3", "0", ["u3", "u4", "u5"]),
        ("u3", "35", ["u3", "u4", "u5"]),
        ("u3", "45", ["u4", "u3", "u5"]),
        ("u1", "0", ["u3", "u4", "u5"]),
        ("u4", "9", ["u3", "u5", "u4"]),
    ] {
        let employed = |number: u8| user_with(&format!("u{number}"), "employeeID", &number.to_string());
        let settings = fixture::settings(Dialect::Windows, (1..=5).map(employed).collect(), 0);
        let domain = Domain::new(&settings, NOW);
        let page = |cookie| Options {
            sort: vec![controls::SortKey {
                attribute: "employeeID".to_owned(),
                reverse: false,
            }],
            ..page(2, cookie)
        };
        let (names, _, cookie) = paged(&domain, "(employeeID=*)", page(Vec::new()));
        assert_eq!(names, ["u1", "u2"].map(dn));
        let mut edits = Edits::default();
        edits.attribute("employeeID", vec![to.as_bytes().to_vec()]).unwrap();
        domain
            .edit(DcId::FIRST, domain.find_sam(moved).unwrap(), edits, NOW)
            .unwrap();
        let (mut names, _, cookie) = paged(&domain, "(employeeID=*)", page(cookie));
        let (more, _, cookie) = paged(&domain, "(employeeID=*)", page(cookie));
        names.extend(more);
        assert_eq!(names, rest.map(dn), "{moved} to {to}");
        assert!(cookie.is_empty());
    }
}

#[test]
fn blanks_around_a_part_of_a_value_belong_to_it_but_for_samba() {
    let told = |dialect, filter: &str| {
        let users = vec![
            user_with("johnny", "displayName", "Johnny Goldsmith"),
            user_with("john", "displayName", "John Smith"),
            user_with("weiss", "displayName", "Weiß"),
        ];
        let domain = Domain::new(&fixture::settings(dialect, users, 0), NOW);
        let asked = SearchRequest {
            attributes: vec!["sAMAccountName".to_owned()],
            ..request(BASE, Scope::Subtree, filter)
        };
        let found = run(&domain, asked).0;
        let names = found.iter().map(|entry| entry.attributes[0].shown().next().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    };
    for filter in ["(displayName=John *)", "(displayName=* smith)", "(displayName=*n s*)"] {
        assert_eq!(told(Dialect::Windows, filter), ["john"], "{filter}");
    }
    for filter in ["(displayName=John *)", "(displayName=* smith)"] {
        assert_eq!(told(Dialect::Samba, filter), ["john", "johnny"], "{filter}");
    }
    for filter in ["(displayName=weiss)", "(|(displayName=weiss)(description=x))"] {
        assert_eq!(told(Dialect::Windows, filter), [""; 0], "{filter}");
    }
}

#[test]
fn a_cookie_is_good_for_its_own_search_only() {
    for (dialect, made_up) in [
        (Dialect::Windows, Code::UnavailableCriticalExtension),
        (Dialect::Samba, Code::UnwillingToPerform),
    ] {
        let domain = domain(dialect, 5);
        let (_, _, cookie) = paged(&domain, "(objectCategory=person)", page(2, Vec::new()));
        let refused = |filter: &str, cookie: &[u8]| {
            let asked = request(BASE, Scope::Subtree, filter);
            Search::begin(&domain, asked, page(2, cookie.to_vec()), Client::default())
                .map(|_| ())
                .map_err(|refusal| refusal.code)
        };
        assert_eq!(refused("(objectCategory=person)", &cookie), Ok(()));
        assert_eq!(refused("(cn=*)", &cookie), Err(Code::UnavailableCriticalExtension));
        assert_eq!(refused("(objectCategory=person)", b"xx"), Err(made_up));
    }
}

#[test]
fn references_lead_to_the_naming_contexts_below() {
    let domain = domain(Dialect::Samba, 0);
    let told = |base: &str, scope, ldaps, options: Options| {
        let mut search = Search::begin(
            &domain,
            request(base, scope, "(cn=good-test)"),
            options,
            Client {
                ldaps,
                administrator: false,
            },
        )
        .unwrap();
        match search.step(&domain, DcId::FIRST, NOW, Duration::ZERO) {
            Step::Last(_, done) => done.references,
            Step::Entries(_) => panic!("an index names the one object"),
        }
    };
    let usual = Options::default;
    let configuration = format!("corp.example.com/CN=Configuration,{BASE}");
    assert_eq!(
        told(BASE, Scope::Subtree, false, usual()),
        [format!("ldap://{configuration}")]
    );
    assert_eq!(
        told(BASE, Scope::OneLevel, true, usual()),
        [format!("ldaps://{configuration}??base")]
    );
    assert_eq!(told(BASE, Scope::Base, false, usual()), [""; 0]);
    assert_eq!(
        told(&format!("CN=Users,{BASE}"), Scope::Subtree, false, usual()),
        [""; 0]
    );
    let quiet = Options {
        no_references: true,
        ..usual()
    };
    assert_eq!(told(BASE, Scope::Subtree, false, quiet), [""; 0]);
}

#[test]
fn entries_come_in_the_order_that_is_asked_for() {
    let domain = domain(Dialect::Windows, 300);
    let sorted = |reverse| Options {
        sort: vec![controls::SortKey {
            attribute: "sAMAccountName".to_owned(),
            reverse,
        }],
        ..page(3, Vec::new())
    };
    let filter = "(&(objectCategory=person)(cn=user*))";
    let (first, ..) = paged(&domain, filter, sorted(false));
    let (last, ..) = paged(&domain, filter, sorted(true));
    assert!(
        first[0].starts_with("CN=user000001,") && first[2].starts_with("CN=user000003,"),
        "{first:?}"
    );
    assert!(last[0].starts_with("CN=user000300,"), "{last:?}");
}

#[test]
fn a_search_that_takes_too_long_ends_on_windows() {
    let end = |dialect| {
        let domain = domain(dialect, 0);
        let asked = SearchRequest {
            time_limit: 1,
            ..request(BASE, Scope::Subtree, "(cn=good-test)")
        };
        let mut search = Search::begin(&domain, asked, Options::default(), Client::default()).unwrap();
        match search.step(&domain, DcId::FIRST, NOW, Duration::from_secs(2)) {
            Step::Last(_, done) => done.result.code,
            Step::Entries(_) => panic!("an index names the one object"),
        }
    };
    assert_eq!(end(Dialect::Windows), Code::TimeLimitExceeded);
    assert_eq!(end(Dialect::Samba), Code::Success);
}

#[test]
fn the_subschema_tells_what_the_schema_knows() {
    let domain = domain(Dialect::Windows, 0);
    let asked = SearchRequest {
        attributes: vec!["attributeTypes".to_owned(), "objectClasses".to_owned()],
        ..request(&domain.schema_dn("Aggregate"), Scope::Base, "(objectClass=subSchema)")
    };
    let (entries, _) = run(&domain, asked);
    let types: Vec<_> = entries[0].get("attributeTypes").unwrap().shown().collect();
    let expected =
        "( 1.2.840.113556.1.4.221 NAME 'sAMAccountName' SYNTAX '1.3.6.1.4.1.1466.115.121.1.15' SINGLE-VALUE )";
    assert!(types.iter().any(|known| known == expected), "{types:?}");
}
