//! The sign-in page, for people: `GET /`, `POST /sign-in`, and the few files that it is made of.
//!
//! Two steps, as people know it: the user name, then, with that name in sight, the password. A sign-in goes the way of
//! the API ([`ApiState::admit`], [`ApiState::complete`]); only what comes in (a form) and goes out (words) is decided
//! here. The page works without JavaScript; with it, `files` has the script that seals the password in the browser.
//! A password is never part of what is rendered: nothing that renders is given one.

mod brand;
mod files;
mod form;
mod html;
mod origin;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use postern_protocol::user_name::{MAX_USER_NAME_BYTES, UserNameError};
use postern_protocol::{Outcome, RealmKey, Unavailable, UserName, Verdict};
use tokio::time::Instant;

use crate::api::ApiState;
use crate::api::answer::{Answer, new_request_id};
use crate::api::body::{Secret, SignInBody};
use crate::config::{self, Config, Disclose};
use brand::Brands;
use form::{Form, FormError};
use html::{End, Next, View};
use origin::SameOrigin;

/// The outcome as the API names it, for the script and for whoever watches the page with one.
const OUTCOME: HeaderName = HeaderName::from_static("postern-outcome");

/// Everything that the page needs.
#[derive(Debug)]
pub struct Page {
    api: Arc<ApiState>,
    disclose: Disclose,
    brands: Brands,
    same_origin: SameOrigin,
}

/// A user name that leads to a realm.
struct Person<'a> {
    user: UserName,
    realm: &'a RealmKey,
}

impl Page {
    /// The page for a configuration.
    pub fn new(config: &Config, settings: config::Page, api: Arc<ApiState>) -> Self {
        Self {
            api,
            disclose: settings.disclose,
            brands: Brands::new(&config.tenants),
            same_origin: SameOrigin::new(config.api.tls.is_some()),
        }
    }

    /// The page's paths.
    pub fn router(self) -> Router<Arc<ApiState>> {
        let logos = self.brands.router();
        Router::new()
            .route("/", get(first))
            .route("/sign-in", post(sign_in).get(async || Redirect::to("/")))
            .with_state(Arc::new(self))
            .merge(files::router())
            .merge(logos)
    }

    /// Whom a typed name means, or what is wrong with it in the words of the first step.
    fn person(&self, typed: &str) -> Result<Person<'_>, &'static str> {
        let user = UserName::parse(typed).map_err(|error| match error {
            UserNameError::Empty => "Enter your user name.",
            UserNameError::NoRealm => {
                "Enter your full user name, with your organisation: name@example.com or EXAMPLE\\name."
            }
            UserNameError::TooLong => "This is too long for a user name.",
            UserNameError::Character => "A user name has none of these characters: \" / [ ] : ; | = , + * ? < > { }",
        })?;
        match self.api.realm_of(&user) {
            Some(realm) => Ok(Person { user, realm }),
            None => {
                Err("This page does not know that organisation. Check what you typed after the @ or before the \\.")
            }
        }
    }

    fn name_step(&self, status: StatusCode, typed: &str, problem: Option<&str>) -> Response {
        let view = View::Name { typed, problem };
        document(status, html::page(self.brands.neutral(), &view))
    }

    /// The second step, or, with a problem and the id of the try that had it, that step again.
    fn password_step(&self, status: StatusCode, person: &Person<'_>, again: Option<(&str, &str)>) -> Response {
        let view = View::Password {
            user: person.user.as_str(),
            realm: person.realm,
            problem: again.map(|(problem, _)| problem),
            request_id: again.map(|(_, id)| id),
        };
        document(status, html::page(self.brands.of(&person.realm.tenant), &view))
    }

    /// A page that only says something.
    fn message(&self, status: StatusCode, title: &str, text: &str) -> Response {
        let end = End {
            title,
            text: &[text],
            next: Next::StartAgain,
            ..End::default()
        };
        document(status, html::page(self.brands.neutral(), &View::End(end)))
    }

    /// An answer of the common way, in words. `sealed_in_browser` is `None` where no password was posted.
    fn tell(&self, answer: &Answer, person: Option<&Person<'_>>, sealed_in_browser: Option<bool>) -> Response {
        let outcome = answer.outcome();
        let status = StatusCode::from_u16(outcome.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let again = match (outcome, answer.what_is_wrong()) {
            (Outcome::Verdict(Verdict::InvalidCredentials), _) => Some(words::WRONG.to_owned()),
            (Outcome::StaleKey, _) => Some(words::STALE.to_owned()),
            (Outcome::BadRequest, Some(detail)) if sealed_in_browser == Some(false) => Some(words::sentence(detail)),
            (Outcome::BadRequest, _) if sealed_in_browser == Some(true) => Some(words::UNREADABLE.to_owned()),
            _ => None,
        };
        let request_id = answer.request_id().to_string();
        let mut response = match (again, person) {
            (Some(problem), Some(person)) => self.password_step(status, person, Some((&problem, &request_id))),
            _ => {
                let words = words::of(outcome, answer.wait_seconds());
                let end = End {
                    title: words.title,
                    text: &words.text.iter().map(String::as_str).collect::<Vec<_>>(),
                    user: person.map(|person| person.user.as_str()),
                    good: outcome == Outcome::Verdict(Verdict::Success),
                    next: words.next,
                    request_id: Some(&request_id),
                    sealed_in_browser: sealed_in_browser.filter(|&in_browser| in_browser || is_sealed_by_then(outcome)),
                };
                let brand = person.map_or(self.brands.neutral(), |person| self.brands.of(&person.realm.tenant));
                document(status, html::page(brand, &View::End(end)))
            }
        };
        answer.dress(&mut response);
        response
            .headers_mut()
            .insert(OUTCOME, HeaderValue::from_static(outcome.as_str()));
        response
    }

    fn not_for_this_visitor(&self) -> Response {
        let end = End {
            title: "This page is not open yet",
            text: &[
                "It can be used from the machine that it runs on only. Whoever runs it opens it to others by configuring \
                     [[callers]] for the sign-in API.",
            ],
            // The first step would say the same.
            next: Next::Nothing,
            ..End::default()
        };
        document(
            StatusCode::FORBIDDEN,
            html::page(self.brands.neutral(), &View::End(end)),
        )
    }
}

/// Whether an outcome comes after the place where the relay seals, whatever led to it.
fn is_sealed_by_then(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Verdict(_) => true,
        // Also what is answered when sealing fails.
        Outcome::Unavailable(reason) => reason != Unavailable::Overloaded,
        _ => false,
    }
}

/// The first step.
async fn first(State(page): State<Arc<Page>>, request: Request) -> Response {
    match page.api.callers().visitor(&request, page.disclose) {
        Ok(_) => page.name_step(StatusCode::OK, "", None),
        Err(_) => page.not_for_this_visitor(),
    }
}

/// A user name, which leads to the second step; or the second step's name and password, which are a sign-in.
async fn sign_in(State(page): State<Arc<Page>>, request: Request) -> Response {
    let arrived = Instant::now();
    let request_id = new_request_id();
    let api = &page.api;
    let callers = api.callers();
    let Ok(visitor) = callers.visitor(&request, page.disclose) else {
        api.refuse(Answer::new(Outcome::UnauthorizedCaller, request_id), arrived);
        return page.not_for_this_visitor();
    };
    if !page
        .same_origin
        .allows(request.headers(), request.uri(), callers.is_trusted_proxy(&request))
    {
        api.refuse(Answer::new(Outcome::BadRequest, request_id), arrived);
        return page.message(
            StatusCode::FORBIDDEN,
            "That did not come from this page",
            "Another site sent this form, or your browser did not say where it comes from, which most do over https only. \
             Nothing was tried. Sign in on a page that you opened yourself.",
        );
    }
    if let Err(answer) = api.admit(&visitor, callers.client_address(&request), request_id) {
        return page.tell(&api.refuse(answer, arrived), None, None);
    }
    let form = match form::read(request, arrived).await {
        Ok(form) => form,
        Err(error) => return page.unreadable(&error, Answer::new(Outcome::BadRequest, request_id), arrived),
    };
    let person = page.person(&form.username);
    let Form { username, secret } = form;
    let Some(secret) = secret else {
        return match person {
            Ok(person) => page.password_step(StatusCode::OK, &person, None),
            Err(problem) => {
                // What is too long for a name is not sent back, where it might be many times as long in HTML.
                let typed = Some(username.as_str()).filter(|name| name.len() <= MAX_USER_NAME_BYTES);
                page.name_step(StatusCode::BAD_REQUEST, typed.unwrap_or_default(), Some(problem))
            }
        };
    };
    let sealed_in_browser = matches!(secret, Secret::Jwe(_));
    let body = SignInBody { username, secret };
    let answer = api.complete(&visitor, request_id, body, arrived).await;
    // Without a usable name beside a password the form was not ours; it was counted like any other.
    page.tell(&answer, person.as_ref().ok(), Some(sealed_in_browser))
}

impl Page {
    fn unreadable(&self, error: &FormError, answer: Answer, arrived: Instant) -> Response {
        let answer = if error.leaves_rest() { answer.close() } else { answer };
        let answer = self.api.refuse(answer, arrived);
        let text = words::sentence(&error.to_string());
        let mut response = self.message(StatusCode::BAD_REQUEST, "That form could not be read", &text);
        answer.dress(&mut response);
        response
    }
}

/// A page, with the headers that every page has.
fn document(status: StatusCode, html: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, files::CONTENT_SECURITY_POLICY),
    ];
    let mut response = (status, headers, html).into_response();
    files::guard(response.headers_mut());
    response
}
