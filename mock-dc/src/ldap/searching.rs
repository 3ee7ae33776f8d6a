//! The searches of one connection that are under way. They take turns, a step each, as long as there is room for what
//! they find.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Controller;
use super::message::{Compare, Outcome, Response};
use super::outbox::Outbox;
use crate::domain::object::ObjectId;
use crate::search::code::Refusal;
use crate::search::controls::Options;
use crate::search::request::{Filter, Scope, SearchRequest};
use crate::search::rights::Client;
use crate::search::root_dse::{answers, root_dse};
use crate::search::selection::Selection;
use crate::search::{self, Search, Step};

#[derive(Debug)]
struct Running {
    id: i32,
    begun: Instant,
    search: Search,
}

#[derive(Debug, Default)]
pub(crate) struct Searching {
    running: VecDeque<Running>,
}

impl Searching {
    pub(crate) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.running.len()
    }

    /// Begins a search, or answers it at once.
    pub(crate) fn begin(
        &mut self,
        id: i32,
        (request, options): (SearchRequest, Options),
        controller: &Controller,
        (who, ldaps): (Option<ObjectId>, bool),
        outbox: &mut Outbox,
    ) {
        let world = &controller.world;
        let mut done = |outcome: &Outcome| outbox.answers().result(id, Response::Search, outcome);
        if is_root_dse(&request) {
            let entry = root_dse(&world.domain, &controller.name, world.clock.now());
            if answers(&entry, &request.filter, &world.domain) {
                let dialect = world.domain.dialect();
                match Selection::of(&request.attributes, request.types_only, dialect) {
                    Ok(selection) => outbox.answers().entry(id, &selection.apply(entry)),
                    Err(refusal) => return done(&refusal.into()),
                }
            }
            return outbox.answers().result(id, Response::Search, &Outcome::SUCCESS);
        }
        let Some(who) = who else {
            return done(&search::for_nobody(&world.domain, &request).into());
        };
        let client = Client::new(&world.domain, who, ldaps);
        match Search::begin(&world.domain, request, options, client) {
            Ok(search) => self.running.push_back(Running {
                id,
                begun: Instant::now(),
                search,
            }),
            Err(refusal) => done(&refusal.into()),
        }
    }

    /// Goes on with the search whose turn it is. `true` when it came to its end.
    pub(crate) fn step(&mut self, controller: &Controller, outbox: &mut Outbox) -> bool {
        let Some(mut running) = self.running.pop_front() else {
            return true;
        };
        let world = &controller.world;
        let Running { id, begun, .. } = running;
        let search = &mut running.search;
        let step = world.looking(|now| search.step(&world.domain, controller.id, now, begun.elapsed()));
        let (entries, end) = match step {
            Step::Entries(entries) => (entries, None),
            Step::Last(entries, done) => (entries, Some(done)),
        };
        let mut answers = outbox.answers();
        entries.iter().for_each(|entry| answers.entry(id, entry));
        let Some(done) = end else {
            self.running.push_back(running);
            return false;
        };
        done.references.iter().for_each(|uri| answers.reference(id, uri));
        answers.search_done(id, &done.result.into(), &done.controls);
        true
    }

    /// Ends the searches with this message id without an answer.
    pub(crate) fn abandon(&mut self, id: i32) {
        self.running.retain(|running| running.id != id);
    }

    /// Ends every search without an answer.
    pub(crate) fn abandon_all(&mut self) {
        self.running.clear();
    }

    /// Whether the entry that a compare names has the value.
    pub(crate) fn finds_value(
        compare: &Compare<'_>,
        controller: &Controller,
        who: Option<ObjectId>,
    ) -> Result<bool, Outcome> {
        let world = &controller.world;
        let attribute = String::from_utf8_lossy(compare.attribute).into_owned();
        let request = SearchRequest {
            base: compare.name.to_vec(),
            scope: Scope::Base,
            size_limit: 0,
            time_limit: 0,
            types_only: false,
            filter: Filter::Equality(attribute, compare.value.to_vec()),
            attributes: vec!["1.1".to_owned()],
        };
        if is_root_dse(&request) {
            let entry = root_dse(&world.domain, &controller.name, world.clock.now());
            return Ok(answers(&entry, &request.filter, &world.domain));
        }
        let client = match who {
            Some(who) => Client::new(&world.domain, who, false),
            // May read nothing, so that nothing is what they compare with.
            None if search::compares_for_nobody(&world.domain) => Client::default(),
            None => return Err(search::for_nobody(&world.domain, &request).into()),
        };
        let base = request.base.clone();
        let search = Search::begin(&world.domain, request, Options::default(), client);
        let mut search = search.map_err(|refusal| search::of_comparison(&world.domain, &base, refusal))?;
        if who.is_none() {
            return Ok(false);
        }
        match world.looking(|now| search.step(&world.domain, controller.id, now, Duration::ZERO)) {
            Step::Entries(found) | Step::Last(found, _) => Ok(!found.is_empty()),
        }
    }
}

fn is_root_dse(request: &SearchRequest) -> bool {
    request.base.is_empty() && request.scope == Scope::Base
}

impl From<Refusal> for Outcome {
    fn from(refusal: Refusal) -> Self {
        Self {
            code: refusal.code as u32,
            matched_dn: refusal.matched_dn,
            text: refusal.text,
            referral: refusal.referral,
        }
    }
}
