//! Requests as clients send them, and what comes of each in both dialects.

use super::refusal::CONFIGURED;
use super::*;
use crate::domain::account::{AccountState, UAC_NORMAL};
use crate::domain::dialect::Dialect;
use crate::domain::edit::{EditError, Edits};
use crate::domain::fixture::{NOON, PASSWORD, POLICY, settings, user};
use crate::domain::outcome::{BindResult, SubCode};
use crate::domain::policy::Policy;
use crate::domain::settings::{GroupSettings, UserSettings};
use std::time::Duration;

const NEW: &str = "New-Passw0rd-1";
const DN: &str = "CN=anna,CN=Users,DC=corp,DC=example,DC=com";
const MINUTE: Duration = Duration::from_secs(60);

fn quoted(password: &str) -> Vec<u8> {
    format!("\"{password}\"")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect()
}

struct World {
    domain: Domain,
    by: ObjectId,
    encrypted: bool,
    permissive: bool,
    now: FileTime,
}

impl World {
    fn new(dialect: Dialect, by: &str) -> Self {
        Self::with(dialect, POLICY, by)
    }

    fn with(dialect: Dialect, policy: Policy, by: &str) -> Self {
        let group = |name: &str, member: &str| GroupSettings {
            name: name.to_owned(),
            path: None,
            scope: crate::domain::builtin::GroupScope::Global,
            members: vec![member.to_owned()],
            rid: None,
        };
        let seven = UserSettings {
            upn: None,
            ..user("operator")
        };
        let settings = crate::domain::settings::DomainSettings {
            policy,
            groups: vec![
                group("Account Operators", "operator"),
                group("Inner", "nested"),
                group("Backup Operators", "backup"),
                group("Schema Admins", "Inner"),
            ],
            ..settings(
                dialect,
                vec![user("anna"), user("bert"), user("nested"), user("backup"), seven],
                3,
            )
        };
        let domain = Domain::new(&settings, NOON);
        let by = domain.find_sam(by).unwrap();
        Self {
            domain,
            by,
            encrypted: true,
            permissive: false,
            now: NOON,
        }
    }

    fn ask(&self, name: &str, changes: &[(i32, &str, &[&[u8]])]) -> (u32, String) {
        let changes: Vec<_> = changes
            .iter()
            .map(|(kind, attribute, values)| Change {
                kind: *kind,
                attribute,
                values,
            })
            .collect();
        let asked = Asked {
            by: self.by,
            dc: DcId::FIRST,
            encrypted: self.encrypted,
            permissive: self.permissive,
            now: self.now,
        };
        match carry_out(&self.domain, asked, name.as_bytes(), &changes) {
            Ok(()) => (0, String::new()),
            Err(refusal) => {
                let told = refusal.told(self.domain.dialect());
                (told.code, told.text)
            }
        }
    }

    fn change(&self, old: &str, new: &str) -> (u32, String) {
        self.ask(
            DN,
            &[(1, "unicodePwd", &[&quoted(old)]), (0, "unicodePwd", &[&quoted(new)])],
        )
    }

    fn reset(&self, new: &str) -> (u32, String) {
        self.ask(DN, &[(2, "unicodePwd", &[&quoted(new)])])
    }

    fn replace(&self, attribute: &str, value: &str) -> (u32, String) {
        self.ask(DN, &[(2, attribute, &[value.as_bytes()])])
    }

    fn state(&self) -> AccountState {
        let id = self.domain.find_sam("anna").unwrap();
        self.domain.state(DcId::FIRST, id, self.now)
    }

    fn bind(&self, password: &str) -> BindResult {
        let bind = self.domain.bind(DcId::FIRST, "CORP\\anna", password, self.now, |_| ());
        bind.0.result
    }
}

/// What is told, without DSIDs and the like: code and error number.
fn short((code, text): (u32, String)) -> (u32, String) {
    (code, text.chars().take(8).collect())
}

fn told(code: u32, text: &str) -> (u32, String) {
    (code, text.to_owned())
}

#[test]
fn whoever_knows_the_present_password_changes_it() {
    for dialect in [Dialect::Windows, Dialect::Samba] {
        for by in ["anna", "bert", "Administrator"] {
            let world = World {
                now: NOON.after(MINUTE),
                ..World::new(dialect, by)
            };
            assert_eq!(world.change(PASSWORD, NEW), told(0, ""), "{by}");
            assert_eq!(world.bind(NEW), BindResult::Success);
            assert_eq!(
                world.bind(PASSWORD),
                BindResult::Success,
                "the previous one for an hour"
            );
            assert_eq!(world.state().credentials.pwd_last_set, world.now);
            assert_ne!(world.state().shared.when_changed, NOON);
        }
    }
}

#[test]
fn old_and_new_may_stand_in_either_order() {
    let world = World::new(Dialect::Samba, "anna");
    let changes: [(i32, &str, &[&[u8]]); 2] = [
        (0, "unicodepwd", &[&quoted(NEW)]),
        (1, "UNICODEPWD", &[&quoted(PASSWORD)]),
    ];
    assert_eq!(world.ask(DN, &changes), told(0, ""));
    assert_eq!(world.bind(NEW), BindResult::Success);
}

#[test]
fn a_wrong_old_password_counts_as_a_wrong_bind_and_the_third_locks() {
    for (dialect, wrong, locked) in [
        (
            Dialect::Samba,
            "00000056: Constraint violation - check_password_restrictions: The old password specified doesn't match!",
            "00000775: Password change not permitted, account locked out! at \
             ../../source4/dsdb/samdb/ldb_modules/password_hash.c:3929:setup_io",
        ),
        (
            Dialect::Windows,
            "00000056: AtrErr: DSID-03190F80, #1:\n\t0: 00000056: DSID-03190F80, problem 1005 (CONSTRAINT_ATT_TYPE), \
             data 0, Att 9005a (unicodePwd)\n\0",
            "00000775: AtrErr: DSID-03190F80, #1:\n\t0: 00000775: DSID-03190F80, problem 1005 (CONSTRAINT_ATT_TYPE), \
             data 0, Att 9005a (unicodePwd)\n\0",
        ),
    ] {
        let world = World::new(dialect, "anna");
        for count in 1..=3 {
            assert_eq!(world.change("nonsense", NEW), told(19, wrong));
            assert_eq!(world.state().counters.bad_pwd_count, count);
        }
        assert_eq!(world.change(PASSWORD, NEW), told(19, locked));
        assert_eq!(world.bind(PASSWORD), BindResult::Rejected(SubCode::LockedOut));
        assert_eq!(
            world.state().counters.bad_pwd_count,
            3,
            "nothing is counted while locked"
        );
    }
}

#[test]
fn the_previous_password_is_a_wrong_old_one_and_is_counted() {
    let world = World::new(Dialect::Windows, "anna");
    assert_eq!(world.change(PASSWORD, NEW), told(0, ""));
    assert_eq!(short(world.change(PASSWORD, "Another-1")), told(19, "00000056"));
    assert_eq!(world.state().counters.bad_pwd_count, 1);
    assert_eq!(world.change(NEW, "Another-1"), told(0, ""));
    assert_eq!(world.state().counters.bad_pwd_count, 1, "a change clears nothing");
}

#[test]
fn each_policy_that_refuses_is_told_in_the_dialects_words() {
    let policy = Policy {
        min_password_age: MINUTE,
        min_password_length: 7,
        complexity: true,
        ..POLICY
    };
    let later = NOON.after(MINUTE);
    for (new, now, samba) in [
        ("a", NOON, "password is too young to change!"),
        (
            "a",
            later,
            "the password is too short. It should be equal or longer than 7 characters!",
        ),
        (
            "lowercase",
            later,
            "the password does not meet the complexity criteria!",
        ),
        (PASSWORD, later, "the password was already used (previous password)!"),
    ] {
        let at = |dialect| World {
            now,
            ..World::with(dialect, policy, "anna")
        };
        let text = format!("0000052D: Constraint violation - check_password_restrictions: {samba}");
        assert_eq!(at(Dialect::Samba).change(PASSWORD, new), told(19, &text));
        let windows = at(Dialect::Windows).change(PASSWORD, new);
        assert_eq!(short(windows), told(19, "0000052D"), "{new}");
        assert_eq!(at(Dialect::Windows).bind(PASSWORD), BindResult::Success);
    }
    for (dialect, by) in [(Dialect::Samba, 19), (Dialect::Windows, 53)] {
        let world = World::with(dialect, policy, "Administrator");
        assert_eq!(short(world.reset("a")), told(by, "0000052D"));
        assert_eq!(world.reset(PASSWORD), told(0, ""), "neither age nor history matters");
    }
    let world = World::new(Dialect::Samba, "anna");
    assert_eq!(world.change(PASSWORD, NEW), told(0, ""));
    let history = "0000052D: Constraint violation - check_password_restrictions: the password was already used (in \
                   history)!";
    assert_eq!(world.change(NEW, PASSWORD), told(19, history));
}

#[test]
fn a_reset_ends_no_lock_and_may_ask_for_a_change() {
    let world = World::new(Dialect::Windows, "Administrator");
    for _ in 0..3 {
        world.bind("wrong");
    }
    assert_eq!(world.reset(NEW), told(0, ""));
    assert_eq!(world.bind(NEW), BindResult::Rejected(SubCode::LockedOut));
    let changes: [(i32, &str, &[&[u8]]); 3] = [
        (2, "unicodePwd", &[&quoted("Newer-1234")]),
        (2, "lockoutTime", &[b"0"]),
        (2, "pwdLastSet", &[b"0"]),
    ];
    assert_eq!(world.ask(DN, &changes), told(0, ""));
    assert_eq!(world.state().counters.bad_pwd_count, 0);
    assert_eq!(world.bind("Newer-1234"), BindResult::Rejected(SubCode::MustChange));
}

#[test]
fn administrators_reset_and_operators_do_except_with_administrators() {
    for dialect in [Dialect::Windows, Dialect::Samba] {
        assert_eq!(World::new(dialect, "operator").reset(NEW), told(0, ""));
        let no_right = match dialect {
            Dialect::Windows => "00000005: SecErr: DSID-031A11CE, problem 4003 (INSUFF_ACCESS_RIGHTS), data 0\n\0",
            Dialect::Samba => "error in module acl: insufficient access rights during LDB_MODIFY (50)",
        };
        for by in ["anna", "bert", "nested"] {
            assert_eq!(World::new(dialect, by).reset(NEW), told(50, no_right), "{by}");
        }
        let over_administrator = World::new(dialect, "operator").ask(
            "CN=Administrator,CN=Users,DC=corp,DC=example,DC=com",
            &[(2, "unicodePwd", &[&quoted(NEW)])],
        );
        let expected = if dialect == Dialect::Samba {
            told(0, "")
        } else {
            told(50, no_right)
        };
        assert_eq!(over_administrator, expected);
    }
}

#[test]
fn operators_have_no_rights_over_whoever_is_protected_on_windows() {
    let no_right = "00000005: SecErr: DSID-031A11CE, problem 4003 (INSUFF_ACCESS_RIGHTS), data 0\n\0";
    let reset = |dialect, who: &str| {
        let dn = format!("CN={who},CN=Users,DC=corp,DC=example,DC=com");
        World::new(dialect, "operator").ask(&dn, &[(2, "unicodePwd", &[&quoted(NEW)])])
    };
    // Of Backup Operators, of Schema Admins by way of another group, and by themselves.
    for who in ["backup", "nested", "krbtgt", "Administrator", "operator"] {
        assert_eq!(reset(Dialect::Windows, who), told(50, no_right), "{who}");
        assert_eq!(reset(Dialect::Samba, who), told(0, ""), "{who}");
    }
    for who in ["anna", "bert", "Guest"] {
        assert_eq!(reset(Dialect::Windows, who), told(0, ""), "{who}");
    }
}

#[test]
fn ordinary_users_write_no_attribute_of_sign_in() {
    let text = format!("00002098: Object {DN} has no write property access\n");
    for attribute in [
        "pwdLastSet",
        "lockoutTime",
        "userAccountControl",
        "accountExpires",
        "description",
    ] {
        for by in ["anna", "bert"] {
            let world = World::new(Dialect::Samba, by);
            assert_eq!(world.replace(attribute, "0"), told(50, &text), "{by} {attribute}");
            assert_eq!(world.domain.changed_accounts(), 0);
        }
        let windows = World::new(Dialect::Windows, "anna").replace(attribute, "0");
        assert_eq!(short(windows), told(50, "00002098"));
    }
}

#[test]
fn windows_takes_passwords_over_encrypted_connections_only() {
    for (dialect, expected) in [(Dialect::Windows, told(53, "0000001F")), (Dialect::Samba, told(0, ""))] {
        let world = World {
            encrypted: false,
            ..World::new(dialect, "anna")
        };
        assert_eq!(short(world.change(PASSWORD, NEW)), expected);
    }
}

#[test]
fn values_that_are_no_password_and_requests_that_are_no_change_are_told_as_measured() {
    let (old, new) = (quoted(PASSWORD), quoted(NEW));
    let bare: Vec<u8> = NEW.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let (old, new, bare): (&[u8], &[u8], &[u8]) = (&old, &new, &bare);
    let unquoted = "setup_io: it's not allowed to set the NT hash password directly'";
    type Case<'a> = (&'a str, &'a [(i32, &'a str, &'a [&'a [u8]])], u32, String);
    let cases: [Case<'_>; 11] = [
        (
            "anna",
            &[(1, "unicodePwd", &[bare]), (0, "unicodePwd", &[new])],
            53,
            format!("00002035: {unquoted}"),
        ),
        (
            "anna",
            &[(1, "unicodePwd", &[old]), (0, "unicodePwd", &[bare])],
            19,
            format!("0000202F: {unquoted}"),
        ),
        (
            "anna",
            &[(1, "unicodePwd", &[bare]), (0, "unicodePwd", &[bare])],
            19,
            format!("0000202F: {unquoted}"),
        ),
        (
            "Administrator",
            &[(2, "unicodePwd", &[bare])],
            53,
            format!("00002035: {unquoted}"),
        ),
        (
            "anna",
            &[(1, "unicodePwd", &[old])],
            53,
            "00002035: setup_io: It's not possible to delete the password (changes using the LAN Manager hash alone \
             could be deactivated)!"
                .to_owned(),
        ),
        (
            "anna",
            &[(0, "unicodePwd", &[new])],
            50,
            "error in module acl: insufficient access rights during LDB_MODIFY (50)".to_owned(),
        ),
        (
            "Administrator",
            &[(0, "unicodePwd", &[new])],
            53,
            "00002035: Only the add action for a password change specified!".to_owned(),
        ),
        (
            "anna",
            &[(1, "unicodePwd", &[]), (0, "unicodePwd", &[new])],
            19,
            "error in module acl: Constraint violation during LDB_MODIFY (19)".to_owned(),
        ),
        (
            "anna",
            &[(1, "unicodePwd", &[old]), (0, "unicodePwd", &[new, old])],
            19,
            "0000202F: 'unicodePwd' attribute must have exactly one value on add operations!".to_owned(),
        ),
        (
            "anna",
            &[(1, "unicodePwd", &[old, new]), (0, "unicodePwd", &[new])],
            19,
            "0000202F: 'unicodePwd' attribute must have zero or one value(s) on delete operations!".to_owned(),
        ),
        (
            "Administrator",
            &[(2, "unicodePwd", &[])],
            53,
            "00002035: setup_io: it's only allowed to set the old password once!".to_owned(),
        ),
    ];
    for (by, changes, code, text) in cases {
        let world = World::new(Dialect::Samba, by);
        assert_eq!(world.ask(DN, changes), (code, text));
        assert_eq!(world.domain.changed_accounts(), 0, "something was written or counted");
        let windows = World::new(Dialect::Windows, by);
        assert_ne!(windows.ask(DN, changes).0, 0);
        assert_eq!(windows.bind(PASSWORD), BindResult::Success);
    }
}

#[test]
fn all_of_a_request_happens_or_nothing() {
    let world = World::new(Dialect::Samba, "Administrator");
    for (attribute, value, code) in [
        ("pwdLastSet", "5", 80),
        ("accountExpires", "abc", 21),
        ("favouriteColour", "0", 16),
        ("objectGUID", "x", 19),
        ("cn", "x", 67),
        ("memberOf", "x", 53),
        ("lockoutThreshold", "3", 65),
        ("logonHours", "short", 21),
    ] {
        let changes: [(i32, &str, &[&[u8]]); 3] = [
            (2, "userAccountControl", &[b"514"]),
            (2, "unicodePwd", &[&quoted(NEW)]),
            (2, attribute, &[value.as_bytes()]),
        ];
        assert_eq!(world.ask(DN, &changes).0, code, "{attribute}");
        assert_eq!(world.domain.changed_accounts(), 0, "{attribute}");
    }
    let changes: [(i32, &str, &[&[u8]]); 2] = [
        (2, "userAccountControl", &[b"514"]),
        (2, "unicodePwd", &[&quoted("ab")]),
    ];
    assert_eq!(world.ask(DN, &changes).0, 19);
    assert_eq!(world.state().shared.user_account_control, UAC_NORMAL);
}

#[test]
fn nobody_writes_what_is_computed_or_the_directorys_own() {
    let computed = schema::ALL
        .iter()
        .filter(|known| known.constructed)
        .map(|known| known.name);
    for name in computed.chain(["isDeleted", "whenCreated"]) {
        let value: &[u8] = match name {
            "isDeleted" => b"TRUE",
            _ => b"1",
        };
        for dialect in [Dialect::Windows, Dialect::Samba] {
            let world = World::new(dialect, "Administrator");
            assert_eq!(world.ask(DN, &[(2, name, &[value])]).0, 19, "{name}");
            assert_eq!(world.domain.changed_accounts(), 0, "{name}");
        }
        let refused = Edits::default().attribute(name, vec![value.to_vec()]);
        assert!(matches!(refused, Err(EditError::Fixed(_))), "{name}: {refused:?}");
    }
    let samba = World::new(Dialect::Samba, "Administrator");
    for (name, what) in [
        ("createTimeStamp", "can only be modified as system"),
        ("primaryGroupToken", "can only be modified as system"),
        ("structuralObjectClass", "is constructed!"),
        ("tokenGroups", "is constructed!"),
    ] {
        let text = format!("0000202F: objectclass_attrs: attribute '{name}' on entry '{DN}' {what}");
        assert_eq!(samba.replace(name, "1"), told(19, &text));
    }
}

#[test]
fn what_user_account_control_holds_is_normalised() {
    let world = World::new(Dialect::Windows, "Administrator");
    for (written, kept) in [
        ("514", 514),
        ("2", 514),
        ("0", 512),
        ("528", 512),
        ("576", 512),
        ("8389120", 512),
        ("66048", 66048),
        ("544", 544),
        ("16777728", 16_777_728),
        ("4294967808", 512),
        ("-2147483136", 512),
    ] {
        assert_eq!(world.replace("userAccountControl", written), told(0, ""), "{written}");
        assert_eq!(world.state().shared.user_account_control, kept, "{written}");
    }
    for other_kind in ["4096", "8192", "4608", "67109376"] {
        assert_eq!(world.replace("userAccountControl", other_kind), told(53, CONFIGURED));
    }
    assert_eq!(world.bind(PASSWORD), BindResult::Success);
    assert_eq!(world.replace("userAccountControl", "262656"), told(0, ""));
    assert_eq!(
        world.bind(PASSWORD),
        BindResult::Rejected(SubCode::LogonFailure),
        "a smart card makes the password forgotten"
    );
}

#[test]
fn times_that_the_directory_keeps_are_written_as_it_allows() {
    for dialect in [Dialect::Windows, Dialect::Samba] {
        let world = World {
            now: NOON.after(MINUTE),
            ..World::new(dialect, "Administrator")
        };
        let windows = dialect == Dialect::Windows;
        assert_eq!(world.replace("pwdLastSet", "-1"), told(0, ""));
        assert_eq!(
            world.state().credentials.pwd_last_set,
            NOON,
            "it need not be changed, and stays as old"
        );
        assert_eq!(world.replace("pwdLastSet", "0"), told(0, ""));
        assert_eq!(world.bind(PASSWORD), BindResult::Rejected(SubCode::MustChange));
        assert_eq!(world.replace("pwdLastSet", "-1"), told(0, ""));
        assert_eq!(world.state().credentials.pwd_last_set, world.now);
        assert_eq!(
            short(world.replace("pwdLastSet", "5")),
            told(if windows { 53 } else { 80 }, "00000057")
        );
        assert_eq!(world.replace("lockoutTime", "1").0, if windows { 53 } else { 0 });
        assert_eq!(world.replace("badPwdCount", "2").0, if windows { 53 } else { 0 });
        assert_eq!(world.ask(DN, &[(1, "lockoutTime", &[])]).0, 53);
        assert_eq!(world.replace("accountExpires", "007"), told(0, ""));
        assert_eq!(world.bind(PASSWORD), BindResult::Rejected(SubCode::AccountExpired));
        assert_eq!(
            world.ask(DN, &[(1, "accountExpires", &[b"7"]), (0, "accountExpires", &[b"0"])]),
            told(0, "")
        );
        assert_eq!(world.bind(PASSWORD), BindResult::Success);
        assert_eq!(world.replace("userWorkstations", "PC1"), told(0, ""));
        assert_eq!(world.bind(PASSWORD), BindResult::Rejected(SubCode::Workstation));
        assert_eq!(world.ask(DN, &[(2, "userWorkstations", &[])]), told(0, ""));
        assert_eq!(world.ask(DN, &[(2, "logonHours", &[&[0; 21]])]), told(0, ""));
        assert_eq!(world.bind(PASSWORD), BindResult::Rejected(SubCode::LogonHours));
        assert_eq!(world.ask(DN, &[(1, "logonHours", &[])]), told(0, ""));
        assert_eq!(world.bind(PASSWORD), BindResult::Success);
    }
}

#[test]
fn what_is_written_as_it_was_is_no_change() {
    let world = World::new(Dialect::Samba, "Administrator");
    assert_eq!(world.replace("lockoutTime", "0"), told(0, ""));
    let (usn, changed) = (world.domain.highest_usn(), world.state().shared.usn_changed);
    for (name, value) in [("lockoutTime", "0"), ("userAccountControl", "512")] {
        assert_eq!(world.replace(name, value), told(0, ""));
    }
    assert_eq!(
        (world.domain.highest_usn(), world.state().shared.usn_changed),
        (usn, changed)
    );
}

#[test]
fn a_lock_that_is_ended_clears_the_count_that_is_written_beside_it() {
    let unlock: (i32, &str, &[&[u8]]) = (2, "lockoutTime", &[b"0"]);
    let count: (i32, &str, &[&[u8]]) = (2, "badPwdCount", &[b"2"]);
    for changes in [[unlock, count], [count, unlock]] {
        let world = World::new(Dialect::Samba, "Administrator");
        world.bind("wrong");
        assert_eq!(world.ask(DN, &changes), told(0, ""));
        assert_eq!(world.state().counters.bad_pwd_count, 0);
    }
}

#[test]
fn adding_and_deleting_look_at_what_is_there() {
    let world = World::new(Dialect::Samba, "Administrator");
    let single = format!("0000200D: SINGLE-VALUE attribute userAccountControl on {DN} specified more than once");
    assert_eq!(
        world.ask(DN, &[(0, "userAccountControl", &[b"514"])]),
        told(20, &single)
    );
    let wrong =
        format!("attribute 'userAccountControl': no matching attribute value while deleting attribute on '{DN}'");
    let other: [(i32, &str, &[&[u8]]); 2] = [
        (1, "userAccountControl", &[b"514"]),
        (0, "userAccountControl", &[b"514"]),
    ];
    assert_eq!(world.ask(DN, &other), told(16, &wrong));
    let undeletable = "00002077: samldb: 'userAccountControl' can't be deleted!";
    assert_eq!(
        world.ask(DN, &[(1, "userAccountControl", &[b"514"])]),
        told(53, undeletable)
    );
    assert_eq!(world.ask(DN, &[(2, "userAccountControl", &[])]), told(53, undeletable));
    let absent = format!("attribute 'userWorkstations': no such attribute for delete on '{DN}'");
    assert_eq!(world.ask(DN, &[(1, "userWorkstations", &[])]), told(16, &absent));
    let nothing = format!("attribute 'userWorkstations': attribute on '{DN}' specified, but with 0 values (illegal)");
    assert_eq!(world.ask(DN, &[(0, "userWorkstations", &[])]), told(19, &nothing));
    let required =
        format!("00002035: objectclass_attrs: delete protected attribute 'accountExpires' on entry '{DN}' missing!");
    assert_eq!(world.ask(DN, &[(2, "accountExpires", &[])]), told(53, &required));
    assert_eq!(world.domain.changed_accounts(), 0);
}

#[test]
fn many_changes_of_one_attribute_take_no_longer_each_than_one() {
    let world = World::new(Dialect::Windows, "anna");
    let numbers: Vec<_> = (0..20_000).map(|number| format!("u{number}")).collect();
    let values: Vec<[&[u8]; 1]> = numbers.iter().map(|number| [number.as_bytes()]).collect();
    // Whoever looked at all values for each of them would be at it for minutes.
    let adds = values.iter().map(|value| (0, "url", &value[..]));
    let deletes = values.iter().rev().skip(2).map(|value| (1, "url", &value[..]));
    let changes: Vec<(i32, &str, &[&[u8]])> = adds.chain(deletes).collect();
    assert_eq!(world.ask(DN, &changes), told(0, ""));
    let attributes = world.domain.attributes(DcId::FIRST, world.by, NOON);
    let url = attributes.iter().find(|own| own.name == "url").unwrap();
    assert_eq!(url.shown().collect::<Vec<_>>(), ["u19998", "u19999"], "in their order");
    let again: [(i32, &str, &[&[u8]]); 2] = [(1, "url", &[b"U19998"]), (0, "url", &[b"u19999"])];
    assert_eq!(world.ask(DN, &again).0, 20);
    let again: [(i32, &str, &[&[u8]]); 2] = [(1, "url", &[b"U19998"]), (1, "url", &[b"u19998"])];
    assert_eq!(world.ask(DN, &again).0, 16);
}

#[test]
fn a_permissive_request_may_add_what_is_there_and_delete_what_is_not() {
    for dialect in [Dialect::Windows, Dialect::Samba] {
        let world = World {
            permissive: true,
            ..World::new(dialect, "Administrator")
        };
        let urls = || {
            let attributes = world
                .domain
                .attributes(DcId::FIRST, world.domain.find_sam("anna").unwrap(), NOON);
            let url = attributes.iter().find(|own| own.name == "url");
            url.map(|own| own.shown().collect::<Vec<_>>()).unwrap_or_default()
        };
        assert_eq!(world.ask(DN, &[(0, "url", &[b"one"])]), told(0, ""));
        assert_eq!(world.ask(DN, &[(0, "url", &[b"one", b"two"])]), told(0, ""));
        assert_eq!(urls(), ["one", "two"]);
        assert_eq!(world.ask(DN, &[(1, "url", &[b"nine", b"two"])]), told(0, ""));
        assert_eq!(urls(), ["one"]);
        assert_eq!(world.ask(DN, &[(1, "mobile", &[])]), told(0, ""));
        assert_eq!(world.ask(DN, &[(1, "mobile", &[b"1"])]), told(0, ""));
        assert_eq!(world.ask(DN, &[(0, "url", &[b"three", b"three"])]).0, 20);
        assert_eq!(world.ask(DN, &[(2, "url", &[b"a", b"a"])]).0, 20);
        assert_eq!(world.ask(DN, &[(1, "pwdLastSet", &[])]).0, 53);
        assert_eq!(world.replace("telephoneNumber", "1"), told(0, ""));
        let again = world.ask(DN, &[(0, "telephoneNumber", &[b"1"])]);
        assert_eq!(again.0, if dialect == Dialect::Samba { 20 } else { 0 });
        assert_ne!(world.ask(DN, &[(0, "telephoneNumber", &[b"2"])]).0, 0);
        assert_eq!(urls(), ["one"]);
        let strict = World {
            permissive: false,
            ..world
        };
        assert_eq!(strict.ask(DN, &[(0, "url", &[b"one"])]).0, 20);
        assert_eq!(strict.ask(DN, &[(1, "url", &[b"nine"])]).0, 16);
    }
}

#[test]
fn nobody_fills_the_memory_by_writing_to_their_own_account() {
    for (dialect, most) in [(Dialect::Windows, 1300), (Dialect::Samba, 10_000)] {
        let world = World::new(dialect, "anna");
        let numbers: Vec<_> = (0..=most).map(|number| format!("u{number}")).collect();
        let values: Vec<&[u8]> = numbers.iter().map(|number| number.as_bytes()).collect();
        assert_eq!(world.ask(DN, &[(2, "url", &values)]).0, 11);
        assert_eq!(world.domain.changed_accounts(), 0);
        assert_eq!(world.ask(DN, &[(2, "url", &values[1..])]), told(0, ""));
        assert_eq!(world.ask(DN, &[(0, "url", &values[..1])]).0, 11);
        let exchanged: [(i32, &str, &[&[u8]]); 2] = [(1, "url", &values[1..2]), (0, "url", &values[..1])];
        assert_eq!(world.ask(DN, &exchanged), told(0, ""));
        assert_eq!(world.replace("telephoneNumber", "1"), told(0, ""), "it has one value");
        let photo = vec![0; 102_401];
        assert_eq!(world.ask(DN, &[(2, "thumbnailPhoto", &[&photo[1..]])]), told(0, ""));
        assert_eq!(world.ask(DN, &[(2, "thumbnailPhoto", &[&photo])]).0, 21);
    }
    let windows = World::new(Dialect::Windows, "anna");
    let numbers: Vec<_> = (0..1301).map(|number| number.to_string()).collect();
    let values: Vec<&[u8]> = numbers.iter().map(|number| number.as_bytes()).collect();
    let told = windows.ask(DN, &[(2, "url", &values)]);
    let text = "00002024: SvcErr: DSID-031A12D2, problem 5008 (ADMIN_LIMIT_EXCEEDED), data 0\n\0";
    assert_eq!(told, (11, text.to_owned()));
}

#[test]
fn the_names_of_workstations_have_1024_letters_at_most() {
    for dialect in [Dialect::Windows, Dialect::Samba] {
        let world = World::new(dialect, "Administrator");
        assert_eq!(world.replace("userWorkstations", &"a".repeat(1024)), told(0, ""));
        assert_eq!(world.replace("userWorkstations", &"a".repeat(1025)).0, 21);
    }
}

#[test]
fn requests_that_name_nothing_or_change_nothing_are_told_so() {
    for by in ["anna", "Administrator"] {
        let world = World::new(Dialect::Samba, by);
        let nobody = "CN=nobody,DC=corp,DC=example,DC=com";
        let change: [(i32, &str, &[&[u8]]); 1] = [(2, "description", &[b"x"])];
        assert_eq!(
            world.ask(nobody, &change),
            told(32, &format!("00002030: No such Base DN: {nobody}"))
        );
        assert_eq!(
            world.ask("garbage", &change),
            told(34, "00002032: ldb_modify: invalid dn '(null)'")
        );
        assert_eq!(
            world.ask("", &change),
            told(53, "00002035: rootdse_modify: unknown attribute to change!")
        );
        let nothing = "00002035: objectclass: modify message must have elements/attributes!";
        assert_eq!(world.ask(DN, &[]), told(53, nothing));
        let kind = "00002021: Protocol error. Invalid LDAP_MODIFY_* type";
        assert_eq!(world.ask(DN, &[(3, "countryCode", &[b"1"])]), told(2, kind));
        let empty = format!("Element telephoneNumber has empty attribute in ldb message ({DN})!");
        assert_eq!(world.ask(DN, &[(2, "telephoneNumber", &[b""])]), told(21, &empty));
    }
    assert_eq!(
        short(World::new(Dialect::Windows, "anna").ask("CN=x,DC=y", &[(2, "description", &[b"x"])])).0,
        32
    );
}

#[test]
fn a_name_of_more_parts_than_any_tree_has_is_no_name() {
    let change: [(i32, &str, &[&[u8]]); 1] = [(2, "description", &[b"x"])];
    let name = "a=b,".repeat(60_000) + DN;
    for dialect in [Dialect::Windows, Dialect::Samba] {
        assert_eq!(World::new(dialect, "anna").ask(&name, &change).0, 34);
    }
}

#[test]
fn groups_and_units_are_the_configurations() {
    let group = "CN=Inner,CN=Users,DC=corp,DC=example,DC=com";
    let administrator = World::new(Dialect::Windows, "Administrator");
    assert_eq!(
        administrator.ask(group, &[(0, "member", &[DN.as_bytes()])]),
        told(53, CONFIGURED)
    );
    assert_eq!(
        World::new(Dialect::Windows, "anna")
            .ask(group, &[(0, "member", &[DN.as_bytes()])])
            .0,
        50
    );
    assert_eq!(
        administrator.ask(group, &[(2, "unicodePwd", &[&quoted(NEW)])]).0,
        50,
        "it has none"
    );
}

#[test]
fn a_generated_account_changes_its_password_too() {
    let mut world = World::new(Dialect::Windows, "user000002");
    let dn = "CN=user000002,CN=Users,DC=corp,DC=example,DC=com";
    let changes = |old: &str, new: &str| {
        let (old, new) = (quoted(old), quoted(new));
        world.ask(dn, &[(1, "unicodePwd", &[&old]), (0, "unicodePwd", &[&new])])
    };
    assert_eq!(changes("Postern-000002", NEW), told(0, ""));
    assert_eq!(world.domain.changed_accounts(), 1);
    world.now = NOON.after(MINUTE);
    let bind = world
        .domain
        .bind(DcId::FIRST, "CORP\\user000002", NEW, world.now, |_| ());
    assert_eq!(bind.0.result, BindResult::Success);
}

#[test]
fn everybody_writes_their_own_personal_information_and_no_other() {
    for dialect in [Dialect::Windows, Dialect::Samba] {
        let anna = World::new(dialect, "anna");
        assert_eq!(anna.replace("TELEPHONEnumber", "+49 1"), told(0, ""));
        let attributes = |world: &World| world.domain.attributes(DcId::FIRST, world.by, NOON);
        let phone = |world: &World| {
            let shown = attributes(world).into_iter().find(|own| own.name == "telephoneNumber");
            shown.and_then(|own| own.shown().next())
        };
        assert_eq!(phone(&anna).as_deref(), Some("+49 1"));
        let twice: [(i32, &str, &[&[u8]]); 2] = [(1, "telephoneNumber", &[b"+49 1"]), (0, "telephoneNumber", &[b"2"])];
        assert_eq!(anna.ask(DN, &twice), told(0, ""));
        assert_eq!(phone(&anna).as_deref(), Some("2"));
        assert_eq!(
            anna.ask(DN, &[(0, "telephoneNumber", &[b"3"])]).0,
            if dialect == Dialect::Samba { 20 } else { 19 }
        );
        assert_eq!(anna.ask(DN, &[(1, "mobile", &[])]).0, 16);
        assert_eq!(World::new(dialect, "bert").replace("telephoneNumber", "1").0, 50);
        let refused: [(i32, &str, &[&[u8]]); 3] = [
            (2, "telephoneNumber", &[b"8"]),
            (1, "unicodePwd", &[&quoted("wrong")]),
            (0, "unicodePwd", &[&quoted(NEW)]),
        ];
        assert_eq!(short(anna.ask(DN, &refused)), told(19, "00000056"));
        assert_eq!(
            phone(&anna).as_deref(),
            Some("2"),
            "nothing of a refused request happens"
        );
        assert_eq!(anna.state().counters.bad_pwd_count, 1);
        let changed: [(i32, &str, &[&[u8]]); 3] = [
            (2, "telephoneNumber", &[b"8"]),
            (1, "unicodePwd", &[&quoted(PASSWORD)]),
            (0, "unicodePwd", &[&quoted(NEW)]),
        ];
        assert_eq!(anna.ask(DN, &changed), told(0, ""));
        assert_eq!(phone(&anna).as_deref(), Some("8"));
    }
}

#[test]
fn names_that_somebody_has_are_refused_and_new_ones_sign_in() {
    let world = World::new(Dialect::Samba, "Administrator");
    let taken = "00002071: samldb: samAccountName 'bert' already in use!";
    assert_eq!(world.replace("sAMAccountName", "bert"), told(68, taken));
    let taken = "0000202F: samldb: userPrincipalName 'bert@corp.example.com' is already in use ";
    assert_eq!(
        world.replace("userPrincipalName", "bert@corp.example.com"),
        told(19, taken)
    );
    let nobody = world.replace("manager", "CN=x,DC=corp,DC=example,DC=com");
    assert_eq!(short(nobody), told(19, "000020B5"));
    assert_eq!(world.replace("manager", DN), told(0, ""));
    assert_eq!(world.replace("sAMAccountName", "renamed"), told(0, ""));
    let bind = world.domain.bind(DcId::FIRST, "CORP\\renamed", PASSWORD, NOON, |_| ());
    assert_eq!(bind.0.result, BindResult::Success);
}
