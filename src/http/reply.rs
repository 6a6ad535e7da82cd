//! Responses: status, headers and body.

use std::fmt::Display;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;
use serde_json::json;

/// A response whose body is complete.
pub(super) type Reply = Response<Full<Bytes>>;

/// Content type of JSON.
pub(super) const JSON: &str = "application/json";

/// Content type of plain text.
pub(super) const PLAIN: &str = "text/plain; charset=utf-8";

/// Content type of pages.
const HTML: &str = "text/html; charset=utf-8";

/// Headers of pages. Everything that a page loads comes from this server, nothing is executed or styled
/// inline, and no other site can frame a page or learn its address.
const PAGE_HEADERS: [(&str, &str); 4] = [
    (
        "content-security-policy",
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// A response that is not to be stored.
pub(super) fn reply(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    with_body(status, content_type, Full::new(body.into()))
}

/// The same with a body that may be sent in parts.
pub(super) fn with_body<B>(status: StatusCode, content_type: &'static str, body: B) -> Response<B> {
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    reply
}

/// A page.
pub(super) fn html_reply(status: StatusCode, page: String) -> Reply {
    html_with_body(status, Full::new(page.into()))
}

/// A page that may be sent in parts.
pub(super) fn html_with_body<B>(status: StatusCode, body: B) -> Response<B> {
    let mut reply = with_body(status, HTML, body);
    for (name, value) in PAGE_HEADERS {
        reply.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    reply
}

/// A value as JSON.
pub(super) fn json_reply(status: StatusCode, value: &impl Serialize) -> Reply {
    match serde_json::to_string(value) {
        Ok(text) => reply(status, JSON, text + "\n"),
        Err(error) => failed(&error),
    }
}

/// An error as JSON.
pub(super) fn problem(status: StatusCode, message: &str) -> Reply {
    reply(status, JSON, json!({ "error": message }).to_string() + "\n")
}

/// The response to a request whose response could not be computed.
pub(super) fn failed(error: &dyn Display) -> Reply {
    problem(StatusCode::INTERNAL_SERVER_ERROR, &format!("response not computed: {error}"))
}
