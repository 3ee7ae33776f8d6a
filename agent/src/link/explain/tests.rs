use super::*;

/// rustls' own text for a certificate problem, as quinn passes it on.
fn rustls_text(problem: rustls::CertificateError) -> String {
    rustls::Error::InvalidCertificate(problem).to_string()
}

#[test]
fn every_alert_of_a_failed_handshake_here_is_about_the_relay() {
    use rustls::CertificateError as Problem;
    let time = rustls_pki_types::UnixTime::since_unix_epoch(std::time::Duration::from_secs(1));
    let name = Problem::NotValidForNameContext {
        expected: rustls_pki_types::ServerName::try_from("relay.example.com").unwrap(),
        presented: vec!["DnsName(\"other.example.com\")".to_owned()],
    };
    let not_yet = Problem::NotValidYetContext { time, not_before: time };
    let expired = Problem::ExpiredContext { time, not_after: time };
    for (alert, problem, kind) in [
        (alert::UNKNOWN_CA, Problem::UnknownIssuer, TroubleKind::RelayCa),
        (alert::DECRYPT_ERROR, Problem::BadSignature, TroubleKind::RelayCa),
        (alert::CERTIFICATE_EXPIRED, not_yet, TroubleKind::RelayCertificateTime),
        (alert::CERTIFICATE_EXPIRED, expired, TroubleKind::RelayCertificateTime),
        (alert::BAD_CERTIFICATE, name.clone(), TroubleKind::RelayName),
    ] {
        let trouble = explain_relays_certificate(alert, &rustls_text(problem));
        assert_eq!(trouble.kind, kind, "{trouble}");
    }
    let text = explain_relays_certificate(alert::BAD_CERTIFICATE, &rustls_text(name)).text;
    assert!(
        text.contains("(is only valid for DnsName(\"other.example.com\"))"),
        "{text}"
    );
    assert!(
        explain_relays_certificate(
            alert::CERTIFICATE_EXPIRED,
            &rustls_text(Problem::NotValidYetContext { time, not_before: time })
        )
        .text
        .contains("set the clock")
    );
}

#[test]
fn every_alert_from_the_relay_is_about_this_agent_and_says_what_to_do() {
    for (alert, kind, word) in [
        (alert::UNKNOWN_CA, TroubleKind::AgentCa, "anchors"),
        (alert::DECRYPT_ERROR, TroubleKind::AgentCa, "anchors"),
        (
            alert::CERTIFICATE_EXPIRED,
            TroubleKind::AgentCertificateTime,
            "renew agent.certificate",
        ),
        (alert::BAD_CERTIFICATE, TroubleKind::AgentIdentity, "tenant"),
        (alert::CERTIFICATE_UNKNOWN, TroubleKind::AgentIdentity, "realm"),
        (alert::ACCESS_DENIED, TroubleKind::AgentIdentity, "denied"),
        (alert::NO_APPLICATION_PROTOCOL, TroubleKind::Version, "update"),
        (80, TroubleKind::Protocol, "alert 80"),
    ] {
        let trouble = explain_our_certificate(alert, "reason", 1_900_000_000);
        assert_eq!(trouble.kind, kind);
        assert!(trouble.text.contains(word), "{trouble}");
    }
}

#[test]
fn every_close_code_has_its_own_meaning_and_keeps_the_relays_text() {
    for (code, kind) in [
        (Some(CloseCode::Done), TroubleKind::Ended),
        (Some(CloseCode::Version), TroubleKind::Version),
        (Some(CloseCode::Identity), TroubleKind::AgentIdentity),
        (Some(CloseCode::Denied), TroubleKind::Denied),
        (Some(CloseCode::CertificateExpired), TroubleKind::AgentCertificateTime),
        (Some(CloseCode::Protocol), TroubleKind::Protocol),
        (Some(CloseCode::Superseded), TroubleKind::Duplicate),
        (Some(CloseCode::Silent), TroubleKind::Silent),
        (Some(CloseCode::Stopping), TroubleKind::Ended),
        (None, TroubleKind::Other),
    ] {
        let trouble = explain_close(code, "agent 1.0, relay 2.0", 0);
        assert_eq!(trouble.kind, kind);
        assert!(trouble.text.contains("agent 1.0, relay 2.0"), "{trouble}");
    }
}

#[test]
fn silence_is_told_as_no_udp() {
    let trouble = explain(&Ended::TimedOut, 0);
    assert_eq!(trouble.kind, TroubleKind::NoUdp);
    assert!(trouble.text.contains("UDP"), "{trouble}");
}

#[test]
fn the_other_sides_text_is_one_line() {
    assert_eq!(readable("a\nb\u{1b}[31m"), "ab[31m");
    assert_eq!(readable(""), "no reason given");
}
