//! TCP through an HTTP proxy: the CONNECT method (RFC 9110, section 9.3.6).
//!
//! The proxy sees to which relay an agent goes, when and how much; TLS runs through it, end to end.

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue, PROXY_AUTHORIZATION};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;

use crate::config::Proxy;
use crate::network::Stream;

/// A way through `proxy` to `place` (`HOST:PORT`), over a stream to the proxy. Why there is none is said for people.
pub(super) async fn through(stream: Stream, proxy: &Proxy, place: &str) -> Result<Stream, String> {
    let mut request = Request::builder()
        .method(Method::CONNECT)
        .uri(place)
        .header(HOST, place)
        .body(Empty::<Bytes>::new())
        .map_err(|error| format!("{place} cannot be asked of a proxy: {error}"))?;
    if let Some(authorization) = &proxy.authorization {
        let mut value = HeaderValue::from_str(authorization).map_err(|_| "relays.proxy_user is no user".to_owned())?;
        value.set_sensitive(true);
        request.headers_mut().insert(PROXY_AUTHORIZATION, value);
    }
    let no_http = |error: hyper::Error| format!("the proxy {} does not speak HTTP as one does: {error}", proxy.address);
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(no_http)?;
    // It is driven until it is a tunnel and no more HTTP.
    let driving = connection.with_upgrades();
    let asking = async {
        let answer = sender.send_request(request).await.map_err(no_http)?;
        match answer.status() {
            status if status.is_success() => hyper::upgrade::on(answer).await.map_err(no_http),
            status => Err(refused(proxy, place, status)),
        }
    };
    let mut asking = std::pin::pin!(asking);
    let tunnel = tokio::select! {
        biased;
        tunnel = &mut asking => tunnel?,
        // Its end is the beginning of the tunnel, or is told by the answer that does not come.
        _ = driving => asking.await?,
    };
    Ok(Box::new(TokioIo::new(tunnel)))
}

fn refused(proxy: &Proxy, place: &str, status: StatusCode) -> String {
    let proxy = &proxy.address;
    match status {
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => format!(
            "the proxy {proxy} wants another user or password (407): see relays.proxy_user and relays.proxy_password_file"
        ),
        StatusCode::FORBIDDEN | StatusCode::METHOD_NOT_ALLOWED => {
            format!("the proxy {proxy} lets nobody through to {place} ({status}): have it allow CONNECT to there")
        }
        status => format!("the proxy {proxy} does not get through to {place} ({status})"),
    }
}
