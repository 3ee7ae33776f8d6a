//! Stories of one account: which state is told, what is counted, when a lock begins and ends.

use proptest::prelude::*;

use super::*;
use crate::domain::controllers::{Controllers, DcId};
use crate::domain::fixture::{NOON, RULES};
use crate::domain::policy::LockoutDuration;
use crate::domain::replica::{Account, Try};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
const LOCKOUT: LockoutPolicy = RULES.policy.lockout;

fn right() -> NtHash {
    NtHash::of("Str0ng-Passw0rd!")
}

fn wrong() -> NtHash {
    NtHash::of("wrong")
}

fn account() -> AccountState {
    let mut state = AccountState::new(Passwords::new(right()), NOON.before(DAY));
    // As of somebody who has signed in before.
    state.shared.last_logon_timestamp = Some(NOON);
    state
}

fn bind(state: &mut AccountState, password: NtHash, now: FileTime) -> Option<&'static str> {
    try_in(state, &password, &RULES, now).err().map(SubCode::text)
}

fn try_in(state: &mut AccountState, password: &NtHash, rules: &Rules, now: FileTime) -> Result<(), SubCode> {
    let alone = Controllers::new(&["dc-1".to_owned()], DcId::FIRST, Duration::ZERO);
    let attempt = Try {
        dc: DcId::FIRST,
        password,
        rules,
        now,
    };
    let next = state.shared.usn_changed + 1;
    let mut account = Account::from(state.clone());
    let told = account.sign_in(attempt, &alone, || next);
    *state = account.at(DcId::FIRST, now);
    told
}

fn locking(lockout: LockoutPolicy) -> Rules {
    Rules {
        policy: Policy {
            lockout,
            ..RULES.policy
        },
        ..RULES
    }
}

/// A change that puts an account into one state, and the sub-code that tells it.
type Defect = (fn(&mut AccountState), &'static str);

/// In the order in which they are told with the right password.
const DEFECTS: [Defect; 6] = [
    (|state| state.shared.user_account_control |= UAC_DISABLED, "533"),
    (|state| state.shared.account_expires = NOON, "701"),
    (|state| state.credentials.pwd_last_set = FileTime::ZERO, "773"),
    (
        |state| {
            state.credentials.pwd_last_set = if state.credentials.pwd_last_set == FileTime::ZERO {
                FileTime::ZERO
            } else {
                NOON.before(DAY * 42)
            }
        },
        "532",
    ),
    (|state| state.shared.user_workstations = Some("WKS1".into()), "531"),
    (|state| state.shared.logon_hours = Some(Box::new([0; 21])), "530"),
];

#[test]
fn noon_is_a_sunday_noon() {
    assert_eq!(NOON.hour_of_week(), 12);
}

#[test]
fn the_first_of_several_states_is_told_and_only_with_the_right_password() {
    for subset in 0u32..1 << DEFECTS.len() {
        let mut state = account();
        let mut expected = None;
        for (index, (apply, code)) in DEFECTS.iter().enumerate() {
            if subset >> index & 1 == 1 {
                apply(&mut state);
                expected = expected.or(Some(*code));
            }
        }
        let before = state.clone();
        assert_eq!(bind(&mut state, right(), NOON), expected, "states {subset:06b}");
        assert_eq!(state, before, "a right password changed something, states {subset:06b}");
        assert_eq!(bind(&mut state, wrong(), NOON), Some("52e"), "states {subset:06b}");
        state.shared.lockout_time = Some(NOON);
        assert_eq!(
            bind(&mut state, right(), NOON),
            Some("775"),
            "locked, states {subset:06b}"
        );
        assert_eq!(
            bind(&mut state, wrong(), NOON),
            Some("775"),
            "locked, states {subset:06b}"
        );
    }
}

#[test]
fn the_third_wrong_password_locks_and_is_itself_still_52e() {
    let mut state = account();
    for count in 1..=3 {
        assert_eq!(bind(&mut state, wrong(), NOON), Some("52e"));
        assert_eq!(state.counters.bad_pwd_count, count);
    }
    assert_eq!(state.shared.lockout_time, Some(NOON));
    let locked = state.clone();
    let later = NOON.after(MINUTE * 29);
    assert_eq!(bind(&mut state, wrong(), later), Some("775"));
    assert_eq!(bind(&mut state, right(), later), Some("775"));
    assert_eq!(state, locked, "something was counted while locked");
}

#[test]
fn a_lock_ends_by_the_clock_and_keeps_its_traces_until_the_next_bind() {
    let mut state = account();
    for _ in 0..3 {
        bind(&mut state, wrong(), NOON);
    }
    let after = NOON.after(MINUTE * 30);
    assert!(!LOCKOUT.is_locked(state.shared.lockout_time, after));
    let mut again = state.clone();
    assert_eq!(bind(&mut again, wrong(), after), Some("52e"));
    assert_eq!(
        (again.counters.bad_pwd_count, again.shared.lockout_time),
        (1, Some(NOON))
    );
    bind(&mut again, wrong(), after);
    bind(&mut again, wrong(), after);
    assert_eq!(
        again.shared.lockout_time,
        Some(after),
        "locked again, with a new lockoutTime"
    );

    assert_eq!(bind(&mut state, right(), after), None);
    assert_eq!(
        (state.counters.bad_pwd_count, state.shared.lockout_time),
        (0, Some(FileTime::ZERO))
    );
    assert_eq!(
        state.counters.last_logon,
        FileTime::ZERO,
        "clearing an elapsed lock does not move lastLogon"
    );
}

#[test]
fn the_observation_window_begins_a_new_count() {
    let mut state = account();
    bind(&mut state, wrong(), NOON);
    bind(&mut state, wrong(), NOON.after(MINUTE * 29));
    assert_eq!(state.counters.bad_pwd_count, 2);
    assert_eq!(bind(&mut state, wrong(), NOON.after(MINUTE * 59)), Some("52e"));
    assert_eq!((state.counters.bad_pwd_count, state.shared.lockout_time), (1, None));
}

#[test]
fn success_clears_the_count_and_a_plain_success_writes_nothing() {
    let mut state = account();
    let untouched = state.clone();
    assert_eq!(bind(&mut state, right(), NOON), None);
    assert_eq!(state, untouched);
    bind(&mut state, wrong(), NOON);
    assert_eq!(bind(&mut state, right(), NOON.after(MINUTE)), None);
    assert_eq!(
        (
            state.counters.bad_pwd_count,
            state.counters.bad_password_time,
            state.counters.last_logon
        ),
        (0, NOON, NOON.after(MINUTE))
    );
}

#[test]
fn a_threshold_of_zero_counts_nothing() {
    let never = LockoutPolicy {
        threshold: 0,
        ..LOCKOUT
    };
    let mut state = account();
    let untouched = state.clone();
    for _ in 0..50 {
        assert_eq!(
            try_in(&mut state, &wrong(), &locking(never), NOON),
            Err(SubCode::LogonFailure)
        );
    }
    assert_eq!(state, untouched);
}

#[test]
fn a_lock_without_end_ends_only_when_unlocked() {
    let forever = LockoutPolicy {
        duration: LockoutDuration::UntilUnlocked,
        ..LOCKOUT
    };
    let mut state = account();
    state.shared.lockout_time = Some(NOON);
    let years = NOON.after(DAY * 3650);
    state.shared.user_account_control |= UAC_PASSWORD_NEVER_EXPIRES;
    let rules = locking(forever);
    assert_eq!(try_in(&mut state, &right(), &rules, years), Err(SubCode::LockedOut));
    state.unlock();
    assert_eq!(try_in(&mut state, &right(), &rules, years), Ok(()));
}

#[test]
fn a_password_expires_at_its_maximum_age_unless_it_never_does() {
    let mut state = account();
    state.credentials.pwd_last_set = NOON;
    let expiry = NOON.after(DAY * 42);
    assert_eq!(bind(&mut state, right(), FileTime(expiry.0 - 1)), None);
    assert_eq!(bind(&mut state, right(), expiry), Some("532"));
    state.shared.user_account_control |= UAC_PASSWORD_NEVER_EXPIRES;
    assert_eq!(bind(&mut state, right(), expiry), None);
    state.credentials.pwd_last_set = FileTime::ZERO;
    assert_eq!(
        bind(&mut state, right(), expiry),
        None,
        "DONT_EXPIRE_PASSWD also outweighs pwdLastSet 0"
    );
}

#[test]
fn logon_hours_are_read_by_the_hour_of_the_week() {
    let mut state = account();
    let mut hours = [0u8; 21];
    hours[1] = 1 << 4;
    state.shared.logon_hours = Some(Box::new(hours));
    assert_eq!(bind(&mut state, right(), NOON), None);
    assert_eq!(bind(&mut state, right(), NOON.after(MINUTE * 60)), Some("530"));
}

proptest! {
    /// Whatever the order of right and wrong passwords and however much time passes between them: a lock begins
    /// exactly with the third wrong password of a window, and the count never passes the threshold.
    #[test]
    fn the_count_never_passes_the_threshold(steps in prop::collection::vec((any::<bool>(), 0u64..2400), 1..60)) {
        let mut state = account();
        let mut now = NOON;
        // A naive model: the moments of wrong passwords since the last success or new window.
        let mut wrongs: Vec<FileTime> = Vec::new();
        let mut locked_at: Option<FileTime> = None;
        for (is_right, pause) in steps {
            now = now.after(Duration::from_secs(pause));
            let locked = locked_at.is_some_and(|since| now < since.after(Duration::from_secs(1800)));
            let expected = match (locked, is_right) {
                (true, _) => Some("775"),
                (false, true) => {
                    wrongs.clear();
                    locked_at = None;
                    None
                }
                (false, false) => {
                    if wrongs.last().is_some_and(|last| now >= last.after(Duration::from_secs(1800))) {
                        wrongs.clear();
                    }
                    wrongs.push(now);
                    if wrongs.len() == 3 {
                        locked_at = Some(now);
                    }
                    Some("52e")
                }
            };
            let told = try_in(&mut state, if is_right { &RIGHT } else { &WRONG }, &RULES, now).err().map(SubCode::text);
            prop_assert_eq!(told, expected);
            prop_assert!(state.counters.bad_pwd_count <= 3);
        }
    }
}

#[test]
fn the_two_passwords_before_are_not_counted_and_the_newer_signs_in_for_an_hour() {
    let mut state = account();
    let passwords = ["first", "second", "third"].map(NtHash::of);
    for password in passwords {
        state.credentials.passwords.set(password, 24);
    }
    state.credentials.pwd_last_set = NOON;
    let [first, second, third] = passwords;
    let within = NOON.after(MINUTE * 59);
    assert_eq!(bind(&mut state, third, within), None);
    assert_eq!(
        bind(&mut state, second, within),
        None,
        "the previous one, within the hour"
    );
    let after = NOON.after(MINUTE * 60);
    let before = state.clone();
    for _ in 0..5 {
        assert_eq!(bind(&mut state, second, after), Some("52e"));
        assert_eq!(bind(&mut state, first, within), Some("52e"));
    }
    assert_eq!(state, before, "neither is counted");
    assert_eq!(bind(&mut state, right(), after), Some("52e"));
    assert_eq!(state.counters.bad_pwd_count, 1, "the one before those is");
}

#[test]
fn an_old_password_says_nothing_once_the_new_one_must_be_changed() {
    let mut state = account();
    state.credentials.passwords.set(NtHash::of("new"), 24);
    state.credentials.pwd_last_set = FileTime::ZERO;
    assert_eq!(bind(&mut state, right(), NOON), Some("52e"));
    assert_eq!(bind(&mut state, NtHash::of("new"), NOON), Some("773"));
    assert_eq!(state.counters.bad_pwd_count, 0);
}

#[test]
fn only_what_domain_controllers_tell_each_other_moves_the_update_sequence_number() {
    let mut state = AccountState::new(Passwords::new(right()), NOON.before(DAY));
    assert_eq!(bind(&mut state, right(), NOON), None);
    assert_eq!(
        (state.shared.last_logon_timestamp, state.counters.last_logon),
        (Some(NOON), FileTime::ZERO)
    );
    assert_eq!(
        (state.shared.usn_changed, state.shared.when_changed),
        (1, NOON),
        "the first success"
    );
    let later = NOON.after(MINUTE);
    for _ in 0..2 {
        bind(&mut state, wrong(), later);
    }
    assert_eq!(bind(&mut state, right(), later), None);
    assert_eq!(
        (state.shared.usn_changed, state.shared.when_changed),
        (1, NOON),
        "counts are each controller's own"
    );
    for _ in 0..3 {
        bind(&mut state, wrong(), later);
    }
    assert_eq!(
        (state.shared.usn_changed, state.shared.when_changed),
        (2, later),
        "a lock"
    );
    let unlocked = later.after(MINUTE * 30);
    assert_eq!(bind(&mut state, right(), unlocked), None);
    assert_eq!(
        (state.shared.usn_changed, state.shared.when_changed),
        (3, unlocked),
        "the end of a lock"
    );
    let weeks = NOON.after(DAY * 14);
    assert_eq!(bind(&mut state, right(), weeks), None);
    assert_eq!(
        (state.shared.usn_changed, state.shared.last_logon_timestamp),
        (4, Some(weeks))
    );
}

static RIGHT: std::sync::LazyLock<NtHash> = std::sync::LazyLock::new(right);
static WRONG: std::sync::LazyLock<NtHash> = std::sync::LazyLock::new(wrong);
