//! Several controllers: what each counts and knows, whom they ask, and what they do while the PDC emulator is away.

mod model;

use super::super::account::UAC_DISABLED;
use super::*;

const PDC: DcId = DcId::FIRST;
const MINUTE: Duration = Duration::from_secs(60);

fn dc(number: usize) -> DcId {
    DcId::at(number - 1)
}

fn several(count: usize) -> Domain {
    several_that_take_old_ones(count, Duration::ZERO)
}

fn several_that_take_old_ones(count: usize, for_how_long: Duration) -> Domain {
    let mut settings = settings(Dialect::Windows, vec![user("good"), user("other")], 10);
    settings.dcs = (1..=count).map(|number| format!("dc-{number}")).collect();
    settings.old_password_allowed = for_how_long;
    Domain::new(&settings, NOW)
}

fn good(domain: &Domain) -> ObjectId {
    domain.find_sam("good").unwrap()
}

fn bind_at(domain: &Domain, at: DcId, password: &str, now: FileTime) -> &'static str {
    let (decision, ()) = domain.bind(at, "CORP\\good", password, now, |_| ());
    decision.result.sub_code().map_or("success", SubCode::text)
}

fn counts(domain: &Domain, now: FileTime) -> Vec<u32> {
    let count = |dc| domain.state(dc, good(domain), now).counters.bad_pwd_count;
    domain.dcs().map(count).collect()
}

fn is_locked(domain: &Domain, at: DcId, now: FileTime) -> bool {
    let id = good(domain);
    domain.is_locked(id, &domain.state(at, id, now), now)
}

fn reset(domain: &Domain, at: DcId, password: &str, now: FileTime) {
    domain.change(at, good(domain), now, |state| {
        state.credentials.passwords.set(NtHash::of(password), 24);
        state.credentials.pwd_last_set = now;
    });
}

#[test]
fn three_wrong_passwords_at_three_controllers_lock_since_the_pdc_counts_them_all() {
    let domain = several(4);
    for number in 2..=4 {
        assert!(!is_locked(&domain, PDC, NOW));
        assert_eq!(bind_at(&domain, dc(number), "wrong", NOW), "52e");
    }
    assert_eq!(counts(&domain, NOW), [3, 1, 1, 1]);
    for at in domain.dcs() {
        assert!(is_locked(&domain, at, NOW), "{at:?}");
        assert_eq!(bind_at(&domain, at, PASSWORD, NOW), "775");
    }
    assert_eq!(counts(&domain, NOW), [3, 1, 1, 1], "nothing is counted while locked");
}

#[test]
fn a_wrong_password_at_the_pdc_counts_once_and_there_alone() {
    let domain = several(2);
    assert_eq!(bind_at(&domain, PDC, "wrong", NOW), "52e");
    assert_eq!(counts(&domain, NOW), [1, 0]);
    assert_eq!(bind_at(&domain, dc(2), "wrong", NOW), "52e");
    assert_eq!(counts(&domain, NOW), [2, 1]);
}

#[test]
fn a_success_that_clears_a_count_clears_the_pdcs_and_no_other() {
    let domain = several(3);
    bind_at(&domain, dc(2), "wrong", NOW);
    bind_at(&domain, dc(3), "wrong", NOW);
    assert_eq!(counts(&domain, NOW), [2, 1, 1]);
    assert_eq!(bind_at(&domain, dc(2), PASSWORD, NOW), "success");
    assert_eq!(counts(&domain, NOW), [0, 0, 1]);

    bind_at(&domain, dc(3), "wrong", NOW);
    assert_eq!(bind_at(&domain, dc(2), PASSWORD, NOW), "success");
    assert_eq!(
        counts(&domain, NOW),
        [1, 0, 2],
        "where there was none here, none is cleared there"
    );
}

#[test]
fn a_new_password_signs_in_everywhere_at_once_and_the_old_one_where_it_is_not_known_yet() {
    let domain = several(3);
    reset(&domain, PDC, "new", NOW);
    assert_eq!(
        bind_at(&domain, dc(2), "new", NOW),
        "success",
        "the PDC emulator says so"
    );
    assert_eq!(bind_at(&domain, dc(2), PASSWORD, NOW), "success", "its present one");
    assert_eq!(bind_at(&domain, PDC, PASSWORD, NOW), "52e", "one of the two before");
    assert_eq!(counts(&domain, NOW), [0, 0, 0]);
    let arrived = NOW.after(Duration::from_secs(15));
    assert_eq!(bind_at(&domain, dc(2), PASSWORD, arrived), "52e");
    assert_eq!(bind_at(&domain, dc(2), "new", arrived), "success");
    assert_eq!(counts(&domain, arrived), [0, 0, 0]);
}

#[test]
fn what_the_pdc_knows_for_an_old_password_counts_nowhere() {
    let domain = several(2);
    reset(&domain, PDC, "second", NOW);
    reset(&domain, PDC, "third", NOW);
    // dc-2 has heard of neither.
    assert_eq!(bind_at(&domain, dc(2), "second", NOW), "52e");
    assert_eq!(counts(&domain, NOW), [0, 0]);
    domain.set_away(PDC, true, NOW);
    assert_eq!(bind_at(&domain, dc(2), "second", NOW), "52e");
    assert_eq!(counts(&domain, NOW), [0, 1], "alone it cannot know");
}

#[test]
fn a_password_that_is_set_at_another_controller_is_told_to_the_pdc_at_once() {
    let domain = several(3);
    reset(&domain, dc(2), "new", NOW);
    for at in [PDC, dc(2), dc(3)] {
        assert_eq!(bind_at(&domain, at, "new", NOW), "success");
    }
    let shown = |at| domain.state(at, good(&domain), NOW).credentials.passwords;
    assert_eq!(shown(PDC), shown(dc(2)));
    assert_ne!(shown(PDC), shown(dc(3)));
}

#[test]
fn without_the_pdc_each_controller_decides_and_counts_alone_and_its_lock_holds_everywhere() {
    let domain = several(3);
    domain.set_away(PDC, true, NOW);
    for _ in 0..2 {
        assert_eq!(bind_at(&domain, dc(2), "wrong", NOW), "52e");
        assert_eq!(bind_at(&domain, dc(3), "wrong", NOW), "52e");
    }
    assert_eq!(counts(&domain, NOW), [0, 2, 2]);
    assert!(!is_locked(&domain, dc(2), NOW), "four in the domain, two at each");
    bind_at(&domain, dc(3), "wrong", NOW);
    assert_eq!(bind_at(&domain, dc(2), PASSWORD, NOW), "775");
    assert!(is_locked(&domain, PDC, NOW));
}

#[test]
fn a_password_that_was_set_while_the_pdc_was_away_reaches_it_after_the_delay_once_it_is_back() {
    let domain = several(2);
    domain.set_away(PDC, true, NOW);
    reset(&domain, dc(2), "new", NOW);
    let back = NOW.after(MINUTE);
    domain.set_away(PDC, false, back);
    assert_eq!(bind_at(&domain, dc(2), "new", back), "success");
    assert_eq!(bind_at(&domain, PDC, PASSWORD, back), "success");
    assert_eq!(bind_at(&domain, PDC, "new", back), "52e");
    assert_eq!(
        bind_at(&domain, dc(2), PASSWORD, back),
        "success",
        "the PDC emulator says so"
    );
    let arrived = back.after(Duration::from_secs(15));
    assert_eq!(bind_at(&domain, PDC, "new", arrived), "success");
    assert_eq!(bind_at(&domain, PDC, PASSWORD, arrived), "52e");
}

#[test]
fn a_reset_that_asks_for_another_password_is_told_by_the_pdc_first() {
    let domain = several(2);
    domain.change(PDC, good(&domain), NOW, |state| {
        state.credentials.passwords.set(NtHash::of("new"), 24);
        state.credentials.pwd_last_set = FileTime::ZERO;
    });
    assert_eq!(bind_at(&domain, dc(2), "new", NOW), "773");
    assert_eq!(
        bind_at(&domain, dc(2), PASSWORD, NOW),
        "success",
        "dc-2 has not heard of it"
    );
    assert_eq!(counts(&domain, NOW), [0, 0]);
}

#[test]
fn an_expired_password_that_was_changed_is_asked_about_at_the_pdc() {
    let domain = several(2);
    let expired = NOW.after(Duration::from_secs(42 * 86_400));
    assert_eq!(bind_at(&domain, dc(2), PASSWORD, expired), "532");
    reset(&domain, PDC, "new", expired);
    assert_eq!(bind_at(&domain, dc(2), "new", expired), "success");
    assert_eq!(
        bind_at(&domain, dc(2), PASSWORD, expired),
        "52e",
        "as the PDC emulator says"
    );
}

#[test]
fn a_lock_ends_by_the_clock_on_all_controllers_and_unlocking_clears_every_count() {
    let domain = several(3);
    for _ in 0..3 {
        bind_at(&domain, dc(2), "wrong", NOW);
    }
    let after = NOW.after(MINUTE * 30);
    assert!(is_locked(&domain, dc(3), FileTime(after.0 - 1)));
    for at in domain.dcs() {
        assert!(!is_locked(&domain, at, after));
    }
    assert_eq!(counts(&domain, after), [3, 3, 0]);
    assert_eq!(bind_at(&domain, dc(3), PASSWORD, after), "success");
    assert_eq!(counts(&domain, after), [0, 0, 0]);

    for _ in 0..3 {
        bind_at(&domain, dc(2), "wrong", after);
    }
    domain.change(dc(3), good(&domain), after, AccountState::unlock);
    assert_eq!(counts(&domain, after), [0, 0, 0]);
    assert_eq!(bind_at(&domain, dc(2), PASSWORD, after), "success");
}

#[test]
fn an_old_password_that_may_not_sign_in_does_not_after_the_clock_was_set_back_either() {
    let domain = several(1);
    reset(&domain, PDC, "new", NOW);
    let earlier = NOW.before(MINUTE);
    domain.clock_was_set(NOW, earlier);
    assert_eq!(bind_at(&domain, PDC, PASSWORD, earlier), "52e");
    assert_eq!(bind_at(&domain, PDC, "new", earlier), "success");
}

#[test]
fn other_changes_are_known_everywhere_at_once() {
    let domain = several(2);
    domain.change(dc(2), good(&domain), NOW, |state| {
        state.shared.user_account_control |= UAC_DISABLED
    });
    assert_eq!(bind_at(&domain, PDC, PASSWORD, NOW), "533");
}

#[test]
fn the_pdc_may_be_another_one_and_the_domain_says_which() {
    let mut settings = settings(Dialect::Windows, vec![user("good")], 0);
    settings.dcs = vec!["dc-1".to_owned(), "dc-2".to_owned()];
    settings.pdc = dc(2);
    let domain = Domain::new(&settings, NOW);
    bind_at(&domain, dc(1), "wrong", NOW);
    assert_eq!(counts(&domain, NOW), [1, 1]);
    bind_at(&domain, dc(2), "wrong", NOW);
    assert_eq!(counts(&domain, NOW), [1, 2]);
    let root = domain.attributes(dc(1), ObjectId::ROOT, NOW);
    let owner = root.iter().find(|attribute| attribute.name == "fSMORoleOwner").unwrap();
    let expected = "CN=NTDS Settings,CN=DC-2,CN=Servers,CN=Default-First-Site-Name,CN=Sites,CN=Configuration,";
    assert!(owner.shown().all(|owner| owner.starts_with(expected)));
}

#[test]
fn an_account_that_changed_takes_little_memory() {
    // Beside it: 24 bytes for each controller where there are several, 16 for each earlier password.
    assert!(size_of::<Account>() <= 192, "{}", size_of::<Account>());
}
