//! OpenLDAP with the ppolicy overlay: people are found by uid, bound by their DN, and what the password policy says is
//! told.

use std::path::Path;
use std::process::Command;

use postern_testbed::pki::Pki;

use super::by_dn::{BASE, Person, SERVICE_ACCOUNT, Served, THRESHOLD, ldif, well};
use super::server::{Server, run};
use crate::harness::{Scratch, eventually};

fn people() -> Vec<Person> {
    let mut people = well();
    people.extend([
        Person::in_state(
            "paul",
            "pwdChangedTime: 20200101000000Z\n",
            "password_expired",
            "invalid_credentials",
        ),
        Person::in_state(
            "mona",
            "pwdReset: TRUE\n",
            "password_must_change",
            "invalid_credentials",
        ),
        Person::in_state(
            "luke",
            "pwdAccountLockedTime: 000001010000Z\n",
            "account_locked",
            "account_locked",
        ),
    ]);
    people
}

struct Slapd {
    served: Served,
    _server: Server,
    _folder: Scratch,
}

impl Slapd {
    async fn start() -> Self {
        let access = format!("access to * by dn.exact=\"{SERVICE_ACCOUNT}\" read by anonymous auth by * none");
        Self::start_with(&[access]).await
    }

    /// With these rights.
    async fn start_with(access: &[String]) -> Self {
        let folder = Scratch::new();
        let pki = Pki::init(&folder.path().join("pki"), "slapd.test".parse().unwrap()).unwrap();
        let issued = pki.domain_controllers(&["127.0.0.1".to_owned()]).unwrap();
        let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let show = |path: &Path| path.to_str().unwrap().to_owned();
        std::fs::create_dir(at("db")).unwrap();
        let global = [
            "include /etc/ldap/schema/core.schema".to_owned(),
            "include /etc/ldap/schema/cosine.schema".to_owned(),
            "include /etc/ldap/schema/inetorgperson.schema".to_owned(),
            "modulepath /usr/lib/ldap".to_owned(),
            "moduleload back_mdb".to_owned(),
            "moduleload ppolicy".to_owned(),
            format!("TLSCACertificateFile {}", show(&pki.ca())),
            format!("TLSCertificateFile {}", show(&issued.certificate)),
            format!("TLSCertificateKeyFile {}", show(&issued.key)),
            "database mdb".to_owned(),
            format!("suffix \"{BASE}\""),
            // Without a password nobody can be it; the overlay counts wrong passwords in its name.
            format!("rootdn \"cn=admin,{BASE}\""),
            format!("directory {}", at("db")),
            "access to attrs=userPassword by anonymous auth by * none".to_owned(),
        ];
        let overlay = [
            "overlay ppolicy".to_owned(),
            format!("ppolicy_default \"cn=policy,{BASE}\""),
            "ppolicy_use_lockout".to_owned(),
        ];
        std::fs::write(
            at("slapd.conf"),
            [&global[..], access, &overlay].concat().join("\n") + "\n",
        )
        .unwrap();
        let policy = format!(
            "dn: cn=policy,{BASE}\nobjectClass: device\nobjectClass: pwdPolicy\ncn: policy\n\
             pwdAttribute: userPassword\npwdLockout: TRUE\npwdMaxFailure: {THRESHOLD}\npwdMaxAge: 7776000\n\
             pwdMustChange: TRUE\n"
        );
        std::fs::write(at("everybody.ldif"), ldif("", &people()) + &policy).unwrap();
        run(Command::new("/usr/sbin/slapadd").args(["-f", &at("slapd.conf"), "-l", &at("everybody.ldif")]));
        let served = Served::reserve(show(&pki.ca()));
        let urls = format!("{} {}", served.ldap(), served.ldaps());
        let command = ["/usr/sbin/slapd", "-d", "0", "-f", &at("slapd.conf"), "-h", &urls];
        let server = Server::start(&command, Path::new(&at("output")), None);
        eventually("slapd listens", || served.listens()).await;
        Self {
            served,
            _server: server,
            _folder: folder,
        }
    }
}

#[tokio::test]
#[ignore = "needs slapd (.ci/run installs it)"]
async fn openldaps_password_policy_is_told() {
    let slapd = Slapd::start().await;
    slapd.served.every_state_is_told(&people()).await;
}

#[tokio::test]
#[ignore = "needs slapd (.ci/run installs it)"]
async fn a_service_account_that_may_read_nobody_but_itself_makes_no_password_a_wrong_one() {
    let slapd = Slapd::start_with(&[
        format!("access to dn.base=\"{BASE}\" by * read"),
        "access to * by self read by anonymous auth by * none".to_owned(),
    ])
    .await;
    let cluster = slapd.served.setup(&slapd.served.ldaps(), &[]).start().await;
    for person in well() {
        let answer = cluster
            .sign_in(&format!("{}@example.org", person.uid), &person.password())
            .await;
        assert_eq!(answer.outcome(), "unavailable", "{:?}", answer.body);
        assert_eq!(answer.body["reason"], "directory_down", "{:?}", answer.body);
    }
    let log = std::fs::read_to_string(cluster.running.log("agent-1")).unwrap();
    assert!(
        log.contains("give the service account the right to read accounts"),
        "{log}"
    );
}
