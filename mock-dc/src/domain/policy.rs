//! Lockout and password rules, as the domain policy or a fine-grained policy (PSO) states them.

use std::time::Duration;

use super::filetime::FileTime;
use super::object::ObjectId;

/// What holds for an account (MS-SAMR 3.1.1.5, MS-ADTS 3.1.1.4.5.36).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// When wrong passwords lock an account.
    pub lockout: LockoutPolicy,
    /// How old a password may get (`maxPwdAge`); `None`: any age.
    pub max_password_age: Option<Duration>,
    /// How old a password has to be before its owner may change it (`minPwdAge`).
    pub min_password_age: Duration,
    /// Letters of a password at least, in UTF-16 units (`minPwdLength`).
    pub min_password_length: u32,
    /// Whether a password needs three kinds of letters and must not hold its owner's name (`pwdProperties`,
    /// DOMAIN_PASSWORD_COMPLEX).
    pub complexity: bool,
    /// Passwords that are remembered, the present one included (`pwdHistoryLength`).
    pub history: u32,
}

/// When wrong passwords lock an account, and for how long (MS-SAMR 3.1.5.14.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockoutPolicy {
    /// Wrong passwords that lock (`lockoutThreshold`). 0: nothing locks and nothing is counted at all.
    pub threshold: u32,
    /// When a lock ends by itself (`lockoutDuration`).
    pub duration: LockoutDuration,
    /// A wrong password that comes this long after the one before begins a new count (`lockOutObservationWindow`).
    pub window: Duration,
}

/// When a lock ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockoutDuration {
    /// After this time.
    For(Duration),
    /// When an administrator ends it (`lockoutDuration` 0).
    UntilUnlocked,
}

impl LockoutPolicy {
    /// Whether an account whose `lockoutTime` is `since` is locked at `now`.
    pub fn is_locked(&self, since: Option<FileTime>, now: FileTime) -> bool {
        match (since, self.duration) {
            (None | Some(FileTime::ZERO), _) => false,
            (Some(since), LockoutDuration::For(length)) => now < since.after(length),
            (Some(_), LockoutDuration::UntilUnlocked) => true,
        }
    }
}

/// A fine-grained policy: a password settings object.
#[derive(Debug, Clone)]
pub struct PasswordSettings {
    /// The object that states it.
    pub object: ObjectId,
    /// `msDS-PasswordSettingsPrecedence`: the lowest wins.
    pub precedence: u32,
    /// Its objectGUID, which decides between equal precedences.
    pub guid: [u8; 16],
    /// What it states.
    pub policy: Policy,
    /// The users and groups that it applies to.
    pub applies_to: Vec<ObjectId>,
}

/// The one of `all` that holds for somebody, by its place (MS-ADTS 3.1.1.4.5.36, `msDS-ResultantPSO`): one that names
/// the user itself goes before any that names one of its groups; then the lowest precedence, then the smallest GUID.
pub fn resultant(all: &[PasswordSettings], user: ObjectId, groups: &[ObjectId]) -> Option<usize> {
    let best = |applies: &dyn Fn(&PasswordSettings) -> bool| {
        let candidates = all.iter().enumerate().filter(|(_, settings)| applies(settings));
        candidates
            .min_by_key(|(_, settings)| (settings.precedence, settings.guid))
            .map(|(place, _)| place)
    };
    best(&|settings| settings.applies_to.contains(&user))
        .or_else(|| best(&|settings| settings.applies_to.iter().any(|applied| groups.contains(applied))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: ObjectId = ObjectId(7);
    const GROUP: ObjectId = ObjectId(8);

    fn settings(precedence: u32, guid: u8, applies_to: &[ObjectId]) -> PasswordSettings {
        let lockout = LockoutPolicy {
            threshold: 3,
            duration: LockoutDuration::UntilUnlocked,
            window: Duration::from_secs(60),
        };
        PasswordSettings {
            object: ObjectId(u32::from(guid)),
            precedence,
            guid: [guid; 16],
            policy: Policy {
                lockout,
                max_password_age: None,
                min_password_age: Duration::ZERO,
                min_password_length: 0,
                complexity: false,
                history: 24,
            },
            applies_to: applies_to.to_vec(),
        }
    }

    #[test]
    fn the_users_own_settings_go_before_those_of_its_groups_whatever_their_precedence() {
        let all = [settings(1, 1, &[GROUP]), settings(50, 2, &[USER])];
        assert_eq!(resultant(&all, USER, &[GROUP]), Some(1));
        assert_eq!(resultant(&all, ObjectId(9), &[GROUP]), Some(0));
        assert_eq!(resultant(&all, ObjectId(9), &[]), None);
    }

    #[test]
    fn the_lowest_precedence_wins_and_then_the_smallest_guid() {
        let all = [
            settings(20, 1, &[USER]),
            settings(10, 9, &[USER]),
            settings(10, 3, &[USER]),
        ];
        assert_eq!(resultant(&all, USER, &[]), Some(2));
    }
}
