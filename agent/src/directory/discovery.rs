//! Finding the domain controllers in DNS, again and again.
//!
//! Active Directory registers `_ldap._tcp.dc._msdcs.<domain>` and, for each site, `_ldap._tcp.<site>._sites.dc._msdcs.
//! <domain>` ([MS-ADTS] section 6.3.2.3). DNS that fails takes no domain controller away: each list stands until there
//! is another one. What is wrong is logged when it begins and when it is over. Hosts outside the domain are not taken:
//! whoever forges DNS would name one of their own.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::dc::Shared;
use super::dns::{self, LookupError};
use super::members::Wanted;
use super::pool::Capacity;
use crate::chance::Chance;
use crate::config::{Discover, Server};
use crate::core::backoff::Backoff;
use crate::core::locator::{self, Choice, Record};

/// A name that is asked for, and what is known of it.
struct Asked {
    name: String,
    /// The last answer.
    records: Option<Vec<Record>>,
    /// Hosts of it that are outside the domain.
    foreign: BTreeSet<String>,
    trouble: Option<String>,
}

impl Asked {
    fn new(name: String) -> Self {
        Self {
            name,
            records: None,
            foreign: BTreeSet::new(),
            trouble: None,
        }
    }

    fn heard(&mut self, domain: &str, answer: Result<Vec<Record>, LookupError>) {
        match answer
            .map_err(|error| error.to_string())
            .and_then(|records| self.own(domain, records))
        {
            Ok(records) => {
                if self.trouble.take().is_some() {
                    tracing::info!(name = %self.name, "DNS tells of domain controllers again");
                }
                self.records = Some(records);
            }
            Err(trouble) => {
                if self.trouble.as_ref() != Some(&trouble) {
                    let known = self.records.as_ref().map_or(0, Vec::len);
                    tracing::warn!(%trouble, known, "DNS tells of no domain controllers; those known are kept");
                }
                self.trouble = Some(trouble);
            }
        }
    }

    /// The records of hosts within `domain`; what is wrong if there are none.
    fn own(&mut self, domain: &str, records: Vec<Record>) -> Result<Vec<Record>, String> {
        let is_own = |record: &Record| locator::is_within(domain, &record.host);
        let (own, foreign): (Vec<Record>, Vec<Record>) = records.into_iter().partition(is_own);
        let foreign: BTreeSet<String> = foreign.into_iter().map(|record| record.host).collect();
        if !foreign.is_subset(&self.foreign) {
            tracing::warn!(
                name = %self.name, hosts = ?foreign,
                "DNS names domain controllers outside the domain {domain}; they are not used. If they are yours, list them \
                 in directory.servers; if not, somebody forges DNS",
            );
        }
        self.foreign = foreign;
        if own.is_empty() {
            return Err(format!(
                "all hosts that DNS names for {} are outside the domain; list them in directory.servers if they are yours",
                self.name
            ));
        }
        Ok(own)
    }

    fn known(&self) -> &[Record] {
        self.records.as_deref().unwrap_or_default()
    }
}

/// The search for domain controllers.
pub(super) struct Discovery {
    config: Discover,
    /// Those that the configuration names besides.
    listed: Vec<Server>,
    site: Option<Asked>,
    domain: Asked,
    hosts: BTreeSet<String>,
    shared: Shared,
}

impl Discovery {
    /// Nothing was asked yet.
    pub(super) fn new(config: Discover, listed: Vec<Server>, shared: Shared) -> Self {
        let site = config
            .site
            .as_ref()
            .map(|site| Asked::new(site_name(&config.domain, site)));
        let asking = format!("DNS was not asked yet for the domain controllers of {}", config.domain);
        shared.troubles().set_discovery(Some(asking));
        if config.believes_dns() {
            tracing::warn!(
                domain = %config.domain,
                "INSECURE: directory.discover.verify = \"host\" believes DNS: whoever can forge its answers and has the \
                 certificate of any machine of the domain gets passwords and decides who may sign in; give the domain \
                 controllers certificates for the domain's name, too (AD CS: the template Kerberos Authentication), and \
                 leave the key out",
            );
        }
        Self {
            domain: Asked::new(domain_name(&config.domain)),
            config,
            listed,
            site,
            hosts: BTreeSet::new(),
            shared,
        }
    }

    /// Asks until dropped; tells `wanted` of every change.
    pub(super) async fn run(mut self, wanted: watch::Sender<Vec<Wanted>>) {
        let mut capacity = self.shared.pool.capacity();
        let mut backoff = Backoff::default();
        loop {
            self.ask().await;
            let found = self.found();
            wanted.send_if_modified(|old| {
                let changed = *old != found;
                *old = found;
                changed
            });
            self.pause(&mut capacity, &mut backoff).await;
        }
    }

    async fn ask(&mut self) {
        let nameservers = &self.config.nameservers;
        let site = async {
            match &self.site {
                Some(site) => Some(dns::services(nameservers, &site.name).await),
                None => None,
            }
        };
        let (of_site, of_domain) = tokio::join!(site, dns::services(nameservers, &self.domain.name));
        if let (Some(site), Some(answer)) = (&mut self.site, of_site) {
            site.heard(&self.config.domain, answer);
        }
        self.domain.heard(&self.config.domain, of_domain);
        let troubles = self
            .site
            .iter()
            .chain([&self.domain])
            .filter_map(|asked| asked.trouble.as_deref());
        let troubles: Vec<&str> = troubles.collect();
        let trouble = (!troubles.is_empty()).then(|| troubles.join("; "));
        self.shared.troubles().set_discovery(trouble);
    }

    fn found(&mut self) -> Vec<Wanted> {
        let site = self.site.as_ref().map(Asked::known);
        let choices = locator::choose(site, self.domain.known(), &self.hosts, || {
            self.shared.machine.chance.draw()
        });
        self.hosts = choices.iter().map(|choice| choice.record.host.clone()).collect();
        let listed: Vec<Wanted> = self.listed.iter().map(Wanted::listed).collect();
        let mut found: Vec<Wanted> = choices
            .iter()
            .filter(|choice| !is_listed(&self.listed, choice))
            .filter_map(|choice| {
                Some(Wanted {
                    server: self.config.server(&choice.record)?,
                    tier: choice.tier,
                    weight: choice.record.weight,
                })
            })
            .collect();
        // By name, so that the same answer in another order is no change.
        found.sort_by(|a, b| a.server.name.cmp(&b.server.name));
        listed.into_iter().chain(found).collect()
    }

    /// Until it is time to ask again: sooner, while nothing is known or no domain controller can be used.
    async fn pause(&self, capacity: &mut watch::Receiver<Capacity>, backoff: &mut Backoff) {
        let began = Instant::now();
        let soon = backoff.next_delay(self.shared.machine.chance.draw()).max(LEAST_PAUSE);
        loop {
            let well = capacity.borrow_and_update().ready && self.knows_any();
            if well {
                *backoff = Backoff::default();
            }
            let due = began + if well { self.config.refresh } else { soon };
            tokio::select! {
                biased;
                _ = capacity.changed() => {}
                () = tokio::time::sleep_until(due) => return,
            }
        }
    }

    fn knows_any(&self) -> bool {
        self.site
            .iter()
            .chain([&self.domain])
            .any(|asked| asked.records.is_some())
    }
}

/// Between two questions even when the first failed at once.
const LEAST_PAUSE: Duration = Duration::from_millis(100);

/// Whether the configuration names the same domain controller itself.
fn is_listed(listed: &[Server], choice: &Choice) -> bool {
    let host = &choice.record.host;
    let same = |server: &Server| {
        [&server.name, &server.host, &*server.tls_name.to_str()]
            .iter()
            .any(|name| name.eq_ignore_ascii_case(host))
    };
    listed.iter().any(same)
}

/// What came of asking DNS for a name once.
#[derive(Debug)]
pub(crate) struct Look {
    /// The name.
    pub(crate) name: String,
    /// The hosts that may be domain controllers.
    pub(crate) hosts: Vec<String>,
    /// The hosts that are not taken, because they are outside the domain.
    pub(crate) foreign: BTreeSet<String>,
    /// Why there are none.
    pub(crate) trouble: Option<String>,
}

impl From<Asked> for Look {
    fn from(asked: Asked) -> Self {
        Self {
            hosts: asked.known().iter().map(|record| record.host.clone()).collect(),
            name: asked.name,
            foreign: asked.foreign,
            trouble: asked.trouble,
        }
    }
}

/// Asks DNS once, as an agent does. Also gives the domain controllers that there are then, those that are listed first.
pub(crate) async fn look(config: &Discover, listed: &[Server]) -> (Vec<Look>, Vec<Server>) {
    let ask = async |name| {
        let mut asked = Asked::new(name);
        let answer = dns::services(&config.nameservers, &asked.name).await;
        asked.heard(&config.domain, answer);
        asked
    };
    let site = async {
        match &config.site {
            Some(site) => Some(ask(site_name(&config.domain, site)).await),
            None => None,
        }
    };
    let (site, domain) = tokio::join!(site, ask(domain_name(&config.domain)));
    let of_site = site.as_ref().map(Asked::known);
    let chance = Chance::of_this_machine();
    let choices = locator::choose(of_site, domain.known(), &BTreeSet::new(), || chance.draw());
    let mut found: Vec<Server> = choices
        .iter()
        .filter(|choice| !is_listed(listed, choice))
        .filter_map(|choice| config.server(&choice.record))
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    let looks = site.into_iter().chain([domain]).map(Look::from).collect();
    (looks, listed.iter().cloned().chain(found).collect())
}

/// The name that all domain controllers of `domain` register.
pub(crate) fn domain_name(domain: &str) -> String {
    format!("_ldap._tcp.dc._msdcs.{domain}")
}

/// The name that those of a site register.
pub(crate) fn site_name(domain: &str, site: &str) -> String {
    format!("_ldap._tcp.{site}._sites.dc._msdcs.{domain}")
}
