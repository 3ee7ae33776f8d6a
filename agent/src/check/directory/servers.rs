//! The doctor at DNS: which domain controllers there are, and whether their names can be believed.

use crate::check::report::{Name, Report, Step, in_two};
use crate::config::{DirectoryConfig, Server};
use crate::directory;

/// The domain controllers that there are, after asking DNS if that is configured.
pub(super) async fn servers(config: &DirectoryConfig, report: &mut Report<'_>) -> Vec<Server> {
    let Some(discover) = &config.discover else {
        return config.servers.clone();
    };
    let (looks, servers) = directory::look(discover, &config.servers).await;
    let any = looks.iter().any(|look| look.trouble.is_none());
    for look in looks {
        let name = &look.name;
        report.add(if let Some(trouble) = look.trouble {
            let (detail, to_do) = in_two(&trouble);
            let advice = format!("directory.discover (domain, site, nameservers): {to_do}");
            // An agent gets on with what the other name says.
            match any {
                true => Step::warning(Name::DirectoryDns, name, detail, advice),
                false => Step::failed(Name::DirectoryDns, name, detail, advice),
            }
        } else if !look.foreign.is_empty() {
            let foreign = look.foreign.into_iter().collect::<Vec<_>>().join(", ");
            let detail = format!("names {}, and {foreign} outside the domain, not used", look.hosts.join(", "));
            let advice = "directory.servers: list those outside if they are yours; if not, somebody forges DNS";
            Step::warning(Name::DirectoryDns, name, detail, advice)
        } else if discover.believes_dns() {
            let detail = format!("names {}, and DNS is believed", look.hosts.join(", "));
            let advice = "directory.discover.verify: leave it out, and give the domain controllers certificates with the \
                          domain's name as well";
            Step::warning(Name::DirectoryDns, name, detail, advice)
        } else {
            Step::ok(Name::DirectoryDns, name, format!("names {}", look.hosts.join(", ")))
        });
    }
    if servers.is_empty() {
        let why = "DNS names no domain controller";
        report.add(Step::skipped(Name::DirectoryConnect, &discover.domain, why));
    }
    servers
}
