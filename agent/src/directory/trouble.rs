//! What stands against each domain controller, and against the agent being ready.

use std::collections::BTreeMap;

use postern_service::admin::Readiness;

/// The topic in `/readyz`.
const TOPIC: &str = "directory";

/// The present trouble with each domain controller that cannot be used. The agent is ready while one can.
pub(super) struct Troubles {
    by_dc: BTreeMap<String, Option<String>>,
    readiness: Readiness,
}

impl Troubles {
    /// All `dcs` are still to be connected to.
    pub(super) fn new<'a>(dcs: impl Iterator<Item = &'a str>, readiness: Readiness) -> Self {
        let by_dc = dcs
            .map(|dc| (dc.to_owned(), Some("not connected yet".to_owned())))
            .collect();
        let troubles = Self { by_dc, readiness };
        troubles.publish();
        troubles
    }

    /// Gives whether this is news.
    pub(super) fn set(&mut self, dc: &str, trouble: &str) -> bool {
        let trouble = Some(trouble.to_owned());
        let news = self.by_dc.get(dc) != Some(&trouble);
        self.by_dc.insert(dc.to_owned(), trouble);
        self.publish();
        news
    }

    pub(super) fn clear(&mut self, dc: &str) {
        self.by_dc.insert(dc.to_owned(), None);
        self.publish();
    }

    fn publish(&self) {
        let troubles: Vec<String> = self
            .by_dc
            .iter()
            .filter_map(|(dc, trouble)| trouble.as_ref().map(|trouble| format!("{dc}: {trouble}")))
            .collect();
        if troubles.len() == self.by_dc.len() {
            self.readiness.block(
                TOPIC,
                format!("no domain controller can be used: {}", troubles.join("; ")),
            );
        } else {
            self.readiness.clear(TOPIC);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_domain_controller_that_answers_is_enough_and_the_trouble_of_each_is_named() {
        let readiness = Readiness::new();
        let mut troubles = Troubles::new(["dc-1", "dc-2"].into_iter(), readiness.clone());
        assert!(troubles.set("dc-1", "refused"));
        assert!(!troubles.set("dc-1", "refused"));
        let reason = readiness.reasons().remove(TOPIC).unwrap();
        assert!(
            reason.contains("dc-1: refused") && reason.contains("dc-2: not connected"),
            "{reason}"
        );
        troubles.clear("dc-2");
        assert!(readiness.reasons().is_empty());
        assert!(troubles.set("dc-2", "hangs"));
        assert!(!readiness.reasons().is_empty());
    }
}
