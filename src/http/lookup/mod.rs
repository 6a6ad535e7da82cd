//! The looking glass: the catalogue of `holdfast query` in a browser.
//!
//! ```text
//!  request ─► query, arguments ─► permit and connection ─► prepared ─► head of the page ─► rows, one by one
//!                  │ 400                │ 503                 │ 400, 503      │ 200
//! ```
//!
//! The queries have connections of their own, which cannot write, and at most two run at a time. A response
//! is sent while the rows arrive: a client that reads slowly slows down its query and nothing else, and is
//! dropped after a time limit.

mod database;
mod form;
mod index;
mod links;
mod output;
mod request;
mod search;
mod stream;

use hyper::header::{CONTENT_DISPOSITION, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde_json::json;

use self::database::{Database, Lease, Unavailable};
use self::form::{Contents, is_run};
use self::output::Output;
use self::request::{Call, Format, Invalid, SEARCH, Subject, Values};
use self::search::readings;
use self::stream::{PageResult, QUERY_TIMEOUT, explained, send_file};
use super::body::Body;
use super::reply::{JSON, html_reply, html_with_body, problem, reply, with_body};
use crate::sink::{BoundQuery, PreparedQuery, Query, RunOptions, Shape, Target, prepare_query};

const CSV: &str = "text/csv; charset=utf-8";

/// Header with the notes of a result that is not a page, as a JSON array.
const NOTES: HeaderName = HeaderName::from_static("holdfast-notes");

/// Header with the maximum number of rows of a result that is not a page.
const LIMIT: HeaderName = HeaderName::from_static("holdfast-limit");

/// Maximum size of the value of [`NOTES`] in bytes; longer notes are left out.
const NOTES_BYTES_MAX: usize = 4 << 10;

/// The looking glass, with its database.
pub struct Lookup {
    database: Database,
}

/// A request below `/lookup`.
pub(super) struct LookupRequest<'a> {
    /// Path of the address.
    pub(super) path: &'a str,
    /// The part of the address after the question mark.
    pub(super) values: Option<&'a str>,
    /// Whether the method is HEAD: the query is prepared, but not run.
    pub(super) is_head: bool,
}

impl Lookup {
    /// A looking glass. `new_target` returns the database at its first call and after its settings have
    /// changed, else `None`. Without it, no database is configured.
    #[must_use]
    pub fn new(new_target: Option<Box<dyn FnMut() -> Option<Target> + Send>>) -> Self {
        Self { database: Database::new(new_target) }
    }

    /// The response to a request; `None` if its path is neither `/lookup` nor below it.
    pub(super) async fn respond(&self, request: &LookupRequest<'_>) -> Option<Response<Body>> {
        let subject = Subject::from_path(request.path)?;
        let values = Values::parse(request.values.unwrap_or_default());
        Some(match (subject, values) {
            (Subject::Query(query, format), Ok(values)) => self.query(query, format, values, request).await,
            (Subject::Index, Ok(values)) => self.index(&values).await,
            (Subject::Unknown(name), _) => unknown(&name),
            (_, Err(_)) => {
                let reason = "the address is not valid percent-encoded UTF-8";
                page(StatusCode::BAD_REQUEST, index::unknown(reason))
            }
        })
    }

    async fn index(&self, values: &Values) -> Response<Body> {
        if let Some(text) = values.get(SEARCH).map(str::trim) {
            let address = readings(text).first().map(|reading| reading.address(text));
            let location = address.and_then(|address| HeaderValue::from_str(&address).ok());
            let mut response = page(StatusCode::SEE_OTHER, String::new());
            response.headers_mut().extend(location.map(|location| (LOCATION, location)));
            return response;
        }
        let problem =
            self.database.problem().await.map(|problem| format!("Queries fail at present: {problem}"));
        page(StatusCode::OK, index::page(problem.as_deref()))
    }

    async fn query(
        &self,
        query: &'static Query,
        format: Format,
        values: Values,
        request: &LookupRequest<'_>,
    ) -> Response<Body> {
        let asked = Asked { query, format, values };
        if !is_run(format, request.values) {
            return asked.page(StatusCode::OK, &Contents::Form);
        }
        let call = match Call::bind(query, format, &asked.values) {
            Ok(call) => call,
            Err(invalid) => return asked.invalid(&invalid),
        };
        let lease = match self.database.lease().await {
            Ok(lease) => lease,
            Err(unavailable) => return asked.unavailable(&unavailable),
        };
        asked.run(lease, call, request.is_head).await
    }
}

/// A request for a query.
struct Asked {
    query: &'static Query,
    format: Format,
    values: Values,
}

impl Asked {
    /// Prepares the query, and runs it unless the method is HEAD.
    async fn run(self, lease: Lease, call: Call, is_head: bool) -> Response<Body> {
        let options = RunOptions {
            shape: if self.format == Format::Json { Shape::Json } else { Shape::Values },
            limit: Some(call.limit),
            fields: call.fields.clone(),
            time_limit: Some(QUERY_TIMEOUT),
        };
        let bound: BoundQuery = call.query.clone();
        let prepared = match prepare_query(lease.connection.client(), bound, &options).await {
            Ok(prepared) => prepared,
            Err(error) => return self.failed(lease, &error).await,
        };
        if is_head {
            lease.release().await;
            return match self.format {
                Format::Page => page(StatusCode::OK, String::new()),
                Format::Json | Format::Csv => {
                    reply(StatusCode::OK, self.content_type(), String::new()).map(Body::from)
                }
            };
        }
        match self.format {
            Format::Page => {
                let halves = form::page(self.query, &self.values, &Contents::Result(&call));
                let result = PageResult { query: self.query, values: self.values, limit: call.limit, halves };
                let (parts, body) = Body::streamed();
                tokio::spawn(result.send(lease, prepared, Output::new(parts)));
                html_with_body(StatusCode::OK, body)
            }
            Format::Json | Format::Csv => self.file(lease, prepared, call.limit).await,
        }
    }

    /// Runs a query whose result is a file.
    async fn file(self, lease: Lease, prepared: PreparedQuery, limit: u32) -> Response<Body> {
        let mut rows = match prepared.run(lease.connection.client()).await {
            Ok(rows) => rows,
            Err(error) => return self.failed(lease, &error).await,
        };
        let notes = std::mem::take(&mut rows.notes);
        let (parts, body) = Body::streamed();
        let mut response = with_body(StatusCode::OK, self.content_type(), body);
        let headers = response.headers_mut();
        headers.insert(LIMIT, HeaderValue::from(limit));
        let notes = json!(notes).to_string();
        if notes.len() <= NOTES_BYTES_MAX
            && let Ok(notes) = HeaderValue::from_bytes(notes.as_bytes())
        {
            headers.insert(NOTES, notes);
        }
        if self.format == Format::Csv {
            let name = format!("attachment; filename=\"{}.csv\"", self.query.name);
            headers.extend(HeaderValue::from_str(&name).ok().map(|name| (CONTENT_DISPOSITION, name)));
        }
        tokio::spawn(send_file(lease, rows, self.format, Output::new(parts)));
        response
    }

    /// Content type of a file.
    const fn content_type(&self) -> &'static str {
        if matches!(self.format, Format::Csv) { CSV } else { JSON }
    }

    /// The response to a query that failed before its first row.
    async fn failed(&self, lease: Lease, error: &crate::sink::QueryError) -> Response<Body> {
        lease.release().await;
        if error.is_of_arguments() {
            return self.invalid(&Invalid::from(error));
        }
        self.refused(StatusCode::SERVICE_UNAVAILABLE, &explained(error, self.query))
    }

    fn invalid(&self, invalid: &Invalid) -> Response<Body> {
        match self.format {
            Format::Page => self.page(StatusCode::BAD_REQUEST, &Contents::Invalid(invalid)),
            Format::Json | Format::Csv => self.refused(StatusCode::BAD_REQUEST, &invalid.text),
        }
    }

    fn unavailable(&self, unavailable: &Unavailable) -> Response<Body> {
        let mut response = self.refused(StatusCode::SERVICE_UNAVAILABLE, &unavailable.to_string());
        if matches!(unavailable, Unavailable::Busy) {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }

    /// A response without a result, for this reason.
    fn refused(&self, status: StatusCode, reason: &str) -> Response<Body> {
        match self.format {
            Format::Page => self.page(status, &Contents::Failed(reason)),
            Format::Json | Format::Csv => problem(status, reason).map(Body::from),
        }
    }

    fn page(&self, status: StatusCode, contents: &Contents<'_>) -> Response<Body> {
        let (before, after) = form::page(self.query, &self.values, contents);
        page(status, before + &after)
    }
}

fn unknown(name: &str) -> Response<Body> {
    let error = BoundQuery::new(name, &[]).map_or_else(|error| error.to_string(), |_| String::new());
    page(StatusCode::NOT_FOUND, index::unknown(&error))
}

/// A page that is complete.
fn page(status: StatusCode, page: String) -> Response<Body> {
    html_reply(status, page).map(Body::from)
}
