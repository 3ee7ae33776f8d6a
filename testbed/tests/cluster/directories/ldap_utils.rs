//! OpenLDAP's command-line clients against the simulated directory, as somebody would look at it by hand.

use std::process::{Command, Output};

use crate::harness::{Cluster, Setup};

const NAME: &str = "user000001@corp.example.com";
const PASSWORD: &str = "Postern-000001";

/// How a client is told to connect: (URL, options).
fn ways(cluster: &Cluster) -> [(&str, &'static [&'static str]); 3] {
    let (ldap, ldaps) = (cluster.text("/dcs/0/ldap"), cluster.text("/dcs/0/ldaps"));
    // -ZZ: StartTLS, and nothing without it.
    [(ldap, &[]), (ldaps, &[]), (ldap, &["-ZZ"])]
}

fn client(cluster: &Cluster, program: &str, url: &str, options: &[&str], more: &[&str]) -> Output {
    Command::new(program)
        .env("LDAPTLS_CACERT", cluster.text("/ca"))
        .env("LDAPTLS_REQCERT", "demand")
        .args(["-x", "-H", url])
        .args(options)
        .args(more)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
#[ignore = "needs ldap-utils (.ci/run installs it)"]
async fn ldapwhoami_is_told_who_it_is_over_every_transport() {
    let cluster = Setup::new(&["--agents", "1", "--dcs", "1", "--users", "3"])
        .start()
        .await;
    for (url, options) in ways(&cluster) {
        let output = client(&cluster, "ldapwhoami", url, options, &["-D", NAME, "-w", PASSWORD]);
        assert_eq!(text(&output.stdout), "u:CORP\\user000001\n", "{}", text(&output.stderr));
        let anonymous = client(&cluster, "ldapwhoami", url, options, &[]);
        assert_eq!(text(&anonymous.stdout), "anonymous\n", "{}", text(&anonymous.stderr));
        // 49, with Active Directory's own text.
        let wrong = client(&cluster, "ldapwhoami", url, options, &["-D", NAME, "-w", "Wrong-1"]);
        let said = text(&wrong.stderr);
        assert_eq!(wrong.status.code(), Some(49), "{said}");
        assert!(said.contains("data 52e"), "{said}");
    }
}

#[tokio::test]
#[ignore = "needs ldap-utils (.ci/run installs it)"]
async fn ldapsearch_finds_a_person_and_the_rootdse_over_every_transport() {
    let cluster = Setup::new(&["--agents", "1", "--dcs", "1", "--users", "3"])
        .start()
        .await;
    for (url, options) in ways(&cluster) {
        let root = ["-LLL", "-s", "base", "-b", "", "defaultNamingContext"];
        let root = client(&cluster, "ldapsearch", url, options, &root);
        assert_eq!(
            text(&root.stdout),
            "dn:\ndefaultNamingContext: DC=corp,DC=example,DC=com\n\n",
            "{}",
            text(&root.stderr)
        );
        let person = [
            "-LLL",
            "-D",
            NAME,
            "-w",
            PASSWORD,
            "-b",
            "DC=corp,DC=example,DC=com",
            "(sAMAccountName=user000002)",
            "userPrincipalName",
        ];
        let found = client(&cluster, "ldapsearch", url, options, &person);
        let shown = text(&found.stdout);
        assert_eq!(found.status.code(), Some(0), "{}", text(&found.stderr));
        assert_eq!(shown.matches("dn: ").count(), 1, "{shown}");
        assert!(
            shown.contains("userPrincipalName: user000002@corp.example.com\n"),
            "{shown}"
        );
    }
}

#[tokio::test]
#[ignore = "needs ldap-utils (.ci/run installs it)"]
async fn ldapsearch_reads_page_by_page_and_ldapcompare_and_ldapexop_get_an_answer() {
    let cluster = Setup::new(&["--agents", "1", "--dcs", "1", "--users", "20"])
        .start()
        .await;
    let person = "CN=user000002,CN=Users,DC=corp,DC=example,DC=com";
    for (url, options) in ways(&cluster) {
        let as_somebody = [options, &["-D", NAME, "-w", PASSWORD]].concat();
        let pages = [
            "-E",
            "pr=8/noprompt",
            "-b",
            "DC=corp,DC=example,DC=com",
            "(&(objectCategory=person)(sAMAccountName=user0*))",
            "sAMAccountName",
        ];
        let found = client(&cluster, "ldapsearch", url, &as_somebody, &pages);
        let shown = text(&found.stdout);
        assert_eq!(found.status.code(), Some(0), "{shown}{}", text(&found.stderr));
        for number in 1..=20 {
            let line = format!("sAMAccountName: user{number:06}\n");
            assert_eq!(shown.matches(&line).count(), 1, "{line}{shown}");
        }
        // Eight, eight and four, each with the control's answer; the last has no cookie.
        assert_eq!(
            shown.matches("control: 1.2.840.113556.1.4.319 false ").count(),
            3,
            "{shown}"
        );
        assert_eq!(shown.matches("pagedresults: cookie=\n").count(), 1, "{shown}");

        for (assertion, code) in [("sAMAccountName:USER000002", 6), ("sAMAccountName:user000003", 5)] {
            let compared = client(&cluster, "ldapcompare", url, &as_somebody, &[person, assertion]);
            assert_eq!(compared.status.code(), Some(code), "{}", text(&compared.stdout));
        }
        let who = client(&cluster, "ldapexop", url, &as_somebody, &["whoami"]);
        assert!(
            text(&who.stdout).contains("u:CORP\\user000001"),
            "{}",
            text(&who.stdout)
        );
    }
}

#[tokio::test]
#[ignore = "needs ldap-utils (.ci/run installs it)"]
async fn ldapwhoami_shows_why_each_sample_user_is_refused() {
    let cluster = Setup::new(&["--agents", "1", "--dcs", "1", "--users", "1"])
        .start()
        .await;
    for (url, options) in ways(&cluster) {
        let mut refused = 0;
        for user in cluster.list("users") {
            let [name, password, expected] =
                ["username", "password", "expect"].map(|member| user[member].as_str().unwrap());
            let sub_code = match expected {
                "success" => continue,
                "password_expired" => "532",
                "password_must_change" => "773",
                "account_disabled" => "533",
                "account_expired" => "701",
                "account_locked" => "775",
                "logon_hours" => "530",
                "logon_workstation" => "531",
                other => panic!("{other}"),
            };
            let output = client(&cluster, "ldapwhoami", url, options, &["-D", name, "-w", password]);
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(49), "{said}");
            assert!(
                said.contains(&format!("AcceptSecurityContext error, data {sub_code}, ")),
                "{name}: {said}"
            );
            refused += 1;
        }
        assert_eq!(refused, 7);
    }
}
