//! What a directory's answers come to, bind by bind.

use ldap3_proto::proto::LdapResultCode;
use postern_protocol::frame::{Answer, Request};
use postern_protocol::{NotStarted, Verdict};

use crate::bed::Bed;
use crate::dc::Reply;

const USER: &str = "user000001@corp.example.com";

fn windows(data: &str) -> Reply {
    let text = format!("80090308: LdapErr: DSID-0C090549, comment: AcceptSecurityContext error, data {data}, v65f4\0");
    Reply::Answer(LdapResultCode::InvalidCredentials, text)
}

#[tokio::test]
async fn result_zero_is_success_and_the_directory_sees_exactly_one_bind_with_name_and_password() {
    let (bed, agent) = Bed::start(1).await;
    let outcome = agent.ask(1, " Zoë@corp.example.com ", "pässwörd").await;
    assert_eq!(outcome.verdict(), (Verdict::Success, None, "dc-1"));
    assert_eq!(
        bed.binds(),
        [("Zoë@corp.example.com".to_owned(), "pässwörd".to_owned())]
    );
    assert_eq!(
        bed.metric("postern_agent_binds_total{dc=\"dc-1\",verdict=\"success\"}")
            .await,
        1
    );
    assert_eq!(bed.metric("postern_agent_opens_total{result=\"opened\"}").await, 1);
}

#[tokio::test]
async fn every_sub_code_of_result_49_is_its_own_verdict_and_none_is_invalid_credentials() {
    let (bed, agent) = Bed::start(1).await;
    let cases = [
        ("52e", Verdict::InvalidCredentials),
        ("525", Verdict::InvalidCredentials),
        ("530", Verdict::LogonHours),
        ("531", Verdict::LogonWorkstation),
        ("532", Verdict::PasswordExpired),
        ("533", Verdict::AccountDisabled),
        ("701", Verdict::AccountExpired),
        ("773", Verdict::PasswordMustChange),
        ("775", Verdict::AccountLocked),
        ("57", Verdict::Rejected),
    ];
    for (index, (data, verdict)) in cases.into_iter().enumerate() {
        bed.dcs[0].script(windows(data));
        let outcome = agent.ask(u8::try_from(index).unwrap(), USER, "wrong").await;
        let sub_code = u32::from_str_radix(data, 16).ok();
        assert_eq!(outcome.verdict(), (verdict, sub_code, "dc-1"), "data {data}");
    }
    bed.dcs[0].script(Reply::Answer(LdapResultCode::InvalidCredentials, String::new()));
    let outcome = agent.ask(100, USER, "wrong").await;
    assert_eq!(outcome.verdict(), (Verdict::InvalidCredentials, None, "dc-1"));
    assert_eq!(bed.binds().len(), cases.len() + 1);
}

#[tokio::test]
async fn a_domain_controller_that_is_busy_or_unavailable_passes_the_bind_on_to_the_next() {
    for code in [LdapResultCode::Busy, LdapResultCode::Unavailable] {
        let (bed, agent) = Bed::start(2).await;
        for dc in &bed.dcs {
            dc.script(Reply::Answer(code.clone(), "later".to_owned()));
        }
        // Both say later: it is told as not checked.
        let outcome = agent.ask(1, USER, "right").await;
        assert!(!outcome.failed().0);
        assert_eq!(bed.binds().len(), 2);
        // One says later: the other one decides.
        bed.dcs[0].script(Reply::Answer(code.clone(), "later".to_owned()));
        bed.dcs[1].script(windows("532"));
        let verdict = loop {
            let id = u8::try_from(bed.binds().len()).unwrap();
            let outcome = agent.ask(id, USER, "right").await;
            if outcome.verdict().1.is_some() {
                break (outcome.verdict().0, outcome.verdict().2.to_owned());
            }
        };
        assert_eq!(verdict, (Verdict::PasswordExpired, "dc-2".to_owned()));
    }
}

#[tokio::test]
async fn any_other_result_is_a_failure_that_was_not_checked_and_never_a_wrong_password() {
    let (bed, agent) = Bed::start(1).await;
    let codes = [
        LdapResultCode::StrongerAuthRequired,
        LdapResultCode::Other,
        LdapResultCode::OperationsError,
        LdapResultCode::UnwillingToPerform,
    ];
    for (index, code) in codes.into_iter().enumerate() {
        bed.dcs[0].script(Reply::Answer(code, "data 52e".to_owned()));
        let outcome = agent.ask(u8::try_from(index).unwrap(), USER, "right").await;
        assert_eq!(outcome.failed(), (false, "dc-1"));
    }
    assert_eq!(
        bed.metric("postern_agent_binds_total{dc=\"dc-1\",verdict=\"error\"}")
            .await,
        4
    );
}

#[tokio::test]
async fn a_failure_says_that_it_is_about_the_one_account_for_these_results_and_no_other() {
    let (bed, agent) = Bed::start(1).await;
    let cases = [
        (LdapResultCode::ConstraintViolation, Some(true)),
        (LdapResultCode::InappropriateAuthentication, Some(true)),
        (LdapResultCode::UnwillingToPerform, Some(true)),
        (LdapResultCode::OperationsError, None),
        (LdapResultCode::StrongerAuthRequired, None),
        (LdapResultCode::ConfidentialityRequired, None),
        (LdapResultCode::Busy, None),
        (LdapResultCode::Unavailable, None),
        (LdapResultCode::Other, None),
    ];
    for (index, (code, account_only)) in cases.into_iter().enumerate() {
        bed.dcs[0].script(Reply::Answer(code.clone(), String::new()));
        let outcome = agent.ask(u8::try_from(index).unwrap(), USER, "right").await;
        assert_eq!(outcome.failed(), (false, "dc-1"), "{code:?}");
        assert_eq!(outcome.account_only(), account_only, "{code:?}");
    }
    // A bind without an answer says nothing of the account.
    bed.dcs[0].script(Reply::Close);
    let outcome = agent.ask(100, USER, "right").await;
    assert_eq!((outcome.failed().0, outcome.account_only()), (true, None));
}

#[tokio::test]
async fn a_connection_closed_after_the_bind_was_sent_is_indeterminate_and_nothing_is_sent_again() {
    let (bed, agent) = Bed::start(2).await;
    for dc in &bed.dcs {
        dc.script(Reply::Close);
    }
    let outcome = agent.ask(1, USER, "right").await;
    assert!(outcome.failed().0);
    assert_eq!(bed.binds().len(), 1);
}

#[tokio::test]
async fn a_bind_without_an_answer_is_indeterminate_and_its_connection_is_never_used_again() {
    let (bed, agent) = Bed::start_with(1, 100).await;
    bed.dcs[0].script(Reply::Silence);
    let outcome = agent.ask(1, USER, "right").await;
    assert_eq!(outcome.failed(), (true, "dc-1"));
    for id in 2..20 {
        assert_eq!(agent.ask(id, USER, "right").await.verdict().0, Verdict::Success);
    }
    let binds = bed.dcs[0].binds();
    let silent = binds[0].connection;
    assert!(binds[1..].iter().all(|bind| bind.connection != silent));
}

#[tokio::test]
async fn connections_closed_by_the_domain_controller_leave_the_pool_before_a_bind_meets_them() {
    let (bed, agent) = Bed::start(1).await;
    // Four for binds, one for the RootDSE; closed, and all of them opened again.
    bed.dcs[0].hang_up();
    bed.dcs[0].until_accepted(10).await;
    for id in 1..9 {
        assert_eq!(agent.ask(id, USER, "right").await.verdict().0, Verdict::Success);
    }
    let binds = bed.dcs[0].binds();
    assert_eq!(binds.len(), 8);
    assert!(binds.iter().all(|bind| bind.connection > 5));
}

#[tokio::test]
async fn binds_are_kept_apart_from_the_health_check() {
    let (bed, agent) = Bed::start(1).await;
    assert!(bed.dcs[0].root_dse_reads() >= 1);
    for id in 1..9 {
        agent.ask(id, USER, "right").await;
    }
    // The first connection is the one that reads the RootDSE.
    assert!(bed.dcs[0].binds().iter().all(|bind| bind.connection != 1));
}

#[tokio::test]
async fn without_any_domain_controller_nothing_is_started_and_readyz_says_why() {
    let mut bed = Bed::new(0).await;
    // A domain controller whose certificate is of another authority, and one that is not there.
    let other = crate::pki::Ca::new();
    bed.dcs
        .push(crate::dc::Dc::start(&other.issue(None, &["dc-1.corp.example.com"])).await);
    let relay = bed.relay();
    let issued = bed.ca.issue(Some(crate::pki::AGENT_URI), &[]);
    let config = bed.config(&[relay.address], &issued, 1_500);
    bed.run(config);
    let mut agent = relay.agent(crate::relay::Greeting::default()).await;
    agent.barrier(1).await;
    let outcome = agent.ask(1, USER, "right").await;
    assert_eq!(outcome.not_started(), NotStarted::NoDirectory);
    let reason = bed.readyz("directory.anchors").await;
    assert!(reason.contains("503"), "{reason}");
    assert!(bed.binds().is_empty());
}

#[tokio::test]
async fn a_domain_controller_that_closes_after_the_handshake_is_not_stormed_with_handshakes() {
    let mut bed = Bed::new(1).await;
    // The one that reads the RootDSE stays.
    bed.dcs[0].take_only(1);
    let relay = bed.relay();
    let issued = bed.ca.issue(Some(crate::pki::AGENT_URI), &[]);
    let config = bed.config(&[relay.address], &issued, 1_500);
    bed.run(config);
    bed.dcs[0].until_accepted(5).await;
    let before = bed.dcs[0].accepted();
    // Without a pause there would be hundreds in a second; with one that doubles, a handful.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let more = bed.dcs[0].accepted() - before;
    assert!(more < 40, "{more} handshakes in a second");
}

#[tokio::test]
async fn a_connection_that_ends_with_a_bind_is_replaced_at_once() {
    for reply in [Reply::Last, Reply::Close] {
        let (bed, agent) = Bed::start(1).await;
        for id in 0..=u8::MAX {
            bed.dcs[0].script(reply.clone());
            agent.ask(id, USER, "right").await;
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        // With the pause that doubles, which is for those that close right after the handshake, they are a handful.
        let binds = bed.binds().len();
        assert!(binds > 100, "{binds} of 256 were bound: {reply:?}");
    }
}

#[tokio::test]
async fn where_the_answer_to_a_sign_in_was_lost_it_is_bound_again_only_if_there_is_no_other() {
    let (bed, agent) = Bed::start(2).await;
    for id in 0..12 {
        let request = Request {
            avoid_dc: Some("dc-1".to_owned()),
            ..agent.request(id, USER, "right")
        };
        let outcome = agent.sign_in(&request).await;
        assert_eq!((outcome.verdict().0, outcome.verdict().2), (Verdict::Success, "dc-2"));
    }
    bed.dcs[1].go_down();
    // A bind that it took with its last breath is lost, and says so: what a relay answers with another request.
    for id in 100..=u8::MAX {
        let request = Request {
            avoid_dc: Some("dc-1".to_owned()),
            ..agent.request(id, USER, "right")
        };
        let outcome = agent.sign_in(&request).await;
        if matches!(outcome.answer, Answer::Failed(_)) {
            assert_eq!(outcome.failed(), (true, "dc-2"));
            continue;
        }
        assert_eq!((outcome.verdict().0, outcome.verdict().2), (Verdict::Success, "dc-1"));
        return;
    }
    panic!("no sign-in went to the domain controller that is left");
}

#[tokio::test]
async fn after_a_bind_without_an_answer_the_next_ones_go_elsewhere() {
    let (bed, agent) = Bed::start_with(2, 100).await;
    for _ in 0..100 {
        bed.dcs[0].script(Reply::Silence);
    }
    let mut ids = 0..=u8::MAX;
    while bed.dcs[0].binds().is_empty() {
        agent.ask(ids.next().unwrap(), USER, "right").await;
    }
    // A new connection takes the silent one's place at once, and an even part would be ten.
    let (began, mut asked) = (std::time::Instant::now(), 0);
    while began.elapsed() < std::time::Duration::from_millis(500) && asked < 20 {
        let answer = agent.ask(ids.next().unwrap(), USER, "right").await;
        assert_eq!((answer.verdict().0, answer.verdict().2), (Verdict::Success, "dc-2"));
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        asked += 1;
    }
    assert!(asked > 1);
}

#[tokio::test]
async fn a_domain_controller_whose_binds_hang_is_passed_over_and_tried_again_until_it_answers() {
    let (bed, agent) = Bed::start_with(2, 100).await;
    for _ in 0..100 {
        bed.dcs[0].script(Reply::Silence);
    }
    let pause = std::time::Duration::from_millis(20);
    let mut ids = 0..=u8::MAX;
    while bed.dcs[0].binds().len() < 3 {
        agent.ask(ids.next().unwrap(), USER, "right").await;
        tokio::time::sleep(pause).await;
    }
    // Its RootDSE is read all the time; half of the sign-ins would hang.
    for id in ids.by_ref().take(20) {
        agent.ask(id, USER, "right").await;
    }
    let hung = bed.dcs[0].binds().len();
    assert!(hung <= 5, "{hung} binds hung");
    bed.dcs[0].clear_script();
    while agent.ask(ids.next().unwrap(), USER, "right").await.verdict().2 != "dc-1" {
        tokio::time::sleep(5 * pause).await;
    }
}
