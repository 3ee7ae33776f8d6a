//! Who signs in, with what password, and who is next.
//!
//! Nobody is in two sign-ins at once, so that each of the directory's binds belongs to one of them; and nobody has more
//! wrong passwords in a row than a lockout policy bears, so that what must come of each sign-in is known beforehand.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use postern_protocol::{Outcome, Verdict};

use crate::mix::{Kind, Mix};
use crate::record::Ended;

/// Wrong passwords in a row for one account. Policies lock after three at the least, and one of ours may be counted twice.
const WRONG_IN_A_ROW: u8 = 1;

/// What a spray tries on everybody. As the other wrong ones it is so odd that it is nobody's: it would be a false success.
const SPRAYED: &str = "Autumn-2026-a7c1e9!";

/// Names or passwords by number: `user%06d@corp.example.com`.
#[derive(Clone, PartialEq, Eq)]
pub struct Pattern {
    before: String,
    digits: usize,
    after: String,
}

impl Pattern {
    /// `before`, the number in so many digits at least, and `after`.
    pub fn new(before: impl Into<String>, digits: usize, after: impl Into<String>) -> Self {
        Self {
            before: before.into(),
            digits,
            after: after.into(),
        }
    }

    /// The one with this number.
    pub fn of(&self, number: u32) -> String {
        let Self { before, digits, after } = self;
        format!("{before}{number:0digits$}{after}")
    }
}

/// It may be that of passwords.
impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pattern(***)")
    }
}

/// As `printf` has it; `%d` is as many digits as it takes.
impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} has no number; write it as in user%06d@corp.example.com");
        let (before, rest) = text.split_once('%').ok_or_else(wrong)?;
        let (digits, after) = rest.split_once('d').ok_or_else(wrong)?;
        let digits = match digits {
            "" => 0,
            some => some.parse().ok().filter(|digits| *digits <= 10).ok_or_else(wrong)?,
        };
        Ok(Self::new(before, digits, after))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { before, digits, after } = self;
        match digits {
            0 => write!(f, "{before}%d{after}"),
            digits => write!(f, "{before}%0{digits}d{after}"),
        }
    }
}

/// An account, and what comes of its right password.
#[derive(Clone, PartialEq, Eq)]
pub struct Person {
    /// What is typed as user name.
    pub username: String,
    /// Its right password.
    pub password: String,
    /// What comes of it.
    pub expect: Verdict,
}

/// Without the password.
impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Person({:?}, {})", self.username, self.expect.as_str())
    }
}

/// Accounts whose right password succeeds.
#[derive(Debug, Clone)]
enum Good {
    Generated {
        name: Pattern,
        password: Pattern,
        first: u32,
        count: u32,
    },
    Given(Vec<Person>),
}

/// Everybody that may sign in.
#[derive(Debug, Clone)]
pub struct People {
    good: Good,
    /// By what comes of their right password. Signing in with it changes nothing, however often.
    listed: BTreeMap<Verdict, Vec<Person>>,
    unknown: Pattern,
}

/// Why a mix cannot be made of these people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TooFew {
    /// Nobody at all has it.
    #[error("the mix has {0}, and no user is known of whom that is to be expected")]
    Nobody(Kind),
    /// Nobody whose password is right.
    #[error("there is nobody to sign in: give at least one user whose password succeeds")]
    Nowhere,
    /// They would be locked.
    #[error(
        "{wanted} wrong passwords for {users} users, and too few right ones between them: accounts would be locked. Give \
         more users, or more right passwords"
    )]
    Locked {
        /// Wrong passwords in all, about.
        wanted: u64,
        /// Users.
        users: u32,
    },
}

impl People {
    /// Accounts by number, `count` of them from `first` on.
    pub fn generated(name: Pattern, password: Pattern, first: u32, count: u32) -> Self {
        let unknown = nobody(&name.of(first));
        Self {
            good: Good::Generated {
                name,
                password,
                first,
                count,
            },
            listed: BTreeMap::new(),
            unknown,
        }
    }

    /// These accounts.
    pub fn given(people: impl IntoIterator<Item = Person>) -> Self {
        let (good, others): (Vec<_>, Vec<_>) = people.into_iter().partition(|person| person.expect == Verdict::Success);
        let first = good.first().or(others.first());
        let unknown = nobody(first.map_or("", |person| &person.username));
        let people = Self {
            good: Good::Given(good),
            listed: BTreeMap::new(),
            unknown,
        };
        people.with_listed(others)
    }

    /// With these accounts beside, which sign in only where the mix names their verdict.
    pub fn with_listed(mut self, people: impl IntoIterator<Item = Person>) -> Self {
        for person in people {
            self.listed.entry(person.expect).or_default().push(person);
        }
        self
    }

    /// The verdicts of which accounts are known.
    pub fn verdicts(&self) -> Vec<Verdict> {
        self.listed.keys().copied().collect()
    }

    /// How many have a password that succeeds.
    pub fn len(&self) -> u32 {
        match &self.good {
            Good::Generated { count, .. } => *count,
            Good::Given(people) => u32::try_from(people.len()).unwrap_or(u32::MAX),
        }
    }

    /// The number of the first of them.
    fn first(&self) -> u32 {
        match &self.good {
            Good::Generated { first, .. } => *first,
            Good::Given(_) => 0,
        }
    }

    /// Whether nobody has.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether about `sign_ins` of this mix can be made without locking anybody.
    ///
    /// # Errors
    /// Why not.
    pub fn suffice(&self, mix: &Mix, sign_ins: f64) -> Result<(), TooFew> {
        for kind in mix.kinds() {
            match kind {
                Kind::Listed(verdict) if !self.listed.contains_key(&verdict) => return Err(TooFew::Nobody(kind)),
                Kind::Listed(_) => {}
                _ if self.is_empty() => return Err(TooFew::Nowhere),
                _ => {}
            }
        }
        let (counted, cleared) = mix.counted_and_cleared();
        // Each right password in between makes room for one more wrong one. A tenth is left for the luck of the draw.
        let beyond = (counted - cleared * 0.9) * sign_ins;
        let wanted = counted * sign_ins;
        if beyond > f64::from(self.len()) * f64::from(WRONG_IN_A_ROW) {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "for people to read; it saturates"
            )]
            let wanted = wanted as u64;
            return Err(TooFew::Locked {
                wanted,
                users: self.len(),
            });
        }
        Ok(())
    }

    /// The name of user `number` in a sign-in of this kind.
    pub fn name(&self, kind: Kind, number: u32) -> String {
        match kind {
            Kind::Unknown => self.unknown.of(number),
            Kind::Listed(verdict) => self
                .person(verdict, number)
                .map_or_else(String::new, |person| person.username.clone()),
            _ => match &self.good {
                Good::Generated { name, .. } => name.of(number),
                Good::Given(people) => at(people, number).map_or_else(String::new, |person| person.username.clone()),
            },
        }
    }

    /// The password of user `number` in a sign-in of this kind.
    pub fn password(&self, kind: Kind, number: u32) -> String {
        match kind {
            Kind::Right | Kind::Corrected => self.right(number),
            // A slip of the finger; and whatever the right one is, these are none.
            Kind::Typo => self.right(number) + "q",
            Kind::Wrong | Kind::Unknown => format!("Wrong-a7c1e9-{number}"),
            Kind::Spray => SPRAYED.to_owned(),
            Kind::Empty => String::new(),
            Kind::Listed(verdict) => self
                .person(verdict, number)
                .map_or_else(String::new, |person| person.password.clone()),
        }
    }

    fn right(&self, number: u32) -> String {
        match &self.good {
            Good::Generated { password, .. } => password.of(number),
            Good::Given(people) => at(people, number).map_or_else(String::new, |person| person.password.clone()),
        }
    }

    fn person(&self, verdict: Verdict, number: u32) -> Option<&Person> {
        at(self.listed.get(&verdict)?, number)
    }
}

fn at(people: &[Person], number: u32) -> Option<&Person> {
    people.get(usize::try_from(number).ok()?)
}

/// Names of the same form, of which a directory has none.
fn nobody(like: &str) -> Pattern {
    let domain = like.split_once('\\').map(|(domain, _)| format!("{domain}\\"));
    let suffix = like.split_once('@').map(|(_, suffix)| format!("@{suffix}"));
    Pattern::new(domain.unwrap_or_default() + "nobody", 6, suffix.unwrap_or_default())
}

/// Who is under way and who is next.
#[derive(Debug)]
pub(crate) struct Crowd {
    /// The number of the first seat.
    first: u32,
    seats: Vec<Seat>,
    next: usize,
    next_sprayed: usize,
    next_unknown: u32,
    next_listed: BTreeMap<Verdict, (usize, usize)>,
}

/// What is known of one of those whose password is good.
#[derive(Debug, Clone, Copy, Default)]
struct Seat {
    in_flight: bool,
    /// Wrong passwords since the last success, at most.
    wrong: u8,
}

impl Crowd {
    pub(crate) fn new(people: &People) -> Self {
        let listed = people.listed.iter();
        Self {
            first: people.first(),
            seats: vec![Seat::default(); usize::try_from(people.len()).unwrap_or(usize::MAX)],
            next: 0,
            next_sprayed: 0,
            next_unknown: 1,
            next_listed: listed.map(|(verdict, of_it)| (*verdict, (0, of_it.len()))).collect(),
        }
    }

    /// Who makes the next sign-in of this kind: everybody in turn, but those who are under way or would be locked.
    /// `None` when there is nobody.
    pub(crate) fn take(&mut self, kind: Kind) -> Option<u32> {
        match kind {
            Kind::Unknown => {
                let number = self.next_unknown;
                self.next_unknown = number.wrapping_add(1);
                return Some(number);
            }
            Kind::Listed(verdict) => {
                let (next, count) = self.next_listed.get_mut(&verdict)?;
                let number = *next;
                *next = (number + 1) % *count;
                return u32::try_from(number).ok();
            }
            _ => {}
        }
        let from = if kind == Kind::Spray {
            self.next_sprayed
        } else {
            self.next
        };
        let too_many = |seat: &Seat| kind.counts_against_account() && seat.wrong >= WRONG_IN_A_ROW;
        let fits = |seat: &Seat| !seat.in_flight && !too_many(seat);
        let count = self.seats.len();
        let found = (0..count)
            .map(|step| (from + step) % count)
            .find(|index| self.seats.get(*index).is_some_and(fits))?;
        let after = (found + 1) % count;
        if kind == Kind::Spray {
            self.next_sprayed = after;
        } else {
            self.next = after;
        }
        self.seats.get_mut(found)?.in_flight = true;
        self.first.checked_add(u32::try_from(found).ok()?)
    }

    /// Tells how it ended. Whoever is in the middle of a correction stays under way.
    pub(crate) fn ended(&mut self, kind: Kind, number: u32, ended: Ended) {
        if matches!(kind, Kind::Unknown | Kind::Listed(_)) {
            return;
        }
        let index = number
            .checked_sub(self.first)
            .and_then(|index| usize::try_from(index).ok());
        let Some(seat) = index.and_then(|index| self.seats.get_mut(index)) else {
            return;
        };
        seat.in_flight = kind == Kind::Typo;
        if kind.counts_against_account() {
            // Also where no verdict came: it may have been counted.
            seat.wrong = seat.wrong.saturating_add(1);
        } else if ended == Ended::Outcome(Outcome::Verdict(Verdict::Success)) {
            seat.wrong = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUCCESS: Ended = Ended::Outcome(Outcome::Verdict(Verdict::Success));
    const REFUSED: Ended = Ended::Outcome(Outcome::Verdict(Verdict::InvalidCredentials));

    fn people(count: u32) -> People {
        let pattern = |text: &str| text.parse::<Pattern>().unwrap();
        People::generated(pattern("user%06d@corp.example.com"), pattern("Postern-%06d"), 1, count)
    }

    fn locked() -> Person {
        Person {
            username: r"CORP\luke".to_owned(),
            password: "Locked-1".to_owned(),
            expect: Verdict::AccountLocked,
        }
    }

    #[test]
    fn patterns_are_read_and_written_as_printf_has_them() {
        for (text, seven) in [
            ("user%06d@corp.example.com", "user000007@corp.example.com"),
            ("%d", "7"),
        ] {
            let pattern: Pattern = text.parse().unwrap();
            assert_eq!((pattern.of(7).as_str(), pattern.to_string().as_str()), (seven, text));
        }
        for wrong in ["user", "user%s", "user%6", "user%99d"] {
            assert!(wrong.parse::<Pattern>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn each_kind_has_its_own_names_and_only_the_right_ones_the_right_password() {
        let people = people(10).with_listed([locked()]);
        assert_eq!(people.name(Kind::Right, 1), "user000001@corp.example.com");
        assert_eq!(people.password(Kind::Right, 1), "Postern-000001");
        assert_eq!(people.password(Kind::Corrected, 1), "Postern-000001");
        for kind in [Kind::Wrong, Kind::Typo, Kind::Spray] {
            assert_eq!(people.name(kind, 5), "user000005@corp.example.com");
            assert_ne!(people.password(kind, 5), "Postern-000005");
        }
        assert_eq!(people.password(Kind::Empty, 4), "");
        assert_eq!(people.name(Kind::Unknown, 3), "nobody000003@corp.example.com");
        let kind = Kind::Listed(Verdict::AccountLocked);
        assert_eq!(
            (people.name(kind, 0), people.password(kind, 0)),
            (r"CORP\luke".to_owned(), "Locked-1".to_owned())
        );
        assert_eq!(People::given([locked()]).name(Kind::Unknown, 1), r"CORP\nobody000001");
    }

    #[test]
    fn everybody_is_in_turn_and_nobody_in_two_sign_ins_at_once() {
        let mut crowd = Crowd::new(&people(3));
        assert_eq!(
            [(); 4].map(|()| crowd.take(Kind::Right)),
            [Some(1), Some(2), Some(3), None]
        );
        crowd.ended(Kind::Right, 2, SUCCESS);
        assert_eq!([(); 2].map(|()| crowd.take(Kind::Empty)), [Some(2), None]);
    }

    #[test]
    fn after_a_wrong_password_only_a_right_one_comes_until_it_has_succeeded() {
        let mut crowd = Crowd::new(&people(1));
        assert_eq!(crowd.take(Kind::Wrong), Some(1));
        crowd.ended(Kind::Wrong, 1, REFUSED);
        assert_eq!(crowd.take(Kind::Spray), None);
        assert_eq!(crowd.take(Kind::Right), Some(1));
        crowd.ended(Kind::Right, 1, Ended::Broken(crate::record::Broken::NoAnswer));
        assert_eq!(crowd.take(Kind::Wrong), None);
        assert_eq!(crowd.take(Kind::Right), Some(1));
        crowd.ended(Kind::Right, 1, SUCCESS);
        assert_eq!(crowd.take(Kind::Wrong), Some(1));
    }

    #[test]
    fn whoever_corrects_a_typing_error_is_under_way_until_the_correction_is_answered() {
        let mut crowd = Crowd::new(&people(1));
        assert_eq!(crowd.take(Kind::Typo), Some(1));
        crowd.ended(Kind::Typo, 1, REFUSED);
        assert_eq!(crowd.take(Kind::Right), None);
        crowd.ended(Kind::Corrected, 1, SUCCESS);
        assert_eq!(crowd.take(Kind::Typo), Some(1));
    }

    #[test]
    fn a_spray_goes_its_own_way_through_everybody() {
        let mut crowd = Crowd::new(&people(5));
        assert_eq!(crowd.take(Kind::Right), Some(1));
        assert_eq!(crowd.take(Kind::Spray), Some(2));
        assert_eq!(crowd.take(Kind::Spray), Some(3));
        assert_eq!(crowd.take(Kind::Right), Some(4));
    }

    #[test]
    fn a_mix_that_would_lock_people_or_asks_for_nobody_is_refused_beforehand() {
        let mix = |text: &str| text.parse::<Mix>().unwrap();
        let hundred = people(100);
        assert_eq!(hundred.suffice(&mix("right=70,wrong=30"), 1e6), Ok(()));
        assert_eq!(hundred.suffice(&mix("typo=1"), 1e6), Ok(()));
        assert_eq!(hundred.suffice(&mix("wrong=1"), 100.0), Ok(()));
        let locked_out = TooFew::Locked {
            wanted: 101,
            users: 100,
        };
        assert_eq!(hundred.suffice(&mix("wrong=1"), 101.0), Err(locked_out));
        let kind = Kind::Listed(Verdict::AccountLocked);
        assert_eq!(
            hundred.suffice(&mix("account_locked=1"), 1.0),
            Err(TooFew::Nobody(kind))
        );
        assert_eq!(people(0).suffice(&mix("right=1"), 1.0), Err(TooFew::Nowhere));
        let with = people(0).with_listed([locked()]);
        assert_eq!(with.suffice(&mix("account_locked=1"), 1e6), Ok(()));
    }
}
