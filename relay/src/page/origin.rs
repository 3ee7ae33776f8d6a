//! Whether a form comes from our own page.
//!
//! There is no cookie that another site could abuse. But a form posted from elsewhere would try passwords from the
//! visitor's address, so only same-origin posts are taken:
//!
//! - `Sec-Fetch-Site`, which browsers send on https and on loopback and no page can forge, decides: `same-origin`.
//! - Without it, `Origin` must name the host that was asked. `null` does not: a page of ours has `no-referrer`, with
//!   which a browser that old, or a page in the clear beyond loopback, sends `null`, but so does every sandboxed frame.
//! - Without either it is no browser but a script or a probe, which needs no trick to post what it likes.

use axum::http::{HeaderMap, Uri, header};

/// The rule, for a listener.
#[derive(Debug)]
pub(super) struct SameOrigin {
    tls: bool,
}

impl SameOrigin {
    /// `tls`: the listener itself ends TLS, so that its origin is https.
    pub(super) fn new(tls: bool) -> Self {
        Self { tls }
    }

    /// Whether a form with these headers may be taken. `proxied`: a trusted proxy sent it, which may say in
    /// `X-Forwarded-Host` what host the browser asked for.
    pub(super) fn allows(&self, headers: &HeaderMap, uri: &Uri, proxied: bool) -> bool {
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
        // `none` is what the user began, such as restoring a tab; the origin tells then.
        if let Some(site) = text("sec-fetch-site").filter(|site| *site != "none") {
            return site == "same-origin";
        }
        let Some(origin) = text(header::ORIGIN.as_str()) else {
            return true;
        };
        let (host, default_port) = match origin.split_once("://") {
            Some(("https", host)) => (host, ":443"),
            // A page in the clear is another origin than ours with TLS.
            Some(("http", host)) if !self.tls => (host, ":80"),
            _ => return false,
        };
        let same = |asked: &str| bare(asked, default_port).eq_ignore_ascii_case(bare(host, default_port));
        let asked = uri
            .authority()
            .map(|authority| authority.as_str())
            .or_else(|| text("host"));
        let forwarded = text("x-forwarded-host").filter(|_| proxied);
        !host.is_empty() && (asked.is_some_and(same) || forwarded.is_some_and(same))
    }
}

fn bare<'a>(host: &'a str, default_port: &str) -> &'a str {
    host.strip_suffix(default_port).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(tls: bool, proxied: bool, headers: &[(&'static str, &str)]) -> bool {
        let headers = headers
            .iter()
            .map(|(name, value)| (header::HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        SameOrigin::new(tls).allows(&headers, &Uri::from_static("/sign-in"), proxied)
    }

    #[test]
    fn what_the_browser_says_of_the_site_decides() {
        let host = ("host", "a.example");
        let elsewhere = ("origin", "https://b.example");
        assert!(allowed(
            false,
            false,
            &[host, ("sec-fetch-site", "same-origin"), ("origin", "null")]
        ));
        for site in ["cross-site", "same-site", ""] {
            let forged = ("origin", "https://a.example");
            assert!(
                !allowed(false, false, &[host, forged, ("sec-fetch-site", site)]),
                "{site}"
            );
        }
        assert!(!allowed(false, false, &[host, elsewhere, ("sec-fetch-site", "none")]));
    }

    #[test]
    fn without_that_the_origin_must_be_the_host() {
        let from = |tls, host, origin| allowed(tls, false, &[("host", host), ("origin", origin)]);
        assert!(from(false, "127.0.0.1:7010", "http://127.0.0.1:7010"));
        assert!(from(true, "a.example", "https://a.example"));
        assert!(from(true, "a.example:443", "https://A.example"));
        assert!(from(false, "[::1]:7010", "http://[::1]:7010"));
        for (tls, host, origin) in [
            (true, "a.example", "http://a.example"),
            (true, "a.example", "https://a.example:444"),
            (true, "a.example", "https://b.example"),
            (true, "a.example", "https://a.example.b.example"),
            (true, "a.example", "null"),
            (true, "a.example", ""),
            (true, "", "https://"),
        ] {
            assert!(!from(tls, host, origin), "{host} {origin}");
        }
        assert!(allowed(false, false, &[("host", "a.example")]), "a script");
    }

    #[test]
    fn only_a_trusted_proxy_may_say_what_host_was_asked_for() {
        let headers = [
            ("host", "relay.internal"),
            ("x-forwarded-host", "a.example"),
            ("origin", "https://a.example"),
        ];
        assert!(allowed(false, true, &headers));
        assert!(!allowed(false, false, &headers));
    }
}
