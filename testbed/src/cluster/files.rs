//! The configuration file of every part, as a person would write it, and the command that runs it.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use postern_protocol::Password;
use postern_protocol::identity::{AgentIdentity, RealmKey, Segment};
use serde::Serialize;
use toml::Table;

use super::description::url;
use super::existing::{AlternateValue, Existing};
use super::folder::Folder;
use super::ports::{MockDcPorts, Ports};
use super::{Counts, Domain, MAIL_SUFFIX, NETBIOS, REALM, TENANT, dc_config, loopback, numbered, users};
use crate::links::Links;
use crate::pki::{Issued, Pki, RELAY_SERVER_NAME};
use crate::supervisor::{Kind, Part};
use shapes::{
    Account, Agent, AgentSection, AlternateId, Api, Bucket, Certificate, Dc, DirectoryDomain, Generated, Limits,
    Listen, LookUp, MockDc, Page, Policy, Quic, Realm, Relay, RelayIdentity, Relays, Server, Tenant,
};

mod shapes;

/// A relay's token buckets, per second and as burst: high enough that no trial on one machine meets them.
const UNLIMITED: u32 = 100_000;

/// What a new Windows domain has: ten wrong passwords lock for ten minutes.
const LOCKOUT: Policy = Policy {
    lockout_threshold: 10,
    lockout_duration_s: 600,
    lockout_window_s: 600,
};

/// The file of the service account's password, in the cluster's folder.
const SERVICE_PASSWORD: &str = "service-password";

/// What the files are written from.
#[derive(Debug)]
pub struct Site<'a> {
    /// Where they are written to.
    pub folder: &'a Folder,
    /// Who signs.
    pub pki: &'a Pki,
    /// The cluster's size.
    pub counts: Counts,
    /// Its ports.
    pub ports: &'a Ports,
    /// Whether the sign-in API has TLS.
    pub tls_api: bool,
    /// Where people's names are routed from.
    pub domain: &'a Domain,
    /// What answers binds.
    pub directory: Directory<'a>,
    /// What is between agents and relays, if anything is.
    pub links: Option<&'a Links>,
}

/// What the agents stand in front of.
#[derive(Debug, Clone, Copy)]
pub enum Directory<'a> {
    /// mock-dc, a part of the cluster.
    Simulated {
        /// What it does differently.
        dc_config: Option<&'a Path>,
    },
    /// Somebody's own.
    Existing(&'a Existing),
}

/// Every process of the cluster.
#[derive(Debug)]
pub struct Parts {
    /// One for each relay.
    pub relays: Vec<Part>,
    /// One for each agent.
    pub agents: Vec<Part>,
    /// The one that serves all simulated domain controllers.
    pub dcs: Option<Part>,
    /// When the directory locks an account; `None` when it locks none by itself, or for good.
    pub lockout: Option<Lockout>,
}

/// A domain's lockout policy, as far as it ends by the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lockout {
    /// Wrong passwords that lock.
    pub after: i64,
    /// Seconds until the lock ends.
    pub seconds: i64,
}

impl Lockout {
    fn of(mock_dc: &Table) -> Option<Self> {
        let policy = mock_dc.get("policy")?;
        let number = |key: &str| policy.get(key)?.as_integer().filter(|&number| number > 0);
        Some(Self {
            after: number("lockout_threshold")?,
            seconds: number("lockout_duration_s")?,
        })
    }
}

impl Site<'_> {
    /// Makes the certificates and writes the files.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn write(&self) -> anyhow::Result<Parts> {
        let (dcs, lockout) = match (self.directory, self.ports.mock_dc) {
            (Directory::Simulated { dc_config }, Some(ports)) => {
                // Another in each cluster and each run: it is nobody's to know.
                let password = Password::new(format!("{:032x}", rand::random::<u128>()).into())?;
                let (part, lockout) = self.mock_dc(ports, dc_config, &password)?;
                // It stays with the other files: whoever starts a part again needs it.
                write_private(&self.folder.path().join(SERVICE_PASSWORD), password.expose())?;
                (Some(part), lockout)
            }
            _ => (None, None),
        };
        // The relays trust it, and without agents nobody else makes it.
        self.pki.tenant(&TENANT.parse()?)?;
        Ok(Parts {
            dcs,
            lockout,
            agents: (0..self.ports.agents.len())
                .map(|index| self.agent(index))
                .collect::<Result<_, _>>()?,
            relays: (0..self.ports.relays.len())
                .map(|index| self.relay(index))
                .collect::<Result<_, _>>()?,
        })
    }

    fn mock_dc(
        &self,
        ports: MockDcPorts,
        dc_config: Option<&Path>,
        service_password: &Password,
    ) -> anyhow::Result<(Part, Option<Lockout>)> {
        let names: Vec<String> = (0..self.ports.dcs.len()).map(dc_host_name).collect();
        let issued = self.pki.domain_controllers(&names)?;
        let dcs = self.ports.dcs.iter().enumerate().map(|(index, ports)| Dc {
            name: numbered("dc", index),
            ldap: loopback(ports.ldap).to_string(),
            ldaps: loopback(ports.ldaps).to_string(),
        });
        let config = MockDc {
            users: users::directory_entries(service_password),
            dcs: dcs.collect(),
            domain: DirectoryDomain {
                name: REALM,
                netbios: NETBIOS,
            },
            policy: LOCKOUT,
            generated: Generated {
                count: self.counts.users,
                mail_suffix: MAIL_SUFFIX,
            },
            tls: self.certificate(&issued)?,
            control: Listen::on(ports.control),
            admin: Listen::on(ports.admin),
        };
        let mut table = Table::try_from(config)?;
        if let Some(path) = dc_config {
            dc_config::merge_file(&mut table, path)?;
        }
        let aliases = (0..self.ports.dcs.len()).map(|index| numbered("dc", index)).collect();
        let part = self.part(Kind::MockDc, "mock-dc", aliases, ports.admin, &table)?;
        Ok((part, Lockout::of(&table)))
    }

    fn relay(&self, index: usize) -> anyhow::Result<Part> {
        let name = numbered("relay", index);
        let ports = self.ports.relays.get(index).context("a relay without ports")?;
        let tenant: Segment = TENANT.parse()?;
        let issued = self.pki.relay(&name.parse()?, &[])?;
        let limit = Bucket {
            per_second: UNLIMITED,
            burst: UNLIMITED,
        };
        let config = Relay {
            relay: RelayIdentity {
                name: name.clone(),
                trust_domain: self.pki.trust_domain().to_string(),
                state: format!("{name}-state"),
            },
            api: Api {
                listen: loopback(ports.api).to_string(),
                tls: self.tls_api.then(|| self.certificate(&issued)).transpose()?,
                disclose: "full",
            },
            page: Page { disclose: "full" },
            quic: Quic {
                listen: loopback(ports.quic).to_string(),
                certificate: self.certificate(&issued)?,
            },
            admin: Listen::on(ports.admin),
            tenants: [Tenant {
                name: TENANT,
                display_name: self.domain.display_name.clone(),
                anchors: self.relative(&self.pki.tenant_ca(&tenant))?,
            }],
            realms: [Realm {
                tenant: TENANT,
                name: self.domain.realm.clone(),
                upn_suffixes: self.domain.upn_suffixes.clone(),
                netbios: [self.domain.netbios.clone()],
                alternate_id: self.domain.alternate_suffixes.clone(),
            }],
            limits: Limits {
                per_caller: limit,
                per_address: limit,
                per_user: limit,
            },
        };
        self.part(Kind::Relay, &name, Vec::new(), ports.admin, &config)
    }

    fn agent(&self, index: usize) -> anyhow::Result<Part> {
        let name = numbered("agent", index);
        let identity = AgentIdentity {
            realm: RealmKey {
                tenant: TENANT.parse()?,
                realm: self.domain.realm.parse()?,
            },
            name: name.parse()?,
        };
        let issued = self.pki.agent(&identity)?;
        let admin = *self.ports.agents.get(index).context("an agent without a port")?;
        let config = Agent {
            agent: AgentSection {
                trust_domain: self.pki.trust_domain().to_string(),
                certificate: self.certificate(&issued)?,
            },
            relays: Relays {
                addresses: self.relay_addresses(&name)?,
                server_name: RELAY_SERVER_NAME,
                anchors: self.relative(&self.pki.ca())?,
            },
            directory: match self.directory {
                Directory::Simulated { .. } => self.simulated_directory()?,
                Directory::Existing(existing) => existing_directory(existing, self.domain)?,
            },
            admin: Listen::on(admin),
        };
        self.part(Kind::Agent, &name, Vec::new(), admin, &config)
    }

    /// Where an agent finds the relays. With proxies in between nobody tells it of any other way: the relays' own files
    /// list no replicas.
    fn relay_addresses(&self, agent: &str) -> anyhow::Result<Vec<String>> {
        let relays = self.ports.relays.iter().enumerate();
        relays
            .map(|(index, relay)| match self.links {
                None => Ok(loopback(relay.quic).to_string()),
                Some(links) => {
                    let address = links.address(agent, &numbered("relay", index));
                    Ok(address.context("a link that was not opened")?.to_string())
                }
            })
            .collect()
    }

    fn simulated_directory(&self) -> anyhow::Result<shapes::Directory> {
        let servers = self.ports.dcs.iter().enumerate().map(|(index, ports)| Server {
            name: numbered("dc", index),
            url: url("ldaps", ports.ldaps),
            server_name: Some(dc_host_name(index)),
        });
        Ok(shapes::Directory {
            anchors: Some(self.relative(&self.pki.ca())?),
            servers: servers.collect(),
            look_up: Some(LookUp {
                account: Some(Account {
                    account: users::service_account(),
                    password_file: SERVICE_PASSWORD.to_owned(),
                }),
                attribute: None,
            }),
            alternate_id: Some(AlternateId {
                attribute: "mail".to_owned(),
                suffixes: self.domain.alternate_suffixes.clone(),
                value: AlternateValue::Typed.as_str(),
            }),
        })
    }

    /// Writes the configuration of a part.
    fn part(
        &self,
        kind: Kind,
        name: &str,
        aliases: Vec<String>,
        admin: u16,
        config: &impl Serialize,
    ) -> anyhow::Result<Part> {
        let path = self.folder.path().join(format!("{name}.toml"));
        let head = format!("# {name} of a cluster that `postern up` brought up, and writes anew each time.\n\n");
        let text = head + &toml::to_string(config)?;
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        let program = std::env::current_exe().context("cannot find the program's own file")?;
        let argv = [
            program.into(),
            kind.subcommand().into(),
            "--config".into(),
            path.into_os_string(),
        ]
        .map(OsString::into_string)
        .into_iter()
        .collect::<Result<_, _>>()
        .map_err(|path| anyhow::anyhow!("{} is not UTF-8", PathBuf::from(path).display()))?;
        Ok(Part {
            kind,
            name: name.to_owned(),
            aliases,
            argv,
            log: self.folder.log(name),
            admin: url("http", admin),
        })
    }

    fn certificate(&self, issued: &Issued) -> anyhow::Result<Certificate> {
        Ok(Certificate {
            certificate: self.relative(&issued.certificate)?,
            key: self.relative(&issued.key)?,
        })
    }

    /// As it stands in a file of the folder.
    fn relative(&self, path: &Path) -> anyhow::Result<String> {
        let relative = path.strip_prefix(self.folder.path())?;
        Ok(relative.to_str().context("a path that is not UTF-8")?.to_owned())
    }
}

/// Writes a file that nobody else can read, in the place of one of an earlier run.
fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let cannot = || format!("cannot write {}", path.display());
    if path.exists() {
        std::fs::remove_file(path).with_context(cannot)?;
    }
    let options = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    options
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(cannot)
}

fn existing_directory(existing: &Existing, domain: &Domain) -> anyhow::Result<shapes::Directory> {
    let text = |path: &Path| {
        let text = path.to_str().map(str::to_owned);
        text.with_context(|| format!("the path {} is not UTF-8", path.display()))
    };
    let servers = existing.servers.iter().map(|server| Server {
        name: server.name.clone(),
        url: server.url.to_string(),
        server_name: None,
    });
    let look_up = existing.look_up.as_ref().map(|look_up| {
        let account = look_up.account.as_ref().map(|account| {
            Ok::<_, anyhow::Error>(Account {
                account: account.name.clone(),
                password_file: text(account.password.path())?,
            })
        });
        Ok::<_, anyhow::Error>(LookUp {
            account: account.transpose()?,
            attribute: look_up.attribute.clone(),
        })
    });
    Ok(shapes::Directory {
        anchors: existing.anchors.as_deref().map(text).transpose()?,
        servers: servers.collect(),
        look_up: look_up.transpose()?,
        alternate_id: existing.alternate_id.as_ref().map(|alternate| AlternateId {
            attribute: alternate.attribute.clone(),
            suffixes: domain.alternate_suffixes.clone(),
            value: alternate.value.as_str(),
        }),
    })
}

/// The name that a domain controller's certificate is for.
fn dc_host_name(index: usize) -> String {
    format!("{}.{REALM}", numbered("dc", index))
}

#[cfg(test)]
mod tests;
