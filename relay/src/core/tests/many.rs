//! Many agents: they are not all looked at for each sign-in, and each gets what it would if they were.

use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::super::balance::{Choice, Lots};
use super::*;

const AGENTS: u64 = 60;
const DRAWS: u32 = 60_000;

impl Rig {
    /// Agents past their slow start, with nothing up to nine sign-ins in hand.
    fn crowd() -> Self {
        let mut rig = Self::new(Ambiguous::RetryOnce, 0);
        for id in 1..=AGENTS {
            rig.up(id);
            rig.core.handle_status(rig.now, SessionId(id), 10, true);
        }
        rig.listen();
        rig.pass(Duration::from_secs(5));
        for id in 1..=AGENTS {
            rig.give(id, id % 10);
        }
        rig
    }

    /// Gives an agent `count` sign-ins in hand, which nobody waits for.
    fn give(&mut self, id: u64, count: u64) {
        let agent = self.core.agents.get_mut(SessionId(id)).unwrap();
        for number in 0..count {
            let in_hand = crate::core::agents::InHand {
                sent: self.now,
                user: number,
                probe: false,
                counted: true,
            };
            agent.in_hand.insert((FlightId(u64::MAX - number), 1), in_hand);
        }
    }

    /// A sign-in that came just now, which the core knows nothing of.
    fn new_flight(&self) -> Flight {
        Flight::new(SignIn {
            realm: REALM,
            user: 1,
            deadline: self.now + DEADLINE,
            bytes: 100,
            recipients: None,
        })
    }

    /// How often each agent is chosen, by one way and by the other.
    fn chosen(&mut self) -> [BTreeMap<SessionId, u32>; 2] {
        self.sign_in();
        let sent = self.sent();
        self.answer(sent, Answer::NotStarted(NotStarted::Other));
        self.listen();
        let flight = self.new_flight();
        assert!(self.core.agents.any_free(REALM));
        let usual = self.core.agents.usual(REALM, self.now);
        let choice = Choice {
            agents: &self.core.agents,
            realm: REALM,
            usual: &usual,
            now: self.now,
        };
        let mut random = SmallRng::seed_from_u64(3);
        let mut chosen = [BTreeMap::new(), BTreeMap::new()];
        let mut missed = 0;
        for _ in 0..DRAWS {
            let mut lots = Lots::default();
            let drawn = choice.drawn(&flight, &mut lots, &mut random);
            missed += u32::from(drawn.is_none());
            let session = drawn
                .or_else(|| choice.agent_for(&flight, &mut lots, &mut random))
                .unwrap();
            *chosen[0].entry(session).or_default() += 1;
            let session = choice.agent_for(&flight, &mut Lots::default(), &mut random).unwrap();
            *chosen[1].entry(session).or_default() += 1;
        }
        assert!(missed < DRAWS / 20, "all had to be looked at for {missed} of {DRAWS}");
        chosen
    }
}

/// Both ways chose each session as often, but for chance.
fn assert_alike(drawn: &BTreeMap<SessionId, u32>, looked: &BTreeMap<SessionId, u32>) {
    for id in drawn.keys().chain(looked.keys()) {
        let of = |chosen: &BTreeMap<SessionId, u32>| f64::from(chosen.get(id).copied().unwrap_or(0));
        let (drawn, looked) = (of(drawn), of(looked));
        // Four standard deviations of the difference of two such counts.
        let chance = 4.0 * (drawn + looked).sqrt() + 4.0;
        assert!((drawn - looked).abs() <= chance, "{id:?}: {drawn} and {looked}");
    }
}

/// How often these were chosen, together.
fn of(chosen: &BTreeMap<SessionId, u32>, ids: impl IntoIterator<Item = u64>) -> u32 {
    ids.into_iter().filter_map(|id| chosen.get(&SessionId(id))).sum()
}

#[test]
fn agents_that_are_not_like_the_others_get_by_drawing_what_they_get_by_looking_at_all() {
    let mut rig = Rig::crowd();
    let now = rig.now;
    for id in 1..=AGENTS {
        let agent = rig.core.agents.get_mut(SessionId(id)).unwrap();
        let took = Duration::from_millis(if (41..=46).contains(&id) { 1 } else { 50 });
        agent.latency.observe(now, true, took);
        match id {
            1..=6 => {
                for user in 0..3 {
                    agent.breaker.failed(now, user, false);
                }
            }
            11..=16 => {
                agent.breaker.declined(now);
            }
            _ => {}
        }
    }
    for id in 21..=26 {
        rig.up_as(100 + id, &format!("agent-{id}"));
        rig.core.handle_status(rig.now, SessionId(100 + id), 10, true);
        let agent = rig.core.agents.get_mut(SessionId(100 + id)).unwrap();
        agent.latency.observe(now, true, Duration::from_millis(50));
    }
    for id in 31..=36 {
        rig.core.handle_status(rig.now, SessionId(id), 0, true);
    }
    let [drawn, looked] = rig.chosen();
    assert_alike(&drawn, &looked);
    assert_eq!((of(&drawn, 1..=6), of(&drawn, 11..=16), of(&drawn, 31..=36)), (0, 0, 0));
    // Two sessions are no two agents, and fast answers draw no more than is even.
    let even = DRAWS / (AGENTS as u32 - 18);
    let (doubled, fast) = (of(&drawn, (21..=26).chain(121..=126)), of(&drawn, 41..=46));
    assert!((even..even * 12).contains(&doubled), "{doubled}: {even} each were even");
    assert!((even..even * 12).contains(&fast), "{fast}: {even} each were even");
}

#[test]
fn drawing_from_all_gives_each_agent_the_chance_that_looking_at_all_does() {
    let [drawn, looked] = Rig::crowd().chosen();
    assert_alike(&drawn, &looked);
    let least_busy: u32 = looked
        .iter()
        .filter(|(id, _)| id.0 % 10 == 0)
        .map(|(_, count)| count)
        .sum();
    assert!(least_busy > DRAWS / 8, "{least_busy}: load decides nothing");
}

#[test]
fn the_one_agent_that_has_a_slot_free_is_found_among_many() {
    let mut rig = Rig::crowd();
    for id in (1..=AGENTS).filter(|id| *id != 17) {
        rig.core.handle_status(rig.now, SessionId(id), 0, true);
    }
    rig.sign_in();
    assert_eq!(rig.sent().1, SessionId(17));
}

#[test]
fn where_all_are_busy_a_sign_in_waits_and_is_sent_when_one_is_not() {
    let mut rig = Rig::crowd();
    for id in 1..=AGENTS {
        rig.core.handle_status(rig.now, SessionId(id), 0, true);
    }
    rig.sign_in();
    assert_eq!(rig.sends(), []);
    assert_eq!(rig.core.queued(REALM), 1);
    rig.core.handle_status(rig.now, SessionId(40), 10, true);
    assert_eq!(rig.sent().1, SessionId(40));
}

#[test]
fn of_two_agents_the_one_that_begins_slowly_gets_no_second_chance() {
    let mut rig = Rig::new(Ambiguous::RetryOnce, 1);
    rig.pass(Duration::from_secs(5));
    rig.up(2);
    let flight = rig.new_flight();
    let choice = Choice {
        agents: &rig.core.agents,
        realm: REALM,
        usual: &Usual::default(),
        now: rig.now,
    };
    let mut random = SmallRng::seed_from_u64(3);
    let mut new = 0;
    for _ in 0..20_000 {
        let mut lots = Lots::default();
        let drawn = choice.drawn(&flight, &mut lots, &mut random);
        let chosen = drawn.or_else(|| choice.agent_for(&flight, &mut lots, &mut random));
        new += u32::from(chosen == Some(SessionId(2)));
    }
    // A tenth of the draws has it beside the other, as good as that: half of these are its own.
    assert!((800..1_200).contains(&new), "{new} of 20,000");
}
