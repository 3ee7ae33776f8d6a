//! A domain controller's identity in this process, and its place in the metrics.
//!
//! Domain controllers come and go with DNS, so nothing refers to one by its position. An id is never given twice: what
//! still works with one that is gone (a bind on its way) can do nothing to another.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Notify;

use super::root_dse::RootDse;
use crate::core::kind::Kind;
use crate::metrics::Metrics;
use postern_ldap::client::password_policy;

/// One domain controller from its appearance to its disappearance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DcId(u64);

/// What everybody who works with a domain controller holds.
pub(crate) struct Known {
    pub(crate) id: DcId,
    series: Arc<Series>,
    /// Asks for a health check now.
    pub(super) doubt: Notify,
    facts: Mutex<Option<Arc<Facts>>>,
}

/// What a domain controller is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The configured kind, or what it says it is.
    pub(crate) kind: Kind,
    /// What it says of itself.
    pub(crate) root_dse: RootDse,
}

impl Facts {
    /// Whether it is asked what its password policy says of a bind. Active Directory has no such thing, whatever it
    /// lists. One that lists nothing at all, as one that refuses its RootDSE, is asked: after a reset only the policy
    /// tells that result 0 is no success, and who does not know the control ignores it.
    pub(crate) fn has_password_policy(&self) -> bool {
        let controls = &self.root_dse.supported_controls;
        self.kind != Kind::ActiveDirectory && (controls.is_empty() || self.root_dse.has_control(password_policy::OID))
    }
}

impl Known {
    /// What it is; nothing before it was asked.
    pub(crate) fn facts(&self) -> Option<Arc<Facts>> {
        self.lock().clone()
    }

    /// It was asked. Gives whether it says something new.
    pub(super) fn learn(&self, facts: Facts) -> bool {
        let mut present = self.lock();
        let news = present.as_deref() != Some(&facts);
        if news {
            *present = Some(Arc::new(facts));
        }
        news
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Facts>>> {
        // There are whole facts or none.
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The name in logs and metrics.
    pub(crate) fn name(&self) -> &str {
        &self.series.name
    }
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?})", self.name(), self.id)
    }
}

/// The metric series of one name. They are removed with the last one who might still count something in them, and
/// so cannot come back by a bind that ends after its domain controller was forgotten.
struct Series {
    name: String,
    metrics: Arc<Metrics>,
}

impl Drop for Series {
    fn drop(&mut self) {
        self.metrics.forget_dc(&self.name);
    }
}

/// Gives out ids.
pub(super) struct Register {
    metrics: Arc<Metrics>,
    next: u64,
    series: BTreeMap<String, Weak<Series>>,
}

impl Register {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            next: 0,
            series: BTreeMap::new(),
        }
    }

    /// A domain controller that has just appeared.
    pub(super) fn appeared(&mut self, name: &str) -> Arc<Known> {
        self.series.retain(|_, series| series.strong_count() > 0);
        let series = match self.series.get(name).and_then(Weak::upgrade) {
            // It was here before and is not quite gone.
            Some(series) => series,
            None => {
                let series = Arc::new(Series {
                    name: name.to_owned(),
                    metrics: self.metrics.clone(),
                });
                self.series.insert(name.to_owned(), Arc::downgrade(&series));
                series
            }
        };
        self.next += 1;
        Arc::new(Known {
            id: DcId(self.next),
            series,
            doubt: Notify::new(),
            facts: Mutex::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_policy_is_asked_for_unless_the_server_is_known_to_have_none() {
        let asks = |kind, controls: &[&str]| {
            let root_dse = RootDse {
                supported_controls: controls.iter().map(|oid| (*oid).to_owned()).collect(),
                ..RootDse::default()
            };
            Facts { kind, root_dse }.has_password_policy()
        };
        const OTHER: &str = "1.2.840.113556.1.4.319";
        for kind in [Kind::OpenLdap, Kind::Ds389, Kind::Other] {
            assert!(asks(kind, &[OTHER, password_policy::OID]));
            assert!(asks(kind, &[]), "it showed nothing, which says nothing");
            assert!(!asks(kind, &[OTHER]));
        }
        assert!(!asks(Kind::ActiveDirectory, &[password_policy::OID]));
        assert!(!asks(Kind::ActiveDirectory, &[]));
    }
}
