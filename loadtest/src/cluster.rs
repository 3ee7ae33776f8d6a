//! A cluster of `postern up`, as its line of JSON describes it, and what can be done to it: orders to its parts, bad
//! networks, a directory that fails. All of it goes the ways that anybody's script can take.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, bail};
use postern_protocol::Verdict;
use reqwest::Method;
use serde::{Deserialize, Deserializer, de};
use serde_json::{Value, json};

use crate::people::Person;
use crate::scrape::Metrics;
use crate::sync::lock;

/// For what takes a fraction of a second: beyond it something hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// For a record of a million binds, and a part that restarts.
const LONG_PATIENCE: Duration = Duration::from_secs(120);

/// The process of all simulated domain controllers.
pub const DIRECTORY: &str = "mock-dc";

/// A cluster.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// What it says of itself.
    pub about: About,
    http: reqwest::Client,
    /// The last bind that was read, as mock-dc told it; clones share it.
    last_bind: Arc<Mutex<Option<String>>>,
}

/// The line of `postern up --json`, as far as it is used here.
#[derive(Debug, Clone, Deserialize)]
pub struct About {
    /// Anchors for the relays' API and the simulated domain controllers (PEM).
    pub ca: PathBuf,
    /// The cluster's folder.
    pub dir: PathBuf,
    /// The organisation.
    pub tenant: String,
    /// The directory domain.
    pub realm: String,
    /// URL of the cluster's control.
    pub control: String,
    /// Relays.
    pub relays: Vec<Part>,
    /// Agents.
    pub agents: Vec<Part>,
    /// Domain controllers.
    pub dcs: Vec<Dc>,
    /// Sample users.
    #[serde(default)]
    pub users: Vec<User>,
}

/// A relay or an agent.
#[derive(Debug, Clone, Deserialize)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Its process, when the cluster came up.
    pub pid: u32,
    /// Its output.
    pub log: PathBuf,
    /// URL of its admin listener.
    pub admin: String,
    /// A relay's sign-in API.
    #[serde(default)]
    pub api: String,
    /// Where a relay is dialled by agents.
    #[serde(default)]
    pub quic: String,
}

/// A domain controller. One of somebody's own directory has a name alone.
#[derive(Debug, Clone, Deserialize)]
pub struct Dc {
    /// Its name.
    pub name: String,
    /// The process, which simulated ones share.
    pub pid: Option<u32>,
    /// URL of mock-dc's control.
    pub control: Option<String>,
    /// URL for LDAP over TLS.
    pub ldaps: Option<String>,
}

/// A sample user.
#[derive(Clone, Deserialize)]
pub struct User {
    username: String,
    password: String,
    #[serde(deserialize_with = "verdict")]
    expect: Verdict,
}

/// Without the password.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "User({:?}, {})", self.username, self.expect.as_str())
    }
}

/// What the cluster tells of a process, as far as it is used here.
#[derive(Debug, Deserialize)]
struct Child {
    name: String,
    aliases: Vec<String>,
    pid: u32,
}

/// What the cluster answers to an order, as far as it is used here.
#[derive(Debug, Deserialize)]
struct Ordered {
    /// Of what has ended, too.
    pid: u32,
}

#[derive(Debug, Deserialize)]
struct Refused {
    error: String,
}

/// That of a bind.
fn number(line: &str) -> Option<u64> {
    serde_json::from_str::<Value>(line).ok()?.get("seq")?.as_u64()
}

fn verdict<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Verdict, D::Error> {
    let text = String::deserialize(deserializer)?;
    let known = Verdict::ALL.into_iter().find(|verdict| verdict.as_str() == text);
    known.ok_or_else(|| de::Error::custom(format!("{text:?} is no verdict")))
}

impl Cluster {
    /// From a file whose first line is the line of JSON; `-` is standard input.
    ///
    /// # Errors
    /// When there is no such file, and as [`Cluster::read`].
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let cannot = || format!("the cluster of {}", path.display());
        let mut text = String::new();
        if path.as_os_str() == "-" {
            std::io::stdin().read_line(&mut text).with_context(cannot)?;
        } else {
            text = std::fs::read_to_string(path).with_context(cannot)?;
        }
        Self::read(text.lines().next().unwrap_or_default()).with_context(cannot)
    }

    /// From the line of JSON.
    ///
    /// # Errors
    /// When it is none, or the CA that it names cannot be read.
    pub fn read(line: &str) -> anyhow::Result<Self> {
        let about: About = serde_json::from_str(line).context("this is not what `postern up --json` prints")?;
        let ca = std::fs::read(&about.ca)
            .with_context(|| format!("the cluster's CA, {}; is the cluster still up?", about.ca.display()))?;
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .tls_certs_only([reqwest::Certificate::from_pem(&ca)?])
            .build()?;
        Ok(Self {
            about,
            http,
            last_bind: Arc::default(),
        })
    }

    /// For questions to the cluster.
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// The sample users.
    pub fn people(&self) -> impl Iterator<Item = Person> {
        self.about.users.iter().map(|user| Person {
            username: user.username.clone(),
            password: user.password.clone(),
            expect: user.expect,
        })
    }

    /// Every process, once, with its name.
    pub fn processes(&self) -> Vec<(String, u32)> {
        let About {
            relays, agents, dcs, ..
        } = &self.about;
        let parts = relays.iter().chain(agents).map(|part| (part.name.clone(), part.pid));
        // All simulated domain controllers are one.
        let directory = dcs.iter().find_map(|dc| Some((DIRECTORY.to_owned(), dc.pid?)));
        parts.chain(directory).collect()
    }

    /// The processes as the cluster knows them now: a part that was restarted is another one. Asked once, when a run begins.
    ///
    /// # Errors
    /// When the cluster does not answer, or is of a version that does not tell.
    pub async fn present_processes(&self) -> anyhow::Result<Vec<(String, u32)>> {
        let url = format!("{}/children", self.about.control);
        let answer = self.ask(Method::GET, &url, None).await?;
        let children: Vec<Child> = serde_json::from_str(&answer).context("the cluster's processes")?;
        let present = |name: &str| {
            let goes_by = |child: &&Child| child.name == name || child.aliases.iter().any(|alias| alias == name);
            children.iter().find(goes_by).map(|child| child.pid)
        };
        let directory = self.about.dcs.first().map_or(DIRECTORY, |dc| &dc.name);
        let known = self.processes().into_iter();
        Ok(known
            .map(|(name, then)| {
                let now = present(if name == DIRECTORY { directory } else { &name });
                (name, now.unwrap_or(then))
            })
            .collect())
    }

    /// Kills, stops, continues, ends or restarts a part. Its process, which is another one after a restart.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn order(&self, part: &str, what: &str) -> anyhow::Result<u32> {
        let url = format!("{}/children/{part}", self.about.control);
        let answer = self.ask(Method::POST, &url, Some(&json!({ "do": what }))).await?;
        let ordered: Ordered = serde_json::from_str(&answer).context("the cluster's answer to an order")?;
        Ok(ordered.pid)
    }

    /// Sets what the network between an agent and a relay does.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn link(&self, agent: &str, relay: &str, settings: &Value) -> anyhow::Result<()> {
        let url = format!("{}/links/{agent}/{relay}", self.about.control);
        self.ask(Method::PUT, &url, Some(settings)).await?;
        Ok(())
    }

    /// The links whose network can be made bad, as agent and relay.
    ///
    /// # Errors
    /// When the cluster was started without `--net-faults`.
    pub async fn links(&self) -> anyhow::Result<Vec<(String, String)>> {
        #[derive(Deserialize)]
        struct Link {
            agent: String,
            relay: String,
        }
        let url = format!("{}/links", self.about.control);
        let answer = self.ask(Method::GET, &url, None).await?;
        let links: Vec<Link> = serde_json::from_str(&answer).context("the cluster's links")?;
        Ok(links.into_iter().map(|link| (link.agent, link.relay)).collect())
    }

    /// What goes wrong in the directory now.
    ///
    /// # Errors
    /// When it does not tell.
    pub async fn directory_faults(&self) -> anyhow::Result<Vec<Value>> {
        let url = format!("{}/faults", self.directory()?);
        let answer = self.ask(Method::GET, &url, None).await?;
        serde_json::from_str(&answer).context("mock-dc's faults")
    }

    /// Sets what goes wrong in the directory, and nothing beside it.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn set_directory_faults(&self, faults: &[Value]) -> anyhow::Result<()> {
        let url = format!("{}/faults", self.directory()?);
        self.ask(Method::PUT, &url, Some(&json!(faults))).await?;
        Ok(())
    }

    /// What mock-dc tells of binds: lines of JSON.
    ///
    /// # Errors
    /// When it cannot be had.
    pub async fn binds(&self) -> anyhow::Result<String> {
        let url = format!("{}/binds", self.directory()?);
        self.ask(Method::GET, &url, None).await
    }

    /// What mock-dc tells of binds since this was last asked, and perhaps of earlier ones: many runs one after another do
    /// not each read those of all.
    ///
    /// # Errors
    /// When it cannot be had.
    pub async fn new_binds(&self) -> anyhow::Result<String> {
        let last = lock(&self.last_bind).clone();
        let since = last.as_deref().and_then(number).and_then(|seq| seq.checked_sub(1));
        let url = format!("{}/binds?since={}", self.directory()?, since.unwrap_or(0));
        let mut text = self.ask(Method::GET, &url, None).await?;
        // A directory that was restarted counts from the beginning: it must be the same bind.
        if since.is_some() && text.lines().next() != last.as_deref() {
            text = self.binds().await?;
        }
        *lock(&self.last_bind) = text.lines().last().map(str::to_owned);
        Ok(text)
    }

    /// What a relay or an agent counts.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn metrics(&self, part: &Part) -> anyhow::Result<Metrics> {
        Ok(Metrics::ask(&self.http, &part.admin, PATIENCE).await?)
    }

    /// URL of mock-dc's control.
    ///
    /// # Errors
    /// When the directory is somebody's own.
    pub fn directory(&self) -> anyhow::Result<&str> {
        let control = self.about.dcs.iter().find_map(|dc| dc.control.as_deref());
        control.context("this cluster is in front of a directory of its own, not of a simulated one")
    }

    async fn ask(&self, method: Method, url: &str, body: Option<&Value>) -> anyhow::Result<String> {
        let mut request = self.http.request(method, url).timeout(LONG_PATIENCE);
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let answer = request
            .send()
            .await
            .with_context(|| format!("{url}; is the cluster still up?"))?;
        let (status, text) = (answer.status(), answer.text().await?);
        if !status.is_success() {
            let said = serde_json::from_str(&text).map_or(text, |refused: Refused| refused.error);
            bail!("{url}: {status}: {}", said.trim());
        }
        Ok(text)
    }
}

#[cfg(test)]
impl Cluster {
    /// A cluster of which nothing but this is there.
    pub(crate) fn of(about: Value) -> Self {
        postern_service::tls::install_provider();
        Self {
            about: serde_json::from_value(about).unwrap(),
            http: reqwest::Client::new(),
            last_bind: Arc::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_cluster_says_what_is_expected() {
        let error = Cluster::read("{}").unwrap_err();
        assert!(format!("{error:#}").starts_with("this is not what `postern up --json` prints: missing field"));
        let gone = r#"{"tenant":"t","ca":"/nowhere/ca.pem","dir":"/nowhere","realm":"r","control":"http://127.0.0.1:1","relays":[],"agents":[],"dcs":[]}"#;
        let error = format!("{:#}", Cluster::read(gone).unwrap_err());
        assert!(error.contains("/nowhere/ca.pem; is the cluster still up?"), "{error}");
    }

    #[test]
    fn simulated_domain_controllers_are_one_process_and_a_directory_of_ones_own_is_none() {
        let about = |dcs: &str| -> About {
            let part = |name| json!({"name": name, "pid": 1, "log": "x", "admin": "http://127.0.0.1:1"});
            let mut line = json!({"tenant": "t", "ca": "x", "dir": "x", "realm": "r", "control": "x"});
            line["relays"] = json!([part("relay-1")]);
            line["agents"] = json!([part("agent-1")]);
            line["dcs"] = serde_json::from_str(dcs).unwrap();
            serde_json::from_value(line).unwrap()
        };
        let names = |about| -> Vec<String> {
            let cluster = Cluster {
                about,
                http: reqwest::Client::new(),
                last_bind: Arc::default(),
            };
            cluster.processes().into_iter().map(|(name, _)| name).collect()
        };
        postern_service::tls::install_provider();
        let simulated = r#"[{"name":"dc-1","pid":2,"control":"x"},{"name":"dc-2","pid":2,"control":"x"}]"#;
        assert_eq!(names(about(simulated)), ["relay-1", "agent-1", "mock-dc"]);
        assert_eq!(
            names(about(r#"[{"name":"dc1","ldaps":"ldaps://dc1"}]"#)),
            ["relay-1", "agent-1"]
        );
    }

    #[tokio::test]
    async fn a_restarted_part_is_looked_at_in_its_new_process() {
        let now = json!([
            {"name": "agent-1", "aliases": [], "pid": 7, "state": "running"},
            {"name": "mock-dc", "aliases": ["dc-1", "dc-2"], "pid": 9, "state": "running"},
        ]);
        let app = axum::Router::new().route("/children", axum::routing::get(move || async move { now.to_string() }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut about = json!({"tenant": "t", "ca": "x", "dir": "x", "realm": "r", "relays": []});
        about["control"] = json!(format!("http://{}", listener.local_addr().unwrap()));
        about["agents"] = json!([{"name": "agent-1", "pid": 1, "log": "x", "admin": "x"},
            {"name": "agent-2", "pid": 2, "log": "x", "admin": "x"}]);
        about["dcs"] = json!([{"name": "dc-1", "pid": 3}, {"name": "dc-2", "pid": 3}]);
        let mut server = tokio::task::JoinSet::new();
        server.spawn(async move { axum::serve(listener, app).await.unwrap() });
        let cluster = Cluster::of(about);
        let present = cluster.present_processes().await.unwrap();
        let present: Vec<_> = present.iter().map(|(name, pid)| (name.as_str(), *pid)).collect();
        assert_eq!(present, [("agent-1", 7), ("agent-2", 2), (DIRECTORY, 9)]);
    }

    #[tokio::test]
    async fn binds_are_read_once_and_all_of_them_again_from_a_directory_that_has_begun_anew() {
        use axum::extract::State;
        use axum::http::Uri;

        type Binds = Arc<Mutex<Vec<String>>>;
        async fn tell(State(binds): State<Binds>, asked: Uri) -> String {
            let since = asked.query().and_then(|query| query.strip_prefix("since="));
            let since = since.map_or(0, |since| since.parse().unwrap());
            lock(&binds)
                .iter()
                .skip(since)
                .map(|line| format!("{line}\n"))
                .collect()
        }
        let line = |seq: usize, name: &str| format!(r#"{{"seq":{seq},"name":"{name}"}}"#);
        let binds: Binds = Arc::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut about =
            json!({"tenant": "t", "ca": "x", "dir": "x", "realm": "r", "control": "x", "relays": [], "agents": []});
        about["dcs"] = json!([{"name": "dc-1", "control": format!("http://{}", listener.local_addr().unwrap())}]);
        let app = axum::Router::new()
            .route("/binds", axum::routing::get(tell))
            .with_state(binds.clone());
        let mut server = tokio::task::JoinSet::new();
        server.spawn(async move { axum::serve(listener, app).await.unwrap() });
        let cluster = Cluster::of(about);
        let read = async || {
            let text = cluster.clone().new_binds().await.unwrap();
            text.lines().filter_map(number).collect::<Vec<_>>()
        };
        assert!(read().await.is_empty());
        lock(&binds).extend([line(1, "a"), line(2, "b"), line(3, "c")]);
        assert_eq!(read().await, [1, 2, 3]);
        lock(&binds).push(line(4, "d"));
        assert_eq!(read().await, [3, 4]);
        *lock(&binds) = (1..=5).map(|seq| line(seq, "anew")).collect();
        assert_eq!(read().await, [1, 2, 3, 4, 5]);
    }
}
