//! The document as a whole: written and read again, and refused with the name of what is wrong.

use std::fmt::Write;

use prometheus::Registry;
use serde_json::{Value, json};

use super::*;
use crate::domain::controllers::DcId;
use crate::domain::dialect::Dialect;
use crate::domain::filetime::FileTime;
use crate::domain::fixture::{PASSWORD, settings, user};
use crate::domain::outcome::{BindResult, SubCode};
use crate::metrics::Metrics;
use crate::world::World;

fn world(start: crate::world::Start, generated: u32) -> World {
    let metrics = Metrics::new(&Registry::new(), ["dc-1"]).unwrap();
    World::new(
        &settings(Dialect::Windows, vec![user("good")], generated),
        start,
        metrics,
    )
}

fn text(world: &World) -> String {
    let mut snapshot = world.snapshot();
    let mut text = String::new();
    while let Some(part) = snapshot.next_part(&world.domain).unwrap() {
        write!(text, "{}", String::from_utf8(part).unwrap()).unwrap();
    }
    text
}

fn wrong_password(world: &World, name: &str) {
    world.in_turn(|now| {
        world
            .domain
            .bind(DcId::FIRST, name, "wrong", FileTime::from(now), |_| ())
    });
}

fn signs_in(world: &World, name: &str) -> bool {
    world.probe(DcId::FIRST, name, PASSWORD).result == BindResult::Success
}

#[test]
fn a_world_that_begins_with_a_snapshot_goes_back_to_it() {
    let before = world(crate::world::Start::default(), 600);
    before.set_clock(|clock| clock.set_rate(0.0)).unwrap();
    before.set_clock(|clock| clock.advance(1e6)).unwrap();
    for number in 1..=600 {
        wrong_password(&before, &format!("CORP\\user{number:06}"));
    }
    for _ in 0..3 {
        wrong_password(&before, "CORP\\good");
    }
    let saved = text(&before);
    assert_eq!(saved.lines().count(), 1 + 1 + 601 + 1, "an account a line");

    let checked = read(saved.as_bytes(), &before.domain).unwrap();
    let start = crate::world::Start {
        snapshot: Some(std::sync::Arc::new(checked)),
        ..crate::world::Start::default()
    };
    let world = world(start, 600);
    assert_eq!(text(&world), saved);
    assert!(!signs_in(&world, "CORP\\good"));
    world.set_clock(|clock| clock.advance(1800.0)).unwrap();
    assert!(signs_in(&world, "CORP\\good"));
    world.reset();
    assert_eq!(text(&world), saved, "it began so");
}

#[test]
fn whoever_looks_sees_no_snapshot_that_is_half_in_place() {
    let world = world(crate::world::Start::default(), 600);
    world.set_clock(|clock| clock.set_rate(0.0)).unwrap();
    // The last account that is put in place is the one that is asked about.
    for number in 1..=600 {
        for _ in 0..3 {
            wrong_password(&world, &format!("CORP\\user{number:06}"));
        }
    }
    let checked = read(text(&world).as_bytes(), &world.domain).unwrap();
    let id = world.domain.find_sam("user000600").unwrap();
    std::thread::scope(|scope| {
        let loads = scope.spawn(|| (0..200).for_each(|_| world.load(&checked)));
        while !loads.is_finished() {
            let found = world.probe(DcId::FIRST, "CORP\\user000600", "Postern-000600").result;
            assert_eq!(found, BindResult::Rejected(SubCode::LockedOut));
            // As a search does.
            let seen = world.looking(|now| world.domain.state(DcId::FIRST, id, now).shared.lockout_time);
            assert!(seen.is_some());
        }
    });
}

#[test]
fn an_unchanged_world_has_a_document_without_accounts() {
    let world = world(crate::world::Start::default(), 0);
    let document: Value = serde_json::from_str(&text(&world)).unwrap();
    assert_eq!(document["accounts"], json!([]));
}

#[test]
fn what_is_wrong_is_named_and_no_text_of_the_document_is_quoted() {
    let world = world(crate::world::Start::default(), 1);
    wrong_password(&world, "CORP\\good");
    let good: Value = serde_json::from_str(&text(&world)).unwrap();
    let told = |change: &dyn Fn(&mut Value)| {
        let mut document = good.clone();
        change(&mut document);
        read(document.to_string().as_bytes(), &world.domain)
            .unwrap_err()
            .to_string()
    };
    let hash = good["accounts"][0]["state"]["passwords"][0]["nt_hash"]
        .as_str()
        .unwrap();
    assert_eq!(hash.len(), 32);
    for (expected, text) in [
        ("version: 2 is not", told(&|document| document["version"] = json!(2))),
        (
            "unknown field `faults`",
            told(&|document| document["faults"] = json!([])),
        ),
        (
            "missing field `domain`",
            told(&|document| drop(document.as_object_mut().unwrap().remove("domain"))),
        ),
        ("clock.now: ", told(&|document| document["clock"]["now"] = json!("now"))),
        ("clock: rate", told(&|document| document["clock"]["rate"] = json!(-1))),
        (
            "clock: the clock shows",
            told(&|document| document["clock"]["now"] = json!("1969-01-01T00:00:00Z")),
        ),
        (
            "domain.name: ",
            told(&|document| document["domain"]["name"] = json!("other.example")),
        ),
        (
            "accounts[0].account: ",
            told(&|document| document["accounts"][0]["account"] = json!("nobody")),
        ),
        (
            "invalid type: string …",
            told(&|document| document["accounts"][0]["state"]["passwords"] = json!(hash)),
        ),
        (
            "an NT hash must be",
            told(&|document| document["accounts"][0]["state"]["passwords"][0]["nt_hash"] = json!(hash[1..])),
        ),
        (
            "unknown field `badpwdcount`",
            told(&|document| document["accounts"][0]["state"]["counters"][0]["badpwdcount"] = json!(1)),
        ),
    ] {
        assert!(text.starts_with(expected), "{text}");
        assert!(!text.contains(&hash[1..]), "{text}");
    }
    assert!(read(b"{", &world.domain).is_err());
}
