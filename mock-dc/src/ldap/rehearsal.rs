//! A connection without a network, for tests: bytes of a client in, bytes of the controller out.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use prometheus::Registry;
use rustls::server::ResolvesServerCertUsingSni;

use super::conversation::{Conversation, Turn};
use super::{Controller, Shared};
use crate::domain::controllers::DcId;
use crate::domain::settings::DomainSettings;
use crate::faults::board::{Board, Exposure};
use crate::metrics::Metrics;
use crate::tls::Certificates;
use crate::world::{Start, World};

/// The first controller of a domain that nobody can reach.
#[derive(Debug)]
pub struct Rehearsal {
    controller: Arc<Controller>,
}

/// A connection to it.
#[derive(Debug)]
pub struct Line {
    conversation: Conversation,
    over: bool,
}

impl Rehearsal {
    /// A domain that begins now.
    ///
    /// # Errors
    /// When its metrics cannot be registered.
    pub fn new(settings: &DomainSettings) -> prometheus::Result<Self> {
        let name = settings.dcs.first().map_or("dc-1", String::as_str);
        let metrics = Metrics::new(&Registry::new(), [name])?;
        // It never comes to a handshake, so it has no certificate.
        let tls = rustls::ServerConfig::builder_with_provider(postern_service::tls::provider())
            .with_protocol_versions(rustls::DEFAULT_VERSIONS)
            .map_err(|error| prometheus::Error::Msg(error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(ResolvesServerCertUsingSni::new()));
        Ok(Self {
            controller: Arc::new(Controller {
                id: DcId::at(0),
                name: name.into(),
                world: Arc::new(World::new(settings, Start::default(), metrics)),
                certificates: Arc::new(Certificates::all_alike(Arc::new(tls))),
                exposure: Exposure::new(Arc::new(Board::new(1)), 0),
                shared: Arc::new(Shared::new(1)),
            }),
        })
    }

    /// Connects. StartTLS works without a handshake: what follows it counts as encrypted.
    pub fn connect(&self, encrypted: bool) -> Line {
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        Line {
            conversation: Conversation::new(self.controller.clone(), peer, encrypted),
            over: false,
        }
    }

    #[cfg(test)]
    pub(crate) fn controller(&self) -> Arc<Controller> {
        self.controller.clone()
    }

    /// The domain that answers.
    pub fn world(&self) -> &World {
        &self.controller.world
    }
}

impl Line {
    /// What is answered to these bytes, as far as they come to anything yet.
    pub fn say(&mut self, mut bytes: &[u8]) -> Vec<u8> {
        let mut answers = Vec::new();
        while !self.over {
            match self.conversation.inbox().room() {
                Ok(buffer) => {
                    let fits = (buffer.capacity() - buffer.len()).min(bytes.len());
                    buffer.extend_from_slice(&bytes[..fits]);
                    bytes = &bytes[fits..];
                }
                Err(_) => self.over = true,
            }
            let turn = self.conversation.turn();
            let outbox = self.conversation.outbox();
            let sent = outbox.unsent().len();
            answers.extend_from_slice(outbox.unsent());
            outbox.sent(sent);
            outbox.flushed();
            match turn {
                Turn::Wait if bytes.is_empty() && sent == 0 => break,
                Turn::Wait | Turn::Again => {}
                Turn::StartTls => self.conversation.is_now_encrypted(),
                Turn::Close | Turn::Broken(_) | Turn::Cut(_) => self.over = true,
            }
        }
        answers
    }

    /// Whether the controller has closed the connection.
    pub fn is_over(&self) -> bool {
        self.over
    }
}
