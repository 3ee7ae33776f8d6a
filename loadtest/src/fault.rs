//! Faults on a run's timeline: what is done, to what, when, and for how long.
//!
//! ```text
//! 20s kill agent-2
//! 20s stop agent-2 for 10s
//! 20s blackhole agent-1/relay-1 for 5s
//! 20s loss 5% agent-1
//! 20s delay 10ms..50ms agent-1
//! 20s dc-slow 200ms dc-1 for 10s
//! 20s dc-refuse
//! 20s exec 'kubectl delete pod postern-relay-0'
//! ```

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::text::{duration, share, told};

mod commands;
mod player;

pub use player::{Mark, Player};

/// How faults are written, for whoever wrote one otherwise.
pub const HELP: &str = "TIME kill|stop|cont|term|restart PART; TIME blackhole|loss 5%|delay 10ms..50ms [AGENT[/RELAY]]; \
                        TIME dc-slow 200ms|dc-refuse|dc-hang [DC]; TIME exec 'COMMAND'; all but restart, cont and exec \
                        with an optional `for TIME`";

/// Something that is done to what is tested.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// When, from the beginning of the run.
    pub at: Duration,
    /// What.
    pub action: Action,
    /// For how long; `None` is up to the end of the run.
    pub lasts: Option<Duration>,
}

/// What is done.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// An order to a part of the cluster, by its name.
    Part(Order, String),
    /// What the network does to a link, or to all that fit.
    Link(LinkFault, Link),
    /// What a domain controller does, or all of them.
    Directory(DirectoryFault, Option<String>),
    /// A shell's command.
    Exec(String),
}

/// What the cluster's control does to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// SIGKILL.
    Kill,
    /// SIGSTOP.
    Stop,
    /// SIGCONT.
    Cont,
    /// SIGTERM.
    Term,
    /// SIGTERM, and a new process.
    Restart,
}

impl Order {
    const ALL: [Self; 5] = [Self::Kill, Self::Stop, Self::Cont, Self::Term, Self::Restart];

    /// As the control names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Stop => "stop",
            Self::Cont => "cont",
            Self::Term => "term",
            Self::Restart => "restart",
        }
    }

    /// What takes it back, where something does.
    fn undone_by(self) -> Option<Self> {
        match self {
            Self::Kill | Self::Term => Some(Self::Restart),
            Self::Stop => Some(Self::Cont),
            Self::Cont | Self::Restart => None,
        }
    }
}

/// What the network does to datagrams, both ways.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LinkFault {
    /// All are lost.
    BlackHole,
    /// This share is lost.
    Loss(f64),
    /// Each takes longer by something between the two.
    Delay(Duration, Duration),
}

impl LinkFault {
    /// As a member of what the cluster's control takes.
    fn setting(self) -> (&'static str, Value) {
        let ms = |time: Duration| json!(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        match self {
            Self::BlackHole => ("drop", json!(true)),
            Self::Loss(share) => ("loss", json!(share)),
            Self::Delay(from, to) => ("delay_ms", json!([ms(from), ms(to)])),
        }
    }
}

/// Which links: all, those of an agent, or one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Link {
    agent: Option<String>,
    relay: Option<String>,
}

impl Link {
    fn fits(&self, agent: &str, relay: &str) -> bool {
        let fits = |wanted: &Option<String>, name| wanted.as_deref().is_none_or(|wanted| wanted == name);
        fits(&self.agent, agent) && fits(&self.relay, relay)
    }
}

/// What a domain controller does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirectoryFault {
    /// Binds take longer by this.
    Slow(Duration),
    /// It is down.
    Refuse,
    /// It stands still with its connections open.
    Hang,
}

impl DirectoryFault {
    /// As mock-dc takes it.
    fn fault(self, dc: Option<&str>) -> Value {
        let mut fault = match self {
            Self::Slow(time) => json!({ "kind": "latency", "ms": u64::try_from(time.as_millis()).unwrap_or(u64::MAX) }),
            Self::Refuse => json!({ "kind": "refuse" }),
            Self::Hang => json!({ "kind": "hang", "when": "connection" }),
        };
        if let Some(dc) = dc {
            fault["dc"] = json!(dc);
        }
        fault
    }
}

impl Fault {
    /// When it is over.
    pub fn end(&self) -> Option<Duration> {
        Some(self.at + self.lasts?)
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("fault {text:?}: {why}; faults are: {HELP}");
        let (at, rest) = text
            .trim()
            .split_once(char::is_whitespace)
            .ok_or_else(|| wrong("there is no action"))?;
        let at = duration(at).map_err(|why| wrong(&why))?;
        let rest = rest.trim();
        // A command's own words are nobody's business.
        if let Some(command) = rest.strip_prefix("exec") {
            let command = unquoted(command.trim());
            if command.is_empty() {
                return Err(wrong("there is no command"));
            }
            return Ok(Self {
                at,
                action: Action::Exec(command.to_owned()),
                lasts: None,
            });
        }
        let mut words: Vec<&str> = rest.split_whitespace().collect();
        let mut lasts = None;
        if let [.., "for", time] = words.as_slice() {
            lasts = Some(duration(time).map_err(|why| wrong(&why))?);
            words.truncate(words.len() - 2);
        }
        let action = Action::read(&words).map_err(|why| wrong(&why))?;
        if lasts.is_some() && !action.can_end() {
            return Err(wrong("it has no end; leave `for` out"));
        }
        Ok(Self { at, action, lasts })
    }
}

fn unquoted(text: &str) -> &str {
    let within = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
    within('\'').or_else(|| within('"')).unwrap_or(text)
}

impl Action {
    fn read(words: &[&str]) -> Result<Self, String> {
        let (verb, rest) = words.split_first().ok_or("there is no action")?;
        if let Some(order) = Order::ALL.into_iter().find(|order| order.as_str() == *verb) {
            let [part] = rest else {
                return Err(format!("{verb} takes the name of one part"));
            };
            return Ok(Self::Part(order, (*part).to_owned()));
        }
        match (*verb, rest) {
            ("blackhole", on) => Ok(Self::Link(LinkFault::BlackHole, link(on)?)),
            ("loss", [lost, on @ ..]) => Ok(Self::Link(LinkFault::Loss(share(lost)?), link(on)?)),
            ("delay", [times, on @ ..]) => {
                let (from, to) = times.split_once("..").unwrap_or((times, times));
                let (from, to) = (duration(from)?, duration(to)?);
                if from > to {
                    return Err(format!("{times} begins with the longer time"));
                }
                Ok(Self::Link(LinkFault::Delay(from, to), link(on)?))
            }
            ("dc-slow", [time, dc @ ..]) => Ok(Self::Directory(DirectoryFault::Slow(duration(time)?), one(dc)?)),
            ("dc-refuse", dc) => Ok(Self::Directory(DirectoryFault::Refuse, one(dc)?)),
            ("dc-hang", dc) => Ok(Self::Directory(DirectoryFault::Hang, one(dc)?)),
            (verb, _) => Err(format!("{verb:?} is no action, or lacks something")),
        }
    }

    /// Whether something takes it back.
    fn can_end(&self) -> bool {
        match self {
            Self::Part(order, _) => order.undone_by().is_some(),
            Self::Link(..) | Self::Directory(..) => true,
            Self::Exec(_) => false,
        }
    }
}

/// At most one word.
fn one(words: &[&str]) -> Result<Option<String>, String> {
    match words {
        [] => Ok(None),
        [word] => Ok(Some((*word).to_owned())),
        more => Err(format!("{:?} is one word too many", more.join(" "))),
    }
}

fn link(words: &[&str]) -> Result<Link, String> {
    let Some(word) = one(words)? else {
        return Ok(Link::default());
    };
    let (agent, relay) = word
        .split_once('/')
        .map_or((word.as_str(), None), |(agent, relay)| (agent, Some(relay)));
    Ok(Link {
        agent: Some(agent.to_owned()),
        relay: relay.map(str::to_owned),
    })
}

/// What it is, without its time; as it is written.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Part(order, part) => write!(f, "{} {part}", order.as_str()),
            Self::Link(fault, link) => {
                match fault {
                    LinkFault::BlackHole => write!(f, "blackhole")?,
                    LinkFault::Loss(share) => write!(f, "loss {} %", share * 100.0)?,
                    LinkFault::Delay(from, to) => write!(f, "delay {} to {}", told(*from), told(*to))?,
                }
                match (&link.agent, &link.relay) {
                    (Some(agent), Some(relay)) => write!(f, " {agent}/{relay}"),
                    (Some(agent), None) => write!(f, " {agent}"),
                    _ => Ok(()),
                }
            }
            Self::Directory(fault, dc) => {
                match fault {
                    DirectoryFault::Slow(time) => write!(f, "dc-slow {}", told(*time))?,
                    DirectoryFault::Refuse => write!(f, "dc-refuse")?,
                    DirectoryFault::Hang => write!(f, "dc-hang")?,
                }
                dc.as_ref().map_or(Ok(()), |dc| write!(f, " {dc}"))
            }
            Self::Exec(command) => write!(f, "exec {command}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Fault {
        text.parse().unwrap()
    }

    #[test]
    fn every_kind_of_fault_is_read() {
        let second = Duration::from_secs;
        for (text, told, lasts) in [
            ("20s kill agent-2", "kill agent-2", None),
            ("20s stop agent-2 for 10s", "stop agent-2", Some(second(10))),
            ("20s restart relay-1", "restart relay-1", None),
            (
                "20s blackhole agent-1/relay-1 for 5s",
                "blackhole agent-1/relay-1",
                Some(second(5)),
            ),
            ("20s blackhole", "blackhole", None),
            ("20s loss 5% agent-1", "loss 5 % agent-1", None),
            ("20s delay 10ms..50ms agent-1", "delay 10.0 ms to 50.0 ms agent-1", None),
            (
                "20s dc-slow 200ms dc-1 for 10s",
                "dc-slow 200 ms dc-1",
                Some(second(10)),
            ),
            ("20s dc-refuse", "dc-refuse", None),
            ("20s dc-hang dc-2", "dc-hang dc-2", None),
            ("20s exec 'echo a for 5s'", "exec echo a for 5s", None),
        ] {
            let fault = read(text);
            assert_eq!((fault.at, fault.lasts), (second(20), lasts), "{text}");
            assert_eq!(fault.action.to_string(), told, "{text}");
        }
    }

    #[test]
    fn what_is_no_fault_says_why_and_what_there_is() {
        for (text, why) in [
            ("20s", "there is no action"),
            ("soon kill agent-1", "is no time"),
            ("20s kill", "kill takes the name of one part"),
            ("20s kill agent-1 agent-2", "kill takes the name of one part"),
            ("20s explode agent-1", "is no action"),
            ("20s loss agent-1", "is no share"),
            ("20s delay 50ms..10ms", "begins with the longer"),
            ("20s restart agent-1 for 5s", "it has no end"),
            ("20s dc-refuse dc-1 dc-2", "one word too many"),
            ("20s exec", "there is no command"),
        ] {
            let error = text.parse::<Fault>().unwrap_err();
            assert!(error.contains(why) && error.contains(HELP), "{text}: {error}");
        }
    }

    #[test]
    fn faults_become_what_the_controls_take() {
        assert_eq!(LinkFault::BlackHole.setting(), ("drop", json!(true)));
        let delay = LinkFault::Delay(Duration::from_millis(10), Duration::from_millis(50));
        assert_eq!(delay.setting(), ("delay_ms", json!([10, 50])));
        let slow = DirectoryFault::Slow(Duration::from_millis(200));
        assert_eq!(
            slow.fault(Some("dc-1")),
            json!({ "kind": "latency", "ms": 200, "dc": "dc-1" })
        );
        assert_eq!(
            DirectoryFault::Hang.fault(None),
            json!({ "kind": "hang", "when": "connection" })
        );
    }
}
