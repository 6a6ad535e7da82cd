//! Admission: checks an accepted connection against the limits, and starts its task.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::connection;
use super::options::Options;
use super::registry::Registry;
use super::shared::Shared;
use super::transport::Incoming;
use crate::telemetry::clock;

impl Shared {
    /// Checks an accepted connection against the limits and starts its task.
    pub(super) fn accepted(
        self: &Arc<Self>,
        incoming: Incoming,
        tasks: &mut JoinSet<()>,
        stop: &watch::Receiver<bool>,
    ) {
        let address = incoming.address;
        let Options { allow, connections_max, .. } = &self.options;
        let is_allowed = incoming.is_outgoing() || allow.is_empty();
        if !is_allowed && !allow.iter().any(|prefix| prefix.contains(address.ip())) {
            self.registry.refused();
            tracing::warn!(peer = %address.ip(), reason = "not in BMP_ALLOW", "connection_refused");
            return;
        }
        if self.registry.connections() >= *connections_max {
            self.registry.refused();
            let reason = "BMP_MAX_CONNECTIONS";
            tracing::error!(peer = %address.ip(), reason, connections_max, "connection_refused");
            return;
        }
        if let Err(error) = self.set_socket_options(&incoming.stream) {
            tracing::warn!(peer = %address.ip(), %error, "socket_option_error");
        }
        let entry = Registry::begin(&self.registry, address, clock::now());
        let shared = Arc::clone(self);
        tasks.spawn(connection::run(shared, incoming, entry, stop.clone()));
    }

    fn set_socket_options(&self, stream: &TcpStream) -> io::Result<()> {
        let socket = SockRef::from(stream);
        let Options { keepalive, user_timeout, .. } = self.options;
        let interval = (user_timeout.saturating_sub(keepalive) / 3).max(Duration::from_secs(1));
        socket.set_tcp_keepalive(
            &TcpKeepalive::new().with_time(keepalive).with_interval(interval).with_retries(3),
        )?;
        socket.set_tcp_user_timeout(Some(user_timeout))
    }
}
