//! `postern-agent check`, as people run it: each fault that a test makes is one failed step, of the right name, at the
//! right place, with the key to change.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;

use ldap3_proto::proto::LdapResultCode;
use postern_protocol::close::CloseCode;
use serde_json::Value;
use tokio::io::AsyncWriteExt;

use crate::bed::{Bed, RELAY_NAME};
use crate::dc::{Dc, Manner, Reply, done, entry};
use crate::dns::Dns;
use crate::pki::{AGENT_URI, Ca, Issued, RELAY_URI};
use crate::proxy::Proxy;
use crate::relay::Relay;

mod directory;

const USER: &str = "user000001@corp.example.com";
const MAIL: &str = "ada@mail.example.org";
const DN: &str = "CN=Ada,CN=Users,DC=corp,DC=example,DC=com";
const SERVICE: &str = "svc@corp.example.com";
const PASSWORD: &str = "correct horse battery";

const LOOK_UP: &str = "[directory.look_up]\naccount = \"svc@corp.example.com\"\npassword_file = \"service-password\"\n\
                       [directory.alternate_id]\nattribute = \"mail\"\nsuffixes = [\"mail.example.org\"]\n";

/// What the relay does.
#[derive(Clone, Copy)]
enum Manners {
    Shows { ahead: Duration },
    ShowsOverTcp,
    Refuses(CloseCode),
}

/// Everything that an agent needs, well, until a test changes something.
struct Patient {
    bed: Bed,
    relay: Relay,
    manners: Manners,
    agent: Issued,
    directory: String,
    /// Text of the file, and what is there instead.
    instead: Vec<(String, String)>,
}

/// What the doctor said.
struct Said {
    code: i32,
    ok: bool,
    steps: Vec<Value>,
    text: String,
}

impl Patient {
    async fn new() -> Self {
        Self::with(Manner::Ldaps, "").await
    }

    async fn with(manner: Manner, more: &str) -> Self {
        let mut bed = Bed::new(0).await;
        let dc = Dc::start_as(&bed.ca.issue(None, &["dc-1.corp.example.com"]), manner).await;
        dc.finds(Some(vec![done(LdapResultCode::Success)]));
        bed.dcs.push(dc);
        let relay = bed.relay();
        let agent = bed.ca.issue(Some(AGENT_URI), &[]);
        let directory = bed.servers(more);
        let ahead = Duration::ZERO;
        Self {
            bed,
            relay,
            manners: Manners::Shows { ahead },
            agent,
            directory,
            instead: Vec::new(),
        }
    }

    async fn with_look_ups() -> Self {
        let mut patient = Self::new().await;
        patient.bed.folder.write("service-password", "service-secret\n");
        patient.bed.sections = LOOK_UP.to_owned();
        patient
    }

    fn replace(&mut self, from: impl Into<String>, to: impl Into<String>) {
        self.instead.push((from.into(), to.into()));
    }

    fn dc(&self) -> &Dc {
        &self.bed.dcs[0]
    }

    /// Runs the doctor, in JSON and signing in as `user` if one is given.
    async fn check(&self, user: Option<&str>) -> Said {
        let mut text = self.bed.text(&[self.relay.address], &self.agent, &self.directory);
        for (from, to) in &self.instead {
            assert!(text.contains(from), "{from} is not in {text}");
            text = text.replace(from, to);
        }
        self.bed.folder.write("agent.toml", &text);
        let path = self.bed.folder.path().join("agent.toml");
        let path = path.to_str().unwrap();
        let mut arguments = vec!["check", "--config", path, "--json"];
        arguments.extend(user.into_iter().flat_map(|user| ["--user", user]));
        let relay = async {
            match self.manners {
                Manners::Shows { ahead } => self.relay.show(ahead).await,
                Manners::ShowsOverTcp => self.relay.show_over_tcp().await,
                Manners::Refuses(code) => self.relay.refuse(code).await,
            }
        };
        let (code, text) = tokio::select! {
            () = relay => unreachable!("the relay never ends"),
            said = run(&arguments) => said,
        };
        let said: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(text.lines().count(), 1);
        Said {
            code,
            ok: said["ok"].as_bool().unwrap(),
            steps: said["steps"].as_array().unwrap().clone(),
            text,
        }
    }

    /// Runs the doctor, who must find this and nothing else.
    async fn finds(&self, user: Option<&str>, step: &str, target: &str, key: &str) {
        let said = self.check(user).await;
        let failed: Vec<&Value> = said.steps.iter().filter(|step| step["status"] == "failed").collect();
        let [failed] = failed.as_slice() else {
            panic!("{step}: not one failure: {}", said.text);
        };
        assert_eq!(failed["step"], step, "{}", said.text);
        assert!(failed["target"].as_str().unwrap().contains(target), "{failed}");
        assert!(failed["advice"].as_str().unwrap().contains(key), "{failed}");
        let code = if step == "configuration" { 64 } else { 1 };
        assert_eq!((said.code, said.ok), (code, false));
        for password in [PASSWORD, "service-secret"] {
            assert!(!said.text.contains(password), "{}", said.text);
        }
    }
}

/// The command with a password on its standard input: its exit code and standard output.
async fn run(arguments: &[&str]) -> (i32, String) {
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_postern-agent"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    // Whoever is not asked for it does not read it.
    let _ = input.write_all(format!("{PASSWORD}\n").as_bytes()).await;
    drop(input);
    let output = child.wait_with_output().await.unwrap();
    assert!(!String::from_utf8_lossy(&output.stderr).contains(PASSWORD));
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

fn wrong() -> Reply {
    Reply::Answer(
        LdapResultCode::InvalidCredentials,
        "80090308: LdapErr: DSID-0C090569, comment: AcceptSecurityContext error, data 52e, v4f7c\0".to_owned(),
    )
}

#[tokio::test]
async fn a_private_key_that_everybody_may_read_is_told_of() {
    let patient = Patient::new().await;
    assert_eq!(patient.check(None).await.steps[1]["status"], "ok");
    let key = patient.bed.folder.path().join("agent-key.pem");
    std::fs::set_permissions(key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let said = patient.check(None).await;
    assert_eq!(
        (said.code, &said.steps[1]["status"]),
        (0, &"warning".into()),
        "{}",
        said.text
    );
    assert!(
        said.steps[1]["advice"].as_str().unwrap().starts_with("agent.key"),
        "{}",
        said.text
    );
}

#[tokio::test]
async fn nothing_is_found_where_all_is_well_and_nobody_is_bound_but_the_service_account_and_the_one_who_is_asked_for() {
    let patient = Patient::with_look_ups().await;
    let said = patient.check(None).await;
    assert_eq!((said.code, said.ok), (0, true), "{}", said.text);
    let steps: Vec<&str> = said.steps.iter().map(|step| step["step"].as_str().unwrap()).collect();
    let every = [
        "configuration",
        "certificate",
        "relay.udp",
        "relay.certificate",
        "relay.admission",
        "relay.version",
        "relay.clock",
        "directory.connect",
        "directory.tls",
        "directory.kind",
        "directory.service-account",
        "directory.look-up",
    ];
    assert_eq!(steps, every);
    let well = |step: &Value| step["status"] == "ok" || step["step"] == "directory.service-account";
    assert!(said.steps.iter().all(well), "{}", said.text);
    let bound: Vec<String> = patient.bed.binds().into_iter().map(|(name, _)| name).collect();
    assert_eq!(bound, [SERVICE]);

    patient
        .dc()
        .finds(Some(vec![entry(DN, &[]), done(LdapResultCode::Success)]));
    let said = patient.check(Some(MAIL)).await;
    assert_eq!((said.code, said.ok), (0, true), "{}", said.text);
    assert_eq!(said.steps.last().unwrap()["step"], "directory.sign-in");
    assert!(!said.text.contains(PASSWORD));
    let one = [
        (SERVICE.to_owned(), "service-secret".to_owned()),
        (DN.to_owned(), PASSWORD.to_owned()),
    ];
    assert_eq!(patient.bed.binds()[1..], one);
}

#[tokio::test]
async fn faults_of_the_agents_own() {
    let mut patient = Patient::new().await;
    patient.replace("connections =", "conections =");
    patient.finds(None, "configuration", "agent.toml", "conections").await;

    let mut patient = Patient::new().await;
    patient.replace("[directory]\n", "[directory\n");
    patient.finds(None, "configuration", "agent.toml", "the line").await;

    let mut patient = Patient::new().await;
    patient.agent = patient.bed.ca.issue_until(Some(AGENT_URI), &[], 2021);
    patient
        .finds(
            None,
            "certificate",
            "acme/corp.example.com/agent-1",
            "agent.certificate",
        )
        .await;

    let missing = ["check", "--config", "/nowhere/agent.toml", "--json"];
    let (code, text) = run(&missing).await;
    assert_eq!(code, 64);
    assert!(
        text.contains("\"step\":\"configuration\"") && text.contains("--config: name a file"),
        "{text}"
    );
    for usage in [&["check"][..], &["check", "--config", "x", "--user", "no-realm"]] {
        assert_eq!(run(usage).await.0, 64, "{usage:?}");
    }
}

#[tokio::test]
async fn faults_on_the_way_to_a_relay() {
    let mut patient = Patient::new().await;
    let address = patient.relay.address.to_string();
    patient.replace(&address, "nowhere.invalid:7011");
    patient
        .finds(None, "relay.name", "nowhere.invalid:7011", "relays.addresses")
        .await;

    let mut patient = Patient::new().await;
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let (address, silent) = (
        patient.relay.address.to_string(),
        silent.local_addr().unwrap().to_string(),
    );
    patient.replace(&address, &silent);
    patient.finds(None, "relay.udp", &silent, "relays.addresses").await;

    let mut patient = Patient::new().await;
    let ahead = Duration::from_secs(180);
    patient.manners = Manners::Shows { ahead };
    patient
        .finds(None, "relay.clock", &patient.relay.address.to_string(), "clock")
        .await;
}

#[tokio::test]
async fn faults_of_certificates_between_agent_and_relay() {
    let stranger = Ca::new();
    let elsewhere = "spiffe://elsewhere.test/relay/relay-1";
    for (of_stranger, uri, name, key) in [
        (true, RELAY_URI, RELAY_NAME, "relays.anchors"),
        (false, RELAY_URI, "other.postern.test", "relays.server_name"),
        (false, elsewhere, RELAY_NAME, "agent.trust_domain"),
    ] {
        let mut patient = Patient::new().await;
        let ca = if of_stranger { &stranger } else { &patient.bed.ca };
        patient.relay = patient.bed.relay_with(&ca.issue(Some(uri), &[name]));
        let address = patient.relay.address.to_string();
        patient.finds(None, "relay.certificate", &address, key).await;
    }
    let mut patient = Patient::new().await;
    patient.agent = stranger.issue(Some(AGENT_URI), &[]);
    let address = patient.relay.address.to_string();
    patient
        .finds(None, "relay.admission", &address, "agent.certificate")
        .await;
    for (code, step, key) in [
        (CloseCode::Denied, "relay.admission", "deny.agents"),
        (CloseCode::Identity, "relay.admission", "agent.certificate"),
        (CloseCode::Version, "relay.version", "update the older"),
    ] {
        let mut patient = Patient::new().await;
        patient.manners = Manners::Refuses(code);
        patient.finds(None, step, &patient.relay.address.to_string(), key).await;
    }
}

#[tokio::test]
async fn a_test_sign_in_is_one_bind_whatever_comes_of_it() {
    for reply in [wrong(), Reply::Close] {
        let patient = Patient::new().await;
        patient.dc().script(reply.clone());
        let key = if matches!(reply, Reply::Close) {
            "directory.servers"
        } else {
            "--user"
        };
        patient.finds(Some(USER), "directory.sign-in", USER, key).await;
        assert_eq!(patient.bed.binds(), [(USER.to_owned(), PASSWORD.to_owned())]);
    }
}

#[tokio::test]
async fn a_relay_behind_a_proxy_is_looked_at_through_it_and_what_the_proxy_says_is_told() {
    for (shown, failed) in [(None, false), (Some("Basic b3RoZXI="), true)] {
        let mut patient = Patient::new().await;
        // Only over TCP, which is all that a proxy carries.
        patient.relay = patient.bed.blocked_relay();
        let proxy = Proxy::start(patient.relay.address, shown).await;
        patient.replace(
            format!("[\"{}\"]", patient.relay.address),
            format!("[\"relay.invalid:7011\"]\nproxy = \"http://{}\"", proxy.address),
        );
        patient.manners = Manners::ShowsOverTcp;
        let said = patient.check(None).await;
        assert_eq!(said.code, i32::from(failed), "{}", said.text);
        let named = said.steps.iter().find(|step| step["step"] == "relay.name").unwrap();
        assert_eq!(named["status"], "warning", "{named}");
        let reached = said.steps.iter().find(|step| step["step"] == "relay.udp").unwrap();
        let (status, word) = if failed {
            ("failed", "(407)")
        } else {
            ("warning", "through the proxy 127.0.0.1")
        };
        assert_eq!(reached["status"], status, "{reached}");
        assert!(reached["detail"].as_str().unwrap().contains(word), "{reached}");
    }
}
