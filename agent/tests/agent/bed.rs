//! The test bed: certificates, domain controllers, relays, and the agent between them.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use postern_agent::config::{Config, Raw};
use postern_service::shutdown::Shutdown;
use postern_service::{config, tls};
use rustls::RootCertStore;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use crate::dc::Dc;
use crate::pki::{AGENT_URI, Ca, Folder, Issued, RELAY_URI, TRUST_DOMAIN};
use crate::relay::{Agent, Greeting, Relay};

pub(crate) const RELAY_NAME: &str = "relay.postern.test";

/// Everything around the agent. Nothing is left running when it is dropped.
pub(crate) struct Bed {
    pub(crate) ca: Ca,
    pub(crate) folder: Folder,
    /// More of the configuration.
    pub(crate) sections: String,
    pub(crate) dcs: Vec<Dc>,
    pub(crate) shutdown: Shutdown,
    pub(crate) admin: SocketAddr,
    tasks: JoinSet<()>,
}

/// Certificates and domain controllers; the agent is started later.
impl Bed {
    pub(crate) async fn new(dcs: usize) -> Self {
        tls::install_provider();
        let (ca, folder) = (Ca::new(), Folder::new());
        folder.write("ca.pem", &ca.pem());
        let mut started = Vec::new();
        for number in 1..=dcs {
            let name = format!("dc-{number}.corp.example.com");
            started.push(Dc::start(&ca.issue(None, &[&name])).await);
        }
        // Free a moment ago; nobody else on this machine asks for the number.
        let admin = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        Self {
            ca,
            folder,
            sections: String::new(),
            dcs: started,
            shutdown: Shutdown::new(),
            admin,
            tasks: JoinSet::new(),
        }
    }

    pub(crate) fn relay(&self) -> Relay {
        self.relay_with(&self.ca.issue(Some(RELAY_URI), &[RELAY_NAME]))
    }

    pub(crate) fn relay_with(&self, issued: &Issued) -> Relay {
        Relay::start(issued, self.anchors())
    }

    fn anchors(&self) -> RootCertStore {
        let mut anchors = RootCertStore::empty();
        anchors.add_parsable_certificates(tls::load_certificates(&self.folder.path().join("ca.pem")).unwrap());
        anchors
    }

    /// A relay that no UDP reaches yet.
    pub(crate) fn blocked_relay(&self) -> Relay {
        Relay::start_blocked(&self.ca.issue(Some(RELAY_URI), &[RELAY_NAME]), self.anchors(), true)
    }

    /// The agent's configuration for these relays.
    pub(crate) fn config(&self, relays: &[SocketAddr], agent: &Issued, bind_timeout_ms: u64) -> Config {
        self.config_adding(relays, agent, bind_timeout_ms, "")
    }

    /// The same, with something more to every domain controller.
    pub(crate) fn config_adding(
        &self,
        relays: &[SocketAddr],
        agent: &Issued,
        bind_timeout_ms: u64,
        more: &str,
    ) -> Config {
        let directory = format!("bind_timeout_ms = {bind_timeout_ms}\n{}", self.servers(more));
        self.config_with(relays, agent, &directory)
    }

    /// The domain controllers, as the configuration has them.
    pub(crate) fn servers(&self, more: &str) -> String {
        self.dcs
            .iter()
            .enumerate()
            .map(|(index, dc)| {
                let number = index + 1;
                format!(
                    "[[directory.servers]]\nname = \"dc-{number}\"\nurl = \"{}\"\n\
                     server_name = \"dc-{number}.corp.example.com\"\n{more}\n",
                    dc.url()
                )
            })
            .collect()
    }

    /// As [`Self::config`], with other contents of the section `directory`.
    pub(crate) fn config_with(&self, relays: &[SocketAddr], agent: &Issued, directory: &str) -> Config {
        self.parse(&self.text(relays, agent, directory))
    }

    pub(crate) fn parse(&self, text: &str) -> Config {
        config::parse::<Raw>(text, Path::new("agent.toml"), self.folder.path(), [])
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// The configuration file that [`Self::config_with`] reads.
    pub(crate) fn text(&self, relays: &[SocketAddr], agent: &Issued, directory: &str) -> String {
        self.folder.write("agent.pem", &agent.certificate_pem);
        self.folder.write("agent-key.pem", &agent.key_pem);
        let addresses: Vec<String> = relays.iter().map(SocketAddr::to_string).collect();
        format!(
            "[agent]\ntrust_domain = \"{TRUST_DOMAIN}\"\ncertificate = \"agent.pem\"\nkey = \"agent-key.pem\"\n\
             [relays]\naddresses = {addresses:?}\nserver_name = \"{RELAY_NAME}\"\nanchors = \"ca.pem\"\n\
             [directory]\nanchors = \"ca.pem\"\nconnections = 4\n{directory}\
             {}[admin]\nlisten = \"{}\"\n",
            self.sections, self.admin
        )
    }

    pub(crate) fn run(&mut self, config: Config) {
        let shutdown = self.shutdown.clone();
        let path = self.folder.path().join("agent.toml");
        self.tasks.spawn(async move {
            postern_agent::run(config, path, shutdown).await.unwrap();
        });
    }

    /// The usual start: one relay, the agent in session and ready.
    pub(crate) async fn start(dcs: usize) -> (Self, Agent) {
        Self::start_with(dcs, 1_500).await
    }

    pub(crate) async fn start_with(dcs: usize, bind_timeout_ms: u64) -> (Self, Agent) {
        let mut bed = Self::new(dcs).await;
        let relay = bed.relay();
        let issued = bed.ca.issue(Some(AGENT_URI), &[]);
        let config = bed.config(&[relay.address], &issued, bind_timeout_ms);
        bed.run(config);
        let mut agent = relay.agent(Greeting::default()).await;
        agent.until_ready(4).await;
        for dc in &bed.dcs {
            // An even part of the four, and the one that reads the RootDSE.
            dc.until_open(4 / u32::try_from(dcs).unwrap() + 1).await;
        }
        (bed, agent)
    }

    /// Waits for the agent's `run` to return.
    pub(crate) async fn ended(&mut self) {
        self.tasks.join_next().await.unwrap().unwrap();
    }

    /// The body of an admin page.
    pub(crate) async fn admin(&self, path: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(self.admin).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// `/readyz` once it says `word`.
    pub(crate) async fn readyz(&self, word: &str) -> String {
        loop {
            // The listener may not be there yet; between two looks some time must pass, however long.
            if tokio::net::TcpStream::connect(self.admin).await.is_ok() {
                let page = self.admin("/readyz").await;
                if page.contains(word) {
                    return page;
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The value of one line of `/metrics`, 0 if it is not there.
    pub(crate) async fn metric(&self, series: &str) -> u64 {
        let page = self.admin("/metrics").await;
        let value = page
            .lines()
            .find_map(|line| line.strip_prefix(series)?.trim().parse().ok());
        value.unwrap_or(0)
    }

    /// All binds that the domain controllers saw: (name, password).
    pub(crate) fn binds(&self) -> Vec<(String, String)> {
        self.dcs
            .iter()
            .flat_map(Dc::binds)
            .map(|bind| (bind.name, bind.password))
            .collect()
    }
}
