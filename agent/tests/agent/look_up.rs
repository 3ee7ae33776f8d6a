//! Names that are looked up: whom a password is checked for, and when it is checked for nobody.

use std::sync::Arc;

use ldap3_proto::proto::{LdapFilter, LdapOp, LdapResultCode, LdapSearchResultReference};
use postern_protocol::frame::{Answer, Request, VerdictFrame};
use postern_protocol::{NotStarted, Subject, Verdict};
use tokio::sync::Notify;

use crate::bed::Bed;
use crate::dc::{Dc, Reply, done, entry};
use crate::pki::AGENT_URI;
use crate::relay::{Agent, Greeting, Outcome};

mod renewal;
mod service_account;
mod sight;
mod slow;

const USER: &str = "Ada@mail.example.org";
const DN: &str = "CN=Ada Lovelace,CN=Users,DC=corp,DC=example,DC=com";
const SERVICE: &str = "svc@corp.example.com";
const GUID: [u8; 16] = [7; 16];

const SECTIONS: &str = "[directory.look_up]\naccount = \"svc@corp.example.com\"\npassword_file = \"service-password\"\n\
                        [directory.alternate_id]\nattribute = \"mail\"\nsuffixes = [\"mail.example.org\"]\n";

fn ada(dn: &str) -> LdapOp {
    entry(
        dn,
        &[
            ("objectGUID", GUID.as_slice()),
            ("userPrincipalName", b"ada@corp.example.com"),
        ],
    )
}

fn one(dn: &str) -> Option<Vec<LdapOp>> {
    Some(vec![ada(dn), done(LdapResultCode::Success)])
}

/// The usual start, with `dcs` domain controllers that know Ada.
async fn start(dcs: usize) -> (Bed, Agent) {
    start_with(dcs, 1_500).await
}

async fn start_with(dcs: usize, bind_timeout_ms: u64) -> (Bed, Agent) {
    let mut bed = Bed::new(dcs).await;
    bed.folder.write("service-password", "service-secret\n");
    bed.sections = SECTIONS.to_owned();
    for dc in &bed.dcs {
        dc.finds(one(DN));
    }
    let relay = bed.relay();
    let issued = bed.ca.issue(Some(AGENT_URI), &[]);
    let config = bed.config(&[relay.address], &issued, bind_timeout_ms);
    bed.run(config);
    let mut agent = relay.agent(Greeting::default()).await;
    agent.until_ready(4).await;
    (bed, agent)
}

fn alternate(agent: &Agent, id: u8, user: &str) -> Request {
    Request {
        alternate_id: true,
        ..agent.request(id, user, "right")
    }
}

async fn ask(agent: &Agent, id: u8, user: &str) -> Outcome {
    agent.sign_in(&alternate(agent, id, user)).await
}

/// (verdict, subject) of an answer that must be a verdict.
fn verdict(outcome: &Outcome) -> (Verdict, Option<Subject>) {
    match &outcome.answer {
        Answer::Verdict(VerdictFrame { verdict, subject, .. }) => (Verdict::from_code(*verdict), subject.clone()),
        _ => panic!("no verdict: {outcome:?}"),
    }
}

/// Names of the binds that were not the service account's.
fn bound(bed: &Bed) -> Vec<String> {
    let binds = bed.binds().into_iter();
    binds.map(|(name, _)| name).filter(|name| name != SERVICE).collect()
}

fn wrong() -> Reply {
    Reply::Answer(
        LdapResultCode::InvalidCredentials,
        "80090308: LdapErr: DSID-0C090569, comment: AcceptSecurityContext error, data 52e, v4f7c\0".to_owned(),
    )
}

#[tokio::test]
async fn the_one_account_that_has_the_name_is_bound_by_its_dn_on_a_connection_that_never_searches() {
    let (bed, agent) = start(1).await;
    assert!(
        bed.binds().is_empty(),
        "the service account is not bound before it is needed"
    );
    let answer = ask(&agent, 1, USER).await;
    let subject = Subject {
        object_guid: Some(GUID),
        entry_uuid: None,
        upn: Some("ada@corp.example.com".to_owned()),
    };
    assert_eq!(verdict(&answer), (Verdict::Success, Some(subject)));
    assert_eq!(bound(&bed), [DN]);
    let binds = bed.dcs[0].binds();
    assert!(binds.iter().any(|bind| bind.name == DN && bind.password == "right"));
    let service: Vec<_> = binds.iter().filter(|bind| bind.name == SERVICE).collect();
    assert!(!service.is_empty() && service.iter().all(|bind| bind.password == "service-secret"));
    let (searched_on, search) = bed.dcs[0].searches().remove(0);
    assert!(
        binds
            .iter()
            .all(|bind| bind.connection != searched_on || bind.name == SERVICE)
    );
    assert_eq!(
        (search.base.as_str(), search.sizelimit),
        ("DC=corp,DC=example,DC=com", 2)
    );
    assert_eq!(
        search.filter,
        LdapFilter::And(vec![
            LdapFilter::Equality("objectCategory".to_owned(), "person".to_owned()),
            LdapFilter::Equality("objectClass".to_owned(), "user".to_owned()),
            LdapFilter::Equality("mail".to_owned(), USER.to_owned()),
        ])
    );

    bed.dcs[0].script(wrong());
    let answer = ask(&agent, 2, USER).await;
    assert_eq!(
        verdict(&answer),
        (Verdict::InvalidCredentials, None),
        "whose it is, is told with success only"
    );
    assert_eq!(bed.metric("postern_agent_look_ups_total{result=\"one\"}").await, 2);
}

#[tokio::test]
async fn none_or_more_than_one_account_is_no_match_and_no_password_is_sent() {
    let (bed, agent) = start(1).await;
    let cases = [
        vec![done(LdapResultCode::Success)],
        vec![ada(DN), ada("CN=Ada2,DC=corp"), done(LdapResultCode::Success)],
        vec![ada(DN), ada("CN=Ada2,DC=corp"), done(LdapResultCode::SizeLimitExceeded)],
        vec![ada(DN), done(LdapResultCode::SizeLimitExceeded)],
    ];
    for (id, found) in (1..).zip(cases) {
        bed.dcs[0].finds(Some(found));
        assert_eq!(
            ask(&agent, id, USER).await.not_started(),
            NotStarted::NoMatch,
            "case {id}"
        );
    }
    assert!(bound(&bed).is_empty());
    assert_eq!(bed.metric("postern_agent_look_ups_total{result=\"none\"}").await, 1);
    assert_eq!(bed.metric("postern_agent_look_ups_total{result=\"several\"}").await, 3);
}

#[tokio::test]
async fn a_name_is_one_value_whatever_it_looks_like() {
    let (bed, agent) = start(1).await;
    for (id, name) in (1..).zip([
        "a)(b&c!(~@mail.example.org",
        "o'brien#%00@mail.example.org",
        "zoë-größe@mail.example.org",
    ]) {
        assert_eq!(verdict(&ask(&agent, id, name).await).0, Verdict::Success);
        let LdapFilter::And(parts) = bed.dcs[0].searches().pop().unwrap().1.filter else {
            panic!("not one account")
        };
        assert_eq!(parts[2], LdapFilter::Equality("mail".to_owned(), name.to_owned()));
    }
    let searches = bed.dcs[0].searches().len();
    for (id, name) in (10..).zip(["*@mail.example.org", "a*@mail.example.org", "a\\2a@mail.example.org"]) {
        assert_eq!(ask(&agent, id, name).await.not_started(), NotStarted::Refused, "{name}");
    }
    assert_eq!(bed.dcs[0].searches().len(), searches);
}

#[tokio::test]
async fn references_beside_the_one_entry_are_ignored_and_a_referral_is_no_answer() {
    let (bed, agent) = start(1).await;
    let references = || {
        let uris = vec!["ldap://corp.example.com/CN=Configuration,DC=corp,DC=example,DC=com".to_owned()];
        LdapOp::SearchResultReference(LdapSearchResultReference { uris })
    };
    let success = || done(LdapResultCode::Success);
    bed.dcs[0].finds(Some(vec![references(), ada(DN), references(), success()]));
    assert_eq!(verdict(&ask(&agent, 1, USER).await).0, Verdict::Success);
    bed.dcs[0].finds(Some(vec![references(), success()]));
    assert_eq!(ask(&agent, 2, USER).await.not_started(), NotStarted::NoMatch);
    bed.dcs[0].finds(Some(vec![ada(DN), done(LdapResultCode::Referral)]));
    assert_eq!(ask(&agent, 3, USER).await.not_started(), NotStarted::NoLookUp);
    assert_eq!(bound(&bed).len(), 1);
}

#[tokio::test]
async fn an_entry_without_a_dn_is_never_bound() {
    let (bed, agent) = start(1).await;
    for (id, dn) in (1..).zip(["", " ", "ada@corp.example.com"]) {
        bed.dcs[0].finds(one(dn));
        assert_eq!(
            ask(&agent, id, USER).await.not_started(),
            NotStarted::NoLookUp,
            "{dn:?}"
        );
    }
    assert!(bound(&bed).is_empty());
}

#[tokio::test]
async fn a_dn_is_bound_as_the_directory_wrote_it() {
    let (bed, agent) = start(1).await;
    let dn = "CN=Love\\\\lace\\, \\\"Ada\\\"\\+\\<b\\>\\0Ax (é)*,OU=a\\2Cb,DC=corp";
    bed.dcs[0].finds(one(dn));
    assert_eq!(verdict(&ask(&agent, 1, USER).await).0, Verdict::Success);
    assert_eq!(bound(&bed), [dn]);
}

#[tokio::test]
async fn a_search_without_an_answer_is_given_up_in_time_and_another_domain_controller_is_asked() {
    let (bed, agent) = start(2).await;
    bed.dcs[0].finds(None);
    let mut verdicts = 0;
    for id in 1..=6 {
        // Whether the one that hangs is asked first is a matter of chance.
        if let Answer::Verdict(_) = ask(&agent, id, USER).await.answer {
            verdicts += 1;
        }
    }
    assert!(verdicts >= 5, "{verdicts} of 6");
    bed.dcs[1].finds(None);
    let mut request = alternate(&agent, 7, USER);
    request.start_by = agent.clock.now() + std::time::Duration::from_millis(300);
    let outcome = agent.line().sign_in(&request).await;
    assert_eq!(outcome.not_started(), NotStarted::NoLookUp);
    let name = agent.ask(8, "user000001@corp.example.com", "right").await;
    assert_eq!(name.verdict().0, Verdict::Success, "other names go on");
}

#[tokio::test]
async fn with_almost_no_time_left_nothing_is_asked_and_no_connection_is_lost() {
    let (bed, agent) = start(1).await;
    assert_eq!(verdict(&ask(&agent, 1, USER).await).0, Verdict::Success);
    until_service_is_bound(&bed).await;
    bed.dcs[0].finds(None);
    for id in 2..=5 {
        let mut request = alternate(&agent, id, USER);
        request.start_by = agent.clock.now() + std::time::Duration::from_millis(20);
        // Whether the window or the time for the look-up is over first.
        let _ = agent.sign_in(&request).await.not_started();
    }
    assert_eq!(bed.dcs[0].searches().len(), 1);
}

#[tokio::test]
async fn no_bind_is_made_where_relay_and_agent_do_not_agree_what_a_name_is() {
    let (bed, agent) = start(1).await;
    let only_the_agent = agent.ask(1, USER, "right").await;
    assert_eq!(only_the_agent.not_started(), NotStarted::NoLookUp);
    for (id, name) in (2..).zip(["ada@corp.example.com", "CORP\\ada"]) {
        assert_eq!(
            ask(&agent, id, name).await.not_started(),
            NotStarted::NoLookUp,
            "{name}"
        );
    }
    assert!(bed.binds().is_empty() && bed.dcs[0].searches().is_empty());
}

#[tokio::test]
async fn the_bind_goes_to_the_domain_controller_that_found_the_account() {
    let (bed, agent) = start(2).await;
    // Each knows the account by another DN: one alone would not know the other's.
    let names = ["CN=Ada,OU=one,DC=corp", "CN=Ada,OU=two,DC=corp"];
    for (dc, dn) in bed.dcs.iter().zip(names) {
        dc.until_open(3).await;
        dc.finds(one(dn));
    }
    for id in 1..=8 {
        assert_eq!(verdict(&ask(&agent, id, USER).await).0, Verdict::Success);
    }
    for (dc, dn) in bed.dcs.iter().zip(names) {
        let users: Vec<_> = dc
            .binds()
            .into_iter()
            .map(|bind| bind.name)
            .filter(|name| name != SERVICE)
            .collect();
        assert!(users.iter().all(|name| name == dn), "{users:?}");
    }
    assert_eq!(bound(&bed).len(), 8);
}

/// Until both connections for look-ups at each domain controller are bound.
async fn until_service_is_bound(bed: &Bed) {
    let is_bound = |dc: &Dc| dc.binds().iter().filter(|bind| bind.name == SERVICE).count() >= 2;
    while !bed.dcs.iter().all(is_bound) {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

fn users_of(dc: &Dc) -> Vec<String> {
    let names = dc.binds().into_iter().map(|bind| bind.name);
    names.filter(|name| name != SERVICE).collect()
}

#[tokio::test]
async fn a_dn_is_bound_nowhere_but_where_it_was_found_and_rather_not_at_all() {
    let (bed, agent) = start(2).await;
    for dc in &bed.dcs {
        dc.until_open(3).await;
    }
    assert_eq!(verdict(&ask(&agent, 1, USER).await).0, Verdict::Success);
    until_service_is_bound(&bed).await;
    // The second one has not heard of the account yet, and does not say so either.
    bed.dcs[1].finds(Some(vec![done(LdapResultCode::Busy)]));
    let before = users_of(&bed.dcs[1]).len();
    let release = Arc::new(Notify::new());
    for _ in 0..2 {
        bed.dcs[0].script(Reply::Held(release.clone(), LdapResultCode::Success));
    }
    let last = async {
        let both = async {
            while users_of(&bed.dcs[0]).len() + before < 3 {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), both)
            .await
            .unwrap();
        let outcome = ask(&agent, 4, USER).await;
        release.notify_waiters();
        outcome
    };
    let (first, second, last) = tokio::join!(ask(&agent, 2, USER), ask(&agent, 3, USER), last);
    assert_eq!(last.not_started(), NotStarted::Busy);
    assert_eq!(verdict(&first).0, Verdict::Success);
    assert_eq!(verdict(&second).0, Verdict::Success);
    assert_eq!(users_of(&bed.dcs[1]).len(), before);
}

#[tokio::test]
async fn where_a_domain_controller_cannot_check_now_the_name_is_looked_up_again_at_the_other() {
    let (bed, agent) = start(2).await;
    let names = ["CN=Ada,OU=one,DC=corp", "CN=Ada,OU=two,DC=corp"];
    for (dc, dn) in bed.dcs.iter().zip(names) {
        dc.until_open(3).await;
        dc.finds(one(dn));
    }
    assert_eq!(verdict(&ask(&agent, 1, USER).await).0, Verdict::Success);
    until_service_is_bound(&bed).await;
    let before = bound(&bed).len();
    for dc in &bed.dcs {
        dc.script(Reply::Answer(LdapResultCode::Busy, String::new()));
    }
    assert!(!ask(&agent, 2, USER).await.failed().0);
    assert_eq!(bound(&bed).len(), before + 2);
    for (dc, dn) in bed.dcs.iter().zip(names) {
        let users = users_of(dc);
        assert!(!users.is_empty() && users.iter().all(|name| name == dn), "{users:?}");
    }
}
