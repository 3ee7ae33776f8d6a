//! Kinds of sign-in, what must come of each, and in which shares they are made.

use std::fmt;
use std::str::FromStr;

use postern_protocol::{Outcome, Verdict};

/// What somebody does at a sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// The right password.
    Right,
    /// A wrong one, and that is all.
    Wrong,
    /// A wrong one by mistake: the right one follows, once the answer has been read.
    Typo,
    /// What follows a [`Kind::Typo`].
    Corrected,
    /// The one password that somebody tries on everybody in turn. It is nobody's.
    Spray,
    /// A name that the directory does not have.
    Unknown,
    /// No password.
    Empty,
    /// The right password of an account of which this verdict is known.
    Listed(Verdict),
}

impl Kind {
    /// Those that a mix may name beside the verdicts.
    const NAMED: [Self; 6] = [
        Self::Right,
        Self::Wrong,
        Self::Typo,
        Self::Spray,
        Self::Unknown,
        Self::Empty,
    ];

    /// What must come of it.
    pub fn expected(self) -> Outcome {
        match self {
            Self::Right | Self::Corrected => Outcome::Verdict(Verdict::Success),
            Self::Wrong | Self::Typo | Self::Spray | Self::Unknown => Outcome::Verdict(Verdict::InvalidCredentials),
            Self::Empty => Outcome::BadRequest,
            Self::Listed(verdict) => Outcome::Verdict(verdict),
        }
    }

    /// Whether the directory may count a wrong password for the account.
    pub fn counts_against_account(self) -> bool {
        matches!(self, Self::Wrong | Self::Typo | Self::Spray)
    }

    /// Whether the directory takes the password, or the name, for a wrong one.
    pub fn is_refused_by_the_directory(self) -> bool {
        self.counts_against_account() || matches!(self, Self::Unknown | Self::Listed(Verdict::InvalidCredentials))
    }

    /// The name in a mix and in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Wrong => "wrong",
            Self::Typo => "typo",
            Self::Corrected => "corrected",
            Self::Spray => "spray",
            Self::Unknown => "unknown",
            Self::Empty => "empty",
            Self::Listed(verdict) => verdict.as_str(),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Kinds and their shares.
#[derive(Debug, Clone, PartialEq)]
pub struct Mix {
    /// Each kind, and the sum of the shares up to and with its own. The last is 1.
    up_to: Vec<(Kind, f64)>,
}

/// A mix as it is written, before it is known who there is.
#[derive(Debug, Clone, PartialEq)]
pub struct Weights {
    named: Vec<(Kind, f64)>,
    /// For every account of which a verdict is known, together; left out where there is none.
    listed: f64,
}

impl Weights {
    /// The mix, where accounts of these verdicts are known.
    ///
    /// # Errors
    /// When nothing is left of it.
    pub fn among(&self, known: &[Verdict]) -> Result<Mix, MixError> {
        let mut weights = self.named.clone();
        for verdict in known {
            let kind = Kind::Listed(*verdict);
            if !self.named.iter().any(|(named, _)| *named == kind) {
                #[expect(clippy::cast_precision_loss, reason = "there are ten verdicts")]
                weights.push((kind, self.listed / known.len() as f64));
            }
        }
        Mix::new(weights)
    }
}

/// What makes no mix.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MixError {
    /// Not `KIND=WEIGHT`.
    #[error("{0:?} is not KIND=WEIGHT")]
    NoPair(String),
    /// A kind that there is not.
    #[error("there is no kind {0:?}; there are {known}", known = known())]
    NoKind(String),
    /// Not a number, or below zero.
    #[error("{0:?} is no weight; it takes a number from 0 on")]
    NoWeight(String),
    /// A kind that comes twice.
    #[error("{0} is there twice")]
    Twice(Kind),
    /// Nothing has any weight.
    #[error("nothing in it has a weight above 0")]
    Nothing,
}

fn known() -> String {
    let named = Kind::NAMED.iter().map(|kind| kind.as_str());
    let verdicts = Verdict::ALL.iter().map(|verdict| verdict.as_str());
    named.chain(["listed"]).chain(verdicts).collect::<Vec<_>>().join(", ")
}

impl Mix {
    /// Kinds with weights, which need not sum up to anything.
    ///
    /// # Errors
    /// When a kind is there twice, a weight is none, or all are 0.
    pub fn new(weights: impl IntoIterator<Item = (Kind, f64)>) -> Result<Self, MixError> {
        let weights: Vec<(Kind, f64)> = weights.into_iter().collect();
        for (index, (kind, weight)) in weights.iter().enumerate() {
            if !weight.is_finite() || *weight < 0.0 {
                return Err(MixError::NoWeight(weight.to_string()));
            }
            if weights.iter().take(index).any(|(before, _)| before == kind) {
                return Err(MixError::Twice(*kind));
            }
        }
        let whole: f64 = weights.iter().map(|(_, weight)| weight).sum();
        let mut sum = 0.0;
        let mut up_to: Vec<(Kind, f64)> = Vec::new();
        for (kind, weight) in weights.into_iter().filter(|(_, weight)| *weight > 0.0) {
            sum += weight / whole;
            up_to.push((kind, sum));
        }
        // Whatever rounding left out.
        up_to.last_mut().ok_or(MixError::Nothing)?.1 = 1.0;
        Ok(Self { up_to })
    }

    /// Right passwords, and a share (0 to 1) of wrong ones.
    pub fn wrong(share: f64) -> Self {
        let share = share.clamp(0.0, 1.0);
        Self {
            up_to: vec![(Kind::Wrong, share), (Kind::Right, 1.0)],
        }
    }

    /// The kind that a lot from 0 up to 1 falls on.
    pub(crate) fn kind(&self, lot: f64) -> Kind {
        let found = self.up_to.iter().find(|(_, up_to)| lot < *up_to);
        found.or(self.up_to.last()).map_or(Kind::Right, |(kind, _)| *kind)
    }

    /// The kinds that have a share.
    pub fn kinds(&self) -> impl Iterator<Item = Kind> {
        self.shares().map(|(kind, _)| kind)
    }

    /// Each kind's share, from 0 to 1.
    pub fn shares(&self) -> impl Iterator<Item = (Kind, f64)> {
        let mut before = 0.0;
        let shares = self.up_to.iter().map(move |(kind, up_to)| {
            let share = up_to - before;
            before = *up_to;
            (*kind, share)
        });
        shares.filter(|(_, share)| *share > 0.0)
    }

    /// The share of those that the directory counts against an account for longer, and of those that clear the count.
    pub fn counted_and_cleared(&self) -> (f64, f64) {
        let (mut counted, mut cleared) = (0.0, 0.0);
        for (kind, share) in self.shares() {
            match kind {
                // It clears its own.
                Kind::Typo => {}
                kind if kind.counts_against_account() => counted += share,
                Kind::Right => cleared += share,
                _ => {}
            }
        }
        (counted, cleared)
    }
}

/// `right=70,wrong=30`.
impl FromStr for Mix {
    type Err = MixError;

    fn from_str(text: &str) -> Result<Self, MixError> {
        text.parse::<Weights>()?.among(&[])
    }
}

/// As a mix; `listed=10` stands for every verdict of which accounts are known.
impl FromStr for Weights {
    type Err = MixError;

    fn from_str(text: &str) -> Result<Self, MixError> {
        let mut weights = Self {
            named: Vec::new(),
            listed: 0.0,
        };
        for pair in text.split(',').map(str::trim) {
            let (kind, weight) = pair.split_once('=').ok_or_else(|| MixError::NoPair(pair.to_owned()))?;
            let wrong = || MixError::NoWeight(weight.to_owned());
            let number: f64 = weight.trim().parse().map_err(|_| wrong())?;
            match kind.trim() {
                "listed" if number.is_finite() && number >= 0.0 => weights.listed = number,
                "listed" => return Err(wrong()),
                kind => weights.named.push((kind.parse()?, number)),
            }
        }
        Ok(weights)
    }
}

impl FromStr for Kind {
    type Err = MixError;

    fn from_str(text: &str) -> Result<Self, MixError> {
        let listed = Verdict::ALL.into_iter().map(Self::Listed);
        let mut all = Self::NAMED.into_iter().chain(listed);
        all.find(|kind| kind.as_str() == text)
            .ok_or_else(|| MixError::NoKind(text.to_owned()))
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (kind, share)) in self.shares().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{kind} {} %", (share * 1_000.0).round() / 10.0)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_become_shares_and_lots_fall_on_kinds_by_them() {
        let mix: Mix = "right=6, wrong=3,account_locked=1".parse().unwrap();
        for (lot, kind) in [
            (0.0, Kind::Right),
            (0.59, Kind::Right),
            (0.61, Kind::Wrong),
            (0.91, Kind::Listed(Verdict::AccountLocked)),
            (0.999_999, Kind::Listed(Verdict::AccountLocked)),
        ] {
            assert_eq!(mix.kind(lot), kind, "{lot}");
        }
        assert_eq!(mix.to_string(), "right 60 %, wrong 30 %, account_locked 10 %");
        assert_eq!(Mix::wrong(0.0).kind(0.0), Kind::Right);
        assert_eq!(Mix::wrong(1.0).kind(0.999), Kind::Wrong);
    }

    #[test]
    fn listed_is_shared_by_every_verdict_that_somebody_has() {
        let weights: Weights = "right=8,account_locked=1,listed=2".parse().unwrap();
        let known = [Verdict::AccountLocked, Verdict::PasswordExpired];
        let mix = weights.among(&known).unwrap();
        assert_eq!(
            mix.to_string(),
            "right 80 %, account_locked 10 %, password_expired 10 %"
        );
        let nobody: Weights = "right=8,listed=2".parse().unwrap();
        assert_eq!(nobody.among(&[]).unwrap().to_string(), "right 100 %");
    }

    #[test]
    fn what_is_no_mix_is_named() {
        for (text, error) in [
            ("right", r#""right" is not KIND=WEIGHT"#),
            ("rigth=1", r#"there is no kind "rigth""#),
            ("right=many", r#""many" is no weight"#),
            ("right=-1", r#""-1" is no weight"#),
            ("right=inf", r#""inf" is no weight"#),
            ("right=1,right=2", "right is there twice"),
            ("right=0", "nothing in it has a weight"),
            ("corrected=1", r#"there is no kind "corrected""#),
        ] {
            let found = text.parse::<Mix>().unwrap_err().to_string();
            assert!(found.starts_with(error), "{text}: {found}");
        }
    }

    #[test]
    fn nothing_but_the_right_password_of_a_good_account_is_expected_to_succeed() {
        let all = Kind::NAMED.into_iter().chain(Verdict::ALL.map(Kind::Listed));
        for kind in all {
            let success = kind.expected() == Outcome::Verdict(Verdict::Success);
            assert_eq!(
                success,
                matches!(kind, Kind::Right | Kind::Listed(Verdict::Success)),
                "{kind}"
            );
        }
    }
}
