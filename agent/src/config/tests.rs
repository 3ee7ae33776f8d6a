use super::*;

#[test]
fn relay_addresses_are_host_and_port() {
    for (text, host, port) in [
        ("relay.example.com:7011", "relay.example.com", 7011),
        ("127.0.0.1:1", "127.0.0.1", 1),
        ("[2001:db8::7]:65535", "2001:db8::7", 65535),
    ] {
        let address: RelayAddress = text.parse().unwrap();
        assert_eq!((address.host.as_str(), address.port), (host, port));
        assert_eq!(address.to_string(), text);
    }
    for text in [
        "",
        "relay",
        "relay:",
        "relay:0",
        "relay:65536",
        ":7011",
        "2001:db8::7:7011",
        "[relay]:7011",
        "a b:1",
        "https://relay:7011",
    ] {
        assert!(text.parse::<RelayAddress>().is_err(), "{text}");
    }
}

fn server(url: &str, server_name: Option<&str>) -> (Option<Server>, String) {
    let raw = raw::Server {
        name: Some("dc-1".to_owned()),
        url: Some(url.to_owned()),
        server_name: server_name.map(str::to_owned),
    };
    let mut problems = Problems::default();
    let server = raw.validate("directory.servers[0]", &mut problems);
    let text = problems
        .iter()
        .map(|(key, message)| format!("{key}: {message}"))
        .collect();
    (server, text)
}

#[test]
fn a_directory_url_is_ldaps_with_636_as_its_port_and_its_host_as_the_name_to_check() {
    let (server, problems) = server("ldaps://dc-1.corp.example.com", None);
    assert_eq!(problems, "");
    let server = server.unwrap();
    assert_eq!((server.port, server.tls_name.as_str()), (636, "dc-1.corp.example.com"));
}

#[test]
fn an_address_can_be_given_with_the_name_that_its_certificate_has() {
    for url in [
        "ldaps://127.0.0.1:7636",
        "ldaps://127.0.0.1:7636/",
        "ldaps://[::1]:7636",
    ] {
        let (server, problems) = server(url, Some("dc-1.corp.example.com"));
        assert_eq!(problems, "");
        let server = server.unwrap();
        assert_eq!((server.port, server.tls_name.as_str()), (7636, "dc-1.corp.example.com"));
    }
    let (_, problems) = server("ldaps://[::1]", None);
    assert!(problems.contains("server_name"), "{problems}");
}

#[test]
fn other_urls_are_refused_with_the_form_that_is_needed() {
    for url in [
        "ldap://dc-1",
        "dc-1",
        "ldaps://",
        "ldaps://dc-1/dc=example",
        "ldaps://dc-1:x",
    ] {
        let (server, problems) = server(url, None);
        assert!(server.is_none() && problems.contains("ldaps://"), "{url}: {problems}");
    }
}
