//! What every binary's metrics begin with.

use prometheus::{IntGaugeVec, Opts, Registry};

/// A registry with `postern_<part>_build_info{version}` and, where the kernel offers them, the process's CPU time,
/// memory and descriptors.
///
/// # Errors
/// When a name is registered twice or is not valid.
pub fn registry(part: &str, version: &str) -> prometheus::Result<Registry> {
    let registry = Registry::new();
    let info = IntGaugeVec::new(
        Opts::new(
            format!("postern_{part}_build_info"),
            "Always 1; the labels tell what is running.",
        ),
        &["version"],
    )?;
    info.with_label_values(&[version]).set(1);
    registry.register(Box::new(info))?;
    registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
    Ok(registry)
}
