//! Agents that come over QUIC.

use postern_protocol::connection::Connection;
use postern_protocol::identity::CertificateFacts;

use super::handshakes::{Gate, Pending};
use super::{HANDSHAKE_TIMEOUT, Listener, Ways, crypto, facts};
use crate::session::link::{self, LinkContext};

/// Shows to newcomers what `tls` holds from now on, for as long as it may change.
pub(super) async fn keep_up(listener: &Listener) {
    let (Some(mut tls), Some(mut server)) = (listener.tls.clone(), listener.server.clone()) else {
        return std::future::pending().await;
    };
    while tls.changed().await.is_ok() {
        match crypto(&tls.borrow_and_update()) {
            Ok(crypto) => {
                // All else as it was: tokens that were given out for a changed key of tokens would be refused.
                server.crypto = crypto;
                listener.endpoint.set_server_config(Some(server.clone()));
            }
            Err(error) => tracing::error!(%error, "the certificate for agents cannot be taken over"),
        }
    }
    std::future::pending().await
}

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
    let facts = facts(&connection.peer_chain(), context)?;
    Some((connection, facts))
}
