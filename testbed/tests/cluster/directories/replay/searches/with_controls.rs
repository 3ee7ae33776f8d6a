//! Limits of size and time, pages, sorting, and the other controls of searches.

use super::super::client::tlv;
use super::super::domain::BASE;
use super::Asker;
use super::answer::Answer;
use super::request::{Control, PAGED, Scope, Search, controls};

const SORT: &str = "1.2.840.113556.1.4.473";

fn offices() -> String {
    format!("OU=Offices,{BASE}")
}

fn number(value: u8) -> Vec<u8> {
    tlv(0x30, &[tlv(0x02, &[vec![value]])])
}

/// Keys: attribute, ordering rule, whether from the last to the first.
fn sort(keys: &[(&str, Option<&str>, bool)]) -> Control {
    let key = |(attribute, rule, reverse): &(&str, Option<&str>, bool)| {
        let mut parts = vec![tlv(0x04, &[attribute.as_bytes().to_vec()])];
        parts.extend(rule.map(|rule| tlv(0x80, &[rule.as_bytes().to_vec()])));
        if *reverse {
            parts.push(tlv(0x81, &[vec![0xff]]));
        }
        tlv(0x30, &parts)
    };
    Control::critical(SORT, Some(tlv(0x30, &keys.iter().map(key).collect::<Vec<_>>())))
}

async fn limits(asker: &mut Asker<'_>) {
    for (size_limit, time_limit) in [(1, 0), (3, 0), (0, 100), (100, 100)] {
        let search = Search {
            size_limit,
            time_limit,
            ..Search::below(&offices(), "(objectClass=*)")
        };
        asker.search(search).await;
    }
}

/// All pages of a search, each with the cookie that the page before it gave.
async fn pages(asker: &mut Asker<'_>, search: &Search, size: u8) {
    pages_in_order(asker, search, size, false).await;
}

async fn pages_in_order(asker: &mut Asker<'_>, search: &Search, size: u8, in_order: bool) {
    let mut cookies = [Vec::new(), Vec::new()];
    let mut all: [Vec<Answer>; 2] = [Vec::new(), Vec::new()];
    for page in 0.. {
        let asked = cookies.each_ref().map(|cookie| {
            let all = search.clone().with(Control::page(size, cookie)).controls;
            controls(&all)
        });
        let answers = asker
            .ask(|landscape| search.operation(landscape), [&asked[0], &asked[1]])
            .await;
        asker.compare_page(&format!("page {page} of {size}, {search:?}"), &answers);
        cookies = answers.each_ref().map(|answer| answer.cookie().unwrap_or_default());
        for (pages, answer) in all.iter_mut().zip(answers) {
            pages.push(answer);
        }
        if cookies.iter().any(Vec::is_empty) {
            break;
        }
    }
    asker.compare_all_pages(&format!("all pages of {size}, {search:?}"), &all, in_order);
}

async fn paging(asker: &mut Asker<'_>) {
    for size in [1, 3, 100, 127] {
        pages(asker, &Search::below(&offices(), "(objectClass=*)"), size).await;
        pages(asker, &Search::below(&offices(), "(cn=nobody)"), size).await;
    }
    pages(asker, &Search::below(BASE, "(sAMAccountName=dis*)"), 2).await;
    let sorted = Search::below(&offices(), "(objectClass=*)").with(sort(&[("cn", None, false)]));
    pages(asker, &sorted, 3).await;
    // What lacks the attribute has no order of its own at Samba.
    for reverse in [false, true] {
        let sorted = Search::below(&offices(), "(cn=*)").with(sort(&[("cn", None, reverse)]));
        pages_in_order(asker, &sorted, 3, true).await;
    }
    let all = || Search::below(&offices(), "(objectClass=*)");
    for control in [
        Control::page(0, b""),
        Control::page(1, b"x"),
        Control::page(1, b"no cookie of anybody's"),
        Control::page(1, b"no cookie of anybody's").not_critical(),
        Control::page(0, b"x"),
        Control::critical(PAGED, None),
        Control::critical(PAGED, Some(Vec::new())),
        Control::critical(PAGED, Some(vec![0x30, 0])),
        Control::critical(PAGED, Some(b"x".to_vec())),
        Control::critical(PAGED, Some(b"x".to_vec())).not_critical(),
        Control::critical(PAGED, None).not_critical(),
    ] {
        asker.search(all().with(control)).await;
    }
    let missing = Search::below("OU=Nowhere,DC=corp,DC=example,DC=com", "(objectClass=*)");
    asker.search(missing.with(Control::page(3, b""))).await;
    asker
        .search(Search::below(BASE, "(cn~=x)").with(Control::page(3, b"")))
        .await;
}

async fn sorting(asker: &mut Asker<'_>) {
    let users = || Search::below(&offices(), "(objectClass=user)");
    let all = || Search::below(&offices(), "(sAMAccountName=*)");
    for attribute in [
        "cn",
        "CN",
        "sAMAccountName",
        "name",
        "distinguishedName",
        "userAccountControl",
        "favouriteColour",
        "description",
        "2.5.4.3",
        "canonicalName",
        "",
    ] {
        for reverse in [false, true] {
            let control = sort(&[(attribute, None, reverse)]);
            // What some lack has no order of its own at Samba, and names are ordered from their ends.
            let ordered = matches!(attribute, "cn" | "CN" | "sAMAccountName" | "name");
            asker.search_in_order(all().with(control.clone()), ordered).await;
            asker.search(users().with(control.not_critical())).await;
        }
    }
    for control in [
        sort(&[("cn", Some("2.5.13.3"), false)]),
        sort(&[("cn", Some("1.2.3"), false)]),
        sort(&[("sn", None, false), ("cn", None, false)]),
        sort(&[("sn", None, false), ("cn", None, false)]).not_critical(),
        Control::critical(SORT, None),
        Control::critical(SORT, Some(b"x".to_vec())),
    ] {
        asker.search(users().with(control)).await;
    }
}

async fn others(asker: &mut Asker<'_>) {
    let own = |number: &str| format!("1.2.840.113556.1.4.{number}");
    let good = || Search::below(BASE, "(cn=Good User)").showing(&["cn", "memberOf", "distinguishedName"]);
    for (oid, values) in [
        // Names with identifiers.
        (
            own("529"),
            // Another value, or none of it, ends the connection.
            vec![None, Some(number(0)), Some(number(1))],
        ),
        // No references; all naming contexts.
        (
            own("1339"),
            vec![None, Some(Vec::new()), Some(number(0)), Some(b"x".to_vec())],
        ),
        (
            own("1340"),
            vec![
                None,
                Some(number(0)),
                Some(number(1)),
                Some(number(2)),
                Some(number(3)),
                Some(b"x".to_vec()),
            ],
        ),
        // Security descriptors.
        (
            own("801"),
            vec![None, Some(number(7)), Some(number(0)), Some(b"x".to_vec())],
        ),
        // What was deleted.
        (own("417"), vec![None, Some(Vec::new()), Some(number(1))]),
        (own("2064"), vec![None, Some(Vec::new()), Some(number(1))]),
        (own("2065"), vec![None]),
        // Of changes.
        (own("1413"), vec![None]),
        (own("805"), vec![None]),
        (own("619"), vec![None]),
        (own("1338"), vec![None, Some(number(0))]),
        (own("1341"), vec![None, Some(Vec::new()), Some(number(0))]),
        // What a link leads to, which mock-dc does not follow for a control.
        (own("1504"), vec![None]),
        (own("841"), vec![None]),
        (own("474"), vec![None]),
        (own("1852"), vec![None]),
        (own("1907"), vec![None]),
        (own("1948"), vec![None]),
        (own("1974"), vec![None]),
        (own("2026"), vec![None]),
        (own("2204"), vec![None]),
        (own("2205"), vec![None]),
        (own("2206"), vec![None]),
        (own("2211"), vec![None]),
        (own("2239"), vec![None]),
        (own("2255"), vec![None]),
        (own("2256"), vec![None]),
        (own("2309"), vec![None]),
        ("2.16.840.1.113730.3.4.9".to_owned(), vec![None, Some(b"x".to_vec())]),
        ("2.16.840.1.113730.3.4.10".to_owned(), vec![None]),
        ("2.16.840.1.113730.3.4.2".to_owned(), vec![None]),
        ("1.3.6.1.4.1.42.2.27.8.5.1".to_owned(), vec![None]),
        ("1.3.6.1.1.13.2".to_owned(), vec![None]),
        ("1.2.3.4".to_owned(), vec![None, Some(b"x".to_vec())]),
        ("no identifier".to_owned(), vec![None]),
    ] {
        for value in values {
            let control = Control::critical(&oid, value);
            asker.search(good().with(control.clone())).await;
            asker.search(good().with(control.clone().not_critical())).await;
            // Without a base that exists it can be seen which is looked at first.
            asker.search(Search::of("CN=nobody", &["cn"]).with(control)).await;
        }
    }
    for (flags, base) in [
        (2, ""),
        (2, "DC=com"),
        (2, BASE),
        (1, ""),
        (2, "CN=Configuration,DC=corp,DC=example,DC=com"),
    ] {
        let search = Search::below(base, "(|(cn=Good User)(cn=CORP)(cn=Schema))");
        asker
            .search(
                search
                    .clone()
                    .with(Control::critical(&own("1340"), Some(number(flags)))),
            )
            .await;
        asker
            .search(
                search
                    .within(Scope::OneLevel)
                    .with(Control::critical(&own("1340"), Some(number(flags)))),
            )
            .await;
    }
    for form in [0, 1] {
        let control = Control::critical(&own("529"), Some(number(form)));
        for base in [
            "CN=Outer,OU=Offices,",
            "OU=Test,",
            "",
            "CN=PSO-Team,CN=Password Settings Container,CN=System,",
        ] {
            let search = Search::of(
                &format!("{base}{BASE}"),
                &["member", "memberOf", "msDS-PSOAppliesTo", "cn"],
            );
            asker.search(search.with(control.clone())).await;
        }
    }
    // Twice the same, and several.
    asker
        .search(good().with(Control::page(5, b"")).with(Control::page(5, b"")))
        .await;
    asker
        .search(
            good()
                .with(Control::critical(&own("1339"), None))
                .with(Control::page(5, b"")),
        )
        .await;
}

pub(super) async fn all(asker: &mut Asker<'_>) {
    limits(asker).await;
    paging(asker).await;
    sorting(asker).await;
    others(asker).await;
}
