//! Golden bytes, round trips, and decoding of what nobody should send.

use std::path::Path;

use proptest::prelude::*;

use super::*;

fn request(client_sealed: Option<ClientSealed>) -> Request {
    Request {
        request_id: RequestId([1; 16]),
        tenant: "acme".to_owned(),
        realm: "corp.example.com".to_owned(),
        user: "zoë@corp.example.com".to_owned(),
        expires_unix_ms: 1_790_000_000_000,
        start_by: Moment(123_456_789),
        kid: "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs".to_owned(),
        encrypted_key: vec![2; 256],
        iv: [3; 12],
        ciphertext: vec![4; 14],
        tag: [5; 16],
        client_sealed,
        alternate_id: false,
        avoid_dc: None,
    }
}

/// Every frame once, by the name of its golden file.
fn golden() -> Vec<(&'static str, Vec<u8>)> {
    let hello = Hello {
        major: 1,
        minor: 0,
        software: "0.1.0".to_owned(),
        instance: [9; 16],
        opening_key: vec![8; 294],
        slots: 16,
        directory: DirectoryHealth::Ready,
        takes_over: false,
    };
    let takes_over = Hello {
        takes_over: true,
        ..hello.clone()
    };
    let welcome = Welcome {
        major: 1,
        minor: 0,
        software: "0.1.0".to_owned(),
        instance: [7; 16],
        replicas: vec!["relay-1.example.com:7011".to_owned()],
        ping_interval_ms: 500,
    };
    let client = ClientSealed {
        protected: "eyJhbGciOiJ9".to_owned(),
        aad: "eyJleHAiOjF9".to_owned(),
    };
    let verdict = VerdictFrame {
        verdict: 1,
        sub_code: Some(0x52e),
        dc: "dc-1".to_owned(),
        bind_us: 4_321,
        subject: None,
    };
    let of_account = |subject| {
        let verdict = VerdictFrame {
            verdict: 0,
            sub_code: None,
            subject: Some(subject),
            ..verdict.clone()
        };
        Answer::Verdict(verdict).encode()
    };
    let avoid_dc = Request {
        avoid_dc: Some("dc-1".to_owned()),
        ..request(None)
    };
    let alternate_id = Request {
        alternate_id: true,
        ..request(None)
    };
    vec![
        ("hello", Control::Hello(hello).encode()),
        ("hello_takes_over", Control::Hello(takes_over).encode()),
        ("welcome", Control::Welcome(welcome).encode()),
        (
            "status",
            Control::Status(Status {
                slots: 4,
                directory: DirectoryHealth::Down,
            })
            .encode(),
        ),
        ("ping", Control::Ping(Ping { number: 77 }).encode()),
        (
            "pong",
            Control::Pong(Pong {
                number: 77,
                time: Moment(5_000_000),
            })
            .encode(),
        ),
        (
            "cancel",
            Control::Cancel(Cancel {
                request_id: RequestId([1; 16]),
                start_by: None,
            })
            .encode(),
        ),
        (
            "cancel_attempt",
            Control::Cancel(Cancel {
                request_id: RequestId([1; 16]),
                start_by: Some(Moment(6_000_000)),
            })
            .encode(),
        ),
        ("tcp_echo", TcpFrame::Echo(Ping { number: 77 }).encode()),
        ("tcp_echoed", TcpFrame::Echoed(Ping { number: 77 }).encode()),
        ("tcp_close", TcpFrame::close(3, "denied").encode()),
        ("draining", Control::Draining(Draining {}).encode()),
        (
            "go_away",
            Control::GoAway(GoAway {
                reason: "draining".to_owned(),
            })
            .encode(),
        ),
        ("probe", Control::Probe(Probe { major: 1, minor: 1 }).encode()),
        (
            "probed",
            Control::Probed(Probed {
                major: 1,
                minor: 1,
                software: "0.1.0".to_owned(),
                unix_ms: 1_700_000_000_000,
            })
            .encode(),
        ),
        (
            "key_change",
            Control::KeyChange(KeyChange {
                opening_key: vec![8; 294],
            })
            .encode(),
        ),
        ("request", request(None).encode()),
        ("request_client_sealed", request(Some(client)).encode()),
        ("request_alternate_id", alternate_id.encode()),
        ("request_avoid_dc", avoid_dc.encode()),
        ("started", Answer::Started.encode()),
        ("verdict", Answer::Verdict(verdict.clone()).encode()),
        (
            "verdict_object_guid",
            of_account(Subject {
                object_guid: Some([6; 16]),
                entry_uuid: None,
                upn: Some("zoë@corp.example.com".to_owned()),
            }),
        ),
        (
            "verdict_entry_uuid",
            of_account(Subject {
                object_guid: None,
                entry_uuid: Some("597ae2f6-16a6-1027-98f4-d28b5365dc14".to_owned()),
                upn: None,
            }),
        ),
        (
            "not_started",
            Answer::NotStarted(NotStartedFrame { reason: 3 }).encode(),
        ),
        (
            "failed",
            Answer::Failed(FailedFrame {
                indeterminate: true,
                dc: "dc-2".to_owned(),
                account_only: None,
            })
            .encode(),
        ),
        (
            "failed_account_only",
            Answer::Failed(FailedFrame {
                indeterminate: false,
                dc: "dc-2".to_owned(),
                account_only: Some(true),
            })
            .encode(),
        ),
    ]
}

/// Decodes as whatever it is and encodes that again.
fn recode(bytes: &[u8]) -> Option<Vec<u8>> {
    let control = Control::decode(bytes)
        .ok()
        .filter(|frame| !matches!(frame, Control::Unknown(_)));
    let tcp = TcpFrame::decode(bytes)
        .ok()
        .filter(|frame| !matches!(frame, TcpFrame::Unknown(_)));
    control
        .map(|frame| frame.encode())
        .or_else(|| tcp.map(|frame| frame.encode()))
        .or_else(|| Request::decode(bytes).ok().map(|frame| frame.encode()))
        .or_else(|| Answer::decode(bytes).ok().map(|frame| frame.encode()))
}

#[test]
fn the_bytes_of_every_frame_are_pinned() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for (name, bytes) in golden() {
        let file = folder.join(format!("{name}.hex"));
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let pinned = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert_eq!(hex, pinned.trim(), "{name} differs from {}", file.display());
    }
    let files = std::fs::read_dir(&folder).unwrap().count();
    assert_eq!(files, golden().len(), "a golden file without a frame");
}

#[test]
fn every_frame_decodes_to_what_was_encoded() {
    for (name, bytes) in golden() {
        assert_eq!(recode(&bytes).as_deref(), Some(bytes.as_slice()), "{name}");
    }
}

#[test]
fn unknown_keys_and_unknown_control_frames_are_skipped() {
    // [3, {0: 77, 9: ["later"]}]: a ping of a later minor version.
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes);
    encoder
        .array(2)
        .unwrap()
        .u32(3)
        .unwrap()
        .map(2)
        .unwrap()
        .u8(0)
        .unwrap()
        .u64(77)
        .unwrap();
    encoder.u8(9).unwrap().array(1).unwrap().str("later").unwrap();
    assert_eq!(Control::decode(&bytes), Ok(Control::Ping(Ping { number: 77 })));
    bytes[1] = 0x17; // the kind, as a one-byte integer: 23
    assert_eq!(Control::decode(&bytes), Ok(Control::Unknown(23)));
    assert_eq!(Answer::decode(&bytes), Err(FrameError::UnknownKind(23)));
}

#[test]
fn frames_of_minor_version_0_decode_to_a_name_that_is_bound_and_a_verdict_without_a_subject() {
    // Their golden files are as they were: what is new in them is absent.
    assert_eq!(
        Request::decode(&request(None).encode()).map(|request| request.alternate_id),
        Ok(false)
    );
    let old = golden().into_iter().find(|(name, _)| *name == "verdict").unwrap().1;
    let Ok(Answer::Verdict(verdict)) = Answer::decode(&old) else {
        panic!("no verdict")
    };
    assert_eq!(verdict.subject, None);
}

#[test]
fn frames_of_minor_version_1_decode_to_requests_cancels_and_failures_that_say_less() {
    // Their golden files are as they were, too.
    let old = |name: &str| golden().into_iter().find(|(other, _)| *other == name).unwrap().1;
    let Ok(Control::Cancel(cancel)) = Control::decode(&old("cancel")) else {
        panic!("no cancel")
    };
    assert_eq!(cancel.start_by, None);
    let Ok(Answer::Failed(failed)) = Answer::decode(&old("failed")) else {
        panic!("no failure")
    };
    assert_eq!(failed.account_only, None);
    assert_eq!(
        Request::decode(&old("request")).map(|request| request.avoid_dc),
        Ok(None)
    );
}

#[test]
fn bytes_after_a_frame_and_missing_members_are_refused() {
    let mut bytes = Control::Ping(Ping { number: 1 }).encode();
    bytes.push(0);
    assert!(matches!(Control::decode(&bytes), Err(FrameError::Malformed(_))));
    assert!(matches!(
        Control::decode(&encode(0, Draining {})),
        Err(FrameError::Malformed(_))
    ));
}

#[test]
fn an_announced_length_allocates_nothing() {
    // [16, {8: bytes of 2^62]: decoding must fail on the missing bytes, not try to make room for them.
    let mut bytes = vec![0x82, 0x10, 0xa1, 0x07, 0x5b];
    bytes.extend_from_slice(&(1_u64 << 62).to_be_bytes());
    assert!(Request::decode(&bytes).is_err());
    // [1, {4: array of 2^62]
    let mut bytes = vec![0x82, 0x01, 0xa1, 0x04, 0x9b];
    bytes.extend_from_slice(&(1_u64 << 62).to_be_bytes());
    assert!(Control::decode(&bytes).is_err());
}

#[test]
fn a_request_does_not_print_its_user_or_its_sealed_password() {
    let text = format!("{:?}", request(None));
    assert!(!text.contains("zoë") && !text.contains("ciphertext"), "{text}");
}

proptest! {
    #[test]
    fn decoding_never_panics_on_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = recode(&bytes);
    }

    #[test]
    fn decoding_never_panics_on_changed_or_cut_frames(
        which in 0usize..golden().len(),
        changes in prop::collection::vec((0usize..600, any::<u8>()), 1..6),
        cut in 0usize..600,
    ) {
        let mut bytes = golden().swap_remove(which).1;
        for (at, byte) in changes {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        let _ = recode(&bytes);
        bytes.truncate(cut % (bytes.len() + 1));
        let _ = recode(&bytes);
    }
}
