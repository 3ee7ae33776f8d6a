//! A served domain, asked over LDAP, StartTLS and LDAPS by a client library, and over its control interface.

use ldap3::{Scope, SearchEntry};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

#[cfg(test)]
#[path = "served/faults.rs"]
mod faults;
#[cfg(test)]
#[path = "served/robustness.rs"]
mod robustness;
#[cfg(test)]
mod support;

use support::{BASE, Domain, PASSWORD, bind, windows};

#[tokio::test]
async fn every_state_is_told_over_every_transport_and_agrees_with_the_oracle() {
    let domain = Domain::serve();
    let success = || (0, String::new());
    let expected = [
        ("good", "success", success()),
        ("expired", "password_expired", windows("532")),
        ("mustchange", "password_must_change", windows("773")),
        ("disabled", "account_disabled", windows("533")),
        ("accountexpired", "account_expired", windows("701")),
        ("locked", "account_locked", windows("775")),
        ("hours", "logon_hours", windows("530")),
        ("workstation", "logon_workstation", windows("531")),
    ];
    for mut ldap in domain.transports().await {
        for (sam, outcome, told) in &expected {
            for name in [
                format!("{sam}@corp.example.com"),
                format!("CORP\\{sam}"),
                format!("CN={sam},CN=Users,{BASE}"),
            ] {
                assert_eq!(bind(&mut ldap, &name, PASSWORD).await, *told, "{name}");
                let question = json!({"user": name, "password": PASSWORD});
                let oracle = domain.send(reqwest::Method::POST, "/oracle", question).await;
                assert_eq!(oracle["outcome"], *outcome);
                assert_eq!(
                    (oracle["result"].as_u64(), oracle["diagnostic"].as_str()),
                    (Some(told.0.into()), Some(told.1.as_str()))
                );
            }
        }
        assert_eq!(
            bind(&mut ldap, "nobody@corp.example.com", PASSWORD).await,
            windows("52e")
        );
        assert_eq!(
            bind(&mut ldap, "user000123@corp.example.com", "Postern-000123").await,
            success()
        );
    }
    let counts = domain.get("/binds/counts").await;
    assert_eq!(
        (counts["good"].as_u64(), counts["user000123"].as_u64()),
        (Some(9), Some(3))
    );
    domain.end().await;
}

#[tokio::test]
async fn signing_in_with_a_sample_account_changes_nothing() {
    let domain = Domain::serve();
    let mut ldap = domain.connect(&domain.ldaps(0), false).await.expect("LDAPS");
    for sam in [
        "good",
        "expired",
        "mustchange",
        "disabled",
        "accountexpired",
        "locked",
        "hours",
        "workstation",
    ] {
        let before = domain.get(&format!("/users/{sam}")).await;
        for _ in 0..5 {
            bind(&mut ldap, &format!("CORP\\{sam}"), PASSWORD).await;
        }
        assert_eq!(domain.get(&format!("/users/{sam}")).await, before, "{sam}");
    }
    domain.end().await;
}

#[tokio::test]
async fn parallel_wrong_passwords_over_two_controllers_lock_exactly_once_and_the_lock_ends_by_the_clock() {
    let domain = Domain::serve();
    let mut binds = JoinSet::new();
    for number in 0..12 {
        let mut ldap = domain.connect(&domain.ldap(number % 2), false).await.expect("LDAP");
        binds.spawn(async move { bind(&mut ldap, "user000001@corp.example.com", "wrong").await });
    }
    let mut told = binds.join_all().await;
    told.sort();
    assert_eq!(told[..3], [windows("52e"), windows("52e"), windows("52e")]);
    assert!(told[3..].iter().all(|answer| *answer == windows("775")));

    let shown = domain.get("/users/user000001").await;
    assert_eq!(
        (shown["locked"].as_bool(), shown["badPwdCount"].as_str()),
        (Some(true), Some("3"))
    );
    assert_eq!(shown["msDS-User-Account-Control-Computed"], "16");
    let recorded: Vec<_> = domain
        .binds("")
        .await
        .iter()
        .map(|line| line["sub_code"].clone())
        .collect();
    assert_eq!(recorded[..3], ["52e", "52e", "52e"]);
    assert!(recorded[3..].iter().all(|sub_code| sub_code == "775"));

    let mut ldap = domain.connect(&domain.ldap(0), false).await.expect("LDAP");
    domain
        .send(reqwest::Method::POST, "/clock", json!({"advance_s": 1795}))
        .await;
    assert_eq!(
        bind(&mut ldap, "user000001@corp.example.com", "Postern-000001").await,
        windows("775")
    );
    domain
        .send(reqwest::Method::POST, "/clock", json!({"advance_s": 10}))
        .await;
    assert_eq!(domain.get("/users/user000001").await["locked"], false);
    assert_eq!(
        bind(&mut ldap, "user000001@corp.example.com", "Postern-000001").await.0,
        0
    );
    assert_eq!(domain.get("/users/user000001").await["badPwdCount"], "0");
    domain.end().await;
}

#[tokio::test]
async fn a_password_expires_by_the_clock() {
    let domain = Domain::serve();
    let mut ldap = domain.connect(&domain.ldap(0), false).await.expect("LDAP");
    assert_eq!(bind(&mut ldap, "CORP\\good", PASSWORD).await.0, 0);
    domain
        .send(reqwest::Method::POST, "/clock", json!({"advance_s": 42 * 86_400}))
        .await;
    assert_eq!(bind(&mut ldap, "CORP\\good", PASSWORD).await, windows("532"));
    domain
        .send(
            reqwest::Method::PATCH,
            "/users/good",
            json!({"password": "another one"}),
        )
        .await;
    assert_eq!(bind(&mut ldap, "CORP\\good", "another one").await.0, 0);
    // For an hour the password before it still signs in.
    assert_eq!(bind(&mut ldap, "CORP\\good", PASSWORD).await.0, 0);
    domain
        .send(reqwest::Method::POST, "/clock", json!({"advance_s": 3_600}))
        .await;
    assert_eq!(bind(&mut ldap, "CORP\\good", PASSWORD).await, windows("52e"));
    assert_eq!(bind(&mut ldap, "CORP\\good", "another one").await.0, 0);
    domain.end().await;
}

#[tokio::test]
async fn a_bind_without_a_password_succeeds_as_nobody_and_counts_nothing() {
    let domain = Domain::serve();
    let mut ldap = domain.connect(&domain.ldap(0), false).await.expect("LDAP");
    for name in ["", "good@corp.example.com", "nobody@corp.example.com"] {
        assert_eq!(bind(&mut ldap, name, "").await, (0, String::new()));
        let refused = ldap
            .search(BASE, Scope::Subtree, "(sAMAccountName=good)", vec!["cn"])
            .await
            .expect("an answer")
            .1;
        assert_eq!(refused.rc, 1);
        assert!(
            refused.text.starts_with("000004DC: LdapErr: DSID-0C090A5A"),
            "{}",
            refused.text
        );
    }
    assert_eq!(domain.get("/binds/counts").await, json!({}));
    let oracle = domain
        .send(
            reqwest::Method::POST,
            "/oracle",
            json!({"user": "CORP\\good", "password": ""}),
        )
        .await;
    assert_eq!(oracle["outcome"], "bad_request");
    domain.end().await;
}

#[tokio::test]
async fn the_root_dse_is_for_everybody_and_accounts_for_who_is_signed_in() {
    let domain = Domain::serve();
    for mut ldap in domain.transports().await {
        let (entries, end) = ldap
            .search(
                "",
                Scope::Base,
                "(objectClass=*)",
                vec!["defaultNamingContext", "dnsHostName"],
            )
            .await
            .unwrap()
            .success()
            .unwrap();
        assert_eq!(end.rc, 0);
        let root = SearchEntry::construct(entries.into_iter().next().expect("the RootDSE"));
        assert_eq!(root.attrs["defaultNamingContext"], [BASE]);
        assert_eq!(root.attrs["dnsHostName"], ["DC-1.corp.example.com"]);

        assert_eq!(bind(&mut ldap, "CORP\\good", PASSWORD).await.0, 0);
        let who = ldap.extended(ldap3::exop::WhoAmI).await.unwrap().success().unwrap().0;
        assert_eq!(who.parse::<ldap3::exop::WhoAmIResp>().authzid, "u:CORP\\good");
        let filter = "(&(objectClass=user)(mail=Good.Mail@mail.example.org))";
        let (entries, _) = ldap
            .search(
                BASE,
                Scope::Subtree,
                filter,
                vec!["userPrincipalName", "objectGUID", "1.1"],
            )
            .await
            .unwrap()
            .success()
            .unwrap();
        let found: Vec<_> = entries.into_iter().map(SearchEntry::construct).collect();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].dn, format!("CN=good,CN=Users,{BASE}"));
        assert_eq!(found[0].attrs["userPrincipalName"], ["good@corp.example.com"]);
        for filter in [
            format!("(distinguishedName=cn=\\67ood,cn=users,{BASE})"),
            "(cn=g\\6fod)".to_owned(),
        ] {
            let (entries, _) = ldap
                .search(BASE, Scope::Subtree, &filter, vec!["1.1"])
                .await
                .unwrap()
                .success()
                .unwrap();
            assert_eq!(entries.len(), 1, "{filter}");
        }
        let guid = found[0].bin_attrs.get("objectGUID").map(Vec::len);
        assert_eq!(guid, Some(1), "16 bytes that are no text");

        let refused = ldap.delete(&found[0].dn).await.expect("an answer");
        assert_eq!(refused.rc, 50, "ordinary users delete nothing");
        let unknown = ldap
            .extended(ldap3::exop::Exop {
                name: Some("1.2.3.4".to_owned()),
                val: None,
            })
            .await
            .expect("an answer")
            .1;
        assert_eq!(unknown.rc, 2);
        ldap.unbind().await.expect("a goodbye");
    }
    domain.end().await;
}

#[tokio::test]
async fn binds_are_told_with_their_peer_and_message_id() {
    let domain = Domain::serve();
    let mut ldap = domain.connect(&domain.ldap(1), false).await.expect("LDAP");
    bind(&mut ldap, "CORP\\good", PASSWORD).await;
    bind(&mut ldap, "CORP\\nobody", "wrong").await;
    let told = domain.binds("").await;
    assert_eq!(told.len(), 2);
    let first = &told[0];
    for (member, value) in [
        ("seq", json!(1)),
        ("dc", json!("dc-2")),
        ("msgid", json!(1)),
        ("name", json!("CORP\\good")),
        ("user", json!("good")),
        ("result", json!(0)),
        ("sub_code", Value::Null),
        ("answered", json!(true)),
    ] {
        assert_eq!(first[member], value, "{member}");
    }
    assert!(
        first["peer"]
            .as_str()
            .is_some_and(|peer| peer.starts_with("127.0.0.1:"))
    );
    assert_eq!(
        (told[1]["user"].is_null(), told[1]["sub_code"].as_str()),
        (true, Some("52e"))
    );
    assert_eq!(first["conn"], told[1]["conn"]);
    assert_eq!(domain.binds("?since=1").await, told[1..]);

    domain.send(reqwest::Method::POST, "/reset", json!({})).await;
    assert_eq!(domain.binds("").await, [Value::Null; 0]);
    domain.end().await;
}

#[tokio::test]
async fn following_tells_what_is_still_to_come() {
    let domain = Domain::serve();
    let url = format!("http://{}/binds?since=0&follow=1", domain.addresses.control);
    let mut following = domain.http.get(url).send().await.expect("an answer");
    let mut ldap = domain.connect(&domain.ldap(0), false).await.expect("LDAP");
    for expected in 1..=3 {
        bind(&mut ldap, "CORP\\good", PASSWORD).await;
        let line = following.chunk().await.expect("a connection").expect("a line");
        let line: Value = serde_json::from_slice(&line).expect("JSON");
        assert_eq!(line["seq"], expected);
    }
    domain.end().await;
}

#[tokio::test]
async fn a_refusing_controller_resets_its_connections_and_the_other_goes_on() {
    let domain = Domain::serve();
    let address = domain.addresses.dcs[0].ldap.expect("an LDAP listener");
    let mut idle = TcpStream::connect(address).await.expect("a connection");
    let mut signed_in = domain.connect(&domain.ldaps(0), false).await.expect("LDAPS");
    assert_eq!(bind(&mut signed_in, "CORP\\good", PASSWORD).await.0, 0);

    let faults = json!([{"kind": "refuse", "dc": "dc-1"}]);
    assert_eq!(
        domain.send(reqwest::Method::PUT, "/faults", faults.clone()).await,
        faults
    );
    assert_eq!(domain.get("/faults").await, faults);
    let read = idle.read(&mut [0; 1]).await.map_err(|error| error.kind());
    assert_eq!(read, Err(std::io::ErrorKind::ConnectionReset));
    assert!(signed_in.simple_bind("CORP\\good", PASSWORD).await.is_err());
    let refused = TcpStream::connect(address)
        .await
        .map(|_| ())
        .map_err(|error| error.kind());
    assert_eq!(refused, Err(std::io::ErrorKind::ConnectionRefused));
    let mut other = domain
        .connect(&domain.ldaps(1), false)
        .await
        .expect("the other controller");
    assert_eq!(bind(&mut other, "CORP\\good", PASSWORD).await.0, 0);

    domain.send(reqwest::Method::PUT, "/faults", json!([])).await;
    let mut again = domain
        .connect(&domain.ldaps(0), false)
        .await
        .expect("the controller is back");
    assert_eq!(bind(&mut again, "CORP\\good", PASSWORD).await.0, 0);
    domain.end().await;
}

#[tokio::test]
async fn what_control_does_not_know_is_refused_with_its_name() {
    use reqwest::Method;
    let domain = Domain::serve();
    for (method, path, body, status, told) in [
        (
            Method::POST,
            "/oracle",
            Some(json!({"user": "a", "password": "b", "colour": 1})),
            400,
            "colour",
        ),
        (Method::POST, "/oracle", Some(json!({"user": "a"})), 400, "password"),
        (Method::POST, "/clock", Some(json!({"advance": 1})), 400, "advance"),
        (Method::POST, "/clock", Some(json!({})), 400, "exactly one"),
        (
            Method::POST,
            "/clock",
            Some(json!({"advance_s": 1, "rate": 2})),
            400,
            "exactly one",
        ),
        (
            Method::POST,
            "/clock",
            Some(json!({"set": "tomorrow"})),
            400,
            "tomorrow",
        ),
        (
            Method::PATCH,
            "/users/good",
            Some(json!({"shoeSize": 44})),
            400,
            "shoeSize",
        ),
        (
            Method::PATCH,
            "/users/nobody",
            Some(json!({"locked": true})),
            404,
            "nobody",
        ),
        (Method::GET, "/users/nobody", None, 404, "nobody"),
        (Method::PUT, "/faults", Some(json!([{"kind": "drip"}])), 400, "bytes"),
        (
            Method::PUT,
            "/faults",
            Some(json!([{"kind": "refuse", "times": 1}])),
            400,
            "times",
        ),
        (
            Method::PUT,
            "/faults",
            Some(json!([{"kind": "refuse", "dc": "dc-9"}])),
            400,
            "dc-9",
        ),
        (Method::GET, "/binds?sinse=1", None, 400, "sinse"),
        (Method::GET, "/binds?since=x", None, 400, "since"),
        (Method::POST, "/reset", Some(json!({"all": true})), 400, "all"),
        (Method::GET, "/nothing", None, 404, "nothing"),
        (Method::GET, "/oracle", None, 405, "does not take GET"),
        (Method::GET, "/users/%ff", None, 400, "UTF-8"),
        (
            Method::POST,
            "/oracle",
            Some(json!({"user": "a", "password": "b".repeat(3_000_000)})),
            413,
            "length limit",
        ),
    ] {
        let (got, text) = domain.ask(method, path, body).await;
        assert_eq!(got, status, "{path}: {text}");
        let problem: Value = serde_json::from_str(&text).expect("a problem after RFC 9457");
        assert_eq!(problem["status"], status, "{path}");
        let detail = problem["detail"].as_str().expect("a text");
        assert!(detail.contains(told), "{path}: {told} is not in {detail}");
    }
    domain.end().await;
}

#[tokio::test]
async fn the_clock_stands_still_jumps_and_is_reset() {
    let domain = Domain::serve();
    domain.send(reqwest::Method::POST, "/clock", json!({"rate": 0})).await;
    let set = domain
        .send(reqwest::Method::POST, "/clock", json!({"set": "2031-02-03T04:05:06Z"}))
        .await;
    assert_eq!(
        (set["now"].as_str(), set["rate"].as_f64()),
        (Some("2031-02-03T04:05:06Z"), Some(0.0))
    );
    let advanced = domain
        .send(reqwest::Method::POST, "/clock", json!({"advance_s": 0.5}))
        .await;
    assert_eq!(advanced["now"], "2031-02-03T04:05:06.5Z");
    assert!(
        domain.get("/clock").await["offset_s"]
            .as_f64()
            .is_some_and(|offset| offset.abs() > 1.0)
    );
    domain.send(reqwest::Method::POST, "/reset", json!({})).await;
    let reset = domain.get("/clock").await;
    assert_eq!(reset["rate"], 1.0);
    assert!(reset["offset_s"].as_f64().is_some_and(|offset| offset.abs() < 1.0));
    domain.end().await;
}

#[tokio::test]
async fn a_snapshot_brings_the_whole_state_back_or_changes_nothing() {
    let domain = Domain::serve();
    domain.send(reqwest::Method::POST, "/clock", json!({"rate": 0})).await;
    let mut ldap = domain.connect(&domain.ldap(1), false).await.expect("LDAP");
    for _ in 0..3 {
        assert_eq!(bind(&mut ldap, "CORP\\user000001", "wrong").await, windows("52e"));
    }
    domain
        .send(
            reqwest::Method::PATCH,
            "/users/good",
            json!({"sAMAccountName": "better"}),
        )
        .await;
    let url = format!("http://{}/snapshot", domain.addresses.control);
    let saved = domain.http.get(&url).send().await.expect("an answer");
    assert_eq!(saved.headers()["content-type"], "application/json");
    let saved = saved.text().await.expect("a document");
    let before = domain.get("/users/user000001").await;

    domain.send(reqwest::Method::POST, "/reset", json!({})).await;
    let put = async |body: String| {
        let answer = domain.http.put(&url).body(body).send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("a text"))
    };
    let (status, told) = put(saved.replace("corp.example.com", "other.example.com")).await;
    assert_eq!(status, 400);
    assert!(told.contains("domain.name: the snapshot is of"), "{told}");
    assert_eq!(domain.get("/users/user000001").await["locked"], false);
    assert_eq!(domain.get("/clock").await["rate"], 1.0);

    // Padded beyond what other requests may have.
    let (status, told) = put(saved.clone() + &" ".repeat(4 * 1024 * 1024)).await;
    assert_eq!((status, told.as_str()), (204, ""));
    assert_eq!(domain.get("/users/user000001").await, before);
    assert_eq!(
        bind(&mut ldap, "CORP\\user000001", "Postern-000001").await,
        windows("775")
    );
    assert_eq!(bind(&mut ldap, "CORP\\better", PASSWORD).await.0, 0);
    assert_eq!(domain.binds("").await.len(), 2, "the record goes on");
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let again = domain.http.get(&url).send().await.expect("an answer").text().await;
    assert_eq!(lines(&again.expect("a document"))[1..], lines(&saved)[1..]);
    domain.end().await;
}

#[tokio::test]
async fn malformed_bytes_end_their_own_connection_only() {
    let domain = Domain::serve();
    let address = domain.addresses.dcs[0].ldap.expect("an LDAP listener");
    let mut other = domain.connect(&domain.ldap(0), false).await.expect("LDAP");
    assert_eq!(bind(&mut other, "CORP\\good", PASSWORD).await.0, 0);
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0x30, 0x84, 0x06, 0x40, 0x00, 0x00, 0x02],
        &[0x30, 0x80, 0x02, 0x01, 0x01, 0x42, 0x00],
        &[0x30, 0x05, 0x02, 0x01, 0x01, 0x7f, 0x00],
        &[0x30, 0x0a, 0x02, 0x01, 0x01, 0x60, 0x05, 0x02, 0x01, 0x03, 0x04, 0xff],
    ] {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(bytes).await.expect("a write");
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.expect("an end that is no reset");
        // Notice of Disconnection: message id 0, result 2, its object identifier.
        assert_eq!(rest[6..10], [0x02, 1, 0, 0x78], "{bytes:02x?}: {rest:02x?}");
        assert_eq!(rest[15..18], [0x0a, 1, 2], "{bytes:02x?}: {rest:02x?}");
        assert!(rest.ends_with(b"1.3.6.1.4.1.1466.20036"), "{bytes:02x?}: {rest:02x?}");
        assert_eq!(bind(&mut other, "CORP\\good", PASSWORD).await.0, 0);
    }
    assert_eq!(domain.get("/binds/counts").await, json!({"good": 6}));
    domain.end().await;
}

#[tokio::test]
async fn what_follows_starttls_in_the_clear_is_not_taken_for_encrypted() {
    let domain = Domain::serve();
    let address = domain.addresses.dcs[0].ldap.expect("an LDAP listener");
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let mut bytes = vec![0x30, 0x1d, 0x02, 0x01, 0x01, 0x77, 0x18, 0x80, 0x16];
    bytes.extend_from_slice(b"1.3.6.1.4.1.1466.20037");
    // An anonymous bind right behind it.
    bytes.extend_from_slice(&[
        0x30, 0x0c, 0x02, 0x01, 0x02, 0x60, 0x07, 0x02, 0x01, 0x03, 0x04, 0x00, 0x80, 0x00,
    ]);
    stream.write_all(&bytes).await.expect("a write");
    // Lengths of four bytes, as Windows writes them.
    let mut head = [0; 6];
    stream.read_exact(&mut head).await.expect("the answer to StartTLS");
    assert_eq!(head[..5], [0x30, 0x84, 0, 0, 0], "{head:02x?}");
    let mut answer = vec![0; head[5].into()];
    stream.read_exact(&mut answer).await.expect("the rest of it");
    assert_eq!(answer[..3], [2, 1, 1], "{answer:02x?}");
    let encrypted = domain.handshake(stream).await;
    assert!(encrypted.is_err(), "what came in the clear is behind the handshake now");
    assert_eq!(domain.binds("").await, [Value::Null; 0]);

    // Without it there is a handshake.
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(&bytes[..31]).await.expect("a write");
    stream
        .read_exact(&mut vec![0; head.len() + answer.len()])
        .await
        .expect("the same answer");
    domain.handshake(stream).await.expect("TLS");
    domain.end().await;
}

#[tokio::test]
async fn metrics_and_health_are_served_beside_control() {
    let domain = Domain::serve();
    let mut ldap = domain.connect(&domain.ldap(0), false).await.expect("LDAP");
    bind(&mut ldap, "CORP\\good", PASSWORD).await;
    bind(&mut ldap, "CORP\\good", "wrong").await;
    let (_, metrics) = domain.ask(reqwest::Method::GET, "/metrics", None).await;
    for line in [
        "postern_dc_binds_total{dc=\"dc-1\",result=\"success\"} 1",
        "postern_dc_binds_total{dc=\"dc-1\",result=\"52e\"} 1",
        "postern_dc_binds_total{dc=\"dc-2\",result=\"775\"} 0",
        "postern_dc_build_info",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
    for path in ["/livez", "/readyz"] {
        assert_eq!(domain.ask(reqwest::Method::GET, path, None).await.0, 200);
    }
    domain.end().await;
}

/// Every bind of many connections is recorded as it was answered, in the order of each connection, and counted; also
/// while somebody reads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_record_is_exact_under_load() {
    const CONNECTIONS: usize = 16;
    const BINDS: usize = 100;
    /// Of each connection, so that nobody is locked and a line tells whose it is.
    const ACCOUNTS: usize = 60;
    let domain = Domain::serve_in_parallel();
    let mut clients = JoinSet::new();
    for client in 0..CONNECTIONS {
        let mut ldap = domain.connect(&domain.ldap(client % 2), false).await.expect("LDAP");
        clients.spawn(async move {
            let mut told = Vec::new();
            for number in 0..BINDS {
                let account = client * ACCOUNTS + number % ACCOUNTS + 1;
                let (sam, password) = (format!("user{account:06}"), format!("Postern-{account:06}"));
                let (password, sub_code) = if number % 3 == 0 {
                    ("wrong", json!("52e"))
                } else {
                    (password.as_str(), Value::Null)
                };
                let (code, _) = bind(&mut ldap, &format!("{sam}@corp.example.com"), password).await;
                assert_eq!(code, if sub_code.is_null() { 0 } else { 49 }, "{sam}");
                told.push(json!([sam, code, sub_code, true]));
            }
            told
        });
    }
    let mut told = Vec::new();
    while let Some(client) = clients.join_next().await {
        told.push(client.expect("all its answers"));
        domain.binds("").await;
    }
    let recorded = domain.binds("").await;
    assert_eq!(recorded.len(), CONNECTIONS * BINDS);
    let mut connections = std::collections::BTreeMap::<_, Vec<Value>>::new();
    let mut last = std::collections::HashMap::new();
    for (index, line) in recorded.iter().enumerate() {
        assert_eq!(line["seq"], index + 1);
        let before = last.insert(line["conn"].as_u64(), line["msgid"].as_i64());
        assert!(before.is_none_or(|before| before < line["msgid"].as_i64()), "{line}");
        let line_told = json!([line["user"], line["result"], line["sub_code"], line["answered"]]);
        connections.entry(line["conn"].as_u64()).or_default().push(line_told);
    }
    let mut recorded: Vec<_> = connections.into_values().collect();
    for lines in [&mut told, &mut recorded] {
        lines.sort_by_key(|lines| lines[0].to_string());
    }
    assert_eq!(recorded, told);
    let mut counts = std::collections::BTreeMap::<_, u64>::new();
    for line in told.iter().flatten() {
        *counts.entry(line[0].as_str().expect("a name")).or_default() += 1;
    }
    assert_eq!(domain.get("/binds/counts").await, json!(counts));
    domain.end().await;
}
