//! Requests as clients write them, and what is none.

use postern_ldap::ber::{Appender, SEQUENCE};
use proptest::prelude::*;

use super::*;
use crate::search::request::{Assertion, Filter, Substring};

fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Appender::new(&mut bytes).element(tag, &parts.concat());
    bytes
}

fn message(parts: &[&[u8]]) -> Vec<u8> {
    tlv(SEQUENCE, &[&[&[2, 1, 7][..]], parts].concat())
}

fn text(text: &[u8]) -> Vec<u8> {
    tlv(OCTET_STRING, &[text])
}

fn bind(version: &[u8], name: &[u8], credentials: &[u8]) -> Vec<u8> {
    message(&[&tlv(0x60, &[&tlv(INTEGER, &[version]), &text(name), credentials])])
}

fn search(filter: &[u8]) -> Vec<u8> {
    let numbers = [0x0a, 1, 2, 0x0a, 1, 0, 2, 1, 5, 2, 1, 0xff, 1, 1, 0];
    let attributes = tlv(SEQUENCE, &[&text(b"cn"), &text(b"mail")]);
    message(&[&tlv(0x63, &[&text(b"DC=x"), &numbers, filter, &attributes])])
}

fn filter_of(filter: &[u8]) -> Option<Filter> {
    match decode(&search(filter)).ok()?.operation {
        Operation::Search(request) => Some(request.filter),
        _ => None,
    }
}

#[test]
fn names_and_passwords_are_the_bytes_that_came() {
    let bytes = bind(&[3], b"\xff@x", &tlv(SIMPLE, &[b"p\0\xfe"]));
    let request = decode(&bytes).unwrap();
    assert_eq!(request.id, 7);
    let Operation::Bind(bind) = request.operation else {
        panic!("no bind: {request:?}")
    };
    assert_eq!((bind.version, bind.name), (3, &b"\xff@x"[..]));
    assert!(matches!(bind.credentials, Credentials::Simple(b"p\0\xfe")));
}

#[test]
fn a_request_is_shown_without_its_password() {
    let bytes = bind(&[3], b"good", &tlv(SIMPLE, &[b"s3cret"]));
    let shown = format!("{:?}", decode(&bytes).unwrap());
    assert!(shown.contains("***"), "{shown}");
    let secret = format!("{:?}", b"s3cret");
    assert!(!shown.contains("s3cret") && !shown.contains(secret.trim_matches(['[', ']'])));
}

#[test]
fn a_version_of_no_bytes_is_0_and_lengths_may_take_the_long_form() {
    for version in [&[][..], &[0]] {
        let bytes = bind(version, b"", &tlv(SIMPLE, &[]));
        assert!(matches!(
            decode(&bytes).unwrap().operation,
            Operation::Bind(Bind { version: 0, .. })
        ));
    }
    let long = [
        0x30, 0x84, 0, 0, 0, 16, 2, 0x81, 1, 9, 0x60, 0x82, 0, 8, 2, 1, 3, 4, 0x81, 0, 0x80, 0,
    ];
    assert_eq!(decode(&long).unwrap().id, 9);
}

#[test]
fn nothing_may_be_left_over_and_nothing_may_be_cut() {
    let password = tlv(SIMPLE, &[b"p"]);
    let whole = tlv(0x60, &[&[2, 1, 3], &text(b"n"), &password]);
    assert!(decode(&message(&[&whole])).is_ok());
    for (what, bytes) in [
        ("behind the operation", message(&[&whole, &text(b"x")])),
        ("behind the message", [message(&[&whole]), vec![0]].concat()),
        ("in the bind", bind(&[3], b"n", &[&password[..], &text(b"z")].concat())),
        ("an authentication choice", bind(&[3], b"n", &tlv(0x85, &[b"p"]))),
        ("no credentials", bind(&[3], b"n", &[])),
        ("an unbind with content", message(&[&tlv(0x42, &[b"abc"])])),
        ("no operation", message(&[])),
        ("an inner length", message(&[&[0x60, 5, 2, 1, 3, 4, 0xff]])),
        ("an extended request without a name", message(&[&tlv(0x77, &[])])),
        ("a control", message(&[&whole, &tlv(0xa0, &[&[1]])])),
    ] {
        assert_eq!(decode(&bytes).unwrap_err(), Malformed, "{what}");
    }
    for tag in [0x5f, 0x7f, 0x71, 0x30, 0xa0, 0x78, 0x79, 0x61] {
        assert_eq!(decode(&message(&[&[tag, 0]])).unwrap_err(), Malformed, "{tag:#x}");
    }
}

#[test]
fn what_a_server_answers_is_no_request_but_can_be_read() {
    let content = [&[0x0a, 1, 0][..], &text(b""), &text(b"")].concat();
    for tag in [0x61, 0x65, 0x67, 0x69, 0x6b, 0x6d, 0x6f] {
        let bytes = message(&[&tlv(tag, &[&content])]);
        assert!(
            matches!(decode(&bytes).unwrap().operation, Operation::NoRequest),
            "{tag:#x}"
        );
    }
}

#[test]
fn controls_are_told_with_their_criticality_and_value() {
    let controls = [
        tlv(SEQUENCE, &[&text(b"1.2")]),
        tlv(SEQUENCE, &[&text(b"1.3"), &[1, 1, 0xff], &text(b"v")]),
        tlv(SEQUENCE, &[&text(b"1.4"), &text(b"")]),
    ];
    let bytes = message(&[&[0x42, 0], &tlv(0xa0, &[&controls.concat()])]);
    let told: Vec<_> = decode(&bytes)
        .unwrap()
        .controls
        .iter()
        .map(|control| (control.oid, control.critical, control.value))
        .collect();
    assert_eq!(
        told,
        [
            (&b"1.2"[..], false, None),
            (b"1.3", true, Some(&b"v"[..])),
            (b"1.4", false, Some(b""))
        ]
    );
}

#[test]
fn every_kind_of_filter_is_read() {
    let pair = |tag| tlv(tag, &[&text(b"cn"), &text(b"\xff")]);
    let (name, value) = (|| "cn".to_owned(), || b"\xff".to_vec());
    let present = tlv(0x87, &[b"cn"]);
    let parts = [(0x80, b"a"), (0x81, b"b"), (0x81, b"c"), (0x82, b"d")].map(|(tag, part)| tlv(tag, &[part]));
    let substring = Substring {
        initial: Some(b"a".to_vec()),
        any: vec![b"b".to_vec(), b"c".to_vec()],
        last: Some(b"d".to_vec()),
    };
    let rule = [(0x81, &b"1.2"[..]), (0x82, b"cn"), (0x83, b"v"), (0x84, b"\xff")].map(|(tag, part)| tlv(tag, &[part]));
    let assertion = Assertion {
        rule: Some("1.2".to_owned()),
        attribute: Some("cn".to_owned()),
        value: b"v".to_vec(),
        names_too: true,
    };
    for (bytes, filter) in [
        (
            tlv(0xa0, &[&present, &present]),
            Filter::And(vec![Filter::Present(name()); 2]),
        ),
        (tlv(0xa1, &[]), Filter::Or(Vec::new())),
        (tlv(0xa2, &[&present]), Filter::Not(Box::new(Filter::Present(name())))),
        (pair(0xa3), Filter::Equality(name(), value())),
        (
            tlv(0xa4, &[&text(b"cn"), &tlv(SEQUENCE, &[&parts.concat()])]),
            Filter::Substring(name(), substring),
        ),
        (pair(0xa5), Filter::GreaterOrEqual(name(), value())),
        (pair(0xa6), Filter::LessOrEqual(name(), value())),
        (pair(0xa8), Filter::Approx(name(), value())),
        (tlv(0xa9, &[&rule.concat()]), Filter::Extensible(assertion)),
    ] {
        assert_eq!(filter_of(&bytes), Some(filter));
    }
    let negation_of_two = tlv(0xa2, &[&present, &present]);
    let no_order = tlv(0xa4, &[&text(b"cn"), &tlv(SEQUENCE, &[&parts[3], &parts[0]])]);
    for bad in [negation_of_two, no_order, tlv(0xaa, &[&present]), tlv(0x07, &[])] {
        assert_eq!(decode(&search(&bad)).unwrap_err(), Malformed, "{bad:02x?}");
    }
}

#[test]
fn limits_below_0_are_none_and_a_scope_may_be_one_that_does_not_exist() {
    let mut bytes = search(&tlv(0x87, &[b"cn"]));
    let Operation::Search(request) = decode(&bytes).unwrap().operation else {
        panic!("no search")
    };
    assert_eq!((request.size_limit, request.time_limit), (5, 0));
    assert_eq!(
        (request.scope, request.attributes),
        (Scope::Subtree, vec!["cn".to_owned(), "mail".to_owned()])
    );
    let scope = bytes.windows(3).position(|three| three == [0x0a, 1, 2]).unwrap();
    bytes[scope + 2] = 7;
    assert!(matches!(decode(&bytes).unwrap().operation, Operation::SearchWithin));
}

#[test]
fn filters_are_nested_509_levels_deep_and_no_deeper() {
    let nested = |levels| (0..levels).fold(tlv(0x87, &[b"cn"]), |inner, _| tlv(0xa2, &[&inner]));
    for levels in [200, 509] {
        assert!(filter_of(&nested(levels)).is_some(), "{levels}");
    }
    for levels in [510, 20_000] {
        assert_eq!(decode(&search(&nested(levels))).unwrap_err(), Malformed, "{levels}");
    }
}

#[test]
fn a_request_of_too_many_parts_is_told_and_not_taken_apart() {
    let many = tlv(0x87, &[b"a"]).repeat(PARTS);
    let bytes = search(&tlv(0xa0, &[&many]));
    assert!(matches!(
        decode(&bytes).unwrap().operation,
        Operation::TooComplex(Response::Search)
    ));
    let values = tlv(SET, &[&text(b"").repeat(PARTS)]);
    let change = tlv(SEQUENCE, &[&[0x0a, 1, 2], &tlv(SEQUENCE, &[&text(b"cn"), &values])]);
    let bytes = message(&[&tlv(0x66, &[&text(b"DC=x"), &tlv(SEQUENCE, &[&change])])]);
    assert!(matches!(
        decode(&bytes).unwrap().operation,
        Operation::TooComplex(Response::Modify)
    ));
}

#[test]
fn a_modify_request_is_read_change_by_change() {
    let change = |kind, values: &[&[u8]]| {
        let values: Vec<_> = values.iter().flat_map(|value| text(value)).collect();
        tlv(
            SEQUENCE,
            &[
                &[0x0a, 1, kind],
                &tlv(SEQUENCE, &[&text(b"unicodePwd"), &tlv(SET, &[&values])]),
            ],
        )
    };
    let list = tlv(SEQUENCE, &[&change(1, &[b"old"]), &change(0, &[b"new", b"er"])]);
    let bytes = message(&[&tlv(0x66, &[&text(b"DC=x"), &list])]);
    let Operation::Modify(modify) = decode(&bytes).unwrap().operation else {
        panic!("no modify")
    };
    assert_eq!(modify.name, b"DC=x");
    let told: Vec<_> = modify
        .changes
        .iter()
        .map(|change| (change.kind, change.values.clone()))
        .collect();
    assert_eq!(told, [(1, vec![&b"old"[..]]), (0, vec![b"new", b"er"])]);
    let shown = format!("{modify:?}");
    assert!(
        shown.contains("unicodePwd, 2 values") && !shown.contains("111, 108, 100"),
        "{shown}"
    );
}

proptest! {
    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&bytes);
    }

    #[test]
    fn changed_messages_never_panic(at in 0usize..80, value: u8) {
        let inner = tlv(0xa0, &[&tlv(0xa3, &[&text(b"cn"), &text(b"x")]), &tlv(0x87, &[b"mail"])]);
        let mut bytes = search(&inner);
        let at = at % bytes.len();
        bytes[at] = value;
        let _ = decode(&bytes);
    }

    #[test]
    fn a_message_id_is_any_number(id: i32) {
        let mut bytes = Vec::new();
        Appender::new(&mut bytes).nest(SEQUENCE, |message| {
            message.number(INTEGER, id);
            message.element(0x42, &[]);
        });
        prop_assert_eq!(decode(&bytes).unwrap().id, id);
    }
}
