//! What people see: progress while the cluster starts, then where it is, whom to sign in as and what to try.

use std::fmt::{self, Write as _};
use std::io::{IsTerminal, Write as _};
use std::time::Duration;

use crate::cluster::description::{DcDescription, Description};
use crate::cluster::files::Lockout;
use crate::cluster::users::{generated_name, generated_password};
use crate::cluster::{Counts, Domain};

mod existing;

/// What the text says beside what the description does.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// The cluster's size.
    pub counts: Counts,
    /// When the directory locks an account.
    pub lockout: Option<Lockout>,
    /// From the start until it was ready.
    pub took: Duration,
}

/// Where progress goes: standard error, since standard output is for what was asked for.
pub fn progress(message: impl fmt::Display) {
    // Nothing can be done about a closed standard error.
    let _ = writeln!(std::io::stderr(), "{message}");
}

/// The line of `--json`, or the text for people, to standard output.
///
/// # Errors
/// When the description cannot be written as JSON.
pub fn announce(cluster: &Description, domain: &Domain, facts: Facts, json: bool) -> anyhow::Result<()> {
    let simulated = cluster.dcs.iter().all(|dc| matches!(dc, DcDescription::Simulated(_)));
    let text = match (json, simulated) {
        (true, _) => serde_json::to_string(cluster)? + "\n",
        (false, true) => welcome(cluster, facts, Style::of_stdout())?,
        (false, false) => existing::welcome(cluster, domain, facts, Style::of_stdout())?,
    };
    let mut stdout = std::io::stdout();
    // Whoever asked for it may have gone; the cluster is up all the same.
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    Ok(())
}

#[derive(Clone, Copy)]
struct Style {
    bold: bool,
}

impl Style {
    fn of_stdout() -> Self {
        Self {
            bold: std::io::stdout().is_terminal(),
        }
    }

    fn heading(self, text: &str) -> String {
        if self.bold {
            format!("\x1b[1m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

fn welcome(cluster: &Description, facts: Facts, style: Style) -> Result<String, fmt::Error> {
    let counts = facts.counts;
    let mut text = String::new();
    writeln!(
        text,
        "\n{} {}, {}, {}; {:.1} s\n",
        style.heading("Postern is up:"),
        count(counts.relays, "relay"),
        count(counts.agents, "agent"),
        count(counts.dcs, "domain controller"),
        facts.took.as_secs_f64()
    )?;
    for relay in &cluster.relays {
        writeln!(text, "  Sign-in page {}/", relay.api)?;
    }
    for relay in &cluster.relays {
        writeln!(text, "  Sign-in API  {}/v1/sign-in", relay.api)?;
    }
    writeln!(
        text,
        "  Directory    {}, its control {}",
        cluster.realm,
        directory_control(cluster)
    )?;
    writeln!(text, "  Control      {}/children/NAME", cluster.control)?;
    writeln!(text, "  Files, logs  {}", cluster.dir)?;
    writeln!(
        text,
        "  Every outcome is told in full, and rate limits are out of reach: this is for trying."
    )?;
    writeln!(text, "\n{}", style.heading("Sample users"))?;
    text.push_str(&table(cluster, counts));
    suggestions(&mut text, cluster, facts, style)?;
    writeln!(text, "\nCtrl-C ends it. Its files and logs stay.")?;
    Ok(text)
}

/// A sign-in, and three things to try.
fn suggestions(text: &mut String, cluster: &Description, facts: Facts, style: Style) -> fmt::Result {
    let user = |number: u32| {
        if facts.counts.users >= number {
            (generated_name(number), generated_password(number))
        } else {
            let sample = cluster.users.first();
            sample
                .map(|user| (user.username.clone(), user.password.clone()))
                .unwrap_or_default()
        }
    };
    let (name, password) = user(1);
    writeln!(text, "\n{}", style.heading("Sign in"))?;
    writeln!(text, "  {}", curl(cluster, &name, &password))?;
    if cluster.agents.is_empty() {
        return no_agent(text, cluster);
    }

    writeln!(text, "\n{}", style.heading("Three things to try"))?;
    writeln!(text, "  1. A wrong password:")?;
    writeln!(text, "     {}", curl(cluster, &name, "wrong"))?;
    if let Some(agent) = cluster.agents.first() {
        let promise = if cluster.agents.len() > 1 {
            "no sign-in fails"
        } else {
            "the only one; sign-ins fail until it is back"
        };
        writeln!(text, "  2. Kill an agent while a loop signs in; {promise}:")?;
        writeln!(
            text,
            "     while sleep 0.1; do {}; done",
            curl(cluster, &name, &password)
        )?;
        writeln!(
            text,
            "     kill -9 {}     # {}, in another terminal",
            agent.pid, agent.name
        )?;
        let control = format!("{}/children/{}", cluster.control, agent.name);
        writeln!(
            text,
            "     curl -s {control} -d '{{\"do\":\"restart\"}}'   # brings it back"
        )?;
    }
    let Some(lockout) = facts.lockout else {
        return writeln!(
            text,
            "  3. An account that an administrator must unlock: luke.locked above"
        );
    };
    let (name, password) = user(2);
    writeln!(
        text,
        "  3. Lock an account, and let the lock end by the directory's clock:"
    )?;
    writeln!(
        text,
        "     for i in $(seq {}); do {}; done",
        lockout.after,
        curl(cluster, &name, "wrong")
    )?;
    writeln!(text, "     {}   # account_locked", curl(cluster, &name, &password))?;
    let clock = format!("{}/clock", directory_control(cluster));
    writeln!(text, "     curl -s {clock} -d '{{\"advance_s\":{}}}'", lockout.seconds)?;
    writeln!(text, "     {}   # success", curl(cluster, &name, &password))
}

/// Without agents there is one thing to try: to have some.
fn no_agent(text: &mut String, cluster: &Description) -> fmt::Result {
    writeln!(
        text,
        "  There is no agent: it is answered `unavailable` (`no_agent`) until one is in session. Its certificate:"
    )?;
    writeln!(
        text,
        "     postern pki agent {}/{}/NAME '{}'",
        cluster.tenant, cluster.realm, cluster.dir
    )
}

fn directory_control(cluster: &Description) -> &str {
    match cluster.dcs.first() {
        Some(DcDescription::Simulated(dc)) => &dc.control,
        Some(DcDescription::Existing(_)) | None => "",
    }
}

fn count(number: u16, what: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {what}{s}")
}

fn table(cluster: &Description, counts: Counts) -> String {
    let mut rows: Vec<[String; 3]> = cluster
        .users
        .iter()
        .map(|user| {
            [
                user.username.clone(),
                user.password.clone(),
                user.expect.as_str().to_owned(),
            ]
        })
        .collect();
    match counts.users {
        0 => {}
        1 => rows.push([generated_name(1), generated_password(1), "success".to_owned()]),
        last => {
            rows.push([generated_name(1), generated_password(1), "success".to_owned()]);
            rows.push([
                format!("… {}", generated_name(last)),
                generated_password(last),
                "success".to_owned(),
            ]);
        }
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (names, passwords) = (width(0), width(1));
    rows.iter()
        .map(|[name, password, expect]| format!("  {name:names$}  {password:passwords$}  {expect}\n"))
        .collect()
}

/// Ready to paste into a shell: no value has a quotation mark or a backslash.
fn curl(cluster: &Description, name: &str, password: &str) -> String {
    let (ca, api) = api(cluster);
    format!("curl -s {ca}{api}/v1/sign-in -d '{{\"username\":\"{name}\",\"password\":\"{password}\"}}'")
}

/// What curl needs to trust the first relay's API, and where it is.
fn api(cluster: &Description) -> (String, &str) {
    let api = cluster.relays.first().map_or("", |relay| &relay.api);
    let ca = match api.starts_with("https") {
        true => format!("--cacert '{}' ", cluster.ca),
        false => String::new(),
    };
    (ca, api)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::REALM;
    use crate::cluster::description::{AgentDescription, RelayDescription, SimulatedDc};
    use crate::cluster::users::samples;

    pub(super) fn cluster(api: &str) -> Description {
        Description {
            tenant: "acme",
            realm: REALM.to_owned(),
            ca: "/tmp/c/ca.pem".to_owned(),
            dir: "/tmp/c".to_owned(),
            control: "http://127.0.0.1:7000".to_owned(),
            relays: vec![RelayDescription {
                name: "relay-1".to_owned(),
                pid: 11,
                api: api.to_owned(),
                quic: String::new(),
                admin: String::new(),
                argv: Vec::new(),
                log: String::new(),
            }],
            agents: vec![AgentDescription {
                name: "agent-1".to_owned(),
                pid: 4242,
                admin: String::new(),
                argv: Vec::new(),
                log: String::new(),
            }],
            dcs: vec![DcDescription::Simulated(SimulatedDc {
                name: "dc-1".to_owned(),
                pid: 13,
                ldap: String::new(),
                ldaps: String::new(),
                control: "http://127.0.0.1:7001".to_owned(),
                argv: Vec::new(),
                log: String::new(),
            })],
            users: samples(),
        }
    }

    fn shown(api: &str, users: u32) -> String {
        let counts = Counts {
            relays: 1,
            agents: 1,
            dcs: 1,
            users,
        };
        let facts = Facts {
            counts,
            lockout: Some(Lockout { after: 3, seconds: 60 }),
            took: Duration::from_secs(2),
        };
        welcome(&cluster(api), facts, Style { bold: false }).unwrap()
    }

    #[test]
    fn every_sample_user_is_in_a_line_with_its_password_and_what_to_expect() {
        let text = shown("http://127.0.0.1:7010", 1000);
        for user in samples() {
            let fits = |line: &str| {
                line.split_whitespace()
                    .eq([user.username.as_str(), &user.password, user.expect.as_str()])
            };
            assert!(text.lines().any(fits), "{}", user.username);
        }
        assert!(text.contains("user001000@corp.example.com"));
        assert!(text.contains("Sign-in page http://127.0.0.1:7010/\n"));
        assert!(text.contains("kill -9 4242"));
        assert!(!text.contains('\x1b'));
    }

    #[test]
    fn with_tls_the_commands_name_the_ca_and_without_generated_users_they_use_a_sample() {
        let text = shown("https://127.0.0.1:7010", 0);
        assert!(
            text.contains("--cacert '/tmp/c/ca.pem' https://127.0.0.1:7010/v1/sign-in"),
            "{text}"
        );
        assert!(text.contains(&samples()[0].username) && !text.contains("user000001"));
    }

    #[test]
    fn where_there_is_no_agent_it_is_said_what_comes_of_that_and_nobody_is_to_be_killed() {
        let mut cluster = cluster("http://127.0.0.1:7010");
        cluster.agents.clear();
        let facts = Facts {
            counts: Counts {
                relays: 1,
                agents: 0,
                dcs: 1,
                users: 0,
            },
            lockout: None,
            took: Duration::from_secs(2),
        };
        let text = welcome(&cluster, facts, Style { bold: false }).unwrap();
        assert!(text.contains("1 relay, 0 agents, 1 domain controller;"), "{text}");
        assert!(
            text.contains("postern pki agent acme/corp.example.com/NAME '/tmp/c'"),
            "{text}"
        );
        assert!(!text.contains("kill"), "{text}");
    }

    #[test]
    fn what_is_pasted_needs_no_escaping() {
        let values = samples().into_iter().flat_map(|user| [user.username, user.password]);
        assert!(values.into_iter().all(|value| !value.contains(['\'', '"', '\\'])));
    }
}
