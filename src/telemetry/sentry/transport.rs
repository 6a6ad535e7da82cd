//! The HTTP transport of reports to Sentry, which never keeps a thread of the daemon waiting.
//!
//! The transport of the `sentry` crate sends from a thread with a bounded queue, but its `flush`, which a
//! panic and the end of the process call, waits without limit for room in that queue, and dropping it waits
//! for the request in progress. Both last for ever if the server accepts connections and never answers.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use sentry::transports::{UreqHttpTransport, UreqHttpTransportOptions};
use sentry::types::Scheme;
use sentry::{Envelope, Transport, TransportFactory, TransportOptions};
use ureq::{Agent, Proxy};

/// Time limit for one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Creates the transport.
pub(super) struct Factory;

impl TransportFactory for Factory {
    fn create_transport_with_options(&self, options: TransportOptions) -> Arc<dyn Transport> {
        let proxy = match options.dsn.scheme() {
            Scheme::Https => options.https_proxy.as_deref(),
            Scheme::Http => options.http_proxy.as_deref(),
        };
        // As in the transport of the `sentry` crate, an invalid proxy in the environment is ignored.
        let proxy = proxy.and_then(|address| Proxy::new(address).ok());
        let agent = Agent::config_builder().timeout_global(Some(REQUEST_TIMEOUT)).proxy(proxy).build();
        let transport = UreqHttpTransportOptions::from(options).with_agent(agent.new_agent()).build();
        // One per process, and never dropped, because that would wait for the request in progress.
        Arc::new(NonBlocking { inner: Box::leak(Box::new(transport)) })
    }
}

struct NonBlocking {
    inner: &'static UreqHttpTransport,
}

impl Transport for NonBlocking {
    fn send_envelope(&self, envelope: Envelope) {
        // If the queue is full, this drops the envelope.
        self.inner.send_envelope(envelope);
    }

    /// Does not wait: a thread that panics must not depend on Sentry. What is queued is sent all the same.
    fn flush(&self, _timeout: Duration) -> bool {
        true
    }

    fn shutdown(&self, timeout: Duration) -> bool {
        let inner = self.inner;
        let (send, receive) = sync_channel(1);
        let flush = move || {
            // Fails if the time limit has passed, and nobody waits.
            send.send(inner.flush(timeout)).unwrap_or_default();
        };
        let thread = thread::Builder::new().name("sentry-shutdown".to_owned()).spawn(flush);
        thread.is_ok() && receive.recv_timeout(timeout).unwrap_or_default()
    }
}
