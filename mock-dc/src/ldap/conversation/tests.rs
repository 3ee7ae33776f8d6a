//! What a controller answers, in which order, to requests that come at once.

use postern_ldap::ber::{Appender, ENUMERATED, INTEGER, OCTET_STRING, Reader, SEQUENCE};

use crate::domain::dialect::Dialect;
use crate::domain::fixture::{PASSWORD, settings, user};
use crate::domain::settings::DomainSettings;
use crate::ldap::rehearsal::{Line, Rehearsal};
use crate::search::root_dse::{FAST_BIND, STARTTLS, WHO_AM_I};

const BASE: &str = "DC=corp,DC=example,DC=com";
const GOOD: &str = "good@corp.example.com";

const BIND: u8 = 0x61;
const ENTRY: u8 = 0x64;
const REFERENCE: u8 = 0x73;
const DONE: u8 = 0x65;
const COMPARED: u8 = 0x6f;
const EXTENDED: u8 = 0x78;

fn domain(dialect: Dialect) -> DomainSettings {
    settings(dialect, vec![user("good")], 600)
}

fn rehearse(settings: &DomainSettings) -> Rehearsal {
    Rehearsal::new(settings).unwrap()
}

fn message(id: i32, tag: u8, controls: &[(&str, bool)], content: impl FnOnce(&mut Appender<'_>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    Appender::new(&mut bytes).nest(SEQUENCE, |message| {
        message.number(INTEGER, id);
        message.nest(tag, content);
        if !controls.is_empty() {
            message.nest(0xa0, |list| {
                for (oid, critical) in controls {
                    list.nest(SEQUENCE, |control| {
                        control.element(OCTET_STRING, oid.as_bytes());
                        control.element(0x01, &[if *critical { 0xff } else { 0 }]);
                    });
                }
            });
        }
    });
    bytes
}

fn bind(id: i32, name: impl AsRef<[u8]>, password: impl AsRef<[u8]>) -> Vec<u8> {
    message(id, 0x60, &[], |bind| {
        bind.number(INTEGER, 3);
        bind.element(OCTET_STRING, name.as_ref());
        bind.element(0x80, password.as_ref());
    })
}

fn sasl(id: i32, mechanism: &str) -> Vec<u8> {
    message(id, 0x60, &[], |bind| {
        bind.number(INTEGER, 3);
        bind.element(OCTET_STRING, b"");
        bind.nest(0xa3, |sasl| sasl.element(OCTET_STRING, mechanism.as_bytes()));
    })
}

fn search(id: i32, base: &str, scope: i32, controls: &[(&str, bool)]) -> Vec<u8> {
    message(id, 0x63, controls, |search| {
        search.element(OCTET_STRING, base.as_bytes());
        search.number(ENUMERATED, scope);
        search.number(ENUMERATED, 0);
        search.number(INTEGER, 0);
        search.number(INTEGER, 0);
        search.element(0x01, &[0]);
        search.element(0x87, b"objectClass");
        search.nest(SEQUENCE, |names| names.element(OCTET_STRING, b"1.1"));
    })
}

/// One that takes more than one step.
fn long_search(id: i32) -> Vec<u8> {
    search(id, BASE, 2, &[])
}

fn extended(id: i32, oid: &str) -> Vec<u8> {
    message(id, 0x77, &[], |extended| extended.element(0x80, oid.as_bytes()))
}

fn abandon(id: i32, which: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    Appender::new(&mut bytes).nest(SEQUENCE, |message| {
        message.number(INTEGER, id);
        message.element(0x50, &[which]);
    });
    bytes
}

fn compare(id: i32, value: &str) -> Vec<u8> {
    message(id, 0x6e, &[], |compare| {
        compare.element(OCTET_STRING, format!("CN=good,CN=Users,{BASE}").as_bytes());
        compare.nest(SEQUENCE, |assertion| {
            assertion.element(OCTET_STRING, b"sAMAccountName");
            assertion.element(OCTET_STRING, value.as_bytes());
        });
    })
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Answer {
    id: i32,
    tag: u8,
    code: i32,
    text: String,
}

/// Every answer but the entries.
fn ask(line: &mut Line, requests: &[Vec<u8>]) -> Vec<Answer> {
    all(line, requests)
        .into_iter()
        .filter(|answer| answer.tag != ENTRY)
        .collect()
}

fn all(line: &mut Line, requests: &[Vec<u8>]) -> Vec<Answer> {
    let bytes = line.say(&requests.concat());
    let mut messages = Reader::new(&bytes);
    let mut answers = Vec::new();
    while !messages.is_empty() {
        let mut message = Reader::new(messages.expect(SEQUENCE).unwrap());
        let id = postern_ldap::ber::wrapped_number(message.expect(INTEGER).unwrap());
        let (tag, content) = message.any().unwrap();
        if tag == REFERENCE {
            continue;
        }
        let (mut code, mut text) = (0, String::new());
        if tag != ENTRY {
            let mut result = Reader::new(content);
            code = postern_ldap::ber::wrapped_number(result.expect(ENUMERATED).unwrap());
            result.expect(OCTET_STRING).unwrap();
            text = String::from_utf8(result.expect(OCTET_STRING).unwrap().to_vec()).unwrap();
        }
        answers.push(Answer { id, tag, code, text });
    }
    answers
}

fn codes(answers: &[Answer]) -> Vec<(i32, u8, i32)> {
    answers
        .iter()
        .map(|answer| (answer.id, answer.tag, answer.code))
        .collect()
}

fn signed_in(domain: &Rehearsal) -> Line {
    let mut line = domain.connect(false);
    assert_eq!(codes(&ask(&mut line, &[bind(1, GOOD, PASSWORD)])), [(1, BIND, 0)]);
    line
}

#[test]
fn a_long_search_keeps_nothing_waiting_on_windows_and_everything_on_samba() {
    let requests = [
        long_search(2),
        search(3, "", 0, &[]),
        long_search(4),
        extended(5, "1.2.3"),
    ];
    let windows = rehearse(&domain(Dialect::Windows));
    let answers = all(&mut signed_in(&windows), &requests);
    let order: Vec<_> = codes(&answers)
        .into_iter()
        .filter(|(_, tag, _)| *tag != ENTRY)
        .collect();
    assert_eq!(order, [(3, DONE, 0), (5, EXTENDED, 2), (2, DONE, 0), (4, DONE, 0)]);
    // The two take turns.
    let first_of_4 = answers.iter().position(|answer| answer.id == 4);
    let last_of_2 = answers.iter().rposition(|answer| answer.id == 2);
    assert!(first_of_4 < last_of_2);

    let samba = rehearse(&domain(Dialect::Samba));
    let answers = all(&mut signed_in(&samba), &requests);
    assert!(answers.is_sorted_by_key(|answer| answer.id));
    let order: Vec<_> = codes(&answers)
        .into_iter()
        .filter(|(_, tag, _)| *tag != ENTRY)
        .collect();
    assert_eq!(order, [(2, DONE, 0), (3, DONE, 0), (4, DONE, 0), (5, EXTENDED, 2)]);
}

#[test]
fn an_abandoned_search_ends_without_an_answer_on_windows_and_is_answered_by_samba() {
    let requests = [long_search(2), abandon(3, 2), search(4, "", 0, &[])];
    for (dialect, expected) in [
        (Dialect::Windows, vec![(4, DONE, 0)]),
        (Dialect::Samba, vec![(2, DONE, 0), (4, DONE, 0)]),
    ] {
        let domain = rehearse(&domain(dialect));
        assert_eq!(codes(&ask(&mut signed_in(&domain), &requests)), expected, "{dialect:?}");
    }
}

#[test]
fn a_bind_ends_searches_on_windows_and_waits_for_them_on_samba() {
    let requests = [long_search(2), bind(3, GOOD, "wrong"), bind(3, GOOD, PASSWORD)];
    for (dialect, expected) in [
        (Dialect::Windows, vec![(3, BIND, 49), (3, BIND, 0)]),
        (Dialect::Samba, vec![(2, DONE, 0), (3, BIND, 49), (3, BIND, 0)]),
    ] {
        let domain = rehearse(&domain(dialect));
        assert_eq!(codes(&ask(&mut signed_in(&domain), &requests)), expected, "{dialect:?}");
    }
}

#[test]
fn an_unbind_ends_everything_at_once_on_windows() {
    let domain = rehearse(&domain(Dialect::Windows));
    let mut line = signed_in(&domain);
    let unbind = vec![0x30, 5, 2, 1, 9, 0x42, 0];
    assert_eq!(ask(&mut line, &[long_search(2), unbind, extended(3, WHO_AM_I)]), []);
    assert!(line.is_over());
}

#[test]
fn starttls_amid_operations_is_refused_by_windows_and_waits_on_samba() {
    let requests = [long_search(2), extended(3, STARTTLS)];
    let windows = rehearse(&domain(Dialect::Windows));
    let mut line = signed_in(&windows);
    assert_eq!(codes(&ask(&mut line, &requests)), [(3, EXTENDED, 1), (2, DONE, 0)]);
    assert_eq!(codes(&ask(&mut line, &[extended(4, STARTTLS)])), [(4, EXTENDED, 0)]);
    assert_eq!(codes(&ask(&mut line, &[extended(5, STARTTLS)])), [(5, EXTENDED, 1)]);
    // Whoever is signed in stays so.
    assert_eq!(codes(&ask(&mut line, &[search(6, BASE, 0, &[])])), [(6, DONE, 0)]);

    let samba = rehearse(&domain(Dialect::Samba));
    let answers = ask(&mut signed_in(&samba), &requests);
    assert_eq!(codes(&answers), [(2, DONE, 0), (3, EXTENDED, 0)]);
}

#[test]
fn fast_bind_says_whether_a_password_is_right_and_signs_nobody_in() {
    let windows = rehearse(&domain(Dialect::Windows));
    let mut line = windows.connect(true);
    assert_eq!(codes(&ask(&mut line, &[extended(1, FAST_BIND)])), [(1, EXTENDED, 0)]);
    let binds = [
        bind(2, GOOD, PASSWORD),
        bind(3, GOOD, "wrong"),
        bind(4, GOOD, PASSWORD),
        sasl(5, "GSSAPI"),
    ];
    assert_eq!(
        codes(&ask(&mut line, &binds)),
        [(2, BIND, 0), (3, BIND, 49), (4, BIND, 0), (5, BIND, 53)]
    );
    assert_eq!(codes(&ask(&mut line, &[search(6, BASE, 0, &[])])), [(6, DONE, 1)]);
    // It cannot be had after a bind.
    let refused = ask(&mut signed_in(&windows), &[extended(7, FAST_BIND)]);
    assert_eq!(codes(&refused), [(7, EXTENDED, 53)]);

    let samba = rehearse(&domain(Dialect::Samba));
    let refused = ask(&mut samba.connect(false), &[extended(1, FAST_BIND)]);
    assert_eq!(codes(&refused), [(1, EXTENDED, 2)]);
    assert_eq!(
        refused[0].text,
        "Extended Operation(1.2.840.113556.1.4.1781) not supported"
    );
}

#[test]
fn a_critical_control_that_nobody_knows_is_refused_in_the_dialects_way() {
    let unknown = [("1.2.3.4", true)];
    for (dialect, tag) in [(Dialect::Windows, DONE), (Dialect::Samba, EXTENDED)] {
        let domain = rehearse(&domain(dialect));
        let mut line = domain.connect(false);
        assert_eq!(codes(&ask(&mut line, &[search(2, "", 0, &unknown)])), [(2, tag, 12)]);
        assert_eq!(
            codes(&ask(&mut line, &[search(3, "", 0, &[("1.2.3.4", false)])])),
            [(3, DONE, 0)]
        );
    }
}

#[test]
fn every_message_id_is_answered_with_itself_and_may_come_twice() {
    for dialect in [Dialect::Windows, Dialect::Samba] {
        let domain = rehearse(&domain(dialect));
        let ids = [0, -1, 7, 7, i32::MAX, i32::MIN];
        let requests = ids.map(|id| bind(id, GOOD, PASSWORD));
        let answered: Vec<_> = ask(&mut domain.connect(false), &requests)
            .iter()
            .map(|answer| answer.id)
            .collect();
        assert_eq!(answered, ids);
    }
}

#[test]
fn a_name_that_is_no_utf8_is_nobodys_and_such_a_password_is_wrong_and_counted() {
    for dialect in [Dialect::Windows, Dialect::Samba] {
        let domain = rehearse(&domain(dialect));
        let mut line = domain.connect(false);
        let odd = [PASSWORD.as_bytes(), b"\xff"].concat();
        let mut binds = vec![bind(1, b"g\xf6\xf6d@corp.example.com", PASSWORD)];
        binds.extend([2, 3, 4, 5].map(|id| bind(id, GOOD, if id < 5 { &odd } else { PASSWORD.as_bytes() })));
        let told: Vec<_> = ask(&mut line, &binds).into_iter().map(|answer| answer.text).collect();
        assert!(told[..4].iter().all(|text| text.contains("data 52e")), "{told:?}");
        assert!(
            told[4].contains("data 775"),
            "three that were counted have locked it: {told:?}"
        );
        assert!(!line.is_over());
        assert_eq!(domain.world().journal.counts().values().sum::<u64>(), 4);
    }
}

#[test]
fn where_passwords_have_to_be_encrypted_none_is_looked_at_in_the_clear() {
    for (dialect, text) in [
        (Dialect::Windows, "00002028: LdapErr: DSID-"),
        (Dialect::Samba, "BindSimple: Transport encryption required."),
    ] {
        let strict = DomainSettings {
            strong_auth: true,
            ..domain(dialect)
        };
        let domain = rehearse(&strict);
        let mut line = domain.connect(false);
        for (name, password) in [(GOOD, PASSWORD), (GOOD, "wrong"), (GOOD, ""), ("nobody", "x")] {
            let refused = ask(&mut line, &[bind(1, name, password)]);
            assert_eq!(codes(&refused), [(1, BIND, 8)], "{name} {password}");
            assert!(refused[0].text.starts_with(text), "{refused:?}");
        }
        assert!(domain.world().journal.counts().is_empty());
        assert_eq!(domain.world().domain.changed_accounts(), 0);
        assert_eq!(codes(&ask(&mut line, &[bind(2, "", "")])), [(2, BIND, 0)]);
        assert_eq!(codes(&ask(&mut line, &[search(3, "", 0, &[])])), [(3, DONE, 0)]);
        let encrypted = [extended(4, STARTTLS), bind(5, GOOD, PASSWORD)];
        assert_eq!(codes(&ask(&mut line, &encrypted)), [(4, EXTENDED, 0), (5, BIND, 0)]);
        assert_eq!(
            codes(&ask(&mut domain.connect(true), &[bind(6, GOOD, PASSWORD)])),
            [(6, BIND, 0)]
        );
    }
}

#[test]
fn sasl_is_refused_with_the_dialects_code() {
    for (dialect, mechanism, code) in [
        (Dialect::Windows, "GSSAPI", 7),
        (Dialect::Samba, "EXTERNAL", 1),
        (Dialect::Samba, "NTLM", 49),
    ] {
        let domain = rehearse(&domain(dialect));
        assert_eq!(
            codes(&ask(&mut domain.connect(false), &[sasl(1, mechanism)])),
            [(1, BIND, code)]
        );
    }
}

#[test]
fn sicily_is_refused_as_a_method_by_windows_and_is_nothing_to_samba() {
    for choice in 0x89..=0x8b {
        let ask_for = |dialect| {
            let request = message(1, 0x60, &[], |bind| {
                bind.number(INTEGER, 3);
                bind.element(OCTET_STRING, b"NTLM");
                bind.element(choice, b"NTLMSSP");
            });
            codes(&ask(&mut rehearse(&domain(dialect)).connect(false), &[request]))
        };
        assert_eq!(ask_for(Dialect::Windows), [(1, BIND, 7)]);
        assert!(ask_for(Dialect::Samba).is_empty());
    }
}

#[test]
fn a_compare_tells_whether_an_entry_has_a_value_to_whoever_is_signed_in() {
    let domain = rehearse(&domain(Dialect::Windows));
    let asked = ask(&mut domain.connect(false), &[compare(1, "good")]);
    assert_eq!(codes(&asked), [(1, COMPARED, 1)]);
    let asked = ask(&mut signed_in(&domain), &[compare(2, "GOOD"), compare(3, "bad")]);
    assert_eq!(codes(&asked), [(2, COMPARED, 6), (3, COMPARED, 5)]);
}

#[test]
fn a_bind_may_be_as_long_as_the_dialect_takes_before_and_after_signing_in() {
    let long = |bytes| bind(2, GOOD, "x".repeat(bytes));
    let samba = rehearse(&domain(Dialect::Samba));
    assert_eq!(
        codes(&ask(&mut samba.connect(false), &[long(250_000)])),
        [(2, BIND, 49)]
    );
    let mut line = samba.connect(false);
    assert_eq!(ask(&mut line, &[long(1_000_000)]), []);
    assert!(line.is_over());
    assert_eq!(codes(&ask(&mut signed_in(&samba), &[long(1_000_000)])), [(2, BIND, 49)]);

    let windows = rehearse(&domain(Dialect::Windows));
    assert_eq!(
        codes(&ask(&mut windows.connect(false), &[long(1_000_000)])),
        [(2, BIND, 49)]
    );
    let mut line = windows.connect(false);
    let told = ask(&mut line, &[long(11_000_000)]);
    assert_eq!(codes(&told), [(0, EXTENDED, 2)], "a notice of disconnection");
    assert!(line.is_over());
}

#[test]
fn a_modification_is_permissive_where_its_control_says_so() {
    let permissive = "1.2.840.113556.1.4.1413";
    let delete = |id, controls: &[(&str, bool)]| {
        message(id, 0x66, controls, |modify| {
            modify.element(OCTET_STRING, format!("CN=good,CN=Users,{BASE}").as_bytes());
            modify.nest(SEQUENCE, |changes| {
                changes.nest(SEQUENCE, |change| {
                    change.number(ENUMERATED, 1);
                    change.nest(SEQUENCE, |attribute| {
                        attribute.element(OCTET_STRING, b"mobile");
                        attribute.nest(0x31, |_| ());
                    });
                });
            });
        })
    };
    for dialect in [Dialect::Windows, Dialect::Samba] {
        let domain = rehearse(&domain(dialect));
        let requests = [
            delete(2, &[]),
            delete(3, &[(permissive, false)]),
            delete(4, &[(permissive, true)]),
        ];
        let told = codes(&ask(&mut signed_in(&domain), &requests));
        assert_eq!(told, [(2, 0x67, 16), (3, 0x67, 0), (4, 0x67, 0)], "{dialect:?}");
    }
}
