//! Whose page it looks like: a tenant's name and logo, once the user name tells the tenant.
//!
//! Before that the page is neutral, so that a page for several tenants tells nobody who they are; with a single tenant
//! it is that one's from the beginning. A logo's address is the hash of its content: it says nothing either, and can
//! be kept for ever.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lc_rs::digest;
use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use postern_protocol::Segment;

use super::files;
use crate::config::Tenant;
use crate::config::logo::Logo;

/// For a logo that somebody opens by itself: it may draw, and cannot run a script, submit or fetch anything.
const LOGO_POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox");

/// How a page presents itself.
#[derive(Debug, Default)]
pub(super) struct Brand {
    /// The organisation's name.
    pub(super) name: Option<String>,
    /// The path of its logo.
    pub(super) logo: Option<String>,
}

/// Every tenant's brand.
#[derive(Debug)]
pub(super) struct Brands {
    tenants: BTreeMap<Segment, Brand>,
    nobody: Brand,
    logos: BTreeMap<String, Arc<Logo>>,
}

impl Brands {
    /// The brands of these tenants.
    pub(super) fn new(tenants: &BTreeMap<Segment, Tenant>) -> Self {
        let mut logos = BTreeMap::new();
        let mut brand = |(name, tenant): (&Segment, &Tenant)| {
            let logo = tenant.logo.as_ref().map(|logo| {
                let hash = fingerprint(logo.bytes());
                let path = format!("/page/logo/{hash}");
                logos.insert(hash, Arc::new(logo.clone()));
                path
            });
            let name_and_logo = Brand {
                name: tenant.display_name.clone(),
                logo,
            };
            (name.clone(), name_and_logo)
        };
        let tenants = tenants.iter().map(&mut brand).collect();
        Self {
            tenants,
            nobody: Brand::default(),
            logos,
        }
    }

    /// Before anything is known of who signs in.
    pub(super) fn neutral(&self) -> &Brand {
        match self.tenants.values().next() {
            Some(only) if self.tenants.len() == 1 => only,
            _ => &self.nobody,
        }
    }

    /// A tenant's.
    pub(super) fn of(&self, tenant: &Segment) -> &Brand {
        self.tenants.get(tenant).unwrap_or(&self.nobody)
    }

    /// The logos' paths.
    pub(super) fn router<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        let logos = Arc::new(self.logos.clone());
        let serve = move |Path(hash): Path<String>| {
            let logo = logos.get(&hash).cloned();
            async move { logo.map_or_else(|| StatusCode::NOT_FOUND.into_response(), |logo| image(&logo)) }
        };
        Router::new().route("/page/logo/{hash}", get(serve))
    }
}

fn image(logo: &Logo) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(logo.media_type())),
        (header::CACHE_CONTROL, HeaderValue::from_static(files::FOR_EVER)),
        (header::CONTENT_SECURITY_POLICY, LOGO_POLICY),
    ];
    let mut response = (headers, logo.bytes().clone()).into_response();
    files::guard(response.headers_mut());
    response
}

/// The first 64 bits of a content's SHA-256, in hexadecimal: enough to tell versions apart.
pub(super) fn fingerprint(content: &[u8]) -> String {
    let hash = digest::digest(&digest::SHA256, content);
    hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
