//! The second domain controller: asked only while the relay still waits for this agent.
//!
//! The first one holds its answer, result 51, until the reason not to go on is there.

use std::sync::Arc;
use std::time::Duration;

use ldap3_proto::proto::LdapResultCode;
use postern_protocol::Verdict;
use postern_protocol::close::CloseCode;
use postern_protocol::frame::{Cancel, Control};
use tokio::sync::Notify;

use crate::bed::Bed;
use crate::dc::Reply;
use crate::pki::AGENT_URI;
use crate::relay::{Agent, Greeting, Relay};

const USER: &str = "user000001@corp.example.com";

/// Longer than any of these tests holds an answer.
const PATIENT_MS: u64 = 10_000;

/// Two domain controllers that say busy once released, each to its first bind.
struct Busy {
    bed: Bed,
    relay: Relay,
    agent: Agent,
    release: Arc<Notify>,
}

impl Busy {
    async fn start() -> Self {
        let mut bed = Bed::new(2).await;
        let relay = bed.relay();
        let issued = bed.ca.issue(Some(AGENT_URI), &[]);
        let config = bed.config(&[relay.address], &issued, PATIENT_MS);
        bed.run(config);
        let mut agent = relay.agent(Greeting::default()).await;
        agent.until_ready(4).await;
        for dc in &bed.dcs {
            dc.until_open(3).await;
        }
        let release = Arc::new(Notify::new());
        for dc in &bed.dcs {
            dc.script(Reply::Held(release.clone(), LdapResultCode::Busy));
        }
        Self {
            bed,
            relay,
            agent,
            release,
        }
    }

    /// Until one of them has a bind.
    async fn bound(&self) {
        tokio::select! {
            () = self.bed.dcs[0].bound() => {}
            () = self.bed.dcs[1].bound() => {}
        }
    }
}

#[tokio::test]
async fn a_second_bind_is_not_started_when_the_window_has_passed_meanwhile() {
    let busy = Busy::start().await;
    let request = busy.agent.request(1, USER, "right");
    let (outcome, ()) = tokio::join!(busy.agent.sign_in(&request), async {
        busy.bound().await;
        // A request has two seconds to start, and this one was sent before now.
        tokio::time::sleep(Duration::from_secs(2)).await;
        busy.release.notify_one();
    });
    assert!(!outcome.failed().0);
    assert_eq!(busy.bed.binds().len(), 1);
    assert_eq!(busy.bed.metric("postern_agent_window_refusals_total").await, 1);
}

#[tokio::test]
async fn a_session_that_ends_during_a_bind_is_dialled_again_at_once_and_starts_no_second_bind() {
    let mut busy = Busy::start().await;
    let (line, request) = (busy.agent.line(), busy.agent.request(1, USER, "right"));
    tokio::select! {
        outcome = line.sign_in(&request) => panic!("answered: {outcome:?}"),
        () = busy.bound() => {}
    }
    busy.agent.connection.close(CloseCode::Done, "");
    // The bind is not answered yet, and the agent is back already.
    let next = busy.relay.agent(Greeting::default()).await;
    assert_eq!(busy.bed.binds().len(), 1);
    busy.release.notify_one();
    next.connection.close(CloseCode::Done, "");
    busy.bed.shutdown.drain.cancel();
    busy.bed.ended().await;
    assert_eq!(busy.bed.binds().len(), 1);
}

#[tokio::test]
async fn a_second_bind_is_started_while_the_window_is_open() {
    let busy = Busy::start().await;
    let request = busy.agent.request(1, USER, "right");
    let (outcome, ()) = tokio::join!(busy.agent.sign_in(&request), async {
        busy.bound().await;
        busy.release.notify_one();
        busy.bound().await;
        busy.release.notify_one();
    });
    assert!(!outcome.failed().0, "both were busy");
    assert_eq!(busy.bed.binds().len(), 2);
    assert_eq!(busy.agent.ask(2, USER, "right").await.verdict().0, Verdict::Success);
}

#[tokio::test]
async fn a_second_bind_is_not_started_when_the_relay_has_cancelled_meanwhile() {
    let mut busy = Busy::start().await;
    let (line, request) = (busy.agent.line(), busy.agent.request(1, USER, "right"));
    let (outcome, ()) = tokio::join!(line.sign_in(&request), async {
        busy.bound().await;
        let request_id = request.request_id;
        busy.agent
            .send(Control::Cancel(Cancel {
                request_id,
                start_by: None,
            }))
            .await;
        busy.agent.barrier(1).await;
        busy.release.notify_one();
    });
    assert!(!outcome.failed().0);
    assert_eq!(busy.bed.binds().len(), 1);
}
