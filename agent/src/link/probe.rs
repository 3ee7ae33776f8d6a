//! Looking at a relay without a session: what it is, and whether it would take this agent.
//!
//! The relay keeps nothing of it, so a running agent with the same certificate is not disturbed.

use postern_protocol::close::CloseCode;
use postern_protocol::connection::Connection;
use postern_protocol::frame::{Control, MAJOR, MAX_CONTROL_BYTES, MINOR, Probe, Probed};
use postern_protocol::wire::{WireError, read_frame, write_frame};
use tokio::time::timeout;

use super::dial::Dialer;
use super::explain::{Trouble, TroubleKind};
use super::session::{WELCOME_TIMEOUT, greeting_failed};
use crate::clock::Clock;

/// What a relay shows of itself.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Its answer.
    pub(crate) probed: Probed,
    /// This machine's wall clock when the question left and when the answer was there, in milliseconds since 1970.
    pub(crate) between: (u64, u64),
}

/// Asks the relay at the other end, and takes leave.
pub(crate) async fn probe(dialer: &Dialer, connection: &Connection) -> Result<Seen, Trouble> {
    let seen = match timeout(WELCOME_TIMEOUT, ask(connection)).await {
        Ok(Ok(Some(seen))) => Ok(seen),
        Ok(Ok(None)) => Err(Trouble::new(
            TroubleKind::Version,
            "the relay does not show itself to who only looks; update the relay".to_owned(),
        )),
        Ok(Err(error)) => Err(greeting_failed(dialer, connection, &error).await),
        Err(_) => Err(Trouble::new(
            TroubleKind::Silent,
            format!("the relay said nothing for {WELCOME_TIMEOUT:?}; see its log"),
        )),
    };
    connection.close(CloseCode::Done, "it only looked");
    let seen = seen?;
    if seen.probed.major != MAJOR {
        let text = format!(
            "the agent speaks version {MAJOR}.{MINOR}, the relay {}.{}; update the older of the two",
            seen.probed.major, seen.probed.minor
        );
        return Err(Trouble::new(TroubleKind::Version, text));
    }
    Ok(seen)
}

/// `None` when the answer is of another kind.
async fn ask(connection: &Connection) -> Result<Option<Seen>, WireError> {
    let opened = connection.open_bi().await;
    let (mut send, mut receive) = opened.map_err(|error| WireError::Lost(error.to_string()))?;
    let probe = Control::Probe(Probe {
        major: MAJOR,
        minor: MINOR,
    });
    let clock = Clock::of_this_machine();
    let sent = clock.unix_ms();
    write_frame(&mut send, &probe.encode()).await?;
    match read_frame(&mut receive, MAX_CONTROL_BYTES, Control::decode).await? {
        Control::Probed(probed) => Ok(Some(Seen {
            probed,
            between: (sent, clock.unix_ms()),
        })),
        _ => Ok(None),
    }
}
