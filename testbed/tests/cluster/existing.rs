//! `postern up --directory`: the cluster in front of a directory that is there already. Here it is the simulated
//! directory of another cluster, as a stranger would meet it: by its URL and its CA.

use std::os::unix::fs::PermissionsExt;

use postern_testbed::pki::Pki;
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Cluster, Scratch, Setup, signal};

const SERVICE_ACCOUNT: &str = "user000020@corp.example.com";

/// A generated account's, and not to be seen anywhere.
const SERVICE_PASSWORD: &str = "Postern-000020";

async fn directory() -> Cluster {
    Setup::new(&["--agents", "1", "--dcs", "2", "--users", "20"])
        .start()
        .await
}

fn in_front_of(directory: &Cluster, url: &str, more: &[&str]) -> Setup {
    let ca = directory.text("/ca");
    let arguments = ["--directory", url, "--directory-ca", ca, "--ports", "auto"];
    Setup::new(&[&arguments[..], more].concat())
}

#[tokio::test]
async fn one_command_puts_the_cluster_in_front_of_a_directory_over_ldaps_or_starttls() {
    let directory = directory().await;
    for (scheme, pointer) in [("ldaps", "/dcs/0/ldaps"), ("ldap", "/dcs/1/ldap")] {
        let url = directory.text(pointer);
        let cluster = in_front_of(&directory, url, &["--agents", "2"]).start().await;
        assert_eq!(
            (cluster.text("/tenant"), cluster.text("/realm")),
            ("acme", "corp.example.com")
        );
        let dc = serde_json::json!({ "name": "127.0.0.1", scheme: url });
        assert_eq!(cluster.about["dcs"], Value::Array(vec![dc]));
        assert_eq!(cluster.about["users"], Value::Array(Vec::new()));
        assert_eq!(cluster.running.children().len(), 1 + 2, "{}", cluster.running.stderr());
        for (name, password, outcome) in [
            ("user000001@corp.example.com", "Postern-000001", "success"),
            ("CORP\\user000002", "Postern-000002", "success"),
            ("user000003@corp.example.com", "Postern-000004", "invalid_credentials"),
            ("peter.past@corp.example.com", "Expired-Sample-4", "password_expired"),
        ] {
            assert_eq!(
                cluster.sign_in(name, password).await.outcome(),
                outcome,
                "{scheme} {name}"
            );
        }
        // Every word on why not, through an agent that was told nothing but the URL.
        for user in directory.list("users") {
            let [name, password, expected] =
                ["username", "password", "expect"].map(|member| user[member].as_str().unwrap());
            if name.ends_with("@corp.example.com") {
                assert_eq!(
                    cluster.sign_in(name, password).await.outcome(),
                    expected,
                    "{scheme} {name}"
                );
            }
        }
        let told = cluster.running.stderr();
        assert!(
            told.contains("Realm corp.example.com, NetBIOS name CORP (a guess from it"),
            "{told}"
        );
    }
}

#[tokio::test]
async fn several_domain_controllers_share_the_work_and_one_that_is_down_is_told() {
    let directory = directory().await;
    let (up, down) = (directory.text("/dcs/0/ldaps"), "ldaps://127.0.0.1:1");
    let setup = in_front_of(&directory, up, &["--directory", down, "--agents", "1"]);
    let cluster = setup.start().await;
    let told = cluster.running.stderr();
    assert!(
        told.contains(&format!("{down}: ")) && told.contains("the agents keep trying"),
        "{told}"
    );
    assert_eq!(cluster.list("dcs").len(), 2);
    let answer = cluster.sign_in("user000001@corp.example.com", "Postern-000001").await;
    assert_eq!(answer.outcome(), "success");
}

#[tokio::test]
async fn what_is_wrong_with_the_directory_is_named_before_anything_is_started() {
    let (directory, stranger) = (directory().await, directory().await);
    let right = directory.text("/dcs/0/ldaps");
    let port = right.rsplit(':').next().unwrap();
    let by_another_name = format!("ldaps://[::ffff:127.0.0.1]:{port}");
    let plain = directory.text("/dcs/0/ldap").replace("ldap://", "ldaps://");
    for (cluster, url, complaint) in [
        (&directory, "ldaps://127.0.0.1:1", "127.0.0.1:1"),
        (&stranger, right, "not issued by an authority"),
        (&directory, &by_another_name, "certificate is not for"),
        (&directory, &plain, "is this the LDAPS port"),
    ] {
        let mut running = in_front_of(cluster, url, &[]).spawn();
        let (status, output) = running.end().await;
        let told = running.stderr();
        assert_eq!((status.code(), output.as_str()), (Some(1), ""), "{url}: {told}");
        assert!(
            told.contains(complaint) && told.contains("nothing was started"),
            "{url}: {told}"
        );
        // What was typed is what can be mended: nobody here has written an agent's configuration.
        let of_agents = ["directory.", "server_name"].iter().any(|key| told.contains(key));
        assert!(!of_agents, "{url}: {told}");
    }
}

#[tokio::test]
async fn without_an_authority_named_those_of_the_system_are_trusted_and_no_others() {
    let directory = directory().await;
    let other = Scratch::new();
    let other_ca = Pki::init(&other.path().join("pki"), "other.test".parse().unwrap())
        .unwrap()
        .ca();
    let setup = |authorities: &str| {
        let arguments = [
            "--directory",
            directory.text("/dcs/0/ldaps"),
            "--ports",
            "auto",
            "--agents",
            "1",
        ];
        // Where the system's store is, to every program that looks for it as OpenSSL does.
        Setup::new(&arguments).env("SSL_CERT_FILE", authorities)
    };
    let cluster = setup(directory.text("/ca")).start().await;
    let answer = cluster.sign_in("user000001@corp.example.com", "Postern-000001").await;
    assert_eq!(answer.outcome(), "success");
    let mut running = setup(other_ca.to_str().unwrap()).spawn();
    assert_eq!(running.end().await.0.code(), Some(1));
    let told = running.stderr();
    assert!(
        told.contains("not issued by an authority") && told.contains("--directory-ca"),
        "{told}"
    );
    assert!(!told.contains("directory."), "{told}");
}

#[tokio::test]
async fn the_realm_and_its_names_can_be_other_than_what_the_directory_says() {
    let directory = directory().await;
    let names = [
        "--directory-realm",
        "office.example",
        "--netbios",
        "OFFICE",
        "--upn-suffix",
        "@corp.example.com",
    ];
    let setup = in_front_of(&directory, directory.text("/dcs/0/ldaps"), &names);
    let cluster = setup.start().await;
    assert_eq!(cluster.text("/realm"), "office.example");
    let answer = cluster.sign_in("user000001@corp.example.com", "Postern-000001").await;
    assert_eq!(answer.outcome(), "success");
    // Routed to the realm; that the directory has another name for itself is its own answer.
    for name in ["user000001@office.example", "OFFICE\\user000001"] {
        assert_eq!(
            cluster.sign_in(name, "Postern-000001").await.outcome(),
            "invalid_credentials",
            "{name}"
        );
    }
    let unknown = cluster.sign_in("CORP\\user000001", "Postern-000001").await;
    assert_eq!(unknown.outcome(), "unknown_realm");
}

#[tokio::test]
async fn people_sign_in_by_an_attribute_and_the_service_password_shows_nowhere() {
    let folder = Scratch::new();
    let people = folder.path().join("people.toml");
    let maria =
        "[[users]]\nsam = \"mm4711\"\npassword = \"Maria-Sample-1\"\nmail = \"maria.moser@people.example.net\"\n";
    std::fs::write(&people, maria).unwrap();
    let people = people.to_str().unwrap();
    let host = ["--agents", "1", "--dcs", "1", "--users", "20", "--dc-config", people];
    let directory = Setup::new(&host).start().await;
    let look_up = [
        "--agents",
        "1",
        "--alternate-id",
        "mail",
        "--service-account",
        SERVICE_ACCOUNT,
        "--upn-suffix",
        "mail.example.org",
    ];
    let setup = in_front_of(&directory, directory.text("/dcs/0/ldaps"), &look_up);
    let mut cluster = setup.env("POSTERN_SERVICE_PASSWORD", SERVICE_PASSWORD).start().await;
    for (name, password, outcome) in [
        ("maria.moser@people.example.net", "Maria-Sample-1", "success"),
        ("Maria.Moser@People.Example.Net", "Maria-Sample-1", "success"),
        ("maria.moser@people.example.net", "Wrong-1", "invalid_credentials"),
        ("mm4711@people.example.net", "Maria-Sample-1", "invalid_credentials"),
        ("mm4711@corp.example.com", "Maria-Sample-1", "success"),
    ] {
        assert_eq!(cluster.sign_in(name, password).await.outcome(), outcome, "{name}");
    }
    let kept = std::path::Path::new(cluster.text("/dir")).join("service-password");
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), SERVICE_PASSWORD);
    assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    for pid in cluster.running.children() {
        let environment = std::fs::read(format!("/proc/{pid}/environ"));
        // Only root may look, since the processes cannot be traced.
        if let Ok(environment) = environment {
            assert!(
                !String::from_utf8_lossy(&environment).contains(SERVICE_PASSWORD),
                "{pid}"
            );
        }
    }
    signal(cluster.running.pid(), Signal::TERM);
    assert_eq!(cluster.running.end().await.0.code(), Some(0));
    assert!(!kept.exists(), "the password is still there");
    let logs = ["agent-1", "relay-1"].map(|name| std::fs::read_to_string(cluster.running.log(name)).unwrap());
    let config = std::fs::read_to_string(cluster.running.config("agent-1")).unwrap();
    for text in logs.iter().chain([&config, &cluster.running.stderr(), &cluster.line]) {
        assert!(!text.contains(SERVICE_PASSWORD), "{text}");
    }
}

#[tokio::test]
async fn what_keeps_people_from_being_looked_up_is_named_before_anything_is_started() {
    let directory = directory().await;
    let url = directory.text("/dcs/0/ldaps");
    let mail = ["--alternate-id", "mail", "--service-account", SERVICE_ACCOUNT];
    for (arguments, password, complaint) in [
        (&mail[..], "Wrong-1", "invalid_credentials"),
        (
            &["--alternate-id", "mial", "--service-account", SERVICE_ACCOUNT],
            SERVICE_PASSWORD,
            "the attribute mial",
        ),
        // As Active Directory says it to whoever has not bound.
        (&["--alternate-id", "mail"], SERVICE_PASSWORD, "--service-account"),
    ] {
        let before = directory.binds().await.len();
        let setup = in_front_of(&directory, url, arguments).env("POSTERN_SERVICE_PASSWORD", password);
        let mut running = setup.spawn();
        let (status, output) = running.end().await;
        let told = running.stderr();
        assert_eq!((status.code(), output.as_str()), (Some(1), ""), "{told}");
        assert!(told.contains(complaint) && !told.contains(password), "{told}");
        // The service account's, once or twice; a wrong password of its is never tried again.
        let made = directory.binds().await.len() - before;
        assert!(
            made <= if complaint == "invalid_credentials" { 1 } else { 2 },
            "{made} binds: {told}"
        );
    }
}

#[tokio::test]
async fn a_simulated_directory_and_another_exclude_each_other() {
    let mut running = Setup::new(&["--directory", "ldaps://dc1.example", "--dcs", "1"]).spawn();
    let (status, _) = running.end().await;
    assert_eq!(status.code(), Some(64));
    assert!(
        running.stderr().contains("cannot be used with '--dcs"),
        "{}",
        running.stderr()
    );
}
