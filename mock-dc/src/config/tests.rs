//! What a configuration may say, and that everything it may not is told at once with its key.

use postern_service::config::{ConfigError, load, parse};

use super::*;
use crate::domain::policy::Policy;
use crate::domain::settings::Lock;

const VALID: &str = r#"
[domain]
name = "corp.example.com"
netbios = "CORP"
[control]
listen = "127.0.0.1:0"
[[dcs]]
name = "dc-1"
ldap = "127.0.0.1:0"
"#;

fn read(text: &str) -> Result<Config, ConfigError> {
    parse::<RawFile>(text, Path::new("test.toml"), Path::new("."), [])
}

fn problems(text: &str) -> String {
    read(text).expect_err("an invalid configuration").to_string()
}

#[test]
fn the_example_is_valid() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/mock-dc.toml");
    let config = load::<RawFile>(&path, []).expect("a valid example");
    assert_eq!(config.dcs.len(), 2);
    assert_eq!(config.domain.generated.count, 1000);
    let locked = config
        .domain
        .users
        .iter()
        .find(|user| user.sam == "locked")
        .expect("a locked account");
    assert_eq!(locked.lock, Lock::UntilUnlocked);
}

#[test]
fn the_other_examples_are_valid() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let truth = load::<RawFile>(&examples.join("ground-truth.toml"), []).expect("a valid example");
    assert_eq!(truth.domain.users.len(), 90);
    let million = load::<RawFile>(&examples.join("million.toml"), []).expect("a valid example");
    assert_eq!(million.domain.generated.count, 1_000_000);
}

#[test]
fn what_is_not_said_has_its_default() {
    let config = read(VALID).expect("a valid configuration");
    assert_eq!(config.domain.dialect, Dialect::Windows);
    assert_eq!(config.domain.policy.lockout.threshold, 10);
    assert_eq!(
        config.domain.policy.max_password_age,
        Some(Duration::from_secs(42 * 86_400))
    );
    assert_eq!(config.domain.generated.count, 0);
    assert_eq!(config.domain.replication_delay, Duration::from_secs(15));
    assert!(config.admin.is_none());
    assert!(matches!(config.tls, Source::Made { ca_file } if ca_file == Path::new("./corp.example.com-ca.pem")));
}

#[test]
fn everything_wrong_is_named_at_once_with_its_key() {
    let text = r#"
users_file = "does-not-exist.toml"
[domain]
name = "corp..example"
netbios = "FAR-TOO-LONG-FOR-NETBIOS"
pdc = "dc-3"
replication_delay_ms = -1
[policy]
lockout_threshold = 3
lockout_duration_s = 60
lockout_window_s = 120
[generated]
password = ""
mail_suffix = "not one"
[tls]
certificate = "does-not-exist.pem"
[control]
listen = "0.0.0.0:1"
[admin]
listen = "here"
[[dcs]]
name = "dc-1"
[[dcs]]
name = "DC-1"
ldap = "127.0.0.1"
favourite = true
[log]
level = "loud"
"#;
    let told = problems(text);
    for key in [
        "domain.name: ",
        "domain.netbios: ",
        "domain.pdc: \"dc-3\" is not the name of one of the dcs; there are: dc-1, DC-1",
        "domain.replication_delay_ms: must not be negative",
        "policy.lockout_duration_s: ",
        "generated.password: ",
        "generated.mail_suffix: ",
        "tls.key: is missing",
        "control.listen: ",
        "admin.listen: ",
        "dcs[0]: has neither",
        "dcs[1].name: ",
        "dcs[1].ldap: ",
        "dcs[1].favourite: unknown field",
        "log.level: ",
    ] {
        assert!(told.contains(key), "{key} is not in: {told}");
    }
}

#[test]
fn wrong_accounts_are_named_at_once_with_their_key() {
    let text = format!(
        r#"{VALID}
[generated]
count = 10
[[users]]
sam = "good"
password = "x"
[[users]]
sam = "GOOD"
cn = "other"
password = "x"
[[users]]
sam = "a@b"
password = "x"
must_change = true
password_expired = true
[[users]]
sam = "user000010"
password = "x"
[[users]]
sam = "nopassword"
[[users]]
sam = "empty"
password = ""
[[users]]
sam = "times"
password = "x"
account_expires = "tomorrow"
logon_hours = "ff"
[[users]]
sam = "claims"
upn = "good@corp.example.com"
password = "x"
[[users]]
sam = "both"
password = "x"
locked = true
lockout_exempt = true
"#
    );
    let told = problems(&text);
    for key in [
        "users[1].sam: \"GOOD\" is taken by users[0]",
        "users[2].sam: ",
        "users[2]: has more than one",
        "users[3].sam: \"user000010\" is the name of a generated account",
        "users[4].password: is missing",
        "users[5].password: must not be empty",
        "users[6].account_expires: ",
        "users[6].logon_hours: ",
        "users[7].upn: \"good@corp.example.com\" is taken by users[0]",
        "users[8].locked: ",
    ] {
        assert!(told.contains(key), "{key} is not in: {told}");
    }
}

#[test]
fn wrong_units_groups_and_policies_are_named_at_once_with_their_key() {
    let text = format!(
        r#"{VALID}
[[organizational_units]]
name = "Test"
[[organizational_units]]
name = "Inner"
path = "OU=Nowhere"
[[organizational_units]]
name = "TEST"
[[groups]]
name = "Domain Admins"
[[groups]]
name = "Own"
path = "CN=nowhere"
members = ["good", "nobody"]
[[password_settings]]
name = "Short"
precedence = 0
applies_to = []
lockout_threshold = 3
lockout_duration_s = 1
lockout_window_s = 6
[[password_settings]]
name = "short"
precedence = 2
applies_to = ["own", "Nobody"]
max_password_age_days = 2
min_password_age_days = 2
min_password_length = 300
[[users]]
sam = "good"
password = "x"
path = "OU=Missing"
guid = "1"
attributes = {{ favouriteColour = "red", badPwdCount = "1", sn = ["a", "b"] }}
[[users]]
sam = "Own"
password = "x"
path = "OU=Test"
"#
    );
    let told = problems(&text);
    for key in [
        "organizational_units[1].path: nothing stands at \"OU=Nowhere\"",
        "organizational_units[2].name: \"TEST\" is there already",
        "groups[0].name: \"Domain Admins\" is taken by every domain",
        "groups[1].name: \"Own\" is taken by users[1]",
        "groups[1].path: ",
        "groups[1].members: nobody and no group has the sAMAccountName \"nobody\"",
        "password_settings[0].precedence: ",
        "password_settings[0].applies_to: names nobody",
        "password_settings[0].lockout_duration_s: ",
        "password_settings[1].name: \"short\" is taken by password_settings[0]",
        "password_settings[1].applies_to: nobody and no group has the sAMAccountName \"Nobody\"",
        "password_settings[1].min_password_age_days: ",
        "password_settings[1].min_password_length: ",
        "users[0].path: ",
        "users[0].guid: ",
        "users[0].attributes.favouriteColour: is not an attribute",
        "users[0].attributes.badPwdCount: follows",
    ] {
        assert!(told.contains(key), "{key} is not in: {told}");
    }
}

#[test]
fn nothing_takes_the_name_of_a_generated_account() {
    let text = format!(
        r#"{VALID}
[generated]
count = 3
[[organizational_units]]
name = "Test"
[[groups]]
name = "User000001"
path = "OU=Test"
[[groups]]
name = "user000004"
[[users]]
sam = "explicit"
cn = "user000002"
path = "CN=Users"
password = "x"
[[users]]
sam = "elsewhere"
cn = "user000002"
path = "OU=Test"
password = "x"
"#
    );
    let told = problems(&text);
    for (key, name) in [("groups[0].name", "User000001"), ("users[0].cn", "user000002")] {
        let expected = format!("{key}: {name:?} is the name of a generated account");
        assert!(told.contains(&expected), "{expected} is not in: {told}");
    }
    assert!(!told.contains("groups[1]") && !told.contains("users[1]"), "{told}");
}

#[test]
fn a_fine_grained_policy_names_no_group_that_it_reaches_nobody_by() {
    let text = |dialect: &str| {
        let file = format!(
            r#"{VALID}
[[groups]]
name = "Local"
scope = "domain-local"
[[groups]]
name = "Global"
[[password_settings]]
name = "Own"
precedence = 1
applies_to = ["local", "Global", "administrators", "Schema Admins", "Domain Users"]
"#
        );
        file.replace("netbios = ", &format!("dialect = \"{dialect}\"\nnetbios = "))
    };
    let named = |told: &str, who: &str| told.contains(&format!("password_settings[0].applies_to: {who:?} is a group"));
    for (dialect, refused) in [
        ("windows", &["local", "administrators", "Schema Admins"][..]),
        ("samba", &["administrators"]),
    ] {
        let told = problems(&text(dialect));
        for who in ["local", "Global", "administrators", "Schema Admins", "Domain Users"] {
            assert_eq!(named(&told, who), refused.contains(&who), "{dialect}, {who}: {told}");
        }
    }
}

#[test]
fn what_a_fine_grained_policy_does_not_say_is_as_in_the_domains() {
    let text = format!(
        r#"{VALID}
[policy]
lockout_threshold = 4
password_history = 5
[[password_settings]]
name = "Own"
precedence = 1
applies_to = ["good"]
lockout_threshold = 0
[[users]]
sam = "good"
password = "x"
"#
    );
    let config = read(&text).expect("a valid configuration");
    let (domain, own) = (config.domain.policy, config.domain.password_settings[0].policy);
    assert_eq!((domain.lockout.threshold, domain.history), (4, 5));
    assert_eq!(own.lockout.threshold, 0);
    assert_eq!(
        Policy {
            lockout: domain.lockout,
            ..own
        },
        domain
    );
}

#[test]
fn a_lock_needs_a_threshold_and_an_expiry_an_age() {
    let text = format!(
        "{VALID}[policy]\nlockout_threshold = 0\nmax_password_age_days = 0\n[[users]]\nsam = \"a\"\npassword = \"x\"\nlocked = true\npassword_expired = true\n"
    );
    let told = problems(&text);
    assert!(
        told.contains("users[0].locked: ") && told.contains("users[0].password_expired: "),
        "{told}"
    );
}

#[test]
fn the_control_interface_leaves_loopback_only_when_that_is_meant() {
    let remote = VALID.replace("127.0.0.1:0\"\n[[dcs", "0.0.0.0:0\"\n[[dcs");
    assert!(problems(&remote).contains("control.listen: "));
    let meant = remote.replace("[control]", "[control]\nallow_remote = true");
    assert!(read(&meant).is_ok());
}

#[test]
fn no_password_is_told_and_none_is_kept() {
    let text = format!("{VALID}[[users]]\nsam = \"a\"\npassword = \"Very-Secret-1\"\n");
    assert!(!format!("{:?}", read(&text).expect("valid")).contains("Very-Secret"));
    for (wrong, told) in [
        ("[\"Very-Secret-1\"]", "users[0].password"),
        ("76543210", "users[0].password: must be a text, in quotation marks"),
        ("7654321765432176543217654321", "line 12, column 12: "),
        ("7654321.5", "users[0].password: must be a text, in quotation marks"),
        ("\"Very-Secret-1", "line 12, column 26: "),
        ("Very-Secret-1", "line 12, column 12: "),
    ] {
        let text = format!("{VALID}[[users]]\nsam = \"a\"\npassword = {wrong}\n");
        let problems = problems(&text);
        assert!(problems.contains(told), "{wrong}: {problems}");
        assert!(
            !problems.contains("Very-Secret") && !problems.contains("7654"),
            "{problems}"
        );
    }
}

#[test]
fn accounts_of_a_file_count_like_those_of_the_configuration() {
    let folder = std::env::temp_dir().join(format!("postern-mock-dc-users-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join("users.toml");
    std::fs::write(&file, "[[users]]\nsam = \"filed\"\npassword = \"x\"\n").expect("a file");
    let text =
        format!("users_file = \"users.toml\"\n{VALID}[[users]]\nsam = \"FILED\"\ncn = \"other\"\npassword = \"x\"\n");
    let at = |text: &str| parse::<RawFile>(text, Path::new("test.toml"), &folder, []);
    let told = at(&text).expect_err("one name twice").to_string();
    assert!(
        told.contains("users.toml: users[0].sam: \"filed\" is taken by users[0]"),
        "{told}"
    );
    let config = at(&text.replace("FILED", "other")).expect("valid");
    assert_eq!(
        config
            .domain
            .users
            .iter()
            .map(|user| user.sam.as_str())
            .collect::<Vec<_>>(),
        ["other", "filed"]
    );

    std::fs::write(&file, "[[users]]\nsam = \"filed\"\npassword = Very-Secret\n").expect("a file");
    let told = at(&text).expect_err("no TOML").to_string();
    assert!(
        told.contains("users.toml, line 3, column 12: ") && !told.contains("Very-Secret"),
        "{told}"
    );
    std::fs::write(&file, "[[users]]\nsam = \"filed\"\npassword = \"x\"\ndisabld = true\n").expect("a file");
    let told = at(&text).expect_err("no such member").to_string();
    std::fs::write(
        &file,
        "[[users]]\nsam = \"filed\"\npassword = 7654321765432176543217654321\n",
    )
    .expect("a file");
    let number = at(&text).expect_err("no text").to_string();
    assert!(
        number.contains("users.toml, line 3, column 12: ") && !number.contains("7654"),
        "{number}"
    );
    assert!(
        told.contains("users.toml, line 4, column 1: unknown field `disabld`"),
        "{told}"
    );
    std::fs::remove_dir_all(&folder).expect("a folder to remove");
}

#[test]
fn listeners_that_get_in_each_others_way_are_named() {
    let text = r#"
[domain]
name = "corp.example.com"
netbios = "CORP"
[control]
listen = "127.0.0.1:10380"
[admin]
listen = "127.0.0.1:10380"
[[dcs]]
name = "dc-1"
ldap = "127.0.0.1:10389"
ldaps = "127.0.0.1:10389"
[[dcs]]
name = "dc-2"
ldap = "0.0.0.0:10389"
ldaps = "127.0.0.1:10380"
[[dcs]]
name = "dc-3"
ldap = "127.0.0.2:10380"
ldaps = "127.0.0.1:0"
[[dcs]]
name = "dc-4"
ldaps = "127.0.0.1:0"
"#;
    let told = problems(text);
    for problem in [
        "admin.listen: 127.0.0.1:10380 is taken by control.listen",
        "dcs[0].ldaps: 127.0.0.1:10389 is taken by dcs[0].ldap",
        "dcs[1].ldap: 0.0.0.0:10389 is taken by dcs[0].ldap",
        "dcs[1].ldaps: 127.0.0.1:10380 is taken by control.listen",
        "has 4 problems",
    ] {
        assert!(told.contains(problem), "{problem} is not in: {told}");
    }
}

#[test]
fn identifiers_and_places_that_are_taken_are_named() {
    let text = format!(
        r#"{VALID}
[policy]
password_history = 25
lockout_threshold = 3
lockout_window_s = 0
[[groups]]
name = "Team"
rid = 1200
[[users]]
sam = "first"
password = "x"
guid = "6f8b2c1e-0000-4000-8000-000000000001"
rid = 1200
[[users]]
sam = "second"
password = "x"
guid = "6F8B2C1E-0000-4000-8000-000000000001"
rid = 500
[[users]]
sam = "third"
cn = "First"
path = "cn=users"
password = "x"
rid = 1000
[[users]]
sam = "fourth"
cn = "team"
password = "x"
"#
    );
    let told = problems(&text);
    for problem in [
        "policy.password_history: must be at most 24",
        "policy.lockout_window_s: must be at least 1",
        "groups[0].rid: \"1200\" is taken by users[0].rid",
        "groups[0].name: \"Team\" has its place in the tree taken by users[3]",
        "users[1].guid: \"6f8b2c1e-0000-4000-8000-000000000001\" is taken by users[0].guid",
        "users[1].rid: 500 is one of those below 1000",
        "users[2].rid: \"1000\" is taken by dcs",
        "users[2].cn: \"First\" is taken by users[0]",
        "has 8 problems",
    ] {
        assert!(told.contains(problem), "{problem} is not in: {told}");
    }
}

#[test]
fn a_password_may_be_shorter_than_the_policy_asks_for() {
    let text = VALID.replace("[control]", "administrator_password = \"x\"\n[control]");
    let config = read(&format!("{text}[[users]]\nsam = \"a\"\npassword = \"x\"\n"));
    assert!(config.is_ok(), "administrators set what they like: {config:?}");
}

#[test]
fn a_clock_that_cannot_be_and_a_snapshot_that_is_not_there_are_named() {
    let clock = |text: &str| problems(&format!("{VALID}[clock]\n{text}\n"));
    for (text, problem) in [
        ("now = \"tomorrow\"", "clock.now: \"tomorrow\" is not a moment"),
        ("now = \"1950-01-01T00:00:00Z\"", "clock.now: the clock shows"),
        ("offset_s = 1e13", "clock.offset_s: the clock shows"),
        ("rate = -1", "clock.rate: rate must be"),
        (
            "now = \"2030-01-31T18:00:00Z\"\noffset_s = 1",
            "clock.offset_s: is not possible together",
        ),
        (
            "rate = 2\n[snapshot]\nload = \"none.json\"",
            "clock: is not possible together with snapshot.load",
        ),
        (
            "[snapshot]\nload = \"none.json\"",
            "snapshot.load: ./none.json: No such file",
        ),
        ("[snapshot]", "snapshot.load: is missing"),
    ] {
        assert!(clock(text).contains(problem), "{problem} is not in: {}", clock(text));
    }
    let config = read(&format!("{VALID}[clock]\nnow = \"2030-01-31T18:00:00Z\"\nrate = 0\n")).expect("valid");
    let clock = crate::clock::Clock::new(config.start.clock);
    assert_eq!(clock.now(), time::macros::datetime!(2030-01-31 18:00 UTC));
}

#[test]
fn faults_strike_accounts_and_no_groups() {
    let text = format!(
        "{VALID}{}",
        r#"
[generated]
count = 10
[[groups]]
name = "Team"
[[users]]
sam = "Somebody"
password = "x"
[[faults]]
kind = "latency"
ms = 1
users = ["somebody", "user000003", "administrator", "DC-1$", "TEAM", "Domain Users", "nobody"]
"#
    );
    let told = problems(&text);
    for index in 4..7 {
        let problem = format!("faults[0].users[{index}]: nobody has the sAMAccountName");
        assert!(told.contains(&problem), "{problem} is not in: {told}");
    }
    assert!(told.contains("has 3 problems"), "{told}");
}
