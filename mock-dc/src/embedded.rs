//! A domain inside the process of a test: [`MockDc::start`] takes the text of a configuration, and the domain ends when
//! the value is dropped.
//!
//! It runs on a thread of its own. So clients that block their thread are served as well as those on a runtime, and
//! every call here may be made from either: none of them waits for the caller's thread. Several domains in one process
//! know nothing of each other.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc as blocking;
use std::thread::JoinHandle;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Method, Request, StatusCode, Uri};
use postern_service::config::ConfigError;
use postern_service::shutdown::Shutdown;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tower::ServiceExt;
use uuid::Uuid;

use crate::addresses::Addresses;
use crate::config::{Config, RawFile};
use crate::server::Server;

/// A served domain. Dropping it resets its connections, closes its ports and removes its folder, in this order, and
/// returns when all that is done.
///
/// ```
/// use postern_mock_dc::MockDc;
/// use serde_json::json;
///
/// let dc = MockDc::start(
///     r#"
///     domain = { name = "corp.example.com", netbios = "CORP" }
///     control = { listen = "127.0.0.1:0" }
///     dcs = [{ name = "dc-1", ldap = "127.0.0.1:0", ldaps = "127.0.0.1:0" }]
///     users = [{ sam = "ada", password = "Analytical-1" }]
///     "#,
/// )?;
/// let verdict = dc.post("/oracle", json!({ "user": "CORP\\ada", "password": "Analytical-1" }))?;
/// assert_eq!(verdict["outcome"], "success");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct MockDc {
    addresses: Addresses,
    questions: mpsc::UnboundedSender<Question>,
    shutdown: Shutdown,
    thread: Option<JoinHandle<()>>,
    folder: Folder,
}

/// Why a domain was not started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The text is no valid configuration; tells every problem with its key.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There is no place for its files.
    #[error("cannot make a folder below {}: {source}", std::env::temp_dir().display())]
    Folder {
        /// Why not.
        source: std::io::Error,
    },
    /// A listener cannot be opened, or a certificate cannot be made.
    #[error("{0:#}")]
    Open(anyhow::Error),
    /// There is no thread for it.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

/// Why the control interface did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// It refused.
    #[error("{path}: {status}: {problem}")]
    Refused {
        /// What was asked for.
        path: String,
        /// The answer's status.
        status: StatusCode,
        /// The answer's body, which names what is wrong.
        problem: String,
    },
    /// The path is none.
    #[error("{path:?} is not a path such as \"/clock\"")]
    Path {
        /// What was asked for.
        path: String,
    },
    /// The answer is not one JSON value: `/binds` (see [`MockDc::binds`]) and `/metrics` are not.
    #[error("{path}: the answer is not JSON: {source}")]
    NotJson {
        /// What was asked for.
        path: String,
        /// Why not.
        source: serde_json::Error,
    },
    /// The domain's thread has ended, by a panic.
    #[error("the domain has ended; the output of the test tells why")]
    Ended,
}

/// A request to the control interface, and where its answer goes.
#[derive(Debug)]
struct Question {
    request: Request<Body>,
    answer: blocking::SyncSender<(StatusCode, Bytes)>,
}

impl MockDc {
    /// Serves the domain that `toml` describes: the text of a configuration file. Port 0 asks the system for a free one;
    /// paths in it are relative to a folder that is made for this domain. The environment overrides nothing.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(toml: &str) -> Result<Self, StartError> {
        let folder = Folder::make().map_err(|source| StartError::Folder { source })?;
        let config = postern_service::config::parse::<RawFile>(toml, Path::new("(text)"), &folder.0, [])?;
        let (questions, asked) = mpsc::unbounded_channel();
        let (opened, told) = blocking::sync_channel(1);
        let shutdown = Shutdown::new();
        let serve = {
            let shutdown = shutdown.clone();
            move || serve(config, shutdown, asked, &opened)
        };
        let thread = std::thread::Builder::new().name("mock-dc".to_owned()).spawn(serve);
        let thread = thread.map_err(StartError::Thread)?;
        let ended = |_| StartError::Open(anyhow::anyhow!("its thread ended; the output above tells why"));
        let addresses = told.recv().map_err(ended)??;
        Ok(Self {
            addresses,
            questions,
            shutdown,
            thread: Some(thread),
            folder,
        })
    }

    /// Where everything listens.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// `ldap://ADDRESS:PORT` of the first controller, where it has that listener.
    pub fn ldap_url(&self) -> Option<String> {
        self.addresses.dcs.first()?.ldap_url()
    }

    /// `ldaps://ADDRESS:PORT` of the first controller, where it has that listener. Clients trust its certificate by
    /// [`Addresses::ca`].
    pub fn ldaps_url(&self) -> Option<String> {
        self.addresses.dcs.first()?.ldaps_url()
    }

    /// The folder that paths in the configuration are relative to. It is removed at the end.
    pub fn folder(&self) -> &Path {
        &self.folder.0
    }

    /// Reads from the control interface: `/clock`, `/users/ada`, `/binds/counts`, `/faults`.
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn get(&self, path: &str) -> Result<Value, ControlError> {
        json(path, &self.ask(Method::GET, path, None)?)
    }

    /// Posts to the control interface: `/oracle`, `/clock`, `/reset`.
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn post(&self, path: &str, body: Value) -> Result<Value, ControlError> {
        json(path, &self.ask(Method::POST, path, Some(body))?)
    }

    /// Changes an account: `/users/ada`.
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn patch(&self, path: &str, body: Value) -> Result<Value, ControlError> {
        json(path, &self.ask(Method::PATCH, path, Some(body))?)
    }

    /// Replaces the faults: `/faults`.
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn put(&self, path: &str, body: Value) -> Result<Value, ControlError> {
        json(path, &self.ask(Method::PUT, path, Some(body))?)
    }

    /// Every bind since the start or the last reset, in order.
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn binds(&self) -> Result<Vec<Value>, ControlError> {
        let path = "/binds";
        let lines = self.ask(Method::GET, path, None)?;
        let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| json(path, line)).collect()
    }

    /// Puts accounts, clock, faults and the record of binds back to how they began.
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn reset(&self) -> Result<(), ControlError> {
        self.post("/reset", Value::Object(serde_json::Map::new())).map(drop)
    }

    /// The whole answer, once it is one of success.
    fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Result<Bytes, ControlError> {
        let uri = path.parse::<Uri>().ok().filter(|_| path.starts_with('/'));
        let uri = uri.ok_or_else(|| ControlError::Path { path: path.to_owned() })?;
        let mut request = Request::new(body.map_or_else(Body::empty, |body| Body::from(body.to_string())));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        let (answer, answered) = blocking::sync_channel(1);
        let question = Question { request, answer };
        self.questions.send(question).map_err(|_| ControlError::Ended)?;
        let (status, body) = answered.recv().map_err(|_| ControlError::Ended)?;
        if !status.is_success() {
            return Err(ControlError::Refused {
                path: path.to_owned(),
                status,
                problem: String::from_utf8_lossy(&body).into_owned(),
            });
        }
        Ok(body)
    }
}

impl Drop for MockDc {
    fn drop(&mut self) {
        self.shutdown.stop_now();
        if let Some(thread) = self.thread.take() {
            // A panic was printed where it happened; here there is nothing left to do about it.
            let _ = thread.join();
        }
    }
}

/// The domain's thread.
fn serve(
    config: Config,
    shutdown: Shutdown,
    mut asked: mpsc::UnboundedReceiver<Question>,
    opened: &blocking::SyncSender<Result<Addresses, StartError>>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return drop(opened.send(Err(StartError::Thread(error)))),
    };
    runtime.block_on(async {
        let server = match Server::open(config) {
            Ok(server) => server,
            Err(error) => return drop(opened.send(Err(StartError::Open(error)))),
        };
        let control = server.control();
        let _ = opened.send(Ok(server.addresses().clone()));
        let serving = server.serve(shutdown);
        tokio::pin!(serving);
        let mut answering = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = &mut serving => return,
                Some(question) = asked.recv() => {
                    while answering.try_join_next().is_some() {}
                    answering.spawn(answer(control.clone(), question));
                }
            }
        }
    });
}

async fn answer(control: Router, Question { request, answer }: Question) {
    let response = match control.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let status = response.status();
    // Answers of the control interface are made in memory: none breaks off.
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await;
    let _ = answer.send((status, body.unwrap_or_default()));
}

/// The value in an answer; `null` where it has none.
fn json(path: &str, body: &[u8]) -> Result<Value, ControlError> {
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(body).map_err(|source| ControlError::NotJson {
        path: path.to_owned(),
        source,
    })
}

/// A folder of its own, removed at the end.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn make() -> std::io::Result<Self> {
        let path = std::env::temp_dir().join(format!("postern-mock-dc-{}", Uuid::new_v4()));
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nothing can be done about a folder that cannot be removed; the next has another name.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const CONFIG: &str = r#"
        domain = { name = "corp.example.com", netbios = "CORP" }
        control = { listen = "127.0.0.1:0" }
        dcs = [{ name = "dc-1", ldap = "127.0.0.1:0" }]
        users = [{ sam = "ada", password = "Analytical-1" }]
    "#;

    #[test]
    fn control_is_asked_without_a_runtime_and_refuses_with_the_reason() {
        let dc = MockDc::start(CONFIG).unwrap();
        dc.patch("/users/ada", json!({ "locked": true })).unwrap();
        let question = json!({ "user": "CORP\\ada", "password": "Analytical-1" });
        assert_eq!(
            dc.post("/oracle", question.clone()).unwrap()["outcome"],
            "account_locked"
        );
        dc.reset().unwrap();
        assert_eq!(dc.post("/oracle", question).unwrap()["outcome"], "success");
        assert_eq!(dc.binds().unwrap(), [Value::Null; 0]);
        let refused = dc.get("/users/nobody").unwrap_err().to_string();
        assert!(refused.contains("404") && refused.contains("nobody"), "{refused}");
        assert!(matches!(dc.get("clock"), Err(ControlError::Path { .. })));
        assert!(matches!(dc.get("/metrics"), Err(ControlError::NotJson { .. })));
    }

    #[tokio::test]
    async fn a_domain_takes_its_ports_and_its_folder_with_it() {
        let dc = MockDc::start(CONFIG).unwrap();
        let (addresses, folder) = (dc.addresses().clone(), dc.folder().to_owned());
        let ldap = addresses.dcs[0].ldap.unwrap();
        let _idle = std::net::TcpStream::connect(ldap).unwrap();
        assert!(addresses.ca.unwrap().starts_with(&folder));
        drop(dc);
        assert!(!folder.exists());
        for address in [ldap, addresses.control] {
            let refused = std::net::TcpStream::connect(address).map_err(|error| error.kind());
            assert_eq!(refused.unwrap_err(), std::io::ErrorKind::ConnectionRefused);
        }
    }

    #[test]
    fn what_cannot_be_served_is_told() {
        let wrong = MockDc::start(&CONFIG.replace("netbios", "netbois")).unwrap_err();
        assert!(wrong.to_string().contains("netbois"), "{wrong}");
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let config = CONFIG.replacen("127.0.0.1:0", &taken.local_addr().unwrap().to_string(), 1);
        let told = MockDc::start(&config).unwrap_err().to_string();
        assert!(told.contains("taken by another process"), "{told}");
    }
}
