//! OpenLDAP with the ppolicy overlay: people are found by uid, bound by their DN, and what the password policy says is
//! told.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use postern_testbed::pki::Pki;

use super::server::{Server, run};
use crate::harness::{Scratch, Setup, eventually};

const BASE: &str = "dc=example,dc=org";
const SERVICE_ACCOUNT: &str = "cn=svc,dc=example,dc=org";
const SERVICE_PASSWORD: &str = "Service-Passwörd-1";
const THRESHOLD: usize = 3;

/// (uid, what of the password policy's state is set, what the right password comes to).
const PEOPLE: [(&str, &str, &str); 6] = [
    ("nina", "", "success"),
    ("zoe", "", "success"),
    ("paul", "pwdChangedTime: 20200101000000Z\n", "password_expired"),
    ("mona", "pwdReset: TRUE\n", "password_must_change"),
    ("luke", "pwdAccountLockedTime: 000001010000Z\n", "account_locked"),
    ("lena", "", "success"),
];

fn password(uid: &str) -> String {
    match uid {
        "zoe" => "Pässwörd-日本".to_owned(),
        uid => format!("Right-{uid}-1"),
    }
}

/// Everything in the directory. Values that are not ASCII would need base64 in LDIF, were slapadd strict about it.
fn ldif() -> String {
    let people: String = PEOPLE
        .iter()
        .map(|(uid, state, _)| {
            format!(
                "dn: uid={uid},{BASE}\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: {uid}\nsn: {uid}\n\
                 mail: {uid}@mail.example.net\nuserPassword: {}\n{state}\n",
                password(uid)
            )
        })
        .collect();
    format!(
        "dn: {BASE}\nobjectClass: domain\ndc: example\n\n\
         dn: {SERVICE_ACCOUNT}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: svc\n\
         userPassword: {SERVICE_PASSWORD}\n\n\
         dn: cn=policy,{BASE}\nobjectClass: device\nobjectClass: pwdPolicy\ncn: policy\npwdAttribute: userPassword\n\
         pwdLockout: TRUE\npwdMaxFailure: {THRESHOLD}\npwdMaxAge: 7776000\npwdMustChange: TRUE\n\n{people}"
    )
}

struct Slapd {
    ldap: String,
    ldaps: String,
    ca: String,
    _server: Server,
    _folder: Scratch,
}

impl Slapd {
    async fn start() -> Self {
        let folder = Scratch::new();
        let pki = Pki::init(&folder.path().join("pki"), "slapd.test".parse().unwrap()).unwrap();
        let issued = pki.domain_controllers(&["127.0.0.1".to_owned()]).unwrap();
        let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let show = |path: &Path| path.to_str().unwrap().to_owned();
        std::fs::create_dir(at("db")).unwrap();
        let config = [
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
            format!("access to * by dn.exact=\"{SERVICE_ACCOUNT}\" read by anonymous auth by * none"),
            "overlay ppolicy".to_owned(),
            format!("ppolicy_default \"cn=policy,{BASE}\""),
            "ppolicy_use_lockout".to_owned(),
        ];
        std::fs::write(at("slapd.conf"), config.join("\n") + "\n").unwrap();
        std::fs::write(at("everybody.ldif"), ldif()).unwrap();
        run(Command::new("/usr/sbin/slapadd").args(["-f", &at("slapd.conf"), "-l", &at("everybody.ldif")]));
        // Both at once, so that they differ.
        let reserve = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (plain, tls) = (reserve(), reserve());
        let (plain, tls) = (plain.local_addr().unwrap(), tls.local_addr().unwrap());
        let (ldap, ldaps) = (format!("ldap://{plain}"), format!("ldaps://{tls}"));
        let urls = format!("{ldap} {ldaps}");
        let command = ["/usr/sbin/slapd", "-d", "0", "-f", &at("slapd.conf"), "-h", &urls];
        let server = Server::start(&command, Path::new(&at("output")), None);
        eventually("slapd listens", || {
            [plain, tls].iter().all(|address| TcpStream::connect(address).is_ok())
        })
        .await;
        Self {
            ldap,
            ldaps,
            ca: show(&pki.ca()),
            _server: server,
            _folder: folder,
        }
    }

    fn setup(&self, url: &str, more: &[&str]) -> Setup {
        let arguments = [
            "--directory",
            url,
            "--directory-ca",
            &self.ca,
            "--ports",
            "auto",
            "--agents",
            "2",
        ];
        let account = ["--service-account", SERVICE_ACCOUNT];
        Setup::new(&[&arguments[..], &account, more].concat()).env("POSTERN_SERVICE_PASSWORD", SERVICE_PASSWORD)
    }
}

#[tokio::test]
#[ignore = "needs slapd (.ci/run installs it)"]
async fn openldaps_password_policy_is_told() {
    let slapd = Slapd::start().await;
    for (url, locked) in [(&slapd.ldaps, "lena"), (&slapd.ldap, "zoe")] {
        let cluster = slapd.setup(url, &["--alternate-id", "mail"]).start().await;
        assert_eq!(cluster.text("/realm"), "example.org");
        for (uid, _, expect) in PEOPLE {
            for name in [
                format!("{uid}@example.org"),
                format!("EXAMPLE\\{uid}"),
                format!("{uid}@mail.example.net"),
            ] {
                let answer = cluster.sign_in(&name, &password(uid)).await;
                // Locked in the round before.
                let expect = if (url, uid) == (&slapd.ldap, "lena") {
                    "account_locked"
                } else {
                    expect
                };
                assert_eq!(answer.outcome(), expect, "{url}, {name}: {:?}", answer.body);
                if expect == "success" {
                    assert!(answer.body["subject"]["entry_uuid"].is_string(), "{:?}", answer.body);
                }
            }
        }
        let nobody = cluster.sign_in("nobody@example.org", "Wrong-1").await;
        assert_eq!(nobody.outcome(), "invalid_credentials");
        let name = format!("{locked}@example.org");
        for _ in 0..THRESHOLD {
            assert_eq!(cluster.sign_in(&name, "Wrong-1").await.outcome(), "invalid_credentials");
        }
        for given in [&*password(locked), "Wrong-1"] {
            assert_eq!(cluster.sign_in(&name, given).await.outcome(), "account_locked", "{url}");
        }
    }
}
