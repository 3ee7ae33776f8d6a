//! What people see when the cluster stands in front of a directory of their own.
//!
//! The passwords there are real ones: what is suggested shows none on the screen and leaves none in a shell's history
//! or in the list of processes.

use std::fmt::{self, Write as _};

use super::{Facts, Style, api, count, no_agent};
use crate::cluster::Domain;
use crate::cluster::description::{DcDescription, Description};

pub(super) fn welcome(
    cluster: &Description,
    domain: &Domain,
    facts: Facts,
    style: Style,
) -> Result<String, fmt::Error> {
    let counts = facts.counts;
    let mut text = String::new();
    writeln!(
        text,
        "\n{} {}, {} in front of {}; {:.1} s\n",
        style.heading("Postern is up:"),
        count(counts.relays, "relay"),
        count(counts.agents, "agent"),
        domain.realm,
        facts.took.as_secs_f64()
    )?;
    for relay in &cluster.relays {
        writeln!(text, "  Sign-in page {}/", relay.api)?;
        writeln!(text, "  Sign-in API  {}/v1/sign-in", relay.api)?;
    }
    for dc in &cluster.dcs {
        if let DcDescription::Existing(dc) = dc {
            let url = dc.ldaps.as_ref().or(dc.ldap.as_ref());
            writeln!(text, "  Directory    {}", url.map_or("", String::as_str))?;
        }
    }
    writeln!(text, "  Control      {}/children/NAME", cluster.control)?;
    writeln!(text, "  Files, logs  {}", cluster.dir)?;
    writeln!(
        text,
        "  Agents make binds (and look-ups) and write nothing. A wrong password counts in the directory as it does\n  \
         anywhere: several in a row may lock the account. Every outcome is told in full, and Postern's own rate\n  \
         limits are out of reach: this is for trying."
    )?;
    writeln!(text, "\n{}", style.heading("Names"))?;
    text.push_str(&names(domain));
    suggestions(&mut text, cluster, domain, style)?;
    writeln!(text, "\nCtrl-C ends it. Its files and logs stay.")?;
    Ok(text)
}

fn names(domain: &Domain) -> String {
    let known = domain
        .upn_suffixes
        .iter()
        .map(|suffix| (suffix, "as the directory knows it"));
    let looked_up = domain.alternate_suffixes.iter().map(|suffix| (suffix, "looked up"));
    let mut text: String = known
        .chain(looked_up)
        .map(|(suffix, how)| format!("  NAME@{suffix}  ({how})\n"))
        .collect();
    text.push_str(&format!("  {}\\NAME\n", domain.netbios));
    text.push_str("  Others are refused; --upn-suffix adds suffixes that the directory knows.\n");
    text
}

fn suggestions(text: &mut String, cluster: &Description, domain: &Domain, style: Style) -> fmt::Result {
    let (ca, api) = api(cluster);
    let suffixes = domain.upn_suffixes.iter().chain(&domain.alternate_suffixes);
    let suffix = suffixes.map(String::as_str).next().unwrap_or(&domain.realm);
    let sign_in = format!(
        r#"printf '{{"username":"%s","password":"%s"}}' 'NAME@{suffix}' "$PASSWORD" | curl -s {ca}{api}/v1/sign-in -d @-"#
    );
    writeln!(text, "\n{}", style.heading("Sign in"))?;
    writeln!(text, "  In a browser, at the page above, or here:")?;
    writeln!(
        text,
        "  Put your name in the place of NAME. The password is not shown; write \\ and \" in it as \\\\ and \\\"."
    )?;
    writeln!(text, "  printf 'Password: '; read -rs PASSWORD; echo")?;
    writeln!(text, "  {sign_in}")?;

    if cluster.agents.is_empty() {
        return no_agent(text, cluster);
    }

    writeln!(text, "\n{}", style.heading("Two things to try"))?;
    let promise = match cluster.agents.len() {
        1 => "the only one; sign-ins fail until it is back",
        _ => "no sign-in fails",
    };
    if let Some(agent) = cluster.agents.first() {
        writeln!(text, "  1. Kill an agent, and sign in again; {promise}:")?;
        writeln!(text, "     kill -9 {}     # {}", agent.pid, agent.name)?;
        let control = format!("{}/children/{}", cluster.control, agent.name);
        writeln!(
            text,
            "     curl -s {control} -d '{{\"do\":\"restart\"}}'   # brings it back"
        )?;
    }
    writeln!(
        text,
        "  2. Find your sign-in's bind: the agent logs the request id with the domain controller, its own address and\n     \
         the LDAP message id, by which the directory's log can be searched:"
    )?;
    writeln!(text, "     grep -h REQUEST_ID '{}'/logs/*.log", cluster.dir)
}

#[cfg(test)]
mod tests {
    use super::super::tests::cluster;
    use super::*;
    use crate::cluster::Counts;
    use crate::cluster::description::ExistingDc;
    use std::time::Duration;

    #[test]
    fn names_are_told_and_no_password_gets_onto_a_command_line() {
        let mut cluster = cluster("https://127.0.0.1:7010");
        cluster.users.clear();
        cluster.dcs = vec![DcDescription::Existing(ExistingDc {
            name: "dc1.big.example".to_owned(),
            ldap: None,
            ldaps: Some("ldaps://dc1.big.example".to_owned()),
        })];
        let domain = Domain {
            display_name: "Big".to_owned(),
            realm: "big.example".to_owned(),
            netbios: "BIG".to_owned(),
            upn_suffixes: vec!["big.example".to_owned()],
            alternate_suffixes: vec!["mail.example".to_owned()],
        };
        let facts = Facts {
            counts: Counts {
                relays: 1,
                agents: 1,
                dcs: 0,
                users: 0,
            },
            lockout: None,
            took: Duration::from_secs(1),
        };
        let text = welcome(&cluster, &domain, facts, Style { bold: false }).unwrap();
        for line in [
            "  Directory    ldaps://dc1.big.example",
            "  NAME@big.example  (as the directory knows it)",
            "  NAME@mail.example  (looked up)",
            "  BIG\\NAME",
            "--cacert '/tmp/c/ca.pem' https://127.0.0.1:7010/v1/sign-in -d @-",
        ] {
            assert!(text.contains(line), "{line:?} is not in:\n{text}");
        }
        assert!(
            !text.contains("0 domain controllers") && !text.contains("mock-dc"),
            "{text}"
        );
    }
}
