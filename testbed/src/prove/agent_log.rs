//! Which agent made a bind: each logs the local address and the LDAP message id of its binds, and the directory's record
//! has both.

use std::collections::HashSet;
use std::net::SocketAddr;

use postern_loadtest::Bind;

/// The binds of one agent, by its connection's port and the message id.
#[derive(Debug, Default)]
pub struct BindsOfAgent(HashSet<(u16, i32)>);

impl BindsOfAgent {
    /// From the agent's log, in the form for people.
    pub fn read(log: &str) -> Self {
        let binds = log.lines().filter_map(|line| {
            let local: SocketAddr = field(line, "local")?.parse().ok()?;
            Some((local.port(), field(line, "message_id")?.parse().ok()?))
        });
        Self(binds.collect())
    }

    /// Whether this is one of them.
    pub fn contains(&self, bind: &Bind) -> bool {
        self.0.contains(&(bind.from_port, bind.message_id))
    }
}

/// The value of `name=value` in a line.
fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let mut words = line.split_whitespace();
    words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_bind_is_the_agents_when_port_and_message_id_are() {
        let log = "2026-01-01T00:00:00Z  INFO bind request_id=x dc=dc-1 local=127.0.0.1:4711 message_id=8 verdict=\"success\"\n\
                   2026-01-01T00:00:00Z  INFO session with a relay relay=127.0.0.1:7011 local=Some(127.0.0.1)\n";
        let binds = BindsOfAgent::read(log);
        let bind = |from_port, message_id| Bind {
            at: Duration::ZERO,
            dc: "dc-1".to_owned(),
            from_port,
            message_id,
            result: 0,
            is_bad_password: false,
            answered: true,
        };
        assert!(binds.contains(&bind(4711, 8)));
        assert!(!binds.contains(&bind(4711, 9)) && !binds.contains(&bind(4712, 8)));
    }
}
