use super::*;
use proptest::prelude::*;
use rcgen::{CertificateParams, KeyPair, SanType, SerialNumber};

fn domain() -> TrustDomain {
    "postern.test".parse().unwrap()
}

fn certificate(uris: &[&str], dns: &[&str]) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.serial_number = Some(SerialNumber::from_slice(&[0x0a, 0xbc]));
    params.not_after = rcgen::date_time_ymd(2040, 1, 1);
    params.subject_alt_names = uris
        .iter()
        .map(|uri| SanType::URI((*uri).try_into().unwrap()))
        .chain(dns.iter().map(|name| SanType::DnsName((*name).try_into().unwrap())))
        .collect();
    params
        .self_signed(&KeyPair::generate().unwrap())
        .unwrap()
        .der()
        .to_vec()
}

const AGENT: &str = "spiffe://postern.test/tenant/acme/realm/corp.example.com/agent/agent-1";

#[test]
fn an_agents_names_come_from_its_one_uri() {
    let facts = read_certificate(&certificate(&[AGENT], &["ignored.example"]), &domain()).unwrap();
    let Identity::Agent(agent) = facts.identity else {
        panic!("not an agent")
    };
    assert_eq!(agent.to_string(), "acme/corp.example.com/agent-1");
    assert_eq!(agent.uri(&domain()), AGENT);
    assert_eq!(facts.serial, "abc");
    assert_eq!(facts.not_after, 2_208_988_800);
}

#[test]
fn a_relay_is_a_relay() {
    let identity = parse_uri("spiffe://postern.test/relay/relay-1", &domain()).unwrap();
    assert_eq!(identity, Identity::Relay("relay-1".parse().unwrap()));
}

#[test]
fn no_uri_and_several_uris_name_nobody() {
    assert_eq!(
        read_certificate(&certificate(&[], &["a.example"]), &domain()),
        Err(IdentityError::NoUri)
    );
    let two = certificate(&[AGENT, "spiffe://postern.test/relay/relay-1"], &[]);
    assert_eq!(read_certificate(&two, &domain()), Err(IdentityError::SeveralUris(2)));
    let twice_the_same = certificate(&[AGENT, AGENT], &[]);
    assert_eq!(
        read_certificate(&twice_the_same, &domain()),
        Err(IdentityError::SeveralUris(2))
    );
}

#[test]
fn trailing_bytes_make_a_certificate_unreadable() {
    let mut der = certificate(&[AGENT], &[]);
    der.push(0);
    assert_eq!(read_certificate(&der, &domain()), Err(IdentityError::Unreadable));
}

#[test]
fn other_forms_name_nobody() {
    let long = format!("spiffe://postern.test/relay/{}", "x".repeat(65));
    for uri in [
        "spiffe://other.test/relay/relay-1",
        "spiffe://postern.test.evil/relay/relay-1",
        "spiffe://postern.tes/relay/relay-1",
        "spiffe://POSTERN.TEST/relay/relay-1",
        "spiffe://postern.test:443/relay/relay-1",
        "https://postern.test/relay/relay-1",
        "spiffe://postern.test",
        "spiffe://postern.test/",
        "spiffe://postern.test/relay/",
        "spiffe://postern.test/relay/a/b",
        "spiffe://postern.test//relay/a",
        "spiffe://postern.test/relay/a/",
        "spiffe://postern.test/relay/a?x=1",
        "spiffe://postern.test/relay/a#x",
        "spiffe://postern.test/relay/%61",
        "spiffe://postern.test/relay/.",
        "spiffe://postern.test/relay/..",
        "spiffe://postern.test/relay/a b",
        "spiffe://postern.test/relay/ä",
        "spiffe://postern.test/Relay/a",
        "spiffe://postern.test/tenant/acme/realm/corp/agent",
        "spiffe://postern.test/tenant//realm/corp/agent/a",
        "spiffe://postern.test/tenant/acme/realm/../agent/a",
        "spiffe://postern.test/tenant/acme/realm/corp/agent/a/x",
        "spiffe://postern.test/realm/corp/tenant/acme/agent/a",
        &long,
    ] {
        assert!(parse_uri(uri, &domain()).is_err(), "{uri} was accepted");
    }
}

proptest! {
    #[test]
    fn every_agent_uri_round_trips(parts in prop::array::uniform3("[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")) {
        let [tenant, realm, name] = parts.map(|part| part.parse::<Segment>().unwrap());
        let agent = AgentIdentity { realm: RealmKey { tenant, realm }, name };
        prop_assert_eq!(parse_uri(&agent.uri(&domain()), &domain()), Ok(Identity::Agent(agent)));
    }

    #[test]
    fn no_bytes_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..400), at in 0usize..900, byte: u8) {
        let _ = read_certificate(&bytes, &domain());
        bytes = certificate(&[AGENT], &[]);
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = read_certificate(&bytes, &domain());
        let _ = read_certificate(&bytes[..at], &domain());
    }
}
