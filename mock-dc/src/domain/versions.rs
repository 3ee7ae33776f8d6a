//! An account's password as each controller knows it: a new one takes time to reach them.
//!
//! Nothing runs in the background: each version holds the moments at which controllers learn of it, and whoever looks
//! compares them with the clock. While all know the same, this takes no memory beside the password itself.

use super::controllers::{Controllers, DcId};
use super::filetime::FileTime;
use super::passwords::Passwords;

/// A password and when it was set: what controllers tell each other together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// What a password is compared with.
    pub passwords: Passwords,
    /// pwdLastSet; zero: the password must be changed.
    pub pwd_last_set: FileTime,
}

/// The newest credentials, and older ones that some controllers still go by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Versions {
    newest: Credentials,
    spreading: Option<Box<Spreading>>,
}

/// What is not known everywhere yet.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Spreading {
    /// When each controller learns the newest.
    told: Box<[FileTime]>,
    /// Newest first. The last one is known everywhere.
    older: Vec<Version>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Version {
    credentials: Credentials,
    told: Box<[FileTime]>,
}

const KNOWN: FileTime = FileTime::LONG_AGO;

/// Versions on their way that are kept beside those that controllers go by. Somebody who writes more passwords within
/// the replication delay sees controllers go from an earlier one to a later: what lay between is never told to those that
/// had not heard of it.
const ON_THE_WAY: usize = 16;

fn at(told: &[FileTime], dc: DcId) -> FileTime {
    told.get(dc.place()).copied().unwrap_or(KNOWN)
}

impl Versions {
    /// Known everywhere.
    pub(super) fn new(credentials: Credentials) -> Self {
        Self {
            newest: credentials,
            spreading: None,
        }
    }

    /// All of them, newest first, with the moments at which controllers learn of them; none where all have long known.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Credentials, &[FileTime])> {
        let spreading = self.spreading.as_deref();
        let older = spreading.map_or(&[][..], |spreading| &spreading.older);
        let newest = (&self.newest, spreading.map_or(&[][..], |spreading| &spreading.told));
        let older = older.iter().map(|version| (&version.credentials, &*version.told));
        std::iter::once(newest).chain(older)
    }

    /// What [`Versions::iter`] told; `None` without any.
    pub(super) fn restored(all: Vec<(Credentials, Box<[FileTime]>)>) -> Option<Self> {
        let mut all = all.into_iter();
        let (newest, told) = all.next()?;
        let older = all.map(|(credentials, told)| Version { credentials, told });
        let older: Vec<_> = older.collect();
        Some(Self {
            newest,
            spreading: (!older.is_empty()).then(|| Box::new(Spreading { told, older })),
        })
    }

    /// What `dc` goes by at `now`.
    pub(super) fn at(&self, dc: DcId, now: FileTime) -> &Credentials {
        let Some(spreading) = &self.spreading else {
            return &self.newest;
        };
        if at(&spreading.told, dc) <= now {
            return &self.newest;
        }
        let known = spreading.older.iter().find(|version| at(&version.told, dc) <= now);
        known
            .or(spreading.older.last())
            .map_or(&self.newest, |version| &version.credentials)
    }

    /// Writes new ones at `origin`.
    pub(super) fn write(&mut self, new: Credentials, origin: DcId, controllers: &Controllers, now: FileTime) {
        if controllers.count() < 2 {
            self.newest = new;
            return;
        }
        let before = Version {
            credentials: std::mem::replace(&mut self.newest, new),
            told: vec![KNOWN; controllers.count()].into(),
        };
        let told = controllers.told(origin, now);
        match &mut self.spreading {
            None => {
                self.spreading = Some(Box::new(Spreading {
                    told,
                    older: vec![before],
                }));
            }
            Some(spreading) => {
                let told_before = std::mem::replace(&mut spreading.told, told);
                spreading.older.insert(
                    0,
                    Version {
                        told: told_before,
                        ..before
                    },
                );
            }
        }
        self.settle(now);
        self.thin_out(controllers.count(), now);
    }

    /// Forgets a version that nobody goes by, where there are too many: the newest of them, so that those before it arrive
    /// in their time however often somebody writes.
    fn thin_out(&mut self, controllers: usize, now: FileTime) {
        let Some(spreading) = &mut self.spreading else { return };
        if spreading.older.len() <= controllers + ON_THE_WAY {
            return;
        }
        let mut has_newer: Vec<_> = spreading.told.iter().map(|at| *at <= now).collect();
        // The last one is everybody's who knows no other.
        let spare = spreading.older[..spreading.older.len() - 1].iter().position(|version| {
            let knows = version.told.iter().map(|at| *at <= now);
            let mut is_gone_by = false;
            for (has_newer, knows) in has_newer.iter_mut().zip(knows) {
                is_gone_by |= knows && !*has_newer;
                *has_newer |= knows;
            }
            !is_gone_by
        });
        if let Some(spare) = spare {
            spreading.older.remove(spare);
        }
    }

    /// Makes what is known at `now` known for good, and forgets what nobody will go by.
    pub(super) fn settle(&mut self, now: FileTime) {
        let Some(spreading) = &mut self.spreading else { return };
        let mut newer = std::mem::take(&mut spreading.told);
        settle(&mut newer, now);
        spreading.told.clone_from(&newer);
        spreading.older.retain_mut(|version| {
            settle(&mut version.told, now);
            let needed = version.told.iter().zip(&newer).any(|(own, newer)| own < newer);
            for (newer, own) in newer.iter_mut().zip(&version.told) {
                *newer = (*newer).min(*own);
            }
            needed
        });
        if spreading.older.is_empty() {
            self.spreading = None;
        }
    }

    /// Plans anew after controllers went away or came back, or the clock was set from `before` to `now`.
    pub(super) fn replan(&mut self, controllers: &Controllers, before: FileTime, now: FileTime) {
        self.settle(before);
        let Some(spreading) = &mut self.spreading else { return };
        controllers.tell(&mut spreading.told, now);
        for version in &mut spreading.older {
            controllers.tell(&mut version.told, now);
        }
        self.settle(now);
    }
}

fn settle(told: &mut [FileTime], now: FileTime) {
    for at in told.iter_mut().filter(|at| **at <= now) {
        *at = KNOWN;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::fixture::NOON;
    use crate::domain::nt_hash::NtHash;

    const DELAY: Duration = Duration::from_secs(15);

    fn controllers() -> Controllers {
        let names = ["dc-1", "dc-2", "dc-3"].map(str::to_owned);
        Controllers::new(&names, DcId::FIRST, DELAY)
    }

    fn password(number: i64) -> Credentials {
        Credentials {
            passwords: Passwords::new(NtHash::of(&number.to_string())),
            pwd_last_set: FileTime(number),
        }
    }

    fn known(versions: &Versions, now: FileTime) -> [i64; 3] {
        [0, 1, 2].map(|place| versions.at(DcId::at(place), now).pwd_last_set.0)
    }

    fn later(seconds: u64) -> FileTime {
        NOON.after(Duration::from_secs(seconds))
    }

    #[test]
    fn the_pdc_knows_a_new_password_at_once_and_the_others_after_the_delay() {
        let mut versions = Versions::new(password(1));
        versions.write(password(2), DcId::at(1), &controllers(), NOON);
        assert_eq!(known(&versions, NOON), [2, 2, 1]);
        assert_eq!(known(&versions, FileTime(later(15).0 - 1)), [2, 2, 1]);
        assert_eq!(known(&versions, later(15)), [2, 2, 2]);
        versions.settle(later(15));
        assert!(versions.spreading.is_none(), "it takes no more memory than before");
    }

    #[test]
    fn several_changes_on_their_way_arrive_in_their_order_and_the_latest_wins() {
        let all = controllers();
        let mut versions = Versions::new(password(1));
        versions.write(password(2), DcId::FIRST, &all, NOON);
        versions.write(password(3), DcId::at(1), &all, later(10));
        assert_eq!(known(&versions, later(14)), [3, 3, 1]);
        assert_eq!(known(&versions, later(15)), [3, 3, 2]);
        assert_eq!(known(&versions, later(25)), [3, 3, 3]);
    }

    #[test]
    fn nobody_learns_from_one_that_is_cut_off_until_it_is_back() {
        let all = controllers();
        let mut versions = Versions::new(password(1));
        all.set_away(DcId::FIRST, true);
        versions.write(password(2), DcId::at(1), &all, NOON);
        assert_eq!(known(&versions, later(3600)), [1, 2, 2]);
        all.set_away(DcId::FIRST, false);
        versions.replan(&all, later(3600), later(3600));
        assert_eq!(known(&versions, later(3614)), [1, 2, 2]);
        assert_eq!(known(&versions, later(3615)), [2, 2, 2]);

        let mut versions = Versions::new(password(1));
        versions.write(password(2), DcId::FIRST, &all, NOON);
        all.set_away(DcId::FIRST, true);
        versions.replan(&all, later(5), later(5));
        assert_eq!(known(&versions, later(3600)), [2, 1, 1], "who knew it cannot tell it");
    }

    #[test]
    fn what_is_known_stays_known_when_the_clock_is_set_back() {
        let all = controllers();
        let mut versions = Versions::new(password(1));
        versions.write(password(2), DcId::FIRST, &all, NOON);
        let earlier = NOON.before(Duration::from_secs(86_400));
        versions.replan(&all, later(5), earlier);
        assert_eq!(known(&versions, earlier), [2, 1, 1]);
        assert_eq!(known(&versions, earlier.after(DELAY)), [2, 2, 2]);
    }

    #[test]
    fn many_changes_within_the_delay_do_not_pile_up_and_the_first_arrive_in_time() {
        let all = controllers();
        let mut versions = Versions::new(password(1));
        let millisecond = Duration::from_millis(1);
        let mut now = NOON;
        let mut latest = [1; 3];
        for number in 2..30_000i64 {
            // From two controllers in turn, so that one of them goes by a version that is no longer the newest.
            versions.write(password(number), DcId::at(number as usize % 2 + 1), &all, now);
            let kept = versions.spreading.as_ref().map_or(0, |spreading| spreading.older.len());
            assert!(kept <= ON_THE_WAY + 3, "{kept}");
            let known = self::known(&versions, now);
            assert_eq!(known[0], number, "the PDC emulator is told at once");
            assert_eq!(known[number as usize % 2 + 1], number);
            assert!(
                known.iter().zip(latest).all(|(now, before)| *now >= before),
                "nobody goes back"
            );
            latest = known;
            now = now.after(millisecond);
        }
        assert_eq!(self::known(&versions, now.after(DELAY)), [29_999; 3]);
    }

    #[test]
    fn one_who_hears_of_changes_late_hears_of_the_first_in_time_however_many_follow() {
        let all = controllers();
        let mut versions = Versions::new(password(1));
        for number in 2..20_000i64 {
            let now = NOON.after(Duration::from_millis(number.unsigned_abs()));
            versions.write(password(number), DcId::at(1), &all, now);
            let third = known(&versions, now)[2];
            assert_eq!(
                third == 1,
                now < NOON.after(DELAY + Duration::from_millis(2)),
                "{number}"
            );
        }
    }

    #[test]
    fn changes_that_one_misses_while_it_is_away_do_not_pile_up() {
        let all = controllers();
        let mut versions = Versions::new(password(1));
        all.set_away(DcId::at(2), true);
        for number in 2..100 {
            versions.write(password(number), DcId::FIRST, &all, later(60 * number.unsigned_abs()));
        }
        let spreading = versions.spreading.as_ref().unwrap();
        assert!(spreading.older.len() <= 2, "{}", spreading.older.len());
        assert_eq!(known(&versions, later(86_400)), [99, 99, 1]);
    }
}
