//! The service account's binds: as few as can be of a password that may be wrong.

use super::*;

#[tokio::test]
async fn a_service_account_with_a_wrong_password_is_bound_once_and_other_names_go_on() {
    let (bed, agent) = start(2).await;
    for dc in &bed.dcs {
        dc.script(wrong());
    }
    for id in 1..=5 {
        let mut request = alternate(&agent, id, USER);
        request.start_by = agent.clock.now() + std::time::Duration::from_millis(300);
        assert_eq!(agent.line().sign_in(&request).await.not_started(), NotStarted::NoLookUp);
    }
    let names: Vec<_> = bed.binds().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, [SERVICE], "one bind, at one of the two");
    assert_eq!(bed.metric("postern_agent_service_account_refused").await, 1);
    assert!(bed.admin("/readyz").await.contains("200 OK"));
    for dc in &bed.dcs {
        dc.clear_script();
    }
    assert_eq!(
        agent.ask(8, "user000001@corp.example.com", "right").await.verdict().0,
        Verdict::Success
    );

    // What mends it is a new password in the file.
    bed.folder.write("service-password", "new-secret");
    while bed.metric("postern_agent_service_account_refused").await == 1 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(verdict(&ask(&agent, 9, USER).await).0, Verdict::Success);
    let passwords: Vec<_> = bed
        .binds()
        .into_iter()
        .filter(|(name, _)| name == SERVICE)
        .map(|(_, p)| p)
        .collect();
    assert_eq!(
        passwords
            .iter()
            .filter(|password| *password == "service-secret")
            .count(),
        1
    );
    assert!(passwords.contains(&"new-secret".to_owned()));
}

#[tokio::test]
async fn while_nobody_can_look_up_a_sign_in_is_told_so_and_does_not_wait_out_its_window() {
    let (bed, agent) = start_with(2, 30_000).await;
    for dc in &bed.dcs {
        dc.script(wrong());
    }
    for id in 1..=3 {
        let mut request = alternate(&agent, id, USER);
        request.start_by = agent.clock.now() + std::time::Duration::from_secs(30);
        // Far below the window, far above what anything here takes.
        let answered = tokio::time::timeout(std::time::Duration::from_secs(15), agent.sign_in(&request));
        assert_eq!(answered.await.unwrap().not_started(), NotStarted::NoLookUp);
    }
}

#[tokio::test]
async fn a_domain_controller_that_hangs_up_after_the_bind_is_not_bound_to_again_and_again_at_once() {
    let (bed, agent) = start(1).await;
    for _ in 0..1_000 {
        bed.dcs[0].script(Reply::Last);
    }
    let began = std::time::Instant::now();
    let _ = ask(&agent, 1, USER).await;
    while bed.binds().len() < 7 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    // Some seconds by the pauses between; without any, handshakes take milliseconds.
    assert!(began.elapsed() >= std::time::Duration::from_millis(300));
}

#[tokio::test]
async fn a_new_password_that_is_wrong_leaves_the_connections_of_the_old_one_in_use() {
    let (bed, agent) = start(1).await;
    assert_eq!(verdict(&ask(&agent, 1, USER).await).0, Verdict::Success);
    // The scripted answer is for the next bind, which must not be that of the second connection.
    while bed.binds().iter().filter(|(name, _)| name == SERVICE).count() < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let before = bed.binds().len();
    bed.dcs[0].script(wrong());
    bed.folder.write("service-password", "new-and-wrong");
    while bed.metric("postern_agent_service_account_refused").await == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(bed.binds()[before..].contains(&(SERVICE.to_owned(), "new-and-wrong".to_owned())));
    assert_eq!(verdict(&ask(&agent, 2, USER).await).0, Verdict::Success);
}
