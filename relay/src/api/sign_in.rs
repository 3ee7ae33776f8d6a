//! A sign-in from what was posted to an outcome, and `POST /v1/sign-in`, which posts it as JSON.
//!
//! The page posts a form and shows words. Both go the same way: [`ApiState::admit`], then [`ApiState::complete`] or
//! [`ApiState::refuse`].

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use postern_protocol::seal::{AuthenticatedData, Jwe};
use postern_protocol::{Moment, Outcome, Password, RealmKey, RequestId, Unavailable, UserName, Verdict};
use postern_service::net::host_of;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::ApiState;
use super::answer::{Answer, new_request_id};
use super::body::{self, Secret};
use super::caller::{Caller, Who};
use crate::clock::unix_ms;
use crate::config::Disclose;
use crate::core::{RealmIndex, SignIn};
use crate::envelope::Envelope;
use crate::keys::Known;
use crate::replays::Refused;

/// How far ahead a caller's envelope may expire.
const MAX_EXPIRY_MS: u64 = 60_000;

/// Where a sign-in belongs, once known: for the metrics.
type Place<'a> = Option<&'a RealmKey>;

/// Handles one request.
pub async fn post(State(state): State<Arc<ApiState>>, request: Request) -> Response {
    let arrived = Instant::now();
    let request_id = new_request_id();
    let caller = match state.callers.identify(&request) {
        Ok(caller) => caller,
        Err(error) => {
            let answer = Answer::new(Outcome::UnauthorizedCaller, request_id)
                .detail(error)
                .close();
            return state.refuse(answer, arrived).into_response();
        }
    };
    let address = state.callers.client_address(&request);
    if let Err(answer) = state.admit(&caller, address, request_id) {
        return state.refuse(answer, arrived).into_response();
    }
    match body::read(request.into_body(), arrived).await {
        Ok(body) => state.complete(&caller, request_id, body, arrived).await.into_response(),
        Err(error) => {
            let answer = Answer::new(Outcome::BadRequest, request_id).detail(&error);
            let answer = if error.leaves_rest() { answer.close() } else { answer };
            state.refuse(answer, arrived).into_response()
        }
    }
}

impl ApiState {
    /// The caller's and its address's token buckets.
    ///
    /// # Errors
    /// The answer, when one of them is empty.
    pub fn admit(&self, caller: &Caller<'_>, address: Option<IpAddr>, request_id: RequestId) -> Result<(), Answer> {
        let now = self.clock.now();
        let of_caller = match caller.who {
            Who::ThisMachine => Ok(()),
            who => self.memory.per_caller.take(now, self.limits.per_caller, who),
        };
        let refused = |reason, wait| {
            self.metrics.shed.with_label_values(&[reason]).inc();
            Answer::new(Outcome::TooManyRequests, request_id)
                .retry_after(wait)
                .close()
        };
        of_caller.map_err(|wait| refused("per_caller", wait))?;
        self.memory
            .per_address
            .take(now, self.limits.per_address, address.map(host_of))
            .map_err(|wait| refused("per_address", wait))
    }

    /// One sign-in of somebody who was admitted: sealed, settled, counted, and told as much as `caller` may know.
    pub async fn complete(
        &self,
        caller: &Caller<'_>,
        request_id: RequestId,
        body: body::SignInBody,
        arrived: Instant,
    ) -> Answer {
        // A body may take seconds, and an epoch lasts one: the time is read anew.
        let (place, answer) = self.sign_in(self.clock.now(), request_id, body).await;
        let outcome = answer.outcome();
        self.count(place, outcome);
        self.wait_for_grid(outcome, arrived).await;
        self.note_duration(outcome, arrived);
        match caller.disclose {
            Disclose::Full => answer,
            Disclose::Public => answer.public(),
        }
    }

    /// Counts what ended before anything was known of the sign-in.
    pub fn refuse(&self, answer: Answer, arrived: Instant) -> Answer {
        self.count(None, answer.outcome());
        self.note_duration(answer.outcome(), arrived);
        answer
    }

    /// The realm that a user name leads to.
    pub fn realm_of(&self, user: &UserName) -> Option<&RealmKey> {
        self.routes.get(&user.route()).map(|destination| &destination.realm)
    }

    async fn sign_in(&self, now: Moment, request_id: RequestId, body: body::SignInBody) -> (Place<'_>, Answer) {
        let refuse = |outcome| Answer::new(outcome, request_id);
        let user = match UserName::parse(&body.username) {
            Ok(user) => user,
            Err(error @ postern_protocol::user_name::UserNameError::NoRealm) => {
                return (None, refuse(Outcome::UnknownRealm).detail(error));
            }
            Err(error) => return (None, refuse(Outcome::BadRequest).detail(error)),
        };
        let Some(destination) = self.routes.get(&user.route()) else {
            return (None, refuse(Outcome::UnknownRealm));
        };
        let realm = &destination.realm;
        // One bucket for all the forms and spellings of one name.
        let folded = user.folded();
        if let Err(wait) = self.memory.per_user.take(now, self.limits.per_user, (realm, &folded)) {
            self.metrics.shed.with_label_values(&["per_user"]).inc();
            return (Some(realm), refuse(Outcome::TooManyRequests).retry_after(wait));
        }
        let envelope = match body.secret {
            Secret::Password(password) => self.seal(now, request_id, realm, &user, password),
            Secret::Jwe(jwe) => self.check(realm, &body.username, *jwe, request_id),
        };
        let envelope = match envelope {
            Ok(envelope) => envelope.of_alternate_id(destination.alternate_id),
            Err(answer) => return (Some(realm), answer),
        };
        (
            Some(realm),
            self.settle(now, destination.index, &folded, envelope).await,
        )
    }

    /// Seals a password here. It is wiped when this returns.
    fn seal(
        &self,
        now: Moment,
        request_id: RequestId,
        realm: &RealmKey,
        user: &UserName,
        password: Zeroizing<String>,
    ) -> Result<Envelope, Answer> {
        let password =
            Password::new(password).map_err(|error| Answer::new(Outcome::BadRequest, request_id).detail(error))?;
        let deadline_ms = u64::try_from(self.timing.deadline.as_millis()).unwrap_or(u64::MAX);
        let authenticated = AuthenticatedData {
            expires_unix_ms: unix_ms().saturating_add(deadline_ms),
            realm: realm.realm.to_string(),
            request_id,
            tenant: realm.tenant.to_string(),
            user: user.as_str().to_owned(),
        };
        let sealed = self.sealer.seal(realm, now, &password, &authenticated.to_base64());
        drop(password);
        match sealed {
            Ok((epoch, sealed)) => Ok(Envelope::sealed_here(
                request_id,
                realm.clone(),
                authenticated.user,
                authenticated.expires_unix_ms,
                epoch,
                sealed,
            )),
            Err(error) => {
                tracing::error!(%error, "cannot seal");
                Err(Answer::new(Outcome::Unavailable(Unavailable::Overloaded), request_id))
            }
        }
    }

    /// Checks what a caller sealed, as far as that goes without a key.
    fn check(&self, realm: &RealmKey, username: &str, jwe: Jwe, request_id: RequestId) -> Result<Envelope, Answer> {
        let bad = |detail: &dyn std::fmt::Display| Answer::new(Outcome::BadRequest, request_id).detail(detail);
        let parts = jwe.parts().map_err(|error| bad(&error))?;
        let authenticated = &parts.authenticated;
        let id = authenticated.request_id;
        let bad = |detail: &dyn std::fmt::Display| Answer::new(Outcome::BadRequest, id).detail(detail);
        if authenticated.user != username {
            return Err(bad(&"the envelope is bound to another user name than \"username\""));
        }
        if authenticated.tenant != realm.tenant.as_str() || authenticated.realm != realm.realm.as_str() {
            return Err(bad(
                &"the envelope is bound to another tenant or realm than the user name's",
            ));
        }
        let now = unix_ms();
        if authenticated.expires_unix_ms <= now {
            return Err(bad(
                &"the envelope has expired; take \"now\" of the realm's keys for the time",
            ));
        }
        if authenticated.expires_unix_ms > now + MAX_EXPIRY_MS {
            return Err(bad(
                &"the envelope expires more than 60 seconds from now; take \"now\" of the realm's keys for the time",
            ));
        }
        match self.keys.knows(realm, parts.recipients.keys().map(String::as_str)) {
            Known::Current => {}
            Known::NoAgent => return Err(Answer::new(Outcome::Unavailable(Unavailable::NoAgent), id)),
            Known::Stale => {
                let answer = Answer::new(Outcome::StaleKey, id);
                return Err(answer.detail("fetch the realm's keys again and seal anew"));
            }
        }
        match self.memory.replays.take(now, id, authenticated.expires_unix_ms) {
            Ok(()) => Ok(Envelope::sealed_by_caller(realm.clone(), jwe, parts)),
            Err(Refused::Seen) => Err(bad(
                &"this request id was used before; take a new random one for each envelope",
            )),
            Err(Refused::Full) => Err(Answer::new(Outcome::Unavailable(Unavailable::Overloaded), id)),
        }
    }

    async fn settle(&self, now: Moment, realm: RealmIndex, folded_user: &str, envelope: Envelope) -> Answer {
        let sign_in = SignIn {
            realm,
            user: self.memory.user_hasher.hash_one((realm.0, folded_user)),
            deadline: now + self.timing.deadline,
            bytes: envelope.bytes(),
            recipients: envelope.recipients(),
        };
        let request_id = envelope.request_id;
        let client_sealed = sign_in.recipients.is_some();
        let settled = self.sign_ins.submit(sign_in, envelope).await;
        let answer = Answer::new(settled.outcome, request_id).subject(settled.subject);
        match settled.outcome {
            Outcome::BadRequest if client_sealed => answer.detail("no agent could use the envelope"),
            Outcome::StaleKey => answer.detail("fetch the realm's keys again and seal anew"),
            _ => answer,
        }
    }

    fn count(&self, place: Place<'_>, outcome: Outcome) {
        let (tenant, realm) = place.map_or(("", ""), |key| (key.tenant.as_str(), key.realm.as_str()));
        self.metrics
            .signins
            .with_label_values(&[tenant, realm, outcome.as_str()])
            .inc();
        if let Outcome::Unavailable(reason) = outcome {
            self.metrics
                .unavailable
                .with_label_values(&[tenant, realm, reason.as_str()])
                .inc();
        }
    }

    /// Rejections are answered on a grid from arrival, so that the time says nothing of why.
    async fn wait_for_grid(&self, outcome: Outcome, arrived: Instant) {
        let rejected = matches!(outcome, Outcome::Verdict(verdict) if verdict != Verdict::Success);
        if rejected && !self.timing.reject_grid.is_zero() {
            tokio::time::sleep_until(next_on_grid(arrived, Instant::now(), self.timing.reject_grid)).await;
        }
    }

    fn note_duration(&self, outcome: Outcome, arrived: Instant) {
        self.metrics
            .signin_duration
            .with_label_values(&[outcome.as_str()])
            .observe(arrived.elapsed().as_secs_f64());
    }
}

fn next_on_grid(arrived: Instant, now: Instant, grid: Duration) -> Instant {
    let steps = now
        .duration_since(arrived)
        .as_nanos()
        .div_ceil(grid.as_nanos().max(1))
        .max(1);
    arrived + grid * u32::try_from(steps).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejections_leave_at_multiples_of_the_grid() {
        let arrived = Instant::now();
        let grid = Duration::from_millis(25);
        for (after_us, expected_ms) in [(0, 25), (1, 25), (24_999, 25), (25_000, 25), (25_001, 50), (74_000, 75)] {
            let at = next_on_grid(arrived, arrived + Duration::from_micros(after_us), grid);
            assert_eq!(at - arrived, Duration::from_millis(expected_ms), "{after_us} µs");
        }
    }
}
