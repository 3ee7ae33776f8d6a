//! What holds for every connection, whatever a client says on it. The fuzzer and the test that replays its corpus put
//! each input to this.

use std::collections::HashMap;
use std::path::Path;

use postern_ldap::ber::{ENUMERATED, INTEGER, OCTET_STRING, Reader, SEQUENCE, wrapped_number};
use postern_mock_dc::RawFile;
use postern_mock_dc::domain::dialect::Dialect;
use postern_mock_dc::ldap::rehearsal::Rehearsal;

const UNBIND: u8 = 0x42;
const BIND_ANSWER: u8 = 0x61;
const ENTRY: u8 = 0x64;
const REFERENCE: u8 = 0x73;
const EXTENDED_ANSWER: u8 = 0x78;
const CONTROLS: u8 = 0xa0;
/// Answers that an operation ends with.
const RESULTS: [u8; 8] = [BIND_ANSWER, 0x65, 0x67, 0x69, 0x6b, 0x6d, 0x6f, EXTENDED_ANSWER];

/// Notice of Disconnection (RFC 4511 4.4.1).
const NOTICE: &[u8] = b"1.3.6.1.4.1.1466.20036";

/// What one request may bring at most, of the small domain that is asked, beside what it says itself.
const MOST: usize = 256 * 1024;

/// One answer, as far as it is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) id: i32,
    pub(crate) tag: u8,
    /// The result code; of an entry or a reference there is none.
    pub(crate) code: Option<i32>,
    /// Whether it is the server's goodbye.
    notice: bool,
    /// Whether it shows an object, other than the RootDSE.
    object: bool,
}

/// What a client asked, as far as it can be read without knowing LDAP's operations.
#[derive(Debug, Default)]
struct Asked {
    requests: HashMap<i32, usize>,
    unbinds: bool,
}

/// A controller of each dialect, of the domain that a configuration describes.
pub(crate) fn controllers(domain: &str) -> [(Dialect, Rehearsal); 2] {
    let here = Path::new(".");
    let config = postern_service::config::parse::<RawFile>(domain, &here.join("domain.toml"), here, []);
    let mut settings = config.expect("a valid configuration").domain;
    [Dialect::Windows, Dialect::Samba].map(|dialect| {
        settings.dialect = dialect;
        (dialect, Rehearsal::new(&settings).expect("metrics of its own"))
    })
}

/// Says `bytes` in pieces of so many bytes on a new connection to the domain as it began, and panics where a rule is
/// broken. Returns the answers.
pub(crate) fn examine(controller: &Rehearsal, dialect: Dialect, bytes: &[u8], piece: usize) -> Vec<Answer> {
    controller.world().reset();
    let mut line = controller.connect(false);
    let mut said = Vec::new();
    for piece in bytes.chunks(piece) {
        let was_over = line.is_over();
        let answers = line.say(piece);
        assert!(!was_over || answers.is_empty(), "answered after the end");
        said.extend(answers);
    }
    let over = line.is_over();
    let asked = read_requests(bytes);
    let requests: usize = asked.requests.values().sum();
    assert!(
        said.len() <= (requests + 1) * (MOST + 8 * bytes.len()),
        "{} bytes",
        said.len()
    );

    let answers = read_answers(&said);
    let notices = answers.iter().filter(|answer| answer.notice).count();
    match dialect {
        Dialect::Windows => {
            assert_eq!(
                over,
                notices > 0 || asked.unbinds,
                "it ends by a goodbye, of one side or the other"
            );
            let binds = answers.iter().filter(|answer| answer.tag == BIND_ANSWER).count();
            let recorded = controller.world().journal.last();
            assert_eq!(u64::try_from(binds), Ok(recorded), "binds are answered and recorded");
        }
        Dialect::Samba => {
            assert_eq!(notices, 0, "no goodbye");
            assert!(over || !asked.unbinds, "an unbind ends it");
        }
    }
    let (mut results, mut signed_in) = (HashMap::<i32, usize>::new(), false);
    for (place, answer) in answers.iter().enumerate() {
        if answer.notice {
            assert!(
                place + 1 == answers.len() && over && answer.id == 0,
                "the notice is the last word"
            );
            continue;
        }
        let known = asked.requests.get(&answer.id).copied().unwrap_or(0);
        assert!(known > 0, "{answer:?} answers nobody");
        if answer.code.is_some() {
            let results = results.entry(answer.id).or_default();
            *results += 1;
            assert!(*results <= known, "{answer:?} is one result too many");
        }
        signed_in |= answer.tag == BIND_ANSWER && answer.code == Some(0);
        assert!(
            signed_in || !answer.object,
            "an object is shown to nobody in particular"
        );
    }
    answers
}

fn read_requests(bytes: &[u8]) -> Asked {
    let mut messages = Reader::new(bytes);
    let mut asked = Asked::default();
    while let Ok(message) = messages.expect(SEQUENCE) {
        let mut message = Reader::new(message);
        let Ok(id) = message.expect(INTEGER) else { break };
        *asked.requests.entry(wrapped_number(id)).or_default() += 1;
        asked.unbinds |= matches!(message.any(), Ok((UNBIND, _)));
    }
    asked
}

/// Every answer has LDAP's form (RFC 4511 4.1.1, 4.1.9).
fn read_answers(bytes: &[u8]) -> Vec<Answer> {
    let mut messages = Reader::new(bytes);
    let mut answers = Vec::new();
    while !messages.is_empty() {
        let mut message = Reader::new(messages.expect(SEQUENCE).expect("a message"));
        let id = wrapped_number(message.expect(INTEGER).expect("its id"));
        let (tag, content) = message.any().expect("an operation");
        if let Some(controls) = message.optional(CONTROLS).expect("controls or nothing") {
            Reader::new(controls).skip().expect("controls");
        }
        assert!(message.is_empty(), "something behind an answer");
        let mut answer = Answer {
            id,
            tag,
            code: None,
            notice: false,
            object: false,
        };
        let mut inside = Reader::new(content);
        match tag {
            ENTRY => {
                let name = inside.expect(OCTET_STRING).expect("a name");
                std::str::from_utf8(name).expect("a name that is text");
                answer.object = !name.is_empty();
                let mut attributes = Reader::new(inside.expect(SEQUENCE).expect("attributes"));
                while !attributes.is_empty() {
                    let attribute = Reader::new(attributes.expect(SEQUENCE).expect("an attribute"));
                    attribute.skip().expect("name and values");
                }
            }
            REFERENCE => answer.object = true,
            _ => {
                assert!(RESULTS.contains(&tag), "{tag:#x} is no answer");
                answer.code = Some(wrapped_number(inside.expect(ENUMERATED).expect("a result code")));
                inside.expect(OCTET_STRING).expect("a name");
                std::str::from_utf8(inside.expect(OCTET_STRING).expect("a text")).expect("text");
                answer.notice = tag == EXTENDED_ANSWER && id == 0 && content.ends_with(NOTICE);
            }
        }
        inside.skip().expect("what LDAP has there");
        answers.push(answer);
    }
    answers
}
