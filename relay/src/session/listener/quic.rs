//! Agents that come over QUIC.

use postern_protocol::connection::Connection;
use postern_protocol::identity::CertificateFacts;

use super::handshakes::{Gate, Pending};
use super::{HANDSHAKE_TIMEOUT, Ways, facts};
use crate::session::link::{self, LinkContext};

/// Until the endpoint is closed.
pub(super) async fn accept(endpoint: &quinn::Endpoint, ways: &Ways) {
    while let Some(incoming) = endpoint.accept().await {
        let proven = incoming.remote_address_validated();
        match ways.handshakes.gate(incoming.remote_address().ip(), proven) {
            Gate::Shut => incoming.refuse(),
            Gate::Prove => {
                // It can only fail for a validated address, which this is not.
                let _ = incoming.retry();
            }
            Gate::Open(pending) => {
                let context = ways.context.clone();
                // quinn's own tasks of the connection are spawned where it is taken up.
                let serving = async move {
                    if let Some((connection, facts)) = handshake(incoming, pending, &context).await {
                        link::serve(connection, facts, context).await;
                    }
                };
                ways.tasks.spawn_on(serving, ways.threads.next());
            }
        }
    }
}

async fn handshake(
    incoming: quinn::Incoming,
    pending: Pending,
    context: &LinkContext,
) -> Option<(Connection, CertificateFacts)> {
    let address = incoming.remote_address();
    let connecting = incoming
        .accept()
        .inspect_err(|error| tracing::debug!(%address, %error, "no handshake"))
        .ok()?;
    let connection = match tokio::time::timeout(HANDSHAKE_TIMEOUT, connecting).await {
        Ok(Ok(connection)) => Connection::from(connection),
        Ok(Err(error)) => {
            tracing::debug!(%address, %error, "handshake failed");
            return None;
        }
        Err(_) => {
            tracing::debug!(%address, "handshake took too long");
            return None;
        }
    };
    drop(pending);
    let facts = facts(&connection, context)?;
    Some((connection, facts))
}
