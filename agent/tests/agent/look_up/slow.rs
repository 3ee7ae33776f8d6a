//! Searches that take longer than a sign-in waits.

use std::time::Duration;

use super::*;

fn services(dc: &Dc) -> usize {
    dc.binds().iter().filter(|bind| bind.name == SERVICE).count()
}

/// A sign-in that waits for a third of a second.
async fn ask_briefly(agent: &Agent, id: u8) -> Outcome {
    let mut request = alternate(agent, id, USER);
    request.start_by = agent.clock.now() + Duration::from_millis(300);
    agent.line().sign_in(&request).await
}

#[tokio::test]
async fn a_search_that_outlives_its_sign_in_is_finished_and_costs_no_bind_of_the_service_account() {
    let (bed, agent) = start_with(1, 30_000).await;
    assert_eq!(verdict(&ask(&agent, 1, USER).await).0, Verdict::Success);
    until_service_is_bound(&bed).await;
    let release = bed.dcs[0].holds(2);
    let (first, second) = tokio::join!(ask_briefly(&agent, 2), ask_briefly(&agent, 3));
    for outcome in [first, second] {
        assert_eq!(outcome.not_started(), NotStarted::NoLookUp);
    }
    assert_eq!(bed.dcs[0].searches().len(), 3);
    release.notify_waiters();
    for id in 4..=7 {
        assert_eq!(verdict(&ask(&agent, id, USER).await).0, Verdict::Success);
    }
    assert_eq!(services(&bed.dcs[0]), 2, "the two of the beginning");
}

#[tokio::test]
async fn a_search_that_outlives_its_own_limit_costs_its_connection() {
    let (bed, agent) = start_with(1, 1_000).await;
    assert_eq!(verdict(&ask(&agent, 1, USER).await).0, Verdict::Success);
    until_service_is_bound(&bed).await;
    bed.dcs[0].holds(1);
    assert_eq!(ask_briefly(&agent, 2).await.not_started(), NotStarted::NoLookUp);
    while services(&bed.dcs[0]) < 3 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(verdict(&ask(&agent, 3, USER).await).0, Verdict::Success);
}

#[tokio::test]
async fn a_domain_controller_whose_searches_hang_is_passed_over_and_taken_back_when_it_answers_one() {
    let (bed, agent) = start_with(2, 700).await;
    let [well, hangs] = [&bed.dcs[0], &bed.dcs[1]];
    for dc in [well, hangs] {
        dc.until_open(3).await;
    }
    // Whichever is connected to first is asked first.
    let _ = ask(&agent, 1, USER).await;
    until_service_is_bound(&bed).await;
    let before = hangs.searches().len();
    hangs.finds(None);
    let mut id = 1;
    while hangs.searches().len() < before + 3 {
        id += 1;
        let _ = ask(&agent, id, USER).await;
    }
    // The third connection that was lost is back: it is free, and not asked.
    while services(hangs) < 5 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let before = hangs.searches().len();
    for _ in 0..8 {
        id += 1;
        assert_eq!(verdict(&ask(&agent, id, USER).await).0, Verdict::Success);
    }
    let tries = hangs.searches().len() - before;
    assert!(tries <= 1, "{tries} look-ups are tried there at once");

    hangs.finds(one("CN=Ada,OU=two,DC=corp"));
    while !bound(&bed).contains(&"CN=Ada,OU=two,DC=corp".to_owned()) {
        id += 1;
        let _ = ask(&agent, id, USER).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
