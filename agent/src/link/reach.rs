//! Reaching a relay by what its network lets through: QUIC first, TCP where QUIC does not answer, and QUIC again later.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rustls_pki_types::ServerName;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Context;
use super::dial::Dialled;
use super::explain::{Trouble, TroubleKind};
use super::session::{Established, Place};
use crate::core::upgrade::Upgrade;

/// How long QUIC has to itself. Its handshake takes two round trips, and a lost packet of it half a second more.
const HEAD_START: Duration = Duration::from_millis(1_500);

/// How long it is still waited for once TCP was faster.
const LATE: Duration = Duration::from_secs(2);

/// An attempt over QUIC.
pub(super) type Attempt = BoxFuture<'static, Result<Dialled, Trouble>>;

/// The way to one address.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) context: Arc<Context>,
    pub(super) address: SocketAddr,
    pub(super) name: ServerName<'static>,
}

impl Way {
    /// A session, and, where it is over TCP, what has become of QUIC.
    pub(super) async fn session(&self) -> Result<(Established, Option<Attempt>), Trouble> {
        self.context
            .agent
            .metrics
            .link_connects
            .with_label_values(&[&self.address.to_string()])
            .inc();
        let (dialled, late) = self.dial().await?;
        let established = self.greet(dialled, Place::New).await?;
        Ok((established, late))
    }

    /// Nothing is remembered of what failed before: each time QUIC comes first.
    async fn dial(&self) -> Result<(Dialled, Option<Attempt>), Trouble> {
        let mut quic = self.quic();
        let no_udp = match timeout(HEAD_START, &mut quic).await {
            Ok(Ok(dialled)) => return Ok((dialled, None)),
            // Whatever answered would say the same over TCP.
            Ok(Err(trouble)) if !matches!(trouble.kind, TroubleKind::NoUdp | TroubleKind::Local) => {
                return Err(trouble);
            }
            Ok(Err(trouble)) => Some(trouble),
            Err(_) => None,
        };
        let mut tcp = pin!(self.context.dialer.tcp(self.address, &self.name));
        if let Some(no_udp) = no_udp {
            return match tcp.await {
                Ok(dialled) => Ok((dialled, None)),
                Err(no_tcp) => Err(neither(&no_udp, no_tcp)),
            };
        }
        tokio::select! {
            biased;
            dialled = &mut quic => match dialled {
                Ok(dialled) => Ok((dialled, None)),
                Err(no_udp) => tcp.await.map(|dialled| (dialled, None)).map_err(|no_tcp| neither(&no_udp, no_tcp)),
            },
            dialled = &mut tcp => match dialled {
                Ok(dialled) => Ok((dialled, Some(quic))),
                Err(no_tcp) => quic.await.map(|dialled| (dialled, None)).map_err(|no_udp| neither(&no_udp, no_tcp)),
            },
        }
    }

    fn quic(&self) -> Attempt {
        let (context, address, name) = (self.context.clone(), self.address, self.name.clone());
        async move { context.dialer.quic(address, &name).await }.boxed()
    }

    async fn greet(&self, dialled: Dialled, place: Place) -> Result<Established, Trouble> {
        Established::greet(self.context.clone(), self.address, dialled, place).await
    }

    /// Waits until there is a session over QUIC that takes the place of one over TCP. `None` if that one is over first.
    pub(super) async fn better(&self, late: Option<Attempt>, over: &CancellationToken) -> Option<Established> {
        if let Some(late) = late {
            let dialled = async { timeout(LATE, late).await.ok().and_then(Result::ok) };
            if let Some(dialled) = over.run_until_cancelled(dialled).await?
                && let Some(established) = self.take_over(dialled).await
            {
                return Some(established);
            }
        }
        let mut tries = Upgrade::default();
        loop {
            let attempt = async {
                sleep(tries.next_delay(self.context.chance.draw())).await;
                self.quic().await.ok()
            };
            // The greeting is let go on to its end: the relay closes the older session as soon as it has admitted the
            // newer one, whose `Welcome` may come after that.
            if let Some(dialled) = over.run_until_cancelled(attempt).await?
                && let Some(established) = self.take_over(dialled).await
            {
                return Some(established);
            }
        }
    }

    async fn take_over(&self, dialled: Dialled) -> Option<Established> {
        match self.greet(dialled, Place::OfOurOwn).await {
            Ok(established) => Some(established),
            Err(trouble) => {
                tracing::info!(
                    relay = %self.address, kind = trouble.kind.as_str(), %trouble,
                    "QUIC passes again, but the session over TCP goes on",
                );
                None
            }
        }
    }
}

/// Neither carrier brought an answer: QUIC's trouble, with TCP's beside it. Whatever TCP's answer says is the better word.
fn neither(no_udp: &Trouble, no_tcp: Trouble) -> Trouble {
    if no_tcp.kind != TroubleKind::NoTcp {
        return no_tcp;
    }
    let tcp = no_tcp.text.split("; ").next().unwrap_or_default();
    let (what, to_do) = no_udp.text.split_once("; ").unwrap_or((&no_udp.text, ""));
    Trouble::new(no_udp.kind, format!("{what}, {tcp}; {to_do}"))
}
