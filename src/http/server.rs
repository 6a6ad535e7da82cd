//! The HTTP server: limits of connections, time and size, TLS, and the token.
//!
//! Each connection serves one request. Responses are computed one after another on a thread for blocking
//! work, so that no request occupies a thread that serves routers, and many requests use one processor at
//! most.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::AUTHORIZATION;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior};

use super::authorization::is_authorized;
use super::body::Body;
use super::history::{self, History};
use super::lookup::{Lookup, LookupRequest};
use super::reply::{self, Reply};
use super::responses::{self, Inquiry};
use crate::config::Secret;
use crate::telemetry::clock;
use crate::telemetry::status::Document;
use crate::tls::TlsServer;

/// Maximum number of open connections. A further one closes the oldest.
const CONNECTIONS_MAX: usize = 16;

/// Time limit for a TLS handshake, and for the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Time limit for a connection with its request and response.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);

/// Additional time for the connection of a look-up. Its own time limits end it earlier, with a reason.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(120);

/// Maximum size of the head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// Maximum age of the document of a response. It bounds the cost of many requests.
const DOCUMENT_AGE_MAX: Duration = Duration::from_secs(1);

/// Pause after an error of accept, so that a lack of file descriptors does not cause a busy loop.
const ERROR_PAUSE: Duration = Duration::from_millis(200);

/// Who may send requests, and the extent of the responses.
#[derive(Clone, Debug)]
pub struct Options {
    /// Token that requests must have (`Authorization: Bearer`, or `Basic` with the token as the password);
    /// `None` to accept all.
    pub token: Option<Secret>,
    /// TLS for new connections, without which none is served then; `None` inside for plain HTTP.
    pub tls: watch::Receiver<Option<Arc<TlsServer>>>,
    /// Number of peers up to which there are metrics of single peers.
    pub metrics_peers_max: usize,
}

/// An HTTP server on a bound socket.
pub struct Server<F> {
    listener: TcpListener,
    responder: Arc<Responder<F>>,
}

struct Responder<F> {
    options: Options,
    document: F,
    lookup: Lookup,
    last: Mutex<Option<(Instant, Arc<Document>)>>,
    history: History,
    /// One permit: a single response is computed at a time.
    turn: Arc<Semaphore>,
}

impl<F: Fn() -> Document + Send + Sync + 'static> Server<F> {
    /// A server that responds with the results of `document`, and of queries by `lookup`.
    pub fn new(listener: TcpListener, options: Options, document: F, lookup: Lookup) -> Self {
        let turn = Arc::new(Semaphore::new(1));
        let (last, history) = (Mutex::new(None), History::new());
        let responder = Arc::new(Responder { options, document, lookup, last, history, turn });
        Self { listener, responder }
    }

    /// Accepts connections, and samples the figures of the plots. Never returns.
    pub async fn run(self) {
        // The tasks of a set end with it.
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(&self.responder).sample());
        let mut open: VecDeque<AbortHandle> = VecDeque::with_capacity(CONNECTIONS_MAX);
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    open.retain(|connection| !connection.is_finished());
                    // A request takes milliseconds: the oldest connection is that of a slow client.
                    if open.len() >= CONNECTIONS_MAX
                        && let Some(oldest) = open.pop_front()
                    {
                        oldest.abort();
                    }
                    open.push_back(
                        tokio::spawn(accepted(Arc::clone(&self.responder), stream)).abort_handle(),
                    );
                }
                Err(error) => {
                    tracing::warn!(%error, "http_accept_error");
                    tokio::time::sleep(ERROR_PAUSE).await;
                }
            }
        }
    }
}

/// Serves a connection, after its TLS handshake if TLS is configured.
async fn accepted<F: Fn() -> Document + Send + Sync + 'static>(
    responder: Arc<Responder<F>>,
    stream: TcpStream,
) {
    let tls = responder.options.tls.borrow().clone();
    let Some(tls) = tls else { return serve(responder, stream).await };
    match tokio::time::timeout(HEAD_TIMEOUT, tls.accept(stream)).await {
        Ok(Ok(stream)) => serve(responder, stream).await,
        Ok(Err(error)) => tracing::debug!(%error, "http_handshake_error"),
        Err(_) => tracing::debug!("http_handshake_timeout"),
    }
}

/// Serves the request of a connection.
async fn serve<F: Fn() -> Document + Send + Sync + 'static>(
    responder: Arc<Responder<F>>,
    stream: impl AsyncRead + AsyncWrite + Unpin,
) {
    let is_lookup = Arc::new(AtomicBool::new(false));
    let is_slow = Arc::clone(&is_lookup);
    let service = service_fn(move |request| {
        let (responder, is_lookup) = (Arc::clone(&responder), Arc::clone(&is_lookup));
        async move { Ok::<_, Infallible>(responder.respond(&request, &is_lookup).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut ended = tokio::time::timeout(CONNECTION_TIMEOUT, connection.as_mut()).await;
    if ended.is_err() && is_slow.load(Ordering::Relaxed) {
        ended = tokio::time::timeout(LOOKUP_TIMEOUT, connection).await;
    }
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "http_connection_error"),
        Err(_) => tracing::debug!("http_connection_timeout"),
    }
}

impl<F: Fn() -> Document + Send + Sync + 'static> Responder<F> {
    /// Sets `is_lookup` if the response may take longer than others.
    async fn respond(self: Arc<Self>, request: &Request<Incoming>, is_lookup: &AtomicBool) -> Response<Body> {
        if let Some(token) = &self.options.token
            && !is_authorized(request.headers().get(AUTHORIZATION), token)
        {
            return responses::unauthorized(request.uri().path()).map(Body::from);
        }
        if matches!(*request.method(), Method::GET | Method::HEAD) {
            let (path, values) = (request.uri().path(), request.uri().query());
            is_lookup.store(path.starts_with("/lookup/"), Ordering::Relaxed);
            let lookup = LookupRequest { path, values, is_head: request.method() == Method::HEAD };
            if let Some(response) = self.lookup.respond(&lookup).await {
                return response;
            }
        }
        self.status_response(request).await.map(Body::from)
    }

    /// The response to a request that the status document answers.
    async fn status_response(self: Arc<Self>, request: &Request<Incoming>) -> Reply {
        let inquiry = match Inquiry::new(request) {
            Ok(inquiry) => inquiry,
            Err(reply) => return *reply,
        };
        let computed = self.compute(move |responder| {
            let document = responder.document();
            responses::respond(&inquiry, &document, &responder.history, responder.options.metrics_peers_max)
        });
        computed.await.unwrap_or_else(|error| reply::failed(&error))
    }

    /// Samples the figures of the plots, and reads changed files of TLS. Never returns.
    async fn sample(self: Arc<Self>) {
        let mut interval = tokio::time::interval_at(Instant::now() + history::INTERVAL, history::INTERVAL);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            let sampled = Arc::clone(&self).compute(|responder| {
                responder.history.add(&responder.document(), clock::now());
            });
            // The only error is a panic, which is reported where it occurs.
            drop(sampled.await);
            // Changed files of TLS are read also if no client connects.
            let tls = self.options.tls.borrow().clone();
            if let Some(tls) = tls {
                drop(tokio::task::spawn_blocking(move || tls.reload()).await);
            }
        }
    }

    /// Computes a value on a thread for blocking work, when no other one is computed.
    async fn compute<T: Send + 'static>(
        self: Arc<Self>,
        compute: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        // The semaphore is never closed.
        let turn = Arc::clone(&self.turn).acquire_owned().await;
        let computed = tokio::task::spawn_blocking(move || {
            let value = compute(&self);
            drop(turn);
            value
        });
        computed.await
    }

    /// A document of at most [`DOCUMENT_AGE_MAX`].
    fn document(&self) -> Arc<Document> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((time, document)) = last.as_ref()
            && time.elapsed() < DOCUMENT_AGE_MAX
        {
            return Arc::clone(document);
        }
        let document = Arc::new((self.document)());
        *last = Some((Instant::now(), Arc::clone(&document)));
        document
    }
}
