//! A session as the relay was told of it, and what its silence and its failures allow.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use postern_protocol::Moment;
use postern_relay::core::{AgentSession, AttemptNumber, FlightId, SignIn};

/// After so much silence an agent that owes something is pinged.
pub(super) const PING_AFTER: Duration = Duration::from_millis(100);

/// After so much it is a suspect, where the link is short.
const SILENCE: Duration = Duration::from_millis(250);

/// After so much one that owes nothing is a suspect, where the link is short; it is pinged for the third time
/// after so much at the latest.
const IDLE_SILENCE: Duration = Duration::from_secs(2);
const LAST_IDLE_PING: Duration = Duration::from_millis(1_552);

/// The longest round-trip time that the relay believes.
const LONGEST_RTT: Duration = Duration::from_millis(300);

/// The longest that one which could not begin is left alone, and what the relay's timers add.
pub(super) const LONGEST_REST: Duration = Duration::from_millis(1_020);

/// The shortest ejection, and the longest.
const EJECTION: Duration = Duration::from_secs(1);
const LONGEST_EJECTION: Duration = Duration::from_secs(60);

/// After so long without an ejection the next one is a first one again.
const HEALTHY: Duration = Duration::from_secs(60);

/// So is one that answered none of so many pings, whatever it owes.
const UNANSWERED: usize = 3;

#[derive(Debug)]
pub(in super::super) struct Session {
    pub(super) realm: usize,
    pub(super) name: Arc<str>,
    pub(super) slots: u32,
    pub(super) ready: bool,
    pub(super) draining: bool,
    kids: Vec<String>,
    pub(super) rtt: Duration,
    /// What was sent and has not ended.
    pub(super) open: BTreeSet<(FlightId, AttemptNumber)>,
    owes_since: Option<Moment>,
    /// The last frame.
    pub(super) heard: Moment,
    /// The end of the last time in which the relay stood still: silence before it may say nothing.
    pub(super) excused: Moment,
    pinged: Moment,
    /// Pings since the last frame.
    unanswered: Vec<Moment>,
    /// A newer session of the same agent exists, and nothing came since.
    pub(super) in_doubt: bool,
    /// The relay said that it is a suspect, and nothing came since.
    pub(super) suspect: bool,
    /// Users whose sign-ins it failed since its last verdict. Some count here that the relay need not count.
    pub(super) failed: BTreeSet<u64>,
    pub(super) ejected: Option<Moment>,
    /// How often it was, in this session and without a minute of health between.
    ejections: u32,
    /// What it has to show that it is well again.
    pub(super) probes: BTreeSet<(FlightId, AttemptNumber)>,
    /// When it last came back.
    back: Moment,
    /// It may have been ejected when its last session ended, which the relay has yet to say.
    pub(super) ejected_before: bool,
    /// It may be left alone so long, having said that it cannot begin.
    pub(super) rests_until: Moment,
}

/// What a session begins with: who thinks ill of an agent goes on when it dials again.
#[derive(Debug, Default)]
pub(super) struct Grudge {
    failed: BTreeSet<u64>,
    ejected: Option<Moment>,
}

impl Grudge {
    /// What is held against another session of the agent, too.
    pub(super) fn add(&mut self, session: &Session) {
        self.failed.extend(&session.failed);
        self.ejected = self.ejected.max(session.ejected);
    }
}

impl Session {
    pub(super) fn new(now: Moment, session: &AgentSession, Grudge { failed, ejected }: Grudge) -> Self {
        Self {
            realm: session.realm.0,
            name: session.name.clone(),
            slots: session.slots,
            ready: session.directory_ready,
            draining: false,
            kids: vec![session.kid.clone()],
            rtt: session.rtt.min(LONGEST_RTT),
            open: BTreeSet::new(),
            owes_since: None,
            heard: now,
            excused: now,
            pinged: now,
            unanswered: Vec::new(),
            in_doubt: false,
            suspect: false,
            ejected_before: ejected.is_some() || failed.len() >= 3,
            failed,
            ejected,
            ejections: 0,
            probes: BTreeSet::new(),
            back: now,
            rests_until: now,
        }
    }

    /// The relay says that it is ejected.
    pub(super) fn eject(&mut self, now: Moment) {
        if self.ejected.is_none() && now.since(self.back) >= HEALTHY {
            self.ejections = 0;
        }
        self.ejections += 1;
        self.ejected = Some(now);
        self.failed.clear();
        self.probes.clear();
    }

    /// The relay says that it is well again.
    pub(super) fn come_back(&mut self, now: Moment) {
        self.ejected = None;
        self.back = now;
    }

    /// How long the ejection lasts at least: 1 s, doubling to 60 s. One of an earlier session may have been the first.
    pub(super) fn ejection(&self) -> Duration {
        let times = self.ejections.saturating_sub(1).min(6);
        (EJECTION * (1 << times)).min(LONGEST_EJECTION)
    }

    /// The relay believes no longer round-trip time.
    pub(super) fn set_rtt(&mut self, rtt: Duration) {
        self.rtt = rtt.min(LONGEST_RTT);
    }

    pub(super) fn serves(&self) -> bool {
        self.ready && !self.draining
    }

    /// Nothing speaks against it.
    pub(super) fn is_well(&self) -> bool {
        self.serves() && !self.suspect && self.ejected.is_none()
    }

    pub(super) fn can_open(&self, facts: &SignIn) -> bool {
        facts
            .recipients
            .as_ref()
            .is_none_or(|recipients| self.kids.iter().any(|kid| recipients.contains(kid)))
    }

    pub(super) fn has_room(&self) -> bool {
        self.open.len() < self.slots as usize
    }

    pub(super) fn key_change(&mut self, kid: &str) {
        self.kids.insert(0, kid.to_owned());
        self.kids.truncate(2);
    }

    pub(super) fn takes(&mut self, now: Moment, stream: (FlightId, AttemptNumber)) {
        self.open.insert(stream);
        self.owes_since.get_or_insert(now);
    }

    /// False for what it was never sent, or has answered.
    pub(super) fn ends(&mut self, stream: (FlightId, AttemptNumber)) -> bool {
        self.probes.remove(&stream);
        let had = self.open.remove(&stream);
        if self.open.is_empty() {
            self.owes_since = None;
        }
        had
    }

    /// A frame came.
    pub(super) fn hear(&mut self, now: Moment) {
        self.heard = now;
        self.unanswered.clear();
        (self.in_doubt, self.suspect) = (false, false);
    }

    pub(super) fn ping(&mut self, now: Moment) {
        self.pinged = now;
        self.unanswered.push(now);
    }

    pub(super) fn was_pinged_since(&self, moment: Moment) -> bool {
        self.pinged >= moment
    }

    /// Since when it is silent while it owes something, the relay's own absence left out.
    pub(super) fn silent_since(&self) -> Option<Moment> {
        self.owes_since.map(|since| since.max(self.heard).max(self.excused))
    }

    /// The silence that makes a suspect of one that owes something.
    pub(super) fn patience(&self) -> Duration {
        let patience = SILENCE.max(PING_AFTER + self.rtt * 2);
        // Moments are whole microseconds.
        Duration::from_micros(u64::try_from(patience.as_micros()).unwrap())
    }

    /// The silence that makes a suspect of one that owes nothing: two seconds, and on a long link what the answer to the
    /// third ping may take.
    pub(super) fn idle_patience(&self) -> Duration {
        IDLE_SILENCE.max(LAST_IDLE_PING + self.patience())
    }

    /// Whether it may be called a suspect.
    pub(super) fn may_be_suspected(&self, now: Moment) -> bool {
        let owed = self.owes_since.map(|since| now.since(since.max(self.heard)));
        let before = self.unanswered.iter().filter(|at| now.since(**at) >= self.patience());
        let deaf = before.count() >= UNANSWERED;
        self.in_doubt || owed.is_some_and(|silent| silent >= self.patience()) || deaf
    }
}
