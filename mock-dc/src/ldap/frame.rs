//! One LDAP message off a stream of bytes (RFC 4511 5.1), with its limits checked before anything is allocated.
//!
//! `ldap3_proto` reads the messages themselves. It would look at an unfinished message again with every packet, and
//! print operations that it does not know; so its codec sees whole messages of known operations only.

use bytes::BytesMut;
use ldap3_proto::LdapCodec;
use ldap3_proto::proto::LdapMsg;
use tokio_util::codec::Decoder;

/// Bytes of a message. Samba's limit for whoever is not signed in; enough for any name and password that a directory
/// accepts, and too little to fill the memory from many connections.
pub(super) const LIMIT: usize = 256_000;

/// Bytes that stop being LDAP. The connection they came on cannot go on. Not one of them is told: a bind's password may be
/// among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameError {
    /// The outer tag is not a SEQUENCE, or its length is indefinite or absurd.
    #[error("what came is not LDAP: no message begins so")]
    NotLdap,
    /// The message is longer than [`LIMIT`].
    #[error("a message of {0} bytes; the limit is {LIMIT}")]
    TooLong(usize),
    /// The message's inside is not what its operation calls for.
    #[error("what came is not LDAP: a message of {0} bytes has an inside that none of its operations has")]
    Malformed(usize),
    /// The client closed before the message was whole.
    #[error("the client closed in the middle of a message")]
    Cut,
}

/// Takes the next message off `buffer`; `None` when it is not complete.
pub(super) fn decode(codec: &mut LdapCodec, buffer: &mut BytesMut) -> Result<Option<LdapMsg>, FrameError> {
    let Some(length) = message_length(buffer)? else {
        return Ok(None);
    };
    if length > LIMIT {
        return Err(FrameError::TooLong(length));
    }
    if buffer.len() < length {
        buffer.reserve(length - buffer.len());
        return Ok(None);
    }
    let mut frame = buffer.split_to(length);
    if !names_an_operation(&frame) {
        return Err(FrameError::Malformed(length));
    }
    let decoded = codec.decode(&mut frame);
    // It may have held a password, and the buffer is used again.
    frame.clear();
    frame.resize(length, 0);
    match decoded {
        Ok(Some(message)) => Ok(Some(message)),
        Ok(None) | Err(_) => Err(FrameError::Malformed(length)),
    }
}

/// A codec that reads what [`decode`] gives it.
pub(super) fn codec() -> LdapCodec {
    LdapCodec::new(Some(LIMIT), None)
}

/// Length of the whole message with its header; `None` while the header is incomplete.
fn message_length(bytes: &[u8]) -> Result<Option<usize>, FrameError> {
    match *bytes {
        [] => Ok(None),
        [0x30] => Ok(None),
        [0x30, short @ 0..=0x7f, ..] => Ok(Some(2 + usize::from(short))),
        // One to four bytes of length; no length at all is the indefinite form, which LDAP forbids.
        [0x30, long @ 0x81..=0x84, ref rest @ ..] => {
            let Some(digits) = rest.get(..usize::from(long - 0x80)) else {
                return Ok(None);
            };
            let length = digits
                .iter()
                .fold(0usize, |length, digit| length << 8 | usize::from(*digit));
            Ok(Some(length.saturating_add(2 + digits.len())))
        }
        _ => Err(FrameError::NotLdap),
    }
}

/// Whether the message's second element is one of LDAP's operations.
fn names_an_operation(message: &[u8]) -> bool {
    let Some((_, inside)) = header(message) else {
        return false;
    };
    let Some((id_length, after_id)) = inside
        .split_first()
        .filter(|(tag, _)| **tag == 0x02)
        .and_then(|(_, rest)| length(rest))
    else {
        return false;
    };
    // APPLICATION class (0x40), constructed or not (0x20), and the tag numbers of RFC 4511 appendix B.
    after_id
        .get(id_length)
        .is_some_and(|tag| tag & 0xc0 == 0x40 && matches!(tag & 0x1f, 0..=16 | 19 | 23 | 24 | 25))
}

fn header(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    length(rest).map(|(_, inside)| (*tag, inside))
}

fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    match *first {
        short @ 0..=0x7f => Some((usize::from(short), rest)),
        long @ 0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(long - 0x80))?;
            Some((
                digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)),
                rest,
            ))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ldap3_proto::proto::{LdapBindCred, LdapBindRequest, LdapOp};
    use proptest::prelude::*;
    use tokio_util::codec::Encoder;

    fn bind(name: &str, password: &str) -> Vec<u8> {
        let op = LdapOp::BindRequest(LdapBindRequest {
            version: 3,
            dn: name.to_owned(),
            cred: LdapBindCred::Simple(password.to_owned()),
        });
        let mut bytes = BytesMut::new();
        codec()
            .encode(LdapMsg::new(7, op), &mut bytes)
            .expect("an encodable message");
        bytes.to_vec()
    }

    fn read(bytes: &[u8]) -> Result<Option<LdapMsg>, FrameError> {
        decode(&mut codec(), &mut BytesMut::from(bytes))
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_its_bytes_arrive() {
        assert_eq!(
            read(&[0x30, 0x84, 0x06, 0x40, 0, 0]),
            Err(FrameError::TooLong(104_857_606))
        );
        assert_eq!(
            read(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]),
            Err(FrameError::TooLong(0xffff_ffff + 6))
        );
        let mut buffer = BytesMut::from(&[0x30, 0x83, 0x03, 0x00, 0x00][..]);
        assert_eq!(decode(&mut codec(), &mut buffer), Ok(None));
        assert!(buffer.capacity() <= LIMIT);
    }

    #[test]
    fn what_is_not_ldap_is_refused_at_once() {
        for bytes in [
            &b"GET / HTTP/1.1\r\n"[..],
            &[0x16, 0x03, 0x01],
            &[0x30, 0x80, 0x02],
            &[0x30, 0x85, 0, 0, 0, 0, 1],
            &[0, 0, 0, 0],
        ] {
            assert_eq!(read(bytes), Err(FrameError::NotLdap), "{bytes:02x?}");
        }
    }

    #[test]
    fn an_operation_that_ldap_does_not_know_is_malformed() {
        for tag in [0x5f, 0x7f, 0x71, 0x30, 0xa0] {
            assert_eq!(
                read(&[0x30, 0x05, 0x02, 0x01, 0x01, tag, 0x00]),
                Err(FrameError::Malformed(7)),
                "{tag:02x}"
            );
        }
    }

    #[test]
    fn messages_that_arrive_together_are_read_one_by_one() {
        let mut buffer = BytesMut::from([bind("a", "1"), bind("b", "2")].concat().as_slice());
        for name in ["a", "b"] {
            let message = decode(&mut codec(), &mut buffer)
                .expect("LDAP")
                .expect("a whole message");
            assert!(matches!(message.op, LdapOp::BindRequest(request) if request.dn == name));
        }
        assert_eq!(decode(&mut codec(), &mut buffer), Ok(None));
    }

    proptest! {
        #[test]
        fn cut_or_changed_messages_never_panic(cut in 0usize..60, at in 0usize..60, value: u8) {
            let mut bytes = bind("good@corp.example.com", "Str0ng-Passw0rd!");
            let at = at % bytes.len();
            bytes[at] = value;
            bytes.truncate(cut.min(bytes.len()));
            let _ = read(&bytes);
        }

        #[test]
        fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&bytes);
        }

        #[test]
        fn a_message_in_pieces_is_read_when_it_is_whole(split in 1usize..40) {
            let bytes = bind("good@corp.example.com", "Str0ng-Passw0rd!");
            let split = split.min(bytes.len() - 1);
            let mut buffer = BytesMut::from(&bytes[..split]);
            prop_assert_eq!(decode(&mut codec(), &mut buffer), Ok(None));
            buffer.extend_from_slice(&bytes[split..]);
            prop_assert!(decode(&mut codec(), &mut buffer).is_ok_and(|message| message.is_some()));
        }
    }
}
