//! A domain controller's identity in this process, and its place in the metrics.
//!
//! Domain controllers come and go with DNS, so nothing refers to one by its position. An id is never given twice: what
//! still works with one that is gone (a bind on its way) can do nothing to another.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Weak};

use tokio::sync::Notify;

use crate::metrics::Metrics;

/// One domain controller from its appearance to its disappearance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DcId(u64);

/// What everybody who works with a domain controller holds.
pub(crate) struct Known {
    pub(crate) id: DcId,
    series: Arc<Series>,
    /// Asks for a health check now.
    pub(super) doubt: Notify,
}

impl Known {
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
        })
    }
}
