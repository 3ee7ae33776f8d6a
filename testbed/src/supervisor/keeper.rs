//! The keeper of one process: the only one who waits for it and who sends it signals.

use std::fs::OpenOptions;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Ended, Part, State};
use crate::directory::PASSWORD_VARIABLE;

/// How long a process that is restarted may take to end by itself. An idle one needs a fraction of a second; one that
/// is hung shall not hold up whoever asked.
const RESTART_GRACE: Duration = Duration::from_secs(10);

/// What can be asked of a process while the cluster runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// SIGKILL; done when it has ended.
    Kill,
    /// SIGSTOP; done when the signal is sent.
    Stop,
    /// SIGCONT; done when the signal is sent.
    Cont,
    /// SIGTERM; done when the signal is sent.
    Term,
    /// SIGTERM (SIGKILL after ten seconds), and start it again with the same command; starts one that has ended.
    Restart,
}

/// Why an order was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no process to signal.
    #[error("it has ended ({how}); \"restart\" starts it again")]
    NotRunning {
        /// How it ended.
        how: String,
    },
    /// It could not be started again.
    #[error("it cannot be started: {0}")]
    CannotStart(String),
    /// The whole cluster is ending.
    #[error("the cluster is ending")]
    Ending,
}

pub(super) enum Message {
    Order {
        order: Order,
        answer: oneshot::Sender<Result<State, Refusal>>,
    },
    End {
        grace: Duration,
        hard: CancellationToken,
        answer: oneshot::Sender<()>,
    },
}

pub(super) struct Keeper {
    part: Part,
    process: Option<Process>,
    state: watch::Sender<State>,
    endings: mpsc::UnboundedSender<Ended>,
    /// The cluster is being ended: nothing is started any more.
    ending: CancellationToken,
}

struct Process {
    child: Child,
    pid: u32,
    /// Its standard input. It ends when this is closed, also by the end of this process.
    _lifeline: Option<ChildStdin>,
}

impl Keeper {
    pub(super) fn start(
        part: Part,
        endings: mpsc::UnboundedSender<Ended>,
        ending: CancellationToken,
    ) -> io::Result<(Self, watch::Receiver<State>)> {
        let process = Process::start(&part)?;
        let (state, receiver) = watch::channel(State::Running { pid: process.pid });
        let keeper = Self {
            part,
            process: Some(process),
            state,
            endings,
            ending,
        };
        Ok((keeper, receiver))
    }

    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<Message>) {
        loop {
            let message = match &mut self.process {
                Some(process) => tokio::select! {
                    biased;
                    how = process.child.wait() => {
                        self.note_end(describe(how));
                        let _ = self.endings.send(self.ended());
                        continue;
                    }
                    message = inbox.recv() => message,
                },
                None => inbox.recv().await,
            };
            match message {
                None => return,
                Some(Message::Order { order, answer }) => {
                    let _ = answer.send(self.carry_out(order).await);
                }
                Some(Message::End { grace, hard, answer }) => {
                    self.end_process(grace, &hard).await;
                    let _ = answer.send(());
                }
            }
        }
    }

    async fn carry_out(&mut self, order: Order) -> Result<State, Refusal> {
        if order == Order::Restart {
            let ending = self.ending.clone();
            self.end_process(RESTART_GRACE, &ending).await;
            if ending.is_cancelled() {
                return Err(Refusal::Ending);
            }
            let process = Process::start(&self.part).map_err(|error| Refusal::CannotStart(error.to_string()))?;
            self.state.send_replace(State::Running { pid: process.pid });
            self.process = Some(process);
            return Ok(self.state.borrow().clone());
        }
        let Some(process) = &mut self.process else {
            return Err(Refusal::NotRunning { how: self.ended().how });
        };
        match order {
            Order::Kill => {
                process.signal(Signal::KILL);
                let how = describe(process.child.wait().await);
                self.note_end(how);
                let _ = self.endings.send(self.ended());
            }
            Order::Stop => process.signal(Signal::STOP),
            Order::Cont => process.signal(Signal::CONT),
            Order::Term => process.signal(Signal::TERM),
            Order::Restart => {}
        }
        Ok(self.state.borrow().clone())
    }

    async fn end_process(&mut self, grace: Duration, hard: &CancellationToken) {
        let Some(process) = &mut self.process else { return };
        process.signal(Signal::TERM);
        let ended = tokio::select! {
            biased;
            () = hard.cancelled() => None,
            ended = timeout(grace, process.child.wait()) => ended.ok(),
        };
        let how = match ended {
            Some(how) => describe(how),
            None => {
                process.signal(Signal::KILL);
                describe(process.child.wait().await)
            }
        };
        self.note_end(how);
    }

    fn note_end(&mut self, how: String) {
        if let Some(process) = self.process.take() {
            self.state.send_replace(State::Ended { pid: process.pid, how });
        }
    }

    fn ended(&self) -> Ended {
        let state = self.state.borrow();
        let how = match &*state {
            State::Running { .. } => String::new(),
            State::Ended { how, .. } => how.clone(),
        };
        Ended {
            name: self.part.name.clone(),
            pid: state.pid(),
            how,
        }
    }
}

impl Process {
    fn start(part: &Part) -> io::Result<Self> {
        let log = OpenOptions::new().append(true).create(true).open(&part.log)?;
        let [program, arguments @ ..] = part.argv.as_slice() else {
            return Err(io::Error::other("an empty command"));
        };
        let mut child = Command::new(program)
            .args(arguments)
            .arg("--end-with-parent")
            // The agents that need it have it in a file; nobody else is to have it.
            .env_remove(PASSWORD_VARIABLE)
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C in a terminal goes to a whole process group: only this process is to get it.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        // Waiting for the child would close it.
        let lifeline = child.stdin.take();
        let pid = child.id().ok_or_else(|| io::Error::other("ended at once"))?;
        Ok(Self {
            child,
            pid,
            _lifeline: lifeline,
        })
    }

    /// Sends a signal. The process was not waited for yet, so its pid is still its own.
    fn signal(&self, signal: Signal) {
        let pid = self
            .child
            .id()
            .and_then(|pid| i32::try_from(pid).ok())
            .and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended in this moment; that is noticed by waiting for it.
            let _ = kill_process(pid, signal);
        }
    }
}

fn describe(status: io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => status.to_string(),
        Err(error) => format!("cannot be waited for: {error}"),
    }
}

#[cfg(test)]
mod tests;
