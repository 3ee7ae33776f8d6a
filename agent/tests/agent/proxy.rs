//! Networks that let nothing out but through an HTTP proxy.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use postern_protocol::Verdict;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::bed::Bed;
use crate::pki::AGENT_URI;
use crate::relay::{Greeting, Relay};

const USER: &str = "user000001@corp.example.com";

/// A proxy that knows `relay.invalid`, and lets through who shows this.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    pub(crate) async fn start(relay: SocketAddr, shown: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let mut tasks = JoinSet::new();
        let own = asked.clone();
        tasks.spawn(async move {
            let mut tunnels = JoinSet::new();
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let asked = own.clone();
                tunnels.spawn(async move {
                    let mut head = String::new();
                    while !head.ends_with("\r\n\r\n") {
                        let Ok(byte) = client.read_u8().await else { return };
                        head.push(byte.into());
                    }
                    let line = head.lines().next().unwrap().to_owned();
                    asked.lock().unwrap().push(line);
                    let header = |value: &str| format!("proxy-authorization: {value}\r\n");
                    let answer = match shown {
                        Some(value) if !head.contains(&header(value)) => {
                            "HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic realm=\"x\"\r\ncontent-length: 0\r\n\r\n"
                        }
                        _ => "HTTP/1.1 200 Connection established\r\n\r\n",
                    };
                    client.write_all(answer.as_bytes()).await.unwrap();
                    if answer.contains("200") {
                        let mut server = TcpStream::connect(relay).await.unwrap();
                        let _ = copy_bidirectional(&mut client, &mut server).await;
                    }
                });
            }
        });
        Self {
            address,
            asked,
            _tasks: tasks,
        }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// The configuration of an agent that knows its relay as `relay`, and goes through `proxy`.
fn text(bed: &Bed, relay: &str, proxy: &Proxy, more: &str) -> String {
    let issued = bed.ca.issue(Some(AGENT_URI), &[]);
    let text = bed.text(&["127.0.0.1:1".parse().unwrap()], &issued, &bed.servers(""));
    text.replace(
        "addresses = [\"127.0.0.1:1\"]\n",
        &format!(
            "addresses = [\"{relay}\"]\nproxy = \"http://{}\"\n{more}",
            proxy.address
        ),
    )
}

const WITH_PASSWORD: &str = "proxy_user = \"ada\"\nproxy_password_file = \"proxy-password\"\n";

#[tokio::test]
async fn a_relay_that_only_the_proxy_can_resolve_is_reached_through_it() {
    let mut bed = Bed::new(1).await;
    let relay = bed.blocked_relay();
    let proxy = Proxy::start(relay.address, Some("Basic YWRhOlNlY3JldC0x")).await;
    bed.folder.write("proxy-password", "Secret-1\n");
    let config = bed.parse(&text(&bed, "relay.invalid:7011", &proxy, WITH_PASSWORD));
    bed.run(config);
    let mut agent = Relay::greet(relay.connection_over_tcp().await, Greeting::default()).await;
    agent.until_ready(4).await;
    assert_eq!(agent.ask(1, USER, "right").await.verdict().0, Verdict::Success);
    assert_eq!(proxy.asked(), ["CONNECT relay.invalid:7011 HTTP/1.1"]);
    let session = "postern_agent_link_sessions{relay=\"relay.invalid:7011\",transport=\"tcp\"}";
    assert_eq!(bed.metric(session).await, 1);
}

#[tokio::test]
async fn where_no_udp_passes_tcp_goes_through_the_proxy() {
    let mut bed = Bed::new(1).await;
    let relay = bed.blocked_relay();
    let proxy = Proxy::start(relay.address, None).await;
    let config = bed.parse(&text(&bed, &relay.address.to_string(), &proxy, ""));
    bed.run(config);
    let over_tcp = timeout(Duration::from_secs(5), relay.connection_over_tcp())
        .await
        .unwrap();
    let mut agent = Relay::greet(over_tcp, Greeting::default()).await;
    agent.until_ready(4).await;
    assert_eq!(proxy.asked(), [format!("CONNECT {} HTTP/1.1", relay.address)]);
}

#[tokio::test]
async fn a_proxy_that_refuses_is_told_of_and_its_password_is_not() {
    let mut bed = Bed::new(1).await;
    let relay = bed.blocked_relay();
    let proxy = Proxy::start(relay.address, Some("Basic b3RoZXI=")).await;
    bed.folder.write("proxy-password", "Secret-1\n");
    let config = bed.parse(&text(&bed, "relay.invalid:7011", &proxy, WITH_PASSWORD));
    bed.run(config);
    let said = bed.readyz("(407)").await;
    assert!(
        said.contains("proxy_password_file") && !said.contains("Secret-1"),
        "{said}"
    );
}
