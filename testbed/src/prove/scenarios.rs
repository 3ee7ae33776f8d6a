//! The scenarios, by name.

use super::Context;
use super::report::Report;

mod agent_loss;
mod bad_network;
mod directory;
mod hostile_agent;
mod lone_agent;
mod overload;
mod slow_directory;
mod upgrade;
mod words;

/// Something that happens to a cluster under load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// One agent is killed.
    AgentKilled,
    /// One agent is stopped for ten seconds.
    AgentFrozen,
    /// Nothing passes between one agent and the relay.
    LinkBlackHole,
    /// Every agent in turn ends and starts again.
    AgentsUpgraded,
    /// The only agent is killed and started again.
    LoneAgentRestarted,
    /// One of two domain controllers is of no use.
    DcBad,
    /// No domain controller can be reached.
    DirectoryDown,
    /// The directory counts a bind and its answer never comes.
    AnswerLost,
    /// Ten times as many sign-ins as the directory can do.
    Overload,
    /// Links that lose, delay and reorder.
    BadNetwork,
    /// One agent's directory is ten times slower.
    SlowDirectory,
    /// One agent has a good certificate and bad manners.
    HostileAgent,
}

impl Scenario {
    /// All of them, in the order in which `all` plays them.
    pub const ALL: [Self; 12] = [
        Self::AgentKilled,
        Self::AgentFrozen,
        Self::LinkBlackHole,
        Self::AgentsUpgraded,
        Self::LoneAgentRestarted,
        Self::DcBad,
        Self::DirectoryDown,
        Self::AnswerLost,
        Self::Overload,
        Self::BadNetwork,
        Self::SlowDirectory,
        Self::HostileAgent,
    ];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::AgentKilled => "agent-killed",
            Self::AgentFrozen => "agent-frozen",
            Self::LinkBlackHole => "link-black-hole",
            Self::AgentsUpgraded => "agents-upgraded",
            Self::LoneAgentRestarted => "lone-agent-restarted",
            Self::DcBad => "dc-bad",
            Self::DirectoryDown => "directory-down",
            Self::AnswerLost => "answer-lost",
            Self::Overload => "overload",
            Self::BadNetwork => "bad-network",
            Self::SlowDirectory => "slow-directory",
            Self::HostileAgent => "hostile-agent",
        }
    }

    /// What happens in it.
    pub fn about(self) -> &'static str {
        match self {
            Self::AgentKilled => "one agent of three is killed (SIGKILL)",
            Self::AgentFrozen => "one agent of three is stopped for ten seconds (SIGSTOP, SIGCONT)",
            Self::LinkBlackHole => "nothing passes between one agent and the relay, under load and idle",
            Self::AgentsUpgraded => "every agent in turn ends (SIGTERM) and a new process takes its name",
            Self::LoneAgentRestarted => "the only agent of a realm is killed and started again",
            Self::DcBad => "one domain controller of two refuses, hangs, or takes two seconds",
            Self::DirectoryDown => "both domain controllers refuse, and come back",
            Self::AnswerLost => "one bind in twenty is counted and its connection closed before the answer",
            Self::Overload => "ten times as many sign-ins as the directory can do",
            Self::BadNetwork => "every link loses 5 % and has 50 ms of jitter, in order and reordering",
            Self::SlowDirectory => "one agent's directory is ten times slower than the others'",
            Self::HostileAgent => "one agent has a good certificate and bad manners",
        }
    }

    /// The scenario of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scenario| scenario.name() == name)
    }

    /// Plays it on clusters of its own; one report for each run.
    pub(super) async fn play(self, context: &Context) -> anyhow::Result<Vec<Report>> {
        match self {
            Self::AgentKilled => Box::pin(agent_loss::killed(context)).await,
            Self::AgentFrozen => Box::pin(agent_loss::frozen(context)).await,
            Self::LinkBlackHole => Box::pin(agent_loss::black_hole(context)).await,
            Self::AgentsUpgraded => Box::pin(upgrade::play(context)).await,
            Self::LoneAgentRestarted => Box::pin(lone_agent::play(context)).await,
            Self::DcBad => Box::pin(directory::bad::play(context)).await,
            Self::DirectoryDown => Box::pin(directory::down::play(context)).await,
            Self::AnswerLost => Box::pin(directory::answer_lost::play(context)).await,
            Self::Overload => Box::pin(overload::play(context)).await,
            Self::BadNetwork => Box::pin(bad_network::play(context)).await,
            Self::SlowDirectory => Box::pin(slow_directory::play(context)).await,
            Self::HostileAgent => Box::pin(hostile_agent::play(context)).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_is_found_by_its_name_alone() {
        for scenario in Scenario::ALL {
            assert_eq!(Scenario::named(scenario.name()), Some(scenario));
        }
        assert_eq!(Scenario::named("agent"), None);
    }
}
