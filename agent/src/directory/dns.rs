//! Asking DNS: for the services of a domain, and for the addresses of a host.
//!
//! Over UDP, and TCP for long answers. What is asked of is the system's resolver configuration, read anew each time, or
//! the name servers that the configuration gives. Nothing is kept from one question to the next: whoever asks again
//! wants to know what has changed.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts, ServerOrderingStrategy,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use tokio::time::timeout;

use crate::core::locator::{Record, host_name};

/// For one question to one server. A resolver that has to ask others first needs a second now and then.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// A datagram may be lost.
const ATTEMPTS: usize = 2;

/// For all servers together.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);

/// Read of one answer; far more than are used.
const MOST_RECORDS: usize = 512;

/// Why DNS gave no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LookupError {
    /// This machine's resolver configuration cannot be read.
    #[error(
        "this machine's DNS configuration (/etc/resolv.conf) cannot be used: {0}; mend it, or name servers in directory.discover.nameservers"
    )]
    System(String),
    /// The name cannot be asked for.
    #[error("{name:?} is no DNS name: {message}")]
    Name {
        /// What was to be asked for.
        name: String,
        /// What is wrong with it.
        message: String,
    },
    /// Nobody answered.
    #[error(
        "asked {servers} for {name} and got no answer; is DNS up there, and does the firewall let UDP and TCP port 53 pass?"
    )]
    Silent {
        /// What was asked for.
        name: String,
        /// Who was asked.
        servers: String,
    },
    /// There is no such name.
    #[error(
        "{servers} knows no {name} (NXDOMAIN); is the name spelt right, and does this DNS server know the directory's zone?"
    )]
    NoName {
        /// What was asked for.
        name: String,
        /// Who was asked.
        servers: String,
    },
    /// There are no such records.
    #[error("{servers} has no {kind} record for {name}; do the domain controllers register themselves in this DNS?")]
    NoRecord {
        /// What was asked for.
        name: String,
        /// The type of record.
        kind: &'static str,
        /// Who was asked.
        servers: String,
    },
    /// The server says that it cannot answer.
    #[error("{servers} answered {code} when asked for {name}; its log says why")]
    Refused {
        /// What was asked for.
        name: String,
        /// Its answer.
        code: String,
        /// Who was asked.
        servers: String,
    },
    /// Something else.
    #[error("asking {servers} for {name}: {message}")]
    Other {
        /// What was asked for.
        name: String,
        /// What the resolver says.
        message: String,
        /// Who was asked.
        servers: String,
    },
}

/// The SRV records of `name`, of the system's name servers unless others are given. Records whose target cannot be a
/// host are left out.
pub(crate) async fn services(nameservers: &[SocketAddr], name: &str) -> Result<Vec<Record>, LookupError> {
    let answers = ask(nameservers, name, RecordType::SRV, "SRV").await?;
    let records: Vec<Record> = answers
        .iter()
        .filter_map(|answer| match answer {
            RData::SRV(srv) => Some(srv),
            _ => None,
        })
        .filter_map(|srv| {
            let target = srv.target.to_string();
            let host = host_name(&target);
            if host.is_none() && target != "." {
                tracing::debug!(name, ?target, "DNS names something that is no host");
            }
            Some(Record {
                priority: srv.priority,
                weight: srv.weight,
                port: srv.port,
                host: host?,
            })
        })
        .collect();
    if records.is_empty() {
        return Err(LookupError::NoRecord {
            name: name.to_owned(),
            kind: "usable SRV",
            servers: names_of(nameservers),
        });
    }
    Ok(records)
}

/// The addresses of `host`: the system's way when no name servers are given.
pub(crate) async fn addresses(nameservers: &[SocketAddr], host: &str, port: u16) -> Result<Vec<SocketAddr>, io::Error> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    if nameservers.is_empty() {
        return Ok(tokio::net::lookup_host((host, port)).await?.collect());
    }
    let (v4, v6) = tokio::join!(
        ask(nameservers, host, RecordType::A, "A"),
        ask(nameservers, host, RecordType::AAAA, "AAAA"),
    );
    let found: Vec<SocketAddr> = [&v4, &v6]
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|answer| match answer {
            RData::A(address) => Some(IpAddr::from(address.0)),
            RData::AAAA(address) => Some(IpAddr::from(address.0)),
            _ => None,
        })
        .map(|address| SocketAddr::new(address, port))
        .collect();
    match v4 {
        Err(error) if found.is_empty() => Err(io::Error::other(error)),
        _ => Ok(found),
    }
}

async fn ask(
    nameservers: &[SocketAddr],
    name: &str,
    kind: RecordType,
    kind_name: &'static str,
) -> Result<Vec<RData>, LookupError> {
    // The final dot: the domains of resolv.conf's `search` are not for these.
    let asked = Name::from_ascii(format!("{name}.")).map_err(|error| LookupError::Name {
        name: name.to_owned(),
        message: error.to_string(),
    })?;
    let (config, mut options) = if nameservers.is_empty() {
        read_system_conf().map_err(|error| LookupError::System(error.to_string()))?
    } else {
        let servers = nameservers.iter().copied().map(name_server).collect();
        (
            ResolverConfig::from_parts(None, Vec::new(), servers),
            ResolverOpts::default(),
        )
    };
    let servers = match nameservers {
        [] => {
            let all: Vec<String> = config
                .name_servers()
                .iter()
                .map(|server| server.ip.to_string())
                .collect();
            all.join(", ")
        }
        given => names_of(given),
    };
    options.timeout = ANSWER_TIMEOUT;
    options.attempts = ATTEMPTS;
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.server_ordering_strategy = ServerOrderingStrategy::UserProvidedOrder;
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    *builder.options_mut() = options;
    let resolver = builder
        .build()
        .map_err(|error| LookupError::System(error.to_string()))?;
    let name = name.to_owned();
    match timeout(LOOKUP_TIMEOUT, resolver.lookup(asked, kind)).await {
        Ok(Ok(found)) => {
            let answers = found.answers().iter().take(MOST_RECORDS);
            Ok(answers.map(|record| record.data.clone()).collect())
        }
        Ok(Err(error)) => Err(explain(&error, name, kind_name, servers)),
        Err(_) => Err(LookupError::Silent { name, servers }),
    }
}

fn explain(error: &NetError, name: String, kind: &'static str, servers: String) -> LookupError {
    match error {
        NetError::Timeout | NetError::NoConnections => LookupError::Silent { name, servers },
        NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain => LookupError::NoName { name, servers },
            ResponseCode::NoError => LookupError::NoRecord { name, kind, servers },
            code => LookupError::Refused {
                name,
                code: code.to_string(),
                servers,
            },
        },
        NetError::Dns(DnsError::ResponseCode(code)) => LookupError::Refused {
            name,
            code: code.to_string(),
            servers,
        },
        other => LookupError::Other {
            name,
            message: other.to_string(),
            servers,
        },
    }
}

fn name_server(address: SocketAddr) -> NameServerConfig {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = address.port();
    }
    // Another server may know a zone that this one does not.
    NameServerConfig::new(address.ip(), false, connections)
}

fn names_of(nameservers: &[SocketAddr]) -> String {
    if nameservers.is_empty() {
        return "this machine's DNS".to_owned();
    }
    let all: Vec<String> = nameservers.iter().map(SocketAddr::to_string).collect();
    all.join(", ")
}
