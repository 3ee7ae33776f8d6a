//! Is an agent there? Only what it sends can tell, and silence is looked at twice as hard while it owes an answer.
//!
//! Nothing was heard of an agent that owes something for 100 ms: it is pinged. Nothing for 250 ms: it is a suspect, and
//! gets nothing new until it is heard. An idle agent pings by itself every second; when it does not, it is pinged three
//! times, quickly, and is a suspect when none of those was answered, within 2 s. Time in which the relay itself stood
//! still says nothing of anybody.

use std::time::Duration;

use postern_protocol::Moment;

/// After so much silence an agent that owes something is pinged, and again after as much.
const PING_AFTER: Duration = Duration::from_millis(100);

/// So much silence while something is owed makes a suspect, where the link is short.
const SILENCE: Duration = Duration::from_millis(250);

/// An idle agent that was not heard for so long is pinged. Its own pings come every second, up to 50 ms later and on a
/// link that shakes: who is there is not pinged as well, which doubled what a link costs at rest.
const IDLE: Duration = Duration::from_millis(1_150);

/// It is pinged again after so much. Three pings and the silence after them end within two seconds of the last sign of
/// life, as long as a round trip takes no more than 175 ms.
const IDLE_AGAIN: Duration = Duration::from_millis(200);

/// A suspect is pinged so often, until it is heard.
const SUSPECTED: Duration = Duration::from_millis(500);

/// Idle pings without an answer that make a suspect.
const UNANSWERED: u32 = 3;

/// What one session's silence says.
#[derive(Debug, Clone)]
pub(super) struct Liveness {
    /// The last sign of life, or the end of a time in which none could have been seen.
    heard: Moment,
    /// The last sign of life.
    spoke: Moment,
    /// Since when it owes something without a break.
    owes_since: Option<Moment>,
    /// The last ping.
    pinged: Option<Moment>,
    /// Pings since the last sign of life.
    unanswered: u32,
    /// The last of as many of them as make a suspect; later ones do not put it off.
    deaf_since: Option<Moment>,
    suspected: Option<Moment>,
}

/// What a look at the silence led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Look {
    /// The agent is to be pinged.
    pub(super) ping: bool,
    /// It has become a suspect.
    pub(super) suspected: bool,
}

impl Liveness {
    /// A session that began `now`, with a sign of life.
    pub(super) fn new(now: Moment) -> Self {
        Self {
            heard: now,
            spoke: now,
            owes_since: None,
            pinged: None,
            unanswered: 0,
            deaf_since: None,
            suspected: None,
        }
    }

    /// A sign of life. True when that ends a suspicion.
    pub(super) fn heard(&mut self, now: Moment) -> bool {
        self.heard = self.heard.max(now);
        self.spoke = self.spoke.max(now);
        (self.unanswered, self.deaf_since) = (0, None);
        self.suspected.take().is_some()
    }

    /// The last sign of life.
    pub(super) fn last_heard(&self) -> Moment {
        self.heard
    }

    /// Since when it is a suspect, if it is one.
    pub(super) fn suspected_since(&self) -> Option<Moment> {
        self.suspected
    }

    /// Whether it is a suspect.
    pub(super) fn is_suspect(&self) -> bool {
        self.suspected.is_some()
    }

    /// It is a suspect for another reason than silence; it is to be pinged. True if it was none before.
    pub(super) fn doubt(&mut self, now: Moment) -> bool {
        self.note_ping(now);
        self.suspected.replace(self.suspected.unwrap_or(now)).is_none()
    }

    /// It is pinged, whatever for.
    pub(super) fn note_ping(&mut self, now: Moment) {
        self.pinged = Some(now);
        self.unanswered = self.unanswered.saturating_add(1);
        if self.unanswered == UNANSWERED {
            self.deaf_since = Some(now);
        }
    }

    /// It owes something from now on.
    pub(super) fn owes(&mut self, now: Moment) {
        self.owes_since.get_or_insert(now);
    }

    /// It owes nothing any more.
    pub(super) fn owes_nothing(&mut self) {
        self.owes_since = None;
    }

    /// The relay stood still until `now`: nobody could have been heard. What was suspected before stays so.
    pub(super) fn forgive(&mut self, now: Moment) {
        self.heard = self.heard.max(now);
        (self.unanswered, self.deaf_since) = (0, None);
    }

    /// Looks at the silence; `rtt` is the link's round-trip time.
    pub(super) fn look(&mut self, now: Moment, rtt: Duration) -> Look {
        let suspected = self.suspected.is_none() && self.suspicion_at(rtt).is_some_and(|at| now >= at);
        if suspected {
            self.suspected = Some(now);
        }
        let ping = now >= self.ping_at();
        if ping {
            self.note_ping(now);
        }
        Look { ping, suspected }
    }

    /// When the next look may lead to something, if nothing is heard before.
    pub(super) fn next_look(&self, rtt: Duration) -> Moment {
        let suspicion = self.suspicion_at(rtt).filter(|_| self.suspected.is_none());
        self.ping_at().min(suspicion.unwrap_or(Moment(u64::MAX)))
    }

    /// Since when silence counts while something is owed.
    fn owed_silence(&self) -> Option<Moment> {
        self.owes_since.map(|since| since.max(self.heard))
    }

    fn ping_at(&self) -> Moment {
        let pinged = self.pinged.unwrap_or_default();
        match self.owed_silence() {
            _ if self.is_suspect() => self.heard.max(pinged) + SUSPECTED,
            Some(since) => since.max(pinged) + PING_AFTER,
            // It is about to be a suspect.
            None if self.deaf_since.is_some() => Moment(u64::MAX),
            // Whatever was forgiven: a relay that often stands still would never ping, and the link would end.
            None => (self.spoke + IDLE).max(pinged + IDLE_AGAIN),
        }
    }

    fn suspicion_at(&self, rtt: Duration) -> Option<Moment> {
        // On a long link the answer to the ping needs its time.
        let silence = SILENCE.max(PING_AFTER + rtt * 2);
        let owed = self.owed_silence().map(|since| since + silence);
        let idle = self.deaf_since.map(|since| since + silence);
        match (owed, idle) {
            (Some(owed), Some(idle)) => Some(owed.min(idle)),
            (owed, idle) => owed.or(idle),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000;
    const RTT: Duration = Duration::from_millis(10);

    /// Looks whenever a look is due until `until` (in ms); gives the times (in ms) of pings and of the suspicion.
    fn watch(liveness: &mut Liveness, until: u64) -> (Vec<u64>, Option<u64>) {
        let (mut pings, mut suspected) = (Vec::new(), None);
        loop {
            let at = liveness.next_look(RTT);
            if at > Moment(until * MS) {
                return (pings, suspected);
            }
            let look = liveness.look(at, RTT);
            assert!(look.ping || look.suspected, "a look for nothing at {at:?}");
            pings.extend(look.ping.then_some(at.0 / MS));
            suspected = suspected.or(look.suspected.then_some(at.0 / MS));
        }
    }

    #[test]
    fn one_that_owes_is_pinged_after_100_ms_and_suspected_after_250() {
        let mut liveness = Liveness::new(Moment(0));
        liveness.owes(Moment(0));
        let (pings, suspected) = watch(&mut liveness, 1_000);
        assert_eq!((pings, suspected), (vec![100, 200, 700], Some(250)));
    }

    #[test]
    fn silence_counts_from_the_last_byte_or_from_when_something_is_owed_whichever_is_later() {
        let mut liveness = Liveness::new(Moment(0));
        liveness.owes(Moment(400 * MS));
        assert_eq!(watch(&mut liveness, 600).1, None);
        liveness.heard(Moment(600 * MS));
        assert_eq!(watch(&mut liveness, 900), (vec![700, 800], Some(850)));
    }

    #[test]
    fn an_idle_one_is_pinged_three_times_and_suspected_within_2_s() {
        let mut liveness = Liveness::new(Moment(0));
        let (pings, suspected) = watch(&mut liveness, 2_000);
        assert_eq!((pings, suspected), (vec![1_150, 1_350, 1_550], Some(1_800)));
    }

    #[test]
    fn an_idle_one_on_a_long_link_is_suspected_all_the_same() {
        let mut liveness = Liveness::new(Moment(0));
        let rtt = Duration::from_millis(400);
        for at in [1_150, 1_350, 1_550] {
            assert!(liveness.look(Moment(at * MS), rtt).ping);
        }
        assert_eq!(liveness.next_look(rtt), Moment(2_450 * MS));
        assert!(liveness.look(Moment(2_450 * MS), rtt).suspected);
    }

    #[test]
    fn one_that_pings_by_itself_is_never_pinged() {
        let mut liveness = Liveness::new(Moment(0));
        for tick in 1..20 {
            assert_eq!(watch(&mut liveness, tick * 1_100), (vec![], None));
            liveness.heard(Moment(tick * 1_100 * MS));
        }
    }

    #[test]
    fn a_sign_of_life_ends_the_suspicion_and_only_that_does() {
        let mut liveness = Liveness::new(Moment(0));
        liveness.owes(Moment(0));
        watch(&mut liveness, 300);
        assert!(liveness.is_suspect());
        liveness.owes_nothing();
        liveness.forgive(Moment(400 * MS));
        assert!(liveness.is_suspect());
        assert!(liveness.heard(Moment(500 * MS)) && !liveness.is_suspect());
        assert!(!liveness.heard(Moment(500 * MS)));
    }

    #[test]
    fn on_a_long_link_the_ping_has_time_to_be_answered() {
        let mut liveness = Liveness::new(Moment(0));
        liveness.owes(Moment(0));
        let rtt = Duration::from_millis(300);
        assert!(!liveness.look(Moment(699 * MS), rtt).suspected);
        assert!(liveness.look(Moment(700 * MS), rtt).suspected);
    }

    #[test]
    fn time_in_which_the_relay_stood_still_says_nothing() {
        let mut liveness = Liveness::new(Moment(0));
        liveness.owes(Moment(0));
        liveness.forgive(Moment(5_000 * MS));
        assert!(!liveness.look(Moment(5_000 * MS), RTT).suspected);
        assert_eq!(watch(&mut liveness, 5_300).1, Some(5_250));
    }

    #[test]
    fn a_relay_that_often_stands_still_pings_the_idle_all_the_same_and_suspects_them_in_time() {
        let mut liveness = Liveness::new(Moment(0));
        for at in [400, 800, 1_100] {
            assert_eq!(watch(&mut liveness, at), (vec![], None));
            liveness.forgive(Moment(at * MS));
        }
        assert_eq!(watch(&mut liveness, 1_200), (vec![1_150], None));
        liveness.forgive(Moment(1_300 * MS));
        assert_eq!(watch(&mut liveness, 2_100), (vec![1_350, 1_550, 1_750], Some(2_000)));
    }

    #[test]
    fn one_in_doubt_is_a_suspect_until_it_is_heard() {
        let mut liveness = Liveness::new(Moment(0));
        assert!(liveness.doubt(Moment(10 * MS)) && !liveness.doubt(Moment(10 * MS)));
        assert_eq!(liveness.suspected_since(), Some(Moment(10 * MS)));
        assert_eq!(watch(&mut liveness, 600).0, [510]);
        assert!(liveness.heard(Moment(600 * MS)));
    }
}
