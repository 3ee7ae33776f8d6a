//! What putting faults in force comes to where no connection is asked: switches, and what time does to them.

use futures_util::FutureExt;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::advance;

use super::*;
use crate::domain::dialect::Dialect;
use crate::domain::fixture::settings;
use crate::metrics::Metrics;
use crate::world::Start;

/// A domain of one controller, whose listeners tell by `refusing` what they do.
struct Rig {
    faults: Arc<Faults>,
    refusing: watch::Sender<Listening>,
    drain: CancellationToken,
    follows: JoinSet<()>,
}

impl Rig {
    fn new() -> Self {
        let settings = settings(Dialect::Windows, Vec::new(), 1);
        let metrics = Metrics::new(&prometheus::Registry::new(), ["dc-1"]).unwrap();
        let world = Arc::new(World::new(&settings, Start::default(), metrics));
        let (refusing, is_refusing) = watch::channel(Listening::Open);
        let switch = Switch {
            id: DcId::at(0),
            dc: "dc-1".into(),
            refuse: watch::Sender::new(false),
            refusing: vec![is_refusing],
        };
        let faults = Faults::new(world, Arc::new(Board::new(1)), vec![switch], Vec::new(), true);
        Self {
            faults: Arc::new(faults),
            refusing,
            drain: CancellationToken::new(),
            follows: JoinSet::new(),
        }
    }

    fn rules(&self, faults: &serde_json::Value) -> Vec<Rule> {
        self.faults.read(faults.to_string().as_bytes()).unwrap()
    }

    /// Puts faults in force and waits for nobody.
    fn put(&self, faults: &serde_json::Value) {
        self.faults.board.replace(self.rules(faults), OnHeld::LetGo);
        self.faults.set();
    }

    fn follow_time(&mut self) {
        self.follows.spawn(self.faults.clone().follow_time(self.drain.clone()));
    }

    async fn until_refuse_is(&self, wanted: bool) -> bool {
        let mut refuse = self.faults.switches[0].refuse.subscribe();
        let told = timeout(Duration::from_secs(3600), refuse.wait_for(|refuse| *refuse == wanted));
        told.await.is_ok()
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_whose_time_came_or_went_while_nobody_looked_begins_and_ends_all_the_same() {
    for (fault, refused) in [
        (json!([{"kind": "refuse", "from_ms": 1}]), true),
        (json!([{"kind": "refuse", "for_ms": 1}]), false),
    ] {
        // From the configuration, or from a request that is slow to be carried out.
        for followed_before in [false, true] {
            let mut rig = Rig::new();
            if followed_before {
                rig.follow_time();
                tokio::task::yield_now().await;
            }
            rig.put(&fault);
            advance(Duration::from_millis(5)).await;
            if !followed_before {
                rig.follow_time();
            }
            assert!(rig.until_refuse_is(refused).await, "{fault}");
            rig.drain.cancel();
            rig.follows.join_all().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn connections_look_again_when_the_time_of_a_fault_ended_before_anybody_followed_it() {
    let mut rig = Rig::new();
    rig.put(&json!([{"kind": "hang", "when": "connection", "for_ms": 1}]));
    let mut connection = board::Exposure::new(rig.faults.board.clone(), 0).connection();
    let (_, mut struck) = connection.strike().await;
    let mut over = Box::pin(struck.over());
    assert!((&mut over).now_or_never().is_none());
    advance(Duration::from_millis(5)).await;
    // As a change of faults does it that comes late to its own.
    rig.faults.set();
    rig.follow_time();
    assert!(timeout(Duration::from_secs(3600), over).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_change_of_faults_waits_for_what_the_listeners_are_to_do_by_now() {
    let rig = Rig::new();
    let shorter = rig.rules(&json!([{"kind": "refuse", "for_ms": 1}]));
    let mut replacing = Box::pin(rig.faults.replace(shorter));
    assert!((&mut replacing).now_or_never().is_none(), "the listener is open still");
    rig.refusing.send_replace(Listening::Changing);
    assert!(
        (&mut replacing).now_or_never().is_none(),
        "it is neither open nor closed"
    );
    advance(Duration::from_millis(5)).await;
    rig.faults.set();
    assert!((&mut replacing).now_or_never().is_none(), "it may be closed still");
    rig.refusing.send_replace(Listening::Open);
    assert!(matches!(replacing.now_or_never(), Some(Ok(()))));

    let stuck = rig.faults.replace(rig.rules(&json!([{"kind": "refuse"}]))).await;
    assert!(matches!(stuck, Err(FaultError::NoEffect { .. })), "{stuck:?}");
    rig.refusing.send_replace(Listening::Closed);
    assert!(
        rig.faults
            .replace(rig.rules(&json!([{"kind": "refuse"}])))
            .await
            .is_ok()
    );
}
