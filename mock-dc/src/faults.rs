//! Faults that a test asks for. `refuse`, so far: a controller whose listeners are closed and whose connections were
//! reset, as if its machine had gone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

use crate::domain::controllers::DcId;
use crate::world::World;

/// How long a change of faults may take to show: connections are reset at once, a port may have to be waited for.
const EFFECT_LIMIT: Duration = Duration::from_secs(5);

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What happens.
    pub kind: Kind,
    /// To which controller; to all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dc: Option<String>,
}

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Listeners closed, connections reset.
    Refuse,
}

/// Why faults were not put into force.
#[derive(Debug, thiserror::Error)]
pub enum FaultError {
    /// A fault names a controller that is not there.
    #[error("there is no domain controller {name:?}; there are: {known}")]
    UnknownDc {
        /// The name.
        name: String,
        /// Those that are.
        known: String,
    },
    /// A listener did not follow in time: another process has its port.
    #[error("{dc} does not follow; its log tells why")]
    NoEffect {
        /// The controller.
        dc: String,
    },
}

/// The switches of one controller's listeners.
#[derive(Debug)]
pub struct Switch {
    /// Which one it is.
    pub id: DcId,
    /// Told to all of its listeners.
    pub refuse: watch::Sender<bool>,
    /// What each of them does.
    pub refusing: Vec<watch::Receiver<bool>>,
}

/// The faults in force.
#[derive(Debug)]
pub struct Faults {
    world: Arc<World>,
    switches: BTreeMap<Arc<str>, Switch>,
    in_force: Mutex<Vec<Fault>>,
}

impl Faults {
    /// No faults, for the controllers with these switches.
    pub fn new(world: Arc<World>, switches: BTreeMap<Arc<str>, Switch>) -> Self {
        Self {
            world,
            switches,
            in_force: Mutex::default(),
        }
    }

    /// The faults in force.
    pub async fn get(&self) -> Vec<Fault> {
        self.in_force.lock().await.clone()
    }

    /// Replaces all faults; returns when every listener has followed.
    ///
    /// # Errors
    /// [`FaultError`]; after [`FaultError::UnknownDc`] nothing has changed.
    pub async fn replace(&self, faults: Vec<Fault>) -> Result<(), FaultError> {
        if let Some(name) = faults
            .iter()
            .filter_map(|fault| fault.dc.as_deref())
            .find(|name| !self.switches.contains_key(*name))
        {
            let known = self.switches.keys().map(|name| &**name).collect::<Vec<_>>().join(", ");
            return Err(FaultError::UnknownDc {
                name: name.to_owned(),
                known,
            });
        }
        let mut in_force = self.in_force.lock().await;
        let concerns = |fault: &Fault, dc: &str| fault.dc.as_deref().is_none_or(|name| name == dc);
        for (dc, switch) in &self.switches {
            let refuses = faults
                .iter()
                .any(|fault| fault.kind == Kind::Refuse && concerns(fault, dc));
            // Whom nobody reaches the other controllers do not reach either.
            self.world.set_away(switch.id, refuses);
            switch.refuse.send_replace(refuses);
        }
        *in_force = faults;
        for (dc, switch) in &self.switches {
            let wanted = *switch.refuse.borrow();
            for refusing in &switch.refusing {
                let followed = timeout(EFFECT_LIMIT, refusing.clone().wait_for(|refusing| *refusing == wanted))
                    .await
                    .is_ok();
                if !followed {
                    return Err(FaultError::NoEffect { dc: dc.to_string() });
                }
            }
        }
        Ok(())
    }
}
