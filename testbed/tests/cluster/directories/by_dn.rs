//! What the tests of directories that bind by DN alone share: people below one suffix, found by uid and by mail, and every
//! state of a password policy, over LDAPS and StartTLS.

use std::net::{SocketAddr, TcpListener};

use crate::harness::Setup;

/// The suffix, and so the realm `example.org`.
pub(crate) const BASE: &str = "dc=example,dc=org";

/// Who looks people up.
pub(crate) const SERVICE_ACCOUNT: &str = "cn=svc,dc=example,dc=org";

/// Its password.
pub(crate) const SERVICE_PASSWORD: &str = "Service-Passwörd-1";

/// Wrong passwords in a row that lock an account.
pub(crate) const THRESHOLD: usize = 3;

/// Somebody for each transport to lock.
const TO_LOCK: [&str; 2] = ["own.ldaps", "own.starttls"];

const WRONG: &str = "Certainly-Wrong-1";

/// An account.
pub(crate) struct Person {
    pub(crate) uid: &'static str,
    /// Attributes of its entry that put it into the state, a line each.
    pub(crate) state: String,
    /// What the right password comes to.
    pub(crate) right: &'static str,
    /// What a wrong one comes to.
    pub(crate) wrong: &'static str,
    /// Whether the directory has an identifier that people can be known by.
    pub(crate) has_uuid: bool,
}

impl Person {
    /// Somebody with whom all is well.
    pub(crate) fn well(uid: &'static str) -> Self {
        Self::in_state(uid, "", "success", "invalid_credentials")
    }

    pub(crate) fn in_state(
        uid: &'static str,
        state: impl Into<String>,
        right: &'static str,
        wrong: &'static str,
    ) -> Self {
        Self {
            uid,
            state: state.into(),
            right,
            wrong,
            has_uuid: true,
        }
    }

    pub(crate) fn password(&self) -> String {
        password(self.uid)
    }

    fn is_owned(&self) -> bool {
        TO_LOCK.contains(&self.uid)
    }
}

fn password(uid: &str) -> String {
    match uid {
        "zoe" => "Pässwörd-日本".to_owned(),
        uid => format!("Right-{uid}-1"),
    }
}

/// Those who are well, among them whom a transport has for itself.
pub(crate) fn well() -> Vec<Person> {
    let people = ["nina", "zoe"].into_iter().chain(TO_LOCK);
    people.map(Person::well).collect()
}

/// Entries of the suffix, the service account and these people, as LDIF. `more` is added to the suffix. Values that are
/// not ASCII would need base64, were the servers' tools strict about it.
pub(crate) fn ldif(more: &str, people: &[Person]) -> String {
    let people: String = people
        .iter()
        .map(|person| {
            let (uid, password, state) = (person.uid, person.password(), &person.state);
            format!(
                "dn: uid={uid},{BASE}\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: {uid}\nsn: {uid}\n\
                 mail: {uid}@mail.example.net\nuserPassword: {password}\n{state}\n"
            )
        })
        .collect();
    format!(
        "dn: {BASE}\nobjectClass: domain\ndc: example\n{more}\n\
         dn: {SERVICE_ACCOUNT}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: svc\n\
         userPassword: {SERVICE_PASSWORD}\n\n{people}"
    )
}

/// Where a directory listens, and who issued its certificate.
pub(crate) struct Served {
    pub(crate) plain: SocketAddr,
    pub(crate) tls: SocketAddr,
    pub(crate) ca: String,
}

impl Served {
    /// Two ports that are free.
    pub(crate) fn reserve(ca: String) -> Self {
        let reserve = || TcpListener::bind("127.0.0.1:0").unwrap();
        // Both at once, so that they differ.
        let (plain, tls) = (reserve(), reserve());
        Self {
            plain: plain.local_addr().unwrap(),
            tls: tls.local_addr().unwrap(),
            ca,
        }
    }

    pub(crate) fn ldap(&self) -> String {
        format!("ldap://{}", self.plain)
    }

    pub(crate) fn ldaps(&self) -> String {
        format!("ldaps://{}", self.tls)
    }

    /// Whether it can be connected to.
    pub(crate) fn listens(&self) -> bool {
        let connects = |address| std::net::TcpStream::connect(address).is_ok();
        connects(self.plain) && connects(self.tls)
    }

    /// `postern up` in front of it.
    pub(crate) fn setup(&self, url: &str, more: &[&str]) -> Setup {
        let arguments = [
            "--directory",
            url,
            "--directory-ca",
            &self.ca,
            "--ports",
            "auto",
            "--agents",
            "2",
            "--service-account",
            SERVICE_ACCOUNT,
        ];
        Setup::new(&[&arguments[..], more].concat()).env("POSTERN_SERVICE_PASSWORD", SERVICE_PASSWORD)
    }

    /// Every state is told over both transports, whatever the form of the name.
    pub(crate) async fn every_state_is_told(&self, people: &[Person]) {
        for (url, to_lock) in [self.ldaps(), self.ldap()].into_iter().zip(TO_LOCK) {
            let cluster = self.setup(&url, &["--alternate-id", "mail"]).start().await;
            assert_eq!(cluster.text("/realm"), "example.org");
            for person in people.iter().filter(|person| !person.is_owned()) {
                let uid = person.uid;
                for name in [
                    format!("{uid}@example.org"),
                    format!("EXAMPLE\\{uid}"),
                    format!("{uid}@mail.example.net"),
                ] {
                    let answer = cluster.sign_in(&name, &person.password()).await;
                    assert_eq!(answer.outcome(), person.right, "{url}, {name}: {:?}", answer.body);
                    if person.right == "success" {
                        let shown = answer.body["subject"]["entry_uuid"].is_string();
                        assert_eq!(shown, person.has_uuid, "{name}: {:?}", answer.body);
                    }
                }
                // One for each transport: two are not enough to lock anybody, and a right one comes in between.
                let wrong = cluster.sign_in(&format!("{uid}@example.org"), WRONG).await;
                assert_eq!(wrong.outcome(), person.wrong, "{url}, {uid}: {:?}", wrong.body);
            }
            let nobody = cluster.sign_in("nobody@example.org", WRONG).await;
            assert_eq!(nobody.outcome(), "invalid_credentials");
            let name = format!("{to_lock}@example.org");
            for _ in 0..THRESHOLD {
                assert_eq!(cluster.sign_in(&name, WRONG).await.outcome(), "invalid_credentials");
            }
            for given in [&*password(to_lock), WRONG] {
                assert_eq!(cluster.sign_in(&name, given).await.outcome(), "account_locked", "{url}");
            }
        }
    }
}
