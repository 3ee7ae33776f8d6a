//! LDAP clients that people have, on the simulated directory: what the scripts of `testbed/tests/clients` and Samba's and
//! OpenLDAP's tools show of it over LDAP, StartTLS and LDAPS, its certificate verified. `ldap_utils` has more of the
//! latter.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use postern_mock_dc::MockDc;
use serde_json::{Value, json};

use super::server::run;

const BASE: &str = "DC=corp,DC=example,DC=com";

const CONFIG: &str = r#"
[domain]
name = "corp.example.com"
netbios = "CORP"
[policy]
lockout_threshold = 3
lockout_duration_s = 1800
lockout_window_s = 1800
# Whoever has just got a password may change it.
min_password_age_days = 0
[generated]
count = 1200
[control]
listen = "127.0.0.1:0"
[[dcs]]
name = "dc-1"
ldap = "127.0.0.1:0"
ldaps = "127.0.0.1:0"
[[users]]
sam = "good"
password = "Postern-Sample-1"
[[users]]
sam = "expired"
password = "Postern-Sample-1"
password_expired = true
[[users]]
sam = "mustchange"
password = "Postern-Sample-1"
must_change = true
[[users]]
sam = "disabled"
password = "Postern-Sample-1"
disabled = true
[[users]]
sam = "accountexpired"
password = "Postern-Sample-1"
account_expires = "2020-01-01T00:00:00Z"
[[users]]
sam = "locked"
password = "Postern-Sample-1"
locked = "until_unlocked"
"#;

const TRANSPORTS: [&str; 3] = ["ldap", "starttls", "ldaps"];

/// What is signed in with, in a name form that an application would use, and the word on why not.
const BINDS: [(&str, &str, &str, Option<&str>); 8] = [
    ("right", "good@corp.example.com", "Postern-Sample-1", None),
    ("wrong", "good@corp.example.com", "Wrong-1", Some("52e")),
    ("unknown", "nobody@corp.example.com", "Postern-Sample-1", Some("52e")),
    ("expired", "CORP\\expired", "Postern-Sample-1", Some("532")),
    (
        "must change",
        "mustchange@corp.example.com",
        "Postern-Sample-1",
        Some("773"),
    ),
    (
        "disabled",
        "CN=disabled,CN=Users,DC=corp,DC=example,DC=com",
        "Postern-Sample-1",
        Some("533"),
    ),
    (
        "account expired",
        "CORP\\accountexpired",
        "Postern-Sample-1",
        Some("701"),
    ),
    ("locked", "locked@corp.example.com", "Postern-Sample-1", Some("775")),
];

/// The diagnostic message; without the NUL byte behind it, which some clients show and some do not.
fn text(sub_code: &str) -> String {
    format!("80090308: LdapErr: DSID-0C090434, comment: AcceptSecurityContext error, data {sub_code}, v4f7c")
}

/// What a script is told.
fn asked(dc: &MockDc, ca: &Path) -> Value {
    let binds: BTreeMap<_, _> = BINDS
        .iter()
        .map(|(label, name, password, _)| (*label, [*name, *password]))
        .collect();
    // One of the generated accounts for each.
    let changes: BTreeMap<_, _> = (1001..)
        .zip(TRANSPORTS)
        .map(|(number, transport)| {
            let sam = format!("user{number:06}");
            let (name, dn) = (format!("CORP\\{sam}"), format!("CN={sam},CN=Users,{BASE}"));
            (
                transport,
                [
                    name,
                    dn,
                    format!("Postern-{number:06}"),
                    format!("New-Passw0rd-{number}"),
                ],
            )
        })
        .collect();
    json!({
        "ldap": dc.ldap_url(), "ldaps": dc.ldaps_url(), "ca": ca, "base": BASE, "binds": binds, "transports": TRANSPORTS,
        "changes": changes,
    })
}

/// A change that is refused twice and made the third time over TLS is refused three times in the clear.
fn was_changed_over_tls_only(told: &Value, transport: &str) {
    let encrypted = transport != "ldap";
    let expected = match encrypted {
        true => [(19, "00000056: "), (19, "0000052D: "), (0, "")],
        false => [(53, "0000001F: "); 3],
    };
    for (index, (code, text)) in expected.into_iter().enumerate() {
        let [got, said] = [&told[index][0], &told[index][1]];
        assert_eq!(*got, code, "{transport}: {told}");
        assert!(said.as_str().unwrap().starts_with(text), "{transport}: {told}");
    }
    assert_eq!(told[3], encrypted, "{transport}: {told}");
}

fn ca(dc: &MockDc) -> &Path {
    dc.addresses().ca.as_deref().unwrap()
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

fn python() -> Command {
    let program = std::env::var_os("POSTERN_TEST_PYTHON").unwrap_or_else(|| "python3".into());
    let mut command = Command::new(program);
    command.arg(script("ldap3_client.py"));
    command
}

fn node() -> Command {
    assert!(
        std::env::var_os("POSTERN_TEST_CLIENTS").is_some(),
        "POSTERN_TEST_CLIENTS must name a folder in which `npm ci` was run with the package.json of \
         testbed/tests/clients"
    );
    let mut command = Command::new("node");
    command.arg(script("ldapts_client.mjs"));
    command
}

/// What a script saw of a directory.
fn seen(mut client: Command, dc: &MockDc) -> Value {
    let said = run(client.arg(asked(dc, ca(dc)).to_string()));
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// A script that trusts another CA does not come to a bind over TLS.
fn trusts_nobody_else(client: impl Fn() -> Command, dc: &MockDc) {
    let other = MockDc::start(CONFIG).unwrap();
    let mut asked = asked(dc, ca(&other));
    for transport in ["starttls", "ldaps"] {
        asked["transports"] = json!([transport]);
        let output = client().arg(asked.to_string()).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).to_lowercase();
        assert!(
            !output.status.success() && told.contains("certificate"),
            "{transport}: {told}"
        );
    }
    assert_eq!(dc.binds().unwrap(), [Value::Null; 0]);
}

/// `user000001` and on.
fn numbered(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("user{number:06}")).collect()
}

/// Every bind came once from each connection, and was told truly.
fn were_made(dc: &MockDc, transports: usize) {
    let binds = dc.binds().unwrap();
    for (label, name, _, sub_code) in BINDS {
        let told: Vec<_> = binds.iter().filter(|bind| bind["name"] == name).collect();
        let these = told.iter().filter(|bind| bind["sub_code"].as_str() == sub_code).count();
        // Somebody signs in once more to look around.
        let expected = if label == "right" { 2 * transports } else { transports };
        assert_eq!(these, expected, "{label}: {told:?}");
    }
}

#[test]
#[ignore = "needs ldap3; POSTERN_TEST_PYTHON names a Python that has it (.ci/run installs it)"]
fn ldap3_of_python_shows_each_state_reads_the_schema_and_searches_in_pages() {
    let dc = MockDc::start(CONFIG).unwrap();
    trusts_nobody_else(python, &dc);
    let seen = seen(python(), &dc);
    for transport in TRANSPORTS {
        let seen = &seen[transport];
        for (label, _, _, sub_code) in BINDS {
            let expected = match sub_code {
                None => json!([true, 0, "success", ""]),
                Some(sub_code) => json!([false, 49, "invalidCredentials", text(sub_code) + "\0"]),
            };
            assert_eq!(seen["binds"][label], expected, "{transport}: {label}");
        }
        let look = &seen["look"];
        assert_eq!(look["who"], "u:CORP\\good");
        assert_eq!(look["default_naming_context"], json!([BASE]));
        assert_eq!(look["supported_ldap_versions"], json!(["2", "3"]));
        assert_eq!(
            look["schema_knows"],
            json!(["lockoutTime", "objectSid", "sAMAccountName"])
        );
        assert_eq!(look["person"]["dn"], format!("CN=good,CN=Users,{BASE}"));
        assert_eq!(look["person"]["userPrincipalName"], "good@corp.example.com");
        // By the schema, ldap3 knows what these are and shows them so.
        assert_eq!(look["person"]["pwdLastSet"], "datetime");
        let guid = look["person"]["objectGUID"].as_str().unwrap();
        assert!(guid.starts_with('{') && guid.len() == 38, "{guid}");
        let mut paged: Vec<_> = serde_json::from_value::<Vec<String>>(look["paged"].clone()).unwrap();
        paged.sort();
        assert_eq!(paged, numbered(9));
        assert_eq!(look["compare"], "compareTrue");
        // What objects of a class may have, by the schema.
        assert_eq!(look["form"], json!(["givenName", "homePhone", "sAMAccountName"]));
        assert_eq!(look["missing_base"][0], "noSuchObject");
        was_changed_over_tls_only(&seen["changes"], transport);
    }
    were_made(&dc, 3);
}

#[test]
#[ignore = "needs ldapts; POSTERN_TEST_CLIENTS names a folder that has it (.ci/run installs it)"]
fn ldapts_of_node_shows_each_state_searches_in_pages_and_asks_many_things_at_once() {
    let dc = MockDc::start(CONFIG).unwrap();
    trusts_nobody_else(node, &dc);
    let seen = seen(node(), &dc);
    for transport in TRANSPORTS {
        let seen = &seen[transport];
        for (label, _, _, sub_code) in BINDS {
            let expected = match sub_code {
                None => json!(["", 0, ""]),
                Some(sub_code) => json!(["InvalidCredentialsError", 49, text(sub_code) + "\0 Code: 0x31"]),
            };
            assert_eq!(seen["binds"][label], expected, "{transport}: {label}");
        }
        let look = &seen["look"];
        assert_eq!((&look["who"], &look["root"]), (&json!("u:CORP\\good"), &json!(BASE)));
        assert_eq!(
            look["person"],
            json!([[format!("CN=good,CN=Users,{BASE}"), "good@corp.example.com", 16]])
        );
        // Below the domain's root there is more, elsewhere.
        assert_eq!(look["references"], 3);
        let pages: Vec<Vec<String>> = serde_json::from_value(look["pages"].clone()).unwrap();
        let sizes: Vec<_> = pages.iter().map(Vec::len).filter(|size| *size > 0).collect();
        assert_eq!(sizes, [4, 4, 1]);
        let mut paged = pages.concat();
        paged.sort();
        assert_eq!(paged, numbered(9));
        assert_eq!(look["atOnce"], json!(numbered(20)));
        assert_eq!(look["compare"], true);
        assert_eq!(
            (&look["missingBase"][0], &look["missingBase"][1]),
            (&json!("NoSuchObjectError"), &json!(32))
        );
        was_changed_over_tls_only(&seen["changes"], transport);
    }
    were_made(&dc, 3);
}

/// Samba's `ldbsearch` as `name`, below the domain's root.
fn ldbsearch(url: &str, ca: &Path, name: &str, password: &str, more: &[&str]) -> Output {
    Command::new("ldbsearch")
        .args(["-H", url, "-b", BASE, "--simple-bind-dn", name])
        .arg(format!("--password={password}"))
        // Nothing of the machine's own configuration; and a certificate for this host, of this CA.
        .args(["--configfile=/dev/null", "--option=tls verify peer=ca_and_name"])
        .arg(format!("--option=tls cafile={}", ca.display()))
        .args(more)
        .output()
        .unwrap()
}

#[test]
#[ignore = "needs samba (.ci/run installs it)"]
fn ldbsearch_of_samba_shows_each_state_and_searches_in_pages() {
    let dc = MockDc::start(CONFIG).unwrap();
    // It wants a name to verify. StartTLS is not among what it can.
    let urls = [dc.ldap_url().unwrap(), dc.ldaps_url().unwrap()].map(|url| url.replace("127.0.0.1", "localhost"));
    let other = MockDc::start(CONFIG).unwrap();
    let refused = ldbsearch(&urls[1], ca(&other), "CORP\\good", "Postern-Sample-1", &["cn=good"]);
    assert!(!refused.status.success(), "{refused:?}");
    assert_eq!(dc.binds().unwrap(), [Value::Null; 0]);
    for url in &urls {
        for (label, name, password, sub_code) in BINDS {
            let output = ldbsearch(
                url,
                ca(&dc),
                name,
                password,
                &["(sAMAccountName=good)", "userPrincipalName"],
            );
            let (said, complained) = (
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr),
            );
            let expected = match sub_code {
                None => output.status.success() && said.contains("userPrincipalName: good@corp.example.com\n"),
                Some(sub_code) => {
                    !output.status.success()
                        && complained.contains(&format!("LDAP_INVALID_CREDENTIALS -  <{}> <>", text(sub_code)))
                }
            };
            assert!(expected, "{url} {label}: {said}{complained}");
        }
        // More than a page: Active Directory gives a thousand at once, and ldbsearch takes as many.
        let filter = "(&(objectCategory=person)(sAMAccountName=user0*))";
        let more = ["--paged", filter, "sAMAccountName"];
        let output = ldbsearch(url, ca(&dc), "good@corp.example.com", "Postern-Sample-1", &more);
        let said = String::from_utf8_lossy(&output.stdout);
        for name in numbered(1200) {
            assert_eq!(
                said.matches(&format!("sAMAccountName: {name}\n")).count(),
                1,
                "{name}: {said}"
            );
        }
    }
    were_made(&dc, 2);
}
