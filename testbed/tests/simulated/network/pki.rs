//! The certificates of the simulation. Ed25519, whose signatures are all of one length: with another, handshakes would
//! differ by a byte or two from run to run, and what is packed behind them with it.

use std::path::Path;
use std::sync::LazyLock;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PKCS_ED25519, SanType, SerialNumber};

pub(super) const RELAY_NAME: &str = "relay.postern.test";

/// Agents that there are certificates for.
pub(super) const AGENTS: usize = 3;

/// File names and contents.
static FILES: LazyLock<Vec<(String, String)>> = LazyLock::new(make);

/// Writes all of them into a folder.
pub(super) fn write(folder: &Path) {
    for (name, content) in FILES.iter() {
        std::fs::write(folder.join(name), content).unwrap();
    }
}

fn make() -> Vec<(String, String)> {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.serial_number = Some(SerialNumber::from(1));
    let authority = CertifiedIssuer::self_signed(authority, key()).unwrap();
    let mut files = vec![("ca.pem".to_owned(), authority.pem())];
    let mut issue = |name: String, uri: String, dns: Option<&str>| {
        let key = key();
        let mut params = CertificateParams::default();
        params.serial_number = Some(SerialNumber::from(2));
        params.subject_alt_names = vec![SanType::URI(uri.as_str().try_into().unwrap())];
        let dns = dns.map(|dns| SanType::DnsName(dns.try_into().unwrap()));
        params.subject_alt_names.extend(dns);
        let certificate = params.signed_by(&key, &authority).unwrap();
        files.push((format!("{name}.pem"), certificate.pem()));
        files.push((format!("{name}.key"), key.serialize_pem()));
    };
    issue(
        "relay".to_owned(),
        "spiffe://postern.test/relay/relay-1".to_owned(),
        Some(RELAY_NAME),
    );
    for number in 1..=AGENTS {
        let uri = format!("spiffe://postern.test/tenant/acme/realm/corp/agent/agent-{number}");
        issue(format!("agent-{number}"), uri, None);
    }
    files
}

fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ED25519).unwrap()
}
