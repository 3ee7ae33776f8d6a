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

fn server(url: &str, server_name: Option<&str>, insecure: bool) -> (Option<Server>, String) {
    let raw = raw::Server {
        name: Some("dc-1".to_owned()),
        url: Some(url.to_owned()),
        server_name: server_name.map(str::to_owned),
        insecure,
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
fn a_directory_url_says_transport_and_port_and_its_host_is_the_name_to_check() {
    for (url, insecure, transport, port) in [
        ("ldaps://dc-1.corp.example.com", false, Transport::Ldaps, 636),
        ("ldap://dc-1.corp.example.com", false, Transport::StartTls, 389),
        ("ldap://dc-1.corp.example.com:3268", false, Transport::StartTls, 3268),
        ("ldap://dc-1.corp.example.com/", true, Transport::Plain, 389),
    ] {
        let (server, problems) = server(url, None, insecure);
        assert_eq!(problems, "");
        let server = server.unwrap();
        assert_eq!((server.transport, server.port), (transport, port), "{url}");
        assert_eq!(server.tls_name.to_str(), "dc-1.corp.example.com");
    }
}

#[test]
fn an_address_is_checked_itself_or_with_the_name_that_its_certificate_has() {
    for (url, host) in [
        ("ldaps://127.0.0.1:7636", "127.0.0.1"),
        ("ldaps://127.0.0.1:7636/", "127.0.0.1"),
        ("ldaps://[::1]:7636", "::1"),
    ] {
        for name in [None, Some("dc-1.corp.example.com")] {
            let (server, problems) = server(url, name, false);
            assert_eq!(problems, "");
            let server = server.unwrap();
            assert_eq!((server.host.as_str(), server.port), (host, 7636));
            assert_eq!(server.tls_name.to_str(), name.unwrap_or(host));
        }
    }
    let (server, problems) = server("ldaps://127.0.0.1", Some("a b"), false);
    assert!(server.is_none() && problems.contains("server_name"), "{problems}");
}

#[test]
fn other_urls_are_refused_with_the_form_that_is_needed() {
    for url in [
        "dc-1",
        "https://dc-1",
        "ldaps://",
        "ldap://:389",
        "ldaps://dc-1/dc=example",
        "ldaps://dc-1:x",
        "ldaps://::1",
    ] {
        let (server, problems) = server(url, None, false);
        assert!(
            server.is_none() && problems.contains("ldaps://") && problems.contains("ldap://"),
            "{url}: {problems}"
        );
    }
}

#[test]
fn insecure_with_ldaps_is_a_contradiction() {
    let (server, problems) = server("ldaps://dc-1", None, true);
    assert!(
        server.is_none() && problems.contains("directory.servers[0].insecure"),
        "{problems}"
    );
}
