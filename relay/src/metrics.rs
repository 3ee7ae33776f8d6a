//! What the relay counts. Label values come from the configuration, from certificates and from closed enums; never
//! from what somebody typed.

use postern_protocol::AgentIdentity;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, Result,
};

/// From half a millisecond (an answer without a directory) to the longest deadline worth telling apart.
const DURATION_BUCKETS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0,
];

/// Every series of the relay.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// `…_signins_total{tenant,realm,outcome}`
    pub signins: IntCounterVec,
    /// `…_signin_duration_seconds{outcome}`
    pub signin_duration: HistogramVec,
    /// `…_unavailable_total{tenant,realm,reason}`
    pub unavailable: IntCounterVec,
    /// `…_queue_depth{tenant,realm}`
    pub queue_depth: IntGaugeVec,
    /// `…_queue_wait_seconds`
    pub queue_wait: Histogram,
    /// `…_agents{tenant,realm,state}`
    pub agents: IntGaugeVec,
    /// `…_agent_inflight{tenant,realm,agent}`
    pub agent_inflight: IntGaugeVec,
    /// `…_handoffs_total{tenant,realm,reason}`
    pub handoffs: IntCounterVec,
    /// `…_ambiguous_total{tenant,realm,policy,phase}`
    pub ambiguous: IntCounterVec,
    /// `…_shed_total{reason}`
    pub shed: IntCounterVec,
    /// `…_links{transport}`
    pub links: IntGaugeVec,
    /// `…_duplicate_agents`
    pub duplicate_agents: IntGauge,
    /// `…_config_last_reload_successful`
    pub config_last_reload_successful: IntGauge,
    /// `…_certificate_not_after_timestamp_seconds{use}`
    pub certificate_not_after: IntGaugeVec,
}

impl Metrics {
    /// Registers everything in `registry`.
    ///
    /// # Errors
    /// When a name is registered already.
    pub fn new(registry: &Registry) -> Result<Self> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let vec = IntCounterVec::new(Opts::new(format!("postern_relay_{name}"), help), labels)?;
            registry.register(Box::new(vec.clone())).map(|()| vec)
        };
        let gauge = |name: &str, help: &str, labels: &[&str]| {
            let vec = IntGaugeVec::new(Opts::new(format!("postern_relay_{name}"), help), labels)?;
            registry.register(Box::new(vec.clone())).map(|()| vec)
        };
        let buckets = |name: &str, help: &str| {
            HistogramOpts::new(format!("postern_relay_{name}"), help).buckets(DURATION_BUCKETS.to_vec())
        };
        let signin_duration = HistogramVec::new(
            buckets(
                "signin_duration_seconds",
                "From a sign-in's arrival to its answer, the reject grid included.",
            ),
            &["outcome"],
        )?;
        registry.register(Box::new(signin_duration.clone()))?;
        let queue_wait =
            Histogram::with_opts(buckets("queue_wait_seconds", "From arrival to being sent to an agent."))?;
        registry.register(Box::new(queue_wait.clone()))?;
        let duplicate_agents = IntGauge::new(
            "postern_relay_duplicate_agents",
            "Agents whose certificate is used by more than one live process.",
        )?;
        registry.register(Box::new(duplicate_agents.clone()))?;
        let config_last_reload_successful = IntGauge::new(
            "postern_relay_config_last_reload_successful",
            "Whether the configuration, as its files stand, is in force as far as it can be without a restart.",
        )?;
        config_last_reload_successful.set(1);
        registry.register(Box::new(config_last_reload_successful.clone()))?;
        Ok(Self {
            config_last_reload_successful,
            signins: counter(
                "signins_total",
                "Sign-ins answered, by outcome.",
                &["tenant", "realm", "outcome"],
            )?,
            signin_duration,
            unavailable: counter(
                "unavailable_total",
                "Sign-ins without a verdict, by reason.",
                &["tenant", "realm", "reason"],
            )?,
            queue_depth: gauge("queue_depth", "Sign-ins that wait for an agent.", &["tenant", "realm"])?,
            queue_wait,
            agents: gauge("agents", "Sessions of agents, by state.", &["tenant", "realm", "state"])?,
            agent_inflight: gauge("agent_inflight", "Sign-ins at an agent.", &["tenant", "realm", "agent"])?,
            handoffs: counter(
                "handoffs_total",
                "Sign-ins given to another agent after one made no bind, by its reason.",
                &["tenant", "realm", "reason"],
            )?,
            ambiguous: counter(
                "ambiguous_total",
                "Attempts of which it is unknown whether a bind was made.",
                &["tenant", "realm", "policy", "phase"],
            )?,
            shed: counter(
                "shed_total",
                "Sign-ins refused, or not handed on, since there was too much to do.",
                &["reason"],
            )?,
            links: gauge("links", "Connections of agents.", &["transport"])?,
            duplicate_agents,
            certificate_not_after: gauge(
                "certificate_not_after_timestamp_seconds",
                "End of validity of the relay's own certificates.",
                &["use"],
            )?,
        })
    }

    /// Drops the series of an agent that has left.
    pub fn forget_agent(&self, agent: &AgentIdentity) {
        let labels = [
            agent.realm.tenant.as_str(),
            agent.realm.realm.as_str(),
            agent.name.as_str(),
        ];
        // Absent if it never had a sign-in.
        let _ = self.agent_inflight.remove_label_values(&labels);
    }
}
