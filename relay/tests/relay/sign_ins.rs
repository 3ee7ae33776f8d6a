//! Sign-ins over HTTP, answered by agents that the tests play.

use postern_protocol::close::CloseCode;
use postern_protocol::frame::{Answer, Control, FailedFrame, MINOR, NotStartedFrame, Ping, VerdictFrame};
use postern_protocol::seal::{AuthenticatedData, Jwe, SealingKey};
use postern_protocol::{NotStarted, Password, Subject, Verdict};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::rig::{Agent, Rig, new_id};

pub(crate) fn verdict(verdict: Verdict) -> Answer {
    Answer::Verdict(VerdictFrame {
        verdict: verdict.code(),
        sub_code: None,
        dc: "dc-1".to_owned(),
        bind_us: 1,
        subject: None,
    })
}

pub(crate) fn not_started(reason: NotStarted) -> Answer {
    Answer::NotStarted(NotStartedFrame { reason: reason.code() })
}

pub(crate) fn now_ms() -> u64 {
    u64::try_from(
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_millis(),
    )
    .unwrap()
}

pub(crate) fn authenticated(user: &str) -> AuthenticatedData {
    AuthenticatedData {
        expires_unix_ms: now_ms() + 30_000,
        realm: "corp".to_owned(),
        request_id: new_id(),
        tenant: "acme".to_owned(),
        user: user.to_owned(),
    }
}

pub(crate) fn sealed(authenticated: &AuthenticatedData, keys: &[&SealingKey]) -> Value {
    let password = Password::new("right".to_owned().into()).unwrap();
    let jwe = Jwe::seal(&password, authenticated, keys.iter().copied()).unwrap();
    json!({ "username": authenticated.user, "jwe": jwe })
}

#[tokio::test]
async fn the_password_reaches_the_agent_sealed_and_every_verdict_comes_back() {
    let rig = Rig::start();
    let agent = rig.agent("agent-1").await;
    for expected in Verdict::ALL {
        let serve = async {
            let mut task = agent.request().await;
            assert_eq!(agent.open(&task.request).expose(), "pässword");
            assert_eq!(
                (task.request.tenant.as_str(), task.request.realm.as_str()),
                ("acme", "corp")
            );
            assert_eq!(task.request.user, "zoë@corp.example.com");
            task.answer(Answer::Started).await;
            task.answer(verdict(expected)).await;
            task.request.request_id.to_string()
        };
        let ((status, body), id) = tokio::join!(rig.sign_in(" zoë@corp.example.com ", "pässword"), serve);
        assert_eq!(status, if expected == Verdict::Success { 200 } else { 401 });
        assert_eq!(body["outcome"], expected.as_str());
        assert_eq!(body["request_id"], id, "one id from HTTP to the agent");
    }
}

#[tokio::test]
async fn an_epoch_sends_one_wrapped_key_and_a_new_iv_each_time() {
    let rig = Rig::start();
    let agent = rig.agent("agent-1").await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        let serve = async {
            let mut task = agent.request().await;
            task.answer(verdict(Verdict::Success)).await;
            (task.request.encrypted_key.clone(), task.request.iv)
        };
        let (_, parts) = tokio::join!(rig.sign_in("a@corp.example.com", "x"), serve);
        seen.push(parts);
    }
    assert!(seen.iter().all(|(key, _)| *key == seen[0].0));
    assert!(seen[0].1 != seen[1].1 && seen[1].1 != seen[2].1 && seen[0].1 != seen[2].1);
}

#[tokio::test]
async fn not_started_is_handed_to_the_other_agent() {
    let rig = Rig::start();
    let (first, second) = (rig.agent("agent-1").await, rig.agent("agent-2").await);
    let serve = async {
        let refuse = async |agent: &Agent| {
            let mut task = agent.request().await;
            task.answer(not_started(NotStarted::NoDirectory)).await;
        };
        let accept = async |agent: &Agent| {
            let mut task = agent.request().await;
            task.answer(verdict(Verdict::Success)).await;
        };
        // Whoever is asked first refuses.
        tokio::select! {
            () = refuse(&first) => accept(&second).await,
            () = refuse(&second) => accept(&first).await,
        }
    };
    let ((status, _), ()) = tokio::join!(rig.sign_in("a@corp.example.com", "x"), serve);
    assert_eq!(status, 200);
}

fn success_of(subject: Subject) -> Answer {
    Answer::Verdict(VerdictFrame {
        verdict: Verdict::Success.code(),
        sub_code: None,
        dc: "dc-1".to_owned(),
        bind_us: 1,
        subject: Some(subject),
    })
}

#[tokio::test]
async fn an_agent_is_told_which_names_are_looked_up_whoever_sealed_and_its_subject_is_answered() {
    let rig = Rig::start();
    let agent = rig.agent("agent-1").await;
    let ask = async |user: &str, alternate_id: bool| {
        let serve = async || {
            let mut task = agent.request().await;
            assert_eq!(
                (task.request.user.as_str(), task.request.alternate_id),
                (user, alternate_id)
            );
            let subject = Subject {
                object_guid: Some([1; 16]),
                entry_uuid: None,
                upn: Some("zoë@corp.example.com".to_owned()),
            };
            task.answer(success_of(subject)).await;
        };
        let ((status, by_relay), ()) = tokio::join!(rig.sign_in(user, "x"), serve());
        assert_eq!(status, 200);
        let sealed = sealed(&authenticated(user), &[agent.key.public()]);
        let ((_, by_caller), ()) = tokio::join!(rig.post(&sealed), serve());
        let expected = json!({ "object_guid": "01010101-0101-0101-0101-010101010101", "upn": "zoë@corp.example.com" });
        assert_eq!((&by_relay["subject"], &by_caller["subject"]), (&expected, &expected));
    };
    ask("zoë@MAIL.example.org", true).await;
    ask("zoë@corp.example.com", false).await;
    ask("CORP\\zoë", false).await;
}

#[tokio::test]
async fn a_subject_that_an_agent_cannot_have_from_a_directory_is_left_out() {
    let rig = Rig::start();
    let agent = rig.agent("agent-1").await;
    let forged = |entry_uuid: &str, upn: &str| Subject {
        object_guid: None,
        entry_uuid: Some(entry_uuid.to_owned()),
        upn: Some(upn.to_owned()),
    };
    let long = "x".repeat(1_025);
    for (entry_uuid, upn) in [
        ("a\"}", "a@b"),
        ("", "a@b"),
        ("a", "a\u{202e}\n@b"),
        ("a", long.as_str()),
    ] {
        let serve = async {
            let mut task = agent.request().await;
            task.answer(success_of(forged(entry_uuid, upn))).await;
        };
        let ((status, body), ()) = tokio::join!(rig.sign_in("a@mail.example.org", "x"), serve);
        assert_eq!((status, body.as_object().unwrap().len()), (200, 2), "{body}");
    }
}

#[tokio::test]
async fn a_name_that_no_account_has_reads_as_a_wrong_password_and_no_other_agent_is_asked() {
    let rig = Rig::start();
    let agents = [rig.agent("agent-1").await, rig.agent("agent-2").await];
    let asked = async |first: Answer| {
        let mut task = tokio::select! {
            task = agents[0].request() => task,
            task = agents[1].request() => task,
        };
        task.answer(first).await;
    };
    let wrong = rig.sign_in("a@mail.example.org", "x");
    let ((status, wrong), ()) = tokio::join!(wrong, asked(verdict(Verdict::InvalidCredentials)));
    assert_eq!(status, 401);
    let unknown = rig.sign_in("b@mail.example.org", "x");
    let ((status, mut unknown), ()) = tokio::join!(unknown, asked(not_started(NotStarted::NoMatch)));
    assert_eq!(status, 401);
    unknown["request_id"] = wrong["request_id"].clone();
    assert_eq!(unknown, wrong);
}

#[tokio::test]
async fn look_ups_that_no_agent_can_make_are_a_directory_that_is_down() {
    let rig = Rig::start();
    let agent = rig.agent("agent-1").await;
    let serve = async {
        let mut task = agent.request().await;
        task.answer(not_started(NotStarted::NoLookUp)).await;
    };
    let ((status, body), ()) = tokio::join!(rig.sign_in("a@mail.example.org", "x"), serve);
    assert_eq!((status, body["reason"].as_str()), (503, Some("directory_down")));
    // Names that need none go on.
    let serve = async {
        let mut task = agent.request().await;
        task.answer(verdict(Verdict::Success)).await;
    };
    let ((status, _), ()) = tokio::join!(rig.sign_in("a@corp.example.com", "x"), serve);
    assert_eq!(status, 200);
}

#[tokio::test]
async fn an_agent_that_does_not_know_alternate_ids_is_sent_none_and_serves_other_names() {
    let rig = Rig::start();
    let connection = rig.dial(rig.certificate("agent-1")).await.unwrap();
    let agent = Agent::greet(connection, |hello| hello.minor = 0).await;
    let (status, body) = rig.sign_in("a@mail.example.org", "x").await;
    assert_eq!((status, body["reason"].as_str()), (503, Some("directory_down")));
    let serve = async {
        let mut task = agent.request().await;
        // The first that it sees.
        assert_eq!(task.request.user, "a@corp.example.com");
        task.answer(verdict(Verdict::Success)).await;
    };
    let ((status, _), ()) = tokio::join!(rig.sign_in("a@corp.example.com", "x"), serve);
    assert_eq!(status, 200);
}

#[tokio::test]
async fn all_spellings_of_a_name_share_one_rate_limit_and_another_name_has_its_own() {
    let rig = Rig::start_changed(|config| {
        let strict = "per_user = { per_second = 0.001, burst = 1 }";
        config.replace("per_user = { per_second = 1000, burst = 1000 }", strict)
    });
    let agent = rig.agent("agent-1").await;
    let ask = async |name: &str| {
        let serve = async {
            let mut task = agent.request().await;
            assert_eq!(task.request.user, name, "it is sent as it was typed");
            task.answer(verdict(Verdict::InvalidCredentials)).await;
            std::future::pending().await
        };
        tokio::select! {
            (status, _) = rig.sign_in(name, "wrong") => status,
            () = serve => unreachable!(),
        }
    };
    assert_eq!(ask("Björn Strauß@corp.example.com").await, 401);
    for spelling in [
        "bjorn strauss@corp.example.com",
        "BJO\u{308}RN  STRAUSS@corp.example.com",
        "CORP\\bjǫrṅ strauß",
        "bjørn strauß@CORP.example.com",
        "ｂｊｏｒｎ\u{200b} stra\u{ad}uß@corp.example.com",
    ] {
        assert_eq!(ask(spelling).await, 429, "{spelling}");
    }
    assert_eq!(ask("bjarne strauß@corp.example.com").await, 401);
}

#[tokio::test]
async fn an_agent_of_the_minor_version_before_is_sent_all_sign_ins_and_its_failures_are_its_own() {
    let rig = Rig::start();
    let connection = rig.dial(rig.certificate("agent-1")).await.unwrap();
    let agent = Agent::greet(connection, |hello| hello.minor = MINOR - 1).await;
    assert_eq!(agent.welcome.as_ref().map(|welcome| welcome.minor), Some(MINOR));
    let failed = Answer::Failed(FailedFrame {
        indeterminate: false,
        dc: "dc-1".to_owned(),
        account_only: None,
    });
    for (name, answer, status) in [
        ("a@corp.example.com", verdict(Verdict::Success), 200),
        ("a@mail.example.org", verdict(Verdict::InvalidCredentials), 401),
        ("a@corp.example.com", failed, 503),
    ] {
        let serve = async {
            let mut task = agent.request().await;
            task.answer(Answer::Started).await;
            task.answer(answer).await;
        };
        let ((answered, _), ()) = tokio::join!(rig.sign_in(name, "x"), serve);
        assert_eq!(answered, status, "{name}");
    }
}

#[tokio::test]
async fn a_directory_that_did_not_check_is_no_verdict() {
    let rig = Rig::start();
    let agent = rig.agent("agent-1").await;
    for (indeterminate, account_only, reason) in [
        (false, None, "directory_down"),
        (false, Some(true), "directory_down"),
        (true, None, "indeterminate"),
        // Whatever the account is, a bind without an answer is one.
        (true, Some(true), "indeterminate"),
    ] {
        let serve = async {
            let mut task = agent.request().await;
            task.answer(Answer::Started).await;
            task.answer(Answer::Failed(FailedFrame {
                indeterminate,
                dc: "dc-1".to_owned(),
                account_only,
            }))
            .await;
        };
        let ((status, body), ()) = tokio::join!(rig.sign_in("a@corp.example.com", "x"), serve);
        assert_eq!(
            (status, body["outcome"].as_str(), body["reason"].as_str()),
            (503, Some("unavailable"), Some(reason))
        );
    }
}

#[tokio::test]
async fn the_second_try_is_told_where_the_answer_to_the_first_was_lost() {
    let rig = Rig::start();
    let (first, second) = (rig.agent("agent-1").await, rig.agent("agent-2").await);
    for (dc, told) in [("dc-1".to_owned(), Some("dc-1")), ("d".repeat(254), None)] {
        let (hand_over, mut tasks) = tokio::sync::mpsc::unbounded_channel();
        let serve = async |agent: &Agent| {
            let task = agent.request().await;
            hand_over.send(task).unwrap();
        };
        let answers = async {
            let mut lost = tasks.recv().await.unwrap();
            assert_eq!(lost.request.avoid_dc, None);
            lost.answer(Answer::Started).await;
            lost.answer(Answer::Failed(FailedFrame {
                indeterminate: true,
                dc,
                account_only: None,
            }))
            .await;
            let mut again = tasks.recv().await.unwrap();
            assert_eq!(again.request.avoid_dc.as_deref(), told);
            again.answer(verdict(Verdict::Success)).await;
        };
        // Of another user each time: there is one extra attempt for each.
        let name = format!("user-{}@corp.example.com", told.unwrap_or("none"));
        let ((status, _), (), (), ()) = tokio::join!(rig.sign_in(&name, "x"), serve(&first), serve(&second), answers);
        assert_eq!(status, 200);
    }
}

/// How many of four sign-ins go to an agent that has failed three, each of another user, when there is another agent.
async fn chosen_after_three_failures(account_only: Option<bool>) -> usize {
    let rig = Rig::start();
    let first = rig.agent("agent-1").await;
    // In session only after the failures, but ready to be: an ejection lasts for a second.
    let connection = rig.dial(rig.certificate("agent-2")).await.unwrap();
    for user in 0..3 {
        let name = format!("user-{user}@corp.example.com");
        let serve = async {
            let mut task = first.request().await;
            task.answer(Answer::Started).await;
            task.answer(Answer::Failed(FailedFrame {
                indeterminate: false,
                dc: "dc-1".to_owned(),
                account_only,
            }))
            .await;
        };
        let ((status, _), ()) = tokio::join!(rig.sign_in(&name, "x"), serve);
        assert_eq!(status, 503);
    }
    let mut second = Agent::greet(connection, |_| {}).await;
    // Behind `Hello` on the same way: the answer shows that the agent is known to whoever chooses.
    second.say(Control::Ping(Ping { number: 1 })).await;
    assert!(matches!(second.control().await, Control::Pong(_)));
    // A request that is given up half read is lost: each agent reads its own to the end.
    let mut readers = JoinSet::new();
    let (sender, mut requests) = mpsc::unbounded_channel();
    for (agent, is_first) in [(first, true), (second, false)] {
        let sender = sender.clone();
        readers.spawn(async move { while sender.send((agent.request().await, is_first)).is_ok() {} });
    }
    let serve = async {
        let (mut tasks, mut of_first) = (Vec::new(), 0);
        while tasks.len() < 4 {
            let (task, is_first) = requests.recv().await.unwrap();
            of_first += usize::from(is_first);
            tasks.push(task);
        }
        for mut task in tasks {
            task.answer(verdict(Verdict::Success)).await;
        }
        of_first
    };
    // All at once, so that the one in hand makes the agent dearer for the next.
    let (a, b, c, d, of_first) = tokio::join!(
        rig.sign_in("a@corp.example.com", "x"),
        rig.sign_in("b@corp.example.com", "x"),
        rig.sign_in("c@corp.example.com", "x"),
        rig.sign_in("d@corp.example.com", "x"),
        serve,
    );
    assert_eq!([a.0, b.0, c.0, d.0], [200; 4]);
    of_first
}

#[tokio::test]
async fn three_accounts_whose_passwords_are_not_checked_cost_their_agent_nothing_and_three_failures_of_its_own_do() {
    assert!(chosen_after_three_failures(Some(true)).await > 0);
    for account_only in [None, Some(false)] {
        assert_eq!(chosen_after_three_failures(account_only).await, 0, "{account_only:?}");
    }
}

#[tokio::test]
async fn a_verdict_of_a_later_version_is_a_rejection() {
    let rig = Rig::start();
    let agent = rig.agent("agent-1").await;
    let serve = async {
        let mut task = agent.request().await;
        let frame = VerdictFrame {
            verdict: 200,
            sub_code: None,
            dc: String::new(),
            bind_us: 0,
            subject: None,
        };
        task.answer(Answer::Verdict(frame)).await;
    };
    let ((status, body), ()) = tokio::join!(rig.sign_in("a@corp.example.com", "x"), serve);
    assert_eq!((status, body["outcome"].as_str()), (401, Some("rejected")));
}

#[tokio::test]
async fn an_agent_that_answers_garbage_loses_its_session_and_the_sign_in_goes_on() {
    let rig = Rig::start();
    let agents = [rig.agent("agent-1").await, rig.agent("agent-2").await];
    let serve = async {
        let (asked, other, (mut send, _receive)) = tokio::select! {
            stream = agents[0].connection.accept_bi() => (&agents[0], &agents[1], stream.unwrap()),
            stream = agents[1].connection.accept_bi() => (&agents[1], &agents[0], stream.unwrap()),
        };
        send.write_all(&[0, 0, 0, 2, 0xff, 0xff]).await.unwrap();
        let mut task = other.request().await;
        task.answer(verdict(Verdict::Success)).await;
        asked.closed().await.0
    };
    let ((status, _), code) = tokio::join!(rig.sign_in("a@corp.example.com", "x"), serve);
    assert_eq!(
        (status, code),
        (200, Some(postern_protocol::close::CloseCode::Protocol))
    );
}

#[tokio::test]
async fn a_caller_that_goes_away_has_its_sign_in_cancelled() {
    let rig = Rig::start();
    let mut agent = rig.agent("agent-1").await;
    let request = {
        let sign_in = rig.sign_in("a@corp.example.com", "x");
        tokio::pin!(sign_in);
        tokio::select! {
            _ = &mut sign_in => panic!("answered without a verdict"),
            task = agent.request() => task.request,
        }
    };
    let Control::Cancel(cancel) = agent.control().await else {
        panic!("no cancel")
    };
    assert_eq!(
        (cancel.request_id, cancel.start_by),
        (request.request_id, Some(request.start_by)),
        "of this attempt and no other"
    );
}

#[tokio::test]
async fn of_what_waits_for_the_only_agent_nothing_is_called_unknown_when_it_closes_its_session() {
    let rig = Rig::start_changed(|config| config.replace("[\"CORP\"]", "[\"CORP\"]\nambiguous = \"fail\""));
    let first = Agent::greet(rig.dial(rig.certificate("agent-1")).await.unwrap(), |hello| {
        hello.slots = 2;
    })
    .await;
    let mut sign_ins = JoinSet::new();
    for number in 0..8 {
        let url = format!("http://{}/v1/sign-in", rig.api);
        let body = json!({ "username": format!("user-{number}@corp.example.com"), "password": "x" });
        let request = rig.http.post(url).json(&body).send();
        sign_ins.spawn(async {
            let answer = request.await.unwrap();
            (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
        });
    }
    let serve = async {
        // The two that it has; the others wait.
        let in_hand = [first.request().await, first.request().await];
        first.connection.close(CloseCode::Done, "gone");
        drop(in_hand);
        let next = rig.agent("agent-1").await;
        loop {
            next.request().await.answer(verdict(Verdict::Success)).await;
        }
    };
    let mut unknown = 0;
    let count = async {
        while let Some(ended) = sign_ins.join_next().await {
            let (status, body) = ended.unwrap();
            assert!(status == 200 || body["reason"] == "indeterminate", "{body}");
            unknown += u32::from(status != 200);
        }
    };
    tokio::select! {
        () = count => {}
        () = serve => {}
    }
    assert_eq!(unknown, 2);
}
