//! A cluster for a test: started by the command that people type, ended when dropped.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// For what takes a fraction of a second. Beyond it something hangs; it is no measure of speed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How a cluster is started.
pub(crate) struct Setup {
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    user: Option<u32>,
    folder: Scratch,
    named: bool,
}

impl Setup {
    /// `postern up` with these arguments, and a folder of its own.
    pub(crate) fn new(arguments: &[&str]) -> Self {
        Self {
            program: env!("CARGO_BIN_EXE_postern").into(),
            arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
            environment: Vec::new(),
            user: None,
            folder: Scratch::new(),
            named: true,
        }
    }

    /// In every process of the cluster.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Without `--dir`: it makes a folder of its own where temporary files go.
    pub(crate) fn in_a_fresh_folder(mut self) -> Self {
        self.named = false;
        let folder = self.folder.path().to_str().unwrap().to_owned();
        self.env("TMPDIR", &folder)
    }

    /// Has another user run it, who then owns the folder and a copy of the program there.
    pub(crate) fn run_by(mut self, user: u32) -> Self {
        let copy = self.folder.path().join("postern");
        std::fs::copy(&self.program, &copy).unwrap();
        std::os::unix::fs::chown(self.folder.path(), Some(user), None).unwrap();
        self.program = copy;
        self.user = Some(user);
        self
    }

    /// Starts the process and does not wait for anything.
    pub(crate) fn spawn(self) -> Running {
        let stderr = self.folder.path().join("stderr");
        let mut command = Command::new(&self.program);
        command.arg("up");
        if self.named {
            command.arg("--dir").arg(self.folder.path().join("cluster"));
        }
        command
            .args(&self.arguments)
            .envs(self.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&stderr).unwrap())
            .kill_on_drop(true);
        if let Some(user) = self.user {
            command.uid(user);
        }
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Running {
            child,
            stdout,
            stderr,
            folder: self.folder,
        }
    }

    /// Starts it with `--json` and waits until it is ready.
    pub(crate) async fn start(mut self) -> Cluster {
        self.arguments.push("--json".to_owned());
        let mut running = self.spawn();
        let line = running.line().await;
        let about: Value = serde_json::from_str(&line).unwrap_or_else(|error| {
            panic!("not one line of JSON ({error}): {line:?}\n{}", running.stderr());
        });
        let http = client(Path::new(about["ca"].as_str().unwrap()));
        Cluster {
            running,
            line,
            about,
            http,
        }
    }
}

fn client(ca: &Path) -> reqwest::Client {
    postern_service::tls::install_provider();
    let ca = reqwest::Certificate::from_pem(&std::fs::read(ca).unwrap()).unwrap();
    reqwest::Client::builder()
        .no_proxy()
        .timeout(PATIENCE)
        .tls_certs_only([ca])
        .build()
        .unwrap()
}

/// A `postern up` that was started. Dropped, it is killed, and its children with it.
pub(crate) struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    stderr: PathBuf,
    folder: Scratch,
}

impl Running {
    /// The next line of its standard output; empty at the end.
    pub(crate) async fn line(&mut self) -> String {
        let mut line = String::new();
        timeout(PATIENCE, self.stdout.read_line(&mut line))
            .await
            .unwrap()
            .unwrap();
        line
    }

    /// What it wrote to standard error so far.
    pub(crate) fn stderr(&self) -> String {
        std::fs::read_to_string(&self.stderr).unwrap()
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Waits for its end; also what it still wrote to standard output.
    pub(crate) async fn end(&mut self) -> (ExitStatus, String) {
        let mut rest = String::new();
        timeout(PATIENCE, self.stdout.read_to_string(&mut rest))
            .await
            .unwrap()
            .unwrap();
        (timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap(), rest)
    }

    /// Processes of this cluster that still run, `postern` itself aside.
    pub(crate) fn children(&self) -> Vec<u32> {
        let folder = self.folder.path().to_str().unwrap();
        let own = self.child.id();
        let processes = std::fs::read_dir("/proc").unwrap();
        processes
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
            .filter(|&pid| Some(pid) != own)
            .filter(|pid| {
                let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                String::from_utf8_lossy(&command).contains(folder)
            })
            .collect()
    }

    /// The log of a part.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("cluster/logs/{name}.log"))
    }

    /// The configuration of a part.
    pub(crate) fn config(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("cluster/{name}.toml"))
    }
}

/// A cluster that is ready.
pub(crate) struct Cluster {
    pub(crate) running: Running,
    /// The line that it described itself with.
    pub(crate) line: String,
    /// The same, read.
    pub(crate) about: Value,
    pub(crate) http: reqwest::Client,
}

/// The answer to a sign-in.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn outcome(&self) -> &str {
        self.body["outcome"].as_str().unwrap_or_default()
    }
}

impl Cluster {
    /// A text of the description, such as `/relays/0/api`.
    pub(crate) fn text(&self, pointer: &str) -> &str {
        let value = self.about.pointer(pointer).and_then(Value::as_str);
        value.unwrap_or_else(|| panic!("{pointer} is not a text"))
    }

    /// Everything in a list of the description.
    pub(crate) fn list(&self, name: &str) -> &[Value] {
        self.about[name].as_array().unwrap()
    }

    /// Signs in at the first relay.
    pub(crate) async fn sign_in(&self, username: &str, password: &str) -> Answer {
        self.sign_in_at(self.text("/relays/0/api"), username, password).await
    }

    pub(crate) async fn sign_in_at(&self, api: &str, username: &str, password: &str) -> Answer {
        let body = json!({ "username": username, "password": password });
        self.post_sign_in(api, body.to_string().into_bytes(), None).await
    }

    /// Posts a body that may be anything.
    pub(crate) async fn post_sign_in(&self, api: &str, body: Vec<u8>, token: Option<&str>) -> Answer {
        let mut request = self
            .http
            .post(format!("{api}/v1/sign-in"))
            .header("content-type", "application/json");
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let response = request.body(body).send().await.unwrap();
        Answer {
            status: response.status(),
            headers: response.headers().clone(),
            body: response.json().await.unwrap_or(Value::Null),
        }
    }

    /// What the directory would answer now; counts nothing.
    pub(crate) async fn oracle(&self, user: &str, password: &str) -> String {
        let url = format!("{}/oracle", self.text("/dcs/0/control"));
        let answer = self.post(&url, &json!({ "user": user, "password": password })).await;
        answer["outcome"].as_str().unwrap().to_owned()
    }

    /// Every bind since the start.
    pub(crate) async fn binds(&self) -> Vec<Value> {
        let url = format!("{}/binds", self.text("/dcs/0/control"));
        let text = self.http.get(url).send().await.unwrap().text().await.unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Gives an order to a part.
    pub(crate) async fn order(&self, name: &str, what: &str) -> (StatusCode, Value) {
        let url = format!("{}/children/{name}", self.text("/control"));
        let body = json!({ "do": what }).to_string();
        let response = self.http.post(url).body(body).send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }

    /// Posts JSON to one of the cluster's controls.
    pub(crate) async fn post(&self, url: &str, body: &Value) -> Value {
        self.ask(reqwest::Method::POST, url, body).await
    }

    /// Sends JSON to one of the cluster's controls.
    pub(crate) async fn ask(&self, method: reqwest::Method, url: &str, body: &Value) -> Value {
        let request = self
            .http
            .request(method, url)
            .header("content-type", "application/json");
        let response = request.body(body.to_string()).send().await.unwrap();
        assert!(response.status().is_success(), "{url}: {}", response.status());
        response.json().await.unwrap_or(Value::Null)
    }

    /// Waits until the first relay lists the keys of this many agents.
    pub(crate) async fn agents_known(&self, wanted: usize) {
        let url = format!("{}/v1/realms/corp.example.com/keys", self.text("/relays/0/api"));
        let deadline = Instant::now() + PATIENCE;
        while self.listed_keys(&url).await != Some(wanted) {
            assert!(Instant::now() < deadline, "the relay never listed {wanted} agents");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the first relay knows that the directories of this many agents answer.
    pub(crate) async fn agents_ready(&self, wanted: usize) {
        let url = format!("{}/metrics", self.text("/relays/0/admin"));
        let line = format!(
            "postern_relay_agents{{realm=\"{}\",state=\"ready\",tenant=\"acme\"}} {wanted}",
            self.text("/realm")
        );
        let deadline = Instant::now() + PATIENCE;
        loop {
            let metrics = self.http.get(&url).send().await.unwrap().text().await.unwrap();
            if metrics.lines().any(|shown| shown == line) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "the relay never had {wanted} agents that are ready"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn listed_keys(&self, url: &str) -> Option<usize> {
        let keys: Value = self.http.get(url).send().await.ok()?.json().await.ok()?;
        Some(keys["keys"].as_array()?.len())
    }
}

/// Waits until something holds; asks again and again, and says what it waited for when it never does.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Sends a signal to a process that this test started.
pub(crate) fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// A folder that is removed at the end.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("postern-e2e-{:016x}", rand::random::<u64>()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
