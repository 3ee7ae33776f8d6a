//! A naive model of three controllers, ticking second by second, which the domain must agree with.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const DCS: usize = 3;
const DELAY: u64 = 15;
const LOCK: u64 = 1800;

#[derive(Debug, Clone)]
enum Step {
    /// At a controller, with a password by its number.
    Bind(usize, usize),
    Reset(usize),
    Unlock(usize),
    Wait(u64),
    Away(usize, bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        // The last passwords are the ones that somebody may know; numbers beyond are wrong ones.
        10 => (0..DCS, 0..8usize).prop_map(|(dc, password)| Step::Bind(dc, password)),
        2 => (0..DCS).prop_map(Step::Reset),
        1 => (0..DCS).prop_map(Step::Unlock),
        3 => (0..20u64).prop_map(Step::Wait),
        1 => (1000..2000u64).prop_map(Step::Wait),
        2 => (0..DCS, any::<bool>()).prop_map(|(dc, away)| Step::Away(dc, away)),
    ];
    prop::collection::vec(step, 1..80)
}

#[derive(Debug, Default)]
struct Model {
    now: u64,
    /// The passwords that each version holds, newest first.
    versions: Vec<Vec<usize>>,
    /// The version that each controller goes by.
    known: [usize; DCS],
    /// Seconds left until a controller learns a version.
    on_the_way: BTreeMap<(usize, usize), u64>,
    away: [bool; DCS],
    counts: [u32; DCS],
    last_wrong: [Option<u64>; DCS],
    locked_since: Option<u64>,
}

impl Model {
    fn reaches_pdc(&self, dc: usize) -> bool {
        dc != 0 && !self.away[0] && !self.away[dc]
    }

    /// Who can be told by somebody now.
    fn spread(&mut self) {
        for version in 0..self.versions.len() {
            let told_by_somebody = (0..DCS).any(|dc| self.has_heard(dc, version) && !self.away[dc]);
            for dc in 0..DCS {
                if self.has_heard(dc, version) || self.away[dc] || !told_by_somebody {
                    self.on_the_way.remove(&(dc, version));
                } else {
                    self.on_the_way.entry((dc, version)).or_insert(DELAY);
                }
            }
        }
    }

    /// A controller that knows a later version does not need this one.
    fn has_heard(&self, dc: usize, version: usize) -> bool {
        self.known[dc] >= version
    }

    fn tick(&mut self) {
        self.now += 1;
        for left in self.on_the_way.values_mut() {
            *left -= 1;
        }
        let arrived: Vec<_> = self
            .on_the_way
            .iter()
            .filter(|(_, left)| **left == 0)
            .map(|(key, _)| *key)
            .collect();
        for (dc, version) in arrived {
            self.known[dc] = self.known[dc].max(version);
        }
        self.spread();
    }

    fn reset(&mut self, dc: usize) {
        let number = self.versions.len();
        let mut passwords = vec![number];
        passwords.extend(&self.versions[self.known[dc]]);
        self.versions.push(passwords);
        self.known[dc] = number;
        if self.reaches_pdc(dc) {
            self.known[0] = number;
        }
        self.spread();
    }

    /// 0: right, 1 or 2: one of the two before, else wrong.
    fn age(&self, dc: usize, password: usize) -> usize {
        let passwords = &self.versions[self.known[dc]];
        passwords.iter().position(|own| *own == password).unwrap_or(usize::MAX)
    }

    fn is_locked(&self) -> bool {
        self.locked_since.is_some_and(|since| self.now < since + LOCK)
    }

    fn bind(&mut self, dc: usize, password: usize) -> &'static str {
        if self.is_locked() {
            return "775";
        }
        let asks = self.age(dc, password) != 0 && self.reaches_pdc(dc);
        if self.age(dc, password) == 0 || (asks && self.age(0, password) == 0) {
            if self.locked_since.is_some() {
                self.locked_since = None;
                self.counts = [0; DCS];
            } else {
                if asks || (self.counts[dc] > 0 && self.reaches_pdc(dc)) {
                    self.counts[0] = 0;
                }
                self.counts[dc] = 0;
            }
            return "success";
        }
        if asks && self.age(0, password) <= 2 {
            return "52e";
        }
        let mut counting = Vec::new();
        if self.age(dc, password) > 2 {
            counting.push(dc);
        }
        if asks {
            counting.push(0);
        }
        for at in counting {
            let fresh = self.last_wrong[at].is_some_and(|last| self.now < last + LOCK);
            self.counts[at] = if fresh { self.counts[at] + 1 } else { 1 };
            self.last_wrong[at] = Some(self.now);
            if self.counts[at] >= 3 {
                self.locked_since = Some(self.now);
            }
        }
        "52e"
    }
}

/// The passwords by number: the first is everybody's.
fn password(number: usize) -> String {
    match number {
        0 => PASSWORD.to_owned(),
        number => format!("password {number}"),
    }
}

proptest! {
    #[test]
    fn the_domain_agrees_with_the_model(steps in steps()) {
        let domain = several(DCS);
        let mut model = Model { versions: vec![vec![0]], ..Model::default() };
        for step in steps {
            let now = NOW.after(Duration::from_secs(model.now));
            match step {
                Step::Bind(at, back) => {
                    let number = if back < 4 { model.versions.len().saturating_sub(1 + back) } else { 1000 };
                    let before = (model.is_locked(), counts(&domain, now));
                    let told = bind_at(&domain, DcId::at(at), &password(number), now);
                    let current = [at, 0].map(|dc| model.age(dc, number) == 0);
                    prop_assert_eq!(told, model.bind(at, number));
                    prop_assert!(told != "success" || current[0] || current[1], "success with a password that nobody goes by");
                    let reached = counts(&domain, now).iter().zip(&before.1).any(|(now, before)| *now >= 3 && now != before);
                    let locked = !before.0 && is_locked(&domain, PDC, now);
                    prop_assert_eq!(locked, reached && !before.0, "a lock without a full count, or the other way round");
                }
                Step::Reset(at) => {
                    reset(&domain, DcId::at(at), &password(model.versions.len()), now);
                    model.reset(at);
                }
                Step::Unlock(at) => {
                    domain.change(DcId::at(at), good(&domain), now, AccountState::unlock);
                    model.locked_since = None;
                    model.counts = [0; DCS];
                }
                Step::Wait(seconds) => (0..seconds).for_each(|_| model.tick()),
                Step::Away(at, away) => {
                    domain.set_away(DcId::at(at), away, now);
                    model.away[at] = away;
                    model.spread();
                }
            }
            let now = NOW.after(Duration::from_secs(model.now));
            prop_assert_eq!(counts(&domain, now), model.counts.to_vec());
            prop_assert_eq!(is_locked(&domain, dc(2), now), model.is_locked());
        }
    }
}
