//! What one schedule is made of, drawn from its seed: realms, agents and their clocks, people, and how bad the day is.

use std::time::Duration;

use postern_protocol::{Moment, Verdict};
use postern_relay::config::Ambiguous;
use postern_relay::core::{QueueRules, RealmRules};
use rand::Rng;
use rand::rngs::SmallRng;

use super::chance::{between, one_of};

/// One schedule's givens.
#[derive(Debug)]
pub(super) struct Plan {
    /// The relay's clock at the start. Its origin means nothing to anybody else.
    pub(super) start: Moment,
    pub(super) realms: Vec<Realm>,
    pub(super) agents: Vec<Agent>,
    pub(super) deadline: Duration,
    /// For how long sign-ins arrive and things go wrong.
    pub(super) length: Duration,
    /// Between two arrivals, on average.
    pub(super) arrivals: Duration,
    /// Between two faults, on average.
    pub(super) faults: Duration,
    pub(super) network: Network,
}

#[derive(Debug)]
pub(super) struct Realm {
    pub(super) rules: RealmRules,
    pub(super) people: Vec<Person>,
    pub(super) dcs: usize,
}

/// A user of a realm.
#[derive(Debug)]
pub(super) struct Person {
    /// What the directory says to the right password.
    pub(super) account: Verdict,
    /// There is such a user. Nobody else can be found by an alternate id.
    pub(super) exists: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Agent {
    pub(super) realm: usize,
    pub(super) name: String,
    pub(super) connections: u32,
    /// It says that it takes so many times what it has connections for: what is too much it hands back.
    pub(super) boasts: u32,
    /// Answers what it likes, for whatever it likes.
    pub(super) lies: bool,
}

/// How frames travel.
#[derive(Debug)]
pub(super) struct Network {
    /// One way, at least.
    pub(super) delay: Duration,
    /// Added at random, up to this.
    pub(super) jitter: Duration,
    /// How many frames are late by up to `late` more.
    pub(super) tail: f64,
    pub(super) late: Duration,
    /// How many frames their receiver drops on a session that lives.
    pub(super) loss: f64,
    /// How many answers come twice.
    pub(super) repeats: f64,
}

impl Plan {
    pub(super) fn draw(random: &mut SmallRng) -> Self {
        let deadline = one_of(random, &[1_000, 4_000, 4_000]);
        let realms: Vec<Realm> = (0..random.random_range(1..=2))
            .map(|_| realm(random, deadline))
            .collect();
        // More than can be done, by agents that take it all on: what is handed back has to be bounded.
        let storm = random.random_bool(0.02);
        let mut agents = Vec::new();
        for index in 0..realms.len() {
            for number in 0..random.random_range(1..=4) {
                agents.push(Agent {
                    realm: index,
                    name: format!("agent-{number}"),
                    connections: random.random_range(2..=6),
                    boasts: if storm { 20 } else { one_of(random, &[1, 1, 1, 4]) },
                    lies: random.random_bool(0.05),
                });
            }
        }
        Self {
            start: Moment(random.random_range(1_000_000..1_000_000_000)),
            realms,
            agents,
            deadline: Duration::from_millis(deadline),
            length: between(random, 2_000, 8_000),
            arrivals: if storm {
                between(random, 1, 4)
            } else {
                between(random, 20, 400)
            },
            faults: between(random, 100, 2_000),
            network: Network {
                delay: Duration::from_micros(random.random_range(100..20_000)),
                jitter: Duration::from_micros(random.random_range(1..20_000)),
                tail: one_of(random, &[0.0, 0.01, 0.1]),
                late: between(random, 50, 1_500),
                loss: one_of(random, &[0.0, 0.0, 0.01, 0.05]),
                repeats: one_of(random, &[0.0, 0.05]),
            },
        }
    }
}

fn realm(random: &mut SmallRng, deadline: u64) -> Realm {
    let people = (0..random.random_range(2..=40))
        .map(|_| Person {
            account: if random.random_bool(0.8) {
                Verdict::Success
            } else {
                one_of(random, &Verdict::ALL)
            },
            exists: random.random_bool(0.9),
        })
        .collect();
    Realm {
        rules: RealmRules {
            ambiguous: one_of(random, &[Ambiguous::Fail, Ambiguous::RetryOnce, Ambiguous::RetryOnce]),
            // Short ones end within the schedule.
            lockout_window: Duration::from_millis(one_of(random, &[2_000, 1_800_000])),
            queue: QueueRules {
                length: one_of(random, &[2, 8, 1_000]),
                bytes: one_of(random, &[1_000, 1_000_000, 1_000_000]),
                wait: Duration::from_millis(one_of(random, &[20, 500, 4_000])),
            },
            agent_return: Duration::from_millis(deadline),
        },
        people,
        dcs: random.random_range(1..=3),
    }
}
