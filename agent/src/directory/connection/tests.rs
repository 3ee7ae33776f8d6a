//! A connection and a server of a few bytes, without TLS: what it makes of every kind of answer and end.

use super::*;
use postern_protocol::Password;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use zeroize::Zeroizing;

use crate::config::Transport;
use crate::network::Sockets;

const PATIENCE: Duration = Duration::from_secs(10);

/// A bind's answer for message 1: result 0, or 49.
const SUCCESS: [u8; 14] = [0x30, 12, 2, 1, 1, 0x61, 7, 0x0a, 1, 0, 4, 0, 4, 0];
const REFUSAL: [u8; 14] = [0x30, 12, 2, 1, 1, 0x61, 7, 0x0a, 1, 49, 4, 0, 4, 0];

/// The same with another message id and another kind of operation.
fn answer(id: u8, tag: u8) -> [u8; 14] {
    let mut answer = SUCCESS;
    (answer[4], answer[5]) = (id, tag);
    answer
}

struct Bed {
    connection: Connection,
    /// Whether a bind was sent, as whoever counts the connection is told.
    bound: Arc<AtomicBool>,
    server: TcpStream,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Bed {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Server {
            name: "dc-1".to_owned(),
            host: "127.0.0.1".to_owned(),
            port: listener.local_addr().unwrap().port(),
            transport: Transport::Plain,
            tls_name: ServerName::try_from("127.0.0.1").unwrap(),
            tls_domain: None,
            nameservers: Arc::default(),
        };
        let tls = rustls::ClientConfig::builder_with_provider(postern_service::tls::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let mut bound = Arc::default();
        let opened = |told| bound = told;
        let connection = Connection::open(&Sockets, &server, &Arc::new(tls), &tasks, &stop, opened)
            .await
            .unwrap();
        Self {
            connection,
            bound,
            server: listener.accept().await.unwrap().0,
            tasks,
            stop,
        }
    }

    async fn bind(&mut self) -> Sent {
        self.connection.bind("user", &password(), PATIENCE).await.0
    }

    /// A bind that is answered with `bytes`, after which the server closes if it is to.
    async fn answered(&mut self, bytes: &[u8], close: bool) -> Sent {
        let password = password();
        let (sent, ()) = tokio::join!(self.connection.bind("user", &password, PATIENCE), async {
            request(&mut self.server).await;
            self.server.write_all(bytes).await.unwrap();
            if close {
                self.server.shutdown().await.unwrap();
            }
        });
        sent.0
    }
}

fn password() -> Password {
    Password::new(Zeroizing::new("secret".to_owned())).unwrap()
}

/// One request, as it came.
async fn request(server: &mut TcpStream) -> Vec<u8> {
    let mut bytes = vec![0; 6];
    server.read_exact(&mut bytes).await.unwrap();
    let length = u32::from_be_bytes(bytes[2..6].try_into().unwrap());
    bytes.resize(6 + usize::try_from(length).unwrap(), 0);
    server.read_exact(&mut bytes[6..]).await.unwrap();
    bytes
}

#[tokio::test]
async fn an_answered_bind_leaves_the_connection_for_the_next() {
    let mut bed = Bed::new().await;
    for (answer, code) in [(SUCCESS, 0), (REFUSAL, 49)] {
        let mut answer = answer;
        answer[4] = u8::try_from(bed.connection.last_id + 1).unwrap();
        let sent = bed.answered(&answer, false).await;
        assert!(
            matches!(&sent, Sent::Answered { result, .. } if result.code == code),
            "{sent:?}"
        );
        assert!(!bed.connection.is_closed());
    }
}

#[tokio::test]
async fn whatever_else_answers_a_bind_its_outcome_is_unknown_and_the_connection_ends() {
    let notice = [
        &[0x30, 36, 2, 1, 0, 0x78, 31, 0x0a, 1, 52, 4, 0, 4, 0, 0x8a, 22][..],
        b"1.3.6.1.4.1.1466.20036",
    ]
    .concat();
    let cases: [(&str, Vec<u8>); 9] = [
        ("another id", answer(2, 0x61).to_vec()),
        ("no id", answer(0, 0x61).to_vec()),
        ("SearchResultDone 0", answer(1, 0x65).to_vec()),
        ("ExtendedResponse 0", answer(1, 0x78).to_vec()),
        ("ModifyResponse 0", answer(1, 0x67).to_vec()),
        ("a reference", vec![0x30, 5, 2, 1, 1, 0x73, 0]),
        ("garbage", b"HTTP/1.1 400 Bad Request\r\n".to_vec()),
        ("a message of 16 MB", vec![0x30, 0x84, 1, 0, 0, 0]),
        ("a notice of disconnection", notice),
    ];
    for (what, bytes) in cases {
        let mut bed = Bed::new().await;
        let sent = bed.answered(&bytes, false).await;
        assert!(
            matches!(sent, Sent::Unknown(Unanswered::Violation(_))),
            "{what}: {sent:?}"
        );
        bed.connection.closed().await;
        assert!(matches!(bed.bind().await, Sent::Never), "{what}");
    }
}

#[tokio::test]
async fn a_success_behind_anything_else_is_no_success() {
    // The violation comes first, and nothing after it is read.
    let mut bed = Bed::new().await;
    let bytes = [answer(7, 0x61), SUCCESS].concat();
    assert!(matches!(bed.answered(&bytes, false).await, Sent::Unknown(_)));
}

#[tokio::test]
async fn an_end_before_or_in_the_middle_of_the_answer_is_unknown() {
    let mut bed = Bed::new().await;
    let sent = bed.answered(&[], true).await;
    assert!(matches!(sent, Sent::Unknown(Unanswered::Ended)), "{sent:?}");
    for length in 1..SUCCESS.len() {
        let mut bed = Bed::new().await;
        let sent = bed.answered(&SUCCESS[..length], true).await;
        assert!(matches!(sent, Sent::Unknown(Unanswered::Cut)), "{length}: {sent:?}");
    }
}

#[tokio::test]
async fn an_end_that_was_noticed_before_the_bind_is_never_sent() {
    let mut bed = Bed::new().await;
    bed.server.shutdown().await.unwrap();
    bed.connection.closed().await;
    assert!(matches!(bed.bind().await, Sent::Never));
    drop(bed.connection);
    let mut rest = Vec::new();
    bed.server.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty());
}

#[tokio::test]
async fn a_connection_took_a_bind_when_one_was_sent_whatever_became_of_it_and_not_before() {
    let took = |bed: &Bed| bed.bound.load(Ordering::Relaxed);
    let mut never = Bed::new().await;
    never.server.shutdown().await.unwrap();
    never.connection.closed().await;
    assert!(matches!(never.bind().await, Sent::Never));
    assert!(!took(&never));
    let mut searched = Bed::new().await;
    let (read, ()) = tokio::join!(searched.connection.root_dse(PATIENCE), async {
        request(&mut searched.server).await;
        searched.server.shutdown().await.unwrap();
    });
    assert!(read.is_err());
    assert!(!took(&searched));
    for (bytes, close) in [(&SUCCESS[..], false), (&REFUSAL, true), (&[], true)] {
        let mut bed = Bed::new().await;
        assert!(!took(&bed));
        bed.answered(bytes, close).await;
        assert!(took(&bed), "{bytes:?}");
    }
}

#[tokio::test]
async fn an_answer_that_nobody_asked_for_ends_the_connection_before_a_bind_could_take_it() {
    let mut bed = Bed::new().await;
    bed.server.write_all(&SUCCESS).await.unwrap();
    bed.connection.closed().await;
    assert!(matches!(bed.bind().await, Sent::Never));
}

#[tokio::test(start_paused = true)]
async fn no_answer_in_time_is_unknown_and_a_late_one_finds_nobody() {
    let mut bed = Bed::new().await;
    let sent = bed.bind().await;
    assert!(matches!(sent, Sent::Unknown(Unanswered::Timeout(PATIENCE))), "{sent:?}");
    assert!(bed.connection.is_closed());
    assert!(matches!(bed.bind().await, Sent::Never));
}

#[tokio::test]
async fn a_bind_that_was_given_up_ends_the_connection() {
    let mut bed = Bed::new().await;
    let password = password();
    tokio::select! {
        biased;
        (sent, _) = bed.connection.bind("user", &password, PATIENCE) => panic!("{sent:?}"),
        _ = request(&mut bed.server) => {}
    }
    // Even if it is not dropped, it takes no second request.
    assert!(matches!(bed.bind().await, Sent::Never));
    drop(bed.connection);
    let mut rest = Vec::new();
    bed.server.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty(), "an unbind behind a request without an answer");
}

#[tokio::test]
async fn an_idle_connection_takes_leave_with_an_unbind_when_it_is_dropped_or_stopped() {
    for stopped in [false, true] {
        let bed = Bed::new().await;
        let (mut server, kept) = (bed.server, bed.connection);
        if stopped {
            bed.stop.cancel();
        } else {
            drop(kept);
        }
        let mut rest = Vec::new();
        server.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest[..], request::unbind(FAREWELL_ID)[..]);
        bed.tasks.close();
        bed.tasks.wait().await;
    }
}

#[tokio::test]
async fn a_search_gives_its_entries_up_to_the_limit_and_passes_over_references() {
    let mut bed = Bed::new().await;
    let entry = |name: &str| {
        let dn = name.as_bytes();
        let length = u8::try_from(dn.len()).unwrap();
        [
            &[0x30, 9 + length, 2, 1, 1, 0x64, 4 + length, 4, length],
            dn,
            &[0x30, 0],
        ]
        .concat()
    };
    let bytes = [
        entry("cn=a"),
        vec![0x30, 5, 2, 1, 1, 0x73, 0],
        entry("cn=b"),
        entry("cn=c"),
        answer(1, 0x65).to_vec(),
    ]
    .concat();
    let search = Search {
        size_limit: 2,
        ..RootDse::search()
    };
    let (found, ()) = tokio::join!(bed.connection.search(&search, PATIENCE), async {
        request(&mut bed.server).await;
        bed.server.write_all(&bytes).await.unwrap();
    });
    let found = found.unwrap();
    let names: Vec<_> = found.entries.iter().map(|entry| entry.dn.as_str()).collect();
    assert_eq!(names, ["cn=a", "cn=b"]);
    assert!(found.more && !bed.connection.is_closed());
}

#[tokio::test]
async fn a_bind_response_does_not_answer_a_search() {
    let mut bed = Bed::new().await;
    let (read, ()) = tokio::join!(bed.connection.root_dse(PATIENCE), async {
        request(&mut bed.server).await;
        bed.server.write_all(&SUCCESS).await.unwrap();
    });
    assert!(matches!(
        read,
        Err(ReadError::Unanswered(Unanswered::Violation(Violation::OtherKind)))
    ));
}
