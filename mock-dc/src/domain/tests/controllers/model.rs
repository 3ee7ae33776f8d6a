//! A naive model of three controllers, ticking second by second, which the domain must agree with.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::domain::password_change::{NewPassword, NotSet};

const DCS: usize = 3;
const DELAY: u64 = 15;
const LOCK: u64 = 1800;

#[derive(Debug, Clone)]
enum Step {
    /// At a controller, with a password by its number.
    Bind(usize, usize),
    Reset(usize),
    /// By whoever shows what they take for the present one, by its number.
    Change(usize, usize),
    Unlock(usize),
    Wait(u64),
    /// The clock is set back.
    Back(u64),
    Away(usize, bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        // The last passwords are the ones that somebody may know; numbers beyond are wrong ones.
        10 => (0..DCS, 0..8usize).prop_map(|(dc, password)| Step::Bind(dc, password)),
        2 => (0..DCS).prop_map(Step::Reset),
        2 => (0..DCS, 0..8usize).prop_map(|(dc, password)| Step::Change(dc, password)),
        1 => (0..DCS).prop_map(Step::Unlock),
        3 => (0..20u64).prop_map(Step::Wait),
        1 => (1000..2000u64).prop_map(Step::Wait),
        1 => prop_oneof![1..20u64, 500..2000u64].prop_map(Step::Back),
        2 => (0..DCS, any::<bool>()).prop_map(|(dc, away)| Step::Away(dc, away)),
    ];
    prop::collection::vec(step, 1..80)
}

#[derive(Debug, Default)]
struct Model {
    now: u64,
    /// How long the password before the present one signs in.
    old_allowed: u64,
    /// The passwords that each version holds, newest first.
    versions: Vec<Vec<usize>>,
    /// When each was set.
    set_at: Vec<u64>,
    /// The version that each controller goes by.
    known: [usize; DCS],
    /// The versions that each controller was ever told, or wrote: what it can tell others. One that it went past, having heard of
    /// a later one first, is not among them.
    heard: BTreeSet<(usize, usize)>,
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
            let told_by_somebody = (0..DCS).any(|dc| self.heard.contains(&(dc, version)) && !self.away[dc]);
            for dc in 0..DCS {
                if self.heard.contains(&(dc, version)) || self.away[dc] || !told_by_somebody {
                    self.on_the_way.remove(&(dc, version));
                } else {
                    self.on_the_way.entry((dc, version)).or_insert(DELAY);
                }
            }
        }
    }

    /// A controller goes by the latest version that it has heard of.
    fn hear(&mut self, dc: usize, version: usize) {
        self.heard.insert((dc, version));
        self.known[dc] = self.known[dc].max(version);
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
            self.hear(dc, version);
        }
        self.spread();
    }

    /// What was known stays known, and what was on its way takes no longer than the delay.
    fn back(&mut self, seconds: u64) {
        let before = self.now;
        self.now = before.saturating_sub(seconds);
        for left in self.on_the_way.values_mut() {
            *left = DELAY.min(*left + before - self.now);
        }
    }

    /// A new password at `dc`, after those that `from` knows.
    fn set(&mut self, dc: usize, from: usize) {
        let number = self.versions.len();
        let mut passwords = vec![number];
        passwords.extend(&self.versions[self.known[from]]);
        self.versions.push(passwords);
        self.set_at.push(self.now);
        self.hear(dc, number);
        if self.reaches_pdc(dc) {
            self.hear(0, number);
        }
        self.spread();
    }

    fn change(&mut self, dc: usize, old: usize) -> &'static str {
        if self.is_locked() {
            return "locked";
        }
        let asked: Vec<_> = [dc, 0]
            .into_iter()
            .filter(|at| *at == dc || self.reaches_pdc(dc))
            .collect();
        match asked.iter().find(|at| self.age(**at, old) == 0) {
            // One that was set in the future is too young, also where no age is asked for.
            Some(knows) if self.now < self.set_at[self.known[*knows]] => return "against a rule",
            Some(knows) => self.set(dc, *knows),
            None => {
                self.count(if dc == 0 { &[0] } else { &asked });
                return "wrong";
            }
        }
        "changed"
    }

    /// 0: right, 1 or 2: one of the two before, else wrong.
    fn age(&self, dc: usize, password: usize) -> usize {
        let passwords = &self.versions[self.known[dc]];
        passwords.iter().position(|own| *own == password).unwrap_or(usize::MAX)
    }

    /// A password that somebody may know, so many before the last; far back: nobody's.
    fn number(&self, back: usize) -> usize {
        if back < 4 {
            self.versions.len().saturating_sub(1 + back)
        } else {
            1000
        }
    }

    /// Whether a controller by itself takes it: the present one, or the one before it for a time.
    fn takes(&self, dc: usize, password: usize) -> bool {
        match self.age(dc, password) {
            0 => true,
            1 => self.old_allowed > 0 && self.now < self.set_at[self.known[dc]] + self.old_allowed,
            _ => false,
        }
    }

    fn is_locked(&self) -> bool {
        self.locked_since.is_some_and(|since| self.now < since + LOCK)
    }

    fn bind(&mut self, dc: usize, password: usize) -> &'static str {
        if self.is_locked() {
            return "775";
        }
        let asks = !self.takes(dc, password) && self.reaches_pdc(dc);
        if self.takes(dc, password) || (asks && self.takes(0, password)) {
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
        self.count(&counting);
        "52e"
    }

    fn count(&mut self, counting: &[usize]) {
        for at in counting.iter().copied() {
            let fresh = self.last_wrong[at].is_some_and(|last| self.now < last + LOCK);
            self.counts[at] = if fresh { self.counts[at] + 1 } else { 1 };
            self.last_wrong[at] = Some(self.now);
            if self.counts[at] >= 3 {
                self.locked_since = Some(self.now);
            }
        }
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
    fn the_domain_agrees_with_the_model(steps in steps(), old_allowed in prop::sample::select(vec![0, 600])) {
        let domain = several_that_take_old_ones(DCS, Duration::from_secs(old_allowed));
        let mut model = Model { old_allowed, versions: vec![vec![0]], set_at: vec![0], ..Model::default() };
        (0..DCS).for_each(|dc| model.hear(dc, 0));
        for step in steps {
            let now = NOW.after(Duration::from_secs(model.now));
            match step {
                Step::Bind(at, back) => {
                    let number = model.number(back);
                    let before = (model.is_locked(), counts(&domain, now));
                    let told = bind_at(&domain, DcId::at(at), &password(number), now);
                    let goes_by = model.takes(at, number) || (model.reaches_pdc(at) && model.takes(0, number));
                    prop_assert_eq!(told, model.bind(at, number));
                    prop_assert!(told != "success" || goes_by, "success with a password that nobody asked goes by");
                    let reached = counts(&domain, now).iter().zip(&before.1).any(|(now, before)| *now >= 3 && now != before);
                    let locked = !before.0 && is_locked(&domain, PDC, now);
                    prop_assert_eq!(locked, reached && !before.0, "a lock without a full count, or the other way round");
                }
                Step::Reset(at) => {
                    reset(&domain, DcId::at(at), &password(model.versions.len()), now);
                    model.set(at, at);
                }
                Step::Change(at, back) => {
                    let old = model.number(back);
                    let asked = NewPassword::Change {
                        old: password(old).as_str().into(),
                        new: password(model.versions.len()).as_str().into(),
                    };
                    let told = match domain.set_password((DcId::at(at), good(&domain)), &asked, now, |_| ()) {
                        Ok(()) => "changed",
                        Err(NotSet::Locked) => "locked",
                        Err(NotSet::OldIsWrong) => "wrong",
                        Err(NotSet::Rule(_)) => "against a rule",
                    };
                    prop_assert_eq!(told, model.change(at, old));
                }
                Step::Unlock(at) => {
                    domain.change(DcId::at(at), good(&domain), now, AccountState::unlock);
                    model.locked_since = None;
                    model.counts = [0; DCS];
                }
                Step::Wait(seconds) => (0..seconds).for_each(|_| model.tick()),
                Step::Back(seconds) => {
                    model.back(seconds);
                    domain.clock_was_set(now, NOW.after(Duration::from_secs(model.now)));
                }
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
