//! Random schedules of everything that can happen to sign-ins, held against a plain reference model.
//!
//! The relay's core and the agents' fence are the real ones. Everything around them is a world of events on one fake
//! clock: what the relay's driver and sessions do (`relay`), what an agent's process does (`agent`), the way between
//! them (`wire`), domain controllers (`directory`), whoever signs in (`people`), and what goes wrong (`faults`): agents
//! are killed, frozen, drained, cut off, doubled and replaced; domain controllers are slow, busy, silent, closed after
//! the bind; clocks are seconds apart and drift; frames are dropped, late, repeated and overtaken; the relay stands
//! still; a hostile agent lies and answers what it was never asked.
//!
//! `model` is written from ARCHITECTURE.md. It hears what the core hears, sees every command, and says which rule does
//! not hold. `ledger` has what neither relay nor agent knows: the binds that really began. The rules, by name:
//!
//! | about | rules |
//! |---|---|
//! | outcomes | `one-outcome`, `nothing-after-the-outcome`, `settled-by-its-deadline`, `settled-is-forgotten`, `nothing-is-left`, `failures-have-a-cause`, `others-are-cancelled` |
//! | truth | `no-failure-becomes-a-verdict`, `verdicts-are-the-directorys`, `success-is-the-directorys`, `untried-means-untried` |
//! | binds | `fail-is-never-retried`, `fail-never-binds-twice`, `one-extra-attempt`, `one-extra-attempt-per-user`, `one-second-bind`, `one-second-bind-per-user`, `a-second-bind-needs-a-retry`, `binds-are-not-hedged`, `nobody-is-given-up-early`, `ambiguity-is-told` |
//! | the fence | `binds-start-in-time`, `an-id-is-bound-once`, `cancelled-is-not-started`, `nothing-starts-on-a-lost-session`, `nothing-received-before-a-gap-starts` |
//! | whom | `sent-is-known`, `sent-before-its-deadline`, `attempts-are-numbered`, `three-attempts`, `sent-to-who-is-there`, `sent-within-its-realm`, `sent-to-who-takes-work`, `sent-within-slots`, `sent-to-who-can-open`, `never-again-to-who-may-have-seen-it`, `start-window`, `cancelled-where-it-was-sent` |
//! | health | `suspects-get-nothing`, `the-ejected-get-nothing`, `three-users-eject`, `no-suspicion-without-silence`, `silence-makes-suspects`, `idle-silence-makes-suspects`, `the-silent-are-pinged`, `callers-harm-no-agent` |
//! | bounds | `queue-within-bounds`, `marks-within-bounds`, `in-flight-is-counted`, `sessions-as-told`, `hand-offs-within-budget`, `nobody-waits-in-vain` |
//!
//! Not in here: the opening of envelopes and the sealer's keys, which are not the core's; more than one relay, but for
//! requests that come to an agent once more; a machine whose clock stands still with it, against which the policy is
//! the only bound.
//!
//! `POSTERN_SCHEDULES=100000 cargo test --workspace --test simulated every_schedule` runs more of them.
//! `POSTERN_SCHEDULE_SEED=7` runs the one of that seed, with its log (`-- --nocapture`).
//!
//! What the schedules catch is tried by breaking the core and the fence on purpose: see [`breakages`] for the list, and
//! `cargo test --workspace --test simulated every_breakage_is_caught -- --ignored --nocapture`.

mod agent;
mod breakages;
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

use run::{Failure, Seen};

/// Schedules of a usual run.
const SCHEDULES: u64 = 10_000;

/// What has to happen in some of the schedules, or they prove nothing of it.
const MUST_HAPPEN: [&str; 65] = [
    "outcome success",
    "outcome invalid_credentials",
    "outcome account_locked",
    "outcome bad_request",
    "outcome stale_key",
    "outcome no_agent",
    "outcome directory_down",
    "outcome timeout",
    "outcome overloaded",
    "outcome indeterminate",
    "outcome cannot_open",
    "answer verdict",
    "answer not checked",
    "answer account not checked",
    "answer lost",
    "answer unsent",
    "sent to a session that has ended",
    "answer busy",
    "answer draining",
    "answer no_key",
    "answer expired",
    "answer no_directory",
    "answer no_clock",
    "answer cancelled",
    "answer cannot_open",
    "answer refused",
    "answer replayed",
    "answer window_passed",
    "answer no_match",
    "answer no_look_up",
    "sent again",
    "ambiguous",
    "bound twice",
    "handed off",
    "cancelled by the relay",
    "caller gone",
    "taken back",
    "answer that the caller caused",
    "opinion suspect",
    "opinion heard",
    "opinion ejected",
    "opinion back",
    "shed queue_length",
    "shed queue_bytes",
    "shed queue_wait",
    "shed hand_offs",
    "killed",
    "drained",
    "frozen",
    "gap noticed",
    "cut",
    "directory fault",
    "driver stalled",
    "driver late",
    "relay frozen",
    "key changed",
    "slots changed",
    "twin",
    "superseded",
    "lie",
    "believed a liar",
    "forged",
    "frame dropped",
    "answer repeated",
    "request repeated",
];

#[test]
fn every_schedule_keeps_every_rule() {
    let outcome = match run::from_environment("POSTERN_SCHEDULE_SEED") {
        Some(seed) => run::one(seed, true),
        None => {
            let count = run::from_environment("POSTERN_SCHEDULES").unwrap_or(SCHEDULES);
            run::many(count).map(|seen| (String::new(), seen))
        }
    };
    match outcome {
        Ok((log, seen)) => tell(&log, &seen),
        Err(Failure { seed, why, log }) => panic!(
            "{log}\nschedule {seed} broke a rule: {why}\n\
             again: POSTERN_SCHEDULE_SEED={seed} cargo test --workspace --test simulated every_schedule -- --nocapture"
        ),
    }
}

#[test]
fn the_schedules_reach_what_they_are_for() {
    let seen = run::many(1_000).unwrap_or_else(|failure| panic!("schedule {}: {}", failure.seed, failure.why));
    let missing: Vec<&str> = MUST_HAPPEN
        .into_iter()
        .filter(|what| !seen.contains_key(*what))
        .collect();
    assert!(missing.is_empty(), "never happened: {missing:?}");
}

#[test]
fn a_seed_is_always_the_same_schedule() {
    for seed in 0..20 {
        let twice = [(); 2].map(|()| run::one(seed, true).map_err(|failure| failure.why));
        let [first, second] = twice.map(Result::unwrap);
        assert!(first == second && !first.0.is_empty(), "seed {seed}");
    }
}

#[expect(clippy::print_stderr, reason = "captured unless asked for")]
fn tell(log: &str, seen: &Seen) {
    eprint!("{log}");
    for (what, times) in seen {
        eprintln!("{times:>12}  {what}");
    }
}
