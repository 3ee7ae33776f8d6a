use super::*;
use crate::cluster::existing::{self, AlternateValue, PasswordFile};
use crate::cluster::ports::{Choice, Reservation};
use crate::scratch::Scratch;
use postern_protocol::Password;
use std::process::ExitCode;

const COUNTS: Counts = Counts {
    relays: 2,
    agents: 2,
    dcs: 2,
    users: 10,
};

fn write(scratch: &Scratch, tls_api: bool, dc_config: Option<&str>) -> Parts {
    let folder = Folder::take(Some(&scratch.path().join("cluster"))).unwrap();
    let pki = folder.pki().unwrap();
    let reservation = Reservation::new(COUNTS, Choice::Auto).unwrap();
    let dc_config = dc_config.map(|text| {
        let path = scratch.path().join("dc.toml");
        std::fs::write(&path, text).unwrap();
        path
    });
    let site = Site {
        folder: &folder,
        pki: &pki,
        counts: COUNTS,
        ports: &reservation.ports,
        tls_api,
        domain: &Domain::simulated(),
        directory: Directory::Simulated {
            dc_config: dc_config.as_deref(),
        },
        links: None,
    };
    site.write().unwrap()
}

#[test]
fn every_part_accepts_the_file_that_is_written_for_it() {
    let scratch = Scratch::new();
    for tls_api in [false, true] {
        let parts = write(&scratch, tls_api, None);
        let check = |part: &Part, main: fn(Vec<OsString>) -> ExitCode| {
            let arguments = part.argv.iter().skip(1).map(OsString::from);
            let code = main(arguments.chain(["--check-config".into()]).collect());
            assert_eq!(code, ExitCode::SUCCESS, "{}", part.name);
        };
        check(parts.dcs.as_ref().unwrap(), postern_mock_dc::main);
        for agent in &parts.agents {
            check(agent, postern_agent::main);
        }
        for relay in &parts.relays {
            check(relay, postern_relay::main);
        }
    }
}

#[test]
fn all_domain_controllers_are_one_process_that_answers_to_each_of_their_names() {
    let scratch = Scratch::new();
    let parts = write(&scratch, false, None);
    let dcs = parts.dcs.unwrap();
    assert_eq!(dcs.name, "mock-dc");
    assert_eq!(dcs.aliases, ["dc-1", "dc-2"]);
}

#[test]
fn what_is_said_of_locking_is_what_the_directory_does() {
    let scratch = Scratch::new();
    let lockout = |text| write(&scratch, false, text).lockout;
    assert_eq!(
        lockout(None),
        Some(Lockout {
            after: 10,
            seconds: 600
        })
    );
    let shorter = "[policy]\nlockout_threshold = 3\nlockout_window_s = 60\nlockout_duration_s = 60";
    assert_eq!(lockout(Some(shorter)), Some(Lockout { after: 3, seconds: 60 }));
    assert_eq!(lockout(Some("[policy]\nlockout_duration_s = 0")), None);
}

#[test]
fn an_existing_directory_is_what_the_agents_are_configured_for_and_no_simulated_one_is_started() {
    let scratch = Scratch::new();
    let folder = Folder::take(Some(&scratch.path().join("cluster"))).unwrap();
    let pki = folder.pki().unwrap();
    let counts = Counts {
        relays: 1,
        agents: 1,
        dcs: 0,
        users: 0,
    };
    let reservation = Reservation::new(counts, Choice::Auto).unwrap();
    let password = Password::new("Sërvice-1".to_owned().into()).unwrap();
    let server = |name: &str, url: &str| existing::Server {
        name: name.to_owned(),
        url: url.parse().unwrap(),
    };
    let existing = Existing {
        servers: vec![
            server("dc1.big.example", "ldaps://dc1.big.example"),
            server("dc2.big.example", "ldap://dc2.big.example:3890"),
        ],
        anchors: Some("/etc/big/ca.pem".into()),
        look_up: Some(existing::LookUp {
            account: Some(existing::Account {
                name: "svc@big.example".to_owned(),
                password: PasswordFile::write(folder.path().join("service-password"), &password).unwrap(),
            }),
            attribute: None,
        }),
        alternate_id: Some(existing::AlternateId {
            attribute: "mail".to_owned(),
            value: AlternateValue::Typed,
        }),
    };
    let site = Site {
        folder: &folder,
        pki: &pki,
        counts,
        ports: &reservation.ports,
        tls_api: false,
        domain: &Domain {
            display_name: "Big".to_owned(),
            realm: "big.example".to_owned(),
            netbios: "BIG".to_owned(),
            upn_suffixes: vec!["big.example".to_owned()],
            alternate_suffixes: vec!["mail.example".to_owned()],
        },
        directory: Directory::Existing(&existing),
        links: None,
    };
    let parts = site.write().unwrap();
    assert!(parts.dcs.is_none() && parts.lockout.is_none());
    let read = |name: &str| {
        let text = std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert!(!text.contains("Sërvice-1"));
        toml::from_str::<Table>(&text).unwrap()
    };
    let password_file = folder.path().join("service-password").display().to_string();
    let wanted = format!(
        r#"
        anchors = "/etc/big/ca.pem"
        servers = [
            {{ name = "dc1.big.example", url = "ldaps://dc1.big.example" }},
            {{ name = "dc2.big.example", url = "ldap://dc2.big.example:3890" }},
        ]
        look_up = {{ account = "svc@big.example", password_file = "{password_file}" }}
        alternate_id = {{ attribute = "mail", suffixes = ["mail.example"], value = "typed" }}
        "#
    );
    let agent = read("agent-1.toml");
    assert_eq!(agent["directory"].as_table(), Some(&toml::from_str(&wanted).unwrap()));
    let realm = &read("relay-1.toml")["realms"][0];
    assert_eq!(
        (realm["name"].as_str(), realm["netbios"][0].as_str()),
        (Some("big.example"), Some("BIG"))
    );
    assert_eq!(realm["upn_suffixes"].as_array().unwrap(), &["big.example".into()]);
    assert_eq!(realm["alternate_id"].as_array().unwrap(), &["mail.example".into()]);
}

#[test]
fn the_service_accounts_password_is_another_each_time_and_nobody_elses_to_read() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new();
    let passwords: std::collections::BTreeSet<String> = (0..2)
        .map(|_| {
            write(&scratch, false, None);
            let file = scratch.path().join("cluster/service-password");
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
            std::fs::read_to_string(file).unwrap()
        })
        .collect();
    assert_eq!(passwords.len(), 2);
}

#[tokio::test]
async fn with_proxies_in_between_nothing_tells_an_agent_where_a_relay_really_is() {
    let scratch = Scratch::new();
    let folder = Folder::take(Some(&scratch.path().join("cluster"))).unwrap();
    let pki = folder.pki().unwrap();
    let reservation = Reservation::new(COUNTS, Choice::Auto).unwrap();
    let relays: Vec<_> = reservation
        .ports
        .relays
        .iter()
        .map(|ports| loopback(ports.quic))
        .collect();
    let mut tasks = tokio::task::JoinSet::new();
    let links = Links::open(COUNTS.agents, &relays, &mut tasks).unwrap();
    let site = Site {
        folder: &folder,
        pki: &pki,
        counts: COUNTS,
        ports: &reservation.ports,
        tls_api: false,
        domain: &Domain::simulated(),
        directory: Directory::Simulated { dc_config: None },
        links: Some(&links),
    };
    site.write().unwrap();
    let read = |name: &str| std::fs::read_to_string(folder.path().join(format!("{name}.toml"))).unwrap();
    let mut told = std::collections::BTreeSet::new();
    for agent in ["agent-1", "agent-2"] {
        let text = read(agent);
        assert!(relays.iter().all(|relay| !text.contains(&relay.to_string())), "{text}");
        let file: Table = toml::from_str(&text).unwrap();
        told.extend(
            file["relays"]["addresses"]
                .as_array()
                .unwrap()
                .iter()
                .map(ToString::to_string),
        );
    }
    assert_eq!(told.len(), 4, "a link of its own for each agent and each relay");
    for relay in ["relay-1", "relay-2"] {
        assert!(!read(relay).contains("replicas"));
    }
}
