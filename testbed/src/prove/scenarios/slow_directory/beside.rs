//! The same load on the same agents, dealt out in three ways: by the relay's own core, in turn, and at random.
//!
//! The relay has one way to choose an agent and no setting for others, so the other two are played here, on a clock of
//! numbers: three agents, one of them ten times slower, and for each sign-in the same service time in all three. It
//! takes milliseconds and is the same every time.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use postern_loadtest::Latency;
use postern_protocol::{Moment, Verdict};
use postern_relay::config::Ambiguous;
use postern_relay::core::{
    AgentSession, Answer, AttemptNumber, Command, Core, FlightId, QueueRules, RealmIndex, RealmRules, SessionId, SignIn,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Agents, and the binds that each makes at once.
const AGENTS: usize = 3;
const SLOTS: u32 = 16;

/// The last one is slow.
const SLOW: usize = AGENTS - 1;
const SLOWER: f64 = 10.0;

/// 5 ± 2 ms, in microseconds.
const SERVICE: std::ops::Range<f64> = 3_000.0..7_000.0;

/// 500 a second, in microseconds.
const EVERY: u64 = 2_000;

/// Sign-ins, and those at the beginning that do not count: it is not known yet who is slow.
const SIGN_INS: usize = 10_000;
const WARM_UP: usize = 1_500;

/// Longer than anything takes here.
const DEADLINE: Duration = Duration::from_secs(60);

/// The 99th percentiles of the three ways.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beside {
    pub(super) by_cost: Duration,
    pub(super) in_turn: Duration,
    pub(super) at_random: Duration,
}

/// Plays all three.
pub(super) fn play(seed: u64) -> Beside {
    let mut random = StdRng::seed_from_u64(seed);
    let services: Vec<f64> = (0..SIGN_INS).map(|_| random.random_range(SERVICE)).collect();
    let mut turn = 0;
    Beside {
        by_cost: p99(by_core(&services, seed)),
        in_turn: p99(by(&services, |free| {
            turn += 1;
            free[turn % free.len()]
        })),
        at_random: p99(by(&services, |free| free[random.random_range(0..free.len())])),
    }
}

/// How long a bind takes there, in microseconds.
fn service(services: &[f64], sign_in: usize, agent: usize) -> u64 {
    let slower = if agent == SLOW { SLOWER } else { 1.0 };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "tens of thousands"
    )]
    let micros = (services[sign_in] * slower) as u64;
    micros
}

fn planned(sign_in: usize) -> u64 {
    EVERY * (sign_in as u64 + 1)
}

fn p99(latencies: Vec<Duration>) -> Duration {
    Latency::of(latencies.into_iter().skip(WARM_UP)).p99
}

/// By a rule that knows nothing of the agents but who has a free slot.
fn by(services: &[f64], mut choose: impl FnMut(&[usize]) -> usize) -> Vec<Duration> {
    let mut latencies = vec![Duration::ZERO; services.len()];
    let mut in_hand = [0; AGENTS];
    let mut ends: BTreeSet<(u64, usize, usize)> = BTreeSet::new();
    let mut waiting = VecDeque::new();
    let mut arrivals = (0..services.len()).peekable();
    loop {
        let arrival = arrivals.peek().map(|&sign_in| planned(sign_in));
        let now = match (ends.first().map(|(at, ..)| *at), arrival) {
            (Some(end), Some(arrival)) if end < arrival => end,
            (_, Some(arrival)) => arrival,
            (Some(end), None) => end,
            (None, None) => return latencies,
        };
        if arrival == Some(now) {
            waiting.extend(arrivals.next());
        } else if let Some((at, agent, sign_in)) = ends.pop_first() {
            in_hand[agent] -= 1;
            latencies[sign_in] = Duration::from_micros(at - planned(sign_in));
        }
        while let free @ [_, ..] = &(0..AGENTS).filter(|&agent| in_hand[agent] < SLOTS).collect::<Vec<_>>()[..]
            && let Some(sign_in) = waiting.pop_front()
        {
            let agent = choose(free);
            in_hand[agent] += 1;
            ends.insert((now + service(services, sign_in, agent), agent, sign_in));
        }
    }
}

/// By the relay's core.
fn by_core(services: &[f64], seed: u64) -> Vec<Duration> {
    const REALM: RealmIndex = RealmIndex(0);
    let rules = RealmRules {
        ambiguous: Ambiguous::RetryOnce,
        lockout_window: DEADLINE,
        queue: QueueRules {
            length: SIGN_INS,
            bytes: SIGN_INS,
            wait: DEADLINE,
        },
        agent_return: DEADLINE,
    };
    let mut core = Core::new([rules], seed);
    for agent in 0..AGENTS {
        let session = AgentSession {
            realm: REALM,
            name: format!("agent-{agent}").into(),
            slots: SLOTS,
            directory_ready: true,
            kid: String::new(),
            rtt: Duration::ZERO,
        };
        core.handle_session_up(Moment(0), SessionId(agent as u64), session);
    }
    let mut latencies = vec![Duration::ZERO; services.len()];
    let mut ends: BTreeSet<(u64, SessionId, FlightId, AttemptNumber)> = BTreeSet::new();
    let mut arrivals = (0..services.len()).peekable();
    loop {
        let arrival = arrivals.peek().map(|&sign_in| planned(sign_in));
        let end = ends.first().map(|(at, ..)| *at);
        let Some(next) = arrival.into_iter().chain(end).min() else {
            return latencies;
        };
        let now = core
            .next_timeout()
            .map_or(Moment(next), |timer| timer.min(Moment(next)));
        if now.0 < next {
            core.handle_timeout(now);
        } else if end == Some(next)
            && let Some((_, SessionId(agent), flight, attempt)) = ends.pop_first()
        {
            core.handle_answer(
                now,
                SessionId(agent),
                flight,
                attempt,
                Answer::Verdict(Verdict::Success, None),
            );
        } else if let Some(sign_in) = arrivals.next() {
            let sign_in_of = SignIn {
                realm: REALM,
                user: sign_in as u64,
                deadline: now + DEADLINE,
                bytes: 1,
                recipients: None,
            };
            core.handle_sign_in(now, FlightId(sign_in as u64), sign_in_of);
        }
        while let Some(command) = core.poll_command() {
            match command {
                Command::Send {
                    flight,
                    session,
                    attempt,
                    ..
                } => {
                    core.handle_started(now, session, flight, attempt);
                    let (agent, sign_in) = (index(session.0), index(flight.0));
                    ends.insert((now.0 + service(services, sign_in, agent), session, flight, attempt));
                }
                Command::Ping { session } => core.handle_heard(now, session, Duration::ZERO),
                Command::Settle { flight, .. } => {
                    let sign_in = index(flight.0);
                    latencies[sign_in] = now.since(Moment(planned(sign_in)));
                }
                _ => {}
            }
        }
    }
}

fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_cost_the_slow_one_is_not_noticed_and_by_the_other_two_it_is() {
        for seed in 0..5 {
            let beside = play(seed);
            assert!(beside.by_cost < Duration::from_millis(15), "{beside:?}");
            assert!(beside.in_turn > Duration::from_millis(60), "{beside:?}");
            assert!(beside.at_random > Duration::from_millis(60), "{beside:?}");
        }
    }
}
