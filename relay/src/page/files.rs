//! The files that the page is made of beside its HTML, and the headers that guard all of it.
//!
//! The page names a file with its content's fingerprint (`?v=`), and only then may a browser keep it. While replicas
//! of two versions run side by side, the other's file is served all the same, but not kept.

use std::sync::LazyLock;

use axum::Router;
use axum::extract::RawQuery;
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::brand::fingerprint;

/// For every page: files and requests of our own origin only, no inline script or style, in nobody's frame.
pub(super) const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// For what is named by its content.
pub(super) const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// Headers of everything that the page serves.
const GUARDS: [(HeaderName, &str); 5] = [
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
];

/// A file of the page.
pub(super) struct File {
    path: &'static str,
    kind: &'static str,
    content: &'static str,
}

/// How it looks.
pub(super) const STYLE: File = File {
    path: "/page/sign-in.css",
    kind: "text/css; charset=utf-8",
    content: include_str!("sign-in.css"),
};

/// What seals the password in the browser.
pub(super) const SCRIPT: File = File {
    path: "/page/sign-in.js",
    kind: "text/javascript; charset=utf-8",
    content: include_str!("sign-in.js"),
};

/// What a tab shows.
pub(super) const ICON: File = File {
    path: "/page/icon.svg",
    kind: "image/svg+xml",
    content: include_str!("icon.svg"),
};

/// A lock, beside what is said of sealing.
const LOCK: File = File {
    path: "/page/lock.svg",
    kind: "image/svg+xml",
    content: include_str!("lock.svg"),
};

impl File {
    /// The address that a page names it by.
    pub(super) fn address(&self) -> String {
        format!("{}?v={}", self.path, fingerprint(self.content.as_bytes()))
    }

    fn serve(&self, query: Option<&str>) -> Response {
        let version = query.and_then(|query| query.strip_prefix("v="));
        let named = version == Some(&fingerprint(self.content.as_bytes()));
        let headers = [
            (header::CONTENT_TYPE, self.kind),
            (header::CACHE_CONTROL, if named { FOR_EVER } else { "no-store" }),
            (
                header::CONTENT_SECURITY_POLICY,
                "default-src 'none'; style-src 'unsafe-inline'; sandbox",
            ),
        ];
        let mut response = (headers, self.content).into_response();
        guard(response.headers_mut());
        response
    }
}

/// What a page names in its head.
pub(super) struct Addresses {
    pub(super) style: String,
    pub(super) script: String,
    pub(super) icon: String,
}

/// The addresses of the files, which do not change while the process runs.
pub(super) static ADDRESSES: LazyLock<Addresses> = LazyLock::new(|| Addresses {
    style: STYLE.address(),
    script: SCRIPT.address(),
    icon: ICON.address(),
});

/// The files' paths.
pub(super) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    [&STYLE, &SCRIPT, &ICON, &LOCK]
        .into_iter()
        .fold(Router::new(), |router, file| {
            router.route(
                file.path,
                get(async |RawQuery(query): RawQuery| file.serve(query.as_deref())),
            )
        })
}

/// Adds the headers of everything that the page serves.
pub(super) fn guard(headers: &mut HeaderMap) {
    for (name, value) in GUARDS {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
