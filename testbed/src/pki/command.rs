//! `postern pki`: makes a file and says which machine and which key of a configuration it is for.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Subcommand;
use postern_protocol::identity::{AgentIdentity, RealmKey, Segment, TrustDomain};

use super::{DEFAULT_TRUST_DOMAIN, Pki, RELAY_SERVER_NAME};

/// What there is to make.
#[derive(Debug, Subcommand)]
pub enum PkiCommand {
    /// Make a PKI in a folder, with the CA of relays (and of `postern up`'s domain controllers)
    Init {
        /// The folder (made where it is missing; mode 0700, keys 0600)
        #[arg(value_name = "DIR")]
        folder: PathBuf,
        /// Trust domain of every identity: spiffe://TRUST-DOMAIN/…
        #[arg(long, value_name = "NAME", default_value = DEFAULT_TRUST_DOMAIN)]
        trust_domain: TrustDomain,
    },
    /// Make or renew a relay's certificate: DIR/relays/NAME.pem and .key
    Relay {
        /// The relay's name, such as relay-1
        name: Segment,
        /// DNS names (or addresses) that callers and agents reach it by, beside localhost
        #[arg(long, value_name = "NAME", num_args = 1.., required = true)]
        dns: Vec<String>,
        /// The folder of the PKI
        #[arg(value_name = "DIR", required_unless_present = "dns")]
        folder: Option<PathBuf>,
    },
    /// Make or renew an agent's certificate: DIR/tenants/TENANT/REALM/NAME.pem and .key
    Agent {
        /// Whom it names, such as acme/corp.example.com/agent-1
        #[arg(value_name = "TENANT/REALM/NAME", value_parser = agent_identity)]
        identity: AgentIdentity,
        /// The folder of the PKI
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}

/// Carries a command out and says what was made.
///
/// # Errors
/// What is wrong and what to do.
pub fn run(command: PkiCommand) -> anyhow::Result<String> {
    match command {
        PkiCommand::Init { folder, trust_domain } => init(&folder, trust_domain),
        PkiCommand::Relay { name, dns, folder } => {
            let (dns, folder) = names_and_folder(dns, folder)?;
            relay(&folder, &name, &dns)
        }
        PkiCommand::Agent { identity, folder } => agent(&folder, &identity),
    }
}

/// `--dns a b DIR`: the command line does not show where the list of names ends, so its last one is the folder.
pub(crate) fn names_and_folder(
    mut dns: Vec<String>,
    folder: Option<PathBuf>,
) -> anyhow::Result<(Vec<String>, PathBuf)> {
    match folder {
        Some(folder) => Ok((dns, folder)),
        None if dns.len() > 1 => {
            let folder = dns.pop().map(PathBuf::from).context("no folder")?;
            Ok((dns, folder))
        }
        None => bail!("the folder of the PKI is missing after --dns {}", dns.join(" ")),
    }
}

fn init(folder: &Path, trust_domain: TrustDomain) -> anyhow::Result<String> {
    let pki = Pki::init(folder, trust_domain)?;
    let folder = folder.display();
    let mut text = String::new();
    writeln!(
        text,
        "Made a development PKI for the trust domain {} in {folder}",
        pki.trust_domain()
    )?;
    writeln!(text, "  CA of relays  {}", pki.ca().display())?;
    writeln!(text, "Next")?;
    writeln!(text, "  postern pki relay relay-1 --dns relay.example.com {folder}")?;
    writeln!(text, "  postern pki agent acme/corp.example.com/agent-1 {folder}")?;
    Ok(text)
}

fn relay(folder: &Path, name: &Segment, dns: &[String]) -> anyhow::Result<String> {
    let pki = Pki::open(folder)?;
    let issued = pki.relay(name, dns)?;
    let verb = if issued.renewed { "Renewed" } else { "Made" };
    let mut text = String::new();
    writeln!(text, "{verb} the certificate of {}", issued.uri.unwrap_or_default())?;
    writeln!(text, "  certificate  {}", issued.certificate.display())?;
    writeln!(text, "  key          {}", issued.key.display())?;
    writeln!(text, "On the relay's machine: [quic] certificate, key (and [api] tls)")?;
    writeln!(text, "  and for each tenant [[tenants]] anchors: tenants/TENANT/ca.pem")?;
    writeln!(
        text,
        "On every agent's: [relays] anchors = {}",
        issued.anchors.display()
    )?;
    writeln!(text, "  and server_name: {RELAY_SERVER_NAME} or {}", dns.join(", "))?;
    Ok(text)
}

fn agent(folder: &Path, identity: &AgentIdentity) -> anyhow::Result<String> {
    let pki = Pki::open(folder)?;
    let issued = pki.agent(identity)?;
    let verb = if issued.renewed { "Renewed" } else { "Made" };
    let mut text = String::new();
    writeln!(text, "{verb} the certificate of {}", issued.uri.unwrap_or_default())?;
    writeln!(text, "  certificate  {}", issued.certificate.display())?;
    writeln!(text, "  key          {}", issued.key.display())?;
    writeln!(text, "On the agent's machine: [agent] certificate, key")?;
    writeln!(text, "  and [relays] anchors: {}", pki.ca().display())?;
    writeln!(
        text,
        "On every relay's: [[tenants]] name = \"{}\", anchors = {}",
        identity.realm.tenant,
        issued.anchors.display()
    )?;
    Ok(text)
}

fn agent_identity(text: &str) -> Result<AgentIdentity, String> {
    let segment = |text: &str| text.parse::<Segment>().map_err(|error| error.to_string());
    match text.split('/').collect::<Vec<_>>().as_slice() {
        [tenant, realm, name] => Ok(AgentIdentity {
            realm: RealmKey {
                tenant: segment(tenant)?,
                realm: segment(realm)?,
            },
            name: segment(name)?,
        }),
        _ => Err("three names are needed, such as acme/corp.example.com/agent-1".to_owned()),
    }
}
