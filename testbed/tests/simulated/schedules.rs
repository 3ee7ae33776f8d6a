//! placeholder
mod agent;
mod chance;
mod clock;
mod directory;
mod faults;
mod ledger;
mod log;
mod model;
mod people;
mod plan;
mod relay;
mod run;
mod wire;
mod world;

use run::Failure;

/// Schedules of a usual run. `POSTERN_SCHEDULES` asks for more.
const SCHEDULES: u64 = 10_000;

#[test]
fn every_schedule_keeps_every_rule() {
    let outcome = match run::from_environment("POSTERN_SCHEDULE_SEED") {
        Some(seed) => run::one(seed, true).map(|(log, seen)| {
            eprintln!("{log}");
            seen
        }),
        None => run::many(run::from_environment("POSTERN_SCHEDULES").unwrap_or(SCHEDULES)),
    };
    match outcome {
        Ok(seen) => eprintln!("{seen:#?}"),
        Err(Failure { seed, why, log }) => panic!(
            "{log}\nschedule {seed} broke a rule: {why}\n\
             again: POSTERN_SCHEDULE_SEED={seed} cargo test --workspace --test simulated every_schedule -- --nocapture"
        ),
    }
}
