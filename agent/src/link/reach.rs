//! Reaching a relay by what its network lets through: QUIC first, TCP where QUIC does not answer, and QUIC again later.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use postern_protocol::close::CloseCode;
use postern_protocol::connection::{Connection, Transport};
use rustls_pki_types::ServerName;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Context;
use super::dial::{Credentials, Dialled, Spot};
use super::explain::{Trouble, TroubleKind};
use super::session::{Established, Place};
use crate::core::backoff::Backoff;
use crate::core::upgrade::Upgrade;

/// How long QUIC has to itself. Its handshake takes two round trips, and a lost packet of it half a second more.
const HEAD_START: Duration = Duration::from_millis(1_500);

/// How long it is still waited for once TCP was faster.
const LATE: Duration = Duration::from_secs(2);

/// Between two attempts to replace a session after a change of certificates. The old one serves, so nothing is urgent until
/// its certificate ends.
const RENEWAL_REST: Duration = Duration::from_secs(1);

/// An attempt over QUIC.
pub(super) type Attempt = BoxFuture<'static, Result<Dialled, Trouble>>;

/// A session that takes the place of another, and, where it is over TCP, what has become of QUIC.
pub(super) type Successor = (Established, Option<Attempt>);

/// A session that serves.
pub(super) struct Present {
    pub(super) connection: Connection,
    /// What it was made with.
    pub(super) credentials: Arc<Credentials>,
    /// Cancelled when it is over, or its relay asks to be dialled anew.
    pub(super) over: CancellationToken,
}

/// The way to one address.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) context: Arc<Context>,
    pub(super) spot: Spot,
    pub(super) name: ServerName<'static>,
}

impl Way {
    /// A session, and, where it is over TCP, what has become of QUIC.
    pub(super) async fn session(&self) -> Result<(Established, Option<Attempt>), Trouble> {
        self.context
            .agent
            .metrics
            .link_connects
            .with_label_values(&[&self.spot.to_string()])
            .inc();
        let (dialled, late) = self.dial().await?;
        let established = self.greet(dialled, Place::New).await?;
        Ok((established, late))
    }

    /// Nothing is remembered of what failed before: each time QUIC comes first.
    async fn dial(&self) -> Result<(Dialled, Option<Attempt>), Trouble> {
        if matches!(self.spot, Spot::Named(_)) {
            return Ok((self.context.dialer.tcp(&self.spot, &self.name).await?, None));
        }
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
        let mut tcp = pin!(self.context.dialer.tcp(&self.spot, &self.name));
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
        let (context, spot, name) = (self.context.clone(), self.spot.clone(), self.name.clone());
        async move {
            match spot {
                Spot::Address(address) => context.dialer.quic(address, &name).await,
                // Until the name resolves here, and then there is another link.
                Spot::Named(_) => Err(Trouble::new(TroubleKind::NoUdp, "no proxy carries UDP".to_owned())),
            }
        }
        .boxed()
    }

    async fn greet(&self, dialled: Dialled, place: Place) -> Result<Established, Trouble> {
        Established::greet(self.context.clone(), &self.spot, dialled, place).await
    }

    /// Waits until there is a session that takes the place of `present`: over QUIC where that is over TCP, or with the
    /// certificates that this agent has by then. `None` if `present` is over first, or its relay is not believed any more.
    pub(super) async fn successor(&self, present: &Present, late: Option<Attempt>) -> Option<Successor> {
        let mut late = late.map(|late| Box::pin(timeout(LATE, late)));
        let mut tries = Upgrade::default();
        let mut backoff = Backoff::default();
        let mut rest = Duration::ZERO;
        loop {
            let renewed = async {
                self.is_outdated(present).await;
                sleep(rest).await;
                self.dial().await
            };
            let upgraded = async {
                if let Some(late) = &mut late
                    && let Ok(Ok(dialled)) = late.await
                {
                    return dialled;
                }
                loop {
                    sleep(tries.next_delay(self.context.chance.draw())).await;
                    if let Ok(dialled) = self.quic().await {
                        return dialled;
                    }
                }
            };
            let over_tcp = present.connection.transport() == Transport::Tcp;
            let (dialled, carrier, why) = tokio::select! {
                biased;
                () = present.over.cancelled() => return None,
                dialled = renewed => match dialled {
                    Ok((dialled, carrier)) => (Some(dialled), carrier, "certificates were renewed"),
                    Err(trouble) => {
                        tracing::warn!(
                            relay = %self.spot, kind = trouble.kind.as_str(), %trouble,
                            "the renewed certificates bring no session; the one before goes on",
                        );
                        (None, None, "")
                    }
                },
                dialled = upgraded, if over_tcp => (Some(dialled), None, "QUIC passes again"),
            };
            late = None;
            // The greeting is let go on to its end: the relay closes the older session as soon as it has admitted the
            // newer one, whose `Welcome` may come after that.
            if let Some(dialled) = dialled
                && let Some(established) = self.take_over(dialled).await
            {
                tracing::info!(relay = %self.spot, because = why, "another session takes the place of the one before");
                return Some((established, carrier));
            }
            rest = RENEWAL_REST + backoff.next_delay(self.context.chance.draw());
        }
    }

    /// Until this agent has other certificates than a session was made with. Does not come back where its relay is not
    /// believed any more: then the session is closed.
    async fn is_outdated(&self, present: &Present) {
        let mut credentials = self.context.dialer.credentials();
        let others = credentials
            .wait_for(|now| !Arc::ptr_eq(now, &present.credentials))
            .await;
        let Some(now) = others.ok().map(|now| Arc::clone(&now)) else {
            return std::future::pending().await;
        };
        if let Err(error) = now.believe(&present.connection, &self.name) {
            tracing::warn!(relay = %self.spot, %error, "the relay's certificate is no longer accepted; closing the session");
            let reason = "the agent no longer accepts the relay's certificate";
            present.connection.close(CloseCode::Identity, reason);
            std::future::pending().await
        }
    }

    async fn take_over(&self, dialled: Dialled) -> Option<Established> {
        match self.greet(dialled, Place::OfOurOwn).await {
            Ok(established) => Some(established),
            Err(trouble) => {
                tracing::info!(
                    relay = %self.spot, kind = trouble.kind.as_str(), %trouble,
                    "no session could take the place of the one before, which goes on",
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
