//! Reading the configuration again while the agent runs: its certificate, and the relays' addresses and anchors.
//!
//! Nothing counts unless the whole file is valid. What is about the directory is read at start; its anchors are watched
//! where they are used.

use std::path::PathBuf;
use std::sync::Arc;

use postern_protocol::{AgentIdentity, TrustDomain};
use postern_service::reload::{Success, Watcher, read};
use postern_service::tls;
use tokio::sync::watch;

use crate::config::{Config, Raw, RelaysConfig};
use crate::link::Context;

/// Sections of the file that are read at start only.
const AT_START: [&str; 4] = ["directory", "opening_key", "admin", "log"];

/// What follows the configuration, and how it stands.
pub(crate) struct Live {
    pub(crate) context: Arc<Context>,
    pub(crate) relays: watch::Sender<RelaysConfig>,
    pub(crate) identity: AgentIdentity,
    pub(crate) trust_domain: TrustDomain,
    pub(crate) certificate: tls::Identity,
    pub(crate) files: Vec<PathBuf>,
}

/// What of a changed configuration is in force, and what takes a restart.
#[derive(Debug, Default)]
struct Applied {
    in_force: Vec<&'static str>,
    with_restart: Vec<String>,
}

/// Watches `path` and the files that it names, without end.
pub(crate) async fn keep_up(path: PathBuf, mut live: Live) {
    let mut watcher = match Watcher::new(path.clone(), &live.files).await {
        Ok(watcher) => watcher,
        Err(error) => {
            tracing::error!(%error, "the configuration is not read again when it changes");
            return std::future::pending().await;
        }
    };
    loop {
        watcher.due().await;
        let reloaded = match read::<Raw>(&path).await {
            Ok(config) => live.apply(config),
            Err(error) => Err(error),
        };
        let metrics = &live.context.agent.metrics;
        metrics.config_last_reload_successful.set(i64::from(reloaded.is_ok()));
        match reloaded {
            Ok(applied) => tell(applied, &watcher.succeeded(&live.files)),
            Err(error) => {
                if watcher.failed(&error) {
                    tracing::error!(%error, "the configuration cannot be read again; what was in force before stays");
                }
            }
        }
    }
}

impl Live {
    fn apply(&mut self, new: Config) -> Result<Applied, String> {
        if (&new.identity, &new.trust_domain) != (&self.identity, &self.trust_domain) {
            return Err(format!(
                "agent.certificate: is for {} of {}, and this is {} of {}; restart the agent to make it another",
                new.identity, new.trust_domain, self.identity, self.trust_domain
            ));
        }
        let mut applied = Applied::default();
        let present = self.relays.borrow().clone();
        let renewed = new.certificate.chain != self.certificate.chain || new.certificate.key != self.certificate.key;
        let anchors = new.relays.anchors.roots != present.anchors.roots;
        let proxy = new.relays.proxy != present.proxy;
        if renewed || anchors || proxy {
            // Sessions hear of it from the dialer, and are replaced one by one.
            self.context.dialer.change(&new).map_err(|error| error.to_string())?;
            self.context.agent.metrics.set_certificate_end(new.not_after);
        }
        for (key, changed) in [
            ("agent.certificate", renewed),
            ("relays.anchors", anchors),
            ("relays.proxy", proxy),
            ("relays.addresses", new.relays.addresses != present.addresses),
        ] {
            if changed {
                applied.in_force.push(key);
            }
        }
        if new.relays.server_name != present.server_name {
            applied.with_restart.push("relays.server_name".to_owned());
        }
        self.relays.send_replace(RelaysConfig {
            server_name: present.server_name,
            ..new.relays
        });
        (self.certificate, self.files) = (new.certificate, new.files);
        Ok(applied)
    }
}

fn tell(applied: Applied, success: &Success) {
    let Applied {
        in_force,
        mut with_restart,
    } = applied;
    let at_start = success.sections.iter().filter(|name| AT_START.contains(&name.as_str()));
    with_restart.extend(at_start.map(|name| format!("[{name}]")));
    let changed = in_force.join(", ");
    if !with_restart.is_empty() {
        tracing::warn!(
            changed,
            with_restart = with_restart.join(", "),
            "configuration read again; some of what has changed takes effect with a restart only"
        );
    } else if success.awaited || !in_force.is_empty() {
        tracing::info!(changed, "configuration read again");
    }
}
