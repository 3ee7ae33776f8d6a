//! Sign-ins at directories.

use crate::sync::lock;
use std::collections::BTreeSet;

use postern_protocol::Unavailable;

use super::directory::Directory;
use super::pki::{CA_FILE, Ca};
use super::*;

/// A directory, a client of it, and its URL.
async fn start(start_tls: bool) -> (Directory, Client, String) {
    let ca = Ca::new();
    let directory = Directory::start(ca.server("localhost", &[]), start_tls).await;
    let scheme = if start_tls { "ldap" } else { "ldaps" };
    let url = format!("{scheme}://localhost:{}", directory.address.port());
    let believes = |reach: &mut Reach| reach.authorities = Some(ca.authorities());
    let client = client(&url, believes).await;
    (directory, client, url)
}

fn connections(directory: &Directory) -> usize {
    let binds = lock(&directory.binds);
    binds.iter().map(|(peer, _)| *peer).collect::<BTreeSet<_>>().len()
}

#[tokio::test]
async fn binds_one_after_another_share_a_connection_with_tls_from_the_beginning_and_with_start_tls() {
    const LOCKED: Ended = Ended::Outcome(Outcome::Verdict(Verdict::AccountLocked));
    const DOWN: Ended = Ended::Outcome(Outcome::Unavailable(Unavailable::DirectoryDown));
    for start_tls in [false, true] {
        let (directory, client, url) = start(start_tls).await;
        for _ in 0..3 {
            assert_eq!(client.sign_in("ada", "0 ").await, SUCCESS, "{url}");
            assert_eq!(client.sign_in("ada", "49 ").await, REFUSED, "{url}");
            assert_eq!(
                client
                    .sign_in("ada", "49 AcceptSecurityContext error, data 775, v1")
                    .await,
                LOCKED
            );
        }
        assert_eq!((connections(&directory), lock(&directory.binds).len()), (1, 9), "{url}");
        assert_eq!(client.sign_in("ada", "51 busy").await, DOWN);
        assert_eq!(client.sign_in("ada", "0 ").await, SUCCESS);
        assert_eq!(
            connections(&directory),
            2,
            "used again after an answer that was no verdict"
        );
    }
}

#[tokio::test]
async fn an_empty_password_which_a_directory_would_take_for_nobody_is_not_sent() {
    let (directory, client, _) = start(false).await;
    assert_eq!(client.sign_in("ada", "").await, Ended::Outcome(Outcome::BadRequest));
    assert_eq!(lock(&directory.binds).len(), 0);
}

#[tokio::test]
async fn a_bind_without_an_answer_is_not_sent_again_and_the_next_one_has_another_connection() {
    let (directory, client, _) = start(false).await;
    assert_eq!(client.sign_in("ada", "0 ").await, SUCCESS);
    assert_eq!(client.sign_in("ada", "close").await, Ended::Broken(Broken::Connection));
    assert_eq!(client.sign_in("eve", "0 ").await, SUCCESS);
    let names: Vec<String> = lock(&directory.binds).iter().map(|(_, name)| name.clone()).collect();
    assert_eq!(names, ["ada", "ada", "eve"]);
    assert_eq!(connections(&directory), 2);
}

#[tokio::test]
async fn a_connection_that_the_directory_closed_while_it_was_idle_is_replaced_and_no_sign_in_lost() {
    let (directory, client, _) = start(false).await;
    for _ in 0..3 {
        assert_eq!(client.sign_in("ada", "0 last").await, SUCCESS);
        // The directory closes, and the runtime learns of it.
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
    }
    assert_eq!(connections(&directory), 3);
}

#[tokio::test]
async fn a_directory_that_cannot_be_believed_or_spoken_to_is_told_with_what_to_do() {
    let (_directory, _, url) = start(true).await;
    let strange = Ca::new();
    let error = complaint(&url, |reach| reach.authorities = Some(strange.authorities())).await;
    assert!(
        error.contains(&format!("not issued by an authority of {CA_FILE}")),
        "{error}"
    );
    let tls_at_once = url.replace("ldap", "ldaps");
    let error = complaint(&tls_at_once, |reach| {
        reach.authorities = Some(strange.authorities());
    });
    let error = error.await;
    assert!(error.contains("TLS") && error.contains("right port"), "{error}");
    let error = complaint(&url, |reach| reach.token = Some(Token::new("s3cret").unwrap())).await;
    assert!(
        error.contains("is a directory, to which no token can be shown"),
        "{error}"
    );
}
