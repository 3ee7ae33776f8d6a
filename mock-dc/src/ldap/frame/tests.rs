//! What the inbox makes of bytes, whole or in pieces.

use proptest::prelude::*;

use super::*;

const LIMIT: Limit = Limit {
    bytes: 256_000,
    waits: false,
};

fn inbox() -> Inbox {
    Inbox::new(Memory::default())
}

fn put(inbox: &mut Inbox, mut bytes: &[u8]) -> Result<(), FrameError> {
    while !bytes.is_empty() {
        let buffer = inbox.room()?;
        let fits = (buffer.capacity() - buffer.len()).min(bytes.len());
        buffer.extend_from_slice(&bytes[..fits]);
        bytes = &bytes[fits..];
    }
    Ok(())
}

fn message(content: usize) -> Vec<u8> {
    let mut bytes = vec![0x30, 0x84];
    bytes.extend_from_slice(&u32::try_from(content).unwrap().to_be_bytes());
    bytes.resize(6 + content, 7);
    bytes
}

#[test]
fn a_length_beyond_the_limit_is_refused_before_its_bytes_arrive() {
    let mut inbox = inbox();
    put(&mut inbox, &[0x30, 0x84, 0x06, 0x40, 0, 0, 2]).unwrap();
    let error = FrameError::TooLong {
        length: 104_857_606,
        limit: LIMIT.bytes,
    };
    assert_eq!(inbox.take(LIMIT), Err(error));
}

#[test]
fn a_length_within_the_limit_takes_no_more_memory_than_its_bytes_need() {
    let mut inbox = inbox();
    put(&mut inbox, &message(200_000)[..10]).unwrap();
    assert_eq!(inbox.take(LIMIT), Ok(None));
    assert!(inbox.room().unwrap().capacity() <= FREE);
}

#[test]
fn what_is_not_ldap_is_refused_as_soon_as_the_shortest_message_would_be_whole() {
    for bytes in [
        &b"GET / HTTP/1.1\r\n"[..],
        &[0x16, 0x03, 0x01, 0, 5, 1, 0],
        &[0x30, 0x80, 0x02, 0, 0, 0, 0],
        &[0x30, 0x85, 0, 0, 0, 0, 1],
        &[0x30, 0x84, 0x10, 0, 0, 1, 2],
        &[0; 7],
        &[0xff; 7],
    ] {
        let mut inbox = inbox();
        put(&mut inbox, &bytes[..6]).unwrap();
        assert_eq!(inbox.take(LIMIT), Ok(None), "{bytes:02x?}");
        put(&mut inbox, &bytes[6..]).unwrap();
        assert_eq!(inbox.take(LIMIT), Err(FrameError::NotLdap), "{bytes:02x?}");
    }
}

#[test]
fn a_message_that_is_too_long_is_let_pass_without_memory_where_the_dialect_waits() {
    let limit = Limit { waits: true, ..LIMIT };
    let mut inbox = inbox();
    let whole = message(1_000_000);
    for piece in whole[..whole.len() - 1].chunks(10_000) {
        put(&mut inbox, piece).unwrap();
        assert_eq!(inbox.take(limit), Ok(None));
        assert!(inbox.room().unwrap().capacity() <= 16_384);
    }
    put(&mut inbox, &whole[whole.len() - 1..]).unwrap();
    assert!(matches!(inbox.take(limit), Err(FrameError::TooLong { .. })));
}

#[test]
fn all_connections_together_hold_no_more_than_they_may_and_give_it_back() {
    let memory = Memory::new(100_000);
    let long = message(90_000);
    let mut first = Inbox::new(memory.clone());
    put(&mut first, &long).unwrap();
    let mut second = Inbox::new(memory.clone());
    assert!(matches!(put(&mut second, &long), Err(FrameError::NoMemory(_))));
    assert!(first.take(LIMIT).unwrap().is_some());
    first.wipe();
    drop(second);
    assert_eq!(memory.left.load(Ordering::Relaxed), 100_000);
}

#[test]
fn messages_that_arrive_together_are_taken_one_by_one_and_wiped() {
    let mut inbox = inbox();
    put(&mut inbox, &[message(5), message(8)].concat()).unwrap();
    for content in [5, 8] {
        assert_eq!(inbox.take(LIMIT).unwrap().map(<[u8]>::to_vec), Some(message(content)));
        inbox.wipe();
        assert!(inbox.bytes[..inbox.next].iter().all(|byte| *byte == 0));
    }
    assert_eq!(inbox.take(LIMIT), Ok(None));
    assert!(!inbox.has_unread());
}

proptest! {
    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), waits: bool) {
        let mut inbox = inbox();
        put(&mut inbox, &bytes).unwrap();
        while inbox.take(Limit { waits, ..LIMIT }).is_ok_and(|message| message.is_some()) {
            inbox.wipe();
        }
    }

    #[test]
    fn messages_in_pieces_are_taken_as_they_were_sent(
        contents in prop::collection::vec(1usize..20_000, 1..5),
        piece in 1usize..9_000,
    ) {
        let sent: Vec<_> = contents.iter().map(|content| message(*content)).collect();
        let mut inbox = inbox();
        let mut taken = Vec::new();
        for piece in sent.concat().chunks(piece) {
            put(&mut inbox, piece).unwrap();
            while let Some(message) = inbox.take(LIMIT).unwrap() {
                taken.push(message.to_vec());
                inbox.wipe();
            }
        }
        prop_assert_eq!(taken, sent);
        prop_assert_eq!(inbox.memory.left.load(Ordering::Relaxed), SHARED);
    }
}
