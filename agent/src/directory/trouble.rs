//! What stands against each domain controller, against finding them, and so against the agent being ready.

use std::collections::BTreeMap;

use postern_service::admin::Readiness;

use super::known::{DcId, Known};

/// The topic in `/readyz`.
const TOPIC: &str = "directory";

/// The present trouble with each domain controller that cannot be used. The agent is ready while one can.
pub(super) struct Troubles {
    by_dc: BTreeMap<DcId, (String, Option<String>)>,
    /// With finding them.
    discovery: Option<String>,
    readiness: Readiness,
}

impl Troubles {
    /// No domain controller is known.
    pub(super) fn new(readiness: Readiness) -> Self {
        let troubles = Self {
            by_dc: BTreeMap::new(),
            discovery: None,
            readiness,
        };
        troubles.publish();
        troubles
    }

    /// A domain controller that was not connected to yet, or is left alone from now on.
    pub(super) fn untried(&mut self, dc: &Known) {
        self.set(dc, "not connected yet");
    }

    /// Gives whether this is news.
    pub(super) fn set(&mut self, dc: &Known, trouble: &str) -> bool {
        let entry = (dc.name().to_owned(), Some(trouble.to_owned()));
        let news = self.by_dc.get(&dc.id) != Some(&entry);
        self.by_dc.insert(dc.id, entry);
        self.publish();
        news
    }

    pub(super) fn clear(&mut self, dc: &Known) {
        self.by_dc.insert(dc.id, (dc.name().to_owned(), None));
        self.publish();
    }

    /// The domain controller is gone.
    pub(super) fn forget(&mut self, dc: &Known) {
        self.by_dc.remove(&dc.id);
        self.publish();
    }

    /// What is wrong with finding domain controllers.
    pub(super) fn set_discovery(&mut self, trouble: Option<String>) {
        self.discovery = trouble;
        self.publish();
    }

    fn publish(&self) {
        if self.by_dc.values().any(|(_, trouble)| trouble.is_none()) {
            return self.readiness.clear(TOPIC);
        }
        let of_dcs = self
            .by_dc
            .values()
            .filter_map(|(dc, trouble)| Some(format!("{dc}: {}", trouble.as_ref()?)));
        let all: Vec<String> = self.discovery.iter().cloned().chain(of_dcs).collect();
        let all = if all.is_empty() {
            "none is known yet".to_owned()
        } else {
            all.join("; ")
        };
        self.readiness
            .block(TOPIC, format!("no domain controller can be used: {all}"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::known::Register;
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn one_domain_controller_that_answers_is_enough_and_the_trouble_of_each_is_named() {
        let readiness = Readiness::new();
        let reason = || readiness.reasons().remove(TOPIC).unwrap_or_default();
        let mut register = Register::new(Metrics::new(0).unwrap().0.into());
        let (one, two) = (register.appeared("dc-1"), register.appeared("dc-2"));
        let mut troubles = Troubles::new(readiness.clone());
        assert!(reason().contains("none is known"), "{}", reason());
        troubles.set_discovery(Some("DNS is silent".to_owned()));
        assert!(reason().contains("DNS is silent"), "{}", reason());
        troubles.untried(&one);
        troubles.untried(&two);
        assert!(troubles.set(&one, "refused"));
        assert!(!troubles.set(&one, "refused"));
        assert!(
            reason().contains("dc-1: refused") && reason().contains("dc-2: not connected"),
            "{}",
            reason()
        );
        troubles.clear(&two);
        assert!(readiness.reasons().is_empty());
        assert!(troubles.set(&two, "hangs"));
        assert!(!readiness.reasons().is_empty());
        troubles.forget(&two);
        assert!(!reason().contains("dc-2"), "{}", reason());
    }
}
