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
