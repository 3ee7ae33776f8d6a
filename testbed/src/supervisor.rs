//! The cluster's processes: starting, watching, signalling and ending them.
//!
//! Each process has a keeper, a task that alone knows its pid and sends it signals, so that no signal can reach a pid
//! that has become another's. A process is never started again by itself. Everything here runs on the program's main
//! thread: the kernel ends the processes when the *thread* that started them ends.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use keeper::{Keeper, Message};
pub use keeper::{Order, Refusal};

mod keeper;
pub mod ready;

/// What a process is of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A relay.
    Relay,
    /// An agent.
    Agent,
    /// The simulated directory.
    MockDc,
}

impl Kind {
    /// The order in which they are ended: relays finish what they took through the agents, which ask the directory.
    pub const ENDING: [Self; 3] = [Self::Relay, Self::Agent, Self::MockDc];

    /// The subcommand of this program that runs it.
    pub fn subcommand(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::Agent => "agent",
            Self::MockDc => "mock-dc",
        }
    }
}

/// A process to run.
#[derive(Debug, Clone)]
pub struct Part {
    /// What it is.
    pub kind: Kind,
    /// Its name: `relay-1`, `agent-3`, `mock-dc`.
    pub name: String,
    /// Other names that it answers to: `dc-1`, `dc-2`.
    pub aliases: Vec<String>,
    /// The command that runs it.
    pub argv: Vec<String>,
    /// Where its output goes.
    pub log: PathBuf,
    /// URL of its admin listener.
    pub admin: String,
}

/// What a process is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It was started and has not ended.
    Running {
        /// Its process id.
        pid: u32,
    },
    /// It ended.
    Ended {
        /// What its process id was.
        pid: u32,
        /// Exit status or signal, in words.
        how: String,
    },
}

impl State {
    /// As the cluster's control tells it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Running { .. } => "running",
            Self::Ended { .. } => "ended",
        }
    }

    /// The process id that it has or had.
    pub fn pid(&self) -> u32 {
        match self {
            Self::Running { pid } | Self::Ended { pid, .. } => *pid,
        }
    }
}

/// A process ended although the cluster is not being ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its name.
    pub name: String,
    /// Its process id.
    pub pid: u32,
    /// Exit status or signal, in words.
    pub how: String,
}

/// All processes. Cheap to clone; clones give orders to the same ones.
#[derive(Debug, Clone, Default)]
pub struct Supervisor {
    children: Vec<Child>,
    ending: CancellationToken,
}

#[derive(Debug, Clone)]
struct Child {
    part: Part,
    messages: mpsc::Sender<Message>,
    state: watch::Receiver<State>,
}

/// The keepers' tasks. The processes end when this is dropped.
pub type Keepers = JoinSet<()>;

impl Supervisor {
    /// Starts a process. What ends later is told to `endings`.
    ///
    /// # Errors
    /// When its log cannot be opened or its program cannot be run.
    pub fn start(
        &mut self,
        part: Part,
        keepers: &mut Keepers,
        endings: &mpsc::UnboundedSender<Ended>,
    ) -> anyhow::Result<()> {
        // A log of an earlier run of the same folder.
        std::fs::write(&part.log, "").with_context(|| format!("cannot write {}", part.log.display()))?;
        let (messages, inbox) = mpsc::channel(16);
        let (keeper, state) = Keeper::start(part.clone(), endings.clone(), self.ending.clone())
            .with_context(|| format!("cannot start {}", part.name))?;
        keepers.spawn(keeper.run(inbox));
        self.children.push(Child { part, messages, state });
        Ok(())
    }

    /// The process id of a part, also when it has just ended.
    pub fn pid(&self, name: &str) -> Option<u32> {
        Some(self.child(name)?.state.borrow().pid())
    }

    /// Names that orders can be given to.
    pub fn names(&self) -> Vec<&str> {
        self.children
            .iter()
            .flat_map(|child| std::iter::once(&child.part.name).chain(&child.part.aliases))
            .map(String::as_str)
            .collect()
    }

    /// Every part.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.children.iter().map(|child| &child.part)
    }

    /// The part that goes by `name`.
    pub fn part(&self, name: &str) -> Option<&Part> {
        Some(&self.child(name)?.part)
    }

    /// Watches a part.
    pub fn watch(&self, name: &str) -> Option<watch::Receiver<State>> {
        Some(self.child(name)?.state.clone())
    }

    /// Carries out an order and tells what the process is doing then. `None`: there is no such part.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn order(&self, name: &str, order: Order) -> Option<Result<State, Refusal>> {
        let child = self.child(name)?;
        let (answer, answered) = oneshot::channel();
        let sent = child.messages.send(Message::Order { order, answer }).await;
        Some(match (sent, answered.await) {
            (Ok(()), Ok(result)) => result,
            // The keeper is gone: the cluster is ending.
            _ => Err(Refusal::Ending),
        })
    }

    /// Ends the parts of one kind, all at once: SIGTERM, and SIGKILL after `grace` or when `hard`
    /// is cancelled. A hung process is ended too, and a restart in work is cut short. Returns when the last of them
    /// has ended.
    pub async fn end(&self, kind: Kind, grace: Duration, hard: &CancellationToken) {
        self.ending.cancel();
        let mut endings = Vec::new();
        for child in self.children.iter().filter(|child| child.part.kind == kind) {
            let (answer, answered) = oneshot::channel();
            let message = Message::End {
                grace,
                hard: hard.clone(),
                answer,
            };
            if child.messages.send(message).await.is_ok() {
                endings.push(answered);
            }
        }
        for ended in endings {
            let _ = ended.await;
        }
    }

    fn child(&self, name: &str) -> Option<&Child> {
        self.children
            .iter()
            .find(|child| child.part.name == name || child.part.aliases.iter().any(|alias| alias == name))
    }
}
