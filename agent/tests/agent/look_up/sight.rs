//! An account that sees nobody: whatever name is typed, that nobody is found is no wrong password then.

use ldap3_proto::proto::LdapSearchScope;

use super::*;

const SOMEBODY: &str = "CN=Somebody,DC=corp,DC=example,DC=com";

fn nobody() -> Option<Vec<LdapOp>> {
    Some(vec![done(LdapResultCode::Success)])
}

fn services(bed: &Bed) -> usize {
    let binds = bed.binds().into_iter();
    binds.filter(|(name, _)| name == SERVICE).count()
}

#[tokio::test]
async fn an_account_that_may_read_nothing_makes_nobodys_password_a_wrong_one() {
    let (bed, agent) = start(1).await;
    bed.dcs[0].finds(nobody());
    bed.dcs[0].shows(nobody());
    for id in 1..=20 {
        assert_eq!(ask(&agent, id, USER).await.not_started(), NotStarted::NoLookUp);
    }
    assert!(bound(&bed).is_empty());
    assert!(services(&bed) <= 2, "connections are kept");
    let sights = bed.dcs[0].sights();
    assert!(
        sights.len() < 10,
        "whoever types names does not make it search each time"
    );
    assert_eq!(
        (sights[0].base.as_str(), sights[0].scope.clone(), sights[0].sizelimit),
        ("DC=corp,DC=example,DC=com", LdapSearchScope::Subtree, 2)
    );
    assert_eq!(
        sights[0].filter,
        LdapFilter::And(vec![
            LdapFilter::Equality("objectCategory".to_owned(), "person".to_owned()),
            LdapFilter::Equality("objectClass".to_owned(), "user".to_owned()),
            LdapFilter::Present("mail".to_owned()),
        ])
    );
    // Who is found after all is found, and shows that the rights are there.
    bed.dcs[0].finds(one(DN));
    bed.dcs[0].shows(Some(vec![entry(SOMEBODY, &[]), done(LdapResultCode::Success)]));
    assert_eq!(verdict(&ask(&agent, 21, USER).await).0, Verdict::Success);
    bed.dcs[0].finds(nobody());
    assert_eq!(ask(&agent, 22, USER).await.not_started(), NotStarted::NoMatch);
}

#[tokio::test]
async fn rights_that_are_taken_away_from_an_open_connection_are_missed_at_once() {
    let (bed, agent) = start(1).await;
    assert_eq!(verdict(&ask(&agent, 1, USER).await).0, Verdict::Success);
    until_service_is_bound(&bed).await;
    let before = services(&bed);
    bed.dcs[0].finds(nobody());
    assert_eq!(ask(&agent, 2, USER).await.not_started(), NotStarted::NoMatch);
    bed.dcs[0].shows(nobody());
    for id in 3..=5 {
        assert_eq!(ask(&agent, id, USER).await.not_started(), NotStarted::NoLookUp);
    }
    assert_eq!(services(&bed), before);
}

#[tokio::test]
async fn a_name_that_nobody_has_costs_one_read_of_an_entry_that_was_seen() {
    let (bed, agent) = start(1).await;
    assert_eq!(verdict(&ask(&agent, 1, USER).await).0, Verdict::Success);
    until_service_is_bound(&bed).await;
    bed.dcs[0].finds(nobody());
    // The second connection may still be on its first look.
    assert_eq!(ask(&agent, 2, USER).await.not_started(), NotStarted::NoMatch);
    assert_eq!(ask(&agent, 3, USER).await.not_started(), NotStarted::NoMatch);
    let before = bed.dcs[0].sights().len();
    for id in 4..=8 {
        assert_eq!(ask(&agent, id, USER).await.not_started(), NotStarted::NoMatch);
    }
    let reads = bed.dcs[0].sights().split_off(before);
    assert_eq!(reads.len(), 5);
    for read in reads {
        assert_eq!((read.base.as_str(), read.scope), (DN, LdapSearchScope::Base));
    }
    // Whoever was found last: people go, and a directory may tell of nobody else without going through all.
    const LATER: &str = "CN=Grace Hopper,CN=Users,DC=corp,DC=example,DC=com";
    bed.dcs[0].finds(one(LATER));
    assert_eq!(verdict(&ask(&agent, 9, USER).await).0, Verdict::Success);
    bed.dcs[0].finds(nobody());
    assert_eq!(ask(&agent, 10, USER).await.not_started(), NotStarted::NoMatch);
    assert_eq!(bed.dcs[0].sights().last().unwrap().base, LATER);
}

#[tokio::test]
async fn the_account_itself_is_nobody_whom_it_sees_and_a_size_limit_hides_nobody() {
    let itself = || entry("CN=svc,DC=corp", &[("userPrincipalName", SERVICE.as_bytes())]);
    let another = || entry(SOMEBODY, &[]);
    let (all, more) = (LdapResultCode::Success, LdapResultCode::SizeLimitExceeded);
    for (shown, reason) in [
        (vec![itself(), done(all.clone())], NotStarted::NoLookUp),
        (vec![itself(), another(), done(all)], NotStarted::NoMatch),
        (vec![another(), done(more.clone())], NotStarted::NoMatch),
        (vec![done(more)], NotStarted::NoLookUp),
        (vec![done(LdapResultCode::AdminLimitExceeded)], NotStarted::NoLookUp),
        (
            vec![done(LdapResultCode::InsufficentAccessRights)],
            NotStarted::NoLookUp,
        ),
    ] {
        let (bed, agent) = start(1).await;
        bed.dcs[0].finds(nobody());
        bed.dcs[0].shows(Some(shown.clone()));
        assert_eq!(ask(&agent, 1, USER).await.not_started(), reason, "{shown:?}");
    }
}

#[tokio::test]
async fn a_domain_controller_that_shows_nobody_does_not_keep_another_from_finding_the_name() {
    let (bed, agent) = start(2).await;
    bed.dcs[0].finds(nobody());
    bed.dcs[0].shows(nobody());
    for id in 1..=8 {
        let outcome = ask(&agent, id, USER).await;
        // The very first connection may be the one that shows nobody, with no other there yet.
        if id > 1 || !matches!(outcome.answer, Answer::NotStarted(_)) {
            assert_eq!(verdict(&outcome).0, Verdict::Success);
        } else {
            assert_eq!(outcome.not_started(), NotStarted::NoLookUp);
            until_service_is_bound(&bed).await;
        }
    }
}
