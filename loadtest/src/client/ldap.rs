//! Sign-ins as simple binds at a directory (RFC 4513, section 5.1.3), to compare a relay with.
//!
//! A connection has one bind outstanding. One whose bind was not answered is never used again: what comes later could be
//! taken for another's answer.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::Poll;

use anyhow::{Context, bail};
use postern_ldap::client::{Answer, LdapResult, Message, START_TLS, answer, request, sub_code};
use postern_protocol::{Outcome, Unavailable, Verdict};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::dial::{Place, Stream};
use crate::record::{Broken, Ended};
use crate::sync::lock;

/// Result codes (RFC 4511, section 4.1.9) that say something of a password.
const SUCCESS: u32 = 0;
const INVALID_CREDENTIALS: u32 = 49;

/// The kept connections to one directory.
pub(super) struct Directory {
    place: Place,
    /// The one used last is used next, so that those above what is needed grow old.
    idle: Mutex<Vec<Line>>,
}

impl Directory {
    pub(super) fn new(place: Place) -> Self {
        Self {
            place,
            idle: Mutex::default(),
        }
    }

    /// Opens one more connection, and keeps it.
    pub(super) async fn open(&self) -> anyhow::Result<()> {
        let line = Line::open(&self.place).await?;
        lock(&self.idle).push(line);
        Ok(())
    }

    /// Binds once: what may have reached the directory is not sent again.
    pub(super) async fn sign_in(&self, name: &str, password: &str) -> Ended {
        if password.is_empty() {
            // A directory takes it for an anonymous bind and says success (RFC 4513, section 5.1.2). Every client has to
            // look out for that.
            return Ended::Outcome(Outcome::BadRequest);
        }
        let mut line = match self.take().await {
            Ok(line) => line,
            Err(broken) => return Ended::Broken(broken),
        };
        match line.bind(name, password).await {
            Ok(result) => {
                let outcome = outcome(&result);
                // After another answer the directory may be about to end the connection.
                if matches!(outcome, Outcome::Verdict(_)) {
                    lock(&self.idle).push(line);
                }
                Ended::Outcome(outcome)
            }
            Err(broken) => Ended::Broken(broken),
        }
    }

    async fn take(&self) -> Result<Line, Broken> {
        loop {
            let idle = lock(&self.idle).pop();
            match idle {
                Some(mut line) => {
                    if line.is_open().await {
                        return Ok(line);
                    }
                }
                None => return Line::open(&self.place).await.map_err(|_| Broken::Connection),
            }
        }
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Directory({} idle to {})", lock(&self.idle).len(), self.place.target)
    }
}

/// What a bind's result says to whoever signs in.
fn outcome(result: &LdapResult) -> Outcome {
    match result.code {
        SUCCESS => Outcome::Verdict(Verdict::Success),
        INVALID_CREDENTIALS => {
            // No sub-code: not Active Directory, and RFC 4511 says what 49 means.
            let verdict = sub_code(&result.text).map_or(Verdict::InvalidCredentials, Verdict::from_sub_code);
            Outcome::Verdict(verdict)
        }
        _ => Outcome::Unavailable(Unavailable::DirectoryDown),
    }
}

/// One connection.
struct Line {
    stream: Stream,
    /// What has come and is not a whole message yet.
    incoming: Vec<u8>,
    last_id: i32,
}

impl Line {
    async fn open(place: &Place) -> anyhow::Result<Self> {
        Ok(Self {
            stream: place.dial().await?,
            incoming: Vec::new(),
            last_id: 0,
        })
    }

    /// Whether it has not ended, as far as is known by now. Nothing is asked, so whatever comes is a farewell.
    async fn is_open(&mut self) -> bool {
        poll_fn(|context| {
            let mut byte = [0];
            let read = Pin::new(&mut self.stream).poll_read(context, &mut ReadBuf::new(&mut byte));
            Poll::Ready(read.is_pending())
        })
        .await
    }

    async fn bind(&mut self, name: &str, password: &str) -> Result<LdapResult, Broken> {
        self.last_id = self.last_id.checked_add(1).ok_or(Broken::Connection)?;
        let request = request::bind(self.last_id, name, password, false);
        self.stream.write_all(&request).await.map_err(|_| Broken::Connection)?;
        self.stream.flush().await.map_err(|_| Broken::Connection)?;
        let message = next(&mut self.stream, &mut self.incoming).await?;
        match message.answer {
            Answer::Bind(result, _) if message.id == self.last_id && self.incoming.is_empty() => Ok(result),
            _ => Err(Broken::Unreadable),
        }
    }
}

/// Reads the next message.
async fn next(stream: &mut (impl AsyncRead + Unpin), incoming: &mut Vec<u8>) -> Result<Message, Broken> {
    loop {
        let length = answer::length(incoming).map_err(|_| Broken::Unreadable)?;
        if let Some(length) = length
            && let Some(message) = incoming.get(..length)
        {
            let message = answer::decode(message).map_err(|_| Broken::Unreadable)?;
            incoming.drain(..length);
            return Ok(message);
        }
        match stream.read_buf(incoming).await {
            Ok(0) | Err(_) => return Err(Broken::Connection),
            Ok(_) => {}
        }
    }
}

/// Asks for TLS on a plain connection (RFC 4511, section 4.14). Nothing that is read before the handshake is trusted for
/// more than the decision to begin it.
pub(super) async fn start_tls(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> anyhow::Result<()> {
    const ID: i32 = 1;
    const ADVICE: &str = "is this the LDAP port (389)?";
    stream.write_all(&request::start_tls(ID)).await.context(ADVICE)?;
    let mut incoming = Vec::new();
    let message = match next(stream, &mut incoming).await {
        Ok(message) => message,
        Err(broken) => bail!("StartTLS: {}; {ADVICE}", broken.as_str()),
    };
    match message.answer {
        Answer::Extended { result, name }
            if message.id == ID && name.as_deref().is_none_or(|name| name == START_TLS) =>
        {
            if result.code != SUCCESS {
                let LdapResult { code, text } = result;
                bail!("it refuses StartTLS (result {code}, {text:?}); give it a certificate, or use a ldaps:// URL");
            }
            if !incoming.is_empty() {
                bail!("StartTLS: unprotected bytes follow the answer; somebody on the way may have put them there");
            }
            Ok(())
        }
        _ => bail!("StartTLS: it answers something else; {ADVICE}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_the_outcomes_that_they_are_through_a_relay() {
        let of = |code, text: &str| {
            outcome(&LdapResult {
                code,
                text: text.to_owned(),
            })
        };
        assert_eq!(of(0, ""), Outcome::Verdict(Verdict::Success));
        assert_eq!(of(49, ""), Outcome::Verdict(Verdict::InvalidCredentials));
        for (data, verdict) in [
            ("52e", Verdict::InvalidCredentials),
            ("525", Verdict::InvalidCredentials),
            ("532", Verdict::PasswordExpired),
            ("775", Verdict::AccountLocked),
            ("57", Verdict::Rejected),
        ] {
            let text =
                format!("80090308: LdapErr: DSID-0C090549, comment: AcceptSecurityContext error, data {data}, v65f4\0");
            assert_eq!(of(49, &text), Outcome::Verdict(verdict), "{data}");
        }
        for code in [1, 8, 51, 52, 53, 80] {
            let expected = Outcome::Unavailable(Unavailable::DirectoryDown);
            assert_eq!(of(code, "data 52e"), expected, "{code}");
        }
    }
}
