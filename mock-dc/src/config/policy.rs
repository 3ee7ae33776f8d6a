//! Policies of a configuration: the domain's, and fine-grained ones.

use std::collections::HashMap;
use std::time::Duration;

use postern_service::config::Problems;
use serde::Deserialize;

use super::MAX_SECONDS;
use crate::domain::builtin::GroupScope;
use crate::domain::dialect::Dialect;
use crate::domain::fold::fold;
use crate::domain::policy::{LockoutDuration, LockoutPolicy, Policy};
use crate::domain::settings::PasswordSettingsSettings;

/// What may be said of a policy. What is not said of a fine-grained one is as in the domain's.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawPolicy {
    lockout_threshold: Option<u32>,
    lockout_duration_s: Option<u64>,
    lockout_window_s: Option<u64>,
    max_password_age_days: Option<u64>,
    min_password_age_days: Option<u64>,
    min_password_length: Option<u32>,
    password_complexity: Option<bool>,
    password_history: Option<u32>,
}

/// A fine-grained policy as it is read. (`deny_unknown_fields` and `flatten` do not go together.)
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPasswordSettings {
    name: Option<String>,
    precedence: Option<u32>,
    #[serde(default)]
    applies_to: Vec<String>,
    lockout_threshold: Option<u32>,
    lockout_duration_s: Option<u64>,
    lockout_window_s: Option<u64>,
    max_password_age_days: Option<u64>,
    min_password_age_days: Option<u64>,
    min_password_length: Option<u32>,
    password_complexity: Option<bool>,
    password_history: Option<u32>,
}

/// Longest password that AD's policy can ask for.
const MAX_LENGTH: u32 = 256;

/// Longest history of the domain's policy, as its editor allows it, and of a fine-grained one.
const MAX_HISTORY: u32 = 24;
const MAX_FINE_GRAINED_HISTORY: u32 = 1024;

/// That of a new Windows domain since October 2022 (KB5020282): ten wrong passwords lock for ten minutes, a password
/// lives 42 days, at least one; it has seven letters of three kinds, and 24 are remembered.
fn new_domain() -> Policy {
    let day = Duration::from_secs(86_400);
    Policy {
        lockout: LockoutPolicy {
            threshold: 10,
            duration: LockoutDuration::For(Duration::from_secs(600)),
            window: Duration::from_secs(600),
        },
        max_password_age: Some(42 * day),
        min_password_age: day,
        min_password_length: 7,
        complexity: true,
        history: 24,
    }
}

impl RawPolicy {
    /// The domain's policy.
    pub(super) fn validate(&self, dialect: Dialect, problems: &mut Problems) -> Policy {
        self.checked("policy", &new_domain(), MAX_HISTORY, dialect, problems)
    }

    fn checked(
        &self,
        key: &str,
        default: &Policy,
        longest_history: u32,
        dialect: Dialect,
        problems: &mut Problems,
    ) -> Policy {
        let at = |member: &str| format!("{key}.{member}");
        let mut length = |member: &str, given: Option<u64>, unit: u64, default: Duration| {
            let Some(number) = given else { return default };
            match number.checked_mul(unit) {
                Some(seconds) if seconds <= MAX_SECONDS => Duration::from_secs(seconds),
                _ => {
                    problems.add(at(member), "is more than a hundred years");
                    default
                }
            }
        };
        let duration = match default.lockout.duration {
            LockoutDuration::For(length) => length,
            LockoutDuration::UntilUnlocked => Duration::ZERO,
        };
        let duration = length("lockout_duration_s", self.lockout_duration_s, 1, duration);
        let window = length("lockout_window_s", self.lockout_window_s, 1, default.lockout.window);
        let max_age = default.max_password_age.unwrap_or_default();
        let max_age = length("max_password_age_days", self.max_password_age_days, 86_400, max_age);
        let min_age = length(
            "min_password_age_days",
            self.min_password_age_days,
            86_400,
            default.min_password_age,
        );
        let threshold = self.lockout_threshold.unwrap_or(default.lockout.threshold);
        if threshold > 0 && window.is_zero() {
            problems.add(
                at("lockout_window_s"),
                "must be at least 1 where lockout_threshold is not 0",
            );
        }
        if threshold > 0 && !duration.is_zero() && duration < window {
            problems.add(
                at("lockout_duration_s"),
                format!(
                    "must be 0 (until unlocked) or at least lockout_window_s, {}",
                    window.as_secs()
                ),
            );
        }
        // Where only the longest age is given, the shortest gives way.
        let min_age = match self.min_password_age_days {
            None if !max_age.is_zero() && min_age >= max_age => Duration::ZERO,
            _ => min_age,
        };
        if !max_age.is_zero() && min_age >= max_age {
            problems.add(
                at("min_password_age_days"),
                format!(
                    "must be less than max_password_age_days, {}",
                    max_age.as_secs() / 86_400
                ),
            );
        }
        let mut bounded = |member: &str, given: Option<u32>, most: u32, default: u32| match given {
            Some(number) if number > most => {
                problems.add(at(member), format!("must be at most {most}"));
                default
            }
            given => given.unwrap_or(default),
        };
        Policy {
            lockout: LockoutPolicy {
                threshold,
                duration: if duration.is_zero() {
                    LockoutDuration::UntilUnlocked
                } else {
                    LockoutDuration::For(duration)
                },
                window,
            },
            max_password_age: Some(max_age).filter(|age| dialect.counts_as_age(*age)),
            min_password_age: min_age,
            min_password_length: bounded(
                "min_password_length",
                self.min_password_length,
                MAX_LENGTH,
                default.min_password_length,
            ),
            complexity: self.password_complexity.unwrap_or(default.complexity),
            history: bounded(
                "password_history",
                self.password_history,
                longest_history,
                default.history,
            ),
        }
    }
}

/// Whom a fine-grained policy may name, by sAMAccountName.
pub(super) struct Whom<'a> {
    /// Whether anybody or a group has it.
    pub(super) is_known: &'a dyn Fn(&str) -> bool,
    /// The scope of a group that has it.
    pub(super) scope: &'a dyn Fn(&str) -> Option<GroupScope>,
}

/// All fine-grained policies.
pub(super) fn password_settings(
    raw: Vec<RawPasswordSettings>,
    domain: &Policy,
    dialect: Dialect,
    whom: &Whom<'_>,
    problems: &mut Problems,
) -> Vec<PasswordSettingsSettings> {
    let mut names: HashMap<String, String> = HashMap::new();
    let mut all = Vec::new();
    for (index, own) in raw.into_iter().enumerate() {
        let key = format!("password_settings[{index}]");
        let name = problems.require(&format!("{key}.name"), own.name.clone());
        let precedence = problems.require(&format!("{key}.precedence"), own.precedence);
        if precedence == Some(0) {
            problems.add(format!("{key}.precedence"), "must be at least 1; the lowest wins");
        }
        if own.applies_to.is_empty() {
            problems.add(
                format!("{key}.applies_to"),
                "names nobody; give sAMAccountNames of users or groups",
            );
        }
        for who in &own.applies_to {
            if !(whom.is_known)(who) {
                problems.add(
                    format!("{key}.applies_to"),
                    format!("nobody and no group has the sAMAccountName {who:?}"),
                );
            }
            if (whom.scope)(who).is_some_and(|scope| !dialect.applies_policies_by(scope)) {
                problems.add(
                    format!("{key}.applies_to"),
                    format!(
                        "{who:?} is a group of a scope that fine-grained policies do not reach anybody by; name a global \
                         group, or its members"
                    ),
                );
            }
        }
        let policy = own
            .policy()
            .checked(&key, domain, MAX_FINE_GRAINED_HISTORY, dialect, problems);
        let (Some(name), Some(precedence)) = (name, precedence) else {
            continue;
        };
        if let Some(first) = names.insert(fold(&name), key.clone()) {
            problems.add(format!("{key}.name"), format!("{name:?} is taken by {first}"));
        }
        all.push(PasswordSettingsSettings {
            name,
            precedence,
            policy,
            applies_to: own.applies_to,
        });
    }
    all
}

impl RawPasswordSettings {
    /// Whether it says that passwords expire.
    pub(super) fn expires(&self) -> bool {
        self.max_password_age_days.is_some_and(|days| days > 0)
    }

    fn policy(&self) -> RawPolicy {
        RawPolicy {
            lockout_threshold: self.lockout_threshold,
            lockout_duration_s: self.lockout_duration_s,
            lockout_window_s: self.lockout_window_s,
            max_password_age_days: self.max_password_age_days,
            min_password_age_days: self.min_password_age_days,
            min_password_length: self.min_password_length,
            password_complexity: self.password_complexity,
            password_history: self.password_history,
        }
    }
}
