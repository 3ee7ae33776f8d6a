use std::path::PathBuf;

use postern_protocol::user_name::Route;
use postern_service::config::{ConfigError, load};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, SanType};

use super::*;
use crate::config::Ambiguous;

/// A folder with certificates like those of the development PKI, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("postern-relay-config-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        let folder = Self(path);
        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        folder.write("ca.pem", &ca.self_signed(&ca_key).unwrap().pem());
        for (name, uri) in [
            ("relay", "spiffe://postern.test/relay/relay-1"),
            ("agent", "spiffe://postern.test/tenant/acme/realm/corp/agent/a"),
        ] {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::default();
            params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
            folder.write(&format!("{name}.pem"), &params.self_signed(&key).unwrap().pem());
            folder.write(&format!("{name}-key.pem"), &key.serialize_pem());
        }
        folder
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn read(&self, text: &str) -> Result<Config, ConfigError> {
        load::<Raw>(&self.write("relay.toml", text), [])
    }

    /// The error for a good configuration with `from` replaced by `to`.
    fn error(&self, from: &str, to: &str) -> String {
        assert!(GOOD.contains(from), "{from} is not in the good configuration");
        self.read(&GOOD.replace(from, to)).expect_err(to).to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const GOOD: &str = r#"
[relay]
name = "relay-1"
trust_domain = "postern.test"
[api]
listen = "127.0.0.1:7010"
[quic]
listen = "0.0.0.0:7011"
certificate = "relay.pem"
key = "relay-key.pem"
[admin]
listen = "127.0.0.1:7012"
[[tenants]]
name = "acme"
anchors = "ca.pem"
[[realms]]
tenant = "acme"
name = "corp.example.com"
upn_suffixes = ["corp.example.com", "Example.COM"]
netbios = ["CORP"]
"#;

#[test]
fn a_short_configuration_is_enough_and_retries_once() {
    let config = Folder::new("good").read(GOOD).unwrap();
    let realm = config.realms.values().next().unwrap();
    assert_eq!(realm.ambiguous, Ambiguous::RetryOnce);
    assert!(realm.routes.contains(&Route::Suffix("example.com".to_owned())));
    assert_eq!(config.sign_in.deadline, Duration::from_secs(4));
    assert_eq!(config.api.disclose, Disclose::Public);
}

#[test]
fn an_empty_file_names_everything_that_is_missing() {
    let error = Folder::new("empty").read("").unwrap_err().to_string();
    for key in [
        "relay: is missing",
        "admin: ",
        "tenants: ",
        "realms: ",
        "api: ",
        "quic: ",
    ] {
        assert!(error.contains(key), "{key} is not in {error}");
    }
}

#[test]
fn passwords_do_not_cross_the_network_in_the_clear_by_oversight() {
    let folder = Folder::new("clear");
    let error = folder.error("127.0.0.1:7010", "0.0.0.0:7010");
    assert!(error.contains("api.tls") && error.contains("insecure_http"), "{error}");
    let insecure = GOOD.replace(
        "listen = \"127.0.0.1:7010\"",
        "listen = \"0.0.0.0:7010\"\ninsecure_http = true",
    );
    assert!(folder.read(&insecure).is_ok());
}

#[test]
fn a_suffix_or_netbios_name_claimed_twice_is_an_error() {
    let folder = Folder::new("twice");
    let second =
        "[[realms]]\ntenant = \"acme\"\nname = \"other\"\nupn_suffixes = [\"EXAMPLE.com\"]\nnetbios = [\"corp\"]\n";
    let error = folder.read(&format!("{GOOD}{second}")).unwrap_err().to_string();
    assert!(error.contains("\"EXAMPLE.com\" is claimed twice"), "{error}");
    assert!(error.contains("\"corp\" is claimed twice"), "{error}");
}

#[test]
fn a_suffix_is_either_bound_as_it_is_or_looked_up_whatever_the_realm() {
    let folder = Folder::new("looked-up");
    let with = |line: &str| GOOD.replace("netbios = [\"CORP\"]", &format!("netbios = [\"CORP\"]\n{line}"));
    let config = folder.read(&with("alternate_id = [\"Mail.Example.org\"]")).unwrap();
    let realm = config.realms.values().next().unwrap();
    assert_eq!(realm.alternate_id, [Route::Suffix("mail.example.org".to_owned())]);
    assert!(!realm.routes.contains(&realm.alternate_id[0]));

    let own = folder
        .read(&with("alternate_id = [\"example.com\"]"))
        .unwrap_err()
        .to_string();
    assert!(
        own.contains("realms[0].alternate_id: \"example.com\" is claimed twice"),
        "{own}"
    );
    let second = "[[realms]]\ntenant = \"acme\"\nname = \"other\"\nalternate_id = [\"EXAMPLE.com\"]\n";
    let another = folder.read(&format!("{GOOD}{second}")).unwrap_err().to_string();
    assert!(
        another.contains("realms[1].alternate_id: \"EXAMPLE.com\" is claimed twice"),
        "{another}"
    );
    let form = folder.read(&with("alternate_id = [\"a@b\"]")).unwrap_err().to_string();
    assert!(
        form.contains("realms[0].alternate_id: \"a@b\" cannot be in a user name"),
        "{form}"
    );
}

#[test]
fn a_certificate_that_agents_would_refuse_is_refused_here() {
    let folder = Folder::new("certificate");
    let agents = folder.error(
        "\"relay.pem\"\nkey = \"relay-key.pem\"",
        "\"agent.pem\"\nkey = \"agent-key.pem\"",
    );
    assert!(agents.contains("is for the agent acme/corp/a"), "{agents}");
    let another = folder.error("name = \"relay-1\"", "name = \"relay-2\"");
    assert!(another.contains("is for the relay relay-1"), "{another}");
    let foreign = folder.error("\"postern.test\"", "\"other.test\"");
    assert!(foreign.contains("not of the trust domain other.test"), "{foreign}");
    let mismatch = folder.error("\"relay-key.pem\"", "\"agent-key.pem\"");
    assert!(mismatch.contains("does not fit the certificate"), "{mismatch}");
}

#[test]
fn missing_files_are_each_named_and_blamed_on_nobody_else() {
    let folder = Folder::new("missing");
    let text = GOOD
        .replace("\"relay.pem\"", "\"a.pem\"")
        .replace("\"relay-key.pem\"", "\"b.pem\"");
    let error = folder
        .read(&text.replace("\"ca.pem\"", "\"c.pem\""))
        .unwrap_err()
        .to_string();
    for key in ["quic.certificate: ", "quic.key: ", "tenants[0].anchors: ", "3 problems"] {
        assert!(error.contains(key), "{key} is not in {error}");
    }
}

#[test]
fn every_wrong_value_is_named_with_its_key() {
    let folder = Folder::new("values");
    let extra = r#"
[[callers]]
name = "front"
token_sha256 = "abc"
[[callers]]
name = "back"
disclose = "some"
[limits]
per_user = { per_second = 0, burst = 0.5 }
[sign_in]
deadline_ms = 1
ambiguity = "no"
[deny]
agents = ["agent-1"]
[log]
level = "loud"
"#;
    let error = folder
        .read(&format!("{}{extra}", GOOD.replace("\"ca.pem\"", "\"none.pem\"")))
        .unwrap_err()
        .to_string();
    for key in [
        "tenants[0].anchors",
        "callers[0].token_sha256",
        "callers[1]: needs exactly one",
        "callers[1].disclose",
        "limits.per_user.per_second",
        "limits.per_user.burst",
        "sign_in.deadline_ms",
        "sign_in.ambiguity",
        "deny.agents[0]",
        "log.level",
    ] {
        assert!(error.contains(key), "{key} is not in {error}");
    }
}

#[test]
fn a_tenants_name_and_logo_are_checked_and_the_page_is_public_unless_said_otherwise() {
    let folder = Folder::new("page");
    folder.write("logo.svg", "<svg xmlns='http://www.w3.org/2000/svg'/>");
    folder.write("text.svg", "no image");
    folder.write("large.svg", &format!("<svg>{}</svg>", " ".repeat(128 * 1024)));
    let tenant = |members: &str| GOOD.replace("anchors = \"ca.pem\"\n", &format!("anchors = \"ca.pem\"\n{members}\n"));
    let config = folder
        .read(&(tenant("display_name = \" Acme \"\nlogo = \"logo.svg\"") + "[page]\n"))
        .unwrap();
    let acme = config.tenants.values().next().unwrap();
    assert_eq!(acme.display_name.as_deref(), Some("Acme"));
    assert_eq!(acme.logo.as_ref().unwrap().media_type(), "image/svg+xml");
    assert_eq!(config.page.unwrap().disclose, Disclose::Public);
    assert!(folder.read(GOOD).unwrap().page.is_none());
    for (members, problem) in [
        (
            "display_name = \" \"",
            "tenants[0].display_name: must have 1 to 80 characters",
        ),
        (
            "display_name = \"a\\nb\"",
            "tenants[0].display_name: must have 1 to 80 characters",
        ),
        ("logo = \"none.svg\"", "tenants[0].logo: \"none.svg\": cannot read it"),
        ("logo = \"text.svg\"", "is neither an SVG nor a PNG"),
        ("logo = \"large.svg\"", "make it smaller"),
    ] {
        let error = folder.read(&tenant(members)).unwrap_err().to_string();
        assert!(error.contains(problem), "{problem} is not in {error}");
    }
    let error = folder
        .read(&format!("{GOOD}[page]\ndisclose = \"some\"\n"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("page.disclose"), "{error}");
}

#[test]
fn the_example_is_valid() {
    let folder = Folder::new("example");
    for (from, to) in [
        ("relay.pem", "relays/relay-1.pem"),
        ("relay-key.pem", "relays/relay-1.key"),
        ("ca.pem", "tenants/acme/ca.pem"),
    ] {
        let to = folder.0.join(to);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(folder.0.join(from), to).unwrap();
    }
    let example = include_str!("../../../examples/relay.toml");
    folder.read(example).unwrap();
}
