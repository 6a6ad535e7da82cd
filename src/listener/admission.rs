//! Admission: checks an accepted connection against the limits, and starts its task.

use std::io;
use std::net::SocketAddr;
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
use crate::telemetry::clock;

impl Shared {
    /// Checks an accepted connection against the limits and starts its task.
    pub(super) fn accepted(
        self: &Arc<Self>,
        stream: TcpStream,
        address: SocketAddr,
        tasks: &mut JoinSet<()>,
        stop: &watch::Receiver<bool>,
    ) {
        // A dual-stack socket reports IPv4 addresses as ::ffff:a.b.c.d.
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        let Options { allow, connections_max, .. } = &self.options;
        if !allow.is_empty() && !allow.iter().any(|prefix| prefix.contains(address.ip())) {
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
        if let Err(error) = self.set_socket_options(&stream) {
            tracing::warn!(peer = %address.ip(), %error, "socket_option_error");
        }
        let entry = Registry::begin(&self.registry, address, clock::now());
        let shared = Arc::clone(self);
        tasks.spawn(connection::run(shared, stream, entry, stop.clone()));
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
