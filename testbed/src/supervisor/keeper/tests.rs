//! With shells for processes: whatever is kept, the rules are the same.

use super::*;
use crate::scratch::Scratch;
use crate::supervisor::Kind;

fn shell(scratch: &Scratch, script: &str) -> Part {
    // The shell takes the flag that every process gets as the script's `$0`.
    Part {
        kind: Kind::Agent,
        name: "it".to_owned(),
        aliases: Vec::new(),
        argv: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
        log: scratch.path().join("it.log"),
        admin: String::new(),
    }
}

fn start(part: Part) -> (Keeper, watch::Receiver<State>, mpsc::UnboundedReceiver<Ended>) {
    let (endings, told) = mpsc::unbounded_channel();
    let (keeper, state) = Keeper::start(part, endings, CancellationToken::new()).unwrap();
    (keeper, state, told)
}

#[tokio::test]
async fn an_ending_is_told_with_how_and_a_signal_is_refused_then() {
    let scratch = Scratch::new();
    let (keeper, _, mut told) = start(shell(&scratch, "exit 3"));
    let (messages, inbox) = mpsc::channel(1);
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(keeper.run(inbox));
    assert_eq!(told.recv().await.unwrap().how, "exit status: 3");
    let (answer, answered) = oneshot::channel();
    let order = Order::Term;
    messages.send(Message::Order { order, answer }).await.ok().unwrap();
    assert!(matches!(answered.await.unwrap(), Err(Refusal::NotRunning { .. })));
}

/// Returns when the process has been stopped; a signal that is sent is not yet one that has been acted on.
async fn stopped(pid: u32) {
    let stat = format!("/proc/{pid}/stat");
    for _ in 0..1_000 {
        if std::fs::read_to_string(&stat).unwrap().contains(") T ") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("process {pid} was not stopped");
}

#[tokio::test]
async fn a_process_that_does_not_answer_is_killed_after_the_grace() {
    let scratch = Scratch::new();
    let (mut keeper, state, _told) = start(shell(&scratch, "read -r _"));
    keeper.carry_out(Order::Stop).await.unwrap();
    let pid = state.borrow().pid();
    stopped(pid).await;
    keeper
        .end_process(Duration::from_millis(50), &CancellationToken::new())
        .await;
    assert!(matches!(&*state.borrow(), State::Ended { how, .. } if how.contains("signal: 9")));
}

#[tokio::test]
async fn restart_gives_a_new_process_whether_the_old_one_runs_or_has_ended() {
    let scratch = Scratch::new();
    let (mut keeper, state, _told) = start(shell(&scratch, "read -r _"));
    let first = state.borrow().pid();
    let second = keeper.carry_out(Order::Restart).await.unwrap().pid();
    assert!(matches!(keeper.carry_out(Order::Kill).await, Ok(State::Ended { .. })));
    let third = keeper.carry_out(Order::Restart).await.unwrap().pid();
    assert!(first != second && second != third);
    assert!(matches!(&*state.borrow(), State::Running { .. }));
}

#[tokio::test]
async fn a_restart_is_cut_short_and_starts_nothing_when_the_cluster_is_ending() {
    let scratch = Scratch::new();
    let (mut keeper, state, _told) = start(shell(&scratch, "read -r _"));
    keeper.carry_out(Order::Stop).await.unwrap();
    stopped(state.borrow().pid()).await;
    let ending = keeper.ending.clone();
    // The hung process would have ten seconds.
    let (refused, ()) = tokio::join!(keeper.carry_out(Order::Restart), async { ending.cancel() });
    assert!(matches!(refused, Err(Refusal::Ending)));
    assert!(matches!(&*state.borrow(), State::Ended { how, .. } if how.contains("signal: 9")));
}
