//! The beginning of a session: `Hello` is judged, `Welcome` answers it.

use std::time::Duration;

use postern_protocol::AgentIdentity;
use postern_protocol::close::CloseCode;
use postern_protocol::connection::{Connection, ReceiveStream, SendStream};
use postern_protocol::frame::{Control, Hello, MAJOR, MAX_CONTROL_BYTES, MINOR, Probe, Probed, Welcome};
use postern_protocol::identity::CertificateFacts;
use postern_protocol::seal::SealingKey;
use postern_protocol::transport::PING_INTERVAL;
use postern_protocol::wire::{WireError, read_frame, write_frame};
use tokio::time::timeout;

use super::entry::Admitted;
use super::link::{End, LinkContext};
use super::registry::{Admission, Refusal};
use crate::clock::unix_ms;
use crate::core::RealmIndex;
use crate::driver::Event;

/// From the end of the handshake to a complete `Hello`, and from there to a written `Welcome`.
const GREETING_TIMEOUT: Duration = Duration::from_secs(5);

/// Slots that one session may announce: memory and streams are set aside for them.
pub(super) const MOST_SLOTS: u32 = 1_024;

/// A session after `Hello` and `Welcome`.
pub(super) struct Greeted {
    pub(super) hello: Hello,
    pub(super) key: SealingKey,
    pub(super) realm: RealmIndex,
    pub(super) admitted: Admitted,
    pub(super) admission: Admission,
    pub(super) send: SendStream,
    pub(super) receive: ReceiveStream,
}

/// Takes a connection whose certificate was verified into session, or says why not.
pub(super) async fn greet(
    connection: &Connection,
    agent: &AgentIdentity,
    facts: &CertificateFacts,
    context: &LinkContext,
) -> Result<Greeted, End> {
    let entry = context.entry.borrow().clone();
    let admitted = entry.admit(agent, facts, connection.peer_chain())?;
    let realm = entry.realms.get(&agent.realm).copied();
    let realm = realm.ok_or_else(|| End::new(CloseCode::Identity, "its realm is not served by this relay"))?;
    // Until this returns. A certificate whose holder is silent, or stays after looking, must not take memory without end.
    let _greeting = context
        .registry
        .begin(agent)
        .map_err(|refusal| End::new(CloseCode::Superseded, refusal.to_string()))?;
    let (mut send, receive, first) = first(connection).await?;
    let hello = match first {
        Control::Hello(hello) => hello,
        Control::Probe(probe) => return Err(show(connection, send, &probe, context).await),
        _ => return Err(End::new(CloseCode::Protocol, "the first frame was not a Hello")),
    };
    check_version(hello.major, hello.minor)?;
    let key = SealingKey::from_der(&hello.opening_key)
        .map_err(|error| End::new(CloseCode::Protocol, format!("Hello: {error}")))?;
    check_slots(hello.slots)?;
    let admission = admit(connection, agent, &hello, context).await?;
    let welcome = Welcome {
        major: MAJOR,
        minor: MINOR,
        software: context.version.to_owned(),
        instance: context.instance,
        replicas: entry.replicas.clone(),
        ping_interval_ms: u32::try_from(PING_INTERVAL.as_millis()).unwrap_or(u32::MAX),
    };
    let written = timeout(
        GREETING_TIMEOUT,
        write_frame(&mut send, &Control::Welcome(welcome).encode()),
    )
    .await;
    if !matches!(written, Ok(Ok(()))) {
        context.registry.remove(agent, admission.id);
        return Err(End::new(CloseCode::Silent, "Welcome could not be written in time"));
    }
    Ok(Greeted {
        hello,
        key,
        realm,
        admitted,
        admission,
        send,
        receive,
    })
}

async fn first(connection: &Connection) -> Result<(SendStream, ReceiveStream, Control), End> {
    let first = async {
        let opened = connection
            .accept_bi()
            .await
            .map_err(|error| WireError::Lost(error.to_string()));
        let (send, mut receive) = opened?;
        let frame = read_frame(&mut receive, MAX_CONTROL_BYTES, Control::decode).await?;
        Ok::<_, WireError>((send, receive, frame))
    };
    match timeout(GREETING_TIMEOUT, first).await {
        Ok(Ok(first)) => Ok(first),
        Ok(Err(error)) => Err(End::new(CloseCode::Protocol, format!("no Hello: {error}"))),
        Err(_) => Err(End::new(CloseCode::Silent, "no Hello in time")),
    }
}

/// Answers somebody who only looks. Nothing is known of it afterwards: it has no place in the registry, so the sessions
/// of the agent whose certificate it has go on as if it had not been there.
async fn show(connection: &Connection, mut send: SendStream, probe: &Probe, context: &LinkContext) -> End {
    if let Err(end) = check_version(probe.major, probe.minor) {
        return end;
    }
    let probed = Control::Probed(Probed {
        major: MAJOR,
        minor: MINOR,
        software: context.version.to_owned(),
        unix_ms: unix_ms(),
    });
    let answer = async {
        write_frame(&mut send, &probed.encode()).await?;
        // A close of ours could overtake the answer; theirs says that they have it.
        connection.closed().await;
        Ok::<_, WireError>(())
    };
    match timeout(GREETING_TIMEOUT, answer).await {
        Ok(Ok(())) => End::new(CloseCode::Done, "it only looked"),
        Ok(Err(error)) => End::new(CloseCode::Done, format!("it only looked: {error}")),
        Err(_) => End::new(CloseCode::Silent, "it only looked, and did not go"),
    }
}

fn check_version(major: u16, minor: u16) -> Result<(), End> {
    if major == MAJOR {
        return Ok(());
    }
    let text = format!(
        "this relay speaks protocol {MAJOR}.{MINOR} and the agent {major}.{minor}; upgrade the older of the two"
    );
    Err(End::new(CloseCode::Version, text))
}

async fn admit(
    connection: &Connection,
    agent: &AgentIdentity,
    hello: &Hello,
    context: &LinkContext,
) -> Result<Admission, End> {
    let address = connection.remote_address();
    match context.registry.admit(agent, hello.instance, address, hello.takes_over) {
        Ok(admission) => Ok(admission),
        Err(refusal) => {
            // An agent that dials again has lost the session that is still known here: it gets no work until it shows
            // that it lives, and makes room if it does not.
            if let Refusal::SameInstance(older) = &refusal {
                let _ = context.events.send(Event::Superseded(older.id)).await;
                older.probe.notify_one();
            }
            Err(End::new(CloseCode::Superseded, refusal.to_string()))
        }
    }
}

/// Whether a session may announce this many slots.
pub(super) fn check_slots(slots: u32) -> Result<(), End> {
    if (1..=MOST_SLOTS).contains(&slots) {
        return Ok(());
    }
    Err(End::new(
        CloseCode::Protocol,
        format!("{slots} slots are announced; 1 to {MOST_SLOTS} are possible"),
    ))
}
