//! The deny list: agents and certificates that may not be in session, whatever their certificate says.

use std::collections::BTreeSet;

use postern_protocol::AgentIdentity;
use postern_protocol::identity::CertificateFacts;
use postern_service::config::Problems;

/// Agents by identity and certificates by serial number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DenyList {
    agents: BTreeSet<String>,
    serials: BTreeSet<String>,
}

impl DenyList {
    /// Reads `TENANT/REALM/NAME` and hexadecimal serial numbers (with or without colons and leading zeros, as tools
    /// print them), and notes what is neither.
    pub fn parse(agents: &[String], serials: &[String], problems: &mut Problems) -> Self {
        let mut list = Self::default();
        for (index, agent) in agents.iter().enumerate() {
            let segments = agent
                .split('/')
                .filter(|part| part.parse::<postern_protocol::Segment>().is_ok())
                .count();
            if segments == 3 && agent.split('/').count() == 3 {
                list.agents.insert(agent.clone());
            } else {
                problems.add(
                    format!("deny.agents[{index}]"),
                    format!("{agent:?} is not TENANT/REALM/NAME"),
                );
            }
        }
        for (index, serial) in serials.iter().enumerate() {
            let digits: String = serial
                .chars()
                .filter(|c| *c != ':')
                .map(|c| c.to_ascii_lowercase())
                .collect();
            let significant = digits.trim_start_matches('0');
            if !digits.is_empty() && digits.len() <= 64 && digits.chars().all(|c| c.is_ascii_hexdigit()) {
                list.serials.insert(if significant.is_empty() {
                    "0".to_owned()
                } else {
                    significant.to_owned()
                });
            } else {
                problems.add(
                    format!("deny.serials[{index}]"),
                    format!("{serial:?} is not a serial number in hexadecimal"),
                );
            }
        }
        list
    }

    /// Why this agent with this certificate may not connect, or `None` if it may.
    pub fn reason(&self, agent: &AgentIdentity, certificate: &CertificateFacts) -> Option<String> {
        if self.agents.contains(&agent.to_string()) {
            return Some(format!("the agent {agent} is on the relay's deny list"));
        }
        self.serials.contains(&certificate.serial).then(|| {
            format!(
                "the certificate with serial number {} is on the relay's deny list",
                certificate.serial
            )
        })
    }

    /// Entries in the list.
    pub fn len(&self) -> usize {
        self.agents.len() + self.serials.len()
    }

    /// Whether nothing is denied.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postern_protocol::identity::Identity;
    use postern_protocol::{RealmKey, Segment};

    fn agent(name: &str) -> AgentIdentity {
        let segment = |text: &str| text.parse::<Segment>().unwrap();
        AgentIdentity {
            realm: RealmKey {
                tenant: segment("acme"),
                realm: segment("corp"),
            },
            name: segment(name),
        }
    }

    fn facts(serial: &str) -> CertificateFacts {
        CertificateFacts {
            identity: Identity::Agent(agent("a")),
            serial: serial.to_owned(),
            not_after: 0,
        }
    }

    #[test]
    fn an_agent_is_denied_by_its_whole_identity_or_by_its_serial_in_any_spelling() {
        let mut problems = Problems::default();
        let list = DenyList::parse(&["acme/corp/a".to_owned()], &["00:AB:0c".to_owned()], &mut problems);
        assert!(problems.is_empty());
        assert!(list.reason(&agent("a"), &facts("1")).is_some());
        assert!(list.reason(&agent("b"), &facts("ab0c")).is_some());
        assert_eq!(list.reason(&agent("b"), &facts("ab0")), None);
    }

    #[test]
    fn entries_that_deny_nothing_are_named() {
        let mut problems = Problems::default();
        let agents = [
            "a".to_owned(),
            "acme/corp".to_owned(),
            "acme/corp/a/b".to_owned(),
            "acme//a".to_owned(),
        ];
        let serials = ["xyz".to_owned(), String::new()];
        DenyList::parse(&agents, &serials, &mut problems);
        assert_eq!(problems.iter().count(), 6);
    }
}
