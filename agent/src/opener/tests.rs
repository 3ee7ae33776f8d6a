use postern_protocol::seal::{Jwe, OpeningKey};
use postern_protocol::{RealmKey, RequestId};
use proptest::prelude::*;
use zeroize::Zeroizing;

use super::*;
use crate::machine::Machine;
use crate::workshop::Workshop;

const UNIX_MS: u64 = 1_790_000_000_000;

struct Fixture {
    identity: AgentIdentity,
    keys: OpeningKeys,
    workers: Workers,
    memory: KeyMemory,
}

impl Fixture {
    async fn new() -> Self {
        Self {
            identity: AgentIdentity {
                realm: RealmKey {
                    tenant: "acme".parse().unwrap(),
                    realm: "corp.example.com".parse().unwrap(),
                },
                name: "agent-1".parse().unwrap(),
            },
            keys: OpeningKeys::generate(&Machine::this()).await.unwrap(),
            workers: Workers::new(Workshop::Threads { at_once: 1 }),
            memory: KeyMemory::default(),
        }
    }

    fn key(&self) -> OpeningKey {
        self.keys.current().borrow().clone()
    }

    async fn open(&self, request: &Request) -> Result<Opened, Refusal> {
        let opener = Opener {
            identity: &self.identity,
            keys: &self.keys,
            workers: &self.workers,
            memory: &self.memory,
        };
        opener.open(request, Moment(1), UNIX_MS).await
    }
}

fn data(user: &str) -> AuthenticatedData {
    AuthenticatedData {
        expires_unix_ms: UNIX_MS + 4_000,
        realm: "corp.example.com".to_owned(),
        request_id: RequestId([7; 16]),
        tenant: "acme".to_owned(),
        user: user.to_owned(),
    }
}

fn client(key: &OpeningKey, data: &AuthenticatedData) -> Request {
    let password = Password::new(Zeroizing::new("right".to_owned())).unwrap();
    let jwe = Jwe::seal(&password, data, [key.public()]).unwrap();
    let parts = jwe.parts().unwrap();
    let (kid, encrypted_key) = parts.recipients.into_iter().next().unwrap();
    Request {
        request_id: data.request_id,
        tenant: data.tenant.clone(),
        realm: data.realm.clone(),
        user: data.user.clone(),
        expires_unix_ms: data.expires_unix_ms,
        start_by: Moment(0),
        kid,
        encrypted_key,
        iv: parts.sealed.iv,
        ciphertext: parts.sealed.ciphertext,
        tag: parts.sealed.tag,
        client_sealed: Some(ClientSealed {
            protected: jwe.protected,
            aad: jwe.aad,
        }),
        alternate_id: false,
        avoid_dc: None,
    }
}

/// As a relay seals: the same parts, and the agent rebuilds header and authenticated data.
fn relay(key: &OpeningKey, data: &AuthenticatedData) -> Request {
    Request {
        client_sealed: None,
        alternate_id: false,
        ..client(key, data)
    }
}

#[tokio::test]
async fn both_kinds_of_sealing_open_to_the_authenticated_user() {
    let fixture = Fixture::new().await;
    for request in [
        client(&fixture.key(), &data(" zoë@corp.example.com")),
        relay(&fixture.key(), &data(" zoë@corp.example.com")),
    ] {
        let opened = fixture.open(&request).await.unwrap();
        assert_eq!(opened.password.expose(), "right");
        assert_eq!(opened.user.as_str(), "zoë@corp.example.com");
        assert_eq!(opened.keep, Duration::from_millis(34_001));
    }
}

#[tokio::test]
async fn what_was_sealed_for_one_sign_in_opens_for_no_other() {
    let fixture = Fixture::new().await;
    let changes: [fn(&mut Request); 8] = [
        |request| request.user = "b@corp.example.com".to_owned(),
        |request| request.realm = "other.example.com".to_owned(),
        |request| request.tenant = "other".to_owned(),
        |request| request.request_id = RequestId([8; 16]),
        |request| request.expires_unix_ms += 1,
        |request| request.tag[0] ^= 1,
        |request| request.iv[0] ^= 1,
        |request| request.encrypted_key[0] ^= 1,
    ];
    for (index, change) in changes.iter().enumerate() {
        for mut request in [
            client(&fixture.key(), &data("a@corp.example.com")),
            relay(&fixture.key(), &data("a@corp.example.com")),
        ] {
            change(&mut request);
            let refusal = fixture.open(&request).await.unwrap_err();
            assert_eq!(refusal.reason(), NotStarted::CannotOpen, "change {index}: {refusal:?}");
        }
    }
}

#[tokio::test]
async fn a_realm_that_is_not_the_certificates_does_not_open_even_when_sealed_so() {
    let fixture = Fixture::new().await;
    let elsewhere = AuthenticatedData {
        realm: "other.example.com".to_owned(),
        ..data("a@other.example.com")
    };
    for request in [client(&fixture.key(), &elsewhere), relay(&fixture.key(), &elsewhere)] {
        assert_eq!(fixture.open(&request).await.unwrap_err(), Refusal::Elsewhere);
    }
}

#[tokio::test]
async fn another_agents_kid_is_told_as_no_key() {
    let fixture = Fixture::new().await;
    let other = OpeningKey::generate().unwrap();
    let request = relay(&other, &data("a@corp.example.com"));
    assert_eq!(fixture.open(&request).await.unwrap_err(), Refusal::NoKey);
}

#[tokio::test]
async fn a_name_that_no_directory_should_see_is_refused() {
    let fixture = Fixture::new().await;
    let request = relay(&fixture.key(), &data("<SID=S-1-5-21-1>@corp.example.com"));
    assert_eq!(fixture.open(&request).await.unwrap_err(), Refusal::Refused);
}

#[tokio::test]
async fn a_callers_expiry_is_checked_and_a_relays_is_not() {
    let fixture = Fixture::new().await;
    for (expires, refusal) in [
        (UNIX_MS - 30_001, Refusal::Expired),
        (UNIX_MS + 90_001, Refusal::NoClock),
    ] {
        let data = AuthenticatedData {
            expires_unix_ms: expires,
            ..data("a@corp.example.com")
        };
        assert_eq!(fixture.open(&client(&fixture.key(), &data)).await.unwrap_err(), refusal);
        assert!(fixture.open(&relay(&fixture.key(), &data)).await.is_ok());
    }
}

#[tokio::test]
async fn a_header_with_other_algorithms_is_not_opened() {
    let fixture = Fixture::new().await;
    let mut request = client(&fixture.key(), &data("a@corp.example.com"));
    if let Some(client) = &mut request.client_sealed {
        client.protected.insert(0, 'e');
    }
    assert!(matches!(fixture.open(&request).await, Err(Refusal::CannotOpen(_))));
}

proptest! {
    #[test]
    fn a_mark_outlives_every_moment_at_which_the_envelope_would_pass(
        expires in 0u64..400_000,
        first in 0u64..400_000,
        later in 0u64..400_000,
    ) {
        prop_assume!(check_expiry(expires, first).is_ok());
        let forgotten = first + millis(keep(expires, first));
        let again = first + later;
        if check_expiry(expires, again).is_ok() {
            prop_assert!(again <= forgotten);
        }
    }
}
