//! The agent's metrics. Names are a contract; label values come from the configuration or from closed sets.

use postern_protocol::Verdict;
use postern_service::metrics as common;
use prometheus::core::Collector;
use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry, opts};

/// Upper bounds in seconds: a bind takes from 0.2 ms (OpenLDAP) over 5 ms (Samba) to the bind timeout.
const BIND_BUCKETS: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
];

/// What a bind comes to that is no verdict, in the metrics.
pub(crate) mod no_verdict {
    /// The domain controller could not check the password now.
    pub(crate) const UNAVAILABLE: &str = "unavailable";
    /// The directory refuses binds like this one.
    pub(crate) const ERROR: &str = "error";
    /// Nobody knows whether the password was checked.
    pub(crate) const INDETERMINATE: &str = "indeterminate";
}

const NO_VERDICTS: [&str; 3] = [no_verdict::UNAVAILABLE, no_verdict::ERROR, no_verdict::INDETERMINATE];

/// What look-ups come to.
pub(crate) mod look_up {
    pub(crate) const ONE: &str = "one";
    pub(crate) const NONE: &str = "none";
    pub(crate) const SEVERAL: &str = "several";
    pub(crate) const NOT_READY: &str = "not_ready";
    pub(crate) const FAILED: &str = "failed";
    /// All of them.
    pub(super) const ALL: [&str; 5] = [ONE, NONE, SEVERAL, NOT_READY, FAILED];
}

/// Everything that is counted.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// Binds that were sent, by domain controller and what became of them.
    pub(crate) binds: IntCounterVec,
    /// From sending a bind to its answer.
    pub(crate) bind_duration: HistogramVec,
    /// Whether a domain controller answers.
    pub(crate) dc_up: IntGaugeVec,
    /// Sessions, by relay address and whether there is one.
    pub(crate) links: IntGaugeVec,
    /// Sessions, by relay address and what carries them.
    pub(crate) link_sessions: IntGaugeVec,
    /// Attempts to connect.
    pub(crate) link_connects: IntCounterVec,
    /// Sealed passwords, by whether they opened.
    pub(crate) opens: IntCounterVec,
    /// Sign-ins whose id was bound before.
    pub(crate) replays_refused: IntCounter,
    /// Sign-ins whose start window had passed, or might have.
    pub(crate) window_refusals: IntCounter,
    /// Names that were looked up, by what came of it.
    pub(crate) look_ups: IntCounterVec,
    /// Whether the directory refused the service account when it was last bound.
    pub(crate) service_account_refused: IntGauge,
    /// Whether the configuration is in force as its files stand, as far as it can be without a restart.
    pub(crate) config_last_reload_successful: IntGauge,
    certificate_not_after: IntGaugeVec,
}

impl Metrics {
    /// Registers everything in a new registry.
    pub(crate) fn new(certificate_not_after: i64) -> prometheus::Result<(Self, Registry)> {
        let registry = common::registry("agent", env!("CARGO_PKG_VERSION"))?;
        let metrics = Self {
            binds: register(
                &registry,
                IntCounterVec::new(
                    opts!("postern_agent_binds_total", "Binds sent to the directory."),
                    &["dc", "verdict"],
                )?,
            )?,
            bind_duration: register(
                &registry,
                HistogramVec::new(
                    HistogramOpts::new(
                        "postern_agent_bind_duration_seconds",
                        "From sending a bind to its answer.",
                    )
                    .buckets(BIND_BUCKETS.to_vec()),
                    &["dc"],
                )?,
            )?,
            dc_up: register(
                &registry,
                IntGaugeVec::new(
                    opts!("postern_agent_dc_up", "Whether a domain controller answers."),
                    &["dc"],
                )?,
            )?,
            links: register(
                &registry,
                IntGaugeVec::new(
                    opts!(
                        "postern_agent_links",
                        "Links to relays: 1 in the state that each is in."
                    ),
                    &["relay", "state"],
                )?,
            )?,
            link_sessions: register(
                &registry,
                IntGaugeVec::new(
                    opts!(
                        "postern_agent_link_sessions",
                        "Sessions with relays, by what carries them: tcp where no UDP passes."
                    ),
                    &["relay", "transport"],
                )?,
            )?,
            link_connects: register(
                &registry,
                IntCounterVec::new(
                    opts!("postern_agent_link_connects_total", "Attempts to connect to a relay."),
                    &["relay"],
                )?,
            )?,
            opens: register(
                &registry,
                IntCounterVec::new(
                    opts!(
                        "postern_agent_opens_total",
                        "Sealed passwords, by whether they opened and why not."
                    ),
                    &["result"],
                )?,
            )?,
            replays_refused: register(
                &registry,
                IntCounter::new(
                    "postern_agent_replays_refused_total",
                    "Sign-ins refused because their id was bound before.",
                )?,
            )?,
            window_refusals: register(
                &registry,
                IntCounter::new(
                    "postern_agent_window_refusals_total",
                    "Sign-ins refused because their start window had passed, or might have.",
                )?,
            )?,
            look_ups: register(
                &registry,
                IntCounterVec::new(
                    opts!(
                        "postern_agent_look_ups_total",
                        "Names looked up, by how many accounts have them and why that is not known."
                    ),
                    &["result"],
                )?,
            )?,
            service_account_refused: register(
                &registry,
                IntGauge::new(
                    "postern_agent_service_account_refused",
                    "Whether the directory refused the service account when it was last bound.",
                )?,
            )?,
            config_last_reload_successful: register(
                &registry,
                IntGauge::new(
                    "postern_agent_config_last_reload_successful",
                    "Whether the configuration, as its files stand, is in force as far as it can be without a restart.",
                )?,
            )?,
            certificate_not_after: register(
                &registry,
                IntGaugeVec::new(
                    opts!(
                        "postern_agent_certificate_not_after_timestamp_seconds",
                        "The end of a certificate's validity, in seconds since 1970."
                    ),
                    &["use"],
                )?,
            )?,
        };
        for result in look_up::ALL {
            metrics.look_ups.with_label_values(&[result]);
        }
        metrics.set_certificate_end(certificate_not_after);
        metrics.config_last_reload_successful.set(1);
        Ok((metrics, registry))
    }

    /// The end of the certificate that the agent shows to relays, in seconds since 1970.
    pub(crate) fn set_certificate_end(&self, not_after: i64) {
        self.certificate_not_after
            .with_label_values(&["session"])
            .set(not_after);
    }

    /// Removes what is said of a domain controller that is gone.
    pub(crate) fn forget_dc(&self, dc: &str) {
        // A series that there is not need not be removed.
        let _ = self.dc_up.remove_label_values(&[dc]);
        let _ = self.bind_duration.remove_label_values(&[dc]);
        let verdicts = Verdict::ALL.iter().map(|verdict| verdict.as_str());
        for verdict in verdicts.chain(NO_VERDICTS) {
            let _ = self.binds.remove_label_values(&[dc, verdict]);
        }
    }
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> prometheus::Result<C> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}
