//! The commented example configuration is one that works.

use std::path::Path;

use postern_agent::config::Raw;
use postern_service::{config, tls};

use crate::pki::{Ca, Folder};

const EXAMPLE: &str = include_str!("../../examples/agent.toml");

fn check(text: &str, folder: &Folder) -> Result<(), String> {
    config::parse::<Raw>(text, Path::new("agent.toml"), folder.path(), [])
        .map(|_| ())
        .map_err(|error| error.to_string())
}

fn folder() -> Folder {
    tls::install_provider();
    let (folder, ca) = (Folder::new(), Ca::new());
    let uri = "spiffe://postern.test/tenant/acme/realm/corp.example.com/agent/agent-1";
    let agent = ca.issue(Some(uri), &[]);
    std::fs::create_dir_all(folder.path().join("tenants/acme/corp.example.com")).unwrap();
    folder.write("tenants/acme/corp.example.com/agent-1.pem", &agent.certificate_pem);
    folder.write("tenants/acme/corp.example.com/agent-1.key", &agent.key_pem);
    folder.write("ca.pem", &ca.pem());
    folder.write("directory-ca.pem", &ca.pem());
    folder
}

#[test]
fn the_example_is_valid_and_its_commented_defaults_are_too() {
    let folder = folder();
    assert_eq!(check(EXAMPLE, &folder), Ok(()));
    let all: String = EXAMPLE
        .lines()
        .map(|line| {
            let key = line
                .strip_prefix('#')
                .filter(|rest| !rest.starts_with(' ') && rest.contains(" = "));
            format!("{}\n", key.unwrap_or(line))
        })
        .collect();
    assert!(all.contains("\nrenew_s = 86400\n"), "{all}");
    assert_eq!(check(&all, &folder), Ok(()));
}

#[test]
fn the_sections_that_are_commented_out_are_valid_as_they_stand_in_the_example() {
    let folder = folder();
    folder.write("service-password", "secret\n");
    let heads = [
        "# [directory.discover]",
        "# [directory.look_up]",
        "# [directory.alternate_id]",
    ];
    let sections = heads.map(|head| {
        let (_, rest) = EXAMPLE.split_once(head).unwrap();
        let keys = rest.lines().skip(1).map_while(|line| line.strip_prefix("# "));
        let keys: Vec<&str> = keys.take_while(|line| line.contains(" = ")).collect();
        assert!(keys.len() >= 3, "{keys:?}");
        format!("{}\n{}\n", head.trim_start_matches("# "), keys.join("\n"))
    });
    let text = EXAMPLE.replacen("[opening_key]", &format!("{}[opening_key]", sections.concat()), 1);
    assert_eq!(check(&text, &folder), Ok(()));
}

#[test]
fn every_problem_of_a_configuration_is_named_at_once_with_its_key() {
    let text = "[agent]\ntrust_domain = \"Postern.Test\"\ncertificate = \"none.pem\"\nkey = \"none.pem\"\n\
                [relays]\naddresses = [\"relay\", \"relay:7011\"]\nserver_name = \"a b\"\n\
                [directory]\nanchors = \"none.pem\"\nconnections = 0\nbind_timeout_ms = 5\n\
                [[directory.servers]]\nname = \"dc\"\nurl = \"http://dc\"\n\
                [opening_key]\nrenew_s = 1\n[admin]\nlisten = \"localhost\"\n[log]\nlevel = \"loud\"\nlevle = 1\n";
    let error = check(text, &folder()).unwrap_err();
    for key in [
        "agent.trust_domain",
        "relays.addresses[0]",
        "relays.server_name",
        "relays.anchors: is missing",
        "directory.anchors",
        "directory.connections",
        "directory.bind_timeout_ms",
        "directory.servers[0].url",
        "opening_key.renew_s",
        "admin.listen",
        "log.level",
        "log.levle",
    ] {
        assert!(error.contains(key), "{key} is not named in: {error}");
    }
}

#[test]
fn a_certificate_that_is_not_an_agents_is_refused() {
    let folder = folder();
    let ca = Ca::new();
    for (uri, word) in [
        (Some("spiffe://postern.test/relay/relay-1"), "relay-1"),
        (Some("spiffe://other.test/tenant/a/realm/b/agent/c"), "trust domain"),
        (None, "no URI"),
    ] {
        let issued = ca.issue(uri, &[]);
        folder.write("tenants/acme/corp.example.com/agent-1.pem", &issued.certificate_pem);
        folder.write("tenants/acme/corp.example.com/agent-1.key", &issued.key_pem);
        let error = check(EXAMPLE, &folder).unwrap_err();
        assert!(error.contains("agent.certificate") && error.contains(word), "{error}");
    }
    folder.write(
        "tenants/acme/corp.example.com/agent-1.key",
        &ca.issue(None, &[]).key_pem,
    );
    assert!(check(EXAMPLE, &folder).unwrap_err().contains("agent.key"));
}
