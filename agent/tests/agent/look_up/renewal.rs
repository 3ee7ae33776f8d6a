//! When connections for look-ups are replaced.

use super::*;
use crate::pki::Ca;

#[tokio::test]
async fn they_are_replaced_when_the_authorities_change_as_those_for_binds_are() {
    let (bed, agent) = start(1).await;
    let dc = &bed.dcs[0];
    assert_eq!(verdict(&ask(&agent, 1, USER).await).0, Verdict::Success);
    until_service_is_bound(&bed).await;
    // Four for binds, two for look-ups, one for the health.
    dc.until_open(7).await;
    let before: Vec<usize> = services(dc).collect();
    bed.folder
        .write("ca.pem", &format!("{}{}", bed.ca.pem(), Ca::new().pem()));
    while services(dc).count() < before.len() + 2 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    dc.until_open(7).await;
    for id in 2..=5 {
        assert_eq!(verdict(&ask(&agent, id, USER).await).0, Verdict::Success);
    }
    let searches = dc.searches().split_off(1);
    assert!(searches.iter().all(|(connection, _)| !before.contains(connection)));
}

#[tokio::test]
async fn those_that_end_before_they_have_settled_are_opened_again_after_ever_longer_pauses() {
    let (bed, agent) = start(1).await;
    let dc = &bed.dcs[0];
    // Each is opened and bound, and shows somebody: nothing is wrong with it but that it does not last.
    dc.hang_up_on_searches();
    let began = std::time::Instant::now();
    let mut id = 0;
    while services(dc).count() < 8 {
        id += 1;
        let outcome = ask(&agent, id, USER).await;
        assert_eq!(outcome.not_started(), NotStarted::NoLookUp);
        while services(dc).count() <= dc.searches().len() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
    // Seconds, by the pauses between; without any, a handshake takes milliseconds.
    assert!(began.elapsed() >= std::time::Duration::from_millis(300));
}

/// The connections that the service account was bound on.
fn services(dc: &Dc) -> impl Iterator<Item = usize> {
    let binds = dc.binds().into_iter().filter(|bind| bind.name == SERVICE);
    binds.map(|bind| bind.connection)
}
