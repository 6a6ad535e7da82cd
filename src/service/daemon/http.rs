//! Starts the HTTP server, if it is configured.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::config::Http;
use crate::http::{Options, Server};
use crate::service::Error;
use crate::service::snapshot::Snapshot;

/// Binds the socket of the HTTP server.
pub(super) async fn bind(config: Option<&Http>) -> Result<Option<TcpListener>, Error> {
    let Some(Http { host, port, .. }) = config else { return Ok(None) };
    let bound = TcpListener::bind((host.as_str(), *port)).await;
    let listener = bound.map_err(|source| Error::HttpListen { host: host.clone(), port: *port, source })?;
    Ok(Some(listener))
}

/// Serves the status on a bound socket.
pub(super) fn serve(
    listener: Option<TcpListener>,
    config: Option<&Http>,
    snapshot: &Arc<Snapshot>,
) -> Option<JoinHandle<()>> {
    let (listener, config) = (listener?, config?);
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "http_server_started");
    }
    let options = Options { token: config.token.clone(), metrics_peers_max: config.metrics_peers_max };
    let published = Arc::clone(snapshot);
    Some(tokio::spawn(Server::new(listener, options, move || published.document()).run()))
}
