//! Sealing against itself and against the `rsa` crate; other languages' libraries are in the testbed's tests.

use std::sync::OnceLock;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use proptest::prelude::*;
use rsa::pkcs8::EncodePublicKey;
use rsa::traits::PublicKeyParts;
use zeroize::Zeroizing;

use super::*;
use crate::{Password, RequestId};

fn key() -> &'static OpeningKey {
    static KEY: OnceLock<OpeningKey> = OnceLock::new();
    KEY.get_or_init(|| OpeningKey::generate().unwrap())
}

fn password(text: &str) -> Password {
    Password::new(Zeroizing::new(text.to_owned())).unwrap()
}

fn authenticated(user: &str) -> AuthenticatedData {
    AuthenticatedData {
        expires_unix_ms: 1_790_000_000_000,
        realm: "corp.example.com".to_owned(),
        request_id: RequestId([7; 16]),
        tenant: "acme".to_owned(),
        user: user.to_owned(),
    }
}

/// As an agent does it.
fn open(jwe: &Jwe, key: &OpeningKey) -> Result<Password, CannotOpen> {
    let parts = jwe.parts().map_err(|_| CannotOpen)?;
    let wrapped = parts.recipients.get(key.public().kid()).ok_or(CannotOpen)?;
    key.unwrap_key(wrapped)?.open(&parts.sealed, &jwe.protected, &jwe.aad)
}

#[test]
fn the_protected_header_constant_is_its_own_base64() {
    assert_eq!(BASE64_URL_SAFE_NO_PAD.encode(PROTECTED_HEADER), PROTECTED_HEADER_BASE64);
    assert_eq!(check_protected(PROTECTED_HEADER_BASE64), Ok(()));
}

#[test]
fn the_authenticated_data_is_written_in_the_agreed_order_without_spaces() {
    let json = BASE64_URL_SAFE_NO_PAD
        .decode(authenticated("zoë@corp.example.com").to_base64())
        .unwrap();
    assert_eq!(
        String::from_utf8(json).unwrap(),
        "{\"exp\":1790000000000,\"realm\":\"corp.example.com\",\"rid\":\"07070707-0707-0707-0707-070707070707\",\
         \"tenant\":\"acme\",\"user\":\"zoë@corp.example.com\"}"
    );
}

#[test]
fn authenticated_data_with_unknown_repeated_or_missing_members_is_refused() {
    let good = r#"{"exp":1,"realm":"r","rid":"07070707-0707-0707-0707-070707070707","tenant":"t","user":"u"}"#;
    let read = |json: &str| AuthenticatedData::from_base64(&BASE64_URL_SAFE_NO_PAD.encode(json));
    assert!(read(good).is_ok());
    for bad in [
        good.replace("\"user\":\"u\"", "\"user\":\"u\",\"user\":\"v\""),
        good.replace("\"user\":\"u\"", "\"user\":\"u\",\"x\":1"),
        good.replace(",\"user\":\"u\"", ""),
        good.replace("\"exp\":1", "\"exp\":-1"),
        good.replace("07070707-", "0707070-"),
        format!("{good} x"),
        r#"[1,"r","07070707-0707-0707-0707-070707070707","t","u"]"#.to_owned(),
    ] {
        assert!(read(&bad).is_err(), "{bad} was accepted");
    }
}

#[test]
fn a_password_sealed_for_one_user_does_not_open_for_another() {
    let jwe = Jwe::seal(
        &password("right"),
        &authenticated("a@corp.example.com"),
        [key().public()],
    )
    .unwrap();
    assert_eq!(open(&jwe, key()).unwrap().expose(), "right");
    let forged = Jwe {
        aad: authenticated("b@corp.example.com").to_base64(),
        ..jwe
    };
    assert_eq!(open(&forged, key()).unwrap_err(), CannotOpen);
}

#[test]
fn the_wrapped_key_opens_with_the_rsa_crate_and_its_wrap_opens_here() {
    let mut rng = rsa::rand_core::OsRng;
    let theirs = rsa::RsaPrivateKey::new(&mut rng, 2048).unwrap();
    let der = theirs.to_public_key().to_public_key_der().unwrap();
    let sealing = SealingKey::from_der(der.as_bytes()).unwrap();
    let content_key = ContentKey::generate().unwrap();
    let unwrapped = theirs
        .decrypt(
            rsa::Oaep::new::<rsa::sha2::Sha256>(),
            &sealing.wrap(&content_key).unwrap(),
        )
        .unwrap();
    assert_eq!(unwrapped, content_key.bytes());

    let n = rsa::BigUint::from_bytes_be(&BASE64_URL_SAFE_NO_PAD.decode(&key().public().jwk().n).unwrap());
    let ours = rsa::RsaPublicKey::new(n, 65_537_u32.into()).unwrap();
    assert_eq!(ours.size(), 256);
    let wrapped = ours
        .encrypt(&mut rng, rsa::Oaep::new::<rsa::sha2::Sha256>(), content_key.bytes())
        .unwrap();
    assert_eq!(key().unwrap_key(&wrapped).unwrap().bytes(), content_key.bytes());
}

#[test]
fn keys_of_another_kind_or_size_are_refused() {
    assert_eq!(SealingKey::from_der(b"nonsense").unwrap_err(), SealingKeyError::NotRsa);
    let small = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 1024)
        .unwrap()
        .to_public_key();
    assert_eq!(
        SealingKey::from_der(small.to_public_key_der().unwrap().as_bytes()).unwrap_err(),
        SealingKeyError::Size(1024)
    );
    let elliptic = rcgen::KeyPair::generate().unwrap();
    let spki = rcgen::PublicKeyData::subject_public_key_info(&elliptic);
    assert_eq!(SealingKey::from_der(&spki).unwrap_err(), SealingKeyError::NotRsa);
}

#[test]
fn other_algorithms_compression_and_critical_headers_are_refused() {
    for header in [
        r#"{"alg":"RSA1_5","enc":"A256GCM","typ":"postern+jwe"}"#,
        r#"{"alg":"dir","enc":"A256GCM","typ":"postern+jwe"}"#,
        r#"{"alg":"RSA-OAEP-256","enc":"A128GCM","typ":"postern+jwe"}"#,
        r#"{"alg":"RSA-OAEP-256","enc":"A256GCM","typ":"JWE"}"#,
        r#"{"alg":"RSA-OAEP-256","enc":"A256GCM"}"#,
        r#"{"alg":"RSA-OAEP-256","enc":"A256GCM","typ":"postern+jwe","zip":"DEF"}"#,
        r#"{"alg":"RSA-OAEP-256","enc":"A256GCM","typ":"postern+jwe","crit":["x"],"x":1}"#,
        r#"{"alg":"RSA-OAEP-256","alg":"dir","enc":"A256GCM","typ":"postern+jwe"}"#,
        "[]",
        r#"["RSA-OAEP-256","A256GCM","postern+jwe"]"#,
    ] {
        assert_eq!(
            check_protected(&BASE64_URL_SAFE_NO_PAD.encode(header)),
            Err(JweError::Header),
            "{header}"
        );
    }
}

#[test]
fn an_envelope_with_a_part_of_the_wrong_length_is_refused_before_any_key_is_used() {
    let jwe = Jwe::seal(
        &password("right"),
        &authenticated("a@corp.example.com"),
        [key().public()],
    )
    .unwrap();
    let short_tag = Jwe {
        tag: BASE64_URL_SAFE_NO_PAD.encode([0; 12]),
        ..jwe.clone()
    };
    assert!(matches!(
        short_tag.parts(),
        Err(JweError::Length {
            member: "tag",
            actual: 12,
            ..
        })
    ));
    let many = Jwe {
        recipients: vec![jwe.recipients[0].clone(); 101],
        ..jwe.clone()
    };
    assert!(matches!(many.parts(), Err(JweError::Recipients(101))));
    let none = Jwe {
        recipients: Vec::new(),
        ..jwe.clone()
    };
    assert!(matches!(none.parts(), Err(JweError::Recipients(0))));
    let padded = Jwe {
        iv: format!("{}=", jwe.iv),
        ..jwe
    };
    assert!(matches!(padded.parts(), Err(JweError::Base64("iv"))));
}

#[test]
fn the_largest_envelope_that_is_taken_fits_into_a_request() {
    use crate::frame::{ClientSealed, MAX_DC_NAME_BYTES, MAX_REQUEST_BYTES, Request};
    let user = format!("{}@corp.example.com", "x".repeat(1024 - 17));
    let bound_to = AuthenticatedData {
        tenant: "t".repeat(64),
        realm: "r".repeat(64),
        ..authenticated(&user)
    };
    let long = password(&"p".repeat(1024));
    let mut jwe = Jwe::seal(&long, &bound_to, [key().public()]).unwrap();
    let pad = |text: &str, to: usize| {
        let blanks = " ".repeat(to / 4 * 3 - text.len());
        BASE64_URL_SAFE_NO_PAD.encode(format!("{text}{blanks}"))
    };
    let aad = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(&jwe.aad).unwrap()).unwrap();
    (jwe.aad, jwe.protected) = (pad(&aad, 10 * 1024), pad(PROTECTED_HEADER, 256));
    let parts = jwe.parts().expect("the largest one");
    let (kid, encrypted_key) = parts.recipients.into_iter().next().unwrap();
    let request = Request {
        request_id: bound_to.request_id,
        tenant: bound_to.tenant,
        realm: bound_to.realm,
        user,
        expires_unix_ms: u64::MAX,
        start_by: crate::Moment(u64::MAX),
        kid,
        encrypted_key,
        iv: parts.sealed.iv,
        ciphertext: parts.sealed.ciphertext,
        tag: parts.sealed.tag,
        client_sealed: Some(ClientSealed {
            protected: jwe.protected.clone(),
            aad: jwe.aad.clone(),
        }),
        alternate_id: true,
        avoid_dc: Some("d".repeat(MAX_DC_NAME_BYTES)),
    };
    assert!(request.encode().len() <= MAX_REQUEST_BYTES);
    for longer in [
        Jwe {
            aad: format!("{}AAAA", jwe.aad),
            ..jwe.clone()
        },
        Jwe {
            protected: format!("{}AAAA", jwe.protected),
            ..jwe
        },
    ] {
        assert!(matches!(longer.parts(), Err(JweError::TooLong(_))));
    }
}

#[test]
fn recipients_are_objects_with_a_thumbprint_each_and_no_two_the_same() {
    let jwe = Jwe::seal(&password("right"), &authenticated("a@b"), [key().public()]).unwrap();
    let twice = Jwe {
        recipients: vec![jwe.recipients[0].clone(); 2],
        ..jwe.clone()
    };
    assert!(matches!(twice.parts(), Err(JweError::Kid)));
    let mut short = jwe.clone();
    short.recipients[0].header.kid.pop();
    assert!(matches!(short.parts(), Err(JweError::Kid)));
    let mut json = serde_json::to_value(&jwe).unwrap();
    assert!(serde_json::from_value::<Jwe>(json.clone()).is_ok());
    json["recipients"][0]["header"] = serde_json::json!([jwe.recipients[0].header.kid]);
    assert!(serde_json::from_value::<Jwe>(json.clone()).is_err());
    json["recipients"][0] = serde_json::json!([{ "kid": jwe.recipients[0].header.kid }, "AA"]);
    assert!(serde_json::from_value::<Jwe>(json).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_sealed_opens_to_the_same(text in "[^\\x00]{1,200}", user in "\\PC{0,40}") {
        let sealed_to = [key().public()];
        let jwe = Jwe::seal(&password(&text), &authenticated(&user), sealed_to).unwrap();
        let json = serde_json::to_vec(&jwe).unwrap();
        let read: Jwe = serde_json::from_slice(&json).unwrap();
        prop_assert_eq!(&read.parts().unwrap().authenticated.user, &user);
        let opened = open(&read, key()).unwrap();
        prop_assert_eq!(opened.expose(), text.as_str());
    }

    #[test]
    fn one_changed_bit_anywhere_does_not_open(at in 0usize..4096, bit in 0u32..8, part in 0usize..5) {
        let mut jwe = Jwe::seal(&password("right"), &authenticated("a@b"), [key().public()]).unwrap();
        let recipient = &mut jwe.recipients[0];
        let member = [&mut jwe.aad, &mut jwe.iv, &mut jwe.ciphertext, &mut jwe.tag, &mut recipient.encrypted_key];
        let member = member.into_iter().nth(part).unwrap();
        let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(&*member).unwrap();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        *member = BASE64_URL_SAFE_NO_PAD.encode(bytes);
        prop_assert_eq!(open(&jwe, key()).unwrap_err(), CannotOpen);
    }

    #[test]
    fn no_json_panics(text in "\\PC{0,300}") {
        if let Ok(jwe) = serde_json::from_str::<Jwe>(&text) {
            let _ = jwe.parts();
        }
        let _ = AuthenticatedData::from_base64(&text);
        let _ = check_protected(&text);
    }
}
