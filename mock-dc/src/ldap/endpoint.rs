//! A controller's listener, which a fault may close and open again while the process runs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use postern_service::net::bind_tcp;
use postern_service::shutdown::Shutdown;
use postern_service::threads::Threads;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Controller, connection};
use crate::faults::Listening;

/// How long to rest when no connection can be accepted or a port cannot be had back: trying at once would spin.
const REST: Duration = Duration::from_millis(50);

/// A listener of one controller.
#[derive(Debug)]
pub struct Endpoint {
    controller: Arc<Controller>,
    listener: TcpListener,
    address: SocketAddr,
    tls: bool,
    refuse: watch::Receiver<bool>,
    refusing: watch::Sender<Listening>,
}

impl Endpoint {
    /// A listener that closes while `refuse` says so, and the word on what it does.
    ///
    /// # Errors
    /// When the listener does not know its own address.
    pub fn new(
        controller: Arc<Controller>,
        listener: TcpListener,
        tls: bool,
        refuse: watch::Receiver<bool>,
    ) -> std::io::Result<(Self, watch::Receiver<Listening>)> {
        let address = listener.local_addr()?;
        let (refusing, is_refusing) = watch::channel(Listening::Open);
        Ok((
            Self {
                controller,
                listener,
                address,
                tls,
                refuse,
                refusing,
            },
            is_refusing,
        ))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves on `threads` until the process drains, and waits for the connections that it accepted.
    pub async fn run(self, shutdown: Shutdown, threads: Threads) {
        let Self {
            controller,
            mut listener,
            address,
            tls,
            mut refuse,
            refusing,
        } = self;
        loop {
            let connections = TaskTracker::new();
            let reset = shutdown.stop.child_token();
            accept(
                &listener,
                &controller,
                tls,
                (&connections, &threads),
                &reset,
                &shutdown,
                &mut refuse,
            )
            .await;
            refusing.send_replace(Listening::Changing);
            drop(listener);
            connections.close();
            if shutdown.drain.is_cancelled() {
                connections.wait().await;
                return;
            }
            reset.cancel();
            connections.wait().await;
            tracing::info!(dc = &*controller.name, %address, "refusing connections");
            refusing.send_replace(Listening::Closed);
            let reopened = tokio::select! {
                biased;
                () = shutdown.drain.cancelled() => return,
                reopened = reopen(address, &mut refuse) => reopened,
            };
            // The sender is gone only when the process ends.
            let Some(reopened) = reopened else { return };
            listener = reopened;
            tracing::info!(dc = &*controller.name, %address, "accepting connections again");
            refusing.send_replace(Listening::Open);
        }
    }
}

/// Accepts until the process drains or the endpoint is to refuse.
async fn accept(
    listener: &TcpListener,
    controller: &Arc<Controller>,
    tls: bool,
    (connections, threads): (&TaskTracker, &Threads),
    reset: &CancellationToken,
    shutdown: &Shutdown,
    refuse: &mut watch::Receiver<bool>,
) {
    // Said once until it is over: whoever makes connections would make lines of the log, too.
    let (mut told_full, mut told_error) = (false, false);
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.drain.cancelled() => return,
            _ = refuse.wait_for(|refuse| *refuse) => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                if !std::mem::replace(&mut told_error, true) {
                    tracing::warn!(dc = &*controller.name, %error, "cannot accept connections");
                }
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        told_error = false;
        let places = &controller.shared.places;
        let free = places.clone().try_acquire_owned().ok();
        if free.is_none() && !told_full {
            tracing::warn!(
                dc = &*controller.name,
                "as many connections as the limit of open files permits; others wait for one to end"
            );
        }
        told_full = free.is_none();
        let place = match free {
            Some(place) => place,
            None => tokio::select! {
                biased;
                () = shutdown.drain.cancelled() => return,
                _ = refuse.wait_for(|refuse| *refuse) => return,
                // They are never closed.
                Ok(place) = places.clone().acquire_owned() => place,
            },
        };
        let (controller, reset, drain) = (controller.clone(), reset.clone(), shutdown.drain.clone());
        // Out of this runtime's hands, for that of its thread.
        let Ok(stream) = stream.into_std() else { continue };
        let serving = async move {
            connection::serve(stream, peer, controller, tls, reset, drain).await;
            drop(place);
        };
        connections.spawn_on(serving, threads.next());
    }
}

/// Opens the listener again once it is no longer to refuse. Somebody may have taken the port meanwhile: tries until
/// it is free.
async fn reopen(address: SocketAddr, refuse: &mut watch::Receiver<bool>) -> Option<TcpListener> {
    let mut told = false;
    loop {
        refuse.wait_for(|refuse| !*refuse).await.ok()?;
        match bind_tcp(address) {
            Ok(listener) => return Some(listener),
            Err(error) => {
                if !told {
                    tracing::error!(%error, "still refusing connections");
                    told = true;
                }
                tokio::time::sleep(REST).await;
            }
        }
    }
}
