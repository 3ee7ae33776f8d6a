//! Domain controllers that are broken, misconfigured or hostile: what a sign-in comes to, and what the operator reads.
//!
//! The rules: none of them is a wrong password, none a success, and where no bind was written another is used.

use std::time::Duration;

use ldap3_proto::proto::{LdapExtendedResponse, LdapOp, LdapResult, LdapResultCode};
use postern_protocol::frame::Request;
use postern_protocol::{NotStarted, Verdict};

use crate::bed::Bed;
use crate::dc::{Dc, Manner, Reply};
use crate::pki::{AGENT_URI, Ca, Issued};
use crate::relay::{Agent, Greeting};

const USER: &str = "user000001@corp.example.com";

fn said(code: LdapResultCode) -> LdapResult {
    LdapResult {
        code,
        matcheddn: String::new(),
        message: String::new(),
        referral: Vec::new(),
    }
}

fn extended(name: Option<&str>) -> LdapOp {
    LdapOp::ExtendedResponse(LdapExtendedResponse {
        res: said(LdapResultCode::Success),
        name: name.map(str::to_owned),
        value: None,
    })
}

/// A bed with these domain controllers, `dc-1` and so on, and the agent in session.
async fn bed_of(bed: Bed, more: &str) -> (Bed, Agent) {
    let mut bed = bed;
    let relay = bed.relay();
    let agent = bed.ca.issue(Some(AGENT_URI), &[]);
    let config = bed.config_adding(&[relay.address], &agent, 1_500, more);
    bed.run(config);
    (bed, relay.agent(Greeting::default()).await)
}

fn named(bed: &Bed, number: usize) -> Issued {
    bed.ca.issue(None, &[&format!("dc-{number}.corp.example.com")])
}

/// A bad domain controller alone, and then with a good one beside it: alone nothing is started and `/readyz` says
/// `words`; with the other one there, all sign-ins go there.
async fn is_passed_over(issue: impl Fn(&Bed) -> Issued, manner: Manner, words: &[&str]) {
    let mut bed = Bed::new(0).await;
    bed.dcs.push(Dc::start_as(&issue(&bed), manner).await);
    let (bed, mut agent) = bed_of(bed, "").await;
    agent.barrier(1).await;
    let reason = bed.readyz(words[0]).await;
    assert!(words.iter().all(|word| reason.contains(word)), "{manner:?}: {reason}");
    assert_eq!(agent.ask(1, USER, "right").await.not_started(), NotStarted::NoDirectory);
    assert!(bed.binds().is_empty(), "{manner:?}");

    let mut bed = Bed::new(0).await;
    bed.dcs.push(Dc::start_as(&issue(&bed), manner).await);
    bed.dcs.push(Dc::start(&named(&bed, 2)).await);
    let (bed, mut agent) = bed_of(bed, "").await;
    agent.until_ready(4).await;
    for id in 1..9 {
        assert_eq!(
            agent.ask(id, USER, "right").await.verdict(),
            (Verdict::Success, None, "dc-2")
        );
    }
    assert!(bed.dcs[0].binds().is_empty(), "{manner:?}");
}

#[tokio::test]
async fn whatever_else_comes_in_place_of_a_binds_answer_is_indeterminate_and_nothing_is_sent_again() {
    let done = || LdapOp::SearchResultDone(said(LdapResultCode::Success));
    let replies = [
        // The bind's id and result 0, and not a bind's answer.
        Reply::Say(0, done()),
        Reply::Say(0, extended(None)),
        Reply::Say(0, LdapOp::CompareResult(said(LdapResultCode::Success))),
        // A search's end for another id.
        Reply::Say(1, done()),
        // A notice of disconnection, for message 0.
        Reply::Say(-1, extended(Some("1.3.6.1.4.1.1466.20036"))),
        Reply::Bytes(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()),
        // A success for message 0, which is never asked.
        Reply::Bytes(vec![0x30, 12, 2, 1, 0, 0x61, 7, 0x0a, 1, 0, 4, 0, 4, 0]),
        // Sixteen megabytes to come.
        Reply::Bytes(vec![0x30, 0x84, 1, 0, 0, 0, 2, 1, 1, 0x61]),
        Reply::Cut,
    ];
    for reply in replies {
        let (bed, agent) = Bed::start(2).await;
        for dc in &bed.dcs {
            dc.script(reply.clone());
        }
        let outcome = agent.ask(1, USER, "right").await;
        assert!(outcome.failed().0, "{reply:?}");
        assert_eq!(bed.binds().len(), 1, "{reply:?}");
    }
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_not_believed() {
    let other = Ca::new();
    let issue = |_: &Bed| other.issue(None, &["dc-1.corp.example.com"]);
    is_passed_over(
        issue,
        Manner::Ldaps,
        &["not issued by an authority in directory.anchors"],
    )
    .await;
}

#[tokio::test]
async fn a_certificate_for_another_name_is_not_believed_and_the_name_is_told() {
    let issue = |bed: &Bed| bed.ca.issue(None, &["dc-9.corp.example.com"]);
    let words = [
        "its certificate is not for dc-1.corp.example.com (it is for dc-9.corp.example.com)",
        "server_name",
    ];
    is_passed_over(issue, Manner::Ldaps, &words).await;
}

#[tokio::test]
async fn a_certificate_that_has_expired_is_not_believed() {
    let issue = |bed: &Bed| bed.ca.issue_until(None, &["dc-1.corp.example.com"], 2021);
    is_passed_over(issue, Manner::Ldaps, &["its certificate has expired"]).await;
}

#[tokio::test]
async fn a_domain_controller_that_takes_connections_and_says_nothing_is_passed_over() {
    is_passed_over(
        |bed| named(bed, 1),
        Manner::Silent,
        &["the TLS handshake has no answer within"],
    )
    .await;
}

#[tokio::test]
async fn a_domain_controller_whose_root_dse_is_no_ldap_is_passed_over() {
    is_passed_over(
        |bed| named(bed, 1),
        Manner::GarbageRootDse,
        &["the RootDSE cannot be read", "not LDAP"],
    )
    .await;
}

#[tokio::test]
async fn start_tls_that_is_refused_is_told_and_no_bind_goes_there() {
    is_passed_over(|bed| named(bed, 1), Manner::Plain(52), &["refuses StartTLS (result 52"]).await;
}

#[tokio::test]
async fn start_tls_that_is_accepted_and_not_done_is_told_and_no_bind_goes_there() {
    is_passed_over(|bed| named(bed, 1), Manner::NoTls, &["TLS with 127.0.0.1"]).await;
}

#[tokio::test]
async fn what_is_put_between_the_answer_to_start_tls_and_the_handshake_ends_the_connection() {
    is_passed_over(
        |bed| named(bed, 1),
        Manner::Injects,
        &["unprotected bytes follow the answer"],
    )
    .await;
}

#[tokio::test]
async fn start_tls_with_a_certificate_of_another_authority_is_not_believed() {
    let other = Ca::new();
    let issue = |_: &Bed| other.issue(None, &["dc-1.corp.example.com"]);
    is_passed_over(
        issue,
        Manner::StartTls,
        &["not issued by an authority in directory.anchors"],
    )
    .await;
}

#[tokio::test]
async fn a_directory_that_binds_by_dn_alone_is_not_used_without_a_look_up() {
    is_passed_over(|bed| named(bed, 1), Manner::OpenLdap, &["openldap"]).await;
}

#[tokio::test]
async fn a_domain_controller_of_another_kind_than_most_is_not_used() {
    let mut bed = Bed::new(2).await;
    bed.dcs.push(Dc::start_as(&named(&bed, 3), Manner::OpenLdap).await);
    // It could be used, were it alone.
    bed.folder.write("service-password", "service-secret\n");
    bed.sections = "[directory.look_up]\nattribute = \"uid\"\naccount = \"svc@corp.example.com\"\n\
                    password_file = \"service-password\"\n\
                    [directory.alternate_id]\nattribute = \"mail\"\nsuffixes = [\"mail.example.org\"]\n"
        .to_owned();
    // The others say first what they are.
    bed.dcs[2].go_down();
    let (bed, mut agent) = bed_of(bed, "").await;
    agent.until_ready(4).await;
    bed.dcs[0].until_open(3).await;
    bed.dcs[1].until_open(3).await;
    bed.dcs[2].come_up();
    // Whoever asks a second time did not like the first answer.
    while bed.dcs[2].root_dse_reads() < 2 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for id in 1..9 {
        let outcome = agent.ask(id, USER, "right").await;
        assert_eq!(outcome.verdict().0, Verdict::Success);
        assert_ne!(outcome.verdict().2, "dc-3");
    }
    // Connections for look-ups are made now, and not there: each would cost a bind of the service account, again and
    // again.
    let looked_up = Request {
        alternate_id: true,
        ..agent.request(9, "ada@mail.example.org", "right")
    };
    let _ = agent.sign_in(&looked_up).await;
    let reads = bed.dcs[2].root_dse_reads();
    while bed.dcs[2].root_dse_reads() < reads + 3 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(bed.dcs[2].binds().is_empty());
    assert_eq!(bed.metric("postern_agent_dc_up{dc=\"dc-3\"}").await, 0);
}

#[tokio::test]
async fn sign_ins_go_over_start_tls() {
    let mut bed = Bed::new(0).await;
    bed.dcs.push(Dc::start_as(&named(&bed, 1), Manner::StartTls).await);
    let (bed, mut agent) = bed_of(bed, "").await;
    agent.until_ready(4).await;
    assert_eq!(agent.ask(1, USER, "right").await.verdict().0, Verdict::Success);
    assert_eq!(bed.binds(), [(USER.to_owned(), "right".to_owned())]);
}

#[tokio::test]
async fn plain_ldap_is_spoken_with_insecure_alone() {
    let mut bed = Bed::new(0).await;
    bed.dcs.push(Dc::start_as(&named(&bed, 1), Manner::Plain(53)).await);
    let (bed, mut agent) = bed_of(bed, "insecure = true").await;
    agent.until_ready(4).await;
    assert_eq!(agent.ask(1, USER, "right").await.verdict().0, Verdict::Success);
    assert_eq!(bed.binds(), [(USER.to_owned(), "right".to_owned())]);
}

#[tokio::test]
async fn other_authorities_are_believed_from_the_moment_that_the_file_has_them_and_a_bad_file_changes_nothing() {
    let mut bed = Bed::new(0).await;
    let other = Ca::new();
    bed.dcs
        .push(Dc::start(&other.issue(None, &["dc-1.corp.example.com"])).await);
    let (bed, mut agent) = bed_of(bed, "").await;
    bed.readyz("not issued by an authority in directory.anchors").await;
    bed.folder.write("ca.pem", &other.pem());
    agent.until_ready(4).await;
    bed.dcs[0].until_open(5).await;
    assert_eq!(agent.ask(1, USER, "right").await.verdict().0, Verdict::Success);
    // Neither no certificate nor one that is none.
    for bad in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        bed.folder.write("ca.pem", bad);
        let accepted = bed.dcs[0].accepted();
        bed.dcs[0].hang_up();
        bed.dcs[0].until_accepted(accepted + 5).await;
    }
    assert_eq!(agent.ask(2, USER, "right").await.verdict().0, Verdict::Success);
}

/// An agent in front of one domain controller that refuses its RootDSE.
async fn refused(code: LdapResultCode, kind: &str) -> (Bed, Agent) {
    let mut bed = Bed::new(1).await;
    bed.dcs[0].refuse_root_dse(code);
    let relay = bed.relay();
    let issued = bed.ca.issue(Some(AGENT_URI), &[]);
    let directory = format!("kind = \"{kind}\"\n{}", bed.servers(""));
    let config = bed.config_with(&[relay.address], &issued, &directory);
    bed.run(config);
    let agent = relay.agent(Greeting::default()).await;
    (bed, agent)
}

#[tokio::test]
async fn a_root_dse_that_is_refused_is_an_answer_and_leaves_open_only_what_the_directory_is() {
    for code in [
        LdapResultCode::StrongerAuthRequired,
        LdapResultCode::InsufficentAccessRights,
        LdapResultCode::UnwillingToPerform,
    ] {
        let (bed, mut agent) = refused(code.clone(), "active-directory").await;
        agent.until_ready(4).await;
        assert_eq!(agent.ask(1, USER, "right").await.verdict().0, Verdict::Success);
        drop(bed);
        let (bed, _agent) = refused(code, "auto").await;
        let page = bed.readyz("refuses to say what it is").await;
        assert!(page.contains("set directory.kind"), "{page}");
        assert!(bed.binds().is_empty());
    }
    let (bed, _agent) = refused(LdapResultCode::Busy, "active-directory").await;
    bed.readyz("the RootDSE cannot be read").await;
}
