use super::*;
use postern_protocol::identity::{Identity, RealmKey, read_certificate};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::scratch::Scratch;
use postern_service::tls;

fn segment(text: &str) -> Segment {
    text.parse().unwrap()
}

fn agent(tenant: &str, name: &str) -> AgentIdentity {
    AgentIdentity {
        realm: RealmKey {
            tenant: segment(tenant),
            realm: segment("corp.example.com"),
        },
        name: segment(name),
    }
}

fn new_pki(scratch: &Scratch) -> Pki {
    Pki::init(&scratch.path().join("pki"), "postern.test".parse().unwrap()).unwrap()
}

fn leaf(issued: &Issued) -> CertificateDer<'static> {
    tls::load_identity(&issued.certificate, &issued.key)
        .unwrap()
        .chain
        .remove(0)
}

fn anchors(path: &Path) -> Arc<RootCertStore> {
    Arc::new(tls::load_anchors(path).unwrap())
}

fn accepts_server(anchors: Arc<RootCertStore>, leaf: &CertificateDer<'_>, name: &str) -> bool {
    let verifier = WebPkiServerVerifier::builder_with_provider(anchors, tls::provider())
        .build()
        .unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    verifier
        .verify_server_cert(leaf, &[], &name, &[], UnixTime::now())
        .is_ok()
}

fn accepts_client(anchors: Arc<RootCertStore>, leaf: &CertificateDer<'_>) -> bool {
    let verifier = WebPkiClientVerifier::builder_with_provider(anchors, tls::provider())
        .build()
        .unwrap();
    verifier.verify_client_cert(leaf, &[], UnixTime::now()).is_ok()
}

#[test]
fn an_agents_certificate_names_it_and_only_its_tenants_ca_vouches_for_it() {
    let scratch = Scratch::new();
    let pki = new_pki(&scratch);
    let issued = pki.agent(&agent("acme", "agent-1")).unwrap();
    pki.agent(&agent("other", "agent-1")).unwrap();
    let leaf = leaf(&issued);
    let facts = read_certificate(&leaf, pki.trust_domain()).unwrap();
    assert_eq!(facts.identity, Identity::Agent(agent("acme", "agent-1")));
    assert!(accepts_client(anchors(&pki.tenant_ca(&segment("acme"))), &leaf));
    assert!(!accepts_client(anchors(&pki.tenant_ca(&segment("other"))), &leaf));
    assert!(!accepts_client(anchors(&pki.ca()), &leaf));
}

#[test]
fn a_relays_certificate_is_valid_for_its_names_and_for_nothing_else() {
    let scratch = Scratch::new();
    let pki = new_pki(&scratch);
    let names = ["relay.example.com".to_owned(), "192.0.2.7".to_owned()];
    let leaf = leaf(&pki.relay(&segment("relay-1"), &names).unwrap());
    let facts = read_certificate(&leaf, pki.trust_domain()).unwrap();
    assert_eq!(facts.identity, Identity::Relay(segment("relay-1")));
    let ca = anchors(&pki.ca());
    for name in [
        "localhost",
        RELAY_SERVER_NAME,
        "relay.example.com",
        "127.0.0.1",
        "192.0.2.7",
    ] {
        assert!(accepts_server(ca.clone(), &leaf, name), "{name}");
    }
    assert!(!accepts_server(ca.clone(), &leaf, "other.example.com"));
    assert!(!accepts_client(ca, &leaf));
}

#[test]
fn a_name_that_is_no_name_is_refused() {
    let scratch = Scratch::new();
    let error = new_pki(&scratch)
        .relay(&segment("relay-1"), &["not a name".to_owned()])
        .unwrap_err();
    assert!(error.to_string().contains("not a name"), "{error}");
}

#[test]
fn a_ca_read_from_its_files_goes_on_signing() {
    let scratch = Scratch::new();
    let folder = scratch.path().join("pki");
    drop(new_pki(&scratch));
    let pki = Pki::open(&folder).unwrap();
    let first = pki.agent(&agent("acme", "agent-1")).unwrap();
    let second = Pki::open(&folder).unwrap().agent(&agent("acme", "agent-2")).unwrap();
    let tenant = anchors(&pki.tenant_ca(&segment("acme")));
    assert!(accepts_client(tenant.clone(), &leaf(&first)) && accepts_client(tenant, &leaf(&second)));
    let relay = leaf(&pki.relay(&segment("relay-1"), &[]).unwrap());
    assert!(accepts_server(anchors(&pki.ca()), &relay, "localhost"));
}

#[test]
fn doing_it_again_renews_a_certificate_and_refuses_a_ca() {
    let scratch = Scratch::new();
    let pki = new_pki(&scratch);
    let before = leaf(&pki.relay(&segment("relay-1"), &[]).unwrap());
    let again = pki.relay(&segment("relay-1"), &[]).unwrap();
    assert!(again.renewed);
    assert_ne!(before, leaf(&again));
    let error = Pki::init(&scratch.path().join("pki"), "postern.test".parse().unwrap()).unwrap_err();
    assert!(error.to_string().contains("holds a PKI already"), "{error}");
}

#[test]
fn nobody_else_can_read_a_key() {
    let scratch = Scratch::new();
    let pki = new_pki(&scratch);
    let issued = pki.agent(&agent("acme", "agent-1")).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = scratch.path().join("pki");
    assert_eq!(mode(&folder), 0o700);
    for key in [issued.key, folder.join("ca.key"), folder.join("tenants/acme/ca.key")] {
        assert_eq!(mode(&key), 0o600, "{}", key.display());
    }
}

#[test]
fn a_key_of_another_ca_is_noticed() {
    let scratch = Scratch::new();
    let pki = new_pki(&scratch);
    pki.agent(&agent("acme", "agent-1")).unwrap();
    let folder = scratch.path().join("pki");
    std::fs::copy(folder.join("tenants/acme/ca.key"), folder.join("ca.key")).unwrap();
    let error = Pki::open(&folder).unwrap_err();
    assert!(error.to_string().contains("is not the key of"), "{error}");
}
