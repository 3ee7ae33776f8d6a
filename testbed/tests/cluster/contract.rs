//! The line of `postern up --json`: other people's scripts rely on every member.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::Setup;

fn members(value: &Value) -> Vec<&str> {
    let mut names: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn the_line_describes_the_cluster_to_the_letter() {
    let began = Instant::now();
    let cluster = Setup::new(&["--relays", "2", "--users", "5"]).start().await;
    // Ten seconds are promised of a release build; a debug build on a busy machine gets three times as much.
    let took = began.elapsed();
    writeln!(std::io::stderr(), "ready after {:.1} s", took.as_secs_f64()).unwrap();
    assert!(took < Duration::from_secs(30), "{took:?}");

    let about = &cluster.about;
    assert_eq!(
        members(about),
        [
            "agents", "ca", "control", "dcs", "dir", "realm", "relays", "tenant", "users"
        ]
    );
    assert_eq!(
        (cluster.text("/tenant"), cluster.text("/realm")),
        ("acme", "corp.example.com")
    );
    let kinds = [
        (
            "relays",
            "relay",
            2,
            &["admin", "api", "argv", "log", "name", "pid", "quic"][..],
        ),
        ("agents", "agent", 3, &["admin", "argv", "log", "name", "pid"]),
        (
            "dcs",
            "dc",
            2,
            &["argv", "control", "ldap", "ldaps", "log", "name", "pid"],
        ),
    ];
    for (list, kind, count, expected) in kinds {
        let names: Vec<_> = cluster
            .list(list)
            .iter()
            .map(|part| part["name"].as_str().unwrap())
            .collect();
        let numbered: Vec<_> = (1..=count).map(|number| format!("{kind}-{number}")).collect();
        assert_eq!(names, numbered);
        for part in cluster.list(list) {
            assert_eq!(members(part), expected);
        }
    }
    for user in cluster.list("users") {
        assert_eq!(members(user), ["expect", "password", "username"]);
    }
    assert_eq!(cluster.list("dcs")[0]["pid"], cluster.list("dcs")[1]["pid"]);
    assert_eq!(cluster.list("dcs")[0]["control"], cluster.list("dcs")[1]["control"]);
    urls_have_no_final_slash(about);
}

fn urls_have_no_final_slash(value: &Value) {
    match value {
        Value::String(text) => assert!(!text.contains("://") || !text.ends_with('/'), "{text}"),
        Value::Array(list) => list.iter().for_each(urls_have_no_final_slash),
        Value::Object(object) => object.values().for_each(urls_have_no_final_slash),
        _ => {}
    }
}

#[tokio::test]
async fn what_the_line_names_is_there() {
    let cluster = Setup::new(&["--users", "5"]).start().await;
    let parts = || {
        ["relays", "agents", "dcs"]
            .into_iter()
            .flat_map(|list| cluster.list(list))
    };
    for part in parts() {
        assert!(Path::new(part["log"].as_str().unwrap()).is_file(), "{}", part["log"]);
        // The process is the one that the command runs.
        let command = std::fs::read(format!("/proc/{}/cmdline", part["pid"])).unwrap();
        let command = String::from_utf8(command).unwrap();
        let argv: Vec<_> = part["argv"]
            .as_array()
            .unwrap()
            .iter()
            .map(|word| word.as_str().unwrap())
            .collect();
        assert!(
            command.starts_with(&(argv.join("\0") + "\0")),
            "{command:?} is not {argv:?}"
        );
    }
    let pids: BTreeSet<_> = parts().map(|part| part["pid"].as_u64()).collect();
    assert_eq!(pids.len(), 1 + 3 + 1);
    for admin in parts().filter_map(|part| part["admin"].as_str()) {
        for path in ["livez", "readyz", "metrics"] {
            let response = cluster.http.get(format!("{admin}/{path}")).send().await.unwrap();
            assert!(response.status().is_success(), "{admin}/{path}");
        }
    }
    assert!(Path::new(cluster.text("/ca")).is_file() && Path::new(cluster.text("/dir")).is_dir());
    for dc in cluster.list("dcs") {
        ldaps_serves_the_directory(&cluster, dc["ldaps"].as_str().unwrap()).await;
    }
}

/// A plain LDAP client that trusts the CA of the description binds as a sample user.
async fn ldaps_serves_the_directory(cluster: &crate::harness::Cluster, url: &str) {
    let anchors = postern_service::tls::load_anchors(Path::new(cluster.text("/ca"))).unwrap();
    let tls = rustls::ClientConfig::builder_with_provider(postern_service::tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(anchors)
        .with_no_client_auth();
    let settings = ldap3::LdapConnSettings::new().set_config(tls.into());
    let (connection, mut ldap) = ldap3::LdapConnAsync::with_settings(settings, url).await.unwrap();
    let mut driver = tokio::task::JoinSet::new();
    driver.spawn(connection.drive());
    let (name, password) = (cluster.text("/users/0/username"), cluster.text("/users/0/password"));
    ldap.simple_bind(name, password).await.unwrap().success().unwrap();
}

#[tokio::test]
async fn the_line_is_the_first_and_only_one() {
    let mut cluster = Setup::new(&["--agents", "1", "--users", "0"]).start().await;
    assert!(cluster.line.ends_with("}\n"));
    crate::harness::signal(cluster.running.pid(), rustix::process::Signal::TERM);
    let (status, rest) = cluster.running.end().await;
    assert_eq!(
        (status.code(), rest.as_str()),
        (Some(0), ""),
        "{}",
        cluster.running.stderr()
    );
}

#[tokio::test]
async fn with_tls_every_relay_serves_its_api_with_a_certificate_of_the_cas() {
    let cluster = Setup::new(&[
        "--relays",
        "2",
        "--agents",
        "2",
        "--dcs",
        "1",
        "--users",
        "0",
        "--tls-api",
    ])
    .start()
    .await;
    let user = &cluster.list("users")[0];
    let (name, password) = (user["username"].as_str().unwrap(), user["password"].as_str().unwrap());
    for relay in cluster.list("relays") {
        let api = relay["api"].as_str().unwrap();
        assert!(api.starts_with("https://"), "{api}");
        assert_eq!(cluster.sign_in_at(api, name, password).await.outcome(), "success");
    }
}
