//! Finding the domain controllers in DNS, again and again.
//!
//! Active Directory registers `_ldap._tcp.dc._msdcs.<domain>` and, for each site, `_ldap._tcp.<site>._sites.dc._msdcs.
//! <domain>` ([MS-ADTS] section 6.3.2.3). DNS that fails takes no domain controller away: each list stands until there
//! is another one. What is wrong is logged when it begins and when it is over.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::dc::Shared;
use super::dns::{self, LookupError};
use super::members::Wanted;
use super::pool::Capacity;
use crate::config::{Discover, Server};
use crate::core::backoff::Backoff;
use crate::core::locator::{self, Choice, Record};

/// A name that is asked for, and what is known of it.
struct Asked {
    name: String,
    /// The last answer.
    records: Option<Vec<Record>>,
    trouble: Option<String>,
}

impl Asked {
    fn new(name: String) -> Self {
        Self {
            name,
            records: None,
            trouble: None,
        }
    }

    fn heard(&mut self, answer: Result<Vec<Record>, LookupError>) {
        match answer {
            Ok(records) => {
                if self.trouble.take().is_some() {
                    tracing::info!(name = %self.name, "DNS tells of domain controllers again");
                }
                self.records = Some(records);
            }
            Err(error) => {
                let trouble = error.to_string();
                if self.trouble.as_ref() != Some(&trouble) {
                    let known = self.records.as_ref().map_or(0, Vec::len);
                    tracing::warn!(%trouble, known, "DNS tells of no domain controllers; those known are kept");
                }
                self.trouble = Some(trouble);
            }
        }
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
            site.heard(answer);
        }
        self.domain.heard(of_domain);
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
        let choices = locator::choose(site, self.domain.known(), &self.hosts, rand::random);
        self.hosts = choices.iter().map(|choice| choice.record.host.clone()).collect();
        let listed: Vec<Wanted> = self.listed.iter().map(Wanted::listed).collect();
        let is_listed = |choice: &Choice| {
            let host = &choice.record.host;
            let same =
                |server: &Server| server.name == *host || server.host == *host || server.tls_name.to_str() == *host;
            self.listed.iter().any(same)
        };
        let mut found: Vec<Wanted> = choices
            .iter()
            .filter(|choice| !is_listed(choice))
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
        let soon = backoff.next_delay(rand::random()).max(LEAST_PAUSE);
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

/// The name that all domain controllers of `domain` register.
pub(crate) fn domain_name(domain: &str) -> String {
    format!("_ldap._tcp.dc._msdcs.{domain}")
}

/// The name that those of a site register.
pub(crate) fn site_name(domain: &str, site: &str) -> String {
    format!("_ldap._tcp.{site}._sites.dc._msdcs.{domain}")
}
