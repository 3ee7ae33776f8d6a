//! What the parts of a sign-in cost by themselves: frames, sealing, opening, a step of the relay's core.
//!
//!     cargo bench --workspace --bench parts

use std::sync::Arc;
use std::time::Duration;

use divan::{Bencher, black_box};
use postern_protocol::frame::{Answer, Request, VerdictFrame};
use postern_protocol::seal::{AuthenticatedData, ContentKey, Jwe, OpeningKey, PROTECTED_HEADER_BASE64};
use postern_protocol::user_name::UserName;
use postern_protocol::{Moment, Outcome, Password, RequestId, Verdict};
use postern_relay::config::Ambiguous;
use postern_relay::core::{
    AgentSession, Answer as Said, Command, Core, FlightId, QueueRules, RealmIndex, RealmRules, SessionId, SignIn,
};
use zeroize::Zeroizing;

const REALM: RealmIndex = RealmIndex(0);

fn main() {
    divan::main();
}

fn password() -> Password {
    Password::new(Zeroizing::new("Postern-000001".to_owned())).unwrap_or_else(|error| panic!("{error}"))
}

fn data() -> AuthenticatedData {
    AuthenticatedData {
        expires_unix_ms: 1_900_000_000_000,
        realm: "corp.example.com".to_owned(),
        request_id: RequestId([7; 16]),
        tenant: "acme".to_owned(),
        user: "user000001@corp.example.com".to_owned(),
    }
}

fn key() -> OpeningKey {
    OpeningKey::generate().unwrap_or_else(|error| panic!("{error}"))
}

fn content_key() -> ContentKey {
    ContentKey::generate().unwrap_or_else(|error| panic!("{error}"))
}

fn request() -> Request {
    let (data, key) = (data(), content_key());
    let sealed = key
        .seal(&password(), &data.to_base64())
        .unwrap_or_else(|error| panic!("{error}"));
    Request {
        request_id: data.request_id,
        tenant: data.tenant,
        realm: data.realm,
        user: data.user,
        expires_unix_ms: data.expires_unix_ms,
        start_by: Moment(1_000_000),
        kid: "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs".to_owned(),
        encrypted_key: vec![7; 256],
        iv: sealed.iv,
        ciphertext: sealed.ciphertext,
        tag: sealed.tag,
        client_sealed: None,
        alternate_id: false,
        avoid_dc: None,
    }
}

mod frames {
    use super::*;

    #[divan::bench]
    fn encode_request(bencher: Bencher) {
        let request = request();
        bencher.bench(|| black_box(&request).encode());
    }

    #[divan::bench]
    fn decode_request(bencher: Bencher) {
        let bytes = request().encode();
        bencher.bench(|| Request::decode(black_box(&bytes)));
    }

    #[divan::bench]
    fn encode_and_decode_verdict(bencher: Bencher) {
        let verdict = Answer::Verdict(VerdictFrame {
            verdict: Verdict::Success.code(),
            sub_code: None,
            dc: "dc-1".to_owned(),
            bind_us: 700,
            subject: None,
        });
        bencher.bench(|| Answer::decode(&black_box(&verdict).encode()));
    }
}

mod sealing {
    use super::*;

    #[divan::bench]
    fn authenticated_data() -> String {
        black_box(data()).to_base64()
    }

    #[divan::bench]
    fn seal_in_an_epoch(bencher: Bencher) {
        let (key, password, aad) = (content_key(), password(), data().to_base64());
        bencher.bench(|| key.seal(black_box(&password), &aad));
    }

    #[divan::bench]
    fn open_in_an_epoch(bencher: Bencher) {
        let (key, aad) = (content_key(), data().to_base64());
        let sealed = key.seal(&password(), &aad).unwrap_or_else(|error| panic!("{error}"));
        bencher.bench(|| key.open(black_box(&sealed), PROTECTED_HEADER_BASE64, &aad));
    }

    #[divan::bench]
    fn wrap_a_content_key(bencher: Bencher) {
        let (content, opening) = (content_key(), key());
        bencher.bench(|| opening.public().wrap(black_box(&content)));
    }

    #[divan::bench]
    fn unwrap_a_content_key(bencher: Bencher) {
        let opening = key();
        let wrapped = opening
            .public()
            .wrap(&content_key())
            .unwrap_or_else(|error| panic!("{error}"));
        bencher.bench(|| opening.unwrap_key(black_box(&wrapped)));
    }

    /// As a caller does for itself, to so many agents.
    #[divan::bench(args = [1, 3, 40])]
    fn seal_an_envelope(bencher: Bencher, recipients: usize) {
        let key = key();
        let (password, data) = (password(), data());
        bencher.bench(|| {
            Jwe::seal(
                &password,
                black_box(&data),
                std::iter::repeat_n(key.public(), recipients),
            )
        });
    }
}

mod names {
    use super::*;

    #[divan::bench(args = ["user000001@corp.example.com", "Björn.Ægirsson@corp.example.com"])]
    fn parse_route_and_fold(name: &str) -> Option<(postern_protocol::user_name::Route, String)> {
        let name = UserName::parse(black_box(name)).ok()?;
        Some((name.route(), name.folded()))
    }
}

mod core {
    use super::*;

    /// A sign-in from its arrival to its outcome, with so many agents in session.
    #[divan::bench(args = [3, 40, 1_000, 10_000])]
    fn sign_in(bencher: Bencher, agents: u64) {
        let (mut core, mut now, mut next) = (with_agents(agents), Moment(1_000_000), 0);
        bencher.bench_local(|| {
            next += 1;
            now = now + Duration::from_micros(100);
            let settled = settle(&mut core, now, FlightId(next));
            assert!(settled, "a sign-in without its outcome");
            // As the driver does: pings and their answers are a part of what agents cost.
            while core.next_timeout().is_some_and(|at| at <= now) {
                core.handle_timeout(now);
                answer_pings(&mut core, now);
            }
        });
    }

    fn with_agents(agents: u64) -> Core {
        let rules = RealmRules {
            ambiguous: Ambiguous::RetryOnce,
            lockout_window: Duration::from_secs(1800),
            queue: QueueRules {
                length: 4_096,
                bytes: 1 << 24,
                wait: Duration::from_millis(500),
            },
            agent_return: Duration::from_secs(4),
        };
        let mut core = Core::new([rules], 7);
        for number in 0..agents {
            let session = AgentSession {
                realm: REALM,
                name: Arc::from(format!("agent-{number}")),
                slots: 16,
                directory_ready: true,
                kid: format!("kid-{number}"),
                rtt: Duration::from_millis(1),
            };
            core.handle_session_up(Moment(0), SessionId(number), session);
        }
        core
    }

    fn settle(core: &mut Core, now: Moment, id: FlightId) -> bool {
        let sign_in = SignIn {
            realm: REALM,
            user: id.0 % 20_000,
            deadline: now + Duration::from_secs(4),
            bytes: 1_000,
            recipients: None,
        };
        core.handle_sign_in(now, id, sign_in);
        let mut settled = false;
        while let Some(command) = core.poll_command() {
            match command {
                Command::Send {
                    flight,
                    session,
                    attempt,
                    ..
                } => {
                    core.handle_answer(now, session, flight, attempt, Said::Verdict(Verdict::Success, None));
                }
                Command::Settle { outcome, .. } => settled = outcome == Outcome::Verdict(Verdict::Success),
                Command::Ping { session } => core.handle_heard(now, session, Duration::from_millis(1)),
                _ => {}
            }
        }
        settled
    }

    fn answer_pings(core: &mut Core, now: Moment) {
        while let Some(command) = core.poll_command() {
            if let Command::Ping { session } = command {
                core.handle_heard(now, session, Duration::from_millis(1));
            }
        }
    }
}
