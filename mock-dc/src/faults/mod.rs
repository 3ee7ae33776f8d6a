//! Faults that a test asks for: what goes wrong at a controller, how often, when, and for whom.
//!
//! [`rule`] is what may be asked for, [`engine`] decides what strikes, [`board`] is where connections ask, [`gate`] and
//! [`drip`] are the two faults with a life of their own. Here is what puts faults in force and takes them back.

pub mod board;
pub mod drip;
pub mod engine;
pub mod gate;
pub mod rule;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use postern_service::config::{Problems, read_all};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::domain::controllers::DcId;
use crate::world::World;
use board::{Board, OnHeld};
use engine::At;
use rule::{Known, RawRule, Rule};

/// How long a change of faults may take to show: connections are reset at once, a port may have to be waited for.
const EFFECT_LIMIT: Duration = Duration::from_secs(5);

/// A fault in force, as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shown {
    /// As it was written.
    #[serde(flatten)]
    pub rule: RawRule,
    /// How often it can still happen, where that is bounded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<u64>,
}

/// Why faults are not in force everywhere.
#[derive(Debug, thiserror::Error)]
pub enum FaultError {
    /// A listener did not follow in time: another process has its port.
    #[error("{dc} does not follow; its log tells why")]
    NoEffect {
        /// The controller.
        dc: String,
    },
    /// A connection did not follow in time.
    #[error("a connection does not follow; the log tells why")]
    Stuck,
}

/// The switches of one controller's listeners.
#[derive(Debug)]
pub struct Switch {
    /// Which one it is.
    pub id: DcId,
    /// The controller's name.
    pub dc: Arc<str>,
    /// Told to all of its listeners.
    pub refuse: watch::Sender<bool>,
    /// What each of them does.
    pub refusing: Vec<watch::Receiver<Listening>>,
}

/// What a listener does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listening {
    /// It accepts connections.
    Open,
    /// It is about to close: its connections are being reset.
    Changing,
    /// It is closed, and none of its connections is left.
    Closed,
}

impl Switch {
    /// Waits until a listener does what it is to do, which may change meanwhile.
    async fn followed(&self, refusing: &watch::Receiver<Listening>) {
        let (mut refuse, mut refusing) = (self.refuse.subscribe(), refusing.clone());
        loop {
            let wanted = if *refuse.borrow_and_update() {
                Listening::Closed
            } else {
                Listening::Open
            };
            if *refusing.borrow_and_update() == wanted {
                return;
            }
            let changed = tokio::select! {
                changed = refuse.changed() => changed,
                changed = refusing.changed() => changed,
            };
            if changed.is_err() {
                // The listener is gone for good, and with it the process.
                return;
            }
        }
    }
}

/// What puts faults in force.
#[derive(Debug)]
pub struct Faults {
    world: Arc<World>,
    board: Arc<Board>,
    /// By the controllers' places.
    switches: Vec<Switch>,
    configured: Vec<Rule>,
    /// Whether certificates can be issued as the trusted ones are.
    can_issue: bool,
    /// Held while faults are replaced, to the end of the waiting.
    replacing: tokio::sync::Mutex<()>,
    /// Held while switches and gates are set after the faults.
    setting: Mutex<()>,
}

impl Faults {
    /// The configured faults are in force from now on.
    pub fn new(
        world: Arc<World>,
        board: Arc<Board>,
        switches: Vec<Switch>,
        configured: Vec<Rule>,
        can_issue: bool,
    ) -> Self {
        let faults = Self {
            world,
            board,
            switches,
            configured: configured.clone(),
            can_issue,
            replacing: tokio::sync::Mutex::default(),
            setting: Mutex::default(),
        };
        faults.board.replace(configured, OnHeld::LetGo);
        faults.set();
        faults
    }

    /// The faults in force.
    pub fn get(&self) -> Vec<Shown> {
        let in_force = self.board.in_force();
        let shown = in_force.engine.rules().map(|(rule, left)| Shown {
            rule: rule.said().clone(),
            left,
        });
        shown.collect()
    }

    /// Reads faults from JSON, an array.
    ///
    /// # Errors
    /// Everything that is wrong with them, by its place.
    pub fn read(&self, body: &[u8]) -> Result<Vec<Rule>, Problems> {
        let mut problems = Problems::default();
        let raw = read_array(body, &mut problems);
        let dcs: Vec<&str> = self.switches.iter().map(|switch| &*switch.dc).collect();
        let known = Known {
            dcs: &dcs,
            is_user: &|name| self.world.domain.find_sam(name).is_some(),
            can_issue: self.can_issue,
        };
        let rules = rule::validate(raw, KEY, &known, &mut problems);
        if problems.is_empty() { Ok(rules) } else { Err(problems) }
    }

    /// Replaces all faults; returns when the new ones are in force everywhere.
    ///
    /// # Errors
    /// [`FaultError`]; the new faults are in force wherever they could be.
    pub async fn replace(&self, rules: Vec<Rule>) -> Result<(), FaultError> {
        self.put_in_force(rules, OnHeld::LetGo).await
    }

    async fn put_in_force(&self, rules: Vec<Rule>, held: OnHeld) -> Result<(), FaultError> {
        let _replacing = self.replacing.lock().await;
        let old = self.board.replace(rules, held);
        self.set();
        if timeout(EFFECT_LIMIT, old.followers.wait()).await.is_err() {
            return Err(FaultError::Stuck);
        }
        for switch in &self.switches {
            for refusing in &switch.refusing {
                if timeout(EFFECT_LIMIT, switch.followed(refusing)).await.is_err() {
                    let dc = switch.dc.to_string();
                    return Err(FaultError::NoEffect { dc });
                }
            }
        }
        Ok(())
    }

    /// Puts the configured faults back in force, none of which has happened yet. Requests that were held back are
    /// discarded, read or not, and so is what came behind an answer that was: none of them is carried out after this.
    ///
    /// # Errors
    /// As [`Faults::replace`].
    pub async fn reset(&self) -> Result<(), FaultError> {
        self.board.discard_held();
        let replaced = self.put_in_force(self.configured.clone(), OnHeld::Discard).await;
        // What came while the old faults were still in force.
        self.board.discard_held();
        replaced
    }

    /// Begins and ends faults by their time, until the process drains.
    pub async fn follow_time(self: Arc<Self>, drain: CancellationToken) {
        let mut changes = self.board.subscribe();
        let mut in_force = changes.borrow_and_update().clone();
        // Up to when its edges have been followed. Looking from the present time on would lose those that pass while
        // somebody else has the processor.
        let mut followed = Duration::ZERO;
        loop {
            let elapsed = async {
                match in_force.next_edge(followed) {
                    Some(edge) => sleep_until(edge).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = drain.cancelled() => return,
                changed = changes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let now = changes.borrow_and_update().clone();
                    if !Arc::ptr_eq(&now, &in_force) {
                        (in_force, followed) = (now, Duration::ZERO);
                    }
                }
                () = elapsed => {
                    followed = in_force.elapsed();
                    self.set();
                    self.board.stir();
                }
            }
        }
    }

    /// Sets switches and gates after the faults in force.
    fn set(&self) {
        // It guards no data; two at a time could leave the older faults' settings behind.
        let _setting = self.setting.lock().unwrap_or_else(PoisonError::into_inner);
        let in_force = self.board.in_force();
        for (place, switch) in self.switches.iter().enumerate() {
            let at: At = in_force.at(place);
            if let Some(gate) = self.board.gate(place) {
                gate.set_limit(in_force.engine.binds_at_once(at));
            }
            // Whom nobody reaches the other controllers do not reach either.
            self.world.set_away(switch.id, in_force.engine.cuts_off(at));
            switch.refuse.send_replace(in_force.engine.refuses(at));
        }
    }
}

/// What the array is called in messages.
const KEY: &str = "faults";

#[derive(Debug, Default, Deserialize)]
struct RawFaults {
    faults: Vec<RawRule>,
}

/// Reads as much of the array as can be read.
fn read_array(body: &[u8], problems: &mut Problems) -> Vec<RawRule> {
    let parsed = serde_json::from_slice(body).and_then(|mut parsed: serde_json::Value| {
        // A member that is null is one that is not there.
        for member in parsed.as_array_mut().into_iter().flatten() {
            if let Some(member) = member.as_object_mut() {
                member.retain(|_, value| !value.is_null());
            }
        }
        serde_json::from_value::<toml::Value>(parsed)
    });
    match parsed {
        Err(error) => {
            problems.add(KEY, error);
            Vec::new()
        }
        Ok(parsed) if !parsed.is_array() => {
            problems.add(KEY, "must be an array, also of one fault: [{\"kind\":\"refuse\"}]");
            Vec::new()
        }
        Ok(parsed) => {
            let table = toml::Table::from_iter([(KEY.to_owned(), parsed)]);
            let read: Option<RawFaults> = read_all(&mut toml::Value::Table(table), problems);
            read.unwrap_or_default().faults
        }
    }
}

#[cfg(test)]
mod tests;
