use super::*;
use bytes::BytesMut;
use ldap3_proto::LdapCodec;
use ldap3_proto::proto::{
    LdapBindResponse, LdapExtendedResponse, LdapMsg, LdapOp, LdapPartialAttribute, LdapResult as ProtoResult,
    LdapResultCode, LdapSearchResultEntry, LdapSearchResultReference,
};
use proptest::prelude::*;
use tokio_util::codec::Encoder;

use crate::client::START_TLS;

/// As another implementation writes it.
fn written(id: i32, op: LdapOp) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    LdapCodec::default().encode(LdapMsg::new(id, op), &mut bytes).unwrap();
    bytes.to_vec()
}

fn said(code: LdapResultCode, text: &str) -> ProtoResult {
    ProtoResult {
        code,
        matcheddn: "dc=corp".to_owned(),
        message: text.to_owned(),
        referral: Vec::new(),
    }
}

fn bind_response(id: i32, code: LdapResultCode, text: &str) -> Vec<u8> {
    let response = LdapBindResponse {
        res: said(code, text),
        saslcreds: None,
    };
    written(id, LdapOp::BindResponse(response))
}

fn result_of(code: u32, text: &str) -> LdapResult {
    LdapResult {
        code,
        text: text.to_owned(),
    }
}

#[test]
fn every_kind_of_answer_is_read_as_another_implementation_writes_it() {
    let text = "80090308: LdapErr: DSID-0C090549, comment: AcceptSecurityContext error, data 52e, v65f4\0";
    let message = decode(&bind_response(300, LdapResultCode::InvalidCredentials, text)).unwrap();
    assert_eq!(message.id, 300);
    assert_eq!(message.answer, Answer::Bind(result_of(49, text), None));

    let entry = LdapOp::SearchResultEntry(LdapSearchResultEntry {
        dn: "cn=Zoë".to_owned(),
        attributes: vec![LdapPartialAttribute {
            atype: "objectGUID".to_owned(),
            vals: vec![vec![0, 255], b"text".to_vec()],
        }],
    });
    let Answer::Entry(entry) = decode(&written(2, entry)).unwrap().answer else {
        panic!("not an entry")
    };
    assert_eq!(entry.dn, "cn=Zoë");
    assert_eq!(entry.values("OBJECTguid"), [vec![0, 255], b"text".to_vec()]);
    assert_eq!(entry.texts("objectGUID").collect::<Vec<_>>(), ["text"]);
    assert!(entry.values("mail").is_empty());

    let reference = LdapOp::SearchResultReference(LdapSearchResultReference {
        uris: vec!["ldap://other/dc=x".to_owned()],
    });
    assert_eq!(decode(&written(2, reference)).unwrap().answer, Answer::Reference);
    let done = written(2, LdapOp::SearchResultDone(said(LdapResultCode::NoSuchObject, "no")));
    assert_eq!(decode(&done).unwrap().answer, Answer::Done(result_of(32, "no")));

    let extended = LdapOp::ExtendedResponse(LdapExtendedResponse {
        res: said(LdapResultCode::Success, ""),
        name: Some(START_TLS.to_owned()),
        value: None,
    });
    let expected = Answer::Extended {
        result: result_of(0, ""),
        name: Some(START_TLS.to_owned()),
    };
    assert_eq!(decode(&written(1, extended)).unwrap().answer, expected);
}

#[test]
fn result_codes_that_nobody_knows_are_read_as_they_are() {
    // 0x30 len, id 1, BindResponse { 0x0a 2 bytes, "", "" }
    let bytes = [0x30, 13, 2, 1, 1, 0x61, 8, 0x0a, 2, 0x7f, 0xff, 4, 0, 4, 0];
    assert_eq!(
        decode(&bytes).unwrap().answer,
        Answer::Bind(result_of(0x7fff, ""), None)
    );
}

#[test]
fn what_a_later_version_adds_is_passed_over() {
    let bytes = [0x30, 17, 2, 1, 1, 0x61, 9, 0x0a, 1, 0, 4, 0, 4, 0, 0x89, 0, 0xa5, 2, 0];
    // The last element is no whole one.
    assert_eq!(decode(&bytes), Err(Violation::NotLdap));
    let bytes = [0x30, 16, 2, 1, 1, 0x61, 9, 0x0a, 1, 0, 4, 0, 4, 0, 0x89, 0, 0xa5, 0];
    assert_eq!(decode(&bytes).unwrap().answer, Answer::Bind(result_of(0, ""), None));
}

#[test]
fn the_password_policy_is_read_where_it_answers_a_bind_and_two_of_them_are_a_violation() {
    let control = |error: u8| {
        let oid = b"1.3.6.1.4.1.42.2.27.8.5.1";
        let value = [0x30, 3, 0x81, 1, error];
        let mut control = vec![0x30, 0, 4, u8::try_from(oid.len()).unwrap()];
        control.extend_from_slice(oid);
        control.extend_from_slice(&[4, 5]);
        control.extend_from_slice(&value);
        control[1] = u8::try_from(control.len() - 2).unwrap();
        control
    };
    let answer = |controls: &[u8]| {
        let mut message = vec![0x30, 0, 2, 1, 1, 0x61, 7, 0x0a, 1, 49, 4, 0, 4, 0];
        message.extend_from_slice(&[0xa0, u8::try_from(controls.len()).unwrap()]);
        message.extend_from_slice(controls);
        message[1] = u8::try_from(message.len() - 2).unwrap();
        decode(&message)
    };
    let locked = PasswordPolicy { error: Some(1) };
    assert_eq!(
        answer(&control(1)).unwrap().answer,
        Answer::Bind(result_of(49, ""), Some(locked))
    );
    assert_eq!(answer(&[]).unwrap().answer, Answer::Bind(result_of(49, ""), None));
    assert_eq!(answer(&[control(1), control(2)].concat()), Err(Violation::NotLdap));
}

#[test]
fn a_notice_of_disconnection_is_the_end_whatever_is_asked() {
    let notice = LdapOp::ExtendedResponse(LdapExtendedResponse {
        res: said(LdapResultCode::Unavailable, "bye"),
        name: Some("1.3.6.1.4.1.1466.20036".to_owned()),
        value: None,
    });
    assert_eq!(
        decode(&written(0, notice)),
        Err(Violation::Notice(result_of(52, "bye")))
    );
}

#[test]
fn the_length_is_told_before_the_message_is_whole_and_bounded() {
    assert_eq!(length(&[]), Ok(None));
    assert_eq!(length(&[0x30]), Ok(None));
    assert_eq!(length(&[0x30, 0x82, 1, 0]), Ok(Some(260)));
    assert_eq!(
        length(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]),
        Err(Violation::TooLong(6 + 0xffff_ffff))
    );
    for garbage in [&b"HTTP/1.1 400"[..], &[0x16, 3, 1], &[0], &[0x30, 0x80]] {
        assert_eq!(length(garbage), Err(Violation::NotLdap), "{garbage:?}");
    }
}

#[test]
fn requests_and_unknown_operations_are_no_answers() {
    let request = written(1, LdapOp::DelRequest("cn=x".to_owned()));
    assert_eq!(decode(&request), Err(Violation::NoAnswer(0x4a)));
    let modified = written(1, LdapOp::ModifyResponse(said(LdapResultCode::Success, "")));
    assert_eq!(decode(&modified), Err(Violation::NoAnswer(0x67)));
}

/// Every operation but a `BindResponse`, as result 0 where it has a result.
fn other_operations() -> Vec<LdapOp> {
    let success = || said(LdapResultCode::Success, "");
    vec![
        LdapOp::SearchResultDone(success()),
        LdapOp::ModifyResponse(success()),
        LdapOp::AddResponse(success()),
        LdapOp::DelResponse(success()),
        LdapOp::ModifyDNResponse(success()),
        LdapOp::CompareResult(success()),
        LdapOp::UnbindRequest,
        LdapOp::AbandonRequest(1),
        LdapOp::ExtendedResponse(LdapExtendedResponse {
            res: success(),
            name: None,
            value: None,
        }),
    ]
}

#[test]
fn no_other_operation_with_result_zero_reads_as_a_binds_answer() {
    for op in other_operations() {
        let read = decode(&written(1, op.clone()));
        assert!(
            !matches!(
                &read,
                Ok(Message {
                    answer: Answer::Bind(..),
                    ..
                })
            ),
            "{op:?}"
        );
    }
}

/// Whether the bytes say: bind accepted.
fn is_success(bytes: &[u8]) -> bool {
    matches!(decode(bytes), Ok(Message { answer: Answer::Bind(result, _), .. }) if result.code == 0)
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes: Vec<u8>) {
        let _ = length(&bytes);
        let _ = decode(&bytes);
    }

    #[test]
    fn no_damage_to_an_answer_makes_the_reader_panic(
        code in prop_oneof![Just(LdapResultCode::Success), Just(LdapResultCode::InvalidCredentials)],
        text in "\\PC{0,80}", at: prop::sample::Index, byte: u8,
    ) {
        let mut bytes = bind_response(1, code, &text);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = length(&bytes);
        let _ = decode(&bytes);
    }

    #[test]
    fn an_answer_that_is_cut_short_says_nothing(text in "\\PC{0,200}", at: prop::sample::Index) {
        let bytes = bind_response(1, LdapResultCode::Success, &text);
        prop_assert!(is_success(&bytes));
        let cut = &bytes[..at.index(bytes.len())];
        prop_assert!(decode(cut).is_err());
        // Nor is it taken for a whole one.
        prop_assert!(length(cut) == Ok(None) || length(cut) == Ok(Some(bytes.len())));
    }

    #[test]
    fn a_refusal_becomes_a_success_by_its_result_code_alone(
        text in "\\PC{0,80}", at: prop::sample::Index, byte: u8,
    ) {
        let refusal = bind_response(1, LdapResultCode::InvalidCredentials, &text);
        let mut bytes = refusal.clone();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        // SEQUENCE, id, BindResponse, ENUMERATED: the code is the content of the fourth element.
        let code = refusal.windows(3).position(|window| window == [0x0a, 1, 49]).unwrap() + 2;
        prop_assert!(!is_success(&bytes) || (at == code && byte == 0));
    }

    #[test]
    fn random_bytes_are_a_success_only_as_a_whole_bind_response(bytes in prop::collection::vec(prop_oneof![
        Just(0x30u8), Just(0x61), Just(0x0a), Just(4), Just(2), Just(1), Just(0), 0u8..20, any::<u8>(),
    ], 0..24)) {
        if is_success(&bytes) {
            // Checked by hand, element by element.
            prop_assert_eq!(bytes[0], 0x30);
            prop_assert!(bytes.contains(&0x61) && bytes.contains(&0x0a));
            prop_assert_eq!(length(&bytes), Ok(Some(bytes.len())));
        }
    }
}

/// Message 1 with this content under `tag`; lengths in two bytes.
fn message(tag: u8, content: &[u8]) -> Vec<u8> {
    let long = |tag: u8, content: &[u8]| {
        let [high, low] = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x82, high, low], content].concat()
    };
    long(0x30, &[&[2, 1, 1][..], &long(tag, content)].concat())
}

#[test]
fn a_dn_that_is_no_text_is_refused_and_not_mended() {
    let entry = |dn: &[u8; 4]| message(0x64, &[&[4, 4][..], dn, &[0x30, 0]].concat());
    assert!(decode(&entry(b"CN=a")).is_ok());
    assert_eq!(decode(&entry(b"CN=\xff")), Err(Violation::NotLdap));
}

#[test]
fn of_a_diagnostic_text_only_the_beginning_is_read() {
    let text = vec![b'a'; 20_000];
    let [high, low] = 20_000_u16.to_be_bytes();
    let content = [&[0x0a, 1, 49, 4, 0, 4, 0x82, high, low][..], &text].concat();
    let Ok(Message {
        answer: Answer::Bind(result, None),
        ..
    }) = decode(&message(0x61, &content))
    else {
        panic!("not read")
    };
    assert_eq!((result.code, result.text.len()), (49, MAX_TEXT));
}
