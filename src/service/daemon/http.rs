//! Starts the HTTP server, if it is configured.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::config::Http;
use crate::forwarder;
use crate::http::{Lookup, Options, Server};
use crate::service::Error;
use crate::service::snapshot::Snapshot;
use crate::sink::Target;

/// Binds the socket of the HTTP server.
pub(super) async fn bind(config: Option<&Http>) -> Result<Option<TcpListener>, Error> {
    let Some(Http { host, port, .. }) = config else { return Ok(None) };
    let bound = TcpListener::bind((host.as_str(), *port)).await;
    let listener = bound.map_err(|source| Error::HttpListen { host: host.clone(), port: *port, source })?;
    Ok(Some(listener))
}

/// Returns the database of the delivery at the first call, and after each reload of the settings.
fn new_target(delivery: &watch::Sender<forwarder::Settings>) -> Box<dyn FnMut() -> Option<Target> + Send> {
    let mut settings = delivery.subscribe();
    settings.mark_changed();
    Box::new(move || {
        let is_new = settings.has_changed().unwrap_or_default();
        is_new.then(|| settings.borrow_and_update().target.clone())
    })
}

/// Serves the status on a bound socket, and look-ups in the database of the delivery, if there is one.
pub(super) fn serve(
    listener: Option<TcpListener>,
    config: Option<&Http>,
    snapshot: &Arc<Snapshot>,
    delivery: Option<watch::Sender<forwarder::Settings>>,
) -> Option<JoinHandle<()>> {
    let (listener, config) = (listener?, config?);
    if let Ok(address) = listener.local_addr() {
        let client_certificates = config.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        tracing::info!(%address, tls = config.tls.is_some(), client_certificates, "http_server_started");
    }
    let options = Options {
        token: config.token.clone(),
        tls: snapshot.http_tls.clone(),
        metrics_peers_max: config.metrics_peers_max,
    };
    let published = Arc::clone(snapshot);
    let lookup = Lookup::new(delivery.map(|delivery| new_target(&delivery)));
    let server = Server::new(listener, options, move || published.document(), lookup);
    Some(tokio::spawn(server.run()))
}
