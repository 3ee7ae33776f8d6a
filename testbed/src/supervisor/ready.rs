//! Waiting until a process can do its work: its `/readyz` answers 200.

use std::path::Path;
use std::time::Duration;

use tokio::sync::watch;

use super::{Part, State};

/// Between two questions. A part is ready within a second or so; nobody notices this much more.
const INTERVAL: Duration = Duration::from_millis(50);

/// Questions at most: half a minute, several times what a slow machine needs.
const TRIES: u32 = 600;

/// For one answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Lines of a log to show. Enough for a list of what is wrong with a configuration.
const TAIL: usize = 20;

/// A part did not become ready.
#[derive(Debug, thiserror::Error)]
#[error("{name} {what}\n{}", tail(log))]
pub struct NotReady {
    name: String,
    what: String,
    log: std::path::PathBuf,
}

/// Returns when the part is ready.
///
/// # Errors
/// [`NotReady`] when it ended, or takes too long; shows why and the end of its log.
pub async fn wait_ready(
    http: &reqwest::Client,
    part: &Part,
    mut state: watch::Receiver<State>,
) -> Result<(), NotReady> {
    let not_ready = |what: String| NotReady {
        name: part.name.clone(),
        what,
        log: part.log.clone(),
    };
    let url = format!("{}/readyz", part.admin);
    let mut reason = String::new();
    for _ in 0..TRIES {
        let asked = async {
            let answer = http.get(&url).timeout(PATIENCE).send().await;
            match answer {
                Ok(answer) if answer.status().is_success() => return None,
                Ok(answer) => reason = answer.text().await.unwrap_or_default().trim().replace('\n', "; "),
                Err(_) => reason = "it does not answer yet".to_owned(),
            }
            tokio::time::sleep(INTERVAL).await;
            Some(())
        };
        tokio::select! {
            biased;
            Ok(ended) = state.wait_for(|state| matches!(state, State::Ended { .. })) => {
                if let State::Ended { how, .. } = &*ended {
                    return Err(not_ready(format!("ended before it was ready ({how})")));
                }
            }
            again = asked => if again.is_none() {
                return Ok(());
            },
        }
    }
    let waited = INTERVAL * TRIES;
    Err(not_ready(format!(
        "was not ready within {} s: {reason}",
        waited.as_secs()
    )))
}

/// The last lines of a log, for a message.
fn tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let last = lines.get(lines.len().saturating_sub(TAIL)..).unwrap_or_default();
    if last.is_empty() {
        return format!("Its log {} is empty", log.display());
    }
    format!("The end of its log {}:\n  {}", log.display(), last.join("\n  "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn the_end_of_a_log_is_shown_and_an_empty_one_said_to_be_empty() {
        let scratch = Scratch::new();
        let log = scratch.path().join("x.log");
        let text: String = (0..100).map(|n| format!("line {n}\n")).collect();
        std::fs::write(&log, text).unwrap();
        let shown = tail(&log);
        assert!(
            shown.contains("line 80") && shown.contains("line 99") && !shown.contains("line 79"),
            "{shown}"
        );
        std::fs::write(&log, "").unwrap();
        assert!(tail(&log).contains("is empty"));
    }
}
