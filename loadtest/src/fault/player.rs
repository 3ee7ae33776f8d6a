//! Plays faults at their times on a cluster.
//!
//! What a fault replaces is kept: the controls of links and of the directory take all that is in force at once, so each
//! change is made to what is known of it and sent whole.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::commands::Commands;
use super::{Action, DirectoryFault, Fault, Link, LinkFault, Order};
use crate::cluster::{Cluster, DIRECTORY};
use crate::sampler::Pids;
use crate::sync::lock;

/// Something that was done to what is tested. It happened somewhere between the two.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// What.
    pub what: String,
    /// When it was to be; `None` for what is taken back at the end of the run, whenever that is.
    #[serde(default)]
    pub planned_s: Option<f64>,
    /// When it was ordered, in seconds from the beginning of the run.
    pub ordered_s: f64,
    /// When it was carried out.
    pub done_s: f64,
    /// Why it was not, if so.
    pub error: Option<String>,
}

impl Mark {
    /// How much later than it was to be it was ordered.
    pub fn late(&self) -> Option<Duration> {
        Duration::try_from_secs_f64(self.ordered_s - self.planned_s?).ok()
    }
}

/// Plays faults.
#[derive(Debug)]
pub struct Player {
    cluster: Option<Cluster>,
    /// Which process is what: a restarted part is another one.
    pids: Pids,
    steps: Vec<Step>,
    links: BTreeMap<(String, String), Map<String, Value>>,
    /// What goes wrong in the directory apart from the faults.
    usual: Vec<Value>,
    directory: Vec<(DirectoryFault, Option<String>)>,
    commands: Commands,
}

/// A fault's beginning or its end.
#[derive(Debug, Clone)]
struct Step {
    at: Duration,
    action: Action,
    ends: bool,
}

impl Player {
    /// Makes sure that all of it can be done.
    ///
    /// # Errors
    /// When something is to be done to a part that there is not, or to no cluster at all.
    pub async fn new(cluster: Option<Cluster>, pids: Pids, faults: &[Fault]) -> anyhow::Result<Self> {
        let mut player = Self {
            cluster,
            pids,
            steps: Vec::new(),
            links: BTreeMap::new(),
            usual: Vec::new(),
            directory: Vec::new(),
            commands: Commands::default(),
        };
        for fault in faults {
            player
                .look_at(&fault.action)
                .await
                .with_context(|| format!("fault {:?}", fault.action.to_string()))?;
            let step = |at, ends| Step {
                at,
                action: fault.action.clone(),
                ends,
            };
            player.steps.push(step(fault.at, false));
            player.steps.extend(fault.end().map(|end| step(end, true)));
        }
        // Of what comes at one time, what was given first is first.
        player.steps.sort_by_key(|step| step.at);
        Ok(player)
    }

    async fn look_at(&mut self, action: &Action) -> anyhow::Result<()> {
        if matches!(action, Action::Exec(_)) {
            return Ok(());
        }
        let Some(cluster) = &self.cluster else {
            bail!("it needs a cluster: give its line of JSON with --cluster, or use exec '…'");
        };
        let about = &cluster.about;
        match action {
            Action::Part(_, name) => {
                let parts = about.relays.iter().chain(&about.agents).map(|part| part.name.as_str());
                let parts: Vec<&str> = parts.chain(about.dcs.iter().map(|dc| dc.name.as_str())).collect();
                if !parts.contains(&name.as_str()) {
                    bail!("there is no {name:?}; there are: {}", parts.join(", "));
                }
            }
            Action::Link(_, link) => {
                let links = cluster.links().await?;
                if !links.iter().any(|(agent, relay)| link.fits(agent, relay)) {
                    let names: Vec<String> = links.iter().map(|(agent, relay)| format!("{agent}/{relay}")).collect();
                    bail!("there is no such link; there are: {}", names.join(", "));
                }
                self.links = links.into_iter().map(|link| (link, Map::new())).collect();
            }
            Action::Directory(_, dc) => {
                let names: Vec<&str> = about.dcs.iter().map(|dc| dc.name.as_str()).collect();
                if dc.as_deref().is_some_and(|dc| !names.contains(&dc)) {
                    bail!("there is no such domain controller; there are: {}", names.join(", "));
                }
                self.usual = cluster.directory_faults().await?;
                // What is left of a fault is told and not taken.
                for fault in self.usual.iter_mut().filter_map(Value::as_object_mut) {
                    fault.remove("left");
                }
            }
            Action::Exec(_) => {}
        }
        Ok(())
    }

    /// Plays all of it up to its end or until the run is `over`, and then takes back what is still in force, the last first:
    /// the next run begins as this one did. Hands each step's mark on as it is done; what could not be done has its error
    /// in its mark.
    pub async fn play(mut self, began: Instant, over: CancellationToken, mut done: impl FnMut(Mark)) {
        let mut steps = VecDeque::from(std::mem::take(&mut self.steps));
        let mut in_force: Vec<Action> = Vec::new();
        while let Some(step) = steps.pop_front() {
            if over.run_until_cancelled(sleep_until(began + step.at)).await.is_none() {
                steps.push_front(step);
                break;
            }
            let mark = self.make(&step, began).await;
            done(Mark {
                planned_s: Some(step.at.as_secs_f64()),
                ..mark
            });
            if step.ends {
                if let Some(index) = in_force.iter().rposition(|action| *action == step.action) {
                    in_force.remove(index);
                }
            } else if step.action.can_end() {
                // Also what failed: it may have been done in part.
                in_force.push(step.action);
            }
        }
        for step in steps.iter().filter(|step| !step.ends) {
            done(Mark {
                what: step.action.to_string(),
                planned_s: Some(step.at.as_secs_f64()),
                ordered_s: step.at.as_secs_f64(),
                done_s: step.at.as_secs_f64(),
                error: Some("the run was over before".to_owned()),
            });
        }
        while let Some(action) = in_force.pop() {
            let step = Step {
                at: Duration::ZERO,
                action,
                ends: true,
            };
            done(self.make(&step, began).await);
        }
    }

    async fn make(&mut self, step: &Step, began: Instant) -> Mark {
        let ordered = began.elapsed();
        let result = self.step(step).await;
        Mark {
            what: if step.ends {
                format!("end of {}", step.action)
            } else {
                step.action.to_string()
            },
            planned_s: None,
            ordered_s: ordered.as_secs_f64(),
            done_s: began.elapsed().as_secs_f64(),
            error: result.err().map(|error| format!("{error:#}")),
        }
    }

    async fn step(&mut self, step: &Step) -> anyhow::Result<()> {
        match &step.action {
            Action::Exec(command) => self.commands.run(command).await,
            Action::Part(order, part) => self.order(*order, part, step.ends).await,
            Action::Link(fault, link) => self.link(*fault, link, step.ends).await,
            Action::Directory(fault, dc) => self.directory(*fault, dc, step.ends).await,
        }
    }

    async fn order(&self, order: Order, part: &str, ends: bool) -> anyhow::Result<()> {
        let order = if ends {
            order.undone_by().context("it has no end")?
        } else {
            order
        };
        let pid = self.cluster()?.order(part, order.as_str()).await?;
        // Domain controllers are one process, of another name.
        let mut pids = lock(&self.pids);
        let name = if pids.contains_key(part) { part } else { DIRECTORY };
        pids.insert(name.to_owned(), pid);
        Ok(())
    }

    async fn link(&mut self, fault: LinkFault, link: &Link, ends: bool) -> anyhow::Result<()> {
        let cluster = self.cluster()?.clone();
        let (key, value) = fault.setting();
        for ((agent, relay), settings) in &mut self.links {
            if link.fits(agent, relay) {
                if ends {
                    settings.remove(key);
                } else {
                    settings.insert(key.to_owned(), value.clone());
                }
                cluster.link(agent, relay, &Value::Object(settings.clone())).await?;
            }
        }
        Ok(())
    }

    async fn directory(&mut self, fault: DirectoryFault, dc: &Option<String>, ends: bool) -> anyhow::Result<()> {
        if ends {
            let mut found = self.directory.iter();
            if let Some(index) = found.position(|(known, at)| *known == fault && at == dc) {
                self.directory.remove(index);
            }
        } else {
            self.directory.push((fault, dc.clone()));
        }
        let all = self.directory.iter().map(|(fault, dc)| fault.fault(dc.as_deref()));
        let all: Vec<Value> = all.chain(self.usual.iter().cloned()).collect();
        self.cluster()?.set_directory_faults(&all).await
    }

    fn cluster(&self) -> anyhow::Result<&Cluster> {
        self.cluster.as_ref().context("there is no cluster")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn marks(faults: &[&str]) -> Vec<Mark> {
        let faults: Vec<Fault> = faults.iter().map(|text| text.parse().unwrap()).collect();
        let player = Player::new(None, Pids::default(), &faults).await.unwrap();
        let mut marks = Vec::new();
        player
            .play(Instant::now(), CancellationToken::new(), |mark| marks.push(mark))
            .await;
        marks
    }

    #[tokio::test]
    async fn commands_are_run_in_the_order_of_their_times_and_what_fails_is_told() {
        let marks = marks(&["20ms exec 'echo no >&2; exit 3'", "10ms exec true"]).await;
        assert_eq!(marks.len(), 2);
        assert_eq!((marks[0].what.as_str(), &marks[0].error), ("exec true", &None));
        assert!(marks[0].ordered_s >= 0.01 && marks[0].done_s >= marks[0].ordered_s);
        assert_eq!(marks[1].error.as_deref(), Some("exit status: 3: no"));
    }

    #[tokio::test]
    async fn what_comes_late_because_of_what_was_before_it_says_by_how_much() {
        let marks = marks(&["0s exec 'sleep 0.3'", "100ms exec true"]).await;
        assert_eq!(marks[1].planned_s, Some(0.1));
        assert!(marks[1].late().unwrap() >= Duration::from_millis(190), "{marks:?}");
    }

    #[tokio::test]
    async fn what_was_not_done_when_the_run_is_over_is_told_as_not_done() {
        let faults = ["0s exec true".parse().unwrap(), "1h exec true".parse().unwrap()];
        let player = Player::new(None, Pids::default(), &faults).await.unwrap();
        let (over, mut marks) = (CancellationToken::new(), Vec::new());
        let ends = over.clone();
        let play = player.play(Instant::now(), over, |mark| {
            ends.cancel();
            marks.push(mark);
        });
        play.await;
        assert_eq!(marks.len(), 2);
        assert_eq!(
            (&marks[0].error, marks[1].error.as_deref()),
            (&None, Some("the run was over before"))
        );
    }

    #[tokio::test]
    async fn without_a_cluster_nothing_can_be_done_to_its_parts() {
        let faults = ["1s kill agent-1".parse().unwrap()];
        let error = Player::new(None, Pids::default(), &faults).await.unwrap_err();
        assert!(
            format!("{error:#}").contains(r#"fault "kill agent-1": it needs a cluster"#),
            "{error:#}"
        );
    }
}
