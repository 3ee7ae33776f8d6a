//! Certificates, anchors and addresses that change while the agent runs.

use std::time::Duration;

use postern_protocol::Verdict;
use postern_protocol::close::CloseCode;
use postern_protocol::connection::Ended;
use tokio::time::timeout;

use crate::bed::{Bed, RELAY_NAME};
use crate::pki::{AGENT_URI, Ca, Issued, RELAY_URI};
use crate::relay::{Agent, Greeting, Relay};

const USER: &str = "user000001@corp.example.com";

/// The files are looked at every second.
const SOON: Duration = Duration::from_secs(10);

/// An agent in session whose configuration is a file.
async fn start() -> (Bed, Relay, Issued, Agent) {
    let mut bed = Bed::new(1).await;
    let relay = bed.relay();
    let issued = bed.ca.issue(Some(AGENT_URI), &[]);
    let servers = bed.servers("");
    bed.folder
        .write("agent.toml", &bed.text(&[relay.address], &issued, &servers));
    let config = bed.config_with(&[relay.address], &issued, &servers);
    bed.run(config);
    let mut agent = relay.agent(Greeting::default()).await;
    agent.until_ready(4).await;
    (bed, relay, issued, agent)
}

fn exchange(bed: &Bed, issued: &Issued) {
    bed.folder.write("agent.pem", &issued.certificate_pem);
    bed.folder.write("agent-key.pem", &issued.key_pem);
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_in_a_session_that_takes_the_place_of_the_one_before() {
    let (bed, relay, _, before) = start().await;
    let renewed = bed.ca.issue_until(Some(AGENT_URI), &[], 2090);
    exchange(&bed, &renewed);
    let mut after = timeout(SOON, relay.agent(Greeting::default())).await.unwrap();
    assert!(after.hello.takes_over);
    assert_eq!(after.hello.instance, before.hello.instance);
    assert_eq!(
        after.connection.peer_chain(),
        std::slice::from_ref(&renewed.certificate)
    );
    after.until_ready(2).await;
    // Both serve until the relay closes the older one.
    assert_eq!(before.ask(1, USER, "right").await.verdict().0, Verdict::Success);
    assert_eq!(after.ask(2, USER, "right").await.verdict().0, Verdict::Success);
    before.connection.close(CloseCode::Done, "replaced");
    after.until_ready(4).await;
    assert_eq!(after.ask(3, USER, "right").await.verdict().0, Verdict::Success);
    let end = "postern_agent_certificate_not_after_timestamp_seconds{use=\"session\"}";
    assert!(bed.metric(end).await > 3_700_000_000);
    assert_eq!(bed.metric("postern_agent_config_last_reload_successful").await, 1);
}

#[tokio::test]
async fn a_certificate_of_another_agent_is_not_taken_over() {
    let (bed, relay, issued, before) = start().await;
    let other = AGENT_URI.replace("agent-1", "agent-2");
    exchange(&bed, &bed.ca.issue(Some(&other), &[]));
    let failed = async { while bed.metric("postern_agent_config_last_reload_successful").await != 0 {} };
    timeout(SOON, failed).await.unwrap();
    assert_eq!(before.ask(1, USER, "right").await.verdict().0, Verdict::Success);
    // What was before is right again, and brings no other session.
    exchange(&bed, &issued);
    let mended = async { while bed.metric("postern_agent_config_last_reload_successful").await != 1 {} };
    timeout(SOON, mended).await.unwrap();
    let another = timeout(Duration::from_millis(500), relay.connection()).await;
    assert!(another.is_err(), "it dials again");
    assert_eq!(before.connection.close_reason(), None);
}

#[tokio::test]
async fn a_relay_that_the_new_anchors_do_not_know_is_left_and_not_dialled_into_session() {
    let (bed, relay, _, before) = start().await;
    let others = Ca::new();
    bed.folder.write("others.pem", &others.pem());
    let path = bed.folder.path().join("agent.toml");
    let text = std::fs::read_to_string(path).unwrap();
    let (own, directory) = text.split_once("[directory]").unwrap();
    let text = format!("{}[directory]{directory}", own.replace("\"ca.pem\"", "\"others.pem\""));
    bed.folder.write("agent.toml", &text);
    timeout(SOON, before.connection.closed()).await.unwrap();
    let end = before.connection.close_reason();
    let of_identity = |end: &Ended| {
        matches!(
            end,
            Ended::Closed {
                code: Some(CloseCode::Identity),
                ..
            }
        )
    };
    assert!(end.as_ref().is_some_and(of_identity), "{end:?}");
    assert!(timeout(Duration::from_secs(2), relay.connection()).await.is_err());
    // With both it is back.
    bed.folder
        .write("others.pem", &format!("{}{}", others.pem(), bed.ca.pem()));
    let mut after = timeout(SOON, relay.agent(Greeting::default())).await.unwrap();
    after.until_ready(4).await;
    assert_eq!(after.ask(1, USER, "right").await.verdict().0, Verdict::Success);
}

#[tokio::test]
async fn a_relay_that_is_added_is_dialled() {
    let (bed, first, issued, before) = start().await;
    let second = bed.relay_with(&bed.ca.issue(Some(RELAY_URI), &[RELAY_NAME]));
    let servers = bed.servers("");
    let text = bed.text(&[first.address, second.address], &issued, &servers);
    bed.folder.write("agent.toml", &text);
    let after = timeout(SOON, second.agent(Greeting::default())).await.unwrap();
    assert_eq!(after.hello.instance, before.hello.instance);
    assert_eq!(before.connection.close_reason(), None);
}
