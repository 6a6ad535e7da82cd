//! Paths and their responses. Pure: a request and a status document in, a response out.

use std::fmt::Display;
use std::sync::Arc;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;
use serde_json::json;

use super::api::{self, Outcome};
use super::health::{Report, Severity, not_ready};
use super::metrics;
use crate::telemetry::status::Document;

/// A response whose body is complete.
pub(super) type Reply = Response<Full<Bytes>>;

const JSON: &str = "application/json";
const PLAIN: &str = "text/plain; charset=utf-8";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The paths, for the response to an unknown one.
const PATHS: &str = "/metrics, /livez, /readyz, /health, and those of /api/v1/openapi.json";

/// A request that needs the status document.
pub(super) struct Inquiry {
    path: String,
    is_openmetrics: bool,
}

impl Inquiry {
    /// Checks a request. Returns the response if it does not depend on the status.
    pub(super) fn new<B>(request: &Request<B>) -> Result<Self, Box<Reply>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut reply = problem(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are accepted");
            reply.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return Err(Box::new(reply));
        }
        match request.uri().path() {
            "/livez" => Err(Box::new(reply(StatusCode::OK, PLAIN, "ok\n".to_owned()))),
            path => {
                Ok(Self { path: path.to_owned(), is_openmetrics: accepts_openmetrics(request.headers()) })
            }
        }
    }
}

/// Whether a client prefers OpenMetrics. Prometheus lists the formats with weights, those of OpenMetrics
/// first.
fn accepts_openmetrics(headers: &HeaderMap) -> bool {
    let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accepted.contains("application/openmetrics-text")
}

/// The response to a request.
pub(super) fn respond(inquiry: &Inquiry, document: &Arc<Document>, metrics_peers_max: usize) -> Reply {
    match inquiry.path.as_str() {
        "/metrics" => metrics_reply(inquiry.is_openmetrics, document, metrics_peers_max),
        "/readyz" => match not_ready(document) {
            None => reply(StatusCode::OK, PLAIN, "ready\n".to_owned()),
            Some(reason) => reply(StatusCode::SERVICE_UNAVAILABLE, PLAIN, format!("not ready: {reason}\n")),
        },
        "/health" => {
            let report = Report::new(document);
            let is_error = report.state == Severity::Error;
            json_reply(if is_error { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }, &report)
        }
        path => match api::respond(path, document) {
            Outcome::Found(value) => json_reply(StatusCode::OK, &value),
            Outcome::Text(text) => reply(StatusCode::OK, JSON, text.to_owned()),
            Outcome::Malformed(message) => problem(StatusCode::BAD_REQUEST, message),
            Outcome::Missing(message) => problem(StatusCode::NOT_FOUND, message),
            Outcome::UnknownPath => {
                problem(StatusCode::NOT_FOUND, &format!("unknown path; the paths are {PATHS}"))
            }
        },
    }
}

/// The response to a request without the token.
pub(super) fn unauthorized() -> Reply {
    let mut reply = problem(
        StatusCode::UNAUTHORIZED,
        "the header \"Authorization: Bearer TOKEN\" is missing, or its token differs from HTTP_TOKEN",
    );
    reply.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    reply
}

/// The response to a request whose response could not be computed.
pub(super) fn failed(error: &dyn Display) -> Reply {
    problem(StatusCode::INTERNAL_SERVER_ERROR, &format!("response not computed: {error}"))
}

fn metrics_reply(is_openmetrics: bool, document: &Arc<Document>, peers_max: usize) -> Reply {
    match metrics::text(Arc::clone(document), peers_max, is_openmetrics) {
        Ok(text) => reply(StatusCode::OK, if is_openmetrics { OPENMETRICS } else { PROMETHEUS }, text),
        Err(error) => failed(&error),
    }
}

fn json_reply(status: StatusCode, value: &impl Serialize) -> Reply {
    match serde_json::to_string(value) {
        Ok(text) => reply(status, JSON, text + "\n"),
        Err(error) => failed(&error),
    }
}

/// An error as JSON.
fn problem(status: StatusCode, message: &str) -> Reply {
    reply(status, JSON, json!({ "error": message }).to_string() + "\n")
}

fn reply(status: StatusCode, content_type: &'static str, body: String) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from(body)));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    reply
}
