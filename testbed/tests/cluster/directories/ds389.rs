//! 389 Directory Server with a password policy: what it says of every state is read rightly, over LDAPS and StartTLS.
//!
//! The server's own templates make the instance, all of it in the test's folder; neither systemd nor the installation's
//! own instances are touched.

use std::path::Path;
use std::process::Command;

use postern_testbed::pki::Pki;

use super::by_dn::{BASE, Person, SERVICE_ACCOUNT, Served, THRESHOLD, ldif, well};
use super::server::{Server, run};
use crate::harness::{Scratch, eventually};

const TEMPLATES: &str = "/usr/share/dirsrv/data";

/// What the installation gives every instance.
const GIVEN: [(&str, &str); 3] = [
    ("/etc/dirsrv/config/slapd-collations.conf", "slapd-collations.conf"),
    ("/etc/dirsrv/config/certmap.conf", "certmap.conf"),
    ("/etc/dirsrv/schema/99user.ldif", "schema/99user.ldif"),
];

/// Import makes no entryUUID, as it made none for entries from before the server knew of it.
const UUID: &str = "entryUUID: 597ae2f6-16a6-4027-98f4-d28b5365dc1";

fn people() -> Vec<Person> {
    let soon = run(Command::new("date").args(["-u", "-d", "12 hours", "+%Y%m%d%H%M%SZ"]));
    let mut people = well();
    people.extend([
        Person::in_state(
            "paul",
            "passwordExpirationTime: 20200101000000Z\n",
            "password_expired",
            "invalid_credentials",
        ),
        // The beginning of time stands for "change it first".
        Person::in_state(
            "mona",
            "passwordExpirationTime: 19700101000000Z\n",
            "password_must_change",
            "invalid_credentials",
        ),
        Person::in_state(
            "luke",
            "passwordRetryCount: 3\naccountUnlockTime: 19700101000000Z\n",
            "account_locked",
            "account_locked",
        ),
        // By an administrator. The password is not even looked at.
        Person::in_state("ines", "nsAccountLock: true\n", "account_locked", "account_locked"),
        // Within the day in which it is warned of.
        Person::in_state(
            "wolf",
            format!("passwordExpirationTime: {soon}"),
            "success",
            "invalid_credentials",
        ),
    ]);
    people.push(Person {
        has_uuid: false,
        ..Person::well("olga")
    });
    people
}

/// The configuration of an instance below `folder`, from the server's own templates.
fn configuration(folder: &str, served: &Served) -> String {
    let read = |name: &str| std::fs::read_to_string(format!("{TEMPLATES}/{name}")).unwrap();
    let user = run(Command::new("id").arg("-un"));
    let mut text = read("template-dse.ldif") + "\n" + &read("template-suffix-db.ldif");
    for (key, value) in [
        ("schema_dir", format!("{folder}/config/schema")),
        ("cert_dir", format!("{folder}/config")),
        ("config_dir", format!("{folder}/config")),
        ("lock_dir", format!("{folder}/lock")),
        ("tmp_dir", format!("{folder}/tmp")),
        ("ldif_dir", format!("{folder}/ldif")),
        ("bak_dir", format!("{folder}/bak")),
        ("run_dir", format!("{folder}/run")),
        ("inst_dir", format!("{folder}/inst")),
        ("log_dir", format!("{folder}/log")),
        ("db_dir", format!("{folder}/db")),
        ("db_home_dir", format!("{folder}/db")),
        ("db_lib", "bdb".to_owned()),
        ("fqdn", "localhost".to_owned()),
        ("ds_port", served.plain.port().to_string()),
        ("ds_user", user.trim().to_owned()),
        ("ds_suffix", BASE.to_owned()),
        ("ds_bename", "userRoot".to_owned()),
        ("rootdn", "cn=Directory Manager".to_owned()),
        ("ldapi_enabled", "off".to_owned()),
        ("ldapi_autobind", "off".to_owned()),
        ("ldapi", format!("{folder}/run/ldapi")),
    ] {
        text = text.replace(&format!("%{key}%"), &value);
    }
    let ours = format!(
        "nsslapd-listenhost: {}\nnsslapd-security: on\nnsslapd-securelistenhost: {}\nnsslapd-securePort: {}\n\
         passwordLockout: on\npasswordMaxFailure: {THRESHOLD}\npasswordUnlock: off\npasswordExp: on\n\
         passwordMaxAge: 7776000\npasswordMustChange: on\n",
        served.plain.ip(),
        served.tls.ip(),
        served.tls.port(),
    );
    let (mut all, mut was_empty) = (String::new(), false);
    for line in text.lines() {
        // Comments, two empty lines in a row, and a manager's password that is not there, end its start.
        let drop = line.starts_with('#') || line.starts_with("nsslapd-rootpw:") || (was_empty && line.is_empty());
        if drop {
            continue;
        }
        was_empty = line.is_empty();
        all.push_str(line);
        all.push('\n');
        if line == "cn: config" && !all.contains("nsslapd-listenhost") {
            all.push_str(&ours);
        }
    }
    all
}

struct Ds389 {
    served: Served,
    _server: Server,
    _folder: Scratch,
}

impl Ds389 {
    async fn start() -> Self {
        let folder = Scratch::new();
        let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        for name in [
            "config/schema",
            "lock",
            "tmp",
            "ldif",
            "bak",
            "run",
            "inst",
            "log",
            "db",
        ] {
            std::fs::create_dir_all(at(name)).unwrap();
        }
        for (from, to) in GIVEN {
            std::fs::copy(from, Path::new(&at("config")).join(to)).unwrap();
        }
        let pki = Pki::init(&folder.path().join("pki"), "ds389.test".parse().unwrap()).unwrap();
        let served = Served::reserve(pki.ca().to_str().unwrap().to_owned());
        std::fs::write(at("config/dse.ldif"), configuration(&at(""), &served)).unwrap();
        give_certificate(&pki, &at("config"), &at("key.p12"));
        std::fs::write(at("ldif/everybody.ldif"), everybody()).unwrap();
        let config = at("config");
        run(Command::new("/usr/sbin/ns-slapd").args([
            "ldif2db",
            "-D",
            &config,
            "-n",
            "userRoot",
            "-i",
            &at("ldif/everybody.ldif"),
        ]));
        let pid = at("run/pid");
        let command = ["/usr/sbin/ns-slapd", "-D", &config, "-d", "0", "-i", &pid];
        let server = Server::start(&command, Path::new(&at("output")), None);
        eventually("389 DS listens", || served.listens()).await;
        Self {
            served,
            _server: server,
            _folder: folder,
        }
    }
}

/// Puts authority, certificate and key into the NSS database that the server takes them from.
fn give_certificate(pki: &Pki, database: &str, bundle: &str) {
    let issued = pki.domain_controllers(&["127.0.0.1".to_owned()]).unwrap();
    run(Command::new("certutil").args(["-N", "-d", database, "--empty-password"]));
    run(Command::new("certutil")
        .args(["-A", "-d", database, "-n", "CA", "-t", "CT,,", "-a", "-i"])
        .arg(pki.ca()));
    run(Command::new("openssl")
        .args([
            "pkcs12",
            "-export",
            "-name",
            "Server-Cert",
            "-passout",
            "pass:",
            "-out",
            bundle,
        ])
        .arg("-in")
        .arg(&issued.certificate)
        .arg("-inkey")
        .arg(&issued.key));
    run(Command::new("pk12util").args(["-d", database, "-i", bundle, "-W", ""]));
}

fn everybody() -> String {
    let may_look_up = format!(
        "aci: (targetattr = \"uid || mail || entryUUID || objectClass\")(version 3.0; acl \"look up\"; \
         allow (read, search, compare) userdn = \"ldap:///{SERVICE_ACCOUNT}\";)\n"
    );
    let all = ldif(&may_look_up, &people());
    let mut entries: Vec<String> = all.split("\n\n").map(|entry| entry.trim().to_owned()).collect();
    for (number, person) in people().iter().enumerate().filter(|(_, person)| person.has_uuid) {
        let start = format!("dn: uid={},", person.uid);
        let entry = entries.iter_mut().find(|entry| entry.starts_with(&start)).unwrap();
        entry.push_str(&format!("\n{UUID}{number:x}"));
    }
    entries.join("\n\n") + "\n"
}

#[tokio::test]
#[ignore = "needs 389-ds-base (.ci/run installs it)"]
async fn what_389_ds_says_of_every_state_is_told() {
    let ds = Ds389::start().await;
    ds.served.every_state_is_told(&people()).await;
}
