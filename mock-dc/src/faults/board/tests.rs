//! What is held back, and by whom.

use futures_util::FutureExt;
use postern_service::config::Problems;
use serde_json::json;

use super::super::rule::{Known, validate};
use super::*;

fn slow() -> Vec<Rule> {
    let known = Known {
        dcs: &["dc-1"],
        is_user: &|_| true,
        can_issue: true,
    };
    let raw = json!([{"kind": "latency", "ms": 3_600_000}]);
    validate(
        serde_json::from_value(raw).unwrap(),
        "faults",
        &known,
        &mut Problems::default(),
    )
}

#[tokio::test(start_paused = true)]
async fn an_answer_waits_no_longer_than_the_fault_that_delayed_it_is_in_force() {
    for (replaced_with, held, over) in [
        (Vec::new(), OnHeld::LetGo, Over::Replaced),
        (slow(), OnHeld::LetGo, Over::Replaced),
        (slow(), OnHeld::Discard, Over::Discarded),
    ] {
        let board = Arc::new(Board::new(1));
        let exposure = Exposure::new(board.clone(), 0);
        assert!(exposure.delay(Operation::Bind, None).is_none());
        board.replace(slow(), OnHeld::LetGo);
        let [before, after] = [(); 2].map(|()| exposure.delay(Operation::Bind, None).expect("a delay"));
        let mut waits = Box::pin(exposure.pause(before));
        assert!((&mut waits).now_or_never().is_none());
        board.replace(replaced_with, held);
        assert_eq!(waits.now_or_never(), Some(over));
        // Also when it begins to wait only then.
        assert_eq!(exposure.pause(after).now_or_never(), Some(over));
    }
}
