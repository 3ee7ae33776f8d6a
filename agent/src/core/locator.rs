//! From DNS SRV records (RFC 2782) to domain controllers: which are taken, and in which order of preference.
//!
//! Records are what somebody on the network says. Only names that a host of the domain can have are taken, only so many
//! of them; and none is believed: the domain controller must show a certificate for the name and for the domain.
//!
//! Priority makes tiers, as the RFC says. Weight makes shares of the connections within a tier instead of an order of
//! attempts, since an agent works with several domain controllers at once; in the long run that is the same.

use std::collections::BTreeSet;

use super::tiers::Tier;

/// Taken of a site's records, and of a domain's. With the usual 16 connections more would have less than one each.
pub(crate) const MOST: usize = 16;

/// An SRV record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) priority: u16,
    pub(crate) weight: u16,
    pub(crate) port: u16,
    /// As [`host_name`] gives it.
    pub(crate) host: String,
}

/// A record that is taken, and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) record: Record,
    pub(crate) tier: Tier,
}

/// `target` as the name of a host (RFC 1123, section 2.1) in lower case without a final dot; `None` when it is none: the
/// root, which says that there is no such service, an address, an odd character, too long.
pub(crate) fn host_name(target: &str) -> Option<String> {
    let name = target.strip_suffix('.').unwrap_or(target).to_ascii_lowercase();
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // An all-numeric last label would be read as the end of an IPv4 address.
    let last_is_a_number = name
        .rsplit('.')
        .next()
        .is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    (name.len() <= 253 && name.split('.').all(label) && !last_is_a_number).then_some(name)
}

/// Whether `host` is `domain` itself or has a name below it; both as [`host_name`] gives them.
pub(crate) fn is_within(domain: &str, host: &str) -> bool {
    host.strip_suffix(domain)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Chooses from the records of the site, if one is configured, and of the domain. When there are more than [`MOST`],
/// those in `known` come first, so that the choice does not change without need, then those drawn by weight. `random`
/// gives numbers evenly distributed in [0, 1).
pub(crate) fn choose(
    site: Option<&[Record]>,
    domain: &[Record],
    known: &BTreeSet<String>,
    mut random: impl FnMut() -> f64,
) -> Vec<Choice> {
    let mut taken: Vec<Choice> = Vec::new();
    for (records, elsewhere) in [(site.unwrap_or_default(), false), (domain, site.is_some())] {
        let mut draws: Vec<(u16, bool, f64, &Record)> = records
            .iter()
            .map(|record| {
                // The least of exponentially distributed times is each one's with the probability of its rate.
                let time = -(1.0 - random()).ln() / f64::from(record.weight.max(1));
                (record.priority, !known.contains(&record.host), time, record)
            })
            .collect();
        draws.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then(a.2.total_cmp(&b.2)));
        let mut left = MOST;
        for (priority, _, _, record) in draws {
            let again = taken.iter().any(|other| other.record.host == record.host);
            if left > 0 && !again {
                left -= 1;
                let record = record.clone();
                let tier = Tier { elsewhere, priority };
                taken.push(Choice { record, tier });
            }
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(host: &str, priority: u16, weight: u16) -> Record {
        Record {
            priority,
            weight,
            port: 389,
            host: host.to_owned(),
        }
    }

    fn hosts(choices: &[Choice]) -> Vec<(&str, bool, u16)> {
        let all = choices.iter();
        all.map(|choice| (choice.record.host.as_str(), choice.tier.elsewhere, choice.tier.priority))
            .collect()
    }

    #[test]
    fn only_names_that_a_host_can_have_are_taken() {
        assert_eq!(
            host_name("DC-1.Corp.Example.COM."),
            Some("dc-1.corp.example.com".to_owned())
        );
        assert_eq!(host_name("dc1"), Some("dc1".to_owned()));
        let long = format!("{}.example", "a".repeat(64));
        let longer = ["a"; 128].join(".");
        for target in [
            "", ".", "..", "a..b", "-a.b", "a-.b", "a_b.c", "10.0.0.1", "[::1]", "a b", "dc\n", "dc\u{e9}", "1", &long,
            &longer,
        ] {
            assert_eq!(host_name(target), None, "{target:?}");
        }
    }

    #[test]
    fn a_host_is_within_a_domain_by_whole_labels() {
        for (host, within) in [
            ("corp.example.com", true),
            ("dc-1.corp.example.com", true),
            ("dc-1.berlin.corp.example.com", true),
            ("dc-1.evilcorp.example.com", false),
            ("example.com", false),
            ("corp.example.com.evil.example", false),
            ("evil.example", false),
        ] {
            assert_eq!(is_within("corp.example.com", host), within, "{host}");
        }
    }

    #[test]
    fn the_sites_come_before_the_domains_others_and_lower_priorities_before_higher() {
        let site = [record("b", 10, 100), record("a", 0, 100)];
        let domain = [record("a", 0, 100), record("c", 0, 100), record("b", 0, 100)];
        let choices = choose(Some(&site), &domain, &BTreeSet::new(), || 0.5);
        assert_eq!(hosts(&choices), [("a", false, 0), ("b", false, 10), ("c", true, 0)]);
        let choices = choose(None, &domain, &BTreeSet::new(), || 0.5);
        assert_eq!(hosts(&choices), [("a", false, 0), ("c", false, 0), ("b", false, 0)]);
    }

    #[test]
    fn of_too_many_the_known_stay_and_the_rest_is_drawn_by_weight_within_the_best_priority() {
        let all: Vec<Record> = (0..100)
            .map(|number| record(&format!("dc-{number}"), u16::from(number >= 50), 1))
            .collect();
        let known: BTreeSet<String> = ["dc-40", "dc-99"].map(str::to_owned).into();
        let choices = choose(None, &all, &known, || 0.25);
        assert_eq!(choices.len(), MOST);
        assert_eq!(choices[0].record.host, "dc-40");
        assert!(choices.iter().all(|choice| choice.tier.priority == 0));
        let mut heavy = all[..50].to_vec();
        heavy[33].weight = 1_000;
        let choices = choose(None, &heavy, &BTreeSet::new(), || 0.25);
        assert_eq!(choices[0].record.host, "dc-33");
    }
}
