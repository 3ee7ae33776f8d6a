//! A configuration that changes while the relay serves, and what outlives a restart.

use std::time::{Duration, Instant};

use postern_protocol::Verdict;
use postern_protocol::close::CloseCode;
use postern_protocol::frame::{Control, Ping};
use postern_relay::Relay;
use postern_relay::config::raw::Raw;
use postern_service::shutdown::Shutdown;

use crate::rig::{AGENT, Agent, Rig, ca, leaf, write_identity};
use crate::sign_ins::verdict;

/// The files are looked at every second.
const SOON: Duration = Duration::from_secs(10);

/// Tries until it gives something.
async fn eventually<T>(what: &str, mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + SOON;
    loop {
        if let Some(done) = attempt().await {
            return done;
        }
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A rig whose agents may say nothing for as long as a change takes.
fn lasting() -> Rig {
    let mut rig = Rig::start();
    rig.keeps_alive = true;
    rig
}

async fn serves(rig: &Rig, agent: &Agent, user: &str) {
    let serve = async { agent.request().await.answer(verdict(Verdict::Success)).await };
    let (answer, ()) = tokio::join!(rig.sign_in(user, "right"), serve);
    assert_eq!(answer.0, 200, "{answer:?}");
}

#[tokio::test]
async fn an_exchanged_certificate_is_shown_to_newcomers_and_ends_no_session() {
    let mut rig = lasting();
    let before = rig.agent("agent-1").await;
    let over_tcp = rig.dial_tcp(rig.certificate("agent-2")).await.unwrap();
    let others = ca();
    let name = "spiffe://postern.test/relay/relay-1";
    write_identity(&rig.folder, &leaf(&others, &[name], &["relay.test"], |_| {}));
    rig.servers = others;
    let after = eventually("the new certificate is never shown", async || {
        rig.dial(rig.certificate("agent-3")).await.ok()
    })
    .await;
    assert!(
        rig.dial_tcp(rig.certificate("agent-4")).await.is_ok(),
        "over TCP it is not shown"
    );
    serves(&rig, &before, "x@corp.example.com").await;
    assert!(over_tcp.close_reason().is_none() && after.close_reason().is_none());
}

#[tokio::test]
async fn a_certificate_of_another_relay_is_not_taken_over() {
    let mut rig = lasting();
    let right = ca();
    let name = "spiffe://postern.test/relay/relay-2";
    write_identity(&rig.folder, &leaf(&rig.servers, &[name], &["relay.test"], |_| {}));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let dialled = rig.dial(rig.certificate("agent-1")).await.unwrap();
    let shown =
        postern_protocol::identity::read_certificate(&dialled.peer_chain()[0], &"postern.test".parse().unwrap());
    assert!(format!("{shown:?}").contains("relay-1"), "{shown:?}");
    // And what is right after it is.
    let name = "spiffe://postern.test/relay/relay-1";
    write_identity(&rig.folder, &leaf(&right, &[name], &["relay.test"], |_| {}));
    rig.servers = right;
    eventually("the right one is not taken over", async || {
        rig.dial(rig.certificate("agent-1")).await.ok()
    })
    .await;
}

#[tokio::test]
async fn sessions_stay_while_an_anchor_of_theirs_is_there_and_end_when_it_goes() {
    let mut rig = lasting();
    let old = rig.agent("agent-1").await;
    let successor = ca();
    let both = format!("{}{}", rig.acme.pem(), successor.pem());
    std::fs::write(rig.folder.join("acme.pem"), both).unwrap();
    let of_old = std::mem::replace(&mut rig.acme, successor);
    // A connection is not enough: its certificate is judged after the handshake of the client is over.
    let new = eventually("the new anchor does not count", async || {
        let connection = rig.dial(rig.certificate("agent-2")).await.ok()?;
        Some(Agent::greet(connection, |_| {}).await).filter(|agent| agent.welcome.is_some())
    })
    .await;
    assert!(old.connection.close_reason().is_none(), "its anchor is still there");
    std::fs::write(rig.folder.join("acme.pem"), rig.acme.pem()).unwrap();
    let (code, reason) = tokio::time::timeout(SOON, old.closed())
        .await
        .expect("it stays in session");
    assert_eq!(code, Some(CloseCode::Identity), "{reason}");
    assert!(reason.contains("no longer accepted"), "{reason}");
    serves(&rig, &new, "x@corp.example.com").await;
    if let Ok(again) = rig.dial(leaf(&of_old, &[AGENT], &[], |_| {})).await {
        let ended = tokio::time::timeout(SOON, again.closed()).await;
        assert!(ended.is_ok(), "an old certificate is let in");
    }
}

#[tokio::test]
async fn realms_come_and_go_with_their_names() {
    let rig = lasting();
    let corp = rig.agent("agent-1").await;
    let user = "x@lab.example.com";
    assert_eq!(rig.sign_in(user, "right").await.1["outcome"], "unknown_realm");
    rig.rewrite(|config| {
        format!("{config}\n[[realms]]\ntenant = \"acme\"\nname = \"a-lab\"\nupn_suffixes = [\"lab.example.com\"]\n")
    });
    let uri = "spiffe://postern.test/tenant/acme/realm/a-lab/agent/agent-9";
    let lab = eventually("the realm is not served", async || {
        let connection = rig.dial(leaf(&rig.acme, &[uri], &[], |_| {})).await.ok()?;
        Some(Agent::greet(connection, |_| {}).await).filter(|agent| agent.welcome.is_some())
    })
    .await;
    serves(&rig, &lab, user).await;
    // The realms before it have their places still, though its name comes before theirs.
    serves(&rig, &corp, "x@corp.example.com").await;
    rig.rewrite(|config| config[..config.rfind("[[realms]]").unwrap()].to_owned());
    let (code, reason) = tokio::time::timeout(SOON, lab.closed())
        .await
        .expect("it stays in session");
    assert_eq!(code, Some(CloseCode::Identity), "{reason}");
    assert!(reason.contains("a-lab"), "{reason}");
    assert_eq!(rig.sign_in(user, "right").await.1["outcome"], "unknown_realm");
    serves(&rig, &corp, "x@corp.example.com").await;
}

#[tokio::test]
async fn callers_and_limits_count_at_once_and_an_emptied_bucket_stays_empty() {
    let mut rig = Rig::start_changed(|config| {
        config.replace(
            "per_user = { per_second = 1000, burst = 1000 }",
            "per_user = { per_second = 0.001, burst = 1 }",
        )
    });
    rig.keeps_alive = true;
    let agent = rig.agent("agent-1").await;
    serves(&rig, &agent, "x@corp.example.com").await;
    assert_eq!(rig.sign_in("x@corp.example.com", "right").await.0, 429);
    rig.rewrite(|config| config.replace("burst = 1 ", "burst = 2 "));
    // Whoever comes new has the new burst.
    let mut number = 0;
    eventually("the limit does not change", async || {
        number += 1;
        let user = format!("user{number}@corp.example.com");
        serves(&rig, &agent, &user).await;
        let serve = async { agent.request().await.answer(verdict(Verdict::Success)).await };
        tokio::select! {
            answer = rig.sign_in(&user, "right") => (answer.0 == 200).then_some(()),
            () = serve => Some(()),
        }
    })
    .await;
    assert_eq!(
        rig.sign_in("x@corp.example.com", "right").await.0,
        429,
        "it is full again"
    );
    let token = "[[callers]]\nname = \"a\"\ntoken_sha256 = \"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"\n";
    rig.rewrite(|config| format!("{config}{token}"));
    eventually("whoever has no token is still served", async || {
        (rig.sign_in("y@corp.example.com", "right").await.0 == 401).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_deny_list_counts_though_the_rest_is_not_valid_and_the_rest_counts_when_it_is() {
    let rig = lasting();
    let (first, second) = (rig.agent("agent-1").await, rig.agent("agent-2").await);
    rig.rewrite(|config| {
        let config = config
            .replace("\"acme.pem\"", "\"missing.pem\"")
            .replace("[\"CORP\"]", "[\"OTHER\"]");
        format!("{config}[deny]\nagents = [\"acme/corp/agent-1\"]\n")
    });
    let (code, reason) = tokio::time::timeout(SOON, first.closed())
        .await
        .expect("it stays in session");
    assert_eq!(code, Some(CloseCode::Denied), "{reason}");
    serves(&rig, &second, "CORP\\x").await;
    rig.rewrite(|config| config.replace("\"missing.pem\"", "\"acme.pem\""));
    eventually("the rest is not taken over", async || {
        let serve = async { second.request().await.answer(verdict(Verdict::Success)).await };
        tokio::select! {
            answer = rig.sign_in("OTHER\\x", "right") => (answer.0 == 200).then_some(()),
            () = serve => Some(()),
        }
    })
    .await;
    assert_eq!(rig.sign_in("CORP\\x", "right").await.1["outcome"], "unknown_realm");
    // What is no list at all changes nothing.
    rig.rewrite(|config| config.replace("[deny]", "[deny"));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let again = rig.dial(rig.certificate("agent-1")).await.unwrap();
    let again = Agent::greet(again, |_| {}).await;
    assert_eq!(again.closed().await.0, Some(CloseCode::Denied));
}

#[tokio::test]
async fn what_takes_a_restart_is_left_as_it_was_and_the_rest_counts() {
    let rig = lasting();
    let agent = rig.agent("agent-1").await;
    rig.rewrite(|config| {
        let config = config.replace("[api]\nlisten = \"127.0.0.1:0\"", "[api]\nlisten = \"127.0.0.1:1\"");
        config.replace(
            "[relay]\n",
            "[relay]\nthreads = 4\nreplicas = [\"other.example.com:7011\"]\n",
        )
    });
    // It answers where it did, and newcomers are told of the other replica.
    eventually("the replicas are not taken over", async || {
        let newcomer = rig.agent("agent-2").await;
        let told = newcomer
            .welcome
            .as_ref()
            .is_some_and(|welcome| !welcome.replicas.is_empty());
        newcomer.connection.close(CloseCode::Done, "");
        told.then_some(())
    })
    .await;
    serves(&rig, &agent, "x@corp.example.com").await;
}

#[test]
fn an_agent_notices_at_once_that_a_relay_was_killed_and_is_back() {
    let rig_runtime = tokio::runtime::Runtime::new().unwrap();
    let life = || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap()
    };
    let rig = rig_runtime.block_on(async { lasting() });
    let path = rig.folder.join("killed.toml");
    let config = std::fs::read_to_string(rig.folder.join("relay.toml")).unwrap();
    let config = config.replace("[relay]\n", "[relay]\nstate = \"state\"\n");
    let start = |quic: &str| {
        std::fs::write(
            &path,
            config.replace(
                "[quic]\nlisten = \"127.0.0.1:0\"",
                &format!("[quic]\nlisten = \"{quic}\""),
            ),
        )
        .unwrap();
        let runtime = life();
        let quic = runtime.block_on(async {
            let config = postern_service::config::load::<Raw>(&path, []).unwrap();
            let relay = Relay::open(config).unwrap();
            let quic = relay.quic_address().unwrap();
            let mut tasks = tokio::task::JoinSet::new();
            tasks.spawn(relay.serve(None, Shutdown::new()));
            tasks.detach_all();
            quic
        });
        (runtime, quic)
    };
    let (first, quic) = start("127.0.0.1:0");
    let mut agent = rig_runtime.block_on(async {
        let connection = rig.dial_at(quic, rig.certificate("agent-1")).await.unwrap();
        Agent::greet(connection, |_| {}).await
    });
    // Nothing is sent any more: tasks do not come to it.
    first.shutdown_timeout(Duration::from_secs(5));
    let (_second, _) = start(&quic.to_string());
    let noticed = rig_runtime.block_on(async {
        let back = Instant::now();
        agent.say(Control::Ping(Ping { number: 1 })).await;
        let _ = agent.connection.closed().await;
        back.elapsed()
    });
    // Its own silence would end it after three seconds.
    assert!(noticed < Duration::from_millis(1_500), "{noticed:?}");
}
