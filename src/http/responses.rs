//! Paths and their responses. Pure: a request and a status document in, a response out.

use std::sync::Arc;

use hyper::header::{ACCEPT, ALLOW, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Method, Request, StatusCode};

use super::api::{self, Outcome};
use super::health::{Report, Severity, not_ready};
use super::history::History;
use super::reply::{JSON, PLAIN, Reply, failed, json_reply, problem, reply};
use super::{metrics, page};
use crate::telemetry::status::Document;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The paths, for the response to an unknown one.
const PATHS: &str = "/, /metrics, /livez, /readyz, /health, and those of /api/v1/openapi.json";

/// A request that needs the status document.
pub(super) struct Inquiry {
    path: String,
    query: String,
    is_openmetrics: bool,
    /// Whether the client is a browser that shows the response.
    accepts_html: bool,
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
            path => Ok(Self {
                path: path.to_owned(),
                query: request.uri().query().unwrap_or_default().to_owned(),
                is_openmetrics: accepts(request.headers(), "application/openmetrics-text"),
                accepts_html: accepts(request.headers(), "text/html"),
            }),
        }
    }
}

/// Whether the header Accept names a format. Prometheus lists the formats with weights, OpenMetrics first.
fn accepts(headers: &HeaderMap, format: &str) -> bool {
    let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accepted.contains(format)
}

/// The response to a request.
pub(super) fn respond(
    inquiry: &Inquiry,
    document: &Arc<Document>,
    history: &History,
    metrics_peers_max: usize,
) -> Reply {
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
        path => match page::respond(path, &inquiry.query, document, history) {
            Some(page) => page,
            None => api_reply(inquiry, document, history),
        },
    }
}

fn api_reply(inquiry: &Inquiry, document: &Document, history: &History) -> Reply {
    match api::respond(&inquiry.path, document, history) {
        Outcome::Found(value) => json_reply(StatusCode::OK, &value),
        Outcome::Text(text) => reply(StatusCode::OK, JSON, text),
        Outcome::Malformed(message) => problem(StatusCode::BAD_REQUEST, message),
        Outcome::Missing(message) => problem(StatusCode::NOT_FOUND, message),
        Outcome::UnknownPath if inquiry.accepts_html => page::unknown(&inquiry.path),
        Outcome::UnknownPath => {
            problem(StatusCode::NOT_FOUND, &format!("unknown path; the paths are {PATHS}"))
        }
    }
}

/// The response to a request without the token. On the path of a page, it makes browsers ask for a password.
pub(super) fn unauthorized(path: &str) -> Reply {
    if page::is_page(path) {
        let message = "This page needs a password: the token of HTTP_TOKEN. Any user name is accepted.\n";
        let mut reply = reply(StatusCode::UNAUTHORIZED, PLAIN, message);
        for scheme in ["Bearer", "Basic realm=\"holdfast\", charset=\"UTF-8\""] {
            reply.headers_mut().append(WWW_AUTHENTICATE, HeaderValue::from_static(scheme));
        }
        return reply;
    }
    let mut reply = problem(
        StatusCode::UNAUTHORIZED,
        "the header \"Authorization: Bearer TOKEN\" is missing, or its token differs from HTTP_TOKEN",
    );
    reply.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    reply
}

fn metrics_reply(is_openmetrics: bool, document: &Arc<Document>, peers_max: usize) -> Reply {
    match metrics::text(Arc::clone(document), peers_max, is_openmetrics) {
        Ok(text) => reply(StatusCode::OK, if is_openmetrics { OPENMETRICS } else { PROMETHEUS }, text),
        Err(error) => failed(&error),
    }
}
