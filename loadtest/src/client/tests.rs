//! Sign-ins at servers of all kinds, on loopback.

mod directories;
mod directory;
mod pki;
mod relay;
mod relays;
mod sealed;

use super::*;
use postern_protocol::{Outcome, Verdict};

const SUCCESS: Ended = Ended::Outcome(Outcome::Verdict(Verdict::Success));
const REFUSED: Ended = Ended::Outcome(Outcome::Verdict(Verdict::InvalidCredentials));

/// A client of this target alone.
async fn client(url: &str, change: impl FnOnce(&mut Reach)) -> Client {
    try_client(url, change).await.unwrap()
}

async fn try_client(url: &str, change: impl FnOnce(&mut Reach)) -> anyhow::Result<Client> {
    let mut reach = Reach::new(vec![Target::parse(url)?]);
    change(&mut reach);
    Client::new(&reach.prepare().await?)
}

/// What is said where a target cannot be used.
async fn complaint(url: &str, change: impl FnOnce(&mut Reach)) -> String {
    format!("{:#}", try_client(url, change).await.unwrap_err())
}
