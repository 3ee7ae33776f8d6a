//! Requests to bytes.

use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use zeroize::Zeroizing;

use super::START_TLS;
use super::password_policy;
use crate::ber::{ENUMERATED, INTEGER, OCTET_STRING, SEQUENCE, Writer};

/// A request as it goes onto the wire. Wiped when dropped, and shown by its length alone: it may hold a password.
pub struct Encoded(Zeroizing<Vec<u8>>);

impl Deref for Encoded {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encoded({} bytes)", self.0.len())
    }
}

/// More than all headers, numbers and OIDs of a request take, attributes and filters aside.
const HEADERS: usize = 256;

mod tag {
    pub(super) const CONTROLS: u8 = 0xa0;
    pub(super) const BIND: u8 = 0x60;
    pub(super) const SIMPLE: u8 = 0x80;
    pub(super) const UNBIND: u8 = 0x42;
    pub(super) const SEARCH: u8 = 0x63;
    pub(super) const EXTENDED: u8 = 0x77;
    pub(super) const EXTENDED_NAME: u8 = 0x80;
    pub(super) const AND: u8 = 0xa0;
    pub(super) const EQUALITY: u8 = 0xa3;
    pub(super) const PRESENT: u8 = 0x87;
}

/// How far below its base a search looks (RFC 4511, section 4.5.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The base itself.
    Base = 0,
    /// The base and everything below it.
    Subtree = 2,
}

/// What entries have to be like (RFC 4511, section 4.5.1.7). Values go onto the wire as they are: there is no text form
/// in which one could be taken for a part of the filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// All of them.
    And(Vec<Filter>),
    /// The attribute has this value, by its own matching rule.
    Equality(String, String),
    /// The attribute has a value.
    Present(String),
}

/// A search. Aliases are not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// DN; empty for the RootDSE.
    pub base: String,
    /// How far below.
    pub scope: Scope,
    /// Which entries.
    pub filter: Filter,
    /// Which attributes of them.
    pub attributes: Vec<String>,
    /// The most entries that are of interest, from 1. Not every server stops there, so what comes beyond is dropped.
    pub size_limit: usize,
}

/// A simple bind (RFC 4513, section 5.1.3); with `password_policy`, the server is asked what its policy says.
pub fn bind(id: i32, name: &str, password: &str, password_policy: bool) -> Encoded {
    message(id, name.len() + password.len(), |message| {
        message.nest(tag::BIND, |bind| {
            bind.number(INTEGER, 3);
            bind.element(OCTET_STRING, name.as_bytes());
            bind.element(tag::SIMPLE, password.as_bytes());
        });
        if password_policy {
            message.nest(tag::CONTROLS, |controls| {
                // Not critical, and it has no value: a server that does not know it checks the password all the same.
                controls.nest(SEQUENCE, |control| {
                    control.element(OCTET_STRING, password_policy::OID.as_bytes());
                });
            });
        }
    })
}

/// The end of the conversation. It has no answer.
pub fn unbind(id: i32) -> Encoded {
    message(id, 0, |message| message.element(tag::UNBIND, &[]))
}

/// Asks for TLS on this connection.
pub fn start_tls(id: i32) -> Encoded {
    message(id, 0, |message| {
        message.nest(tag::EXTENDED, |request| {
            request.element(tag::EXTENDED_NAME, START_TLS.as_bytes());
        });
    })
}

/// A search that nobody waits for after `patience`. The server is to give up before: what it says then is an answer,
/// and the connection is of further use.
pub fn search(id: i32, search: &Search, patience: Duration) -> Encoded {
    let seconds = patience.saturating_sub(Duration::from_millis(500)).as_secs().max(1);
    message(id, search.base.len(), |message| {
        message.nest(tag::SEARCH, |request| {
            request.element(OCTET_STRING, search.base.as_bytes());
            request.number(ENUMERATED, search.scope as i32);
            request.number(ENUMERATED, 0);
            request.number(INTEGER, i32::try_from(search.size_limit).unwrap_or(i32::MAX));
            request.number(INTEGER, i32::try_from(seconds).unwrap_or(i32::MAX));
            request.boolean(false);
            write_filter(request, &search.filter);
            request.nest(SEQUENCE, |attributes| {
                for attribute in &search.attributes {
                    attributes.element(OCTET_STRING, attribute.as_bytes());
                }
            });
        });
    })
}

fn write_filter(writer: &mut Writer, filter: &Filter) {
    match filter {
        Filter::And(filters) => writer.nest(tag::AND, |and| {
            for filter in filters {
                write_filter(and, filter);
            }
        }),
        Filter::Equality(attribute, value) => writer.nest(tag::EQUALITY, |equality| {
            equality.element(OCTET_STRING, attribute.as_bytes());
            equality.element(OCTET_STRING, value.as_bytes());
        }),
        Filter::Present(attribute) => writer.element(tag::PRESENT, attribute.as_bytes()),
    }
}

fn message(id: i32, texts: usize, content: impl FnOnce(&mut Writer)) -> Encoded {
    let mut writer = Writer::with_capacity(HEADERS + texts);
    writer.nest(SEQUENCE, |message| {
        message.number(INTEGER, id);
        content(message);
    });
    Encoded(writer.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use ldap3_proto::LdapCodec;
    use ldap3_proto::proto::{LdapBindCred, LdapFilter, LdapMsg, LdapOp, LdapSearchScope};
    use tokio_util::codec::Decoder;

    /// What another implementation makes of it.
    fn read(encoded: &Encoded) -> LdapMsg {
        let mut bytes = BytesMut::from(&encoded[..]);
        let message = LdapCodec::default().decode(&mut bytes).unwrap().unwrap();
        assert!(bytes.is_empty());
        message
    }

    #[test]
    fn a_bind_holds_name_and_password_as_they_are_and_its_bytes_were_never_moved() {
        for (name, password) in [
            ("Zoë@corp.example.com", "pässwörd"),
            (&"n".repeat(1024), &"p".repeat(1024)),
        ] {
            for policy in [false, true] {
                let encoded = bind(7, name, password, policy);
                assert_eq!(encoded.0.capacity(), HEADERS + name.len() + password.len());
                let message = read(&encoded);
                assert_eq!((message.msgid, message.ctrl.len()), (7, usize::from(policy)));
                let LdapOp::BindRequest(request) = message.op else {
                    panic!("not a bind")
                };
                assert_eq!((request.version, request.dn.as_str()), (3, name));
                assert_eq!(request.cred, LdapBindCred::Simple(password.to_owned()));
            }
        }
    }

    #[test]
    fn a_request_is_shown_by_its_length_alone() {
        let encoded = bind(7, "ada", "s3cret", false);
        assert_eq!(format!("{encoded:?}"), format!("Encoded({} bytes)", encoded.len()));
    }

    #[test]
    fn a_filter_takes_every_value_literally() {
        let value = "*)(uid=\\2a\0ä";
        let request = Search {
            base: "dc=corp".to_owned(),
            scope: Scope::Subtree,
            filter: Filter::And(vec![
                Filter::Present("objectClass".to_owned()),
                Filter::Equality("mail".to_owned(), value.to_owned()),
            ]),
            attributes: vec!["objectGUID".to_owned()],
            size_limit: 2,
        };
        let LdapOp::SearchRequest(read) = read(&search(2, &request, Duration::from_millis(1_500))).op else {
            panic!("not a search")
        };
        let expected = LdapFilter::And(vec![
            LdapFilter::Present("objectClass".to_owned()),
            LdapFilter::Equality("mail".to_owned(), value.to_owned()),
        ]);
        assert_eq!(read.filter, expected);
        assert_eq!((read.base.as_str(), read.scope), ("dc=corp", LdapSearchScope::Subtree));
        assert_eq!((read.sizelimit, read.timelimit, read.typesonly), (2, 1, false));
        assert_eq!(read.attrs, ["objectGUID"]);
    }

    #[test]
    fn the_server_gives_a_search_up_before_its_answer_is_too_late() {
        let request = Search {
            base: String::new(),
            scope: Scope::Base,
            filter: Filter::Present("mail".to_owned()),
            attributes: Vec::new(),
            size_limit: 1,
        };
        for (patience, seconds) in [(5_000, 4), (2_000, 1), (1_600, 1), (100, 1)] {
            let LdapOp::SearchRequest(read) = read(&search(2, &request, Duration::from_millis(patience))).op else {
                panic!("not a search")
            };
            // Zero would be no limit.
            assert_eq!(read.timelimit, seconds, "{patience} ms");
        }
    }

    #[test]
    fn unbind_and_start_tls_are_what_others_take_them_for() {
        assert_eq!(read(&unbind(3)).op, LdapOp::UnbindRequest);
        let LdapOp::ExtendedRequest(request) = read(&start_tls(1)).op else {
            panic!("not an extended request")
        };
        assert_eq!((request.name.as_str(), request.value), (START_TLS, None));
    }
}
