//! Whoever signs in: the same people again and again, with right and wrong passwords, some sealing for themselves.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use postern_protocol::{NotStarted, RequestId, Verdict};
use postern_relay::core::{FlightId, RealmIndex, SignIn};
use rand::Rng;

use super::chance::gap;
use super::ledger::Truth;
use super::relay::Event;
use super::world::{Happening, World};

/// What is in a sign-in's envelope, as far as it matters.
#[derive(Debug, Clone)]
pub(super) struct Detail {
    pub(super) id: RequestId,
    /// What the agent finds when it opens it: nothing wrong, or what the caller did wrong.
    pub(super) fault: Option<NotStarted>,
    /// The name is looked up before it is bound.
    pub(super) alternate: bool,
    pub(super) recipients: Option<Arc<BTreeSet<String>>>,
}

impl World {
    pub(super) fn arrive(&mut self) {
        // Now and then a crowd.
        let crowd = if self.random.random_bool(0.03) {
            self.random.random_range(5..30)
        } else {
            1
        };
        for _ in 0..crowd {
            self.one_arrives();
        }
    }

    fn one_arrives(&mut self) {
        let realm = self.random.random_range(0..self.plan.realms.len());
        let flight = FlightId(self.details.len() as u64 + 1);
        let people = &self.plan.realms[realm].people;
        let user = self.random.random_range(0..people.len());
        let person = &people[user];
        let right = self.random.random_bool(0.7);
        let verdict = match person.account {
            _ if !person.exists => Verdict::InvalidCredentials,
            Verdict::AccountLocked => Verdict::AccountLocked,
            account if right => account,
            _ => Verdict::InvalidCredentials,
        };
        let rules = &self.plan.realms[realm].rules;
        let truth = Truth {
            verdict,
            exists: person.exists,
            ambiguous: rules.ambiguous,
            lockout_window: rules.lockout_window,
            realm,
            user: user as u64,
        };
        let recipients = self.recipients(realm);
        let fault = match self.random.random_range(0..100) {
            0..3 => Some(NotStarted::Refused),
            3..10 if recipients.is_some() => Some(NotStarted::CannotOpen),
            _ => None,
        };
        let mut id = [0; 16];
        id[..8].copy_from_slice(&flight.0.to_be_bytes());
        let detail = Detail {
            id: RequestId(id),
            fault,
            alternate: self.random.random_bool(0.15),
            recipients: recipients.clone(),
        };
        let sign_in = SignIn {
            realm: RealmIndex(realm),
            user: user as u64,
            deadline: self.now + self.plan.deadline,
            bytes: self.random.random_range(200..600),
            recipients,
        };
        self.note(|| {
            let sealed = detail.recipients.as_ref().map(|kids| kids.len());
            format!(
                "sign-in {} arrives: realm {realm}, user {user}, would be {}, sealed to {sealed:?}, fault {fault:?}",
                flight.0,
                verdict.as_str()
            )
        });
        self.ledger.sign_in(flight, truth);
        self.details.insert(flight, detail);
        self.log.count("sign-in");
        self.post(Event::SignIn(flight, sign_in));
        if self.random.random_bool(0.04) {
            let patience = gap(&mut self.random, Duration::from_millis(300));
            self.after(patience, Happening::CallerGoes(flight));
        }
    }

    /// Most leave the sealing to the relay. The others seal to the keys that they were shown, of which some are old.
    fn recipients(&mut self, realm: usize) -> Option<Arc<BTreeSet<String>>> {
        if self.random.random_bool(0.8) {
            return None;
        }
        let mut kids = BTreeSet::new();
        for process in self.processes.values().filter(|process| process.realm == realm) {
            match self.random.random_range(0..10) {
                0..7 => drop(kids.insert(process.kid.clone())),
                7 => kids.extend(process.previous_kid.clone()),
                _ => {}
            }
        }
        if kids.is_empty() {
            kids.insert("the key of nobody".to_owned());
        }
        Some(Arc::new(kids))
    }

    pub(super) fn caller_goes(&mut self, flight: FlightId) {
        // Else the answer was there first.
        if self.relay.belongings.contains_key(&flight) {
            self.note(|| format!("the caller of {} goes away", flight.0));
            self.log.count("caller gone");
            self.post(Event::CallerGone(flight));
        }
    }
}
