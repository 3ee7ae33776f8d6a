//! A scripted domain controller: LDAPS, StartTLS or plain LDAP, simple binds, the RootDSE; well or badly behaved.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ldap3_proto::proto::{LdapOp, LdapResultCode, LdapSearchRequest};
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::pki::Issued;
use conversation::take;

pub(crate) use conversation::{done, entry};

mod conversation;

/// What the domain controller does with a bind.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Result code and diagnostic text.
    Answer(LdapResultCode, String),
    /// This result code, once released.
    Held(Arc<Notify>, LdapResultCode),
    /// Success, after so long.
    After(Duration),
    /// Nothing, for ever.
    Silence,
    /// It closes the connection without an answer.
    Close,
    /// Success, and the end.
    Last,
    /// This operation, for the message id that is so much higher.
    Say(i32, LdapOp),
    /// These bytes, and then nothing for ever.
    Bytes(Vec<u8>),
    /// A success without its last bytes, and the end.
    Cut,
}

/// How the domain controller takes a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// TLS at once.
    Ldaps,
    /// StartTLS.
    StartTls,
    /// No TLS at all, and StartTLS is answered with this result.
    Plain(u8),
    /// StartTLS is accepted, and what follows is no TLS.
    NoTls,
    /// StartTLS is accepted, and the answer to a bind is sent with it.
    Injects,
    /// It takes the connection and says nothing.
    Silent,
    /// LDAPS, and the RootDSE is no LDAP.
    GarbageRootDse,
    /// LDAPS, and the RootDSE is OpenLDAP's.
    OpenLdap,
}

/// A bind as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) connection: usize,
    pub(crate) name: String,
    pub(crate) password: String,
}

struct State {
    binds: Vec<Received>,
    script: VecDeque<Reply>,
    root_dse_reads: usize,
    /// What its RootDSE is refused with.
    root_dse_refusal: Option<LdapResultCode>,
    /// It closes the connection that a search for an account comes on.
    hangs_up_on_searches: bool,
    /// Searches for accounts, each with the number of its connection.
    searches: Vec<(usize, LdapSearchRequest)>,
    /// What each of them is answered with; `None` is nothing, for ever.
    found: Option<Vec<LdapOp>>,
    /// So many of the next are answered only when this is told.
    held: Option<(usize, Arc<Notify>)>,
    /// Searches for whoever has some attribute.
    sights: Vec<LdapSearchRequest>,
    /// What each of them is answered with; `None` is nothing, for ever.
    shown: Option<Vec<LdapOp>>,
    /// Connections after so many are closed right after the handshake.
    takes: Option<usize>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            binds: Vec::new(),
            script: VecDeque::new(),
            root_dse_reads: 0,
            root_dse_refusal: None,
            hangs_up_on_searches: false,
            searches: Vec::new(),
            found: None,
            held: None,
            sights: Vec::new(),
            shown: Some(vec![
                entry("CN=Somebody,DC=corp,DC=example,DC=com", &[]),
                done(LdapResultCode::Success),
            ]),
            takes: None,
        }
    }
}

/// One domain controller. Without a script it says success.
pub(crate) struct Dc {
    pub(crate) address: SocketAddr,
    manner: Manner,
    state: Arc<Mutex<State>>,
    /// Told of every bind.
    bound: Arc<Notify>,
    /// A new number closes every connection that is open now.
    hang_up: watch::Sender<u32>,
    open: watch::Sender<u32>,
    least_open: Arc<AtomicU32>,
    accepted: watch::Sender<usize>,
    _tasks: JoinSet<()>,
}

impl Dc {
    pub(crate) async fn start(issued: &Issued) -> Self {
        Self::start_as(issued, Manner::Ldaps).await
    }

    pub(crate) async fn start_as(issued: &Issued, manner: Manner) -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").await.unwrap(), issued, manner)
    }

    pub(crate) fn start_on(listener: TcpListener, issued: &Issued, manner: Manner) -> Self {
        let tls = rustls::ServerConfig::builder_with_provider(postern_service::tls::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![issued.certificate.clone()], issued.key.clone_key())
            .unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let hang_up = watch::channel(0).0;
        let open = watch::channel(0).0;
        let accepted = watch::channel(0).0;
        let mut tasks = JoinSet::new();
        let (shared, closing, counted) = (state.clone(), hang_up.clone(), open.clone());
        let accepting = accepted.clone();
        let bound = Arc::new(Notify::new());
        let bind_came = bound.clone();
        let least_open = Arc::new(AtomicU32::new(u32::MAX));
        let least = least_open.clone();
        tasks.spawn(async move {
            let acceptor = TlsAcceptor::from(Arc::new(tls));
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let mut closing = closing.subscribe();
                let (acceptor, shared, counted) = (acceptor.clone(), shared.clone(), counted.clone());
                let (accepting, bind_came, least) = (accepting.clone(), bind_came.clone(), least.clone());
                connections.spawn(async move {
                    counted.send_modify(|open| *open += 1);
                    tokio::select! {
                        _ = closing.changed() => {}
                        () = take(manner, acceptor, stream, shared, accepting, bind_came) => {}
                    }
                    counted.send_modify(|open| {
                        *open -= 1;
                        least.fetch_min(*open, Ordering::SeqCst);
                    });
                });
            }
        });
        Self {
            address,
            manner,
            state,
            bound,
            hang_up,
            open,
            least_open,
            accepted,
            _tasks: tasks,
        }
    }

    /// As the agent's configuration names it.
    pub(crate) fn url(&self) -> String {
        match self.manner {
            Manner::StartTls | Manner::Plain(_) | Manner::NoTls | Manner::Injects => format!("ldap://{}", self.address),
            _ => format!("ldaps://{}", self.address),
        }
    }

    /// The next bind is answered so.
    pub(crate) fn script(&self, reply: Reply) {
        self.state.lock().unwrap().script.push_back(reply);
    }

    pub(crate) fn clear_script(&self) {
        self.state.lock().unwrap().script.clear();
    }

    pub(crate) fn binds(&self) -> Vec<Received> {
        self.state.lock().unwrap().binds.clone()
    }

    /// From now on searches for accounts are answered so; `None` is nothing, for ever.
    pub(crate) fn finds(&self, found: Option<Vec<LdapOp>>) {
        self.state.lock().unwrap().found = found;
    }

    /// Searches for accounts, each with the number of its connection.
    pub(crate) fn searches(&self) -> Vec<(usize, LdapSearchRequest)> {
        self.state.lock().unwrap().searches.clone()
    }

    /// So many of the next searches for accounts are answered only when the result is told.
    pub(crate) fn holds(&self, searches: usize) -> Arc<Notify> {
        let release = Arc::new(Notify::new());
        self.state.lock().unwrap().held = Some((searches, release.clone()));
        release
    }

    /// From now on searches for whoever has some attribute are answered so, with somebody by default; `None` is
    /// nothing, for ever.
    pub(crate) fn shows(&self, shown: Option<Vec<LdapOp>>) {
        self.state.lock().unwrap().shown = shown;
    }

    /// Searches for whoever has some attribute.
    pub(crate) fn sights(&self) -> Vec<LdapSearchRequest> {
        self.state.lock().unwrap().sights.clone()
    }

    /// From now on every search for an account is the end of its connection.
    pub(crate) fn hang_up_on_searches(&self) {
        self.state.lock().unwrap().hangs_up_on_searches = true;
    }

    /// From now on its RootDSE is refused.
    pub(crate) fn refuse_root_dse(&self, code: LdapResultCode) {
        self.state.lock().unwrap().root_dse_refusal = Some(code);
    }

    pub(crate) fn root_dse_reads(&self) -> usize {
        self.state.lock().unwrap().root_dse_reads
    }

    /// Until the next bind comes, or one came since the last call.
    pub(crate) async fn bound(&self) {
        self.bound.notified().await;
    }

    /// Until that many connections are open.
    pub(crate) async fn until_open(&self, connections: u32) {
        let mut open = self.open.subscribe();
        open.wait_for(|&open| open == connections).await.unwrap();
    }

    /// From now on the least number of open connections is found anew.
    pub(crate) fn forget_least_open(&self) {
        self.least_open.store(u32::MAX, Ordering::SeqCst);
    }

    /// The least number of open connections after any closed.
    pub(crate) fn least_open(&self) -> u32 {
        self.least_open.load(Ordering::SeqCst)
    }

    /// Until that many TLS handshakes have succeeded since the start.
    pub(crate) async fn until_accepted(&self, connections: usize) {
        let mut accepted = self.accepted.subscribe();
        accepted.wait_for(|&accepted| accepted >= connections).await.unwrap();
    }

    pub(crate) fn accepted(&self) -> usize {
        *self.accepted.borrow()
    }

    /// Closes every connection after the first `takes` right after its handshake.
    pub(crate) fn take_only(&self, takes: usize) {
        self.state.lock().unwrap().takes = Some(takes);
    }

    /// Nobody is served any more, and who is served already is hung up on.
    pub(crate) fn go_down(&self) {
        self.take_only(0);
        self.hang_up();
    }

    pub(crate) fn come_up(&self) {
        self.take_only(usize::MAX);
    }

    pub(crate) fn hang_up(&self) {
        self.hang_up.send_modify(|number| *number += 1);
    }
}
